//! How busy a socket is, and therefore whether waiting a little saves work.

use std::time::Duration;

use sip::time::Time;

/// How long the rate is measured before it is judged.
const WINDOW: Duration = Duration::from_millis(50);

/// Datagrams per second above which a socket is busy.
const BUSY: u64 = 2_000;

/// Datagrams per second below which a busy socket is quiet again.
const QUIET: u64 = 1_000;

/// Measures the rate at which datagrams arrive.
///
/// System calls and wake-ups cost more than the messages themselves. A busy socket is therefore
/// read once a millisecond instead of at each arrival, so that one call carries many messages; a
/// quiet one is read at once.
#[derive(Debug)]
pub struct Load {
    since: Time,
    datagrams: u64,
    busy: bool,
}

impl Load {
    /// A quiet one.
    pub fn new(now: Time) -> Load {
        Load {
            since: now,
            datagrams: 0,
            busy: false,
        }
    }

    /// Notes that this many datagrams have arrived; yields whether the socket is busy.
    pub fn note(&mut self, now: Time, datagrams: usize) -> bool {
        self.datagrams += datagrams as u64;
        let elapsed = now.since(self.since);
        if elapsed >= WINDOW {
            let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            let rate = self.datagrams.saturating_mul(1_000_000) / micros;
            self.busy = rate > if self.busy { QUIET } else { BUSY };
            self.since = now;
            self.datagrams = 0;
        }
        self.busy
    }
}

/// How long the queue of a worker may not run empty before it counts as standing (RFC 8289 §4.2 has 100 ms for
/// routers; a SIP client repeats its request after 500).
const STANDING: Duration = Duration::from_millis(250);

/// Turns that this must have lasted: a worker that was not given the processor for a while is not overloaded by that.
const TURNS: u32 = 64;

/// Finds out whether a worker keeps up with what arrives.
///
/// A queue that runs empty now and then is a burst being worked off. One that never does for [`STANDING`] only makes
/// everything late, however long it is.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    since: Option<Time>,
    turns: u32,
    high: bool,
}

impl Backlog {
    /// Notes whether more was there than one turn could take; yields whether there is too much.
    pub(crate) fn note(&mut self, now: Time, behind: bool) -> bool {
        if !behind {
            *self = Backlog::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        self.turns = self.turns.saturating_add(1);
        self.high = self.turns >= TURNS && now.since(since) >= STANDING;
        self.high
    }

    /// Whether there is too much.
    pub(crate) fn is_high(&self) -> bool {
        self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `per_second` datagrams arrive for a tenth of a second from `at` on.
    fn run(load: &mut Load, at: &mut u64, per_second: u64) -> bool {
        let mut busy = false;
        let step = 1_000_000 / per_second;
        for _ in 0..per_second / 10 + 1 {
            *at += step;
            busy = load.note(Time::from_micros(*at), 1);
        }
        busy
    }

    #[test]
    fn a_socket_is_busy_only_while_much_arrives() {
        let mut load = Load::new(Time::ZERO);
        let mut at = 0;
        assert!(!run(&mut load, &mut at, 500));
        assert!(!run(&mut load, &mut at, 1_900));
        assert!(run(&mut load, &mut at, 9_000));
        assert!(run(&mut load, &mut at, 1_500), "stays busy in between");
        assert!(!run(&mut load, &mut at, 800));
        assert!(!run(&mut load, &mut at, 1_500), "stays quiet in between");
    }

    #[test]
    fn a_queue_that_never_runs_empty_is_too_much_and_one_that_does_is_not() {
        let at = |millis: u64| Time::from_micros(millis * 1000);
        let mut backlog = Backlog::default();
        let last = (0..300).map(|n| backlog.note(at(n), true)).last();
        assert_eq!(last, Some(true));
        assert!(!backlog.note(at(301), false), "it ran empty");
        for n in 302..2000 {
            // A long burst every 200 ms.
            assert!(!backlog.note(at(n), n % 200 != 0), "{n}");
        }
        let mut starved = Backlog::default();
        for n in 0..20 {
            assert!(!starved.note(at(n * 100), true), "it had no turn");
        }
    }

    #[test]
    fn silence_makes_a_busy_socket_quiet() {
        let mut load = Load::new(Time::ZERO);
        let mut at = 0;
        assert!(run(&mut load, &mut at, 20_000));
        assert!(!load.note(Time::from_micros(at + 60_000), 0));
        assert!(!load.note(Time::from_micros(at + 10_000_000), 1));
    }
}
