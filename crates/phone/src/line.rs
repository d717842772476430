//! The signalling side of a phone: it lives beside the Endpoint and joins its calls to their sound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use net::Owner;
use sip::endpoint::{self, Endpoint};
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{self, AccountId, CallId, Cause, Misuse, RequestId};

use crate::answered::answered;
use crate::call_media::{Ending, Order, Orders};
use crate::event::{CallNumber, Event, EventSink};
use crate::negotiation::{Negotiation, Plan};

/// Calls at once; one above that finds the phone busy.
pub(crate) const MAX_CALLS: usize = 64;

/// What a phone is asked to do.
pub(crate) enum Command {
    Register {
        expires: u32,
    },
    Unregister,
    Call {
        number: CallNumber,
        target: String,
        negotiation: Box<Negotiation>,
    },
    Ring {
        number: CallNumber,
    },
    Answer {
        number: CallNumber,
        negotiation: Box<Negotiation>,
    },
    Reject {
        number: CallNumber,
        status: u16,
    },
    HangUp {
        number: CallNumber,
    },
    Options {
        target: String,
    },
    /// The contact is to stay with the registrar when the phone ends.
    KeepContact,
}

/// Hands out call numbers, on any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Arc<AtomicU64>);

impl Numbers {
    pub(crate) fn next(&self) -> CallNumber {
        CallNumber(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The owner of the phone's Endpoint.
pub(crate) struct Line {
    account: ua::Account,
    capabilities: Vec<u8>,
    id: Option<AccountId>,
    numbers: Numbers,
    orders: Orders,
    events: EventSink,
    calls: BTreeMap<CallId, Call>,
    asked: BTreeMap<RequestId, Time>,
    registered: bool,
    /// A REGISTER that takes our contact away is on its way.
    unregistering: bool,
    keep_contact: bool,
}

/// One call.
struct Call {
    number: CallNumber,
    outgoing: bool,
    call_id: String,
    offer: Option<Vec<u8>>,
    negotiation: Option<Box<Negotiation>>,
    agreed: Option<crate::event::Agreed>,
    established: Option<Time>,
}

impl Line {
    pub(crate) fn new(
        account: ua::Account,
        capabilities: Vec<u8>,
        numbers: Numbers,
        orders: Orders,
        events: EventSink,
    ) -> Line {
        Line {
            account,
            capabilities,
            id: None,
            numbers,
            orders,
            events,
            calls: BTreeMap::new(),
            asked: BTreeMap::new(),
            registered: false,
            unregistering: false,
            keep_contact: false,
        }
    }

    /// Ends what did not end by itself.
    pub(crate) fn abandon(mut self, now: Time) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            self.ended(now, id, Cause::ByUs);
        }
    }

    fn tell(&self, event: Event) {
        (self.events)(event);
    }

    fn order(&self, order: Order) {
        let Err(order) = self.orders.give(order) else {
            return;
        };
        match order {
            // The end of a call is told in any case.
            Order::Close(ending) => self.tell(ending.event(None)),
            Order::Configure { call, .. } | Order::Talk { call } => {
                self.tell(Event::SoundTrouble {
                    call,
                    message: "the sound thread does not keep up".to_owned(),
                    file: false,
                })
            }
            _ => {}
        }
    }

    fn find(&self, number: CallNumber) -> Option<CallId> {
        self.calls
            .iter()
            .find(|(_, call)| call.number == number)
            .map(|(id, _)| *id)
    }

    fn call(
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
                    call_id: String::new(),
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

    fn answer(
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

    fn refuse(
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
    fn configure(&mut self, id: CallId, plan: Plan, how: Agreement) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        let changed = call.agreed.as_ref() != Some(&plan.agreed);
        call.agreed = Some(plan.agreed.clone());
        self.order(Order::Configure {
            call: number,
            config: Box::new(plan.config),
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

    /// Takes the peer's answer to our offer; a call whose sound cannot be agreed on is ended by us.
    fn complete(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        body: Option<Vec<u8>>,
        how: Agreement,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        let Some(negotiation) = &mut call.negotiation else {
            return;
        };
        let outcome = match body {
            Some(body) => negotiation.complete(&body),
            None if call.agreed.is_some() => return,
            None => Err("the answer describes no session".to_owned()),
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
            }
        }
    }

    fn reoffered(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, offer: Option<&[u8]>) {
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

    fn incoming(&mut self, now: Time, endpoint: &mut Endpoint, incoming: Incoming) {
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

    fn established(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        peer: String,
        body: Option<Vec<u8>>,
        transport: sip::flow::Transport,
    ) {
        if self.calls.get(&id).is_some_and(|c| c.outgoing) {
            self.complete(now, endpoint, id, body, Agreement::Quiet);
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

    fn ended(&mut self, now: Time, id: CallId, cause: Cause) {
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

    fn on_agent(&mut self, now: Time, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::Incoming {
                call,
                from,
                from_uri,
                to_uri,
                call_id,
                offer,
                ..
            } => {
                let incoming = Incoming {
                    id: call,
                    from,
                    from_uri,
                    to_uri,
                    call_id,
                    offer,
                };
                self.incoming(now, endpoint, incoming);
            }
            ua::Event::Progress {
                call,
                status,
                reason,
                body,
            } => {
                if let Some(number) = self.calls.get(&call).map(|c| c.number) {
                    self.tell(Event::Progress {
                        call: number,
                        status: status.0,
                        reason,
                    });
                }
                if body.is_some() {
                    self.complete(now, endpoint, call, body, Agreement::Early);
                }
            }
            ua::Event::Established {
                call,
                remote_uri,
                body,
                flow,
            } => {
                self.established(now, endpoint, call, remote_uri, body, flow.transport);
            }
            ua::Event::Acknowledged {
                call,
                body: Some(body),
            } => {
                self.complete(now, endpoint, call, Some(body), Agreement::Anew);
            }
            ua::Event::Reanswered { call, body } => {
                self.complete(now, endpoint, call, body, Agreement::Anew);
            }
            ua::Event::Reoffered { call, offer } => {
                self.reoffered(now, endpoint, call, offer.as_deref());
            }
            ua::Event::Ended { call, cause } => self.ended(now, call, cause),
            ua::Event::Message {
                from,
                content_type,
                body,
                ..
            } => {
                self.tell(Event::Message {
                    from,
                    content_type,
                    body,
                });
            }
            other => self.on_register_or_request(now, other),
        }
    }

    fn on_register_or_request(&mut self, now: Time, event: ua::Event) {
        match event {
            ua::Event::Registered {
                expires, contact, ..
            } => {
                self.registered = true;
                self.tell(Event::Registered { expires, contact });
            }
            ua::Event::Unregistered { .. } => {
                self.registered = false;
                self.unregistering = false;
                self.tell(Event::Unregistered);
            }
            ua::Event::RegistrationFailed {
                cause, retry_in, ..
            } => {
                self.unregistering = false;
                self.tell(Event::RegistrationFailed { cause, retry_in });
            }
            ua::Event::Response {
                request,
                status,
                reason,
                response,
                ..
            } => {
                if let Some(sent) = self.asked.remove(&request) {
                    self.tell(answered(
                        &response.packet(),
                        status,
                        reason,
                        now.since(sent),
                    ));
                }
            }
            ua::Event::RequestFailed { request, cause, .. } => {
                if self.asked.remove(&request).is_some() {
                    self.tell(Event::RequestFailed { cause });
                }
            }
            _ => {}
        }
    }

    fn register(&mut self, now: Time, endpoint: &mut Endpoint, expires: u32) {
        let Some(account) = self.id else {
            return;
        };
        self.unregistering = expires == 0;
        let (agent, tx) = endpoint.agent();
        if let Err(misuse) = agent.register(now, tx, account, expires) {
            self.registration_misused(misuse);
        }
    }

    fn registration_misused(&mut self, misuse: Misuse) {
        self.unregistering = false;
        self.tell(Event::RegistrationFailed {
            cause: Cause::Unreachable {
                reason: misuse.to_string(),
            },
            retry_in: None,
        });
    }

    fn options(&mut self, now: Time, endpoint: &mut Endpoint, target: &str) {
        let Some(account) = self.id else {
            return;
        };
        let (agent, tx) = endpoint.agent();
        match agent.options(now, tx, account, target) {
            Ok(request) => {
                self.asked.insert(request, now);
            }
            Err(misuse) => self.tell(Event::RequestFailed {
                cause: Cause::Unreachable {
                    reason: misuse.to_string(),
                },
            }),
        }
    }
}

/// When a description was agreed on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agreement {
    /// Before the call is answered.
    Early,
    /// With the answer, which is told by itself.
    Quiet,
    /// Later.
    Anew,
}

struct Incoming {
    id: CallId,
    from: String,
    from_uri: String,
    to_uri: String,
    call_id: String,
    offer: Option<Vec<u8>>,
}

impl Owner for Line {
    type Command = Command;

    fn on_start(&mut self, _: Time, endpoint: &mut Endpoint) {
        let (agent, _) = endpoint.agent();
        // The account was looked at before the phone started.
        self.id = agent.add_account(self.account.clone()).ok();
        agent.set_capabilities(Some(self.capabilities.clone()));
    }

    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, event: endpoint::Event) {
        match event {
            endpoint::Event::Request(server) => {
                let account = self.id;
                let (agent, tx) = endpoint.agent();
                agent.accept_request(now, tx, server, account);
            }
            endpoint::Event::Agent(event) => self.on_agent(now, endpoint, *event),
        }
    }

    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Register { expires } => self.register(now, endpoint, expires),
            Command::Unregister => self.register(now, endpoint, 0),
            Command::Call {
                number,
                target,
                negotiation,
            } => {
                self.call(now, endpoint, number, &target, negotiation);
            }
            Command::Answer {
                number,
                negotiation,
            } => {
                self.answer(now, endpoint, number, negotiation);
            }
            Command::Ring { number } => {
                if let Some(id) = self.find(number) {
                    let (agent, tx) = endpoint.agent();
                    // A caller that gave up is told of by the end of its call.
                    let _ = agent.ring(now, tx, id, StatusCode(180), None);
                }
            }
            Command::Reject { number, status } => {
                if let Some(id) = self.find(number) {
                    self.refuse(now, endpoint, id, status, None);
                }
            }
            Command::HangUp { number } => {
                if let Some(id) = self.find(number) {
                    let (agent, tx) = endpoint.agent();
                    let _ = agent.hang_up(now, tx, id);
                }
            }
            Command::Options { target } => self.options(now, endpoint, &target),
            Command::KeepContact => self.keep_contact = true,
        }
    }

    fn on_stop(&mut self, now: Time, endpoint: &mut Endpoint) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            let (agent, tx) = endpoint.agent();
            let _ = agent.hang_up(now, tx, id);
        }
        if self.registered && !self.keep_contact && !self.unregistering {
            self.register(now, endpoint, 0);
        }
    }

    fn is_idle(&self, _: &Endpoint) -> bool {
        self.calls.is_empty() && !self.unregistering
    }
}
