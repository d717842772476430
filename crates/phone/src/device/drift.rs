//! Two clocks that do not agree: the device's and the call's.
//!
//! A buffer between them would slowly fill or run dry. [`Balance`] looks at what is left in it and says how much faster or
//! slower it is to be emptied; [`Trim`] stretches the sound by that much, far below what an ear notices.

/// How long a window is of which the lowest filling counts, in milliseconds.
const WINDOW_MS: u64 = 1000;
/// In how many seconds a wrong filling is made up for.
const MEND_SECONDS: f64 = 10.0;
/// The most that sound is stretched or shortened: a fiftieth of a semitone, ten times the error of a bad crystal.
const MOST: f64 = 0.001;
/// What is to be left in the buffer at the lowest, in milliseconds: the device's own unrest.
const MARGIN_MS: u64 = 8;
/// What that may become when it does not do.
const WIDEST_MARGIN_MS: u64 = 80;
/// By how much it grows with each time that the buffer ran dry.
const WIDEN_MS: u64 = 8;
/// Above this a surplus is thrown away at once: it would be heard as delay for too long.
const SURPLUS_MS: u64 = 60;

/// Watches the filling of a buffer.
#[derive(Debug)]
pub(crate) struct Balance {
    rate: u64,
    margin: u64,
    /// Samples seen in this window, and the lowest filling.
    seen: u64,
    lowest: Option<u64>,
    correction: f64,
}

impl Balance {
    /// A buffer of samples at `rate` Hz.
    pub(crate) fn new(rate: u32) -> Balance {
        let rate = u64::from(rate);
        Balance {
            rate,
            margin: rate * MARGIN_MS / 1000,
            seen: 0,
            lowest: None,
            correction: 0.0,
        }
    }

    /// Samples that are to be left at the lowest.
    pub(crate) fn margin(&self) -> usize {
        self.margin as usize
    }

    /// By how much faster than the clock the buffer is to be emptied: 1.0 for not at all.
    pub(crate) fn ratio(&self) -> f64 {
        1.0 + self.correction
    }

    /// Samples left in the buffer after `moved` of them went through it. Yields how many are to be thrown away.
    pub(crate) fn observe(&mut self, left: usize, moved: usize) -> usize {
        let left = left as u64;
        self.lowest = Some(self.lowest.map_or(left, |lowest| lowest.min(left)));
        self.seen += moved as u64;
        if self.seen < self.rate * WINDOW_MS / 1000 {
            return 0;
        }
        self.seen = 0;
        let lowest = self.lowest.take().unwrap_or(left);
        let error = lowest as f64 - self.margin as f64;
        if error > (self.rate * SURPLUS_MS / 1000) as f64 {
            self.correction = 0.0;
            return error as usize;
        }
        self.correction = (error / self.rate as f64 / MEND_SECONDS).clamp(-MOST, MOST);
        0
    }

    /// The buffer ran dry: more has to be left in it.
    pub(crate) fn ran_dry(&mut self) {
        let widest = self.rate * WIDEST_MARGIN_MS / 1000;
        self.margin = (self.margin + self.rate * WIDEN_MS / 1000).min(widest);
        self.seen = 0;
        self.lowest = None;
        self.correction = 0.0;
    }
}

/// Stretches or shortens sound by a cubic through four samples. At a ratio of 1 nothing is changed but the time, by two
/// samples.
#[derive(Debug, Default)]
pub(crate) struct Trim {
    window: [f32; 4],
    /// Where the next output lies after the second sample of the window.
    at: f64,
}

impl Trim {
    /// How many samples [`Trim::push`] needs for `outputs` of them, or for one more.
    pub(crate) fn needed(&self, outputs: usize, ratio: f64) -> usize {
        match outputs {
            0 => 0,
            n => (self.at + (n - 1) as f64 * ratio) as usize + 1,
        }
    }

    /// Takes samples and appends what they make: one for each `ratio` of them.
    pub(crate) fn push(&mut self, samples: &[i16], ratio: f64, out: &mut Vec<i16>) {
        for sample in samples {
            self.window.rotate_left(1);
            if let Some(last) = self.window.last_mut() {
                *last = f32::from(*sample);
            }
            while self.at < 1.0 {
                let value = between(&self.window, self.at as f32);
                out.push(value.round().clamp(-32_768.0, 32_767.0) as i16);
                self.at += ratio;
            }
            self.at -= 1.0;
        }
    }
}

