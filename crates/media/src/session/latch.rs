use std::net::SocketAddr;

use crate::Time;

/// A source that has been silent for this long may be replaced by another.
const SILENT: Time = Time::from_secs(2);
/// Sources that may compete at once.
const CANDIDATES: usize = 4;

/// Symmetric RTP: where the other side really sends from, and so where to send (RFC 4961).
///
/// The address in the description is believed at once; any other needs two packets in sequence. Once found, another source
/// is taken only after the old one fell silent, so that nobody can pull a running stream away. The address in the
/// description alone has the right to take it over.
#[derive(Debug, Clone)]
pub(super) struct Latch {
    described: Option<SocketAddr>,
    current: Option<SocketAddr>,
    heard: Time,
    candidates: Vec<Candidate>,
    steering: Steering,
}

/// Who says where the other side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Steering {
    /// The description, and the packets that come.
    Symmetric,
    /// ICE, which has not found a way yet: nothing may be sent.
    Awaited,
    /// ICE, which has.
    Settled,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    sequence: u16,
    heard: Time,
}

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It belongs to the stream.
    Accept,
    /// It does, and it settles for the first time where the other side is.
    First,
    /// It does, and the other side has moved.
    Moved,
    /// It is somebody else's.
    Foreign,
}

impl Latch {
    pub(super) fn new(described: Option<SocketAddr>) -> Self {
        Self {
            described: usable(described),
            current: None,
            heard: Time::ZERO,
            candidates: Vec::new(),
            steering: Steering::Symmetric,
        }
    }

    /// A new description: another address begins the search anew.
    pub(super) fn describe(&mut self, described: Option<SocketAddr>) {
        if usable(described) == self.described {
            return;
        }
        match self.steering {
            Steering::Settled => self.described = usable(described),
            steering => {
                *self = Self {
                    steering,
                    ..Self::new(described)
                }
            }
        }
    }

    /// Whether ICE says where the other side is. A way that it found stays.
    pub(super) fn steer(&mut self, steered: bool) {
        self.steering = match (steered, self.steering) {
            (false, _) => Steering::Symmetric,
            (true, Steering::Symmetric) => Steering::Awaited,
            (true, other) => other,
        };
    }

    /// The way that ICE found; without one nothing may be sent.
    pub(super) fn route(&mut self, now: Time, to: Option<SocketAddr>) {
        self.steering = if to.is_some() {
            Steering::Settled
        } else {
            Steering::Awaited
        };
        if let Some(to) = to {
            self.settle(now, plain(to));
        }
    }

    /// Whether packets go where ICE says, if anywhere.
    pub(super) fn is_steered(&self) -> bool {
        self.steering != Steering::Symmetric
    }

    /// Where to send.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        match self.steering {
            Steering::Awaited => None,
            Steering::Settled => self.current,
            Steering::Symmetric => self.current.or(self.described),
        }
    }

    /// Whether RTCP from this address can be the other side's: the same host.
    pub(super) fn is_host(&self, from: SocketAddr) -> bool {
        let from = plain(from).ip();
        [self.current, self.described]
            .into_iter()
            .flatten()
            .any(|known| known.ip() == from)
    }

    pub(super) fn judge(
        &mut self,
        now: Time,
        from: SocketAddr,
        ssrc: u32,
        sequence: u16,
    ) -> Verdict {
        let from = plain(from);
        let described = self.described == Some(from);
        match self.current {
            Some(current) if current == from => {
                self.heard = now;
                Verdict::Accept
            }
            Some(_) if self.steering == Steering::Settled => Verdict::Foreign,
            Some(_) => {
                let may = described || now.saturating_sub(self.heard) >= SILENT;
                if may && self.confirmed(now, from, ssrc, sequence) {
                    self.settle(now, from);
                    Verdict::Moved
                } else {
                    Verdict::Foreign
                }
            }
            None => {
                if described || self.confirmed(now, from, ssrc, sequence) {
                    self.settle(now, from);
                    Verdict::First
                } else if self.candidates.len() == 1 {
                    // Nobody else is there: its sound may be heard already, nothing is sent there yet.
                    Verdict::Accept
                } else {
                    Verdict::Foreign
                }
            }
        }
    }

    fn settle(&mut self, now: Time, from: SocketAddr) {
        self.current = Some(from);
        self.heard = now;
        self.candidates.clear();
    }

    /// Whether this packet follows another from the same place.
    fn confirmed(&mut self, now: Time, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let latest = Candidate {
            from,
            ssrc,
            sequence,
            heard: now,
        };
        if let Some(known) = self.candidates.iter_mut().find(|known| known.from == from) {
            let follows = known.ssrc == ssrc && sequence == known.sequence.wrapping_add(1);
            *known = latest;
            return follows;
        }
        self.candidates
            .retain(|known| now.saturating_sub(known.heard) < SILENT);
        if self.candidates.len() >= CANDIDATES {
            self.candidates.remove(0);
        }
        self.candidates.push(latest);
        false
    }
}

