//! Via (RFC 3261 §20.42, RFC 3581).

use core::net::{IpAddr, Ipv6Addr};
use core::ops::Range;

use super::ParseError;
use super::cursor::{Cursor, TOKEN, decimal, is_ws};
use super::params::{Param, Params};
use crate::flow::Transport;
use crate::uri::Host;

/// One hop that the request has passed: `SIP/2.0/UDP host:port;branch=…`.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The transport, in the case in which it stands there.
    pub transport: &'a [u8],
    /// Who sent the request.
    pub host: Host<'a>,
    /// The port where the sender waits for responses; the transport's default when `None`.
    pub port: Option<u16>,
    /// The transaction's identifier.
    pub branch: Option<&'a [u8]>,
    /// Where the request really came from; `None` too when it is not an address.
    pub received: Option<IpAddr>,
    /// RFC 3581: `Some(None)` asks for the source port, `Some(Some(port))` is the answer.
    pub rport: Option<Option<u16>>,
    /// The address to send responses to instead.
    pub maddr: Option<&'a [u8]>,
    /// The time to live of multicast responses.
    pub ttl: Option<u8>,
    /// All parameters.
    pub params: Params<'a>,
    raw: &'a [u8],
    host_raw: &'a [u8],
    rport_raw: &'a [u8],
    received_raw: Option<&'a [u8]>,
    start: usize,
    next: Option<usize>,
}

/// What every branch since RFC 3261 starts with (§8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

impl<'a> Via<'a> {
    /// Reads the first value of a header line, which may hold more of them after a comma.
    pub fn parse(value: &'a [u8]) -> Result<Via<'a>, ParseError> {
        Via::parse_at(value, 0)
    }

    /// Reads all values of a header line.
    pub fn parse_list(value: &'a [u8]) -> Vias<'a> {
        Vias { value, at: Some(0) }
    }

    /// Where this value stands in its header line, without the white space around it.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.raw.len()
    }

    /// The bytes of this value, without the white space around it.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The host as it stands there, with the brackets of an IPv6 address.
    pub fn host_raw(&self) -> &'a [u8] {
        self.host_raw
    }

    /// The bytes of the `rport` parameter with its value; empty when there is none.
    pub fn rport_raw(&self) -> &'a [u8] {
        self.rport_raw
    }

    /// The bytes of the `received` parameter with its value.
    pub fn received_raw(&self) -> Option<&'a [u8]> {
        self.received_raw
    }

    /// Where the next value of the same header line starts. To take this value off the line, cut
    /// from `range().start` to here.
    pub fn next_at(&self) -> Option<usize> {
        self.next
    }

    /// Whether the branch identifies the transaction alone (RFC 3261 §17.2.3): it has the cookie
    /// and something behind it.
    pub fn has_magic_cookie(&self) -> bool {
        self.branch.is_some_and(|b| {
            b.len() > MAGIC_COOKIE.len()
                && b.get(..MAGIC_COOKIE.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(MAGIC_COOKIE))
        })
    }

    /// The port, or the default of the transport (RFC 3261 §18.2.2).
    pub fn port_or_default(&self) -> u16 {
        let transport = Transport::from_token(self.transport);
        self.port
            .unwrap_or(transport.map_or(5060, Transport::default_port))
    }

    fn parse_at(value: &'a [u8], at: usize) -> Result<Via<'a>, ParseError> {
        let mut cursor = Cursor::new(value, at);
        cursor.skip_ws();
        let start = cursor.at();
        protocol(&mut cursor)?;
        let transport = cursor.token("Via: no transport")?;
        if !cursor.peek().is_some_and(is_ws) {
            return Err(cursor.error("Via: no blank after the transport"));
        }
        cursor.skip_ws();
        let host_at = cursor.at();
        let host = Host::take(&mut cursor)?;
        let host_raw = cursor.since(host_at);
        let port = if cursor.eat_spaced(b':') {
            Some(port(&mut cursor)?)
        } else {
            None
        };
        let mut via = Via {
            transport,
            host,
            port,
            branch: None,
            received: None,
            rport: None,
            maddr: None,
            ttl: None,
            params: Params::default(),
            raw: &[],
            host_raw,
            rport_raw: &[],
            received_raw: None,
            start,
            next: None,
        };
        let params = Params::take(&mut cursor, |param| via.note(param))?;
        via.params = params;
        if cursor.peek() == Some(b'(') {
            cursor.comments()?;
        }
        via.raw = cursor.since(start).trim_ascii_end();
        if cursor.end_of_value()? {
            via.next = Some(cursor.at());
        }
        Ok(via)
    }

    #[inline]
    fn note(&mut self, param: Param<'a>) {
        match param.name.len() {
            6 if self.branch.is_none() && param.is(b"branch") => self.branch = param.value,
            8 if self.received_raw.is_none() && param.is(b"received") => {
                self.received_raw = Some(param.raw);
                self.received = param.value.and_then(address);
            }
            5 if self.rport.is_none() && param.is(b"rport") => {
                self.rport_raw = param.raw;
                let port = param.value.and_then(decimal);
                self.rport = Some(port.and_then(|p| u16::try_from(p).ok()));
            }
            5 if self.maddr.is_none() && param.is(b"maddr") => self.maddr = param.value,
            3 if self.ttl.is_none() && param.is(b"ttl") => {
                let ttl = param.value.and_then(decimal);
                self.ttl = ttl.and_then(|t| u8::try_from(t).ok());
            }
            _ => {}
        }
    }
}

