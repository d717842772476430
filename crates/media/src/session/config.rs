use std::net::SocketAddr;

use crate::Time;
use crate::codec::CodecKind;
use crate::jitter::Limits;
use crate::session::Protection;

/// A codec under the payload type that offer and answer gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecChoice {
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The codec.
    pub codec: CodecKind,
}

/// Which way the stream flows, as seen from here (`a=sendrecv` and its kin).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// We send.
    pub send: bool,
    /// We receive.
    pub receive: bool,
}

impl Direction {
    /// Both ways.
    pub const BOTH: Self = Self {
        send: true,
        receive: true,
    };
}

/// What offer and answer settled for one audio stream.
#[derive(Debug, Clone)]
pub struct Config {
    /// The codec to send.
    pub send: CodecChoice,
    /// The codecs to expect. They share one clock rate, which is also that of the telephone-events.
    pub receive: Vec<CodecChoice>,
    /// Payload type for telephone-events to send, if the other side takes them.
    pub telephone_event_send: Option<u8>,
    /// Payload type of telephone-events to expect.
    pub telephone_event_receive: Option<u8>,
    /// Payload type of comfort noise to expect (RFC 3389).
    pub comfort_noise_receive: Option<u8>,
    /// Length of a frame to send, in milliseconds.
    pub ptime_ms: u32,
    /// Which way the stream flows.
    pub direction: Direction,
    /// Where the description says to send RTP. An unspecified address or port 0 means nowhere.
    pub destination: Option<SocketAddr>,
    /// Where it says to send RTCP; without it the port after RTP's, or RTP's own with `rtcp_mux`.
    pub rtcp_destination: Option<SocketAddr>,
    /// RTP and RTCP share one port (RFC 5761).
    pub rtcp_mux: bool,
    /// ICE says where packets go: until [`super::MediaSession::set_route`] nothing is sent.
    pub steered: bool,
    /// Whether and how packets are protected.
    pub protection: Protection,
    /// Our synchronisation source; only the first configuration's counts.
    pub ssrc: u32,
    /// Our canonical name (RFC 7022); only the first configuration's counts.
    pub cname: String,
    /// Source of all that is random: first sequence number and timestamp, report times, noise. Only the first counts.
    pub seed: u64,
    /// Bounds of the jitter buffer; only the first configuration's count.
    pub jitter: Limits,
    /// Silence of the other side after which [`super::MediaEvent::Stalled`] is told.
    pub stall: Time,
}

impl Config {
    /// A two-way stream of one codec in 20 ms frames, without telephone-events, to `destination`.
    pub fn new(
        codec: CodecChoice,
        destination: Option<SocketAddr>,
        ssrc: u32,
        cname: &str,
        seed: u64,
    ) -> Self {
        Self {
            send: codec,
            receive: vec![codec],
            telephone_event_send: None,
            telephone_event_receive: None,
            comfort_noise_receive: Some(13),
            ptime_ms: 20,
            direction: Direction::BOTH,
            destination,
            rtcp_destination: None,
            rtcp_mux: false,
            steered: false,
            protection: Protection::Clear,
            ssrc,
            cname: cname.to_owned(),
            seed,
            jitter: Limits::default(),
            stall: Time::from_secs(5),
        }
    }

    pub(super) fn frame_time(&self) -> Time {
        Time::from_millis(u64::from(self.ptime_ms.clamp(5, 200)))
    }
}
