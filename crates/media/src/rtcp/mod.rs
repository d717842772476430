//! RTCP (RFC 3550 §6): sender and receiver reports, source description, goodbye, and when to send them.

mod build;
mod compound;
mod interval;

pub use build::Report;
pub use compound::{
    Chunk, Chunks, Compound, Malformed, ReportBlock, ReportBlocks, RtcpPacket, SenderInfo,
};
pub use interval::{Membership, interval};

/// A wall-clock time as NTP counts it: seconds since 1900 in the upper 32 bits, the fraction in the lower (RFC 3550 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds from the NTP epoch (1900) to the Unix epoch (1970).
    const TO_UNIX: u64 = 2_208_988_800;

    /// From the time since the Unix epoch.
    pub fn from_unix(since_epoch: core::time::Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(Self::TO_UNIX) << 32;
        Self(seconds | ((u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000))
    }

    /// The middle 32 bits, which a report block echoes as LSR.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}
