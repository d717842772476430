use super::Payload;
use crate::Time;
use crate::rtp::Packet;

/// An event without its end is taken for ended after this silence.
const LOST_END: Time = Time::from_millis(200);
/// Timestamps up to this many seconds behind belong to keys that are over.
const MEMORY_S: u32 = 10;
/// Gap between two packets of one press that a broken sender may leave, in milliseconds.
const JOIN_MS: u32 = 60;

/// The receiving side of telephone-events: packets in, each key once out.
///
/// An event is told by its timestamp, so repeated and reordered packets add nothing. It is reported at its end, or,
/// if that was lost, when the next begins or nothing more comes for 200 ms.
#[derive(Debug, Clone)]
pub struct Receiver {
    clock_rate: u32,
    pressed: Option<Pressed>,
    /// Timestamp of the last packet of the event reported last.
    reported: Option<u32>,
    /// Highest sequence number of an event packet.
    highest: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Pressed {
    code: u8,
    /// Timestamp of the current segment.
    start: u32,
    /// Units in earlier, full segments.
    before: u32,
    duration: u16,
    heard: Time,
}

/// A key that was pressed, or another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Event code; [`super::key`] names the key.
    pub code: u8,
    /// Duration in timestamp units, as far as it was heard.
    pub units: u32,
}

impl Receiver {
    /// `clock_rate` in Hz of the telephone-event payload.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            pressed: None,
            reported: None,
            highest: None,
        }
    }

    /// Takes another clock rate, in Hz, for the events to come.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        self.clock_rate = clock_rate;
    }

    /// Whether an event is going on, so that missing audio is no loss.
    pub fn is_pressed(&self) -> bool {
        self.pressed.is_some()
    }

    /// Takes one packet of the telephone-event payload type; a payload shorter than four octets is ignored.
    pub fn receive(&mut self, now: Time, packet: &Packet<'_>) -> Option<Event> {
        let payload = Payload::parse(packet.payload)?;
        let timestamp = packet.timestamp;
        let ahead = self
            .highest
            .is_none_or(|highest| (packet.sequence.wrapping_sub(highest) as i16) > 0);
        if ahead {
            self.highest = Some(packet.sequence);
        }
        // A marker on a packet never seen opens a new event, even where a sender's timestamps stand still.
        let opens = packet.marker && ahead && !payload.end;
        let over = self
            .reported
            .is_some_and(|reported| self.is_old(reported, timestamp));
        if over {
            if !opens {
                return None;
            }
            self.reported = None;
        }
        let recent = self.is_recent(timestamp);
        let mut finished = None;
        match &mut self.pressed {
            Some(pressed) if pressed.start == timestamp => {
                pressed.duration = pressed.duration.max(payload.duration);
                pressed.heard = now;
            }
            Some(pressed) if continues(pressed, packet, payload, self.clock_rate) => {
                // A sender that moves the timestamp with every packet keeps counting the duration; a true segment is full
                // and the next starts from nothing (§2.5.1.3).
                if pressed.duration == u16::MAX {
                    pressed.before = pressed.before.saturating_add(u32::from(u16::MAX));
                    pressed.duration = payload.duration;
                } else {
                    pressed.duration = pressed.duration.max(payload.duration);
                }
                pressed.start = timestamp;
                pressed.heard = now;
            }
            Some(_) if recent => {
                return None;
            }
            _ => {
                finished = self.finish();
                self.pressed = Some(Pressed {
                    code: payload.code,
                    start: timestamp,
                    before: 0,
                    duration: payload.duration,
                    heard: now,
                });
            }
        }
        if payload.end && finished.is_none() {
            return self.finish();
        }
        if payload.end
            && let Some(pressed) = &mut self.pressed
        {
            // Two ends at once: the second waits for a repeated packet or for its time to run out.
            pressed.heard = now.saturating_sub(LOST_END);
        }
        finished
    }

    /// Reports the event whose end was lost, once nothing has been heard of it for 200 ms.
    pub fn expire(&mut self, now: Time) -> Option<Event> {
        let heard = self.pressed.as_ref()?.heard;
        if now >= heard + LOST_END {
            self.finish()
        } else {
            None
        }
    }

    fn finish(&mut self) -> Option<Event> {
        let pressed = self.pressed.take()?;
        self.reported = Some(pressed.start);
        Some(Event {
            code: pressed.code,
            units: pressed.before.saturating_add(u32::from(pressed.duration)),
        })
    }

    fn is_recent(&self, timestamp: u32) -> bool {
        self.pressed.is_some_and(|pressed| {
            pressed.start.wrapping_sub(timestamp) <= self.clock_rate.saturating_mul(MEMORY_S)
        })
    }

    fn is_old(&self, reported: u32, timestamp: u32) -> bool {
        reported.wrapping_sub(timestamp) <= self.clock_rate.saturating_mul(MEMORY_S)
    }
}