/// The cubic through four samples (Catmull and Rom), between the second and the third.
fn between(window: &[f32; 4], at: f32) -> f32 {
    let [a, b, c, d] = *window;
    let third = 0.5 * (d - a) + 1.5 * (b - c);
    let second = a - 2.5 * b + 2.0 * c - 0.5 * d;
    let first = 0.5 * (c - a);
    ((third * at + second) * at + first) * at + b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_ratio_of_one_sound_passes_unchanged() {
        let mut trim = Trim::default();
        let sound: Vec<i16> = (0..100).map(|n| n * 300 - 15_000).collect();
        let mut out = Vec::new();
        assert_eq!(trim.needed(100, 1.0), 100);
        trim.push(&sound, 1.0, &mut out);
        assert_eq!(out.len(), 100);
        assert_eq!(out[2..], sound[..98]);
    }

    #[test]
    fn a_stretched_tone_is_still_a_clean_tone() {
        for ratio in [0.999, 1.001] {
            let mut sound = vec![0i16; 48_000];
            media::tone::Tone::new(3000.0, 0.5, 48_000).fill(&mut sound);
            let (mut trim, mut out) = (Trim::default(), Vec::new());
            let needed = trim.needed(10_000, ratio);
            trim.push(&sound[..needed], ratio, &mut out);
            assert_eq!(out.len(), 10_000, "needed says how many");
            trim.push(&sound[needed..], ratio, &mut out);
            let expected = 48_000.0 / ratio;
            assert!((out.len() as f64 - expected).abs() < 2.0, "{}", out.len());
            let step = std::f64::consts::TAU * 3000.0 / 48_000.0;
            let (mut signal, mut noise) = (0.0, 0.0);
            for (n, sample) in out.iter().enumerate().skip(10) {
                let wanted = 16_383.5 * (step * (n as f64 * ratio - 2.0)).sin();
                signal += wanted * wanted;
                noise += (wanted - f64::from(*sample)).powi(2);
            }
            let clean = 10.0 * (signal / noise).log10();
            assert!(clean > 55.0, "{clean:.1} dB at {ratio}");
        }
    }

    /// A microphone whose clock is off by so many parts in a million, read every 20 ms of virtual time for five minutes.
    fn five_minutes(ppm: f64) -> (f64, f64, u32) {
        let (rate, mut balance, mut trim) = (48_000, Balance::new(48_000), Trim::default());
        let (mut arrived, mut filling, mut dry) = (0.0f64, 0.02 * 48_000.0, 0);
        let (mut lowest, mut highest) = (f64::MAX, 0.0f64);
        let mut out = Vec::new();
        for tick in 0..15_000u32 {
            // The device delivers whole blocks of 10 ms of its own clock.
            let until = f64::from(tick) * 0.02 * f64::from(rate) * (1.0 + ppm / 1e6);
            while arrived + 480.0 <= until {
                arrived += 480.0;
                filling += 480.0;
            }
            out.clear();
            let needed = trim.needed(960, balance.ratio());
            if filling < needed as f64 {
                dry += 1;
                balance.ran_dry();
                continue;
            }
            trim.push(&vec![0; needed], balance.ratio(), &mut out);
            assert!((960..=961).contains(&out.len()), "{}", out.len());
            filling -= needed as f64;
            filling -= balance.observe(filling as usize, needed) as f64;
            if tick > 3000 {
                lowest = lowest.min(filling);
                highest = highest.max(filling);
            }
        }
        (lowest / 48.0, highest / 48.0, dry)
    }

    #[test]
    fn drift_is_made_up_for_without_running_dry() {
        for ppm in [-200.0, -20.0, 0.0, 20.0, 200.0] {
            let (lowest, highest, dry) = five_minutes(ppm);
            assert!(dry <= 1, "{ppm} ppm: dry {dry} times");
            assert!(
                lowest >= 1.0 && highest < 50.0,
                "{ppm} ppm: {lowest:.1} to {highest:.1} ms"
            );
        }
    }

    #[test]
    fn a_surplus_is_thrown_away_at_once_and_dryness_widens_the_margin() {
        let mut balance = Balance::new(8000);
        let before = balance.margin();
        assert_eq!(balance.observe(4000, 8000), 4000 - before);
        assert_eq!(balance.ratio(), 1.0);
        balance.ran_dry();
        assert!(balance.margin() > before);
        for _ in 0..100 {
            balance.ran_dry();
        }
        assert_eq!(balance.margin(), 640);
    }
}
