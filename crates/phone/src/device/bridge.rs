//! Between a device's own thread and the sound thread: rings without locks.
//!
//! The device's side ([`Inlet`], [`Outlet`]) runs in the device's real-time callback: it neither waits nor allocates. The
//! sound thread's side ([`RingCapture`], [`RingPlayback`]) changes the rate, makes up for drift, and copes with a device
//! that is early, late, or gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use media::resample::{Resampler, UnsupportedRate};
use rtrb::{Consumer, Producer, RingBuffer};

use super::drift::{Balance, Trim};
use super::{Capture, Playback};

/// What a ring holds, in milliseconds. More than that a device is never ahead.
const RING_MS: u32 = 500;

/// What a device has done, told by its callback and read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Samples per second.
    pub(crate) rate: AtomicU32,
    /// Samples that came from a microphone, or went to a speaker.
    pub(crate) moved: AtomicU64,
    /// Of a microphone's, those that were not exactly zero.
    pub(crate) sounding: AtomicU64,
    /// Times that a speaker found nothing to play while sound was flowing.
    pub(crate) dry: AtomicU64,
    /// Times that a microphone found the ring full: nobody listens, or not fast enough.
    pub(crate) full: AtomicU64,
    /// Samples that a speaker is to have waiting beyond what it asks for before it begins.
    pub(crate) margin: AtomicUsize,
    /// The device has reported that it is gone.
    pub(crate) gone: AtomicBool,
}

/// How often sound was lost between a device and the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slips {
    /// Times that there was nothing to take.
    pub dry: u64,
    /// Samples thrown away because there were too many.
    pub dropped: u64,
}

/// The microphone's side of a ring.
pub(crate) struct Inlet {
    ring: Producer<i16>,
    channels: usize,
    health: Arc<Health>,
}

