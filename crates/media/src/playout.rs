//! From packets in the jitter buffer to a steady stream of samples: decoding, concealment, comfort noise, and stretching
//! or shortening the sound so that the delay follows the network.

use crate::Time;
use crate::codec::Codec;
use crate::comfort_noise::ComfortNoise;
use crate::jitter::{Insertion, JitterBuffer, Limits, Next};
use crate::plc::{Concealer, best_lag};

/// Below this root mean square a stretch of sound counts as silence, which may be cut anywhere.
const SILENCE: f32 = 60.0;
/// Likeness that two stretches need to be joined without being heard.
const ALIKE: f32 = 0.6;

/// What a pulled frame consists of, for the most part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Sound that arrived.
    Audio,
    /// Sound made up for what was lost or late.
    Concealed,
    /// Noise as the sender described it.
    ComfortNoise,
    /// Nothing has come, or nothing for so long that concealment has faded out.
    Silence,
}

/// Counts of what the playout did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Played {
    /// Frames pulled.
    pub frames: u64,
    /// Of these, concealed ones.
    pub concealed: u64,
    /// Packets that came too late.
    pub late: u64,
    /// Packets dropped to catch up after a stall, or that could not be decoded.
    pub dropped: u64,
    /// Samples inserted to lengthen the delay.
    pub stretched: u64,
    /// Samples removed to shorten it.
    pub shortened: u64,
    /// Times the stream began anew after a jump of its timestamps.
    pub restarts: u64,
}

/// Plays one stream.
#[derive(Debug)]
pub struct Playout {
    buffer: JitterBuffer,
    codecs: Vec<(u8, Box<dyn Codec>)>,
    sample_rate: u32,
    clock_rate: u32,
    ready: Vec<i16>,
    scratch: Vec<i16>,
    concealer: Concealer,
    noise: ComfortNoise,
    noisy: bool,
    /// Excess delay in samples, smoothed.
    excess: f64,
    kind: FrameKind,
    played: Played,
}

impl Playout {
    /// Plays what `codecs` decode; all of them must share the first one's rates. `seed` makes the comfort noise.
    pub fn new(codecs: Vec<(u8, Box<dyn Codec>)>, limits: Limits, seed: u64) -> Self {
        let kind = codecs.first().map(|(_, codec)| codec.kind());
        let sample_rate = kind.map_or(8000, |kind| kind.sample_rate());
        let clock_rate = kind.map_or(8000, |kind| kind.clock_rate());
        Self {
            buffer: JitterBuffer::new(clock_rate, limits),
            codecs,
            sample_rate,
            clock_rate,
            ready: Vec::new(),
            scratch: Vec::new(),
            concealer: Concealer::new(sample_rate),
            noise: ComfortNoise::new(seed),
            noisy: false,
            excess: 0.0,
            kind: FrameKind::Silence,
            played: Played::default(),
        }
    }

    /// Takes other codecs and keeps what waits, unless their rate differs.
    pub fn set_codecs(&mut self, codecs: Vec<(u8, Box<dyn Codec>)>) {
        let rate = codecs
            .first()
            .map_or(self.clock_rate, |(_, codec)| codec.kind().clock_rate());
        if rate != self.clock_rate {
            let played = self.played;
            *self = Self::new(codecs, self.buffer.limits(), 0);
            self.played = played;
        } else {
            self.codecs = codecs;
        }
    }

    /// Forgets the stream, as for a new source, but not the counts.
    pub fn reset(&mut self) {
        self.buffer.reset();
        self.noisy = false;
        self.excess = 0.0;
    }

    /// What has been played so far.
    pub fn played(&self) -> Played {
        self.played
    }

    /// The delay aimed at.
    pub fn target(&self) -> Time {
        self.buffer.target()
    }

    /// How much sound waits: decoded, and undecoded in the buffer.
    pub fn waiting(&self) -> Time {
        let ready = crate::rtp::duration(self.ready.len() as u64, self.sample_rate);
        ready + crate::rtp::duration(self.buffer.span(), self.clock_rate)
    }

    /// Whether `payload_type` can be decoded.
    pub fn knows(&self, payload_type: u8) -> bool {
        self.codecs.iter().any(|(known, _)| *known == payload_type)
    }

