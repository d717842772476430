//! The transaction layer: which transaction a message belongs to, and what the machines want done.

use core::time::Duration;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use bytes::Bytes;

use super::client::{Client, ClientId};
use super::server::{Server, ServerId};
use super::{Step, Steps, Timer};
use crate::endpoint::{Alarm, Counters, Listener, Output, QueryId};
use crate::flow::{Flow, Transmit, Transport};
use crate::message::Method;
use crate::random::Random;
use crate::resolve::Query;
use crate::shard::shard_of;
use crate::slab::Slab;
use crate::time::Time;
use crate::timers::Wheel;

/// The most transactions that one shard keeps at once; a request above that is answered with 503.
pub const MAX_TRANSACTIONS: usize = 500_000;

/// All transactions of one shard, with the timers and the outputs that they share with their users.
#[derive(Debug)]
pub struct Transactions {
    pub(crate) shard: u8,
    shards: u16,
    pub(super) clients: Slab<Client>,
    pub(super) servers: Slab<Server>,
    pub(super) by_key: HashMap<u64, ServerId, BuildHasherDefault<AlreadyHashed>>,
    pub(super) hasher: ahash::RandomState,
    pub(crate) wheel: Wheel<Alarm>,
    pub(crate) out: VecDeque<Output>,
    queries: HashMap<QueryId, (User, Query), BuildHasherDefault<AlreadyHashed>>,
    next_query: u64,
    /// Random values for tags, branches and delays.
    pub random: Random,
    pub(crate) listeners: Vec<Listener>,
    /// What peers are told of each listener, printed once.
    sent_by: Vec<String>,
    /// What was counted.
    pub counters: Counters,
}