impl Inlet {
    /// Takes what the device recorded, all channels interleaved, as shares of full scale.
    pub(crate) fn deliver(&mut self, samples: impl ExactSizeIterator<Item = f32>) {
        let channels = self.channels.max(1);
        let frames = samples.len() / channels;
        let (mut sum, mut at, mut sounding, mut is_full) = (0.0f32, 0, 0, false);
        for sample in samples {
            sum += sample;
            at += 1;
            if at < channels {
                continue;
            }
            sounding += u64::from(sum != 0.0);
            let mean = sum / channels as f32;
            let value = (mean * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
            is_full |= self.ring.push(value).is_err();
            (sum, at) = (0.0, 0);
        }
        self.health.sounding.fetch_add(sounding, Ordering::Relaxed);
        self.health
            .full
            .fetch_add(u64::from(is_full), Ordering::Relaxed);
        self.health
            .moved
            .fetch_add(frames as u64, Ordering::Relaxed);
    }
}

/// The speaker's side of a ring.
pub(crate) struct Outlet {
    ring: Consumer<i16>,
    channels: usize,
    flowing: bool,
    health: Arc<Health>,
}

impl Outlet {
    /// Yields what the device is to play: `put` is called once for each sample of each channel.
    pub(crate) fn request(&mut self, samples: usize, mut put: impl FnMut(usize, f32)) {
        let channels = self.channels.max(1);
        let frames = samples / channels;
        let waiting = self.ring.slots();
        // After it ran dry, sound begins again only when enough waits to go on.
        let most = self.ring.buffer().capacity() / 2;
        let enough = frames + self.health.margin.load(Ordering::Relaxed);
        if !self.flowing && waiting >= enough.min(most) {
            self.flowing = true;
        }
        for frame in 0..frames {
            let value = match self.flowing.then(|| self.ring.pop()) {
                Some(Ok(sample)) => f32::from(sample) / 32_768.0,
                Some(Err(_)) => {
                    self.flowing = false;
                    self.health.dry.fetch_add(1, Ordering::Relaxed);
                    0.0
                }
                None => 0.0,
            };
            for channel in 0..channels {
                put(frame * channels + channel, value);
            }
        }
        self.health
            .moved
            .fetch_add(frames as u64, Ordering::Relaxed);
    }
}

/// A ring from a microphone of `channels` at `rate` Hz.
///
/// # Errors
/// [`UnsupportedRate`]
pub(crate) fn capture(
    rate: u32,
    channels: u16,
    health: Arc<Health>,
) -> Result<(Inlet, RingCapture), UnsupportedRate> {
    Resampler::new(rate, 8000)?;
    health.rate.store(rate, Ordering::Relaxed);
    let (producer, consumer) = RingBuffer::new((rate * RING_MS / 1000) as usize);
    let inlet = Inlet {
        ring: producer,
        channels: usize::from(channels),
        health,
    };
    let end = RingCapture {
        ring: consumer,
        rate,
        balance: Balance::new(rate),
        trim: Trim::default(),
        is_filling: true,
        resampler: None,
        ready: VecDeque::new(),
        slips: Slips::default(),
        raw: Vec::new(),
        trimmed: Vec::new(),
        resampled: Vec::new(),
    };
    Ok((inlet, end))
}

/// A ring to a speaker of `channels` at `rate` Hz.
///
/// # Errors
/// [`UnsupportedRate`]
pub(crate) fn playback(
    rate: u32,
    channels: u16,
    health: Arc<Health>,
) -> Result<(Outlet, RingPlayback), UnsupportedRate> {
    Resampler::new(8000, rate)?;
    health.rate.store(rate, Ordering::Relaxed);
    let (producer, consumer) = RingBuffer::new((rate * RING_MS / 1000) as usize);
    let balance = Balance::new(rate);
    health.margin.store(balance.margin(), Ordering::Relaxed);
    let outlet = Outlet {
        ring: consumer,
        channels: usize::from(channels),
        flowing: false,
        health: health.clone(),
    };
    let end = RingPlayback {
        ring: producer,
        rate,
        balance,
        trim: Trim::default(),
        resampler: None,
        health,
        seen_dry: None,
        surplus: 0,
        slips: Slips::default(),
        resampled: Vec::new(),
        trimmed: Vec::new(),
    };
    Ok((outlet, end))
}

/// A microphone as the sound thread reads it.
pub(crate) struct RingCapture {
    ring: Consumer<i16>,
    rate: u32,
    balance: Balance,
    trim: Trim,
    /// Silence is read until enough has come to go on without a gap.
    is_filling: bool,
    resampler: Option<(u32, Resampler)>,
    ready: VecDeque<i16>,
    slips: Slips,
    raw: Vec<i16>,
    trimmed: Vec<i16>,
    resampled: Vec<i16>,
}

impl RingCapture {
    /// Takes so many samples from the ring into `raw`; silence where there are none.
    fn take(&mut self, wanted: usize) {
        self.raw.clear();
        let waiting = self.ring.slots();
        let enough = wanted + self.balance.margin();
        if self.is_filling && waiting >= enough {
            self.is_filling = false;
            // What was said before anybody listened is not for the call.
            self.discard(waiting - enough);
        }
        if !self.is_filling {
            while self.raw.len() < wanted
                && let Ok(sample) = self.ring.pop()
            {
                self.raw.push(sample);
            }
            if self.raw.len() < wanted {
                self.is_filling = true;
                self.slips.dry += 1;
                self.balance.ran_dry();
            }
        }
        self.raw.resize(wanted, 0);
    }

    fn discard(&mut self, samples: usize) {
        for _ in 0..samples {
            let _ = self.ring.pop();
        }
    }

    /// Makes `outputs` samples at the device's rate and puts them through the resampler.
    fn more(&mut self, rate: u32, outputs: usize) -> bool {
        if self.resampler.as_ref().is_none_or(|(to, _)| *to != rate) {
            self.resampler = Resampler::new(self.rate, rate).ok().map(|r| (rate, r));
        }
        let Some((_, mut resampler)) = self.resampler.take() else {
            return false;
        };
        let ratio = self.balance.ratio();
        let needed = self.trim.needed(outputs, ratio);
        self.take(needed);
        self.trimmed.clear();
        self.trim.push(&self.raw, ratio, &mut self.trimmed);
        self.resampled.clear();
        resampler.process(&self.trimmed, &mut self.resampled);
        self.ready.extend(&self.resampled);
        self.resampler = Some((rate, resampler));
        if !self.is_filling {
            let surplus = self.balance.observe(self.ring.slots(), needed);
            self.discard(surplus);
            self.slips.dropped += surplus as u64;
        }
        true
    }
}

impl Capture for RingCapture {
    fn read(&mut self, rate: u32, frame: &mut [i16]) {
        while self.ready.len() < frame.len() {
            let missing = (frame.len() - self.ready.len()) as u64;
            let outputs = (missing * u64::from(self.rate)).div_ceil(u64::from(rate.max(1)));
            if !self.more(rate, outputs as usize) {
                break;
            }
        }
        for sample in frame.iter_mut() {
            *sample = self.ready.pop_front().unwrap_or(0);
        }
    }

