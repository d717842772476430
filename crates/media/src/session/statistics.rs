use crate::Time;
use crate::playout::Played;

/// What happened on a stream since it began.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Statistics {
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Payload octets sent.
    pub octets_sent: u64,
    /// Frames that were left out because [`super::MediaSession::send_frame`] was called too late for them.
    pub frames_skipped: u64,
    /// RTP packets received that belong to the stream, duplicates included.
    pub packets_received: u64,
    /// Payload octets received.
    pub octets_received: u64,
    /// Packets that never came, by their sequence numbers.
    pub packets_lost: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Interarrival jitter of what is received (RFC 3550 A.8).
    pub jitter: Time,
    /// What the playout did; late packets are counted there.
    pub played: Played,
    /// The delay that the jitter buffer aims at.
    pub playout_delay: Time,
    /// What the other side says about our packets, once it has.
    pub remote: Option<RemoteView>,
    /// Round trip by the last report that allowed to compute it.
    pub round_trip: Option<Time>,
    /// Reports sent and received.
    pub reports_sent: u64,
    /// RTCP datagrams accepted.
    pub reports_received: u64,
    /// Datagrams that were thrown away, by cause.
    pub discarded: Discarded,
}

/// The other side's view of what we send (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RemoteView {
    /// Share of packets lost in its last interval, 0.0 to 1.0.
    pub fraction_lost: f32,
    /// Packets lost in all; negative when duplicates outnumber losses.
    pub packets_lost: i32,
    /// Jitter it sees.
    pub jitter: Time,
}

/// Datagrams thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded {
    /// Neither RTP nor RTCP.
    pub other_protocol: u64,
    /// Broken RTP or RTCP.
    pub malformed: u64,
    /// A payload type that was not agreed on, or a payload that is not of its type.
    pub payload: u64,
    /// From somebody else's address, or RTCP from another host.
    pub foreign: u64,
    /// Another source on the same address that has not proved itself, or an implausible sequence number.
    pub unproven: u64,
    /// Not authentic under the keys of the stream: not the other side's, or changed on its way.
    pub forged: u64,
    /// Authentic, but it came before or much too late.
    pub replayed: u64,
    /// Came before there were keys to prove it with.
    pub keyless: u64,
    /// Nothing should be received now (hold).
    pub not_receiving: u64,
    /// Events nobody fetched.
    pub events: u64,
}
