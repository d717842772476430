//! The signalling side of a phone: it lives beside the Endpoint and joins its calls to their sound.

mod accounts;
mod calls;
mod changes;
mod services;
mod transfers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use media::codec::CodecKind;
use net::Owner;
use sip::endpoint::{self, Endpoint};
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{self, CallId, Cause, Diverted, RequestId, SubscriptionId, TransferId};

use self::accounts::Seat;
use self::calls::{Agreement, Call, Incoming};
use self::services::Asked;
use self::transfers::Watch;
use crate::call_media::{Order, Orders};
use crate::event::{AccountNumber, CallNumber, Event, EventSink};
use crate::negotiation::Negotiation;

/// What a phone is asked to do.
pub(crate) enum Command {
    Register {
        account: AccountNumber,
        expires: u32,
    },
    Call {
        number: CallNumber,
        account: AccountNumber,
        target: String,
        negotiation: Box<Negotiation>,
    },
    PickUp {
        number: CallNumber,
        account: AccountNumber,
        target: String,
        negotiation: Box<Negotiation>,
    },
    Answer {
        number: CallNumber,
        negotiation: Box<Negotiation>,
    },
    Options {
        account: AccountNumber,
        target: String,
    },
    Message {
        account: AccountNumber,
        target: String,
        content_type: String,
        body: Vec<u8>,
    },
    Subscribe {
        account: AccountNumber,
        target: String,
        package: String,
    },
    AcceptTransfer {
        number: CallNumber,
        new: CallNumber,
        account: AccountNumber,
        negotiation: Box<Negotiation>,
    },
    /// Something about one call.
    Within(CallNumber, Within),
    /// The contacts are to stay with the registrars when the phone ends.
    KeepContact,
}

/// What is asked about one call.
pub(crate) enum Within {
    Ring,
    Reject { status: u16 },
    HangUp,
    Hold { held: bool },
    Codecs { codecs: Vec<CodecKind> },
    Divert { target: String, why: Diverted },
    Transfer { target: String },
    TransferTo { other: CallNumber },
    RefuseTransfer { status: u16 },
    Join { joined: bool },
    Press { keys: String },
    Info { content_type: String, body: Vec<u8> },
    Message { content_type: String, body: Vec<u8> },
}

/// Hands out call numbers, on any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers(Arc<AtomicU64>);

impl Numbers {
    pub(crate) fn next(&self) -> CallNumber {
        CallNumber(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where the sound of calls that wait for an answer is to be received, and whose they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<BTreeMap<CallNumber, (AccountNumber, IpAddr)>>>);

impl Waiting {
    pub(crate) fn of(&self, call: CallNumber) -> Option<(AccountNumber, IpAddr)> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(&call).copied()
    }

    fn insert(&self, call: CallNumber, account: AccountNumber, address: IpAddr) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(call, (account, address));
    }

    fn remove(&self, call: CallNumber) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&call);
    }
}

/// The owner of the phone's Endpoint.
pub(crate) struct Line {
    seats: Vec<Seat>,
    capabilities: Vec<u8>,
    max_calls: usize,
    numbers: Numbers,
    waiting: Waiting,
    orders: Orders,
    events: EventSink,
    calls: BTreeMap<CallId, Call>,
    ids: BTreeMap<CallNumber, CallId>,
    asked: BTreeMap<RequestId, Asked>,
    transfers: BTreeMap<TransferId, CallNumber>,
    watches: BTreeMap<SubscriptionId, Watch>,
    keep_contact: bool,
}

/// What a line is made of.
pub(crate) struct Parts {
    pub(crate) accounts: Vec<ua::Account>,
    pub(crate) capabilities: Vec<u8>,
    pub(crate) max_calls: usize,
    pub(crate) numbers: Numbers,
    pub(crate) waiting: Waiting,
    pub(crate) orders: Orders,
    pub(crate) events: EventSink,
}

