//! Whether and where a stream may be sent: the judgement on `c=` (RFC 8866 §5.7).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::session::Connection;

/// Where to send: a host, perhaps still a name, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Address or name.
    pub host: Host,
    /// Port, never 0.
    pub port: u16,
}

/// Host of a `c=` or `a=rtcp` line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address.
    Address(IpAddr),
    /// A name that somebody else must look up.
    Name(String),
}

/// Why nothing may be sent to a `c=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// No `c=` for the stream and none for the session.
    Missing,
    /// Network type is not `IN`.
    NetworkType,
    /// Address type is neither `IP4` nor `IP6`.
    AddressType,
    /// Neither an address of the stated family nor a host name.
    Malformed,
    /// A multicast group: no phone joins or feeds one because a peer says so.
    Multicast,
    /// The limited broadcast address.
    Broadcast,
    /// Our own machine, said by a peer that is not on it.
    Loopback,
}

impl Destination {
    /// Judges `c=`; `loopback` tells whether a loopback address is meant seriously, which is so only when we are on one ourselves.
    ///
    /// # Errors
    /// What makes the address unusable. The unspecified address is none of it: see [`Host::is_unspecified`].
    pub fn of(
        connection: Option<&Connection>,
        port: u16,
        loopback: bool,
    ) -> Result<Destination, AddressError> {
        let host = Host::of(connection.ok_or(AddressError::Missing)?)?;
        if host.is_loopback() && !loopback {
            return Err(AddressError::Loopback);
        }
        Ok(Destination { host, port })
    }

    /// The socket address, where the host is a literal.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(address) => Some(SocketAddr::new(address, self.port)),
            Host::Name(_) => None,
        }
    }

    /// The same host at another port.
    #[must_use]
    pub fn at(&self, port: u16) -> Destination {
        Destination {
            host: self.host.clone(),
            port,
        }
    }
}

impl Host {
    /// Reads `c=`.
    ///
    /// # Errors
    /// What makes the address unusable.
    pub fn of(connection: &Connection) -> Result<Host, AddressError> {
        if !connection.net_type.eq_ignore_ascii_case("IN") {
            return Err(AddressError::NetworkType);
        }
        let v4 = connection.address_type.eq_ignore_ascii_case("IP4");
        if !v4 && !connection.address_type.eq_ignore_ascii_case("IP6") {
            return Err(AddressError::AddressType);
        }
        // A time to live or a count of groups belongs to multicast only; the address in front of it is judged alone.
        let text = connection.address.split('/').next().unwrap_or_default();
        let suffixed = text.len() != connection.address.len();
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        let host = match bare.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() != v4 => return Err(AddressError::Malformed),
            Ok(address) => Host::Address(address),
            Err(_) if is_host_name(text) => Host::Name(text.to_owned()),
            Err(_) => return Err(AddressError::Malformed),
        };
        match host {
            Host::Address(address) if is_multicast(address) => Err(AddressError::Multicast),
            Host::Address(IpAddr::V4(Ipv4Addr::BROADCAST)) => Err(AddressError::Broadcast),
            _ if suffixed => Err(AddressError::Malformed),
            host => Ok(host),
        }
    }

    /// `0.0.0.0` or `::`: "do not send to me", the hold of RFC 2543.
    pub fn is_unspecified(&self) -> bool {
        matches!(self, Host::Address(address) if address.is_unspecified())
    }

    /// Whether this is the machine itself.
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Address(IpAddr::V4(address)) => address.is_loopback(),
            Host::Address(IpAddr::V6(address)) => {
                address.is_loopback() || mapped(*address).is_some_and(|v4| v4.is_loopback())
            }
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// IPv4 address inside an IPv6 one.
fn mapped(address: Ipv6Addr) -> Option<Ipv4Addr> {
    address.to_ipv4_mapped()
}

fn is_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast(),
        IpAddr::V6(address) => {
            address.is_multicast() || mapped(address).is_some_and(|v4| v4.is_multicast())
        }
    }
}

/// Letters, digits, hyphens and dots; a last label of digits only would be a broken IPv4 address (RFC 1123 §2.1).
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() < 64
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() < 254 && name.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Missing => "no connection address (c=)",
            AddressError::NetworkType => "network type of c= is not IN",
            AddressError::AddressType => "address type of c= is neither IP4 nor IP6",
            AddressError::Malformed => "address in c= is malformed",
            AddressError::Multicast => "address in c= is a multicast group",
            AddressError::Broadcast => "address in c= is the broadcast address",
            AddressError::Loopback => "address in c= is the loopback of this machine",
        })
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(kind: &str, address: &str) -> Result<Host, AddressError> {
        Host::of(&Connection {
            net_type: "IN".into(),
            address_type: kind.into(),
            address: address.into(),
            trailing: String::new(),
        })
    }

    #[test]
    fn good_and_bad_hosts() {
        assert_eq!(
            host("IP4", "192.0.2.1"),
            Ok(Host::Address("192.0.2.1".parse().unwrap()))
        );
        assert_eq!(
            host("IP6", "[2001:db8::1]"),
            Ok(Host::Address("2001:db8::1".parse().unwrap()))
        );
        assert_eq!(
            host("IP4", "host.example.com"),
            Ok(Host::Name("host.example.com".into()))
        );
        for (kind, bad, why) in [
            ("IP4", "192.0.2.256", AddressError::Malformed),
            ("IP4", "2001:db8::1", AddressError::Malformed),
            ("IP6", "192.0.2.1", AddressError::Malformed),
            ("IP4", "192.0.2.1/24", AddressError::Malformed),
            ("IP4", "a b", AddressError::Malformed),
            ("IP4", "", AddressError::Malformed),
            ("IP4", "224.2.1.1/127", AddressError::Multicast),
            ("IP6", "ff15::101/3", AddressError::Multicast),
            ("IP6", "::ffff:224.0.0.1", AddressError::Multicast),
            ("IP4", "255.255.255.255", AddressError::Broadcast),
            ("IP7", "192.0.2.1", AddressError::AddressType),
        ] {
            assert_eq!(host(kind, bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn loopback_only_among_ourselves() {
        let c = Connection::new("127.0.0.2".parse().unwrap());
        assert_eq!(
            Destination::of(Some(&c), 4000, false),
            Err(AddressError::Loopback)
        );
        assert_eq!(
            Destination::of(Some(&c), 4000, true).map(|d| d.to_string()),
            Ok("127.0.0.2:4000".into())
        );
        assert!(host("IP6", "::ffff:127.0.0.1").unwrap().is_loopback());
        assert!(host("IP4", "0.0.0.0").unwrap().is_unspecified());
    }
}
