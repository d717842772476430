//! How loud it is: numbers for a meter, written by the sound thread and read by anybody.

use std::sync::atomic::{AtomicU32, Ordering};

/// Weight of the newest 10 ms in the mean: it follows speech within about 100 ms.
const WEIGHT: f32 = 0.1;
/// What is left of a peak after 10 ms: it falls by half in about 0.4 s, slow enough to be read.
const FALL: f32 = 0.983;
/// Below this nothing is told apart from silence, in decibels.
const FLOOR: f32 = -96.0;

/// Loudness at one moment, as shares of full scale (0.0 to 1.0).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Root mean square of about the last 100 ms.
    pub rms: f32,
    /// The highest sample of about the last second.
    pub peak: f32,
}

impl Level {
    /// The mean in decibels below full scale; −96 for silence.
    pub fn rms_db(self) -> f32 {
        decibels(self.rms)
    }

    /// The peak in decibels below full scale; −96 for silence.
    pub fn peak_db(self) -> f32 {
        decibels(self.peak)
    }
}

fn decibels(share: f32) -> f32 {
    (20.0 * share.log10()).max(FLOOR)
}

/// One meter. It has one writer.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    mean_square: AtomicU32,
    peak: AtomicU32,
}

impl Meter {
    /// Takes the next 10 ms.
    pub(crate) fn measure(&self, frame: &[i16]) {
        if frame.is_empty() {
            return;
        }
        let (mut sum, mut highest) = (0.0f32, 0u16);
        for sample in frame {
            let share = f32::from(*sample) / 32_768.0;
            sum += share * share;
            highest = highest.max(sample.unsigned_abs());
        }
        let before = load(&self.mean_square);
        let mean = before + (sum / frame.len() as f32 - before) * WEIGHT;
        store(&self.mean_square, mean);
        let peak = (f32::from(highest) / 32_768.0).max(load(&self.peak) * FALL);
        store(&self.peak, peak);
    }

    pub(crate) fn level(&self) -> Level {
        Level {
            rms: load(&self.mean_square).max(0.0).sqrt(),
            peak: load(&self.peak),
        }
    }
}

/// Reads a number that [`store`] wrote.
pub(crate) fn load(cell: &AtomicU32) -> f32 {
    f32::from_bits(cell.load(Ordering::Relaxed))
}

/// Numbers of meters and knobs stand alone: nothing else is ordered by them.
pub(crate) fn store(cell: &AtomicU32, value: f32) {
    cell.store(value.to_bits(), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_reads_three_decibels_below_its_peak_and_falls_to_silence() {
        let meter = Meter::default();
        let mut tone = media::tone::Tone::new(440.0, 0.5, 16_000);
        let mut frame = [0i16; 160];
        for _ in 0..100 {
            tone.fill(&mut frame);
            meter.measure(&frame);
        }
        let level = meter.level();
        assert!((level.peak_db() + 6.02).abs() < 0.1, "{level:?}");
        assert!((level.rms_db() + 9.03).abs() < 0.2, "{level:?}");
        for _ in 0..1000 {
            meter.measure(&[0; 160]);
        }
        let level = meter.level();
        assert!(
            level.rms_db() < -90.0 && level.peak_db() < -90.0,
            "{level:?}"
        );
        assert_eq!(Level::default().rms_db(), -96.0);
    }
}
