//! A conference: each member hears all the others and not itself.
//!
//! Members bring and take frames of their own length, at their own rate and at their own moments; inside, the sound runs at
//! the highest of their rates in blocks of ten milliseconds. The owner tells the time:
//!
//! ```
//! use media::Time;
//! use media::mix::Mixer;
//!
//! let mut mixer = Mixer::new();
//! for member in 0..3 {
//!     mixer.join(member, 8000).unwrap();
//! }
//! let mut now = Time::ZERO;
//! let mut heard = [0i16; 160];
//! for _ in 0..5 {
//!     now += Time::from_millis(20);
//!     mixer.push(0, &[1000; 160]);
//!     mixer.push(1, &[200; 160]);
//!     mixer.push(2, &[30; 160]);
//!     mixer.advance(now);
//!     mixer.pull(2, &mut heard);
//!     mixer.pull(1, &mut [0; 160]);
//!     mixer.pull(0, &mut [0; 160]);
//! }
//! assert_eq!(heard, [1200; 160]);
//! ```

mod limit;

use core::fmt;
use std::collections::{BTreeMap, VecDeque};

use crate::Time;
use crate::resample::Resampler;

pub use limit::limited;

/// Members of one conference.
pub const MAX_MEMBERS: usize = 64;
/// Length of a block in milliseconds.
const BLOCK_MS: u32 = 10;
/// Sound that waits on one side of a member, in milliseconds; older sound is dropped.
const WAITING_MS: u32 = 120;
/// Blocks made up for after a pause; a longer one is left out.
const CATCH_UP: u32 = 10;

/// Mixes the sound of a conference.
#[derive(Debug, Default)]
pub struct Mixer {
    rate: u32,
    members: BTreeMap<u64, Member>,
    /// When the next block is due.
    due: Option<Time>,
    sum: Vec<i32>,
    block: Vec<i16>,
    scratch: Vec<i16>,
    dropped: u64,
}

/// One member: what it said and nobody heard yet, and what it is to hear.
#[derive(Debug)]
struct Member {
    rate: u32,
    inward: Option<Resampler>,
    outward: Option<Resampler>,
    said: VecDeque<i16>,
    /// Its part of the block that is being mixed.
    part: Vec<i16>,
    to_hear: VecDeque<i16>,
}

