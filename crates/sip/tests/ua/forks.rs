//! Peers that the test writes by hand: forks, early dialogs, odd answers.

use sip::message::StatusCode;
use sip::ua::{Account, Cause, Event};

use crate::calls::{ALICE, dial, ended, hang_up, two};
use crate::world::{World, header, reply};

const FORK: &str = "sip:bob@10.0.0.5";

fn contact(n: u32) -> String {
    format!("Contact: <sip:fork{n}@10.0.0.5>\nRecord-Route: <sip:10.0.0.5;lr;n={n}>\n")
}

#[test]
fn the_first_200_wins_and_the_others_get_ack_and_bye() {
    let (mut world, alice) = two(1);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    for tag in 1..=3 {
        let ringing = reply(
            &invite,
            "180 Ringing",
            &format!("t{tag}"),
            &contact(tag),
            "",
        );
        world.write(peer, ALICE, &ringing);
        assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    }
    let answer = |tag: u32| reply(&invite, "200 OK", &format!("t{tag}"), &contact(tag), "sdp");
    world.write(peer, ALICE, &answer(2));
    match world.event(ALICE) {
        Event::Established {
            call, remote_uri, ..
        } => {
            assert_eq!((call, remote_uri.as_str()), (ours, "sip:fork2@10.0.0.5"));
        }
        other => panic!("{other:?}"),
    }
    let ack = world.receive(peer);
    assert!(
        ack.starts_with("ACK sip:fork2@10.0.0.5 SIP/2.0\r\n"),
        "{ack}"
    );
    assert_eq!(header(&ack, "Route"), "<sip:10.0.0.5;lr;n=2>");
    assert!(header(&ack, "To").ends_with(";tag=t2"));
    assert_eq!(header(&ack, "CSeq"), "1 ACK");
    // A fork that rang, and one that nobody heard of before.
    for tag in [1, 7] {
        world.write(peer, ALICE, &answer(tag));
        let ack = world.receive(peer);
        assert!(ack.starts_with(&format!("ACK sip:fork{tag}@")), "{ack}");
        let bye = world.receive(peer);
        assert!(bye.starts_with(&format!("BYE sip:fork{tag}@")), "{bye}");
        assert_eq!(header(&bye, "CSeq"), "2 BYE");
        world.write(peer, ALICE, &reply(&bye, "200 OK", "", "", ""));
        // Its repetition gets its ACK again, and no second BYE.
        world.write(peer, ALICE, &answer(tag));
        assert_eq!(world.receive(peer), ack);
    }
    world.write(peer, ALICE, &answer(2));
    assert_eq!(world.receive(peer), ack);
    assert_eq!(world.count("BYE"), 2);
    assert!(world.unread(ALICE).is_empty());
    // Even after the call has ended, a late repetition is acknowledged.
    hang_up(&mut world, ALICE, ours);
    let bye = world.receive(peer);
    world.write(peer, ALICE, &reply(&bye, "200 OK", "", "", ""));
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    world.write(peer, ALICE, &answer(2));
    assert_eq!(world.receive(peer), ack);
    world.run(40_000);
    assert_eq!(
        world.with(ALICE, |_, agent, tx| (agent.kept(), tx.len())),
        (0, (0, 0))
    );
}

#[test]
fn a_strict_router_swaps_places_with_the_target() {
    let (mut world, alice) = two(2);
    let peer = world.raw("10.0.0.5:5060");
    dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    let strict = "Contact: <sip:bob@10.0.0.7>\nRecord-Route: <sip:far;lr>, <sip:10.0.0.5>\n";
    world.write(peer, ALICE, &reply(&invite, "200 OK", "t", strict, "sdp"));
    let ack = world.receive(peer);
    assert!(ack.starts_with("ACK sip:10.0.0.5 SIP/2.0\r\n"), "{ack}");
    let routes: Vec<&str> = ack.lines().filter(|l| l.starts_with("Route")).collect();
    assert_eq!(routes, ["Route: <sip:far;lr>", "Route: <sip:bob@10.0.0.7>"]);
}

#[test]
fn a_bye_that_overtakes_its_200() {
    let (mut world, alice) = two(3);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&invite, "180 Ringing", "t", &contact(1), ""),
    );
    assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    world.write(peer, ALICE, &bye(&invite, "t", 1));
    assert!(world.receive(peer).starts_with("SIP/2.0 200 OK"));
    world.write(
        peer,
        ALICE,
        &reply(&invite, "200 OK", "t", &contact(1), "sdp"),
    );
    assert!(world.receive(peer).starts_with("ACK "));
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
}

