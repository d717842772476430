//! Carrying commands out.

use std::path::Path;
use std::time::{Duration, Instant};

use media::codec::CodecKind;

use super::command::{Command, Divert, KeysBy, Recipient};
use super::refusal::Refusal;
use super::rules::NO_ANSWER;
use super::state::{CallPhase, CallState, TransferState};
use super::{Control, Outcome};
use crate::address;
use crate::event::{AccountNumber, CallNumber};
use crate::phone::CallError;
use crate::sound::SoundError;

/// Refuses a call that rings where no status is given: busy here.
const BUSY: u16 = 486;

impl Control {
    /// Carries a command out, or begins to: what comes of it is told by events.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was done.
    pub fn execute(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        let attempt = Attempt(command);
        match command {
            Command::Dial { target, account } => {
                let account = attempt.account(self, account.as_deref())?;
                let target = attempt.target(self, account, target)?;
                self.hold_others(None);
                let sound = self.sound().map_err(|e| attempt.sound(&e))?;
                let call = self.phone.call_as(account, &target, sound);
                call.map(Outcome::Call).map_err(|e| attempt.call_error(&e))
            }
            Command::Answer { call } => {
                let call = attempt.one(self, *call, "rings", is_ringing)?;
                self.answer(call).map_err(|why| attempt.refuse(why, ""))?;
                Ok(Outcome::Done)
            }
            Command::Reject { call, status } => {
                let call = attempt.one(self, *call, "rings", is_ringing)?;
                self.phone.reject(call, status.unwrap_or(BUSY));
                Ok(Outcome::Done)
            }
            Command::HangUp { call } => {
                let call = attempt.one_to_end(self, *call)?;
                self.phone.hang_up(call);
                Ok(Outcome::Done)
            }
            Command::HangUpAll => {
                for call in self.state.calls.keys() {
                    self.phone.hang_up(*call);
                }
                Ok(Outcome::Done)
            }
            Command::Hold { call } => {
                let call = attempt.one(self, *call, "can be put on hold", |c| {
                    is_up(c) && !c.held_by_us
                })?;
                self.phone.hold(call, true);
                Ok(Outcome::Done)
            }
            Command::Resume { call } => {
                let call = attempt.one(self, *call, "is on hold", |c| is_up(c) && c.held_by_us)?;
                self.hold_others(Some(call));
                self.phone.hold(call, false);
                Ok(Outcome::Done)
            }
            Command::Swap => self.swap(&attempt),
            Command::Calls => Ok(Outcome::Calls),
            Command::Accounts => Ok(Outcome::Accounts),
            Command::Status => Ok(Outcome::Status),
            Command::Sleep(time) => Ok(Outcome::Sleep(*time)),
            Command::Wait {
                event,
                call,
                patience,
            } => Ok(Outcome::Wait {
                event: event.clone(),
                call: *call,
                patience: *patience,
            }),
            Command::Quit => Ok(Outcome::Quit),
            other => self.execute_more(other, &attempt),
        }
    }

    /// Rules and accounts.
    fn execute_more(&mut self, command: &Command, attempt: &Attempt<'_>) -> Result<Outcome, Refusal> {
        match command {
            Command::Divert {
                when,
                target,
                after,
            } => {
                let target = match target {
                    Some(text) => Some(attempt.target(self, AccountNumber(0), text)?),
                    None => None,
                };
                match when {
                    Divert::Always => self.rules.always = target,
                    Divert::Busy => self.rules.busy = target,
                    Divert::NoAnswer => {
                        let after = after.unwrap_or(NO_ANSWER);
                        self.rules.no_answer = target.map(|target| (target, after));
                    }
                }
            }
            Command::DoNotDisturb(on) => self.rules.do_not_disturb = *on,
            Command::CallWaiting(on) => self.rules.call_waiting = *on,
            Command::AutoAnswer(after) => self.rules.auto_answer = *after,
            Command::Register { account } => match account {
                Some(name) => {
                    let account = attempt.account(self, Some(name))?;
                    self.phone.register_account(account, self.expires);
                }
                None => self.phone.register(self.expires),
            },
            Command::Unregister { account } => match account {
                Some(name) => {
                    let account = attempt.account(self, Some(name))?;
                    self.phone.register_account(account, 0);
                }
                None => self.phone.unregister(),
            },
            Command::Options { target } => {
                let target = attempt.target(self, AccountNumber(0), target)?;
                self.phone.options(&target);
            }
            Command::Dtmf { call, digits, by } => {
                attempt.established(self, *call)?;
                match by {
                    KeysBy::Rfc4733 => self.phone.press(*call, digits),
                    KeysBy::Info => self.phone.press(*call, digits),
                }
            }
            _ => return Err(attempt.refuse("not known", "")),
        }
        Ok(Outcome::Done)
    }

    /// The call that is talked in goes on hold, the one on hold is talked in.
    fn swap(&mut self, attempt: &Attempt<'_>) -> Result<Outcome, Refusal> {
        let held: Vec<CallNumber> = self.state.held().map(|c| c.number).collect();
        let [resumed] = held.as_slice() else {
            let what = match held.len() {
                0 => "no call is on hold".to_owned(),
                n => format!("{n} calls are on hold"),
            };
            return Err(attempt.refuse(what, "write which: resume CALL, hold CALL"));
        };
        for call in self.state.talking().map(|c| c.number) {
            self.phone.hold(call, true);
        }
        self.phone.hold(*resumed, false);
        Ok(Outcome::Done)
    }

