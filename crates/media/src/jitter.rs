//! The adaptive jitter buffer: packets in as they come, packets out as they must be heard.

use std::collections::VecDeque;

use crate::Time;

/// Packets that the delay is estimated from: five seconds of 20 ms frames.
const WINDOW: usize = 256;
/// Share of the packets that should be in time, in 256ths of the window.
const IN_TIME: usize = 250;
/// Packets kept at most.
const CAPACITY: usize = 256;
/// Sequence numbers of packets taken that are remembered to tell a late copy from a late packet.
const PLAYED: usize = 64;

/// Bounds of the delay that the buffer adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Delay to begin with, until the jitter is known.
    pub initial: Time,
    /// The least delay.
    pub least: Time,
    /// The largest delay; a packet later than this is given up.
    pub most: Time,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Equal, so that on a calm line the delay never changes and the sound is what was sent, sample by sample.
            initial: Time::from_millis(40),
            least: Time::from_millis(40),
            most: Time::from_millis(400),
        }
    }
}

/// One packet's content while it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, extended so that it does not wrap.
    pub position: i64,
    /// Length in timestamp units, 0 when the payload does not tell.
    pub units: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What became of a packet put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// It waits for its time.
    Queued,
    /// It is there already or was played.
    Duplicate,
    /// Its time is over.
    Late,
    /// Its timestamp is far from all others; a second one like it begins anew.
    Jump,
    /// The timestamps jumped, or a pause ended: everything older was dropped and this one is the first.
    Restarted,
}

/// What to play next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This packet, after leaving out its first `skip` timestamp units, which were concealed already.
    Frame {
        /// The packet.
        frame: Frame,
        /// Timestamp units to leave out.
        skip: u32,
    },
    /// So many timestamp units are missing; a later packet is there or the next is given up.
    Missing(u32),
    /// Nothing is there, and there is still time to wait for it: fill in without moving on.
    Wait,
    /// Nothing has come yet, or the first packet's time has not.
    Idle,
}

/// Orders packets by timestamp and decides when each is due. It knows nothing of codecs.
///
/// A packet's transit is its arrival time less its timestamp. The least transit of the last 256 packets is the fastest
/// way through the network; the transit that 250 of them keep gives the delay that is needed. Both follow a drifting
/// sender clock.
#[derive(Debug, Clone)]
pub struct JitterBuffer {
    rate: u32,
    limits: Limits,
    queue: VecDeque<Frame>,
    played: VecDeque<u16>,
    transits: VecDeque<i64>,
    /// The largest transits kept sorted would cost more than they save; this is refreshed every few packets.
    needed: i64,
    fastest: i64,
    since_estimate: usize,
    reference: Option<i64>,
    /// Position of the next unit to take, once playing.
    cursor: Option<i64>,
    jump: Option<i64>,
    heard: Time,
}

impl JitterBuffer {
    /// `rate` in timestamp units per second.
    pub fn new(rate: u32, limits: Limits) -> Self {
        Self {
            rate: rate.max(1),
            limits,
            queue: VecDeque::new(),
            played: VecDeque::new(),
            transits: VecDeque::new(),
            needed: 0,
            fastest: 0,
            since_estimate: 0,
            reference: None,
            cursor: None,
            jump: None,
            heard: Time::ZERO,
        }
    }

    /// Forgets everything, as for a new source.
    pub fn reset(&mut self) {
        *self = Self::new(self.rate, self.limits);
    }

    /// The bounds it was made with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Timestamp units from the one taken next to the end of the last packet waiting.
    pub fn span(&self) -> u64 {
        match (self.cursor, self.queue.back()) {
            (Some(cursor), Some(last)) => (last.position + i64::from(last.units) - cursor)
                .max(0)
                .unsigned_abs(),
            _ => 0,
        }
    }

    /// Packets waiting.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The delay aimed at, from the fastest packet's arrival to its playing.
    pub fn target(&self) -> Time {
        crate::rtp::duration(self.target_units().unsigned_abs(), self.rate)
    }

    /// Puts a packet in. `units` is its length in timestamp units.
    pub fn insert(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        units: u32,
        payload_type: u8,
        payload: &[u8],
    ) -> Insertion {
        let mut position = self.extend(timestamp);
        let mut transit = self.clock(now) - position;
        let mut insertion = Insertion::Queued;
        if self.is_jump(now, transit) {
            let second = self
                .jump
                .is_some_and(|jump| (jump - transit).abs() < self.units(200));
            let paused = now.saturating_sub(self.heard) >= Time::from_secs(1);
            if !second && !paused {
                self.jump = Some(transit);
                return Insertion::Jump;
            }
            self.reset();
            position = self.extend(timestamp);
            transit = self.clock(now) - position;
            insertion = Insertion::Restarted;
        }
        self.jump = None;
        self.heard = now;
        if self.played.contains(&sequence)
            || self.queue.iter().any(|frame| frame.position == position)
        {
            return Insertion::Duplicate;
        }
        self.measure(transit);
        self.reference = Some(
            self.reference
                .map_or(position, |reference| reference.max(position)),
        );
        if self
            .cursor
            .is_some_and(|cursor| position + i64::from(units.max(1)) <= cursor)
        {
            return Insertion::Late;
        }
        let at = self
            .queue
            .partition_point(|frame| frame.position < position);
        self.queue.insert(
            at,
            Frame {
                sequence,
                position,
                units,
                payload_type,
                payload: payload.to_vec(),
            },
        );
        if self.queue.len() > CAPACITY {
            self.queue.pop_front();
        }
        insertion
    }

