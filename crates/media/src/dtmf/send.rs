use core::fmt;
use std::collections::VecDeque;

use super::{Payload, code};

/// Packets that carry the end of an event (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// Keys that may wait.
const QUEUE: usize = 64;
/// Silence between two keys after the last end packet, in milliseconds.
const PAUSE_MS: u64 = 60;
/// Power of the tone that a gateway should make, in −dBm0.
const VOLUME: u8 = 10;

/// The sending side of telephone-events: keys in, at most one packet for each frame out.
#[derive(Debug, Clone)]
pub struct Sender {
    clock_rate: u32,
    queue: VecDeque<(u8, u32)>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle,
    /// `start` is the timestamp of the segment, `before` the units in earlier segments.
    Pressed {
        code: u8,
        start: u32,
        before: u32,
        elapsed: u32,
        length: u32,
    },
    Ending {
        payload: Payload,
        start: u32,
        left: u8,
    },
    Pause {
        left: u32,
    },
}

/// One packet to send in place of a frame of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// The event.
    pub payload: Payload,
    /// When the event, or its segment, began.
    pub timestamp: u32,
    /// Set on the first packet of an event.
    pub marker: bool,
}

impl Sender {
    /// `clock_rate` is that of the audio stream (RFC 4733 §2.5.1.2 shares its timestamps).
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            queue: VecDeque::new(),
            state: State::Idle,
        }
    }

    /// Queues a key pressed for `duration_ms`, held within 40 ms (the least that RFC 4733's receivers must notice) and 60 s.
    ///
    /// # Errors
    /// [`Refused::UnknownKey`] or, when 64 keys wait already, [`Refused::QueueFull`].
    pub fn press(&mut self, key: char, duration_ms: u32) -> Result<(), Refused> {
        let code = code(key).ok_or(Refused::UnknownKey(key))?;
        if self.queue.len() >= QUEUE {
            return Err(Refused::QueueFull);
        }
        let length = u64::from(duration_ms.clamp(40, 60_000)) * u64::from(self.clock_rate) / 1000;
        self.queue.push_back((code, length as u32));
        Ok(())
    }

    /// Nothing is being sent and nothing waits.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.queue.is_empty()
    }

    /// What to send for the frame that begins at `timestamp` and lasts `units`; `None` leaves the frame to the audio.
    pub fn frame(&mut self, timestamp: u32, units: u32) -> Option<Outgoing> {
        if let State::Pause { left } = self.state {
            if left > 0 {
                self.state = State::Pause {
                    left: left.saturating_sub(units),
                };
                return None;
            }
            self.state = State::Idle;
        }
        if let State::Idle = self.state {
            let (code, length) = self.queue.pop_front()?;
            self.state = State::Pressed {
                code,
                start: timestamp,
                before: 0,
                elapsed: 0,
                length,
            };
        }
        match self.state {
            State::Pressed {
                code,
                start,
                before,
                elapsed,
                length,
            } => Some(self.pressed(code, start, before, elapsed, length, units)),
            State::Ending {
                payload,
                start,
                left,
            } => {
                self.state = match left {
                    0 | 1 => State::Pause {
                        left: (u64::from(self.clock_rate) * PAUSE_MS / 1000) as u32,
                    },
                    _ => State::Ending {
                        payload,
                        start,
                        left: left - 1,
                    },
                };
                Some(Outgoing {
                    payload,
                    timestamp: start,
                    marker: false,
                })
            }
            State::Idle | State::Pause { .. } => None,
        }
    }

    fn pressed(
        &mut self,
        code: u8,
        start: u32,
        before: u32,
        elapsed: u32,
        length: u32,
        units: u32,
    ) -> Outgoing {
        let marker = elapsed == 0;
        let elapsed = elapsed.saturating_add(units);
        let in_segment = elapsed - before;
        let mut payload = Payload {
            code,
            end: false,
            volume: VOLUME,
            duration: 0,
        };
        if in_segment > 0xffff {
            // A segment is full: close it without the end bit, the next begins where it ends (§2.5.1.3).
            payload.duration = 0xffff;
            self.state = State::Pressed {
                code,
                start: start.wrapping_add(0xffff),
                before: before + 0xffff,
                elapsed,
                length,
            };
        } else if elapsed >= length && !marker {
            payload.duration = in_segment as u16;
            payload.end = true;
            self.state = State::Ending {
                payload,
                start,
                left: ENDS - 1,
            };
        } else {
            payload.duration = in_segment as u16;
            self.state = State::Pressed {
                code,
                start,
                before,
                elapsed,
                length,
            };
        }
        Outgoing {
            payload,
            timestamp: start,
            marker,
        }
    }
}

