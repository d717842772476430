//! Connections of stream transports: reliable, ordered, cut into segments anywhere.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use sip::endpoint::Input;
use sip::flow::{ConnectionId, Flow, Transport};
use sip::time::Time;
use sip::wire::{Frame, Stream};

use super::{Happening, NodeId, World};

/// All connections of a world.
#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<ConnectionId, Connection>,
    opened: u64,
}

struct Connection {
    transport: Transport,
    ends: [End; 2],
}

struct End {
    node: NodeId,
    local: SocketAddr,
    remote: SocketAddr,
    stream: Stream,
    /// When the last segment to this end arrives.
    busy_until: Time,
}

impl Connection {
    fn flow(&self, id: ConnectionId, end: usize) -> Flow {
        Flow {
            transport: self.transport,
            local: self.ends[end].local,
            remote: self.ends[end].remote,
            connection: id,
        }
    }
}

impl World {
    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.streams.open.len()
    }

    /// Breaks all connections to an address; both sides are told.
    pub fn break_connections(&mut self, address: &str) {
        let address: SocketAddr = address.parse().expect("an address");
        let hit: Vec<ConnectionId> = self
            .streams
            .open
            .iter()
            .filter(|(_, c)| c.ends.iter().any(|e| e.local == address))
            .map(|(id, _)| *id)
            .collect();
        for id in hit {
            self.close(id);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.streams.open.remove(&id) else {
            return;
        };
        for end in 0..2 {
            let node = connection.ends[end].node;
            let flow = connection.flow(id, end);
            self.schedule(self.now, Happening::Undeliverable { node, flow });
        }
    }

    pub(super) fn transmit_stream(&mut self, from: NodeId, flow: Flow, bytes: &Bytes) -> Vec<Time> {
        let Some((id, end)) = self.connection_for(from, flow) else {
            let at = self.now + self.link.latency * 2;
            self.schedule(at, Happening::Undeliverable { node: from, flow });
            return Vec::new();
        };
        let there = 1 - end;
        let Some(to) = self.streams.open.get(&id).map(|c| c.ends[there].node) else {
            return Vec::new();
        };
        let at = self.now + self.link(from, to).latency;
        let at = match self.streams.open.get_mut(&id) {
            Some(connection) => {
                let busy = &mut connection.ends[there].busy_until;
                *busy = at.max(*busy);
                *busy
            }
            None => at,
        };
        let cut = self.random.below(bytes.len() as u64 + 1) as usize;
        for part in [bytes.slice(..cut), bytes.slice(cut..)] {
            self.schedule(
                at,
                Happening::Segment {
                    connection: id,
                    end: there,
                    bytes: part,
                },
            );
        }
        vec![at]
    }

    /// The connection that a flow means, and which end of it is ours; opens one when it must and can.
    fn connection_for(&mut self, from: NodeId, flow: Flow) -> Option<(ConnectionId, usize)> {
        let same = |c: &Connection, end: usize| {
            c.transport == flow.transport
                && c.ends[end].node == from
                && c.ends[end].remote == flow.remote
        };
        if flow.connection.is_one() {
            let connection = self.streams.open.get(&flow.connection)?;
            let end = (0..2).find(|end| same(connection, *end))?;
            return Some((flow.connection, end));
        }
        for (id, connection) in &self.streams.open {
            if let Some(end) = (0..2).find(|end| same(connection, *end)) {
                return Some((*id, end));
            }
        }
        let to = *self.places.get(&(flow.transport, flow.remote))?;
        if self.nodes[to.0].silent {
            return None;
        }
        self.streams.opened += 1;
        let id = ConnectionId(self.streams.opened);
        let ephemeral = SocketAddr::new(flow.local.ip(), 20_000 + self.streams.opened as u16);
        let end = |node, local, remote| End {
            node,
            local,
            remote,
            stream: Stream::new(),
            busy_until: self.now,
        };
        let ends = [
            end(from, flow.local, flow.remote),
            end(to, flow.remote, ephemeral),
        ];
        let transport = flow.transport;
        self.streams.open.insert(id, Connection { transport, ends });
        Some((id, 0))
    }

    /// Octets have arrived at one end of a connection.
    pub(super) fn segment(&mut self, id: ConnectionId, end: usize, bytes: &[u8]) {
        let Some(connection) = self.streams.open.get_mut(&id) else {
            return;
        };
        let flow = connection.flow(id, end);
        let node = connection.ends[end].node;
        let stream = &mut connection.ends[end].stream;
        stream.push(bytes);
        let mut messages = Vec::new();
        let mut broken = false;
        while let Some(frame) = stream.next_frame() {
            match frame {
                Frame::Message(message) => messages.push(Bytes::copy_from_slice(message)),
                Frame::Ping | Frame::Pong => {}
                Frame::Broken(..) | Frame::Garbage(_) => {
                    broken = true;
                    break;
                }
            }
        }
        for message in messages {
            self.arrive(node, flow, message);
        }
        if broken {
            self.close(id);
        }
    }

    /// Tells an endpoint that what it sent on a flow did not arrive.
    pub fn undeliverable(&mut self, node: NodeId, flow: Flow) {
        self.input(node, Input::Undeliverable { flow });
    }
}
