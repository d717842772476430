//! Calls: who calls whom, and what offer and answer mean for the sound thread.

use std::fmt;

use sip::endpoint::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, Cause, Misuse};

use super::Line;
use crate::call_media::{Ending, Order};
use crate::event::{Agreed, CallNumber, Event};
use crate::negotiation::{Negotiation, Plan};

/// Calls at once; one above that finds the phone busy.
const MAX_CALLS: usize = 64;

/// One call.
pub(super) struct Call {
    pub(super) number: CallNumber,
    pub(super) outgoing: bool,
    pub(super) call_id: String,
    pub(super) offer: Option<Vec<u8>>,
    pub(super) negotiation: Option<Box<Negotiation>>,
    pub(super) agreed: Option<Agreed>,
    pub(super) established: Option<Time>,
}

/// When a description was agreed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Before the call is answered.
    Early,
    /// With the answer, which is told by itself.
    Quiet,
    /// Later.
    Anew,
}

/// A call that comes in.
pub(super) struct Incoming {
    pub(super) id: CallId,
    pub(super) from: String,
    pub(super) from_uri: String,
    pub(super) to_uri: String,
    pub(super) call_id: String,
    pub(super) offer: Option<Vec<u8>>,
}

impl Line {
    pub(super) fn find(&self, number: CallNumber) -> Option<CallId> {
        self.calls
            .iter()
            .find(|(_, call)| call.number == number)
            .map(|(id, _)| *id)
    }

    pub(super) fn call(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        number: CallNumber,
        target: &str,
        mut negotiation: Box<Negotiation>,
    ) {
        let Some(account) = self.id else {
            return;
        };
        let offer = negotiation.offer();
        let (agent, tx) = endpoint.agent();
        match agent.call(now, tx, account, target, Some(offer), &[]) {
            Ok(id) => {
                let call = Call {
                    number,
                    outgoing: true,
                    call_id: agent.call_id(id).unwrap_or_default().to_owned(),
                    offer: None,
                    negotiation: Some(negotiation),
                    agreed: None,
                    established: None,
                };
                self.calls.insert(id, call);
            }
            Err(misuse) => self.order(Order::Close(Box::new(Ending {
                call: number,
                call_id: String::new(),
                cause: Cause::Unreachable {
                    reason: misuse.to_string(),
                },
                talked: None,
            }))),
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        number: CallNumber,
        mut negotiation: Box<Negotiation>,
    ) {
        let Some(id) = self.find(number) else {
            return;
        };
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let (body, plan) = match call.offer.take() {
            Some(offer) => match negotiation.answer(&offer) {
                Ok((answer, plan)) => (answer, plan),
                Err(rejection) => {
                    self.refuse(now, endpoint, id, rejection.status, Some(&rejection.reason));
                    return;
                }
            },
            None => (negotiation.offer(), None),
        };
        call.negotiation = Some(negotiation);
        if let Some(plan) = plan {
            self.configure(id, plan, Agreement::Quiet);
        }
        let (agent, tx) = endpoint.agent();
        if agent.accept(now, tx, id, &body).is_err() {
            // The caller was faster; its end is told.
            let _ = agent.hang_up(now, tx, id);
        }
    }

    pub(super) fn refuse(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        status: u16,
        reason: Option<&str>,
    ) {
        let status = StatusCode::new(status)
            .filter(|s| s.0 >= 300)
            .unwrap_or(StatusCode(488));
        let (agent, tx) = endpoint.agent();
        // Nothing to refuse: the peer gave up in the same moment.
        let _ = agent.reject(now, tx, id, status, reason);
    }

    /// Hands what was agreed to the sound thread.
    pub(super) fn configure(&mut self, id: CallId, plan: Plan, how: Agreement) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        let changed = call.agreed.as_ref() != Some(&plan.agreed);
        call.agreed = Some(plan.agreed.clone());
        self.order(Order::Configure {
            call: number,
            config: Box::new(plan.config),
            terms: Box::new(plan.terms),
        });
        let agreed = plan.agreed;
        match how {
            Agreement::Early if changed => self.tell(Event::EarlyMedia {
                call: number,
                agreed,
            }),
            Agreement::Anew if changed => self.tell(Event::MediaChanged {
                call: number,
                agreed,
            }),
            _ => {}
        }
    }

