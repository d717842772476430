//! Reliable provisional responses, the callee's side (RFC 3262 §3).
//!
//! ```text
//!  ring ──► sent, again after T1, 2·T1, 4·T1 … ──► PRACK: 200, the next one leaves
//!                      │ 64·T1
//!                      ▼
//!                  504, the call ends
//! ```

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;

use super::answer::cseq_of;
use super::call::{Call, Phase, session_of};
use super::event::{CallId, Cause, Event, Misuse};
use super::extension::{Extensions, RELIABLE, has_tag};
use super::offer_answer::OfferAnswer;
use super::update::Change;
use super::{Alarm, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::header::{HeaderName, RAck};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, T1, T1X64, Transactions};
use crate::ua::account;
use crate::wire::{Packet, Stored};

/// Provisional responses that wait for the PRACK of the one before them.
const MAX_WAITING: usize = 8;

/// What a callee's reliable provisional responses have come to.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    when: When,
    /// The number of the last one; 0 before the first.
    rseq: u32,
    /// The one that has no PRACK yet.
    sent: Option<Sent>,
    /// Those that leave after it.
    waiting: VecDeque<(StatusCode, Option<Vec<u8>>)>,
    /// A PRACK came: the caller knows the dialog.
    pub(super) acknowledged: bool,
    /// The owner's answer to the INVITE, which waits for the PRACK.
    pub(super) answer: Option<Vec<u8>>,
}

/// Which provisional responses are sent reliably.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum When {
    #[default]
    Never,
    /// Those that describe the session.
    Described,
    Always,
}

#[derive(Debug)]
struct Sent {
    rseq: u32,
    cseq: u32,
    status: StatusCode,
    bytes: Bytes,
    described: bool,
    again: Duration,
    since: Time,
    serial: u32,
}

impl Reliable {
    /// For an INVITE that came.
    pub(super) fn new(invite: &Packet<'_>, extensions: &Extensions) -> Reliable {
        let requires = has_tag(invite, HeaderName::Require, RELIABLE);
        let supports = requires || has_tag(invite, HeaderName::Supported, RELIABLE);
        let when = match extensions.reliable {
            account::Reliable::Off => When::Never,
            _ if requires => When::Always,
            account::Reliable::Supported if supports => When::Described,
            account::Reliable::Required if supports => When::Always,
            _ => When::Never,
        };
        Reliable {
            when,
            ..Reliable::default()
        }
    }

    /// Whether the 2xx has to wait: a response without PRACK describes the session.
    pub(super) fn holds_back(&self) -> bool {
        self.sent.as_ref().is_some_and(|s| s.described)
    }

    fn sends(&self, described: bool) -> bool {
        match self.when {
            When::Never => false,
            When::Described => described,
            When::Always => true,
        }
    }
}

impl Call {
    /// Whether a provisional response leaves reliably.
    pub(super) fn rings_reliably(&self, described: bool) -> bool {
        self.reliable
            .sends(described && self.session.state.wants_body())
    }
}

impl UserAgent {
    /// Sends a provisional response reliably, now or when those before it are acknowledged.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`]; [`Misuse::Full`] when too many wait already.
    pub(super) fn ring_reliably(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        body: Option<&[u8]>,
    ) -> Result<(), Misuse> {
        let body = body.filter(|b| !b.is_empty());
        let call = self.live_call(id)?;
        if call.reliable.sent.is_none() {
            return self.send_reliably(now, tx, id, status, body);
        }
        if call.reliable.waiting.len() >= MAX_WAITING {
            return Err(Misuse::Full);
        }
        let waiting = (status, body.map(<[u8]>::to_vec));
        call.reliable.waiting.push_back(waiting);
        Ok(())
    }

