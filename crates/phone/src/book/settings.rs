//! What a person chose.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Book, BookError, check_length};

const MAX_VALUE: usize = 4096;

/// The choices of the person who uses this phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// What is spoken into; the system's choice when `None`.
    pub microphone: Option<String>,
    /// What is listened to.
    pub speaker: Option<String>,
    /// Where it rings.
    pub ringer: Option<String>,
    /// In percent; 100 leaves the sound as it is.
    pub microphone_volume: u16,
    /// In percent.
    pub speaker_volume: u16,
    /// In percent.
    pub ringer_volume: u16,
    /// Nobody gets through.
    pub do_not_disturb: bool,
    /// A second caller finds it busy.
    pub no_call_waiting: bool,
    /// Where calls go instead.
    pub forward: Forward,
    /// The language of the phone; the system's when `None`.
    pub language: Option<String>,
}

/// Where calls go instead of ringing here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Each call.
    pub always: Option<String>,
    /// While another call is on, or nobody is to disturb.
    pub busy: Option<String>,
    /// When nobody has answered for so long.
    pub no_answer: Option<(String, Duration)>,
}

impl Default for Preferences {
    fn default() -> Preferences {
        Preferences {
            microphone: None,
            speaker: None,
            ringer: None,
            microphone_volume: 100,
            speaker_volume: 100,
            ringer_volume: 100,
            do_not_disturb: false,
            no_call_waiting: false,
            forward: Forward::default(),
            language: None,
        }
    }
}

impl Book {
    /// What was chosen; what was not is at its default.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn preferences(&self) -> Result<Preferences, BookError> {
        let mut stored: BTreeMap<String, String> = self.run(|connection| {
            let mut statement = connection.prepare("SELECT name, value FROM setting")?;
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        let usual = Preferences::default();
        let mut text = |name: &str| stored.remove(name);
        let volume = |text: Option<String>, usual: u16| {
            let stored = text.and_then(|v| v.parse().ok());
            stored.unwrap_or(usual).min(400)
        };
        let no_answer_after = text("forward_no_answer_after").and_then(|v| v.parse().ok());
        Ok(Preferences {
            microphone: text("microphone"),
            speaker: text("speaker"),
            ringer: text("ringer"),
            microphone_volume: volume(text("microphone_volume"), usual.microphone_volume),
            speaker_volume: volume(text("speaker_volume"), usual.speaker_volume),
            ringer_volume: volume(text("ringer_volume"), usual.ringer_volume),
            do_not_disturb: text("do_not_disturb").is_some(),
            no_call_waiting: text("no_call_waiting").is_some(),
            forward: Forward {
                always: text("forward_always"),
                busy: text("forward_busy"),
                no_answer: text("forward_no_answer")
                    .map(|to| (to, Duration::from_secs(no_answer_after.unwrap_or(20)))),
            },
            language: text("language"),
        })
    }

    /// Keeps all choices.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn set_preferences(&mut self, preferences: &Preferences) -> Result<(), BookError> {
        let p = preferences;
        let flag = |set: bool| set.then(|| "yes".to_owned());
        let no_answer = p.forward.no_answer.as_ref();
        let all = [
            ("microphone", p.microphone.clone()),
            ("speaker", p.speaker.clone()),
            ("ringer", p.ringer.clone()),
            ("microphone_volume", Some(p.microphone_volume.to_string())),
            ("speaker_volume", Some(p.speaker_volume.to_string())),
            ("ringer_volume", Some(p.ringer_volume.to_string())),
            ("do_not_disturb", flag(p.do_not_disturb)),
            ("no_call_waiting", flag(p.no_call_waiting)),
            ("forward_always", p.forward.always.clone()),
            ("forward_busy", p.forward.busy.clone()),
            ("forward_no_answer", no_answer.map(|(to, _)| to.clone())),
            (
                "forward_no_answer_after",
                no_answer.map(|(_, after)| after.as_secs().to_string()),
            ),
            ("language", p.language.clone()),
        ];
        for value in all.iter().filter_map(|(_, value)| value.as_ref()) {
            check_length("a setting", value, MAX_VALUE)?;
        }
        self.change(|connection| {
            for (name, value) in &all {
                match value {
                    Some(value) => connection.execute(
                        "INSERT INTO setting (name, value) VALUES (?1, ?2)
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        (name, value),
                    )?,
                    None => connection.execute("DELETE FROM setting WHERE name = ?1", [name])?,
                };
            }
            Ok(())
        })
    }
}
