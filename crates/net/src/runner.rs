//! Running a shard on a worker: inputs in, outputs to where they go.

use std::sync::Arc;

use rustls::ClientConfig;
use sip::endpoint::Input;
use sip::flow::{Flow, Transmit, Transport};
use sip::time::Time;
use sip::wire::Packet;

use crate::connection::{Connection, Flushed, Refused};
use crate::machine::{Machine, Outputs};
use crate::shard::{Item, Room};
use crate::shared::{Desk, Shared};
use crate::tap::Direction;

/// What one worker needs to run shards.
pub(crate) struct Runner<'a, M: Machine> {
    pub(crate) shared: &'a Shared<M>,
    pub(crate) me: usize,
    /// The moment at which the current batch is handled.
    pub(crate) now: Time,
    /// Connections that have to be flushed at the end of the batch.
    unflushed: Vec<Arc<Connection>>,
    /// Connections that this worker has begun to open and does not read yet.
    pub(crate) opened: Vec<Arc<Connection>>,
    outputs: Outputs,
    datagrams: Vec<Transmit>,
    turn: Vec<Item<M::Command>>,
}

impl<'a, M: Machine> Runner<'a, M> {
    pub(crate) fn new(shared: &'a Shared<M>, me: usize) -> Runner<'a, M> {
        Runner {
            shared,
            me,
            now: shared.clock.now(),
            unflushed: Vec::new(),
            opened: Vec::new(),
            outputs: Outputs::default(),
            datagrams: Vec::new(),
            turn: Vec::new(),
        }
    }

    pub(crate) fn desk(&self) -> &'a Desk {
        &self.shared.desks[self.me]
    }

    /// Runs a shard to completion and sees to what it wants done.
    pub(crate) fn run(
        &mut self,
        shard: usize,
        work: impl FnOnce(&mut M, Time, &mut Outputs) -> Option<Time>,
    ) {
        let shared = self.shared;
        let Some(place) = shared.shards.get(shard) else {
            return;
        };
        let mut room = place.enter();
        let Room {
            machine,
            started,
            unsent,
        } = &mut *room;
        let Some(machine) = machine else {
            return;
        };
        // A message may arrive at one worker before the one that minds the shard has begun.
        if !std::mem::replace(started, true) {
            machine.start(self.now, &mut self.outputs);
        }
        let deadline = work(machine, self.now, &mut self.outputs);
        place.set_deadline(deadline);
        // Still inside the room, so that what leaves keeps the order in which it was made.
        self.deliver(unsent);
        drop(room);
        for (id, query) in self.outputs.queries.drain(..) {
            shared.dns.ask(shard, id, query);
        }
        shared.deadline_changed(shard, deadline, self.me);
    }

    /// Gives one message of a stream to the shard that owns its call.
    pub(crate) fn packet(&mut self, flow: Flow, packet: Packet<'_>) {
        let shard = crate::shard_of(packet.call_id(), self.shared.shards.len());
        self.run(shard, |machine, now, out| {
            machine.input(now, Input::Packet { flow, packet }, out)
        });
    }

    /// Shows a message to whoever watches.
    pub(crate) fn tap(&self, direction: Direction, flow: &Flow, bytes: &[u8]) {
        if let Some(tap) = &self.shared.tap {
            tap.packet(direction, flow, bytes);
        }
    }

    /// Runs the shards of this worker whose time has come.
    pub(crate) fn timers(&mut self) {
        let shared = self.shared;
        for (n, shard) in shared.at_home(self.me) {
            if shard.deadline().is_some_and(|d| d <= self.now) {
                self.run(n, |machine, now, out| {
                    machine.input(now, Input::Timeout, out)
                });
            }
        }
    }

    /// Handles what waits in the inboxes of this worker's shards.
    pub(crate) fn inboxes(&mut self) {
        if !self.desk().take_attention() {
            return;
        }
        let shared = self.shared;
        for (n, shard) in shared.at_home(self.me) {
            if !shard.has_waiting() {
                continue;
            }
            let mut turn = std::mem::take(&mut self.turn);
            shard.take(&mut turn);
            self.run(n, |machine, now, out| {
                let mut deadline = None;
                for item in turn.drain(..) {
                    deadline = handle(machine, now, item, out);
                }
                deadline
            });
            self.turn = turn;
            if shard.has_waiting() {
                self.desk().call();
            }
        }
    }

