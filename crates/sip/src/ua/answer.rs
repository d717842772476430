//! Calls that come in: ringing, answering, and the 2xx that goes again until its ACK comes
//! (RFC 3261 §13.3, §14.2).

use core::time::Duration;

use bytes::Bytes;

use super::account::contact_uri;
use super::call::{Call, Leg, Phase, session_of, tag_of};
use super::dialog::Dialog;
use super::draft::{is_clean, name_addr, readable};
use super::event::{AccountId, CallId, Cause, Event, Misuse};
use super::offer_answer::OfferAnswer;
use super::{ALLOW, Alarm, MAX_CALLS, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::header::{CSeq, HeaderName, NameAddr, Via};
use crate::message::StatusCode;
use crate::respond::{self, Reply};
use crate::time::Time;
use crate::transaction::{ServerId, ServerUser, T1, T1X64, T2, Transactions};
use crate::uri::Uri;
use crate::wire::{Packet, Stored};

/// How often a provisional response goes again (RFC 3261 §13.3.1.1).
const RING_AGAIN: Duration = Duration::from_secs(60);

/// An INVITE of the peer that waits for our decision.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) server: ServerId,
    pub(super) request: Stored,
    source: Flow,
    /// Whether it made the call.
    pub(super) initial: bool,
    /// The last provisional response, and the timer that sends it again.
    provisional: Option<(StatusCode, Bytes)>,
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
    ) {
        let packet = request.packet();
        if self.live >= MAX_CALLS {
            let reply = Reply::new(StatusCode(503)).header("Retry-After", "10");
            tx.respond(now, server, &reply);
            return;
        }
        let local_tag = tx.local_tag(server);
        let Some(leg) = Leg::new(Dialog::from_request(&packet, &local_tag)) else {
            let reply = Reply::new(StatusCode(400)).reason("Missing or malformed Contact");
            tx.respond(now, server, &reply);
            return;
        };
        let user = match account.and_then(|a| self.profile(a)) {
            Some(profile) => profile.user.clone(),
            None => Uri::parse(packet.request_uri())
                .ok()
                .and_then(|u| u.user)
                .map(readable)
                .unwrap_or_default(),
        };
        let offer = session_of(&packet);
        let call_id = leg.dialog.call_id.clone();
        let id = self.keep_call(
            tx,
            Call {
                account,
                user,
                call_id: call_id.clone(),
                local_tag,
                phase: Phase::Ringing,
                legs: vec![leg],
                confirmed: Some(0),
                session: OfferAnswer::invite_received(offer.is_some()),
                invite: None,
                reinvite: None,
                reoffering: None,
                pending: Some(Pending::new(server, request.clone(), source, true)),
                unacked: None,
                flow: Some(source),
                direct: is_direct(&packet, &source),
                linger_until: now,
                cause: None,
            },
        );
        tx.set_server_user(server, ServerUser::Agent(id.0));
        let (from, from_uri) = address_of(&packet, HeaderName::From);
        let (_, to_uri) = address_of(&packet, HeaderName::To);
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
                replaces: None,
                asserted: None,
                referred_by: None,
                flow: source,
                request: request.clone(),
            },
        );
    }

    /// Sends a provisional response: 180 rings, 183 with a body brings early media.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when the call is answered already;
    /// [`Misuse::Status`] for anything but 101 to 199.
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
        let waits = self
            .live_call(id)?
            .pending
            .as_ref()
            .is_some_and(|p| p.initial);
        let bytes = waits
            .then(|| self.print(tx, id, status, body))
            .flatten()
            .ok_or(Misuse::WrongState)?;
        if let Some(pending) = self.live_call(id)?.pending.as_mut() {
            pending.provisional = Some((status, bytes.clone()));
            pending.serial = serial;
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
            tx.respond_with(now, pending.server, status, bytes);
            alarm(now, tx, RING_AGAIN, id.0, Alarm::Provisional(serial));
        }
    }

    /// Accepts the INVITE that waits: `body` is the answer to its offer, or our offer when it had none.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when no INVITE waits; [`Misuse::OfferAnswer`]
    /// without a body.
    pub fn accept(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        body: &[u8],
    ) -> Result<(), Misuse> {
        let serial = self.next_serial();
        let call = self.live_call(id)?;
        if call.pending.is_none() {
            return Err(Misuse::WrongState);
        }
        let session = call.session.accept_sent(!body.is_empty());
        let session = session.ok_or(Misuse::OfferAnswer)?;
        let bytes = self.print(tx, id, StatusCode(200), Some(body));
        let call = self.live_call(id)?;
        let (Some(bytes), Some(pending)) = (bytes, call.pending.take()) else {
            return Err(Misuse::WrongState);
        };
        let packet = pending.request.packet();
        let cseq = cseq_of(&packet);
        call.session = session;
        call.phase = Phase::Up;
        call.flow = Some(pending.source);
        let mut remote_uri = String::new();
        if let Some(leg) = call.leg_mut() {
            leg.dialog.refresh_target(&packet);
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
        }
        Ok(())
    }

    /// Refuses the INVITE that waits. A call ends with it; after a re-INVITE it goes on as it was.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] when no INVITE waits; [`Misuse::Status`] below 300.
    pub fn reject(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        reason: Option<&str>,
    ) -> Result<(), Misuse> {
        if !matches!(status.0, 300..=699) {
            return Err(Misuse::Status);
        }
        let pending = self.live_call(id)?.pending.take();
        let pending = pending.ok_or(Misuse::WrongState)?;
        let mut reply = Reply::new(status);
        reply.reason = reason.filter(|r| is_clean(r.as_bytes()));
        tx.respond(now, pending.server, &reply);
        if pending.initial {
            self.end(now, tx, id, Cause::ByUs);
        } else {
            self.live_call(id)?.session = OfferAnswer::Stable;
        }
        Ok(())
    }

    /// Refuses an INVITE that still waits when the call ends (RFC 3261 §15.1.2).
    pub(super) fn drop_pending(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        if let Some(pending) = self.call_mut(id).and_then(|c| c.pending.take()) {
            tx.respond(now, pending.server, &Reply::new(StatusCode(487)));
        }
    }

    /// The caller takes its INVITE back (RFC 3261 §9.2).
    pub(crate) fn on_cancel(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        invite: ServerId,
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
            self.end(now, tx, id, Cause::Cancelled);
        } else {
            call.session = OfferAnswer::Stable;
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
        if call.session == OfferAnswer::Offered {
            call.session = OfferAnswer::Stable;
        }
        if call.phase == Phase::Ending {
            let cause = call.cause.take().unwrap_or(Cause::ByUs);
            self.send_bye(now, tx, id, cause);
        } else {
            let body = session_of(packet);
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
    fn print(
        &self,
        tx: &Transactions,
        id: CallId,
        status: StatusCode,
        body: Option<&[u8]>,
    ) -> Option<Bytes> {
        let call = self.call_of(id)?;
        let pending = call.pending.as_ref()?;
        let profile = call.account.and_then(|a| self.profile(a));
        let contact = contact_uri(tx, profile, &call.user, &pending.source);
        let contact = format!("<{contact}>");
        let mut reply = Reply::new(status).header("Contact", &contact);
        if status.is_success() {
            reply = reply.header("Allow", ALLOW);
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
}

/// Whether the sender of an INVITE is our neighbour and the address in its Via is not where it is.
fn is_direct(invite: &Packet<'_>, source: &Flow) -> bool {
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
