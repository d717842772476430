//! The outer machine of one shard: bytes and time in, bytes and events out.
//!
//! ```text
//! handle_input(now, input) ──► validate ──► transaction ──► proxy or user agent
//!                                                │                  │
//! poll_output() ◄───────────────────────────── Out ◄────────────────┘
//! ```
//!
//! After every input, and after every operation that the owner calls, drain [`Endpoint::poll_output`]
//! until it says [`Output::Timeout`].

mod io;
mod own;
mod validate;

pub use io::{Input, Listener, Output, QueryId};
pub use own::OwnNames;
pub(crate) use validate::max_forwards;

use crate::flow::Flow;
use crate::header::{HeaderName, Via};
use crate::message::{Method, StatusCode};
use crate::proxy::{CallEvent, ContextId, FollowedId, Forward, Proxy};
use crate::resolve::Answer;
use crate::respond::{self, Reply};
use crate::time::Time;
use crate::transaction::server::Arrival;
use crate::transaction::{ClientId, Fate, ServerId, ServerUser, Timer, Transactions, User};
use crate::ua::{self, UserAgent};
use crate::wire::{Defect, Packet};

/// What the owner of an endpoint is told.
#[derive(Debug)]
pub enum Event {
    /// A new request that somebody has to decide on: forward it, answer it, or give it to the user agent.
    Request(ServerId),
    /// Something happened to the user agent.
    Agent(Box<ua::Event>),
    /// Something happened to a call that is proxied; see [`Endpoint::follow_calls`].
    Proxied(Box<CallEvent>),
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "each name says what it counts")]
pub struct Counters {
    pub requests_received: u64,
    pub responses_received: u64,
    pub repeated_requests: u64,
    pub retransmissions: u64,
    pub stray_responses: u64,
    pub stray_acks: u64,
    pub malformed_requests: u64,
    pub malformed_responses: u64,
    pub refused_full: u64,
    pub loops: u64,
    pub no_ack: u64,
    pub calls_proxied: u64,
    pub calls_not_followed: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub enum Alarm {
    /// A timer of a client transaction.
    Client(ClientId, Timer),
    /// A timer of a server transaction.
    Server(ServerId, Timer),
    /// Timer C of a branch (RFC 3261 §16.6 step 11), or the time that a cancelled branch may take.
    Branch(ContextId, u32, u32),
    /// A response context has nothing more to expect.
    Context(ContextId),
    /// Calls that are followed are to be looked through.
    Followed,
    /// A timer of the user agent.
    Agent {
        /// The user agent's own number.
        token: u64,
        /// What it is for.
        kind: ua::Alarm,
    },
}

/// Why a client transaction ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered in time: like a 408.
    TimedOut,
    /// The request could not be sent: like a 503.
    Unreachable,
}

/// How an endpoint behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The number of the shard; our branches carry it.
    pub shard: u8,
    /// How many shards there are. The Call-IDs of our own calls and requests belong to this one of
    /// them ([`crate::shard::shard_of`]), so that what comes back finds its way here. 0 counts as 1.
    pub shards: u16,
    /// Randomness for tags, branches and hashes.
    pub seed: [u8; 32],
    /// What our Server and User-Agent headers say; empty for none.
    pub product: String,
}

/// The transactions, proxied requests and calls of one shard.
#[derive(Debug)]
pub struct Endpoint {
    tx: Transactions,
    proxy: Proxy,
    agent: UserAgent,
    own: OwnNames,
    now: Time,
}

impl Endpoint {
    /// An endpoint without listeners.
    pub fn new(config: Config, now: Time) -> Endpoint {
        Endpoint {
            tx: Transactions::new((config.shard, config.shards), config.seed, now),
            proxy: Proxy::default(),
            agent: UserAgent::new(config.product),
            own: OwnNames::default(),
            now,
        }
    }

    /// Adds an address that messages arrive at and leave from.
    pub fn add_listener(&mut self, listener: Listener) {
        self.own.add_listener(&listener);
        self.tx.add_listener(listener);
    }

    /// Adds a domain that this element is responsible for (RFC 3261 §16.4, §16.5).
    pub fn add_domain(&mut self, domain: &str) {
        self.own.add_domain(domain);
    }

