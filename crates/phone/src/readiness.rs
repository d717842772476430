//! Whether one can talk here: a call without a microphone would be silent for the other side.
//!
//! Before dialling, the devices are opened ([`crate::device::Headset::open`]) and heard ([`check`]).

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::device::{Headset, Role};
pub use crate::terminal::Language;

/// How long a microphone and a speaker are given to show that they work.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(10);
/// A speaker has to take more than what it buffers at once: so many parts of a second.
const PART_PLAYED: u64 = 10;

/// What works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Name of the microphone.
    pub microphone: String,
    /// Name of the speaker.
    pub speaker: String,
    /// How long it took to be sure.
    pub took: Duration,
}

/// Listens to the microphone and watches the speaker until both are known to work, for [`PATIENCE`] at most. Files and null
/// devices always do.
///
/// # Errors
/// [`NotReady`] with what does not work.
pub fn check(headset: &Headset) -> Result<Report, NotReady> {
    let start = Instant::now();
    loop {
        let outcome = look(headset);
        if outcome.is_ok() || start.elapsed() >= PATIENCE {
            let (microphone, speaker) = outcome?;
            return Ok(Report {
                microphone,
                speaker,
                took: start.elapsed(),
            });
        }
        thread::sleep(PAUSE);
    }
}

/// What is used, whether it works or not.
pub(crate) fn unchecked(headset: &Headset) -> Report {
    let name = |role| headset.name(role).unwrap_or_default();
    Report {
        microphone: name(Role::Microphone),
        speaker: name(Role::Speaker),
        took: Duration::ZERO,
    }
}

/// What is known at this moment.
fn look(headset: &Headset) -> Result<(String, String), NotReady> {
    let name = |role| {
        headset
            .name(role)
            .ok_or_else(|| NotReady::new(Reason::Missing, role))
    };
    let (microphone, speaker) = (name(Role::Microphone)?, name(Role::Speaker)?);
    if let Some(health) = headset.health(Role::Microphone) {
        let moved = health.moved.load(Ordering::Relaxed);
        let sounding = health.sounding.load(Ordering::Relaxed);
        let reason = match (moved, sounding) {
            (0, _) => Some(Reason::Nothing),
            (_, 0) => Some(Reason::Silent),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(NotReady::new(reason, Role::Microphone).on(&microphone));
        }
    }
    if let Some(health) = headset.health(Role::Speaker) {
        let wanted = u64::from(health.rate.load(Ordering::Relaxed)) / PART_PLAYED;
        if health.moved.load(Ordering::Relaxed) < wanted {
            return Err(NotReady::new(Reason::Nothing, Role::Speaker).on(&speaker));
        }
    }
    Ok((microphone, speaker))
}

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none.
    Missing,
    /// There is none of the name that was asked for, or there are several.
    Unknown,
    /// A microphone that gives nothing, or a speaker that takes nothing.
    Nothing,
    /// A microphone that gives digital silence: muted, or dead.
    Silent,
    /// Another program has it for itself.
    Busy,
    /// The system does not allow it.
    Permission,
    /// Something else; the detail says what.
    Failed,
}

/// What keeps us from talking, and with which device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Why.
    pub reason: Reason,
    /// Microphone or speaker.
    pub role: Role,
    /// Name of the device, where it has one.
    pub device: Option<String>,
    /// What the system says, in its own words.
    pub detail: Option<String>,
}

impl NotReady {
    pub(crate) fn new(reason: Reason, role: Role) -> NotReady {
        NotReady {
            reason,
            role,
            device: None,
            detail: None,
        }
    }

    /// There is no such device at all.
    pub fn missing(role: Role) -> NotReady {
        NotReady::new(Reason::Missing, role)
    }

    pub(crate) fn on(mut self, device: &str) -> NotReady {
        self.device = Some(device.to_owned());
        self
    }

    pub(crate) fn because(mut self, detail: &str) -> NotReady {
        self.detail = Some(detail.to_owned());
        self
    }