impl Line {
    pub(crate) fn new(parts: Parts) -> Line {
        Line {
            seats: parts.accounts.into_iter().map(Seat::new).collect(),
            capabilities: parts.capabilities,
            max_calls: parts.max_calls,
            numbers: parts.numbers,
            waiting: parts.waiting,
            orders: parts.orders,
            events: parts.events,
            calls: BTreeMap::new(),
            ids: BTreeMap::new(),
            asked: BTreeMap::new(),
            transfers: BTreeMap::new(),
            watches: BTreeMap::new(),
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

    fn number(&self, id: CallId) -> Option<CallNumber> {
        self.calls.get(&id).map(|call| call.number)
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

    /// What happens to calls.
    fn on_agent(&mut self, now: Time, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::Incoming {
                call,
                account,
                from,
                from_uri,
                asserted,
                to_uri,
                call_id,
                offer,
                replaces,
                referred_by,
                flow,
                ..
            } => {
                let incoming = Incoming {
                    id: call,
                    account: account.and_then(|id| self.account_number(id)),
                    from: asserted.unwrap_or(from),
                    from_uri,
                    to_uri,
                    call_id,
                    offer,
                    replaces: replaces.and_then(|id| self.number(id)),
                    referred_by,
                    address: flow.local.ip(),
                };
                self.incoming(now, endpoint, incoming);
            }
            ua::Event::Progress {
                call,
                status,
                reason,
                body,
                offer,
                ..
            } => {
                if let Some(number) = self.number(call) {
                    self.tell(Event::Progress {
                        call: number,
                        status: status.0,
                        reason,
                    });
                }
                // We always offer in our INVITE: an offer that comes back is none of ours to answer here.
                if body.is_some() && !offer {
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
            ua::Event::Acknowledged { call, body } => {
                if body.is_none() || self.complete(now, endpoint, call, body, Agreement::Anew) {
                    self.next_change(now, endpoint, call);
                }
            }
            ua::Event::ReofferWithdrawn { call } => self.next_change(now, endpoint, call),
            ua::Event::Reanswered { call, body } => self.reanswered(now, endpoint, call, body),
            ua::Event::ReofferRefused { call, cause } => {
                self.change_refused(now, endpoint, call, cause);
            }
            ua::Event::Reoffered { call, offer } => {
                self.reoffered(now, endpoint, call, offer.as_deref());
            }
            ua::Event::Ended { call, cause } => self.ended(now, call, cause),
            other => self.on_account(now, endpoint, other),
        }
    }
}

impl Owner for Line {
    type Command = Command;

    fn on_start(&mut self, _: Time, endpoint: &mut Endpoint) {
        let (agent, _) = endpoint.agent();
        for seat in &mut self.seats {
            // The accounts were looked at before the phone started.
            seat.id = agent.add_account(seat.account.clone()).ok();
        }
        agent.set_capabilities(Some(self.capabilities.clone()));
    }

    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, event: endpoint::Event) {
        match event {
            endpoint::Event::Request(server) => {
                let account = endpoint
                    .request(server)
                    .and_then(|packet| self.called(&packet));
                let (agent, tx) = endpoint.agent();
                agent.accept_request(now, tx, server, account);
            }
            endpoint::Event::Agent(event) => self.on_agent(now, endpoint, *event),
            // A phone forwards nothing.
            endpoint::Event::Proxied(_) => {}
        }
    }

    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Register { account, expires } => {
                self.register(now, endpoint, account, expires);
            }
            Command::Call {
                number,
                account,
                target,
                negotiation,
            } => self.call(now, endpoint, (number, account), &target, negotiation),
            Command::PickUp {
                number,
                account,
                target,
                negotiation,
            } => self.pick_up(now, endpoint, (number, account), &target, negotiation),
            Command::Answer {
                number,
                negotiation,
            } => self.answer(now, endpoint, number, negotiation),
            Command::Options { account, target } => self.options(now, endpoint, account, target),
            Command::Message {
                account,
                target,
                content_type,
                body,
            } => self.message(now, endpoint, account, target, (&content_type, &body)),
            Command::Subscribe {
                account,
                target,
                package,
            } => self.subscribe(now, endpoint, account, (package, target)),
            Command::AcceptTransfer {
                number,
                new,
                account,
                negotiation,
            } => self.accept_transfer(now, endpoint, number, (new, account), negotiation),
            Command::Within(number, within) => {
                if let Some(id) = self.ids.get(&number).copied() {
                    self.within(now, endpoint, id, within);
                }
            }
            Command::KeepContact => self.keep_contact = true,
        }
    }

    fn on_stop(&mut self, now: Time, endpoint: &mut Endpoint) {
        for id in self.calls.keys().copied().collect::<Vec<_>>() {
            let (agent, tx) = endpoint.agent();
            let _ = agent.hang_up(now, tx, id);
        }
        self.leave(now, endpoint);
    }

    fn is_idle(&self, _: &Endpoint) -> bool {
        self.calls.is_empty() && self.seats.iter().all(Seat::is_idle)
    }
}

impl Line {
    fn within(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, within: Within) {
        let (agent, tx) = endpoint.agent();
        match within {
            // A caller that gave up is told of by the end of its call.
            Within::Ring => drop(agent.ring(now, tx, id, StatusCode(180), None)),
            Within::Reject { status } => self.refuse(now, endpoint, id, status, None),
            Within::HangUp => drop(agent.hang_up(now, tx, id)),
            Within::Hold { held } => self.hold(now, endpoint, id, held),
            Within::Codecs { codecs } => self.codecs(now, endpoint, id, &codecs),
            Within::Divert { target, why } => self.divert(now, endpoint, id, target, why),
            Within::Transfer { target } => self.transfer(now, endpoint, id, target),
            Within::TransferTo { other } => self.transfer_to(now, endpoint, id, other),
            Within::RefuseTransfer { status } => self.refuse_transfer(now, endpoint, id, status),
            Within::Join { joined } => self.join(now, endpoint, id, joined),
            Within::Press { keys } => self.press(now, endpoint, id, &keys),
            Within::Info { content_type, body } => {
                self.info(now, endpoint, id, (&content_type, &body));
            }
            Within::Message { content_type, body } => {
                self.message_in(now, endpoint, id, (&content_type, &body));
            }
        }
    }
}
