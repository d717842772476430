//! Redirection: following a 3xx (RFC 3261 §8.1.3.4), and sending a caller elsewhere (§8.3).

use std::collections::VecDeque;

use super::call::Phase;
use super::draft::{is_clean, readable, unfold};
use super::event::{CallId, Event, Misuse};
use super::outbound::{Outbound, Outcome, Purpose, contacts_of};
use super::{UserAgent, tell};
use crate::header::{HeaderName, NameAddr};
use crate::message::StatusCode;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::uri::{Scheme, Uri, escape_header};
use crate::wire::Packet;

/// The most addresses that one call tries.
const MAX_TARGETS: usize = 16;
/// The most values of History-Info or Diversion that are carried on.
const MAX_HISTORY: usize = 16;
/// The most addresses that a caller is sent to.
const MAX_FORWARDS: usize = 8;

/// Why a call is sent elsewhere, as Diversion says it (RFC 5806 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diverted {
    /// All calls are.
    Unconditional,
    /// The user is on the phone.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// The user cannot be reached.
    Unavailable,
    /// The user wants no calls.
    DoNotDisturb,
    /// The user sent this one on while it rang.
    Deflected,
}

impl Diverted {
    /// The word in Diversion.
    pub const fn as_str(self) -> &'static str {
        match self {
            Diverted::Unconditional => "unconditional",
            Diverted::Busy => "user-busy",
            Diverted::NoAnswer => "no-answer",
            Diverted::Unavailable => "unavailable",
            Diverted::DoNotDisturb => "do-not-disturb",
            Diverted::Deflected => "deflection",
        }
    }
}

/// Where the INVITE of a call has been, and where it may still go.
#[derive(Debug, Default)]
pub(super) struct Redirection {
    /// The addresses tried, in their order; the last one is being tried.
    tried: Vec<Tried>,
    /// Those that 3xx named, with the place in `tried` of the one that named them.
    left: VecDeque<(String, usize)>,
    followed: u8,
    /// What redirecting servers said of themselves, the latest first.
    diversions: Vec<String>,
}

/// One address that was tried (an entry of History-Info, RFC 7044 §5).
#[derive(Debug)]
struct Tried {
    uri: String,
    index: String,
    /// The index of the address that led here.
    parent: Option<String>,
    /// How it ended.
    status: Option<StatusCode>,
    children: u32,
}

impl UserAgent {
    /// Our INVITE failed: it goes to the next address that redirections named, if there is one.
    pub(super) fn redirect(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: &Outbound,
        outcome: &Outcome<'_>,
    ) -> bool {
        let Some(profile) = outbound.account.and_then(|a| self.profile(a)) else {
            return false;
        };
        let (limit, routes) = (profile.account.follow_redirects, profile.routes());
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Calling) else {
            return false;
        };
        let way = &mut call.related.redirection;
        let first = readable(&outbound.draft.uri);
        let Some((to, status)) = way.next(&first, outcome, limit) else {
            return false;
        };
        let mut draft = outbound.draft.clone();
        draft.route(to.as_bytes(), &routes);
        draft.cseq = draft.cseq.saturating_add(1);
        draft
            .headers
            .retain(|(name, _)| !matches!(name.as_str(), "History-Info" | "Diversion"));
        draft.headers.extend(way.headers());
        self.forget_forks(now, tx, id);
        let preferred = outbound.flow.filter(|_| !routes.is_empty());
        let invite = self.prepare(tx, Purpose::Invite(id), outbound.account, draft, preferred);
        let Ok(invite) = invite else {
            return false;
        };
        if let Some(call) = self.call_mut(id) {
            call.invite = Some(invite);
        }
        tell(
            tx,
            Event::Redirected {
                call: id,
                to,
                status,
            },
        );
        self.drive(now, tx, invite);
        true
    }

    /// Sends a caller elsewhere: 302 with these addresses, the most wanted first, and the reason in
    /// Diversion (RFC 5806) and History-Info (RFC 7044).
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when no call rings; [`Misuse::Address`] for an address
    /// that cannot stand in a message, for none and for more than eight.
    pub fn forward(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        targets: &[&str],
        why: Diverted,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        let pending = call.pending.as_ref().filter(|p| p.initial);
        let request = pending.ok_or(Misuse::WrongState)?.request.clone();
        let account = call.account;
        if targets.is_empty() || targets.len() > MAX_FORWARDS {
            return Err(Misuse::Address);
        }
        let mut uris = Vec::with_capacity(targets.len());
        for target in targets {
            uris.push(match account.and_then(|a| self.profile(a)) {
                Some(profile) => profile.target(target)?,
                None => plain(target)?,
            });
        }
        let packet = request.packet();
        let mut headers = Vec::new();
        for (n, uri) in uris.iter().enumerate() {
            let q = 1000 - 100 * n;
            let value = format!("<{uri}>;q={}.{:03}", q / 1000, q % 1000);
            headers.push(("Contact".to_owned(), value));
        }
        headers.extend(diversion(&packet, why));
        headers.extend(history(&packet, uris.first().map_or("", String::as_str)));
        self.refuse_invite(now, tx, id, (StatusCode(302), None), &headers)
    }
}

