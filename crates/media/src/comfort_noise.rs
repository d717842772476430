//! Comfort noise (RFC 3389): what a sender that falls silent says about its background, and when it falls silent.

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

/// Sound of this level in dB against full scale, or more, is never silence.
const LOUD: f32 = -42.0;
/// A frame so many dB above the background is speech.
const ABOVE: f32 = 7.0;
/// Silent frames before the pause is announced: the end of a word is soft.
const HANGOVER_FRAMES: u32 = 12;
/// Frames between two descriptions in one pause, at least; and by how many dB the background must have changed.
const BETWEEN: u32 = 10;
const CHANGE: f32 = 3.0;

/// What a frame is, for a sender that suppresses silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// To be sent.
    Sound,
    /// Silence; its description, the level in −dBov, is to be sent in its place.
    Describe(u8),
    /// Silence like that described before.
    Nothing,
}

/// Tells speech from background by its level.
#[derive(Debug, Clone)]
pub struct SilenceDetector {
    /// Level of the background in dB.
    floor: f32,
    /// Silent frames in a row.
    silent: u32,
    /// Level described last and frames since then.
    described: Option<(f32, u32)>,
}

impl Default for SilenceDetector {
    fn default() -> Self {
        Self {
            floor: -127.0,
            silent: 0,
            described: None,
        }
    }
}

impl SilenceDetector {
    /// Takes a frame to be sent.
    pub fn hear(&mut self, samples: &[i16]) -> Quiet {
        let power: f32 = samples.iter().map(|x| f32::from(*x).powi(2)).sum();
        let level = 10.0 * (power / samples.len().max(1) as f32 / 32_768f32.powi(2)).log10();
        let level = level.clamp(-127.0, 0.0);
        // The floor follows what is quieter at once and what is louder by 6 dB a second.
        self.floor = (self.floor + 0.12).min(level);
        if level >= LOUD || level > self.floor + ABOVE {
            self.silent = 0;
            self.described = None;
            return Quiet::Sound;
        }
        self.silent += 1;
        if self.silent <= HANGOVER_FRAMES {
            return Quiet::Sound;
        }
        match &mut self.described {
            Some((said, since)) if *since < BETWEEN || (level - *said).abs() < CHANGE => {
                *since = since.saturating_add(1);
                Quiet::Nothing
            }
            _ => {
                self.described = Some((level, 0));
                Quiet::Describe(-level as u8)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of noise whose power is so many dB under full scale.
    fn noise(dice: &mut Random, level: f64) -> Vec<i16> {
        let peak = 32_768.0 * 10f64.powf(level / 20.0) * 3f64.sqrt();
        (0..160)
            .map(|_| ((dice.unit() * 2.0 - 1.0) * peak) as i16)
            .collect()
    }

    #[test]
    fn a_pause_is_described_once_and_speech_is_sent() {
        let mut dice = Random::new(3);
        let mut detector = SilenceDetector::default();
        let mut run = |frames: u32, level: f64| -> Vec<Quiet> {
            (0..frames)
                .map(|_| detector.hear(&noise(&mut dice, level)))
                .collect()
        };
        run(500, -60.0);
        assert!(run(50, -20.0).iter().all(|quiet| *quiet == Quiet::Sound));
        let pause = run(200, -60.0);
        let described: Vec<usize> = (0..200)
            .filter(|n| matches!(pause[*n], Quiet::Describe(_)))
            .collect();
        assert_eq!(described, [12], "after the end of the word, and only once");
        assert!(matches!(pause[12], Quiet::Describe(59..=61)));
        assert_eq!(pause[13..], [Quiet::Nothing; 187]);
        let changed = run(100, -67.0);
        assert!(
            changed
                .iter()
                .any(|quiet| matches!(quiet, Quiet::Describe(66..=68)))
        );
        assert_eq!(run(1, -30.0), [Quiet::Sound]);
        assert!(run(1000, -41.0).iter().all(|quiet| *quiet == Quiet::Sound));
    }

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
