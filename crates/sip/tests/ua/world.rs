//! A small world: endpoints and hand-written peers on one network, a virtual clock, seeded loss.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sip::endpoint::{Config, Endpoint, Event, Input, Listener, Output};
use sip::flow::{ConnectionId, Flow, Transport};
use sip::resolve::{Answer, Failure, QueryKind, Records};
use sip::time::Time;
use sip::transaction::{ServerId, Transactions};
use sip::ua::{self, Account, AccountId, UserAgent};
use sip::wire::{Index, Packet};

/// Decides on a request of a server in the world.
pub type Serve = Box<dyn FnMut(&mut Endpoint, ServerId, Time)>;

/// Who decides on new requests.
enum Owner {
    Agent(Option<AccountId>),
    Server(Serve),
}

struct Node {
    local: SocketAddr,
    /// What the others see, when the node is behind a NAT.
    public: SocketAddr,
    endpoint: Option<(Endpoint, Owner)>,
    events: VecDeque<ua::Event>,
    inbox: VecDeque<Vec<u8>>,
}

struct Flying {
    at: Time,
    number: u64,
    transport: Transport,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// One message that left, whether it arrived or not.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Time,
    pub from: usize,
    pub text: String,
}

impl Sent {
    /// `INVITE`, or `200 INVITE`.
    pub fn kind(&self) -> String {
        let first = self.text.lines().next().unwrap_or_default();
        let mut words = first.split(' ');
        match words.next() {
            Some("SIP/2.0") => {
                let cseq = header(&self.text, "CSeq");
                let method = cseq.split(' ').next_back().unwrap_or_default();
                format!("{} {method}", words.next().unwrap_or_default())
            }
            word => word.unwrap_or_default().to_owned(),
        }
    }
}

/// The value of the first header of that name.
pub fn header(text: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    text.lines()
        .find_map(|l| l.strip_prefix(&prefix))
        .unwrap_or_default()
        .to_owned()
}

