//! Pairs of UDP ports for RTP and RTCP (RFC 3550 §11): an even one and the odd one above it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::NetError;

/// Hands out port pairs of one range, starting at a random place each time so that a port just
/// freed is not given to the next call.
#[derive(Clone, Debug)]
pub struct RtpPorts {
    first: u32,
    last: u16,
}

/// Two bound sockets; dropping them frees the ports.
#[derive(Debug)]
pub struct PortPair {
    /// Bound to the even port.
    pub rtp: UdpSocket,
    /// Bound to the odd port above it.
    pub rtcp: UdpSocket,
    /// The even port.
    pub port: u16,
}

impl RtpPorts {
    /// Ports of this range; an odd first port and an even last one are left out.
    pub fn new(range: RangeInclusive<u16>) -> RtpPorts {
        RtpPorts {
            // Binding port 0 would mean any port.
            first: (u32::from(*range.start()).max(1) + 1) & !1,
            last: *range.end(),
        }
    }

    /// How many pairs the range holds.
    pub fn pairs(&self) -> u16 {
        let ports = u32::from(self.last) + 1;
        let ports = ports.saturating_sub(self.first);
        u16::try_from(ports / 2).unwrap_or(u16::MAX)
    }

    /// Binds a free pair on `address`, IPv4 or IPv6. The sockets are blocking.
    ///
    /// # Errors
    /// [`NetError::NoPortPair`] when the whole range is taken, [`NetError::System`] when no socket
    /// can be had on this address at all.
    pub fn allocate(&self, address: IpAddr) -> Result<PortPair, NetError> {
        let pairs = u32::from(self.pairs());
        let start = random() % pairs.max(1);
        for n in 0..pairs {
            let place = (start + n) % pairs;
            let port = self.first + 2 * place;
            let Ok(port) = u16::try_from(port) else {
                continue;
            };
            match bind_pair(address, port) {
                Ok(pair) => return Ok(pair),
                Err(e) if is_taken(&e) => {}
                Err(source) => {
                    return Err(NetError::System {
                        what: "cannot open a media port",
                        source,
                    });
                }
            }
        }
        Err(NetError::NoPortPair {
            address,
            first: u16::try_from(self.first).unwrap_or(u16::MAX),
            last: self.last,
        })
    }
}

fn bind_pair(address: IpAddr, port: u16) -> io::Result<PortPair> {
    Ok(PortPair {
        rtp: bind(address, port)?,
        rtcp: bind(address, port | 1)?,
        port,
    })
}

fn bind(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let domain = match address {
        IpAddr::V4(_) => Domain::IPV4,
        IpAddr::V6(_) => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    Ok(socket.into())
}

/// Whether the port is not for us, so that the next one is worth trying.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// The standard library seeds each of these anew.
fn random() -> u32 {
    (RandomState::new().build_hasher().finish() >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_even_and_odd_on_both_families() {
        let ports = RtpPorts::new(41_001..=41_100);
        assert_eq!(ports.pairs(), 49);
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            let pair = ports.allocate(address).unwrap();
            assert_eq!(pair.port % 2, 0);
            assert!((41_002..=41_098).contains(&pair.port));
            assert_eq!(pair.rtp.local_addr().unwrap().port(), pair.port);
            assert_eq!(pair.rtcp.local_addr().unwrap().port(), pair.port + 1);
            assert_eq!(pair.rtcp.local_addr().unwrap().ip(), address);
        }
    }

    #[test]
    fn every_pair_of_the_range_is_used_once_and_comes_back() {
        let ports = RtpPorts::new(42_000..=42_019);
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let mut held: Vec<PortPair> = (0..10).map(|_| ports.allocate(address).unwrap()).collect();
        let mut numbers: Vec<u16> = held.iter().map(|p| p.port).collect();
        numbers.sort_unstable();
        let all: Vec<u16> = (42_000..42_020).step_by(2).collect();
        assert_eq!(numbers, all);
        let error = ports.allocate(address).unwrap_err();
        assert!(matches!(error, NetError::NoPortPair { .. }), "{error}");
        let freed = held.pop().unwrap().port;
        assert_eq!(ports.allocate(address).unwrap().port, freed);
    }

    #[test]
    fn the_ends_of_the_port_space_do_not_overflow() {
        assert_eq!(RtpPorts::new(65_535..=65_535).pairs(), 0);
        assert_eq!(RtpPorts::new(65_534..=65_535).pairs(), 1);
        assert_eq!(RtpPorts::new(0..=65_535).pairs(), 32_767);
        assert_eq!(RtpPorts::new(11..=12).pairs(), 0);
        assert_eq!(RtpPorts::new(RangeInclusive::new(10, 4)).pairs(), 0);
    }
}
