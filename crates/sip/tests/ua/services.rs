//! Redirection, forwarding, replaced calls, keys by INFO, identity (RFC 3261 §8.1.3.4, 3891, 5806, 6086, 3325, 3326).

use std::time::Duration;

use sip::message::StatusCode;
use sip::ua::{Account, CallId, Cause, Diverted, Event, Misuse};

use crate::calls::{
    ALICE, BOB, accept, dial, ended, hang_up, incoming, nothing_is_kept, talk, two,
};
use crate::transfer::{CAROL, flow, in_order, ring, three};
use crate::world::{World, header, reply};

fn redirected(world: &mut World, wanted: &str, code: u16) {
    match world.event(ALICE) {
        Event::Redirected { to, status, .. } => {
            assert_eq!((to.as_str(), status.0), (wanted, code));
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 3665 §3.6 with our own forwarding: Bob sends Alice to Carol.
#[test]
fn a_forwarded_call_message_by_message() {
    let (mut world, [alice, ..]) = three(1);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let b = incoming(&mut world, BOB);
    let targets = ["sip:carol@10.0.0.3", "dave"];
    world.with(BOB, |now, agent, tx| {
        let bad = agent.forward(now, tx, b, &[], Diverted::Busy);
        assert_eq!(bad, Err(Misuse::Address));
        let bad = agent.forward(now, tx, b, &["sip:a b"], Diverted::Busy);
        assert_eq!(bad, Err(Misuse::Address));
        agent.forward(now, tx, b, &targets, Diverted::Busy).unwrap();
        let again = agent.forward(now, tx, b, &targets, Diverted::Busy);
        assert_eq!(again, Err(Misuse::NoCall));
    });
    assert_eq!(ended(&mut world, BOB, b), Cause::ByUs);
    redirected(&mut world, "sip:carol@10.0.0.3", 302);
    let c = incoming(&mut world, CAROL);
    ring(&mut world, CAROL, c);
    accept(&mut world, CAROL, c);
    world.run(100);
    let moved = world.last("302 INVITE");
    assert_eq!(header(moved, "Contact"), "<sip:carol@10.0.0.3>;q=1.000");
    assert!(moved.contains("Contact: <sip:dave@10.0.0.2>;q=0.900\r\n"));
    assert_eq!(
        header(moved, "Diversion"),
        "<sip:bob@10.0.0.2>;reason=user-busy;counter=1"
    );
    assert_eq!(
        header(moved, "History-Info"),
        "<sip:bob@10.0.0.2?Reason=SIP%3Bcause%3D302>;index=1"
    );
    let invite = world.last("INVITE");
    assert!(invite.starts_with("INVITE sip:carol@10.0.0.3 SIP/2.0\r\n"));
    assert_eq!(header(invite, "CSeq"), "2 INVITE");
    assert_eq!(header(invite, "To"), "<sip:bob@10.0.0.2>");
    assert_eq!(
        header(invite, "Diversion"),
        "<sip:bob@10.0.0.2>;reason=user-busy;counter=1"
    );
    assert!(invite.contains("History-Info: <sip:carol@10.0.0.3>;index=1.1;mp=1\r\n"));
    in_order(
        &flow(&world, 0),
        &[
            "alice INVITE",
            "bob 302 INVITE",
            "alice ACK",
            "alice INVITE",
            "carol 180 INVITE",
            "carol 200 INVITE",
            "alice ACK",
        ],
    );
    hang_up(&mut world, ALICE, ours);
    world.run(1000);
    for node in [ALICE, CAROL] {
        world.unread(node);
    }
    nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
}

/// Answers each INVITE with the next of `answers`; then the cause with which the call ends.
fn wander(target: &str, answers: &[(&str, &str)]) -> (Vec<String>, Cause) {
    let mut world = World::new(2);
    let (_, alice) = world.agent("10.0.0.1:5060", Account::new("sip:alice@10.0.0.1"));
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, target);
    let mut tried = Vec::new();
    for (status, contact) in answers {
        let invite = loop {
            let text = world.receive(peer);
            if text.starts_with("INVITE ") {
                break text;
            }
        };
        let uri = invite.split(' ').nth(1).unwrap();
        tried.push(uri.to_owned());
        let more = match *contact {
            "" => String::new(),
            list => format!("Contact: {list}\n"),
        };
        world.write(peer, ALICE, &reply(&invite, status, "t", &more, ""));
    }
    let cause = loop {
        match world.event(ALICE) {
            Event::Ended { call: ended, cause } => {
                assert_eq!(ended, call);
                break cause;
            }
            Event::Redirected { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    world.run(100);
    assert_eq!(world.count("INVITE"), answers.len(), "{:?}", world.kinds());
    nothing_is_kept(&mut world, &[ALICE]);
    (tried, cause)
}

fn status(cause: &Cause) -> u16 {
    match cause {
        Cause::Refused { status, .. } => status.0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirections_end_somewhere() {
    // By preference, each once; what a later one names goes first.
    let (tried, cause) = wander(
        "sip:a@10.0.0.5",
        &[
            (
                "300 Multiple Choices",
                "<sip:c@10.0.0.5>;q=0.2, <sip:b@10.0.0.5>;q=0.7, <sip:a@10.0.0.5>",
            ),
            ("486 Busy Here", ""),
            (
                "302 Moved",
                "<sip:d@10.0.0.5>, <sip:b@10.0.0.5>, <mailto:x@y>",
            ),
            ("404 Not Found", ""),
        ],
    );
    let users: Vec<_> = tried.iter().map(|u| &u[4..5]).collect();
    assert_eq!((users, status(&cause)), (vec!["a", "b", "c", "d"], 404));
    // A loop of two.
    let (tried, cause) = wander(
        "sip:a@10.0.0.5",
        &[
            ("302 Moved", "<sip:b@10.0.0.5>"),
            ("301 Moved", "<sip:a@10.0.0.5>"),
        ],
    );
    assert_eq!((tried.len(), status(&cause)), (2, 301));
    // An endless chain: five are followed.
    let names = ["b", "c", "d", "e", "f", "g"].map(|n| format!("<sip:{n}@10.0.0.5>"));
    let chain: Vec<_> = names.iter().map(|n| ("302 Moved", n.as_str())).collect();
    let (tried, cause) = wander("sip:a@10.0.0.5", &chain);
    assert_eq!((tried.len(), status(&cause)), (6, 302));
    // Nobody anywhere wants it.
    let (tried, cause) = wander(
        "sip:a@10.0.0.5",
        &[
            ("302 Moved", "<sip:b@10.0.0.5>, <sip:c@10.0.0.5>"),
            ("603 Decline", ""),
        ],
    );
    assert_eq!((tried.len(), status(&cause)), (2, 603));
    // Other services and other proxies are no other addresses.
    for code in ["305 Use Proxy", "380 Alternative Service"] {
        let (_, cause) = wander("sip:a@10.0.0.5", &[(code, "<sip:b@10.0.0.5>")]);
        assert!(matches!(cause, Cause::Refused { contacts, .. } if contacts.len() == 1));
    }
}

#[test]
fn too_many_addresses_are_not_all_tried() {
    let list: Vec<_> = (0..40).map(|n| format!("<sip:u{n}@10.0.0.5>")).collect();
    let list = list.join(", ");
    let mut answers = vec![("302 Moved", list.as_str())];
    answers.extend([("480 Away", ""); 15]);
    let (tried, _) = wander("sip:a@10.0.0.5", &answers);
    assert_eq!(tried.len(), 16);
}

#[test]
fn a_redirected_call_can_be_hung_up() {
    let (mut world, alice) = two(3);
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, "sip:a@10.0.0.5");
    let invite = world.receive(peer);
    let more = "Contact: <sip:b@10.0.0.5>\n";
    world.write(peer, ALICE, &reply(&invite, "302 Moved", "t", more, ""));
    redirected(&mut world, "sip:b@10.0.0.5", 302);
    hang_up(&mut world, ALICE, call);
    assert!(world.receive(peer).starts_with("ACK "));
    let invite = world.receive(peer);
    world.write(peer, ALICE, &reply(&invite, "100 Trying", "", "", ""));
    assert!(world.receive(peer).starts_with("CANCEL "));
    world.write(
        peer,
        ALICE,
        &reply(&invite, "302 Moved", "t", "Contact: <sip:c@10.0.0.5>\n", ""),
    );
    assert_eq!(ended(&mut world, ALICE, call), Cause::Cancelled);
    world.run(100);
    assert_eq!(world.count("INVITE"), 2);
}

/// An INVITE of a hand-written peer that wants to replace a call.
fn replacing(n: u32, replaces: &str) -> String {
    format!(
        "INVITE sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKr{n}\n\
         From: <sip:x@10.0.0.5>;tag=f{n}\nTo: <sip:bob@10.0.0.2>\nCall-ID: new{n}\nCSeq: 1 INVITE\n\
         Max-Forwards: 70\nContact: <sip:x@10.0.0.5>\nRequire: replaces\n{replaces}Content-Length: 0\n\n"
    )
}

/// The tags of a call as Bob sees them: the rest of a Replaces for him.
fn tags(world: &World) -> String {
    let ok = world.last("200 INVITE");
    let tag = |name: &str| {
        let value = header(ok, name);
        value.split(";tag=").nth(1).unwrap().to_owned()
    };
    format!(
        "Replaces: {};to-tag={};from-tag={}",
        header(ok, "Call-ID"),
        tag("To"),
        tag("From")
    )
}

#[test]
fn what_cannot_be_replaced() {
    let (mut world, alice) = two(4);
    let peer = world.raw("10.0.0.5:5060");
    let (_, theirs) = talk(&mut world, alice);
    let good = tags(&world);
    let swapped = good
        .replace("to-tag", "x")
        .replace("from-tag", "to-tag")
        .replace(";x=", ";from-tag=");
    let cases = [
        ("Replaces: x;to-tag=1;from-tag=2\n".to_owned(), "481"),
        (format!("{swapped}\n"), "481"),
        (format!("{good}x\n"), "481"),
        (format!("{good};early-only\n"), "486"),
        (format!("{good}\n{good}\n"), "400"),
        (format!("{good}\nJoin: x;to-tag=1;from-tag=2\n"), "400"),
        ("Replaces: x;to-tag=1\n".to_owned(), "400"),
    ];
    let mut n = 0;
    for (replaces, status) in &cases {
        n += 1;
        let text = replacing(n, replaces);
        world.write(peer, BOB, &text);
        let answer = world.receive(peer);
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")),
            "{replaces}{answer}"
        );
        world.write(
            peer,
            BOB,
            &text
                .replace("INVITE", "ACK")
                .replace("Require: replaces\n", ""),
        );
    }
    world.run(100);
    assert!(world.unread(BOB).is_empty());
    // One that rings here was not made here (RFC 3891 §3).
    let ringing = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let b2 = incoming(&mut world, BOB);
    ring(&mut world, BOB, b2);
    let early = {
        let text = world.last("180 INVITE");
        let tag = |name: &str| {
            let value = header(text, name);
            value.split(";tag=").nth(1).unwrap().to_owned()
        };
        format!(
            "Replaces: {};to-tag={};from-tag={}\n",
            header(text, "Call-ID"),
            tag("To"),
            tag("From")
        )
    };
    world.write(peer, BOB, &replacing(20, &early));
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
    let _ = ringing;
    // One that is hung up but not yet forgotten.
    world.lose = vec![(ALICE, "200 BYE".to_owned()); 3];
    hang_up(&mut world, BOB, theirs);
    world.write(peer, BOB, &replacing(21, &format!("{good}\n")));
    let mut answer = world.receive(peer);
    while !answer.contains("Call-ID: new21") {
        answer = world.receive(peer);
    }
    assert!(answer.starts_with("SIP/2.0 603 "), "{answer}");
}

#[test]
fn a_call_that_takes_another_ones_place_may_be_refused() {
    let (mut world, alice) = two(5);
    let peer = world.raw("10.0.0.5:5060");
    let (_, theirs) = talk(&mut world, alice);
    let good = format!("{}\n", tags(&world));
    world.write(peer, BOB, &replacing(1, &good));
    let new = match world.event(BOB) {
        Event::Incoming { call, replaces, .. } => {
            assert_eq!(replaces, Some(theirs));
            call
        }
        other => panic!("{other:?}"),
    };
    world
        .with(BOB, |now, agent, tx| {
            agent.reject(now, tx, new, StatusCode(603), None)
        })
        .unwrap();
    assert_eq!(ended(&mut world, BOB, new), Cause::ByUs);
    world.run(1000);
    assert_eq!(world.count("BYE"), 0);
    assert_eq!(world.with(BOB, |_, agent, _| agent.calls()), 1);
    // The replaced call ends by itself first: the new one is still a call.
    world.write(peer, BOB, &replacing(2, &good));
    let new = match world.event(BOB) {
        Event::Incoming { call, .. } => call,
        other => panic!("{other:?}"),
    };
    hang_up(&mut world, BOB, theirs);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    accept(&mut world, BOB, new);
    assert_eq!(world.count("BYE"), 1);
}

#[test]
fn keys_by_info() {
    let (mut world, alice) = two(6);
    let (ours, theirs) = talk(&mut world, alice);
    world
        .with(ALICE, |now, agent, tx| {
            let bad = agent.press(now, tx, ours, 'x', Duration::ZERO);
            assert_eq!(bad.err(), Some(Misuse::Header));
            agent.press(now, tx, ours, '#', Duration::from_millis(250))
        })
        .unwrap();
    match world.event(BOB) {
        Event::Dtmf {
            call,
            digit,
            duration,
        } => assert_eq!((call, digit, duration.as_millis()), (theirs, '#', 250)),
        other => panic!("{other:?}"),
    }
    let info = world.last("INFO");
    assert_eq!(header(info, "Content-Type"), "application/dtmf-relay");
    assert!(info.ends_with("\r\n\r\nSignal=#\r\nDuration=250\r\n"));
}

fn response(world: &mut World, node: usize) -> (StatusCode, String) {
    match world.event(node) {
        Event::Response {
            status, response, ..
        } => {
            let text = String::from_utf8_lossy(response.bytes()).into_owned();
            (status, text)
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 6086 §5, §6.
#[test]
fn info_packages() {
    let (mut world, alice) = two(7);
    world.with(BOB, |_, agent, _| {
        let bad = agent.set_info_packages(vec!["a b".to_owned()]);
        assert_eq!(bad, Err(Misuse::Header));
        agent
            .set_info_packages(vec!["foo".to_owned(), "bar".to_owned()])
            .unwrap();
    });
    let (ours, theirs) = talk(&mut world, alice);
    assert_eq!(header(world.last("200 INVITE"), "Recv-Info"), "foo, bar");
    let info = |world: &mut World, package: &str| {
        world
            .with(ALICE, |now, agent, tx| {
                let body = Some(("application/foo", &b"hello"[..]));
                agent.info(now, tx, ours, Some(package), body)
            })
            .unwrap()
    };
    info(&mut world, "foo;x=y");
    match world.event(BOB) {
        Event::Request {
            call,
            method,
            info_package,
            body,
            ..
        } => {
            assert_eq!((call, method.as_str()), (theirs, "INFO"));
            assert_eq!(info_package.as_deref(), Some("foo"));
            assert_eq!(body, b"hello");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(response(&mut world, ALICE).0, StatusCode(200));
    assert_eq!(
        header(world.last("INFO"), "Content-Disposition"),
        "Info-Package"
    );
    info(&mut world, "baz");
    let (status, text) = response(&mut world, ALICE);
    assert_eq!(status, StatusCode(469));
    assert_eq!(header(&text, "Recv-Info"), "foo, bar");
    world.run(100);
    assert!(world.unread(BOB).is_empty());
}

#[test]
fn messages_inside_and_outside_calls() {
    let (mut world, alice) = two(8);
    let (ours, theirs) = talk(&mut world, alice);
    world
        .with(ALICE, |now, agent, tx| {
            agent.message_in(now, tx, ours, "text/plain", b"in")
        })
        .unwrap();
    match world.event(BOB) {
        Event::Request {
            call, method, body, ..
        } => assert_eq!(
            (call, method.as_str(), &body[..]),
            (theirs, "MESSAGE", &b"in"[..])
        ),
        other => panic!("{other:?}"),
    }
    world
        .with(ALICE, |now, agent, tx| {
            agent.message(now, tx, alice, "sip:bob@10.0.0.2", "text/plain", b"out")
        })
        .unwrap();
    assert!(matches!(world.event(BOB), Event::Message { body, .. } if body == b"out"));
}

/// RFC 3325 §9: who does not want to be known.
#[test]
fn an_anonymous_call() {
    let (mut world, alice) = two(9);
    let call = world
        .with(ALICE, |now, agent, tx| {
            let target = "sip:bob@10.0.0.2";
            agent.call_anonymously(now, tx, alice, target, Some(b"offer".to_vec()), &[])
        })
        .unwrap();
    match world.event(BOB) {
        Event::Incoming {
            from_uri, asserted, ..
        } => {
            assert_eq!(from_uri, "sip:anonymous@anonymous.invalid");
            assert_eq!(asserted, None);
        }
        other => panic!("{other:?}"),
    }
    let invite = world.last("INVITE");
    assert!(
        header(invite, "From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=")
    );
    assert_eq!(header(invite, "Privacy"), "id");
    assert_eq!(header(invite, "Contact"), "<sip:anonymous@10.0.0.1:5060>");
    // There is no server of ours on the way: nobody may know.
    assert!(!invite.to_lowercase().contains("alice"), "{invite}");
    hang_up(&mut world, ALICE, call);

    let mut account = Account::new("sip:alice@10.0.0.1");
    account.anonymous = true;
    account.proxy = Some("sip:10.0.0.5".to_owned());
    let mut world = World::new(10);
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let proxy = world.raw("10.0.0.5:5060");
    dial(&mut world, alice, "sip:bob@example.org");
    let invite = world.receive(proxy);
    assert_eq!(
        header(&invite, "P-Preferred-Identity"),
        "<sip:alice@10.0.0.1>"
    );
    assert!(header(&invite, "From").contains("anonymous.invalid"));
}

#[test]
fn only_our_own_server_may_assert_who_calls() {
    let mut account = Account::new("sip:bob@10.0.0.5");
    account.trust_asserted = true;
    let mut world = World::new(11);
    world.raw("10.0.0.9:5060");
    let (bob, id) = world.agent("10.0.0.2:5060", account);
    let server = world.raw("10.0.0.5:5060");
    let stranger = world.raw("10.0.0.6:5060");
    world
        .with(bob, |now, agent, tx| agent.register(now, tx, id, 600))
        .unwrap();
    let register = world.receive(server);
    let contact = format!("Contact: {};expires=600\n", header(&register, "Contact"));
    world.write(server, bob, &reply(&register, "200 OK", "r", &contact, ""));
    assert!(matches!(world.event(bob), Event::Registered { .. }));
    for (n, (from, wanted)) in [
        (server, Some("\"Al\" <sip:alice@10.0.0.5>")),
        (stranger, None),
    ]
    .into_iter()
    .enumerate()
    {
        let invite = format!(
            "INVITE sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.{};branch=z9hG4bKp{n}\n\
             From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=f{n}\nTo: <sip:bob@10.0.0.2>\n\
             Call-ID: p{n}\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:x@10.0.0.5>\n\
             P-Asserted-Identity: \"Al\" <sip:alice@10.0.0.5>, <tel:+4930>\nContent-Length: 0\n\n",
            5 + n
        );
        world.write(from, bob, &invite);
        match world.event(bob) {
            Event::Incoming { asserted, .. } => assert_eq!(asserted.as_deref(), wanted),
            other => panic!("{other:?}"),
        }
    }
}

fn rung(world: &mut World, alice: sip::ua::AccountId) -> (CallId, CallId) {
    let ours = dial(world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(world, BOB);
    ring(world, BOB, theirs);
    assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    (ours, theirs)
}

/// RFC 3326 §2: the other phones of a user are told that one of them answered.
#[test]
fn a_reason_for_the_end() {
    let (mut world, alice) = two(12);
    let (ours, theirs) = rung(&mut world, alice);
    let why = "SIP;cause=200;text=\"Call completed elsewhere\"";
    world.with(ALICE, |now, agent, tx| {
        let bad = agent.hang_up_because(now, tx, ours, "a\r\nb");
        assert_eq!(bad, Err(Misuse::Header));
        agent.hang_up_because(now, tx, ours, why).unwrap();
    });
    assert_eq!(ended(&mut world, BOB, theirs), Cause::AnsweredElsewhere);
    assert_eq!(header(world.last("CANCEL"), "Reason"), why);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    let (_, theirs) = talk(&mut world, alice);
    world
        .with(BOB, |now, agent, tx| {
            agent.hang_up_because(now, tx, theirs, "Q.850;cause=16")
        })
        .unwrap();
    let reason = Some("Q.850 16".to_owned());
    match world.event(ALICE) {
        Event::Ended { cause, .. } => assert_eq!(cause, Cause::ByPeer { reason }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_says_more_when_it_can() {
    let (mut world, alice) = two(13);
    let (ours, theirs) = rung(&mut world, alice);
    world.with(BOB, |now, agent, tx| {
        let mut headers = vec![("Retry-After".to_owned(), "300".to_owned())];
        headers.push(("Warning".to_owned(), "399 10.0.0.2 \"at lunch\"".to_owned()));
        let evil = [("Contact".to_owned(), "<sip:x@y>".to_owned())];
        let bad = agent.reject_with(now, tx, theirs, StatusCode(480), None, &evil);
        assert_eq!(bad, Err(Misuse::Header));
        agent
            .reject_with(now, tx, theirs, StatusCode(480), Some("Lunch"), &headers)
            .unwrap();
    });
    assert!(matches!(
        ended(&mut world, ALICE, ours),
        Cause::Refused {
            status: StatusCode(480),
            ..
        }
    ));
    let refusal = world.last("480 INVITE");
    assert_eq!(header(refusal, "Retry-After"), "300");
    assert_eq!(header(refusal, "Warning"), "399 10.0.0.2 \"at lunch\"");
}
