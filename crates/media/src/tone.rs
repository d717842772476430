//! Test and progress tones.

/// A sine that goes on without a click from frame to frame.
#[derive(Debug, Clone)]
pub struct Tone {
    phase: f64,
    step: f64,
    amplitude: f64,
}

impl Tone {
    /// A sine of `frequency` Hz with a peak of `level` (0.0 to 1.0 of full scale) at `sample_rate` Hz.
    pub fn new(frequency: f64, level: f64, sample_rate: u32) -> Self {
        let step = core::f64::consts::TAU * frequency / f64::from(sample_rate.max(1));
        Self {
            phase: 0.0,
            step,
            amplitude: level.clamp(0.0, 1.0) * f64::from(i16::MAX),
        }
    }

    /// Fills the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            *sample = (self.phase.sin() * self.amplitude).round() as i16;
            self.phase = (self.phase + self.step) % core::f64::consts::TAU;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_frequency_and_no_seams() {
        let mut tone = Tone::new(440.0, 0.5, 8000);
        let mut whole = vec![0; 8000];
        tone.clone().fill(&mut whole);
        let mut frames = vec![0; 8000];
        frames.chunks_mut(160).for_each(|frame| tone.fill(frame));
        assert_eq!(whole, frames);
        let crossings = whole
            .windows(2)
            .filter(|pair| pair[0] < 0 && pair[1] >= 0)
            .count();
        assert!((439..=440).contains(&crossings), "{crossings}");
        let peak = whole
            .iter()
            .map(|sample| sample.unsigned_abs())
            .max()
            .unwrap();
        assert!((16_350..=16_384).contains(&peak), "{peak}");
    }
}
