//! What happens in bridged calls: what one side does is told the other.

use sip::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, Cause, Event};

use super::identity::Caller;
use super::{Order, Purpose};
use crate::core::Core;

impl Core {
    /// The INVITE of a call that is to be bridged.
    pub(crate) fn on_bridged_incoming(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        order: Order,
        event: Event,
    ) {
        let Event::Incoming {
            call,
            from,
            offer,
            request,
            ..
        } = event
        else {
            return;
        };
        let caller = Caller::new(&request.packet(), &from, order.account.clone());
        self.begin_bridge(now, endpoint, call, order, caller, offer);
    }

    /// Something happened in a bridged call; yields the event when it is none of theirs.
    pub(crate) fn on_bridge_event(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        event: Event,
    ) -> Option<Event> {
        let known = call_of(&event).and_then(|c| Some((c, *self.bridges.of_call.get(&c)?)));
        let Some((call, id)) = known else {
            return Some(event);
        };
        match event {
            Event::Progress {
                status,
                reason,
                body,
                offer,
                ..
            } => self.on_progress(
                now,
                endpoint,
                id,
                call,
                (status, &reason),
                body.filter(|_| !offer),
            ),
            Event::RangOut { .. } => self.on_rang_out(now, endpoint, call),
            Event::Established { body, .. } => self.on_leg_answered(now, endpoint, id, call, body),
            Event::Acknowledged { body, .. } => self.on_acknowledged(now, endpoint, id, call, body),
            Event::Reoffered { offer, .. } => self.on_reoffered(now, endpoint, id, call, offer),
            Event::Reanswered { body, .. } => self.on_reanswered(now, endpoint, id, call, body),
            Event::ReofferRefused { cause, .. } => {
                self.on_reoffer_refused(now, endpoint, id, call, &cause)
            }
            Event::ReofferWithdrawn { .. } => {
                if let Some(bridge) = self.bridges.all.get_mut(&id) {
                    bridge.asking = None;
                }
            }
            Event::Ended { cause, .. } => self.on_ended(now, endpoint, id, call, &cause),
            Event::Dtmf {
                digit, duration, ..
            } => {
                self.tell_peer(id, call, endpoint, |agent, tx, peer| {
                    agent.press(now, tx, peer, digit, duration)
                });
            }
            Event::Request {
                method,
                info_package,
                content_type,
                body,
                ..
            } => self.tell_peer(id, call, endpoint, |agent, tx, peer| {
                if method == "INFO" {
                    let body =
                        (!body.is_empty()).then_some((content_type.as_str(), body.as_slice()));
                    agent.info(now, tx, peer, info_package.as_deref(), body)
                } else {
                    agent.message_in(now, tx, peer, &content_type, &body)
                }
            }),
            Event::TransferRequested {
                transfer,
                target,
                replaces,
                ..
            } => self.on_transfer(now, endpoint, id, call, transfer, &target, replaces),
            _ => {}
        }
        None
    }

    /// A request inside the call goes to the other side as well.
    fn tell_peer<T>(
        &mut self,
        id: u64,
        call: CallId,
        endpoint: &mut Endpoint,
        tell: impl FnOnce(
            &mut sip::ua::UserAgent,
            &mut sip::transaction::Transactions,
            CallId,
        ) -> Result<T, sip::ua::Misuse>,
    ) {
        let Some(peer) = self.bridges.all.get(&id).and_then(|b| b.peer(call)) else {
            return;
        };
        let (agent, tx) = endpoint.agent();
        if let Err(error) = tell(agent, tx, peer) {
            tracing::debug!(%error, "a request inside a call could not be passed on");
        }
    }

    fn on_progress(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        (status, reason): (StatusCode, &str),
        body: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let near = bridge.near.as_ref().map(|l| l.call);
        let Some(hunt) = bridge.hunt.as_mut() else {
            return;
        };
        // Where several ring, the sound of one of them would be a guess.
        let alone = hunt.legs.len() == 1;
        let Some(leg) = hunt.legs.iter_mut().find(|l| l.call == call) else {
            return;
        };
        if body.is_some() {
            leg.said.clone_from(&body);
        }
        match hunt.purpose {
            Purpose::Transfer { transfer, .. } => {
                let (agent, tx) = endpoint.agent();
                agent.report_transfer(now, tx, transfer, status, reason);
            }
            Purpose::Answer => {
                let body = body.filter(|_| alone);
                if hunt.rings && body.is_none() {
                    return;
                }
                hunt.rings = true;
                let status = match (&body, status.0) {
                    (Some(_), 180) => StatusCode(180),
                    (Some(_), _) => StatusCode(183),
                    (None, _) => StatusCode(180),
                };
                let (agent, tx) = endpoint.agent();
                if let Some(near) = near
                    && let Err(error) = agent.ring(now, tx, near, status, body.as_deref())
                {
                    tracing::debug!(%error, "a caller could not be told that it rings");
                }
            }
        }
    }