    fn slips(&self) -> Slips {
        self.slips
    }
}

/// A speaker as the sound thread feeds it.
pub(crate) struct RingPlayback {
    ring: Producer<i16>,
    rate: u32,
    balance: Balance,
    trim: Trim,
    resampler: Option<(u32, Resampler)>,
    health: Arc<Health>,
    /// How often it had run dry when we last looked; what happened before we began is not counted.
    seen_dry: Option<u64>,
    /// Samples that are still to be thrown away.
    surplus: usize,
    slips: Slips,
    resampled: Vec<i16>,
    trimmed: Vec<i16>,
}

impl Playback for RingPlayback {
    fn write(&mut self, rate: u32, frame: &[i16]) {
        if self
            .resampler
            .as_ref()
            .is_none_or(|(from, _)| *from != rate)
        {
            self.resampler = Resampler::new(rate, self.rate).ok().map(|r| (rate, r));
        }
        let Some((_, resampler)) = &mut self.resampler else {
            return;
        };
        let dry = self.health.dry.load(Ordering::Relaxed);
        if self.seen_dry.is_some_and(|seen| seen != dry) {
            self.slips.dry += 1;
            self.balance.ran_dry();
            let margin = self.balance.margin();
            self.health.margin.store(margin, Ordering::Relaxed);
        }
        self.seen_dry = Some(dry);
        let waiting = self.ring.buffer().capacity() - self.ring.slots();
        self.resampled.clear();
        resampler.process(frame, &mut self.resampled);
        self.trimmed.clear();
        let ratio = self.balance.ratio();
        self.trim.push(&self.resampled, ratio, &mut self.trimmed);
        self.surplus += self.balance.observe(waiting, self.trimmed.len());
        let skipped = self.surplus.min(self.trimmed.len());
        self.surplus -= skipped;
        let wanted = self.trimmed.get(skipped..).unwrap_or_default();
        let (_, left) = self.ring.push_partial_slice(wanted);
        self.slips.dropped += (skipped + left.len()) as u64;
    }

