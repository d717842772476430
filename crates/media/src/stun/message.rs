use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::{COOKIE, Class, FINGERPRINT_MIX, HEADER, attribute, crc32};

/// Attributes of one message that are looked at.
const MOST: usize = 64;

/// A message as it came, read in place. Its length, its cookie, the bounds of its attributes and its checksum, where it has
/// one, are right.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: u16,
    /// Where the attributes end that count: at the first proof of integrity, else at the checksum or the end.
    end: usize,
    /// Whether there was a checksum.
    fingerprint: bool,
}

/// Which agent nominates (RFC 8445 §6.1.1), with the number that settles a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It decides which pair is used.
    Controlling(u64),
    /// It follows.
    Controlled(u64),
}

/// Why octets are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Another protocol: the first bits, the cookie or the checksum say so.
    Foreign,
    /// A length that cannot be.
    Length,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "not a STUN message",
            Self::Length => "a STUN message with a length that cannot be",
        })
    }
}

impl core::error::Error for Malformed {}

impl<'a> Message<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let kind = number16(bytes, 0).ok_or(Malformed::Length)?;
        if kind >> 14 != 0 {
            return Err(Malformed::Foreign);
        }
        let length = usize::from(number16(bytes, 2).ok_or(Malformed::Length)?);
        if number32(bytes, 4).ok_or(Malformed::Length)? != COOKIE {
            return Err(Malformed::Foreign);
        }
        if length % 4 != 0 || bytes.len() != HEADER + length {
            return Err(Malformed::Length);
        }
        let mut message = Self {
            bytes,
            class: match kind >> 7 & 2 | kind >> 4 & 1 {
                0 => Class::Request,
                1 => Class::Indication,
                2 => Class::Success,
                _ => Class::Error,
            },
            method: kind & 0xf | kind >> 1 & 0x70 | kind >> 2 & 0xf80,
            end: bytes.len(),
            fingerprint: false,
        };
        message.walk()?;
        Ok(message)
    }

    /// Checks the bounds of the attributes and the checksum, and finds where they stop to count (RFC 8489 §14.5 to §14.7).
    fn walk(&mut self) -> Result<(), Malformed> {
        let mut at = HEADER;
        let mut proved = false;
        for _ in 0..MOST {
            if at == self.bytes.len() {
                return Ok(());
            }
            let (kind, value) = attribute_at(self.bytes, at).ok_or(Malformed::Length)?;
            let next = at + 4 + value.len().next_multiple_of(4);
            if next > self.bytes.len() {
                return Err(Malformed::Length);
            }
            if kind == attribute::FINGERPRINT {
                let before = self.bytes.get(..at).unwrap_or_default();
                let told = number32(value, 0).ok_or(Malformed::Length)?;
                if next != self.bytes.len() || told != crc32(&[before]) ^ FINGERPRINT_MIX {
                    return Err(Malformed::Foreign);
                }
                self.fingerprint = true;
                self.end = self.end.min(at);
            } else if is_proof(kind) {
                // Behind SHA-1's proof that of SHA-256 may still stand, nothing else.
                if !proved {
                    self.end = self.end.min(at);
                }
                proved = true;
            }
            at = next;
        }
        Err(Malformed::Length)
    }

    /// What it is for.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its method.
    pub fn method(&self) -> u16 {
        self.method
    }

    /// What joins a response to its request.
    pub fn transaction(&self) -> [u8; 12] {
        self.bytes
            .get(8..HEADER)
            .and_then(|id| id.try_into().ok())
            .unwrap_or_default()
    }

    /// Whether it carries a checksum, which is then right.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// The attributes that count, in their order.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let (bytes, end) = (self.bytes, self.end);
        let mut at = HEADER;
        core::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (kind, value) = attribute_at(bytes, at)?;
            at += 4 + value.len().next_multiple_of(4);
            Some((kind, value))
        })
    }

    /// Value of the first attribute of a type; later ones do not count (RFC 8489 §14).
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(k, _)| *k == kind).map(|(_, v)| v)
    }

    /// Our address as the other side saw it.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        match self.attribute(attribute::XOR_MAPPED_ADDRESS) {
            Some(value) => self.mixed_address(value),
            None => address(self.attribute(attribute::MAPPED_ADDRESS)?),
        }
    }

    /// Another server to ask (RFC 8489 §10).
    pub fn alternate_server(&self) -> Option<SocketAddr> {
        address(self.attribute(attribute::ALTERNATE_SERVER)?)
    }

    fn mixed_address(&self, value: &[u8]) -> Option<SocketAddr> {
        let mixed = address(value)?;
        let port = mixed.port() ^ (COOKIE >> 16) as u16;
        // An address of IPv6 is mixed with cookie and transaction, which stand side by side in the header.
        let key = number128(self.bytes, 4)?;
        let ip = match mixed.ip() {
            IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() ^ COOKIE)),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() ^ key)),
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Code of an error response, 300 to 699.
    pub fn error_code(&self) -> Option<u16> {
        let value = self.attribute(attribute::ERROR_CODE)?;
        let (class, number) = (*value.get(2)? & 7, *value.get(3)?);
        ((3..=6).contains(&class) && number < 100)
            .then(|| u16::from(class) * 100 + u16::from(number))
    }

    /// Whom the credential is of, at most 508 octets.
    pub fn username(&self) -> Option<&'a str> {
        let name = self.attribute(attribute::USERNAME)?;
        core::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() <= 508)
    }

    /// Priority of the candidate that this check would discover.
    pub fn priority(&self) -> Option<u32> {
        number32(self.attribute(attribute::PRIORITY)?, 0)
    }

    /// Whether the pair of this check is to be used.
    pub fn nominates(&self) -> bool {
        self.attribute(attribute::USE_CANDIDATE).is_some()
    }

    /// The role that the sender plays.
    pub fn role(&self) -> Option<Role> {
        let number = |kind| {
            let value = self.attribute(kind)?;
            Some(u64::from_be_bytes(value.try_into().ok()?))
        };
        number(attribute::ICE_CONTROLLING)
            .map(Role::Controlling)
            .or_else(|| number(attribute::ICE_CONTROLLED).map(Role::Controlled))
    }

    /// Types below 0x8000 that nobody here understands: such a request is answered with 420.
    pub fn unknown(&self) -> Vec<u16> {
        use attribute as a;
        let known = [
            a::MAPPED_ADDRESS,
            a::USERNAME,
            a::MESSAGE_INTEGRITY,
            a::ERROR_CODE,
            a::UNKNOWN_ATTRIBUTES,
            a::REALM,
            a::NONCE,
            a::MESSAGE_INTEGRITY_SHA256,
            a::PASSWORD_ALGORITHM,
            a::USERHASH,
            a::XOR_MAPPED_ADDRESS,
            a::PRIORITY,
            a::USE_CANDIDATE,
        ];
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| *kind < 0x8000 && !known.contains(kind))
            .collect()
    }

    /// Whether the message proves knowledge of `key`: the password itself for short-term credentials (RFC 8489 §9.1), the
    /// digest of §9.2.2 for long-term ones. `None` when it carries no proof. Where there are two, the stronger counts.
    pub fn proves(&self, key: &[u8]) -> Option<bool> {
        let mut proofs = [None, None];
        let mut at = HEADER;
        while let Some((kind, value)) = attribute_at(self.bytes, at) {
            match kind {
                attribute::MESSAGE_INTEGRITY => proofs[1] = proofs[1].or(Some((at, value))),
                attribute::MESSAGE_INTEGRITY_SHA256 => proofs[0] = proofs[0].or(Some((at, value))),
                _ => {}
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        match proofs {
            [Some((at, value)), _] => {
                let right = value.len() >= 16 && value.len() <= 32 && value.len() % 4 == 0;
                let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
                Some(
                    right
                        && self
                            .signed(mac, at, value.len())
                            .verify_truncated_left(value)
                            .is_ok(),
                )
            }
            [None, Some((at, value))] => {
                let mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
                Some(value.len() == 20 && self.signed(mac, at, 20).verify_slice(value).is_ok())
            }
            [None, None] => None,
        }
    }

    /// What a proof at `at` signs: all before it, with a length that ends behind it.
    fn signed<M: Mac>(&self, mut mac: M, at: usize, length: usize) -> M {
        let claimed = (at + 4 + length - HEADER) as u16;
        mac.update(self.bytes.get(..2).unwrap_or_default());
        mac.update(&claimed.to_be_bytes());
        mac.update(self.bytes.get(4..at).unwrap_or_default());
        mac
    }
}

fn is_proof(kind: u16) -> bool {
    kind == attribute::MESSAGE_INTEGRITY || kind == attribute::MESSAGE_INTEGRITY_SHA256
}

fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8])> {
    let kind = number16(bytes, at)?;
    let length = usize::from(number16(bytes, at + 2)?);
    Some((kind, bytes.get(at + 4..at + 4 + length)?))
}

/// An address in the clear (RFC 8489 §14.1).
fn address(value: &[u8]) -> Option<SocketAddr> {
    let port = number16(value, 2)?;
    let ip = match (*value.get(1)?, value.len()) {
        (1, 8) => IpAddr::V4(Ipv4Addr::from_bits(number32(value, 4)?)),
        (2, 20) => IpAddr::V6(Ipv6Addr::from_bits(number128(value, 4)?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn number128(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_be_bytes(
        bytes.get(at..at + 16)?.try_into().ok()?,
    ))
}
