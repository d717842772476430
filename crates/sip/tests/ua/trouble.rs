//! Calls over networks that lose messages, and peers that change their minds.

use std::net::Ipv4Addr;

use sip::auth::Secret;
use sip::message::StatusCode;
use sip::ua::{Account, Cause, Event, Misuse};

use crate::calls::{
    ALICE, BOB, accept, dial, ended, hang_up, incoming, nothing_is_kept, talk, two,
};
use crate::world::{World, header, reply};

#[test]
fn a_lost_ack_is_sent_again() {
    let (mut world, alice) = two(8);
    world.lose = vec![(ALICE, "ACK".to_owned()), (ALICE, "ACK".to_owned())];
    talk(&mut world, alice);
    assert_eq!((world.count("200 INVITE"), world.count("ACK")), (3, 3));
    world.run(40_000);
    assert_eq!((world.count("200 INVITE"), world.count("ACK")), (3, 3));
}

#[test]
fn a_lost_200_is_sent_again() {
    let (mut world, alice) = two(9);
    world.lose = vec![(BOB, "200 INVITE".to_owned())];
    talk(&mut world, alice);
    assert_eq!((world.count("200 INVITE"), world.count("ACK")), (2, 1));
    let gap: Vec<_> = world
        .log
        .iter()
        .filter(|s| s.kind() == "200 INVITE")
        .map(|s| s.at)
        .collect();
    assert_eq!((gap[1] - gap[0]).as_millis(), 500);
}

#[test]
fn without_any_ack_the_callee_says_bye() {
    let (mut world, alice) = two(10);
    world.lose = vec![(ALICE, "ACK".to_owned()); 20];
    dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    accept(&mut world, BOB, theirs);
    let before = world.now;
    assert_eq!(ended(&mut world, BOB, theirs), Cause::NoAck);
    assert!((32_000..32_100).contains(&(world.now - before).as_millis()));
    // T1, 2·T1, 4·T1, then T2 until 64·T1 (RFC 3261 §13.3.1.4).
    assert_eq!(world.count("200 INVITE"), 11);
    assert_eq!(world.count("BYE"), 1);
}

