//! Keeps a microphone and a speaker open: watches them, replaces the one that vanishes, takes it back when it returns.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bridge::Health;
use super::null::Null;
use super::{Capture, Choice, Device, DeviceChange, Playback, Role, choose};
use crate::readiness::{NotReady, Reason};

/// A device that moves nothing for so long has died without a word.
const STILL: Duration = Duration::from_secs(3);
/// One that did is not tried again before.
const DISTRUST: Duration = Duration::from_secs(15);

/// The devices of a system, or of a test.
pub(crate) trait Hardware {
    /// All devices, but no monitors of speakers: they are no microphones.
    fn list(&mut self) -> Result<Vec<Device>, NotReady>;

    /// Whether a device that is in use stands in the list as long as it is there.
    fn lists_what_is_open(&self) -> bool;

    /// Opens a microphone.
    fn open_capture(&mut self, device: &Device) -> Result<Opened<dyn Capture>, NotReady>;

    /// Opens a speaker.
    fn open_playback(&mut self, device: &Device) -> Result<Opened<dyn Playback>, NotReady>;
}

/// An open device: its end for the sound thread, and what keeps it open.
pub(crate) struct Opened<E: ?Sized> {
    pub(crate) end: Box<E>,
    pub(crate) stream: Box<dyn Any>,
    pub(crate) health: Arc<Health>,
}

/// Takes what the keeper opens, and hears what happens.
pub(crate) trait Owner {
    /// Reads from here from now on.
    fn set_capture(&mut self, end: Box<dyn Capture>);

    /// Plays there from now on.
    fn set_playback(&mut self, end: Box<dyn Playback>);

    /// What is used from now on, and how it is; `None` for silence.
    fn using(&mut self, role: Role, device: Option<(&Device, &Arc<Health>)>);

    /// Something that its user has to know.
    fn tell(&mut self, role: Role, change: DeviceChange, name: &str);
}

/// Keeps the devices that were chosen.
pub(crate) struct Keeper<H, O> {
    hardware: H,
    owner: O,
    sides: Vec<Side>,
}

/// One of the two devices.
struct Side {
    role: Role,
    /// The device that was chosen.
    wanted: Device,
    current: Option<Current>,
    /// A device that died in use is not opened again before then.
    distrusted: Option<(String, Duration)>,
}

struct Current {
    device: Device,
    health: Arc<Health>,
    moved: u64,
    /// When it last moved anything.
    alive: Duration,
    _stream: Box<dyn Any>,
}

impl Side {
    fn new(role: Role, wanted: Device) -> Side {
        Side {
            role,
            wanted,
            current: None,
            distrusted: None,
        }
    }

    fn trusts(&self, device: &Device, now: Duration) -> bool {
        self.distrusted
            .as_ref()
            .is_none_or(|(id, until)| *id != device.id || now >= *until)
    }

    fn is_wanted(&self, device: &Device) -> bool {
        self.wanted.id == device.id
    }
}

impl<H: Hardware, O: Owner> Keeper<H, O> {
    /// Opens the devices that are the system's; the others have no keeper.
    ///
    /// # Errors
    /// Which of them cannot be had, and why.
    pub(crate) fn open(
        hardware: H,
        owner: O,
        microphone: &Choice,
        speaker: &Choice,
        now: Duration,
    ) -> Result<Keeper<H, O>, NotReady> {
        let mut keeper = Keeper {
            hardware,
            owner,
            sides: Vec::new(),
        };
        let devices = keeper.hardware.list()?;
        for (role, choice) in [(Role::Microphone, microphone), (Role::Speaker, speaker)] {
            if !choice.is_system() {
                continue;
            }
            let device = choose(choice, role, &devices)?;
            let mut side = Side::new(role, device.clone());
            keeper.use_device(&mut side, device, now)?;
            keeper.sides.push(side);
        }
        Ok(keeper)
    }

