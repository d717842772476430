//! Calls that come in: ringing, answering, and the 2xx that goes again until its ACK comes
//! (RFC 3261 §13.3, §14.2).

use core::time::Duration;

use bytes::Bytes;

use super::account::contact_uri;
use super::call::{Call, Leg, Phase, session_of, tag_of};
use super::dialog::Dialog;
use super::draft::{is_clean, name_addr, readable};
use super::event::{AccountId, CallId, Cause, Event, Misuse};
use super::extension::refuse_terms;
use super::offer_answer::OfferAnswer;
use super::reliable::Reliable;
use super::{ALLOW, Alarm, MAX_CALLS, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::header::{CSeq, HeaderName, NameAddr, Reason, Via};
use crate::message::StatusCode;
use crate::respond::{self, Reply};
use crate::time::Time;
use crate::transaction::{ServerId, ServerUser, T1, T1X64, T2, Transactions};
use crate::uri::Uri;
use crate::wire::{Packet, Stored};

/// How often a provisional response goes again (RFC 3261 §13.3.1.1).
pub(super) const RING_AGAIN: Duration = Duration::from_secs(60);

/// An INVITE of the peer that waits for our decision.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) server: ServerId,
    pub(super) request: Stored,
    source: Flow,
    /// Whether it made the call.
    pub(super) initial: bool,
    /// The last provisional response, and the timer that sends it again: as it was, or anew when it
    /// left reliably.
    provisional: Option<(StatusCode, Option<Bytes>)>,
    serial: u32,
}

/// A 2xx of ours that waits for its ACK.
#[derive(Debug)]
pub(super) struct Unacked {
    server: ServerId,
    pub(super) cseq: u32,
    bytes: Bytes,
    again: Duration,
    since: Time,
    serial: u32,
}

impl UserAgent {
    /// An INVITE outside any dialog: a new call.
    pub(super) fn on_call(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        (request, source): (Stored, Flow),
        account: Option<AccountId>,
        obeys: bool,
    ) -> Option<CallId> {
        let packet = request.packet();
        if self.live >= MAX_CALLS {
            let reply = Reply::new(StatusCode(503)).header("Retry-After", "10");
            tx.respond(now, server, &reply);
            return None;
        }
        let extensions = self.extensions(account);
        if refuse_terms(now, tx, server, &packet, &extensions) {
            return None;
        }
        let replaced = if obeys {
            self.replaced(tx, &packet)
        } else {
            Ok(None)
        };
        let replaces = match replaced {
            Ok(replaces) => replaces,
            Err(code) => {
                tx.respond(now, server, &Reply::new(code));
                return None;
            }
        };
        let local_tag = tx.local_tag(server);
        let Some(mut leg) = Leg::new(Dialog::from_request(&packet, &local_tag)) else {
            let reply = Reply::new(StatusCode(400)).reason("Missing or malformed Contact");
            tx.respond(now, server, &reply);
            return None;
        };
        let user = match account.and_then(|a| self.profile(a)) {
            Some(profile) if !profile.user.is_empty() => profile.user.clone(),
            _ => Uri::parse(packet.request_uri())
                .ok()
                .and_then(|u| u.user)
                .map(readable)
                .unwrap_or_default(),
        };
        leg.learn(&packet);
        let offer = session_of(&packet);
        let call_id = leg.dialog.call_id.clone();
        let names = (call_id.clone(), local_tag);
        let mut call = Call::new(now, account, user, names, Phase::Ringing);
        call.legs.push(leg);
        call.confirmed = Some(0);
        call.session.invite_received(offer.as_deref());
        call.pending = Some(Pending::new(server, request.clone(), source, true));
        call.reliable = Reliable::new(&packet, &extensions);
        call.flow = Some(source);
        call.direct = is_direct(&packet, &source);
        call.related.replaces = replaces;
        let id = self.keep_call(tx, call);
        tx.set_server_user(server, ServerUser::Agent(id.0));
        let (from, from_uri) = address_of(&packet, HeaderName::From);
        let (_, to_uri) = address_of(&packet, HeaderName::To);
        let asserted = self.asserted(account, &packet, &source);
        let referred_by = super::transfer::referred_by(&packet);
        tell(
            tx,
            Event::Incoming {
                call: id,
                account,
                from,
                from_uri,
                to_uri,
                call_id,
                offer,
                replaces,
                asserted,
                referred_by,
                flow: source,
                request: request.clone(),
            },
        );
        Some(id)
    }

