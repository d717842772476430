//! What happens in bridged calls: what one side does is told the other.

use std::time::Duration;

use sip::Endpoint;
use sip::header::HeaderName;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, Cause, Event};

use super::identity::Caller;
use super::link::{Inside, Told};
use super::sound::Says;
use super::{Order, Party, Purpose, Whereabouts};
use crate::calls::{Carrier, EndedBy, MediaPath, NewCall};
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
            flow,
            ..
        } = event
        else {
            return;
        };
        let caller = Caller::new(&request.packet(), &from, order.account.clone());
        let at = Whereabouts::of_request(&request.packet(), &flow);
        let packet = request.packet();
        let new = NewCall {
            call_id: String::from_utf8_lossy(packet.call_id()).into_owned(),
            caller: self.party(&packet, HeaderName::From),
            callee: self.party(&packet, HeaderName::To),
            caller_address: Some(flow.remote),
            media: MediaPath::Direct,
            trunk: order.trunk.as_ref().map(|t| t.name.clone()),
            shard: self.shard,
            carrier: Carrier::Bridge(0),
        };
        self.begin_bridge(now, endpoint, call, order, caller, offer, at, new);
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
        let party = Party::Leg(call);
        match event {
            Event::Progress {
                status,
                reason,
                body,
                offer,
                ..
            } => {
                let body = body.filter(|_| !offer);
                self.on_progress(now, endpoint, id, call, (status, &reason), body);
            }
            Event::RangOut { .. } => self.on_rang_out(now, endpoint, call),
            Event::Established { body, flow, .. } => {
                self.on_leg_answered(now, endpoint, id, call, body, flow.remote);
            }
            Event::Acknowledged { body, .. } => {
                self.on_acknowledged(now, endpoint, id, party, body)
            }
            Event::Reoffered { offer, .. } => self.on_reoffered(now, endpoint, id, party, offer),
            Event::Reanswered { body, .. } => self.on_reanswered(now, endpoint, id, party, body),
            Event::ReofferRefused { cause, .. } => {
                let status = match cause {
                    Cause::Refused { status, .. } => status,
                    Cause::TimedOut => StatusCode(408),
                    _ => StatusCode(488),
                };
                self.on_reoffer_refused(now, endpoint, id, party, status);
            }
            Event::ReofferWithdrawn { .. } => {
                if let Some(bridge) = self.bridges.all.get_mut(&id) {
                    bridge.asking = None;
                }
            }
            Event::Ended { cause, .. } => self.on_ended(now, endpoint, id, call, &cause),
            Event::Dtmf {
                digit, duration, ..
            } => self.press_peer(now, endpoint, id, party, digit, duration),
            Event::Request {
                method,
                info_package,
                content_type,
                body,
                ..
            } => {
                let inside = Inside {
                    method,
                    info_package,
                    content_type,
                    body,
                };
                self.tell_peer(now, endpoint, id, party, inside);
            }
            Event::TransferRequested {
                transfer, target, ..
            } => self.on_transfer(now, endpoint, id, call, transfer, &target),
            _ => {}
        }
        None
    }

    fn peer_of(&self, id: u64, party: Party) -> Option<Party> {
        self.bridges.all.get(&id)?.peer(party)
    }

    /// A key that one side pressed is pressed at the other.
    pub(super) fn press_peer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        digit: char,
        duration: Duration,
    ) {
        match self.peer_of(id, by) {
            Some(Party::Link(link)) => self.tell(id, link, Told::Pressed(digit, duration)),
            Some(Party::Leg(peer)) => {
                let (agent, tx) = endpoint.agent();
                if let Err(error) = agent.press(now, tx, peer, digit, duration) {
                    tracing::debug!(%error, "a key could not be passed on");
                }
            }
            None => {}
        }
    }

    /// A request inside the call goes to the other side as well.
    pub(super) fn tell_peer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        inside: Inside,
    ) {
        let peer = match self.peer_of(id, by) {
            Some(Party::Link(link)) => return self.tell(id, link, Told::Request(inside)),
            Some(Party::Leg(peer)) => peer,
            None => return,
        };
        let (agent, tx) = endpoint.agent();
        let Inside {
            content_type, body, ..
        } = &inside;
        let sent = if inside.method == "INFO" {
            let body = (!body.is_empty()).then_some((content_type.as_str(), body.as_slice()));
            agent.info(now, tx, peer, inside.info_package.as_deref(), body)
        } else {
            agent.message_in(now, tx, peer, content_type, body)
        };
        if let Err(error) = sent {
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
                let (fork, seen) = (leg.fork, leg.at.seen);
                let body = body.filter(|_| alone);
                let body = match bridge.told_by_fork(fork, Says::Answer, body.as_deref(), seen) {
                    Ok(body) => body,
                    Err(error) => {
                        tracing::debug!(%error, "early sound cannot pass here");
                        None
                    }
                };
                let Some(hunt) = bridge.hunt.as_mut() else {
                    return;
                };
                if hunt.rings && body.is_none() {
                    return;
                }
                hunt.rings = true;
                if let Some(shown) = &bridge.shown {
                    shown.ringing();
                }
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

    /// The ACK to a 2xx came; when the answer is in it, the other side waits for it.
    pub(super) fn on_acknowledged(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        body: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.hear(by, body.as_ref());
        let body = match bridge.owed.filter(|owed| *owed != by) {
            Some(_) => bridge.carried(by, Says::Answer, body).unwrap_or_default(),
            None => body,
        };
        let done = match bridge.owed.take_if(|owed| *owed != by) {
            None => return,
            Some(Party::Link(link)) => {
                self.tell(id, link, Told::Acknowledged(body));
                return;
            }
            Some(Party::Leg(owed)) => {
                let (agent, tx) = endpoint.agent();
                body.map(|answer| agent.acknowledge(now, tx, owed, answer))
            }
        };
        if !matches!(done, Some(Ok(()))) {
            tracing::debug!("a call has no answer to its offer and ends");
            self.end_bridge(now, endpoint, id, None);
        }
    }

    /// One side wants another session: hold, resume, more media.
    pub(super) fn on_reoffered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        offer: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.hear(by, offer.as_ref());
        let free = bridge.asking.is_none() && !bridge.joining && bridge.hunt.is_none();
        let peer = bridge.peer(by).filter(|_| free);
        let told = match peer {
            Some(_) => bridge.carried(by, Says::Offer, offer),
            None => Ok(offer),
        };
        let offer = match told {
            Ok(told) => told,
            Err(error) => {
                self.refuse(now, endpoint, id, by, StatusCode(error.status()));
                return;
            }
        };
        let (agent, tx) = endpoint.agent();
        let asked = match peer {
            Some(Party::Leg(peer)) => agent.reoffer(now, tx, peer, offer).is_ok(),
            Some(Party::Link(link)) => {
                bridge.asking = Some(by);
                self.tell(id, link, Told::Offer(offer));
                return;
            }
            None => false,
        };
        if asked {
            bridge.asking = Some(by);
        } else {
            // RFC 3261 §14.2: it tries again.
            self.refuse(now, endpoint, id, by, StatusCode(491));
        }
    }

    pub(super) fn on_reanswered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        body: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.hear(by, body.as_ref());
        let Some(asking) = bridge.asking.take() else {
            // It answers what was offered in another one's name.
            let told = bridge.carried(by, Says::Answer, body.clone());
            if let Err(error) = told {
                tracing::debug!(%error, "an answer cannot be carried");
            }
            if bridge.joining {
                self.on_introduced(now, endpoint, id, by, body);
            }
            return;
        };
        let says = if bridge.said(asking).is_none() {
            // It asked for an offer, and answers in its ACK.
            bridge.owed = Some(by);
            Says::Offer
        } else {
            Says::Answer
        };
        let body = match bridge.carried(by, says, body) {
            Ok(body) => body,
            Err(error) => {
                self.refuse(now, endpoint, id, asking, StatusCode(error.status()));
                return;
            }
        };
        match asking {
            Party::Link(link) => self.tell(id, link, Told::Answer(body)),
            Party::Leg(asking) => {
                let (agent, tx) = endpoint.agent();
                let accepted = agent.accept(now, tx, asking, body.as_deref().unwrap_or_default());
                if let Err(error) = accepted {
                    tracing::debug!(%error, "an answer came too late");
                }
            }
        }
    }

    pub(super) fn on_reoffer_refused(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        status: StatusCode,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        if bridge.joining {
            self.end_bridge(now, endpoint, id, None);
        } else if let Some(asking) = bridge.asking.take_if(|asking| *asking != by) {
            self.refuse(now, endpoint, id, asking, status);
        }
    }

    /// Tells a side that its offer is not taken.
    fn refuse(
        &self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        party: Party,
        status: StatusCode,
    ) {
        match party {
            Party::Link(link) => self.tell(id, link, Told::Refused(status.0)),
            Party::Leg(call) => {
                let (agent, tx) = endpoint.agent();
                // It may have gone.
                let _ = agent.reject(now, tx, call, status, None);
            }
        }
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
        bridge.ended_by = match &bridge.near {
            Some(near) if near.call == call => EndedBy::Caller,
            _ => EndedBy::Callee,
        };
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
        let seeking = bridge
            .seeking
            .as_ref()
            .is_some_and(|(_, by, _)| *by == call);
        if transferring || seeking {
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
