//! Where a request goes next: the URI's server, its address, and our address towards it (RFC 3261 §18.1, RFC 3263).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Output;
use crate::flow::{ConnectionId, Flow, Transport};
use crate::resolve::{Answer, Destination, Families, Means, Query, Resolution, ResolveError, Step};
use crate::transaction::{Transactions, User};
use crate::uri::{Scheme, Uri};

/// The largest request that goes by UDP where TCP is possible (RFC 3261 §18.1.1), in octets.
pub const MAX_DATAGRAM: usize = 1300;

/// The servers of one URI, to be tried one after the other.
#[derive(Debug)]
pub struct NextHop {
    ready: [Option<(Transport, SocketAddr)>; 2],
    /// Whom the URI names, for those who have to show it.
    name: Option<Arc<str>>,
    resolution: Option<Box<Resolution>>,
    preferred: Option<Flow>,
    fixed: Option<Flow>,
}

/// The next thing to do about a [`NextHop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Send on this flow.
    Send(Flow),
    /// The name servers are being asked.
    Wait,
    /// No server is left to try.
    End,
}

impl NextHop {
    /// Looks for the servers of `uri`. `preferred` is the flow of the request that is being forwarded, if
    /// any: its local address is used when it fits. `large` requests avoid UDP where TCP is possible.
    pub fn new(
        tx: &mut Transactions,
        uri: &Uri<'_>,
        preferred: Option<Flow>,
        large: bool,
    ) -> Result<NextHop, ResolveError> {
        let secure = uri.scheme == Scheme::Sips;
        let wanted = match uri.transport() {
            Some(token) => Some(Transport::from_token(token).ok_or(ResolveError::Unsupported)?),
            None => None,
        };
        let mut next = NextHop {
            ready: [None; 2],
            name: None,
            resolution: None,
            preferred,
            fixed: None,
        };
        let numeric = if uri.maddr().is_none() {
            uri.host.ip()
        } else {
            None
        };
        if let (Some(ip), false) = (numeric, secure) {
            let transport = wanted.unwrap_or(Transport::Udp);
            let address = SocketAddr::new(ip, uri.port.unwrap_or(transport.default_port()));
            if tx.supports(transport, address) {
                if large && wanted.is_none() && tx.supports(Transport::Tcp, address) {
                    next.ready[0] = Some((Transport::Tcp, address));
                }
                next.ready[1] = Some((transport, address));
                // Where the peer says that it is, and it is there: it has shown who it is already.
                next.fixed = preferred.filter(|flow| {
                    transport == Transport::Tls
                        && flow.transport == transport
                        && flow.remote == address
                        && flow.connection != ConnectionId::ANY
                });
                next.name = (transport == Transport::Tls).then(|| ip.to_string().into());
                return Ok(next);
            }
        }
        let host = match uri.maddr() {
            Some(maddr) => String::from_utf8_lossy(maddr).into_owned(),
            None => uri.host.to_string(),
        };
        let supported = tx.supported();
        let seed = tx.random.bits();
        let resolution = Resolution::new(
            &Destination {
                host: &host,
                port: uri.port,
                transport: wanted,
                secure,
            },
            &Means {
                supported: &supported,
                families: tx.families(),
                large,
                seed,
            },
        )?;
        next.resolution = Some(Box::new(resolution));
        Ok(next)
    }

    /// One flow that is known already: that of a registration (RFC 5626), or of a connection.
    pub fn along(flow: Flow) -> NextHop {
        NextHop {
            fixed: Some(flow),
            ..NextHop::none()
        }
    }

    /// This flow first.
    pub(crate) fn first_along(mut self, flow: Flow) -> NextHop {
        self.fixed = Some(flow);
        self
    }

    /// Nothing to try.
    pub(crate) fn none() -> NextHop {
        NextHop {
            ready: [None; 2],
            name: None,
            resolution: None,
            preferred: None,
            fixed: None,
        }
    }

    /// Whether the name servers are not needed.
    pub(crate) fn is_numeric(&self) -> bool {
        self.resolution.is_none()
    }

    /// The next server to try. Questions for the name servers leave as outputs and their answers come back
    /// to `user`.
    pub fn poll(&mut self, tx: &mut Transactions, user: User) -> Hop {
        if let Some(flow) = self.fixed.take() {
            return Hop::Send(flow);
        }
        loop {
            if let Some((transport, remote)) = self.ready.iter_mut().find_map(Option::take) {
                match tx.local_for(transport, remote, self.preferred) {
                    Some(local) => {
                        return Hop::Send(Flow {
                            transport,
                            local,
                            remote,
                            connection: match &self.name {
                                Some(name) if transport == Transport::Tls => tx.peer(name),
                                _ => ConnectionId::ANY,
                            },
                        });
                    }
                    None => continue,
                }
            }
            let Some(resolution) = self.resolution.as_mut() else {
                return Hop::End;
            };
            match resolution.poll() {
                Step::Ask(query) => tx.ask(user, query),
                Step::Wait => return Hop::Wait,
                Step::Target(target) => {
                    self.ready[0] = Some((target.transport, target.address));
                    self.name =
                        (target.transport == Transport::Tls).then(|| unbracketed(&target.name));
                }
                Step::End => {
                    self.resolution = None;
                    return Hop::End;
                }
            }
        }
    }

    /// The name servers answered; poll again.
    pub fn answer(&mut self, query: &Query, answer: Answer) {
        if let Some(resolution) = self.resolution.as_mut() {
            resolution.answer(query, answer);
        }
    }
}

/// A name as certificates have it.
fn unbracketed(host: &str) -> Arc<str> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.to_ascii_lowercase().into()
}

impl Transactions {
    /// What stands for a peer that has shown that it has this name.
    fn peer(&mut self, name: &Arc<str>) -> ConnectionId {
        let connection = ConnectionId::named(self.keyed_hash(&[name.as_bytes()]));
        let name = name.clone();
        self.out.push_back(Output::Peer { connection, name });
        connection
    }

    /// The transports of our listeners, datagrams first.
    fn supported(&self) -> Vec<Transport> {
        let mut all: Vec<Transport> = self.listeners.iter().map(|l| l.transport).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn families(&self) -> Families {
        let real = |v4: bool| {
            self.listeners
                .iter()
                .any(|l| l.local.is_ipv4() == v4 && !l.local.ip().is_loopback())
        };
        let any = |v4: bool| self.listeners.iter().any(|l| l.local.is_ipv4() == v4);
        match (real(true) || any(true), real(false) || any(false)) {
            (true, false) => Families::V4,
            (false, true) => Families::V6,
            _ if real(false) && !real(true) => Families::V6First,
            _ => Families::V4First,
        }
    }

    /// Whether a listener has this transport and the family of this address.
    fn supports(&self, transport: Transport, address: SocketAddr) -> bool {
        self.listeners
            .iter()
            .any(|l| l.transport == transport && l.local.is_ipv4() == address.is_ipv4())
    }
}
