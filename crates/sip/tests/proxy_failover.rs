//! Which server a request is sent to, and what happens when that one is not there (RFC 3261 §18.1.1, RFC 3263 §4.3).

#![allow(clippy::unwrap_used)]

use sip::flow::Transport;
use testkit::{Message, NodeId, Scene, policy};

fn service() -> Scene {
    let mut scene = Scene::new(3, policy::fork(&[("sip:bob@carrier.example", 1000)], false));
    for line in [
        "_sip._udp.carrier.example SRV 10 1 5060 one.carrier.example",
        "_sip._udp.carrier.example SRV 20 1 5060 two.carrier.example",
        "_sip._udp.carrier.example SRV 30 1 5060 three.carrier.example",
        "one.carrier.example A 10.0.1.1",
        "two.carrier.example A 10.0.1.2",
        "three.carrier.example A 10.0.1.3",
    ] {
        scene.world.zone.add(line);
    }
    scene
}

/// Over which transports the proxy sent a node something, in order.
fn transports(scene: &Scene, to: &str) -> Vec<Transport> {
    let from = scene.proxy;
    let trace = scene.world.trace().iter();
    trace
        .filter(|s| s.from == from && s.flow.remote.ip().to_string() == to)
        .map(|s| s.flow.transport)
        .collect()
}

fn silence(scene: &mut Scene, phones: &[usize]) {
    for phone in phones {
        let node: NodeId = scene.phones[*phone];
        scene.world.silence(node);
    }
}

#[test]
fn the_first_server_is_enough() {
    let mut scene = service();
    scene.alice_sends(&Scene::request("INVITE", "1"));
    let request = scene.one(0);
    assert_eq!(
        request.message().uri(),
        "sip:bob@carrier.example",
        "where it goes is not what it says"
    );
    scene.answer(0, &request, 200, "b");
    assert_eq!(scene.alice_codes(), [100, 200]);
    scene.end();
    assert!(scene.got(1).is_empty() && scene.got(2).is_empty());
}

#[test]
fn a_503_tries_the_next_server() {
    for before in [None, Some(100)] {
        let mut scene = service();
        scene.alice_sends(&Scene::request("INVITE", "1"));
        let first = scene.one(0);
        if let Some(code) = before {
            scene.answer(0, &first, code, "");
        }
        scene.answer(0, &first, 503, "a");
        assert_eq!(scene.methods(0), ["ACK"]);
        let second = scene.one(1);
        let branch = |a: &testkit::Arrival| a.message().param("Via", "branch").map(str::to_owned);
        assert_ne!(branch(&first), branch(&second), "a new transaction");
        scene.answer(1, &second, 200, "b");
        assert_eq!(scene.alice_codes(), [100, 200]);
        scene.end();
    }
}

#[test]
fn silence_tries_the_next_server() {
    for (method, quiet) in [("INVITE", 32_000), ("MESSAGE", 32_000)] {
        let mut scene = service();
        silence(&mut scene, &[0]);
        scene.alice_sends(&Scene::request(method, "1"));
        scene.world.run_to(quiet - 1);
        assert!(scene.got(1).is_empty());
        scene.world.run_to(quiet);
        let second = scene.one(1);
        scene.answer(1, &second, 200, "b");
        assert_eq!(scene.alice_codes().last(), Some(&200));
        scene.end();
    }
}

#[test]
fn a_closed_port_tries_the_next_server() {
    let mut scene = service();
    scene
        .world
        .zone
        .add("_sip._udp.carrier.example SRV 1 1 5999 one.carrier.example");
    scene.alice_sends(&Scene::request("INVITE", "1"));
    let second = scene.one(0);
    scene.answer(0, &second, 200, "b");
    assert_eq!(scene.alice_codes(), [100, 200]);
    assert_eq!(transports(&scene, "10.0.1.1").len(), 2);
    scene.end();
}

#[test]
fn when_all_fail_the_caller_is_told() {
    let mut scene = service();
    scene.alice_sends(&Scene::request("INVITE", "1"));
    for phone in 0..3 {
        let request = scene.one(phone);
        scene.answer(phone, &request, 503, "x");
    }
    assert_eq!(scene.alice_codes(), [100, 500]);
    scene.end();
    let mut scene = service();
    silence(&mut scene, &[0, 1, 2]);
    scene.alice_sends(&Scene::request("INVITE", "1"));
    scene.world.run_to(95_999);
    assert_eq!(scene.alice_codes(), [100]);
    scene.world.run_to(96_000);
    assert_eq!(scene.alice_codes()[0], 408);
    scene.end();
}

