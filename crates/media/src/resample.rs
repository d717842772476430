//! Changing the sample rate with a polyphase windowed sinc.

use core::fmt;

/// Zero crossings of the sinc on each side of its centre, at the lower of the two rates.
const CROSSINGS: usize = 24;
/// Pass band as a share of the lower rate's half.
const PASS: f64 = 0.93;
/// Phases are exact up to this many; odd ratios use the nearest of so many.
const PHASES: u64 = 1024;
/// Shape of the Kaiser window, for about 80 dB of stop-band attenuation.
const BETA: f64 = 8.0;

/// Converts a stream from one rate to another, frame by frame.
///
/// A frame of `n` samples gives `n × to / from` samples, exactly when that is whole. The output is [`Resampler::delay`]
/// samples late; [`resample`] makes up for that where the whole sound is at hand.
#[derive(Clone)]
pub struct Resampler {
    from: u64,
    to: u64,
    taps: usize,
    phases: u64,
    filter: Vec<f32>,
    history: Vec<f32>,
    /// Position of the next output after the window's start, in `1/to` of an input sample.
    position: u64,
}

impl Resampler {
    /// Rates in Hz.
    ///
    /// # Errors
    /// [`UnsupportedRate`] outside 4,000 to 384,000 Hz.
    pub fn new(from: u32, to: u32) -> Result<Self, UnsupportedRate> {
        for rate in [from, to] {
            if !(4000..=384_000).contains(&rate) {
                return Err(UnsupportedRate(rate));
            }
        }
        let divisor = gcd(u64::from(from), u64::from(to));
        let (from, to) = (u64::from(from) / divisor, u64::from(to) / divisor);
        let cutoff = (to as f64 / from as f64).min(1.0);
        let half = (CROSSINGS as f64 / cutoff).ceil() as usize;
        let taps = half * 2;
        let phases = to.min(PHASES);
        let mut filter = Vec::new();
        if from != to {
            filter.reserve(taps * phases as usize);
            for phase in 0..phases {
                design(&mut filter, taps, phase as f64 / phases as f64, cutoff);
            }
        }
        Ok(Self {
            from,
            to,
            taps,
            phases,
            filter,
            history: vec![0.0; taps - 1],
            position: 0,
        })
    }

    /// By how many output samples the output is late.
    pub fn delay(&self) -> usize {
        if self.from == self.to {
            0
        } else {
            ((self.taps as u64 / 2) * self.to / self.from) as usize
        }
    }

    /// Converts `input` and appends the result to `output`.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        if self.from == self.to {
            output.extend_from_slice(input);
            return;
        }
        self.history
            .extend(input.iter().map(|sample| f32::from(*sample)));
        loop {
            let at = (self.position / self.to) as usize;
            let Some(window) = self.history.get(at..at + self.taps) else {
                break;
            };
            let phase = (self.position % self.to) * self.phases / self.to;
            let start = phase as usize * self.taps;
            let filter = self
                .filter
                .get(start..start + self.taps)
                .unwrap_or_default();
            let sum: f32 = window
                .iter()
                .zip(filter)
                .map(|(sample, weight)| sample * weight)
                .sum();
            output.push(sum.round().clamp(-32_768.0, 32_767.0) as i16);
            self.position += self.from;
        }
        let used = ((self.position / self.to) as usize).min(self.history.len());
        self.history.drain(..used);
        self.position -= used as u64 * self.to;
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("taps", &self.taps)
            .finish()
    }
}