    /// Sends a provisional response: 180 rings, 183 with a body brings early media.
    ///
    /// Where the caller and the account let it, it leaves reliably (RFC 3262), after those before it
    /// were acknowledged; [`Event::ProgressAcknowledged`] tells of its PRACK. A body that it carries
    /// then is the answer to the caller's offer, or our offer when there was none.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when the call is answered already;
    /// [`Misuse::Status`] for anything but 101 to 199; [`Misuse::OfferAnswer`] for an offer to a caller
    /// who does not take it reliably; [`Misuse::Full`] when too many wait for their PRACK.
    pub fn ring(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        body: Option<&[u8]>,
    ) -> Result<(), Misuse> {
        if !matches!(status.0, 101..=199) {
            return Err(Misuse::Status);
        }
        let serial = self.next_serial();
        let call = self.live_call(id)?;
        let waits = call.pending.as_ref().is_some_and(|p| p.initial);
        if !waits || call.reliable.answer.is_some() {
            return Err(Misuse::WrongState);
        }
        if call.rings_reliably(body.is_some_and(|b| !b.is_empty())) {
            return self.ring_reliably(now, tx, id, status, body);
        }
        let body = match call.session.state {
            OfferAnswer::Invited if body.is_some() => return Err(Misuse::OfferAnswer),
            OfferAnswer::Asked => body,
            _ => None,
        };
        let bytes = self.print(tx, id, status, body, &[]);
        let bytes = bytes.ok_or(Misuse::WrongState)?;
        if let Some(pending) = self.live_call(id)?.pending.as_mut() {
            pending.rings(serial, status, Some(bytes.clone()));
            tx.respond_with(now, pending.server, status, bytes);
            alarm(now, tx, RING_AGAIN, id.0, Alarm::Provisional(serial));
        }
        Ok(())
    }

    /// A minute has passed since the last provisional response.
    pub(super) fn on_ring_again(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let pending = self.call_mut(id).and_then(|c| c.pending.as_mut());
        if let Some(pending) = pending.filter(|p| p.serial == serial)
            && let Some((status, bytes)) = pending.provisional.clone()
        {
            let Some(bytes) = bytes else {
                let _ = self.ring(now, tx, id, status, None);
                return;
            };
            tx.respond_with(now, pending.server, status, bytes);
            alarm(now, tx, RING_AGAIN, id.0, Alarm::Provisional(serial));
        }
    }

    /// Accepts what waits for a decision: the offer of an [`Event::Reoffered`], else the INVITE. `body` is
    /// the answer to its offer, or our offer when it had none.
    ///
    /// When a reliable provisional response has settled the session, the INVITE needs no body any more,
    /// and one that is given is not sent. While the PRACK for such a response is missing, the call is
    /// answered only when it comes (RFC 3262 §3).
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when nothing waits; [`Misuse::OfferAnswer`] without a
    /// body that is due.
    pub fn accept(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        body: &[u8],
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        if call.change.is_some() {
            return self.accept_change(now, tx, id, body);
        }
        if call.pending.is_none() || call.reliable.answer.is_some() {
            return Err(Misuse::WrongState);
        }
        if call.phase == Phase::Ringing && call.reliable.holds_back() {
            call.reliable.answer = Some(body.to_vec());
            return Ok(());
        }
        self.accept_invite(now, tx, id, body)
    }

    /// Answers the INVITE that waits with 200.
    pub(super) fn accept_invite(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        body: &[u8],
    ) -> Result<(), Misuse> {
        let serial = self.next_serial();
        let call = self.live_call(id)?;
        let state = call.session.state;
        let body = if state.wants_body() { body } else { &[] };
        state
            .accept_sent(!body.is_empty())
            .ok_or(Misuse::OfferAnswer)?;
        let request = call.pending.as_ref().map(|p| p.request.clone());
        let request = request.ok_or(Misuse::WrongState)?;
        let granted = self.grant_interval(id, &request.packet());
        let more = granted.map(|g| g.headers()).unwrap_or_default();
        let bytes = self.print(tx, id, StatusCode(200), Some(body), &more);
        let call = self.live_call(id)?;
        let (Some(bytes), Some(pending)) = (bytes, call.pending.take()) else {
            return Err(Misuse::WrongState);
        };
        let packet = pending.request.packet();
        let cseq = cseq_of(&packet);
        call.session.response_sent(body);
        call.phase = Phase::Up;
        call.flow = Some(pending.source);
        let mut remote_uri = String::new();
        if let Some(leg) = call.leg_mut() {
            leg.dialog.refresh_target(&packet);
            leg.learn(&packet);
            remote_uri = readable(&leg.dialog.target);
        }
        call.unacked = Some(Unacked {
            server: pending.server,
            cseq,
            bytes: bytes.clone(),
            again: T1,
            since: now,
            serial,
        });
        tx.respond_with(now, pending.server, StatusCode(200), bytes);
        alarm(now, tx, T1, id.0, Alarm::Repeat(serial));
        if pending.initial {
            tell(
                tx,
                Event::Established {
                    call: id,
                    remote_uri,
                    body: None,
                    flow: pending.source,
                },
            );
            self.take_place(now, tx, id);
        }
        self.keep_interval(now, tx, id, granted.map(|g| g.interval()));
        Ok(())
    }

