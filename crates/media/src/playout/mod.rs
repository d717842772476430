//! From packets in the jitter buffer to a steady stream of samples: decoding, concealment, comfort noise, and stretching
//! or shortening the sound so that the delay follows the network.

mod decoders;
mod stretch;
mod timeline;

use crate::Time;
use crate::codec::Codec;
use crate::comfort_noise::ComfortNoise;
use crate::jitter::{Frame, Insertion, JitterBuffer, Limits, Next};
use crate::plc::Concealer;
use decoders::Decoders;
use timeline::Timeline;

/// Below this root mean square a stretch of sound counts as silence, which may be cut anywhere.
const SILENCE: f32 = 60.0;
/// Likeness that two stretches need to be joined without being heard.
const ALIKE: f32 = 0.6;
/// Units per second in which the buffer counts, whatever the clocks of the codecs: all of them divide it.
const CLOCK: u32 = 48_000;
/// How long a codec is asked to conceal before nothing but silence is made up.
const CONCEALED_MS: u32 = 1000;
/// Up to how much missing sound is made from what comes before and after it together.
const BRIDGED_MS: u32 = 80;

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
    /// Lost packets whose sound was found again in the packet after them.
    pub recovered: u64,
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

/// Plays one stream. Its packets may change from codec to codec, each with its own clock and sample rate.
#[derive(Debug)]
pub struct Playout {
    buffer: JitterBuffer,
    timeline: Timeline,
    decoders: Decoders,
    sample_rate: u32,
    ready: Vec<i16>,
    scratch: Vec<i16>,
    concealer: Concealer,
    noise: ComfortNoise,
    noisy: bool,
    /// Packet decoded last: its payload type, its sequence number, and whether it said that a pause begins.
    last: Option<(u8, u16, bool)>,
    /// Samples made up since then.
    made_up: usize,
    /// Excess delay in samples, smoothed.
    excess: f64,
    kind: FrameKind,
    played: Played,
}

impl Playout {
    /// Plays what `codecs` decode, by payload type, at `sample_rate` (8000, 16,000 or 48,000 per second). `seed` makes the
    /// comfort noise.
    pub fn new(
        codecs: Vec<(u8, Box<dyn Codec>)>,
        sample_rate: u32,
        limits: Limits,
        seed: u64,
    ) -> Self {
        Self {
            buffer: JitterBuffer::new(CLOCK, limits),
            timeline: Timeline::default(),
            decoders: Decoders::new(codecs, sample_rate),
            sample_rate,
            ready: Vec::new(),
            scratch: Vec::new(),
            concealer: Concealer::new(sample_rate),
            noise: ComfortNoise::new(seed),
            noisy: false,
            last: None,
            made_up: 0,
            excess: 0.0,
            kind: FrameKind::Silence,
            played: Played::default(),
        }
    }

    /// Takes other codecs, and another rate to play at. What waits is kept, and so is a codec that stays under its payload
    /// type.
    pub fn set_codecs(&mut self, codecs: Vec<(u8, Box<dyn Codec>)>, sample_rate: u32) {
        self.decoders.replace(codecs, sample_rate);
        if sample_rate != self.sample_rate {
            // What is ready is a few milliseconds; the fade that follows covers them.
            self.ready.clear();
            self.concealer = Concealer::new(sample_rate);
            self.sample_rate = sample_rate;
            self.excess = 0.0;
        }
    }

    /// Forgets the stream, as for a new source, but not the counts.
    pub fn reset(&mut self) {
        self.buffer.reset();
        self.timeline = Timeline::default();
        self.noisy = false;
        self.last = None;
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
        ready + crate::rtp::duration(self.buffer.span(), CLOCK)
    }

    /// Whether `payload_type` can be decoded.
    pub fn knows(&self, payload_type: u8) -> bool {
        self.decoders.knows(payload_type)
    }

    /// Timestamp units per second of `payload_type`, if it can be decoded.
    pub fn clock_rate(&self, payload_type: u8) -> Option<u32> {
        Some(self.decoders.kind(payload_type)?.clock_rate())
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
        let kind = self.decoders.kind(payload_type)?;
        let samples = self.decoders.samples(payload_type, payload)?;
        let units = samples as u64 * u64::from(CLOCK) / u64::from(kind.sample_rate());
        // Half a second is far more than any frame; such a packet would only block the buffer.
        if !(1..=u64::from(CLOCK) / 2).contains(&units) {
            return None;
        }
        let units = units as u32;
        let position = self
            .timeline
            .place(sequence, timestamp, kind.clock_rate(), units);
        Some(self.put(now, sequence, position, units, payload_type, payload))
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
        let rate = self.timeline.clock_rate().unwrap_or(8000);
        let position = self.timeline.place(sequence, timestamp, rate, 0);
        self.put(now, sequence, position, 0, payload_type, payload);
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
        let excess =
            self.buffer.excess(now, ahead) * i64::from(self.sample_rate) / i64::from(CLOCK);
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
        // A codec that conceals by itself does so in whole frames.
        let last = self.last.map(|(kind, ..)| kind);
        let frame = last.and_then(|kind| self.decoders.concealed_frame(kind));
        let units = self
            .units(lacking)
            .max(1)
            .next_multiple_of(frame.unwrap_or(1));
        match self.buffer.take(now, units, self.units(self.ready.len())) {
            Next::Frame { frame, skip } if frame.units > 0 => {
                counts[FrameKind::Audio as usize] += self.decode(&frame, skip);
            }
            Next::Frame { frame, .. } => {
                self.noise.describe(&frame.payload);
                self.noisy = true;
            }
            Next::Missing(units) => {
                let before = self.ready.len();
                let kind = self.replace(units, quiet);
                counts[kind as usize] += self.ready.len() - before;
            }
            Next::Wait => {
                self.scratch.clear();
                self.scratch.resize(lacking, 0);
                let kind = self.make_up(quiet);
                counts[kind as usize] += lacking;
            }
            Next::Idle => {
                self.ready.extend(core::iter::repeat_n(0, lacking));
                counts[FrameKind::Silence as usize] += lacking;
            }
        }
    }

