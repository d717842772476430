//! What a shard runs: a machine without sockets, and what it wants done.

use std::sync::Arc;

use sip::endpoint::{Input, QueryId};
use sip::flow::{ConnectionId, Transmit};
use sip::resolve::Query;
use sip::time::Time;

/// What one shard runs, as the network sees it. [`crate::Owner`] with its Endpoint is one.
///
/// Every call runs to completion and yields the moment at which [`Machine::input`] wants an
/// [`Input::Timeout`], if there is one.
pub trait Machine: Send + 'static {
    /// What other threads may ask of it.
    type Command: Send + 'static;

    /// The network runs.
    fn start(&mut self, now: Time, out: &mut Outputs) -> Option<Time>;

    /// Something happened outside.
    fn input(&mut self, now: Time, input: Input<'_>, out: &mut Outputs) -> Option<Time>;

    /// A command was posted.
    fn command(&mut self, now: Time, command: Self::Command, out: &mut Outputs) -> Option<Time>;

    /// The network will stop; a last chance to say goodbye.
    fn stop(&mut self, now: Time, out: &mut Outputs) -> Option<Time>;

    /// Whether nothing is under way that a stopping network should wait for.
    fn is_idle(&self) -> bool;
}

/// What a machine wants done outside, in order.
#[derive(Debug, Default)]
pub struct Outputs {
    pub(crate) transmits: Vec<Transmit>,
    pub(crate) queries: Vec<(QueryId, Query)>,
    pub(crate) peers: Vec<(ConnectionId, Arc<str>)>,
}

impl Outputs {
    /// Send these bytes.
    pub fn transmit(&mut self, transmit: Transmit) {
        self.transmits.push(transmit);
    }

    /// From now on `connection`, one of [`ConnectionId::named`], stands for a peer that shows in TLS that it is `name`.
    pub fn peer(&mut self, connection: ConnectionId, name: Arc<str>) {
        self.peers.push((connection, name));
    }

    /// Ask the name servers; the answer comes as [`Input::Answer`].
    pub fn query(&mut self, id: QueryId, query: Query) {
        self.queries.push((id, query));
    }
}