/// Whether a packet with another timestamp belongs to the press: same key, no marker, and no pause between.
fn continues(pressed: &Pressed, packet: &Packet<'_>, payload: Payload, clock_rate: u32) -> bool {
    let step = packet.timestamp.wrapping_sub(pressed.start);
    let reach = u32::from(pressed.duration) + clock_rate / 1000 * JOIN_MS;
    !packet.marker && payload.code == pressed.code && step <= reach
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Builder;

    /// The sequence number is the time in 10 ms.
    fn feed(
        receiver: &mut Receiver,
        ms: u64,
        marker: bool,
        timestamp: u32,
        payload: [u8; 4],
    ) -> Option<Event> {
        let mut bytes = Vec::new();
        let sequence = (ms / 10) as u16;
        Builder {
            marker,
            sequence,
            timestamp,
            payload_type: 101,
            payload: &payload,
            ..Builder::default()
        }
        .write(&mut bytes)
        .unwrap();
        receiver.receive(Time::from_millis(ms), &Packet::parse(&bytes).unwrap())
    }

    #[test]
    fn packets_of_earlier_keys_are_ignored() {
        let mut receiver = Receiver::new(8000);
        let one = Some(Event {
            code: 1,
            units: 320,
        });
        assert_eq!(feed(&mut receiver, 0, false, 8000, [1, 0x8a, 1, 64]), one);
        assert_eq!(
            feed(&mut receiver, 10, false, 7000, [1, 10, 0, 160]),
            None,
            "behind the one reported"
        );
        assert_eq!(receiver.expire(Time::from_secs(1)), None);
        assert_eq!(
            feed(&mut receiver, 2000, true, 24_000, [2, 10, 0, 160]),
            None
        );
        assert_eq!(
            feed(&mut receiver, 2010, false, 20_000, [3, 10, 0, 160]),
            None,
            "behind the one pressed"
        );
        assert_eq!(
            feed(&mut receiver, 2020, false, 24_000, [2, 0x8a, 1, 64]),
            Some(Event {
                code: 2,
                units: 320
            })
        );
    }

    #[test]
    fn a_sender_whose_timestamps_stand_still() {
        let mut receiver = Receiver::new(8000);
        for press in 0..3 {
            let at = press * 1000;
            assert_eq!(feed(&mut receiver, at, true, 0, [5, 10, 0, 160]), None);
            assert_eq!(
                feed(&mut receiver, at + 20, false, 0, [5, 0x8a, 1, 64]),
                Some(Event {
                    code: 5,
                    units: 320
                })
            );
            assert_eq!(
                feed(&mut receiver, at + 40, false, 0, [5, 0x8a, 1, 64]),
                None
            );
        }
    }

    #[test]
    fn a_lost_end_is_noticed_by_silence() {
        let mut receiver = Receiver::new(8000);
        assert_eq!(feed(&mut receiver, 0, true, 0, [7, 10, 0, 160]), None);
        assert_eq!(feed(&mut receiver, 20, false, 0, [7, 10, 1, 64]), None);
        assert_eq!(receiver.expire(Time::from_millis(219)), None);
        assert_eq!(
            receiver.expire(Time::from_millis(220)),
            Some(Event {
                code: 7,
                units: 320
            })
        );
        assert_eq!(
            feed(&mut receiver, 230, false, 0, [7, 0x8a, 1, 64]),
            None,
            "its end comes too late"
        );
        assert_eq!(receiver.expire(Time::from_secs(9)), None);
    }

    #[test]
    fn two_ends_in_a_row_give_two_keys() {
        let mut receiver = Receiver::new(8000);
        assert_eq!(feed(&mut receiver, 0, true, 0, [1, 10, 0, 160]), None);
        assert_eq!(
            feed(&mut receiver, 90, false, 4000, [2, 0x8a, 1, 64]),
            Some(Event {
                code: 1,
                units: 160
            })
        );
        assert_eq!(
            feed(&mut receiver, 110, false, 4000, [2, 0x8a, 1, 64]),
            Some(Event {
                code: 2,
                units: 320
            })
        );
        assert_eq!(
            feed(&mut receiver, 130, false, 4000, [2, 0x8a, 1, 64]),
            None
        );
    }
}