    fn send_reliably(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        status: StatusCode,
        body: Option<&[u8]>,
    ) -> Result<(), Misuse> {
        let serial = self.next_serial();
        let call = self.live_call(id)?;
        let rseq = match call.reliable.rseq {
            // §3: anything from 1 to 2^31-1, so that guessing is of no use.
            0 => 1 + tx.random.below(0x7fff_fffe) as u32,
            last => last.saturating_add(1),
        };
        let body = body.filter(|_| call.session.state.wants_body());
        let more = [("Require", RELIABLE.to_owned()), ("RSeq", rseq.to_string())];
        let bytes = self.print(tx, id, status, body, &more);
        let call = self.live_call(id)?;
        let (Some(bytes), Some(pending)) = (bytes, call.pending.as_mut()) else {
            return Err(Misuse::WrongState);
        };
        let cseq = cseq_of(&pending.request.packet());
        let server = pending.server;
        pending.rings(serial, status, None);
        if let Some(body) = body {
            call.session.response_sent(body);
        }
        call.reliable.rseq = rseq;
        call.reliable.sent = Some(Sent {
            rseq,
            cseq,
            status,
            bytes: bytes.clone(),
            described: body.is_some(),
            again: T1,
            since: now,
            serial,
        });
        tx.respond_with(now, server, status, bytes);
        alarm(now, tx, T1, id.0, Alarm::Reliable(serial));
        alarm(
            now,
            tx,
            super::answer::RING_AGAIN,
            id.0,
            Alarm::Provisional(serial),
        );
        Ok(())
    }

    /// No PRACK has come yet.
    pub(super) fn on_unacknowledged(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Ringing) else {
            return;
        };
        let Some(pending) = call.pending.as_ref() else {
            return;
        };
        let server = pending.server;
        let Some(sent) = call.reliable.sent.as_mut().filter(|s| s.serial == serial) else {
            return;
        };
        let waited = now.since(sent.since);
        if waited >= T1X64 {
            call.pending = None;
            tx.respond(now, server, &Reply::new(StatusCode(504)));
            self.end(now, tx, id, Cause::NoPrack);
            return;
        }
        tx.respond_with(now, server, sent.status, sent.bytes.clone());
        sent.again *= 2;
        let after = sent.again.min(T1X64.saturating_sub(waited));
        alarm(now, tx, after, id.0, Alarm::Reliable(serial));
    }

    /// PRACK (§3): the response that it names is acknowledged; the next one leaves.
    pub(super) fn on_prack(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: CallId,
        (request, source): (&Stored, Flow),
    ) -> Result<(), StatusCode> {
        let packet = request.packet();
        let gone = StatusCode(481);
        let rack = packet.value(HeaderName::RAck).map(RAck::parse);
        let Some(Ok(rack)) = rack else {
            return Err(StatusCode(400));
        };
        let serial = self.next_serial();
        let call = self.live_call(id).map_err(|_| gone)?;
        let named = |s: &mut Sent| {
            s.rseq == rack.rseq
                && s.cseq == rack.cseq.number
                && rack.cseq.method() == Method::Invite
        };
        let sent = call.reliable.sent.take_if(named).ok_or(gone)?;
        call.reliable.acknowledged = true;
        let body = session_of(&packet);
        let offer = match (call.session.state, body) {
            (OfferAnswer::Offered, body) if sent.described => {
                call.session.answer_received(body.as_deref());
                tell(tx, Event::ProgressAcknowledged { call: id, body });
                None
            }
            (OfferAnswer::Stable, Some(offer)) if call.change.is_none() => Some(offer),
            (_, None) => {
                tell(
                    tx,
                    Event::ProgressAcknowledged {
                        call: id,
                        body: None,
                    },
                );
                None
            }
            (_, Some(_)) => {
                // An offer while another one is open: the response is acknowledged all the same.
                tx.respond(now, server, &Reply::new(StatusCode(491)));
                self.after_prack(now, tx, id);
                return Ok(());
            }
        };
        if let Some(offer) = offer {
            call.session.offer_received(&offer);
            call.change = Some(Change::new(server, request.clone(), source, 0, serial));
            tell(
                tx,
                Event::ProgressAcknowledged {
                    call: id,
                    body: None,
                },
            );
            self.tell_change(now, tx, id, offer, serial);
            return Ok(());
        }
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        self.after_prack(now, tx, id);
        Ok(())
    }

    /// What waited for the PRACK goes on: the owner's answer, or the next provisional response.
    pub(super) fn after_prack(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Ringing) else {
            return;
        };
        if call.reliable.holds_back() || call.change.is_some() {
            return;
        }
        if let Some(answer) = call.reliable.answer.take() {
            // It was looked at when the owner gave it; the settled session needs it no more.
            let _ = self.accept_invite(now, tx, id, &answer);
            return;
        }
        if call.reliable.sent.is_none()
            && let Some((status, body)) = call.reliable.waiting.pop_front()
        {
            let _ = self.send_reliably(now, tx, id, status, body.as_deref());
        }
    }
}