    /// Puts in a packet of sound. `None` when its payload is not what its type says.
    pub fn insert(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        payload_type: u8,
        payload: &[u8],
    ) -> Option<Insertion> {
        let (_, codec) = self
            .codecs
            .iter()
            .find(|(known, _)| *known == payload_type)?;
        let samples = codec.samples(payload).filter(|samples| *samples > 0)?;
        let units = samples as u64 * u64::from(self.clock_rate) / u64::from(self.sample_rate);
        // Half a second is far more than any frame; such a packet would only block the buffer.
        if units > u64::from(self.clock_rate) / 2 {
            return None;
        }
        Some(self.put(
            now,
            sequence,
            timestamp,
            units as u32,
            payload_type,
            payload,
        ))
    }

    /// Puts in a comfort-noise packet (RFC 3389).
    pub fn insert_noise(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        payload_type: u8,
        payload: &[u8],
    ) {
        self.put(now, sequence, timestamp, 0, payload_type, payload);
    }

    fn put(
        &mut self,
        now: Time,
        sequence: u16,
        timestamp: u32,
        units: u32,
        kind: u8,
        payload: &[u8],
    ) -> Insertion {
        let insertion = self
            .buffer
            .insert(now, sequence, timestamp, units, kind, payload);
        match insertion {
            Insertion::Late => self.played.late += 1,
            Insertion::Restarted => self.played.restarts += 1,
            Insertion::Queued | Insertion::Duplicate | Insertion::Jump => {}
        }
        insertion
    }

    /// Fills `samples` with what is to be heard next. `quiet` says that the sender sends no sound now, because it sends
    /// telephone-events: nothing is made up then.
    pub fn pull(&mut self, now: Time, samples: &mut [i16], quiet: bool) -> FrameKind {
        let want = samples.len();
        if want == 0 {
            return self.kind;
        }
        self.follow(now);
        let mut counts = [0usize; 4];
        self.fill(now, want, quiet, &mut counts);
        let margin = self.ms(10) as f64;
        let silent = root_mean_square(self.ready.get(..want).unwrap_or_default()) < SILENCE;
        if self.excess > if silent { margin } else { 2.0 * margin } {
            while self.ready.len() < want + self.ms(25) && self.buffer.is_ready() {
                self.step(now, want, quiet, &mut counts);
            }
            self.shorten(want);
            self.fill(now, want, quiet, &mut counts);
        } else if self.excess < -margin {
            self.stretch();
        }
        for (sample, ready) in samples
            .iter_mut()
            .zip(self.ready.drain(..want.min(self.ready.len())))
        {
            *sample = ready;
        }
        self.played.frames += 1;
        if counts.iter().any(|count| *count > 0) {
            const KINDS: [FrameKind; 4] = [
                FrameKind::Audio,
                FrameKind::Concealed,
                FrameKind::ComfortNoise,
                FrameKind::Silence,
            ];
            let most = KINDS
                .into_iter()
                .zip(counts)
                .rev()
                .max_by_key(|(_, count)| *count);
            self.kind = most.map_or(FrameKind::Silence, |(kind, _)| kind);
        }
        if self.kind == FrameKind::Concealed {
            self.played.concealed += 1;
        }
        self.kind
    }

    /// Follows the delay's error; after a long stall of the caller it moves on at once.
    fn follow(&mut self, now: Time) {
        let ahead = self.units(self.ready.len());
        let excess = self.buffer.excess(now, ahead) * i64::from(self.sample_rate)
            / i64::from(self.clock_rate);
        if excess > self.ms(300) as i64 {
            self.played.dropped += self.buffer.skip(now) as u64;
            self.ready.clear();
            self.excess = 0.0;
        } else {
            self.excess += (excess as f64 - self.excess) / 8.0;
        }
    }

    fn fill(&mut self, now: Time, want: usize, quiet: bool, counts: &mut [usize; 4]) {
        while self.ready.len() < want {
            self.step(now, want, quiet, counts);
        }
    }

