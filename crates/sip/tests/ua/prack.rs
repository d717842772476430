//! Reliable provisional responses between two user agents, and a caller that the test writes (RFC 3262).

use sip::message::StatusCode;
use sip::ua::{CallId, Cause, Event, Misuse, Reliable};

use crate::calls::{
    ALICE, BOB, accept, dial, ended, hang_up, incoming, nothing_is_kept, two, two_with,
};
use crate::script::{Script, body};
use crate::world::{World, header};

pub fn ring(world: &mut World, call: CallId, status: u16, body: Option<&[u8]>) {
    world
        .with(BOB, |now, agent, tx| {
            agent.ring(now, tx, call, StatusCode(status), body)
        })
        .unwrap();
}

/// The next event of a node, which has to be progress: status, body, whether it is an offer.
#[track_caller]
pub fn progress(world: &mut World, node: usize) -> (u16, Option<Vec<u8>>, bool) {
    match world.event(node) {
        Event::Progress {
            status,
            body,
            offer,
            ..
        } => (status.0, body, offer),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn acknowledged(world: &mut World, node: usize) -> Option<Vec<u8>> {
    match world.event(node) {
        Event::ProgressAcknowledged { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn established(world: &mut World, node: usize) -> Option<Vec<u8>> {
    loop {
        match world.event(node) {
            Event::Established { body, .. } => return body,
            Event::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

pub fn kinds(world: &World) -> Vec<(usize, String)> {
    let mut all = world.kinds();
    all.retain(|(_, kind)| kind != "100 INVITE");
    all
}

#[track_caller]
pub fn assert_kinds(world: &World, expected: &[(usize, &str)]) {
    let all = kinds(world);
    let all: Vec<(usize, &str)> = all.iter().map(|(n, k)| (*n, k.as_str())).collect();
    assert_eq!(all, expected);
}

#[test]
fn early_media_takes_exactly_these_packets() {
    let (mut world, alice) = two(1);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    ring(&mut world, theirs, 183, Some(b"answer"));
    assert_eq!(
        progress(&mut world, ALICE),
        (183, Some(b"answer".to_vec()), false)
    );
    assert_eq!(acknowledged(&mut world, BOB), None);
    // The session is settled: nothing is said twice.
    accept(&mut world, BOB, theirs);
    assert_eq!(established(&mut world, ALICE), None);
    assert!(matches!(
        world.event(BOB),
        Event::Acknowledged { body: None, .. }
    ));
    hang_up(&mut world, ALICE, ours);
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    let expected = [
        (ALICE, "INVITE"),
        (BOB, "183 INVITE"),
        (ALICE, "PRACK"),
        (BOB, "200 PRACK"),
        (BOB, "200 INVITE"),
        (ALICE, "ACK"),
        (ALICE, "BYE"),
        (BOB, "200 BYE"),
    ];
    assert_kinds(&world, &expected);
    let progress = world.last("183 INVITE");
    assert_eq!(header(progress, "Require"), "100rel");
    assert!(header(progress, "Allow").contains("UPDATE"));
    let rack = format!("{} 1 INVITE", header(progress, "RSeq"));
    let prack = world.last("PRACK");
    assert_eq!(header(prack, "RAck"), rack);
    assert_eq!(header(prack, "CSeq"), "2 PRACK");
    assert!(prack.starts_with("PRACK sip:bob@10.0.0.2:5060 SIP/2.0\r\n"));
    assert_eq!(body(world.last("200 INVITE")), "");
    assert_eq!(header(world.last("BYE"), "CSeq"), "3 BYE");
    nothing_is_kept(&mut world, &[ALICE, BOB]);
    assert_kinds(&world, &expected);
}

#[test]
fn who_asks_for_reliable_ringing_gets_it() {
    for (caller, callee, reliable) in [
        (Reliable::Supported, Reliable::Supported, false),
        (Reliable::Required, Reliable::Supported, true),
        (Reliable::Supported, Reliable::Required, true),
        (Reliable::Supported, Reliable::Off, false),
        (Reliable::Off, Reliable::Supported, false),
    ] {
        let (mut world, alice) = two_with(2, |a, b| {
            a.reliable = caller;
            b.reliable = callee;
        });
        let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
        let theirs = incoming(&mut world, BOB);
        ring(&mut world, theirs, 180, None);
        assert_eq!(progress(&mut world, ALICE), (180, None, false));
        world.run(100);
        let expected = usize::from(reliable);
        assert_eq!(world.count("PRACK"), expected, "{caller:?} {callee:?}");
        let require = header(world.last("INVITE"), "Require");
        assert_eq!(require == "100rel", caller == Reliable::Required);
        world.unread(BOB);
        accept(&mut world, BOB, theirs);
        assert_eq!(established(&mut world, ALICE), Some(b"answer".to_vec()));
        hang_up(&mut world, ALICE, ours);
        assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    }
}

#[test]
fn accounts_that_cannot_agree() {
    for (caller, callee, status) in [
        (Reliable::Required, Reliable::Off, 420),
        (Reliable::Off, Reliable::Required, 421),
    ] {
        let (mut world, alice) = two_with(3, |a, b| {
            a.reliable = caller;
            b.reliable = callee;
        });
        let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
        match ended(&mut world, ALICE, ours) {
            Cause::Refused { status: s, .. } => assert_eq!(s.0, status),
            other => panic!("{other:?}"),
        }
        let refusal = world.last(&format!("{status} INVITE"));
        let named = header(refusal, "Unsupported") + &header(refusal, "Require");
        assert_eq!(named, "100rel");
        assert!(world.unread(BOB).is_empty());
        nothing_is_kept(&mut world, &[ALICE, BOB]);
    }
}

#[test]
fn an_offer_in_a_183_is_answered_in_the_prack() {
    let (mut world, alice) = two(4);
    let ours = world
        .with(ALICE, |now, agent, tx| {
            agent.call(now, tx, alice, "sip:bob@10.0.0.2", None, &[])
        })
        .unwrap();
    let theirs = match world.event(BOB) {
        Event::Incoming {
            call, offer: None, ..
        } => call,
        other => panic!("{other:?}"),
    };
    ring(&mut world, theirs, 183, Some(b"bobs offer"));
    assert_eq!(
        progress(&mut world, ALICE),
        (183, Some(b"bobs offer".to_vec()), true)
    );
    // The owner takes its time; what comes again is not told again.
    world.run(2000);
    assert_eq!((world.count("183 INVITE"), world.count("PRACK")), (3, 0));
    // Nor is the call answered before the answer to the offer is here.
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b""))
        .unwrap();
    assert_eq!(world.count("200 INVITE"), 0);
    let twice = world.with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b""));
    assert_eq!(twice, Err(Misuse::WrongState));
    world
        .with(ALICE, |now, agent, tx| {
            agent.acknowledge(now, tx, ours, b"alices answer".to_vec())
        })
        .unwrap();
    assert_eq!(
        acknowledged(&mut world, BOB),
        Some(b"alices answer".to_vec())
    );
    assert_eq!(established(&mut world, BOB), None);
    assert_eq!(established(&mut world, ALICE), None);
    assert!(matches!(
        world.event(BOB),
        Event::Acknowledged { body: None, .. }
    ));
    assert_eq!(body(world.last("PRACK")), "alices answer");
    assert_eq!(body(world.last("200 INVITE")), "");
    assert_eq!(body(world.last("ACK")), "");
    let late = world.with(ALICE, |now, agent, tx| {
        agent.acknowledge(now, tx, ours, b"x".to_vec())
    });
    assert_eq!(late, Err(Misuse::OfferAnswer));
    hang_up(&mut world, BOB, theirs);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn an_offer_to_a_caller_that_does_not_take_it_reliably() {
    let (mut world, _) = two(5);
    let peer = world.raw("10.0.0.5:5060");
    let mut script = Script::caller(peer, BOB);
    script.send(&mut world, "INVITE", "Contact: <sip:x@10.0.0.5>\n", "");
    let call = match world.event(BOB) {
        Event::Incoming { call, .. } => call,
        other => panic!("{other:?}"),
    };
    let early = world.with(BOB, |now, agent, tx| {
        agent.ring(now, tx, call, StatusCode(183), Some(b"offer"))
    });
    assert_eq!(early, Err(Misuse::OfferAnswer));
    ring(&mut world, call, 180, None);
    script.expect(&mut world, 180, "INVITE");
}

const RELIABLE: &str = "Contact: <sip:x@10.0.0.5>\nSupported: 100rel\nRequire: 100rel\n";

/// A call of a hand-written caller that requires reliable responses, and that rings with `described`.
fn ringing(world: &mut World, described: Option<&[u8]>) -> (Script, CallId, String) {
    let peer = world.raw("10.0.0.5:5060");
    let mut script = Script::caller(peer, BOB);
    script.send(world, "INVITE", RELIABLE, "offer");
    let call = incoming(world, BOB);
    ring(world, call, 183, described);
    let progress = script.expect(world, 183, "INVITE");
    script.join(&progress);
    (script, call, progress)
}

fn rack(response: &str) -> String {
    format!("RAck: {} 1 INVITE\n", header(response, "RSeq"))
}

#[test]
fn the_next_one_waits_for_the_prack_of_the_one_before() {
    let (mut world, _) = two(6);
    let (mut script, call, first) = ringing(&mut world, None);
    ring(&mut world, call, 180, None);
    ring(&mut world, call, 182, None);
    world.run(100);
    assert_eq!(world.count("180 INVITE"), 0);
    script.send(&mut world, "PRACK", &rack(&first), "");
    script.expect(&mut world, 200, "PRACK");
    let second = script.expect(&mut world, 180, "INVITE");
    let number = |text: &str| header(text, "RSeq").parse::<u32>().unwrap();
    assert_eq!(number(&second), number(&first) + 1);
    assert_eq!(world.count("182 INVITE"), 0);
    // What names another response, or one that is acknowledged, is for nothing.
    let before = rack(&first);
    for (wrong, status) in [
        (before.as_str(), 481),
        ("RAck: 7 1 INVITE\n", 481),
        ("RAck: x\n", 400),
        ("", 400),
    ] {
        script.send(&mut world, "PRACK", wrong, "");
        script.expect(&mut world, status, "PRACK");
    }
    let other = rack(&second).replace("1 INVITE", "2 INVITE");
    script.send(&mut world, "PRACK", &other, "");
    script.expect(&mut world, 481, "PRACK");
    script.send(&mut world, "PRACK", &rack(&second), "");
    script.expect(&mut world, 200, "PRACK");
    let third = script.expect(&mut world, 182, "INVITE");
    world.unread(BOB);
    // Nothing is described in it: the answer may leave, and a late PRACK is still taken.
    accept(&mut world, BOB, call);
    let ok = script.expect(&mut world, 200, "INVITE");
    assert_eq!(body(&ok), "answer");
    script.send(&mut world, "PRACK", &rack(&third), "");
    script.expect(&mut world, 200, "PRACK");
    script.send_as(&mut world, "ACK", 1, "", "");
    world.run(40_000);
    assert_eq!(world.count("182 INVITE"), 1);
}

#[test]
fn the_answer_waits_for_the_prack_of_a_description() {
    let (mut world, _) = two(7);
    let (mut script, call, first) = ringing(&mut world, Some(b"answer"));
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, call, b"answer"))
        .unwrap();
    world.run(300);
    assert_eq!(world.count("200 INVITE"), 0);
    script.send(&mut world, "PRACK", &rack(&first), "");
    script.expect(&mut world, 200, "PRACK");
    assert_eq!(body(&script.expect(&mut world, 200, "INVITE")), "");
    assert_eq!(acknowledged(&mut world, BOB), None);
    assert_eq!(established(&mut world, BOB), None);
}

#[test]
fn an_answered_call_whose_prack_never_comes_ends() {
    let (mut world, _) = two(8);
    let (script, call, _) = ringing(&mut world, Some(b"answer"));
    let since = world.now;
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, call, b""))
        .unwrap();
    assert_eq!(ended(&mut world, BOB, call), Cause::NoPrack);
    assert!((31_900..32_100).contains(&(world.now - since).as_millis()));
    for _ in 0..6 {
        script.expect(&mut world, 183, "INVITE");
    }
    script.expect(&mut world, 504, "INVITE");
    assert_eq!(world.count("200 INVITE"), 0);
}

#[test]
fn a_caller_gives_up_while_the_answer_waits() {
    let (mut world, _) = two(9);
    let peer = world.raw("10.0.0.5:5060");
    let mut script = Script::caller(peer, BOB);
    let invite = script.send(&mut world, "INVITE", RELIABLE, "offer");
    let call = incoming(&mut world, BOB);
    ring(&mut world, call, 183, Some(b"answer"));
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, call, b""))
        .unwrap();
    script.expect(&mut world, 183, "INVITE");
    let cancel = invite.split("Max-Forwards").next().unwrap();
    let cancel = cancel.replace("INVITE", "CANCEL") + "Content-Length: 0\n\n";
    world.write(peer, BOB, &cancel);
    assert_eq!(ended(&mut world, BOB, call), Cause::Cancelled);
    script.expect(&mut world, 200, "CANCEL");
    script.expect(&mut world, 487, "INVITE");
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    let (mut world, _) = two(10);
    let (mut script, call, first) = ringing(&mut world, Some(b"answer"));
    script.send(&mut world, "PRACK", &rack(&first), "another offer");
    assert_eq!(acknowledged(&mut world, BOB), None);
    match world.event(BOB) {
        Event::Reoffered { offer, .. } => assert_eq!(offer.as_deref(), Some(&b"another offer"[..])),
        other => panic!("{other:?}"),
    }
    // A new provisional response does not wait for that, but has nothing to describe.
    let none = world.with(BOB, |now, agent, tx| agent.accept(now, tx, call, b""));
    assert_eq!(none, Err(Misuse::OfferAnswer));
    world
        .with(BOB, |now, agent, tx| {
            agent.accept(now, tx, call, b"another answer")
        })
        .unwrap();
    assert_eq!(
        body(&script.expect(&mut world, 200, "PRACK")),
        "another answer"
    );
    world
        .with(BOB, |now, agent, tx| agent.accept(now, tx, call, b""))
        .unwrap();
    assert_eq!(body(&script.expect(&mut world, 200, "INVITE")), "");
}