    /// A name for programs: `no_microphone`, `microphone_silent`, `speaker_busy` …
    pub fn code(&self) -> &'static str {
        use Role::{Microphone, Speaker};
        match (self.role, self.reason) {
            (Microphone, Reason::Missing) => "no_microphone",
            (Microphone, Reason::Unknown) => "unknown_microphone",
            (Microphone, Reason::Nothing) => "microphone_gives_nothing",
            (Microphone, Reason::Silent) => "microphone_silent",
            (Microphone, Reason::Busy) => "microphone_busy",
            (Microphone, Reason::Permission) => "microphone_not_permitted",
            (Microphone, Reason::Failed) => "microphone_failed",
            (Speaker, Reason::Missing) => "no_speaker",
            (Speaker, Reason::Unknown) => "unknown_speaker",
            (Speaker, Reason::Nothing | Reason::Silent) => "speaker_does_not_play",
            (Speaker, Reason::Busy) => "speaker_busy",
            (Speaker, Reason::Permission) => "speaker_not_permitted",
            (Speaker, Reason::Failed) => "speaker_failed",
        }
    }

    /// What is wrong, in one sentence.
    pub fn message(&self, language: Language) -> String {
        let text = match language {
            Language::English => english(self.role, self.reason),
            Language::Korean => korean(self.role, self.reason),
        };
        let mut message = text.to_owned();
        if let Some(device) = &self.device {
            message.push_str(&format!(" ({device})"));
        }
        if let Some(detail) = &self.detail {
            message.push_str(&format!(": {detail}"));
        }
        message
    }

    /// How to mend it.
    pub fn advice(&self, language: Language) -> &'static str {
        match language {
            Language::English => english_advice(self.role, self.reason),
            Language::Korean => korean_advice(self.role, self.reason),
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(Language::English))
    }
}

impl std::error::Error for NotReady {}

fn english(role: Role, reason: Reason) -> &'static str {
    match (role, reason) {
        (Role::Microphone, Reason::Missing) => "there is no microphone",
        (Role::Microphone, Reason::Unknown) => "there is no such microphone, or more than one",
        (Role::Microphone, Reason::Nothing) => "the microphone gives no sound",
        (Role::Microphone, Reason::Silent) => {
            "the microphone is muted or dead: it gives only digital silence"
        }
        (Role::Microphone, Reason::Busy) => "another program uses the microphone",
        (Role::Microphone, Reason::Permission) => "the microphone may not be used",
        (Role::Microphone, Reason::Failed) => "the microphone cannot be opened",
        (Role::Speaker, Reason::Missing) => "there is no speaker",
        (Role::Speaker, Reason::Unknown) => "there is no such speaker, or more than one",
        (Role::Speaker, Reason::Nothing | Reason::Silent) => "the speaker does not play",
        (Role::Speaker, Reason::Busy) => "another program uses the speaker",
        (Role::Speaker, Reason::Permission) => "the speaker may not be used",
        (Role::Speaker, Reason::Failed) => "the speaker cannot be opened",
    }
}

fn english_advice(role: Role, reason: Reason) -> &'static str {
    match (role, reason) {
        (Role::Microphone, Reason::Missing) => {
            "plug in a microphone or a headset and try again (sori phone --devices lists what there is), or do without: --microphone none, --play FILE.wav"
        }
        (Role::Speaker, Reason::Missing) => {
            "plug in a speaker or a headset and try again (sori phone --devices lists what there is), or do without: --speaker none"
        }
        (_, Reason::Unknown) => "sori phone --devices lists the names and numbers",
        (Role::Microphone, Reason::Nothing) => {
            "unplug it and plug it in again, or choose another with --microphone"
        }
        (Role::Speaker, Reason::Nothing | Reason::Silent) => {
            "unplug it and plug it in again, or choose another with --speaker"
        }
        (Role::Microphone, Reason::Silent) => {
            "switch it on – at the microphone and in the system's sound settings – or choose another with --microphone"
        }
        (_, Reason::Busy) => "close the program that uses it, or choose another device",
        (Role::Microphone, Reason::Permission) => {
            "allow it in the system's privacy settings (on Linux: join the group audio)"
        }
        (Role::Speaker, Reason::Permission) => {
            "allow it in the system's settings (on Linux: join the group audio)"
        }
        (_, Reason::Failed) => "choose another device; sori phone --devices lists what there is",
    }
}

