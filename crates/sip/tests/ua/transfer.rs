//! Transfers in all three roles (RFC 3515, 3891, 5359 §2.4, §2.5, 5589).

use sip::message::StatusCode;
use sip::ua::{Account, AccountId, CallId, Cause, Event, Misuse, TransferId};

use crate::calls::{ALICE, BOB, accept, ended, hang_up, incoming, nothing_is_kept, talk};
use crate::world::{World, header};

pub const CAROL: usize = 2;

/// Alice, Bob and Carol, without any server between them.
pub fn three(seed: u64) -> (World, [AccountId; 3]) {
    let mut world = World::new(seed);
    let accounts = [("alice", 1), ("bob", 2), ("carol", 3)].map(|(name, n)| {
        let account = Account::new(&format!("sip:{name}@10.0.0.{n}"));
        world.agent(&format!("10.0.0.{n}:5060"), account).1
    });
    (world, accounts)
}

pub fn transfer(world: &mut World, node: usize, call: CallId, target: &str) -> TransferId {
    world
        .with(node, |now, agent, tx| agent.transfer(now, tx, call, target))
        .unwrap()
}

/// The peer is asked, and does it.
pub fn do_transfer(world: &mut World, node: usize) -> (CallId, TransferId) {
    match world.event(node) {
        Event::TransferRequested { transfer, .. } => {
            let call = world.with(node, |now, agent, tx| {
                agent.accept_transfer(now, tx, transfer, Some(b"offer".to_vec()), &[])
            });
            (call.unwrap(), transfer)
        }
        other => panic!("{other:?}"),
    }
}

pub fn ring(world: &mut World, node: usize, call: CallId) {
    world
        .with(node, |now, agent, tx| {
            agent.ring(now, tx, call, StatusCode(180), None)
        })
        .unwrap();
}

/// The messages from a place in the log on, as `alice REFER`.
pub fn flow(world: &World, from: usize) -> Vec<String> {
    let names = ["alice", "bob", "carol", "dave"];
    world.log[from..]
        .iter()
        .map(|sent| format!("{} {}", names[sent.from], sent.kind()))
        .collect()
}

/// The messages of one pair have their order; those of others may come between.
pub fn in_order(flow: &[String], wanted: &[&str]) {
    let mut rest = flow.iter();
    for want in wanted {
        assert!(
            rest.any(|sent| sent == want),
            "{want} is missing or out of order in {flow:#?}"
        );
    }
}

pub fn accepted(world: &mut World, node: usize, transfer: TransferId) {
    match world.event(node) {
        Event::TransferAccepted { transfer: t, .. } => assert_eq!(t, transfer),
        other => panic!("{other:?}"),
    }
}

pub fn progress(world: &mut World, node: usize, wanted: u16) {
    match world.event(node) {
        Event::TransferProgress { status, .. } => assert_eq!(status.0, wanted),
        other => panic!("{other:?}"),
    }
}

