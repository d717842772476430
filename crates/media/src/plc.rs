//! Packet loss concealment for codecs that bring none (in the manner of G.711 Appendix I, without its delay).

/// Lowest and highest pitch looked for, in Hz.
const PITCH: (u32, u32) = (66, 200);
/// Part of a second compared to find the pitch.
const TEMPLATE_HZ: u32 = 100;
/// Full level lasts 10 ms, then it falls to nothing at 60 ms.
const HOLD_MS: u32 = 10;
const FADE_MS: u32 = 60;

/// Continues the sound through lost frames by repeating its last pitch periods, and joins it to what comes after.
///
/// One period is repeated at first; after 10 ms two, after 20 ms three, so that it does not buzz. Every seam is
/// cross-faded.
#[derive(Debug, Clone)]
pub struct Concealer {
    rate: u32,
    /// The sound last played, oldest first; its length never changes.
    history: Vec<f32>,
    erasure: Option<Erasure>,
}

#[derive(Debug, Clone)]
struct Erasure {
    /// The sound before the loss.
    source: Vec<f32>,
    pitch: usize,
    periods: usize,
    /// Next sample within the repeated periods.
    offset: usize,
    /// Samples made so far.
    made: usize,
    /// Step at the first seam, faded out over a quarter period.
    step: f32,
    /// A change to more periods in progress: the offset in the former loop, and samples left of the cross-fade.
    former: Option<(usize, usize, usize)>,
}

impl Concealer {
    /// For sound at `rate` samples per second.
    pub fn new(rate: u32) -> Self {
        let history = (rate / PITCH.0 * 3 + rate / TEMPLATE_HZ) as usize;
        Self {
            rate,
            history: vec![0.0; history],
            erasure: None,
        }
    }

    /// Takes samples that arrived. After a loss their beginning is cross-faded with the continued sound.
    pub fn good(&mut self, samples: &mut [i16]) {
        if let Some(mut erasure) = self.erasure.take() {
            let longer = erasure.made * 2 / 5;
            let fade = (erasure.pitch / 4 + longer)
                .min(self.ms(10))
                .min(samples.len());
            for (n, sample) in samples.iter_mut().take(fade).enumerate() {
                let weight = (n as f32 + 0.5) / fade as f32;
                let continued = self.fading(&mut erasure);
                *sample = clip(f32::from(*sample) * weight + continued * (1.0 - weight));
            }
        }
        self.remember(samples);
    }

    /// Announces sound that does not follow from what was played, such as that of another codec: it is faded in.
    pub fn join(&mut self) {
        if self.erasure.is_none() {
            self.erasure = Some(self.begin());
        }
    }

    /// Fills `samples` in place of lost ones. Returns `false` once nothing but silence is left.
    pub fn conceal(&mut self, samples: &mut [i16]) -> bool {
        let mut erasure = match self.erasure.take() {
            Some(erasure) => erasure,
            None => self.begin(),
        };
        let audible = erasure.made < self.ms(FADE_MS);
        for sample in samples.iter_mut() {
            *sample = clip(self.fading(&mut erasure));
        }
        self.erasure = Some(erasure);
        self.remember(samples);
        audible
    }

    /// Fills `gap`, all that is missing between the sound before it and `next`, which comes right after it: the last pitch
    /// periods before go on and die away, while the first ones after it, repeated backwards, come up.
    pub fn bridge(&mut self, gap: &mut [i16], next: &[i16]) {
        let mut erasure = match self.erasure.take() {
            Some(erasure) => erasure,
            None => self.begin(),
        };
        let level = self.gain(erasure.made);
        let backwards: Vec<f32> = next.iter().rev().map(|sample| f32::from(*sample)).collect();
        let template = backwards.len() / 4;
        let (shortest, longest) = self.lags();
        let longest = longest.min(backwards.len().saturating_sub(template));
        let (lag, _) = best_lag(&backwards, template, shortest, longest);
        let count = gap.len();
        for (n, sample) in gap.iter_mut().enumerate() {
            let before = self.next(&mut erasure) * level;
            let period = (count - 1 - n) % lag.max(1);
            let after = next.get(lag - 1 - period).copied().unwrap_or_default();
            let part = (n as f32 + 0.5) / count as f32;
            *sample = clip(before * (1.0 - part) + f32::from(after) * part);
        }
        self.remember(gap);
    }