/// The values of one Via line, top down; ends after the first that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Vias<'a> {
    value: &'a [u8],
    at: Option<usize>,
}

impl<'a> Iterator for Vias<'a> {
    type Item = Result<Via<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let via = Via::parse_at(self.value, self.at?);
        self.at = via.as_ref().ok().and_then(Via::next_at);
        Some(via)
    }
}

/// Takes `SIP/2.0/`, with blanks around the slashes when need be.
#[inline]
fn protocol(cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    if cursor.rest().starts_with(b"SIP/2.0/") {
        cursor.skip(8);
        cursor.skip_ws();
        return Ok(());
    }
    let name = cursor.take(TOKEN);
    if !name.eq_ignore_ascii_case(b"SIP") || !cursor.eat_spaced(b'/') {
        return Err(cursor.error("Via: the protocol is not SIP"));
    }
    let version = cursor.take(TOKEN);
    if version != b"2.0" || !cursor.eat_spaced(b'/') {
        return Err(cursor.error("Via: the version is not 2.0"));
    }
    Ok(())
}

fn port(cursor: &mut Cursor<'_>) -> Result<u16, ParseError> {
    let digits = cursor.take(TOKEN);
    decimal(digits)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| cursor.error("Via: the port is not a number up to 65535"))
}

/// An address; IPv6 with or without brackets (RFC 5118 §4.5).
fn address(text: &[u8]) -> Option<IpAddr> {
    match Host::parse(text) {
        Ok(Host::V4(ip)) => Some(IpAddr::V4(ip)),
        Ok(Host::V6(ip)) => Some(IpAddr::V6(ip)),
        _ => core::str::from_utf8(text)
            .ok()?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn everything_a_via_may_carry() {
        let via = Via::parse(
            b"SIP/2.0/UDP pc33.atlanta.com:5066 ;maddr=224.2.0.1;ttl=16 ;branch=z9hG4bK776;\
              rport=9988;received=192.0.2.1;x=\"a,b\"",
        )
        .unwrap();
        assert_eq!(via.transport, b"UDP");
        assert_eq!(via.host, Host::Name(b"pc33.atlanta.com"));
        assert_eq!(via.port, Some(5066));
        assert_eq!(via.branch, Some(&b"z9hG4bK776"[..]));
        assert_eq!(via.received, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(via.rport, Some(Some(9988)));
        assert_eq!(via.maddr, Some(&b"224.2.0.1"[..]));
        assert_eq!(via.ttl, Some(16));
        assert!(via.has_magic_cookie());
        assert_eq!(via.params.count(), 6);
        assert_eq!(via.rport_raw(), b"rport=9988");
        assert_eq!(via.received_raw(), Some(&b"received=192.0.2.1"[..]));
        assert_eq!(via.host_raw(), b"pc33.atlanta.com");
        assert!(via.raw().ends_with(b"x=\"a,b\""));
        assert_eq!(via.next_at(), None);
    }

    #[test]
    fn blanks_and_folds_everywhere() {
        let value = b" SIP  / 2.0\r\n  / TCP     spindle.example.com\r\n  : 5070  ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239";
        let vias: Vec<_> = Via::parse_list(value).map(Result::unwrap).collect();
        assert_eq!(vias.len(), 2);
        assert_eq!(vias[0].port, Some(5070));
        assert_eq!(vias[0].branch, Some(&b"z9hG4bK9ikj8"[..]));
        assert_eq!(vias[1].branch, Some(&b"z9hG4bK30239"[..]));
        assert_eq!(vias[1].host, Host::V4(Ipv4Addr::new(192, 168, 255, 111)));
        assert_eq!(vias[0].next_at(), Some(vias[1].range().start));
        assert!(value[vias[0].range()].ends_with(b"z9hG4bK9ikj8"));
        assert_eq!(vias[1].range().end, value.len());
    }

    #[test]
    fn received_may_be_ipv6_with_or_without_brackets() {
        for text in ["2001:db8::9:255", "[2001:db8::9:255]"] {
            let value = format!("SIP/2.0/UDP [2001:db8::9:1]:99;received={text};rport");
            let via = Via::parse(value.as_bytes()).unwrap();
            assert_eq!(via.received, Some("2001:db8::9:255".parse().unwrap()));
            assert_eq!(via.port, Some(99));
            assert_eq!(via.rport, Some(None));
        }
        let odd = Via::parse(b"SIP/2.0/UDP a;received=unknown;rport=x;ttl=256").unwrap();
        assert_eq!((odd.received, odd.rport, odd.ttl), (None, Some(None), None));
    }

    #[test]
    fn the_first_of_a_repeated_parameter_counts() {
        let via = Via::parse(
            b"SIP/2.0/UDP a;branch=1;branch=2;received=1.1.1.1;received=2.2.2.2;\
              rport=3;rport=4;maddr=b;maddr=c;ttl=5;ttl=6",
        )
        .unwrap();
        assert_eq!((via.branch, via.maddr), (Some(&b"1"[..]), Some(&b"b"[..])));
        assert_eq!(via.received, Some(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))));
        assert_eq!((via.rport, via.ttl), (Some(Some(3)), Some(5)));
        assert_eq!(via.rport_raw(), b"rport=3");
        assert_eq!(via.received_raw(), Some(&b"received=1.1.1.1"[..]));
    }

    #[test]
    fn a_comment_may_follow() {
        let value = b"SIP/2.0/UDP a;branch=1 (Acme, (7)), SIP/2.0/TCP b (x)";
        let vias: Vec<_> = Via::parse_list(value).map(Result::unwrap).collect();
        assert_eq!(vias.len(), 2);
        assert_eq!(
            &value[vias[0].range()],
            b"SIP/2.0/UDP a;branch=1 (Acme, (7))"
        );
    }

    #[test]
    fn a_cookie_alone_identifies_nothing() {
        for (branch, has) in [("z9hG4bK", false), ("z9hG4bKx", true), ("1", false)] {
            let value = format!("SIP/2.0/UDP a;branch={branch}");
            assert_eq!(
                Via::parse(value.as_bytes()).unwrap().has_magic_cookie(),
                has
            );
        }
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for bad in [
            &b""[..],
            b"SIP/7.0/UDP a",
            b"HTTP/2.0/UDP a",
            b"SIP/2.0/ a",
            b"SIP/2.0/UDP",
            b"SIP/2.0/UDP ",
            b"SIP/2.0/UDPa",
            b"SIP/2.0/UDP a:",
            b"SIP/2.0/UDP a:65536",
            b"SIP/2.0/UDP a:x",
            b"SIP/2.0/UDP [::1",
            b"SIP/2.0/UDP 2001:db8::1",
            b"SIP/2.0/UDP a;;,;,,",
            b"SIP/2.0/UDP a,",
            b"SIP/2.0/UDP a b",
            b"SIP/2.0/UDP a (x",
        ] {
            assert!(Via::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
