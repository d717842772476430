//! What is counted, and what signalling learns of a call's media.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use net::Counter;
use sip::time::Time;

use super::tracks::End;

/// One side of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStatistics {
    /// The place of its line in the description, from 0.
    pub stream: usize,
    /// The fork, for a callee's side; none for the caller's.
    pub fork: Option<u32>,
    /// The port of RTP, and of RTCP where it shares that one.
    pub rtp: PortStatistics,
    /// The port of RTCP.
    pub rtcp: PortStatistics,
}

/// What one port took from the side that it faces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStatistics {
    /// Our port.
    pub port: u16,
    /// Where the other side was found to be.
    pub source: Option<SocketAddr>,
    /// Datagrams taken.
    pub packets: u64,
    /// Octets in them.
    pub bytes: u64,
    /// Datagrams refused because of where they came from.
    pub refused: u64,
    /// Datagrams dropped: no media, or faster than [`super::Limits::rate`].
    pub dropped: u64,
    /// Datagrams for this side that could not be sent, or had nowhere to go yet.
    pub unsent: u64,
    /// How long ago the last datagram was taken.
    pub last: Option<Duration>,
}

/// Counts over all calls since the start.
#[derive(Debug, Default)]
pub struct Totals {
    /// Datagrams passed on.
    pub relayed: Counter,
    /// Octets in them.
    pub relayed_bytes: Counter,
    /// Datagrams refused because of where they came from.
    pub refused: Counter,
    /// Datagrams dropped: no media, or too fast.
    pub dropped: Counter,
    /// Datagrams of a fork that waited for its turn to be heard in vain.
    pub unheard: Counter,
    /// Datagrams that could not be sent, or had nowhere to go yet.
    pub unsent: Counter,
    /// Times that the other side of a port was found, or had moved.
    pub latched: Counter,
}

/// What a thread lets others know of one port.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
    pub(super) refused: Counter,
    pub(super) dropped: Counter,
    pub(super) unsent: Counter,
    /// Microseconds since the epoch; 0 for never.
    heard: AtomicU64,
    source: Mutex<Option<SocketAddr>>,
}

/// What signalling and the relay know of a call together.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    seats: Mutex<Vec<Seated>>,
    /// Both sides are expected to send.
    watched: AtomicBool,
    /// Since when silence counts, in microseconds.
    since: AtomicU64,
}

/// The gauges of one side of one stream.
#[derive(Clone, Debug)]
pub(super) struct Seated {
    pub(super) stream: usize,
    pub(super) end: End,
    pub(super) port: u16,
    pub(super) rtp: Arc<Gauge>,
    pub(super) rtcp: Arc<Gauge>,
}

impl Gauge {
    pub(super) fn hear(&self, now: Time) {
        self.heard.store(now.as_micros().max(1), Ordering::Relaxed);
    }

    pub(super) fn found(&self, source: Option<SocketAddr>) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    fn heard(&self) -> Option<Time> {
        let micros = self.heard.load(Ordering::Relaxed);
        (micros != 0).then(|| Time::from_micros(micros))
    }

    fn read(&self, port: u16, now: Time) -> PortStatistics {
        PortStatistics {
            port,
            source: *self.source.lock().unwrap_or_else(PoisonError::into_inner),
            packets: self.packets.value(),
            bytes: self.bytes.value(),
            refused: self.refused.value(),
            dropped: self.dropped.value(),
            unsent: self.unsent.value(),
            last: self.heard().map(|heard| now.since(heard)),
        }
    }
}

impl Pulse {
    /// A side of a stream got its ports.
    pub(super) fn seat(&self, seated: Seated) {
        self.seats().push(seated);
    }

    /// It has none any more.
    pub(super) fn unseat(&self, stream: usize, end: End) {
        self.seats()
            .retain(|seat| seat.stream != stream || seat.end != end);
    }

    /// From now on silence of both sides counts, or does not.
    pub(super) fn watch(&self, now: Time, watched: bool) {
        self.since.store(now.as_micros(), Ordering::Relaxed);
        self.watched.store(watched, Ordering::Relaxed);
    }

    pub(super) fn is_dead(&self, now: Time, silence: Duration) -> bool {
        if !self.watched.load(Ordering::Relaxed) {
            return false;
        }
        let since = Time::from_micros(self.since.load(Ordering::Relaxed));
        let seats = self.seats();
        let heard = seats
            .iter()
            .flat_map(|seat| [seat.rtp.heard(), seat.rtcp.heard()])
            .flatten()
            .fold(since, Time::max);
        now.since(heard) >= silence
    }

    pub(super) fn streams(&self, now: Time) -> Vec<StreamStatistics> {
        let read = |seat: &Seated| StreamStatistics {
            stream: seat.stream,
            fork: match seat.end {
                End::Caller => None,
                End::Callee(fork) => Some(fork),
            },
            rtp: seat.rtp.read(seat.port, now),
            rtcp: seat.rtcp.read(seat.port | 1, now),
        };
        self.seats().iter().map(read).collect()
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seated>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
