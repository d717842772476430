//! Where the other side of a port is, and who may say so.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sip::time::Time;

/// Sources that may compete for a port at once.
const CANDIDATES: usize = 4;
/// How far a stream may have run on while its packets were lost, to be still the same stream.
const RUN_ON: u16 = 200;

/// Symmetric RTP (RFC 4961) that cannot be pulled away.
///
/// A port takes packets from two hosts alone: the one that the description names, and the one that the signalling comes
/// from (a phone behind address translation has no other). Among these:
///
/// - the address described is believed at the first packet;
/// - any other port of the two hosts is believed at the second packet in sequence (same SSRC, next number);
/// - once found, a source is left for another only when the newcomer sends two packets in sequence, and the old source
///   has been silent, or the newcomer carries the same stream on (its SSRC, its sequence numbers: a translator chose a
///   new port), or the newcomer is the address described;
/// - a new description that names another address begins the search anew, and so does signalling from elsewhere when the
///   source found does not fit any more.
///
/// Everything else is refused and changes nothing.
#[derive(Debug)]
pub(super) struct Latch {
    expected: Option<Expected>,
    current: Option<Source>,
    candidates: [Option<Source>; CANDIDATES],
    silence: Duration,
}

/// What a description says about the other side of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The address described; `None` when it is a name or cannot be sent to.
    pub(super) announced: Option<SocketAddr>,
    /// The host that the signalling comes from.
    pub(super) signalling: IpAddr,
    /// Whether `announced` is sent to before anything came from there.
    pub(super) early: bool,
    /// Nothing is to be sent: the hold of RFC 2543, `c=` with the unspecified address.
    pub(super) mute: bool,
}

/// What of a packet tells one stream from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// RTP: SSRC and sequence number.
    Rtp(u32, u16),
    /// RTCP that shares the port with RTP: it settles nothing.
    Aside,
    /// A packet without such marks, that may settle where the other side is: RTCP on its own port, DTLS, fax.
    Plain,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    from: SocketAddr,
    mark: Mark,
    heard: Time,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the other side's.
    Accept,
    /// It is, and it settles where the other side is.
    Settle,
    /// It is somebody else's.
    Refuse,
}

impl Latch {
    /// Expects nobody yet; a source found may be replaced after `silence`.
    pub(super) fn new(silence: Duration) -> Latch {
        Latch {
            expected: None,
            current: None,
            candidates: [None; CANDIDATES],
            silence,
        }
    }

    /// A description was agreed on.
    pub(super) fn expect(&mut self, mut next: Expected) {
        let before = self.expected;
        if next.mute {
            // The unspecified address says for how long nothing is sent, not that the phone has moved.
            next.announced = before.and_then(|b| b.announced);
            next.early = before.is_some_and(|b| b.early);
        }
        self.expected = Some(next);
        let moved = before.is_some_and(|b| b.announced != next.announced);
        let strange = self.current.is_some_and(|c| !next.allows(c.from));
        if moved || strange {
            self.current = None;
        }
        if before != Some(next) {
            self.candidates = [None; CANDIDATES];
        }
    }

    /// Where to send; `None` when that is not known yet, or not wanted.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        let expected = self.expected.filter(|e| !e.mute)?;
        let announced = expected.announced.filter(|_| expected.early);
        self.current.map(|c| c.from).or(announced)
    }

    /// The source found.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.current.map(|c| c.from)
    }

    /// Judges a packet that came at `now`.
    pub(super) fn judge(&mut self, now: Time, from: SocketAddr, mark: Mark) -> Verdict {
        let from = plain(from);
        if let Some(current) = self.current.as_mut().filter(|c| c.from == from) {
            current.heard = now;
            if matches!(mark, Mark::Rtp(..)) {
                current.mark = mark;
            }
            return Verdict::Accept;
        }
        let Some(expected) = self.expected.filter(|e| e.allows(from)) else {
            return Verdict::Refuse;
        };
        let exact = expected.announced == Some(from);
        let Some(current) = self.current else {
            return self.judge_first(now, from, mark, exact);
        };
        let silent = now.since(current.heard) >= self.silence;
        let may = match mark {
            Mark::Aside => false,
            Mark::Plain => silent,
            Mark::Rtp(..) => {
                let entitled = exact || silent || carries_on(current.mark, mark);
                entitled && self.confirmed(now, from, mark)
            }
        };
        if may {
            self.settle(now, from, mark)
        } else {
            Verdict::Refuse
        }
    }

    /// Judges a packet that may be the other side's while nobody has been found yet.
    fn judge_first(&mut self, now: Time, from: SocketAddr, mark: Mark, exact: bool) -> Verdict {
        if mark == Mark::Aside {
            return Verdict::Accept;
        }
        if exact || mark == Mark::Plain || self.confirmed(now, from, mark) {
            return self.settle(now, from, mark);
        }
        // Where nobody else is it is passed on already, though nothing is sent there yet.
        match self.candidates.iter().flatten().count() {
            1 => Verdict::Accept,
            _ => Verdict::Refuse,
        }
    }

    fn settle(&mut self, now: Time, from: SocketAddr, mark: Mark) -> Verdict {
        self.current = Some(Source {
            from,
            mark,
            heard: now,
        });
        self.candidates = [None; CANDIDATES];
        Verdict::Settle
    }

    /// Whether this packet follows another from the same place.
    fn confirmed(&mut self, now: Time, from: SocketAddr, mark: Mark) -> bool {
        let latest = Source {
            from,
            mark,
            heard: now,
        };
        let known = self.candidates.iter_mut().flatten();
        if let Some(known) = known.into_iter().find(|known| known.from == from) {
            let follows = match (known.mark, mark) {
                (Mark::Rtp(a, before), Mark::Rtp(b, after)) => {
                    a == b && after == before.wrapping_add(1)
                }
                _ => false,
            };
            *known = latest;
            return follows;
        }
        // In an empty place, else instead of the one that was heard least lately.
        let place = self
            .candidates
            .iter_mut()
            .min_by_key(|place| place.map(|known| known.heard));
        if let Some(place) = place {
            *place = Some(latest);
        }
        false
    }
}

