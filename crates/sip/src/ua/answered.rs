//! What becomes of an INVITE of ours: provisional responses, the 2xx of one fork or of several, refusals
//! (RFC 3261 §13.2.2).

use bytes::Bytes;

use super::call::{Phase, SentAck, sdp, session_of, tag_of};
use super::dialog::Dialog;
use super::draft::readable;
use super::event::{CallId, Cause, Event, Misuse};
use super::outbound::{OutboundId, Outcome, Purpose};
use super::{Alarm, UserAgent, alarm, tell};
use crate::auth::Asker;
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};
use crate::wire::Packet;

impl UserAgent {
    /// A provisional response: an early dialog perhaps (RFC 3261 §13.2.2.1), and the moment from
    /// which CANCEL may be sent (§9.1).
    pub(super) fn on_provisional(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        response: &Packet<'_>,
    ) {
        let Some(outbound) = self.outbound.get(id) else {
            return;
        };
        let client = outbound.client;
        let (call_id, again) = match outbound.purpose {
            Purpose::Invite(call) => (call, false),
            Purpose::Reinvite(call) => (call, true),
            _ => return,
        };
        let Some(call) = self.calls.get_mut(Key::from_u64(call_id.0)) else {
            return;
        };
        if call.phase == Phase::Cancelling && !again {
            let reason = call.related.parting.as_deref();
            if client.is_some_and(|c| tx.cancel_client_because(now, c, reason)) {
                alarm(now, tx, T1X64, call_id.0, Alarm::CancelGivesUp);
            }
            return;
        }
        let code = response.status().unwrap_or(StatusCode(100));
        let wanted = if again { Phase::Up } else { Phase::Calling };
        if call.phase == wanted && code.0 != 100 {
            self.on_ringing(now, tx, (call_id, id), response, again);
        }
    }

    /// A 2xx to an INVITE of ours, the first or a repetition (RFC 3261 §13.2.2.4).
    pub(super) fn on_accepted(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: OutboundId,
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let Some(draft) = self.outbound.get(outbound).map(|o| &o.draft) else {
            return;
        };
        let cseq = draft.cseq;
        let Some(call) = self.calls.get_mut(Key::from_u64(id.0)) else {
            return;
        };
        let tag = tag_of(response, HeaderName::To);
        if call.invite != Some(outbound) {
            self.on_reoffer_accepted(now, tx, id, outbound, response);
            return;
        }
        let leg = match call.leg_with(tag) {
            Some(leg) => leg,
            None => match call.new_leg(Dialog::from_response(draft, response)) {
                Some(leg) => leg,
                None => return,
            },
        };
        let Some(known) = call.legs.get_mut(leg) else {
            return;
        };
        if let Some(ack) = known.ack.as_ref().filter(|a| a.cseq == cseq) {
            tx.send(ack.flow, ack.bytes.clone());
        } else if call.confirmed == Some(leg) {
            // The owner has not answered the offer in it.
        } else {
            known.dialog.confirm(response);
            if call.confirmed.is_some() || call.phase == Phase::Over {
                self.drop_fork(now, tx, id, outbound, leg, flow);
            } else {
                self.on_answered(now, tx, id, (outbound, leg), response, flow);
            }
        }
    }

    /// The first 2xx: this leg is the call.
    fn on_answered(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        (outbound, index): (OutboundId, usize),
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(leg) = call.legs.get_mut(index) else {
            return;
        };
        leg.learn(response);
        let dead = leg.dead;
        let remote_uri = readable(&leg.dialog.target);
        call.session = core::mem::take(&mut leg.session);
        let forked = call.legs.len() > 1;
        call.confirmed = Some(index);
        let open = call.awaits_response(index);
        let body = match session_of(response) {
            body if open => body,
            // What reliable responses have settled holds; of several forks, what this one said.
            _ if forked => call.session.answer().map(<[u8]>::to_vec),
            _ => None,
        };
        call.flow = Some(flow);
        call.linger_until = now + T1X64;
        if dead {
            self.send_ack(now, tx, id, outbound, index, None);
            self.end(now, tx, id, Cause::ByPeer { reason: None });
            return;
        }
        if call.phase == Phase::Cancelling {
            self.send_ack(now, tx, id, outbound, index, None);
            self.send_bye(now, tx, id, Cause::Cancelled);
            return;
        }
        call.phase = Phase::Up;
        if open {
            call.session.response_received(body.as_deref());
        }
        let waits = open && call.session.state.waits_for_owner();
        self.drop_changes_elsewhere(now, tx, id, index);
        tell(
            tx,
            Event::Established {
                call: id,
                remote_uri,
                body,
                flow,
            },
        );
        if !waits {
            self.send_ack(now, tx, id, outbound, index, None);
        }
        self.interval_granted(now, tx, id, response);
        self.report_call(now, tx, id, StatusCode(200), "OK");
    }