    /// Decodes a packet without its first `skip` units and yields the number of samples.
    fn decode(&mut self, frame: &Frame, skip: u32) -> usize {
        let kind = frame.payload_type;
        self.scratch.clear();
        let Some(pause) = self
            .decoders
            .decode(kind, &frame.payload, &mut self.scratch)
        else {
            self.played.dropped += 1;
            return 0;
        };
        if self.last.is_some_and(|(before, ..)| before != kind) {
            self.concealer.join();
        }
        self.last = Some((kind, frame.sequence, pause));
        self.made_up = 0;
        let skip = self.samples(skip);
        let Some(samples) = self.scratch.get_mut(skip..) else {
            return 0;
        };
        self.concealer.good(samples);
        self.noisy = false;
        self.ready.extend_from_slice(samples);
        samples.len()
    }

    /// Puts something in the place of `units` that are missing for good, by the best means there is: what the next packet
    /// repeats, the codec's own concealment, the last pitch periods.
    fn replace(&mut self, units: u32, quiet: bool) -> FrameKind {
        self.scratch.clear();
        let next = self.buffer.upcoming();
        // No sequence number is missing: the sender left out a pause.
        let pause = self.last.is_some_and(|(_, sequence, pause)| {
            pause || next.is_some_and(|next| next.sequence == sequence.wrapping_add(1))
        });
        let lasts = self.made_up < self.ms(CONCEALED_MS) || pause;
        if let Some((kind, ..)) = self.last.filter(|_| !self.noisy && !quiet && lasts) {
            if let Some(next) = next.filter(|_| !pause)
                && self.decoders.recover(next, units, &mut self.scratch)
            {
                self.concealer.good(&mut self.scratch);
                self.ready.extend_from_slice(&self.scratch);
                self.played.recovered += 1;
                return FrameKind::Audio;
            }
            if self.decoders.conceal(kind, units, &mut self.scratch) {
                self.made_up += self.scratch.len();
                self.concealer.good(&mut self.scratch);
                self.ready.extend_from_slice(&self.scratch);
                return if pause {
                    FrameKind::ComfortNoise
                } else if self.made_up < self.ms(60) || root_mean_square(&self.scratch) >= SILENCE {
                    FrameKind::Concealed
                } else {
                    FrameKind::Silence
                };
            }
        }
        if !pause && !quiet && !self.noisy && self.bridge(units) {
            return FrameKind::Concealed;
        }
        self.scratch.clear();
        self.scratch.resize(self.samples(units).max(1), 0);
        self.make_up(quiet)
    }

    /// Makes up the missing `units`, and all that is missing after them, between the sound before and the packet after.
    fn bridge(&mut self, units: u32) -> bool {
        let Some((next, more)) = self.buffer.after_gap() else {
            return false;
        };
        let missing = units + more;
        let mut after = Vec::new();
        if missing > BRIDGED_MS * (CLOCK / 1000) || !self.decoders.peek(next, &mut after) {
            return false;
        }
        self.buffer.close_gap();
        self.scratch.clear();
        self.scratch.resize(self.samples(missing).max(1), 0);
        self.concealer.bridge(&mut self.scratch, &after);
        self.made_up += self.scratch.len();
        self.ready.extend_from_slice(&self.scratch);
        true
    }

    /// Fills `scratch` with noise, nothing, or the sound before it continued.
    fn make_up(&mut self, quiet: bool) -> FrameKind {
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
        self.made_up += self.scratch.len();
        self.ready.extend_from_slice(&self.scratch);
        kind
    }

    fn ms(&self, ms: u32) -> usize {
        (self.sample_rate / 1000 * ms) as usize
    }

    fn units(&self, samples: usize) -> u32 {
        (samples as u64 * u64::from(CLOCK) / u64::from(self.sample_rate)) as u32
    }

    fn samples(&self, units: u32) -> usize {
        (u64::from(units) * u64::from(self.sample_rate) / u64::from(CLOCK)) as usize
    }
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
        let codecs = vec![(0, CodecKind::Pcmu.codec())];
        Playout::new(codecs, 8000, Limits::default(), 1)
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
