//! A copy of every packet for whoever watches.

use sip::flow::Flow;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a peer to us.
    In,
    /// From us to a peer.
    Out,
}

/// Sees every message that arrives or leaves, on the thread that carries it.
///
/// An implementation has to return at once: it copies what it needs into a bounded queue.
pub trait Tap: Send + Sync + 'static {
    /// One whole message (or one undecodable datagram) goes by.
    fn packet(&self, direction: Direction, flow: &Flow, bytes: &[u8]);
}
