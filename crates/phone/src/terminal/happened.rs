//! What the phone tells, remembered and said to its owner.

use std::time::Duration;

use media::session::Statistics;

use super::causes;
use super::model::bare;
use super::present::display_name;
use super::records::Over;
use super::run::Desk;
use super::scene::TextState;
use super::texts::{Language, Text};
use crate::Cause;
use crate::book::{BookError, Outcome};
use crate::control::CallState;
use crate::event::Event;

impl Desk {
    /// Takes in what happened.
    pub(super) fn happened(&mut self, event: &Event, language: Language) {
        let before = event
            .call()
            .and_then(|call| self.control.state().calls.get(&call));
        let before = before.cloned();
        self.presenter.note(self.control.state(), event, language);
        self.control.note(event);
        match event {
            Event::Ended {
                call,
                cause,
                talked,
                statistics,
                ..
            } => {
                if let Some(state) = before {
                    self.ended(&state, cause, (*talked, statistics.as_deref()), language);
                }
                self.handled.remove(call);
            }
            Event::Message {
                from,
                body,
                content_type,
                ..
            } => self.message(from, content_type, body, language),
            Event::Sent {
                method: "MESSAGE",
                target,
                status,
                reason,
                ..
            } => {
                let state = match status {
                    202 => TextState::Stored,
                    200..=299 => TextState::Delivered,
                    _ => TextState::Failed(format!("{reason} ({status})")),
                };
                let kept = self.records.sent(target, state);
                self.check(kept);
            }
            Event::RequestFailed {
                method: "MESSAGE",
                target,
                cause,
                ..
            } => {
                let state = TextState::Failed(causes::reason(cause, language));
                let kept = self.records.sent(target, state);
                self.check(kept);
            }
            Event::Device { role, change, name } => {
                self.device_changed(*role, *change, name, language);
            }
            other => self.said(other, before.as_ref(), language),
        }
    }

    fn ended(
        &mut self,
        call: &CallState,
        cause: &Cause,
        (talked, statistics): (Option<Duration>, Option<&Statistics>),
        language: Language,
    ) {
        let outcome = self.outcome(call, cause, talked);
        let is_missed = outcome == Outcome::Missed;
        let reason = if outcome == Outcome::Refused && !call.outgoing {
            Text::RefusedHere.in_language(language).to_owned()
        } else {
            causes::reason(cause, language)
        };
        let account = self.account_of(call);
        let over = Over {
            account: &account,
            cause,
            reason: &reason,
            outcome,
            began: self.presenter.epoch(call.began),
            talked,
            statistics,
        };
        let kept = self.records.ended(call, &over);
        let who = self.who(call);
        let failed = matches!(outcome, Outcome::Refused | Outcome::Failed) && call.outgoing;
        if failed {
            let why = causes::both(cause, language);
            self.tell(Text::Ended.with(language, &[&who, &why]), true);
        } else if is_missed {
            let missed = Text::Missed.in_language(language);
            self.tell(Text::Ended.with(language, &[&who, missed]), false);
        } else {
            self.tell(Text::Ended.with(language, &[&who, &reason]), false);
        }
        self.check(kept);
    }

    /// How a call went, for the history.
    fn outcome(&self, call: &CallState, cause: &Cause, talked: Option<Duration>) -> Outcome {
        if talked.is_some() {
            return Outcome::Answered;
        }
        match cause {
            Cause::AnsweredElsewhere => Outcome::AnsweredElsewhere,
            _ if !call.outgoing && self.handled.contains(&call.number) => Outcome::Refused,
            _ if !call.outgoing => Outcome::Missed,
            Cause::ByUs | Cause::Cancelled => Outcome::Cancelled,
            Cause::Refused { .. } | Cause::Unauthorized { .. } => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    /// The address of the account that a call belongs to.
    fn account_of(&self, call: &CallState) -> String {
        let accounts = &self.control.state().accounts;
        let account = accounts.iter().find(|a| Some(a.number) == call.account);
        account.map_or_else(|| self.account_name(), |a| a.name.to_string())
    }

    /// Says that something could not be kept.
    pub(super) fn check(&mut self, kept: Result<(), BookError>) {
        if let Err(error) = kept {
            self.tell(error.to_string(), true);
        }
    }

    fn message(&mut self, from: &str, content_type: &str, body: &[u8], language: Language) {
        // Typing notifications (RFC 3994) and the like are no texts for people.
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("text/plain") {
            return;
        }
        let text = String::from_utf8_lossy(body);
        let account = self.account_name();
        let kept = self.records.received(&account, from, &text);
        self.check(kept);
        let who = self.name(None, from);
        self.tell(Text::MessageFrom.with(language, &[&who]), false);
    }

    /// The rest that a person wants to know.
    fn said(&mut self, event: &Event, call: Option<&CallState>, language: Language) {
        let who = call.map_or(String::new(), |call| self.who(call));
        let (text, is_error) = match event {
            Event::Transferring { status, reason, .. } => {
                let progress = format!("{status} {reason}");
                (
                    Text::TransferProgress.with(language, &[&who, &progress]),
                    false,
                )
            }
            Event::Transferred { failure: None, .. } => {
                (Text::TransferDone.with(language, &[&who]), false)
            }
            Event::Transferred {
                failure: Some(cause),
                ..
            } => {
                let why = causes::both(cause, language);
                (Text::TransferFailed.with(language, &[&who, &why]), true)
            }
            Event::Redirected { target, .. } => (
                Text::RedirectedTo.with(language, &[&who, bare(target)]),
                false,
            ),
            Event::Diverted { call, target } => {
                self.handled.insert(*call);
                (
                    Text::DivertedTo.with(language, &[&who, bare(target)]),
                    false,
                )
            }
            Event::ChangeRefused { cause, .. } => {
                let why = causes::both(cause, language);
                (Text::ChangeRefused.with(language, &[&why]), true)
            }
            Event::Recording {
                file: Some(file), ..
            } => {
                let file = file.display().to_string();
                (Text::RecordingTo.with(language, &[&file]), false)
            }
            Event::Recording { file: None, .. } => {
                (Text::RecordingEnded.in_language(language).to_owned(), false)
            }
            Event::Dtmf { digit, .. } => (
                Text::KeyPressed.with(language, &[&who, &digit.to_string()]),
                false,
            ),
            Event::RequestFailed { method, cause, .. } => {
                let why = causes::both(cause, language);
                (Text::Ended.with(language, &[method, &why]), true)
            }
            _ => return,
        };
        self.tell(text, is_error);
    }

    /// The other side of a call, for a person.
    fn who(&self, call: &CallState) -> String {
        self.name(display_name(&call.peer), &call.peer_uri)
    }

    /// The name of somebody: from the book, as they call themselves, or their address.
    fn name(&self, own: Option<String>, address: &str) -> String {
        let address = self.whole(address);
        let mut contacts = self.records.contacts.iter();
        let known = contacts.find(|c| super::model::same(&self.whole(&c.address), &address));
        match known {
            Some(contact) => contact.name.clone(),
            None => own.unwrap_or(address),
        }
    }
}