    /// Takes one thing from the buffer and makes sound of it.
    fn step(&mut self, now: Time, want: usize, quiet: bool, counts: &mut [usize; 4]) {
        let lacking = want.saturating_sub(self.ready.len()).max(1);
        let units = self.units(lacking).max(1);
        match self.buffer.take(now, units, self.units(self.ready.len())) {
            Next::Frame { frame, skip } => {
                if self.knows(frame.payload_type) {
                    let made = self.decode(frame.payload_type, &frame.payload, skip);
                    counts[FrameKind::Audio as usize] += made;
                } else {
                    self.noise.describe(&frame.payload);
                    self.noisy = true;
                }
            }
            Next::Missing(units) => {
                let samples =
                    u64::from(units) * u64::from(self.sample_rate) / u64::from(self.clock_rate);
                self.make_up((samples as usize).max(1), quiet, counts);
            }
            Next::Wait => self.make_up(lacking, quiet, counts),
            Next::Idle => {
                self.ready.extend(core::iter::repeat_n(0, lacking));
                counts[FrameKind::Silence as usize] += lacking;
            }
        }
    }

    fn decode(&mut self, payload_type: u8, payload: &[u8], skip: u32) -> usize {
        let Some((_, codec)) = self
            .codecs
            .iter_mut()
            .find(|(known, _)| *known == payload_type)
        else {
            return 0;
        };
        self.scratch.clear();
        self.scratch.resize(codec.samples(payload).unwrap_or(0), 0);
        let Ok(made) = codec.decode(payload, &mut self.scratch) else {
            self.played.dropped += 1;
            return 0;
        };
        let skip =
            (u64::from(skip) * u64::from(self.sample_rate) / u64::from(self.clock_rate)) as usize;
        let Some(samples) = self.scratch.get_mut(skip..made) else {
            return 0;
        };
        self.concealer.good(samples);
        self.noisy = false;
        self.ready.extend_from_slice(samples);
        samples.len()
    }

    fn make_up(&mut self, count: usize, quiet: bool, counts: &mut [usize; 4]) {
        self.scratch.clear();
        self.scratch.resize(count, 0);
        let kind = if self.noisy {
            self.noise.fill(&mut self.scratch);
            self.concealer.good(&mut self.scratch);
            FrameKind::ComfortNoise
        } else if quiet {
            self.concealer.good(&mut self.scratch);
            FrameKind::Silence
        } else if self.concealer.conceal(&mut self.scratch) {
            FrameKind::Concealed
        } else {
            FrameKind::Silence
        };
        self.ready.extend_from_slice(&self.scratch);
        counts[kind as usize] += count;
    }

    /// Takes out one pitch period, or in silence as much as there is to take.
    fn shorten(&mut self, want: usize) {
        let fade = self.ms(5);
        let room = self
            .ready
            .len()
            .saturating_sub(want.max(fade))
            .min(self.ms(15));
        let Some((lag, silent)) = self.joint(fade, room.min(self.excess as usize)) else {
            return;
        };
        let lag = if silent {
            room.min(self.excess as usize)
        } else {
            lag
        };
        for n in 0..fade {
            let weight = (n as f32 + 0.5) / fade as f32;
            self.ready[n] = blend(self.ready[n], self.ready[n + lag], weight);
        }
        self.ready.drain(fade..fade + lag);
        self.excess -= lag as f64;
        self.played.shortened += lag as u64;
    }

    /// Plays one pitch period twice.
    fn stretch(&mut self) {
        let fade = self.ms(5);
        let room = self.ready.len().saturating_sub(fade).min(self.ms(15));
        let Some((lag, _)) = self.joint(fade, room) else {
            return;
        };
        let mut longer = Vec::with_capacity(self.ready.len() + lag);
        longer.extend_from_slice(&self.ready[..lag]);
        for n in 0..fade {
            let weight = (n as f32 + 0.5) / fade as f32;
            longer.push(blend(self.ready[n + lag], self.ready[n], weight));
        }
        longer.extend_from_slice(&self.ready[fade..]);
        self.ready = longer;
        self.excess += lag as f64;
        self.played.stretched += lag as u64;
    }

    /// The best place, up to `longest` samples on, that sounds like the beginning of what is ready; and whether it is all
    /// silence. Both stretches compared are `fade` samples long and lie within what is ready.
    fn joint(&self, fade: usize, longest: usize) -> Option<(usize, bool)> {
        let shortest = self.ms(5) / 2;
        let longest = longest.min(self.ready.len().checked_sub(fade)?);
        if longest < shortest {
            return None;
        }
        let part = self.ready.get(..longest + fade)?;
        if root_mean_square(part) < SILENCE {
            return Some((longest, true));
        }
        // The search looks backwards from the end, so the stretch is turned round.
        let turned: Vec<f32> = part.iter().rev().map(|sample| f32::from(*sample)).collect();
        let (lag, likeness) = best_lag(&turned, fade, shortest, longest);
        (likeness > ALIKE).then_some((lag, false))
    }

