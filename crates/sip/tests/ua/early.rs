//! Several early dialogs of one call, each with its own offer and answer (RFC 3261 §13.2.2.1, RFC 3262 §4).

use sip::auth::Secret;
use sip::ua::{Event, Misuse, Reliable};

use crate::calls::{ALICE, dial, ended, hang_up, two, two_with};
use crate::prack::{established, progress};
use crate::script::{PEER, Script, body};
use crate::world::{World, header, reply};

fn reliable(n: u32, rseq: u32) -> String {
    format!(
        "Contact: <sip:fork{n}@10.0.0.5>\nRecord-Route: <sip:10.0.0.5;lr;n={n}>\n\
         Allow: INVITE, ACK, BYE, PRACK, UPDATE\nRequire: 100rel\nRSeq: {rseq}\n"
    )
}

fn plain(n: u32) -> String {
    format!("Contact: <sip:fork{n}@10.0.0.5>\nRecord-Route: <sip:10.0.0.5;lr;n={n}>\n")
}

/// The PRACK that comes next, answered with 200.
#[track_caller]
fn serve_prack(world: &mut World, peer: usize) -> String {
    let prack = world.receive(peer);
    assert!(prack.starts_with("PRACK "), "{prack}");
    world.write(peer, ALICE, &reply(&prack, "200 OK", "", "", ""));
    prack
}

