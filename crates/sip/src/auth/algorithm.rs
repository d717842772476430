//! The hash algorithms and the qualities of protection that Digest names.

use core::fmt;
use sha2::Digest as _;

/// A Digest algorithm (RFC 7616 §3.3, RFC 8760 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, also what an absent `algorithm` parameter means.
    Md5,
    /// MD5 with a session key from the first nonces.
    Md5Sess,
    /// SHA-256.
    Sha256,
    /// SHA-256 with a session key.
    Sha256Sess,
    /// SHA-512/256, which is not SHA-512 cut short.
    Sha512256,
    /// SHA-512/256 with a session key.
    Sha512256Sess,
}

impl Algorithm {
    const ALL: [Algorithm; 6] = [
        Algorithm::Md5,
        Algorithm::Md5Sess,
        Algorithm::Sha256,
        Algorithm::Sha256Sess,
        Algorithm::Sha512256,
        Algorithm::Sha512256Sess,
    ];

    /// The token on the wire.
    pub const fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
            Algorithm::Sha512256 => "SHA-512-256",
            Algorithm::Sha512256Sess => "SHA-512-256-sess",
        }
    }

    /// Reads the token in any case; `None` for an algorithm that is not known here (AKA among them).
    pub fn from_token(token: &str) -> Option<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|a| token.eq_ignore_ascii_case(a.token()))
    }

    /// Whether the key is bound to a nonce and a cnonce (the `-sess` variants).
    pub const fn is_session(self) -> bool {
        matches!(
            self,
            Algorithm::Md5Sess | Algorithm::Sha256Sess | Algorithm::Sha512256Sess
        )
    }

    /// Octets of one hash value.
    pub const fn size(self) -> usize {
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => 16,
            _ => 32,
        }
    }

    pub(super) fn hash<'p>(self, parts: impl IntoIterator<Item = &'p [u8]>) -> Hash {
        let mut hasher = Hasher::new(self);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Quality of protection (RFC 7616 §3.4): what the response covers besides method and URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qop {
    /// Authentication only.
    Auth,
    /// Authentication, and integrity of the message body.
    AuthInt,
}

impl Qop {
    /// The token on the wire.
    pub const fn token(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// Reads the token in any case.
    pub fn from_token(token: &str) -> Option<Qop> {
        [Qop::Auth, Qop::AuthInt]
            .into_iter()
            .find(|q| token.eq_ignore_ascii_case(q.token()))
    }
}

pub(super) enum Hasher {
    Md5(md5::Md5),
    Sha256(sha2::Sha256),
    Sha512256(sha2::Sha512_256),
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Md5 | Algorithm::Md5Sess => Hasher::Md5(md5::Md5::new()),
            Algorithm::Sha256 | Algorithm::Sha256Sess => Hasher::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512256 | Algorithm::Sha512256Sess => {
                Hasher::Sha512256(sha2::Sha512_256::new())
            }
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Md5(h) => h.update(bytes),
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha512256(h) => h.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Hash {
        match self {
            Hasher::Md5(h) => Hash::new(&h.finalize()),
            Hasher::Sha256(h) => Hash::new(&h.finalize()),
            Hasher::Sha512256(h) => Hash::new(&h.finalize()),
        }
    }
}

/// A hash value of at most 32 octets.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    bytes: [u8; 32],
    size: usize,
}

impl Hash {
    pub(super) fn new(value: &[u8]) -> Hash {
        let mut bytes = [0; 32];
        let size = value.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(value) {
            *to = *from;
        }
        Hash { bytes, size }
    }

    /// Reads hexadecimal of exactly `size` octets, in either case.
    pub(super) fn from_hex(text: &[u8], size: usize) -> Option<Hash> {
        let mut bytes = [0; 32];
        let out = bytes.get_mut(..size)?;
        if text.len() != size.checked_mul(2)? {
            return None;
        }
        for (to, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let &[high, low] = pair else { return None };
            *to = hex_digit(high)? << 4 | hex_digit(low)?;
        }
        Some(Hash { bytes, size })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }

    pub(super) fn hex(&self) -> Hex {
        let mut hex = Hex {
            digits: [b'0'; 64],
            size: self.size * 2,
        };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(self.as_bytes()) {
            pair.copy_from_slice(&[lower_digit(byte >> 4), lower_digit(byte & 15)]);
        }
        hex
    }
}

/// The small-letter hexadecimal of a [`Hash`], which is how hashes go into other hashes.
#[derive(Clone, Copy)]
pub(super) struct Hex {
    digits: [u8; 64],
    size: usize,
}

impl Hex {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.size).unwrap_or_default()
    }

    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

fn hex_digit(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

const fn lower_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    }
}
