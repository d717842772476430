//! One microphone and one speaker for all calls: gains, meters, cleaning, mixing.
//!
//! The sound thread brings what a call heard and fetches what it is to say, frame by frame ([`Engine::exchange`]). The call
//! that comes first leads: with its frames the devices are read and written in steps of 10 ms. The others put what they
//! heard beside it and take what the microphone gave.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use media::resample::Resampler;

use super::clean::Cleaner;
use super::level::{Meter, load, store};
use super::{Capture, Playback};

/// Calls that may share the devices.
const PORTS: usize = 64;
/// What may wait for a call, or from one, in milliseconds.
const WAITING_MS: usize = 200;
/// So much of another call's sound waits only when the call that led has stopped, in milliseconds.
const LEADERLESS_MS: usize = 80;
/// The loudest that a gain may be: 20 dB.
const MOST_GAIN: f32 = 10.0;

/// Knobs and meters, turned and read by anybody.
#[derive(Debug)]
pub(crate) struct Controls {
    microphone_gain: AtomicU32,
    speaker_gain: AtomicU32,
    is_muted: AtomicBool,
    pub(crate) said: Meter,
    pub(crate) heard: Meter,
}

impl Default for Controls {
    fn default() -> Controls {
        Controls {
            microphone_gain: AtomicU32::new(1.0f32.to_bits()),
            speaker_gain: AtomicU32::new(1.0f32.to_bits()),
            is_muted: AtomicBool::new(false),
            said: Meter::default(),
            heard: Meter::default(),
        }
    }
}

impl Controls {
    pub(crate) fn set_microphone_gain(&self, gain: f32) {
        store(&self.microphone_gain, usable(gain));
    }

    pub(crate) fn microphone_gain(&self) -> f32 {
        load(&self.microphone_gain)
    }

    pub(crate) fn set_speaker_gain(&self, gain: f32) {
        store(&self.speaker_gain, usable(gain));
    }

    pub(crate) fn speaker_gain(&self) -> f32 {
        load(&self.speaker_gain)
    }

    pub(crate) fn mute(&self, muted: bool) {
        self.is_muted.store(muted, Ordering::Relaxed);
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.is_muted.load(Ordering::Relaxed)
    }
}

fn usable(gain: f32) -> f32 {
    if gain.is_finite() {
        gain.clamp(0.0, MOST_GAIN)
    } else {
        1.0
    }
}

/// The devices and the calls that use them.
pub(crate) struct Engine {
    capture: Box<dyn Capture>,
    playback: Box<dyn Playback>,
    controls: Arc<Controls>,
    cleaner: Option<Cleaner>,
    cancels_echo: bool,
    suppresses_noise: bool,
    /// Samples per second that all of it works at.
    rate: u32,
    ports: BTreeMap<u64, Port>,
    leader: Option<u64>,
    step: Vec<i16>,
    played: Vec<i16>,
    mix: Vec<i32>,
    scratch: Vec<i16>,
}

/// One call's share.
struct Port {
    rate: u32,
    up: Option<Resampler>,
    down: Option<Resampler>,
    /// What the call heard, at the engine's rate.
    heard: VecDeque<i16>,
    /// What the microphone gave, at the engine's rate.
    said: VecDeque<i16>,
    /// The same at the call's rate.
    ready: VecDeque<i16>,
    /// A call that does not lead waits for a little more than it needs, so that it never runs dry.
    is_filling: bool,
}

impl Engine {
    pub(crate) fn new(
        capture: Box<dyn Capture>,
        playback: Box<dyn Playback>,
        controls: Arc<Controls>,
    ) -> Engine {
        let mut engine = Engine {
            capture,
            playback,
            controls,
            cleaner: None,
            cancels_echo: false,
            suppresses_noise: false,
            rate: 0,
            ports: BTreeMap::new(),
            leader: None,
            step: Vec::new(),
            played: Vec::new(),
            mix: Vec::new(),
            scratch: Vec::new(),
        };
        engine.work_at(16_000);
        engine
    }

