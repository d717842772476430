//! Who a message comes from, as far as protection goes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One source: an IPv4 address, or the IPv6 network of 64 bits that one customer has at least (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u64, bool);

impl Source {
    /// The source that an address belongs to. An IPv4 address in IPv6 clothes is that IPv4 address.
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(v4) => Source(u64::from(u32::from(v4)), false),
            IpAddr::V6(v6) => Source((u128::from(v6) >> 64) as u64, true),
        }
    }

    /// The address, the first of its network with IPv6.
    pub fn address(self) -> IpAddr {
        match self {
            Source(bits, false) => Ipv4Addr::from(bits as u32).into(),
            Source(bits, true) => Ipv6Addr::from(u128::from(bits) << 64).into(),
        }
    }

    /// What distinguishes it from others.
    pub fn octets(self) -> [u8; 9] {
        let mut octets = [u8::from(self.1); 9];
        for (to, from) in octets.iter_mut().zip(self.0.to_be_bytes()) {
            *to = from;
        }
        octets
    }
}

/// Addresses that begin with the same bits: `192.0.2.0/24`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The addresses whose first `prefix` bits are those of `address`; `None` when it has not that many.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Network> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Network { address, prefix })
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let apart = u32::from(own) ^ u32::from(other);
                apart.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let apart = u128::from(own) ^ u128::from(other);
                apart.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Network {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Network { address, prefix }
    }
}

impl core::str::FromStr for Network {
    type Err = String;

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
    fn from_str(text: &str) -> Result<Network, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let wrong = || format!("{text} is neither an address nor a network such as 192.0.2.0/24");
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        match prefix {
            None => Ok(address.into()),
            Some(prefix) => {
                let prefix = prefix.trim().parse().map_err(|_| wrong())?;
                Network::new(address, prefix).ok_or_else(wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_source_and_an_ipv4_address_is_one() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1").octets(), of("0:0:c000:201::").octets());
        assert_eq!(of("192.0.2.1").address().to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8::9").address().to_string(), "2001:db8::");
    }

    #[test]
    fn networks_hold_what_begins_alike() {
        let network: Network = "192.0.2.0/25".parse().unwrap();
        for (address, inside) in [
            ("192.0.2.0", true),
            ("192.0.2.127", true),
            ("::ffff:192.0.2.5", true),
            ("192.0.2.128", false),
            ("2001:db8::", false),
        ] {
            assert_eq!(
                network.contains(address.parse().unwrap()),
                inside,
                "{address}"
            );
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        let six: Network = "2001:db8::/32".parse().unwrap();
        assert!(six.contains("2001:db8:ffff::1".parse().unwrap()));
        assert!(!six.contains("2001:db9::1".parse().unwrap()));
        for wrong in ["192.0.2.0/33", "example.org", "::/129", "1.2.3.4/", "/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
