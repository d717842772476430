//! One microphone and one speaker, open, for all calls that want them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::bridge::{Health, Slips};
use super::engine::{Controls, Engine};
use super::file::{FileCapture, FilePlayback};
use super::keeper::{Keeper, Owner, patiently};
use super::level::Level;
use super::null::Null;
use super::system::System;
use super::{Capture, Choice, Device, DeviceChange, Playback, Role};
use crate::event::{Event, EventSink};
use crate::readiness::{NotReady, Reason};
use crate::sound::{Player, Recorder};

/// How often the devices are looked after.
const LOOK: Duration = Duration::from_millis(500);
/// Longer than a system needs to open its devices.
const OPENING: Duration = Duration::from_secs(8);
/// What is said when it takes longer.
const STUCK: &str = "the system's sound does not answer";
/// How often a busy device is tried, and how long in between.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// Which devices, and what is done to their sound.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What is said.
    pub microphone: Choice,
    /// Where it is heard.
    pub speaker: Choice,
    /// Takes the speaker's sound out of the microphone's; only where both are devices of the system.
    pub cancels_echo: bool,
    /// Lowers steady noise of a microphone of the system.
    pub suppresses_noise: bool,
    /// How much the microphone is amplified: 1.0 leaves it as it is.
    pub microphone_gain: f32,
    /// How much the speaker is amplified.
    pub speaker_gain: f32,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            microphone: Choice::Default,
            speaker: Choice::Default,
            cancels_echo: true,
            suppresses_noise: true,
            microphone_gain: 1.0,
            speaker_gain: 1.0,
        }
    }
}

/// How loud it is here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// What the microphone gives, as the calls get it but for muting.
    pub microphone: Level,
    /// What the speaker plays.
    pub speaker: Level,
}

/// An open microphone and speaker. They are closed when it and all its ports are dropped.
#[derive(Clone)]
pub struct Headset(Arc<Open>);

/// What its owners hold.
struct Open {
    shared: Arc<Shared>,
    // Its end ends the keeper.
    wishes: SyncSender<Wish>,
}

/// Another device, wished for in the middle of a call.
struct Wish {
    role: Role,
    choice: Choice,
    outcome: SyncSender<Result<(), NotReady>>,
}

/// A headset that is used as long as somebody else keeps it open.
#[derive(Clone)]
pub(crate) struct WeakHeadset(Weak<Open>);

impl fmt::Debug for WeakHeadset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.upgrade().fmt(f)
    }
}

impl WeakHeadset {
    pub(crate) fn upgrade(&self) -> Option<Headset> {
        self.0.upgrade().map(Headset)
    }
}

/// What the keeper, the sound thread and the owner share.
struct Shared {
    engine: Mutex<Engine>,
    controls: Arc<Controls>,
    uses: Mutex<[Option<Use>; 2]>,
    cleaning: Mutex<Cleaning>,
    sink: Mutex<Option<EventSink>>,
    ports: AtomicU64,
}

/// What is wanted of the cleaning, and whether there is anything to clean.
struct Cleaning {
    cancels_echo: bool,
    suppresses_noise: bool,
    microphone_is_real: bool,
    speaker_is_real: bool,
}

/// What is used in one role.
#[derive(Clone)]
struct Use {
    name: String,
    health: Option<Arc<Health>>,
}

impl Headset {
    /// Opens what was chosen.
    ///
    /// # Errors
    /// [`NotReady`] saying which of them cannot be had, and why.
    pub fn open(setup: &Setup) -> Result<Headset, NotReady> {
        let controls = Arc::new(Controls::default());
        controls.set_microphone_gain(setup.microphone_gain);
        controls.set_speaker_gain(setup.speaker_gain);
        let (microphone, capture) = fixed_capture(&setup.microphone)?;
        let (speaker, playback) = fixed_playback(&setup.speaker)?;
        let fixed = |name: Option<String>| name.map(|name| Use { name, health: None });
        let shared = Arc::new(Shared {
            engine: Mutex::new(Engine::new(capture, playback, controls.clone())),
            controls,
            uses: Mutex::new([fixed(microphone), fixed(speaker)]),
            cleaning: Mutex::new(Cleaning {
                cancels_echo: setup.cancels_echo,
                suppresses_noise: setup.suppresses_noise,
                microphone_is_real: setup.microphone.is_system(),
                speaker_is_real: setup.speaker.is_system(),
            }),
            sink: Mutex::new(None),
            ports: AtomicU64::new(0),
        });
        shared.clean();
        let wishes = keep(setup, shared.clone())?;
        Ok(Headset(Arc::new(Open { shared, wishes })))
    }

