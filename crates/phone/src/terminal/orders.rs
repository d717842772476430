//! What the screen wants, done by the phone.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::model::{self, Model, Order, bare};
use super::run::Desk;
use super::scene::{CallId, TextState};
use super::texts::Language;
use crate::book::BookError;
use crate::control::{Command, Divert, Recipient, Refusal};
use crate::event::CallNumber;

/// Carries an order out.
///
/// # Errors
/// Why not, for a person.
pub(super) fn obey(desk: &mut Desk, order: Order, model: &Model) -> Result<(), String> {
    let Some(order) = keep(desk, order)? else {
        return Ok(());
    };
    let Some(order) = desk.sound(order, model.language)? else {
        return Ok(());
    };
    if let Order::Message { to, text } = &order {
        let (account, to) = (desk.account_name(), desk.whole(to));
        let kept = desk.records.sending(&account, &to, text);
        kept.map_err(plain)?;
    }
    if let Order::Reject(call) | Order::Forward(call, _) = &order {
        desk.handled.insert(CallNumber(*call));
    }
    if let Order::Register(account) = &order
        && let Ok(number) = account.parse()
    {
        desk.presenter.registering(number);
    }
    let Some(command) = command(desk, order, model)? else {
        return Ok(());
    };
    match desk.control.execute(&command) {
        Ok(_) if matches!(command, Command::DoNotDisturb(_) | Command::Divert { .. }) => {
            keep_rules(desk).map_err(plain)
        }
        Ok(_) => Ok(()),
        Err(refusal) => {
            if let Command::Message {
                to: Recipient::Target(to),
                ..
            } = &command
            {
                let to = desk.whole(to);
                let why = TextState::Failed(refusal.what.clone());
                let kept = desk.records.sent(&to, why);
                kept.map_err(plain)?;
            }
            Err(said(&refusal))
        }
    }
}

/// A refusal for somebody who wrote no command.
pub(super) fn said(refusal: &Refusal) -> String {
    if refusal.advice.is_empty() || refusal.advice.contains("see: ") {
        refusal.what.clone()
    } else if refusal.code.is_some() {
        format!("{}; {}", refusal.what, refusal.advice)
    } else {
        format!("{}. {}", refusal.what, refusal.advice)
    }
}

fn plain(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Does what needs no phone; gives the order back where it does.
fn keep(desk: &mut Desk, order: Order) -> Result<Option<Order>, String> {
    let kept = match order {
        Order::KeepContact { address, name } => {
            crate::address::target(&address, desk.domain()).map_err(plain)?;
            desk.records.keep(bare(&address), &name)
        }
        Order::RemoveContact(address) => desk.records.remove(&address),
        Order::Forget(id) => desk.records.forget(id),
        Order::SawHistory => desk.records.saw(),
        Order::Read(peer) => {
            let peer = desk.whole(&peer);
            desk.records.read(&peer)
        }
        Order::UseAccount(id) => {
            desk.presenter.default = id.parse().unwrap_or(0);
            Ok(())
        }
        Order::Speak(language) => speak(desk, language),
        other => return Ok(Some(other)),
    };
    kept.map(|()| None).map_err(plain)
}

/// Keeps the language for the next start.
fn speak(desk: &mut Desk, language: Language) -> Result<(), BookError> {
    desk.control.set_language(language);
    let mut choices = desk.records.book.preferences()?;
    choices.language = Some(language.code().to_owned());
    desk.records.book.set_preferences(&choices)
}

/// Keeps what becomes of calls that come, for the next start.
fn keep_rules(desk: &mut Desk) -> Result<(), BookError> {
    let rules = desk.control.rules();
    let mut choices = desk.records.book.preferences()?;
    choices.do_not_disturb = rules.do_not_disturb;
    choices.forward.always.clone_from(&rules.always);
    choices.forward.busy.clone_from(&rules.busy);
    choices.forward.no_answer.clone_from(&rules.no_answer);
    desk.records.book.set_preferences(&choices)
}

fn number(call: CallId) -> CallNumber {
    CallNumber(call)
}

fn command(desk: &Desk, order: Order, model: &Model) -> Result<Option<Command>, String> {
    Ok(Some(match order {
        Order::Dial { target, account } => Command::Dial {
            target: one_word(&target),
            account,
        },
        Order::Answer(call) => Command::Answer {
            call: Some(number(call)),
        },
        Order::Reject(call) => Command::Reject {
            call: Some(number(call)),
            status: None,
        },
        Order::HangUp(call) => Command::HangUp {
            call: Some(number(call)),
        },
        Order::Hold(call) => Command::Hold {
            call: Some(number(call)),
        },
        Order::Resume(call) => Command::Resume {
            call: Some(number(call)),
        },
        Order::Transfer(call, target) => Command::Transfer {
            call: number(call),
            target: one_word(&target),
        },
        Order::TransferTo(call, to) => Command::TransferTo {
            call: number(call),
            to: number(to),
        },
        Order::AcceptTransfer(call) => Command::AcceptTransfer { call: number(call) },
        Order::RefuseTransfer(call) => Command::RefuseTransfer { call: number(call) },
        Order::Forward(call, target) => Command::Forward {
            call: number(call),
            target: one_word(&target),
        },
        Order::Divert(when, target) => Command::Divert {
            when: match when {
                model::Divert::Always => Divert::Always,
                model::Divert::Busy => Divert::Busy,
                model::Divert::NoAnswer => Divert::NoAnswer,
            },
            target: target.map(|t| one_word(&t)),
            after: None,
        },
        Order::DoNotDisturb(on) => Command::DoNotDisturb(on),
        Order::Conference(calls) => Command::Conference {
            calls: calls.into_iter().map(number).collect(),
        },
        Order::Part(call) => Command::Part { call: number(call) },
        Order::Keys(call, digits) => Command::Dtmf {
            call: number(call),
            digits,
            by: None,
        },
        Order::Message { to, text } => Command::Message {
            to: Recipient::Target(one_word(&to)),
            text,
        },
        Order::Mute(on) => Command::Mute(on),
        Order::Record(call, on) => Command::Record {
            call: number(call),
            file: on.then(|| recording(desk, model, call)).transpose()?,
        },
        Order::Register(account) => Command::Register {
            account: Some(account),
        },
        Order::Unregister(account) => Command::Unregister {
            account: Some(account),
        },
        _ => return Ok(None),
    }))
}

/// A number as people write it, without the spaces and dashes between its digits.
fn one_word(target: &str) -> String {
    let target = target.trim();
    let is_number = target
        .chars()
        .all(|c| c.is_ascii_digit() || "+*#-() ./".contains(c));
    if is_number {
        target
            .chars()
            .filter(|c| c.is_ascii_digit() || "+*#".contains(*c))
            .collect()
    } else {
        target.to_owned()
    }
}

/// A new file for the recording of a call, named by the moment and the other side.
fn recording(desk: &Desk, model: &Model, call: CallId) -> Result<PathBuf, String> {
    let folder = &desk.recordings;
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    let peer = model.call_named(call).map_or("", |c| c.peer.as_str());
    let peer: String = peer
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '@' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = chrono::DateTime::from_timestamp(
        i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or_default(),
        0,
    );
    let now = now.unwrap_or_default().with_timezone(&chrono::Local);
    let name = format!("{}-{peer}.wav", now.naive_local()).replace([' ', ':'], "-");
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_called_as_people_write_them() {
        assert_eq!(one_word("+82 (2) 123-4567"), "+8221234567");
        assert_eq!(one_word("*21*4711#"), "*21*4711#");
        assert_eq!(one_word("sip:a-b@x.y"), "sip:a-b@x.y");
    }
}