/// RFC 5359 §2.4: Alice called Bob, who sends her to Carol.
#[test]
fn unattended_transfer_message_by_message() {
    let (mut world, [alice, ..]) = three(1);
    let (a1, b1) = talk(&mut world, alice);
    let start = world.log.len();
    let t = transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
    let (a2, _) = do_transfer(&mut world, ALICE);
    accepted(&mut world, BOB, t);
    progress(&mut world, BOB, 100);
    let c = incoming(&mut world, CAROL);
    ring(&mut world, CAROL, c);
    progress(&mut world, BOB, 180);
    accept(&mut world, CAROL, c);
    match world.event(BOB) {
        Event::TransferDone { transfer, call } => assert_eq!((transfer, call), (t, Some(b1))),
        other => panic!("{other:?}"),
    }
    assert_eq!(ended(&mut world, BOB, b1), Cause::ByUs);
    loop {
        match world.event(ALICE) {
            Event::Ended { call, cause } => {
                assert_eq!((call, cause), (a1, Cause::ByPeer { reason: None }));
                break;
            }
            Event::Progress { call, .. } | Event::Established { call, .. } => assert_eq!(call, a2),
            other => panic!("{other:?}"),
        }
    }
    world.run(100);
    let flow = flow(&world, start);
    in_order(
        &flow,
        &[
            "bob REFER",
            "alice 202 REFER",
            "alice NOTIFY",
            "alice INVITE",
            "carol 180 INVITE",
            "carol 200 INVITE",
            "alice ACK",
        ],
    );
    in_order(
        &flow,
        &[
            "alice NOTIFY",
            "bob 200 NOTIFY",
            "alice NOTIFY",
            "bob 200 NOTIFY",
            "alice NOTIFY",
            "bob 200 NOTIFY",
            "bob BYE",
            "alice 200 BYE",
        ],
    );
    assert_eq!((world.count("NOTIFY"), world.count("BYE")), (3, 1));
    let refer = world.last("REFER");
    assert_eq!(header(refer, "Refer-To"), "<sip:carol@10.0.0.3>");
    assert_eq!(header(refer, "Referred-By"), "<sip:bob@10.0.0.2>");
    assert_eq!(header(refer, "Contact"), "<sip:bob@10.0.0.2:5060>");
    let invite = world.last("INVITE");
    assert_eq!(header(invite, "Referred-By"), "<sip:bob@10.0.0.2>");
    assert!(invite.starts_with("INVITE sip:carol@10.0.0.3 SIP/2.0\r\n"));
    let notify = world.last("NOTIFY");
    assert_eq!(header(notify, "Event"), "refer");
    assert_eq!(
        header(notify, "Subscription-State"),
        "terminated;reason=noresource"
    );
    assert_eq!(
        header(notify, "Content-Type"),
        "message/sipfrag;version=2.0"
    );
    assert!(notify.ends_with("\r\n\r\nSIP/2.0 200 OK\r\n"), "{notify}");
    hang_up(&mut world, CAROL, c);
    assert_eq!(ended(&mut world, ALICE, a2), Cause::ByPeer { reason: None });
    assert_eq!(ended(&mut world, CAROL, c), Cause::ByUs);
    nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
}

/// RFC 5359 §2.5, RFC 5589 §7.3: Alice called Bob, who asks Carol first. Carol's call with Bob is
/// replaced by one with Alice.
#[test]
fn attended_transfer_message_by_message() {
    let (mut world, [alice, bob, _]) = three(2);
    let (a1, b1) = talk(&mut world, alice);
    let b2 = dial_from(&mut world, BOB, bob, "sip:carol@10.0.0.3");
    let c1 = incoming(&mut world, CAROL);
    accept(&mut world, CAROL, c1);
    assert!(matches!(world.event(BOB), Event::Established { .. }));
    assert!(matches!(world.event(CAROL), Event::Acknowledged { .. }));
    let start = world.log.len();
    let t = world
        .with(BOB, |now, agent, tx| agent.transfer_to(now, tx, b1, b2))
        .unwrap();
    let (a2, _) = do_transfer(&mut world, ALICE);
    let c2 = match world.event(CAROL) {
        Event::Incoming {
            call,
            replaces,
            referred_by,
            ..
        } => {
            assert_eq!(replaces, Some(c1));
            assert_eq!(referred_by.as_deref(), Some("sip:bob@10.0.0.2"));
            call
        }
        other => panic!("{other:?}"),
    };
    accept(&mut world, CAROL, c2);
    assert_eq!(ended(&mut world, CAROL, c1), Cause::ByUs);
    accepted(&mut world, BOB, t);
    progress(&mut world, BOB, 100);
    // Carol's BYE and Alice's report come by different ways.
    let (mut done, mut over) = (false, Vec::new());
    while over.len() < 2 {
        match world.event(BOB) {
            Event::TransferDone { transfer, .. } => {
                assert_eq!(transfer, t);
                done = true;
            }
            Event::Ended { call, .. } => over.push(call),
            other => panic!("{other:?}"),
        }
    }
    over.sort();
    assert!(done && over == [b1, b2]);
    world.run(100);
    let refer_to = header(world.last("REFER"), "Refer-To");
    let replaces = header(world.last("INVITE"), "Replaces");
    let dialog = world.with(CAROL, |_, agent, _| agent.call_id(c1).map(str::to_owned));
    let start_of = "<sip:carol@10.0.0.3:5060?Replaces=";
    assert!(refer_to.starts_with(start_of), "{refer_to}");
    assert!(refer_to.contains("%3Bto-tag%3D") && refer_to.ends_with("&Require=replaces>"));
    assert!(replaces.contains(";to-tag=") && replaces.contains(";from-tag="));
    assert_eq!(header(world.last("INVITE"), "Require"), "replaces");
    assert!(dialog.is_none_or(|d| replaces.starts_with(&d)));
    let flow = flow(&world, start);
    in_order(
        &flow,
        &[
            "bob REFER",
            "alice 202 REFER",
            "alice NOTIFY",
            "alice INVITE",
            "carol 200 INVITE",
            "carol BYE",
            "bob 200 BYE",
        ],
    );
    in_order(
        &flow,
        &["alice ACK", "alice NOTIFY", "bob 200 NOTIFY", "bob BYE"],
    );
    assert_eq!((world.count("NOTIFY"), world.count("BYE")), (2, 2));
    let _ = (a1, a2);
    hang_up(&mut world, ALICE, a2);
    world.run(1000);
    for node in [ALICE, BOB, CAROL] {
        world.unread(node);
    }
    nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
}

