//! Protection of sound: what the account wishes, fresh keys, and what they mean to the media session.

use std::fmt;
use std::str::FromStr;

use media::ice::Credentials;
use media::session::Protection;
use media::srtp::{MasterKey, Suite};
use sdp::secure::{CryptoSuite, LocalSrtp, SdesKey, SrtpPolicy};

/// Whether the sound of calls is encrypted (SRTP, RFC 3711).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// Never; calls that insist on it are refused.
    #[default]
    Off,
    /// Where the other side can; calls offer both (`RTP/AVP` with `a=crypto`, RFC 4568).
    Optional,
    /// Always, with keys in the description (`RTP/SAVP`); calls without it are refused.
    Required,
    /// Always, and calls offer keys from a handshake between the phones (`UDP/TLS/RTP/SAVP`, RFC 5763).
    Dtls,
}

impl FromStr for Srtp {
    type Err = String;

    fn from_str(text: &str) -> Result<Srtp, String> {
        match text {
            "off" => Ok(Srtp::Off),
            "optional" => Ok(Srtp::Optional),
            "required" => Ok(Srtp::Required),
            "dtls" => Ok(Srtp::Dtls),
            _ => Err("it has to be off, optional, required or dtls".to_owned()),
        }
    }
}

/// Where the keys of a call's sound came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Sound travels in the clear.
    None,
    /// SRTP with keys that stood in the descriptions (RFC 4568): safe as far as signalling is.
    Sdes,
    /// SRTP with keys from a handshake whose certificates the descriptions vouch for (RFC 5763).
    Dtls,
}

impl Security {
    /// `none`, `sdes` or `dtls`.
    pub const fn name(self) -> &'static str {
        match self {
            Security::None => "none",
            Security::Sdes => "sdes",
            Security::Dtls => "dtls",
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Our suites, best first: the one that everybody has leads, since peers take what they know first.
const SUITES: [(CryptoSuite, Suite); 6] = [
    (CryptoSuite::AesCm128Sha1_80, Suite::AesCm128Sha1_80),
    (CryptoSuite::AesGcm256, Suite::AesGcm256),
    (CryptoSuite::AesGcm128, Suite::AesGcm128),
    (CryptoSuite::AesCm256Sha1_80, Suite::AesCm256Sha1_80),
    (CryptoSuite::AesCm128Sha1_32, Suite::AesCm128Sha1_32),
    (CryptoSuite::AesCm256Sha1_32, Suite::AesCm256Sha1_32),
];

/// Our side of SRTP for one call, with keys of its own.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn local_srtp(wish: Srtp) -> Result<LocalSrtp, getrandom::Error> {
    let policy = match wish {
        Srtp::Off => return Ok(LocalSrtp::default()),
        Srtp::Optional => SrtpPolicy::Optional,
        Srtp::Required | Srtp::Dtls => SrtpPolicy::Required,
    };
    let fresh = |(suite, _): (CryptoSuite, Suite)| {
        let mut key = vec![0; suite.key_length()];
        getrandom::fill(&mut key)?;
        Ok(SdesKey {
            suite,
            key,
            mki: Vec::new(),
        })
    };
    let keys = SUITES.into_iter().map(fresh).collect::<Result<_, _>>()?;
    Ok(LocalSrtp { policy, keys })
}

/// Characters that names and passwords of ICE may have (RFC 8839 §5.4): 64, six bits each.
const ICE_CHARACTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Fresh credentials for the checks of one session: 48 and 144 random bits.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn ice_credentials() -> Result<Credentials, getrandom::Error> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits)?;
    let text: String = bits
        .iter()
        .filter_map(|octet| ICE_CHARACTERS.get(usize::from(octet & 63)))
        .map(|character| char::from(*character))
        .collect();
    let (ufrag, pwd) = text.split_at(8);
    Ok(Credentials {
        ufrag: ufrag.to_owned(),
        pwd: pwd.to_owned(),
    })
}

/// What keys from descriptions mean to the media session.
pub(crate) fn protection(send: &SdesKey, receive: &SdesKey) -> Option<Protection> {
    let key = |key: &SdesKey| {
        let (_, suite) = SUITES.into_iter().find(|(s, _)| *s == key.suite)?;
        MasterKey::new(suite, &key.key, &key.mki)
    };
    Some(Protection::Srtp {
        send: key(send)?,
        receive: key(receive)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_a_fresh_key_of_its_length() {
        let (one, two) = (
            local_srtp(Srtp::Required).unwrap(),
            local_srtp(Srtp::Required).unwrap(),
        );
        for (a, b) in one.keys.iter().zip(&two.keys) {
            assert_eq!(a.suite, b.suite);
            assert_ne!(a.key, b.key);
            assert!(protection(a, b).is_some(), "{a:?}");
            assert!(a.suite.name() == SUITES.iter().find(|s| s.0 == a.suite).unwrap().1.name());
        }
        assert!(local_srtp(Srtp::Off).unwrap().keys.is_empty());
    }
}
