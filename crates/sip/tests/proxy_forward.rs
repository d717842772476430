//! A forwarded request is the request that came, but for what RFC 3261 §16.6 says must change: compared line by line.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bytes::Bytes;
use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output};
use sip::flow::{Flow, Transport};
use sip::proxy::{Forward, Target};
use sip::resolve::{Answer, Failure, QueryKind, Records};
use sip::time::Time;
use sip::wire::{Index, Packet};
use testkit::conformance::{self, Case};

const OWN: &str = "192.0.2.199:5060";
const OWN6: &str = "[2001:db8::199]:5060";
const TARGET: &str = "sip:next@203.0.113.9:5070";

/// What came of one request.
enum Outcome {
    Forwarded { bytes: Bytes, over: Transport },
    Refused(u16),
    Nothing,
}

fn outcome(bytes: &[u8]) -> Outcome {
    let config = Config {
        shard: 0,
        shards: 1,
        seed: [3; 32],
        product: String::new(),
    };
    let mut endpoint = Endpoint::new(config, Time::ZERO);
    for transport in [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Ws,
        Transport::Wss,
    ] {
        for address in [OWN, OWN6] {
            endpoint.add_listener(Listener::new(transport, address.parse().unwrap()));
        }
    }
    let flow = Flow::udp(OWN.parse().unwrap(), "198.51.100.77:40000".parse().unwrap());
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(bytes, &mut index) else {
        return Outcome::Nothing;
    };
    endpoint.handle_input(Time::ZERO, Input::Packet { flow, packet });
    let mut outcome = Outcome::Nothing;
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) => endpoint.forward(id, decision()),
            Output::Event(_) | Output::Peer { .. } => {}
            Output::Query { id, query } => {
                let records = match query.kind {
                    QueryKind::A => Ok(Records::A(vec!["203.0.113.9".parse().unwrap()])),
                    _ => Err(Failure::NoName),
                };
                let answer = Answer { records, ttl: 1 };
                endpoint.handle_input(Time::ZERO, Input::Answer { id, answer });
            }
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 100") => {}
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 ") => {
                return Outcome::Refused(String::from_utf8_lossy(&t.bytes[8..11]).parse().unwrap());
            }
            Output::Transmit(t) => {
                let over = t.flow.transport;
                outcome = Outcome::Forwarded {
                    bytes: t.bytes,
                    over,
                };
            }
            Output::Timeout(_) => return outcome,
        }
    }
}

fn decision() -> Forward {
    let flow = Flow::udp(OWN.parse().unwrap(), "203.0.113.9:5070".parse().unwrap());
    Forward {
        targets: vec![Target {
            flow: Some(flow),
            ..Forward::to(TARGET)
        }],
        record_route: true,
        spent: None,
    }
}

/// A request inside a dialog, or an ACK, as it comes here: with our own Route on top, which is popped again.
fn along_our_route(bytes: &[u8]) -> Vec<u8> {
    let (before, _) = lines(bytes);
    let in_dialog = before
        .iter()
        .any(|l| matches!(name(l).as_str(), "to" | "t") && has_tag(l));
    let start = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    let end = start + before.first().map_or(0, Vec::len);
    let mut routed = bytes[..end].to_vec();
    if in_dialog || before.first().is_some_and(|l| l.starts_with(b"ACK ")) {
        routed.extend_from_slice(format!("Route: <sip:{OWN};lr>\r\n").as_bytes());
    }
    routed.extend_from_slice(&bytes[end..]);
    routed
}

/// Start line and header lines with their line ends, folds joined to their line; and the body.
fn lines(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut at = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    while at < bytes.len() {
        let end = bytes[at..]
            .iter()
            .position(|b| *b == b'\n')
            .map_or(bytes.len(), |n| at + n + 1);
        let line = &bytes[at..end];
        at = end;
        if line == b"\r\n" || line == b"\n" {
            break;
        }
        match lines.last_mut() {
            Some(last) if matches!(line[0], b' ' | b'\t') => last.extend_from_slice(line),
            _ => lines.push(line.to_vec()),
        }
    }
    (lines, bytes[at..].to_vec())
}

