//! Printing responses to a request (RFC 3261 §8.2.6), and where they go (§18.2.2, RFC 3581).

use std::net::SocketAddr;

use core::ops::Range;

use crate::flow::Flow;
use crate::header::{HeaderName, NameAddr, Via};
use crate::message::StatusCode;
use crate::random::push_decimal;
use crate::wire::{Edit, Packet};

/// A response to be made from a request.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    /// The status code.
    pub code: StatusCode,
    /// The reason phrase; the usual one when `None`.
    pub reason: Option<&'a str>,
    /// Headers beside those that are copied from the request. Values must not hold line ends; such a header is left out.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The tag in To; the transaction's own when `None`.
    pub to_tag: Option<&'a str>,
    /// Content-Type and body.
    pub body: Option<(&'a str, &'a [u8])>,
    /// Whether Record-Route is copied, as in responses that make a dialog (§12.1.1).
    pub record_route: bool,
}

impl<'a> Reply<'a> {
    /// A response with nothing but what is copied from the request.
    pub fn new(code: StatusCode) -> Reply<'a> {
        Reply {
            code,
            reason: None,
            headers: Vec::new(),
            to_tag: None,
            body: None,
            record_route: false,
        }
    }

    /// With another reason phrase.
    pub fn reason(mut self, reason: &'a str) -> Reply<'a> {
        self.reason = Some(reason);
        self
    }

    /// With one more header.
    pub fn header(mut self, name: &'a str, value: &'a str) -> Reply<'a> {
        self.headers.push((name, value));
        self
    }
}

/// The flow on which responses to a request leave.
///
/// A stream takes them back on its connection. A datagram goes to the address that the request came
/// from, and there to the port that it came from if the sender asked for that with `rport`, else to the
/// port in its Via.
pub fn reply_flow(flow: Flow, via: &Via<'_>) -> Flow {
    if flow.transport.is_reliable() || via.rport.is_some() {
        return flow;
    }
    let port = via.port.unwrap_or(flow.transport.default_port());
    Flow {
        remote: SocketAddr::new(flow.remote.ip(), port),
        ..flow
    }
}

/// Notes in the top Via of a request where it really came from (§18.2.1, RFC 3581 §4).
///
/// `value` is the header value that `via` was read from, a piece of the packet's bytes.
pub fn mark_source(
    edit: &mut Edit,
    packet: &Packet<'_>,
    value: &[u8],
    via: &Via<'_>,
    source: SocketAddr,
) {
    let Some(line) = offset_of(packet.bytes(), value) else {
        return;
    };
    for (range, mark) in marks(value, via, source).into_iter().flatten() {
        let range = line.start + range.start..line.start + range.end;
        edit.replace_with(range, |out| mark.write(out, source));
    }
}

/// What is noted about the source of a request.
#[derive(Clone, Copy)]
enum Mark {
    /// The port, as `rport`.
    Port,
    /// The address, in place of another one.
    Address,
    /// The address, as a new parameter.
    NewAddress,
}

impl Mark {
    fn write(self, out: &mut Vec<u8>, source: SocketAddr) {
        match self {
            Mark::Port => {
                out.extend_from_slice(b"rport=");
                return push_decimal(out, u64::from(source.port()));
            }
            Mark::Address => out.extend_from_slice(b"received="),
            Mark::NewAddress => out.extend_from_slice(b";received="),
        }
        write_ip(out, source.ip());
    }
}

/// What is noted in a Via, and in place of what, in the order of the places inside `value`.
fn marks(value: &[u8], via: &Via<'_>, source: SocketAddr) -> [Option<(Range<usize>, Mark)>; 2] {
    let port = match via.rport {
        Some(_) => offset_of(value, via.rport_raw()).map(|range| (range, Mark::Port)),
        None => None,
    };
    if port.is_none() && via.host.ip() == Some(source.ip()) {
        return [None, None];
    }
    let end = via.range().end;
    let address = match via.received_raw().and_then(|raw| offset_of(value, raw)) {
        Some(range) => (range, Mark::Address),
        None => (end..end, Mark::NewAddress),
    };
    match port {
        Some(port) if port.0.start > address.0.start => [Some(address), Some(port)],
        port => [port, Some(address)],
    }
}

fn write_ip(out: &mut Vec<u8>, ip: std::net::IpAddr) {
    match ip {
        std::net::IpAddr::V4(ip) => {
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                push_decimal(out, u64::from(octet));
            }
        }
        std::net::IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
}