    /// Takes the speaker's echo out of the microphone's sound from now on, and steady noise, or not.
    pub(crate) fn clean(&mut self, cancels_echo: bool, suppresses_noise: bool) {
        if (self.cancels_echo, self.suppresses_noise) != (cancels_echo, suppresses_noise) {
            (self.cancels_echo, self.suppresses_noise) = (cancels_echo, suppresses_noise);
            self.cleaner = Cleaner::new(self.rate, cancels_echo, suppresses_noise);
        }
    }

    /// Puts another microphone in the place of the present one, which is returned.
    pub(crate) fn set_capture(&mut self, capture: Box<dyn Capture>) -> Box<dyn Capture> {
        std::mem::replace(&mut self.capture, capture)
    }

    /// Puts another speaker in the place of the present one, which is returned.
    pub(crate) fn set_playback(&mut self, playback: Box<dyn Playback>) -> Box<dyn Playback> {
        std::mem::replace(&mut self.playback, playback)
    }

    /// The devices.
    pub(crate) fn ends(&self) -> (&dyn Capture, &dyn Playback) {
        (&*self.capture, &*self.playback)
    }

    /// The call `id` has `heard` a frame at `rate` and, when it talks, fills as long a frame with what it is to say.
    pub(crate) fn exchange(&mut self, id: u64, rate: u32, heard: &[i16], said: Option<&mut [i16]>) {
        self.admit(id, rate);
        self.hear(id, heard);
        self.lead(id);
        match said {
            Some(said) => self.say(id, said),
            None => {
                if let Some(port) = self.ports.get_mut(&id) {
                    port.said.clear();
                    port.ready.clear();
                }
            }
        }
    }

    /// The call is over.
    pub(crate) fn leave(&mut self, id: u64) {
        self.ports.remove(&id);
        if self.leader == Some(id) {
            self.leader = None;
        }
        let wanted = self.wanted_rate();
        if wanted != self.rate {
            self.work_at(wanted);
        }
    }

    /// Makes the port, or makes it anew when the call changed its codec.
    fn admit(&mut self, id: u64, rate: u32) {
        let known = self.ports.get(&id).is_some_and(|port| port.rate == rate);
        if known || (!self.ports.contains_key(&id) && self.ports.len() >= PORTS) {
            return;
        }
        self.ports.insert(id, Port::new(rate, self.rate));
        let wanted = self.wanted_rate();
        if wanted != self.rate {
            self.work_at(wanted);
        }
    }

    /// As high as the finest call needs.
    fn wanted_rate(&self) -> u32 {
        let finest = self.ports.values().map(|port| port.rate).max();
        if finest.unwrap_or(0) > 16_000 {
            48_000
        } else {
            16_000
        }
    }

    fn work_at(&mut self, rate: u32) {
        self.rate = rate;
        self.cleaner = Cleaner::new(rate, self.cancels_echo, self.suppresses_noise);
        self.step.resize(rate as usize / 100, 0);
        for port in self.ports.values_mut() {
            *port = Port::new(port.rate, rate);
        }
    }

    fn hear(&mut self, id: u64, heard: &[i16]) {
        let most = self.rate as usize * WAITING_MS / 1000;
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        self.scratch.clear();
        match &mut port.up {
            Some(resampler) => resampler.process(heard, &mut self.scratch),
            None => self.scratch.extend_from_slice(heard),
        }
        port.heard.extend(&self.scratch);
        let surplus = port.heard.len().saturating_sub(most);
        port.heard.drain(..surplus);
    }

    /// Reads and writes the devices when this call leads, or when nobody does any more.
    fn lead(&mut self, id: u64) {
        let waiting = self.ports.get(&id).map_or(0, |port| port.heard.len());
        if self.leader.is_none() || waiting > self.rate as usize * LEADERLESS_MS / 1000 {
            self.leader = Some(id);
        }
        if self.leader != Some(id) {
            return;
        }
        let step = self.step.len();
        for _ in 0..waiting / step.max(1) {
            self.one_step();
        }
    }