fn korean(role: Role, reason: Reason) -> &'static str {
    match (role, reason) {
        (Role::Microphone, Reason::Missing) => "마이크가 없습니다",
        (Role::Microphone, Reason::Unknown) => "그런 이름의 마이크가 없거나 여러 개입니다",
        (Role::Microphone, Reason::Nothing) => "마이크에서 소리가 들어오지 않습니다",
        (Role::Microphone, Reason::Silent) => {
            "마이크가 음소거되었거나 고장입니다: 무음만 들어옵니다"
        }
        (Role::Microphone, Reason::Busy) => "다른 프로그램이 마이크를 사용하고 있습니다",
        (Role::Microphone, Reason::Permission) => "마이크를 사용할 권한이 없습니다",
        (Role::Microphone, Reason::Failed) => "마이크를 열 수 없습니다",
        (Role::Speaker, Reason::Missing) => "스피커가 없습니다",
        (Role::Speaker, Reason::Unknown) => "그런 이름의 스피커가 없거나 여러 개입니다",
        (Role::Speaker, Reason::Nothing | Reason::Silent) => "스피커가 소리를 재생하지 않습니다",
        (Role::Speaker, Reason::Busy) => "다른 프로그램이 스피커를 사용하고 있습니다",
        (Role::Speaker, Reason::Permission) => "스피커를 사용할 권한이 없습니다",
        (Role::Speaker, Reason::Failed) => "스피커를 열 수 없습니다",
    }
}

fn korean_advice(role: Role, reason: Reason) -> &'static str {
    match (role, reason) {
        (Role::Microphone, Reason::Missing) => {
            "마이크나 헤드셋을 연결한 뒤 다시 시도하십시오 (장치 목록: sori phone --devices). 마이크 없이 걸려면: --microphone none, --play FILE.wav"
        }
        (Role::Speaker, Reason::Missing) => {
            "스피커나 헤드셋을 연결한 뒤 다시 시도하십시오 (장치 목록: sori phone --devices). 스피커 없이 걸려면: --speaker none"
        }
        (_, Reason::Unknown) => "장치의 이름과 번호는 sori phone --devices 로 볼 수 있습니다",
        (Role::Microphone, Reason::Nothing) => {
            "마이크를 뽑았다가 다시 연결하거나 --microphone 으로 다른 마이크를 고르십시오"
        }
        (Role::Speaker, Reason::Nothing | Reason::Silent) => {
            "스피커를 뽑았다가 다시 연결하거나 --speaker 로 다른 스피커를 고르십시오"
        }
        (Role::Microphone, Reason::Silent) => {
            "마이크의 스위치와 시스템의 소리 설정에서 음소거를 풀거나 --microphone 으로 다른 마이크를 고르십시오"
        }
        (_, Reason::Busy) => "그 프로그램을 닫거나 다른 장치를 고르십시오",
        (_, Reason::Permission) => {
            "시스템 설정에서 권한을 허용하십시오 (리눅스: audio 그룹에 가입)"
        }
        (_, Reason::Failed) => "다른 장치를 고르십시오. 장치 목록: sori phone --devices",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Choice, Setup};

    const REASONS: [Reason; 7] = [
        Reason::Missing,
        Reason::Unknown,
        Reason::Nothing,
        Reason::Silent,
        Reason::Busy,
        Reason::Permission,
        Reason::Failed,
    ];

    #[test]
    fn everything_is_said_in_both_languages_and_says_what_to_do() {
        for role in [Role::Microphone, Role::Speaker] {
            for reason in REASONS {
                let error = NotReady::new(reason, role).on("Webcam");
                assert!(error.to_string().contains(role.name()), "{error}");
                assert!(error.to_string().ends_with("(Webcam)"), "{error}");
                assert!(error.code().contains(role.name()), "{}", error.code());
                let korean = error.message(Language::Korean);
                let name = if role == Role::Microphone {
                    "마이크"
                } else {
                    "스피커"
                };
                assert!(korean.contains(name), "{korean}");
                for language in [Language::English, Language::Korean] {
                    assert!(error.advice(language).len() > 20);
                }
            }
        }
    }

    #[test]
    fn null_devices_are_ready_at_once() {
        let headset = Headset::open(&Setup {
            microphone: Choice::Null,
            speaker: Choice::Null,
            ..Setup::default()
        })
        .unwrap();
        let report = check(&headset).unwrap();
        assert_eq!(
            (report.microphone.as_str(), report.speaker.as_str()),
            ("none", "none")
        );
    }
}