/// Where `part` is inside `whole`, when it is a piece of the very same bytes.
pub(crate) fn offset_of(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let base = whole.as_ptr() as usize;
    let at = (part.as_ptr() as usize).checked_sub(base)?;
    let end = at.checked_add(part.len())?;
    (end <= whole.len()).then_some(at..end)
}

/// The bytes of a response: Via, From, To, Call-ID, CSeq of the request and what the reply adds.
pub fn print(
    request: &Packet<'_>,
    source: SocketAddr,
    reply: &Reply<'_>,
    own_tag: &str,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + reply.body.map_or(0, |b| b.1.len()));
    out.extend_from_slice(b"SIP/2.0 ");
    push_decimal(&mut out, u64::from(reply.code.0));
    out.push(b' ');
    let reason = reply.reason.unwrap_or(reply.code.reason());
    out.extend(reason.bytes().filter(|b| !matches!(b, b'\r' | b'\n')));
    out.extend_from_slice(b"\r\n");
    let mut top = true;
    let mut copied = 0u8;
    for header in request.headers() {
        let name = header.name();
        // A request that has one of these twice is refused, and the refusal has it once.
        let bit = match name {
            HeaderName::From => 1,
            HeaderName::To => 2,
            HeaderName::CallId => 4,
            HeaderName::CSeq => 8,
            _ => 0,
        };
        if copied & bit != 0 {
            continue;
        }
        copied |= bit;
        match name {
            HeaderName::Via => {
                write_via_line(&mut out, header.value(), source, top);
                top = false;
            }
            HeaderName::From => line(&mut out, "From", header.value()),
            HeaderName::To => {
                let tag = reply.to_tag.unwrap_or(own_tag);
                write_to(&mut out, header.value(), reply.code, tag);
            }
            HeaderName::CallId => line(&mut out, "Call-ID", header.value()),
            HeaderName::CSeq => line(&mut out, "CSeq", header.value()),
            HeaderName::RecordRoute if reply.record_route => {
                line(&mut out, "Record-Route", header.value());
            }
            HeaderName::Timestamp if reply.code.0 == 100 => {
                line(&mut out, "Timestamp", header.value());
            }
            _ => {}
        }
    }
    for (name, value) in &reply.headers {
        if !value.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            line(&mut out, name, value.as_bytes());
        }
    }
    if let Some((kind, _)) = reply.body {
        line(&mut out, "Content-Type", kind.as_bytes());
    }
    let body = reply.body.map_or(&[][..], |b| b.1);
    out.extend_from_slice(b"Content-Length: ");
    push_decimal(&mut out, body.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_to(out: &mut Vec<u8>, value: &[u8], code: StatusCode, tag: &str) {
    out.extend_from_slice(b"To: ");
    out.extend_from_slice(value);
    let tagged = || NameAddr::parse(value).is_ok_and(|n| n.tag().is_some());
    if code.0 != 100 && !tag.is_empty() && !tagged() {
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(tag.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_via_line(out: &mut Vec<u8>, value: &[u8], source: SocketAddr, top: bool) {
    out.extend_from_slice(b"Via: ");
    let mut at = 0;
    if top && let Ok(via) = Via::parse(value) {
        for (range, mark) in marks(value, &via, source).into_iter().flatten() {
            out.extend_from_slice(value.get(at..range.start).unwrap_or_default());
            mark.write(out, source);
            at = range.end;
        }
    }
    out.extend_from_slice(value.get(at..).unwrap_or_default());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_noted_in_whatever_order_the_parameters_stand() {
        let source = "192.0.2.7:4000".parse().unwrap();
        for (value, noted) in [
            (
                "a;rport;branch=1",
                "a;rport=4000;branch=1;received=192.0.2.7",
            ),
            (
                "a;received=9.9.9.9;x;rport=1",
                "a;received=192.0.2.7;x;rport=4000",
            ),
            (
                "a;rport=1;received=9.9.9.9 , b",
                "a;rport=4000;received=192.0.2.7 , b",
            ),
            ("192.0.2.7;rport", "192.0.2.7;rport=4000;received=192.0.2.7"),
            ("192.0.2.7:9;branch=1", "192.0.2.7:9;branch=1"),
            ("a;branch=1 , b", "a;branch=1;received=192.0.2.7 , b"),
        ] {
            let value = format!("SIP/2.0/UDP {value}");
            let mut out = Vec::new();
            write_via_line(&mut out, value.as_bytes(), source, true);
            let expected = format!("Via: SIP/2.0/UDP {noted}\r\n");
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
