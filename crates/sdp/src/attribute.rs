//! `a=` lines (RFC 8866 §5.13): kept raw and in order, read when asked.

use crate::direction::Direction;
use crate::session::Connection;

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Name, case sensitive.
    pub name: String,
    /// What stands behind the first colon; none for a flag.
    pub value: Option<String>,
}

impl Attribute {
    /// `a=name`
    pub fn flag(name: &str) -> Attribute {
        Attribute {
            name: name.to_owned(),
            value: None,
        }
    }

    /// `a=name:value`
    pub fn new(name: &str, value: impl Into<String>) -> Attribute {
        Attribute {
            name: name.to_owned(),
            value: Some(value.into()),
        }
    }

    /// Reads what stands behind `a=`.
    pub fn parse(text: &str) -> Attribute {
        match text.split_once(':') {
            Some((name, value)) => Attribute::new(name, value),
            None => Attribute::flag(text),
        }
    }
}

/// Longest packet that anybody means seriously.
const MAX_PACKET_MS: u32 = 1000;

/// Value of the first attribute of that name; empty for a flag.
pub fn first<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|a| a.name == name)
        .map(|a| a.value.as_deref().unwrap_or(""))
}

/// Values of all attributes of that name, in order.
pub fn all<'a>(attributes: &'a [Attribute], name: &'static str) -> impl Iterator<Item = &'a str> {
    attributes
        .iter()
        .filter(move |a| a.name == name)
        .map(|a| a.value.as_deref().unwrap_or(""))
}

/// First direction in the list.
pub fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes
        .iter()
        .filter(|a| a.value.is_none())
        .find_map(|a| Direction::from_name(&a.name))
}

/// Payload number at the start of an `rtpmap` or `fmtp` value; a blank before it is seen in the wild.
pub(crate) fn number_of(value: &str) -> Option<u8> {
    value
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
        .filter(|n| *n < 128)
}

/// Text behind the payload number.
pub(crate) fn behind_number(value: &str) -> Option<String> {
    let (_, rest) = value.trim_start().split_once([' ', '\t'])?;
    let rest = rest.trim();
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// A packet length between 1 ms and one second. RFC 8866 allows a fraction; RTP clocks of telephony do not need it.
pub(crate) fn milliseconds(value: &str) -> Option<u32> {
    let whole = value.trim().split('.').next()?;
    whole
        .parse()
        .ok()
        .filter(|ms| (1..=MAX_PACKET_MS).contains(ms))
}

/// `a=rtcp:port [nettype addrtype address]` (RFC 3605 §2.1).
pub(crate) fn rtcp(value: &str) -> Option<(u16, Option<Connection>)> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let connection = match (words.next(), words.next(), words.next()) {
        (Some(net_type), Some(address_type), Some(address)) => Some(Connection {
            net_type: net_type.to_owned(),
            address_type: address_type.to_owned(),
            address: address.to_owned(),
            trailing: String::new(),
        }),
        _ => None,
    };
    Some((port, connection))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_lengths() {
        assert_eq!(milliseconds("20"), Some(20));
        assert_eq!(milliseconds(" 30 "), Some(30));
        assert_eq!(milliseconds("22.5"), Some(22));
        for absurd in ["0", "abc", "", "-20", "4294967296", "1001"] {
            assert_eq!(milliseconds(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn rtcp_with_and_without_address() {
        assert_eq!(rtcp("53020"), Some((53020, None)));
        let (port, connection) = rtcp("53020 IN IP6 2001:db8::1").unwrap();
        assert_eq!(
            (port, connection.unwrap().address.as_str()),
            (53020, "2001:db8::1")
        );
        assert_eq!(rtcp("0"), None);
        assert_eq!(rtcp("70000"), None);
    }

    #[test]
    fn flags_and_values() {
        assert_eq!(Attribute::parse("sendrecv"), Attribute::flag("sendrecv"));
        assert_eq!(
            Attribute::parse("group:BUNDLE a:b"),
            Attribute::new("group", "BUNDLE a:b")
        );
        assert_eq!(number_of(" 8 PCMA/8000"), Some(8));
        assert_eq!(number_of("128 x/1"), None);
        assert_eq!(behind_number("101 0-15 "), Some("0-15".to_owned()));
        assert_eq!(behind_number("101"), None);
    }
}
