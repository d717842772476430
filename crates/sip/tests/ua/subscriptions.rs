//! Subscriptions and picking up, against notifiers that the test writes by hand (RFC 6665, 3842, 4235).

use sip::message::StatusCode;
use sip::ua::{AccountId, Cause, Event, Misuse, SubscriptionId, SubscriptionStatus};

use crate::calls::{ALICE, accept, incoming, nothing_is_kept, two};
use crate::transfer::{CAROL, flow, in_order, ring, three};
use crate::world::{World, header, reply};

const CONTACT: &str = "Contact: <sip:box@10.0.0.5>\n";

fn subscribe(world: &mut World, account: AccountId, expires: u32) -> SubscriptionId {
    world
        .with(ALICE, |now, agent, tx| {
            let accept = ["application/simple-message-summary"];
            let target = "sip:box@10.0.0.5";
            agent.subscribe(
                now,
                tx,
                account,
                target,
                "message-summary",
                &accept,
                expires,
            )
        })
        .unwrap()
}

/// A NOTIFY for a SUBSCRIBE.
fn notify(subscribe: &str, tag: &str, cseq: u32, state: &str, body: &str) -> String {
    let to = header(subscribe, "To");
    let to = to.split(";tag=").next().unwrap();
    format!(
        "NOTIFY sip:alice@10.0.0.1:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK{}{tag}{cseq}\n\
         From: {to};tag={tag}\nTo: {}\nCall-ID: {}\nCSeq: {cseq} NOTIFY\nMax-Forwards: 70\n{CONTACT}\
         Event: message-summary\nSubscription-State: {state}\n\
         Content-Type: application/simple-message-summary\nContent-Length: {}\n\n{body}",
        header(subscribe, "Call-ID"),
        header(subscribe, "From"),
        header(subscribe, "Call-ID"),
        body.len()
    )
}

fn granted(expires: u32) -> String {
    format!("{CONTACT}Expires: {expires}\n")
}

fn notified(world: &mut World, wanted: SubscriptionId) -> (SubscriptionStatus, Vec<u8>) {
    match world.event(ALICE) {
        Event::Notified {
            subscription,
            package,
            state,
            content_type,
            body,
            ..
        } => {
            assert_eq!(
                (subscription, package.as_str()),
                (Some(wanted), "message-summary")
            );
            assert_eq!(content_type, "application/simple-message-summary");
            (state, body)
        }
        other => panic!("{other:?}"),
    }
}

fn lost(world: &mut World) -> (Cause, Option<u64>) {
    match world.event(ALICE) {
        Event::SubscriptionEnded {
            cause, retry_in, ..
        } => (cause, retry_in.map(|r| r.as_secs())),
        other => panic!("{other:?}"),
    }
}

fn subscribed(world: &mut World, expires: u32) {
    match world.event(ALICE) {
        Event::Subscribed { expires: e, .. } => assert_eq!(e, expires),
        other => panic!("{other:?}"),
    }
}

/// RFC 3842 §5, message by message.
#[test]
fn subscribe_refresh_unsubscribe() {
    let (mut world, alice) = two(1);
    let peer = world.raw("10.0.0.5:5060");
    let id = subscribe(&mut world, alice, 3600);
    let first = world.receive(peer);
    assert!(first.starts_with("SUBSCRIBE sip:box@10.0.0.5 SIP/2.0\r\n"));
    assert_eq!(header(&first, "Event"), "message-summary");
    assert_eq!(header(&first, "Expires"), "3600");
    assert_eq!(
        header(&first, "Accept"),
        "application/simple-message-summary"
    );
    assert_eq!(header(&first, "Contact"), "<sip:alice@10.0.0.1:5060>");
    world.write(
        peer,
        ALICE,
        &reply(&first, "200 OK", "n", &granted(600), ""),
    );
    subscribed(&mut world, 600);
    let body = "Messages-Waiting: yes\nVoice-Message: 2/8\n";
    world.write(
        peer,
        ALICE,
        &notify(&first, "n", 1, "active;expires=600", body),
    );
    let (state, body) = notified(&mut world, id);
    assert_eq!(state, SubscriptionStatus::Active);
    let summary = sip::event::MessageSummary::parse(&body).unwrap();
    assert!(summary.waiting);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let before = world.now;
    world.run(500_000);
    let refresh = world.receive(peer);
    assert!((530..550).contains(&(world.now - before).as_secs()));
    assert!(refresh.starts_with("SUBSCRIBE sip:box@10.0.0.5 SIP/2.0\r\n"));
    assert_eq!(header(&refresh, "CSeq"), "2 SUBSCRIBE");
    assert!(header(&refresh, "To").ends_with(";tag=n"));
    world.write(
        peer,
        ALICE,
        &reply(&refresh, "200 OK", "", &granted(600), ""),
    );
    subscribed(&mut world, 600);
    world
        .with(ALICE, |now, agent, tx| agent.unsubscribe(now, tx, id))
        .unwrap();
    let last = world.receive(peer);
    assert_eq!(header(&last, "Expires"), "0");
    world.write(peer, ALICE, &reply(&last, "200 OK", "", &granted(0), ""));
    let state = "terminated;reason=timeout";
    world.write(peer, ALICE, &notify(&first, "n", 2, state, ""));
    let (state, _) = notified(&mut world, id);
    assert_eq!(state, SubscriptionStatus::Terminated);
    assert_eq!(lost(&mut world), (Cause::ByUs, None));
    let gone = world.with(ALICE, |now, agent, tx| agent.unsubscribe(now, tx, id));
    assert_eq!(gone, Err(Misuse::Gone));
    nothing_is_kept(&mut world, &[ALICE]);
}

