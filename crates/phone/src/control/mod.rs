//! Driving a phone by commands and knowing what it does: what every face of it stands on.
//!
//! A [`Command`] is a line of text; [`Control`] carries it out and keeps a [`State`] that only the events of the phone
//! change. Its owner reads the events, hands each to [`Control::note`], and calls [`Control::on_time`] when
//! [`Control::next_deadline`] has come.

mod command;
mod devices;
mod execute;
mod parse;
mod refusal;
mod rules;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use sip::ua::Diverted;

pub use command::{Command, Divert, GRAMMAR, LOUDEST, PATIENCE, Recipient};
pub use refusal::Refusal;
pub use rules::{NO_ANSWER, Rules};
pub use state::{AccountState, CallPhase, CallState, Registration, State, TransferState};

use crate::device::{Hook, Melody};
use crate::event::{CallNumber, Event};
use crate::phone::Phone;
use crate::sound::{Sound, SoundError};
use crate::terminal::Language;
use rules::Screening;

/// Makes the sound of a call when it is dialled or answered: a microphone, a file, an echo.
pub type Sounds = Box<dyn FnMut() -> Result<Sound, SoundError> + Send>;

/// Seconds that a registration is asked for where its owner does not say.
const EXPIRES: u32 = 600;

/// A phone with what it does and how it answers by itself.
pub struct Control {
    phone: Phone,
    state: State,
    rules: Rules,
    sounds: Sounds,
    hook: Option<Hook>,
    /// What is wrong with microphone and speaker is said in this language.
    language: Language,
    /// Seconds that registrations are asked for.
    expires: u32,
    /// What is to happen to calls that ring here.
    pending: BTreeMap<CallNumber, Pending>,
    /// Calls that a person is to hear ringing.
    ringing: BTreeSet<CallNumber>,
}

/// What a command comes to at once. What the phone makes of it is told by events.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is under way, or done.
    Done,
    /// A new call is under way.
    Call(CallNumber),
    /// The calls are to be told.
    Calls,
    /// The accounts are to be told.
    Accounts,
    /// Everything is to be told.
    Status,
    /// The devices of this machine are to be told.
    Devices,
    /// The next line is to wait.
    Sleep(Duration),
    /// The next line is to wait for an event.
    Wait {
        /// Name of the event as `--json` writes it.
        event: String,
        /// Of which call.
        call: Option<CallNumber>,
        /// How long at most.
        patience: Duration,
    },
    /// The phone is to end.
    Quit,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    answer_at: Option<Instant>,
    divert_at: Option<Instant>,
}

impl Control {
    /// Takes a phone over.
    pub fn new(phone: Phone, sounds: Sounds) -> Control {
        Control {
            state: State::new(phone.accounts().iter().cloned()),
            phone,
            rules: Rules::default(),
            sounds,
            hook: None,
            language: Language::default(),
            expires: EXPIRES,
            pending: BTreeMap::new(),
            ringing: BTreeSet::new(),
        }
    }

    /// What the phone is doing.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The phone itself.
    pub fn phone(&self) -> &Phone {
        &self.phone
    }

    /// Talks and listens with these devices from now on, where the sound of a call has no source of its own. What is wrong
    /// with them is said in this language.
    pub fn set_hook(&mut self, hook: Hook, language: Language) {
        self.hook = Some(hook);
        self.language = language;
    }

    /// Says what is wrong with devices in this language from now on.
    pub fn set_language(&mut self, language: Language) {
        self.language = language;
    }

    /// The devices; `None` where calls have none.
    pub fn hook(&self) -> Option<&Hook> {
        self.hook.as_ref()
    }

    /// The devices, to choose and measure.
    pub fn hook_mut(&mut self) -> Option<&mut Hook> {
        self.hook.as_mut()
    }

    /// What becomes of calls that come in.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Changes what becomes of calls that come in.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// For how many seconds registrations are asked for from now on.
    pub fn set_expires(&mut self, expires: u32) {
        self.expires = expires;
    }