#[test]
fn the_callee_hangs_up_only_after_the_ack() {
    let (mut world, alice) = two(11);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    accept(&mut world, BOB, theirs);
    hang_up(&mut world, BOB, theirs);
    assert_eq!(world.count("BYE"), 0);
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn nobody_is_there() {
    let (mut world, alice) = two(12);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.9");
    assert!(matches!(
        ended(&mut world, ALICE, ours),
        Cause::Unreachable { .. }
    ));
    let silent = world.raw("10.0.0.8:5060");
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.8");
    assert_eq!(ended(&mut world, ALICE, ours), Cause::TimedOut);
    assert!(world.receive(silent).starts_with("INVITE "));
    let unknown = dial(&mut world, alice, "sip:bob@10.0.0.9;transport=sctp");
    assert!(matches!(
        ended(&mut world, ALICE, unknown),
        Cause::Unreachable { .. }
    ));
    nothing_is_kept(&mut world, &[ALICE]);
}

#[test]
fn a_third_of_all_packets_lost() {
    let mut finished = 0;
    for seed in 0..60 {
        let (mut world, alice) = two(seed);
        world.loss = 300;
        world.duplicates = 100;
        world.jitter = 40;
        let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
        let theirs = incoming(&mut world, BOB);
        world
            .with(BOB, |now, agent, tx| {
                agent.ring(now, tx, theirs, StatusCode(180), None)
            })
            .unwrap();
        world.run(1000);
        accept(&mut world, BOB, theirs);
        while !matches!(world.event(ALICE), Event::Established { .. }) {}
        assert!(
            matches!(world.event(BOB), Event::Acknowledged { .. }),
            "seed {seed}"
        );
        let (first, second) = if seed % 2 == 0 {
            (ALICE, BOB)
        } else {
            (BOB, ALICE)
        };
        let names = [ours, theirs];
        hang_up(&mut world, first, names[first]);
        assert_eq!(
            ended(&mut world, first, names[first]),
            Cause::ByUs,
            "seed {seed}"
        );
        assert_eq!(
            ended(&mut world, second, names[second]),
            Cause::ByPeer { reason: None },
            "seed {seed}"
        );
        world.loss = 0;
        nothing_is_kept(&mut world, &[ALICE, BOB]);
        finished += 1;
    }
    assert_eq!(finished, 60);
}

#[test]
fn the_session_is_changed_and_refused() {
    let (mut world, alice) = two(14);
    let (ours, theirs) = talk(&mut world, alice);
    world
        .with(BOB, |now, agent, tx| {
            agent.reoffer(now, tx, theirs, Some(b"hold".to_vec()))
        })
        .unwrap();
    match world.event(ALICE) {
        Event::Reoffered { call, offer } => {
            assert_eq!((call, offer.as_deref()), (ours, Some(&b"hold"[..])));
        }
        other => panic!("{other:?}"),
    }
    world
        .with(ALICE, |now, agent, tx| agent.accept(now, tx, ours, b"held"))
        .unwrap();
    match world.event(BOB) {
        Event::Reanswered { body, .. } => assert_eq!(body.as_deref(), Some(&b"held"[..])),
        other => panic!("{other:?}"),
    }
    assert!(matches!(world.event(ALICE), Event::Acknowledged { .. }));
    world
        .with(ALICE, |now, agent, tx| {
            agent.reoffer(now, tx, ours, Some(b"video".to_vec()))
        })
        .unwrap();
    assert!(matches!(world.event(BOB), Event::Reoffered { .. }));
    world
        .with(BOB, |now, agent, tx| {
            agent.reject(now, tx, theirs, StatusCode(488), None)
        })
        .unwrap();
    match world.event(ALICE) {
        Event::ReofferRefused {
            cause: Cause::Refused { status, .. },
            ..
        } => assert_eq!(status.0, 488),
        other => panic!("{other:?}"),
    }
    hang_up(&mut world, ALICE, ours);
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn two_offers_that_meet_give_way_and_both_come_through() {
    let (mut world, alice) = two(15);
    let (ours, theirs) = talk(&mut world, alice);
    for (node, call) in [(ALICE, ours), (BOB, theirs)] {
        world
            .with(node, |now, agent, tx| {
                agent.reoffer(now, tx, call, Some(b"new".to_vec()))
            })
            .unwrap();
    }
    // Bob did not make the Call-ID, so he goes first.
    assert!(matches!(world.event(ALICE), Event::Reoffered { .. }));
    assert_eq!(world.count("491 INVITE"), 2);
    world
        .with(ALICE, |now, agent, tx| agent.accept(now, tx, ours, b"a"))
        .unwrap();
    assert!(matches!(world.event(BOB), Event::Reanswered { .. }));
    assert!(matches!(world.event(ALICE), Event::Acknowledged { .. }));
    assert!(matches!(world.event(BOB), Event::Reoffered { .. }));
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b"b"))
        .unwrap();
    assert!(matches!(world.event(ALICE), Event::Reanswered { .. }));
    assert!(matches!(world.event(BOB), Event::Acknowledged { .. }));
}

