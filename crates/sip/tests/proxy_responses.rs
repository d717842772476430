//! Where responses go, and which messages belong to no transaction (RFC 3261 §17.1.3, §17.2.3, §18.2, RFC 3581).

#![allow(clippy::unwrap_used)]

use sip::flow::{ConnectionId, Flow, Transport};
use testkit::{Scene, policy};

const ONE: &str = "sip:bob@10.0.1.1";

#[test]
fn the_source_is_noted_and_the_answer_goes_there() {
    for (via, received, port) in [
        (
            "10.0.0.77:5099;rport",
            ";rport=5060;received=10.0.0.1",
            5060,
        ),
        ("10.0.0.1:5060;rport", ";rport=5060;received=10.0.0.1", 5060),
        ("10.0.0.77", ";received=10.0.0.1", 5060),
        ("pc.example:5060", ";received=10.0.0.1", 5060),
        ("10.0.0.1", "", 5060),
        ("10.0.0.77:5071", ";received=10.0.0.1", 5071),
    ] {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        let other = scene.world.peer(&["udp:10.0.0.1:5071"]);
        let branch = "branch=z9hG4bK1";
        let (host, params) = via.split_once(';').unwrap_or((via, ""));
        let dots = if params.is_empty() { "" } else { ";" };
        let value = format!("SIP/2.0/UDP {host};{branch}{dots}{params}");
        scene.alice_sends(&Scene::request("OPTIONS", "1").set("Via", &value));
        let request = scene.one(0);
        let below = request.message().all("Via")[1].to_owned();
        let expected = value.replace(";rport", "") + received;
        assert_eq!(below, expected);
        scene.answer(0, &request, 200, "b");
        let (here, there) = (scene.alice_codes(), scene.world.received(other));
        match port {
            5060 => assert_eq!((here, there.len()), (vec![200], 0), "{via}"),
            _ => assert_eq!((here, there.len()), (vec![], 1), "{via}"),
        }
    }
}

#[test]
fn over_a_stream_the_answer_takes_the_connection() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    let request =
        Scene::request("OPTIONS", "1").set("Via", "SIP/2.0/TCP 10.0.0.77;branch=z9hG4bK1");
    let flow = Flow {
        transport: Transport::Tcp,
        local: "10.0.0.1:5060".parse().unwrap(),
        remote: "10.0.0.2:5060".parse().unwrap(),
        connection: ConnectionId::ANY,
    };
    scene.world.send(scene.alice, flow, request.to_bytes());
    scene.world.run_to(0);
    let got = scene.one(0);
    scene.answer(0, &got, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    assert_eq!(scene.world.connections(), 1);
    scene.end();
}

#[test]
fn from_a_datagram_to_a_stream_a_response_gets_its_length() {
    for (code, body) in [(180, &b""[..]), (200, b""), (200, b"v=0\r\n"), (486, b"")] {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        let request =
            Scene::request("INVITE", "1").set("Via", "SIP/2.0/TCP 10.0.0.77;branch=z9hG4bK1");
        let flow = Flow {
            transport: Transport::Tcp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.2:5060".parse().unwrap(),
            connection: ConnectionId::ANY,
        };
        scene.world.send(scene.alice, flow, request.to_bytes());
        scene.world.run_to(0);
        let got = scene.one(0);
        let mut reply = got.message().reply(code, "b").without("Content-Length");
        if !body.is_empty() {
            reply = reply
                .with_body("application/sdp", body)
                .without("Content-Length");
        }
        assert!(reply.all("Content-Length").is_empty());
        scene.phone_sends(0, &got, &reply);
        let response = scene.alice_got().pop().unwrap();
        assert_eq!(response.code(), code);
        assert_eq!(response.header("Content-Length"), body.len().to_string());
    }
}

#[test]
fn behind_a_nat_rport_finds_the_way_back() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    scene.world.nat("10.0.0.1", "192.0.2.50");
    scene.alice_sends(&Scene::request("OPTIONS", "1"));
    let lost = scene.one(0);
    scene.answer(0, &lost, 200, "b");
    assert_eq!(
        scene.alice_codes(),
        [],
        "without rport it goes to the port in the Via"
    );
    let with = Scene::request("OPTIONS", "2")
        .set("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK2;rport");
    scene.alice_sends(&with);
    let got = scene.one(0);
    assert!(got.message().all("Via")[1].contains(";received=192.0.2.50"));
    scene.answer(0, &got, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
}

