use crate::Time;
use crate::rtcp::ReportBlock;

/// Largest forward jump of the sequence number that still counts as loss (RFC 3550 A.1).
const MAX_DROPOUT: u16 = 3000;
/// Largest backward step that still counts as reordering (RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

/// What was received from one synchronisation source (RFC 3550 A.1, A.3, A.8).
///
/// Two packets in sequence make the source valid. Other than in A.1 the packet on probation is counted once the second
/// one confirms it, so that a stream received whole shows no packet missing.
#[derive(Debug, Clone)]
pub struct Reception {
    ssrc: u32,
    clock_rate: u32,
    base: u32,
    highest: u32,
    valid: bool,
    bad: Option<u16>,
    /// Bit n is set when the packet n behind the highest has come.
    seen: u64,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    transit: Option<u32>,
    /// Interarrival jitter, times 16 (A.8).
    jitter: u32,
    last_sender_report: Option<(u32, Time)>,
}

/// What the sequence number of a packet says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// The source is not yet valid.
    Probation,
    /// In order, or ahead after a loss.
    Ahead,
    /// Behind the highest one: reordered.
    Behind,
    /// It came before (looked up among the last 64).
    Duplicate,
    /// Two packets in a row far from the others: the sender started again, the counts too.
    Restarted,
    /// A jump too large to be loss; the packet is not counted.
    Implausible,
}

/// The sums over a source's life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets received, duplicates and late ones included.
    pub received: u32,
    /// Packets expected by the sequence numbers.
    pub expected: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
}

impl Tally {
    /// Packets lost; negative when duplicates outnumber losses (RFC 3550 §6.4.1).
    pub fn lost(&self) -> i64 {
        i64::from(self.expected) - i64::from(self.received)
    }
}

impl Reception {
    /// Begins with the first packet of `ssrc`. `clock_rate` in Hz turns arrival times into timestamp units.
    pub fn new(ssrc: u32, sequence: u16, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            base: u32::from(sequence),
            highest: u32::from(sequence),
            valid: false,
            bad: None,
            seen: 1,
            received: 1,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter: 0,
            last_sender_report: None,
        }
    }

    /// The source these numbers are about.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Two packets in sequence were seen.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// Counts a packet after the first by its sequence number (A.1).
    pub fn sequence(&mut self, sequence: u16) -> Sequence {
        let delta = sequence.wrapping_sub(self.highest as u16);
        if !self.valid {
            if delta == 1 {
                self.valid = true;
                self.forward(delta);
                return Sequence::Ahead;
            }
            if delta == 0 {
                self.received = self.received.saturating_add(1);
                return Sequence::Duplicate;
            }
            self.restart(sequence);
            return Sequence::Probation;
        }
        if delta == 0 || delta > u16::MAX - MAX_MISORDER {
            self.bad = None;
            self.received = self.received.saturating_add(1);
            let bit = 1u64
                .checked_shl(u32::from(delta.wrapping_neg()))
                .unwrap_or(0);
            if self.seen & bit != 0 {
                return Sequence::Duplicate;
            }
            self.seen |= bit;
            Sequence::Behind
        } else if delta < MAX_DROPOUT {
            self.bad = None;
            self.forward(delta);
            Sequence::Ahead
        } else if self.bad == Some(sequence) {
            self.restart(sequence);
            self.valid = true;
            Sequence::Restarted
        } else {
            self.bad = Some(sequence.wrapping_add(1));
            Sequence::Implausible
        }
    }

    fn forward(&mut self, delta: u16) {
        self.highest = self.highest.wrapping_add(u32::from(delta));
        self.received = self.received.saturating_add(1);
        self.seen = self.seen.checked_shl(u32::from(delta)).unwrap_or(0) | 1;
    }

    fn restart(&mut self, sequence: u16) {
        self.base = u32::from(sequence);
        self.highest = self.base;
        self.received = 1;
        self.seen = 1;
        self.expected_prior = 0;
        self.received_prior = 0;
        self.transit = None;
        self.bad = None;
    }

    /// Takes the clock rate, in Hz, of the packets to come: that of their codec (RFC 7160 §4.2).
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != self.clock_rate && clock_rate > 0 {
            let jitter =
                u64::from(self.jitter) * u64::from(clock_rate) / u64::from(self.clock_rate);
            self.jitter = u32::try_from(jitter).unwrap_or(u32::MAX >> 1);
            self.clock_rate = clock_rate;
            self.transit = None;
        }
    }

    /// Feeds the interarrival jitter (A.8) with a packet that arrived at `now`.
    ///
    /// Leave out packets whose timestamp is not their sampling time, such as telephone-events.
    pub fn arrival(&mut self, now: Time, timestamp: u32) {
        let transit = units(now, self.clock_rate).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let distance = (transit.wrapping_sub(before) as i32)
                .unsigned_abs()
                .min(1 << 24);
            self.jitter = (self.jitter + distance).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    /// Remembers a sender report of this source: the middle 32 bits of its NTP time, and when it came.
    pub fn sender_report(&mut self, now: Time, middle: u32) {
        self.last_sender_report = Some((middle, now));
    }

    /// The sums so far.
    pub fn tally(&self) -> Tally {
        Tally {
            received: self.received,
            expected: self.highest.wrapping_sub(self.base).wrapping_add(1),
            jitter: self.jitter >> 4,
        }
    }

    /// The jitter as a time.
    pub fn jitter(&self) -> Time {
        duration(u64::from(self.jitter >> 4), self.clock_rate)
    }

    /// The block to report (A.3); starts the next reporting interval.
    pub fn report(&mut self, now: Time) -> ReportBlock {
        let tally = self.tally();
        let expected = tally.expected.wrapping_sub(self.expected_prior);
        let received = tally.received.wrapping_sub(self.received_prior);
        self.expected_prior = tally.expected;
        self.received_prior = tally.received;
        let lost = i64::from(expected) - i64::from(received);
        let fraction = if expected == 0 || lost <= 0 {
            0
        } else {
            (lost << 8) / i64::from(expected)
        };
        let (last, delay) = match self.last_sender_report {
            Some((last, at)) => (last, units(now.saturating_sub(at), 65_536)),
            None => (0, 0),
        };
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: tally.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest,
            jitter: tally.jitter,
            last_sender_report: last,
            delay_since_last: delay,
        }
    }
}