    /// The ACK to our 2xx came; when the answer is in it, the other side waits for it.
    fn on_acknowledged(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        body: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        if let (Some(body), Some(leg)) = (&body, bridge.leg_mut(call)) {
            leg.said = Some(body.clone());
        }
        let Some(owed) = bridge.owed.take_if(|owed| *owed != call) else {
            return;
        };
        let (agent, tx) = endpoint.agent();
        let done = body.map(|answer| agent.acknowledge(now, tx, owed, answer));
        if !matches!(done, Some(Ok(()))) {
            tracing::debug!("a call has no answer to its offer and ends");
            self.end_bridge(now, endpoint, id, None);
        }
    }

    /// One side wants another session: hold, resume, more media.
    fn on_reoffered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        offer: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let peer = bridge
            .peer(call)
            .filter(|_| bridge.asking.is_none() && !bridge.joining && bridge.hunt.is_none());
        if let (Some(offer), Some(leg)) = (&offer, bridge.leg_mut(call)) {
            leg.said = Some(offer.clone());
        }
        let (agent, tx) = endpoint.agent();
        let asked = match peer {
            Some(peer) => agent.reoffer(now, tx, peer, offer).is_ok(),
            None => false,
        };
        if asked {
            bridge.asking = Some(call);
        } else {
            // RFC 3261 §14.2: it tries again.
            let _ = agent.reject(now, tx, call, StatusCode(491), None);
        }
    }

    fn on_reanswered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        body: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let said_nothing = bridge
            .peer(call)
            .and_then(|p| bridge.leg(p))
            .is_some_and(|l| l.said.is_none());
        if let (Some(body), Some(leg)) = (&body, bridge.leg_mut(call)) {
            leg.said = Some(body.clone());
        }
        let Some(asking) = bridge.asking.take() else {
            if bridge.joining {
                self.on_introduced(now, endpoint, id, call, body);
            }
            return;
        };
        if said_nothing {
            bridge.owed = Some(call);
        }
        let (agent, tx) = endpoint.agent();
        if let Err(error) = agent.accept(now, tx, asking, body.as_deref().unwrap_or_default()) {
            tracing::debug!(%error, "an answer came too late");
        }
    }

    fn on_reoffer_refused(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        cause: &Cause,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        if bridge.joining {
            self.end_bridge(now, endpoint, id, None);
            return;
        }
        let Some(asking) = bridge.asking.take_if(|asking| *asking != call) else {
            return;
        };
        let status = match cause {
            Cause::Refused { status, .. } => *status,
            Cause::TimedOut => StatusCode(408),
            _ => StatusCode(488),
        };
        let (agent, tx) = endpoint.agent();
        // Who asked may have gone.
        let _ = agent.reject(now, tx, asking, status, None);
    }

    /// One side is gone.
    fn on_ended(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        cause: &Cause,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            self.bridges.of_call.remove(&call);
            return;
        };
        if bridge.leg(call).is_none() {
            self.on_leg_failed(now, endpoint, id, call, cause);
            return;
        }
        let parted = bridge.part(call).and_then(|leg| leg.account);
        if let Some(account) = parted.filter(|_| bridge.talked) {
            self.shared.idle.ended(&account);
        }
        self.bridges.of_call.remove(&call);
        // Who asked for a transfer may go before the target has answered.
        let transferring = bridge
            .hunt
            .as_ref()
            .is_some_and(|h| matches!(h.purpose, Purpose::Transfer { by, .. } if by == call));
        if transferring {
            return;
        }
        let reason = match cause {
            Cause::ByPeer { reason } => reason.as_deref().map(reason_header),
            _ => None,
        };
        self.end_bridge(now, endpoint, id, reason.as_deref());
    }
}

/// Why a side hung up, as a Reason header tells it (RFC 3326): protocol and cause, or a text.
fn reason_header(told: &str) -> String {
    match told.split_once(' ') {
        Some((protocol, cause)) if cause.parse::<u16>().is_ok() => {
            format!("{protocol};cause={cause}")
        }
        _ => {
            let text: String = told.chars().filter(|c| !c.is_control()).collect();
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("SIP;text=\"{quoted}\"")
        }
    }
}

/// The call that an event is about.
fn call_of(event: &Event) -> Option<CallId> {
    match event {
        Event::Progress { call, .. }
        | Event::RangOut { call }
        | Event::Established { call, .. }
        | Event::Acknowledged { call, .. }
        | Event::Reoffered { call, .. }
        | Event::ReofferWithdrawn { call }
        | Event::Reanswered { call, .. }
        | Event::ReofferRefused { call, .. }
        | Event::Request { call, .. }
        | Event::Dtmf { call, .. }
        | Event::Ended { call, .. } => Some(*call),
        Event::TransferRequested { call, .. } => *call,
        _ => None,
    }
}
