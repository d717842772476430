//! The addresses of this host.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::error::NetError;

/// Every address of this host with the length of its network prefix; link-local IPv6 left out.
///
/// # Errors
/// [`NetError::Interfaces`] when the system does not tell.
pub fn interfaces() -> Result<Vec<(IpAddr, u8)>, NetError> {
    let mut all: Vec<(IpAddr, u8)> = Vec::new();
    for interface in if_addrs::get_if_addrs().map_err(NetError::Interfaces)? {
        let (ip, prefix) = match interface.addr {
            if_addrs::IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen),
            if_addrs::IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen),
        };
        if !is_link_local(ip) && !all.iter().any(|(known, _)| *known == ip) {
            all.push((ip, prefix));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// The address from which packets to `remote` leave this host. Nothing is sent.
///
/// # Errors
/// [`NetError::NoRoute`] when no route leads there.
pub fn local_address_for(remote: IpAddr) -> Result<IpAddr, NetError> {
    let no_route = |source: io::Error| NetError::NoRoute { remote, source };
    let any: SocketAddr = match remote {
        IpAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connecting a datagram socket only looks the route up; any port but 0 will do.
    let socket = UdpSocket::bind(any).map_err(no_route)?;
    socket.connect((remote, 9)).map_err(no_route)?;
    Ok(socket.local_addr().map_err(no_route)?.ip())
}

/// The addresses that `address` stands for: itself, or all of its family when it is unspecified.
pub(crate) fn expand(address: SocketAddr, known: &[(IpAddr, u8)]) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    known
        .iter()
        .filter(|(ip, _)| ip.is_ipv4() == address.is_ipv4())
        .map(|(ip, _)| SocketAddr::new(*ip, address.port()))
        .collect()
}

/// The length of the network prefix of one of our addresses; a usual one when it is not known.
pub(crate) fn prefix_of(ip: IpAddr, known: &[(IpAddr, u8)]) -> u8 {
    let usual = if ip.is_ipv4() { 24 } else { 64 };
    known
        .iter()
        .find(|(one, _)| *one == ip)
        .map_or(usual, |(_, prefix)| *prefix)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_with_its_prefix() {
        let all = interfaces().unwrap();
        assert!(all.contains(&("127.0.0.1".parse().unwrap(), 8)), "{all:?}");
        assert!(all.iter().all(|(ip, _)| !is_link_local(*ip)));
        assert_eq!(prefix_of("127.0.0.1".parse().unwrap(), &all), 8);
    }

    #[test]
    fn packets_to_ourselves_leave_from_ourselves() {
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(local_address_for(ip).unwrap(), ip);
        }
    }

    #[test]
    fn unspecified_stands_for_all_of_its_family() {
        let known = [
            ("127.0.0.1".parse().unwrap(), 8),
            ("192.0.2.1".parse().unwrap(), 24),
            ("::1".parse().unwrap(), 128),
        ];
        let all = expand("0.0.0.0:5060".parse().unwrap(), &known);
        let want: Vec<SocketAddr> = ["127.0.0.1:5060", "192.0.2.1:5060"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(all, want);
        assert_eq!(expand("[::]:7".parse().unwrap(), &known).len(), 1);
        let one: SocketAddr = "198.51.100.1:5060".parse().unwrap();
        assert_eq!(expand(one, &known), [one]);
    }
}
