//! Which port of a call belongs to which: who is sent what.

use std::time::Duration;

use sip::time::Time;

/// A fork that has been silent for this long lets another be heard.
const FLOOR: Duration = Duration::from_secs(1);

/// An end of a call, as the media knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The caller.
    Caller,
    /// This fork of the callee.
    Callee(u32),
}

/// Which port of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// RTP, and what shares its port.
    Rtp,
    /// RTCP on a port of its own.
    Rtcp,
}

/// The places of a pair's ports in the list of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) rtp: usize,
    pub(super) rtcp: usize,
}

/// The ports of one stream.
#[derive(Debug, Default)]
pub(super) struct Track {
    caller: Option<Pair>,
    forks: Vec<(u32, Pair)>,
    /// The fork that is heard, and when it last spoke.
    floor: Option<(u32, Time)>,
}

impl Pair {
    pub(super) fn of(self, component: Component) -> usize {
        match component {
            Component::Rtp => self.rtp,
            Component::Rtcp => self.rtcp,
        }
    }
}

impl Track {
    /// Gives an end its ports; the ports that it had before come back.
    pub(super) fn seat(&mut self, end: End, pair: Pair) -> Option<Pair> {
        let before = self.unseat(end);
        match end {
            End::Caller => self.caller = Some(pair),
            End::Callee(fork) => self.forks.push((fork, pair)),
        }
        before
    }

    /// Takes an end's ports away.
    pub(super) fn unseat(&mut self, end: End) -> Option<Pair> {
        match end {
            End::Caller => self.caller.take(),
            End::Callee(fork) => {
                let place = self.forks.iter().position(|(known, _)| *known == fork)?;
                self.floor = self.floor.filter(|(heard, _)| *heard != fork);
                Some(self.forks.swap_remove(place).1)
            }
        }
    }

    /// The ports of an end.
    pub(super) fn pair(&self, end: End) -> Option<Pair> {
        match end {
            End::Caller => self.caller,
            End::Callee(fork) => {
                let known = self.forks.iter().find(|(known, _)| *known == fork);
                known.map(|(_, pair)| *pair)
            }
        }
    }

    /// The forks, in no order.
    pub(super) fn forks(&self) -> impl Iterator<Item = (u32, Pair)> {
        self.forks.iter().copied()
    }

    /// Every pair.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair> {
        let forks = self.forks.iter().map(|(_, pair)| *pair);
        self.caller.into_iter().chain(forks)
    }

    /// Whether what `fork` says at `now` is passed to the caller. Several at once would be noise (RFC 3960 §3.1).
    pub(super) fn is_heard(&mut self, now: Time, fork: u32, component: Component) -> bool {
        let heard = match self.floor {
            Some((heard, _)) if heard == fork => true,
            Some((_, last)) => now.since(last) >= FLOOR,
            None => true,
        };
        // Reports do not take the floor: they come whether or not somebody speaks.
        if component == Component::Rtcp {
            return self.floor.is_none_or(|(floor, _)| floor == fork);
        }
        if heard {
            self.floor = Some((fork, now));
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: Component = Component::Rtp;

    #[test]
    fn one_fork_at_a_time_is_heard() {
        let mut track = Track::default();
        let ms = Time::from_millis;
        for fork in 1..=2 {
            let pair = Pair { rtp: 0, rtcp: 1 };
            assert_eq!(track.seat(End::Callee(fork), pair), None);
        }
        assert!(track.is_heard(ms(1), 2, Component::Rtcp));
        assert!(track.is_heard(ms(5), 1, RTP));
        assert!(!track.is_heard(ms(6), 2, RTP));
        assert!(!track.is_heard(ms(7), 2, Component::Rtcp));
        assert!(track.is_heard(ms(20), 1, RTP));
        assert!(!track.is_heard(ms(1_019), 2, RTP));
        assert!(track.is_heard(ms(1_020), 2, RTP));
        assert!(!track.is_heard(ms(1_021), 1, RTP));
        track.unseat(End::Callee(2));
        assert!(track.is_heard(ms(1_022), 1, RTP));
    }
}