    /// Answers a call that rings.
    pub(super) fn answer(&mut self, call: CallNumber) -> Result<(), String> {
        self.hold_others(Some(call));
        let sound = self.sound().map_err(|error| error.to_string())?;
        let answered = self.phone.answer(call, sound);
        answered.map_err(|error| error.to_string())
    }

    /// Where only one call is talked in at a time, the others are put on hold.
    fn hold_others(&self, but: Option<CallNumber>) {
        if !self.rules.one_at_a_time {
            return;
        }
        let joined = but.is_some_and(|call| self.is_joined(call));
        for call in self.state.talking() {
            if Some(call.number) != but && !(joined && call.in_conference) {
                self.phone.hold(call.number, true);
            }
        }
    }

    fn is_joined(&self, call: CallNumber) -> bool {
        let call = self.state.calls.get(&call);
        call.is_some_and(|c| c.in_conference)
    }
}

fn is_ringing(call: &CallState) -> bool {
    call.phase == CallPhase::Ringing
}

fn is_up(call: &CallState) -> bool {
    call.phase == CallPhase::Established
}

/// A command that is being carried out, for what is said when that fails.
struct Attempt<'a>(&'a Command);

impl Attempt<'_> {
    fn refuse(&self, what: impl Into<String>, advice: impl Into<String>) -> Refusal {
        Refusal::new(self.0.to_string(), what, advice)
    }

    fn sound(&self, error: &SoundError) -> Refusal {
        self.refuse(error.to_string(), "")
    }

    fn call_error(&self, error: &CallError) -> Refusal {
        self.refuse(error.to_string(), "")
    }

    /// The call that is named, or the only one that `fits`.
    fn one(
        &self,
        control: &Control,
        named: Option<CallNumber>,
        what: &str,
        fits: impl Fn(&CallState) -> bool,
    ) -> Result<CallNumber, Refusal> {
        if let Some(call) = named {
            let known = self.known(control, call)?;
            if !fits(known) {
                return Err(self.refuse(format!("call {call} is not one that {what}"), "see: calls"));
            }
            return Ok(call);
        }
        let mut fitting = control.state.calls.values().filter(|call| fits(call));
        match (fitting.next(), fitting.next()) {
            (Some(call), None) => Ok(call.number),
            (None, _) => Err(self.refuse(format!("there is no call that {what}"), "see: calls")),
            (Some(_), Some(_)) => Err(self.refuse(
                format!("there is more than one call that {what}"),
                "write the number of the call; see: calls",
            )),
        }
    }

    /// The call to end: the only one, or the only one that is not on hold.
    fn one_to_end(
        &self,
        control: &Control,
        named: Option<CallNumber>,
    ) -> Result<CallNumber, Refusal> {
        if named.is_none() && control.state.calls.len() > 1 {
            return self.one(control, None, "is not on hold", |c| !c.held_by_us);
        }
        self.one(control, named, "can be ended", |_| true)
    }

    fn known<'a>(&self, control: &'a Control, call: CallNumber) -> Result<&'a CallState, Refusal> {
        let known = control.state.calls.get(&call);
        known.ok_or_else(|| self.refuse(format!("there is no call {call}"), "see: calls"))
    }

    fn established(&self, control: &Control, call: CallNumber) -> Result<(), Refusal> {
        if is_up(self.known(control, call)?) {
            return Ok(());
        }
        Err(self.refuse(
            format!("call {call} is not answered yet"),
            format!("wait for it: wait established {call}"),
        ))
    }

    fn account(&self, control: &Control, named: Option<&str>) -> Result<AccountNumber, Refusal> {
        let accounts = &control.state.accounts;
        let Some(text) = named else {
            // The first is the one for everything that names none.
            return Ok(AccountNumber(0));
        };
        if let Ok(number) = text.parse()
            && accounts.iter().any(|a| a.number == AccountNumber(number))
        {
            return Ok(AccountNumber(number));
        }
        let bare = text.strip_prefix("sip:").unwrap_or(text);
        let whole = accounts.iter().find(|a| a.name.to_string() == bare);
        let mut users = accounts.iter().filter(|a| a.name.user == bare);
        match (whole, users.next(), users.next()) {
            (Some(account), _, _) | (None, Some(account), None) => Ok(account.number),
            (None, Some(_), Some(_)) => Err(self.refuse(
                format!("there is more than one account '{}'", text.escape_debug()),
                "write it with its domain; see: accounts",
            )),
            (None, None, _) => Err(self.refuse(
                format!("there is no account '{}'", text.escape_debug()),
                "see: accounts",
            )),
        }
    }

    fn target(
        &self,
        control: &Control,
        account: AccountNumber,
        text: &str,
    ) -> Result<String, Refusal> {
        let accounts = &control.state.accounts;
        let account = accounts.iter().find(|a| a.number == account);
        let domain = account.map_or("", |a| a.name.domain.as_str());
        address::target(text, domain).map_err(|error| {
            self.refuse(
                format!("TARGET {error}"),
                "write a user, a number, user@domain or a SIP URI",
            )
        })
    }
}
