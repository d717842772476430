//! The signalling side of a phone: it lives beside the Endpoint and joins its calls to their sound.

mod calls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use net::Owner;
use sip::endpoint::{self, Endpoint};
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{self, AccountId, CallId, Cause, Misuse, RequestId};

use self::calls::{Agreement, Call, Incoming};
use crate::answered::answered;
use crate::call_media::{Order, Orders};
use crate::event::{CallNumber, Event, EventSink};
use crate::negotiation::Negotiation;

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
    Hold {
        number: CallNumber,
        held: bool,
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
    /// The registrar holds our contact, or is being asked to.
    registered: bool,
    /// A REGISTER that takes our contact away is on its way.
    unregistering: bool,
    keep_contact: bool,
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
                ..
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
            ua::Event::ReofferRefused { call, cause } => self.reoffer_refused(call, &cause),
            ua::Event::Reoffered { call, offer } => {
                self.reoffered(now, endpoint, call, offer.as_deref());
            }
            ua::Event::Ended { call, cause } => self.ended(now, call, cause),
            other => self.on_register_or_request(now, other),
        }
    }

    fn on_register_or_request(&mut self, now: Time, event: ua::Event) {
        match event {
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
                self.registered &= retry_in.is_some() && !self.unregistering;
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
            ua::Event::RequestFailed { request, cause, .. }
                if self.asked.remove(&request).is_some() =>
            {
                self.tell(Event::RequestFailed { cause });
            }
            _ => {}
        }
    }

    fn register(&mut self, now: Time, endpoint: &mut Endpoint, expires: u32) {
        let Some(account) = self.id else {
            return;
        };
        self.registered |= expires > 0;
        self.unregistering = expires == 0;
        let (agent, tx) = endpoint.agent();
        if let Err(misuse) = agent.register(now, tx, account, expires) {
            self.registration_misused(misuse);
        }
    }

    fn registration_misused(&mut self, misuse: Misuse) {
        self.registered = false;
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
            Command::Hold { number, held } => self.hold(now, endpoint, number, held),
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