    /// Refuses what waits for a decision: the offer of an [`Event::Reoffered`], and the call goes on as
    /// it was; else the INVITE, and the call ends.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when nothing waits; [`Misuse::Status`] below 300.
    pub fn reject(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<(), Misuse> {
        self.reject_with(now, tx, id, status, reason, &[])
    }

    /// Refuses as [`UserAgent::reject`] does, with more headers: Retry-After, Warning, Reason.
    ///
    /// # Errors
    /// The same, and [`Misuse::Header`].
    pub fn reject_with(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        reason: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<(), Misuse> {
        super::call::check_headers(headers)?;
        if self.live_call(id)?.change.is_some() {
            let reply = refusal((status, reason), headers)?;
            self.reject_change(now, tx, id, &reply);
            return Ok(());
        }
        self.refuse_invite(now, tx, id, (status, reason), headers)
    }

    pub(super) fn refuse_invite(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        why: (StatusCode, Option<&str>),
        headers: &[(String, String)],
    ) -> Result<(), Misuse> {
        let reply = refusal(why, headers)?;
        self.drop_change(now, tx, id);
        let pending = self.live_call(id)?.pending.take();
        let pending = pending.ok_or(Misuse::WrongState)?;
        tx.respond(now, pending.server, &reply);
        if pending.initial {
            self.end(now, tx, id, Cause::ByUs);
        } else {
            self.live_call(id)?.session.undo();
        }
        Ok(())
    }

    /// Refuses what still waits when the call ends (RFC 3261 §15.1.2).
    pub(super) fn drop_pending(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        if let Some(call) = self.call_mut(id)
            && let Some(pending) = call.pending.take()
        {
            call.session.undo();
            tx.respond(now, pending.server, &Reply::new(StatusCode(487)));
        }
        self.drop_change(now, tx, id);
    }

    /// The caller takes its INVITE back (RFC 3261 §9.2), `elsewhere` because another phone answered it.
    pub(crate) fn on_cancel(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        invite: ServerId,
        elsewhere: bool,
    ) {
        let id = CallId(token);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(pending) = call.pending.take_if(|p| p.server == invite) else {
            return;
        };
        tx.respond(now, invite, &Reply::new(StatusCode(487)));
        if pending.initial {
            let cause = if elsewhere {
                Cause::AnsweredElsewhere
            } else {
                Cause::Cancelled
            };
            self.end(now, tx, id, cause);
        } else {
            call.session.undo();
            tell(tx, Event::ReofferWithdrawn { call: id });
        }
    }

    /// An ACK that belongs to no transaction: for one of our 2xx, perhaps.
    pub(crate) fn on_ack(&mut self, now: Time, tx: &mut Transactions, packet: &Packet<'_>) -> bool {
        let Some(id) = tag_of(packet, HeaderName::To)
            .and_then(|tag| self.find_call(tx, packet.call_id(), tag))
        else {
            return false;
        };
        let from = tag_of(packet, HeaderName::From);
        let Some(call) = self.call_mut(id) else {
            return false;
        };
        let ours = call.confirmed.is_some() && call.leg_with(from) == call.confirmed;
        let cseq = cseq_of(packet);
        if !ours || call.unacked.take_if(|u| u.cseq == cseq).is_none() {
            return ours;
        }
        let body = session_of(packet);
        // An answer is due in it only when the 2xx carried our offer.
        let body = match call.session.state {
            OfferAnswer::Offered if call.reoffering.is_none() => {
                call.session.answer_received(body.as_deref());
                body
            }
            _ => None,
        };
        if call.phase == Phase::Ending {
            let cause = call.cause.take().unwrap_or(Cause::ByUs);
            self.send_bye(now, tx, id, cause);
        } else {
            tell(tx, Event::Acknowledged { call: id, body });
        }
        true
    }

    /// No ACK has come for our 2xx yet.
    pub(super) fn on_repeat(&mut self, now: Time, tx: &mut Transactions, id: CallId, serial: u32) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(unacked) = call.unacked.as_mut().filter(|u| u.serial == serial) else {
            return;
        };
        let waited = now.since(unacked.since);
        if waited >= T1X64 {
            let cause = call.cause.take().unwrap_or(Cause::NoAck);
            self.drop_pending(now, tx, id);
            self.send_bye(now, tx, id, cause);
            return;
        }
        tx.respond_with(now, unacked.server, StatusCode(200), unacked.bytes.clone());
        unacked.again = (unacked.again * 2).min(T2);
        let after = unacked.again.min(T1X64.saturating_sub(waited));
        alarm(now, tx, after, id.0, Alarm::Repeat(serial));
    }

    /// The bytes of a response of ours to the INVITE that waits.
    pub(super) fn print(
        &self,
        tx: &Transactions,
        id: CallId,
        status: StatusCode,
        body: Option<&[u8]>,
        more: &[(&str, String)],
    ) -> Option<Bytes> {
        let call = self.call_of(id)?;
        let pending = call.pending.as_ref()?;
        let supported = self.extensions(call.account).supported();
        let profile = call.account.and_then(|a| self.profile(a));
        let contact = contact_uri(tx, profile, &call.user, &pending.source);
        let contact = format!("<{contact}>");
        let mut reply = Reply::new(status).header("Contact", &contact);
        // A reliable one makes a dialog in which the peer may want to send UPDATE (RFC 3311 §5.1).
        if status.is_success() || !more.is_empty() {
            reply = reply.header("Allow", ALLOW).header("Supported", &supported);
        }
        for (name, value) in more {
            reply = reply.header(name, value);
        }
        let packages = self.recv_info().filter(|_| status.is_success());
        if let Some(packages) = &packages {
            reply = reply.header("Recv-Info", packages);
        }
        if !self.product.is_empty() {
            reply = reply.header("Server", &self.product);
        }
        reply.record_route = pending.initial;
        reply.body = body
            .filter(|b| !b.is_empty())
            .map(|b| ("application/sdp", b));
        let remote = pending.source.remote;
        let bytes = respond::print(&pending.request.packet(), remote, &reply, &call.local_tag);
        Some(Bytes::from(bytes))
    }
}

/// The response that refuses an INVITE, or an offer in another request.
fn refusal<'a>(
    (status, reason): (StatusCode, Option<&'a str>),
    headers: &'a [(String, String)],
) -> Result<Reply<'a>, Misuse> {
    if !matches!(status.0, 300..=699) {
        return Err(Misuse::Status);
    }
    let mut reply = Reply::new(status);
    reply.reason = reason.filter(|r| is_clean(r.as_bytes()));
    let headers = headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    reply.headers.extend(headers);
    Ok(reply)
}

