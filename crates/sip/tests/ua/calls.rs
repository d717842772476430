//! Two user agents call each other.

use sip::message::StatusCode;
use sip::ua::{Account, AccountId, CallId, Cause, Event, Misuse};

use crate::world::{World, header};

pub const ALICE: usize = 0;
pub const BOB: usize = 1;

/// Alice and Bob, without any server between them.
pub fn two(seed: u64) -> (World, AccountId) {
    two_with(seed, |_, _| {})
}

/// Alice and Bob with other accounts than usual.
pub fn two_with(seed: u64, settle: impl FnOnce(&mut Account, &mut Account)) -> (World, AccountId) {
    let mut world = World::new(seed);
    let mut alice = Account::new("sip:alice@10.0.0.1");
    let mut bob = Account::new("sip:bob@10.0.0.2");
    settle(&mut alice, &mut bob);
    let (_, alice) = world.agent("10.0.0.1:5060", alice);
    world.agent("10.0.0.2:5060", bob);
    (world, alice)
}

pub fn dial(world: &mut World, alice: AccountId, target: &str) -> CallId {
    world
        .with(ALICE, |now, agent, tx| {
            agent.call(now, tx, alice, target, Some(b"offer".to_vec()), &[])
        })
        .unwrap()
}

pub fn incoming(world: &mut World, node: usize) -> CallId {
    match world.event(node) {
        Event::Incoming { call, offer, .. } => {
            assert_eq!(offer.as_deref(), Some(&b"offer"[..]));
            call
        }
        other => panic!("{other:?}"),
    }
}

pub fn accept(world: &mut World, node: usize, call: CallId) {
    world
        .with(node, |now, agent, tx| {
            agent.accept(now, tx, call, b"answer")
        })
        .unwrap();
    assert!(matches!(world.event(node), Event::Established { .. }));
}

pub fn hang_up(world: &mut World, node: usize, call: CallId) {
    world
        .with(node, |now, agent, tx| agent.hang_up(now, tx, call))
        .unwrap();
}

