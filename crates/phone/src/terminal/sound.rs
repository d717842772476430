//! Microphone and speaker, between the phone and its screen.

use std::time::{Duration, Instant};

use super::model::Order;
use super::run::Desk;
use super::scene::{self, Devices};
use super::texts::{Language, Text};
use crate::book::BookError;
use crate::control::Command;
use crate::device::{Choice, Device, DeviceChange, Hook, Levels, Role};
use crate::readiness::NotReady;

/// The devices as they were last seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    devices: Vec<Device>,
    at: Option<Instant>,
    measures: bool,
}

/// How old what was seen may be. In a call the devices in use tell by themselves what becomes of them.
const FRESH: Duration = Duration::from_secs(10);

impl Desk {
    /// Looks which devices there are.
    pub(super) fn look(&mut self) {
        if let Some(hook) = self.control.hook_mut() {
            self.seen.devices = hook.look();
            self.seen.at = Some(Instant::now());
        }
    }

    /// Looks again, unless it did lately or a call is on.
    pub(super) fn look_again(&mut self) {
        let is_old = self.seen.at.is_some_and(|at| at.elapsed() >= FRESH);
        if is_old && self.control.state().calls.is_empty() {
            self.look();
        }
    }

    /// The devices as the screen shows them; nothing to show where the calls have none of this machine's.
    pub(super) fn devices(&self, language: Language) -> Devices {
        let Some(hook) = self.control.hook() else {
            return Devices::default();
        };
        let setup = hook.setup();
        let of = |role| {
            let all = self.seen.devices.iter().filter(move |d| d.role == role);
            let device = |d: &Device| scene::Device {
                id: d.id.clone(),
                name: d.name.clone(),
            };
            all.map(device).collect()
        };
        let used = |role| {
            let device = hook.used(role, &self.seen.devices);
            device.map(|device| device.id.clone())
        };
        let trouble = |role| {
            let why = hook.trouble(role)?;
            Some(said(why, language))
        };
        let level = |levels: Levels| levels.microphone.rms_db();
        Devices {
            are_used: setup.microphone.is_system() || setup.speaker.is_system(),
            microphones: of(Role::Microphone),
            speakers: of(Role::Speaker),
            microphone: used(Role::Microphone),
            speaker: used(Role::Speaker),
            microphone_trouble: trouble(Role::Microphone),
            speaker_trouble: trouble(Role::Speaker),
            microphone_volume: percent(setup.microphone_gain),
            speaker_volume: percent(setup.speaker_gain),
            level: hook.levels().filter(|_| self.seen.measures).map(level),
        }
    }

    /// Does what the screen wants of the devices, and keeps it for the next start; gives the order back where it is about
    /// something else.
    pub(super) fn sound(
        &mut self,
        order: Order,
        language: Language,
    ) -> Result<Option<Order>, String> {
        let choose = |role, id: &str| Command::Device {
            role,
            choice: Choice::Named(id.to_owned()),
        };
        let volume = |role, percent: u8| Command::Volume {
            role,
            percent: percent.into(),
        };
        let command = match &order {
            Order::Microphone(id) => choose(Role::Microphone, id),
            Order::Speaker(id) => choose(Role::Speaker, id),
            Order::MicrophoneVolume(percent) => volume(Role::Microphone, *percent),
            Order::SpeakerVolume(percent) => volume(Role::Speaker, *percent),
            Order::TestTone => return self.with_hook(language, Hook::test),
            Order::Measure(measures) => {
                let measures = *measures;
                self.seen.measures = measures;
                let measured = self.with_hook(language, |hook| hook.measure(measures));
                self.look();
                return measured;
            }
            _ => return Ok(Some(order)),
        };
        self.control
            .execute(&command)
            .map_err(|refusal| super::orders::said(&refusal))?;
        self.look();
        self.keep_choice(order).map_err(|error| error.to_string())?;
        Ok(None)
    }

    fn with_hook(
        &mut self,
        language: Language,
        act: impl FnOnce(&mut Hook) -> Result<(), NotReady>,
    ) -> Result<Option<Order>, String> {
        let Some(hook) = self.control.hook_mut() else {
            return Ok(None);
        };
        let acted = act(hook);
        acted.map_err(|why| said(&why, language))?;
        Ok(None)
    }

    fn keep_choice(&mut self, order: Order) -> Result<(), BookError> {
        let book = &mut self.records.book;
        let mut choices = book.preferences()?;
        match order {
            Order::Microphone(id) => choices.microphone = Some(id),
            Order::Speaker(id) => choices.speaker = Some(id),
            Order::MicrophoneVolume(percent) => choices.microphone_volume = percent.into(),
            Order::SpeakerVolume(percent) => choices.speaker_volume = percent.into(),
            _ => return Ok(()),
        }
        book.set_preferences(&choices)
    }

    /// A device vanished, or another is used.
    pub(super) fn device_changed(
        &mut self,
        role: Role,
        change: DeviceChange,
        name: &str,
        language: Language,
    ) {
        self.look();
        let what = match role {
            Role::Microphone => Text::Microphone,
            Role::Speaker => Text::Speaker,
        };
        let what = what.in_language(language);
        let text = match change {
            DeviceChange::Lost => Text::DeviceLost,
            DeviceChange::Replaced => Text::DeviceReplaced,
            DeviceChange::Back => Text::DeviceBack,
            // Whoever chose it knows.
            DeviceChange::Chosen => return,
        };
        self.tell(
            text.with(language, &[what, name]),
            change == DeviceChange::Lost,
        );
    }
}

fn said(why: &NotReady, language: Language) -> String {
    format!("{}; {}", why.message(language), why.advice(language))
}

fn percent(gain: f32) -> u8 {
    (gain * 100.0).round().clamp(0.0, 255.0) as u8
}
