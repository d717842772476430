//! How loud sound is.

/// What silence counts as: the noise of 16 bits.
const FLOOR: f32 = -96.0;

/// The mean level of a sound, as it is heard piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    energy: f64,
    samples: u64,
}

impl Level {
    pub(crate) fn add(&mut self, samples: &[i16]) {
        let energy: i64 = samples.iter().map(|s| i64::from(*s) * i64::from(*s)).sum();
        self.energy += energy as f64;
        self.samples += samples.len() as u64;
    }

    /// The level so far in dB below the loudest, and the beginning of another.
    pub(crate) fn take(&mut self) -> f32 {
        let Level { energy, samples } = std::mem::take(self);
        if samples == 0 || energy <= 0.0 {
            return FLOOR;
        }
        let mean = energy / samples as f64 / f64::from(i16::MAX).powi(2);
        (10.0 * mean.log10()).clamp(f64::from(FLOOR), 0.0) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let mut level = Level::default();
        assert_eq!(level.take(), FLOOR);
        level.add(&[0; 160]);
        assert_eq!(level.take(), FLOOR);
        level.add(&[i16::MAX; 80]);
        level.add(&[i16::MIN; 80]);
        assert_eq!(level.take(), 0.0);
        level.add(&[3277; 160]);
        assert!((level.take() + 20.0).abs() < 0.1);
    }
}