    /// 10 ms each way.
    fn one_step(&mut self) {
        let mut frame = std::mem::take(&mut self.step);
        self.mix_heard(&mut frame);
        scale(&mut frame, self.controls.speaker_gain());
        self.controls.heard.measure(&frame);
        self.playback.write(self.rate, &frame);
        self.played.clone_from(&frame);
        self.capture.read(self.rate, &mut frame);
        if let Some(cleaner) = &mut self.cleaner {
            cleaner.clean(&self.played, &mut frame);
        }
        scale(&mut frame, self.controls.microphone_gain());
        self.controls.said.measure(&frame);
        if self.controls.is_muted() {
            frame.fill(0);
        }
        let most = self.rate as usize * WAITING_MS / 1000;
        for port in self.ports.values_mut() {
            port.said.extend(&frame);
            let surplus = port.said.len().saturating_sub(most);
            port.said.drain(..surplus);
        }
        self.step = frame;
    }

    fn mix_heard(&mut self, frame: &mut [i16]) {
        self.mix.clear();
        self.mix.resize(frame.len(), 0);
        for port in self.ports.values_mut() {
            let length = frame.len().min(port.heard.len());
            for (sum, sample) in self.mix.iter_mut().zip(port.heard.drain(..length)) {
                *sum += i32::from(sample);
            }
        }
        for (sample, sum) in frame.iter_mut().zip(&self.mix) {
            *sample = (*sum).clamp(-32_768, 32_767) as i16;
        }
    }

    fn say(&mut self, id: u64, said: &mut [i16]) {
        said.fill(0);
        let leads = self.leader == Some(id);
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        let wanted = said.len() as u64 * u64::from(self.rate) / u64::from(port.rate.max(1));
        let wanted = wanted as usize;
        let enough = wanted + if leads { 0 } else { self.rate as usize / 100 };
        if port.is_filling && port.said.len() < enough {
            return;
        }
        port.is_filling = !leads && port.said.len() < wanted;
        let taken = wanted.min(port.said.len());
        self.scratch.clear();
        self.scratch.extend(port.said.drain(..taken));
        match &mut port.down {
            Some(resampler) => {
                let mut out = Vec::with_capacity(said.len());
                resampler.process(&self.scratch, &mut out);
                port.ready.extend(out);
            }
            None => port.ready.extend(&self.scratch),
        }
        for sample in said.iter_mut() {
            *sample = port.ready.pop_front().unwrap_or(0);
        }
    }
}

impl Port {
    fn new(rate: u32, engine: u32) -> Port {
        let between = |from, to| {
            (from != to)
                .then(|| Resampler::new(from, to).ok())
                .flatten()
        };
        Port {
            rate,
            up: between(rate, engine),
            down: between(engine, rate),
            heard: VecDeque::new(),
            said: VecDeque::new(),
            ready: VecDeque::new(),
            is_filling: true,
        }
    }
}