/// Why a key was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No telephone has this key.
    UnknownKey(char),
    /// Too many keys wait.
    QueueFull,
    /// The other side takes no telephone-events.
    NotNegotiated,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey(key) => write!(f, "'{key}' is no telephone key (0-9, *, #, A-D)"),
            Self::QueueFull => write!(f, "{QUEUE} keys are waiting to be sent already"),
            Self::NotNegotiated => f.write_str("the other side does not accept telephone-events"),
        }
    }
}

impl core::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sender: &mut Sender, frames: u32) -> Vec<Outgoing> {
        (0..frames)
            .filter_map(|n| sender.frame(1000 + n * 160, 160))
            .collect()
    }

    #[test]
    fn one_key() {
        let mut sender = Sender::new(8000);
        sender.press('5', 100).unwrap();
        let packets = run(&mut sender, 20);
        assert_eq!(packets.len(), 7);
        assert!(
            packets
                .iter()
                .all(|packet| packet.timestamp == 1000 && packet.payload.code == 5)
        );
        let durations: Vec<_> = packets
            .iter()
            .map(|packet| packet.payload.duration)
            .collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
        let marks: Vec<_> = packets.iter().map(|packet| packet.marker).collect();
        assert_eq!(marks, [true, false, false, false, false, false, false]);
        let ends = packets.iter().filter(|packet| packet.payload.end).count();
        assert_eq!(ends, 3);
        assert!(sender.is_idle() || matches!(sender.state, State::Idle));
    }

    #[test]
    fn keys_have_their_own_time_and_a_pause() {
        let mut sender = Sender::new(8000);
        for key in "1#d".chars() {
            sender.press(key, 40).unwrap();
        }
        let packets = run(&mut sender, 60);
        let mut starts: Vec<_> = packets
            .iter()
            .map(|packet| (packet.payload.code, packet.timestamp))
            .collect();
        starts.dedup();
        assert_eq!(
            starts,
            [(1, 1000), (11, 1000 + 7 * 160), (15, 1000 + 14 * 160)]
        );
    }

    #[test]
    fn a_long_press_has_segments() {
        let mut sender = Sender::new(8000);
        sender.press('3', 20_000).unwrap();
        let packets = run(&mut sender, 1100);
        let mut segments: Vec<_> = packets.iter().map(|packet| packet.timestamp).collect();
        segments.dedup();
        assert_eq!(segments, [1000, 1000 + 0xffff, 1000 + 2 * 0xffff]);
        assert_eq!(packets.iter().filter(|packet| packet.marker).count(), 1);
        let last = packets.last().unwrap();
        assert_eq!(u32::from(last.payload.duration) + 2 * 0xffff, 160_000);
        assert_eq!(
            packets.iter().filter(|packet| packet.payload.end).count(),
            3
        );
        for pair in packets
            .windows(2)
            .filter(|pair| pair[0].timestamp != pair[1].timestamp)
        {
            assert_eq!(
                (pair[0].payload.duration, pair[0].payload.end),
                (0xffff, false)
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let mut sender = Sender::new(8000);
        assert_eq!(sender.press('x', 100), Err(Refused::UnknownKey('x')));
        for _ in 0..QUEUE {
            sender.press('1', 100).unwrap();
        }
        assert_eq!(sender.press('1', 100), Err(Refused::QueueFull));
    }
}