    /// Uses another device from now on; calls go on.
    ///
    /// # Errors
    /// [`NotReady`] when it cannot be had; the present one stays.
    pub fn choose(&self, role: Role, choice: &Choice) -> Result<(), NotReady> {
        let (outcome, wait) = sync_channel(1);
        let wish = Wish {
            role,
            choice: choice.clone(),
            outcome,
        };
        let stuck = || NotReady::new(Reason::Failed, role).because(STUCK);
        self.0.wishes.try_send(wish).map_err(|_| stuck())?;
        wait.recv_timeout(OPENING).unwrap_or_else(|_| Err(stuck()))
    }

    /// Takes the speaker's sound out of the microphone's or not, and steady noise or not.
    pub fn set_cleaning(&self, cancels_echo: bool, suppresses_noise: bool) {
        let mut cleaning = lock(&self.0.shared.cleaning);
        cleaning.cancels_echo = cancels_echo;
        cleaning.suppresses_noise = suppresses_noise;
        drop(cleaning);
        self.0.shared.clean();
    }

    /// The same headset, without keeping it open.
    pub(crate) fn downgrade(&self) -> WeakHeadset {
        WeakHeadset(Arc::downgrade(&self.0))
    }

    /// A way in for one call, or for whoever else wants to play and record.
    pub fn port(&self) -> Port {
        Port {
            id: self.0.shared.ports.fetch_add(1, Ordering::Relaxed),
            headset: self.clone(),
        }
    }

    /// Sends [`Event::Device`] there from now on. A phone does it by itself for the ports of its calls.
    pub fn tell(&self, sink: EventSink) {
        *lock(&self.0.shared.sink) = Some(sink);
    }

    /// What is used in this role now; `None` when it is gone and nothing has taken its place.
    pub fn name(&self, role: Role) -> Option<String> {
        self.used(role).map(|used| used.name)
    }

    /// Amplifies the microphone: 1.0 leaves it as it is, 10.0 is the most.
    pub fn set_microphone_gain(&self, gain: f32) {
        self.0.shared.controls.set_microphone_gain(gain);
    }

    /// How much the microphone is amplified.
    pub fn microphone_gain(&self) -> f32 {
        self.0.shared.controls.microphone_gain()
    }

    /// Amplifies the speaker: 1.0 leaves it as it is, 0.0 is silence, 10.0 the most.
    pub fn set_speaker_gain(&self, gain: f32) {
        self.0.shared.controls.set_speaker_gain(gain);
    }

    /// How much the speaker is amplified.
    pub fn speaker_gain(&self) -> f32 {
        self.0.shared.controls.speaker_gain()
    }

    /// Sends silence in place of the microphone, or no longer. The meter goes on.
    pub fn mute(&self, muted: bool) {
        self.0.shared.controls.mute(muted);
    }

    /// Whether silence is sent.
    pub fn is_muted(&self) -> bool {
        self.0.shared.controls.is_muted()
    }

    /// How loud it is; it changes while a port is in use.
    pub fn levels(&self) -> Levels {
        Levels {
            microphone: self.0.shared.controls.said.level(),
            speaker: self.0.shared.controls.heard.level(),
        }
    }

    /// How often sound was lost between the devices and the calls, since each was opened.
    pub fn slips(&self, role: Role) -> Slips {
        let engine = lock(&self.0.shared.engine);
        let (capture, playback) = engine.ends();
        match role {
            Role::Microphone => capture.slips(),
            Role::Speaker => playback.slips(),
        }
    }

    /// How a device of the system does; `None` for others.
    pub(crate) fn health(&self, role: Role) -> Option<Arc<Health>> {
        self.used(role).and_then(|used| used.health)
    }

    fn used(&self, role: Role) -> Option<Use> {
        let [microphone, speaker] = &*lock(&self.0.shared.uses);
        match role {
            Role::Microphone => microphone.clone(),
            Role::Speaker => speaker.clone(),
        }
    }
}

impl fmt::Debug for Headset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headset")
            .field("microphone", &self.name(Role::Microphone))
            .field("speaker", &self.name(Role::Speaker))
            .finish_non_exhaustive()
    }
}