impl Pending {
    pub(super) fn new(server: ServerId, request: Stored, source: Flow, initial: bool) -> Pending {
        Pending {
            server,
            request,
            source,
            initial,
            provisional: None,
            serial: 0,
        }
    }

    /// A provisional response leaves; `bytes` is what goes again after a minute.
    pub(super) fn rings(&mut self, serial: u32, status: StatusCode, bytes: Option<Bytes>) {
        self.provisional = Some((status, bytes));
        self.serial = serial;
    }
}

/// Whether the sender of an INVITE is our neighbour and the address in its Via is not where it is.
pub(super) fn is_direct(invite: &Packet<'_>, source: &Flow) -> bool {
    let mut vias = invite
        .all(HeaderName::Via)
        .flat_map(|h| Via::parse_list(h.value()));
    let (Some(Ok(via)), None) = (vias.next(), vias.next()) else {
        return false;
    };
    let there = via.host.ip() == Some(source.remote.ip())
        && via.port.unwrap_or(source.transport.default_port()) == source.remote.port();
    !invite.has(HeaderName::RecordRoute) && (source.transport.is_reliable() || !there)
}

/// The number in CSeq; 0 when it cannot be read.
pub(super) fn cseq_of(message: &Packet<'_>) -> u32 {
    message
        .value(HeaderName::CSeq)
        .and_then(|v| CSeq::parse(v).ok())
        .map_or(0, |c| c.number)
}

/// From or To as text: with the display name, and the URI alone.
pub(super) fn address_of(message: &Packet<'_>, name: HeaderName) -> (String, String) {
    let value = message.value(name).unwrap_or_default();
    let Ok(address) = NameAddr::parse(value) else {
        return (String::new(), String::new());
    };
    let uri = readable(address.uri.as_bytes());
    let display = readable(&address.display_unquoted());
    (name_addr(Some(&display), &uri), uri)
}

/// Whether a CANCEL says that another phone answered (RFC 3326 §2).
pub(crate) fn is_answered_elsewhere(cancel: &Packet<'_>) -> bool {
    const MOST: usize = 8;
    cancel
        .all(HeaderName::Reason)
        .flat_map(|h| Reason::parse_list(h.value()))
        .flatten()
        .take(MOST)
        .any(|r| r.protocol.eq_ignore_ascii_case(b"SIP") && r.cause == Some(200))
}