    /// What to play next, when at most `want` timestamp units are needed. `ahead` is how many units taken before have not
    /// been heard yet.
    pub fn take(&mut self, now: Time, want: u32, ahead: u32) -> Next {
        let Some(first) = self.queue.front() else {
            return match self.cursor {
                None => Next::Idle,
                Some(_) if self.excess(now, ahead) < 0 => Next::Wait,
                Some(cursor) => {
                    self.cursor = Some(cursor + i64::from(want));
                    Next::Missing(want)
                }
            };
        };
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None if self.due(now) + i64::from(want) / 2 < first.position => return Next::Idle,
            None => first.position,
        };
        if first.position > cursor {
            let missing = (first.position - cursor).min(i64::from(want));
            // A gap before a packet may still be filled by one that was overtaken.
            if self.excess(now, ahead) < 0 && first.position - cursor <= self.units(60) {
                return Next::Wait;
            }
            self.cursor = Some(cursor + missing);
            return Next::Missing(missing as u32);
        }
        let Some(frame) = self.queue.pop_front() else {
            return Next::Idle;
        };
        let skip = (cursor - frame.position).clamp(0, i64::from(frame.units)) as u32;
        self.cursor = Some(cursor.max(frame.position + i64::from(frame.units)));
        if self.played.len() >= PLAYED {
            self.played.pop_front();
        }
        self.played.push_back(frame.sequence);
        Next::Frame { frame, skip }
    }

    /// By how many timestamp units the sound is later than it should be; negative when it is too early for the jitter.
    /// `ahead` as for [`JitterBuffer::take`].
    pub fn excess(&self, now: Time, ahead: u32) -> i64 {
        match self.cursor {
            Some(cursor) => self.due(now) - (cursor - i64::from(ahead)),
            None => 0,
        }
    }

    /// The packet whose turn it is, if it has come.
    pub fn upcoming(&self) -> Option<&Frame> {
        self.queue.front().filter(|_| self.is_ready())
    }

    /// The first packet after what is missing now, and how many units before it are missing.
    pub fn after_gap(&self) -> Option<(&Frame, u32)> {
        let (first, cursor) = (self.queue.front()?, self.cursor?);
        let missing = u32::try_from(first.position - cursor).ok()?;
        Some((first, missing))
    }

    /// Gives up what is missing before the first packet.
    pub fn close_gap(&mut self) {
        if let (Some(first), Some(cursor)) = (self.queue.front(), self.cursor) {
            self.cursor = Some(cursor.max(first.position));
        }
    }

    /// Whether the packet whose turn it is has come.
    pub fn is_ready(&self) -> bool {
        match (self.queue.front(), self.cursor) {
            (Some(first), Some(cursor)) => first.position <= cursor,
            _ => false,
        }
    }

    /// Moves on to what should be heard at `now` and drops what lies before; returns the packets dropped.
    pub fn skip(&mut self, now: Time) -> usize {
        let due = self.due(now);
        let Some(cursor) = self.cursor.filter(|cursor| *cursor < due) else {
            return 0;
        };
        let before = self.queue.len();
        self.queue
            .retain(|frame| frame.position + i64::from(frame.units) > due);
        self.cursor = Some(
            self.queue
                .front()
                .map_or(due, |first| first.position.min(due))
                .max(cursor),
        );
        before - self.queue.len()
    }

    /// The position that should be heard at `now`.
    fn due(&self, now: Time) -> i64 {
        self.clock(now) - self.fastest - self.target_units()
    }

    fn target_units(&self) -> i64 {
        let least = self.units_of(self.limits.least);
        let most = self.units_of(self.limits.most).max(least);
        let needed = self.needed - self.fastest + self.units(10);
        // A handful of packets says little: keep the initial delay until half a second has been seen.
        let floor = if self.transits.len() < 25 {
            self.units_of(self.limits.initial)
        } else {
            least
        };
        needed.max(floor).clamp(least, most)
    }

    fn measure(&mut self, transit: i64) {
        if self.transits.is_empty() {
            self.fastest = transit;
            self.needed = transit;
        }
        if self.transits.len() >= WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(transit);
        self.fastest = self.fastest.min(transit);
        self.since_estimate += 1;
        if self.since_estimate >= 8 {
            self.since_estimate = 0;
            let mut sorted: Vec<i64> = self.transits.iter().copied().collect();
            let rank = (sorted.len() * IN_TIME / WINDOW).min(sorted.len() - 1);
            self.needed = *sorted.select_nth_unstable(rank).1;
            self.fastest = self.transits.iter().copied().min().unwrap_or(transit);
        }
    }

    fn is_jump(&self, now: Time, transit: i64) -> bool {
        if self.transits.is_empty() {
            return false;
        }
        let far = self.units_of(self.limits.most) + self.units(600);
        let before = transit < self.fastest - far;
        let after = transit > self.fastest.max(self.needed) + far;
        // After a pause even a small shift is a new beginning: it would only make packets late.
        let paused = now.saturating_sub(self.heard) >= Time::from_secs(1)
            && (transit - self.fastest).abs() > self.units_of(self.limits.most);
        before || after || paused
    }

    fn extend(&self, timestamp: u32) -> i64 {
        match self.reference {
            Some(reference) => {
                reference + i64::from(timestamp.wrapping_sub(reference as u32) as i32)
            }
            None => i64::from(timestamp),
        }
    }

    fn clock(&self, now: Time) -> i64 {
        (now.as_nanos() * u128::from(self.rate) / 1_000_000_000) as i64
    }

    fn units(&self, ms: u32) -> i64 {
        i64::from(self.rate) * i64::from(ms) / 1000
    }

    fn units_of(&self, time: Time) -> i64 {
        self.units(
            u32::try_from(time.as_millis())
                .unwrap_or(10_000)
                .min(10_000),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        buffer: JitterBuffer,
        out: Vec<u16>,
        missing: u32,
    }

    impl Line {
        fn new() -> Self {
            Self {
                buffer: JitterBuffer::new(8000, Limits::default()),
                out: Vec::new(),
                missing: 0,
            }
        }

        fn put(&mut self, ms: u64, sequence: u16, timestamp: u32) -> Insertion {
            self.buffer.insert(
                Time::from_millis(ms),
                sequence,
                timestamp,
                160,
                0,
                &[0; 160],
            )
        }

        fn pull(&mut self, ms: u64) {
            match self.buffer.take(Time::from_millis(ms), 160, 0) {
                Next::Frame { frame, .. } => self.out.push(frame.sequence),
                Next::Missing(units) => self.missing += units,
                Next::Wait | Next::Idle => {}
            }
        }
    }

    #[test]
    fn reordered_and_repeated_packets_come_out_once_in_order() {
        let mut line = Line::new();
        for block in 0..50u64 {
            let base = block * 4;
            for n in [1, 0, 2, 2, 3] {
                let packet = base + n;
                let insertion = line.put(base * 20, packet as u16, packet as u32 * 160);
                assert!(
                    matches!(insertion, Insertion::Queued | Insertion::Duplicate),
                    "{insertion:?}"
                );
            }
            for n in 0..4 {
                line.pull((base + n) * 20 + 5);
            }
        }
        assert!(line.out.len() > 190, "{}", line.out.len());
        assert!(line.out.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }

    #[test]
    fn sequence_and_timestamp_wrap() {
        let mut line = Line::new();
        for n in 0..100u64 {
            line.put(
                n * 20,
                65_500u16.wrapping_add(n as u16),
                (u32::MAX - 5000).wrapping_add(n as u32 * 160),
            );
            line.pull(n * 20 + 10);
        }
        assert!(line.out.len() >= 95, "{}", line.out.len());
        assert!(
            line.out
                .windows(2)
                .all(|pair| pair[1] == pair[0].wrapping_add(1))
        );
        assert_eq!(line.missing, 0);
    }

    #[test]
    fn a_timestamp_jump_costs_one_packet() {
        let mut line = Line::new();
        for n in 0..50u64 {
            line.put(n * 20, n as u16, n as u32 * 160);
            line.pull(n * 20 + 10);
        }
        assert_eq!(line.put(1000, 50, 0x9000_0000), Insertion::Jump);
        assert_eq!(line.put(1020, 51, 0x9000_00a0), Insertion::Restarted);
        assert_eq!(line.put(1040, 52, 0x9000_0140), Insertion::Queued);
        line.out.clear();
        for n in 0..10u64 {
            line.pull(1050 + n * 20);
        }
        assert_eq!(line.out, [51, 52]);
    }

    #[test]
    fn a_pause_without_timestamps_starts_again_at_once() {
        let mut line = Line::new();
        for n in 0..50u64 {
            line.put(n * 20, n as u16, n as u32 * 160);
            line.pull(n * 20 + 10);
        }
        assert_eq!(line.put(9000, 50, 50 * 160), Insertion::Restarted);
    }

    #[test]
    fn late_is_not_duplicate() {
        let mut line = Line::new();
        for n in 0..50u64 {
            if n != 20 {
                line.put(n * 20, n as u16, n as u32 * 160);
            }
            line.pull(n * 20 + 10);
        }
        assert_eq!(line.put(1000, 20, 20 * 160), Insertion::Late);
        assert_eq!(line.put(1000, 21, 21 * 160), Insertion::Duplicate);
        assert_eq!(line.missing, 160);
    }

    #[test]
    fn the_number_of_packets_is_bounded() {
        let mut line = Line::new();
        for n in 0..10_000u32 {
            line.put(u64::from(n) / 20, n as u16, n * 8);
        }
        assert!(line.buffer.len() <= CAPACITY);
    }
}
