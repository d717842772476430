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
}