#[test]
fn a_notify_may_come_before_the_2xx_and_from_several_forks() {
    let (mut world, alice) = two(2);
    let peer = world.raw("10.0.0.5:5060");
    let id = subscribe(&mut world, alice, 3600);
    let first = world.receive(peer);
    for (n, tag) in ["a", "b", "c", "d"].into_iter().enumerate() {
        world.write(
            peer,
            ALICE,
            &notify(&first, tag, 1, "active;expires=60", tag),
        );
        assert_eq!(notified(&mut world, id).1, tag.as_bytes(), "{n}");
        assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    }
    // That is enough of them.
    world.write(
        peer,
        ALICE,
        &notify(&first, "e", 1, "active;expires=60", ""),
    );
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
    // One that was heard already, and one that is not what was asked for.
    world.write(
        peer,
        ALICE,
        &notify(&first, "b", 1, "active;expires=60", "")
            .replace("branch=z9hG4bK", "branch=z9hG4bKnew"),
    );
    assert!(world.receive(peer).starts_with("SIP/2.0 500 "));
    let other =
        notify(&first, "a", 2, "active", "").replace("Event: message-summary", "Event: dialog");
    world.write(peer, ALICE, &other);
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
    world.write(
        peer,
        ALICE,
        &reply(&first, "200 OK", "a", &granted(3600), ""),
    );
    subscribed(&mut world, 3600);
    // The first one granted less than its 200 says.
    world.write(
        peer,
        ALICE,
        &notify(&first, "a", 3, "active;expires=100", ""),
    );
    notified(&mut world, id);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let before = world.now;
    let refresh = world.receive(peer);
    assert!((85..95).contains(&(world.now - before).as_secs()));
    assert!(header(&refresh, "To").ends_with(";tag=a"));
}

#[test]
fn what_is_lost_is_asked_for_again() {
    let (mut world, alice) = two(3);
    let peer = world.raw("10.0.0.5:5060");
    let id = subscribe(&mut world, alice, 3600);
    let first = world.receive(peer);
    // Not for now.
    let later = "Retry-After: 60\n";
    world.write(
        peer,
        ALICE,
        &reply(&first, "503 Service Unavailable", "n", later, ""),
    );
    assert!(matches!(
        lost(&mut world),
        (Cause::Refused { .. }, Some(60))
    ));
    let second = world.receive(peer);
    assert_ne!(header(&second, "Call-ID"), header(&first, "Call-ID"));
    // For longer, please.
    world.write(
        peer,
        ALICE,
        &reply(&second, "423 Too Brief", "n", "Min-Expires: 7200\n", ""),
    );
    let third = world.receive(peer);
    assert_eq!(header(&third, "Expires"), "7200");
    world.write(
        peer,
        ALICE,
        &reply(&third, "200 OK", "n", &granted(7200), ""),
    );
    subscribed(&mut world, 7200);
    // The notifier says nothing (timer N).
    let before = world.now;
    assert!(matches!(lost(&mut world), (Cause::TimedOut, Some(1..=4))));
    assert!((31..34).contains(&(world.now - before).as_secs()));
    let fourth = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&fourth, "200 OK", "n", &granted(7200), ""),
    );
    subscribed(&mut world, 7200);
    for (reason, wait) in [
        ("probation;retry-after=90", 90..=90),
        ("deactivated", 1..=2),
        ("timeout", 1..=2),
        ("giveup;retry-after=20", 20..=20),
        ("frobnicated", 1..=4),
    ] {
        let latest = world.last("SUBSCRIBE").to_owned();
        world.write(
            peer,
            ALICE,
            &notify(&latest, "n", 1, "active;expires=7200", ""),
        );
        notified(&mut world, id);
        let state = format!("terminated;reason={reason}");
        world.write(peer, ALICE, &notify(&latest, "n", 2, &state, ""));
        notified(&mut world, id);
        let (_, retry) = lost(&mut world);
        assert!(
            retry.is_some_and(|r| wait.contains(&r)),
            "{reason} {retry:?}"
        );
        let again = loop {
            let text = world.receive(peer);
            if text.starts_with("SUBSCRIBE ") {
                break text;
            }
        };
        assert!(!header(&again, "To").contains(";tag="));
        world.write(
            peer,
            ALICE,
            &reply(&again, "200 OK", "n", &granted(7200), ""),
        );
        subscribed(&mut world, 7200);
    }
    let latest = world.last("SUBSCRIBE").to_owned();
    let state = "terminated;reason=rejected";
    world.write(peer, ALICE, &notify(&latest, "n", 1, state, ""));
    notified(&mut world, id);
    let (cause, retry) = lost(&mut world);
    let why = Some("rejected".to_owned());
    assert_eq!((cause, retry), (Cause::ByPeer { reason: why }, None));
    nothing_is_kept(&mut world, &[ALICE]);
}

