//! The connection that a peer opened is the way back to it, inside a dialog too (RFC 5626 §5, RFC 7118 §5, RFC 5658).

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output};
use sip::flow::{ConnectionId, Flow, Transmit, Transport};
use sip::proxy::{Forward, Target};
use sip::time::Time;
use sip::wire::{Index, Packet};

const UDP: &str = "192.0.2.1:5060";
const WS: &str = "192.0.2.1:5062";
const TLS: &str = "192.0.2.1:5061";
const BROWSER: &str = "sip:q7@x9k.invalid;transport=ws";

fn element() -> Endpoint {
    let config = Config {
        shard: 0,
        shards: 1,
        seed: [3; 32],
        product: String::new(),
    };
    let mut endpoint = Endpoint::new(config, Time::ZERO);
    for (transport, local) in [
        (Transport::Udp, UDP),
        (Transport::Ws, WS),
        (Transport::Tls, TLS),
    ] {
        endpoint.add_listener(Listener::new(transport, local.parse().unwrap()));
    }
    endpoint.mark_routes(&[7; 16]);
    endpoint
}

fn udp(remote: &str) -> Flow {
    Flow::udp(UDP.parse().unwrap(), remote.parse().unwrap())
}

fn stream(transport: Transport, local: &str, remote: &str, connection: u64) -> Flow {
    Flow {
        transport,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        connection: ConnectionId(connection),
    }
}

fn request(method: &str, uri: &str, via: &str, routes: &[String], tag: bool) -> String {
    let routes: String = routes.iter().map(|r| format!("Route: {r}\r\n")).collect();
    let to_tag = if tag { ";tag=2" } else { "" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: {via};branch=z9hG4bK-{method}{}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>{to_tag}\r\n\
         Call-ID: one\r\nCSeq: 1 {method}\r\n{routes}Content-Length: 0\r\n\r\n",
        via.len()
    )
}

/// What leaves when a request comes, which is forwarded to `target` where the owner has to decide.
fn sent(endpoint: &mut Endpoint, flow: Flow, text: &str, target: Option<Target>) -> Vec<Transmit> {
    let mut index = Index::new();
    let packet = Packet::scan(text.as_bytes(), &mut index).unwrap();
    endpoint.handle_input(Time::ZERO, Input::Packet { flow, packet });
    let mut all = Vec::new();
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) => {
                let Some(target) = target.clone() else {
                    panic!("the proxy should find the way itself: {text}");
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
            Output::Transmit(t) if t.bytes.starts_with(b"SIP/2.0 100") => {}
            Output::Transmit(t) => all.push(t),
            Output::Timeout(_) => return all,
            Output::Event(_) | Output::Query { .. } | Output::Peer { .. } => {}
        }
    }
}

/// The Record-Routes of a message, the topmost first.
fn recorded(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines()
        .filter_map(|l| l.strip_prefix("Record-Route: ").map(str::to_owned))
        .collect()
}

fn reversed(mut routes: Vec<String>) -> Vec<String> {
    routes.reverse();
    routes
}

fn via(flow: &Flow) -> String {
    format!("SIP/2.0/{} {}", flow.transport, flow.remote)
}

/// A call from `caller` to `callee`; the Record-Routes as the callee got them.
fn call(endpoint: &mut Endpoint, caller: Flow, callee: Flow, contact: &'static str) -> Vec<String> {
    let invite = request("INVITE", "sip:c@d", &via(&caller), &[], false);
    let target = Target {
        flow: Some(callee),
        ..Forward::to(contact)
    };
    let left = sent(endpoint, caller, &invite, Some(target));
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].flow, callee);
    recorded(&left[0].bytes)
}

fn bye(endpoint: &mut Endpoint, from: Flow, uri: &str, routes: &[String]) -> Flow {
    let bye = request("BYE", uri, &via(&from), routes, true);
    let left = sent(endpoint, from, &bye, None);
    assert_eq!(left.len(), 1, "{bye}");
    let text = String::from_utf8(left[0].bytes.to_vec()).unwrap();
    assert!(!text.contains("Route:"), "{text}");
    assert!(text.starts_with(&format!("BYE {uri} ")), "{text}");
    left[0].flow
}

#[test]
fn a_browser_and_a_datagram_phone_reach_each_other_inside_a_call() {
    let browser = stream(Transport::Ws, WS, "198.51.100.7:40001", 7);
    let phone = udp("203.0.113.5:5060");
    let mut endpoint = element();
    let routes = call(&mut endpoint, browser, phone, "sip:bob@203.0.113.5");
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert!(routes[0].starts_with("<sip:192.0.2.1:5060;lr;m="));
    assert!(routes[1].starts_with("<sip:192.0.2.1:5062;transport=ws;lr;m="));
    assert_eq!(bye(&mut endpoint, phone, BROWSER, &routes), browser);
    let back = reversed(routes);
    let mut endpoint = element();
    assert_eq!(
        bye(&mut endpoint, browser, "sip:bob@203.0.113.5", &back),
        phone
    );
    // The other way round.
    let mut endpoint = element();
    let routes = call(&mut endpoint, phone, browser, BROWSER);
    assert_eq!(
        bye(&mut endpoint, browser, "sip:bob@203.0.113.5", &routes),
        phone
    );
    let back = reversed(routes);
    let mut endpoint = element();
    assert_eq!(bye(&mut endpoint, phone, BROWSER, &back), browser);
}

