//! Sequences of operations on one endpoint, read from any bytes: for fuzzing, and for tests with random bytes.

mod services;

use core::time::Duration;
use std::net::SocketAddr;

use bytes::Bytes;
use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output, QueryId};
use sip::flow::{ConnectionId, Flow, Transport};
use sip::message::StatusCode;
use sip::proxy::{Forward, Target};
use sip::resolve::{Answer, Failure, Query, QueryKind, Records, Srv};
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua::{self, Account, AccountId, CallId};
use sip::wire::{Index, Packet};

use self::services::Services;
use crate::message::Message;

/// The most operations that are read from one input.
const MAX_OPERATIONS: usize = 300;
/// The most outputs that one input may cause.
const MAX_OUTPUTS: usize = 3000;
/// How many messages are remembered to be answered or repeated.
const KEPT: usize = 24;

const OWN: &str = "10.0.0.2:5060";
const METHODS: [&str; 12] = [
    "INVITE", "INVITE", "INVITE", "ACK", "BYE", "OPTIONS", "MESSAGE", "REGISTER", "CANCEL", "NEW",
    "PRACK", "UPDATE",
];
const CODES: [u16; 16] = [
    100, 180, 183, 200, 200, 202, 302, 401, 407, 408, 481, 486, 487, 491, 503, 603,
];
const URIS: [&str; 8] = [
    "sip:bob@b.example",
    "sip:bob@10.0.1.1",
    "sip:bob@10.0.1.2;transport=tcp",
    "sip:bob@far.example",
    "sips:bob@10.0.1.1",
    "tel:+123",
    "sip:10.0.0.2:5060;lr",
    "sip:bob@10.0.0.2",
];
const ROUTES: [&str; 6] = [
    "<sip:10.0.0.2;lr>",
    "<sip:10.0.0.2;lr>,<sip:10.0.1.1;lr>",
    "<sip:10.0.1.1>",
    "<sip:far.example;lr>",
    "<sip:10.0.0.2;lr>, <sip:10.0.0.2;transport=tcp;lr>, <sip:10.0.1.1>",
    "<sip:bob@10.0.1.1>,",
];

/// What a sequence came to, for tests that want to know that it did something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations done.
    pub operations: usize,
    /// Messages that left.
    pub transmitted: usize,
    /// Requests that the owner was asked about.
    pub asked: usize,
    /// Calls of the user agent that came to stand.
    pub established: usize,
    /// Reliable provisional responses that were acknowledged.
    pub acknowledged: usize,
    /// Changes of a session that a peer asked for or answered.
    pub changed: usize,
    /// Transfers that were asked of us, and reports about those that we asked for.
    pub transferred: usize,
    /// Reports of subscriptions.
    pub notified: usize,
}

/// Does what `data` says, ends everything, and checks that nothing is left.
///
/// # Panics
/// When the endpoint does, when one input causes a storm, or when something stays behind for ever.
pub fn run(data: &[u8]) -> Tally {
    let mut run = Run::new(data);
    while !run.data.is_empty() && run.tally.operations < MAX_OPERATIONS {
        run.tally.operations += 1;
        run.operation();
    }
    run.end();
    run.tally
}

