//! Transfers that meet open offers, bad networks and odd peers.

use sip::ua::{Cause, Event};

use crate::calls::{ALICE, BOB, accept, dial, incoming, nothing_is_kept, talk};
use crate::transfer::{CAROL, accepted, do_transfer, flow, in_order, progress, three, transfer};
use crate::world::{World, header};

#[test]
fn a_refer_waits_for_the_hold_to_be_confirmed() {
    let (mut world, [alice, ..]) = three(5);
    let (a1, b1) = talk(&mut world, alice);
    world
        .with(BOB, |now, agent, tx| {
            agent.reoffer(now, tx, b1, Some(b"hold".to_vec()))
        })
        .unwrap();
    let t = transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
    assert!(matches!(world.event(ALICE), Event::Reoffered { .. }));
    world.run(2000);
    assert_eq!(world.count("REFER"), 0);
    world
        .with(ALICE, |now, agent, tx| agent.accept(now, tx, a1, b"held"))
        .unwrap();
    assert!(matches!(world.event(BOB), Event::Reanswered { .. }));
    world.run(100);
    let flow = flow(&world, 0);
    in_order(
        &flow,
        &["bob INVITE", "alice 200 INVITE", "bob ACK", "bob REFER"],
    );
    assert_eq!(world.count("REFER"), 1);
    // It was not waited for in vain.
    do_transfer_after_ack(&mut world);
    accepted(&mut world, BOB, t);
}