    /// Uses another device from now on.
    ///
    /// # Errors
    /// Why it cannot be had; then the present one stays.
    pub(crate) fn choose(
        &mut self,
        role: Role,
        choice: &Choice,
        now: Duration,
    ) -> Result<(), NotReady> {
        let devices = self.hardware.list()?;
        let device = choose(choice, role, &devices)?;
        let mut side = Side::new(role, device.clone());
        let at = self.sides.iter().position(|side| side.role == role);
        let present = at.and_then(|at| self.sides.get_mut(at));
        if let Some(present) = present
            && present
                .current
                .as_ref()
                .is_some_and(|c| c.device.id == device.id)
        {
            present.wanted = device.clone();
        } else {
            self.use_device(&mut side, device, now)?;
            self.sides.retain(|side| side.role != role);
            self.sides.push(side);
        }
        self.owner.tell(role, DeviceChange::Chosen, &device.name);
        Ok(())
    }

    /// Closes the device of a role; something else takes its place.
    pub(crate) fn forget(&mut self, role: Role) {
        self.sides.retain(|side| side.role != role);
    }

    /// Looks after the devices.
    pub(crate) fn look(&mut self, now: Duration) {
        let devices = self.hardware.list();
        let mut sides = std::mem::take(&mut self.sides);
        for side in &mut sides {
            self.look_at(
                side,
                devices.as_deref().unwrap_or_default(),
                devices.is_ok(),
                now,
            );
        }
        self.sides = sides;
    }

    fn look_at(&mut self, side: &mut Side, devices: &[Device], is_known: bool, now: Duration) {
        let by_list = is_known && self.hardware.lists_what_is_open();
        let mut lost = None;
        if let Some(current) = &mut side.current {
            let moved = current.health.moved.load(Ordering::Relaxed);
            if moved != current.moved {
                (current.moved, current.alive) = (moved, now);
            }
            let is_still = now.saturating_sub(current.alive) >= STILL;
            let is_listed = devices
                .iter()
                .any(|d| d.role == side.role && d.id == current.device.id);
            if current.health.gone.load(Ordering::Relaxed) || is_still || (by_list && !is_listed) {
                lost = Some(current.device.clone());
            }
            if is_still {
                side.distrusted = Some((current.device.id.clone(), now + DISTRUST));
            }
        }
        if lost.is_some() {
            self.close(side);
        }
        let is_replaced = side
            .current
            .as_ref()
            .is_none_or(|c| !side.is_wanted(&c.device));
        if is_replaced && self.take_back(side, devices, now) {
            return;
        }
        if side.current.is_none() && self.replace(side, devices, now) {
            return;
        }
        if let (Some(device), None) = (lost, &side.current) {
            self.owner.tell(side.role, DeviceChange::Lost, &device.name);
        }
    }

    /// Opens the device that was chosen, if it is there.
    fn take_back(&mut self, side: &mut Side, devices: &[Device], now: Duration) -> bool {
        let Some(device) = devices
            .iter()
            .find(|d| d.role == side.role && side.is_wanted(d))
        else {
            return false;
        };
        if !side.trusts(device, now) || self.use_device(side, device, now).is_err() {
            return false;
        }
        self.owner.tell(side.role, DeviceChange::Back, &device.name);
        true
    }

    /// Opens the system's default in the place of the chosen one.
    fn replace(&mut self, side: &mut Side, devices: &[Device], now: Duration) -> bool {
        let Ok(device) = choose(&Choice::Default, side.role, devices) else {
            return false;
        };
        if !side.trusts(device, now) || self.use_device(side, device, now).is_err() {
            return false;
        }
        self.owner
            .tell(side.role, DeviceChange::Replaced, &device.name);
        true
    }

    fn use_device(
        &mut self,
        side: &mut Side,
        device: &Device,
        now: Duration,
    ) -> Result<(), NotReady> {
        let (stream, health) = match side.role {
            Role::Microphone => {
                let opened = self.hardware.open_capture(device)?;
                self.owner.set_capture(opened.end);
                (opened.stream, opened.health)
            }
            Role::Speaker => {
                let opened = self.hardware.open_playback(device)?;
                self.owner.set_playback(opened.end);
                (opened.stream, opened.health)
            }
        };
        self.owner.using(side.role, Some((device, &health)));
        side.current = Some(Current {
            device: device.clone(),
            moved: health.moved.load(Ordering::Relaxed),
            health,
            alive: now,
            _stream: stream,
        });
        Ok(())
    }

    fn close(&mut self, side: &mut Side) {
        match side.role {
            Role::Microphone => self.owner.set_capture(Box::new(Null)),
            Role::Speaker => self.owner.set_playback(Box::new(Null)),
        }
        self.owner.using(side.role, None);
        side.current = None;
    }
}

