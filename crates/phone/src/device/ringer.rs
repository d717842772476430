//! Rings when a call comes in, perhaps on another speaker than the one that is talked with.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use media::tone::Tone;

use super::headset::{Headset, Setup};
use super::{Choice, Port};
use crate::readiness::{NotReady, Reason};

const RATE: u32 = 16_000;
const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 320;
/// A warble of two tones, in Hz, for a second; then silence for two.
const TONES: [f64; 2] = [523.0, 659.0];
const FRAMES: u32 = 150;
const SOUNDING: u32 = 50;
/// Frames of one tone.
const WARBLE: u32 = 3;
const LOUDNESS: f64 = 0.25;

/// Rings until it is dropped.
#[derive(Debug)]
pub struct Ringer {
    _quit: SyncSender<()>,
}

impl Ringer {
    /// Opens the speaker and rings.
    ///
    /// # Errors
    /// [`NotReady`] when there is no such speaker.
    pub fn start(speaker: &Choice) -> Result<Ringer, NotReady> {
        let headset = Headset::open(&Setup {
            microphone: Choice::Null,
            speaker: speaker.clone(),
            cancels_echo: false,
            suppresses_noise: false,
        })?;
        let port = headset.port();
        let (quit, told) = sync_channel::<()>(0);
        let ring = move || {
            let (start, mut bell) = (Instant::now(), Bell::default());
            for n in 1.. {
                bell.ring(&port);
                let left = (FRAME * n).saturating_sub(start.elapsed());
                if told.recv_timeout(left) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("ringer".to_owned())
            .spawn(ring)
            .map_err(|error| {
                NotReady::new(Reason::Failed, super::Role::Speaker).because(&error.to_string())
            })?;
        Ok(Ringer { _quit: quit })
    }
}

/// The sound itself.
struct Bell {
    at: u32,
    tones: [Tone; 2],
}

impl Default for Bell {
    fn default() -> Bell {
        Bell {
            at: 0,
            tones: TONES.map(|frequency| Tone::new(frequency, LOUDNESS, RATE)),
        }
    }
}

impl Bell {
    fn ring(&mut self, port: &Port) {
        let mut frame = [0i16; FRAME_SAMPLES];
        self.fill(&mut frame);
        port.listen(RATE, &frame);
    }

    fn fill(&mut self, frame: &mut [i16]) {
        if self.at < SOUNDING {
            let [low, high] = &mut self.tones;
            let tone = if (self.at / WARBLE).is_multiple_of(2) {
                low
            } else {
                high
            };
            tone.fill(frame);
        }
        self.at = (self.at + 1) % FRAMES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_for_a_second_of_three() {
        let mut bell = Bell::default();
        let mut loud = 0;
        for _ in 0..FRAMES * 2 {
            let mut frame = [0i16; FRAME_SAMPLES];
            bell.fill(&mut frame);
            loud += u32::from(frame.iter().any(|s| *s > 4000));
        }
        assert_eq!(loud, SOUNDING * 2);
    }

    #[test]
    fn a_speaker_that_is_a_file_gets_the_ringing() {
        let path = std::env::temp_dir().join(format!("sori-{}-ring.wav", std::process::id()));
        let ringer = Ringer::start(&Choice::File(path.clone())).unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while std::fs::metadata(&path).unwrap().len() < 3000 && Instant::now() < patience {
            thread::yield_now();
        }
        drop(ringer);
        assert!(std::fs::metadata(&path).unwrap().len() >= 3000);
        std::fs::remove_file(path).unwrap();
    }
}