    /// Changes of the session in early dialogs that did not become the call are void.
    fn drop_changes_elsewhere(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        index: usize,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let ours = call.reoffering.take_if(|r| r.leg != index).is_some();
        if call.change.as_ref().is_some_and(|c| c.leg() != index) {
            self.drop_change(now, tx, id);
            tell(tx, Event::ReofferWithdrawn { call: id });
        }
        if ours {
            let cause = Cause::Cancelled;
            tell(tx, Event::ReofferRefused { call: id, cause });
        }
    }

    /// Another fork answered too: it gets its ACK, and BYE.
    fn drop_fork(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: OutboundId,
        leg: usize,
        flow: Flow,
    ) {
        self.send_ack(now, tx, id, outbound, leg, None);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let account = call.account;
        let Some(leg) = call.legs.get_mut(leg).filter(|l| !l.dead) else {
            return;
        };
        leg.dead = true;
        let draft = leg.dialog.request(Method::Bye);
        if let Ok(bye) = self.prepare(tx, Purpose::ByeFork, account, draft, Some(flow)) {
            self.drive(now, tx, bye);
        }
    }

    /// Answers the offer that came with the 2xx, or a reliable provisional response, to an INVITE without
    /// one.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::OfferAnswer`] when no answer is due.
    pub fn acknowledge(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        answer: Vec<u8>,
    ) -> Result<(), Misuse> {
        let known = self.live_call(call)?;
        if matches!(known.phase, Phase::Calling | Phase::Up)
            && self.answer_in_prack(now, tx, call, &answer)
        {
            return Ok(());
        }
        let known = self.live_call(call)?;
        let due = known.phase == Phase::Up
            && known.pending.is_none()
            && known.change.is_none()
            && known.session.state.waits_for_owner();
        if !due {
            return Err(Misuse::OfferAnswer);
        }
        known.session.answer_sent(&answer);
        self.acknowledge_with(now, tx, call, Some(answer));
        Ok(())
    }

    /// Sends the ACK that waited for an answer.
    pub(super) fn acknowledge_with(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        answer: Option<Vec<u8>>,
    ) {
        let Some(call) = self.call_of(id) else {
            return;
        };
        if let (Some(leg), Some(invite)) = (call.confirmed, call.reinvite.or(call.invite)) {
            self.send_ack(now, tx, id, invite, leg, answer);
        }
    }

    pub(super) fn send_ack(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        invite: OutboundId,
        leg: usize,
        body: Option<Vec<u8>>,
    ) {
        let Some(outbound) = self.outbound.get(invite) else {
            return;
        };
        // RFC 3261 §22.1: the ACK carries the credentials of its INVITE.
        let credentials: Vec<(Asker, String)> = outbound.credentials.clone();
        let (cseq, flow) = (outbound.draft.cseq, outbound.flow);
        let Some(call) = self.call_of(id) else {
            return;
        };
        let (account, flow) = (call.account, call.flow.or(flow));
        let Some(mut draft) = call.legs.get(leg).map(|l| l.dialog.ack(cseq)) else {
            return;
        };
        draft.body = body.map(sdp);
        if let Ok(ack) = self.prepare(tx, Purpose::Ack(id, leg), account, draft, flow) {
            if let Some(outbound) = self.outbound.get_mut(ack) {
                outbound.credentials = credentials;
            }
            self.drive(now, tx, ack);
        }
    }

    /// An ACK left: it is kept for repetitions of the 2xx.
    pub(super) fn note_ack(&mut self, purpose: Purpose, cseq: u32, flow: Flow, bytes: Bytes) {
        if let Purpose::Ack(call, leg) = purpose
            && let Some(leg) = self.call_mut(call).and_then(|c| c.legs.get_mut(leg))
        {
            leg.ack = Some(SentAck { cseq, flow, bytes });
        }
    }

    /// Our INVITE failed.
    pub(super) fn on_refused(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outcome: &Outcome<'_>,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        call.invite = None;
        let cause = match call.phase {
            Phase::Cancelling => Cause::Cancelled,
            _ => outcome.cause(),
        };
        self.end(now, tx, id, cause);
    }
}
