//! The hook of the telephone: lifted for a call, it opens the devices; they are closed when the last call has ended.

use super::headset::{Headset, Levels, Port, Setup, WeakHeadset};
use super::tune::{Melody, Stage, Tune};
use super::{Choice, Device, Role, choose, devices};
use crate::readiness::{self, NotReady, Reason, Report};

/// Which devices the calls of a phone use. While there is no call, none is open: another program may have them, and nobody
/// listens.
#[derive(Debug)]
pub struct Hook {
    setup: Setup,
    /// Where it rings; where one talks when `None`.
    ringer: Option<Choice>,
    checks: bool,
    open: Option<WeakHeadset>,
    tune: Option<(Melody, Tune)>,
    measuring: Option<Tune>,
    testing: Option<Tune>,
    troubles: [Option<NotReady>; 2],
}

/// A lifted hook: what a call needs.
#[derive(Debug)]
pub struct Lifted {
    /// The call's way to the devices.
    pub port: Port,
    /// Which they are.
    pub report: Report,
}

impl Hook {
    /// A hook that lies. Before each call the devices are checked ([`readiness::check`]).
    pub fn new(setup: Setup) -> Hook {
        Hook {
            setup,
            ringer: None,
            checks: true,
            open: None,
            tune: None,
            measuring: None,
            testing: None,
            troubles: [None, None],
        }
    }

    /// Rings there; where one talks when `None`.
    pub fn set_ringer(&mut self, ringer: Option<Choice>) {
        self.ringer = ringer;
    }

    /// Checks the devices before each call, or calls with what there is: silence in the place of a device that cannot be had.
    pub fn set_checks(&mut self, checks: bool) {
        self.checks = checks;
    }

