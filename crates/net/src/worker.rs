//! The loop of one worker: wait, receive, run shards, send.

use std::io;
use std::time::Duration;

use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Poll, Token};
use sip::endpoint::Input;
use sip::flow::{ConnectionId, Flow, Transport};
use sip::time::Time;
use sip::wire::{Index, Packet, scan};

use crate::listening::{Accepted, Listening};
use crate::machine::Machine;
use crate::runner::Runner;
use crate::shared::Shared;
use crate::streams::Streams;
use crate::tap::Direction;
use crate::udp::{BATCH, Batch, Datagrams};

/// Reported by the poll when another thread wakes this one.
pub(crate) const WAKER: Token = special(0);

/// How long a busy socket is left alone so that a batch gathers: what a message waits at most.
const GATHER: Duration = Duration::from_millis(1);

/// How often a stopping worker looks whether the others are ready.
const STOPPING: Duration = Duration::from_millis(2);

/// Connections accepted before other work has its turn.
const ACCEPTS: usize = 64;

/// Tokens that are not those of connections, counted down from the top.
const fn special(n: usize) -> Token {
    Token(usize::MAX - n)
}

/// One worker thread.
pub(crate) struct Worker<'a, M: Machine> {
    runner: Runner<'a, M>,
    poll: Poll,
    sockets: Vec<Datagrams>,
    listeners: Vec<Listening>,
    streams: Streams,
    batch: Batch,
    indexes: Vec<Index>,
    failed: Vec<Flow>,
    spare: Vec<sip::flow::Transmit>,
    stopping: bool,
    _reserved: Vec<socket2::Socket>,
}

/// What a worker is given.
pub(crate) struct Equipment {
    pub(crate) poll: Poll,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) listeners: Vec<(Transport, TcpListener)>,
    /// Held while the worker lives.
    pub(crate) reserved: Vec<socket2::Socket>,
}

