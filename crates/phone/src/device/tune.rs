//! What is heard outside of calls: ringing, the tone while the other side rings, a test tone.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use media::tone::Tone;

use super::headset::{Headset, Port, Setup};

const RATE: u32 = 16_000;
const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 320;
/// Frames of one of two tones that alternate.
const WARBLE: u32 = 3;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Melody {
    /// A call comes in: a warble for a second, silence for two.
    Ringing,
    /// A call comes in while another is on: a short quiet beep every three seconds.
    Waiting,
    /// The other side of our call rings: one second of tone, two of silence.
    Ringback,
    /// One second of 440 Hz, once.
    Test,
    /// Nothing: the devices work, and can be measured.
    Silence,
}

/// Tones, how loud, for how many frames of how many, and whether they alternate.
struct Score {
    tones: [f64; 2],
    loudness: f64,
    sounding: u32,
    of: u32,
    alternates: bool,
    repeats: bool,
}

impl Melody {
    const fn score(self) -> Score {
        let (tones, loudness, sounding, alternates) = match self {
            Melody::Ringing => ([523.0, 659.0], 0.25, 50, true),
            Melody::Waiting => ([440.0, 440.0], 0.05, 10, false),
            Melody::Ringback => ([440.0, 480.0], 0.05, 50, false),
            Melody::Test => ([440.0, 440.0], 0.25, 50, false),
            Melody::Silence => ([440.0, 440.0], 0.0, 0, false),
        };
        Score {
            tones,
            loudness,
            sounding,
            of: 150,
            alternates,
            repeats: !matches!(self, Melody::Test),
        }
    }
}

/// Where a tune is played.
pub(crate) enum Stage {
    /// On devices that are open.
    Open(Headset),
    /// On devices that are opened for it; where they cannot be, there is nothing to hear.
    Closed(Setup),
}

/// Plays until it is dropped, or over.
#[derive(Debug)]
pub(crate) struct Tune {
    _quit: SyncSender<()>,
}

impl Tune {
    /// Begins to play on a thread of its own.
    pub(crate) fn start(stage: Stage, melody: Melody) -> Tune {
        let (quit, told) = sync_channel::<()>(0);
        let play = move || {
            let headset = match stage {
                Stage::Open(headset) => headset,
                Stage::Closed(setup) => match Headset::open(&setup) {
                    Ok(headset) => headset,
                    Err(_) => return,
                },
            };
            let (port, start) = (headset.port(), Instant::now());
            drop(headset);
            let mut player = Player::new(melody);
            for n in 1.. {
                if !player.play(&port) {
                    return;
                }
                let left = (FRAME * n).saturating_sub(start.elapsed());
                if told.recv_timeout(left) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        // Without a thread there is nothing to hear.
        let _ = thread::Builder::new().name("tune".to_owned()).spawn(play);
        Tune { _quit: quit }
    }
}

/// The sound itself.
struct Player {
    score: Score,
    at: u32,
    tones: [Tone; 2],
}

impl Player {
    fn new(melody: Melody) -> Player {
        let score = melody.score();
        // Two tones at once share the loudness.
        let each = if score.alternates {
            score.loudness
        } else {
            score.loudness / 2.0
        };
        Player {
            tones: score
                .tones
                .map(|frequency| Tone::new(frequency, each, RATE)),
            score,
            at: 0,
        }
    }

    /// Plays a frame; `false` at the end.
    fn play(&mut self, port: &Port) -> bool {
        let mut frame = [0i16; FRAME_SAMPLES];
        let goes_on = self.fill(&mut frame);
        port.listen(RATE, &frame);
        goes_on
    }

    fn fill(&mut self, frame: &mut [i16; FRAME_SAMPLES]) -> bool {
        if self.at < self.score.sounding {
            let [low, high] = &mut self.tones;
            if !self.score.alternates {
                low.fill(frame);
                let mut other = [0i16; FRAME_SAMPLES];
                high.fill(&mut other);
                for (sample, other) in frame.iter_mut().zip(other) {
                    *sample = sample.saturating_add(other);
                }
            } else if (self.at / WARBLE).is_multiple_of(2) {
                low.fill(frame);
            } else {
                high.fill(frame);
            }
        }
        self.at += 1;
        if self.at == self.score.of {
            self.at = 0;
            return self.score.repeats;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::Choice;
    use super::*;

    /// Frames with sound in the first `frames`.
    fn loud(melody: Melody, frames: u32) -> u32 {
        let mut player = Player::new(melody);
        let mut loud = 0;
        for _ in 0..frames {
            let mut frame = [0i16; FRAME_SAMPLES];
            let goes_on = player.fill(&mut frame);
            loud += u32::from(frame.iter().any(|s| *s > 1000));
            if !goes_on {
                break;
            }
        }
        loud
    }

    #[test]
    fn it_rings_for_a_second_of_three_and_tests_once() {
        assert_eq!(loud(Melody::Ringing, 300), 100);
        assert_eq!(loud(Melody::Ringback, 300), 100);
        assert_eq!(loud(Melody::Waiting, 300), 20);
        assert_eq!(loud(Melody::Test, 300), 50);
        assert_eq!(loud(Melody::Silence, 300), 0);
    }

    #[test]
    fn a_speaker_that_is_a_file_gets_the_ringing() {
        let path = std::env::temp_dir().join(format!("sori-{}-ring.wav", std::process::id()));
        let setup = Setup {
            microphone: Choice::Null,
            speaker: Choice::File(path.clone()),
            ..Setup::default()
        };
        let tune = Tune::start(Stage::Closed(setup), Melody::Ringing);
        let patience = Instant::now() + Duration::from_secs(10);
        let length = || std::fs::metadata(&path).map_or(0, |m| m.len());
        while length() < 3000 && Instant::now() < patience {
            thread::yield_now();
        }
        drop(tune);
        assert!(length() >= 3000);
        std::fs::remove_file(path).unwrap();
    }
}