    /// Gives the phone back, for [`Phone::close`].
    pub fn into_phone(self) -> Phone {
        self.phone
    }

    /// Takes in what happened, and does with a call that comes in what the rules say.
    pub fn note(&mut self, event: &Event) {
        self.state.note(event);
        match event {
            // It goes on with a call that was accepted already (RFC 3891 §4).
            Event::Incoming {
                call,
                replaces: Some(_),
                ..
            } => self.answer_by_itself(*call),
            Event::Incoming { call, .. } => self.incoming(*call),
            Event::Established { call, .. } | Event::Ended { call, .. } => {
                self.pending.remove(call);
                self.ringing.remove(call);
            }
            _ => {}
        }
        self.ring();
    }

    /// Plays what a telephone plays: it rings, or one hears that it rings there.
    fn ring(&mut self) {
        let Some(hook) = &mut self.hook else {
            return;
        };
        let calls = || self.state.calls.values();
        let talks = calls().any(|c| c.phase == CallPhase::Established && !c.held_by_us);
        let rings = !self.ringing.is_empty();
        let waits = calls().any(|c| c.phase == CallPhase::Alerting && c.agreed.is_none());
        hook.play(match (rings, talks, waits) {
            (true, true, _) => Some(Melody::Waiting),
            (true, false, _) => Some(Melody::Ringing),
            (false, _, true) => Some(Melody::Ringback),
            (false, _, false) => None,
        });
    }

    /// When [`Control::on_time`] has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.values().filter_map(Pending::next).min()
    }

    /// Does what is due: calls that ring are answered, or sent elsewhere.
    pub fn on_time(&mut self, now: Instant) {
        let due: Vec<(CallNumber, Pending)> = self
            .pending
            .iter()
            .filter(|(_, p)| p.next().is_some_and(|at| at <= now))
            .map(|(call, pending)| (*call, *pending))
            .collect();
        for (call, pending) in due {
            self.pending.remove(&call);
            if pending.answer_at.is_some_and(|at| at <= now) {
                self.answer_by_itself(call);
            } else if let Some((target, _)) = &self.rules.no_answer {
                self.phone.divert(call, target, Diverted::NoAnswer);
            }
        }
    }

    fn incoming(&mut self, call: CallNumber) {
        match self.rules.screen(call, &self.state) {
            Screening::Refuse(status) => self.phone.reject(call, status),
            Screening::Divert(target, why) => self.phone.divert(call, &target, why),
            Screening::Ring => {
                if self.rules.auto_answer == Some(Duration::ZERO) {
                    return self.answer_by_itself(call);
                }
                self.phone.ring(call);
                self.ringing.insert(call);
                let after = |wait: Duration| Instant::now().checked_add(wait);
                let pending = Pending {
                    answer_at: self.rules.auto_answer.and_then(after),
                    divert_at: self.rules.no_answer.as_ref().and_then(|(_, d)| after(*d)),
                };
                if pending.next().is_some() {
                    self.pending.insert(call, pending);
                }
            }
        }
    }

    /// A call that nobody can answer by hand is refused when its sound cannot be opened.
    fn answer_by_itself(&mut self, call: CallNumber) {
        if let Err(why) = self.answer(call) {
            self.phone.trouble(call, why.to_string());
            self.phone.reject(call, 500);
        }
    }

    fn sound(&mut self) -> Result<Sound, SoundError> {
        let mut sound = (self.sounds)()?;
        if let Some(hook) = &mut self.hook {
            let lifted = hook.lift();
            let lifted = lifted.map_err(|why| SoundError::not_ready(&why, self.language))?;
            sound.attach(lifted.port);
        }
        Ok(sound)
    }
}

impl Pending {
    fn next(&self) -> Option<Instant> {
        [self.answer_at, self.divert_at].into_iter().flatten().min()
    }
}
