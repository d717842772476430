//! What comes from the microphone without what came from the speaker, and without steady noise.
//!
//! The work is done by the `aec3` crate, a port of the canceller that browsers use. It takes frames of 10 ms. Its state may
//! not change threads, so it has one of its own, which is handed each frame and waited for; a panic there leaves the sound
//! as it was, and the call alive.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use aec3::api::config::EchoCanceller3Config;
use aec3::api::control::EchoControl as _;
use aec3::audio_processing::aec3::echo_canceller3::EchoCanceller3;
use aec3::audio_processing::audio_buffer::AudioBuffer;
use aec3::audio_processing::ns::{NoiseSuppressor, NsConfig, SuppressionLevel};

/// Rates that it works at, in Hz.
pub(crate) const RATES: [u32; 2] = [16_000, 48_000];

/// Cleans the sound of one microphone.
pub(crate) struct Cleaner {
    jobs: SyncSender<Job>,
    done: Receiver<Job>,
    spare: Option<Job>,
}

/// 10 ms.
#[derive(Default)]
struct Job {
    played: Vec<i16>,
    recorded: Vec<i16>,
}

impl Cleaner {
    /// Takes away the speaker's echo, noise, or both; `None` when neither is wanted. `rate` is one of [`RATES`].
    pub(crate) fn new(rate: u32, cancels_echo: bool, suppresses_noise: bool) -> Option<Cleaner> {
        if !RATES.contains(&rate) || !(cancels_echo || suppresses_noise) {
            return None;
        }
        let (jobs, orders) = sync_channel::<Job>(1);
        let (finished, done) = sync_channel(1);
        let work = move || {
            let mut chain = Chain::new(rate, cancels_echo, suppresses_noise);
            while let Ok(mut job) = orders.recv() {
                chain.render(&job.played);
                chain.clean(&mut job.recorded);
                if finished.send(job).is_err() {
                    return;
                }
            }
        };
        // Without a thread the sound stays as it is.
        thread::Builder::new()
            .name("cleaner".to_owned())
            .spawn(work)
            .ok()?;
        Some(Cleaner {
            jobs,
            done,
            spare: Some(Job::default()),
        })
    }

    /// Cleans the 10 ms that the microphone gave while the speaker began to play `played`.
    pub(crate) fn clean(&mut self, played: &[i16], recorded: &mut [i16]) {
        let Some(mut job) = self.spare.take() else {
            return;
        };
        job.played.clear();
        job.played.extend_from_slice(played);
        job.recorded.clear();
        job.recorded.extend_from_slice(recorded);
        if self.jobs.send(job).is_err() {
            return;
        }
        let Ok(job) = self.done.recv() else {
            return;
        };
        recorded.copy_from_slice(&job.recorded);
        self.spare = Some(job);
    }
}

/// The library's parts in their order.
struct Chain {
    echo: Option<EchoCanceller3>,
    noise: Option<NoiseSuppressor>,
    rendered: AudioBuffer,
    captured: AudioBuffer,
}

impl Chain {
    fn new(rate: u32, cancels_echo: bool, suppresses_noise: bool) -> Chain {
        let hertz = rate as usize;
        let echo = cancels_echo
            .then(|| EchoCanceller3::new(EchoCanceller3Config::default(), rate as i32, 1, 1));
        let config = NsConfig {
            target_level: SuppressionLevel::K18dB,
            ..NsConfig::default()
        };
        let noise = suppresses_noise.then(|| NoiseSuppressor::new(config, hertz, 1));
        let buffer = || AudioBuffer::from_sample_rates(hertz, 1, hertz, 1, hertz);
        Chain {
            echo,
            noise,
            rendered: buffer(),
            captured: buffer(),
        }
    }

    /// What the speaker is about to play.
    fn render(&mut self, frame: &[i16]) {
        let Some(echo) = &mut self.echo else {
            return;
        };
        fill(&mut self.rendered, frame);
        self.rendered.split_into_frequency_bands();
        echo.analyze_render(&mut self.rendered);
    }

    /// Cleans 10 ms from the microphone.
    fn clean(&mut self, frame: &mut [i16]) {
        fill(&mut self.captured, frame);
        if let Some(echo) = &mut self.echo {
            echo.analyze_capture(&mut self.captured);
        }
        self.captured.split_into_frequency_bands();
        if let Some(echo) = &mut self.echo {
            echo.process_capture(&mut self.captured, false);
        }
        if let Some(noise) = &mut self.noise {
            noise.analyze(&self.captured);
            noise.process(&mut self.captured);
        }
        self.captured.merge_frequency_bands();
        for (sample, value) in frame.iter_mut().zip(self.captured.channel(0)) {
            *sample = value.round().clamp(-32_768.0, 32_767.0) as i16;
        }
    }
}