fn name(line: &[u8]) -> String {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(0);
    let name = String::from_utf8_lossy(&line[..colon])
        .trim()
        .to_lowercase();
    match name.as_str() {
        "v" => "via".to_owned(),
        "l" => "content-length".to_owned(),
        _ => name,
    }
}

fn value(line: &[u8]) -> &[u8] {
    let colon = line.iter().position(|b| *b == b':').unwrap();
    line[colon + 1..].trim_ascii()
}

/// Takes the first line with that name out; it must stand before all others of that name.
fn take(lines: &mut Vec<Vec<u8>>, wanted: &str, starts: &str) -> Vec<u8> {
    let at = lines
        .iter()
        .skip(1)
        .position(|l| name(l) == wanted)
        .unwrap_or_else(|| panic!("no {wanted}"))
        + 1;
    let line = lines.remove(at);
    assert!(
        line.starts_with(starts.as_bytes()),
        "{}",
        String::from_utf8_lossy(&line)
    );
    line
}

/// The Via line with what RFC 3581 and §18.2.1 add taken back.
fn without_source(line: &[u8]) -> Vec<u8> {
    let text = line.iter().map(|b| char::from(*b)).collect::<String>();
    let text = text.replacen("rport=40000", "rport", 1);
    let text = text.replacen(";received=198.51.100.77", "", 1);
    text.chars().map(|c| c as u8).collect()
}

