//! What a network is told when it starts.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sip::flow::Transport;

use crate::clock::Clock;
use crate::tap::Tap;
use crate::tls::Tls;

/// Settings of a network. The defaults need nothing but something to listen on.
#[derive(Clone)]
pub struct NetConfig {
    /// What to listen on. An unspecified address (`0.0.0.0`, `[::]`) stands for every address of
    /// this host, link-local ones excepted; port 0 lets the system choose.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// The host that peers are told in place of the address bound, for a host behind address
    /// translation.
    pub advertised_host: Option<String>,
    /// Worker threads; 0 for as many as this process may use processors.
    pub workers: usize,
    /// Bounds.
    pub limits: Limits,
    /// How often connections that we opened are kept alive by a double CRLF (RFC 5626 §3.5.1).
    pub keep_alive: Option<Duration>,
    /// The clock that all shards go by. Endpoints are made with its time before the network starts.
    pub clock: Clock,
    /// Receives a copy of every packet.
    pub tap: Option<Arc<dyn Tap>>,
    /// What TLS and WebSocket inside it need. Where TLS is in [`NetConfig::listen`] without a certificate, connections are
    /// only opened, not accepted.
    pub tls: Tls,
    /// The pages that WebSockets of browsers may come from, as `https://example.org`; none for any. Programs need not say
    /// where they come from.
    pub origins: Arc<[String]>,
}

impl NetConfig {
    /// Settings that listen on these addresses, everything else at its default.
    pub fn new(listen: Vec<(Transport, SocketAddr)>) -> NetConfig {
        NetConfig {
            listen,
            advertised_host: None,
            workers: 0,
            limits: Limits::default(),
            keep_alive: None,
            clock: Clock::start(),
            tap: None,
            tls: Tls::default(),
            origins: Arc::default(),
        }
    }
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("listen", &self.listen)
            .field("advertised_host", &self.advertised_host)
            .field("workers", &self.workers)
            .field("limits", &self.limits)
            .field("keep_alive", &self.keep_alive)
            .field("tap", &self.tap.is_some())
            .field("tls", &self.tls)
            .field("origins", &self.origins)
            .finish()
    }
}

/// The bounds of a network (law 4). What they cut off is counted in [`crate::Statistics`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// Commands that may wait for one shard.
    pub inbox: usize,
    /// Datagrams that may wait for one socket that cannot take them.
    pub datagrams_waiting: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections with one source address.
    pub connections_per_source: usize,
    /// Octets that may wait to be written to one connection.
    pub connection_pending: usize,
    /// Octets that may wait on all connections of one worker for the rest of their messages.
    pub unfinished: usize,
    /// A connection without any message for this long is closed.
    pub idle: Duration,
    /// A new connection without its first message for this long is closed.
    pub first_message: Duration,
    /// An attempt to connect that takes this long has failed.
    pub connect: Duration,
    /// A handshake of TLS that takes this long has failed.
    pub handshake: Duration,
    /// A connection that has not become a WebSocket after this long is closed.
    pub upgrade: Duration,
    /// How often the other end of a WebSocket is asked whether it is there; who has not answered when the next question is
    /// due is gone.
    pub websocket_ping: Duration,
    /// Names of peers that are remembered for TLS.
    pub peers: usize,
    /// Questions to the name servers that may be under way.
    pub dns_queries: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            inbox: 65_536,
            datagrams_waiting: 4_096,
            connections: 10_000,
            connections_per_source: 500,
            connection_pending: 1 << 20,
            unfinished: 64 << 20,
            idle: Duration::from_secs(600),
            first_message: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            upgrade: Duration::from_secs(10),
            websocket_ping: Duration::from_secs(30),
            peers: 65_536,
            dns_queries: 4_096,
        }
    }
}
