//! How fast one port may pass datagrams on.

use std::time::Duration;

use sip::time::Time;

/// Rates are judged by tenths of a second, so that the packets of one large picture pass.
const WINDOW: Duration = Duration::from_millis(100);

/// Counts the datagrams of the present tenth of a second.
#[derive(Debug)]
pub(super) struct Pace {
    most: u32,
    since: Time,
    passed: u32,
}

impl Pace {
    /// At most so many a second.
    pub(super) fn new(per_second: u32) -> Pace {
        Pace {
            most: (per_second / 10).max(1),
            since: Time::ZERO,
            passed: 0,
        }
    }

    /// Whether one more may pass at `now`.
    pub(super) fn admits(&mut self, now: Time) -> bool {
        if now.since(self.since) >= WINDOW {
            self.since = now;
            self.passed = 0;
        }
        let admitted = self.passed < self.most;
        self.passed += u32::from(admitted);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate() {
        let mut pace = Pace::new(1_000);
        let mut passed = 0;
        for n in 0..10_000u64 {
            passed += u32::from(pace.admits(Time::from_micros(2_000_000 + n * 100)));
        }
        assert_eq!(passed, 1_000);
    }
}
