//! Telephone-events (RFC 4733): keys of a telephone as RTP packets.

mod receive;
mod send;

pub use receive::{Event, Receiver};
pub use send::{Outgoing, Refused, Sender};

/// Event code of the hook flash (RFC 4733 §3.2).
pub const FLASH: u8 = 16;

const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];

/// The key of an event code, `None` above 15.
pub fn key(code: u8) -> Option<char> {
    KEYS.get(usize::from(code)).copied()
}

/// The event code of a key: `0`–`9`, `*`, `#`, `A`–`D` in either case.
pub fn code(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    KEYS.iter()
        .position(|known| *known == key)
        .map(|code| code as u8)
}

/// The four octets of an event payload (RFC 4733 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload {
    /// Event code.
    pub code: u8,
    /// The event has ended.
    pub end: bool,
    /// Power in −dBm0, 0 to 63.
    pub volume: u8,
    /// Duration so far in timestamp units.
    pub duration: u16,
}

impl Payload {
    /// Reads the first event of a payload; further ones (§2.5.1.5) are left out.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let ([code, flags, d0, d1], _) = bytes.split_first_chunk::<4>()?;
        Some(Self {
            code: *code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([*d0, *d1]),
        })
    }

    /// The payload as it goes into a packet.
    pub fn bytes(&self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [
            self.code,
            if self.end { 0x80 } else { 0 } | (self.volume & 0x3f),
            d0,
            d1,
        ]
    }
}
