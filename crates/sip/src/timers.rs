//! A hierarchical timing wheel: starting a timer and letting it go stale cost the same few instructions.
//!
//! Timers are never cancelled. A stale one reaches a state that does not know it and is ignored.

use core::time::Duration;

use crate::time::Time;

const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 5;

/// Timers with a resolution of one millisecond, on a clock that may run for 34 years.
#[derive(Debug)]
pub struct Wheel<T> {
    /// The millisecond up to which everything has fired.
    now: u64,
    slots: Vec<Vec<Entry<T>>>,
    occupied: [[u64; SLOTS / 64]; LEVELS],
    due: Vec<Entry<T>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    at: u64,
    token: T,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel that starts at `now`.
    pub fn new(now: Time) -> Wheel<T> {
        Wheel {
            now: now.as_millis(),
            slots: (0..SLOTS * LEVELS).map(|_| Vec::new()).collect(),
            occupied: [[0; SLOTS / 64]; LEVELS],
            due: Vec::new(),
            len: 0,
        }
    }

    /// How many timers run, stale ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer runs.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Starts a timer that fires `after` the moment `now`, never early, up to a millisecond late.
    pub fn start(&mut self, now: Time, after: Duration, token: T) {
        let micros = (now + after).as_micros();
        let at = micros.div_ceil(1000);
        self.len += 1;
        self.place(Entry { at, token });
    }

    fn place(&mut self, entry: Entry<T>) {
        if entry.at <= self.now {
            self.due.push(entry);
            return;
        }
        let (level, slot) = position(self.now, entry.at);
        self.occupied[level][slot / 64] |= 1 << (slot % 64);
        self.slots[level * SLOTS + slot].push(entry);
    }

    /// When [`Wheel::pop`] should be called next; may be early, never late.
    pub fn next_at(&self) -> Option<Time> {
        if !self.due.is_empty() {
            return Some(Time::from_millis(self.now));
        }
        (0..LEVELS).find_map(|level| {
            let shift = BITS * level as u32;
            let current = (self.now >> shift) as usize % SLOTS;
            let ahead = self.next_slot(level, current + 1)?;
            let base = (self.now >> (shift + BITS)) << (shift + BITS);
            Some(Time::from_millis(base + ((ahead as u64) << shift)))
        })
    }

    fn next_slot(&self, level: usize, from: usize) -> Option<usize> {
        let words = &self.occupied[level];
        let mut word = from / 64;
        let mut bits = words.get(word)? & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *words.get(word)?;
        }
    }

    /// The next timer that is due at `now`, in the order of their moments; `None` when there is none left.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        let target = now.as_millis();
        loop {
            if let Some(entry) = self.due.pop() {
                self.len -= 1;
                return Some(entry.token);
            }
            let next = self.next_at()?.as_millis();
            if next > target {
                self.now = self.now.max(target.min(next - 1));
                return None;
            }
            self.advance(next);
        }
    }

    /// Moves to the millisecond `to`, at which some slot begins, and spreads what it holds.
    fn advance(&mut self, to: u64) {
        self.now = to;
        for level in (0..LEVELS).rev() {
            let shift = BITS * level as u32;
            if level > 0 && to & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = (to >> shift) as usize % SLOTS;
            let bit = 1u64 << (slot % 64);
            if self.occupied[level][slot / 64] & bit == 0 {
                continue;
            }
            self.occupied[level][slot / 64] &= !bit;
            let mut entries = core::mem::take(&mut self.slots[level * SLOTS + slot]);
            for entry in entries.drain(..) {
                self.place(entry);
            }
            self.slots[level * SLOTS + slot] = entries;
        }
        // Timers leave from the back: those that were started first go first.
        self.due.reverse();
    }
}

/// The level at which `at` first differs from `now`, and its slot there.
fn position(now: u64, at: u64) -> (usize, usize) {
    let differs = 63 - (now ^ at).leading_zeros();
    let level = (differs / BITS) as usize;
    if level >= LEVELS {
        // Too far: as far as the wheel goes; it is placed again from there.
        return (LEVELS - 1, SLOTS - 1);
    }
    (level, (at >> (BITS * level as u32)) as usize % SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_fires_once_at_its_millisecond() {
        let mut wheel = Wheel::new(Time::from_millis(77));
        let mut seed = 1u64;
        let mut expected = Vec::new();
        for i in 0..5000u64 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let span = [300, 70_000, 20_000_000][(i % 3) as usize];
            let after = (seed >> 33) % span;
            wheel.start(
                Time::from_millis(77),
                Duration::from_millis(after),
                77 + after,
            );
            expected.push(77 + after);
        }
        expected.sort_unstable();
        let mut fired = Vec::new();
        while let Some(at) = wheel.next_at() {
            let mut early = true;
            while let Some(due) = wheel.pop(at) {
                assert_eq!(due, at.as_millis());
                fired.push(due);
                early = false;
            }
            // A cascade may come to nothing, but time must go on.
            assert!(!early || wheel.next_at().is_none_or(|n| n > at));
        }
        assert_eq!(fired, expected);
        assert!(wheel.is_empty());
    }

    #[test]
    fn the_fiftieth_day_is_like_any_other() {
        for before in [1u64, 10_000, 16_777_216, 16_800_000] {
            let now = Time::from_millis((1 << 32) - before);
            let mut wheel = Wheel::new(now);
            for after in [0u64, 1, 32_000, 185_000, 20_000_000] {
                wheel.start(now, Duration::from_millis(after), after);
            }
            let mut fired = Vec::new();
            while let Some(at) = wheel.next_at() {
                fired.extend(
                    wheel
                        .pop(at)
                        .map(|after| (after, at.since(now).as_millis())),
                );
            }
            let expected = [0, 1, 32_000, 185_000, 20_000_000].map(|ms| (ms, u128::from(ms)));
            assert_eq!(fired, expected, "{before} ms before");
        }
    }

    #[test]
    fn a_long_silence_fires_everything_in_order() {
        let mut wheel = Wheel::new(Time::ZERO);
        for ms in [5u64, 32_000, 500, 1000, 500, 64_000] {
            wheel.start(Time::ZERO, Duration::from_millis(ms), ms);
        }
        let mut fired = Vec::new();
        while let Some(token) = wheel.pop(Time::from_millis(40_000)) {
            fired.push(token);
        }
        assert_eq!(fired, [5, 500, 500, 1000, 32_000]);
        wheel.start(Time::from_millis(40_000), Duration::from_micros(1), 1);
        assert_eq!(wheel.next_at(), Some(Time::from_millis(40_001)));
        assert_eq!(wheel.pop(Time::from_millis(40_000)), None);
        assert_eq!(wheel.pop(Time::from_millis(40_001)), Some(1));
    }
}
