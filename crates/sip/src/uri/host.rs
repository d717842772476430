//! The host of a URI or a Via.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::header::ParseError;
use crate::header::cursor::{Cursor, HOST, is};

/// A host: a name, compared without case and without a dot at its end, or an address.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// A domain name, in the case in which it stands there.
    Name(&'a [u8]),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; in brackets on the wire.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host without a port; IPv6 stands in brackets.
    pub fn parse(text: &'a [u8]) -> Result<Host<'a>, ParseError> {
        let mut cursor = Cursor::new(text, 0);
        let host = Host::take(&mut cursor)?;
        if cursor.is_end() {
            Ok(host)
        } else {
            Err(cursor.error("host: an octet that may not stand there"))
        }
    }

    /// The address, when it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Host::Name(_) => None,
            Host::V4(ip) => Some(IpAddr::V4(ip)),
            Host::V6(ip) => Some(IpAddr::V6(ip)),
        }
    }

    /// The name without dots at its end; `None` for an address.
    pub fn name(&self) -> Option<&'a [u8]> {
        match *self {
            Host::Name(mut name) => {
                while let [rest @ .., b'.'] = name {
                    name = rest;
                }
                Some(name)
            }
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn take(cursor: &mut Cursor<'a>) -> Result<Host<'a>, ParseError> {
        match cursor.peek() {
            Some(b'[') => return reference(cursor),
            Some(b'0'..=b'9') => {
                let (ip, len) = v4(cursor.rest());
                let next = cursor.rest().get(len);
                if let Some(ip) = ip
                    && !next.is_some_and(|b| is(*b, HOST))
                {
                    cursor.skip(len);
                    return Ok(Host::V4(ip));
                }
            }
            _ => {}
        }
        let from = cursor.at();
        let text = cursor.take(HOST);
        match text.first() {
            None | Some(b'.') => Err(ParseError::new("no host", from)),
            Some(_) => Ok(Host::Name(text)),
        }
    }

    pub(super) fn write_canonical(&self, out: &mut Vec<u8>) {
        match self.name() {
            Some(name) => out.extend(name.iter().map(u8::to_ascii_lowercase)),
            None => out.extend_from_slice(self.to_string().as_bytes()),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::V4(a), Host::V4(b)) => a == b,
            (Host::V6(a), Host::V6(b)) => a == b,
            _ => match (self.name(), other.name()) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                _ => false,
            },
        }
    }
}

impl Eq for Host<'_> {}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => String::from_utf8_lossy(name).fmt(f),
            Host::V4(ip) => ip.fmt(f),
            Host::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

impl From<IpAddr> for Host<'static> {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        }
    }
}

/// Takes `[IPv6]`.
fn reference<'a>(cursor: &mut Cursor<'a>) -> Result<Host<'a>, ParseError> {
    let from = cursor.at();
    let wrong = ParseError::new("no IPv6 address between the brackets", from);
    // The longest text form of an address has 45 octets.
    let window = cursor.rest().get(1..).unwrap_or_default();
    let len = window
        .iter()
        .take(46)
        .position(|b| *b == b']')
        .ok_or(wrong)?;
    let ip = v6(window.get(..len).unwrap_or_default()).ok_or(wrong)?;
    cursor.skip(len + 2);
    Ok(Host::V6(ip))
}

fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let text = core::str::from_utf8(text).ok()?;
    if let Some((head, tail)) = text.split_once(":::") {
        return three_colons(head, tail);
    }
    text.parse().ok()
}

/// The grammar of RFC 3261 puts a third colon before an IPv4 tail; it means two (RFC 5118 §4.10).
#[cold]
fn three_colons(head: &str, tail: &str) -> Option<Ipv6Addr> {
    v4(tail.as_bytes()).0?;
    let mut buffer = [0u8; 48];
    let mut at = 0;
    for part in [head, "::", tail] {
        let end = at + part.len();
        buffer.get_mut(at..end)?.copy_from_slice(part.as_bytes());
        at = end;
    }
    core::str::from_utf8(buffer.get(..at)?).ok()?.parse().ok()
}

/// Four decimal numbers up to 255, leading zeros as the grammar allows them (RFC 3261 §25.1), and
/// how many octets they take; what follows is not looked at.
#[inline]
fn v4(text: &[u8]) -> (Option<Ipv4Addr>, usize) {
    let (mut address, mut part, mut dots) = (0u32, 0u32, 0);
    // Where the part that is being read starts.
    let mut from = 0;
    let mut at = 0;
    for b in text {
        let digit = b.wrapping_sub(b'0');
        if digit < 10 {
            if at - from == 3 {
                break;
            }
            part = part * 10 + u32::from(digit);
        } else {
            if *b != b'.' || at == from || part > 255 || dots == 3 {
                break;
            }
            address = address << 8 | part;
            part = 0;
            dots += 1;
            from = at + 1;
        }
        at += 1;
    }
    if dots != 3 || at == from || part > 255 {
        return (None, at);
    }
    (Some(Ipv4Addr::from_bits(address << 8 | part)), at)
}
