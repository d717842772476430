//! The simulated world: a virtual clock, nodes, links, and a record of every message.

mod link;
mod nat;
mod node;
mod streams;

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output, QueryId};
use sip::flow::{ConnectionId, Flow, Transmit, Transport};
use sip::random::Random;
use sip::resolve::Answer;
use sip::time::Time;
use sip::wire::{Index, Packet};

pub use link::Link;
use nat::Nat;
pub use node::{Arrival, NodeId, Peer};
use node::{Kind, Node};
use streams::Streams;

use crate::message::Message;
use crate::zone::Zone;

/// The most things that may happen in one world: more is a storm.
const MAX_STEPS: u64 = 3_000_000;

/// A world of nodes. Equal seeds and equal tests give equal worlds.
pub struct World {
    now: Time,
    random: Random,
    nodes: Vec<Node>,
    places: HashMap<(Transport, SocketAddr), NodeId>,
    link: Link,
    links: HashMap<(NodeId, NodeId), Link>,
    queue: BTreeMap<(Time, u64), Happening>,
    order: u64,
    steps: u64,
    trace: Vec<Seen>,
    streams: Streams,
    nats: Vec<Nat>,
    /// What the name servers say.
    pub zone: Zone,
}

/// A message that left a node.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it left.
    pub at: Time,
    /// Who sent it.
    pub from: NodeId,
    /// The flow, as its sender sees it.
    pub flow: Flow,
    /// The octets.
    pub bytes: Bytes,
    /// When its copies arrive: none for a lost datagram.
    pub arrives: Vec<Time>,
}

enum Happening {
    Datagram {
        to: NodeId,
        flow: Flow,
        bytes: Bytes,
    },
    Segment {
        connection: ConnectionId,
        end: usize,
        bytes: Bytes,
    },
    Undeliverable {
        node: NodeId,
        flow: Flow,
    },
    Answer {
        node: NodeId,
        id: QueryId,
        answer: Answer,
    },
    Send {
        peer: NodeId,
        flow: Flow,
        bytes: Bytes,
    },
}

