//! Calls that this server answers itself: its services.

use std::net::IpAddr;

use sip::Endpoint;
use sip::header::HeaderName;
use sip::message::StatusCode;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua::{CallId, Cause, Event};

use crate::calls::{Carrier, EndedBy, MediaPath, NewCall};
use crate::core::{Core, Wanted};
use crate::services::{CallKey, Refused, Service};

impl Core {
    /// The user agent answers a request that is for the server itself, like OPTIONS, or for a service.
    pub(crate) fn hand_to_agent(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: ServerId,
        service: Option<Service>,
    ) {
        let (agent, tx) = endpoint.agent();
        if let (Some(call), Some(service)) = (agent.accept_request(now, tx, id, None), service) {
            self.wanted.insert(call, Wanted::Service(service));
        }
    }

    /// The user agent has something to say.
    pub(crate) fn on_agent(&mut self, now: Time, endpoint: &mut Endpoint, event: Event) {
        if let Event::Incoming {
            call, offer, flow, ..
        } = &event
        {
            match self.wanted.remove(call) {
                Some(Wanted::Bridge(order)) => {
                    self.on_bridged_incoming(now, endpoint, *order, event);
                }
                other => {
                    let service = match other {
                        Some(Wanted::Service(service)) => Some(service),
                        _ => None,
                    };
                    let address = flow.local.ip();
                    let new = self.service_call(&event, *call);
                    self.on_incoming(
                        now,
                        endpoint,
                        *call,
                        service,
                        address,
                        offer.as_deref(),
                        new,
                    );
                }
            }
            return;
        }
        let Some(event) = self.on_bridge_event(now, endpoint, event) else {
            return;
        };
        let Some(event) = self.watch.on_event(now, event, &self.shared.trunks) else {
            return;
        };
        match event {
            Event::Acknowledged {
                call,
                body: Some(answer),
            } => {
                if let Some(key) = self.calls.get(&call).copied()
                    && self.shared.services.answered(key, Some(&answer)).is_err()
                {
                    self.hang_up(now, endpoint, key);
                }
            }
            Event::Reoffered { call, offer } => {
                if let Some(key) = self.calls.get(&call) {
                    let outcome = self.shared.services.reoffer(*key, offer.as_deref());
                    decide(now, endpoint, call, outcome);
                }
            }
            Event::Ended { call, cause } => {
                if let Some(key) = self.calls.remove(&call) {
                    self.shared.services.close(key);
                    if let Some(shown) = self.served.remove(&key) {
                        let by = match cause {
                            Cause::ByUs => EndedBy::Server,
                            _ => EndedBy::Caller,
                        };
                        shown.ended(200, "", by);
                    }
                }
            }
            _ => {}
        }
    }

    fn service_key(&self, call: CallId) -> CallKey {
        CallKey(((self.shard as u64) << 56) | (call.as_u64() & ((1 << 56) - 1)))
    }

    /// A call of a service, as it is shown.
    fn service_call(&self, event: &Event, call: CallId) -> Option<NewCall> {
        let Event::Incoming { request, flow, .. } = event else {
            return None;
        };
        let packet = request.packet();
        Some(NewCall {
            call_id: String::from_utf8_lossy(packet.call_id()).into_owned(),
            caller: self.party(&packet, HeaderName::From),
            callee: self.party(&packet, HeaderName::To),
            caller_address: Some(flow.remote),
            media: MediaPath::Server,
            trunk: None,
            shard: self.shard,
            carrier: Carrier::Service(self.service_key(call)),
        })
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the call")]
    fn on_incoming(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        call: CallId,
        service: Option<Service>,
        address: IpAddr,
        offer: Option<&[u8]>,
        new: Option<NewCall>,
    ) {
        let Some(service) = service else {
            let refused = Refused {
                status: 404,
                reason: StatusCode(404).reason().to_owned(),
            };
            decide(now, endpoint, call, Err(refused));
            return;
        };
        let key = self.service_key(call);
        let outcome = self.shared.services.open(key, service, address, offer);
        let opened = outcome.is_ok();
        let description = outcome.as_ref().ok().cloned();
        if decide(now, endpoint, call, outcome) && opened {
            self.calls.insert(call, key);
            if let Some(new) = new {
                let shown = self.shared.calls.begin(new);
                shown.answered(None, description.as_deref());
                self.served.insert(key, shown);
            }
        } else if opened {
            self.shared.services.close(key);
        }
    }

    /// Ends a call of a service.
    pub(crate) fn hang_up(&mut self, now: Time, endpoint: &mut Endpoint, key: CallKey) {
        let found = self.calls.iter().find(|(_, k)| **k == key);
        if let Some(call) = found.map(|(call, _)| *call) {
            let (agent, tx) = endpoint.agent();
            // A call that is over already needs no end.
            let _ = agent.hang_up(now, tx, call);
        }
    }
}

/// Accepts what the services accept, and refuses what they refuse; false when the call is over already.
fn decide(
    now: Time,
    endpoint: &mut Endpoint,
    call: CallId,
    outcome: Result<Vec<u8>, Refused>,
) -> bool {
    let (agent, tx) = endpoint.agent();
    let done = match outcome {
        Ok(description) => agent.accept(now, tx, call, &description),
        Err(refused) => {
            let status = StatusCode(refused.status);
            agent.reject(now, tx, call, status, Some(&refused.reason))
        }
    };
    if let Err(error) = &done {
        tracing::debug!(%error, "a call ended before its answer");
    }
    done.is_ok()
}