    /// Uses these from the next opening on.
    pub fn set_setup(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// Which devices are chosen, and what is done to their sound.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Opens the devices for a call and makes sure that they work.
    ///
    /// # Errors
    /// [`NotReady`]: nobody could talk now.
    pub fn lift(&mut self) -> Result<Lifted, NotReady> {
        // A system that lets only one program use a device lets the ringing have it no longer.
        self.tune = None;
        let lifted = self.open_devices().and_then(|headset| {
            let report = if self.checks {
                readiness::check(&headset)?
            } else {
                readiness::unchecked(&headset)
            };
            Ok(Lifted {
                port: headset.port(),
                report,
            })
        });
        match &lifted {
            Ok(_) => self.troubles = [None, None],
            Err(why) => self.remember(why),
        }
        lifted
    }

    fn open_devices(&mut self) -> Result<Headset, NotReady> {
        if let Some(headset) = self.headset() {
            return Ok(headset);
        }
        let mut setup = self.setup.clone();
        let headset = loop {
            match Headset::open(&setup) {
                Ok(headset) => break headset,
                Err(error) if self.checks => return Err(error),
                Err(error) => {
                    let choice = match error.role {
                        Role::Microphone => &mut setup.microphone,
                        Role::Speaker => &mut setup.speaker,
                    };
                    if *choice == Choice::Null {
                        return Err(error);
                    }
                    *choice = Choice::Null;
                }
            }
        };
        self.open = Some(headset.downgrade());
        Ok(headset)
    }

    /// The devices, if they are open.
    pub fn headset(&self) -> Option<Headset> {
        self.open.as_ref().and_then(WeakHeadset::upgrade)
    }

    /// Uses another device from now on, also in calls that are on.
    ///
    /// # Errors
    /// [`NotReady`] when there is none of that name, or it cannot be opened; the present one stays.
    pub fn choose(&mut self, role: Role, choice: Choice) -> Result<(), NotReady> {
        match self.headset() {
            Some(headset) => headset.choose(role, &choice)?,
            None if choice.is_system() => {
                choose(&choice, role, &devices()?)?;
            }
            None => {}
        }
        match role {
            Role::Microphone => self.setup.microphone = choice,
            Role::Speaker => self.setup.speaker = choice,
        }
        *self.trouble_mut(role) = None;
        Ok(())
    }

    /// Amplifies: 1.0 leaves the sound as it is, 10.0 is the most.
    pub fn set_gain(&mut self, role: Role, gain: f32) {
        let headset = self.headset();
        match role {
            Role::Microphone => {
                self.setup.microphone_gain = gain;
                headset.inspect(|headset| headset.set_microphone_gain(gain));
            }
            Role::Speaker => {
                self.setup.speaker_gain = gain;
                headset.inspect(|headset| headset.set_speaker_gain(gain));
            }
        }
    }

    /// Takes the speaker's sound out of the microphone's or not, and steady noise or not.
    pub fn set_cleaning(&mut self, cancels_echo: bool, suppresses_noise: bool) {
        self.setup.cancels_echo = cancels_echo;
        self.setup.suppresses_noise = suppresses_noise;
        if let Some(headset) = self.headset() {
            headset.set_cleaning(cancels_echo, suppresses_noise);
        }
    }

    /// Plays a melody until another one is named, or none.
    pub fn play(&mut self, melody: Option<Melody>) {
        let present = self.tune.as_ref().map(|(melody, _)| *melody);
        if melody == present {
            return;
        }
        self.tune = melody.map(|melody| (melody, Tune::start(self.stage(melody), melody)));
    }

    fn stage(&self, melody: Melody) -> Stage {
        let elsewhere = self.ringer.as_ref().filter(|_| melody == Melody::Ringing);
        match (elsewhere, self.headset()) {
            (None, Some(headset)) => Stage::Open(headset),
            (ringer, _) => Stage::Closed(Setup {
                microphone: Choice::Null,
                speaker: ringer.unwrap_or(&self.setup.speaker).clone(),
                ..self.setup.clone()
            }),
        }
    }

    /// Opens the devices to measure the microphone, or no longer.
    ///
    /// # Errors
    /// [`NotReady`] when they cannot be opened.
    pub fn measure(&mut self, measures: bool) -> Result<(), NotReady> {
        self.measuring = None;
        if !measures {
            return Ok(());
        }
        let opened = self.open_devices();
        match &opened {
            Ok(_) => self.troubles = [None, None],
            Err(why) => self.remember(why),
        }
        self.measuring = Some(Tune::start(Stage::Open(opened?), Melody::Silence));
        Ok(())
    }

    /// Plays a tone for a second.
    ///
    /// # Errors
    /// [`NotReady`] when there is nothing to play it with.
    pub fn test(&mut self) -> Result<(), NotReady> {
        let headset = match self.headset() {
            Some(headset) => headset,
            None => Headset::open(&Setup {
                microphone: Choice::Null,
                ..self.setup.clone()
            })?,
        };
        self.testing = Some(Tune::start(Stage::Open(headset), Melody::Test));
        Ok(())
    }

    /// How loud it is here, as long as the devices are open.
    pub fn levels(&self) -> Option<Levels> {
        self.headset().map(|headset| headset.levels())
    }

    /// Why a device could not be used when that was last tried.
    pub fn trouble(&self, role: Role) -> Option<&NotReady> {
        let [microphone, speaker] = &self.troubles;
        match role {
            Role::Microphone => microphone.as_ref(),
            Role::Speaker => speaker.as_ref(),
        }
    }

    fn trouble_mut(&mut self, role: Role) -> &mut Option<NotReady> {
        let [microphone, speaker] = &mut self.troubles;
        match role {
            Role::Microphone => microphone,
            Role::Speaker => speaker,
        }
    }

    fn remember(&mut self, why: &NotReady) {
        *self.trouble_mut(why.role) = Some(why.clone());
    }

    /// Sees which devices there are, and remembers what is missing.
    pub fn look(&mut self) -> Vec<Device> {
        let found = devices().unwrap_or_default();
        for role in [Role::Microphone, Role::Speaker] {
            let choice = match role {
                Role::Microphone => &self.setup.microphone,
                Role::Speaker => &self.setup.speaker,
            };
            let missing = choice
                .is_system()
                .then(|| choose(choice, role, &found).err())
                .flatten();
            let known = self.trouble_mut(role);
            let was_missing = known
                .as_ref()
                .is_some_and(|t| matches!(t.reason, Reason::Missing | Reason::Unknown));
            if missing.is_some() || was_missing {
                *known = missing;
            }
        }
        found
    }

    /// Which of the devices is used, or will be.
    pub fn used<'a>(&self, role: Role, found: &'a [Device]) -> Option<&'a Device> {
        let choice = match role {
            Role::Microphone => &self.setup.microphone,
            Role::Speaker => &self.setup.speaker,
        };
        let open = self.headset().and_then(|headset| headset.name(role));
        let open = open.and_then(|name| found.iter().find(|d| d.role == role && d.name == name));
        open.or_else(|| choose(choice, role, found).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Setup {
        Setup {
            microphone: Choice::Null,
            speaker: Choice::Null,
            ..Setup::default()
        }
    }

    #[test]
    fn the_devices_are_open_as_long_as_a_call_is_on() {
        let mut hook = Hook::new(nothing());
        assert!(hook.levels().is_none());
        hook.set_gain(Role::Speaker, 0.5);
        let first = hook.lift().unwrap();
        let second = hook.lift().unwrap();
        assert_eq!(first.report.microphone, "none");
        assert_eq!(hook.headset().unwrap().speaker_gain(), 0.5);
        hook.set_gain(Role::Speaker, 0.25);
        assert_eq!(second.port.headset().speaker_gain(), 0.25);
        drop(first);
        assert!(hook.levels().is_some());
        drop(second);
        assert!(hook.levels().is_none());
    }

    #[test]
    fn a_device_is_chosen_in_the_middle_of_a_call() {
        let mut hook = Hook::new(nothing());
        let lifted = hook.lift().unwrap();
        let path = std::env::temp_dir().join(format!("sori-{}-chosen.wav", std::process::id()));
        hook.choose(Role::Speaker, Choice::File(path.clone()))
            .unwrap();
        let mut said = [0; 160];
        for _ in 0..10 {
            lifted.port.exchange(8000, &[500; 160], &mut said);
        }
        assert!(std::fs::metadata(&path).unwrap().len() > 2000);
        std::fs::remove_file(&path).unwrap();
        let wrong = Choice::File("/nonexistent/x.wav".into());
        let error = hook.choose(Role::Microphone, wrong).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        assert_eq!(hook.setup().microphone, Choice::Null);
    }

    #[test]
    fn what_is_missing_is_refused_or_replaced_by_silence() {
        let mut hook = Hook::new(Setup {
            microphone: Choice::File("/nonexistent/x.wav".into()),
            ..nothing()
        });
        assert_eq!(hook.lift().unwrap_err().role, Role::Microphone);
        assert!(hook.trouble(Role::Microphone).is_some());
        hook.set_checks(false);
        assert_eq!(hook.lift().unwrap().report.microphone, "none");
        assert!(hook.trouble(Role::Microphone).is_none());
    }
}