impl Expected {
    /// Whether a packet from there can be the other side's.
    fn allows(&self, from: SocketAddr) -> bool {
        let ip = from.ip();
        ip == self.signalling || self.announced.is_some_and(|a| a.ip() == ip)
    }
}

/// Whether `next` is the stream of `last`, a little later.
fn carries_on(last: Mark, next: Mark) -> bool {
    match (last, next) {
        (Mark::Rtp(a, before), Mark::Rtp(b, after)) => {
            a == b && (1..=RUN_ON).contains(&after.wrapping_sub(before))
        }
        _ => false,
    }
}

/// IPv4 in IPv6 clothes is the same host; the flow label of IPv6 is no part of an address.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    fn rtp(ssrc: u32, sequence: u16) -> Mark {
        Mark::Rtp(ssrc, sequence)
    }

    /// A phone behind address translation: it describes 192.168.1.2:4000 and signals from 203.0.113.9.
    fn behind_nat() -> Latch {
        let mut latch = Latch::new(SILENCE);
        latch.expect(Expected {
            announced: Some(at("192.168.1.2:4000")),
            signalling: "203.0.113.9".parse().unwrap(),
            early: false,
            mute: false,
        });
        latch
    }

    fn open(announced: &str) -> Expected {
        let announced = at(announced);
        Expected {
            announced: Some(announced),
            signalling: announced.ip(),
            early: true,
            mute: false,
        }
    }

    #[test]
    fn strangers_are_refused_before_and_after() {
        let mut latch = behind_nat();
        assert_eq!(latch.destination(), None);
        let stranger = at("198.51.100.66:4000");
        let phone = at("203.0.113.9:61000");
        assert_eq!(latch.judge(ms(0), stranger, rtp(6, 1)), Verdict::Refuse);
        assert_eq!(latch.judge(ms(1), stranger, rtp(6, 2)), Verdict::Refuse);
        assert_eq!(latch.judge(ms(2), stranger, Mark::Plain), Verdict::Refuse);
        assert_eq!(latch.judge(ms(3), phone, rtp(1, 10)), Verdict::Accept);
        assert_eq!(latch.destination(), None);
        assert_eq!(latch.judge(ms(23), phone, rtp(1, 11)), Verdict::Settle);
        assert_eq!(latch.destination(), Some(phone));
        // Even with the stream's own marks, and after it fell silent.
        assert_eq!(latch.judge(ms(43), stranger, rtp(1, 12)), Verdict::Refuse);
        assert_eq!(latch.judge(ms(63), stranger, rtp(1, 13)), Verdict::Refuse);
        assert_eq!(
            latch.judge(ms(9_000), stranger, rtp(1, 14)),
            Verdict::Refuse
        );
        assert_eq!(
            latch.judge(ms(9_020), stranger, rtp(1, 15)),
            Verdict::Refuse
        );
        assert_eq!(latch.destination(), Some(phone));
    }

    #[test]
    fn a_neighbour_behind_the_same_translator_waits_for_silence() {
        let mut latch = behind_nat();
        let (phone, neighbour) = (at("203.0.113.9:61000"), at("203.0.113.9:62000"));
        latch.judge(ms(0), phone, rtp(1, 10));
        latch.judge(ms(20), phone, rtp(1, 11));
        for n in 0..200 {
            let now = ms(40 + 20 * u64::from(n));
            assert_eq!(latch.judge(now, neighbour, rtp(2, n)), Verdict::Refuse);
            assert_eq!(latch.judge(now, phone, rtp(1, 12 + n)), Verdict::Accept);
        }
        let late = 40 + 20 * 199 + 2_000;
        assert_eq!(
            latch.judge(ms(late), neighbour, rtp(2, 300)),
            Verdict::Refuse
        );
        assert_eq!(
            latch.judge(ms(late + 20), neighbour, rtp(2, 302)),
            Verdict::Refuse
        );
        assert_eq!(
            latch.judge(ms(late + 40), neighbour, rtp(2, 303)),
            Verdict::Settle
        );
        assert_eq!(latch.destination(), Some(neighbour));
    }

    #[test]
    fn a_new_port_of_the_translator_carries_the_stream_on_at_once() {
        let mut latch = behind_nat();
        let (before, after) = (at("203.0.113.9:61000"), at("203.0.113.9:1025"));
        latch.judge(ms(0), before, rtp(7, 65_534));
        latch.judge(ms(20), before, rtp(7, 65_535));
        assert_eq!(latch.judge(ms(40), after, rtp(7, 0)), Verdict::Refuse);
        assert_eq!(latch.judge(ms(60), after, rtp(7, 1)), Verdict::Settle);
        assert_eq!(latch.destination(), Some(after));
        // Numbers far away are no continuation.
        assert_eq!(latch.judge(ms(80), before, rtp(7, 5_000)), Verdict::Refuse);
        assert_eq!(latch.judge(ms(99), before, rtp(7, 5_001)), Verdict::Refuse);
    }

    #[test]
    fn the_described_address_is_believed_at_once_and_takes_over() {
        let mut latch = Latch::new(SILENCE);
        latch.expect(open("192.0.2.1:4000"));
        assert_eq!(latch.destination(), Some(at("192.0.2.1:4000")));
        latch.judge(ms(0), at("192.0.2.1:9"), rtp(2, 1));
        assert_eq!(
            latch.judge(ms(20), at("192.0.2.1:9"), rtp(2, 2)),
            Verdict::Settle
        );
        assert_eq!(
            latch.judge(ms(30), at("192.0.2.1:4000"), rtp(1, 7)),
            Verdict::Refuse
        );
        assert_eq!(
            latch.judge(ms(50), at("192.0.2.1:4000"), rtp(1, 8)),
            Verdict::Settle
        );
        let mut latch = Latch::new(SILENCE);
        latch.expect(open("192.0.2.1:4000"));
        let mapped = at("[::ffff:192.0.2.1]:4000");
        assert_eq!(latch.judge(ms(0), mapped, rtp(1, 7)), Verdict::Settle);
    }

    #[test]
    fn a_new_description_begins_anew_and_the_same_one_does_not() {
        let mut latch = Latch::new(SILENCE);
        latch.expect(open("192.0.2.1:4000"));
        latch.judge(ms(0), at("192.0.2.1:5000"), rtp(1, 1));
        latch.judge(ms(20), at("192.0.2.1:5000"), rtp(1, 2));
        latch.expect(open("192.0.2.1:4000"));
        assert_eq!(latch.destination(), Some(at("192.0.2.1:5000")));
        latch.expect(open("192.0.2.7:4000"));
        assert_eq!(latch.destination(), Some(at("192.0.2.7:4000")));
        assert_eq!(
            latch.judge(ms(40), at("192.0.2.1:5000"), rtp(1, 3)),
            Verdict::Refuse
        );
    }

    #[test]
    fn hold_by_the_unspecified_address_keeps_the_source() {
        let mut latch = Latch::new(SILENCE);
        latch.expect(open("192.0.2.1:4000"));
        latch.judge(ms(0), at("192.0.2.1:4000"), rtp(1, 1));
        latch.expect(Expected {
            announced: None,
            mute: true,
            ..open("192.0.2.1:4000")
        });
        assert_eq!(latch.destination(), None);
        latch.expect(open("192.0.2.1:4000"));
        assert_eq!(latch.source(), Some(at("192.0.2.1:4000")));
    }

    #[test]
    fn signalling_from_elsewhere_lets_go_of_the_old_host() {
        let mut latch = behind_nat();
        let phone = at("203.0.113.9:61000");
        latch.judge(ms(0), phone, rtp(1, 10));
        latch.judge(ms(20), phone, rtp(1, 11));
        latch.expect(Expected {
            announced: Some(at("192.168.1.2:4000")),
            signalling: "198.51.100.7".parse().unwrap(),
            early: false,
            mute: false,
        });
        assert_eq!(latch.source(), None);
        assert_eq!(latch.judge(ms(40), phone, rtp(1, 12)), Verdict::Refuse);
        assert_eq!(
            latch.judge(ms(60), at("198.51.100.7:9"), rtp(1, 13)),
            Verdict::Accept
        );
    }

    #[test]
    fn without_marks_the_first_host_that_may_is_it() {
        let mut latch = behind_nat();
        let phone = at("203.0.113.9:61000");
        assert_eq!(latch.judge(ms(0), phone, Mark::Aside), Verdict::Accept);
        assert_eq!(latch.destination(), None);
        assert_eq!(latch.judge(ms(0), phone, Mark::Plain), Verdict::Settle);
        let other = at("203.0.113.9:61001");
        assert_eq!(latch.judge(ms(1_999), other, Mark::Plain), Verdict::Refuse);
        assert_eq!(latch.judge(ms(2_000), other, Mark::Plain), Verdict::Settle);
    }
}