/// One call's way to the devices.
#[derive(Debug)]
pub struct Port {
    id: u64,
    headset: Headset,
}

impl Port {
    /// Plays `heard`, and fills as long a frame with what the microphone gave meanwhile; both at `rate` Hz. Whoever calls it
    /// does so in time with the sound, frame by frame.
    pub fn exchange(&self, rate: u32, heard: &[i16], said: &mut [i16]) {
        lock(&self.headset.0.shared.engine).exchange(self.id, rate, heard, Some(said));
    }

    /// Plays `heard` and says nothing.
    pub fn listen(&self, rate: u32, heard: &[i16]) {
        lock(&self.headset.0.shared.engine).exchange(self.id, rate, heard, None);
    }

    /// The devices behind it.
    pub fn headset(&self) -> &Headset {
        &self.headset
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        lock(&self.headset.0.shared.engine).leave(self.id);
    }
}

/// A panic in one call's sound leaves nothing behind that would harm the others'.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A microphone that needs no keeper, with its name; silence in the place of one that does.
fn fixed_capture(choice: &Choice) -> Result<(Option<String>, Box<dyn Capture>), NotReady> {
    Ok(match choice {
        Choice::File(path) => {
            let player = Player::open(path).map_err(|error| {
                NotReady::new(Reason::Failed, Role::Microphone).because(&error.to_string())
            })?;
            (
                Some(path.display().to_string()),
                Box::new(FileCapture(player)),
            )
        }
        Choice::Null => (Some("none".to_owned()), Box::new(Null)),
        Choice::Default | Choice::Named(_) => (None, Box::new(Null)),
    })
}

/// The same for a speaker.
fn fixed_playback(choice: &Choice) -> Result<(Option<String>, Box<dyn Playback>), NotReady> {
    Ok(match choice {
        Choice::File(path) => {
            let recorder = Recorder::create(path).map_err(|error| {
                NotReady::new(Reason::Failed, Role::Speaker).because(&error.to_string())
            })?;
            let end = Box::new(FilePlayback(Some(recorder)));
            (Some(path.display().to_string()), end)
        }
        Choice::Null => (Some("none".to_owned()), Box::new(Null)),
        Choice::Default | Choice::Named(_) => (None, Box::new(Null)),
    })
}

impl Shared {
    /// Cleans what there is to clean.
    fn clean(&self) {
        let cleaning = lock(&self.cleaning);
        let echo = cleaning.cancels_echo && cleaning.microphone_is_real && cleaning.speaker_is_real;
        let noise = cleaning.suppresses_noise && cleaning.microphone_is_real;
        lock(&self.engine).clean(echo, noise);
    }

    /// A device of that kind is used now.
    fn is_real(&self, role: Role, real: bool) {
        let mut cleaning = lock(&self.cleaning);
        match role {
            Role::Microphone => cleaning.microphone_is_real = real,
            Role::Speaker => cleaning.speaker_is_real = real,
        }
        drop(cleaning);
        self.clean();
    }

    /// Uses what needs no keeper.
    fn fix(&self, role: Role, choice: &Choice) -> Result<String, NotReady> {
        let name = match role {
            Role::Microphone => {
                let (name, end) = fixed_capture(choice)?;
                drop(lock(&self.engine).set_capture(end));
                name
            }
            Role::Speaker => {
                let (name, end) = fixed_playback(choice)?;
                drop(lock(&self.engine).set_playback(end));
                name
            }
        };
        let name = name.unwrap_or_default();
        let [microphone, speaker] = &mut *lock(&self.uses);
        let used = match role {
            Role::Microphone => microphone,
            Role::Speaker => speaker,
        };
        *used = Some(Use {
            name: name.clone(),
            health: None,
        });
        Ok(name)
    }
}

impl Owner for Arc<Shared> {
    fn set_capture(&mut self, end: Box<dyn Capture>) {
        // The old one is dropped after the lock is open again.
        let _old = lock(&self.engine).set_capture(end);
    }

    fn set_playback(&mut self, end: Box<dyn Playback>) {
        let _old = lock(&self.engine).set_playback(end);
    }

    fn using(&mut self, role: Role, device: Option<(&Device, &Arc<Health>)>) {
        let used = device.map(|(device, health)| Use {
            name: device.name.clone(),
            health: Some(health.clone()),
        });
        let [microphone, speaker] = &mut *lock(&self.uses);
        match role {
            Role::Microphone => *microphone = used,
            Role::Speaker => *speaker = used,
        }
    }