/// A BYE of the callee.
fn bye(invite: &str, tag: &str, cseq: u32) -> String {
    let (from, to) = (header(invite, "From"), header(invite, "To"));
    format!(
        "BYE sip:alice@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKb{cseq}\n\
         From: {to};tag={tag}\nTo: {from}\nCall-ID: {}\nCSeq: {cseq} BYE\n\
         Reason: Q.850;cause=16;text=\"Normal call clearing\"\nMax-Forwards: 70\nContent-Length: 0\n\n",
        header(invite, "Call-ID")
    )
}

#[test]
fn requests_of_the_peer_in_the_dialog() {
    let (mut world, alice) = two(4);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&invite, "200 OK", "t", &contact(1), "sdp"),
    );
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    assert!(world.receive(peer).starts_with("ACK "));
    let info = bye(&invite, "t", 5).replace("BYE", "INFO").replace(
        "Content-Length: 0\n\n",
        "Content-Type: application/dtmf-relay\nContent-Length: 8\n\nSignal=5",
    );
    world.write(peer, ALICE, &info);
    match world.event(ALICE) {
        Event::Dtmf { call, digit, .. } => assert_eq!((call, digit), (ours, '5')),
        other => panic!("{other:?}"),
    }
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let cases = [
        (bye(&invite, "t", 4), "500"),
        (bye(&invite, "zz", 9), "481"),
        (bye(&invite, "t", 6).replace("BYE", "PUBLISH"), "405"),
        (bye(&invite, "t", 7).replace("BYE", "FOO"), "501"),
        (bye(&invite, "t", 8).replace("BYE", "OPTIONS"), "200"),
        (
            bye(&invite, "t", 9)
                .replace("BYE", "INFO")
                .replace("Max-Forwards", "Require: timer, x\nMax-Forwards"),
            "420",
        ),
    ];
    for (n, (text, status)) in cases.into_iter().enumerate() {
        let text = text.replace("z9hG4bKb", &format!("z9hG4bKc{n}x"));
        world.write(peer, ALICE, &text);
        let answer = world.receive(peer);
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")),
            "{n}: {answer}"
        );
    }
    world.write(peer, ALICE, &bye(&invite, "t", 20));
    let reason = Some("Normal call clearing".to_owned());
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByPeer { reason });
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    world.write(peer, ALICE, &bye(&invite, "t", 21));
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
}

#[test]
fn redirection_names_the_contacts() {
    let mut world = World::new(5);
    let mut account = Account::new("sip:alice@10.0.0.1");
    account.follow_redirects = 0;
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    let more = "Contact: <sip:late@h>;q=0.1, <sip:soon@h>;q=0.9\n";
    world.write(peer, ALICE, &reply(&invite, "302 Moved", "t", more, ""));
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::Refused {
            status: StatusCode(302),
            reason: "Moved".to_owned(),
            contacts: vec!["sip:soon@h".to_owned(), "sip:late@h".to_owned()],
        }
    );
    assert!(world.receive(peer).starts_with("ACK "));
}

#[test]
fn a_cancelled_invite_that_nobody_answers_ends_after_32_seconds() {
    let (mut world, alice) = two(6);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    world.write(peer, ALICE, &reply(&invite, "100 Trying", "", "", ""));
    world.run(100);
    hang_up(&mut world, ALICE, ours);
    let cancel = world.receive(peer);
    assert!(cancel.starts_with("CANCEL "));
    world.write(peer, ALICE, &reply(&cancel, "200 OK", "t", "", ""));
    let before = world.now;
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    assert!((31_900..32_100).contains(&(world.now - before).as_millis()));
    world.run(40_000);
    assert_eq!(
        world.with(ALICE, |_, agent, tx| (agent.kept(), tx.len())),
        (0, (0, 0))
    );
}

#[test]
fn answers_without_tag_or_contact_still_make_a_call() {
    let (mut world, alice) = two(7);
    let peer = world.raw("10.0.0.5:5060");
    let ours = dial(&mut world, alice, FORK);
    let invite = world.receive(peer);
    world.write(peer, ALICE, &reply(&invite, "200 OK", "", "", "sdp"));
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    assert!(world.receive(peer).starts_with("ACK sip:bob@10.0.0.5 "));
    hang_up(&mut world, ALICE, ours);
    let bye = world.receive(peer);
    assert!(bye.starts_with("BYE sip:bob@10.0.0.5 "));
    world.write(peer, ALICE, &reply(&bye, "481 Gone", "", "", ""));
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
}