struct Run<'a> {
    data: &'a [u8],
    endpoint: Endpoint,
    now: Time,
    sent: Vec<(Flow, Bytes)>,
    came: Vec<(Flow, Vec<u8>)>,
    undecided: Vec<ServerId>,
    queries: Vec<(QueryId, Query)>,
    calls: Vec<CallId>,
    account: AccountId,
    services: Services,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(data: &'a [u8]) -> Run<'a> {
        let config = Config {
            shard: 1,
            shards: 4,
            seed: [5; 32],
            product: String::new(),
        };
        let mut endpoint = Endpoint::new(config, Time::ZERO);
        for transport in [Transport::Udp, Transport::Tcp] {
            endpoint.add_listener(Listener::new(transport, address(OWN)));
        }
        endpoint.add_domain("b.example");
        let (agent, _) = endpoint.agent();
        let mut account = Account::new("sip:me@b.example");
        account.refer_outside_calls = true;
        let account = agent.add_account(account).expect("a plain account");
        Run {
            data,
            endpoint,
            now: Time::ZERO,
            sent: Vec::new(),
            came: Vec::new(),
            undecided: Vec::new(),
            queries: Vec::new(),
            calls: Vec::new(),
            account,
            services: Services::default(),
            tally: Tally::default(),
        }
    }

    fn byte(&mut self) -> u8 {
        match self.data.split_first() {
            Some((first, rest)) => {
                self.data = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = self.below(list.len());
        list.get(at).copied()
    }

    fn operation(&mut self) {
        match self.byte() % 25 {
            0 => {
                let ms = u64::from(self.byte()) * 10;
                self.pass(Duration::from_millis(ms));
            }
            1 => self.pass_to_next(),
            2 => {
                let s = u64::from(self.byte());
                self.pass(Duration::from_secs(s));
            }
            3 | 4 => self.request(),
            5 | 6 => self.reply(),
            7 => self.repeat(),
            8 => self.raw(),
            9 => self.undeliverable(),
            10 => self.answer(),
            11 => self.forward(),
            12 => self.respond(),
            13 => self.take(),
            14 => self.call(),
            15 | 16 => self.act(),
            17 => self.ring_here(),
            18 | 19 => self.serve(),
            20 | 21 => self.peer_service(),
            _ => self.follow(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
        self.now = until;
        self.input(Input::Timeout);
    }

    fn pass_to_next(&mut self) {
        if let Some(at) = self.next_timeout() {
            self.now = self.now.max(at);
            self.input(Input::Timeout);
        }
    }

    fn next_timeout(&mut self) -> Option<Time> {
        self.drain()
    }

    fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) -> Option<Time> {
        for _ in 0..MAX_OUTPUTS {
            match self.endpoint.poll_output() {
                Output::Transmit(t) => {
                    self.tally.transmitted += 1;
                    let mut index = Index::new();
                    let printed = Packet::scan(&t.bytes, &mut index);
                    assert!(printed.is_ok(), "what left is no message");
                    keep(&mut self.sent, (t.flow, t.bytes));
                }
                Output::Event(Event::Request(id)) => {
                    self.tally.asked += 1;
                    self.undecided.push(id);
                }
                Output::Event(Event::Agent(event)) => self.told(&event),
                Output::Peer { .. } | Output::Event(Event::Proxied(_)) => {}
                Output::Query { id, query } => self.queries.push((id, query)),
                Output::Timeout(at) => return at,
            }
        }
        panic!("one input caused {MAX_OUTPUTS} outputs");
    }

    fn told(&mut self, event: &ua::Event) {
        self.services.told(event);
        match event {
            ua::Event::PickingUp { call, .. } => self.known_calls(*call),
            ua::Event::TransferRequested { .. } | ua::Event::TransferProgress { .. } => {
                self.tally.transferred += 1;
            }
            ua::Event::Notified { .. } => self.tally.notified += 1,
            ua::Event::Incoming { call, .. } => self.calls.push(*call),
            ua::Event::Established { .. } => self.tally.established += 1,
            ua::Event::ProgressAcknowledged { .. } => self.tally.acknowledged += 1,
            ua::Event::Reoffered { .. } | ua::Event::Reanswered { .. } => self.tally.changed += 1,
            ua::Event::Ended { call, .. } => self.calls.retain(|c| c != call),
            _ => {}
        }
    }

    fn packet(&mut self, flow: Flow, bytes: &[u8]) {
        keep(&mut self.came, (flow, bytes.to_vec()));
        let mut index = Index::new();
        if let Ok(packet) = Packet::scan(bytes, &mut index) {
            self.endpoint
                .handle_input(self.now, Input::Packet { flow, packet });
            self.drain();
        }
    }

    fn flow(&mut self) -> Flow {
        let choice = self.byte();
        let transport = if choice & 1 == 0 {
            Transport::Udp
        } else {
            Transport::Tcp
        };
        let remote = ["10.0.0.1:5060", "10.0.1.1:5060", "10.0.1.2:40000"];
        Flow {
            transport,
            local: address(OWN),
            remote: address(remote[usize::from(choice >> 1) % 3]),
            connection: ConnectionId(u64::from(choice >> 4)),
        }
    }

    fn request(&mut self) {
        let flow = self.flow();
        let method = self.pick(&METHODS).unwrap_or("INVITE");
        let uri = self.pick(&URIS).unwrap_or(URIS[0]);
        let branch = (self.byte() % 12).to_string();
        let mut message =
            Message::request(method, uri, flow.transport.token(), "10.0.0.1", &branch);
        let traits = self.byte();
        if traits & 1 != 0 {
            message = message.set("To", "<sip:bob@b.example>;tag=t1");
        }
        if traits & 2 != 0
            && let Some(route) = self.pick(&ROUTES)
        {
            message = message.with("Route", route);
        }
        if traits & 4 != 0 {
            message = message.set("Max-Forwards", &(traits >> 6).to_string());
        }
        if traits & 8 != 0 {
            message = message.without("Max-Forwards").with("Max-Breadth", "2");
        }
        if traits & 16 != 0 {
            message = message.with_body("application/sdp", b"v=0\r\n");
        }
        if traits & 32 != 0 {
            message = message.with_body("text/plain", &[b'x'; 1300]);
        }
        if traits & 128 != 0 {
            message = self.extended(message);
        }
        self.packet(flow, &message.to_bytes());
    }

    /// The extensions of calls: reliable responses, UPDATE, session timers.
    fn extended(&mut self, message: Message) -> Message {
        let choice = self.byte();
        let seconds = [30, 90, 120, 1800][self.below(4)];
        let refresher = ["", ";refresher=uac", ";refresher=uas"][self.below(3)];
        let mut message = message
            .with("Supported", "timer, 100rel")
            .with("Allow", "INVITE, PRACK, UPDATE");
        if choice & 1 != 0 {
            message = message.with("Session-Expires", &format!("{seconds}{refresher}"));
        }
        if choice & 2 != 0 {
            message = message.with("Min-SE", &(seconds * 2).to_string());
        }
        if choice & 4 != 0 {
            message = message
                .with("Require", "100rel")
                .with("RSeq", &(1 + choice / 64).to_string());
        }
        message
    }

    /// A response to a request that left, back on its flow.
    fn reply(&mut self) {
        let at = self.below(self.sent.len());
        let Some((flow, bytes)) = self.sent.get(at).cloned() else {
            return;
        };
        if bytes.starts_with(b"SIP/2.0 ") || bytes.starts_with(b"ACK ") {
            return;
        }
        let code = self.pick(&CODES).unwrap_or(200);
        let tag = ["a", "b", ""][self.below(3)];
        let mut reply = Message::parse(&bytes).reply(code, tag);
        match self.byte() % 8 {
            0 => reply = reply.with("Contact", "<sip:bob@10.0.1.1>"),
            1 => reply = reply.with("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\""),
            2 => reply = reply.set("Via", "SIP/2.0/UDP 10.0.0.9"),
            3 => reply = reply.with_body("application/sdp", b"v=0\r\n"),
            4 => reply = reply.with("Record-Route", "<sip:10.0.1.9;lr>"),
            5 => reply = self.extended(reply.with("Contact", "<sip:bob@10.0.1.1>")),
            6 => {
                reply = self
                    .extended(reply.with("Contact", "<sip:bob@10.0.1.1>"))
                    .with_body("application/sdp", b"v=0\r\n");
            }
            _ => {}
        }
        self.packet(flow, &reply.to_bytes());
    }

    /// A message that came before comes again, perhaps with one octet changed.
    fn repeat(&mut self) {
        let at = self.below(self.came.len());
        let Some((flow, mut bytes)) = self.came.get(at).cloned() else {
            return;
        };
        let (place, change) = (usize::from(self.byte()) * 3, self.byte());
        if let Some(octet) = bytes.get_mut(place)
            && change & 1 != 0
        {
            *octet ^= change >> 1;
        }
        self.packet(flow, &bytes);
    }

    fn raw(&mut self) {
        let flow = self.flow();
        let length = usize::from(self.byte()).min(self.data.len());
        let (bytes, rest) = self.data.split_at(length);
        self.data = rest;
        self.packet(flow, bytes);
    }

    fn undeliverable(&mut self) {
        let at = self.below(self.sent.len());
        if let Some((flow, _)) = self.sent.get(at).cloned() {
            self.input(Input::Undeliverable { flow });
        }
    }

    fn answer(&mut self) {
        let at = self.below(self.queries.len());
        if at >= self.queries.len() {
            return;
        }
        let (id, query) = self.queries.swap_remove(at);
        let records = match (self.byte() % 4, query.kind) {
            (0, _) => Err(Failure::Timeout),
            (_, QueryKind::A) => Ok(Records::A(vec![[10, 0, 1, 1].into(), [10, 0, 1, 2].into()])),
            (_, QueryKind::Srv) => Ok(Records::Srv(vec![Srv {
                priority: 1,
                weight: 1,
                port: 5060,
                target: "host.example".to_owned(),
            }])),
            _ => Err(Failure::NoName),
        };
        let answer = Answer { records, ttl: 1 };
        self.input(Input::Answer { id, answer });
    }

    fn undecided(&mut self) -> Option<ServerId> {
        let at = self.below(self.undecided.len());
        (at < self.undecided.len()).then(|| self.undecided.swap_remove(at))
    }

    fn forward(&mut self) {
        let Some(id) = self.undecided() else { return };
        let choice = self.byte();
        let mut targets = Vec::new();
        for n in 0..choice % 4 {
            let mut target = match self.pick(&URIS) {
                Some(uri) if n < 3 => Forward::to(uri),
                _ => Target::default(),
            };
            target.q = u16::from(self.byte() % 3);
            if choice & 64 != 0 {
                target.routes.push("<sip:10.0.1.2;lr>".to_owned());
            }
            targets.push(target);
        }
        let record_route = choice & 128 != 0;
        self.endpoint.forward(
            id,
            Forward {
                targets,
                record_route,
                spent: None,
            },
        );
        self.drain();
    }

    fn respond(&mut self) {
        let Some(id) = self.undecided() else { return };
        let code = self.pick(&CODES).unwrap_or(500);
        self.endpoint.respond(id, &Reply::new(StatusCode(code)));
        if code < 200 {
            self.undecided.push(id);
        }
        self.drain();
    }

    fn take(&mut self) {
        let Some(id) = self.undecided() else { return };
        let now = self.now;
        let (agent, layer) = self.endpoint.agent();
        agent.accept_request(now, layer, id, None);
        self.drain();
    }

    fn call(&mut self) {
        let uri = self.pick(&URIS).unwrap_or(URIS[0]);
        let offer = (self.byte() & 1 == 0).then(|| b"v=0\r\n".to_vec());
        let (now, account) = (self.now, self.account);
        let (agent, layer) = self.endpoint.agent();
        if let Ok(call) = agent.call(now, layer, account, uri, offer, &[]) {
            self.calls.push(call);
        }
        self.drain();
    }

    /// A call comes in and is taken, so that more than its first message can be tried.
    fn ring_here(&mut self) {
        let flow = self.flow();
        let branch = format!("r{}", self.byte());
        let uri = "sip:bob@10.0.0.2";
        let mut message =
            Message::request("INVITE", uri, flow.transport.token(), "10.0.0.1", &branch)
                .with("Contact", "<sip:alice@10.0.0.1>");
        let traits = self.byte();
        if traits & 1 != 0 {
            message = message.with_body("application/sdp", b"v=0\r\n");
        }
        if traits & 6 != 0 {
            message = self.extended(message);
        }
        self.packet(flow, &message.to_bytes());
        self.take_last();
    }

    /// The user does something about a call; most of it is misuse, and refused.
    fn act(&mut self) {
        let (Some(call), what) = (self.pick(&self.calls.clone()), self.byte()) else {
            return;
        };
        let now = self.now;
        let (agent, layer) = self.endpoint.agent();
        let _ = match what % 9 {
            6 => agent.ring(now, layer, call, StatusCode(183), Some(b"v=0\r\n")),
            7 => agent.update(now, layer, call, Some(b"v=0\r\n".to_vec())),
            8 => agent.update(now, layer, call, None),
            0 => agent.hang_up(now, layer, call),
            1 => agent.ring(now, layer, call, StatusCode(180), None),
            2 => agent.accept(now, layer, call, b"v=0\r\n"),
            3 => agent.reject(now, layer, call, StatusCode(486), None),
            4 => agent.reoffer(now, layer, call, Some(b"v=0\r\n".to_vec())),
            _ => agent.acknowledge(now, layer, call, b"v=0\r\n".to_vec()),
        };
        self.drain();
    }

    /// ACK, CANCEL, BYE, PRACK, UPDATE or a re-INVITE for a request that came, in the dialog that our response to it made.
    fn follow(&mut self) {
        let choice = self.byte();
        let is_invite = |m: &(Flow, Vec<u8>)| m.1.starts_with(b"INVITE ");
        // Mostly for the last call.
        let at = match self.came.iter().rposition(is_invite) {
            Some(last) if choice & 3 != 0 => last,
            _ => usize::from(choice) % self.came.len().max(1),
        };
        let Some((flow, bytes)) = self.came.get(at).cloned() else {
            return;
        };
        let what = self.byte() % 8;
        if !bytes.starts_with(b"INVITE ") || !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
            return;
        }
        let Some(invite) = readable(&bytes) else {
            return;
        };
        let is_answer =
            |b: &&(Flow, Bytes)| b.1.starts_with(b"SIP/2.0 ") && b.0.remote == flow.remote;
        let answers = self.sent.iter().rev().filter(is_answer);
        let answer = answers
            .map(|(_, b)| Message::parse(b))
            .find(|m| m.header("CSeq").ends_with(" INVITE"));
        let message = match (what, answer) {
            (0, _) => invite.cancel(),
            (1, Some(answer)) => invite.ack_for(&answer),
            (_, Some(answer)) => {
                let (method, number) = match what {
                    2 => ("ACK", 1),
                    3 => ("BYE", 20),
                    4 => ("PRACK", 2 + self.below(6)),
                    5 => ("INVITE", 2 + self.below(6)),
                    _ => ("UPDATE", 2 + self.below(6)),
                };
                let mut inside = invite.ack_for(&answer);
                inside.start = format!("{method} sip:{OWN} SIP/2.0");
                let rack = format!("{} 1 INVITE", answer.header("RSeq"));
                inside = inside.set("CSeq", &format!("{number} {method}")).set(
                    "Via",
                    &format!("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKf{method}{number}{at}"),
                );
                let traits = self.byte();
                if method == "PRACK" {
                    inside = inside.with("RAck", &rack);
                }
                if traits & 1 != 0 {
                    inside = inside.with_body("application/sdp", b"v=0\r\n");
                }
                if traits & 2 != 0 {
                    inside = self.extended(inside);
                }
                inside.with("Contact", "<sip:alice@10.0.0.1>")
            }
            _ => return,
        };
        self.packet(flow, &message.to_bytes());
    }

    /// Everybody hangs up, the owner decides, the name servers answer, and time passes.
    fn end(&mut self) {
        self.drain();
        self.give_up(usize::MAX);
        for call in core::mem::take(&mut self.calls) {
            let now = self.now;
            let (agent, layer) = self.endpoint.agent();
            let _ = agent.hang_up(now, layer, call);
            self.drain();
        }
        for _ in 0..100_000 {
            while let Some((id, _)) = self.queries.pop() {
                let records = Err(Failure::NoName);
                self.input(Input::Answer {
                    id,
                    answer: Answer { records, ttl: 1 },
                });
            }
            while let Some(id) = self.undecided.pop() {
                self.endpoint.respond(id, &Reply::new(StatusCode(500)));
                self.drain();
            }
            match self.next_timeout() {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.input(Input::Timeout);
                }
                None => break,
            }
        }
        assert_eq!(self.drain(), None, "timers run for ever");
        assert_eq!(
            self.endpoint.transactions().len(),
            (0, 0),
            "transactions are left"
        );
        assert_eq!(self.endpoint.proxied(), 0, "proxied requests are left");
        let (agent, _) = self.endpoint.agent();
        assert_eq!(agent.kept(), 0, "calls are left");
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn keep<T>(list: &mut Vec<T>, value: T) {
    if list.len() >= KEPT {
        list.remove(0);
    }
    list.push(value);
}

/// The message, when even the naive reader can read it.
fn readable(bytes: &[u8]) -> Option<Message> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let whole = head
        .split("\r\n")
        .skip(1)
        .all(|line| line.contains(':') && !line.starts_with([' ', '\t']));
    whole.then(|| Message::parse(bytes))
}