    fn ms(&self, ms: u32) -> usize {
        (self.sample_rate / 1000 * ms) as usize
    }

    fn units(&self, samples: usize) -> u32 {
        (samples as u64 * u64::from(self.clock_rate) / u64::from(self.sample_rate)) as u32
    }
}

fn blend(from: i16, to: i16, weight: f32) -> i16 {
    (f32::from(from) * (1.0 - weight) + f32::from(to) * weight).round() as i16
}

fn root_mean_square(samples: &[i16]) -> f32 {
    let power: f32 = samples
        .iter()
        .map(|sample| f32::from(*sample).powi(2))
        .sum();
    (power / samples.len().max(1) as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecKind;
    use crate::tone::Tone;

    fn playout() -> Playout {
        Playout::new(vec![(0, CodecKind::Pcmu.codec())], Limits::default(), 1)
    }

    fn sound(tone: &mut Tone, length: usize) -> Vec<u8> {
        let mut samples = vec![0; length];
        tone.fill(&mut samples);
        let mut payload = vec![0; length];
        CodecKind::Pcmu
            .codec()
            .encode(&samples, &mut payload)
            .unwrap();
        payload
    }

    #[test]
    fn any_frame_length_goes_with_any_other() {
        for sent in [5u64, 10, 20, 30, 40, 60] {
            for pulled in [5u64, 10, 20, 30] {
                let mut playout = playout();
                let mut tone = Tone::new(300.0, 0.5, 8000);
                let mut kinds = Vec::new();
                let mut samples = vec![0; (pulled * 8) as usize];
                for ms in 0..4000u64 {
                    if ms % sent == 0 {
                        let payload = sound(&mut tone, (sent * 8) as usize);
                        playout.insert(
                            Time::from_millis(ms),
                            (ms / sent) as u16,
                            (ms * 8) as u32,
                            0,
                            &payload,
                        );
                    }
                    if ms % pulled == 3 {
                        kinds.push(playout.pull(Time::from_millis(ms), &mut samples, false));
                    }
                }
                let audio = kinds
                    .iter()
                    .filter(|kind| **kind == FrameKind::Audio)
                    .count();
                let steady = kinds.len() - 1000 / pulled as usize;
                assert!(
                    audio >= steady,
                    "{sent} ms sent, {pulled} ms pulled: {audio} of {}",
                    kinds.len()
                );
                assert!(
                    playout.waiting() < Time::from_millis(160),
                    "{:?}",
                    playout.waiting()
                );
            }
        }
    }

    #[test]
    fn comfort_noise_lasts_until_sound_comes_again() {
        let mut playout = playout();
        let mut tone = Tone::new(300.0, 0.5, 8000);
        let mut kinds = Vec::new();
        let mut samples = [0; 160];
        for n in 0..200u64 {
            let now = Time::from_millis(n * 20);
            match n {
                50 => playout.insert_noise(now, 50, 8000, 13, &[60]),
                51..150 => {}
                _ => {
                    let sequence = if n < 50 { n } else { n - 99 };
                    let payload = sound(&mut tone, 160);
                    playout.insert(now, sequence as u16, (n * 160) as u32, 0, &payload);
                }
            }
            kinds.push(playout.pull(now + Time::from_millis(5), &mut samples, false));
        }
        let noise = kinds
            .iter()
            .filter(|kind| **kind == FrameKind::ComfortNoise)
            .count();
        assert!((98..=104).contains(&noise), "{noise}");
        assert!(!kinds.contains(&FrameKind::Concealed));
        assert_eq!(kinds[199], FrameKind::Audio);
    }

    #[test]
    fn a_payload_of_another_type_or_size_is_refused() {
        let mut playout = playout();
        assert_eq!(playout.insert(Time::ZERO, 1, 1, 5, &[0; 160]), None);
        assert_eq!(playout.insert(Time::ZERO, 1, 1, 0, &[]), None);
        assert_eq!(playout.insert(Time::ZERO, 1, 1, 0, &[0; 5000]), None);
        assert_eq!(
            playout.insert(Time::ZERO, 1, 1, 0, &[0; 160]),
            Some(Insertion::Queued)
        );
    }
}
