//! Calls placed for somebody else.

use core::time::Duration;

use sip::ua::{AccountId, CallId, Cause, Event, Misuse, Placing};

use crate::calls::{ALICE, BOB, ended, incoming, nothing_is_kept, two};
use crate::world::{World, header};

fn placing(account: AccountId) -> Placing {
    Placing {
        account,
        from: "\"Carol\" <sip:carol@elsewhere.example>".into(),
        to: "sip:sales@example.org".into(),
        target: "sip:bob@10.0.0.2".into(),
        routes: Vec::new(),
        flow: None,
        user: "carol".into(),
        max_forwards: 9,
        ring_for: None,
        offer: Some(b"offer".to_vec()),
        headers: vec![("Subject".into(), "a call".into())],
    }
}

fn place(world: &mut World, placing: Placing) -> Result<CallId, Misuse> {
    world.with(ALICE, |now, agent, tx| agent.place_for(now, tx, placing))
}

#[test]
fn the_callee_hears_of_the_one_it_is_for() {
    let (mut world, account) = two(1);
    let ours = place(&mut world, placing(account)).unwrap();
    let Event::Incoming {
        call,
        from,
        to_uri,
        request,
        ..
    } = world.event(BOB)
    else {
        panic!("no call");
    };
    assert_eq!(from, "\"Carol\" <sip:carol@elsewhere.example>");
    assert_eq!(to_uri, "sip:sales@example.org");
    let text = String::from_utf8(request.bytes().to_vec()).unwrap();
    assert!(
        text.starts_with("INVITE sip:bob@10.0.0.2 SIP/2.0\r\n"),
        "{text}"
    );
    assert_eq!(header(&text, "Max-Forwards"), "9");
    assert_eq!(header(&text, "Subject"), "a call");
    assert!(
        header(&text, "Contact").contains("sip:carol@10.0.0.1"),
        "{text}"
    );
    world
        .with(ALICE, |now, agent, tx| agent.hang_up(now, tx, ours))
        .unwrap();
    assert_eq!(ended(&mut world, BOB, call), Cause::Cancelled);
    ended(&mut world, ALICE, ours);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn it_rings_as_long_as_it_is_to() {
    let (mut world, account) = two(2);
    let limited = Placing {
        ring_for: Some(Duration::from_secs(5)),
        ..placing(account)
    };
    let ours = place(&mut world, limited).unwrap();
    let theirs = incoming(&mut world, BOB);
    world.run(4_900);
    assert!(
        !world
            .unread(ALICE)
            .iter()
            .any(|e| matches!(e, Event::RangOut { .. })),
        "too early"
    );
    world.run(200);
    let told = world.unread(ALICE);
    assert!(
        told.iter()
            .any(|e| matches!(e, Event::RangOut { call } if *call == ours)),
        "{told:?}"
    );
    assert_eq!(ended(&mut world, BOB, theirs), Cause::Cancelled);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn what_cannot_stand_in_a_message_is_refused() {
    let (mut world, account) = two(3);
    let bad = [
        Placing {
            target: "nobody".into(),
            ..placing(account)
        },
        Placing {
            from: "<sip:a@b>\r\nX: y".into(),
            ..placing(account)
        },
        Placing {
            headers: vec![("Via".into(), "x".into())],
            ..placing(account)
        },
        Placing {
            routes: vec!["no uri".into()],
            ..placing(account)
        },
    ];
    for placing in bad {
        assert!(place(&mut world, placing).is_err());
    }
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}
