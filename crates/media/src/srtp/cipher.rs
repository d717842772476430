use core::fmt;

use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use sha1::Sha1;

use super::Refusal;
use aes::cipher::{Array, BlockCipherEncrypt};

/// Blocks of key stream made at once; a packet of 20 ms of G.711 takes ten.
const BLOCKS: usize = 16;

/// AES as a source of key stream.
pub(super) enum Aes {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Aes {
    /// `key` has 16 or 32 octets.
    pub(super) fn new(key: &[u8]) -> Self {
        match key.len() {
            16 => Self::Short(Box::new(
                Aes128::new_from_slice(key).expect("16 octets are a key of AES-128"),
            )),
            _ => Self::Long(Box::new(
                Aes256::new_from_slice(key).expect("a suite has keys of 16 or 32 octets"),
            )),
        }
    }

    /// Counter mode (RFC 3711 §4.1.1): the last 16 bits of `counter` are zero and count the blocks. No packet has more
    /// blocks than they can count.
    pub(super) fn apply(&self, counter: [u8; 16], data: &mut [u8]) {
        let mut number = 0u16;
        for piece in data.chunks_mut(16 * BLOCKS) {
            let mut stream = [Array::from(counter); BLOCKS];
            let used = stream
                .get_mut(..piece.len().div_ceil(16))
                .unwrap_or_default();
            for block in used.iter_mut() {
                let [high, low] = number.to_be_bytes();
                block[14] = high;
                block[15] = low;
                number = number.wrapping_add(1);
            }
            match self {
                Self::Short(aes) => aes.encrypt_blocks(used),
                Self::Long(aes) => aes.encrypt_blocks(used),
            }
            for (data, block) in piece.chunks_mut(16).zip(used.iter()) {
                for (octet, stream) in data.iter_mut().zip(block.iter()) {
                    *octet ^= stream;
                }
            }
        }
    }
}

/// What protects one kind of packets of one direction, with its session keys.
pub(super) enum Cipher {
    Counter {
        aes: Aes,
        mac: Hmac<Sha1>,
        salt: [u8; 16],
        tag: usize,
    },
    Gcm128(Box<Aes128Gcm>, [u8; 12]),
    Gcm256(Box<Aes256Gcm>, [u8; 12]),
}

/// Where a packet stands in its stream: what makes each key stream a new one.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub(super) index: u64,
}

impl Cipher {
    pub(super) fn counter(key: &[u8], auth: &[u8], salt: &[u8], tag: usize) -> Self {
        Self::Counter {
            aes: Aes::new(key),
            mac: Hmac::new_from_slice(auth).expect("HMAC takes keys of any length"),
            salt: padded(salt),
            tag,
        }
    }

    pub(super) fn gcm(key: &[u8], salt: &[u8]) -> Self {
        let salt = padded(salt);
        match key.len() {
            16 => Self::Gcm128(
                Box::new(Aes128Gcm::new_from_slice(key).expect("16 octets are a key of AES-128")),
                salt,
            ),
            _ => Self::Gcm256(
                Box::new(
                    Aes256Gcm::new_from_slice(key).expect("a suite has keys of 16 or 32 octets"),
                ),
                salt,
            ),
        }
    }

    /// Octets of a tag.
    pub(super) fn tag_length(&self) -> usize {
        match self {
            Self::Counter { tag, .. } => *tag,
            Self::Gcm128(..) | Self::Gcm256(..) => 16,
        }
    }

    /// Whether encryption and authentication are one step, whose tag belongs to the ciphertext.
    pub(super) fn is_aead(&self) -> bool {
        !matches!(self, Self::Counter { .. })
    }

    /// Encrypts or decrypts in counter mode; nothing for GCM.
    pub(super) fn stream(&self, at: Position, data: &mut [u8]) {
        let Self::Counter { aes, salt, .. } = self else {
            return;
        };
        // (salt · 2^16) ⊕ (SSRC · 2^64) ⊕ (index · 2^16)
        let mut counter = *salt;
        mix(&mut counter, 4, &at.ssrc.to_be_bytes());
        mix(
            &mut counter,
            8,
            at.index.to_be_bytes().get(2..).unwrap_or_default(),
        );
        aes.apply(counter, data);
    }