    /// The shortest and the longest pitch period looked for, in samples.
    fn lags(&self) -> (usize, usize) {
        let samples = |hertz| (self.rate / hertz) as usize;
        (samples(PITCH.1), samples(PITCH.0))
    }

    /// The lag, in samples, at which the sound just played repeats best, and how well (−1 to 1).
    pub fn pitch(&self) -> (usize, f32) {
        let template = (self.rate / TEMPLATE_HZ) as usize;
        let (shortest, longest) = self.lags();
        best_lag(&self.history, template, shortest, longest)
    }

    fn ms(&self, ms: u32) -> usize {
        (self.rate / 1000 * ms) as usize
    }

    fn begin(&self) -> Erasure {
        let (pitch, _) = self.pitch();
        let source = self.history.clone();
        let end = source.len();
        let last = source.last().copied().unwrap_or(0.0);
        let before = end
            .checked_sub(pitch + 1)
            .and_then(|at| source.get(at))
            .copied()
            .unwrap_or(0.0);
        Erasure {
            source,
            pitch,
            periods: 1,
            offset: 0,
            made: 0,
            step: last - before,
            former: None,
        }
    }

    /// The continued sound, dying away.
    fn fading(&self, erasure: &mut Erasure) -> f32 {
        let gain = self.gain(erasure.made);
        self.next(erasure) * gain
    }

    fn next(&self, erasure: &mut Erasure) -> f32 {
        let quarter = (erasure.pitch / 4).max(1);
        let wanted = 1 + (erasure.made / self.ms(10).max(1)).min(2);
        if wanted > erasure.periods && erasure.former.is_none() {
            erasure.former = Some((erasure.periods, erasure.offset, quarter));
            // The same phase of the pitch, one period further back.
            erasure.offset %= erasure.pitch.max(1);
            erasure.periods = wanted;
        }
        let mut value = erasure.looped(erasure.periods, erasure.offset, quarter);
        erasure.offset = (erasure.offset + 1) % (erasure.pitch * erasure.periods).max(1);
        if let Some((periods, offset, left)) = erasure.former {
            let weight = left as f32 / quarter as f32;
            value = value * (1.0 - weight) + erasure.looped(periods, offset, quarter) * weight;
            erasure.former = match left {
                0 | 1 => None,
                _ => Some((
                    periods,
                    (offset + 1) % (erasure.pitch * periods).max(1),
                    left - 1,
                )),
            };
        }
        if erasure.made < quarter {
            value += erasure.step * (1.0 - (erasure.made + 1) as f32 / quarter as f32);
        }
        erasure.made = erasure.made.saturating_add(1);
        value
    }

    fn gain(&self, made: usize) -> f32 {
        let (hold, fade) = (self.ms(HOLD_MS), self.ms(FADE_MS));
        if made <= hold {
            1.0
        } else {
            (1.0 - (made - hold) as f32 / (fade - hold).max(1) as f32).max(0.0)
        }
    }

    fn remember(&mut self, samples: &[i16]) {
        let keep = self.history.len();
        let new = samples
            .get(samples.len().saturating_sub(keep)..)
            .unwrap_or_default();
        self.history.drain(..new.len());
        self.history
            .extend(new.iter().map(|sample| f32::from(*sample)));
    }
}

impl Erasure {
    /// Sample `offset` of the last `periods` periods; towards their end the quarter before their beginning is faded in,
    /// so that the loop closes without a click.
    fn looped(&self, periods: usize, offset: usize, quarter: usize) -> f32 {
        let length = self.pitch * periods;
        let start = self.source.len().saturating_sub(length);
        let value = self.source.get(start + offset).copied().unwrap_or(0.0);
        let left = length.saturating_sub(offset);
        if left > quarter {
            return value;
        }
        let weight = (quarter - left) as f32 / quarter as f32;
        let lead = start
            .checked_sub(left)
            .and_then(|at| self.source.get(at))
            .copied()
            .unwrap_or(value);
        value * (1.0 - weight) + lead * weight
    }
}

