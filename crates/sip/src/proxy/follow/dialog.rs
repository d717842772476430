//! What passing messages show of a dialog (RFC 3261 §12): what either end needs to know a request as the other's.

use core::ops::Range;

use super::{CHECK, LATE, Party};
use crate::endpoint::OwnNames;
use crate::flow::Flow;
use crate::header::{ContactList, HeaderName, NameAddr, SessionExpires};
use crate::message::Method;
use crate::time::Time;
use crate::ua::draft::{Draft, unfold};
use crate::uri::Uri;
use crate::wire::Packet;

/// A dialog between two others.
#[derive(Debug)]
pub(super) struct SeenDialog {
    /// What was said, in one piece; the ends know which part is theirs.
    text: Vec<u8>,
    call_id: Range<usize>,
    callee_tag: Range<usize>,
    pub(super) caller: End,
    pub(super) callee: End,
    /// A BYE passed at this moment, sent by this party.
    pub(super) leaving: Option<(Time, Party)>,
    /// When something of it was last seen.
    pub(super) heard_at: Time,
    /// When its ends are to be asked whether they know of it.
    pub(super) check_at: Time,
    /// Seconds of the session timer; 0 for none (RFC 4028).
    session: u32,
}

/// One end of a dialog.
#[derive(Debug)]
pub(super) struct End {
    /// Its address and tag: From of what it sends, To of what it gets.
    name: Range<usize>,
    /// The value of its first Contact header.
    target: Range<usize>,
    /// The same, since it has changed (§12.2.1.2).
    moved: Option<Vec<u8>>,
    /// Values of Record-Route between it and us, in the order in which they stood, with line ends between.
    routes: Range<usize>,
    /// Whether its requests go by that order: the callee's side reads it the other way round (§12.1.2).
    reversed: bool,
    /// The flow between it and us.
    pub(super) flow: Flow,
    /// Whether that flow leads to the very end, not to a proxy in between.
    pub(super) direct: bool,
    /// How often in a row it did not answer.
    pub(super) silent: u8,
}

