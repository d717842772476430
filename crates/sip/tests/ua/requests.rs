//! Requests outside calls, and calls that are refused at the door.

use sip::message::StatusCode;
use sip::ua::{Account, Cause, Event, Misuse, UserAgent};

use crate::calls::{ALICE, BOB, dial, talk, two};
use crate::world::{World, header};

#[test]
fn options_tells_the_truth() {
    let (mut world, alice) = two(1);
    world.with(BOB, |_, agent, _| {
        agent.set_capabilities(Some(b"v=0".to_vec()))
    });
    let asked = world
        .with(ALICE, |now, agent, tx| {
            agent.options(now, tx, alice, "sip:bob@10.0.0.2")
        })
        .unwrap();
    match world.event(ALICE) {
        Event::Response {
            request,
            call: None,
            status,
            response,
            ..
        } => {
            assert_eq!((request, status), (asked, StatusCode(200)));
            assert_eq!(response.packet().body(), b"v=0");
        }
        other => panic!("{other:?}"),
    }
    let answer = world.last("200 OPTIONS");
    assert_eq!(header(answer, "Allow"), sip::ua::ALLOW);
    assert_eq!(header(answer, "Accept"), "application/sdp, message/sipfrag");
    let supported = format!("{}, 100rel, timer", sip::ua::SUPPORTED);
    assert_eq!(header(answer, "Supported"), supported);
    assert_eq!(header(answer, "Allow-Events"), "refer");
    assert_eq!(header(answer, "Contact"), "<sip:bob@10.0.0.2:5060>");
    assert_eq!(world.log.len(), 2);
}

#[test]
fn a_message_arrives_once() {
    let (mut world, alice) = two(2);
    world.lose = vec![(BOB, "200 MESSAGE".to_owned())];
    world
        .with(ALICE, |now, agent, tx| {
            let body = Some(("text/plain", "안녕".as_bytes()));
            agent.request(now, tx, alice, "MESSAGE", "sip:bob@10.0.0.2", &[], body)
        })
        .unwrap();
    match world.event(BOB) {
        Event::Message {
            from,
            to,
            content_type,
            body,
            ..
        } => {
            assert_eq!(
                (from.as_str(), to.as_str()),
                ("sip:alice@10.0.0.1", "sip:bob@10.0.0.2")
            );
            assert_eq!(
                (content_type.as_str(), body.as_slice()),
                ("text/plain", "안녕".as_bytes())
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        world.event(ALICE),
        Event::Response {
            status: StatusCode(200),
            ..
        }
    ));
    assert!(world.unread(BOB).is_empty());
    assert_eq!(world.count("MESSAGE"), 2);
}

#[test]
fn requests_inside_a_call() {
    let (mut world, alice) = two(3);
    let (ours, theirs) = talk(&mut world, alice);
    let asked = world
        .with(ALICE, |now, agent, tx| {
            let body = Some(("application/x-own", &b"Signal=1"[..]));
            agent.request_in(now, tx, ours, "INFO", &[], body)
        })
        .unwrap();
    match world.event(BOB) {
        Event::Request {
            call, method, body, ..
        } => {
            assert_eq!(
                (call, method.as_str(), body.as_slice()),
                (theirs, "INFO", &b"Signal=1"[..])
            );
        }
        other => panic!("{other:?}"),
    }
    match world.event(ALICE) {
        Event::Response {
            request,
            call,
            status,
            ..
        } => {
            assert_eq!(
                (request, call, status),
                (asked, Some(ours), StatusCode(200))
            );
        }
        other => panic!("{other:?}"),
    }
    for method in ["INVITE", "BYE", "ACK", "no token"] {
        let sent = world.with(ALICE, |now, agent, tx| {
            agent.request_in(now, tx, ours, method, &[], None)
        });
        assert_eq!(sent.err(), Some(Misuse::Method));
    }
}

/// A request out of nowhere.
fn request(n: usize, method: &str, uri: &str, more: &str, body: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKq{n}\nFrom: <sip:x@y>;tag=f{n}\n\
         To: <sip:bob@10.0.0.2>\nCall-ID: call{n}\nCSeq: 1 {method}\nMax-Forwards: 70\n{more}\
         Content-Length: {}\n\n{body}",
        body.len()
    )
}

/// Requests, the status that each gets, and a line of the response.
fn refused() -> Vec<(String, &'static str, &'static str)> {
    let contact = "Contact: <sip:x@10.0.0.5>\n";
    let sdp = format!("{contact}Content-Type: application/sdp\n");
    let bob = "sip:bob@10.0.0.2";
    vec![
        (request(0, "INVITE", bob, "", ""), "400", ""),
        (
            request(
                1,
                "INVITE",
                bob,
                &format!("{contact}Require: 100rel\nRequire: x\n"),
                "",
            ),
            "420",
            "Unsupported: x\r\n",
        ),
        (
            request(
                2,
                "INVITE",
                bob,
                &format!("{contact}Content-Type: text/plain\n"),
                "hi",
            ),
            "415",
            "Accept: application/sdp",
        ),
        (
            request(
                3,
                "INVITE",
                bob,
                &format!("{sdp}Content-Encoding: gzip\n"),
                "hi",
            ),
            "415",
            "Accept-Encoding: identity",
        ),
        (request(4, "INVITE", "mailto:bob@h", &sdp, "v"), "416", ""),
        (
            request(5, "SUBSCRIBE", bob, contact, ""),
            "405",
            "Allow: INVITE",
        ),
        (
            request(6, "FROBNICATE", bob, "", ""),
            "501",
            "Allow: INVITE",
        ),
        (request(7, "BYE", bob, "", ""), "481", ""),
        (
            request(8, "INVITE", bob, &sdp, "v")
                .replace("To: <sip:bob@10.0.0.2>", "To: <sip:bob@10.0.0.2>;tag=old"),
            "481",
            "",
        ),
        (request(9, "INFO", bob, "", ""), "481", ""),
        (request(10, "OPTIONS", bob, "", ""), "200", ""),
    ]
}