/// The lag between `shortest` and `longest` at which the last `template` samples look most like the ones before, and how
/// much they do (−1 to 1).
pub(crate) fn best_lag(
    sound: &[f32],
    template: usize,
    shortest: usize,
    longest: usize,
) -> (usize, f32) {
    let start = sound.len().saturating_sub(template);
    let now = sound.get(start..).unwrap_or_default();
    let energy: f32 = now.iter().map(|x| x * x).sum();
    let likeness = |lag: usize| {
        let Some(past) = start
            .checked_sub(lag)
            .and_then(|at| sound.get(at..at + now.len()))
        else {
            return -1.0;
        };
        let (mut product, mut power) = (0.0, 0.0);
        for (a, b) in now.iter().zip(past) {
            product += a * b;
            power += b * b;
        }
        product / (energy * power).sqrt().max(1.0)
    };
    let search = |range: core::ops::RangeInclusive<usize>| {
        range
            .map(|lag| (lag, likeness(lag)))
            .fold((shortest.max(1), -1.0f32), |best, found| {
                if found.1 > best.1 { found } else { best }
            })
    };
    let best = search(shortest.max(1)..=longest);
    // Two periods fit as well as one: take one if it is as good.
    let half = best.0 / 2;
    if half >= shortest + 2 {
        let shorter = search(half - 2..=half + 2);
        if shorter.1 > best.1 - 0.01 {
            return shorter;
        }
    }
    best
}

fn clip(sample: f32) -> i16 {
    sample.round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::Tone;

    #[test]
    fn a_periodic_sound_goes_on() {
        let mut tone = Tone::new(100.0, 0.3, 8000);
        let mut concealer = Concealer::new(8000);
        let mut frame = [0; 160];
        for _ in 0..5 {
            tone.fill(&mut frame);
            concealer.good(&mut frame);
        }
        assert_eq!(concealer.pitch().0, 80);
        let mut lost = [0; 160];
        tone.fill(&mut lost);
        let mut made = [0; 160];
        assert!(concealer.conceal(&mut made));
        for n in 0..80 {
            assert!(
                (i32::from(lost[n]) - i32::from(made[n])).abs() < 300,
                "sample {n}: {} {}",
                lost[n],
                made[n]
            );
        }
        let mut before = made[159];
        tone.fill(&mut frame);
        concealer.good(&mut frame);
        for sample in frame {
            assert!(
                (i32::from(sample) - i32::from(before)).abs() < 1200,
                "no click"
            );
            before = sample;
        }
    }

    #[test]
    fn a_bridge_leads_from_one_sound_to_another() {
        let mut concealer = Concealer::new(8000);
        let mut before = Tone::new(100.0, 0.3, 8000);
        let mut after = Tone::new(160.0, 0.1, 8000);
        let mut frame = [0; 160];
        for _ in 0..5 {
            before.fill(&mut frame);
            concealer.good(&mut frame);
        }
        let (mut went_on, mut came, mut next) = ([0; 160], [0; 160], [0; 160]);
        before.fill(&mut went_on);
        after.fill(&mut came);
        after.fill(&mut next);
        let mut gap = [0; 160];
        concealer.bridge(&mut gap, &next);
        let off = |of: &[i16], range: core::ops::Range<usize>| {
            let pairs = of[range.clone()].iter().zip(&gap[range]);
            pairs
                .map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs())
                .max()
                .unwrap()
        };
        assert!(off(&went_on, 0..10) < 1000, "{gap:?}");
        assert!(off(&came, 150..160) < 1000, "{gap:?}");
        // What comes after it is left as it is.
        let expected = next;
        concealer.good(&mut next);
        assert_eq!(next, expected);
    }

    #[test]
    fn a_long_loss_ends_in_silence() {
        let mut concealer = Concealer::new(8000);
        let mut frame = [0; 160];
        Tone::new(150.0, 0.9, 8000).fill(&mut frame);
        concealer.good(&mut frame.clone());
        concealer.good(&mut frame);
        let audible: Vec<bool> = (0..5).map(|_| concealer.conceal(&mut frame)).collect();
        assert_eq!(audible, [true, true, true, false, false]);
        assert_eq!(frame, [0; 160]);
    }

    #[test]
    fn any_frame_length_and_no_history() {
        for rate in [8000, 16_000, 48_000] {
            let mut concealer = Concealer::new(rate);
            for length in [1, 7, 80, 1000, 5000] {
                let mut frame = vec![i16::MIN; length];
                concealer.conceal(&mut frame);
                concealer.good(&mut vec![i16::MAX; length]);
                concealer.bridge(&mut frame, &vec![i16::MIN; length]);
            }
        }
    }
}