impl Redirection {
    /// Notes how the last try ended, and takes the next address; with it the status that leads there.
    fn next(
        &mut self,
        first: &str,
        outcome: &Outcome<'_>,
        limit: u8,
    ) -> Option<(String, StatusCode)> {
        let status = outcome.status().unwrap_or(StatusCode(408));
        let packet = match outcome {
            Outcome::Response(packet, _) => Some(packet),
            _ => None,
        };
        // 305 asks for another route, 380 for another service: neither is another address.
        let moved = matches!(status.0, 300..=302);
        if limit == 0 || (!moved && self.tried.is_empty()) {
            return None;
        }
        if self.tried.is_empty() {
            self.tried.push(Tried {
                uri: first.to_owned(),
                index: "1".to_owned(),
                parent: None,
                status: None,
                children: 0,
            });
        }
        let at = self.tried.len() - 1;
        if let Some(last) = self.tried.last_mut() {
            last.status = Some(status);
        }
        if status.is_global_failure() {
            return None;
        }
        if let Some(packet) = packet.filter(|_| moved) {
            if self.followed >= limit {
                return None;
            }
            self.followed += 1;
            self.take_contacts(packet, at);
        }
        let (uri, parent) = self.left.pop_front()?;
        let above = self.tried.get_mut(parent)?;
        above.children += 1;
        let (index, parent) = (
            format!("{}.{}", above.index, above.children),
            above.index.clone(),
        );
        self.tried.push(Tried {
            uri: uri.clone(),
            index,
            parent: Some(parent),
            status: None,
            children: 0,
        });
        Some((uri, status))
    }

    /// The addresses of a 3xx that are worth a try; they come before those of earlier ones.
    fn take_contacts(&mut self, packet: &Packet<'_>, from: usize) {
        let secure = self.tried.first().is_some_and(|t| is_sips(&t.uri));
        let mut found = Vec::new();
        for contact in contacts_of(packet) {
            let text = contact.split('?').next().unwrap_or_default().to_owned();
            let Ok(uri) = Uri::parse(text.as_bytes()) else {
                continue;
            };
            // RFC 3261 §8.1.3.4: never from sips to sip.
            let fits = uri.is_sip() && (!secure || uri.scheme == Scheme::Sips);
            let known = self
                .tried
                .iter()
                .map(|t| &t.uri)
                .chain(self.left.iter().map(|(uri, _)| uri))
                .chain(&found)
                .any(|known| Uri::parse(known.as_bytes()).is_ok_and(|k| k.same_as(&uri)));
            let room = self.tried.len() + self.left.len() + found.len() < MAX_TARGETS;
            if fits && !known && room && is_clean(text.as_bytes()) && !text.contains(' ') {
                found.push(text);
            }
        }
        for uri in found.into_iter().rev() {
            self.left.push_front((uri, from));
        }
        let said = values(packet, HeaderName::Diversion);
        let said = if said.is_empty() {
            let uri = self.tried.get(from).map_or("", |t| t.uri.as_str());
            vec![format!("<{uri}>;reason=unknown;counter=1")]
        } else {
            said
        };
        self.diversions.splice(0..0, said);
        self.diversions.truncate(MAX_HISTORY);
    }

    /// History-Info and Diversion for the next try.
    fn headers(&self) -> Vec<(String, String)> {
        let history = self.tried.iter().map(|tried| {
            let reason = match tried.status {
                Some(status) => format!("?Reason=SIP%3Bcause%3D{}", status.0),
                None => String::new(),
            };
            let parent = match &tried.parent {
                Some(parent) => format!(";mp={parent}"),
                None => String::new(),
            };
            let value = format!("<{}{reason}>;index={}{parent}", tried.uri, tried.index);
            ("History-Info".to_owned(), value)
        });
        let diversion = self
            .diversions
            .iter()
            .map(|value| ("Diversion".to_owned(), value.clone()));
        history.chain(diversion).collect()
    }
}

/// Diversion of a call that we send elsewhere: ours first, then those that it came with.
fn diversion(invite: &Packet<'_>, why: Diverted) -> Vec<(String, String)> {
    let us = called(invite);
    let ours = format!("<{us}>;reason={};counter=1", why.as_str());
    let before = values(invite, HeaderName::Diversion);
    core::iter::once(ours)
        .chain(before)
        .map(|value| ("Diversion".to_owned(), value))
        .collect()
}