/// `time` in units of `rate` per second, modulo 2^32.
pub(crate) fn units(time: Time, rate: u32) -> u32 {
    (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u32
}

/// The time that `units` of `rate` per second last.
pub(crate) fn duration(units: u64, rate: u32) -> Time {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(rate.max(1));
    Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_millis(n)
    }

    #[test]
    fn loss_over_a_wrap() {
        let mut reception = Reception::new(7, 65_530, 8000);
        for n in 1..100u16 {
            if n % 10 != 5 {
                reception.sequence(65_530u16.wrapping_add(n));
            }
        }
        let tally = reception.tally();
        assert_eq!(
            (tally.expected, tally.received, tally.lost()),
            (100, 90, 10)
        );
        let block = reception.report(ms(0));
        assert_eq!((block.fraction_lost, block.lost), (25, 10));
        assert_eq!(block.highest, 65_536 + 93);
        assert_eq!(
            reception.report(ms(0)).fraction_lost,
            0,
            "a new interval starts"
        );
    }

    #[test]
    fn probation_restart_and_implausible() {
        let mut reception = Reception::new(7, 10, 8000);
        assert_eq!(reception.sequence(500), Sequence::Probation);
        assert_eq!(reception.sequence(501), Sequence::Ahead);
        assert_eq!(reception.sequence(501), Sequence::Duplicate);
        assert_eq!(reception.sequence(450), Sequence::Behind);
        assert_eq!(reception.sequence(20_000), Sequence::Implausible);
        assert_eq!(reception.sequence(502), Sequence::Ahead);
        assert_eq!(reception.sequence(20_000), Sequence::Implausible);
        assert_eq!(reception.sequence(20_001), Sequence::Restarted);
        assert_eq!(reception.tally().lost(), 0);
    }

    #[test]
    fn duplicates_make_loss_negative() {
        let mut reception = Reception::new(7, 1, 8000);
        reception.sequence(2);
        reception.sequence(2);
        assert_eq!(reception.tally().lost(), -1);
        assert_eq!(reception.report(ms(0)).lost, -1);
    }

    #[test]
    fn jitter_converges_as_in_the_appendix() {
        let mut reception = Reception::new(7, 1, 8000);
        for n in 0..2000u64 {
            // Every other packet 10 ms late: |D| is 80 units each time.
            reception.arrival(
                ms(20 * n + if n % 2 == 0 { 0 } else { 10 }),
                (160 * n) as u32,
            );
        }
        assert!(
            (78..=81).contains(&reception.tally().jitter),
            "{}",
            reception.tally().jitter
        );
        assert_eq!(Reception::new(7, 1, 8000).jitter(), ms(0));
    }

    #[test]
    fn delay_since_last_sender_report() {
        let mut reception = Reception::new(7, 1, 8000);
        reception.sender_report(ms(1000), 0xb705_2000);
        let block = reception.report(ms(6250));
        assert_eq!(
            (block.last_sender_report, block.delay_since_last),
            (0xb705_2000, 0x0005_4000)
        );
    }
}
