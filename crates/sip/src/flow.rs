//! Where a message came from or goes: transports, flows, and bytes ready to leave.

use bytes::Bytes;
use core::fmt;
use std::net::SocketAddr;

/// A transport protocol of SIP (RFC 3261 §18, RFC 7118, RFC 4168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams, unreliable.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
    /// WebSocket frames, one message each.
    Ws,
    /// WebSocket inside TLS.
    Wss,
    /// SCTP messages.
    Sctp,
}

impl Transport {
    /// Whether the transport itself repeats what was lost, so that transactions need not.
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// Whether messages are encrypted on the wire.
    pub const fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }

    /// The port that is meant when a URI or a Via names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Sctp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// The word in a Via header, upper case.
    pub const fn token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
            Transport::Sctp => "SCTP",
        }
    }

    /// The word in a `transport` URI parameter, lower case.
    pub const fn param(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
            Transport::Sctp => "sctp",
        }
    }

    /// The word for people and settings, which tells the six apart: lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Wss => "wss",
            other => other.param(),
        }
    }

    /// Reads the word of a Via header or of a `transport` parameter, in any case.
    pub fn from_token(token: &[u8]) -> Option<Transport> {
        const ALL: [Transport; 6] = [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Ws,
            Transport::Wss,
            Transport::Sctp,
        ];
        ALL.into_iter()
            .find(|t| token.eq_ignore_ascii_case(t.token().as_bytes()))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Names one connection of a stream transport for as long as it lives; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// No particular connection: any open one to the remote address, or a new one.
    pub const ANY: ConnectionId = ConnectionId(0);

    /// What tells a name of [`ConnectionId::named`] from that of a connection.
    const NAMED: u64 = 1 << 63;

    /// No particular connection, but one whose peer has shown that it is who is meant; `hash` stands for its name, which
    /// [`crate::endpoint::Output::Peer`] told (RFC 5922).
    pub const fn named(hash: u64) -> ConnectionId {
        ConnectionId(hash | ConnectionId::NAMED)
    }

    /// Whether it is one of [`ConnectionId::named`].
    pub const fn is_named(self) -> bool {
        self.0 & ConnectionId::NAMED != 0
    }

    /// Whether it is one connection and no other.
    pub const fn is_one(self) -> bool {
        self.0 != 0 && !self.is_named()
    }
}

/// A way between us and one peer (RFC 5626 §1): transport, our address, theirs, and for streams the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport protocol.
    pub transport: Transport,
    /// The address that we are bound to; what stands in our Via.
    pub local: SocketAddr,
    /// The peer's address as seen from here.
    pub remote: SocketAddr,
    /// The connection, for stream transports; [`ConnectionId::ANY`] lets the transport choose.
    pub connection: ConnectionId,
}

impl Flow {
    /// A datagram flow.
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            local,
            remote,
            connection: ConnectionId::ANY,
        }
    }
}

/// Bytes that leave on a flow.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where they go.
    pub flow: Flow,
    /// One whole message.
    pub bytes: Bytes,
}