#[test]
fn line_ends_before_a_request_stay_here() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    let mut bytes = b"\r\n\r\n".to_vec();
    bytes.extend(Scene::request("OPTIONS", "1").to_bytes());
    let flow = Flow::udp(
        "10.0.0.1:5060".parse().unwrap(),
        "10.0.0.2:5060".parse().unwrap(),
    );
    scene.world.send(scene.alice, flow, bytes);
    scene.world.run_to(0);
    let got = scene.one(0);
    assert!(got.bytes.starts_with(b"OPTIONS sip:bob@10.0.1.1 "));
    let mut reply = b"\r\n".to_vec();
    reply.extend(got.message().reply(200, "b").to_bytes());
    scene.world.send(scene.phones[0], got.flow, reply);
    scene.world.run_to(0);
    assert!(
        scene.world.received(scene.alice)[0]
            .bytes
            .starts_with(b"SIP/2.0 200 ")
    );
}

#[test]
fn stray_responses_go_nowhere() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    scene.alice_sends(&Scene::request("OPTIONS", "1"));
    let got = scene.one(0);
    let reply = got.message().reply(200, "b");
    let top = reply.all("Via")[0].to_owned();
    // One digit of each part of our branch: shard, transaction, and what nobody can guess.
    let branch = top.find("branch=z9hG4bK").unwrap() + 14;
    for place in [0, 10, 30] {
        let mut wrong = reply.clone();
        let at = branch + place;
        let other = if top[at..].starts_with('1') { "2" } else { "1" };
        wrong.headers[0].1.replace_range(at..=at, other);
        scene.phone_sends(0, &got, &wrong);
    }
    let other_method = reply.clone().set("CSeq", "1 INFO");
    scene.phone_sends(0, &got, &other_method);
    assert_eq!(scene.alice_codes(), []);
    let counters = scene
        .world
        .with(scene.proxy, |_, e| e.transactions().counters);
    assert_eq!(counters.stray_responses, 4);
    scene.phone_sends(0, &got, &reply);
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
}

#[test]
fn branches_that_cannot_be_trusted_are_told_apart_by_more() {
    // RFC 2543 peers repeat a branch, or have none (§17.2.3).
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    for (n, via) in [
        "SIP/2.0/UDP 10.0.0.1:5060;branch=1",
        "SIP/2.0/UDP 10.0.0.1:5060",
        "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK",
    ]
    .into_iter()
    .enumerate()
    {
        for call in ["x", "y"] {
            let request = Scene::request("INVITE", "1")
                .set("Via", via)
                .set("Call-ID", &format!("{call}{n}"));
            scene.alice_sends(&request);
            scene.alice_sends(&request);
            let got = scene.one(0);
            scene.answer(0, &got, 486, "b");
            assert_eq!(scene.methods(0), ["ACK"]);
            let finals = scene.alice_got();
            let refusal = finals.last().unwrap();
            assert_eq!(refusal.code(), 486);
            scene.alice_acks(&request, refusal);
            scene.world.run_for(std::time::Duration::from_secs(3));
            assert_eq!(scene.alice_codes(), [], "the ACK was recognised");
        }
    }
    scene.end();
}

#[test]
fn a_branch_counts_for_as_long_as_its_transaction() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    let request = Scene::request("OPTIONS", "1");
    for round in 1..=3 {
        scene.alice_sends(&request);
        scene.alice_sends(&request);
        let got = scene.one(0);
        scene.answer(0, &got, 200, "b");
        assert_eq!(scene.alice_codes(), [200]);
        scene.world.run_to(round * 32_000 - 1);
        scene.alice_sends(&request);
        assert_eq!(scene.alice_codes(), [200], "still known");
        scene.world.run_to(round * 32_000);
        assert!(scene.got(0).is_empty());
    }
    scene.end();
}