/// The next event that is no progress has to be the end of the call.
pub fn ended(world: &mut World, node: usize, call: CallId) -> Cause {
    loop {
        match world.event(node) {
            Event::Ended { call: ended, cause } => {
                assert_eq!(ended, call);
                return cause;
            }
            Event::Progress { .. } | Event::Acknowledged { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A call that stands: Alice's and Bob's name for it.
pub fn talk(world: &mut World, alice: AccountId) -> (CallId, CallId) {
    let ours = dial(world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(world, BOB);
    accept(world, BOB, theirs);
    loop {
        match world.event(ALICE) {
            Event::Established { call, body, .. } => {
                assert_eq!((call, body.as_deref()), (ours, Some(&b"answer"[..])));
                break;
            }
            Event::Progress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(
        world.event(BOB),
        Event::Acknowledged { body: None, .. }
    ));
    (ours, theirs)
}

pub fn nothing_is_kept(world: &mut World, nodes: &[usize]) {
    world.run(70_000);
    for node in nodes {
        let kept = world.with(*node, |_, agent, tx| {
            (agent.kept(), agent.calls(), tx.len())
        });
        assert_eq!(kept, (0, 0, (0, 0)), "node {node}");
        assert!(world.unread(*node).is_empty());
    }
}

#[test]
fn a_call_takes_exactly_these_packets() {
    let (mut world, alice) = two(1);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    world
        .with(BOB, |now, agent, tx| {
            agent.ring(now, tx, theirs, StatusCode(180), None)
        })
        .unwrap();
    match world.event(ALICE) {
        Event::Progress {
            call, status, body, ..
        } => {
            assert_eq!((call, status, body), (ours, StatusCode(180), None));
        }
        other => panic!("{other:?}"),
    }
    accept(&mut world, BOB, theirs);
    match world.event(ALICE) {
        Event::Established {
            call,
            remote_uri,
            body,
            flow,
        } => {
            assert_eq!((call, body.as_deref()), (ours, Some(&b"answer"[..])));
            assert_eq!(remote_uri, "sip:bob@10.0.0.2:5060");
            assert_eq!(flow.remote.to_string(), "10.0.0.2:5060");
        }
        other => panic!("{other:?}"),
    }
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
    let expected: Vec<(usize, String)> = [
        (ALICE, "INVITE"),
        (BOB, "180 INVITE"),
        (BOB, "200 INVITE"),
        (ALICE, "ACK"),
        (ALICE, "BYE"),
        (BOB, "200 BYE"),
    ]
    .into_iter()
    .map(|(n, k)| (n, k.to_owned()))
    .collect();
    assert_eq!(world.kinds(), expected);
    let invite = world.last("INVITE");
    assert_eq!(header(invite, "Contact"), "<sip:alice@10.0.0.1:5060>");
    assert!(invite.ends_with("\r\n\r\noffer"));
    let bye = world.last("BYE");
    assert!(
        bye.starts_with("BYE sip:bob@10.0.0.2:5060 SIP/2.0\r\n"),
        "{bye}"
    );
    assert_eq!(header(bye, "CSeq"), "2 BYE");
    nothing_is_kept(&mut world, &[ALICE, BOB]);
    assert_eq!(world.kinds(), expected);
}

#[test]
fn the_callee_hangs_up() {
    let (mut world, alice) = two(2);
    let (ours, theirs) = talk(&mut world, alice);
    hang_up(&mut world, BOB, theirs);
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    assert_eq!(header(world.last("BYE"), "CSeq"), "1 BYE");
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn both_hang_up_at_once() {
    let (mut world, alice) = two(3);
    let (ours, theirs) = talk(&mut world, alice);
    hang_up(&mut world, ALICE, ours);
    hang_up(&mut world, BOB, theirs);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    assert_eq!((world.count("BYE"), world.count("200 BYE")), (2, 2));
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let (mut world, alice) = two(4);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    hang_up(&mut world, ALICE, ours);
    let theirs = incoming(&mut world, BOB);
    assert_eq!(world.count("CANCEL"), 0);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::Cancelled);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    // The 100 that let CANCEL go comes by itself after 200 ms.
    for (kind, count) in [
        ("100 INVITE", 1),
        ("CANCEL", 1),
        ("200 CANCEL", 1),
        ("487 INVITE", 1),
        ("ACK", 1),
    ] {
        assert_eq!(world.count(kind), count, "{kind}");
    }
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn cancel_while_it_rings() {
    let (mut world, alice) = two(5);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    world
        .with(BOB, |now, agent, tx| {
            agent.ring(now, tx, theirs, StatusCode(180), None)
        })
        .unwrap();
    assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    hang_up(&mut world, ALICE, ours);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::Cancelled);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    let gone = world.with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b"x"));
    assert_eq!(gone, Err(Misuse::NoCall));
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn a_200_that_crosses_cancel_gets_ack_and_bye() {
    let (mut world, alice) = two(6);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    world
        .with(BOB, |now, agent, tx| {
            agent.ring(now, tx, theirs, StatusCode(180), None)
        })
        .unwrap();
    assert!(matches!(world.event(ALICE), Event::Progress { .. }));
    accept(&mut world, BOB, theirs);
    hang_up(&mut world, ALICE, ours);
    assert!(matches!(world.event(BOB), Event::Acknowledged { .. }));
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
    for (kind, count) in [
        ("CANCEL", 1),
        ("200 CANCEL", 1),
        ("200 INVITE", 1),
        ("ACK", 1),
        ("BYE", 1),
    ] {
        assert_eq!(world.count(kind), count, "{kind}");
    }
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn the_callee_declines() {
    let (mut world, alice) = two(7);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    world
        .with(BOB, |now, agent, tx| {
            agent.reject(now, tx, theirs, StatusCode(486), Some("On the phone"))
        })
        .unwrap();
    let cause = ended(&mut world, ALICE, ours);
    assert_eq!(
        cause,
        Cause::Refused {
            status: StatusCode(486),
            reason: "On the phone".to_owned(),
            contacts: vec![],
        }
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    nothing_is_kept(&mut world, &[ALICE, BOB]);

    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    hang_up(&mut world, BOB, theirs);
    assert!(matches!(
        ended(&mut world, ALICE, ours),
        Cause::Refused {
            status: StatusCode(603),
            ..
        }
    ));
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
}

#[test]
fn a_caller_behind_a_nat_is_reached_on_its_own_flow() {
    let (mut world, alice) = two(19);
    world.hide(ALICE, "203.0.113.5:40000");
    let (ours, theirs) = talk(&mut world, alice);
    assert_eq!(
        header(world.last("INVITE"), "Contact"),
        "<sip:alice@10.0.0.1:5060>"
    );
    hang_up(&mut world, BOB, theirs);
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    assert_eq!(world.count("BYE"), 1);
}

#[test]
fn a_flow_that_is_gone_gives_way_to_the_contact() {
    let (mut world, alice) = two(20);
    world.hide(ALICE, "203.0.113.5:40000");
    let (ours, theirs) = talk(&mut world, alice);
    world.hide(ALICE, "10.0.0.1:5060");
    hang_up(&mut world, BOB, theirs);
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::ByUs);
    assert_eq!(world.count("BYE"), 2);
}

#[test]
fn hanging_up_before_anything_left() {
    let (mut world, alice) = two(21);
    world.with(ALICE, |now, agent, tx| {
        let call = agent
            .call(now, tx, alice, "sip:bob@nowhere.example", None, &[])
            .unwrap();
        agent.hang_up(now, tx, call).unwrap();
    });
    assert!(matches!(
        world.event(ALICE),
        Event::Ended {
            cause: Cause::Cancelled,
            ..
        }
    ));
    nothing_is_kept(&mut world, &[ALICE]);
    let ours = dial(&mut world, alice, "sip:bob@nowhere.example");
    match ended(&mut world, ALICE, ours) {
        Cause::Unreachable { reason } => assert!(reason.contains("nowhere.example"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(world.log.is_empty());
}

#[test]
fn an_offer_in_the_200_and_its_answer_in_the_ack() {
    let (mut world, alice) = two(13);
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
    let none = world.with(BOB, |now, agent, tx| agent.accept(now, tx, theirs, b""));
    assert_eq!(none, Err(Misuse::OfferAnswer));
    accept(&mut world, BOB, theirs);
    assert!(matches!(
        world.event(ALICE),
        Event::Established { body: Some(_), .. }
    ));
    // The owner takes its time, and the 200 comes again.
    world.run(1200);
    assert_eq!(world.count("ACK"), 0);
    world
        .with(ALICE, |now, agent, tx| {
            agent.acknowledge(now, tx, ours, b"mine".to_vec())
        })
        .unwrap();
    match world.event(BOB) {
        Event::Acknowledged { body, .. } => assert_eq!(body.as_deref(), Some(&b"mine"[..])),
        other => panic!("{other:?}"),
    }
    let again = world.with(ALICE, |now, agent, tx| {
        agent.acknowledge(now, tx, ours, vec![1])
    });
    assert_eq!(again, Err(Misuse::OfferAnswer));
    hang_up(&mut world, ALICE, ours);
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
}

#[test]
fn large_offers_go_by_tcp() {
    let (mut world, alice) = two(16);
    let offer = vec![b'x'; 2000];
    let ours = world
        .with(ALICE, |now, agent, tx| {
            agent.call(now, tx, alice, "sip:bob@10.0.0.2", Some(offer), &[])
        })
        .unwrap();
    let theirs = match world.event(BOB) {
        Event::Incoming { call, flow, .. } => {
            assert_eq!(flow.transport, sip::flow::Transport::Tcp);
            call
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        header(world.last("INVITE"), "Contact"),
        "<sip:alice@10.0.0.1:5060;transport=tcp>"
    );
    accept(&mut world, BOB, theirs);
    assert!(matches!(world.event(ALICE), Event::Established { .. }));
    hang_up(&mut world, ALICE, ours);
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
    assert!(header(world.last("BYE"), "Via").starts_with("SIP/2.0/TCP "));
}

#[test]
fn ringing_is_repeated_every_minute() {
    let (mut world, alice) = two(17);
    let ours = dial(&mut world, alice, "sip:bob@10.0.0.2");
    let theirs = incoming(&mut world, BOB);
    world
        .with(BOB, |now, agent, tx| {
            agent.ring(now, tx, theirs, StatusCode(180), None)
        })
        .unwrap();
    world.run(150_000);
    assert_eq!(world.count("180 INVITE"), 3);
    hang_up(&mut world, ALICE, ours);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Cancelled);
}

#[test]
fn what_an_owner_may_not_do() {
    let (mut world, alice) = two(18);
    let evil = [("X".to_owned(), "a\r\nB: c".to_owned())];
    let ours = [("Via".to_owned(), "x".to_owned())];
    world.with(ALICE, |now, agent, tx| {
        for headers in [&evil, &ours] {
            let call = agent.call(now, tx, alice, "bob", None, headers);
            assert_eq!(call, Err(Misuse::Header));
        }
        let call = agent.call(now, tx, alice, "sip:b b@c", None, &[]);
        assert_eq!(call, Err(Misuse::Address));
        assert!(agent.remove_account(alice) && !agent.remove_account(alice));
        let call = agent.call(now, tx, alice, "bob", None, &[]);
        assert_eq!(call, Err(Misuse::NoAccount));
        assert_eq!(agent.kept(), 0);
    });
    assert!(world.log.is_empty());
}