impl World {
    /// An empty world at time zero with perfect links.
    pub fn new(seed: u64) -> World {
        let mut bytes = [7u8; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        World {
            now: Time::ZERO,
            random: Random::new(bytes),
            nodes: Vec::new(),
            places: HashMap::new(),
            link: Link::PERFECT,
            links: HashMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            steps: 0,
            trace: Vec::new(),
            streams: Streams::default(),
            nats: Vec::new(),
            zone: Zone::default(),
        }
    }

    /// The moment that it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Random values of the world's own.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Adds an endpoint that listens at `places` (`udp:10.0.0.1:5060`) and answers for `domains`.
    pub fn endpoint(
        &mut self,
        places: &[&str],
        domains: &[&str],
        policy: impl FnMut(Time, &mut Endpoint, Event) + 'static,
    ) -> NodeId {
        let mut seed = [0u8; 32];
        seed[..8].copy_from_slice(&self.random.bits().to_le_bytes());
        let config = Config {
            shard: self.nodes.len() as u8,
            shards: 1,
            seed,
            product: String::new(),
        };
        let mut endpoint = Endpoint::new(config, self.now);
        for place in places {
            let (transport, local) = place_of(place);
            endpoint.add_listener(Listener::new(transport, local));
        }
        for domain in domains {
            endpoint.add_domain(domain);
        }
        let kind = Kind::Endpoint {
            endpoint: Some(Box::new(endpoint)),
            policy: Some(Box::new(policy)),
            wake: None,
        };
        self.add(kind, places)
    }

    /// Adds a scripted peer at `places`.
    pub fn peer(&mut self, places: &[&str]) -> NodeId {
        self.add(Kind::Peer(Peer::default()), places)
    }

    fn add(&mut self, kind: Kind, places: &[&str]) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            kind,
            silent: false,
        });
        for place in places {
            let before = self.places.insert(place_of(place), id);
            assert!(before.is_none(), "{place} is taken");
        }
        id
    }

    /// Says what a peer sends back by itself for each message that it gets.
    pub fn script(
        &mut self,
        peer: NodeId,
        script: impl FnMut(&Arrival) -> Vec<(Duration, Bytes)> + 'static,
    ) {
        self.peer_mut(peer).script = Some(Box::new(script));
    }

    /// What a peer got since the last call.
    pub fn received(&mut self, peer: NodeId) -> Vec<Arrival> {
        core::mem::take(&mut self.peer_mut(peer).inbox)
    }

    fn peer_mut(&mut self, peer: NodeId) -> &mut Peer {
        match &mut self.nodes[peer.0].kind {
            Kind::Peer(peer) => peer,
            Kind::Endpoint { .. } => panic!("not a scripted peer"),
        }
    }

    /// From here on a node gets nothing, and nobody is told.
    pub fn silence(&mut self, node: NodeId) {
        self.nodes[node.0].silent = true;
    }

    /// The way from everywhere to everywhere that [`World::set_link`] does not speak of.
    pub fn set_links(&mut self, link: Link) {
        self.link = link;
    }

    /// The way from one node to another, in that direction.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Puts all ports of an address behind another one.
    pub fn nat(&mut self, inside: &str, outside: &str) {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        self.nats.push(Nat::new(ip(inside), ip(outside)));
    }

    /// Every message that left a node so far.
    pub fn trace(&self) -> &[Seen] {
        &self.trace
    }

    /// The messages that left one node.
    pub fn sent_by(&self, node: NodeId) -> Vec<(u64, Message)> {
        self.trace
            .iter()
            .filter(|s| s.from == node)
            .map(|s| (s.at.as_millis(), Message::parse(&s.bytes)))
            .collect()
    }

    /// A peer sends a message on a flow: its own address, where to, and over which connection.
    pub fn send(&mut self, peer: NodeId, flow: Flow, bytes: impl Into<Bytes>) {
        self.transmit(
            peer,
            Transmit {
                flow,
                bytes: bytes.into(),
            },
        );
    }

    /// A peer sends a message from one place to another: `udp:10.0.0.1:5060`, `10.0.0.2:5060`.
    pub fn send_from(&mut self, peer: NodeId, from: &str, to: &str, message: &Message) {
        let (transport, local) = place_of(from);
        let flow = Flow {
            transport,
            local,
            remote: to.parse().expect("an address"),
            connection: ConnectionId::ANY,
        };
        self.send(peer, flow, message.to_bytes());
    }

    /// Uses an endpoint: time passes for it first, what comes of it happens after.
    pub fn with<R>(&mut self, node: NodeId, f: impl FnOnce(Time, &mut Endpoint) -> R) -> R {
        let now = self.now;
        self.run_endpoint(node, |endpoint| {
            endpoint.handle_input(now, Input::Timeout);
            f(now, endpoint)
        })
    }

    /// Lets time run up to a moment.
    pub fn run_until(&mut self, until: Time) {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.step(at);
        }
        self.now = self.now.max(until);
    }

    /// Lets time run up to a moment in milliseconds.
    pub fn run_to(&mut self, ms: u64) {
        self.run_until(Time::from_millis(ms));
    }

    /// Lets time run for a while.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time run until nothing more can happen; says whether that was before `deadline`.
    pub fn run_until_quiet(&mut self, deadline: Time) -> bool {
        while let Some(at) = self.next_at() {
            if at > deadline {
                return false;
            }
            self.step(at);
        }
        true
    }

    fn next_at(&self) -> Option<Time> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let woken = self.nodes.iter().filter_map(Node::wake).min();
        [queued, woken].into_iter().flatten().min()
    }

    fn step(&mut self, at: Time) {
        self.steps += 1;
        assert!(self.steps < MAX_STEPS, "a storm: nothing comes to an end");
        self.now = self.now.max(at);
        let queued = self.queue.keys().next().is_some_and(|(q, _)| *q <= at);
        if queued && let Some((_, happening)) = self.queue.pop_first() {
            self.happen(happening);
            return;
        }
        let woken = self
            .nodes
            .iter()
            .position(|n| n.wake().is_some_and(|w| w <= at));
        if let Some(index) = woken {
            self.input(NodeId(index), Input::Timeout);
        }
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { to, flow, bytes } => self.arrive(to, flow, bytes),
            Happening::Segment {
                connection,
                end,
                bytes,
            } => {
                self.segment(connection, end, &bytes);
            }
            Happening::Undeliverable { node, flow } => {
                self.input(node, Input::Undeliverable { flow });
            }
            Happening::Answer { node, id, answer } => {
                self.input(node, Input::Answer { id, answer });
            }
            Happening::Send { peer, flow, bytes } => self.transmit(peer, Transmit { flow, bytes }),
        }
    }

    /// One whole message has arrived at a node.
    fn arrive(&mut self, node: NodeId, flow: Flow, bytes: Bytes) {
        if self.nodes[node.0].silent {
            return;
        }
        if matches!(self.nodes[node.0].kind, Kind::Endpoint { .. }) {
            let mut index = Index::new();
            if let Ok(packet) = Packet::scan(&bytes, &mut index) {
                self.input(node, Input::Packet { flow, packet });
            }
            return;
        }
        let at = self.now;
        let arrival = Arrival { at, flow, bytes };
        let peer = self.peer_mut(node);
        let answers = match peer.script.as_mut() {
            Some(script) => script(&arrival),
            None => Vec::new(),
        };
        peer.inbox.push(arrival);
        for (after, bytes) in answers {
            self.schedule(
                at + after,
                Happening::Send {
                    peer: node,
                    flow,
                    bytes,
                },
            );
        }
    }

    fn input(&mut self, node: NodeId, input: Input<'_>) {
        if matches!(self.nodes[node.0].kind, Kind::Peer(_)) {
            return;
        }
        let now = self.now;
        self.run_endpoint(node, |endpoint| endpoint.handle_input(now, input));
    }

    fn run_endpoint<R>(&mut self, node: NodeId, f: impl FnOnce(&mut Endpoint) -> R) -> R {
        let Kind::Endpoint {
            endpoint, policy, ..
        } = &mut self.nodes[node.0].kind
        else {
            panic!("not an endpoint");
        };
        let mut endpoint = endpoint.take().expect("an endpoint does not call itself");
        let mut policy = policy.take().expect("a policy does not call itself");
        let result = f(&mut endpoint);
        let timeout = loop {
            match endpoint.poll_output() {
                Output::Transmit(transmit) => self.transmit(node, transmit),
                Output::Peer { .. } => {}
                Output::Event(event) => policy(self.now, &mut endpoint, event),
                Output::Query { id, query } => {
                    let answer = self.zone.answer(&query);
                    self.schedule(self.now, Happening::Answer { node, id, answer });
                }
                Output::Timeout(at) => break at,
            }
        };
        self.nodes[node.0].kind = Kind::Endpoint {
            endpoint: Some(endpoint),
            policy: Some(policy),
            wake: timeout,
        };
        result
    }

    fn transmit(&mut self, from: NodeId, transmit: Transmit) {
        let Transmit { flow, bytes } = transmit;
        let arrives = if flow.transport.is_reliable() {
            self.transmit_stream(from, flow, &bytes)
        } else {
            self.transmit_datagram(from, flow, &bytes)
        };
        self.trace.push(Seen {
            at: self.now,
            from,
            flow,
            bytes,
            arrives,
        });
    }

    fn link(&self, from: NodeId, to: NodeId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.link)
    }

    fn transmit_datagram(&mut self, from: NodeId, flow: Flow, bytes: &Bytes) -> Vec<Time> {
        let mut source = flow.local;
        let mut place = flow.remote;
        for nat in &mut self.nats {
            if let Some(outer) = nat.outward(source, place) {
                source = outer;
            }
        }
        if let Some(nat) = self.nats.iter().find(|n| n.is_outside(place)) {
            match nat.inward(source, place) {
                Some(inner) => place = inner,
                None => return Vec::new(),
            }
        }
        let Some(to) = self.places.get(&(flow.transport, place)).copied() else {
            let at = self.now + self.link.latency * 2;
            self.schedule(at, Happening::Undeliverable { node: from, flow });
            return Vec::new();
        };
        let link = self.link(from, to);
        let delays = link.copies(&mut self.random);
        let there = Flow::udp(place, source);
        delays
            .into_iter()
            .map(|delay| {
                let at = self.now + delay;
                let bytes = bytes.clone();
                self.schedule(
                    at,
                    Happening::Datagram {
                        to,
                        flow: there,
                        bytes,
                    },
                );
                at
            })
            .collect()
    }
}

/// Reads `udp:10.0.0.1:5060`.
fn place_of(place: &str) -> (Transport, SocketAddr) {
    let (transport, address) = place.split_once(':').expect("transport:address:port");
    (
        Transport::from_token(transport.as_bytes()).expect("a transport"),
        address.parse().expect("address:port"),
    )
}
