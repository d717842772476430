use super::Refusal;

/// Packets that may come late and still be told from replays. RFC 3711 §3.3.2 asks for 64 at least; 128 are 2.5 seconds of
/// speech.
const WINDOW: u64 = 128;

/// Which packets of one source came already.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    /// The highest index, once there is one.
    highest: Option<u64>,
    /// Bit n: the packet n behind the highest came.
    seen: u128,
}

impl Window {
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The index that a sequence number most likely means (RFC 3711 §3.3.1, appendix A).
    ///
    /// # Errors
    /// It would lie before the first packet or beyond the last.
    pub(super) fn guess(&self, sequence: u16) -> Result<u64, Refusal> {
        let sequence = u64::from(sequence);
        let Some(highest) = self.highest else {
            return Ok(sequence);
        };
        let (rollover, last) = (highest >> 16, highest & 0xffff);
        let rollover = if last < 0x8000 {
            if sequence > last + 0x8000 {
                rollover.checked_sub(1).ok_or(Refusal::Replayed)?
            } else {
                rollover
            }
        } else if sequence + 0x8000 < last {
            rollover + 1
        } else {
            rollover
        };
        if rollover > u64::from(u32::MAX) {
            return Err(Refusal::Spent);
        }
        Ok(rollover << 16 | sequence)
    }

    /// Whether a packet of that index is new.
    pub(super) fn check(&self, index: u64) -> Result<(), Refusal> {
        let Some(behind) = self.highest.and_then(|highest| highest.checked_sub(index)) else {
            return Ok(());
        };
        if behind < WINDOW && self.seen >> behind & 1 == 0 {
            Ok(())
        } else {
            Err(Refusal::Replayed)
        }
    }

    /// Marks a packet that proved authentic.
    pub(super) fn mark(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                self.seen |= 1u128.checked_shl((highest - index) as u32).unwrap_or(0);
            }
            highest => {
                let ahead = highest.map_or(WINDOW, |highest| index - highest);
                self.seen = u32::try_from(ahead)
                    .ok()
                    .and_then(|ahead| self.seen.checked_shl(ahead))
                    .unwrap_or(0)
                    | 1;
                self.highest = Some(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(highest: u64) -> Window {
        let mut window = Window::default();
        window.mark(highest);
        window
    }

    #[test]
    fn guesses_around_the_wrap() {
        assert_eq!(Window::default().guess(65_535), Ok(65_535));
        assert_eq!(at(65_535).guess(0), Ok(65_536));
        assert_eq!(at(65_536).guess(65_535), Ok(65_535));
        assert_eq!(at(65_536 * 5 + 100).guess(65_000), Ok(65_536 * 4 + 65_000));
        assert_eq!(at(100).guess(65_000), Err(Refusal::Replayed));
        assert_eq!(at(40_000).guess(7_000), Ok(65_536 + 7_000));
        assert_eq!(at(40_000).guess(7_232), Ok(7_232));
        assert_eq!(at((1 << 48) - 1).guess(0), Err(Refusal::Spent));
    }

    #[test]
    fn each_packet_counts_once() {
        let mut window = at(1000);
        assert_eq!(window.check(1000), Err(Refusal::Replayed));
        for index in [999, 990, 1001, 1050] {
            assert_eq!(window.check(index), Ok(()), "{index}");
            window.mark(index);
            assert_eq!(window.check(index), Err(Refusal::Replayed), "{index}");
        }
        assert_eq!(window.check(1000), Err(Refusal::Replayed));
        assert_eq!(window.check(1049), Ok(()));
        assert_eq!(window.check(1050 - 127), Ok(()));
        assert_eq!(window.check(1050 - 128), Err(Refusal::Replayed));
        window.mark(1 << 40);
        assert_eq!(window.check(1050), Err(Refusal::Replayed));
        assert_eq!(window.check((1 << 40) - 1), Ok(()));
    }
}
