use super::CLOCK;

/// Puts the timestamps of a stream on one line of 48,000 units per second, though its codecs count with clocks of their
/// own. Senders differ in what they do to the timestamp when the clock changes (RFC 7160 §3): the sound is taken to go on
/// without a gap, but for the packets that are missing by their sequence numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    /// One entry for each clock rate seen; our codecs have three.
    clocks: Vec<Clock>,
    newest: Option<Newest>,
}

/// A timestamp of this clock and the position that it has on the line.
#[derive(Debug, Clone, Copy)]
struct Clock {
    rate: u32,
    timestamp: u32,
    position: u32,
}

/// The packet with the highest sequence number.
#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u16,
    rate: u32,
    end: u32,
}

impl Timeline {
    /// The clock rate of the newest packet.
    pub(super) fn clock_rate(&self) -> Option<u32> {
        self.newest.map(|newest| newest.rate)
    }

    /// The position of a packet that lasts `units` of the line.
    pub(super) fn place(&mut self, sequence: u16, timestamp: u32, rate: u32, units: u32) -> u32 {
        let factor = CLOCK / rate.max(1);
        let step = |newest: Newest| sequence.wrapping_sub(newest.sequence);
        let ahead = self.newest.is_none_or(|newest| (step(newest) as i16) > 0);
        let known = self.clocks.iter_mut().find(|clock| clock.rate == rate);
        let position = match (known, self.newest) {
            (Some(clock), Some(newest)) if newest.rate == rate || !ahead => {
                let steps = i64::from(timestamp.wrapping_sub(clock.timestamp) as i32);
                let position = clock
                    .position
                    .wrapping_add((steps * i64::from(factor)) as u32);
                *clock = Clock {
                    rate,
                    timestamp,
                    position,
                };
                position
            }
            (known, newest) => {
                let position = match newest {
                    Some(newest) => {
                        let missing = u32::from(step(newest).saturating_sub(1).min(100));
                        newest.end.wrapping_add(missing.wrapping_mul(units))
                    }
                    None => timestamp.wrapping_mul(factor),
                };
                let clock = Clock {
                    rate,
                    timestamp,
                    position,
                };
                match known {
                    Some(known) => *known = clock,
                    None => self.clocks.push(clock),
                }
                position
            }
        };
        if ahead {
            self.newest = Some(Newest {
                sequence,
                rate,
                end: position.wrapping_add(units),
            });
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_clock_keeps_its_steps_and_wraps() {
        let mut line = Timeline::default();
        let first = line.place(65_535, u32::MAX - 79, 8000, 960);
        assert_eq!(line.place(0, 80, 8000, 960).wrapping_sub(first), 960);
        assert_eq!(line.place(2, 400, 8000, 960).wrapping_sub(first), 2880);
        assert_eq!(line.place(1, 240, 8000, 960).wrapping_sub(first), 1920);
        assert_eq!(line.place(3, 560, 8000, 960).wrapping_sub(first), 3840);
    }

    #[test]
    fn another_clock_goes_on_where_the_first_one_ended() {
        let mut line = Timeline::default();
        let first = line.place(10, 8000, 8000, 960);
        line.place(11, 8160, 8000, 960);
        assert_eq!(line.place(12, 77, 48_000, 960), first + 1920);
        assert_eq!(line.place(13, 1037, 48_000, 960), first + 2880);
        // One packet lost in the change, and one of the other clock overtaken.
        assert_eq!(line.place(15, 12_345, 8000, 960), first + 4800);
        assert_eq!(line.place(14, 1997, 48_000, 960), first + 3840);
        assert_eq!(line.place(16, 12_505, 8000, 960), first + 5760);
    }
}