/// The library counts in steps of 16 bits, as we do.
fn fill(buffer: &mut AudioBuffer, frame: &[i16]) {
    for (to, from) in buffer.channel_mut(0).iter_mut().zip(frame) {
        *to = f32::from(*from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repeatable source of noise.
    struct Noise(u32);

    impl Noise {
        /// From −1.0 to 1.0.
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
        }
    }

    /// Noise shaped like syllables: low-passed, four a second, with pauses.
    fn speech(seed: u32, rate: u32, seconds: u32) -> Vec<f32> {
        let (mut noise, mut low) = (Noise(seed), 0.0f32);
        (0..rate * seconds)
            .map(|n| {
                let phase = (n as f32 / rate as f32 * 4.0 + seed as f32 * 0.37).fract();
                let envelope =
                    (phase * std::f32::consts::PI).sin() * f32::from(u8::from(phase < 0.7));
                low += (noise.next() - low) * 0.3;
                low * envelope * 20_000.0
            })
            .collect()
    }

    /// A small room: 40 ms to the microphone, then a tail that dies away within 80 ms.
    fn room(sound: &[f32], rate: u32) -> Vec<f32> {
        let mut noise = Noise(99);
        let first = (rate / 25) as usize;
        let mut taps = vec![(first, 0.35f32)];
        for n in 1..60 {
            let at = first + n * rate as usize / 750;
            taps.push((at, 0.15 * noise.next() * (-(n as f32) / 15.0).exp()));
        }
        (0..sound.len())
            .map(|n| {
                taps.iter()
                    .filter(|(at, _)| *at <= n)
                    .map(|(at, gain)| sound[n - at] * gain)
                    .sum()
            })
            .collect()
    }

    fn energy(sound: &[f32]) -> f64 {
        sound.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / sound.len().max(1) as f64
    }

    fn integer(sound: &[f32]) -> Vec<i16> {
        sound.iter().map(|s| s.round() as i16).collect()
    }

    fn decibels(ratio: f64) -> f64 {
        10.0 * ratio.max(1e-12).log10()
    }

    /// What is left of the microphone's sound.
    fn run(cleaner: &mut Cleaner, rate: u32, far: &[f32], microphone: &[f32]) -> Vec<f32> {
        let frame = rate as usize / 100;
        let mut out = Vec::new();
        for (far, near) in far.chunks_exact(frame).zip(microphone.chunks_exact(frame)) {
            let mut near = integer(near);
            cleaner.clean(&integer(far), &mut near);
            out.extend(near.iter().map(|s| f32::from(*s)));
        }
        out
    }

    #[test]
    fn the_speaker_is_taken_out_of_the_microphone() {
        for rate in RATES {
            let far = speech(1, rate, 5);
            let echo = room(&far, rate);
            let mut cleaner = Cleaner::new(rate, true, false).unwrap();
            let left = run(&mut cleaner, rate, &far, &echo);
            // After three seconds it has learnt the room.
            let settled = 3 * rate as usize..left.len();
            let loss = decibels(energy(&echo[settled.clone()]) / energy(&left[settled]));
            assert!(loss > 20.0, "{rate} Hz: {loss:.1} dB");
        }
    }

    #[test]
    fn who_sits_there_is_still_heard() {
        let rate = 16_000;
        let (far, near) = (speech(1, rate, 10), speech(2, rate, 10));
        let (second, end) = (rate as usize, 10 * rate as usize);
        let mut far = far;
        // Both speak from the fourth to the seventh second, then only the person here.
        far[7 * second..].fill(0.0);
        let mut microphone = room(&far, rate);
        for n in 4 * second..end {
            microphone[n] += near[n] * 0.5;
        }
        let mut cleaner = Cleaner::new(rate, true, false).unwrap();
        let left = run(&mut cleaner, rate, &far, &microphone);
        let alone = 8 * second..end - second;
        let kept = decibels(energy(&left[alone.clone()]) / energy(&microphone[alone]));
        assert!(kept.abs() < 2.0, "speech alone changes by {kept:.1} dB");
        let both = 4 * second..7 * second;
        let kept = decibels(energy(&left[both.clone()]) / energy(&near[both]) * 4.0);
        assert!(kept > -10.0, "speech against speech loses {kept:.1} dB");
    }

    #[test]
    fn steady_noise_is_lowered_and_speech_is_not() {
        let rate = 16_000;
        let mut noise = Noise(5);
        let hiss: Vec<f32> = (0..8 * rate).map(|_| noise.next() * 400.0).collect();
        let silent = vec![0.0; hiss.len()];
        let mut cleaner = Cleaner::new(rate, false, true).unwrap();
        let left = run(&mut cleaner, rate, &silent, &hiss);
        let settled = 4 * rate as usize..left.len();
        let loss = decibels(energy(&hiss[settled.clone()]) / energy(&left[settled.clone()]));
        assert!(loss > 8.0, "{loss:.1} dB");
        let spoken = speech(3, rate, 8);
        let noisy: Vec<f32> = spoken.iter().zip(&hiss).map(|(s, h)| s + h).collect();
        let mut cleaner = Cleaner::new(rate, false, true).unwrap();
        let left = run(&mut cleaner, rate, &silent, &noisy);
        let kept = decibels(energy(&left[settled.clone()]) / energy(&spoken[settled]));
        assert!(kept.abs() < 3.0, "{kept:.1} dB");
    }

    #[test]
    fn nothing_wanted_is_nothing_done() {
        assert!(Cleaner::new(16_000, false, false).is_none());
        assert!(Cleaner::new(8000, true, true).is_none());
    }
}