/// Opens again and again while a device that was just given back is still busy.
pub(crate) fn patiently<T>(
    mut times: u32,
    pause: Duration,
    mut open: impl FnMut() -> Result<T, NotReady>,
) -> Result<T, NotReady> {
    loop {
        match open() {
            Err(error) if error.reason == Reason::Busy && times > 0 => times -= 1,
            outcome => return outcome,
        }
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// Devices that come and go.
    #[derive(Default)]
    struct Desk {
        devices: Vec<Device>,
        healths: Vec<(String, Arc<Health>)>,
        refused: Option<Reason>,
        told: Vec<(Role, DeviceChange, String)>,
        using: Vec<(Role, Option<String>)>,
    }

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Desk>>);

    impl Shared {
        fn plug(&self, role: Role, id: &str, is_default: bool) {
            self.0.borrow_mut().devices.push(Device {
                role,
                name: format!("The {id}"),
                id: id.to_owned(),
                is_default,
            });
        }

        fn unplug(&self, id: &str) {
            self.0.borrow_mut().devices.retain(|d| d.id != id);
        }

        /// All open devices move sound.
        fn live(&self) {
            for (_, health) in &self.0.borrow().healths {
                health.moved.fetch_add(480, Ordering::Relaxed);
            }
        }

        fn told(&self) -> Vec<(Role, DeviceChange, String)> {
            std::mem::take(&mut self.0.borrow_mut().told)
        }

        fn open(&self, device: &Device) -> Result<Arc<Health>, NotReady> {
            let mut desk = self.0.borrow_mut();
            if let Some(reason) = desk.refused {
                return Err(NotReady::new(reason, device.role));
            }
            let health = Arc::new(Health::default());
            desk.healths.push((device.id.clone(), health.clone()));
            Ok(health)
        }
    }

    impl Hardware for Shared {
        fn list(&mut self) -> Result<Vec<Device>, NotReady> {
            Ok(self.0.borrow().devices.clone())
        }

        fn lists_what_is_open(&self) -> bool {
            true
        }

        fn open_capture(&mut self, device: &Device) -> Result<Opened<dyn Capture>, NotReady> {
            Ok(Opened {
                health: self.open(device)?,
                end: Box::new(Null),
                stream: Box::new(()),
            })
        }

        fn open_playback(&mut self, device: &Device) -> Result<Opened<dyn Playback>, NotReady> {
            Ok(Opened {
                health: self.open(device)?,
                end: Box::new(Null),
                stream: Box::new(()),
            })
        }
    }

    impl Owner for Shared {
        fn set_capture(&mut self, _: Box<dyn Capture>) {}

        fn set_playback(&mut self, _: Box<dyn Playback>) {}

        fn using(&mut self, role: Role, device: Option<(&Device, &Arc<Health>)>) {
            let id = device.map(|(device, _)| device.id.clone());
            self.0.borrow_mut().using.push((role, id));
        }

        fn tell(&mut self, role: Role, change: DeviceChange, name: &str) {
            self.0
                .borrow_mut()
                .told
                .push((role, change, name.to_owned()));
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn keeper(desk: &Shared, microphone: Choice) -> Result<Keeper<Shared, Shared>, NotReady> {
        Keeper::open(
            desk.clone(),
            desk.clone(),
            &microphone,
            &Choice::Default,
            Duration::ZERO,
        )
    }

    fn desk() -> Shared {
        let desk = Shared::default();
        desk.plug(Role::Speaker, "speaker", true);
        desk.plug(Role::Microphone, "webcam", true);
        desk.plug(Role::Microphone, "headset", false);
        desk
    }

    #[test]
    fn a_vanished_microphone_is_replaced_and_taken_back() {
        let desk = desk();
        let mut keeper = keeper(&desk, Choice::Named("headset".to_owned())).unwrap();
        desk.live();
        keeper.look(SECOND);
        assert!(desk.told().is_empty());
        desk.unplug("headset");
        desk.live();
        keeper.look(SECOND * 2);
        let role = Role::Microphone;
        assert_eq!(
            desk.told(),
            [(role, DeviceChange::Replaced, "The webcam".to_owned())]
        );
        desk.unplug("webcam");
        desk.live();
        keeper.look(SECOND * 3);
        assert_eq!(
            desk.told(),
            [(role, DeviceChange::Lost, "The webcam".to_owned())]
        );
        desk.live();
        keeper.look(SECOND * 4);
        assert!(desk.told().is_empty(), "told once");
        desk.plug(role, "headset", false);
        desk.live();
        keeper.look(SECOND * 5);
        assert_eq!(
            desk.told(),
            [(role, DeviceChange::Back, "The headset".to_owned())]
        );
        let using: Vec<_> = desk
            .0
            .borrow()
            .using
            .iter()
            .filter(|(r, _)| *r == role)
            .map(|(_, id)| id.clone())
            .collect();
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(
            using,
            [id("headset"), None, id("webcam"), None, id("headset")]
        );
    }

    #[test]
    fn another_device_is_chosen_and_kept() {
        let desk = desk();
        let mut keeper = keeper(&desk, Choice::Default).unwrap();
        let role = Role::Microphone;
        let headset = Choice::Named("headset".to_owned());
        keeper.choose(role, &headset, SECOND).unwrap();
        assert_eq!(
            desk.told(),
            [(role, DeviceChange::Chosen, "The headset".to_owned())]
        );
        // It is the one that is waited for now, and what cannot be had changes nothing.
        let nobody = Choice::Named("nobody".to_owned());
        assert!(keeper.choose(role, &nobody, SECOND).is_err());
        desk.live();
        keeper.look(SECOND * 2);
        assert!(desk.told().is_empty());
        desk.unplug("headset");
        desk.live();
        keeper.look(SECOND * 3);
        assert_eq!(
            desk.told(),
            [(role, DeviceChange::Replaced, "The webcam".to_owned())]
        );
        keeper.forget(role);
        desk.plug(role, "headset", false);
        desk.live();
        keeper.look(SECOND * 4);
        assert!(desk.told().is_empty(), "nobody looks after it any more");
    }

    #[test]
    fn a_device_that_says_it_is_gone_or_stands_still_is_closed() {
        let desk = desk();
        let mut keeper = keeper(&desk, Choice::Default).unwrap();
        desk.0.borrow().healths[1]
            .1
            .gone
            .store(true, Ordering::Relaxed);
        desk.unplug("speaker");
        keeper.look(SECOND);
        assert_eq!(
            desk.told(),
            [(Role::Speaker, DeviceChange::Lost, "The speaker".to_owned())]
        );
        // The microphone dies without a word; it is listed, so it is not tried again at once.
        desk.unplug("headset");
        keeper.look(SECOND * 3);
        assert_eq!(
            desk.told(),
            [(
                Role::Microphone,
                DeviceChange::Lost,
                "The webcam".to_owned()
            )]
        );
        keeper.look(SECOND * 4);
        assert!(desk.told().is_empty());
        keeper.look(SECOND * 20);
        assert_eq!(
            desk.told(),
            [(
                Role::Microphone,
                DeviceChange::Back,
                "The webcam".to_owned()
            )]
        );
    }

    #[test]
    fn what_cannot_be_opened_at_first_is_said() {
        let desk = desk();
        desk.0.borrow_mut().refused = Some(Reason::Permission);
        let error = keeper(&desk, Choice::Default).err().unwrap();
        assert_eq!(
            (error.reason, error.role),
            (Reason::Permission, Role::Microphone)
        );
        desk.0.borrow_mut().devices.clear();
        let error = keeper(&desk, Choice::Default).err().unwrap();
        assert_eq!(
            (error.reason, error.role),
            (Reason::Missing, Role::Microphone)
        );
        let error = keeper(&desk, Choice::Null).err().unwrap();
        assert_eq!((error.reason, error.role), (Reason::Missing, Role::Speaker));
    }

    #[test]
    fn a_busy_device_is_waited_for_but_not_for_ever() {
        let mut tries = 0;
        let outcome = patiently(3, Duration::ZERO, || {
            tries += 1;
            if tries < 3 {
                Err(NotReady::new(Reason::Busy, Role::Speaker))
            } else {
                Ok(tries)
            }
        });
        assert_eq!(outcome.unwrap(), 3);
        let outcome = patiently::<()>(3, Duration::ZERO, || {
            Err(NotReady::new(Reason::Busy, Role::Speaker))
        });
        assert_eq!(outcome.unwrap_err().reason, Reason::Busy);
    }
}