pub struct World {
    pub now: Time,
    nodes: Vec<Node>,
    flying: Vec<Flying>,
    number: u64,
    steps: u64,
    random: u64,
    /// Out of 1000.
    pub loss: u64,
    pub duplicates: u64,
    /// Extra delay, at random, in milliseconds.
    pub jitter: u64,
    pub log: Vec<Sent>,
    /// What the name servers know: addresses of names.
    pub names: Vec<(&'static str, Vec<Ipv4Addr>)>,
    /// Messages that are lost however good the network is, by sender and kind.
    pub lose: Vec<(usize, String)>,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            now: Time::from_millis(1000),
            nodes: Vec::new(),
            flying: Vec::new(),
            number: 0,
            steps: 0,
            random: seed.wrapping_mul(2).wrapping_add(1),
            loss: 0,
            duplicates: 0,
            jitter: 0,
            log: Vec::new(),
            names: Vec::new(),
            lose: Vec::new(),
        }
    }

    fn add(&mut self, local: &str, endpoint: Option<(Endpoint, Owner)>) -> usize {
        let local: SocketAddr = local.parse().unwrap();
        self.nodes.push(Node {
            local,
            public: local,
            endpoint,
            events: VecDeque::new(),
            inbox: VecDeque::new(),
        });
        self.nodes.len() - 1
    }

    fn endpoint_at(&self, local: &str) -> Endpoint {
        let config = Config {
            shard: 0,
            shards: 1,
            seed: [self.nodes.len() as u8 + 1; 32],
            product: String::new(),
        };
        let mut endpoint = Endpoint::new(config, self.now);
        for transport in [Transport::Udp, Transport::Tcp] {
            endpoint.add_listener(Listener::new(transport, local.parse().unwrap()));
        }
        endpoint
    }

    /// A user agent at an address, with one account that it gives to every request.
    pub fn agent(&mut self, local: &str, account: Account) -> (usize, AccountId) {
        let mut endpoint = self.endpoint_at(local);
        let id = endpoint.agent().0.add_account(account).unwrap();
        let owner = Owner::Agent(Some(id));
        (self.add(local, Some((endpoint, owner))), id)
    }

    /// A server at an address.
    pub fn server(&mut self, local: &str, serve: Serve) -> usize {
        let endpoint = self.endpoint_at(local);
        self.add(local, Some((endpoint, Owner::Server(serve))))
    }

    /// A peer whose messages the test writes by hand.
    pub fn raw(&mut self, local: &str) -> usize {
        self.add(local, None)
    }

    /// Puts a node behind a NAT.
    pub fn hide(&mut self, node: usize, public: &str) {
        self.nodes[node].public = public.parse().unwrap();
    }

    /// Does something with the user agent of a node.
    pub fn with<T>(
        &mut self,
        node: usize,
        act: impl FnOnce(Time, &mut UserAgent, &mut Transactions) -> T,
    ) -> T {
        let now = self.now;
        let (endpoint, _) = self.nodes[node].endpoint.as_mut().expect("an agent");
        let (agent, tx) = endpoint.agent();
        let result = act(now, agent, tx);
        self.drain(node);
        result
    }

    /// Sends a hand-written message.
    pub fn write(&mut self, from: usize, to: usize, text: &str) {
        let bytes = text
            .replace("\r\n", "\n")
            .replace('\n', "\r\n")
            .into_bytes();
        let to = self.nodes[to].public;
        self.launch(from, Transport::Udp, to, bytes);
    }

    fn roll(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn launch(&mut self, from: usize, transport: Transport, to: SocketAddr, bytes: Vec<u8>) {
        let sent = Sent {
            at: self.now,
            from,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        };
        let kind = sent.kind();
        self.log.push(sent);
        let doomed = self.lose.iter().position(|(n, k)| *n == from && *k == kind);
        if let Some(doomed) = doomed {
            self.lose.remove(doomed);
            return;
        }
        let datagram = transport == Transport::Udp;
        if datagram && self.roll(1000) < self.loss {
            return;
        }
        let copies = 1 + usize::from(datagram && self.roll(1000) < self.duplicates);
        for _ in 0..copies {
            let extra = if self.jitter > 0 && datagram {
                self.roll(self.jitter)
            } else {
                0
            };
            self.number += 1;
            self.flying.push(Flying {
                at: self.now + Duration::from_millis(10 + extra),
                number: self.number,
                transport,
                from: self.nodes[from].public,
                to,
                bytes: bytes.clone(),
            });
        }
    }

    fn drain(&mut self, node: usize) -> Option<Time> {
        loop {
            let (endpoint, owner) = self.nodes[node].endpoint.as_mut()?;
            match endpoint.poll_output() {
                Output::Transmit(t) => {
                    self.launch(node, t.flow.transport, t.flow.remote, t.bytes.to_vec());
                }
                Output::Event(Event::Agent(event)) => self.nodes[node].events.push_back(*event),
                Output::Event(Event::Proxied(_)) => {}
                Output::Event(Event::Request(id)) => match owner {
                    Owner::Agent(account) => {
                        let (agent, tx) = endpoint.agent();
                        agent.accept_request(self.now, tx, id, *account);
                    }
                    Owner::Server(serve) => serve(endpoint, id, self.now),
                },
                Output::Peer { .. } => {}
                Output::Query { id, query } => {
                    let known = self.names.iter().find(|(n, _)| *n == query.name);
                    let records = match (known, query.kind) {
                        (Some((_, list)), QueryKind::A) => Ok(Records::A(list.clone())),
                        (Some(_), _) => Err(Failure::NoData),
                        (None, _) => Err(Failure::NoName),
                    };
                    let answer = Answer { records, ttl: 1 };
                    endpoint.handle_input(self.now, Input::Answer { id, answer });
                }
                Output::Timeout(at) => return at,
            }
        }
    }

    /// Goes on to the next thing that happens, at `end` at the latest. `false`: nothing before `end`.
    fn step(&mut self, end: Time) -> bool {
        self.steps += 1;
        assert!(self.steps < 500_000, "the world never comes to rest");
        let mut next: Option<(Time, Option<usize>)> = None;
        for node in 0..self.nodes.len() {
            if let Some(at) = self.drain(node)
                && next.is_none_or(|(t, _)| at < t)
            {
                next = Some((at.max(self.now), Some(node)));
            }
        }
        let first =
            (0..self.flying.len()).min_by_key(|i| (self.flying[*i].at, self.flying[*i].number));
        if let Some(first) = first
            && next.is_none_or(|(t, _)| self.flying[first].at <= t)
        {
            if self.flying[first].at > end {
                self.now = end;
                return false;
            }
            let message = self.flying.swap_remove(first);
            self.now = message.at;
            self.arrive(message);
            return true;
        }
        match next {
            Some((at, Some(node))) if at <= end => {
                self.now = at;
                if let Some((endpoint, _)) = self.nodes[node].endpoint.as_mut() {
                    endpoint.handle_input(at, Input::Timeout);
                }
                self.drain(node);
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    fn arrive(&mut self, message: Flying) {
        let Some(number) = self.nodes.iter().position(|n| n.public == message.to) else {
            self.bounce(&message);
            return;
        };
        let now = self.now;
        let node = &mut self.nodes[number];
        let Some((endpoint, _)) = node.endpoint.as_mut() else {
            node.inbox.push_back(message.bytes);
            return;
        };
        if message.bytes == b"\r\n\r\n" {
            return;
        }
        let mut index = Index::new();
        let packet = Packet::scan(&message.bytes, &mut index).expect("a message");
        let flow = Flow {
            transport: message.transport,
            local: node.local,
            remote: message.from,
            connection: ConnectionId::ANY,
        };
        endpoint.handle_input(now, Input::Packet { flow, packet });
        self.drain(number);
    }

    /// Nobody is there: the sender's port says so.
    fn bounce(&mut self, message: &Flying) {
        let now = self.now;
        if let Some(node) = self.nodes.iter_mut().find(|n| n.public == message.from)
            && let Some((endpoint, _)) = node.endpoint.as_mut()
        {
            let flow = Flow {
                transport: message.transport,
                local: node.local,
                remote: message.to,
                connection: ConnectionId::ANY,
            };
            endpoint.handle_input(now, Input::Undeliverable { flow });
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.step(end) {}
    }

    /// Runs until a node's user agent has something to tell.
    pub fn event(&mut self, node: usize) -> ua::Event {
        let end = self.now + Duration::from_secs(400);
        loop {
            if let Some(event) = self.nodes[node].events.pop_front() {
                return event;
            }
            assert!(
                self.step(end),
                "node {node}: nothing happened; sent: {:#?}",
                self.kinds()
            );
        }
    }

    /// Runs until a hand-written peer gets a message.
    pub fn receive(&mut self, node: usize) -> String {
        let end = self.now + Duration::from_secs(400);
        loop {
            if let Some(bytes) = self.nodes[node].inbox.pop_front() {
                return String::from_utf8(bytes).unwrap();
            }
            assert!(
                self.step(end),
                "node {node}: nothing came; sent: {:#?}",
                self.kinds()
            );
        }
    }

    /// What a node's user agent has told and nobody has read.
    pub fn unread(&mut self, node: usize) -> Vec<ua::Event> {
        self.nodes[node].events.drain(..).collect()
    }

    /// All messages so far: sender and kind.
    pub fn kinds(&self) -> Vec<(usize, String)> {
        self.log.iter().map(|s| (s.from, s.kind())).collect()
    }

    /// How many messages of a kind left, whoever sent them.
    pub fn count(&self, kind: &str) -> usize {
        self.log.iter().filter(|s| s.kind() == kind).count()
    }

    /// The last message of a kind.
    pub fn last(&self, kind: &str) -> &str {
        &self
            .log
            .iter()
            .rfind(|s| s.kind() == kind)
            .expect("such a message")
            .text
    }
}

/// A hand-written response: what RFC 3261 §8.2.6 copies, a tag, and more headers.
pub fn reply(request: &str, status: &str, tag: &str, more: &str, body: &str) -> String {
    let mut out = format!("SIP/2.0 {status}\n");
    for line in request.lines().take_while(|l| !l.is_empty()) {
        if ["Via: ", "From: ", "Call-ID: ", "CSeq: "]
            .iter()
            .any(|p| line.starts_with(p))
        {
            out.push_str(line);
            out.push('\n');
        } else if line.starts_with("To: ") {
            out.push_str(line);
            if !tag.is_empty() && !line.contains(";tag=") {
                out.push_str(";tag=");
                out.push_str(tag);
            }
            out.push('\n');
        }
    }
    out.push_str(more);
    if !body.is_empty() {
        out.push_str("Content-Type: application/sdp\n");
    }
    out.push_str(&format!("Content-Length: {}\n\n{body}", body.len()));
    out
}