fn dial_from(world: &mut World, node: usize, account: AccountId, target: &str) -> CallId {
    world
        .with(node, |now, agent, tx| {
            agent.call(now, tx, account, target, Some(b"offer".to_vec()), &[])
        })
        .unwrap()
}

#[test]
fn a_transfer_that_fails_leaves_the_call() {
    let (mut world, [alice, ..]) = three(3);
    let (a1, b1) = talk(&mut world, alice);
    let t = transfer(&mut world, BOB, b1, "sip:carol@10.0.0.3");
    let (a2, _) = do_transfer(&mut world, ALICE);
    accepted(&mut world, BOB, t);
    progress(&mut world, BOB, 100);
    let c = incoming(&mut world, CAROL);
    world
        .with(CAROL, |now, agent, tx| {
            agent.reject(now, tx, c, StatusCode(486), None)
        })
        .unwrap();
    match world.event(BOB) {
        Event::TransferFailed {
            transfer,
            cause: Cause::Refused { status, .. },
            ..
        } => assert_eq!((transfer, status), (t, StatusCode(486))),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        ended(&mut world, ALICE, a2),
        Cause::Refused {
            status: StatusCode(486),
            ..
        }
    ));
    // The call goes on, and can be transferred again: now the reports carry an id.
    let t = transfer(&mut world, BOB, b1, "sip:nobody@10.0.0.9");
    let cseq = loop {
        if world.count("REFER") == 2 {
            break header(world.last("REFER"), "CSeq");
        }
        world.run(1);
    };
    do_transfer(&mut world, ALICE);
    accepted(&mut world, BOB, t);
    progress(&mut world, BOB, 100);
    match world.event(BOB) {
        Event::TransferFailed {
            transfer,
            cause: Cause::Refused { status, .. },
            ..
        } => assert_eq!((transfer, status), (t, StatusCode(503))),
        other => panic!("{other:?}"),
    }
    let number = cseq.split(' ').next().unwrap();
    assert_eq!(
        header(world.last("NOTIFY"), "Event"),
        format!("refer;id={number}")
    );
    hang_up(&mut world, ALICE, a1);
    assert_eq!(ended(&mut world, BOB, b1), Cause::ByPeer { reason: None });
    world.unread(ALICE);
    world.unread(CAROL);
    world.run(1000);
    world.unread(ALICE);
    nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
}