#[test]
fn what_is_refused_at_the_door() {
    let (mut world, _) = two(4);
    let peer = world.raw("10.0.0.5:5060");
    let cases = refused();
    let count = cases.len();
    for (text, status, line) in cases {
        world.write(peer, BOB, &text);
        let answer = world.receive(peer);
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")),
            "{text}\n{answer}"
        );
        assert!(answer.contains(line), "{answer}");
        if text.starts_with("INVITE") {
            let ack = text
                .split("Content-Type")
                .next()
                .unwrap()
                .replace("INVITE", "ACK");
            world.write(peer, BOB, &format!("{ack}\n\n"));
        }
    }
    assert_eq!(count, 11);
    world.run(50_000);
    assert!(world.unread(BOB).is_empty());
    assert_eq!(
        world.with(BOB, |_, agent, _| (agent.kept(), agent.calls())),
        (0, 0)
    );
}

#[test]
fn the_same_call_by_two_ways_is_a_loop() {
    let (mut world, _) = two(5);
    let peer = world.raw("10.0.0.5:5060");
    let contact = "Contact: <sip:x@10.0.0.5>\n";
    let first = request(1, "INVITE", "sip:bob@10.0.0.2", contact, "");
    world.write(peer, BOB, &first);
    assert!(matches!(
        world.event(BOB),
        Event::Incoming { offer: None, .. }
    ));
    world.write(peer, BOB, &first.replace("z9hG4bKq1", "z9hG4bKother"));
    let mut answer = world.receive(peer);
    while answer.starts_with("SIP/2.0 100 ") {
        answer = world.receive(peer);
    }
    assert!(answer.starts_with("SIP/2.0 482 "), "{answer}");
    // One is a repetition, and no loop.
    world.write(peer, BOB, &first);
    world.run(1000);
    assert!(world.unread(BOB).is_empty());
}

#[test]
fn the_owner_may_ask_for_too_much() {
    let mut agent = UserAgent::new(String::new());
    for _ in 0..sip::ua::MAX_ACCOUNTS {
        agent.add_account(Account::new("sip:a@b")).unwrap();
    }
    assert_eq!(
        agent.add_account(Account::new("sip:a@b")).err(),
        Some(Misuse::Full)
    );
}

#[test]
fn calls_above_the_bound_are_refused() {
    let mut world = World::new(6);
    let (_, alice) = world.agent("10.0.0.1:5060", Account::new("sip:alice@10.0.0.1"));
    world.raw("10.0.0.5:5060");
    for _ in 0..sip::ua::MAX_CALLS {
        dial(&mut world, alice, "sip:bob@10.0.0.5");
    }
    let one_more = world.with(ALICE, |now, agent, tx| {
        agent.call(now, tx, alice, "sip:bob@10.0.0.5", None, &[])
    });
    assert_eq!(one_more, Err(Misuse::Full));
    assert_eq!(
        world.with(ALICE, |_, agent, _| agent.calls()),
        sip::ua::MAX_CALLS
    );
}

#[test]
fn garbage_in_a_dialog_never_panics() {
    let mut answered = 0;
    for seed in 0..300u64 {
        let (mut world, alice) = two(seed);
        let peer = world.raw("10.0.0.5:5060");
        dial(&mut world, alice, "sip:bob@10.0.0.5");
        let invite = world.receive(peer);
        let good = crate::world::reply(
            &invite,
            "200 OK",
            "t",
            "Contact: <sip:bob@10.0.0.5>\nRecord-Route: <sip:10.0.0.5;lr>, \"x\" <sip:10.0.0.5>;y\n",
            "sdp",
        );
        let mut bytes = good.into_bytes();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..3 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // The Via stays, so that the response finds its transaction.
            let at = 120 + (random >> 33) as usize % (bytes.len() - 120);
            bytes[at] = (random >> 20) as u8 & 0x7f;
        }
        let text = String::from_utf8(bytes).unwrap();
        world.write(peer, ALICE, &text);
        world.run(100);
        answered += usize::from(!world.unread(ALICE).is_empty());
        world.run(100_000);
    }
    assert!(answered > 50, "{answered}");
}

#[test]
fn an_answer_comes_too_late_to_matter() {
    let (mut world, alice) = two(7);
    let call = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = match world.event(BOB) {
        Event::Incoming { call, .. } => call,
        other => panic!("{other:?}"),
    };
    world
        .with(BOB, |now, agent, tx| {
            agent.reject(now, tx, theirs, StatusCode(404), None)
        })
        .unwrap();
    let late = world.with(BOB, |now, agent, tx| {
        agent.ring(now, tx, theirs, StatusCode(180), None)
    });
    assert_eq!(late, Err(Misuse::NoCall));
    match world.event(ALICE) {
        Event::Ended {
            call: ended,
            cause: Cause::Refused { .. },
        } => assert_eq!(ended, call),
        other => panic!("{other:?}"),
    }
}
