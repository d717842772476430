//! What goes into an [`super::Endpoint`] and what comes out.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::flow::{ConnectionId, Flow, Transmit, Transport};
use crate::resolve::{Answer, Query};
use crate::time::Time;
use crate::wire::Packet;

use super::Event;

/// Whether those who bring messages to the endpoints of a process have more than they can handle in time; shared by
/// all of them.
///
/// While it is high, endpoints refuse what would begin something new with 503 and Retry-After, and go on with calls that
/// there are (RFC 7339 gives the reasons: a server that answers late makes clients repeat, and works for nobody).
#[derive(Debug, Default)]
pub struct Pressure(AtomicUsize);

impl Pressure {
    /// One more has too much to do.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One of those who raised it has caught up.
    pub fn lower(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether anybody has too much to do.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A message arrived.
    Packet {
        /// The flow on which it arrived.
        flow: Flow,
        /// The message.
        packet: Packet<'a>,
    },
    /// What was sent on this flow did not arrive: the port is closed, the connection was refused or lost.
    ///
    /// With [`crate::flow::ConnectionId::ANY`] everything to that remote address failed.
    Undeliverable {
        /// The flow.
        flow: Flow,
    },
    /// The moment that [`Output::Timeout`] named has come, or any other moment.
    Timeout,
    /// The answer to an [`Output::Query`].
    Answer {
        /// Which query.
        id: QueryId,
        /// What the name servers said.
        answer: Answer,
    },
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit(Transmit),
    /// From now on this connection name, which a following [`Transmit`] may carry, stands for a peer that has shown in TLS
    /// that it is `name`: a domain, or an address without brackets (RFC 3261 §26.3.1, RFC 5922).
    Peer {
        /// One of [`ConnectionId::named`].
        connection: ConnectionId,
        /// Who the peer has to be, in lower case.
        name: Arc<str>,
    },
    /// Tell the owner.
    Event(Event),
    /// Ask the name servers; the answer comes back as [`Input::Answer`].
    Query {
        /// Names the query.
        id: QueryId,
        /// What to ask.
        query: Query,
    },
    /// Nothing more to do until this moment, if there is one. Always the last output.
    Timeout(Option<Time>),
}

/// Names one question to the name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(pub u64);

/// A local address that messages arrive at and leave from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The transport protocol.
    pub transport: Transport,
    /// The address bound; never unspecified.
    pub local: SocketAddr,
    /// The length of the network prefix of that address, for choosing a source address.
    pub prefix: u8,
    /// The host that peers are told (Via, Record-Route, Contact), when it is not `local`.
    pub advertised: Option<(String, u16)>,
}

impl Listener {
    /// A listener that tells peers the address that it is bound to.
    pub fn new(transport: Transport, local: SocketAddr) -> Listener {
        Listener {
            transport,
            local,
            prefix: if local.is_ipv4() { 24 } else { 64 },
            advertised: None,
        }
    }

    /// Whether `remote` is in the network that this address belongs to.
    pub fn reaches_directly(&self, remote: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.local.ip(), remote) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
                (u32::from(a) ^ u32::from(b)) & mask == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
                (u128::from(a) ^ u128::from(b)) & mask == 0
            }
            _ => false,
        }
    }
}