#[test]
fn a_refresh_that_finds_nothing_begins_anew() {
    let (mut world, alice) = two(4);
    let peer = world.raw("10.0.0.5:5060");
    let id = subscribe(&mut world, alice, 100);
    let first = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&first, "200 OK", "n", &granted(100), ""),
    );
    subscribed(&mut world, 100);
    world.write(
        peer,
        ALICE,
        &notify(&first, "n", 1, "pending;expires=100", ""),
    );
    assert_eq!(notified(&mut world, id).0, SubscriptionStatus::Pending);
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let refresh = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&refresh, "481 Subscription Does Not Exist", "", "", ""),
    );
    assert!(matches!(
        lost(&mut world),
        (Cause::Refused { .. }, Some(1..=2))
    ));
    let again = world.receive(peer);
    assert!(!header(&again, "To").contains(";tag="));
    world.write(
        peer,
        ALICE,
        &reply(&again, "489 Bad Event", "n", "Allow-Events: presence\n", ""),
    );
    assert!(matches!(
        lost(&mut world),
        (
            Cause::Refused {
                status: StatusCode(489),
                ..
            },
            None
        )
    ));
    nothing_is_kept(&mut world, &[ALICE]);
}

#[test]
fn a_mail_box_may_speak_unasked() {
    let (mut world, _) = two(5);
    let peer = world.raw("10.0.0.5:5060");
    let text = "NOTIFY sip:alice@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK1\n\
        From: <sip:box@10.0.0.5>;tag=n\nTo: <sip:alice@10.0.0.1>\nCall-ID: unasked\nCSeq: 102 NOTIFY\n\
        Max-Forwards: 70\nEvent: message-summary\nContact: <sip:box@10.0.0.5>\n\
        Content-Type: application/simple-message-summary\nContent-Length: 21\n\nMessages-Waiting: no\n";
    world.write(peer, ALICE, text);
    match world.event(ALICE) {
        Event::Notified {
            subscription: None,
            account: Some(_),
            package,
            body,
            ..
        } => {
            assert_eq!(package, "message-summary");
            assert!(!sip::event::MessageSummary::parse(&body).unwrap().waiting);
        }
        other => panic!("{other:?}"),
    }
    assert!(world.receive(peer).starts_with("SIP/2.0 200 "));
    let other = text
        .replace("message-summary\nContact", "presence\nContact")
        .replace("z9hG4bK1", "z9hG4bK2")
        .replace("unasked", "other");
    world.write(peer, ALICE, &other);
    assert!(world.receive(peer).starts_with("SIP/2.0 481 "));
    assert!(world.unread(ALICE).is_empty());
}

