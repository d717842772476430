//! Whose messages are not taken.

use std::net::IpAddr;

use sip::flow::Flow;
use sip::time::Time;

/// Decides about what arrives before anything of it is read.
///
/// Asked on the threads that receive, for every datagram, connection and message on a connection: it must be quick and
/// must not wait.
pub trait Filter: Send + Sync {
    /// Whether a datagram, or a message on a connection, is taken; else it is dropped, and the connection closed.
    fn admits(&self, now: Time, flow: &Flow, bytes: &[u8]) -> bool;

    /// Whether a connection is accepted.
    fn admits_connection(&self, now: Time, source: IpAddr) -> bool;

    /// Something that is no SIP came on a connection, whose source cannot be forged.
    fn malformed(&self, now: Time, source: IpAddr);
}