impl<'a, M: Machine> Worker<'a, M> {
    /// A worker that watches its sockets.
    ///
    /// # Errors
    /// What the system says to watching them.
    pub(crate) fn new(
        shared: &'a Shared<M>,
        me: usize,
        equipment: Equipment,
    ) -> io::Result<Worker<'a, M>> {
        let runner = Runner::new(shared, me);
        let registry = equipment.poll.registry();
        let mut tokens = (1..).map(special);
        let mut sockets = Vec::new();
        for (socket, token) in equipment.sockets.into_iter().zip(&mut tokens) {
            sockets.push(Datagrams::new(socket, token, registry, runner.now)?);
        }
        let mut listeners = Vec::new();
        let mut tokens = (1 + sockets.len()..).map(special);
        for ((transport, socket), token) in equipment.listeners.into_iter().zip(&mut tokens) {
            listeners.push(Listening::new(transport, socket, token, registry)?);
        }
        Ok(Worker {
            runner,
            poll: equipment.poll,
            sockets,
            listeners,
            streams: Streams::new(),
            batch: Batch::new(),
            indexes: (0..BATCH).map(|_| Index::new()).collect(),
            failed: Vec::new(),
            spare: Vec::new(),
            stopping: false,
            _reserved: equipment.reserved,
        })
    }

    /// Works until the network stops.
    pub(crate) fn work(mut self) {
        let mut events = Events::with_capacity(256);
        let shared = self.runner.shared;
        for (n, _) in shared.at_home(self.runner.me) {
            // The first run of a shard starts its machine.
            self.runner.run(n, |machine, now, out| {
                machine.input(now, Input::Timeout, out)
            });
        }
        self.flush();
        while !self.is_done() {
            let wait = self.wait();
            // An interrupted wait brings no events, and everything else is looked at anyway.
            let polled = self.poll.poll(&mut events, wait);
            self.runner.desk().wake_up();
            self.runner.now = shared.clock.now();
            if polled.is_ok() {
                for event in &events {
                    self.event(event);
                }
            }
            self.turn();
        }
        self.streams.close_all(&mut self.runner);
    }

    /// Everything that is to be done between two waits.
    fn turn(&mut self) {
        for n in 0..self.sockets.len() {
            self.receive(n);
        }
        for n in 0..self.listeners.len() {
            self.accept(n);
        }
        self.streams.read_more(&mut self.runner);
        self.runner.inboxes();
        self.runner.timers();
        self.streams.timers(&mut self.runner);
        self.flush();
    }

    fn event(&mut self, event: &mio::event::Event) {
        let token = event.token();
        let from_top = usize::MAX - token.0;
        let listeners_at = 1 + self.sockets.len();
        if token == WAKER {
            return;
        }
        if let Some(socket) = self.sockets.get_mut(from_top.wrapping_sub(1)) {
            socket.ready = true;
            if event.is_error() {
                socket.read_errors(&mut self.failed);
            }
        } else if let Some(listener) = self.listeners.get_mut(from_top.wrapping_sub(listeners_at)) {
            listener.ready = true;
        } else {
            let id = ConnectionId(token.0 as u64);
            self.streams.event(id, event, &mut self.runner);
        }
    }

    /// Receives one batch from a socket and runs the shards that it concerns.
    fn receive(&mut self, n: usize) {
        let Some(socket) = self.sockets.get_mut(n) else {
            return;
        };
        if !socket.ready && !socket.busy {
            return;
        }
        let count = socket.receive(&mut self.batch, &mut self.failed);
        let local = socket.local();
        socket.measure(self.runner.now, count, self.poll.registry());
        if count > 0 {
            let owners = self.scan(local, count);
            self.run_owners(local, owners, count);
        }
    }

    /// Scans each datagram once, outside of every lock, and finds the shards that own them.
    fn scan(&mut self, local: std::net::SocketAddr, count: usize) -> [Option<usize>; BATCH] {
        let statistics = &self.runner.shared.statistics;
        let shards = self.runner.shared.shards.len();
        let mut owners = [None; BATCH];
        let mut octets = 0;
        for ((n, index), owner) in self
            .indexes
            .iter_mut()
            .enumerate()
            .zip(&mut owners)
            .take(count)
        {
            let Some((bytes, remote)) = self.batch.datagram(n) else {
                continue;
            };
            octets += bytes.len();
            self.runner
                .tap(Direction::In, &Flow::udp(local, remote), bytes);
            if bytes.iter().all(|b| matches!(b, b'\r' | b'\n')) {
                statistics.keep_alives_in.add_one();
                continue;
            }
            match scan(bytes, index) {
                Ok(()) => {
                    let call_id = Packet::new(bytes, index).call_id();
                    *owner = Some(crate::shard_of(call_id, shards));
                }
                Err(error) => statistics.scan_error(error),
            }
        }
        statistics.batches_in.add_one();
        statistics.datagrams_in.add(count as u64);
        statistics.datagram_bytes_in.add(octets as u64);
        owners
    }

    /// Runs each shard once with all its datagrams of the batch, in the order of arrival.
    fn run_owners(
        &mut self,
        local: std::net::SocketAddr,
        mut owners: [Option<usize>; BATCH],
        count: usize,
    ) {
        let (batch, indexes) = (&self.batch, &self.indexes);
        for first in 0..count.min(BATCH) {
            let Some(shard) = owners[first] else {
                continue;
            };
            self.runner.run(shard, |machine, now, out| {
                let mut deadline = None;
                let mine = owners.iter_mut().enumerate().take(count).skip(first);
                for (n, owner) in mine.filter(|(_, owner)| **owner == Some(shard)) {
                    *owner = None;
                    if let (Some((bytes, remote)), Some(index)) =
                        (batch.datagram(n), indexes.get(n))
                    {
                        let flow = Flow::udp(local, remote);
                        let packet = Packet::new(bytes, index);
                        deadline = machine.input(now, Input::Packet { flow, packet }, out);
                    }
                }
                deadline
            });
        }
    }

    fn accept(&mut self, n: usize) {
        let Some(listener) = self.listeners.get_mut(n) else {
            return;
        };
        let shared = self.runner.shared;
        let statistics = &shared.statistics;
        listener.resume(self.runner.now);
        for _ in 0..ACCEPTS {
            if !listener.ready {
                return;
            }
            match listener.accept() {
                Accepted::Connection(socket, flow) => {
                    let registry = self.poll.registry();
                    let tls = match flow.transport {
                        Transport::Tls | Transport::Wss => shared.tls.server.as_ref(),
                        _ => None,
                    };
                    let limits = &shared.limits;
                    match shared
                        .connections
                        .accept(socket, flow, registry, limits, tls)
                    {
                        Ok(Some(connection)) => {
                            statistics.connections_accepted.add_one();
                            statistics.connections_open.add_one();
                            self.streams.adopt(connection, &self.runner);
                        }
                        Ok(None) | Err(_) => statistics.connections_refused.add_one(),
                    }
                }
                Accepted::Nobody => listener.ready = false,
                Accepted::Gone => {}
                Accepted::Exhausted => {
                    statistics.accept_paused.add_one();
                    listener.pause(self.runner.now);
                }
            }
        }
    }

    /// Sends what the shards have made, and tells them what could not be sent.
    fn flush(&mut self) {
        let shared = self.runner.shared;
        let (sockets, spare) = (&mut self.sockets, &mut self.spare);
        let (failed, registry) = (&mut self.failed, self.poll.registry());
        let statistics = &shared.statistics;
        for socket in sockets.iter_mut().filter(|s| s.is_blocked()) {
            socket.flush(statistics, failed, registry);
        }
        self.runner.desk().outbox.empty(spare, |transmits| {
            for transmit in transmits.drain(..) {
                let local = transmit.flow.local;
                match sockets.iter_mut().find(|s| s.local() == local) {
                    Some(socket) => {
                        if !socket.queue(transmit, shared.limits.datagrams_waiting) {
                            statistics.datagrams_dropped.add_one();
                        }
                    }
                    None => {
                        statistics.no_such_flow.add_one();
                        failed.push(transmit.flow);
                    }
                }
            }
            for socket in sockets.iter_mut() {
                socket.flush(statistics, failed, registry);
            }
        });
        self.runner.flush_streams();
        for flow in self.failed.drain(..) {
            statistics.unreachable_in.add_one();
            shared.undeliverable(flow);
        }
        for connection in self.runner.opened.split_off(0) {
            self.streams.adopt(connection, &self.runner);
        }
    }

    /// How long to wait for events; says when this worker will wake, so that others can wake it
    /// earlier.
    fn wait(&mut self) -> Option<Duration> {
        let desk = self.runner.desk();
        let more = self.streams.has_more()
            || self.sockets.iter().any(|s| s.ready)
            || self.listeners.iter().any(|l| l.ready);
        if more || desk.has_attention() {
            return Some(Duration::ZERO);
        }
        let shared = self.runner.shared;
        if self.sockets.iter().any(|s| s.busy) {
            // Nobody has to wake a worker that looks at everything in a millisecond.
            shared.statistics.pauses.add_one();
            return Some(GATHER);
        }
        let announced = self.wakes_at();
        desk.fall_asleep(announced);
        // Once more: what others changed before that they did not announce. Never longer than what
        // others believe, though.
        let until = announced.into_iter().chain(self.wakes_at()).min();
        if desk.has_attention() {
            return Some(Duration::ZERO);
        }
        until.map(|moment| shared.clock.until(moment))
    }

    /// When something has to be done even if nothing arrives.
    fn wakes_at(&self) -> Option<Time> {
        let shared = self.runner.shared;
        let shards = shared
            .at_home(self.runner.me)
            .filter_map(|(_, s)| s.deadline());
        let listeners = self.listeners.iter().filter_map(|l| l.paused_until);
        let stopping = self.stopping.then(|| shared.clock.now() + STOPPING);
        shards
            .chain(listeners)
            .chain(self.streams.deadline())
            .chain(stopping)
            .min()
    }

    /// Whether this worker may end: the network stops, and nothing is under way or time is up.
    fn is_done(&mut self) -> bool {
        let shared = self.runner.shared;
        let Some(latest) = shared.stops_at() else {
            return false;
        };
        if !self.stopping {
            self.stopping = true;
            for (n, _) in shared.at_home(self.runner.me) {
                self.runner
                    .run(n, |machine, now, out| machine.stop(now, out));
            }
            self.flush();
            shared.one_more_stopped();
        }
        self.runner.now >= latest
            || (shared.is_idle() && !self.sockets.iter().any(Datagrams::is_blocked))
    }
}