#[test]
fn lost_packets_are_made_good_and_told_once() {
    for (node, kind, count) in [
        // The INVITE goes again too, and gets the last response.
        (BOB, "183 INVITE", (3, 1, 1)),
        (ALICE, "PRACK", (2, 2, 1)),
        (BOB, "200 PRACK", (1, 2, 2)),
    ] {
        let (mut world, alice) = two(11);
        world.lose = vec![(node, kind.to_owned())];
        dial(&mut world, alice, "sip:bob@10.0.0.2");
        let theirs = incoming(&mut world, BOB);
        ring(&mut world, theirs, 183, Some(b"answer"));
        assert_eq!(
            progress(&mut world, ALICE),
            (183, Some(b"answer".to_vec()), false)
        );
        assert_eq!(acknowledged(&mut world, BOB), None);
        world.run(30_000);
        let sent = ["183 INVITE", "PRACK", "200 PRACK"].map(|k| world.count(k));
        assert_eq!((sent[0], sent[1], sent[2]), count, "{kind} lost");
        assert!(world.unread(ALICE).is_empty() && world.unread(BOB).is_empty());
    }
}

#[test]
fn a_fifth_of_all_packets_lost_and_the_rest_in_disorder() {
    for seed in 0..60 {
        let (mut world, alice) = two_with(seed, |_, b| b.reliable = Reliable::Required);
        world.loss = 200;
        world.duplicates = 100;
        world.jitter = 600;
        let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
        let theirs = incoming(&mut world, BOB);
        ring(&mut world, theirs, 180, None);
        ring(&mut world, theirs, 183, Some(b"answer"));
        ring(&mut world, theirs, 182, None);
        for expected in [
            (180, None, false),
            (183, Some(b"answer".to_vec()), false),
            (182, None, false),
        ] {
            assert_eq!(progress(&mut world, ALICE), expected, "seed {seed}");
        }
        world
            .with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b""))
            .unwrap();
        assert_eq!(established(&mut world, ALICE), None, "seed {seed}");
        world.run(40_000);
        world.unread(BOB);
        hang_up(&mut world, ALICE, ours);
        assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs, "seed {seed}");
        world.loss = 0;
        world.unread(BOB);
        nothing_is_kept(&mut world, &[ALICE, BOB]);
    }
}

#[test]
fn a_phone_that_rings_for_long() {
    let (mut world, alice) = two_with(12, |_, b| b.reliable = Reliable::Required);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    ring(&mut world, theirs, 180, None);
    world.run(150_000);
    // Each a minute after the other, and each acknowledged.
    assert_eq!((world.count("180 INVITE"), world.count("PRACK")), (3, 3));
    hang_up(&mut world, ALICE, ours);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    world.unread(BOB);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn more_than_enough_provisional_responses() {
    let (mut world, _) = two(13);
    let (_, call, _) = ringing(&mut world, None);
    for _ in 0..8 {
        ring(&mut world, call, 180, None);
    }
    let full = world.with(BOB, |now, agent, tx| {
        agent.ring(now, tx, call, StatusCode(180), None)
    });
    assert_eq!(full, Err(Misuse::Full));
}
