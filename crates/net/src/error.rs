//! What can go wrong when a network starts, said for the person who started it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use sip::flow::Transport;

/// Why a network could not start, or a port could not be had.
#[derive(Debug)]
pub enum NetError {
    /// The address could not be bound.
    Listen {
        /// The transport asked for.
        transport: Transport,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The transport cannot be listened on.
    Unsupported {
        /// The transport asked for.
        transport: Transport,
    },
    /// TLS cannot be accepted without a certificate.
    NoCertificate {
        /// The transport asked for.
        transport: Transport,
    },
    /// Nothing to listen on was given, or no shard to run.
    Nothing {
        /// What is missing.
        what: &'static str,
    },
    /// The addresses of this host could not be read.
    Interfaces(io::Error),
    /// Every port pair of the range is taken.
    NoPortPair {
        /// The address on which a pair was sought.
        address: IpAddr,
        /// The lowest port of the range.
        first: u16,
        /// The highest port of the range.
        last: u16,
    },
    /// No route leads to the peer.
    NoRoute {
        /// The peer.
        remote: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something that every network needs.
    System {
        /// What was refused.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetError::Listen {
                transport,
                address,
                source,
            } => {
                let transport = transport.name();
                write!(f, "cannot listen on {transport} {address}: ")?;
                write_listen_reason(f, *address, source)
            }
            NetError::Unsupported { transport } => {
                let transport = transport.name();
                write!(
                    f,
                    "cannot listen on {transport}: this build does not have this transport; use udp, tcp, tls, ws or wss"
                )
            }
            NetError::NoCertificate { transport } => {
                let transport = transport.name();
                write!(
                    f,
                    "cannot listen on {transport}: it needs a certificate and its key"
                )
            }
            NetError::Nothing { what } => write!(f, "cannot start the network: {what}"),
            NetError::Interfaces(source) => {
                write!(
                    f,
                    "cannot read the network addresses of this host: {source}"
                )
            }
            NetError::NoPortPair {
                address,
                first,
                last,
            } => write!(
                f,
                "no free pair of UDP ports on {address} between {first} and {last}: \
                 end some calls or widen the range of media ports"
            ),
            NetError::NoRoute { remote, source } => {
                write!(f, "no way to {remote}: {source}; check this host's network")
            }
            NetError::System { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

fn write_listen_reason(
    f: &mut fmt::Formatter<'_>,
    address: SocketAddr,
    source: &io::Error,
) -> fmt::Result {
    match source.kind() {
        io::ErrorKind::AddrInUse => f.write_str(
            "address already in use; another program (perhaps another sori or Kamailio) has this \
             port: stop it or choose another with --sip",
        ),
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "this host has no address {}; choose one of its own with --sip, or 0.0.0.0 or [::] for all",
            address.ip()
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "not permitted; ports below 1024 need more rights: choose a higher one than {} with --sip",
            address.port()
        ),
        _ => write!(f, "{source}; choose another address with --sip"),
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            NetError::Listen { source, .. }
            | NetError::Interfaces(source)
            | NetError::NoRoute { source, .. }
            | NetError::System { source, .. } => Some(source),
            NetError::Unsupported { .. }
            | NetError::NoCertificate { .. }
            | NetError::Nothing { .. }
            | NetError::NoPortPair { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_says_what_to_do() {
        let error = NetError::Listen {
            transport: Transport::Udp,
            address: "0.0.0.0:5060".parse().unwrap(),
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        assert_eq!(
            error.to_string(),
            "cannot listen on udp 0.0.0.0:5060: address already in use; another program (perhaps \
             another sori or Kamailio) has this port: stop it or choose another with --sip"
        );
    }
}
