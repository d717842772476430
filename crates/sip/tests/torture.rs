//! What a proxy, a user agent and a stream do with the torture messages (RFC 4475, RFC 5118).
//!
//! What their headers read as is checked with the headers; here it is the outcome that counts.

#![allow(clippy::unwrap_used)]

use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output};
use sip::flow::{Flow, Transport};
use sip::proxy::{Forward, Target};
use sip::time::Time;
use sip::wire::{Frame, Index, Packet, Stream};
use testkit::conformance;

const OWN: &str = "192.0.2.199:5060";
const NEXT: &str = "203.0.113.9:5070";

/// What a user agent did: a status code, `process` (a call rings, or a 2xx left), or `drop`.
fn user_agent(bytes: &[u8], transport: Transport) -> String {
    let mut endpoint = element();
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(bytes, &mut index) else {
        return "drop".to_owned();
    };
    let flow = arrival(transport);
    endpoint.handle_input(Time::ZERO, Input::Packet { flow, packet });
    let mut outcome = "drop".to_owned();
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) => {
                let (agent, layer) = endpoint.agent();
                agent.accept_request(Time::ZERO, layer, id, None);
            }
            Output::Event(Event::Agent(_)) => outcome = "process".to_owned(),
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 ") => {
                let code = String::from_utf8_lossy(&t.bytes[8..11]).into_owned();
                let fine = code.starts_with(['1', '2']);
                outcome = if fine { "process".to_owned() } else { code };
            }
            Output::Peer { .. } | Output::Event(Event::Proxied(_)) => {}
            Output::Transmit(_) | Output::Query { .. } => outcome = "forward".to_owned(),
            Output::Timeout(_) => return outcome,
        }
    }
}

fn element() -> Endpoint {
    let config = Config {
        shard: 0,
        shards: 1,
        seed: [3; 32],
        product: String::new(),
    };
    let mut endpoint = Endpoint::new(config, Time::ZERO);
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        for address in [OWN, "[2001:db8::199]:5060"] {
            endpoint.add_listener(Listener::new(transport, address.parse().unwrap()));
        }
    }
    endpoint
}

fn arrival(transport: Transport) -> Flow {
    Flow {
        transport,
        ..Flow::udp(OWN.parse().unwrap(), "198.51.100.77:40000".parse().unwrap())
    }
}

/// What a proxy did: a status code, `process` (forwarded, or a response it could read), or `drop`.
fn proxy(bytes: &[u8], transport: Transport) -> String {
    let mut endpoint = element();
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(bytes, &mut index) else {
        return "drop".to_owned();
    };
    let is_request = packet.is_request();
    let flow = arrival(transport);
    endpoint.handle_input(Time::ZERO, Input::Packet { flow, packet });
    let mut outcome = "drop".to_owned();
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) => {
                let target = Target {
                    flow: Some(Flow::udp(OWN.parse().unwrap(), NEXT.parse().unwrap())),
                    ..Target::default()
                };
                let targets = vec![target];
                endpoint.forward(
                    id,
                    Forward {
                        targets,
                        record_route: false,
                        spent: None,
                    },
                );
            }
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 100") => {}
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 ") => {
                let mut index = Index::new();
                let reply = Packet::scan(&t.bytes, &mut index).unwrap();
                assert_eq!(
                    reply.defect(),
                    None,
                    "{}",
                    String::from_utf8_lossy(&t.bytes)
                );
                return reply.status().unwrap().0.to_string();
            }
            // Either it left, or the name servers are asked where it goes.
            Output::Transmit(_) | Output::Query { .. } => outcome = "process".to_owned(),
            Output::Event(_) | Output::Peer { .. } => {}
            Output::Timeout(_) => break,
        }
    }
    let counters = endpoint.transactions().counters;
    if !is_request && counters.stray_responses == 1 && counters.malformed_responses == 0 {
        // Nothing was sent that it could answer, but it could be read.
        outcome = "process".to_owned();
    }
    outcome
}

/// What a stream made of the octets: `message N` for each with its octets, then `wait`, `close` or `400-then-close`.
fn stream(bytes: &[u8]) -> Vec<String> {
    let mut stream = Stream::new();
    stream.push(bytes);
    let mut all = Vec::new();
    while let Some(frame) = stream.next_frame() {
        match frame {
            Frame::Message(message) => all.push(format!("message {}", message.len())),
            Frame::Ping | Frame::Pong => {}
            Frame::Broken(head, _) => {
                let is_request = !head.starts_with(b"SIP/");
                all.push(
                    if is_request {
                        "400-then-close"
                    } else {
                        "close"
                    }
                    .to_owned(),
                );
                return all;
            }
            Frame::Garbage(_) => {
                all.push("close".to_owned());
                return all;
            }
        }
    }
    if stream.pending() > 0 {
        all.push("wait".to_owned());
    }
    all
}

