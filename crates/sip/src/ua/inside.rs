//! Requests of the peer inside our dialogs (RFC 3261 §12.2.2, §14.2, §15.1.2).

use super::answer::{Pending, cseq_of};
use super::call::{Phase, session_of, tag_of};
use super::draft::readable;
use super::event::{CallId, Cause, Event};
use super::extension::{refuse_terms, refuse_unknown};
use super::offer_answer::OfferAnswer;
use super::{ALLOW, UserAgent, tell};
use crate::flow::Flow;
use crate::header::{HeaderName, Reason};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, ServerUser, Transactions};
use crate::wire::{Packet, Stored};

impl UserAgent {
    /// A request with a tag in To; `true` when it is for one of our dialogs, and answered here.
    pub(crate) fn on_request(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
    ) -> bool {
        let Some((call, usage)) = tx.request(server).and_then(|packet| {
            let tag = tag_of(&packet, HeaderName::To)?;
            let call = self.find_call(tx, packet.call_id(), tag);
            Some((call, self.find_usage(tx, packet.call_id(), tag)))
        }) else {
            return false;
        };
        let Some((request, source)) = stored_request(tx, server) else {
            return false;
        };
        let served = match (call, usage) {
            (Some(call), _) => self.inside(now, tx, server, call, (&request, source)),
            (None, Some(usage)) => {
                self.in_usage(now, tx, server, usage, (&request.packet(), source))
            }
            (None, None) => return false,
        };
        if let Err(code) = served {
            let seconds = tx.random.below(10).to_string();
            let mut reply = Reply::new(code);
            if code.0 == 500 {
                reply = reply.header("Retry-After", &seconds);
            }
            if matches!(code.0, 405 | 501) {
                reply = reply.header("Allow", ALLOW);
            }
            if code.0 == 489 {
                reply = reply.header("Allow-Events", super::ALLOW_EVENTS);
            }
            tx.respond(now, server, &reply);
        }
        true
    }

    /// Serves a request, or says with which status it is refused.
    fn inside(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: CallId,
        (request, source): (&Stored, Flow),
    ) -> Result<(), StatusCode> {
        let packet = request.packet();
        let method = packet.method().unwrap_or(Method::Extension);
        let gone = StatusCode(481);
        if matches!(method, Method::Notify | Method::Subscribe) {
            return self.inside_transfer(now, tx, server, id, &packet);
        }
        let call = self.live_call(id).map_err(|_| gone)?;
        let index = call
            .leg_with(tag_of(&packet, HeaderName::From))
            .ok_or(gone)?;
        let leg = call.legs.get_mut(index).ok_or(gone)?;
        if !leg.dialog.accepts(cseq_of(&packet)) {
            // Out of order (§12.2.2).
            return Err(StatusCode(500));
        }
        let confirmed = call.confirmed == Some(index);
        if confirmed {
            call.flow = Some(source);
        }
        let calling = call.phase == Phase::Calling;
        let extensions = self.extensions(self.call_of(id).and_then(|c| c.account));
        let refreshes = matches!(method, Method::Invite | Method::Update);
        if method != Method::Bye && refuse_unknown(now, tx, server, &packet, &extensions)
            || refreshes && refuse_terms(now, tx, server, &packet, &extensions)
        {
            return Ok(());
        }
        match method {
            Method::Bye => self.on_bye(now, tx, server, id, index, &packet),
            Method::Invite if confirmed => self.on_reinvite(tx, server, id, (request, source))?,
            // Our own INVITE has no final response (§14.2).
            Method::Invite if calling => return Err(StatusCode(491)),
            Method::Prack if confirmed => self.on_prack(now, tx, server, id, (request, source))?,
            Method::Update => self.on_update(now, tx, server, (id, index), (request, source))?,
            Method::Options => self.answer_options(now, tx, server, None),
            Method::Info | Method::Message if confirmed => {
                self.on_info(now, tx, server, id, &packet);
            }
            Method::Refer if confirmed => self.on_refer(now, tx, server, id, &packet)?,
            Method::Invite | Method::Info | Method::Message | Method::Prack | Method::Refer => {
                return Err(gone);
            }
            Method::Extension => return Err(StatusCode(501)),
            _ => return Err(StatusCode(405)),
        }
        Ok(())
    }

    fn on_bye(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: CallId,
        leg: usize,
        packet: &Packet<'_>,
    ) {
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        let reason = reason_text(packet);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        if call.confirmed != Some(leg) {
            // It overtook its 2xx, or crossed our own BYE to a fork.
            if let Some(leg) = call.legs.get_mut(leg) {
                leg.dead = true;
            }
            return;
        }
        match call.phase {
            // Our own BYE is on its way: its response ends the call.
            Phase::Ending if call.unacked.is_none() => {}
            Phase::Ending => {
                let cause = call.cause.take().unwrap_or(Cause::ByUs);
                self.end(now, tx, id, cause);
            }
            _ => {
                self.drop_pending(now, tx, id);
                self.end(now, tx, id, Cause::ByPeer { reason });
            }
        }
    }

    /// The peer wants another session (§14.2).
    fn on_reinvite(
        &mut self,
        tx: &mut Transactions,
        server: ServerId,
        id: CallId,
        (request, source): (&Stored, Flow),
    ) -> Result<(), StatusCode> {
        let Ok(call) = self.live_call(id) else {
            return Err(StatusCode(481));
        };
        if call.pending.is_some() || call.change.is_some() {
            return Err(StatusCode(500));
        }
        match call.phase {
            Phase::Up => {}
            Phase::Ending => return Err(StatusCode(487)),
            _ => return Err(StatusCode(500)),
        }
        if call.session.state != OfferAnswer::Stable || call.reoffering_invites() {
            return Err(StatusCode(491));
        }
        let offer = session_of(&request.packet());
        call.session.invite_received(offer.as_deref());
        call.pending = Some(Pending::new(server, request.clone(), source, false));
        tx.set_server_user(server, ServerUser::Agent(id.0));
        tell(tx, Event::Reoffered { call: id, offer });
        Ok(())
    }
}

/// A request to keep, with the flow that it came on.
pub(super) fn stored_request(tx: &Transactions, server: ServerId) -> Option<(Stored, Flow)> {
    Some((tx.request(server)?.store(), tx.request_flow(server)?))
}

/// The value of Content-Type; empty when there is none.
pub(super) fn content_type(packet: &Packet<'_>) -> String {
    readable(packet.value(HeaderName::ContentType).unwrap_or_default())
}

/// What a Reason header tells a person (RFC 3326).
pub(super) fn reason_text(packet: &Packet<'_>) -> Option<String> {
    let value = packet.value(HeaderName::Reason)?;
    let reason = Reason::parse_list(value).next()?.ok()?;
    let protocol = readable(reason.protocol);
    Some(match (reason.text(), reason.cause) {
        (Some(text), _) if !text.is_empty() => readable(&text),
        (_, Some(cause)) => format!("{protocol} {cause}"),
        _ => protocol,
    })
}
