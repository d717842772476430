//! Sessions that change by UPDATE, before a call stands and after (RFC 3311), and what a refused
//! re-INVITE leaves behind (RFC 6141).

use sip::message::StatusCode;
use sip::ua::{CallId, Cause, Event, Misuse};

use crate::calls::{
    ALICE, BOB, accept, dial, ended, hang_up, incoming, nothing_is_kept, talk, two,
};
use crate::prack::{acknowledged, established, progress, ring};
use crate::script::{PEER, Script, body};
use crate::world::{World, header, reply};

fn update(world: &mut World, node: usize, call: CallId, offer: &[u8]) -> Result<(), Misuse> {
    world.with(node, |now, agent, tx| {
        agent.update(now, tx, call, Some(offer.to_vec()))
    })
}

#[track_caller]
fn reoffered(world: &mut World, node: usize) -> Vec<u8> {
    match world.event(node) {
        Event::Reoffered {
            offer: Some(offer), ..
        } => offer,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn reanswered(world: &mut World, node: usize) -> Option<Vec<u8>> {
    match world.event(node) {
        Event::Reanswered { body, .. } => body,
        other => panic!("{other:?}"),
    }
}

fn answer(world: &mut World, node: usize, call: CallId, body: &[u8]) {
    world
        .with(node, |now, agent, tx| agent.accept(now, tx, call, body))
        .unwrap();
}

#[test]
fn either_side_changes_the_session_without_ack() {
    let (mut world, alice) = two(1);
    let (ours, theirs) = talk(&mut world, alice);
    let before = world.log.len();
    for (from, call, to, other) in [(ALICE, ours, BOB, theirs), (BOB, theirs, ALICE, ours)] {
        assert!(world.with(from, |_, agent, _| agent.can_update(call)));
        update(&mut world, from, call, b"hold").unwrap();
        assert_eq!(
            update(&mut world, from, call, b"x"),
            Err(Misuse::WrongState)
        );
        assert_eq!(reoffered(&mut world, to), b"hold");
        assert_eq!(update(&mut world, to, other, b"x"), Err(Misuse::WrongState));
        let empty = world.with(to, |now, agent, tx| agent.accept(now, tx, other, b""));
        assert_eq!(empty, Err(Misuse::OfferAnswer));
        answer(&mut world, to, other, b"held");
        assert_eq!(reanswered(&mut world, from), Some(b"held".to_vec()));
    }
    world.run(40_000);
    let sent: Vec<_> = world.log[before..].iter().map(|s| s.kind()).collect();
    assert_eq!(sent, ["UPDATE", "200 UPDATE", "UPDATE", "200 UPDATE"]);
    let request = world.last("UPDATE");
    assert_eq!(header(request, "Contact"), "<sip:bob@10.0.0.2:5060>");
    assert!(header(request, "Allow").contains("UPDATE"));
    assert_eq!(
        header(world.last("200 UPDATE"), "Contact"),
        "<sip:alice@10.0.0.1:5060>"
    );
    // Refused, it leaves everything as it was.
    update(&mut world, ALICE, ours, b"video").unwrap();
    assert_eq!(reoffered(&mut world, BOB), b"video");
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
    update(&mut world, BOB, theirs, b"again").unwrap();
    assert_eq!(reoffered(&mut world, ALICE), b"again");
    // The one who hangs up owes no answer any more.
    hang_up(&mut world, ALICE, ours);
    assert_eq!(world.count("487 UPDATE"), 1);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    assert!(matches!(
        world.event(BOB),
        Event::ReofferRefused { .. } | Event::Ended { .. }
    ));
    world.unread(BOB);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn two_updates_that_meet_give_way_and_both_come_through() {
    let (mut world, alice) = two(2);
    let (ours, theirs) = talk(&mut world, alice);
    update(&mut world, ALICE, ours, b"a").unwrap();
    update(&mut world, BOB, theirs, b"b").unwrap();
    assert_eq!(reoffered(&mut world, ALICE), b"b");
    assert_eq!(world.count("491 UPDATE"), 2);
    answer(&mut world, ALICE, ours, b"b2");
    assert_eq!(reanswered(&mut world, BOB), Some(b"b2".to_vec()));
    assert_eq!(reoffered(&mut world, BOB), b"a");
    answer(&mut world, BOB, theirs, b"a2");
    assert_eq!(reanswered(&mut world, ALICE), Some(b"a2".to_vec()));
    // An UPDATE that meets a re-INVITE.
    update(&mut world, ALICE, ours, b"a").unwrap();
    world
        .with(BOB, |now, agent, tx| {
            agent.reoffer(now, tx, theirs, Some(b"b".to_vec()))
        })
        .unwrap();
    assert_eq!(reoffered(&mut world, ALICE), b"b");
    answer(&mut world, ALICE, ours, b"b2");
    assert_eq!(reanswered(&mut world, BOB), Some(b"b2".to_vec()));
    assert!(matches!(world.event(ALICE), Event::Acknowledged { .. }));
    assert_eq!(reoffered(&mut world, BOB), b"a");
}

#[test]
fn an_early_session_changes_from_both_sides() {
    let (mut world, alice) = two(3);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    assert_eq!(
        update(&mut world, BOB, theirs, b"x"),
        Err(Misuse::WrongState)
    );
    ring(&mut world, theirs, 183, Some(b"answer"));
    assert_eq!(progress(&mut world, ALICE).0, 183);
    assert_eq!(acknowledged(&mut world, BOB), None);
    update(&mut world, ALICE, ours, b"more").unwrap();
    assert_eq!(reoffered(&mut world, BOB), b"more");
    answer(&mut world, BOB, theirs, b"more too");
    assert_eq!(reanswered(&mut world, ALICE), Some(b"more too".to_vec()));
    update(&mut world, BOB, theirs, b"less").unwrap();
    assert_eq!(reoffered(&mut world, ALICE), b"less");
    answer(&mut world, ALICE, ours, b"less too");
    assert_eq!(reanswered(&mut world, BOB), Some(b"less too".to_vec()));
    accept(&mut world, BOB, theirs);
    assert_eq!(established(&mut world, ALICE), None);
    assert_eq!(body(world.last("200 INVITE")), "");
    assert!(matches!(world.event(BOB), Event::Acknowledged { .. }));
    // PRACK, UPDATE and BYE count on in one row.
    hang_up(&mut world, ALICE, ours);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    assert_eq!(header(world.last("BYE"), "CSeq"), "4 BYE");
    world.unread(BOB);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

/// A call of Alice to a hand-written peer that stands; the peer allows `methods`.
fn stands(world: &mut World, alice: sip::ua::AccountId, methods: &str) -> (Script, CallId) {
    let peer = world.raw(PEER);
    let call = dial(world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let more = format!("Contact: <sip:bob@10.0.0.5>\nAllow: {methods}\n");
    let ok = reply(&invite, "200 OK", "t", &more, "answer");
    world.write(peer, ALICE, &ok);
    assert!(world.receive(peer).starts_with("ACK "));
    assert_eq!(established(world, ALICE), Some(b"answer".to_vec()));
    (Script::callee(peer, ALICE, &invite, "t"), call)
}

const ALL: &str = "INVITE, ACK, BYE, UPDATE";
const CONTACT: &str = "Contact: <sip:bob@10.0.0.5>\n";

#[test]
fn the_order_of_updates_that_a_peer_may_keep() {
    let (mut world, alice) = two(4);
    let (mut script, call) = stands(&mut world, alice, ALL);
    // Without an offer: a new target, no event.
    script.send(&mut world, "UPDATE", "Contact: <sip:moved@10.0.0.5>\n", "");
    assert_eq!(body(&script.expect(&mut world, 200, "UPDATE")), "");
    // One after the other.
    script.send(&mut world, "UPDATE", CONTACT, "offer 1");
    assert_eq!(reoffered(&mut world, ALICE), b"offer 1");
    for (method, text) in [("UPDATE", "offer 2"), ("UPDATE", ""), ("INVITE", "offer 3")] {
        script.send(&mut world, method, CONTACT, text);
        let refusal = script.expect(&mut world, 500, method);
        let seconds: u32 = header(&refusal, "Retry-After").parse().unwrap();
        assert!(seconds <= 10);
        if method == "INVITE" {
            let cseq = header(&refusal, "CSeq");
            let cseq = cseq.split(' ').next().unwrap().parse().unwrap();
            script.send_as(&mut world, "ACK", cseq, "", "");
        }
    }
    answer(&mut world, ALICE, call, b"answer 1");
    assert_eq!(body(&script.expect(&mut world, 200, "UPDATE")), "answer 1");
    // While our own offer is open.
    update(&mut world, ALICE, call, b"ours").unwrap();
    let ours = script.receive(&mut world);
    assert!(ours.starts_with("UPDATE sip:bob@10.0.0.5 SIP/2.0\r\n"));
    script.send(&mut world, "UPDATE", CONTACT, "offer 4");
    script.expect(&mut world, 491, "UPDATE");
    // A refresh of the target is no offer.
    script.send(&mut world, "UPDATE", "Contact: <sip:moved@10.0.0.5>\n", "");
    script.expect(&mut world, 200, "UPDATE");
    let ok = reply(
        &ours,
        "200 OK",
        "",
        "Contact: <sip:last@10.0.0.5>\n",
        "theirs",
    );
    world.write(script.node, ALICE, &ok);
    assert_eq!(reanswered(&mut world, ALICE), Some(b"theirs".to_vec()));
    hang_up(&mut world, ALICE, call);
    let bye = script.receive(&mut world);
    assert!(
        bye.starts_with("BYE sip:last@10.0.0.5 SIP/2.0\r\n"),
        "{bye}"
    );
    assert!(world.unread(ALICE).is_empty());
}

#[test]
fn an_owner_that_does_not_decide() {
    let (mut world, alice) = two(5);
    let (mut script, call) = stands(&mut world, alice, ALL);
    script.send(&mut world, "UPDATE", CONTACT, "offer");
    reoffered(&mut world, ALICE);
    script.expect(&mut world, 504, "UPDATE");
    assert!(matches!(world.event(ALICE), Event::ReofferWithdrawn { .. }));
    let late = world.with(ALICE, |now, agent, tx| agent.accept(now, tx, call, b"x"));
    assert_eq!(late, Err(Misuse::WrongState));
    update(&mut world, ALICE, call, b"ours").unwrap();
}

#[test]
fn what_becomes_of_an_update_that_fails() {
    for (status, ends, supported) in [
        ("481 Gone", true, true),
        ("408 Timeout", true, true),
        ("405 Not Allowed", false, false),
        ("501 What", false, false),
        ("500 Later", false, true),
    ] {
        let (mut world, alice) = two(6);
        let (script, call) = stands(&mut world, alice, ALL);
        update(&mut world, ALICE, call, b"ours").unwrap();
        let request = script.receive(&mut world);
        world.write(script.node, ALICE, &reply(&request, status, "", "", ""));
        if ends {
            world.run(100);
            if status.starts_with("408") {
                script.serve(&mut world, "BYE", "", "");
            }
            assert!(matches!(
                ended(&mut world, ALICE, call),
                Cause::Refused { .. }
            ));
            continue;
        }
        assert!(matches!(world.event(ALICE), Event::ReofferRefused { .. }));
        let again = update(&mut world, ALICE, call, b"ours");
        assert_eq!(again.is_ok(), supported, "{status}");
        if !supported {
            assert_eq!(again, Err(Misuse::Unsupported));
        }
    }
    // No answer at all.
    let (mut world, alice) = two(7);
    let (script, call) = stands(&mut world, alice, ALL);
    update(&mut world, ALICE, call, b"ours").unwrap();
    world.run(32_100);
    while script.receive(&mut world).starts_with("UPDATE ") {}
    world.run(33_000);
    assert_eq!(ended(&mut world, ALICE, call), Cause::TimedOut);
}

#[test]
fn a_peer_that_never_heard_of_update() {
    let (mut world, alice) = two(8);
    let (mut script, call) = stands(&mut world, alice, "INVITE, ACK, BYE");
    assert!(!world.with(ALICE, |_, agent, _| agent.can_update(call)));
    assert_eq!(
        update(&mut world, ALICE, call, b"x"),
        Err(Misuse::Unsupported)
    );
    // It has learned.
    let allow = format!("{CONTACT}Allow: UPDATE\n");
    script.send(&mut world, "UPDATE", &allow, "");
    script.expect(&mut world, 200, "UPDATE");
    update(&mut world, ALICE, call, b"x").unwrap();
}

const RELIABLE: &str = "Contact: <sip:bob@10.0.0.5>\nRequire: 100rel\nRSeq: 5\n";

#[test]
fn a_reinvite_that_fails_after_its_change_was_carried_out() {
    for (methods, again) in [(ALL, "UPDATE"), ("INVITE, ACK, BYE", "INVITE")] {
        let (mut world, alice) = two(9);
        let (script, call) = stands(&mut world, alice, methods);
        world
            .with(ALICE, |now, agent, tx| {
                agent.reoffer(now, tx, call, Some(b"video".to_vec()))
            })
            .unwrap();
        let reinvite = script.receive(&mut world);
        let text = reply(&reinvite, "183 Ok so far", "t", RELIABLE, "video too");
        world.write(script.node, ALICE, &text);
        assert_eq!(reanswered(&mut world, ALICE), Some(b"video too".to_vec()));
        let prack = script.serve(&mut world, "PRACK", "", "");
        assert_eq!(header(&prack, "RAck"), "5 2 INVITE");
        let text = reply(&reinvite, "488 Not after all", "t", "", "");
        world.write(script.node, ALICE, &text);
        assert!(script.receive(&mut world).starts_with("ACK "));
        // RFC 6141 §3.4: both sides make sure that they mean the same.
        let more = "Contact: <sip:bob@10.0.0.5>\n";
        let sure = script.serve(&mut world, again, more, "video too");
        assert_eq!(body(&sure), "video");
        world.run(1000);
        assert!(world.unread(ALICE).is_empty());
        world
            .with(ALICE, |now, agent, tx| {
                agent.reoffer(now, tx, call, Some(b"hold".to_vec()))
            })
            .unwrap();
    }
}

#[test]
fn a_reinvite_that_a_reliable_response_has_answered() {
    let (mut world, alice) = two(10);
    let (script, call) = stands(&mut world, alice, ALL);
    world
        .with(ALICE, |now, agent, tx| agent.reoffer(now, tx, call, None))
        .unwrap();
    let reinvite = script.receive(&mut world);
    let text = reply(&reinvite, "183 Here", "t", RELIABLE, "their offer");
    world.write(script.node, ALICE, &text);
    assert_eq!(reanswered(&mut world, ALICE), Some(b"their offer".to_vec()));
    world
        .with(ALICE, |now, agent, tx| {
            agent.acknowledge(now, tx, call, b"our answer".to_vec())
        })
        .unwrap();
    assert_eq!(
        body(&script.serve(&mut world, "PRACK", "", "")),
        "our answer"
    );
    let text = reply(&reinvite, "200 OK", "t", CONTACT, "");
    world.write(script.node, ALICE, &text);
    assert_eq!(body(&script.receive(&mut world)), "");
    assert!(world.unread(ALICE).is_empty());
    update(&mut world, ALICE, call, b"ours").unwrap();
}

#[test]
fn a_third_of_all_packets_lost_and_the_rest_in_disorder() {
    let mut changed = 0;
    for seed in 0..60 {
        let (mut world, alice) = two(seed);
        let (ours, theirs) = talk(&mut world, alice);
        world.loss = 300;
        world.duplicates = 100;
        world.jitter = 300;
        update(&mut world, ALICE, ours, b"one").unwrap();
        assert_eq!(reoffered(&mut world, BOB), b"one");
        answer(&mut world, BOB, theirs, b"two");
        assert_eq!(reanswered(&mut world, ALICE), Some(b"two".to_vec()));
        assert!(world.unread(BOB).is_empty());
        changed += 1;
        world.loss = 0;
        world.run(5000);
        hang_up(&mut world, BOB, theirs);
        assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
        world.unread(ALICE);
        nothing_is_kept(&mut world, &[ALICE, BOB]);
    }
    assert_eq!(changed, 60);
}

#[test]
fn an_update_that_is_open_when_the_call_is_answered() {
    let (mut world, alice) = two(11);
    let peer = world.raw(PEER);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let mut script = Script::callee(peer, ALICE, &invite, "t");
    let early = format!("{RELIABLE}Allow: UPDATE\n");
    let text = reply(&invite, "183 Session Progress", "t", &early, "answer");
    world.write(peer, ALICE, &text);
    script.serve(&mut world, "PRACK", "", "");
    assert_eq!(progress(&mut world, ALICE).1, Some(b"answer".to_vec()));
    update(&mut world, ALICE, ours, b"more").unwrap();
    let request = script.receive(&mut world);
    // The 200 says nothing new, and does not answer the UPDATE.
    let text = reply(&invite, "200 OK", "t", CONTACT, "answer");
    world.write(peer, ALICE, &text);
    assert!(script.receive(&mut world).starts_with("ACK "));
    assert_eq!(established(&mut world, ALICE), None);
    script.send(&mut world, "UPDATE", CONTACT, "offer");
    script.expect(&mut world, 491, "UPDATE");
    let text = reply(&request, "200 OK", "", CONTACT, "more too");
    world.write(peer, ALICE, &text);
    assert_eq!(reanswered(&mut world, ALICE), Some(b"more too".to_vec()));
    script.send(&mut world, "UPDATE", CONTACT, "offer");
    assert_eq!(reoffered(&mut world, ALICE), b"offer");
    answer(&mut world, ALICE, ours, b"fine");
    script.expect(&mut world, 200, "UPDATE");
}

#[test]
fn an_update_in_a_fork_that_loses() {
    let (mut world, alice) = two(12);
    let peer = world.raw(PEER);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let mut script = Script::callee(peer, ALICE, &invite, "t");
    let early = format!("{RELIABLE}Allow: UPDATE\n");
    let text = reply(&invite, "183 Session Progress", "t", &early, "answer");
    world.write(peer, ALICE, &text);
    script.serve(&mut world, "PRACK", "", "");
    progress(&mut world, ALICE);
    script.send(&mut world, "UPDATE", CONTACT, "offer");
    assert_eq!(reoffered(&mut world, ALICE), b"offer");
    // Another phone answers.
    let text = reply(&invite, "200 OK", "other", CONTACT, "from another");
    world.write(peer, ALICE, &text);
    script.expect(&mut world, 487, "UPDATE");
    assert!(script.receive(&mut world).starts_with("ACK "));
    assert!(matches!(world.event(ALICE), Event::ReofferWithdrawn { .. }));
    assert_eq!(
        established(&mut world, ALICE),
        Some(b"from another".to_vec())
    );
    let late = world.with(ALICE, |now, agent, tx| agent.accept(now, tx, ours, b"x"));
    assert_eq!(late, Err(Misuse::WrongState));
}