/// Messages kept here, with what a proxy does to them.
const KEPT: &[(&str, &str)] = &[
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "process",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1\r\n\t MESSAGE|l : 0",
        "process",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 INFO|l: 0",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 99999999999 MESSAGE|l: 0",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 5",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: -1",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/7.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "505",
    ),
    (
        "MESSAGE http://b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "416",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|CSeq: 1 MESSAGE|l: 0",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|Via: SIP/2.0/UDP|CSeq: 1 MESSAGE|l: 0",
        "400",
    ),
    (
        "MESSAGE sip:b@b.example SIP/2.0|CSeq: 1 MESSAGE|l: 0",
        "drop",
    ),
    (
        "ACK sip:b@b.example SIP/7.0|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 ACK|l: 0",
        "drop",
    ),
    (
        "SIP/2.0 200 OK|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "process",
    ),
    (
        "SIP/2.0 200|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "process",
    ),
    (
        "SIP/2.0 4000 Big|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 1 MESSAGE|l: 0",
        "drop",
    ),
    (
        "SIP/2.0 200 OK|Via: SIP/2.0/UDP h;branch=z9hG4bK1|CSeq: 4294967296 MESSAGE|l: 0",
        "drop",
    ),
    ("GET / HTTP/1.1|Host: b.example", "drop"),
];

/// Where the user agent does something else than the manifest has it.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "rfc4475/inv2543.dat",
        "400",
        "a call without a Contact has nowhere to send its BYE",
    ),
    (
        "rfc4475/wsinv.dat",
        "481",
        "its To has a tag, and the dialog that it names is not here (RFC 3261 12.2.2)",
    ),
];

#[test]
fn kept_messages_have_their_outcomes() {
    for (lines, expected) in KEPT {
        let more = "|From: <sip:a@a.example>;tag=1|To: <sip:b@b.example>|Call-ID: x";
        let message = format!("{lines}{more}").replace('|', "\r\n") + "\r\n\r\n";
        assert_eq!(
            proxy(message.as_bytes(), Transport::Udp),
            *expected,
            "{lines}"
        );
    }
    assert_eq!(KEPT.len(), 17);
}

#[test]
fn elements_do_what_the_manifest_says() {
    let Some(cases) = conformance::cases("torture/manifest.toml", "message", "file") else {
        assert_eq!(KEPT.len(), 17, "what is kept here is checked above");
        return;
    };
    let (mut proxied, mut served, mut streamed, mut wrong) = (0, 0, 0, Vec::new());
    for case in &cases {
        let Some(reply) = case.entry.get("reply").and_then(|r| r.as_table()) else {
            panic!("{}: no reply", case.name);
        };
        let right = |role: &str| -> Option<Vec<&str>> {
            let list = reply.get(role)?.as_array()?;
            Some(list.iter().map(|v| v.as_str().unwrap()).collect())
        };
        let transport = Transport::from_token(case.text("arrives_over").as_bytes()).unwrap();
        let found = proxy(&case.bytes, transport);
        // Without a word about proxies, such a message is one to pass on; that it is not lost is checked.
        let right_for_proxy = right("proxy").unwrap_or_else(|| vec!["process"]);
        // A response that can be read but belongs to nothing goes nowhere either.
        let nowhere = case.text("kind") == "response" && case.text("parser") == "accept";
        let is_right = right_for_proxy.contains(&found.as_str());
        if !is_right && (!nowhere || found != "process") {
            wrong.push(format!(
                "{}: proxy {found}, not {right_for_proxy:?}",
                case.name
            ));
        }
        proxied += 1;
        if let Some(right) = right("uas") {
            served += 1;
            let found = user_agent(&case.bytes, transport);
            let differs = DIFFERENT.iter().find(|(name, ..)| *name == case.name);
            let right = differs.map_or(right, |(_, outcome, _)| vec![*outcome]);
            if !right.contains(&found.as_str()) {
                wrong.push(format!("{}: user agent {found}, not {right:?}", case.name));
            }
        }
        let framed = stream(&case.bytes);
        if let Some(right) = right("stream") {
            streamed += 1;
            if !right.iter().any(|r| framed == [*r]) {
                wrong.push(format!("{}: stream {framed:?}, not {right:?}", case.name));
            }
        } else if case.text("parser") == "accept" && transport.is_reliable() {
            streamed += 1;
            let whole = [format!("message {}", case.bytes.len())];
            if framed != whole {
                wrong.push(format!("{}: stream {framed:?}, not {whole:?}", case.name));
            }
        }
    }
    println!("{proxied} messages at a proxy, {served} at a user agent, {streamed} on a stream");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((proxied, served, streamed), (62, 47, 10));
}

#[test]
fn every_cut_of_a_stream_gives_the_same_messages() {
    let kept: Vec<Vec<u8>> = KEPT
        .iter()
        .filter(|(_, outcome)| *outcome == "process")
        .map(|(lines, _)| (lines.replace('|', "\r\n") + "\r\n\r\n").into_bytes())
        .collect();
    let cases = conformance::cases("torture/manifest.toml", "message", "file").unwrap_or_default();
    let real = cases
        .iter()
        .filter(|c| c.text("parser") == "accept")
        .map(|c| c.bytes.clone());
    let mut checked = 0;
    for bytes in kept.into_iter().chain(real) {
        let whole = stream(&bytes);
        let step = (bytes.len() / 40).max(1);
        for cut in (0..bytes.len()).step_by(step) {
            let mut stream = Stream::new();
            let mut found = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                stream.push(part);
                loop {
                    match stream.next_frame() {
                        Some(Frame::Message(m)) => found.push(format!("message {}", m.len())),
                        Some(Frame::Ping | Frame::Pong) => {}
                        _ => break,
                    }
                }
            }
            let expected: Vec<&String> =
                whole.iter().filter(|w| w.starts_with("message")).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
        checked += 1;
    }
    assert!(checked >= 4, "{checked}");
}
