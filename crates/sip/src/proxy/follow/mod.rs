//! Following the calls that are proxied, and ending them: only where the owner has switched it on.
//!
//! ```text
//! INVITE forwarded ─► Calling ─ 1xx ─► Ringing ─ 2xx ─► Answered ─ BYE and its response ─► Left
//!                        └───────── any other final response ─► Refused
//! ```
//!
//! A proxy takes no part in a dialog. What passes shows all the same what either end knows of it (RFC 3261 §12): tags,
//! targets, route sets and numbers. With that a request can be sent to one end as if it came from the other: BYE to end the call
//! ([`crate::Endpoint::end_call`]), OPTIONS to see whether the end still knows of it (`errand`).

mod dialog;
mod errand;

use core::time::Duration;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use bytes::Bytes;

use self::dialog::SeenDialog;
use self::errand::Errand;
use super::{ContextId, Proxy};
use crate::endpoint::{Alarm, Event, Output, OwnNames};
use crate::flow::Flow;
use crate::header::{CSeq, HeaderName, NameAddr};
use crate::message::{Method, StatusCode};
use crate::slab::{Key, Slab};
use crate::time::Time;
use crate::transaction::Transactions;
use crate::transaction::layer::AlreadyHashed;
use crate::wire::{Packet, Stored};

/// Names a call that is followed, for as long as it lasts.
pub type FollowedId = Key<Followed>;

/// The most calls that one shard follows at once; those above are proxied and not followed.
pub const MAX_FOLLOWED: usize = 200_000;

/// How often calls are looked through for those that are to be checked.
const SWEEP: Duration = Duration::from_secs(30);
/// How long nothing has to pass in a call before its ends are asked whether they know of it.
const CHECK: Duration = Duration::from_secs(300);
/// How much later than its Session-Expires a session that nobody refreshed is checked (RFC 4028 §10).
const LATE: Duration = Duration::from_secs(32);
/// After this time without a sign of a call it is not followed any longer.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// The most calls that are checked in one sweep, so that no burst of requests leaves.
const MAX_CHECKS: usize = 500;

/// What happens to a call that is followed.
#[derive(Clone, Debug)]
pub enum CallEvent {
    /// An INVITE that begins a call is being forwarded.
    Calling {
        /// The call.
        call: FollowedId,
        /// The INVITE as it came.
        invite: Stored,
        /// The flow on which it came.
        flow: Flow,
    },
    /// The first response from 101 to 199 that makes an early dialog passed.
    Ringing {
        /// The call.
        call: FollowedId,
        /// Its status.
        status: StatusCode,
    },
    /// The first 2xx passed.
    Answered {
        /// The call.
        call: FollowedId,
        /// Its status.
        status: StatusCode,
        /// The flow to whoever answered.
        flow: Flow,
        /// Its body: the answer to the caller's offer, or, when that made none, an offer.
        body: Bytes,
    },
    /// The ACK passed with the answer to an offer in the 2xx.
    Described {
        /// The call.
        call: FollowedId,
        /// The body of the ACK.
        body: Bytes,
    },
    /// A final response other than 2xx went to the caller; the call is over.
    Refused {
        /// The call.
        call: FollowedId,
        /// The status of that response.
        status: StatusCode,
        /// Its reason phrase.
        reason: String,
        /// Who ended it: the caller by CANCEL, the callee by that response, this element by one of its own.
        by: Party,
    },
    /// An answered call is over.
    Left {
        /// The call.
        call: FollowedId,
        /// When: the BYE came at this moment.
        at: Time,
        /// Who sent the BYE; `None` when nobody did and nothing was seen of the call for a day.
        by: Option<Party>,
    },
}

/// One of those who can end a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Who sent the INVITE.
    Caller,
    /// Who answered it, or refused to.
    Callee,
    /// This element.
    Server,
}

/// One call that is followed.
#[derive(Debug)]
pub struct Followed {
    /// Call-ID and the caller's tag, hashed.
    key: u64,
    /// The response context, for as long as the INVITE has no final response.
    context: Option<ContextId>,
    /// The flow on which the INVITE came.
    flow: Flow,
    /// Whether the INVITE carried a body: an offer.
    offered: bool,
    rang: bool,
    /// The highest numbers seen of the caller's and of the callee's requests (§12.2.1.1).
    caller_cseq: u32,
    callee_cseq: Option<u32>,
    dialog: Option<Box<SeenDialog>>,
}

/// All calls that one shard follows.
#[derive(Debug, Default)]
pub(crate) struct Follow {
    calls: Slab<Followed>,
    by_dialog: HashMap<u64, FollowedId, BuildHasherDefault<AlreadyHashed>>,
    errands: Slab<Errand>,
    /// Whether an alarm for the next sweep is under way.
    sweeping: bool,
}

