//! Why something came to nothing and what to do about it, for a person.

use sip::ua::Cause;

use super::texts::{Language, Text};

/// Why, in a few words.
pub(super) fn reason(cause: &Cause, language: Language) -> String {
    let text = match cause {
        Cause::ByUs => Text::EndedHere,
        Cause::ByPeer { .. } => Text::EndedThere,
        Cause::Cancelled => Text::Cancelled,
        Cause::AnsweredElsewhere => Text::AnsweredElsewhere,
        Cause::TimedOut | Cause::Expired => Text::NoResponse,
        Cause::NoAck | Cause::NoPrack => Text::NoAck,
        Cause::Unauthorized { status, .. } => {
            let status = status.0.to_string();
            return Text::PasswordRefused.with(language, &[&status]);
        }
        Cause::Refused { status, reason, .. } => {
            let known = match status.0 {
                403 => Text::Forbidden,
                404 | 410 | 604 => Text::NobodyHasIt,
                408 => Text::NobodyReached,
                480 => Text::NobodyThere,
                486 | 600 => Text::IsBusy,
                487 => Text::Cancelled,
                488 | 606 => Text::NoCodecInCommon,
                603 => Text::Declined,
                500..=599 => Text::ServerTrouble,
                code => return format!("{code} {reason}"),
            };
            return format!("{} ({})", known.in_language(language), status.0);
        }
        Cause::Unreachable { reason } => {
            return Text::CannotReach.with(language, &[reason]);
        }
    };
    text.in_language(language).to_owned()
}

/// What to do; nothing where nothing went wrong.
pub(super) fn advice(cause: &Cause, language: Language) -> &'static str {
    let text = match cause {
        Cause::ByUs | Cause::ByPeer { .. } | Cause::Cancelled | Cause::AnsweredElsewhere => {
            return "";
        }
        Cause::Unauthorized { .. } => Text::CheckPassword,
        Cause::TimedOut
        | Cause::Expired
        | Cause::Unreachable { .. }
        | Cause::NoAck
        | Cause::NoPrack => Text::CheckNetwork,
        Cause::Refused { status, .. } => match status.0 {
            403 => Text::AskAdministrator,
            404 | 410 | 416 | 484 | 604 => Text::CheckAddress,
            408 | 480 | 486 | 600 | 603 => Text::TryLater,
            488 | 606 => Text::TryCodecs,
            482 | 483 | 500..=599 => Text::TellAdministrator,
            _ => return "",
        },
    };
    text.in_language(language)
}

/// Both, as one sentence after the other.
pub(super) fn both(cause: &Cause, language: Language) -> String {
    let (reason, advice) = (reason(cause, language), advice(cause, language));
    if advice.is_empty() {
        reason
    } else {
        format!("{reason}. {advice}")
    }
}
