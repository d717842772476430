//! STUN (RFC 8489): reading and writing messages, the Binding client that learns our public address, the Binding server that
//! tells others theirs. What ICE adds to it is in [`crate::ice`].
//!
//! ```
//! use media::Time;
//! use media::stun::{Client, Message, serve};
//!
//! let mut client = Client::new([7; 12]);
//! let request = client.poll(Time::ZERO).expect("the first request is due at once").to_vec();
//! let us = "198.51.100.7:40000".parse().expect("an address");
//! let response = serve(&Message::parse(&request).expect("ours"), us).expect("a Binding request");
//! assert_eq!(client.handle(&response), Some(Ok(us)));
//! ```

mod build;
mod client;
mod message;
mod server;

pub use build::Builder;
pub use client::{Client, Failure};
pub use message::{Malformed, Message, Role};
pub use server::serve;

/// What a message is for; the values are their two class bits (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// The response that says yes.
    Success,
    /// The response that says no.
    Error,
}

/// The method that everybody needs; TURN has others.
pub const BINDING: u16 = 1;

const COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
/// What the checksum of FINGERPRINT is mixed with (RFC 8489 §14.7).
const FINGERPRINT_MIX: u32 = 0x5354_554e;

/// Attribute types (RFC 8489 §18.3, RFC 8445 §21.2).
pub mod attribute {
    /// An address in the clear, of RFC 3489 servers.
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    /// Whom a credential is of.
    pub const USERNAME: u16 = 0x0006;
    /// HMAC-SHA1 of what stands before it.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// Why not.
    pub const ERROR_CODE: u16 = 0x0009;
    /// Types that were not understood.
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    /// Protection domain of a long-term credential.
    pub const REALM: u16 = 0x0014;
    /// Nonce of a long-term credential.
    pub const NONCE: u16 = 0x0015;
    /// HMAC-SHA256 of what stands before it.
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    /// Hash functions for long-term credentials.
    pub const PASSWORD_ALGORITHM: u16 = 0x001d;
    /// A user name that is not shown.
    pub const USERHASH: u16 = 0x001e;
    /// An address mixed with the cookie, so that no translator changes it.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// Priority of the candidate that a check would discover.
    pub const PRIORITY: u16 = 0x0024;
    /// The pair of this check is to be used.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// Hash functions that a server takes.
    pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
    /// Who wrote the message.
    pub const SOFTWARE: u16 = 0x8022;
    /// Another server to ask.
    pub const ALTERNATE_SERVER: u16 = 0x8023;
    /// Checksum over the whole message.
    pub const FINGERPRINT: u16 = 0x8028;
    /// The sender is the controlled agent.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// The sender is the controlling agent.
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// CRC-32 of ITU V.42, the one of zip files.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for octet in parts.iter().copied().flatten() {
        let place = (crc ^ u32::from(*octet)) & 0xff;
        crc = crc >> 8 ^ CRC.get(place as usize).copied().unwrap_or(0);
    }
    !crc
}

const CRC: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = n as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                value >> 1 ^ 0xedb8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
};