/// The Via line without a value of `rport` or `received` that it came with.
fn without_old_source(line: &[u8]) -> Vec<u8> {
    let text: String = line.iter().map(|b| char::from(*b)).collect();
    let first_end = text.find(',').unwrap_or(text.len());
    let (first, rest) = text.split_at(first_end);
    let mut kept = String::new();
    for (i, part) in first.split(';').enumerate() {
        let lower = part.trim().to_lowercase();
        if i > 0 && lower.starts_with("received=") {
            kept.push_str(if part.ends_with("\r\n") { "\r\n" } else { "" });
            continue;
        }
        if i > 0 {
            kept.push(';');
        }
        match part.split_once('=') {
            Some((name, old)) if name.eq_ignore_ascii_case("rport") => {
                kept.push_str(name);
                kept.push_str(old.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
            _ => kept.push_str(part),
        }
    }
    (kept + rest).chars().map(|c| c as u8).collect()
}

fn check(case: &str, original: &[u8], forwarded: &[u8], over: Transport) {
    let (before, body) = lines(original);
    let (mut after, new_body) = lines(forwarded);
    let ctx = || format!("{case}\n{}", String::from_utf8_lossy(forwarded));
    assert_eq!(new_body, body[..new_body.len()], "{}", ctx());
    let declared = before
        .iter()
        .find(|l| name(l) == "content-length")
        .map(|l| value(l).to_vec());
    if let Some(declared) = declared {
        assert_eq!(new_body.len().to_string().as_bytes(), declared, "{}", ctx());
    } else if over != Transport::Udp {
        let line = take(&mut after, "content-length", "Content-Length: ");
        assert_eq!(value(&line), new_body.len().to_string().as_bytes());
    }
    let via = take(
        &mut after,
        "via",
        &format!("Via: SIP/2.0/{} ", over.token()),
    );
    let via = String::from_utf8_lossy(&via).into_owned();
    let own = [OWN, OWN6]
        .iter()
        .any(|a| via.contains(&format!(" {a};branch=z9hG4bK")));
    assert!(own, "{}", ctx());
    let mut expected = before.clone();
    // Meant for this proxy alone (RFC 3325 §9.2): what asks for an identity goes no further.
    expected.retain(|l| name(l) != "p-preferred-identity");
    let is_ack = before[0].starts_with(b"ACK ");
    let in_dialog = before
        .iter()
        .any(|l| matches!(name(l).as_str(), "to" | "t") && has_tag(l));
    if !is_ack && !in_dialog {
        take(
            &mut after,
            "record-route",
            &format!("Record-Route: <sip:{OWN}"),
        );
        let method = before[0].split(|b| *b == b' ').next().unwrap();
        expected[0] = [method, b" ", TARGET.as_bytes(), b" SIP/2.0\r\n"].concat();
    }
    match expected.iter_mut().find(|l| name(l) == "max-forwards") {
        Some(line) => {
            let old = value(line).to_vec();
            let number: u32 = String::from_utf8_lossy(&old).parse().unwrap();
            let at = line.windows(old.len()).rposition(|w| w == old).unwrap();
            line.splice(at..at + old.len(), (number - 1).to_string().into_bytes());
        }
        None => {
            let line = take(&mut after, "max-forwards", "Max-Forwards: ");
            assert_eq!(value(&line), b"70", "{}", ctx());
        }
    }
    check_routes(&mut expected, &mut after, case);
    assert_eq!(after.len(), expected.len(), "{}", ctx());
    let mut first_via = true;
    for (new, old) in after.iter().zip(&expected) {
        if name(old) == "via" && first_via {
            first_via = false;
            assert_eq!(
                String::from_utf8_lossy(&without_source(new)),
                String::from_utf8_lossy(&without_old_source(old)),
                "{}",
                ctx()
            );
        } else {
            assert_eq!(
                String::from_utf8_lossy(new),
                String::from_utf8_lossy(old),
                "{}",
                ctx()
            );
        }
    }
}

fn has_tag(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line).to_lowercase();
    let params = text
        .rsplit_once('>')
        .map_or(text.as_str(), |(_, p)| p)
        .to_owned();
    params.contains(";tag=") || params.contains("; tag=")
}

/// A strict router next (§16.6 step 6): its URI becomes the Request-URI, which goes to the end of Route.
fn check_routes(expected: &mut Vec<Vec<u8>>, after: &mut Vec<Vec<u8>>, case: &str) {
    let values = |lines: &[Vec<u8>]| -> Vec<String> {
        let of = |l: &Vec<u8>| String::from_utf8_lossy(value(l)).into_owned();
        let routes = lines.iter().skip(1).filter(|l| name(l) == "route");
        routes
            .flat_map(|l| {
                of(l)
                    .split(',')
                    .map(|v| v.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    let routes = values(expected);
    let loose = |r: &&String| {
        r.split_once('>')
            .is_some_and(|(uri, _)| uri.contains(";lr"))
    };
    let Some(first) = routes.first().filter(|r| !loose(r)) else {
        return;
    };
    let uri = |l: &[u8]| {
        String::from_utf8_lossy(l)
            .split(' ')
            .nth(1)
            .unwrap()
            .to_owned()
    };
    let old = uri(&expected[0]);
    let strict = first
        .split(['<', '>'])
        .nth(1)
        .or(first.split(';').next())
        .unwrap()
        .to_owned();
    assert_eq!(uri(&after[0]), strict, "{case}");
    let mut wanted = routes[1..].to_vec();
    wanted.push(format!("<{old}>"));
    assert_eq!(values(after), wanted, "{case}");
    expected[0] = after[0].clone();
    for lines in [expected, after] {
        lines.retain(|l| name(l) != "route");
    }
}

/// Requests of all kinds that the tests keep for when there is no conformance folder.
fn kept() -> Vec<(String, Vec<u8>)> {
    let all = include_str!("proxy/forwarded.sip");
    let messages = all.split("----\n").map(|m| m.replace('\n', "\r\n"));
    messages
        .enumerate()
        .map(|(i, m)| (format!("kept {i}"), m.into_bytes()))
        .collect()
}

#[test]
fn kept_requests_are_forwarded_unchanged() {
    let mut forwarded = 0;
    for (case, bytes) in kept() {
        match outcome(&along_our_route(&bytes)) {
            Outcome::Forwarded { bytes: new, over } => check(&case, &bytes, &new, over),
            Outcome::Refused(code) => panic!("{case}: {code}"),
            Outcome::Nothing => panic!("{case}: nothing"),
        }
        forwarded += 1;
    }
    assert_eq!(forwarded, 7);
}

/// Whole by their manifests, and yet not for a proxy.
const REFUSED: &[(&str, &str)] = &[
    (
        "what Proxy-Require asks for is not done here",
        "ios-ims-register.sip 420, ios-ims-register-aka.sip 420, sofia-own0.sip 420",
    ),
    (
        "CSeq names another method than the start line",
        "rfc5589-005.sip 400, rfc5589-010.sip 400, rfc5589-011.sip 400, rfc5589-012.sip 400, rfc5806-009.sip 0, \
         rfc5806-013.sip 0, rfc5806-019.sip 0, rfc5806-024.sip 0, rfc5806-026.sip 0, rfc5806-028.sip 0, \
         rfc5806-031.sip 0",
    ),
    (
        "the printing left text in a header, broke a URI over lines, or wrote SIPS/2.0 into Via",
        "rfc3261-007.sip 400, rfc3261-009.sip 400, rfc3608-001.sip 400, rfc3608-002.sip 400, rfc3608-003.sip 400, \
         rfc3608-007.sip 400, rfc3608-008.sip 400, rfc3608-009.sip 400, rfc4916-003.sip 400, rfc7118-003.sip 400, \
         rfc7118-005.sip 400, rfc7118-008.sip 0, rfc8599-001.sip 400, rfc8599-002.sip 400, rfc6442-001.sip 400, \
         rfc6442-002.sip 400",
    ),
    ("From is no URI", "rfc5626-002.sip 400, rfc5626-003.sip 400"),
    (
        "the start line has a blank too many, or no version",
        "rfc5368-001.sip 400, rfc5853-001.sip 0",
    ),
];

/// Whether the manifest warns that the message is not whole.
fn is_doubtful(case: &Case) -> bool {
    case.is("partial") || case.is("elided") || matches!(case.text("reader"), "either" | "reject")
}

#[test]
fn real_requests_are_forwarded_unchanged() {
    let (mut forwarded, mut refused) = (0, BTreeMap::new());
    let (mut read, mut sound) = (0, Vec::new());
    for folder in ["wild", "flows"] {
        let Some(cases) = conformance::cases(&format!("{folder}/manifest.toml"), "message", "file")
        else {
            // `kept_requests_are_forwarded_unchanged` does the same with what is kept here.
            assert!(kept().len() >= 7);
            return;
        };
        for case in &cases {
            let is_request = !case.bytes.trim_ascii_start().starts_with(b"SIP/2.0 ");
            if !is_request || case.text("start").is_empty() {
                continue;
            }
            read += 1;
            match outcome(&along_our_route(&case.bytes)) {
                Outcome::Forwarded { bytes, over } => {
                    check(&case.name, &case.bytes, &bytes, over);
                    forwarded += 1;
                }
                other => {
                    let code = if let Outcome::Refused(code) = other {
                        code
                    } else {
                        0
                    };
                    let method = case.text("start").split(' ').next().unwrap();
                    if !is_doubtful(case) && method != "CANCEL" {
                        sound.push(format!("{} {code}", case.name));
                    }
                    let doubtful = if is_doubtful(case) { " doubtful" } else { "" };
                    *refused
                        .entry(format!("{method} {code}{doubtful}"))
                        .or_insert(0) += 1;
                }
            }
        }
    }
    println!("{read} requests, {forwarded} forwarded, others: {refused:?}");
    sound.sort();
    let mut known: Vec<&str> = REFUSED
        .iter()
        .flat_map(|(_, files)| files.split(", "))
        .collect();
    known.sort_unstable();
    assert_eq!(sound, known);
    assert!(forwarded > 490, "{forwarded}");
}