    /// Marks the Record-Routes of this element with a key, which its other shards and later runs share; requests
    /// inside dialogs then find their way only along a marked Route. Others come as [`Event::Request`].
    pub fn mark_routes(&mut self, key: &[u8; 16]) {
        self.proxy.mark_routes(key);
    }

    /// Raises [`Event::Proxied`] for the calls that are forwarded from now on, or no longer; off at first.
    pub fn follow_calls(&mut self, on: bool) {
        self.proxy.follow_calls(on);
    }

    /// Ends a call that is followed: CANCEL to those that ring and 480 to the caller; after the answer BYE to both ends, to
    /// each as if it came from the other (RFC 3261 §12.2.1.1). [`Event::Proxied`] says when it is over. Says whether there is
    /// such a call.
    pub fn end_call(&mut self, call: FollowedId) -> bool {
        self.proxy.end_call(self.now, &mut self.tx, call)
    }

    /// How many calls are followed, and how many requests of ours to their ends wait for answers.
    pub fn followed(&self) -> (usize, usize) {
        self.proxy.followed()
    }

    /// The hosts that mean this element.
    pub fn own_names(&self) -> &OwnNames {
        &self.own
    }

    /// The transaction layer.
    pub fn transactions(&self) -> &Transactions {
        &self.tx
    }

    /// The transaction layer, for its random values and listeners.
    pub fn transactions_mut(&mut self) -> &mut Transactions {
        &mut self.tx
    }

    /// The user agent, with the layer that it stands on.
    pub fn agent(&mut self) -> (&mut UserAgent, &mut Transactions) {
        (&mut self.agent, &mut self.tx)
    }

    /// How many proxied requests wait for responses.
    pub fn proxied(&self) -> usize {
        self.proxy.len()
    }