    /// Sends each output on its way.
    fn deliver(&mut self, unsent: &mut Option<(usize, u64)>) {
        for (connection, name) in self.outputs.peers.drain(..) {
            self.shared.peers.tell(connection, name);
        }
        let mut transmits = std::mem::take(&mut self.outputs.transmits);
        for transmit in transmits.drain(..) {
            self.tap(Direction::Out, &transmit.flow, &transmit.bytes);
            match transmit.flow.transport {
                Transport::Udp => self.datagrams.push(transmit),
                Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                    self.send_on_stream(transmit);
                }
                Transport::Sctp => {
                    self.shared.statistics.no_such_flow.add_one();
                    self.shared.undeliverable(transmit.flow);
                }
            }
        }
        self.outputs.transmits = transmits;
        if self.datagrams.is_empty() {
            return;
        }
        if let Some((worker, filling)) = *unsent
            && worker != self.me
            && let Some(desk) = self.shared.desks.get(worker)
            && desk.outbox.put_into(filling, &mut self.datagrams)
        {
            return;
        }
        let filling = self.desk().outbox.put(&mut self.datagrams);
        *unsent = Some((self.me, filling));
    }

    fn send_on_stream(&mut self, transmit: Transmit) {
        let shared = self.shared;
        let flow = transmit.flow;
        let peer = shared.peers.name(flow.connection);
        if let Some(connection) = shared.connections.find(&flow, peer.as_deref()) {
            match self.queue(&connection, &transmit) {
                Ok(()) => return,
                Err(Refused::Full) => {
                    shared.statistics.stream_messages_dropped.add_one();
                    return shared.undeliverable(flow);
                }
                // It closed under our hands: a new one to the same peer will do.
                Err(Refused::Closed) => {}
            }
        }
        let tls = match (flow.transport, &shared.tls.trust, peer) {
            (Transport::Tcp, ..) => None,
            (Transport::Tls, Some(trust), Some(peer)) => Some((trust.config(), peer)),
            // Only the peer can open it again, or nobody has said who the peer has to be.
            _ => {
                shared.statistics.flows_gone.add_one();
                return shared.undeliverable(flow);
            }
        };
        self.open(&transmit, tls);
    }

    fn open(&mut self, transmit: &Transmit, tls: Option<(&Arc<ClientConfig>, Arc<str>)>) {
        let shared = self.shared;
        let flow = transmit.flow;
        shared.statistics.connections_started.add_one();
        let registry = &self.desk().registry;
        let opened = shared
            .connections
            .connect(&flow, registry, &shared.limits, tls);
        match opened {
            Ok(connection) => {
                shared.statistics.connections_open.add_one();
                self.opened.push(connection.clone());
                if self.queue(&connection, transmit).is_err() {
                    shared.statistics.stream_messages_dropped.add_one();
                    shared.undeliverable(flow);
                }
            }
            Err(_) => {
                shared.statistics.connections_failed.add_one();
                shared.undeliverable(flow);
            }
        }
    }

    fn queue(&mut self, connection: &Arc<Connection>, transmit: &Transmit) -> Result<(), Refused> {
        let limit = self.shared.limits.connection_pending;
        let bytes = transmit.bytes.clone();
        if connection.queue(bytes, Some(transmit.flow), limit)? {
            self.flush_later(connection.clone());
        }
        self.shared.statistics.stream_messages_out.add_one();
        Ok(())
    }

    /// Flushes the connection at the end of the batch.
    pub(crate) fn flush_later(&mut self, connection: Arc<Connection>) {
        self.unflushed.push(connection);
    }

    /// Writes what was queued on connections during the batch.
    pub(crate) fn flush_streams(&mut self) {
        for connection in self.unflushed.drain(..) {
            // A lost connection is cleaned up by the worker that reads it.
            let _: Flushed = connection.flush(&self.shared.statistics);
        }
    }
}

fn handle<M: Machine>(
    machine: &mut M,
    now: Time,
    item: Item<M::Command>,
    out: &mut Outputs,
) -> Option<Time> {
    match item {
        Item::Command(command) => machine.command(now, command, out),
        Item::Answer(id, answer) => machine.input(now, Input::Answer { id, answer }, out),
        Item::Undeliverable(flow) => machine.input(now, Input::Undeliverable { flow }, out),
    }
}
