use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{COOKIE, Class, FINGERPRINT_MIX, HEADER, Role, attribute, crc32};

/// A message in the making; attributes stand in the order in which they were added.
#[derive(Debug, Clone)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// A message without attributes. A transaction has to be a fresh one that nobody can guess (RFC 8489 §5), or that of the
    /// request which is answered.
    pub fn new(class: Class, method: u16, transaction: [u8; 12]) -> Self {
        let class = match class {
            Class::Request => 0,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        };
        let method = method & 0xf | (method & 0x70) << 1 | (method & 0xf80) << 2;
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&(method | class).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction);
        Self { bytes }
    }

    /// Adds an attribute; of its value at most 760 octets count, more than any attribute has (RFC 8489 §14).
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.get(..760).unwrap_or(value);
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.measure(0)
    }

    /// Adds XOR-MAPPED-ADDRESS.
    pub fn mapped_address(self, address: SocketAddr) -> Self {
        let mut value = vec![0];
        let port = address.port() ^ (COOKIE >> 16) as u16;
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => {
                value.push(1);
                value.extend_from_slice(&port.to_be_bytes());
                value.extend_from_slice(&(ip.to_bits() ^ COOKIE).to_be_bytes());
            }
            IpAddr::V6(ip) => {
                value.push(2);
                value.extend_from_slice(&port.to_be_bytes());
                let key = self.bytes.get(4..HEADER).unwrap_or_default();
                value.extend(ip.octets().iter().zip(key).map(|(a, b)| a ^ b));
            }
        }
        self.attribute(attribute::XOR_MAPPED_ADDRESS, &value)
    }

    /// Adds ERROR-CODE.
    pub fn error_code(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend_from_slice(reason.as_bytes());
        self.attribute(attribute::ERROR_CODE, &value)
    }

    /// Adds ICE-CONTROLLING or ICE-CONTROLLED.
    pub fn role(self, role: Role) -> Self {
        match role {
            Role::Controlling(tie) => {
                self.attribute(attribute::ICE_CONTROLLING, &tie.to_be_bytes())
            }
            Role::Controlled(tie) => self.attribute(attribute::ICE_CONTROLLED, &tie.to_be_bytes()),
        }
    }

    /// Adds the proof that we know `key` (see [`super::Message::proves`]); only FINGERPRINT may follow.
    pub fn integrity(mut self, key: &[u8]) -> Self {
        self = self.measure(24);
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(&self.bytes);
        let proof: [u8; 20] = mac.finalize().into_bytes().into();
        self.attribute(attribute::MESSAGE_INTEGRITY, &proof)
    }

    /// Adds the checksum, which ends the message.
    pub fn fingerprint(mut self) -> Vec<u8> {
        self = self.measure(8);
        let checksum = crc32(&[&self.bytes]) ^ FINGERPRINT_MIX;
        self.attribute(attribute::FINGERPRINT, &checksum.to_be_bytes())
            .bytes
    }

    /// The message without a checksum.
    pub fn plain(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes the length, with so many octets that are still to come.
    fn measure(mut self, more: usize) -> Self {
        let length = (self.bytes.len() - HEADER + more) as u16;
        for (to, from) in self.bytes.iter_mut().skip(2).zip(length.to_be_bytes()) {
            *to = from;
        }
        self
    }
}
