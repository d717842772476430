//! What lives in a world: endpoints with a policy, and peers that follow a script.

use core::time::Duration;

use bytes::Bytes;
use sip::Endpoint;
use sip::endpoint::Event;
use sip::flow::Flow;
use sip::time::Time;

use crate::message::Message;

/// Names a node of one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) usize);

/// What the owner of an endpoint does about its events.
pub(super) type Policy = Box<dyn FnMut(Time, &mut Endpoint, Event)>;

/// What a peer sends back by itself: messages, each after a while, on the flow on which the cause came.
pub(super) type Script = Box<dyn FnMut(&Arrival) -> Vec<(Duration, Bytes)>>;

/// A message that a peer got.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// On which flow, as the peer sees it.
    pub flow: Flow,
    /// The octets.
    pub bytes: Bytes,
}

impl Arrival {
    /// The message, read naively.
    pub fn message(&self) -> Message {
        Message::parse(&self.bytes)
    }

    /// When, in milliseconds.
    pub fn ms(&self) -> u64 {
        self.at.as_millis()
    }
}

/// A scripted peer.
#[derive(Default)]
pub struct Peer {
    pub(super) inbox: Vec<Arrival>,
    pub(super) script: Option<Script>,
}

pub(super) enum Kind {
    Endpoint {
        /// Taken out while it runs.
        endpoint: Option<Box<Endpoint>>,
        policy: Option<Policy>,
        wake: Option<Time>,
    },
    Peer(Peer),
}

pub(super) struct Node {
    pub(super) kind: Kind,
    /// Packets to it vanish, and it never says that a port is closed.
    pub(super) silent: bool,
}

impl Node {
    pub(super) fn wake(&self) -> Option<Time> {
        match &self.kind {
            Kind::Endpoint { wake, .. } => *wake,
            Kind::Peer(_) => None,
        }
    }
}
