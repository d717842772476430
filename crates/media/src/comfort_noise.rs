//! Comfort noise (RFC 3389): what a sender that falls silent says about its background.

use crate::random::Random;

/// Most reflection coefficients that are used; further ones change nothing audible.
const ORDER: usize = 12;

/// Makes noise as the last comfort-noise payload describes it.
#[derive(Debug, Clone)]
pub struct ComfortNoise {
    random: Random,
    level: f64,
    reflection: [f64; ORDER],
    state: [f64; ORDER + 1],
}

impl ComfortNoise {
    /// Silence until a payload comes. `seed` makes the noise.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            level: 0.0,
            reflection: [0.0; ORDER],
            state: [0.0; ORDER + 1],
        }
    }

    /// Takes a payload: the level in −dBov and reflection coefficients (RFC 3389 §3). An empty one is ignored.
    pub fn describe(&mut self, payload: &[u8]) {
        let Some((level, coefficients)) = payload.split_first() else {
            return;
        };
        self.reflection = [0.0; ORDER];
        let mut gain = 1.0;
        for (reflection, coded) in self.reflection.iter_mut().zip(coefficients) {
            *reflection = ((f64::from(*coded) - 127.0) / 128.0).clamp(-0.98, 0.98);
            gain *= 1.0 - *reflection * *reflection;
        }
        // Uniform noise has a third of the square of its peak as power; a full-scale square wave is 0 dBov.
        let root_mean_square = 32_768.0 * 10f64.powf(-f64::from(level & 0x7f) / 20.0);
        self.level = root_mean_square * (3.0 * gain).sqrt();
    }

    /// Fills the next samples.
    pub fn fill(&mut self, samples: &mut [i16]) {
        for sample in samples {
            let mut forward = (self.random.unit() * 2.0 - 1.0) * self.level;
            // All-pole lattice, from the highest stage down.
            for stage in (0..ORDER).rev() {
                let k = self.reflection[stage];
                forward -= k * self.state[stage];
                self.state[stage + 1] = self.state[stage] + k * forward;
            }
            self.state[0] = forward;
            *sample = forward.clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(payload: &[u8]) -> f64 {
        let mut noise = ComfortNoise::new(1);
        noise.describe(payload);
        let mut samples = vec![0; 16_000];
        noise.fill(&mut samples);
        let power: f64 = samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum::<f64>()
            / 16_000.0;
        20.0 * (power.sqrt() / 32_768.0).log10()
    }

    #[test]
    fn the_level_is_the_one_announced() {
        assert!((level(&[40]) + 40.0).abs() < 0.5, "{}", level(&[40]));
        assert!(
            (level(&[50, 200, 90, 150]) + 50.0).abs() < 1.5,
            "{}",
            level(&[50, 200, 90, 150])
        );
        assert!(level(&[64]) < -60.0);
        assert!(level(&[]).is_infinite(), "nothing described is silence");
        assert!(
            level(&[
                0, 255, 0, 255, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255
            ])
            .is_finite()
        );
    }
}
