//! What must hold for any bytes at all: for fuzzing, and for tests with bytes that were found so.

use sip::auth;
use sip::endpoint::{Config, Event, Input, Listener, Output};
use sip::flow::{Flow, Transport};
use sip::header::*;
use sip::message::StatusCode;
use sip::proxy::{Forward, Target};
use sip::respond::Reply;
use sip::time::Time;
use sip::uri::{Uri, unescape};
use sip::wire::{Frame, Index, Packet, Stream};
use sip::{Endpoint, wire};

/// Views the bytes as one message, keeps it, lets a proxy forward it and an element answer it.
///
/// # Panics
/// When the view is not made of the message, or what is made of it cannot be read.
pub fn packet(data: &[u8]) {
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(data, &mut index) else {
        return;
    };
    let mut at = packet.headers_at();
    for header in packet.headers() {
        let (line, value) = (header.line_range(), header.value_range());
        assert!(
            line.start >= at && line.end <= packet.body_at(),
            "lines overlap"
        );
        assert!(
            line.start <= value.start && value.end <= line.end,
            "a value is outside its line"
        );
        assert!(header.line().starts_with(header.raw_name()));
        at = line.end;
    }
    assert!(packet.end() <= data.len() && packet.body_at() <= packet.end());
    let stored = packet.store();
    assert_eq!(stored.packet().body(), packet.body());
    assert_eq!(stored.packet().request_uri(), packet.request_uri());
    for transport in [Transport::Udp, Transport::Tcp] {
        for forwards in [true, false] {
            element(&packet, transport, forwards);
        }
    }
}

/// Gives the message to an element that forwards or answers; what leaves must be a sound message.
fn element(packet: &Packet<'_>, transport: Transport, forwards: bool) {
    let config = Config {
        shard: 0,
        shards: 1,
        seed: [1; 32],
        product: String::new(),
    };
    let own = "10.0.0.2:5060".parse().expect("an address");
    let mut endpoint = Endpoint::new(config, Time::ZERO);
    for transport in [Transport::Udp, Transport::Tcp] {
        endpoint.add_listener(Listener::new(transport, own));
    }
    let flow = Flow {
        transport,
        ..Flow::udp(own, "10.0.0.1:40000".parse().expect("an address"))
    };
    endpoint.handle_input(
        Time::ZERO,
        Input::Packet {
            flow,
            packet: *packet,
        },
    );
    for _ in 0..20 {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) if forwards => {
                let target = Target {
                    flow: Some(flow),
                    ..Forward::to("sip:next@10.0.0.3")
                };
                let targets = vec![target];
                endpoint.forward(
                    id,
                    Forward {
                        targets,
                        record_route: true,
                        spent: None,
                    },
                );
            }
            Output::Event(Event::Request(id)) => endpoint.respond(id, &Reply::new(StatusCode(404))),
            Output::Transmit(t) => {
                let mut index = Index::new();
                let sent = Packet::scan(&t.bytes, &mut index).expect("what leaves is a message");
                assert!(
                    matches!(sent.defect(), None | Some(wire::Defect::NoEmptyLine)),
                    "{:?} in {}",
                    sent.defect(),
                    String::from_utf8_lossy(&t.bytes)
                );
                if sent.is_request() {
                    let via = sent.value(HeaderName::Via).map(Via::parse);
                    assert!(via.is_some_and(|v| v.is_ok()), "no Via of ours");
                    assert_eq!(sent.body(), packet.body());
                }
            }
            Output::Timeout(_) => return,
            _ => {}
        }
    }
    panic!("one message caused a storm");
}