    /// Takes the peer's answer to our offer. A call whose sound cannot be agreed on is ended by us; then it is `false`.
    pub(super) fn complete(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        body: Option<Vec<u8>>,
        how: Agreement,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&id) else {
            return false;
        };
        let number = call.number;
        let outcome = match (&mut call.negotiation, body) {
            (Some(negotiation), Some(body)) => negotiation.complete(&body),
            // The answer came early (RFC 6337 §3.1), or the session stays as it was.
            (_, None) if call.agreed.is_some() => return true,
            _ => Err("it is missing".to_owned()),
        };
        match outcome {
            Ok(plan) => self.configure(id, plan, how),
            // A wrong early description costs early sound, no more.
            Err(_) if how == Agreement::Early => {}
            Err(why) => {
                self.tell(Event::SoundTrouble {
                    call: number,
                    message: format!("the other side's session description cannot be used: {why}"),
                    file: false,
                });
                let (agent, tx) = endpoint.agent();
                let _ = agent.hang_up(now, tx, id);
                return false;
            }
        }
        true
    }

    pub(super) fn reoffered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        offer: Option<&[u8]>,
    ) {
        let Some(negotiation) = self.calls.get_mut(&id).and_then(|c| c.negotiation.as_mut()) else {
            self.refuse(now, endpoint, id, 488, None);
            return;
        };
        let (body, plan) = match offer {
            Some(offer) => match negotiation.answer(offer) {
                Ok((answer, plan)) => (answer, plan),
                Err(rejection) => {
                    self.refuse(now, endpoint, id, rejection.status, Some(&rejection.reason));
                    return;
                }
            },
            None => (negotiation.offer(), None),
        };
        let (agent, tx) = endpoint.agent();
        if agent.accept(now, tx, id, &body).is_ok()
            && let Some(plan) = plan
        {
            self.configure(id, plan, Agreement::Anew);
        }
    }

    /// Puts the peer on hold, or takes it off.
    pub(super) fn hold(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        number: CallNumber,
        held: bool,
    ) {
        let Some(id) = self.find(number) else {
            return;
        };
        let call = self.calls.get_mut(&id);
        let offer = call.and_then(|c| c.negotiation.as_mut()?.hold(held));
        let (agent, tx) = endpoint.agent();
        let refused = match offer {
            Some(offer) => agent.reoffer(now, tx, id, Some(offer)).err(),
            None => Some(Misuse::WrongState),
        };
        if let Some(misuse) = refused {
            self.reoffer_refused(id, &misuse);
        }
    }

    /// Our offer to change the session came to nothing.
    pub(super) fn reoffer_refused(&mut self, id: CallId, why: &dyn fmt::Display) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        if let Some(negotiation) = &mut call.negotiation {
            negotiation.refused();
        }
        self.tell(Event::SoundTrouble {
            call: number,
            message: format!("hold was not changed: {why}"),
            file: false,
        });
    }

    pub(super) fn incoming(&mut self, now: Time, endpoint: &mut Endpoint, incoming: Incoming) {
        let number = self.numbers.next();
        let call = Call {
            number,
            outgoing: false,
            call_id: incoming.call_id.clone(),
            offer: incoming.offer,
            negotiation: None,
            agreed: None,
            established: None,
        };
        let busy = self.calls.len() >= MAX_CALLS;
        self.calls.insert(incoming.id, call);
        self.tell(Event::Incoming {
            call: number,
            from: incoming.from,
            from_uri: incoming.from_uri,
            to_uri: incoming.to_uri,
            call_id: incoming.call_id,
        });
        if busy {
            self.refuse(now, endpoint, incoming.id, 486, None);
        }
    }

    pub(super) fn established(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        peer: String,
        body: Option<Vec<u8>>,
        transport: sip::flow::Transport,
    ) {
        let outgoing = self.calls.get(&id).is_some_and(|c| c.outgoing);
        if outgoing && !self.complete(now, endpoint, id, body, Agreement::Quiet) {
            return;
        }
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.established = Some(now);
        let event = Event::Established {
            call: call.number,
            call_id: call.call_id.clone(),
            peer,
            transport,
            agreed: call.agreed.clone(),
        };
        let talk = Order::Talk { call: call.number };
        self.order(talk);
        self.tell(event);
    }

    pub(super) fn ended(&mut self, now: Time, id: CallId, cause: Cause) {
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        self.order(Order::Close(Box::new(Ending {
            call: call.number,
            call_id: call.call_id,
            cause,
            talked: call.established.map(|since| now.since(since)),
        })));
    }
}