    fn tell(&mut self, role: Role, change: DeviceChange, name: &str) {
        let sink = lock(&self.sink).clone();
        if let Some(sink) = sink {
            sink(Event::Device {
                role,
                change,
                name: name.to_owned(),
            });
        }
    }
}

/// Opens the devices of the system on a thread of their own – some systems' streams may not leave theirs – and keeps them
/// until the sender that is returned is dropped.
fn keep(setup: &Setup, shared: Arc<Shared>) -> Result<SyncSender<Wish>, NotReady> {
    let (wishes, wished) = sync_channel::<Wish>(1);
    let (opened, outcome) = sync_channel(1);
    let setup = setup.clone();
    let work = move || {
        let start = Instant::now();
        let keeper = patiently(BUSY_TRIES, BUSY_PAUSE, || {
            Keeper::open(
                System::default(),
                shared.clone(),
                &setup.microphone,
                &setup.speaker,
                start.elapsed(),
            )
        });
        match keeper {
            Ok(keeper) => {
                let _ = opened.send(Ok(()));
                look_after(keeper, &shared, &wished, start);
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    };
    let failed = |why: &str| NotReady::new(Reason::Failed, Role::Speaker).because(why);
    thread::Builder::new()
        .name("devices".to_owned())
        .spawn(work)
        .map_err(|error| failed(&error.to_string()))?;
    match outcome.recv_timeout(OPENING) {
        Ok(outcome) => outcome.map(|()| wishes),
        Err(_) => Err(failed(STUCK)),
    }
}

/// Looks after the devices and fulfils wishes, until nobody can wish any more.
fn look_after(
    mut keeper: Keeper<System, Arc<Shared>>,
    shared: &Arc<Shared>,
    wished: &Receiver<Wish>,
    start: Instant,
) {
    loop {
        match wished.recv_timeout(LOOK) {
            Ok(Wish {
                role,
                choice,
                outcome,
            }) => {
                let fulfilled = if choice.is_system() {
                    patiently(BUSY_TRIES, BUSY_PAUSE, || {
                        keeper.choose(role, &choice, start.elapsed())
                    })
                } else {
                    shared.fix(role, &choice).map(|name| {
                        keeper.forget(role);
                        shared.clone().tell(role, DeviceChange::Chosen, &name);
                    })
                };
                if fulfilled.is_ok() {
                    shared.is_real(role, choice.is_system());
                }
                let _ = outcome.try_send(fulfilled);
            }
            Err(RecvTimeoutError::Timeout) => keeper.look(start.elapsed()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("sori-{}-{name}.wav", std::process::id()))
    }

    #[test]
    fn files_stand_in_for_devices() {
        let (said, heard) = (temporary("said"), temporary("heard"));
        let mut recorder = Recorder::create(&said).unwrap();
        recorder.write(&[1000; 8000], 8000).unwrap();
        recorder.finish().unwrap();
        let headset = Headset::open(&Setup {
            microphone: Choice::File(said.clone()),
            speaker: Choice::File(heard.clone()),
            ..Setup::default()
        })
        .unwrap();
        assert_eq!(
            headset.name(Role::Microphone),
            Some(said.display().to_string())
        );
        assert!(headset.health(Role::Microphone).is_none());
        let port = headset.port();
        drop(headset);
        let mut frame = [0i16; 160];
        for _ in 0..25 {
            port.exchange(8000, &[500; 160], &mut frame);
        }
        assert!(frame.iter().all(|s| (990..=1010).contains(s)), "{frame:?}");
        assert!(port.headset().levels().microphone.rms > 0.02);
        assert_eq!(port.headset().slips(Role::Speaker), Slips::default());
        drop(port);
        let written = std::fs::metadata(&heard).unwrap().len();
        assert!(written > 25 * 300, "{written}");
        for path in [said, heard] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let setup = Setup {
            microphone: Choice::File("/nonexistent/x.wav".into()),
            speaker: Choice::Null,
            ..Setup::default()
        };
        let error = Headset::open(&setup).unwrap_err();
        assert_eq!(error.role, Role::Microphone);
        assert!(error.to_string().contains("/nonexistent/x.wav"), "{error}");
    }
}
