//! SRTP and SRTCP (RFC 3711), with the transforms of RFC 6188 (AES-256) and RFC 7714 (AES-GCM).
//!
//! One direction of a stream is one context: [`Outbound`] protects what we send, [`Inbound`] proves and opens what comes.
//! Keys come in from outside ([`MasterKey`]), whether they stood in a description (RFC 4568) or came out of a DTLS
//! handshake (RFC 5764).
//!
//! ```
//! use media::srtp::{Inbound, MasterKey, Outbound, Suite};
//!
//! let key = MasterKey::new(Suite::AesCm128Sha1_80, &[7; 30], &[]).expect("16 octets of key, 14 of salt");
//! let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7, 1, 2, 3, 4];
//! let plain = packet.clone();
//! Outbound::new(&key).protect_rtp(&mut packet).expect("a fresh sequence number");
//! assert_eq!(packet.len(), plain.len() + 10);
//! Inbound::new(&key).unprotect_rtp(&mut packet).expect("authentic");
//! assert_eq!(packet, plain);
//! ```

mod cipher;
mod inbound;
mod index;
mod key;
mod outbound;

pub use inbound::Inbound;
pub use key::{MasterKey, Suite};
pub use outbound::Outbound;

use core::fmt;

/// Why a packet was not protected or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not RTP or RTCP, or too short to be protected.
    Malformed,
    /// Its tag is wrong: another key, or somebody changed it.
    Forged,
    /// It came before, or is older than the window.
    Replayed,
    /// Sending it would use a piece of the key stream a second time, or the key is used up (2^48 packets of RTP, 2^31 of
    /// RTCP, RFC 3711 §9.2).
    Spent,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a protected packet",
            Self::Forged => "the authentication tag is wrong",
            Self::Replayed => "the packet came before",
            Self::Spent => "the key cannot protect this packet",
        })
    }
}

impl core::error::Error for Refusal {}

/// Octets before the payload: fixed header, contributing sources, extension (RFC 3550 §5.1).
fn rtp_header(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut length = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes(words.try_into().ok()?));
    }
    (packet.len() >= length).then_some(length)
}

/// Octets of an RTCP packet that stay in the clear: the first header and its source.
const RTCP_HEADER: usize = 8;

fn number(packet: &[u8], at: usize) -> Option<u32> {
    let octets = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

fn sequence(packet: &[u8]) -> Option<u16> {
    let octets = packet.get(2..4)?;
    Some(u16::from_be_bytes(octets.try_into().ok()?))
}