/// RFC 5359 §2.16: Alice calls Bob, Carol picks the call up.
#[test]
fn call_pick_up_message_by_message() {
    let (mut world, [alice, bob, carol]) = three(8);
    let watched = world.raw("10.0.0.5:5060");
    let a1 = world
        .with(ALICE, |now, agent, tx| {
            agent.call(
                now,
                tx,
                alice,
                "sip:bob@10.0.0.2",
                Some(b"offer".to_vec()),
                &[],
            )
        })
        .unwrap();
    let b1 = incoming(&mut world, crate::calls::BOB);
    ring(&mut world, crate::calls::BOB, b1);
    assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    let ringing = world.last("180 INVITE").to_owned();
    let start = world.log.len();
    let id = world
        .with(CAROL, |now, agent, tx| {
            agent.pick_up(now, tx, carol, "sip:bob@10.0.0.5", Some(b"offer".to_vec()))
        })
        .unwrap();
    let subscribe = world.receive(watched);
    assert_eq!(
        (header(&subscribe, "Event"), header(&subscribe, "Expires")),
        ("dialog".to_owned(), "0".to_owned())
    );
    world.write(
        watched,
        CAROL,
        &reply(
            &subscribe,
            "200 OK",
            "n",
            "Contact: <sip:bob@10.0.0.5>\nExpires: 0\n",
            "",
        ),
    );
    let tag = |name: &str| {
        let value = header(&ringing, name);
        value.split(";tag=").nth(1).unwrap().to_owned()
    };
    let body = format!(
        "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" \
         state=\"full\" entity=\"sip:bob@10.0.0.2\"><dialog id=\"9\" call-id=\"{}\" local-tag=\"{}\" \
         remote-tag=\"{}\" direction=\"recipient\"><remote><identity>sip:alice@10.0.0.1</identity>\
         <target uri=\"sip:alice@10.0.0.1:5060\"/></remote><state>early</state></dialog></dialog-info>",
        header(&ringing, "Call-ID"),
        tag("To"),
        tag("From"),
    );
    let text = notify(&subscribe, "n", 1, "terminated;reason=timeout", &body)
        .replace("alice@10.0.0.1:5060 SIP", "carol@10.0.0.3:5060 SIP")
        .replace("Event: message-summary", "Event: dialog")
        .replace("simple-message-summary", "dialog-info+xml");
    world.write(watched, CAROL, &text);
    assert!(matches!(world.event(CAROL), Event::Notified { .. }));
    let c1 = match world.event(CAROL) {
        Event::PickingUp { subscription, call } => {
            assert_eq!(subscription, id);
            call
        }
        other => panic!("{other:?}"),
    };
    let a2 = match world.event(ALICE) {
        Event::Incoming { call, replaces, .. } => {
            assert_eq!(replaces, Some(a1));
            call
        }
        other => panic!("{other:?}"),
    };
    accept(&mut world, ALICE, a2);
    assert_eq!(
        crate::calls::ended(&mut world, crate::calls::BOB, b1),
        Cause::Cancelled
    );
    world.run(100);
    let carols = world.unread(CAROL);
    assert!(
        carols
            .iter()
            .any(|e| matches!(e, Event::Established { call, .. } if *call == c1))
    );
    let invite = world.last("INVITE");
    assert!(header(invite, "Replaces").ends_with(";early-only"));
    assert_eq!(header(invite, "Require"), "replaces");
    let flow = flow_of(&world, start);
    in_order(
        &flow,
        &[
            "carol SUBSCRIBE",
            "dave 200 SUBSCRIBE",
            "dave NOTIFY",
            "carol 200 NOTIFY",
            "carol INVITE",
            "alice 200 INVITE",
            "alice CANCEL",
            "bob 200 CANCEL",
            "bob 487 INVITE",
        ],
    );
    in_order(&flow, &["alice 200 INVITE", "carol ACK"]);
    let _ = bob;
    crate::calls::hang_up(&mut world, CAROL, c1);
    world.run(1000);
    for node in [ALICE, crate::calls::BOB, CAROL] {
        world.unread(node);
    }
    nothing_is_kept(&mut world, &[ALICE, crate::calls::BOB, CAROL]);
}

fn flow_of(world: &World, start: usize) -> Vec<String> {
    flow(world, start)
}

#[test]
fn nothing_rings_there() {
    let (mut world, alice) = two(9);
    let peer = world.raw("10.0.0.5:5060");
    world
        .with(ALICE, |now, agent, tx| {
            agent.pick_up(now, tx, alice, "sip:box@10.0.0.5", None)
        })
        .unwrap();
    let subscribe = world.receive(peer);
    world.write(
        peer,
        ALICE,
        &reply(&subscribe, "200 OK", "n", &granted(0), ""),
    );
    let text = notify(&subscribe, "n", 1, "terminated;reason=timeout", "<x/>")
        .replace("Event: message-summary", "Event: dialog");
    world.write(peer, ALICE, &text);
    assert!(matches!(world.event(ALICE), Event::Notified { .. }));
    match lost(&mut world) {
        (Cause::Unreachable { reason }, None) => assert_eq!(reason, "no call rings there"),
        other => panic!("{other:?}"),
    }
    nothing_is_kept(&mut world, &[ALICE]);
}