fn do_transfer_after_ack(world: &mut World) {
    loop {
        match world.event(ALICE) {
            Event::Acknowledged { .. } => {}
            Event::TransferRequested { transfer, .. } => {
                world
                    .with(ALICE, |now, agent, tx| {
                        agent.accept_transfer(now, tx, transfer, None, &[])
                    })
                    .unwrap();
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refer_that_met_an_offer_goes_again() {
    let (mut world, [alice, ..]) = three(6);
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, "sip:peer@10.0.0.5");
    let invite = world.receive(peer);
    let contact = "Contact: <sip:peer@10.0.0.5>\n";
    let ok = crate::world::reply(&invite, "200 OK", "pt", contact, "answer");
    world.write(peer, ALICE, &ok);
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    world.receive(peer);
    let t = transfer(&mut world, ALICE, call, "sip:carol@10.0.0.3");
    for _ in 0..2 {
        let refer = world.receive(peer);
        assert!(refer.starts_with("REFER "), "{refer}");
        world.write(
            peer,
            ALICE,
            &crate::world::reply(&refer, "491 Request Pending", "", "", ""),
        );
    }
    let refer = world.receive(peer);
    assert_eq!(header(&refer, "CSeq"), "4 REFER");
    // A report may overtake the 202.
    world.write(
        peer,
        ALICE,
        &notify(&refer, 1, "4", "active;expires=60", "SIP/2.0 100 Trying"),
    );
    accepted(&mut world, ALICE, t);
    progress(&mut world, ALICE, 100);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    world.write(
        peer,
        ALICE,
        &crate::world::reply(&refer, "202 Accepted", "", contact, ""),
    );
    // A report about another one is not ours.
    world.write(
        peer,
        ALICE,
        &notify(&refer, 2, "9", "active;expires=60", ""),
    );
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
    world.write(
        peer,
        ALICE,
        &notify(
            &refer,
            3,
            "4",
            "terminated;reason=noresource",
            "SIP/2.0 200 OK",
        ),
    );
    assert!(matches!(world.event(ALICE), Event::TransferDone { .. }));
}

#[test]
fn reports_count_though_the_bye_after_them_came_first() {
    let (mut world, [alice, ..]) = three(8);
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, "sip:peer@10.0.0.5");
    let invite = world.receive(peer);
    let contact = "Contact: <sip:peer@10.0.0.5>\n";
    let ok = crate::world::reply(&invite, "200 OK", "pt", contact, "answer");
    world.write(peer, ALICE, &ok);
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    world.receive(peer);
    let t = transfer(&mut world, ALICE, call, "sip:carol@10.0.0.3");
    let refer = world.receive(peer);
    let accepted_it = crate::world::reply(&refer, "202 Accepted", "", contact, "");
    world.write(peer, ALICE, &accepted_it);
    accepted(&mut world, ALICE, t);
    let id = header(&refer, "CSeq").split(' ').next().unwrap().to_owned();
    let bye = format!(
        "BYE sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKbye\n\
         From: {}\nTo: {}\nCall-ID: {}\nCSeq: 9 BYE\nMax-Forwards: 70\nContent-Length: 0\n\n",
        header(&refer, "To"),
        header(&refer, "From"),
        header(&refer, "Call-ID"),
    );
    world.write(peer, ALICE, &bye);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let late = notify(&refer, 7, &id, "active;expires=60", "SIP/2.0 180 Ringing");
    world.write(peer, ALICE, &late);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    // What a newer report has made obsolete is refused (RFC 3261 §12.2.2).
    let older = notify(&refer, 6, &id, "active;expires=60", "SIP/2.0 100 Trying");
    world.write(peer, ALICE, &older);
    assert!(world.receive(peer).starts_with("SIP/2.0 500 "));
    let last = notify(
        &refer,
        8,
        &id,
        "terminated;reason=noresource",
        "SIP/2.0 200 OK",
    );
    world.write(peer, ALICE, &last);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    loop {
        match world.event(ALICE) {
            Event::TransferDone { .. } => break,
            Event::Ended { .. } | Event::TransferProgress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A report of a hand-written peer.
fn notify(refer: &str, cseq: u32, id: &str, state: &str, body: &str) -> String {
    format!(
        "NOTIFY sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKn{cseq}\n\
         From: {}\nTo: {}\nCall-ID: {}\nCSeq: {cseq} NOTIFY\nMax-Forwards: 70\n\
         Contact: <sip:peer@10.0.0.5>\nEvent: refer;id={id}\nSubscription-State: {state}\n\
         Content-Type: message/sipfrag\nContent-Length: {}\n\n{body}",
        header(refer, "To"),
        header(refer, "From"),
        header(refer, "Call-ID"),
        body.len()
    )
}

#[test]
fn nothing_to_transfer_before_the_answer() {
    let (mut world, _) = three(11);
    let peer = world.raw("10.0.0.5:5060");
    let invite = "INVITE sip:bob@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKe1\n\
        From: <sip:x@10.0.0.5>;tag=f\nTo: <sip:bob@10.0.0.2>\nCall-ID: early\nCSeq: 1 INVITE\n\
        Max-Forwards: 70\nContact: <sip:x@10.0.0.5>\nContent-Length: 0\n\n";
    world.write(peer, BOB, invite);
    let call = match world.event(BOB) {
        Event::Incoming { call, .. } => call,
        other => panic!("{other:?}"),
    };
    crate::transfer::ring(&mut world, BOB, call);
    let ringing = world.receive(peer);
    assert!(ringing.starts_with("SIP/2.0 180 "));
    let refer = invite
        .replace("INVITE", "REFER")
        .replace("REFER sip:bob@10.0.0.2", "REFER sip:bob@10.0.0.2:5060")
        .replace("bKe1", "bKe2")
        .replace("CSeq: 1", "CSeq: 2")
        .replace("Contact", "Refer-To: <sip:carol@10.0.0.3>\nContact")
        .replace(
            "To: <sip:bob@10.0.0.2>\n",
            &format!("To: {}\n", header(&ringing, "To")),
        );
    world.write(peer, BOB, &refer);
    assert!(world.receive(peer).starts_with("SIP/2.0 491 "));
    assert!(world.unread(BOB).is_empty());
    let early = world.with(BOB, |now, agent, tx| {
        agent.transfer(now, tx, call, "sip:carol@10.0.0.3")
    });
    assert_eq!(early, Err(sip::ua::Misuse::WrongState));
}

#[test]
fn reports_never_overtake_each_other() {
    let (mut world, [alice, ..]) = three(12);
    let (_, b1) = talk(&mut world, alice);
    world.lose = vec![(ALICE, "NOTIFY".to_owned())];
    let t = transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
    do_transfer(&mut world, ALICE);
    let c = incoming(&mut world, CAROL);
    crate::transfer::ring(&mut world, CAROL, c);
    world.run(50);
    accept(&mut world, CAROL, c);
    accepted(&mut world, BOB, t);
    // The first report is lost and sent again; until it has arrived no other one leaves, and then only the
    // last state is worth one.
    progress(&mut world, BOB, 100);
    assert!(matches!(world.event(BOB), Event::TransferDone { .. }));
    let numbers: Vec<_> = world
        .log
        .iter()
        .filter(|s| s.kind() == "NOTIFY")
        .map(|s| header(&s.text, "CSeq"))
        .collect();
    assert_eq!(numbers, ["2 NOTIFY", "2 NOTIFY", "3 NOTIFY"]);
}

#[test]
fn a_peer_that_never_reports() {
    let (mut world, [alice, ..]) = three(7);
    let (_, b1) = talk(&mut world, alice);
    world.lose = vec![(ALICE, "NOTIFY".to_owned()); 50];
    let t = transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
    do_transfer(&mut world, ALICE);
    accepted(&mut world, BOB, t);
    let before = world.now;
    match world.event(BOB) {
        Event::TransferFailed {
            transfer, cause, ..
        } => {
            assert_eq!((transfer, cause), (t, Cause::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    assert!((31_000..33_000).contains(&(world.now - before).as_millis()));
    let calls = world.with(BOB, |_, agent, _| agent.calls());
    assert_eq!(calls, 1);
}

#[test]
fn transfers_survive_a_bad_network() {
    let (mut done, mut lost) = (0, 0);
    for seed in 0..40 {
        let (mut world, [alice, ..]) = three(seed);
        let (a1, b1) = talk(&mut world, alice);
        world.loss = 150;
        world.duplicates = 100;
        world.jitter = 40;
        transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
        let asked = match world.event(ALICE) {
            Event::TransferRequested { transfer, .. } => transfer,
            other => panic!("{other:?}"),
        };
        world
            .with(ALICE, |now, agent, tx| {
                agent.accept_transfer(now, tx, asked, Some(b"offer".to_vec()), &[])
            })
            .unwrap();
        let c = incoming(&mut world, CAROL);
        accept(&mut world, CAROL, c);
        world.run(60_000);
        let events = world.unread(BOB);
        done += usize::from(
            events
                .iter()
                .any(|e| matches!(e, Event::TransferDone { .. })),
        );
        lost += usize::from(
            events
                .iter()
                .any(|e| matches!(e, Event::TransferFailed { .. })),
        );
        let _ = a1;
        world.loss = 0;
        world.with(CAROL, |now, agent, tx| {
            let _ = agent.hang_up(now, tx, c);
        });
        world.with(BOB, |now, agent, tx| {
            let _ = agent.hang_up(now, tx, b1);
        });
        world.run(1000);
        for node in [ALICE, BOB, CAROL] {
            world.unread(node);
        }
        nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
    }
    assert_eq!((done, lost), (40, 0));
}

#[test]
fn without_reports_where_none_are_wanted() {
    let (mut world, [alice, ..]) = three(8);
    let peer = world.raw("10.0.0.5:5060");
    let call = dial(&mut world, alice, "sip:peer@10.0.0.5");
    let invite = world.receive(peer);
    let contact = "Contact: <sip:peer@10.0.0.5>\n";
    world.write(
        peer,
        ALICE,
        &crate::world::reply(&invite, "200 OK", "pt", contact, "answer"),
    );
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    let ack = world.receive(peer);
    // The peer asks us, and wants no reports (RFC 4488).
    let refer = format!(
        "REFER sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKr\n\
         From: {}\nTo: {}\nCall-ID: {}\nCSeq: 1 REFER\nMax-Forwards: 70\n{contact}\
         Require: norefersub\nRefer-Sub: false\nRefer-To: <sip:carol@10.0.0.3;method=INVITE>\nContent-Length: 0\n\n",
        header(&ack, "To"),
        header(&ack, "From"),
        header(&ack, "Call-ID"),
    );
    world.write(peer, ALICE, &refer);
    do_transfer(&mut world, ALICE);
    let answer = world.receive(peer);
    assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    assert_eq!(header(&answer, "Refer-Sub"), "false");
    let c = incoming(&mut world, CAROL);
    accept(&mut world, CAROL, c);
    world.run(1000);
    assert_eq!(world.count("NOTIFY"), 0);
    world.unread(ALICE);
    // We ask the peer, and it will not report.
    let t = transfer(&mut world, ALICE, call, "sip:carol@10.0.0.3");
    let refer = world.receive(peer);
    let none = format!("{contact}Refer-Sub: false\n");
    world.write(
        peer,
        ALICE,
        &crate::world::reply(&refer, "202 Accepted", "", &none, ""),
    );
    accepted(&mut world, ALICE, t);
    assert!(matches!(world.event(ALICE), Event::TransferDone { .. }));
    let bye = world.receive(peer);
    assert!(bye.starts_with("BYE "), "{bye}");
}

#[test]
fn refers_that_are_refused_at_the_door() {
    let (mut world, [alice, ..]) = three(9);
    let peer = world.raw("10.0.0.5:5060");
    dial(&mut world, alice, "sip:peer@10.0.0.5");
    let invite = world.receive(peer);
    let contact = "Contact: <sip:peer@10.0.0.5>\n";
    world.write(
        peer,
        ALICE,
        &crate::world::reply(&invite, "200 OK", "pt", contact, "answer"),
    );
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    let ack = world.receive(peer);
    let cases = [
        ("", "400"),
        ("Refer-To: <sip:a@b>\nRefer-To: <sip:c@d>\n", "400"),
        ("Refer-To: <sip:a@b>, <sip:c@d>\n", "400"),
        ("Refer-To: <mailto:a@b>\n", "416"),
        ("Refer-To: <sip:a@b;method=BYE>\n", "501"),
        ("Refer-To: <sip:a@b?Replaces=x>\n", "400"),
        ("Refer-To: <sip:a@b>\nRequire: tdialog\n", "420"),
    ];
    for (n, (more, status)) in cases.iter().enumerate() {
        let refer = format!(
            "REFER sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKr{n}\n\
             From: {}\nTo: {}\nCall-ID: {}\nCSeq: {} REFER\nMax-Forwards: 70\n{contact}{more}\
             Content-Length: 0\n\n",
            header(&ack, "To"),
            header(&ack, "From"),
            header(&ack, "Call-ID"),
            n + 1,
        );
        world.write(peer, ALICE, &refer);
        let answer = world.receive(peer);
        assert!(
            answer.starts_with(&format!("SIP/2.0 {status} ")),
            "{more}{answer}"
        );
    }
    assert!(world.unread(ALICE).is_empty());
}
