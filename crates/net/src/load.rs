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
    fn silence_makes_a_busy_socket_quiet() {
        let mut load = Load::new(Time::ZERO);
        let mut at = 0;
        assert!(run(&mut load, &mut at, 20_000));
        assert!(!load.note(Time::from_micros(at + 60_000), 0));
        assert!(!load.note(Time::from_micros(at + 10_000_000), 1));
    }
}
