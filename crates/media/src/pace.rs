//! When the next frame is due.

use crate::Time;

/// An absolute schedule: frame *n* is due at start + n × length, computed from *n*, so that rounding and late calls
/// never add up. After a stall a few frames are made up for at once; the rest is skipped.
#[derive(Debug, Clone)]
pub struct Pacer {
    start: Time,
    length: Time,
    next: u64,
    burst: u64,
}

impl Pacer {
    /// Frames of `length` beginning at `start`; at most `burst` late frames are sent without waiting.
    pub fn new(start: Time, length: Time, burst: u32) -> Self {
        Self {
            start,
            length: length.max(Time::from_millis(1)),
            next: 0,
            burst: u64::from(burst),
        }
    }

    /// When the next frame is due.
    pub fn due(&self) -> Time {
        let nanos = self.length.as_nanos() * u128::from(self.next);
        self.start + Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
    }

    /// How long one frame is.
    pub fn length(&self) -> Time {
        self.length
    }

    /// Counts one frame as sent and returns how many frames before it were skipped, because `now` is too late for them.
    pub fn advance(&mut self, now: Time) -> u64 {
        let late = (now.saturating_sub(self.due()).as_nanos() / self.length.as_nanos()) as u64;
        let skipped = late.saturating_sub(self.burst);
        self.next += skipped + 1;
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Time = Time::from_millis(20);

    #[test]
    fn late_calls_do_not_move_the_schedule() {
        let start = Time::from_millis(7);
        let mut pacer = Pacer::new(start, FRAME, 3);
        for n in 0..180_000u64 {
            let due = pacer.due();
            assert_eq!(due, start + FRAME * n as u32);
            assert_eq!(pacer.advance(due + Time::from_micros(n * 37 % 15_000)), 0);
        }
    }

    #[test]
    fn a_stall_is_made_up_for_by_a_bounded_burst() {
        let mut pacer = Pacer::new(Time::ZERO, FRAME, 3);
        for n in 0..10 {
            pacer.advance(FRAME * n);
        }
        let now = FRAME * 60 + Time::from_millis(3);
        let mut burst = 0;
        let mut skipped = 0;
        while pacer.due() <= now {
            skipped += pacer.advance(now);
            burst += 1;
        }
        assert_eq!((burst, skipped), (4, 47));
        assert_eq!(pacer.due(), FRAME * 61, "still on the old grid");
    }
}