impl CallEvent {
    /// The call that it is about.
    pub fn call(&self) -> FollowedId {
        match self {
            CallEvent::Calling { call, .. }
            | CallEvent::Ringing { call, .. }
            | CallEvent::Answered { call, .. }
            | CallEvent::Described { call, .. }
            | CallEvent::Refused { call, .. }
            | CallEvent::Left { call, .. } => *call,
        }
    }
}

impl Follow {
    /// How many calls are followed.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// How many requests of ours to the ends of calls wait for their answers.
    pub(crate) fn errands(&self) -> usize {
        self.errands.len()
    }

    /// Takes note of a request that is being forwarded; yields the call that it belongs to.
    pub(super) fn on_request(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        packet: &Packet<'_>,
        method: Method,
        flow: Flow,
    ) -> Option<FollowedId> {
        let to = packet.value(HeaderName::To)?;
        match NameAddr::check(to).ok()? {
            None if method == Method::Invite => self.begin(tx, packet, flow),
            None => None,
            Some(to_tag) => self.on_inside(now, tx, packet, method, to_tag),
        }
    }

    fn begin(
        &mut self,
        tx: &mut Transactions,
        packet: &Packet<'_>,
        flow: Flow,
    ) -> Option<FollowedId> {
        let from = packet.value(HeaderName::From)?;
        let tag = NameAddr::check(from).ok()?.unwrap_or_default();
        let key = tx.keyed_hash(&[packet.call_id(), tag]);
        // A request that comes round a second time belongs to the call that it was the first time.
        if self.by_dialog.contains_key(&key) {
            return None;
        }
        if self.calls.len() >= MAX_FOLLOWED {
            tx.counters.calls_not_followed += 1;
            return None;
        }
        let call = self.calls.insert(Followed {
            key,
            context: None,
            flow,
            offered: !packet.body().is_empty(),
            rang: false,
            caller_cseq: number_of(packet)?,
            callee_cseq: None,
            dialog: None,
        });
        self.by_dialog.insert(key, call);
        let invite = packet.store();
        tell(tx, CallEvent::Calling { call, invite, flow });
        Some(call)
    }

    /// A request inside a dialog: its number counts, and a BYE ends the call once it is answered.
    fn on_inside(
        &mut self,
        now: Time,
        tx: &Transactions,
        packet: &Packet<'_>,
        method: Method,
        to_tag: &[u8],
    ) -> Option<FollowedId> {
        let (id, sender) = self.find(tx, packet, to_tag)?;
        let number = number_of(packet)?;
        let call = self.calls.get_mut(id)?;
        match sender {
            Party::Caller => call.caller_cseq = call.caller_cseq.max(number),
            _ => call.callee_cseq = call.callee_cseq.max(Some(number)),
        }
        let dialog = call.dialog.as_mut()?;
        dialog.heard(now);
        if method == Method::Bye {
            dialog.leaving = Some((now, sender));
        }
        matches!(method, Method::Bye | Method::Invite | Method::Update).then_some(id)
    }

    /// The call that a request inside a dialog belongs to, and who sent it.
    fn find(
        &self,
        tx: &Transactions,
        packet: &Packet<'_>,
        to_tag: &[u8],
    ) -> Option<(FollowedId, Party)> {
        let from = packet.value(HeaderName::From)?;
        let from_tag = NameAddr::check(from).ok()?.unwrap_or_default();
        let of = |tag: &[u8]| {
            let key = tx.keyed_hash(&[packet.call_id(), tag]);
            self.by_dialog.get(&key).copied()
        };
        let (id, sender, callee_tag) = match of(from_tag) {
            Some(id) => (id, Party::Caller, to_tag),
            None => (of(to_tag)?, Party::Callee, from_tag),
        };
        let call = self.calls.get(id)?;
        let dialog = call.dialog.as_deref();
        // A fork of the call that was answered too has another tag: its end is not the end of this one.
        let fits = dialog.is_none_or(|d| d.is_with(callee_tag));
        fits.then_some((id, sender))
    }

    fn remove(&mut self, id: FollowedId) -> Option<Followed> {
        let call = self.calls.remove(id)?;
        self.by_dialog.remove(&call.key);
        Some(call)
    }
}

impl Proxy {
    /// Raises events about calls from now on, or no longer.
    pub(crate) fn follow_calls(&mut self, on: bool) {
        if !on {
            self.follow = None;
        } else if self.follow.is_none() {
            self.follow = Some(Box::default());
        }
    }

    /// How many calls are followed, and how many requests of ours to their ends wait for answers.
    pub(crate) fn followed(&self) -> (usize, usize) {
        let follow = self.follow.as_deref();
        follow.map_or((0, 0), |f| (f.len(), f.errands()))
    }

    /// The call that a response context belongs to has got it.
    pub(super) fn follow_context(&mut self, call: FollowedId, context: ContextId) {
        if let Some(follow) = self.follow.as_mut()
            && let Some(call) = follow.calls.get_mut(call)
            && call.dialog.is_none()
        {
            call.context = Some(context);
        }
    }