/// An address that can be sent to.
pub(super) fn usable(address: Option<SocketAddr>) -> Option<SocketAddr> {
    address
        .filter(|address| !address.ip().is_unspecified() && address.port() != 0)
        .map(plain)
}

/// IPv4 in IPv6 clothes is the same host.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    #[test]
    fn another_source_needs_two_packets_in_sequence() {
        let mut latch = Latch::new(Some(at(4000)));
        assert_eq!(latch.destination(), Some(at(4000)));
        assert_eq!(latch.judge(ms(0), at(5000), 1, 10), Verdict::Accept);
        assert_eq!(latch.destination(), Some(at(4000)));
        assert_eq!(latch.judge(ms(20), at(5000), 1, 11), Verdict::First);
        assert_eq!(latch.destination(), Some(at(5000)));
    }

    #[test]
    fn a_running_stream_cannot_be_pulled_away() {
        let mut latch = Latch::new(None);
        latch.judge(ms(0), at(5000), 1, 10);
        latch.judge(ms(20), at(5000), 1, 11);
        for n in 0..500u16 {
            assert_eq!(
                latch.judge(ms(40 + u64::from(n) * 20), at(6000), 2, n),
                Verdict::Foreign
            );
            assert_eq!(
                latch.judge(ms(40 + u64::from(n) * 20), at(5000), 1, 12 + n),
                Verdict::Accept
            );
        }
        assert_eq!(latch.destination(), Some(at(5000)));
        assert_eq!(latch.judge(ms(13_000), at(6000), 2, 600), Verdict::Foreign);
        assert_eq!(latch.judge(ms(13_020), at(6000), 2, 601), Verdict::Moved);
        assert_eq!(latch.destination(), Some(at(6000)));
    }

    #[test]
    fn the_described_address_takes_over() {
        let mut latch = Latch::new(Some(at(4000)));
        latch.judge(ms(0), at(6000), 2, 1);
        latch.judge(ms(20), at(6000), 2, 2);
        assert_eq!(latch.judge(ms(30), at(4000), 1, 7), Verdict::Foreign);
        assert_eq!(latch.judge(ms(50), at(4000), 1, 8), Verdict::Moved);
        assert_eq!(latch.judge(ms(60), at(6000), 2, 3), Verdict::Foreign);
        latch.describe(Some(at(4000)));
        assert_eq!(
            latch.current,
            Some(at(4000)),
            "the same description changes nothing"
        );
        latch.describe(Some(at(4002)));
        assert_eq!(latch.destination(), Some(at(4002)));
    }

    #[test]
    fn ice_has_the_last_word() {
        let mut latch = Latch::new(Some(at(4000)));
        latch.steer(true);
        assert_eq!(latch.judge(ms(0), at(4000), 1, 1), Verdict::First);
        assert_eq!(latch.destination(), None);
        latch.route(ms(10), Some(at(7000)));
        latch.steer(true);
        assert_eq!(latch.destination(), Some(at(7000)));
        for n in 0..10 {
            let late = ms(20_000 + u64::from(n));
            assert_eq!(latch.judge(late, at(4000), 1, 2 + n), Verdict::Foreign);
        }
        assert_eq!(latch.judge(ms(30_000), at(7000), 1, 9), Verdict::Accept);
        latch.describe(Some(at(4004)));
        assert_eq!(latch.destination(), Some(at(7000)));
        latch.route(ms(40_000), None);
        assert_eq!(latch.destination(), None);
        latch.steer(false);
        latch.describe(Some(at(4002)));
        assert_eq!(latch.destination(), Some(at(4002)));
    }

    #[test]
    fn nowhere_and_mapped_addresses() {
        assert_eq!(
            Latch::new(Some(SocketAddr::from(([0, 0, 0, 0], 4000)))).destination(),
            None
        );
        assert_eq!(Latch::new(Some(at(0))).destination(), None);
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:4000".parse().unwrap();
        assert_eq!(
            Latch::new(Some(at(4000))).judge(ms(0), mapped, 1, 1),
            Verdict::First
        );
    }
}