/// Converts a whole sound, in place in time: sample 0 stays at time 0 and the length is `samples × to / from`, rounded up.
///
/// # Errors
/// [`UnsupportedRate`] as for [`Resampler::new`].
pub fn resample(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, UnsupportedRate> {
    let mut resampler = Resampler::new(from, to)?;
    let length = (samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize;
    // Half a window of zeros before the sound is left out, so that the first output is centred on the first sample.
    let lead = (resampler.taps / 2 - 1).min(resampler.history.len());
    resampler.history.truncate(lead);
    let mut output = Vec::with_capacity(length + 64);
    resampler.process(samples, &mut output);
    let mut fill = resampler.taps * 2;
    while output.len() < length && fill > 0 {
        resampler.process(&[0; 1], &mut output);
        fill -= 1;
    }
    output.truncate(length);
    Ok(output)
}

/// Appends one phase of the filter: the weights for an output that lies `fraction` after the sample before the centre.
fn design(filter: &mut Vec<f32>, taps: usize, fraction: f64, cutoff: f64) {
    let start = filter.len();
    let half = taps as f64 / 2.0;
    let mut sum = 0.0;
    for tap in 0..taps {
        let distance = tap as f64 - (half - 1.0) - fraction;
        let x = core::f64::consts::PI * distance * cutoff * PASS;
        let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
        let inside = 1.0 - (distance / half).powi(2);
        let weight = sinc * bessel(BETA * inside.max(0.0).sqrt());
        sum += weight;
        filter.push(weight as f32);
    }
    for weight in filter.iter_mut().skip(start) {
        *weight = (f64::from(*weight) / sum) as f32;
    }
}

/// The modified Bessel function of order zero, by its series.
fn bessel(x: f64) -> f64 {
    let mut sum = 1.0;
    let mut term = 1.0;
    for n in 1..40 {
        term *= (x / (2.0 * f64::from(n))).powi(2);
        sum += term;
    }
    sum
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A sample rate, in Hz, that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsupportedRate(pub u32);

impl fmt::Display for UnsupportedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a sample rate of {} Hz is outside 4000 to 384000 Hz",
            self.0
        )
    }
}

impl core::error::Error for UnsupportedRate {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frequency: f64, rate: u32, seconds: f64) -> Vec<f64> {
        let count = (f64::from(rate) * seconds) as usize;
        (0..count)
            .map(|n| {
                10_000.0 * (core::f64::consts::TAU * frequency * n as f64 / f64::from(rate)).sin()
            })
            .collect()
    }

    fn convert(frequency: f64, from: u32, to: u32) -> Vec<i16> {
        let input: Vec<i16> = sine(frequency, from, 0.5)
            .iter()
            .map(|x| x.round() as i16)
            .collect();
        resample(&input, from, to).unwrap()
    }

    #[test]
    fn tones_keep_their_shape_and_place() {
        let rates = [8000, 16_000, 44_100, 48_000, 11_025, 22_050, 44_056];
        let mut pairs = 0;
        for from in rates {
            for to in rates {
                for frequency in [300.0, 1000.0, 3000.0] {
                    let output = convert(frequency, from, to);
                    let expected = sine(frequency, to, 0.5);
                    assert!(output.len().abs_diff(expected.len()) <= 8, "{from} to {to}");
                    let middle = 500..expected.len() - 500;
                    let (mut signal, mut noise) = (0.0, 0.0);
                    for n in middle {
                        signal += expected[n].powi(2);
                        noise += (expected[n] - f64::from(output[n])).powi(2);
                    }
                    let ratio = 10.0 * (signal / noise).log10();
                    assert!(
                        ratio > 50.0,
                        "{frequency} Hz from {from} to {to}: {ratio:.1} dB"
                    );
                }
                pairs += 1;
            }
        }
        assert_eq!(pairs, 49);
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_removed() {
        for from in [16_000, 44_100, 48_000] {
            let output = convert(5000.0, from, 8000);
            let peak = output[200..output.len() - 200]
                .iter()
                .map(|x| x.unsigned_abs())
                .max()
                .unwrap();
            assert!(peak < 10, "alias of {peak} from {from}");
        }
    }

    #[test]
    fn frames_come_out_whole() {
        for (from, to, frame, expected) in [
            (48_000, 8000, 960, 160),
            (8000, 44_100, 160, 882),
            (44_100, 8000, 882, 160),
        ] {
            let mut resampler = Resampler::new(from, to).unwrap();
            let mut output = Vec::new();
            for _ in 0..50 {
                output.clear();
                resampler.process(&vec![1000; frame], &mut output);
                assert_eq!(output.len(), expected, "{from} to {to}");
            }
            assert!(output.iter().all(|sample| (999..=1001).contains(sample)));
        }
        assert_eq!(Resampler::new(0, 8000).unwrap_err(), UnsupportedRate(0));
    }
}
