//! The one clock of a network: monotonic microseconds since it started.

use std::time::{Duration, Instant};

use sip::time::Time;

/// Turns the system's monotonic clock into the protocol's [`Time`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// The present moment.
    pub fn now(&self) -> Time {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Time::from_micros(micros)
    }

    /// How long it is until `moment`; zero when it has passed.
    pub fn until(&self, moment: Time) -> Duration {
        moment.since(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_only_goes_forward() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second >= first);
        assert_eq!(clock.until(Time::ZERO), Duration::ZERO);
        let ahead = clock.until(second + Duration::from_secs(60));
        assert!(ahead > Duration::from_secs(30) && ahead <= Duration::from_secs(60));
    }
}