#[test]
fn refused_and_undecided_transfers() {
    let (mut world, [alice, ..]) = three(4);
    let (_, b1) = talk(&mut world, alice);
    let t = transfer(&mut world, BOB, b1, "carol@10.0.0.3");
    let asked = match world.event(ALICE) {
        Event::TransferRequested {
            transfer,
            target,
            replaces,
            referred_by,
            ..
        } => {
            assert_eq!(target, "sip:carol@10.0.0.3");
            assert_eq!(
                (replaces, referred_by.as_str()),
                (false, "sip:bob@10.0.0.2")
            );
            transfer
        }
        other => panic!("{other:?}"),
    };
    world.with(ALICE, |now, agent, tx| {
        let odd = agent.refuse_transfer(now, tx, asked, StatusCode(200));
        assert_eq!(odd, Err(Misuse::Status));
        agent
            .refuse_transfer(now, tx, asked, StatusCode(603))
            .unwrap();
        let again = agent.refuse_transfer(now, tx, asked, StatusCode(603));
        assert_eq!(again, Err(Misuse::Gone));
    });
    match world.event(BOB) {
        Event::TransferFailed {
            transfer,
            cause: Cause::Refused { status, .. },
            ..
        } => assert_eq!((transfer, status), (t, StatusCode(603))),
        other => panic!("{other:?}"),
    }
    // Nobody decides: the request must not wait until it is lost.
    let t = transfer(&mut world, BOB, b1, "carol@10.0.0.3");
    let asked = match world.event(ALICE) {
        Event::TransferRequested { transfer, .. } => transfer,
        other => panic!("{other:?}"),
    };
    let before = world.now;
    match world.event(ALICE) {
        Event::TransferLapsed { transfer } => assert_eq!(transfer, asked),
        other => panic!("{other:?}"),
    }
    assert!((20_000..20_100).contains(&(world.now - before).as_millis()));
    assert!(matches!(world.event(BOB), Event::TransferFailed { transfer, .. } if transfer == t));
    assert_eq!(world.count("NOTIFY"), 0);
}

/// RFC 5359 §2.18: something that is no phone asks Bob to call Carol.
#[test]
fn click_to_dial() {
    let mut world = World::new(10);
    let (_, alice) = world.agent("10.0.0.1:5060", Account::new("sip:alice@10.0.0.1"));
    let mut account = Account::new("sip:bob@10.0.0.2");
    world.agent("10.0.0.2:5060", account.clone());
    account.refer_outside_calls = true;
    account.address_of_record = "sip:carol@10.0.0.3".to_owned();
    world.agent("10.0.0.3:5060", account);
    let ask = |world: &mut World, whom: &str| {
        world
            .with(ALICE, |now, agent, tx| {
                agent.refer(now, tx, alice, whom, "sip:bob@10.0.0.2")
            })
            .unwrap()
    };
    // Bob lets nobody do that.
    let t = ask(&mut world, "sip:bob@10.0.0.2");
    match world.event(ALICE) {
        Event::TransferFailed {
            transfer,
            call: None,
            cause: Cause::Refused { status, .. },
        } => assert_eq!((transfer, status), (t, StatusCode(403))),
        other => panic!("{other:?}"),
    }
    let start = world.log.len();
    let t = ask(&mut world, "sip:carol@10.0.0.3");
    let (c, _) = do_transfer(&mut world, CAROL);
    accepted(&mut world, ALICE, t);
    progress(&mut world, ALICE, 100);
    let b = incoming(&mut world, BOB);
    ring(&mut world, BOB, b);
    progress(&mut world, ALICE, 180);
    accept(&mut world, BOB, b);
    assert!(matches!(
        world.event(ALICE),
        Event::TransferDone { call: None, .. }
    ));
    world.run(100);
    in_order(
        &flow(&world, start),
        &[
            "alice REFER",
            "carol 202 REFER",
            "carol INVITE",
            "bob 180 INVITE",
            "bob 200 INVITE",
            "carol ACK",
        ],
    );
    hang_up(&mut world, CAROL, c);
    world.run(1000);
    for node in [ALICE, BOB, CAROL] {
        world.unread(node);
    }
    nothing_is_kept(&mut world, &[ALICE, BOB, CAROL]);
}