    /// The tag over `parts`, of which the first [`Cipher::tag_length`] octets count; zeros for GCM.
    pub(super) fn authenticate(&self, parts: &[&[u8]]) -> [u8; 20] {
        let Self::Counter { mac, .. } = self else {
            return [0; 20];
        };
        let mut mac = mac.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Encrypts with GCM; yields the tag.
    pub(super) fn seal(&self, at: Position, known: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
        let tag = match self {
            Self::Gcm128(gcm, salt) => {
                gcm.encrypt_inout_detached(&nonce(salt, at), known, InOutBuf::from(data))
            }
            Self::Gcm256(gcm, salt) => {
                gcm.encrypt_inout_detached(&nonce(salt, at), known, InOutBuf::from(data))
            }
            Self::Counter { .. } => return None,
        };
        tag.ok().map(Into::into)
    }

    /// Decrypts with GCM where the tag is right.
    pub(super) fn open(
        &self,
        at: Position,
        known: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Refusal> {
        let tag: [u8; 16] = tag.try_into().map_err(|_| Refusal::Malformed)?;
        let tag = tag.into();
        let opened = match self {
            Self::Gcm128(gcm, salt) => {
                gcm.decrypt_inout_detached(&nonce(salt, at), known, InOutBuf::from(data), &tag)
            }
            Self::Gcm256(gcm, salt) => {
                gcm.decrypt_inout_detached(&nonce(salt, at), known, InOutBuf::from(data), &tag)
            }
            Self::Counter { .. } => return Err(Refusal::Forged),
        };
        opened.map_err(|_| Refusal::Forged)
    }
}

impl fmt::Debug for Cipher {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher")
            .field("tag", &self.tag_length())
            .finish_non_exhaustive()
    }
}

/// RFC 7714 §8.1 and §9.1: two zero octets, SSRC, index. The 31 bits of an SRTCP index stand where the low bits of an RTP
/// index stand, so that one formula serves both.
fn nonce(salt: &[u8; 12], at: Position) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = *salt;
    mix(&mut nonce, 2, &at.ssrc.to_be_bytes());
    mix(
        &mut nonce,
        6,
        at.index.to_be_bytes().get(2..).unwrap_or_default(),
    );
    nonce.into()
}

fn mix(into: &mut [u8], at: usize, octets: &[u8]) {
    for (to, from) in into.iter_mut().skip(at).zip(octets) {
        *to ^= from;
    }
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    for (to, from) in padded.iter_mut().zip(octets) {
        *to = *from;
    }
    padded
}

#[cfg(test)]
pub(super) fn bytes(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len() / 2)
        .map(|n| u8::from_str_radix(&hexadecimal[n * 2..n * 2 + 2], 16).unwrap())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keystream(key: &str, blocks: &[(usize, &str)]) {
        let counter: [u8; 16] = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000")
            .try_into()
            .unwrap();
        let mut stream = vec![0; 16 * 0xff02];
        Aes::new(&bytes(key)).apply(counter, &mut stream);
        for (number, expected) in blocks {
            assert_eq!(
                stream[number * 16..number * 16 + 16],
                bytes(expected),
                "{number}"
            );
        }
    }

    /// RFC 3711 appendix B.2 and RFC 6188 §7.1.
    #[test]
    fn key_streams_of_the_rfcs() {
        keystream(
            "2b7e151628aed2a6abf7158809cf4f3c",
            &[
                (0, "e03ead0935c95e80e166b16dd92b4eb4"),
                (1, "d23513162b02d0f72a43a2fe4a5f97ab"),
                (0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4"),
                (0xff01, "6a2cc3787889374fbeb4c81b17ba6c44"),
            ],
        );
        keystream(
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            &[
                (0, "92bdd28a93c3f52511c677d08b5515a4"),
                (0xff00, "3dbc4814f4da5f00a08772b63c6a046d"),
            ],
        );
    }

    /// RFC 7714 §16.1.1 and §17.1.
    #[test]
    fn galois_of_the_rfc() {
        let cipher = Cipher::gcm(
            &bytes("000102030405060708090a0b0c0d0e0f"),
            &bytes("517569642070726f2071756f"),
        );
        let mut packet = bytes(
            "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573",
        );
        let at = Position {
            ssrc: 0x5501_a0b2,
            index: 0xf17b,
        };
        let (header, payload) = packet.split_at_mut(12);
        let tag = cipher.seal(at, header, payload).unwrap();
        packet.extend_from_slice(&tag);
        assert_eq!(
            packet,
            bytes(
                "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
                 899d7f27beb16a9152cf765ee4390cce"
            )
        );
    }
}
