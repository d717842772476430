//! Carrying commands out.

use media::codec::CodecKind;
use sip::ua::Diverted;

use super::command::{Command, Divert, Recipient};
use super::refusal::Refusal;
use super::rules::NO_ANSWER;
use super::state::{CallPhase, CallState, TransferState};
use super::{Control, Outcome};
use crate::address;
use crate::event::{AccountNumber, CallNumber};
use crate::phone::CallError;
use crate::phone::KeysBy;
use crate::sound::SoundError;

/// Refuses a call that rings where no status is given: busy here.
const BUSY: u16 = 486;
/// Refuses a transfer.
const DECLINED: u16 = 603;
/// What messages are.
const TEXT: &str = "text/plain;charset=utf-8";

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
                let sound = self.sound().map_err(|e| attempt.sound(&e))?;
                self.hold_others(None);
                let call = self.phone.call_as(account, &target, sound);
                call.map(Outcome::Call).map_err(|e| attempt.call_error(&e))
            }
            Command::Answer { call } => {
                let call = attempt.one(self, *call, "rings", is_ringing)?;
                self.answer(call).map_err(|e| attempt.sound(&e))?;
                Ok(Outcome::Done)
            }
            Command::Reject { call, status } => {
                let call = attempt.one(self, *call, "rings", is_ringing)?;
                self.ringing.remove(&call);
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
    fn execute_more(
        &mut self,
        command: &Command,
        attempt: &Attempt<'_>,
    ) -> Result<Outcome, Refusal> {
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
            other => return self.execute_within(other, attempt),
        }
        Ok(Outcome::Done)
    }

    /// What goes on in calls, and messages.
    fn execute_within(
        &mut self,
        command: &Command,
        attempt: &Attempt<'_>,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::Dtmf { call, digits, by } => {
                attempt.established(self, *call)?;
                let by = by.unwrap_or(self.phone.keys_by());
                if by == KeysBy::Info && digits.contains(',') {
                    let what = "keys that travel by INFO know no pauses";
                    return Err(attempt.refuse(what, "leave the commas out, and write: sleep 1"));
                }
                self.phone.press_by(*call, digits, by);
            }
            Command::Info {
                call,
                content_type,
                body,
            } => {
                attempt.established(self, *call)?;
                self.phone.info(*call, content_type, body.as_bytes());
            }
            Command::Message { to, text } => self.message(attempt, to, text)?,
            Command::Mute(muted) => self.phone.mute(*muted),
            Command::Record { call, file } => {
                attempt.known(self, *call)?;
                let recorded = self.phone.record(*call, file.as_deref());
                recorded.map_err(|e| attempt.sound(&e))?;
            }
            Command::Play { call, file } => {
                attempt.known(self, *call)?;
                let played = self.phone.play(*call, file.as_deref());
                played.map_err(|e| attempt.sound(&e))?;
            }
            Command::Codec { call, names } => {
                attempt.established(self, *call)?;
                let codecs = attempt.codecs(names)?;
                self.phone.change_codecs(*call, &codecs);
            }
            Command::Subscribe { package, target } => {
                let target = attempt.target(self, AccountNumber(0), target)?;
                self.phone.subscribe(AccountNumber(0), package, &target);
            }
            Command::Conference { calls } => {
                for call in calls {
                    attempt.established(self, *call)?;
                }
                calls.iter().for_each(|call| self.phone.join(*call, true));
            }
            Command::Join { call } => {
                attempt.established(self, *call)?;
                self.phone.join(*call, true);
            }
            Command::Part { call } => {
                if !attempt.known(self, *call)?.in_conference {
                    let what = format!("call {call} is not in the conference");
                    return Err(attempt.refuse(what, "see: calls"));
                }
                self.phone.join(*call, false);
            }
            other => return self.execute_transfer(other, attempt),
        }
        Ok(Outcome::Done)
    }

    /// Calls that go elsewhere.
    fn execute_transfer(
        &mut self,
        command: &Command,
        attempt: &Attempt<'_>,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::Transfer { call, target } => {
                attempt.established(self, *call)?;
                let target = attempt.target(self, self.account_of(*call), target)?;
                self.phone.transfer(*call, &target);
            }
            Command::TransferTo { call, to } => {
                attempt.established(self, *call)?;
                attempt.established(self, *to)?;
                if call == to {
                    return Err(attempt.refuse("both are the same call", "see: calls"));
                }
                self.phone.transfer_to(*call, *to);
            }
            Command::AcceptTransfer { call } => {
                attempt.asks_for_transfer(self, *call)?;
                let sound = self.sound().map_err(|e| attempt.sound(&e))?;
                let account = self.account_of(*call);
                let new = self.phone.accept_transfer(*call, account, sound);
                return new.map(Outcome::Call).map_err(|e| attempt.call_error(&e));
            }
            Command::RefuseTransfer { call } => {
                attempt.asks_for_transfer(self, *call)?;
                self.phone.refuse_transfer(*call, DECLINED);
            }
            Command::Forward { call, target } => {
                let call = attempt.one(self, Some(*call), "rings here", is_ringing)?;
                let target = attempt.target(self, self.account_of(call), target)?;
                self.phone.divert(call, &target, Diverted::Deflected);
            }
            Command::Pickup { target } => {
                let target = attempt.target(self, AccountNumber(0), target)?;
                let sound = self.sound().map_err(|e| attempt.sound(&e))?;
                self.hold_others(None);
                let call = self.phone.pick_up(AccountNumber(0), &target, sound);
                return call.map(Outcome::Call).map_err(|e| attempt.call_error(&e));
            }
            other => return self.execute_devices(other, attempt),
        }
        Ok(Outcome::Done)
    }

    fn message(&self, attempt: &Attempt<'_>, to: &Recipient, text: &str) -> Result<(), Refusal> {
        match to {
            Recipient::Call(call) => {
                attempt.established(self, *call)?;
                self.phone.message_in(*call, TEXT, text.as_bytes());
            }
            Recipient::Target(target) => {
                let target = attempt.target(self, AccountNumber(0), target)?;
                let account = AccountNumber(0);
                self.phone.message(account, &target, TEXT, text.as_bytes());
            }
        }
        Ok(())
    }

    fn account_of(&self, call: CallNumber) -> AccountNumber {
        let call = self.state.calls.get(&call);
        call.and_then(|c| c.account).unwrap_or_default()
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
    pub(super) fn answer(&mut self, call: CallNumber) -> Result<(), SoundError> {
        let sound = self.sound()?;
        self.ringing.remove(&call);
        self.hold_others(Some(call));
        let answered = self.phone.answer(call, sound);
        answered.map_err(|error| SoundError::new(error.to_string()))
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
pub(super) struct Attempt<'a>(&'a Command);

impl Attempt<'_> {
    pub(super) fn refuse(&self, what: impl Into<String>, advice: impl Into<String>) -> Refusal {
        Refusal::new(self.0.to_string(), what, advice)
    }

    pub(super) fn sound(&self, error: &SoundError) -> Refusal {
        Refusal {
            code: error.code(),
            ..self.refuse(error.to_string(), error.advice())
        }
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
                return Err(
                    self.refuse(format!("call {call} is not one that {what}"), "see: calls")
                );
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

    fn asks_for_transfer(&self, control: &Control, call: CallNumber) -> Result<(), Refusal> {
        match self.known(control, call)?.transfer {
            Some(TransferState::Requested { .. }) => Ok(()),
            _ => Err(self.refuse(
                format!("the other side of call {call} asks for no transfer"),
                "see: calls",
            )),
        }
    }

    fn codecs(&self, names: &[String]) -> Result<Vec<CodecKind>, Refusal> {
        let find = |name: &String| {
            let kind = CodecKind::of_name(name).ok_or_else(|| {
                self.refuse(
                    format!("there is no codec '{}'", name.escape_debug()),
                    format!(
                        "codecs are {}",
                        CodecKind::ALL.map(CodecKind::name).join(", ")
                    ),
                )
            })?;
            let available = kind.available();
            available
                .map_err(|why| self.refuse(format!("{name} cannot be used here: {why}"), ""))?;
            Ok(kind)
        };
        names.iter().map(find).collect()
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