#[test]
fn the_next_address_of_a_name_is_tried() {
    let (mut world, alice) = two(22);
    let busy = world.raw("10.0.0.5:5060");
    let nobody = Ipv4Addr::new(10, 0, 0, 66);
    let list = vec![
        nobody,
        Ipv4Addr::new(10, 0, 0, 5),
        Ipv4Addr::new(10, 0, 0, 2),
    ];
    world.names.push(("three.example", list));
    let ours = dial(&mut world, alice, "sip:bob@three.example:5060");
    let invite = world.receive(busy);
    world.write(busy, ALICE, &reply(&invite, "503 Busy", "x", "", ""));
    let theirs = incoming(&mut world, BOB);
    accept(&mut world, BOB, theirs);
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    assert_eq!(world.count("INVITE"), 3);
    hang_up(&mut world, ALICE, ours);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    world.names[0].1 = vec![Ipv4Addr::new(10, 0, 0, 5)];
    let ours = dial(&mut world, alice, "sip:bob@three.example:5060");
    assert!(world.receive(busy).starts_with("ACK "));
    let invite = world.receive(busy);
    world.write(busy, ALICE, &reply(&invite, "503 Busy", "x", "", ""));
    assert!(matches!(
        ended(&mut world, ALICE, ours),
        Cause::Refused {
            status: StatusCode(503),
            ..
        }
    ));
}

#[test]
fn a_proxy_that_asks_inside_the_call_too() {
    let mut world = World::new(23);
    let mut account = Account::new("sip:alice@10.0.0.1");
    account.secret = Some(Secret::Password("secret".to_owned()));
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.5");
    let ask = |nonce: u32| {
        format!("Proxy-Authenticate: Digest realm=\"r\", nonce=\"n{nonce}\", qop=\"auth\"\n")
    };
    let invite = world.receive(peer);
    assert_eq!(header(&invite, "Proxy-Authorization"), "");
    world.write(peer, 0, &reply(&invite, "407 Who", "p", &ask(1), ""));
    assert!(world.receive(peer).starts_with("ACK "));
    let invite = world.receive(peer);
    assert_eq!(header(&invite, "CSeq"), "2 INVITE");
    let contact = "Contact: <sip:bob@10.0.0.5>\n";
    world.write(peer, 0, &reply(&invite, "200 OK", "t", contact, "sdp"));
    assert!(matches!(world.event(0), Event::Established { .. }));
    // RFC 3261 §22.1: the ACK carries what its INVITE carried.
    let ack = world.receive(peer);
    assert_eq!(header(&ack, "CSeq"), "2 ACK");
    let credentials = header(&invite, "Proxy-Authorization");
    assert!(credentials.contains("nonce=\"n1\"") && credentials.contains("nc=00000001"));
    assert_eq!(header(&ack, "Proxy-Authorization"), credentials);
    hang_up(&mut world, 0, ours);
    let bye = world.receive(peer);
    assert!(header(&bye, "Proxy-Authorization").contains("nc=00000002"));
    assert_eq!(header(&bye, "CSeq"), "3 BYE");
    let stale = ask(2).replace("qop", "stale=true, qop");
    world.write(peer, 0, &reply(&bye, "407 Who", "", &stale, ""));
    let bye = world.receive(peer);
    assert!(header(&bye, "Proxy-Authorization").contains("nonce=\"n2\""));
    assert_eq!(header(&bye, "CSeq"), "4 BYE");
    world.write(peer, 0, &reply(&bye, "200 OK", "", "", ""));
    assert_eq!(ended(&mut world, 0, ours), Cause::ByUs);
}

#[test]
fn a_server_that_asks_for_ever_is_given_up() {
    let mut world = World::new(24);
    let mut account = Account::new("sip:alice@10.0.0.1");
    account.secret = Some(Secret::Password("secret".to_owned()));
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, "sip:bob@10.0.0.5");
    let mut rounds = 0;
    for nonce in 0..50 {
        let mut request = world.receive(peer);
        if request.starts_with("ACK ") {
            if !world.unread(0).is_empty() {
                break;
            }
            request = world.receive(peer);
        }
        rounds += 1;
        let ask =
            format!("Proxy-Authenticate: Digest realm=\"r{nonce}\", nonce=\"n\", qop=\"auth\"\n");
        world.write(peer, 0, &reply(&request, "407 Who", "p", &ask, ""));
        world.run(30);
    }
    assert_eq!(rounds, 9);
    let late = world.with(0, |now, agent, tx| agent.hang_up(now, tx, call));
    assert_eq!(late, Err(Misuse::NoCall));
}
