//! Microphone and speaker on the command line.

use std::env;

use clap::Args;
use phone::device::{Choice, Hook, Setup};
use phone::provision::Profile;
use phone::readiness::Language;

use crate::arguments::Voice;

/// Which microphone and speaker.
#[derive(Debug, Args)]
pub struct Devices {
    /// Speak into this: default, none (silence), file:PATH, or a name or number of sori phone --devices [default where
    /// devices are used: the variable SORI_MICROPHONE, or default]
    #[arg(long, value_name = "CHOICE", conflicts_with = "play", value_parser = choice)]
    pub microphone: Option<Choice>,
    /// Listen to this: default, none, file:PATH, or a name or number of sori phone --devices [default where
    /// devices are used: the variable SORI_SPEAKER, or default; none where the microphone is none or a file]
    #[arg(long, value_name = "CHOICE", value_parser = choice)]
    pub speaker: Option<Choice>,
    /// Call even where the microphone or the speaker is missing, muted or dead
    #[arg(long)]
    pub no_check: bool,
    /// Leave in the microphone's sound what it hears of the speaker
    #[arg(long)]
    pub no_echo_cancellation: bool,
    /// Leave steady noise in the microphone's sound
    #[arg(long)]
    pub no_noise_suppression: bool,
}

/// What a command takes where nobody says anything about devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// Those of this machine, as the document or the system chooses; none where files or an echo take their place.
    OfMachine,
    /// None.
    None,
}

impl Devices {
    /// The devices to use; `None` where calls have none. What the command line says goes before the environment, and that
    /// before the document.
    pub fn hook(&self, usual: Usual, voice: &Voice, profile: &Profile) -> Option<Hook> {
        let environment = ["SORI_MICROPHONE", "SORI_SPEAKER"].map(|name| locale(&[name]));
        self.hook_in(&environment, usual, voice, profile)
    }

    fn hook_in(
        &self,
        environment: &[Option<String>; 2],
        usual: Usual,
        voice: &Voice,
        profile: &Profile,
    ) -> Option<Hook> {
        let has_files = voice.play.is_some() || voice.record.is_some();
        let usual = if has_files { Usual::None } else { usual };
        if usual == Usual::None && self.microphone.is_none() && self.speaker.is_none() {
            return None;
        }
        let [microphone, speaker] = environment.clone();
        let document = &profile.devices;
        let of_machine = |said: Option<String>, document: &Option<String>, otherwise| match usual {
            Usual::OfMachine => {
                let said = said.as_deref().or(document.as_deref());
                said.map_or(otherwise, named)
            }
            Usual::None => Choice::Null,
        };
        let microphone = match &self.microphone {
            Some(choice) => choice.clone(),
            None => of_machine(microphone, &document.microphone, Choice::Default),
        };
        // Who says nothing listens to nothing, unless told to.
        let otherwise = if microphone.is_system() {
            Choice::Default
        } else {
            Choice::Null
        };
        let speaker = match &self.speaker {
            Some(choice) => choice.clone(),
            None => of_machine(speaker, &document.speaker, otherwise),
        };
        let mut hook = Hook::new(Setup {
            microphone,
            speaker,
            cancels_echo: !self.no_echo_cancellation,
            suppresses_noise: !self.no_noise_suppression,
            ..Setup::default()
        });
        hook.set_ringer(document.ringer.as_deref().map(named));
        hook.set_checks(!self.no_check && profile.readiness.unwrap_or(true));
        Some(hook)
    }
}

/// What a document or a person's choice names.
pub fn named(text: &str) -> Choice {
    match text.parse() {
        Ok(choice) => choice,
        Err(never) => match never {},
    }
}

fn choice(text: &str) -> Result<Choice, String> {
    Ok(named(text))
}

/// The language that people are told in: the document's, or that of LC_ALL, LC_MESSAGES or LANG.
pub fn language(profile: &Profile) -> Language {
    let document = profile.language.as_deref();
    document
        .and_then(Language::from_locale)
        .or_else(|| Language::from_locale(&locale(&["LC_ALL", "LC_MESSAGES", "LANG"])?))
        .unwrap_or_default()
}

/// The first of these variables that says anything.
pub fn locale(names: &[&str]) -> Option<String> {
    let said = |name: &&str| env::var(name).ok().filter(|v| !v.is_empty());
    names.iter().find_map(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(microphone: Option<&str>, speaker: Option<&str>) -> Devices {
        Devices {
            microphone: microphone.map(named),
            speaker: speaker.map(named),
            no_check: false,
            no_echo_cancellation: false,
            no_noise_suppression: true,
        }
    }

    fn voice(play: bool, record: bool) -> Voice {
        Voice {
            play: play.then(|| "p.wav".into()),
            record: record.then(|| "r.wav".into()),
            codec: None,
            suppress_silence: false,
        }
    }

    /// What is used, as `MICROPHONE/SPEAKER`.
    fn used(usual: Usual, devices: &Devices, voice: &Voice, profile: &Profile) -> String {
        match devices.hook_in(&[None, None], usual, voice, profile) {
            Some(hook) => format!("{}/{}", hook.setup().microphone, hook.setup().speaker),
            None => "no".to_owned(),
        }
    }

    #[test]
    fn devices_are_used_where_nothing_takes_their_place() {
        let (plain, nothing) = (Profile::default(), given(None, None));
        let usual = |devices: &Devices, v: &Voice| used(Usual::OfMachine, devices, v, &plain);
        assert_eq!(usual(&nothing, &voice(false, false)), "default/default");
        for (play, record) in [(true, false), (false, true), (true, true)] {
            assert_eq!(usual(&nothing, &voice(play, record)), "no");
        }
        let silent = voice(false, false);
        assert_eq!(usual(&given(Some("none"), None), &silent), "none/none");
        assert_eq!(usual(&given(Some("2"), None), &silent), "2/default");
        assert_eq!(
            usual(&given(None, Some("default")), &voice(true, true)),
            "none/default"
        );
        assert_eq!(used(Usual::None, &nothing, &silent, &plain), "no");
        let asked = given(Some("default"), None);
        assert_eq!(used(Usual::None, &asked, &silent, &plain), "default/none");
    }

    #[test]
    fn the_document_chooses_where_nobody_else_does() {
        let mut profile = Profile::default();
        profile.devices.microphone = Some("USB".to_owned());
        profile.devices.speaker = Some("none".to_owned());
        profile.language = Some("ko".to_owned());
        let silent = voice(false, false);
        let of = |devices: &Devices| used(Usual::OfMachine, devices, &silent, &profile);
        assert_eq!(of(&given(None, None)), "USB/none");
        assert_eq!(of(&given(None, Some("1"))), "USB/1");
        assert_eq!(
            used(Usual::None, &given(None, None), &silent, &profile),
            "no"
        );
        let hook = given(None, None).hook_in(
            &[Some("none".to_owned()), None],
            Usual::OfMachine,
            &silent,
            &profile,
        );
        assert_eq!(hook.unwrap().setup().microphone, Choice::Null);
        assert_eq!(language(&profile), Language::Korean);
    }
}
