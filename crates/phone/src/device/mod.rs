//! Microphones and speakers: the system's, files, or none.
//!
//! A [`Headset`] is one microphone and one speaker, open, with all that lies between them and the calls: rates, drift,
//! volume, echo. Each call that uses it has a [`Port`].
//!
//! ```text
//! device's thread      │ sound thread                                       │ keeper's thread
//! callback ── ring ────┼─► drift, rate ─► echo, noise ─► volume ─► ports    │ opens, watches, replaces
//! callback ◄── ring ───┼── drift, rate ◄────────┴──────── volume ◄─ ports   │
//! ```

mod bridge;
mod clean;
mod drift;
mod engine;
mod file;
mod headset;
mod hook;
mod keeper;
mod level;
mod null;
mod system;
mod tune;

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::readiness::{NotReady, Reason};

pub use bridge::Slips;
pub use headset::{Headset, Levels, Port, Setup};
pub use hook::{Hook, Lifted};
pub use level::Level;
pub use system::devices;
pub use tune::Melody;

/// Gives sound.
pub(crate) trait Capture: Send {
    /// Fills a frame at `rate` Hz; silence where there is nothing.
    fn read(&mut self, rate: u32, frame: &mut [i16]);

    /// What was lost on the way so far.
    fn slips(&self) -> Slips {
        Slips::default()
    }
}

/// Takes sound.
pub(crate) trait Playback: Send {
    /// Takes a frame at `rate` Hz.
    fn write(&mut self, rate: u32, frame: &[i16]);

    /// What was lost on the way so far.
    fn slips(&self) -> Slips {
        Slips::default()
    }
}

/// What a device is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It records.
    Microphone,
    /// It plays.
    Speaker,
}

impl Role {
    /// `microphone` or `speaker`.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Microphone => "microphone",
            Role::Speaker => "speaker",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is for.
    pub role: Role,
    /// Its name for people.
    pub name: String,
    /// Its name for the system, which stays when it is unplugged and plugged in again.
    pub id: String,
    /// Whether the system takes it where nobody chooses.
    pub is_default: bool,
}

/// Which device is to be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The system's default.
    #[default]
    Default,
    /// One of [`devices`]: by its number there, counted from 1 for each role, its identifier, its name, or a part of the
    /// name that only one has.
    Named(String),
    /// A WAV file: played once in place of a microphone, or recorded to in place of a speaker.
    File(PathBuf),
    /// Silence, and nobody who listens.
    Null,
}

impl Choice {
    /// Whether it stands for a device of the system.
    pub fn is_system(&self) -> bool {
        matches!(self, Choice::Default | Choice::Named(_))
    }
}

impl fmt::Display for Choice {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Default => f.write_str("default"),
            Choice::Named(name) => f.write_str(name),
            Choice::File(path) => write!(f, "file:{}", path.display()),
            Choice::Null => f.write_str("none"),
        }
    }
}

impl FromStr for Choice {
    type Err = Infallible;

    /// `default`, `none`, `file:PATH`, or what [`Choice::Named`] takes.
    fn from_str(text: &str) -> Result<Choice, Infallible> {
        Ok(match (text, text.strip_prefix("file:")) {
            (_, Some(path)) => Choice::File(path.into()),
            ("default" | "", _) => Choice::Default,
            ("none", _) => Choice::Null,
            _ => Choice::Named(text.to_owned()),
        })
    }
}

/// What happened to a device while it was in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// It is gone, and there is no other: silence.
    Lost,
    /// It is gone, and another is used in its place.
    Replaced,
    /// It is there again.
    Back,
    /// Its owner chose it.
    Chosen,
}

impl DeviceChange {
    /// `lost`, `replaced`, `back` or `chosen`.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceChange::Lost => "lost",
            DeviceChange::Replaced => "replaced",
            DeviceChange::Back => "back",
            DeviceChange::Chosen => "chosen",
        }
    }
}

/// Finds what was chosen among the devices that there are.
pub(crate) fn choose<'a>(
    choice: &Choice,
    role: Role,
    devices: &'a [Device],
) -> Result<&'a Device, NotReady> {
    let mut fitting = devices.iter().filter(|device| device.role == role);
    let Choice::Named(name) = choice else {
        let first = fitting.clone().next();
        return fitting
            .find(|device| device.is_default)
            .or(first)
            .ok_or_else(|| NotReady::new(Reason::Missing, role));
    };
    let exact = |device: &&Device| device.id == *name || device.name == *name;
    if let Some(device) = fitting.clone().find(exact) {
        return Ok(device);
    }
    let number = name.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some(device) = number.and_then(|n| fitting.clone().nth(n)) {
        return Ok(device);
    }
    let part = name.to_lowercase();
    let mut holding = fitting.filter(|device| device.name.to_lowercase().contains(&part));
    match (holding.next(), holding.next()) {
        (Some(device), None) => Ok(device),
        _ => Err(NotReady::new(Reason::Unknown, role).on(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(role: Role, name: &str, id: &str, is_default: bool) -> Device {
        Device {
            role,
            name: name.to_owned(),
            id: id.to_owned(),
            is_default,
        }
    }

    #[test]
    fn devices_are_chosen_by_number_name_and_part() {
        let devices = [
            device(Role::Speaker, "Built-in", "out.0", true),
            device(Role::Microphone, "Webcam", "in.0", false),
            device(Role::Microphone, "Headset Left", "in.1", true),
            device(Role::Microphone, "Headset Right", "in.2", false),
        ];
        let chosen = |text: &str| {
            let choice = text.parse().unwrap();
            choose(&choice, Role::Microphone, &devices).map(|d| d.id.as_str())
        };
        for (text, id) in [
            ("default", "in.1"),
            ("1", "in.0"),
            ("3", "in.2"),
            ("Webcam", "in.0"),
            ("in.2", "in.2"),
            ("headset r", "in.2"),
        ] {
            assert_eq!(chosen(text).unwrap(), id, "{text}");
        }
        for text in ["headset", "4", "0", "Built-in"] {
            assert_eq!(chosen(text).unwrap_err().reason, Reason::Unknown, "{text}");
        }
        let nothing = choose(&Choice::Default, Role::Microphone, &devices[..1]);
        assert_eq!(nothing.unwrap_err().reason, Reason::Missing);
        // A system that names no default has its first.
        assert_eq!(
            choose(&Choice::Default, Role::Microphone, &devices[1..2])
                .unwrap()
                .id,
            "in.0"
        );
    }

    #[test]
    fn choices_read_back() {
        assert_eq!("none".parse(), Ok(Choice::Null));
        assert_eq!("file:a b.wav".parse(), Ok(Choice::File("a b.wav".into())));
        assert_eq!("Headset".parse(), Ok(Choice::Named("Headset".to_owned())));
        for text in ["default", "none", "file:x.wav", "Headset"] {
            assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
        }
        assert!(Choice::Default.is_system() && !Choice::Null.is_system());
    }
}
