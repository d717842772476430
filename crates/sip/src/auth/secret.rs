//! What proves a user: a password, or only what Digest needs of it.

use super::algorithm::{Algorithm, Hash};
use core::fmt;

/// H(username ":" realm ":" password) for each stored algorithm (RFC 7616 §3.4.2): all that a server keeps.
///
/// Whoever knows it can answer challenges of that realm, so it is a secret, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    /// With MD5.
    pub md5: [u8; 16],
    /// With SHA-256.
    pub sha256: [u8; 32],
}

impl Ha1 {
    /// Computes both hashes. The realm is the one of the challenge, unescaped.
    pub fn new(username: &str, realm: &str, password: &str) -> Ha1 {
        let mut ha1 = Ha1 {
            md5: [0; 16],
            sha256: [0; 32],
        };
        let hash = |algorithm| key(algorithm, username, realm, password);
        ha1.md5.copy_from_slice(hash(Algorithm::Md5).as_bytes());
        ha1.sha256
            .copy_from_slice(hash(Algorithm::Sha256).as_bytes());
        ha1
    }

    /// The hash for the family of an algorithm; `None` for SHA-512/256, which is not stored.
    pub(super) fn hash(&self, algorithm: Algorithm) -> Option<Hash> {
        match algorithm {
            Algorithm::Md5 | Algorithm::Md5Sess => Some(Hash::new(&self.md5)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => Some(Hash::new(&self.sha256)),
            Algorithm::Sha512256 | Algorithm::Sha512256Sess => None,
        }
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(..)")
    }
}

/// What a client answers a challenge with.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself: fits each realm and each algorithm.
    Password(String),
    /// Hashes for one username and realm.
    Ha1(Ha1),
    /// The hash with MD5 alone, for one username and realm.
    Md5([u8; 16]),
    /// The hash with SHA-256 alone, for one username and realm.
    Sha256([u8; 32]),
}

impl Secret {
    /// Whether a challenge with this algorithm can be answered.
    pub fn supports(&self, algorithm: Algorithm) -> bool {
        match self {
            Secret::Password(_) => true,
            Secret::Ha1(ha1) => ha1.hash(algorithm).is_some(),
            Secret::Md5(_) => matches!(algorithm, Algorithm::Md5 | Algorithm::Md5Sess),
            Secret::Sha256(_) => matches!(algorithm, Algorithm::Sha256 | Algorithm::Sha256Sess),
        }
    }

    pub(super) fn hash(&self, algorithm: Algorithm, username: &str, realm: &str) -> Option<Hash> {
        match self {
            Secret::Password(password) => Some(key(algorithm, username, realm, password)),
            Secret::Ha1(ha1) => ha1.hash(algorithm),
            Secret::Md5(hash) => self.supports(algorithm).then(|| Hash::new(hash)),
            Secret::Sha256(hash) => self.supports(algorithm).then(|| Hash::new(hash)),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Password(_) => "Password(..)",
            Secret::Ha1(_) => "Ha1(..)",
            Secret::Md5(_) => "Md5(..)",
            Secret::Sha256(_) => "Sha256(..)",
        })
    }
}

fn key(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> Hash {
    algorithm.hash([
        username.as_bytes(),
        b":",
        realm.as_bytes(),
        b":",
        password.as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let ha1 = Ha1::new("u", "r", "opensesame");
        assert_eq!(format!("{ha1:?}"), "Ha1(..)");
        assert_eq!(format!("{:?}", Secret::Ha1(ha1)), "Ha1(..)");
        let password = Secret::Password("opensesame".to_owned());
        assert_eq!(format!("{password:?}"), "Password(..)");
        assert_eq!(format!("{:?}", Secret::Md5([7; 16])), "Md5(..)");
    }

    #[test]
    fn one_hash_answers_for_its_own_algorithm_alone() {
        let ha1 = Ha1::new("u", "r", "opensesame");
        let (md5, sha256) = (Secret::Md5(ha1.md5), Secret::Sha256(ha1.sha256));
        for (secret, algorithm, fits) in [
            (&md5, Algorithm::Md5, true),
            (&md5, Algorithm::Md5Sess, true),
            (&md5, Algorithm::Sha256, false),
            (&sha256, Algorithm::Sha256, true),
            (&sha256, Algorithm::Md5, false),
            (&sha256, Algorithm::Sha512256, false),
        ] {
            assert_eq!(secret.supports(algorithm), fits);
            let hash = secret.hash(algorithm, "u", "r");
            let same = hash.is_some_and(|h| {
                Some(h.as_bytes().to_vec()) == ha1.hash(algorithm).map(|h| h.as_bytes().to_vec())
            });
            assert_eq!(same, fits);
        }
    }
}