#[test]
fn a_failed_service_moves_on_to_the_next_target() {
    let targets = [("sip:bob@carrier.example", 1000), ("sip:bob@10.0.1.3", 100)];
    let mut scene = Scene::new(3, policy::fork(&targets, false));
    scene
        .world
        .zone
        .add("_sip._udp.carrier.example SRV 10 1 5060 one.carrier.example");
    scene.world.zone.add("one.carrier.example A 10.0.1.1");
    scene.alice_sends(&Scene::request("INVITE", "1"));
    let first = scene.one(0);
    scene.answer(0, &first, 503, "a");
    let next = scene.one(2);
    scene.answer(2, &next, 200, "c");
    assert_eq!(scene.alice_codes(), [100, 200]);
    scene.end();
}

#[test]
fn a_name_that_does_not_exist_is_told() {
    let mut scene = Scene::new(0, policy::fork(&[("sip:bob@nowhere.example", 1000)], false));
    scene.alice_sends(&Scene::request("INVITE", "1"));
    let codes = scene.alice_codes();
    assert!(
        matches!(codes.as_slice(), [100, 404 | 480 | 500]),
        "{codes:?}"
    );
    scene.end();
}

#[test]
fn a_cancel_stops_the_search_for_a_server() {
    let mut scene = service();
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    let first = scene.one(0);
    scene.answer(0, &first, 180, "a");
    scene.alice_sends(&invite.cancel());
    assert_eq!(scene.methods(0), ["CANCEL"]);
    scene.answer(0, &first, 503, "a");
    let codes = scene.alice_codes();
    assert!(
        matches!(codes.as_slice(), [100, 180, 200, 487 | 500]),
        "{codes:?}"
    );
    scene.end();
    assert!(scene.got(1).is_empty());
}

fn large() -> Message {
    Scene::request("MESSAGE", "1").with_body("text/plain", &[b'x'; 1300])
}

#[test]
fn a_large_request_goes_over_tcp() {
    let mut scene = Scene::new(1, policy::fork(&[("sip:bob@10.0.1.1", 1000)], false));
    scene.alice_sends(&large());
    let request = scene.one(0);
    assert!(request.message().header("Via").starts_with("SIP/2.0/TCP "));
    assert_eq!(request.message().body.len(), 1300);
    scene.answer(0, &request, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    assert_eq!(transports(&scene, "10.0.1.1"), [Transport::Tcp]);
    scene.end();
    assert_eq!(scene.world.connections(), 1);
}

#[test]
fn the_limit_counts_what_is_added() {
    let size = |body: usize| {
        let message = Scene::request("MESSAGE", "1").with_body("text/plain", &vec![b'x'; body]);
        let mut scene = Scene::new(1, policy::fork(&[("sip:bob@10.0.1.1", 1000)], true));
        scene.alice_sends(&message);
        let request = scene.one(0);
        (request.bytes.len(), request.flow.transport)
    };
    for body in 600..1300 {
        let (octets, transport) = size(body);
        assert!(
            octets <= 1300 || transport == Transport::Tcp,
            "{octets} octets over UDP"
        );
    }
    assert_eq!(size(600).1, Transport::Udp);
}

#[test]
fn a_large_request_falls_back_to_udp() {
    let targets = [("sip:bob@10.0.1.9", 1000)];
    let mut scene = Scene::new(0, policy::fork(&targets, false));
    let phone = scene.world.peer(&["udp:10.0.1.9:5060"]);
    scene.phones.push(phone);
    scene.alice_sends(&large());
    let request = scene.one(0);
    assert!(request.message().header("Via").starts_with("SIP/2.0/UDP "));
    scene.answer(0, &request, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    assert_eq!(
        transports(&scene, "10.0.1.9"),
        [Transport::Tcp, Transport::Udp]
    );
    scene.end();
}

#[test]
fn a_lost_connection_is_a_lost_transaction() {
    let mut scene = Scene::new(
        1,
        policy::fork(&[("sip:bob@10.0.1.1;transport=tcp", 1000)], false),
    );
    scene.alice_sends(&Scene::request("MESSAGE", "1"));
    scene.one(0);
    scene.world.break_connections("10.0.1.1:5060");
    scene.world.run_for(std::time::Duration::from_millis(1));
    assert_eq!(scene.alice_codes(), [480]);
    scene.end();
}

#[test]
fn a_ringing_call_outlives_its_connection() {
    let mut scene = Scene::new(
        1,
        policy::fork(&[("sip:bob@10.0.1.1;transport=tcp", 1000)], false),
    );
    scene.alice_sends(&Scene::request("INVITE", "1"));
    let request = scene.one(0);
    scene.answer(0, &request, 180, "b");
    scene.world.break_connections("10.0.1.1:5060");
    scene.world.run_to(100);
    let mut flow = request.flow;
    flow.connection = sip::flow::ConnectionId::ANY;
    flow.remote = testkit::scene::PROXY.parse().unwrap();
    let reply = request.message().reply(200, "b").to_bytes();
    scene.world.send(scene.phones[0], flow, reply);
    scene.world.run_to(100);
    assert_eq!(scene.alice_codes(), [100, 180, 200]);
    scene.end();
}