    /// A provisional response passes.
    pub(super) fn follow_provisional(
        &mut self,
        tx: &mut Transactions,
        id: FollowedId,
        status: StatusCode,
        packet: &Packet<'_>,
    ) {
        let call = self.follow.as_mut().and_then(|f| f.calls.get_mut(id));
        let Some(call) = call.filter(|c| !c.rang && c.dialog.is_none()) else {
            return;
        };
        let to = packet.value(HeaderName::To).unwrap_or_default();
        if matches!(NameAddr::check(to), Ok(Some(_))) {
            call.rang = true;
            tell(tx, CallEvent::Ringing { call: id, status });
        }
    }

    /// A 2xx is about to pass; `bytes` is what will.
    pub(super) fn follow_success(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        id: FollowedId,
        (context, number): (ContextId, u32),
        (response, bytes): (&Packet<'_>, &Bytes),
    ) {
        let (Some(follow), Some(context)) =
            (self.follow.as_deref_mut(), self.contexts.get(context))
        else {
            return;
        };
        let Some(call) = follow.calls.get_mut(id) else {
            return;
        };
        let Some(request) = context.server.and_then(|s| tx.request(s)) else {
            return;
        };
        if let Some(dialog) = call.dialog.as_deref_mut() {
            if let Some((at, by)) = dialog.leaving.filter(|_| context.method == Method::Bye) {
                follow.remove(id);
                let by = Some(by);
                tell(tx, CallEvent::Left { call: id, at, by });
            } else if context.method != Method::Bye {
                dialog.refresh(now, &request, response);
            }
            return;
        }
        let Some(branch) = context.branches.get(number as usize) else {
            return;
        };
        let flow = branch.client.and_then(|c| tx.client_flow(c));
        let flow = flow.unwrap_or(call.flow);
        let direct = branch.target.flow.is_some() && branch.target.routes.is_empty();
        let seen = SeenDialog::new(now, own, (&request, call.flow), (response, flow, direct));
        let withdrawn = context.withdrawn;
        call.context = None;
        call.dialog = seen.map(Box::new);
        let status = response.status().unwrap_or(StatusCode(200));
        let body = bytes.slice(bytes.len().saturating_sub(response.body().len())..);
        follow.sweep_later(now, tx);
        tell(
            tx,
            CallEvent::Answered {
                call: id,
                status,
                flow,
                body,
            },
        );
        if withdrawn {
            self.end_call(now, tx, id);
        }
    }

    /// A final response goes upstream, or none ever will: `status` is what it comes to.
    pub(super) fn follow_end(
        &mut self,
        tx: &mut Transactions,
        id: FollowedId,
        status: StatusCode,
        reason: &[u8],
        by: Party,
    ) {
        let Some(follow) = self.follow.as_deref_mut() else {
            return;
        };
        let Some(call) = follow.calls.get_mut(id) else {
            return;
        };
        let Some(dialog) = call.dialog.as_deref_mut() else {
            follow.remove(id);
            let reason = String::from_utf8_lossy(reason).into_owned();
            let call = id;
            tell(
                tx,
                CallEvent::Refused {
                    call,
                    status,
                    reason,
                    by,
                },
            );
            return;
        };
        // Whoever is asked for credentials sends the BYE again.
        if let Some((at, by)) = dialog.leaving.take()
            && !matches!(status.0, 401 | 407)
        {
            follow.remove(id);
            let by = Some(by);
            tell(tx, CallEvent::Left { call: id, at, by });
        }
    }

    /// An ACK passes: it may carry the answer.
    pub(super) fn follow_ack(&mut self, tx: &mut Transactions, packet: &Packet<'_>) {
        let Some(follow) = self.follow.as_deref_mut() else {
            return;
        };
        if packet.body().is_empty() {
            return;
        }
        let to = packet.value(HeaderName::To).unwrap_or_default();
        let Ok(Some(to_tag)) = NameAddr::check(to) else {
            return;
        };
        let Some((call, Party::Caller)) = follow.find(tx, packet, to_tag) else {
            return;
        };
        if let Some(followed) = follow.calls.get_mut(call).filter(|c| !c.offered) {
            followed.offered = true;
            let body = Bytes::copy_from_slice(packet.body());
            tell(tx, CallEvent::Described { call, body });
        }
    }
}

impl Follow {
    /// Sets the alarm of the next sweep, when there is none.
    fn sweep_later(&mut self, now: Time, tx: &mut Transactions) {
        if !self.sweeping {
            self.sweeping = true;
            tx.alarm(now, SWEEP, Alarm::Followed);
        }
    }
}

fn number_of(packet: &Packet<'_>) -> Option<u32> {
    let cseq = CSeq::parse(packet.value(HeaderName::CSeq)?).ok()?;
    Some(cseq.number)
}

fn tell(tx: &mut Transactions, event: CallEvent) {
    tx.out
        .push_back(Output::Event(Event::Proxied(Box::new(event))));
}