fn scale(frame: &mut [i16], gain: f32) {
    if gain == 1.0 {
        return;
    }
    for sample in frame {
        *sample = (f32::from(*sample) * gain)
            .round()
            .clamp(-32_768.0, 32_767.0) as i16;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::bridge::Slips;
    use super::*;

    /// A microphone that hums at one level.
    struct Hum(i16);

    impl Capture for Hum {
        fn read(&mut self, _: u32, frame: &mut [i16]) {
            frame.fill(self.0);
        }

        fn slips(&self) -> Slips {
            Slips::default()
        }
    }

    /// A speaker that remembers.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<i16>>>);

    impl Playback for Memory {
        fn write(&mut self, _: u32, frame: &[i16]) {
            self.0.lock().unwrap().extend(frame);
        }

        fn slips(&self) -> Slips {
            Slips::default()
        }
    }

    fn engine(hum: i16) -> (Engine, Memory, Arc<Controls>) {
        let (memory, controls) = (Memory::default(), Arc::new(Controls::default()));
        let engine = Engine::new(
            Box::new(Hum(hum)),
            Box::new(memory.clone()),
            controls.clone(),
        );
        (engine, memory, controls)
    }

    #[test]
    fn one_call_hears_and_says_at_its_own_rate() {
        for (rate, work) in [(8000, 16_000), (16_000, 16_000), (48_000, 48_000)] {
            let (mut engine, memory, _) = engine(1000);
            let length = rate as usize / 50;
            let mut said = vec![0i16; length];
            for _ in 0..50 {
                engine.exchange(1, rate, &vec![500; length], Some(&mut said));
            }
            assert!(
                said.iter().all(|s| (995..=1005).contains(s)),
                "{rate}: {said:?}"
            );
            let played = memory.0.lock().unwrap();
            assert_eq!(played.len(), work, "{rate}");
            assert!(
                played[work / 2..].iter().all(|s| (495..=505).contains(s)),
                "{rate}"
            );
        }
    }

    #[test]
    fn volume_and_mute() {
        let (mut engine, memory, controls) = engine(1000);
        let mut said = [0i16; 320];
        controls.set_microphone_gain(2.0);
        controls.set_speaker_gain(0.5);
        engine.exchange(1, 16_000, &[600; 320], Some(&mut said));
        assert_eq!(said, [2000; 320]);
        assert_eq!(memory.0.lock().unwrap()[..], [300; 320]);
        controls.mute(true);
        engine.exchange(1, 16_000, &[600; 320], Some(&mut said));
        assert_eq!(said, [0; 320]);
        assert!(
            controls.said.level().rms > 0.01,
            "one sees that one speaks while muted"
        );
        controls.mute(false);
        controls.set_microphone_gain(f32::NAN);
        assert_eq!(controls.microphone_gain(), 1.0);
        controls.set_microphone_gain(1e9);
        engine.exchange(1, 16_000, &[600; 320], Some(&mut said));
        assert_eq!(said, [10_000; 320]);
    }

    #[test]
    fn two_calls_are_mixed_and_the_second_goes_on_when_the_first_ends() {
        let (mut engine, memory, _) = engine(1000);
        let mut said = [0i16; 320];
        for _ in 0..20 {
            engine.exchange(1, 16_000, &[500; 320], Some(&mut said));
            engine.exchange(2, 16_000, &[70; 320], Some(&mut said));
        }
        assert_eq!(said, [1000; 320]);
        assert_eq!(memory.0.lock().unwrap()[6000..6080], [570; 80]);
        engine.leave(1);
        let before = memory.0.lock().unwrap().len();
        for _ in 0..10 {
            engine.exchange(2, 16_000, &[70; 320], Some(&mut said));
            assert_eq!(said, [1000; 320]);
        }
        let played = memory.0.lock().unwrap();
        assert_eq!(played[played.len() - 10..], [70; 10]);
        assert!(played.len() >= before + 9 * 320);
    }

    #[test]
    fn a_call_that_stops_without_a_word_does_not_stop_the_others() {
        let (mut engine, memory, _) = engine(1000);
        let mut said = [0i16; 320];
        engine.exchange(1, 16_000, &[0; 320], Some(&mut said));
        for _ in 0..50 {
            engine.exchange(2, 16_000, &[70; 320], Some(&mut said));
        }
        assert_eq!(said, [1000; 320]);
        assert!(memory.0.lock().unwrap().len() > 40 * 320);
    }

    #[test]
    fn who_only_listens_says_nothing_old_later() {
        let (mut engine, memory, _) = engine(1000);
        for _ in 0..10 {
            engine.exchange(1, 8000, &[500; 160], None);
        }
        assert_eq!(memory.0.lock().unwrap().len(), 3200);
        assert!(engine.ports[&1].said.is_empty());
    }

    #[test]
    fn calls_beyond_the_bound_get_silence() {
        let (mut engine, _, _) = engine(1000);
        let mut said = [5i16; 160];
        for id in 0..PORTS as u64 + 1 {
            engine.exchange(id, 8000, &[0; 160], Some(&mut said));
        }
        assert_eq!((engine.ports.len(), said), (PORTS, [0; 160]));
    }
}