    /// The next thing to do outside; [`Output::Timeout`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        match self.tx.out.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.tx.wheel.next_at()),
        }
    }

    /// Something happened at `now`; moments never go back.
    pub fn handle_input(&mut self, now: Time, input: Input<'_>) {
        self.now = self.now.max(now);
        let now = self.now;
        match input {
            Input::Packet { flow, packet } => {
                if packet.is_request() {
                    self.on_request(now, flow, &packet);
                } else {
                    self.on_response(now, flow, &packet);
                }
            }
            Input::Undeliverable { flow } => {
                for (client, fate) in self.tx.on_undeliverable(now, &flow) {
                    self.tell(now, client, fate);
                }
                self.agent.on_flow_lost(now, &mut self.tx, &flow);
            }
            Input::Timeout => {}
            Input::Answer { id, answer } => self.on_answer(now, id, answer),
        }
        while let Some(alarm) = self.tx.wheel.pop(now) {
            self.on_alarm(now, alarm);
        }
        self.agent.settle(now, &mut self.tx);
    }

    fn on_alarm(&mut self, now: Time, alarm: Alarm) {
        match alarm {
            Alarm::Client(id, timer) => {
                let fate = self.tx.on_client_timer(now, id, timer);
                self.tell(now, id, fate);
            }
            Alarm::Server(id, timer) => self.tx.on_server_timer(now, id, timer),
            Alarm::Branch(context, branch, stamp) => {
                let at = (context, branch);
                self.proxy
                    .on_branch_alarm(now, &mut self.tx, &self.own, at, stamp);
            }
            Alarm::Context(context) => self.proxy.on_context_alarm(context),
            Alarm::Followed => self.proxy.on_sweep(now, &mut self.tx),
            Alarm::Agent { token, kind } => {
                self.agent.on_alarm(now, &mut self.tx, token, kind);
            }
        }
    }

    /// Tells the user of a client transaction that no response will come.
    fn tell(&mut self, now: Time, client: ClientId, fate: Fate) {
        let (user, failure) = match fate {
            Fate::TimedOut(user) => (user, Failure::TimedOut),
            Fate::Unreachable(user) => (user, Failure::Unreachable),
            Fate::Quiet | Fate::Pass(_) => return,
        };
        match user {
            User::Nobody => {}
            User::Proxy { context, branch } => {
                let at = (context, branch);
                self.proxy
                    .on_failure(now, &mut self.tx, &self.own, at, failure);
            }
            User::Agent(token) => {
                self.agent
                    .on_failure(now, &mut self.tx, token, client, failure);
            }
            User::Followed(errand) => {
                self.proxy
                    .on_errand_failure(now, &mut self.tx, errand, failure);
            }
        }
    }

    fn on_answer(&mut self, now: Time, id: QueryId, answer: Answer) {
        let Some((user, query)) = self.tx.answered(id) else {
            return;
        };
        match user {
            User::Nobody => {}
            User::Proxy { context, branch } => {
                let at = (context, branch);
                self.proxy
                    .on_answer(now, &mut self.tx, &self.own, at, (&query, answer));
            }
            User::Agent(token) => self
                .agent
                .on_answer(now, &mut self.tx, token, &query, answer),
            User::Followed(errand) => {
                self.proxy
                    .on_errand_answer(now, &mut self.tx, errand, (&query, answer));
            }
        }
    }

    fn on_response(&mut self, now: Time, flow: Flow, packet: &Packet<'_>) {
        self.tx.counters.responses_received += 1;
        let Some((via, code)) = validate::response(packet) else {
            self.tx.counters.malformed_responses += 1;
            return;
        };
        let Some(client) = self.tx.match_response(packet, &via) else {
            // RFC 6026 §7.3: what belongs to no transaction is not forwarded.
            self.tx.counters.stray_responses += 1;
            return;
        };
        let Fate::Pass(user) = self.tx.on_response(now, client, code, packet) else {
            return;
        };
        match user {
            User::Nobody => {}
            User::Proxy { context, branch } => {
                let at = (context, branch);
                self.proxy
                    .on_response(now, &mut self.tx, &self.own, at, (code, &via), packet);
            }
            User::Agent(token) => {
                self.agent
                    .on_response(now, &mut self.tx, token, client, packet, flow);
            }
            User::Followed(errand) => {
                self.proxy
                    .on_errand_response(now, &mut self.tx, errand, code);
            }
        }
    }

    fn on_request(&mut self, now: Time, flow: Flow, packet: &Packet<'_>) {
        self.tx.counters.requests_received += 1;
        let Some(via) = packet
            .value(HeaderName::Via)
            .and_then(|v| Via::parse(v).ok())
        else {
            self.tx.counters.malformed_requests += 1;
            if let Some(fallback) = packet.value(HeaderName::Via) {
                self.answer_unreadable(flow, packet, fallback);
            }
            return;
        };
        let method = packet.method().unwrap_or(Method::Extension);
        let to_tag = match validate::request(packet) {
            Ok(tag) => tag,
            Err(fault) => {
                self.tx.counters.malformed_requests += 1;
                if method != Method::Ack {
                    self.answer_statelessly(flow, packet, &via, fault.code, Some(fault.reason));
                }
                return;
            }
        };
        match self.tx.on_request(now, flow, packet, &via, method) {
            Arrival::Repeated => {}
            Arrival::Ack => self.on_ack(flow, packet, to_tag),
            Arrival::Full => {
                self.tx.counters.refused_full += 1;
                self.answer_statelessly(flow, packet, &via, StatusCode(503), None);
            }
            Arrival::New(id) if method == Method::Cancel => {
                let invite = self.tx.match_cancel(packet, &via);
                self.on_cancel(now, id, invite);
            }
            Arrival::New(id) => self.on_new_request(now, id, packet, to_tag),
        }
    }

    fn on_new_request(
        &mut self,
        now: Time,
        id: ServerId,
        packet: &Packet<'_>,
        to_tag: Option<&[u8]>,
    ) {
        if to_tag.is_some() {
            if self.agent.kept() > 0 && self.agent.on_request(now, &mut self.tx, id) {
                return;
            }
            if self.proxy.routes_by_itself(&self.own, packet) {
                self.forward(id, Forward::along_route());
                return;
            }
        }
        self.tx.out.push_back(Output::Event(Event::Request(id)));
    }

    fn on_cancel(&mut self, now: Time, id: ServerId, invite: Option<ServerId>) {
        let Some(invite) = invite else {
            self.tx.respond(now, id, &Reply::new(StatusCode(481)));
            return;
        };
        let tag = self.tx.local_tag(invite);
        let elsewhere = self
            .tx
            .request(id)
            .is_some_and(|cancel| ua::is_answered_elsewhere(&cancel));
        let mut reply = Reply::new(StatusCode(200));
        reply.to_tag = Some(&tag);
        self.tx.respond(now, id, &reply);
        match self.tx.server_user(invite) {
            Some(ServerUser::Proxy(context)) => {
                self.proxy.cancel(now, &mut self.tx, context);
            }
            Some(ServerUser::Agent(token)) => {
                self.agent
                    .on_cancel(now, &mut self.tx, token, invite, elsewhere);
            }
            Some(ServerUser::Undecided) => {
                self.tx.respond(now, invite, &Reply::new(StatusCode(487)));
            }
            None => {}
        }
    }

    fn on_ack(&mut self, flow: Flow, packet: &Packet<'_>, to_tag: Option<&[u8]>) {
        if self.agent.kept() > 0 && self.agent.on_ack(self.now, &mut self.tx, packet) {
            return;
        }
        let own = to_tag.is_some_and(|tag| self.is_stateless_tag(packet, tag));
        if own
            || !self
                .proxy
                .forward_ack(&mut self.tx, &self.own, flow, packet)
        {
            self.tx.counters.stray_acks += 1;
        }
    }

    /// The tag of responses that no transaction stands behind; it lets us recognise the ACK.
    fn stateless_tag(&self, packet: &Packet<'_>) -> String {
        let hash = self.tx.keyed_hash(&[b"stateless", packet.call_id()]);
        let mut tag = Vec::with_capacity(16);
        crate::random::push_hex(&mut tag, hash, 16);
        String::from_utf8(tag).unwrap_or_default()
    }

    fn is_stateless_tag(&self, packet: &Packet<'_>, tag: &[u8]) -> bool {
        tag.len() == 16 && tag == self.stateless_tag(packet).as_bytes()
    }

    fn answer_statelessly(
        &mut self,
        flow: Flow,
        packet: &Packet<'_>,
        via: &Via<'_>,
        code: StatusCode,
        reason: Option<&'static str>,
    ) {
        let mut reply = Reply::new(code);
        reply.reason = reason;
        if code.0 == 503 {
            reply.headers.push(("Retry-After", "10"));
        }
        let tag = self.stateless_tag(packet);
        let bytes = respond::print(packet, flow.remote, &reply, &tag);
        self.tx.send(respond::reply_flow(flow, via), bytes.into());
    }

    /// A request whose Via cannot be read is answered to where it came from, if anything can be said at all.
    fn answer_unreadable(&mut self, flow: Flow, packet: &Packet<'_>, via: &[u8]) {
        if packet.method() == Some(Method::Ack) || via.is_empty() {
            return;
        }
        // The Via of another version of SIP is not for us to read.
        let reply = match packet.defect() {
            Some(Defect::Version) => Reply::new(StatusCode(505)),
            _ => Reply::new(StatusCode(400)).reason("Malformed Via"),
        };
        let tag = self.stateless_tag(packet);
        let bytes = respond::print(packet, flow.remote, &reply, &tag);
        self.tx.send(flow, bytes.into());
    }

    // What the owner decides.

    /// The request that a server transaction is about, until it has been answered for good.
    pub fn request(&self, id: ServerId) -> Option<Packet<'_>> {
        self.tx.request(id)
    }

    /// The flow on which a request came.
    pub fn request_flow(&self, id: ServerId) -> Option<Flow> {
        self.tx.request_flow(id)
    }

    /// Answers a request.
    pub fn respond(&mut self, id: ServerId, reply: &Reply<'_>) {
        self.tx.respond(self.now, id, reply);
    }

    /// Forwards a request (RFC 3261 §16.6).
    pub fn forward(&mut self, id: ServerId, forward: Forward) {
        self.proxy
            .forward(self.now, &mut self.tx, &self.own, id, forward);
    }

    /// The moment of the last input.
    pub fn now(&self) -> Time {
        self.now
    }
}