impl SeenDialog {
    /// From an INVITE as it came from the caller and the 2xx as it came from the callee. `direct` says that the flow to the
    /// callee is that of its registration. `None` when the 2xx makes no dialog.
    pub(super) fn new(
        now: Time,
        own: &OwnNames,
        (invite, upstream): (&Packet<'_>, Flow),
        (response, flow, direct): (&Packet<'_>, Flow, bool),
    ) -> Option<SeenDialog> {
        let from = invite.value(HeaderName::From)?;
        let to = response.value(HeaderName::To)?;
        let tag = NameAddr::check(to).ok()?.unwrap_or_default();
        let contact = |p: &Packet<'_>| p.value(HeaderName::Contact).unwrap_or_default().len();
        let room = from.len() + to.len() + invite.call_id().len();
        let mut text = Vec::with_capacity(room + tag.len() + contact(invite) + contact(response));
        let mut keep = |part: &[u8]| {
            let start = text.len();
            text.extend_from_slice(part);
            start..text.len()
        };
        let call_id = keep(invite.call_id());
        let callee_tag = keep(tag);
        let mut end = |packet: &Packet<'_>, name: &[u8], flow: Flow| End {
            name: keep(name),
            target: keep(packet.value(HeaderName::Contact).unwrap_or_default()),
            moved: None,
            routes: 0..0,
            reversed: false,
            flow,
            direct: false,
            silent: 0,
        };
        let mut caller = end(invite, from, upstream);
        let mut callee = end(response, to, flow);
        caller.routes = routes_of(&mut text, invite, |_| true);
        // One Via is that of whoever sent it.
        caller.direct = caller.routes.is_empty() && !invite.has_many(HeaderName::Via);
        let is_own = |r: &NameAddr<'_>| own.is_self(&r.uri.host, r.uri.port);
        callee.routes = routes_of(&mut text, response, |r| !is_own(r));
        callee.reversed = true;
        callee.direct = direct && callee.routes.is_empty();
        let mut dialog = SeenDialog {
            text,
            call_id,
            callee_tag,
            caller,
            callee,
            leaving: None,
            heard_at: now,
            check_at: now,
            session: 0,
        };
        dialog.set_timer(response);
        dialog.heard(now);
        Some(dialog)
    }

    /// Whether this is the callee's tag.
    pub(super) fn is_with(&self, callee_tag: &[u8]) -> bool {
        self.part(&self.callee_tag) == callee_tag
    }

    /// A sign of the call: there is no need to ask for a while.
    pub(super) fn heard(&mut self, now: Time) {
        self.heard_at = now;
        let session = core::time::Duration::from_secs(u64::from(self.session));
        self.check_at = match self.session {
            0 => now + CHECK,
            _ => now + session + LATE,
        };
    }

    /// A 2xx to INVITE or UPDATE inside the dialog: new targets (§12.2), and a session that goes on (RFC 4028 §10).
    pub(super) fn refresh(&mut self, now: Time, request: &Packet<'_>, response: &Packet<'_>) {
        let from = request.value(HeaderName::From).unwrap_or_default();
        let by_callee =
            NameAddr::check(from).is_ok_and(|tag| self.is_with(tag.unwrap_or_default()));
        let (sender, receiver) = match by_callee {
            true => (&mut self.callee, &mut self.caller),
            false => (&mut self.caller, &mut self.callee),
        };
        sender.move_to(request, &self.text);
        receiver.move_to(response, &self.text);
        self.set_timer(response);
        self.heard(now);
    }

    fn set_timer(&mut self, response: &Packet<'_>) {
        let value = response.value(HeaderName::SessionExpires);
        let timer = value.and_then(|v| SessionExpires::parse(v).ok());
        self.session = timer.map_or(0, |timer| timer.seconds.max(90));
    }

    /// A request to one end, as if it came from the other. `None` when the end never said where it can be reached.
    pub(super) fn request(&self, to: Party, method: Method, cseq: u32) -> Option<Draft> {
        let (end, other) = match to {
            Party::Caller => (&self.caller, &self.callee),
            _ => (&self.callee, &self.caller),
        };
        let mut draft = Draft::new(method, "");
        let contact = end
            .moved
            .as_deref()
            .unwrap_or_else(|| self.part(&end.target));
        draft.route(&target(contact)?, &end.route_set(self.part(&end.routes)));
        draft.from = unfold(self.part(&other.name));
        draft.to = unfold(self.part(&end.name));
        draft.call_id = core::str::from_utf8(self.part(&self.call_id))
            .ok()?
            .to_owned();
        draft.cseq = cseq;
        Some(draft)
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }
}

impl End {
    fn move_to(&mut self, message: &Packet<'_>, text: &[u8]) {
        let Some(contact) = message.value(HeaderName::Contact) else {
            return;
        };
        let before = self.moved.as_deref();
        if contact != before.unwrap_or_else(|| text.get(self.target.clone()).unwrap_or_default()) {
            // Behind an address translator the flow stays the way, whatever the Contact says; else the Contact is the way.
            let first = text.get(self.target.clone()).and_then(target);
            let stood = first.is_some_and(|uri| {
                let host = Uri::parse(&uri).ok().and_then(|u| u.host.ip());
                host == Some(self.flow.remote.ip())
            });
            self.direct &= !stood;
            self.moved = Some(contact.to_vec());
        }
    }

    fn route_set(&self, lines: &[u8]) -> Vec<Vec<u8>> {
        let mut routes: Vec<Vec<u8>> = lines
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(unfold)
            .collect();
        if self.reversed {
            routes.reverse();
        }
        routes
    }
}

/// Adds the values of Record-Route, up to the first that is not wanted, to the text, one on a line.
fn routes_of(
    text: &mut Vec<u8>,
    packet: &Packet<'_>,
    wanted: impl Fn(&NameAddr<'_>) -> bool,
) -> Range<usize> {
    let start = text.len();
    'all: for header in packet.all(HeaderName::RecordRoute) {
        for route in NameAddr::parse_list(header.value()) {
            let Ok(route) = route else { break 'all };
            if !wanted(&route) {
                break 'all;
            }
            let value = header.value().get(route.range()).unwrap_or_default();
            text.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n')));
            text.push(b'\n');
        }
    }
    start..text.len()
}

/// The first Contact's URI; nothing that could not stand in a request line.
fn target(contact: &[u8]) -> Option<Vec<u8>> {
    let first = ContactList::parse(contact).addresses().next()?.ok()?;
    let uri = first.uri.as_bytes();
    let fits = !uri.iter().any(|b| *b <= b' ' || matches!(b, b'<' | b'>'));
    fits.then(|| uri.to_vec())
}