fn fork(world: &mut World) -> (Option<Vec<u8>>, usize) {
    match world.event(ALICE) {
        Event::Progress { body, fork, .. } => (body, fork),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_fork_has_its_own_session() {
    let (mut world, alice) = two(1);
    let peer = world.raw(PEER);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    assert!(header(&invite, "Supported").ends_with("100rel, timer"));
    for (n, rseq) in [(1, 100), (2, 7)] {
        let answer = format!("answer{n}");
        let text = reply(
            &invite,
            "183 Session Progress",
            &format!("t{n}"),
            &reliable(n, rseq),
            &answer,
        );
        world.write(peer, ALICE, &text);
        let fork_of = usize::try_from(n).unwrap() - 1;
        assert_eq!(fork(&mut world), (Some(answer.into_bytes()), fork_of));
        let prack = serve_prack(&mut world, peer);
        assert!(prack.starts_with(&format!("PRACK sip:fork{n}@10.0.0.5 SIP/2.0\r\n")));
        assert_eq!(header(&prack, "Route"), format!("<sip:10.0.0.5;lr;n={n}>"));
        assert_eq!(header(&prack, "RAck"), format!("{rseq} 1 INVITE"));
        assert_eq!(header(&prack, "CSeq"), "2 PRACK");
    }
    // With two of them, nobody knows which one is meant.
    let which = world.with(ALICE, |now, agent, tx| {
        agent.update(now, tx, ours, Some(b"x".to_vec()))
    });
    assert_eq!(which, Err(Misuse::WrongState));
    // A third one describes nothing reliably.
    let text = reply(&invite, "180 Ringing", "t3", &plain(3), "preview");
    world.write(peer, ALICE, &text);
    assert_eq!(fork(&mut world), (Some(b"preview".to_vec()), 2));
    // The first one wins: what it said counts, not what came last.
    world.write(peer, ALICE, &reply(&invite, "200 OK", "t1", &plain(1), ""));
    assert_eq!(established(&mut world, ALICE), Some(b"answer1".to_vec()));
    let ack = world.receive(peer);
    assert!(ack.starts_with("ACK sip:fork1@10.0.0.5 SIP/2.0\r\n"));
    assert_eq!(body(&ack), "");
    // The third one answers too, and is dropped.
    let late = reply(&invite, "200 OK", "t3", &plain(3), "answer3");
    world.write(peer, ALICE, &late);
    assert!(world.receive(peer).starts_with("ACK sip:fork3@"));
    let bye = world.receive(peer);
    assert_eq!(header(&bye, "CSeq"), "2 BYE");
    world.write(peer, ALICE, &reply(&bye, "200 OK", "", "", ""));
    // CSeq goes on where the PRACK left it.
    hang_up(&mut world, ALICE, ours);
    let bye = world.receive(peer);
    assert_eq!(header(&bye, "CSeq"), "3 BYE");
    world.write(peer, ALICE, &reply(&bye, "200 OK", "", "", ""));
    ended(&mut world, ALICE, ours);
    world.run(40_000);
    assert_eq!(
        world.with(ALICE, |_, agent, tx| (agent.kept(), tx.len())),
        (0, (0, 0))
    );
}

#[test]
fn what_comes_twice_or_before_its_turn_is_not_told() {
    let (mut world, alice) = two(2);
    let peer = world.raw(PEER);
    dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let ringing =
        |rseq: u32, body: &str| reply(&invite, "180 Ringing", "t1", &reliable(1, rseq), body);
    world.write(peer, ALICE, &ringing(41, ""));
    assert_eq!(progress(&mut world, ALICE), (180, None, false));
    serve_prack(&mut world, peer);
    for rseq in [41, 43, 40, 1] {
        world.write(peer, ALICE, &ringing(rseq, ""));
    }
    world.run(1000);
    assert!(world.unread(ALICE).is_empty());
    assert_eq!(world.count("PRACK"), 1);
    world.write(peer, ALICE, &ringing(42, "answer"));
    assert_eq!(
        progress(&mut world, ALICE),
        (180, Some(b"answer".to_vec()), false)
    );
    serve_prack(&mut world, peer);
    // What is settled is settled: another description is none.
    world.write(peer, ALICE, &ringing(43, "other"));
    assert_eq!(progress(&mut world, ALICE), (180, None, false));
    serve_prack(&mut world, peer);
    let plain = reply(&invite, "183 Session Progress", "t1", &plain(1), "other");
    world.write(peer, ALICE, &plain);
    assert_eq!(progress(&mut world, ALICE), (183, None, false));
    let ok = reply(&invite, "200 OK", "t1", &reliable(1, 1), "other");
    world.write(peer, ALICE, &ok);
    assert_eq!(established(&mut world, ALICE), None);
}

#[test]
fn a_prack_that_was_refused_goes_again_with_the_response() {
    let (mut world, alice) = two(3);
    let peer = world.raw(PEER);
    dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let ringing = reply(&invite, "180 Ringing", "t1", &reliable(1, 9), "");
    world.write(peer, ALICE, &ringing);
    let prack = world.receive(peer);
    world.write(peer, ALICE, &reply(&prack, "500 Out of order", "", "", ""));
    world.run(100);
    world.write(peer, ALICE, &ringing);
    let prack = serve_prack(&mut world, peer);
    assert_eq!(header(&prack, "CSeq"), "3 PRACK");
    assert_eq!(header(&prack, "RAck"), "9 1 INVITE");
    world.write(peer, ALICE, &ringing);
    world.run(1000);
    assert_eq!(world.count("PRACK"), 2);
    assert_eq!(progress(&mut world, ALICE), (180, None, false));
    assert!(world.unread(ALICE).is_empty());
}

#[test]
fn a_proxy_may_ask_who_sends_the_prack() {
    let (mut world, alice) = two_with(4, |a, _| {
        a.secret = Some(Secret::Password("secret".to_owned()));
        a.reliable = Reliable::Required;
    });
    let peer = world.raw(PEER);
    dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let ringing = reply(&invite, "180 Ringing", "t1", &reliable(1, 9), "");
    world.write(peer, ALICE, &ringing);
    let prack = world.receive(peer);
    let ask = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\n";
    world.write(peer, ALICE, &reply(&prack, "407 Who", "", ask, ""));
    let prack = serve_prack(&mut world, peer);
    assert_eq!(header(&prack, "CSeq"), "3 PRACK");
    assert!(header(&prack, "Proxy-Authorization").contains("nonce=\"n\""));
}

#[test]
fn an_invite_in_an_early_dialog_meets_our_own() {
    let (mut world, alice) = two(5);
    let peer = world.raw(PEER);
    dial(&mut world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&invite, "180 Ringing", "t", &plain(1), ""),
    );
    let mut script = Script::callee(peer, ALICE, &invite, "t");
    script.send(&mut world, "INVITE", "Contact: <sip:b@10.0.0.5>\n", "offer");
    script.expect(&mut world, 491, "INVITE");
}