/// Keys are hashes already.
#[derive(Debug, Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl Transactions {
    /// An empty layer for one shard: its number, and how many there are.
    pub fn new((shard, shards): (u8, u16), seed: [u8; 32], now: Time) -> Transactions {
        let mut random = Random::new(seed);
        let hasher = ahash::RandomState::with_seeds(
            random.bits(),
            random.bits(),
            random.bits(),
            random.bits(),
        );
        Transactions {
            shard,
            shards: shards.max(1),
            clients: Slab::default(),
            servers: Slab::default(),
            by_key: HashMap::default(),
            hasher,
            wheel: Wheel::new(now),
            out: VecDeque::new(),
            queries: HashMap::default(),
            next_query: 0,
            random,
            listeners: Vec::new(),
            sent_by: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Adds an address that messages leave from.
    pub(crate) fn add_listener(&mut self, listener: Listener) {
        self.sent_by.push(match &listener.advertised {
            Some((host, port)) => format!("{host}:{port}"),
            None => listener.local.to_string(),
        });
        self.listeners.push(listener);
    }

    /// The addresses that messages leave from.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// How many transactions live: client and server.
    pub fn len(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }

    /// Whether no transaction lives.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty()
    }

    /// Whether one more transaction is one too many.
    pub fn is_full(&self) -> bool {
        self.clients.len() + self.servers.len() >= MAX_TRANSACTIONS
    }

    /// Sends bytes outside any transaction: an ACK for a 2xx, a stray response.
    pub fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.out
            .push_back(Output::Transmit(Transmit { flow, bytes }));
    }

    /// Asks the name servers for a user. Each user has a bounded number of open questions (see [`crate::resolve`]),
    /// and users are bounded by [`MAX_TRANSACTIONS`].
    pub(crate) fn ask(&mut self, user: User, query: Query) {
        self.next_query += 1;
        let id = QueryId(self.next_query);
        self.queries.insert(id, (user, query.clone()));
        self.out.push_back(Output::Query { id, query });
    }

    /// Whose question was answered.
    pub(crate) fn answered(&mut self, id: QueryId) -> Option<(User, Query)> {
        self.queries.remove(&id)
    }

    /// Starts a timer for a user of the layer.
    pub fn alarm(&mut self, now: Time, after: Duration, alarm: Alarm) {
        self.wheel.start(now, after, alarm);
    }

    /// A keyed hash that nobody outside can predict; for tags and loop detection.
    pub fn keyed_hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }

    /// A Call-ID of ours: random, and of this shard.
    pub(crate) fn call_id(&mut self) -> String {
        let (own, shards) = (usize::from(self.shard), usize::from(self.shards));
        // Each try succeeds once in `shards` times; as good as never does it take this many.
        let tries = if own < shards { 40 * shards } else { 1 };
        let mut call_id = String::new();
        for _ in 0..tries {
            call_id = self.random.token() + &self.random.token();
            if shard_of(call_id.as_bytes(), shards) == own {
                break;
            }
        }
        call_id
    }

    /// The address that messages to `remote` leave from (RFC 3261 §18.1): the one that a peer's request
    /// came in on when it fits, else one in the same network, else the first of the family.
    pub fn local_for(
        &self,
        transport: Transport,
        remote: std::net::SocketAddr,
        preferred: Option<Flow>,
    ) -> Option<std::net::SocketAddr> {
        let fits =
            |l: &&Listener| l.transport == transport && l.local.is_ipv4() == remote.is_ipv4();
        let same_world = |l: &&Listener| l.local.ip().is_loopback() == remote.ip().is_loopback();
        if let Some(flow) = preferred {
            let found = self.listeners.iter().filter(fits).filter(same_world);
            if let Some(l) = found
                .clone()
                .find(|l| l.local.ip() == remote.ip())
                .or_else(|| found.clone().find(|l| l.local == flow.local))
            {
                return Some(l.local);
            }
        }
        let candidates = || self.listeners.iter().filter(fits);
        candidates()
            .find(|l| l.local.ip() == remote.ip())
            .or_else(|| candidates().find(|l| l.reaches_directly(remote.ip())))
            .or_else(|| candidates().find(same_world))
            .or_else(|| candidates().next())
            .map(|l| l.local)
    }

    /// The host and port that peers are told for a local address.
    pub fn sent_by(&self, transport: Transport, local: std::net::SocketAddr) -> String {
        match self.printed_sent_by(transport, local) {
            Some(printed) => printed.to_owned(),
            None => local.to_string(),
        }
    }

    /// Appends the host and port that peers are told for a local address.
    pub(crate) fn write_sent_by(&self, out: &mut Vec<u8>, flow: &Flow) {
        match self.printed_sent_by(flow.transport, flow.local) {
            Some(printed) => out.extend_from_slice(printed.as_bytes()),
            None => out.extend_from_slice(flow.local.to_string().as_bytes()),
        }
    }

    /// Which of our listeners a flow belongs to.
    pub(crate) fn listener_at(&self, flow: &Flow) -> Option<usize> {
        let of_flow = |l: &Listener| l.transport == flow.transport && l.local == flow.local;
        self.listeners.iter().position(of_flow)
    }

    fn printed_sent_by(&self, transport: Transport, local: std::net::SocketAddr) -> Option<&str> {
        let mut listeners = self.listeners.iter();
        let at = listeners.position(|l| l.transport == transport && l.local == local)?;
        self.sent_by.get(at).map(String::as_str)
    }

    /// A timer of a transaction fired.
    pub(crate) fn on_client_timer(&mut self, now: Time, id: ClientId, timer: Timer) -> Fate {
        let Some(client) = self.clients.get_mut(id) else {
            return Fate::Quiet;
        };
        let mut steps = Steps::new();
        let over = client.on_timer(timer, &mut steps);
        self.run_client(now, id, over, &steps, None)
    }

    /// Starts the timers and sends the repetitions of a server transaction.
    pub(super) fn run_server(&mut self, now: Time, id: ServerId, over: bool, steps: &Steps) {
        let Some(server) = self.servers.get(id) else {
            return;
        };
        let flow = server.reply;
        for step in steps.iter() {
            match step {
                Step::SendResponse => {
                    let Some(server) = self.servers.get(id) else {
                        return;
                    };
                    if !server.last.is_empty() {
                        let bytes = server.last.clone();
                        self.out
                            .push_back(Output::Transmit(Transmit { flow, bytes }));
                    }
                }
                Step::Start(timer, after) => {
                    self.wheel.start(now, after, Alarm::Server(id, timer));
                }
                Step::NoAck => self.counters.no_ack += 1,
                _ => {}
            }
        }
        if over {
            self.abandon_server(id);
        }
    }

    /// Does what a client machine wants, and says what its user must be told.
    pub(super) fn run_client(
        &mut self,
        now: Time,
        id: ClientId,
        over: bool,
        steps: &Steps,
        response: Option<&crate::wire::Packet<'_>>,
    ) -> Fate {
        let mut fate = Fate::Quiet;
        let Some(client) = self.clients.get(id) else {
            return fate;
        };
        let user = client.user;
        for step in steps.iter() {
            match step {
                Step::SendRequest => {
                    let Some(client) = self.clients.get_mut(id) else {
                        break;
                    };
                    if client.sent {
                        self.counters.retransmissions += 1;
                    }
                    client.sent = true;
                    let transmit = Transmit {
                        flow: client.flow,
                        bytes: client.request.clone(),
                    };
                    self.out.push_back(Output::Transmit(transmit));
                }
                Step::SendAck => {
                    let ack = response.and_then(|r| self.clients.get(id)?.ack(r));
                    if let (Some(bytes), Some(client)) = (ack, self.clients.get(id)) {
                        let flow = client.flow;
                        self.out
                            .push_back(Output::Transmit(Transmit { flow, bytes }));
                    }
                }
                Step::Start(timer, after) => {
                    self.wheel.start(now, after, Alarm::Client(id, timer));
                }
                Step::Pass => fate = Fate::Pass(user),
                Step::TimedOut => fate = Fate::TimedOut(user),
                Step::Unreachable => fate = Fate::Unreachable(user),
                Step::SendTrying | Step::SendResponse | Step::NoAck => {}
            }
        }
        if over {
            self.clients.remove(id);
        }
        fate
    }
}

/// What the user of a client transaction must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Quiet,
    /// There is a response for it.
    Pass(User),
    /// Nobody answered: treat as 408.
    TimedOut(User),
    /// The request could not be sent: treat as 503.
    Unreachable(User),
}

/// Whose transaction it is: who gets the responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Nobody wants the responses.
    Nobody,
    /// A branch of a proxied request.
    Proxy {
        /// The response context.
        context: crate::proxy::ContextId,
        /// Which of its branches.
        branch: u32,
    },
    /// The user agent; the number is its own.
    Agent(u64),
    /// A request of ours to an end of a call that is followed.
    Followed(u64),
}

/// Whether the INVITE machine or the other one belongs to a method.
pub(super) const fn is_invite(method: Method) -> bool {
    matches!(method, Method::Invite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_call_ids_belong_to_our_shard() {
        for (shard, shards) in [(0, 0), (0, 1), (1, 2), (6, 7), (255, 256)] {
            let mut tx = Transactions::new((shard, shards), [3; 32], Time::ZERO);
            let mut seen = Vec::new();
            for _ in 0..20 {
                let call_id = tx.call_id();
                let home = shard_of(call_id.as_bytes(), usize::from(shards.max(1)));
                assert_eq!(home, usize::from(shard), "of {shards}");
                assert!(!seen.contains(&call_id));
                seen.push(call_id);
            }
        }
    }
}