/// History-Info of a call that we send elsewhere.
fn history(invite: &Packet<'_>, to: &str) -> Vec<(String, String)> {
    let before = values(invite, HeaderName::HistoryInfo);
    let index_of = |value: &String| {
        let address = NameAddr::parse(value.as_bytes()).ok()?;
        address.params.value(b"index").flatten().map(readable)
    };
    let mut all = before;
    if all.is_empty() {
        let reason = escape_header(b"SIP;cause=302");
        all.push(format!("<{}?Reason={reason}>;index=1", called(invite)));
    }
    let last = all.last().and_then(index_of);
    if let Some(index) = last.filter(|i| i.len() <= 64) {
        all.push(format!("<{to}>;index={index}.1;mp={index}"));
    }
    all.into_iter()
        .map(|value| ("History-Info".to_owned(), value))
        .collect()
}

/// The address that was called, without parameters.
fn called(invite: &Packet<'_>) -> String {
    let to = invite.value(HeaderName::To).map(unfold).unwrap_or_default();
    match NameAddr::parse(&to) {
        Ok(to) => readable(&to.uri.address_of_record()),
        Err(_) => readable(invite.request_uri()),
    }
}

/// All values of a header that hold addresses, each on its own.
fn values(packet: &Packet<'_>, name: HeaderName) -> Vec<String> {
    let mut out = Vec::new();
    for header in packet.all(name) {
        for address in NameAddr::parse_list(header.value()).flatten() {
            let value = header.value().get(address.range()).unwrap_or_default();
            let value = readable(value);
            if out.len() < MAX_HISTORY && is_clean(value.as_bytes()) {
                out.push(value);
            }
        }
    }
    out
}

fn is_sips(uri: &str) -> bool {
    Uri::parse(uri.as_bytes()).is_ok_and(|u| u.scheme == Scheme::Sips)
}

/// A URI as it stands there.
fn plain(target: &str) -> Result<String, Misuse> {
    let fits = is_clean(target.as_bytes()) && !target.contains(['<', '>', '"', ' ']);
    match Uri::parse(target.as_bytes()) {
        Ok(uri) if fits && uri.is_sip() => Ok(target.to_owned()),
        _ => Err(Misuse::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stored;

    fn moved(contacts: &str) -> Stored {
        let text = format!(
            "SIP/2.0 302 Moved\r\nVia: SIP/2.0/UDP a\r\nContact: {contacts}\r\nContent-Length: 0\r\n\r\n"
        );
        Stored::scan(bytes::Bytes::from(text.into_bytes())).unwrap()
    }

    fn named(first: &str, contacts: &str) -> Vec<String> {
        let mut way = Redirection::default();
        way.tried.push(Tried {
            uri: first.to_owned(),
            index: "1".to_owned(),
            parent: None,
            status: None,
            children: 0,
        });
        way.take_contacts(&moved(contacts).packet(), 0);
        way.left.into_iter().map(|(uri, _)| uri).collect()
    }

    #[test]
    fn a_secure_call_stays_secure() {
        let contacts = "<sip:b@h>, <sips:c@h>, <tel:+1>, <sips:d@h?Subject=x>;q=0.1";
        assert_eq!(named("sips:a@h", contacts), ["sips:c@h", "sips:d@h"]);
        assert_eq!(
            named("sip:a@h", contacts),
            ["sip:b@h", "sips:c@h", "sips:d@h"]
        );
    }

    #[test]
    fn an_address_is_tried_once() {
        let contacts = "<sip:a@H>, <sip:b@h>, <sip:%62@h>, <sip:b@h;transport=tcp>";
        assert_eq!(
            named("sip:a@h", contacts),
            ["sip:b@h", "sip:b@h;transport=tcp"]
        );
    }

    #[test]
    fn forwards_are_told_in_the_order_of_history() {
        let invite = "INVITE sip:bob@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:bob@b;x=y>\r\n\
            History-Info: <sip:old@b>;index=1, <sip:bob@b>;index=1.1;mp=1\r\n\
            Diversion: <sip:old@b>;reason=no-answer\r\nContent-Length: 0\r\n\r\n";
        let stored = Stored::scan(bytes::Bytes::from_static(invite.as_bytes())).unwrap();
        let values = |headers: Vec<(String, String)>| -> Vec<String> {
            headers.into_iter().map(|(_, value)| value).collect()
        };
        assert_eq!(
            values(history(&stored.packet(), "sip:c@d")),
            [
                "<sip:old@b>;index=1",
                "<sip:bob@b>;index=1.1;mp=1",
                "<sip:c@d>;index=1.1.1;mp=1.1"
            ]
        );
        assert_eq!(
            values(diversion(&stored.packet(), Diverted::NoAnswer)),
            [
                "<sip:bob@b>;reason=no-answer;counter=1",
                "<sip:old@b>;reason=no-answer"
            ]
        );
    }
}
