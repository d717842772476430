//! Calls: who calls whom, and what offer and answer mean for the sound thread.

use std::collections::VecDeque;
use std::net::IpAddr;

use sip::endpoint::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, Cause, Misuse, TransferId};

use super::Line;
use super::accounts::misused;
use super::changes::Change;
use super::transfers::Transfer;
use crate::call_media::{Ending, Order};
use crate::event::{AccountNumber, Agreed, CallNumber, Event};
use crate::negotiation::{Negotiation, Plan};

/// One call.
pub(super) struct Call {
    pub(super) number: CallNumber,
    pub(super) outgoing: bool,
    pub(super) call_id: String,
    /// Whom the other side is, as a URI.
    pub(super) peer: String,
    pub(super) offer: Option<Vec<u8>>,
    pub(super) negotiation: Option<Box<Negotiation>>,
    pub(super) agreed: Option<Agreed>,
    pub(super) established: Option<Time>,
    /// Held by us, held by the peer, as told last.
    pub(super) held: (bool, bool),
    /// What our offer that is open wants.
    pub(super) changing: Option<Change>,
    /// What waits until it is settled.
    pub(super) next: VecDeque<Change>,
    /// A transfer that waits until the peer is on hold.
    pub(super) transfer: Option<Transfer>,
    /// A transfer that the peer asks for and that is not decided, with its target.
    pub(super) asked: Option<(TransferId, String)>,
    /// Keys that wait to be pressed by INFO.
    pub(super) keys: VecDeque<char>,
    /// The call that this one takes the place of.
    pub(super) replaces: Option<CallNumber>,
}

impl Call {
    pub(super) fn new(number: CallNumber, outgoing: bool, call_id: String, peer: String) -> Call {
        Call {
            number,
            outgoing,
            call_id,
            peer,
            offer: None,
            negotiation: None,
            agreed: None,
            established: None,
            held: (false, false),
            changing: None,
            next: VecDeque::new(),
            transfer: None,
            asked: None,
            keys: VecDeque::new(),
            replaces: None,
        }
    }
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
    pub(super) account: Option<AccountNumber>,
    pub(super) from: String,
    pub(super) from_uri: String,
    pub(super) to_uri: String,
    pub(super) call_id: String,
    pub(super) offer: Option<Vec<u8>>,
    pub(super) replaces: Option<CallNumber>,
    pub(super) referred_by: Option<String>,
    /// Where the INVITE came in.
    pub(super) address: IpAddr,
}

impl Line {
    /// Takes a call into the tables.
    pub(super) fn keep(&mut self, id: CallId, call: Call) {
        self.ids.insert(call.number, id);
        self.calls.insert(id, call);
    }

    pub(super) fn call(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        (number, account): (CallNumber, AccountNumber),
        target: &str,
        mut negotiation: Box<Negotiation>,
    ) {
        self.tell(Event::Calling {
            call: number,
            account,
            target: target.to_owned(),
        });
        let offer = negotiation.offer();
        let (agent, tx) = endpoint.agent();
        let placed = match self.account_id(account) {
            Some(account) => agent.call(now, tx, account, target, Some(offer), &[]),
            None => Err(Misuse::NoAccount),
        };
        match placed {
            Ok(id) => {
                let call_id = agent.call_id(id).unwrap_or_default().to_owned();
                let mut call = Call::new(number, true, call_id, target.to_owned());
                call.negotiation = Some(negotiation);
                self.keep(id, call);
            }
            Err(misuse) => self.never(number, misused(misuse)),
        }
    }

    /// A call that was told of and never came to be.
    pub(super) fn never(&self, number: CallNumber, cause: Cause) {
        self.order(Order::Close(Box::new(Ending {
            call: number,
            call_id: String::new(),
            cause,
            talked: None,
        })));
    }

    pub(super) fn answer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        number: CallNumber,
        mut negotiation: Box<Negotiation>,
    ) {
        let Some(id) = self.ids.get(&number).copied() else {
            // The caller was faster: the ports opened for it are of no use.
            self.order(Order::Abandon { call: number });
            return;
        };
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        self.waiting.remove(number);
        let replaces = call.replaces;
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
        } else if let Some(replaced) = replaces {
            self.tell(Event::Replaced {
                call: replaced,
                by: number,
            });
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
        let held = (plan.holds, !plan.agreed.sends);
        let was = std::mem::replace(&mut call.held, held);
        self.order(Order::Configure {
            call: number,
            config: Box::new(plan.config),
            terms: Box::new(plan.terms),
            held: plan.holds,
        });
        let agreed = plan.agreed;
        if was != held {
            self.tell(Event::Held {
                call: number,
                by_us: held.0,
                by_peer: held.1,
            });
        }
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

    pub(super) fn incoming(&mut self, now: Time, endpoint: &mut Endpoint, incoming: Incoming) {
        let number = self.numbers.next();
        let mut call = Call::new(
            number,
            false,
            incoming.call_id.clone(),
            incoming.from_uri.clone(),
        );
        call.offer = incoming.offer;
        call.replaces = incoming.replaces;
        let full = self.calls.len() >= self.max_calls;
        self.keep(incoming.id, call);
        let account = incoming.account.unwrap_or_default();
        self.waiting.insert(number, account, incoming.address);
        self.tell(Event::Incoming {
            call: number,
            account: incoming.account,
            from: incoming.from,
            from_uri: incoming.from_uri,
            to_uri: incoming.to_uri,
            call_id: incoming.call_id,
            replaces: incoming.replaces,
            referred_by: incoming.referred_by,
        });
        if full {
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
        self.next_change(now, endpoint, id);
    }

    pub(super) fn ended(&mut self, now: Time, id: CallId, cause: Cause) {
        let Some(call) = self.calls.remove(&id) else {
            return;
        };
        self.ids.remove(&call.number);
        self.waiting.remove(call.number);
        self.order(Order::Close(Box::new(Ending {
            call: call.number,
            call_id: call.call_id,
            cause,
            talked: call.established.map(|since| now.since(since)),
        })));
    }
}