impl Mixer {
    /// A conference without members.
    pub fn new() -> Mixer {
        Mixer::default()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether `member` is there.
    pub fn has(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    /// Samples that were dropped because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes a member in whose frames have `rate` samples per second; or takes note that its rate has changed.
    ///
    /// # Errors
    /// [`Unmixable`].
    pub fn join(&mut self, member: u64, rate: u32) -> Result<(), Unmixable> {
        if self.members.get(&member).is_some_and(|m| m.rate == rate) {
            return Ok(());
        }
        if !self.has(member) && self.members.len() >= MAX_MEMBERS {
            return Err(Unmixable::Full);
        }
        // Blocks have to be whole, and resamplers exist both ways.
        if !rate.is_multiple_of(1000 / BLOCK_MS) || Resampler::new(rate, rate).is_err() {
            return Err(Unmixable::Rate(rate));
        }
        self.members.insert(member, Member::new(rate));
        self.tune();
        Ok(())
    }

    /// Lets a member go.
    pub fn leave(&mut self, member: u64) {
        if self.members.remove(&member).is_some() {
            self.tune();
        }
        if self.is_empty() {
            self.due = None;
        }
    }

    /// Takes what a member said.
    pub fn push(&mut self, member: u64, frame: &[i16]) {
        let bound = samples(self.rate, WAITING_MS);
        let Some(member) = self.members.get_mut(&member) else {
            return;
        };
        match &mut member.inward {
            None => member.said.extend(frame),
            Some(resampler) => {
                self.scratch.clear();
                resampler.process(frame, &mut self.scratch);
                member.said.extend(&self.scratch);
            }
        }
        self.dropped += shorten(&mut member.said, bound);
    }

    /// Mixes all blocks that are due until `now`.
    pub fn advance(&mut self, now: Time) {
        let step = Time::from_millis(u64::from(BLOCK_MS));
        let mut due = *self.due.get_or_insert(now);
        if now.saturating_sub(due) > step * CATCH_UP {
            due = now;
        }
        while due <= now {
            self.mix();
            due += step;
        }
        self.due = Some(due);
    }

    /// Fills `frame` with what a member is to hear.
    pub fn pull(&mut self, member: u64, frame: &mut [i16]) {
        frame.fill(0);
        let Some(member) = self.members.get_mut(&member) else {
            return;
        };
        for sample in frame {
            match member.to_hear.pop_front() {
                Some(heard) => *sample = heard,
                None => break,
            }
        }
    }

    /// One block of everybody.
    fn mix(&mut self) {
        let length = samples(self.rate, BLOCK_MS);
        self.sum.clear();
        self.sum.resize(length, 0);
        for member in self.members.values_mut() {
            member.part.clear();
            // Who has nothing to say yet is silent for this block as a whole: half a block would click.
            if member.said.len() >= length {
                member.part.extend(member.said.drain(..length));
            }
            for (sum, sample) in self.sum.iter_mut().zip(&member.part) {
                *sum += i32::from(*sample);
            }
        }
        for member in self.members.values_mut() {
            self.block.clear();
            let own = member.part.iter().copied().chain(core::iter::repeat(0));
            let others = self.sum.iter().zip(own);
            self.block
                .extend(others.map(|(sum, own)| limited(sum - i32::from(own))));
            match &mut member.outward {
                None => member.to_hear.extend(&self.block),
                Some(resampler) => {
                    self.scratch.clear();
                    resampler.process(&self.block, &mut self.scratch);
                    member.to_hear.extend(&self.scratch);
                }
            }
            self.dropped += shorten(&mut member.to_hear, samples(member.rate, WAITING_MS));
        }
    }

    /// Goes over to the highest rate of the members.
    fn tune(&mut self) {
        let rate = self.members.values().map(|m| m.rate).max().unwrap_or(0);
        let changed = rate != self.rate;
        self.rate = rate;
        for member in self.members.values_mut() {
            if changed || !member.is_tuned(rate) {
                member.tune(rate);
            }
        }
    }
}

impl Member {
    fn new(rate: u32) -> Member {
        Member {
            rate,
            inward: None,
            outward: None,
            said: VecDeque::new(),
            part: Vec::new(),
            to_hear: VecDeque::new(),
        }
    }

    fn is_tuned(&self, rate: u32) -> bool {
        (self.rate == rate) == self.inward.is_none()
    }

    fn tune(&mut self, rate: u32) {
        let convert = |from, to| {
            if from == to {
                None
            } else {
                // Both were tried when their members joined.
                Resampler::new(from, to).ok()
            }
        };
        self.inward = convert(self.rate, rate);
        self.outward = convert(rate, self.rate);
        self.said.clear();
    }
}

/// Drops the oldest samples above `bound`; yields how many.
fn shorten(queue: &mut VecDeque<i16>, bound: usize) -> u64 {
    let surplus = queue.len().saturating_sub(bound);
    queue.drain(..surplus);
    surplus as u64
}

const fn samples(rate: u32, milliseconds: u32) -> usize {
    (rate as u64 * milliseconds as u64 / 1000) as usize
}

/// Why somebody cannot join a conference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmixable {
    /// It has [`MAX_MEMBERS`] members.
    Full,
    /// A rate that cannot be mixed, in Hz.
    Rate(u32),
}

impl fmt::Display for Unmixable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmixable::Full => write!(f, "the conference has {MAX_MEMBERS} members already"),
            Unmixable::Rate(rate) => {
                write!(f, "sound of {rate} samples per second cannot be mixed")
            }
        }
    }
}

impl std::error::Error for Unmixable {}

#[cfg(test)]
mod tests;
