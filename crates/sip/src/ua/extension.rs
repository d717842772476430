//! Extensions: what an account knows, what a peer supports or requires (RFC 3261 §8.2.2.3, §19.2).

use super::account::{Account, Reliable};
use super::draft::Draft;
use super::event::AccountId;
use super::session_timer::Interval;
use super::{ALLOW, SUPPORTED, UserAgent};
use crate::header::{HeaderName, SessionExpires, Tokens};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::wire::Packet;

/// Reliable provisional responses (RFC 3262).
pub(super) const RELIABLE: &str = "100rel";
/// Session timers (RFC 4028).
pub(super) const TIMER: &str = "timer";

/// What an account does about extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extensions {
    pub(super) reliable: Reliable,
    /// `None`: without session timers.
    pub(super) timer: Option<Interval>,
}

impl Extensions {
    fn of(account: &Account) -> Extensions {
        Extensions {
            reliable: account.reliable,
            timer: account
                .session_expires
                .map(|seconds| Interval::new(seconds, account.min_se)),
        }
    }

    /// The value of Supported.
    pub(super) fn supported(&self) -> String {
        let reliable = (self.reliable != Reliable::Off).then_some(RELIABLE);
        let timer = self.timer.map(|_| TIMER);
        let all = [Some(SUPPORTED), reliable, timer];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether a request that requires this can be served.
    pub(super) fn knows(&self, tag: &[u8]) -> bool {
        Tokens::parse(self.supported().as_bytes()).has(tag)
    }
}

impl UserAgent {
    /// What an account does about extensions; the usual, where there is no account.
    pub(super) fn extensions(&self, account: Option<AccountId>) -> Extensions {
        match account.and_then(|a| self.profile(a)) {
            Some(profile) => Extensions::of(&profile.account),
            None => Extensions::of(&Account::new("")),
        }
    }

    /// Says in a request what we know.
    pub(super) fn declare(&self, draft: &mut Draft, account: Option<AccountId>) {
        let extensions = self.extensions(account);
        let supported = ("Supported".to_owned(), extensions.supported());
        draft.headers.push(supported);
        if extensions.reliable == Reliable::Required && draft.method == Method::Invite {
            let require = ("Require".to_owned(), RELIABLE.to_owned());
            draft.headers.push(require);
        }
    }
}

/// Whether one of the headers of this name holds the option tag.
pub(super) fn has_tag(packet: &Packet<'_>, name: HeaderName, tag: &str) -> bool {
    packet
        .all(name)
        .any(|h| Tokens::parse(h.value()).has(tag.as_bytes()))
}

/// Whether a message's Allow says that its sender takes a method; `None` when it has no Allow.
pub(super) fn allows(packet: &Packet<'_>, method: Method) -> Option<bool> {
    let mut lines = packet.all(HeaderName::Allow).peekable();
    lines.peek()?;
    Some(lines.any(|h| Tokens::parse(h.value()).has_method(method.as_str().as_bytes())))
}

/// 420 to a request that requires what the account does not know (RFC 3261 §8.2.2.3).
pub(super) fn refuse_unknown(
    now: Time,
    tx: &mut Transactions,
    server: ServerId,
    packet: &Packet<'_>,
    extensions: &Extensions,
) -> bool {
    const MOST: usize = 32;
    let unknown: Vec<String> = packet
        .all(HeaderName::Require)
        .flat_map(|h| Tokens::parse(h.value()))
        .filter(|tag| !extensions.knows(tag))
        .take(MOST)
        .map(super::draft::readable)
        .collect();
    if unknown.is_empty() {
        return false;
    }
    let unsupported = unknown.join(", ");
    let reply = Reply::new(StatusCode(420)).header("Unsupported", &unsupported);
    tx.respond(now, server, &reply);
    true
}

/// 421 to an INVITE without the reliable provisional responses that the account requires (RFC 3261
/// §21.4.16), 422 to one whose session interval is too short (RFC 4028 §9).
pub(super) fn refuse_terms(
    now: Time,
    tx: &mut Transactions,
    server: ServerId,
    packet: &Packet<'_>,
    extensions: &Extensions,
) -> bool {
    let initial = packet.method() == Some(Method::Invite)
        && super::call::tag_of(packet, HeaderName::To).is_none();
    let reliable = has_tag(packet, HeaderName::Supported, RELIABLE)
        || has_tag(packet, HeaderName::Require, RELIABLE);
    if initial && extensions.reliable == Reliable::Required && !reliable {
        let reply = Reply::new(StatusCode(421)).header("Require", RELIABLE);
        tx.respond(now, server, &reply);
        return true;
    }
    let asked = packet
        .value(HeaderName::SessionExpires)
        .and_then(|v| SessionExpires::parse(v).ok());
    // A proxy may have put it in for a caller that would not understand the refusal.
    let understands = has_tag(packet, HeaderName::Supported, TIMER)
        || has_tag(packet, HeaderName::Require, TIMER);
    if let (Some(asked), Some(interval), true) = (asked, extensions.timer, understands)
        && asked.seconds < interval.min
    {
        let min = interval.min.to_string();
        let reply = Reply::new(StatusCode(422))
            .header("Min-SE", &min)
            .header("Allow", ALLOW);
        tx.respond(now, server, &reply);
        return true;
    }
    false
}