#[test]
fn two_browsers_reach_each_other_even_on_new_connections() {
    let one = stream(Transport::Ws, WS, "198.51.100.7:40001", 7);
    let two = stream(Transport::Ws, WS, "[2001:db8::9]:40002", 8);
    let mut endpoint = element();
    let routes = call(&mut endpoint, one, two, BROWSER);
    assert_eq!(routes.len(), 2, "{routes:?}");
    assert_eq!(bye(&mut endpoint, two, BROWSER, &routes), one);
    let back = reversed(routes);
    let mut endpoint = element();
    assert_eq!(bye(&mut endpoint, one, BROWSER, &back), two);
    let again = stream(Transport::Ws, WS, "198.51.100.7:40009", 9);
    let mut endpoint = element();
    assert_eq!(bye(&mut endpoint, again, BROWSER, &back), two);
}

#[test]
fn the_way_belongs_to_its_call_and_cannot_be_made_up() {
    let browser = stream(Transport::Ws, WS, "198.51.100.7:40001", 7);
    let phone = udp("203.0.113.5:5060");
    let mut endpoint = element();
    let routes = call(&mut endpoint, browser, phone, "sip:bob@203.0.113.5");
    let at = routes[1].find(";f=").unwrap() + 6;
    for forged in [
        routes[1].replace(&routes[1][at..at + 4], "0fff"),
        routes[1].replace(&routes[1][at..], "1>"),
        routes[1].replace(&routes[1][at..], "\u{e4}>"),
    ] {
        let routes = [routes[0].clone(), forged];
        let text = request("BYE", BROWSER, &via(&phone), &routes, true);
        for left in sent(&mut endpoint, phone, &text, None) {
            assert!(left.bytes.starts_with(b"SIP/2.0 "), "{left:?}");
        }
    }
}

#[test]
fn a_tls_peer_has_to_be_who_is_meant() {
    let caller = udp("203.0.113.5:5060");
    let mut endpoint = element();
    let invite = request("INVITE", "sip:c@d", &via(&caller), &[], false);
    let mut index = Index::new();
    let packet = Packet::scan(invite.as_bytes(), &mut index).unwrap();
    endpoint.handle_input(
        Time::ZERO,
        Input::Packet {
            flow: caller,
            packet,
        },
    );
    let mut named = None;
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Request(id)) => endpoint.forward(
                id,
                Forward {
                    targets: vec![Forward::to("sip:c@203.0.113.9;transport=tls")],
                    record_route: true,
                    spent: None,
                },
            ),
            Output::Peer { connection, name } => named = Some((connection, name)),
            Output::Transmit(t) if t.flow.transport == Transport::Tls => {
                let (connection, name) = named.clone().unwrap();
                let remote: SocketAddr = "203.0.113.9:5061".parse().unwrap();
                assert_eq!((t.flow.connection, t.flow.remote), (connection, remote));
                assert_eq!(&*name, "203.0.113.9");
                assert!(connection.is_named() && !connection.is_one());
                return;
            }
            Output::Timeout(_) => panic!("it should leave"),
            _ => {}
        }
    }
}

#[test]
fn who_has_shown_a_name_is_the_same_inside_the_call_though_it_records_an_address() {
    let far = Flow {
        connection: ConnectionId::named(0x1234),
        ..stream(Transport::Tls, TLS, "203.0.113.9:5061", 0)
    };
    for caller in [
        udp("203.0.113.5:5060"),
        stream(Transport::Tls, TLS, "198.51.100.7:40001", 7),
    ] {
        let mut endpoint = element();
        let routes = call(&mut endpoint, caller, far, "sip:c@far.example");
        assert_eq!(routes.len(), 2, "{routes:?}");
        let mut back = reversed(routes.clone());
        back.push("<sip:203.0.113.9:5061;transport=tls;lr>".into());
        let bye = request("BYE", "sip:c@192.0.2.77", &via(&caller), &back, true);
        let left = sent(&mut endpoint, caller, &bye, None);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].flow, far);
        // The other way, on a connection of the far side's own.
        let other = stream(Transport::Tls, TLS, "203.0.113.9:50000", 9);
        let mut endpoint = element();
        let phone = "sip:bob@203.0.113.5";
        assert_eq!(
            self::bye(&mut endpoint, other, phone, &routes).remote,
            caller.remote
        );
    }
}
