//! How commands end: exit codes, and what a person can do about it.

use std::process::ExitCode;

use phone::Cause;
use phone::readiness::{Language, NotReady};

/// The table of exit codes as the help shows it.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
    0  done: the call was talked and ended, the registration stands, the answer came
    1  something failed inside this program or this machine
    2  the command line is wrong
    3  refused: the other side or the server said no, with the SIP status in the message
    4  unreachable: no answer in time, no such name, connection refused
    5  not authorised: the account or the password is wrong (401, 403, 407)
    6  sound: a file cannot be read or written, or no codec in common
    7  not ready: the microphone or the speaker is missing, muted or dead; nobody was called
    8  settings: the document of --provision cannot be had, or is wrong
  130  interrupted before a call was established"
    };
}
pub(crate) use exit_codes;

/// Why a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A failure of this program or machine.
    Internal = 1,
    /// A wrong command line.
    Usage = 2,
    /// The other side said no.
    Refused = 3,
    /// Nobody answered.
    Unreachable = 4,
    /// Account or password are wrong.
    NotAuthorised = 5,
    /// Files or codecs.
    Sound = 6,
    /// Microphone or speaker.
    NotReady = 7,
    /// No settings.
    Provision = 8,
    /// Ctrl-C before there was a call.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A failure as it is told: what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// The SIP status, where one was said.
    pub status: Option<u16>,
    /// What happened, and where.
    pub message: String,
    /// What to do about it; empty when nobody knows.
    pub advice: String,
    /// A name for programs, where a device is the reason.
    pub code: Option<&'static str>,
}

impl Failure {
    /// A failure without a SIP status.
    pub fn new(exit: Exit, message: impl Into<String>, advice: &str) -> Failure {
        Failure {
            exit,
            status: None,
            message: message.into(),
            advice: advice.to_owned(),
            code: None,
        }
    }

    /// Microphone or speaker do not work.
    pub fn not_ready(why: &NotReady, language: Language) -> Failure {
        Failure {
            code: Some(why.code()),
            ..Failure::new(Exit::NotReady, why.message(language), why.advice(language))
        }
    }

    /// Why something that was asked of `whom` came to nothing.
    pub fn of(cause: &Cause, what: &str, whom: &str, has_password: bool) -> Failure {
        let (exit, status, advice) = match cause {
            Cause::Refused { status, .. } => (exit_of(status.0), Some(status.0), advice(status.0)),
            Cause::Unauthorized { status, .. } if has_password => (
                Exit::NotAuthorised,
                Some(status.0),
                "check the account's name and its password (--password-file, SORI_PASSWORD)",
            ),
            Cause::Unauthorized { status, .. } => (
                Exit::NotAuthorised,
                Some(status.0),
                "give the account's password: --password-file FILE, the variable SORI_PASSWORD, or a terminal to ask at",
            ),
            Cause::TimedOut | Cause::Unreachable { .. } => (Exit::Unreachable, None, UNREACHABLE),
            Cause::Expired => (
                Exit::Unreachable,
                None,
                "the network between here and there was interrupted, or the other side stopped",
            ),
            Cause::NoAck | Cause::NoPrack => (
                Exit::Unreachable,
                None,
                "our answer or its acknowledgement is lost on the way: check firewalls and address translation between here and there",
            ),
            Cause::ByUs | Cause::Cancelled | Cause::AnsweredElsewhere => {
                (Exit::Interrupted, None, "")
            }
            Cause::ByPeer { .. } => (Exit::Refused, None, ""),
        };
        let contacts = match cause {
            Cause::Refused { contacts, .. } if !contacts.is_empty() => {
                format!("; it can be reached at {}", contacts.join(", "))
            }
            _ => String::new(),
        };
        Failure {
            exit,
            status,
            message: format!("{what} {whom}: {cause}{contacts}"),
            advice: advice.to_owned(),
            code: None,
        }
    }
}

const UNREACHABLE: &str = "check that the server runs there, the address in --proxy or --account, and firewalls on the way";

fn exit_of(status: u16) -> Exit {
    match status {
        401 | 403 | 407 => Exit::NotAuthorised,
        _ => Exit::Refused,
    }
}

/// What to do about a final status (RFC 3261 §21).
fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "call the address given instead",
        403 => {
            "this account may not do this, or may not use this address; ask whoever runs the server"
        }
        404 | 410 | 604 => "nobody has this address there; check how it is written",
        405 | 501 => "the other side cannot do this",
        408 => "the server reached nobody; try again later",
        416 | 484 => "check how the address is written",
        423 => "ask for a longer time with --expires",
        480 => "nobody is there at the moment, or no phone is registered; try again later",
        482 | 483 => "the server sends the call in circles; tell whoever runs it",
        486 | 600 => "busy; try again later",
        488 | 606 => {
            "there is no codec in common, or encryption is required there; try others with --codec"
        }
        500..=599 => "the server has a problem of its own; try again later or tell whoever runs it",
        603 => "the call was declined",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::message::StatusCode;

    fn refused(code: u16) -> Failure {
        let cause = Cause::Refused {
            status: StatusCode(code),
            reason: "No".to_owned(),
            contacts: Vec::new(),
        };
        Failure::of(&cause, "cannot call", "sip:bob@example.org", true)
    }

    #[test]
    fn each_cause_has_its_exit_code() {
        assert_eq!(refused(486).exit, Exit::Refused);
        assert_eq!(refused(403).exit, Exit::NotAuthorised);
        assert_eq!(
            refused(486).message,
            "cannot call sip:bob@example.org: 486 No"
        );
        assert_eq!(refused(486).status, Some(486));
        let of = |cause| Failure::of(&cause, "cannot call", "x", false);
        assert_eq!(of(Cause::TimedOut).exit, Exit::Unreachable);
        let unauthorized = of(Cause::Unauthorized {
            status: StatusCode(401),
            reason: "no password".to_owned(),
        });
        assert_eq!(unauthorized.exit, Exit::NotAuthorised);
        assert!(unauthorized.advice.contains("SORI_PASSWORD"));
        assert_eq!(of(Cause::Cancelled).exit, Exit::Interrupted);
    }

    #[test]
    fn the_table_names_every_code() {
        let table = exit_codes!();
        for exit in [
            Exit::Done,
            Exit::Internal,
            Exit::Usage,
            Exit::Refused,
            Exit::Unreachable,
            Exit::NotAuthorised,
            Exit::Sound,
            Exit::NotReady,
            Exit::Provision,
            Exit::Interrupted,
        ] {
            let line = format!("\n{:>5}  ", exit as u8);
            assert!(table.contains(&line), "{exit:?}");
        }
    }
}