/// Reads the bytes as the value of every header of known type.
///
/// # Panics
/// When a list has no end, or a value is not made of the bytes.
pub fn headers(data: &[u8]) {
    let bound = data.len() + 2;
    let bounded = |count: usize| assert!(count <= bound, "a list without end");
    bounded(
        Via::parse_list(data)
            .inspect(|via| {
                if let Ok(via) = via {
                    assert_eq!(&data[via.range()], via.raw());
                }
            })
            .count(),
    );
    bounded(
        NameAddr::parse_list(data)
            .inspect(|addr| {
                if let Ok(addr) = addr {
                    assert!(addr.range().end <= data.len());
                    let _ = (
                        addr.tag(),
                        addr.display_unquoted(),
                        addr.q(),
                        addr.expires(),
                    );
                }
            })
            .count(),
    );
    if let Ok(via) = Via::parse(data) {
        assert!(via.next_at().is_none_or(|at| at <= data.len()));
        let _ = (via.port_or_default(), via.has_magic_cookie());
    }
    bounded(routes([data]).count());
    bounded(ContactList::parse(data).addresses().count());
    bounded(Reason::parse_list(data).count());
    bounded(Warning::parse_list(data).count());
    bounded(MediaRange::parse_list(data).count());
    bounded(Tokens::parse(data).count());
    let _ = (
        CallId::parse(data),
        CSeq::parse(data),
        MaxForwards::parse(data),
    );
    let _ = (
        ContentLength::parse(data),
        ContentType::parse(data),
        ContentDisposition::parse(data),
    );
    let _ = (
        Expires::parse(data),
        MinExpires::parse(data),
        RetryAfter::parse(data),
    );
    let _ = (
        Timestamp::parse(data),
        RSeq::parse(data),
        RAck::parse(data),
        Date::parse(data),
    );
    let _ = (
        sip::header::Event::parse(data),
        SubscriptionState::parse(data),
    );
    let _ = (
        Replaces::parse(data),
        MinSE::parse(data),
        SessionExpires::parse(data),
    );
    if let Ok(refer) = ReferTo::parse(data) {
        let _ = refer.replaces();
    }
    if let Ok(params) = Params::parse(data) {
        bounded(params.count());
    }
    let _ = (auth::Challenge::parse(data), auth::Credentials::parse(data));
}

/// Reads the bytes as a URI; two of them, split at a blank, are compared.
///
/// # Panics
/// When a URI is not the same as itself, or comparing depends on the order.
pub fn uri(data: &[u8]) {
    let mut parts = data.splitn(2, |b| *b == b' ');
    let first = Uri::parse(parts.next().unwrap_or_default());
    let second = Uri::parse(parts.next().unwrap_or_default());
    let _ = unescape(data);
    for uri in [&first, &second].into_iter().flatten() {
        let _ = (
            uri.user_unescaped(),
            uri.transport(),
            uri.maddr(),
            uri.port_or_default(),
        );
        assert!(uri.params().count() <= uri.as_bytes().len());
        assert!(uri.headers().count() <= uri.as_bytes().len());
        let record = uri.address_of_record();
        if let Ok(again) = Uri::parse(&record) {
            assert_eq!(
                again.address_of_record(),
                record,
                "the address of record is not one form"
            );
        }
    }
    if let (Ok(a), Ok(b)) = (&first, &second) {
        assert_eq!(a.same_as(b), b.same_as(a), "comparing depends on the order");
    }
}

/// Puts the bytes on a stream whole and in pieces; the same must come out.
///
/// # Panics
/// When it does not, or what comes out is no message.
pub fn stream(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
    let whole = frames(&[data]);
    let step = usize::from(*cut).max(1);
    let pieces: Vec<&[u8]> = data.chunks(step).collect();
    assert_eq!(frames(&pieces), whole, "it matters where the segments end");
}

/// The messages and the end of a stream.
fn frames(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut stream = Stream::new();
    let mut all = Vec::new();
    for piece in pieces {
        stream.push(piece);
        let mut steps = 0;
        while let Some(frame) = stream.next_frame() {
            steps += 1;
            assert!(steps <= piece.len() + 4, "a frame without octets");
            match frame {
                Frame::Message(message) => {
                    let mut index = Index::new();
                    assert!(Packet::scan(message, &mut index).is_ok());
                    all.push(message.to_vec());
                }
                Frame::Ping | Frame::Pong => {}
                Frame::Broken(head, _) => {
                    all.push(head.to_vec());
                    return all;
                }
                Frame::Garbage(error) => {
                    all.push(error.to_string().into_bytes());
                    return all;
                }
            }
        }
    }
    all
}

/// Any octets at the end of a connection that becomes, or is, a WebSocket: whole, and one by one, come to the same.
pub fn websocket(data: &[u8]) {
    use sip::wire::websocket::WebSocket;
    const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
    let told = |parts: &[&[u8]]| {
        let mut socket = WebSocket::new(std::sync::Arc::new([]));
        let mut all = Vec::new();
        for part in parts {
            socket.push(part);
            while let Some(event) = socket.next_event() {
                all.push(format!("{event:?}"));
            }
        }
        all
    };
    let octets = |bytes: &'static [u8]| bytes;
    for begin in [octets(b""), octets(OPEN)] {
        let whole = told(&[begin, data]);
        let mut parts: Vec<&[u8]> = vec![begin];
        parts.extend(data.chunks(1));
        assert_eq!(told(&parts), whole);
    }
}
