use core::fmt;

use super::cipher::{Aes, Cipher};

/// How packets are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES in counter mode with 128 bits, tags of 80 bits.
    AesCm128Sha1_80,
    /// The same with tags of 32 bits on RTP; on RTCP they keep 80 (RFC 4568 §6.2.2).
    AesCm128Sha1_32,
    /// AES in counter mode with 256 bits, tags of 80 bits (RFC 6188).
    AesCm256Sha1_80,
    /// The same with tags of 32 bits on RTP.
    AesCm256Sha1_32,
    /// AES-GCM with 128 bits (RFC 7714).
    AesGcm128,
    /// AES-GCM with 256 bits.
    AesGcm256,
}

impl Suite {
    /// Octets of the master key.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AesCm128Sha1_80 | Self::AesCm128Sha1_32 | Self::AesGcm128 => 16,
            Self::AesCm256Sha1_80 | Self::AesCm256Sha1_32 | Self::AesGcm256 => 32,
        }
    }

    /// Octets of the master salt.
    pub const fn salt_length(self) -> usize {
        if self.is_aead() { 12 } else { 14 }
    }

    /// The name in RFC 4568's registry, which is also how people know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AesGcm128 => "AEAD_AES_128_GCM",
            Self::AesGcm256 => "AEAD_AES_256_GCM",
        }
    }

    pub(super) const fn is_aead(self) -> bool {
        matches!(self, Self::AesGcm128 | Self::AesGcm256)
    }

    /// Octets of the tag on RTP.
    const fn rtp_tag(self) -> usize {
        match self {
            Self::AesCm128Sha1_80 | Self::AesCm256Sha1_80 => 10,
            Self::AesCm128Sha1_32 | Self::AesCm256Sha1_32 => 4,
            Self::AesGcm128 | Self::AesGcm256 => 16,
        }
    }

    /// Octets of the tag on RTCP.
    const fn rtcp_tag(self) -> usize {
        if self.is_aead() { 16 } else { 10 }
    }
}

/// Longest key identifier that is supported; the format allows 128 (RFC 4568 §6.1), nobody uses more than a few.
const LONGEST_MKI: usize = 16;

/// A master key with its salt, for one direction of one stream. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// Key and salt, one behind the other.
    octets: Vec<u8>,
    mki: Vec<u8>,
}

impl MasterKey {
    /// `octets` are key and salt, one behind the other, as in a description; `mki` is the master key identifier that stands
    /// in every packet, mostly empty. `None` when a length is wrong.
    pub fn new(suite: Suite, octets: &[u8], mki: &[u8]) -> Option<Self> {
        let fits = octets.len() == suite.key_length() + suite.salt_length();
        (fits && mki.len() <= LONGEST_MKI).then(|| Self {
            suite,
            octets: octets.to_vec(),
            mki: mki.to_vec(),
        })
    }

    /// The suite that the key is for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub(super) fn mki(&self) -> &[u8] {
        &self.mki
    }

    /// What protects RTP.
    pub(super) fn rtp(&self) -> Cipher {
        self.cipher(0, self.suite.rtp_tag())
    }

    /// What protects RTCP.
    pub(super) fn rtcp(&self) -> Cipher {
        self.cipher(3, self.suite.rtcp_tag())
    }

    /// Session keys are derived with three labels in a row (RFC 3711 §4.3.2), once for the life of the master key.
    fn cipher(&self, label: u8, tag: usize) -> Cipher {
        let key = self.derive(label, self.suite.key_length());
        let salt = self.derive(label + 2, self.suite.salt_length());
        if self.suite.is_aead() {
            Cipher::gcm(&key, &salt)
        } else {
            Cipher::counter(&key, &self.derive(label + 1, 20), &salt, tag)
        }
    }

    /// RFC 3711 §4.3.1 with a key derivation rate of 0. The salt of GCM has two octets less and is filled up with zeros
    /// (RFC 7714 §11).
    fn derive(&self, label: u8, length: usize) -> Vec<u8> {
        let (key, salt) = self
            .octets
            .split_at(self.suite.key_length().min(self.octets.len()));
        let mut counter = [0; 16];
        for (to, from) in counter.iter_mut().zip(salt) {
            *to = *from;
        }
        counter[7] ^= label;
        let mut derived = vec![0; length];
        Aes::new(key).apply(counter, &mut derived);
        derived
    }
}

impl fmt::Debug for MasterKey {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::cipher::bytes;

    /// RFC 3711 appendix B.3.
    #[test]
    fn derivation() {
        let master = bytes("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6");
        let key = MasterKey::new(Suite::AesCm128Sha1_80, &master, &[]).unwrap();
        assert_eq!(key.derive(0, 16), bytes("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(key.derive(2, 14), bytes("30cbbc08863d8c85d49db34a9ae1"));
        assert_eq!(
            key.derive(1, 94),
            bytes(
                "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef722\
                 70986371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2"
            )
        );
    }

    #[test]
    fn lengths_are_checked_and_keys_are_not_shown() {
        assert_eq!(MasterKey::new(Suite::AesGcm128, &[77; 30], &[]), None);
        assert_eq!(MasterKey::new(Suite::AesGcm128, &[77; 28], &[0; 17]), None);
        let key = MasterKey::new(Suite::AesGcm128, &[77; 28], &[]).unwrap();
        assert!(!format!("{key:?}").contains("77"));
    }
}