    fn slips(&self) -> Slips {
        self.slips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(inlet: &mut Inlet, samples: &[f32]) {
        inlet.deliver(samples.iter().copied());
    }

    fn request(outlet: &mut Outlet, samples: usize) -> Vec<f32> {
        let mut out = vec![9.0; samples];
        outlet.request(samples, |at, value| out[at] = value);
        out
    }

    #[test]
    fn channels_are_mixed_down_and_digital_silence_is_told_from_sound() {
        let health = Arc::new(Health::default());
        let (mut inlet, _end) = capture(48_000, 2, health.clone()).unwrap();
        deliver(&mut inlet, &[0.0; 960]);
        assert_eq!(health.moved.load(Ordering::Relaxed), 480);
        assert_eq!(health.sounding.load(Ordering::Relaxed), 0);
        // Far below what 16 bits can hold, but a microphone that lives.
        deliver(&mut inlet, &[1e-7, 0.0]);
        assert_eq!(health.sounding.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_full_ring_takes_no_more_and_says_so() {
        let health = Arc::new(Health::default());
        let (mut inlet, mut end) = capture(8000, 1, health.clone()).unwrap();
        for _ in 0..100 {
            deliver(&mut inlet, &[0.5; 160]);
        }
        assert!(health.full.load(Ordering::Relaxed) > 0);
        assert_eq!(end.ring.slots(), 4000);
        // The first read throws away what nobody listened to.
        let mut frame = [0i16; 160];
        end.read(8000, &mut frame);
        assert_eq!(end.ring.slots(), end.balance.margin());
        assert_eq!(frame[100], 16_384);
        assert_eq!(end.slips(), Slips::default());
    }

    #[test]
    fn a_microphone_that_pauses_gives_silence_once_and_then_goes_on() {
        let (mut inlet, mut end) = capture(48_000, 1, Arc::new(Health::default())).unwrap();
        let mut frame = [7i16; 160];
        end.read(16_000, &mut frame);
        assert_eq!((frame, end.slips().dry), ([0; 160], 0), "not begun yet");
        let mut heard = 0;
        for tick in 0..500 {
            // Nothing for 100 ms in the middle.
            if !(200..210).contains(&tick) {
                deliver(&mut inlet, &[0.25; 480]);
            }
            end.read(16_000, &mut frame);
            heard += usize::from(frame[80] != 0);
        }
        assert_eq!(end.slips().dry, 1);
        assert!((470..490).contains(&heard), "{heard}");
    }

    #[test]
    fn a_speaker_begins_when_enough_waits_and_runs_dry_once() {
        let health = Arc::new(Health::default());
        let (mut outlet, mut end) = playback(48_000, 2, health.clone()).unwrap();
        assert_eq!(request(&mut outlet, 960), vec![0.0; 960]);
        assert_eq!(health.dry.load(Ordering::Relaxed), 0, "it has not begun");
        let tone = vec![8192i16; 160];
        for _ in 0..4 {
            end.write(16_000, &tone);
        }
        let played = request(&mut outlet, 960);
        let played = [played, request(&mut outlet, 960)].concat();
        assert!(
            played[1800..].iter().all(|s| (*s - 0.25).abs() < 0.01),
            "{:?}",
            &played[1800..1820]
        );
        for _ in 0..10 {
            request(&mut outlet, 960);
        }
        assert_eq!(health.dry.load(Ordering::Relaxed), 1);
        end.write(16_000, &tone);
        assert_eq!(end.slips().dry, 1);
    }

    #[test]
    fn a_speaker_that_stands_still_loses_sound_and_counts_it() {
        let (_outlet, mut end) = playback(8000, 1, Arc::new(Health::default())).unwrap();
        for _ in 0..100 {
            end.write(8000, &[1; 160]);
        }
        assert!(end.slips().dropped > 10_000, "{:?}", end.slips());
        assert!(capture(100, 1, Arc::new(Health::default())).is_err());
    }

    /// Microphone to sound thread to speaker with clocks that differ, in virtual time.
    #[test]
    fn drifting_devices_neither_run_dry_nor_pile_up() {
        for ppm in [-700.0, 700.0] {
            let health = Arc::new(Health::default());
            let (mut inlet, mut source) = capture(44_100, 1, Arc::new(Health::default())).unwrap();
            let (mut outlet, mut sink) = playback(48_000, 2, health.clone()).unwrap();
            let (mut recorded, mut played) = (0.0, 0.0);
            let mut frame = [0i16; 320];
            for tick in 0..2000u32 {
                let now = f64::from(tick) * 0.02;
                while recorded / 44_100.0 / (1.0 + ppm / 1e6) <= now {
                    deliver(&mut inlet, &[0.3; 441]);
                    recorded += 441.0;
                }
                while played / 48_000.0 / (1.0 - ppm / 1e6) <= now {
                    request(&mut outlet, 960);
                    played += 480.0;
                }
                source.read(16_000, &mut frame);
                sink.write(16_000, &frame);
            }
            assert!(
                source.slips().dry <= 1 && sink.slips().dry <= 1,
                "{ppm}: {:?} {:?}",
                source.slips(),
                sink.slips()
            );
            assert_eq!(
                (source.slips().dropped, sink.slips().dropped),
                (0, 0),
                "{ppm}"
            );
            assert!(
                outlet.ring.slots() < 48 * 60,
                "{ppm}: {} wait",
                outlet.ring.slots()
            );
            assert!(
                source.ring.slots() < 44 * 60,
                "{ppm}: {} wait",
                source.ring.slots()
            );
        }
    }
}
