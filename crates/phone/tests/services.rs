//! Hold, transfer, diversion and messages between phones on the loopback address, each driven by commands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use phone::control::{CallPhase, Outcome, Registration};
use phone::{CallNumber, Cause, Event};
use support::desk::{Desk, desk};

/// Both in a call; the numbers at the caller and at the callee.
fn talk(caller: &mut Desk, callee: &mut Desk) -> (CallNumber, CallNumber) {
    let out = caller.dial(callee);
    let call = callee.incoming();
    callee.run(&format!("answer {call}"));
    caller.until("answer", |e| {
        matches!(e, Event::Established { .. }).then_some(())
    });
    callee.until("answer", |e| {
        matches!(e, Event::Established { .. }).then_some(())
    });
    (out, call)
}

fn held(event: &Event) -> Option<(bool, bool)> {
    match event {
        Event::Held { by_us, by_peer, .. } => Some((*by_us, *by_peer)),
        _ => None,
    }
}

fn ended(event: &Event) -> Option<(CallNumber, Cause)> {
    match event {
        Event::Ended { call, cause, .. } => Some((*call, cause.clone())),
        _ => None,
    }
}

#[test]
fn hold_and_resume_from_both_sides() {
    let (mut alice, mut bob) = (desk("alice"), desk("bob"));
    let (out, call) = talk(&mut alice, &mut bob);
    alice.run("hold");
    assert_eq!(alice.until("hold", held), (true, false));
    assert_eq!(bob.until("hold", held), (false, true));
    assert!(alice.call(out).held_by_us && bob.call(call).held_by_peer);
    // Both at once.
    bob.run("hold");
    assert_eq!(bob.until("hold", held), (true, true));
    assert_eq!(alice.until("hold", held), (true, true));
    alice.run("resume");
    assert_eq!(alice.until("resume", held), (false, true));
    assert_eq!(bob.until("resume", held), (true, false));
    bob.run("resume");
    assert_eq!(bob.until("resume", held), (false, false));
    assert_eq!(alice.until("resume", held), (false, false));
    assert!(
        alice
            .refused("resume")
            .what
            .contains("no call that is on hold")
    );
}

#[test]
fn commands_in_a_row_wait_for_one_another() {
    let (mut alice, mut bob) = (desk("alice"), desk("bob"));
    let (out, _) = talk(&mut alice, &mut bob);
    let phone = alice.control.phone();
    phone.hold(out, true);
    phone.hold(out, false);
    phone.hold(out, true);
    for wanted in [true, false, true] {
        assert_eq!(alice.until("hold", held), (wanted, false));
        assert_eq!(bob.until("hold", held), (false, wanted));
    }
}

#[test]
fn codecs_are_changed_and_what_nobody_has_is_refused() {
    let (mut alice, mut bob) = (desk("alice"), desk("bob"));
    let (out, _) = talk(&mut alice, &mut bob);
    assert_eq!(alice.call(out).agreed.as_ref().unwrap().codec, "opus");
    alice.run(&format!("codec {out} pcma"));
    let changed = |event: &Event| match event {
        Event::MediaChanged { agreed, .. } => Some(agreed.codec),
        _ => None,
    };
    assert_eq!(alice.until("change", changed), "PCMA");
    assert_eq!(bob.until("change", changed), "PCMA");
    let refusal = alice.refused(&format!("codec {out} mp3"));
    assert!(refusal.advice.contains("pcmu"), "{refusal}");
}

#[test]
fn a_blind_transfer_in_all_three_roles() {
    let (mut alice, mut bob, mut carol) = (desk("alice"), desk("bob"), desk("carol"));
    let (out, call) = talk(&mut alice, &mut bob);
    alice.run(&format!("transfer {out} {}", carol.uri("carol")));
    let (target, attended) = bob.until("request", |event| match event {
        Event::TransferRequested {
            target, attended, ..
        } => Some((target.clone(), *attended)),
        _ => None,
    });
    assert!(target.contains("carol") && !attended, "{target}");
    // The peer was put on hold before it was asked.
    assert!(bob.call(call).held_by_peer);
    let Outcome::Call(new) = bob.run(&format!("accept-transfer {call}")) else {
        panic!("no new call");
    };
    let at_carol = carol.incoming();
    carol.run("answer");
    carol.until("answer", |e| {
        matches!(e, Event::Established { .. }).then_some(())
    });
    bob.until("answer", |e| {
        matches!(e, Event::Established { call, .. } if *call == new).then_some(())
    });
    let failure = alice.until("transfer", |event| match event {
        Event::Transferred { failure, .. } => Some(failure.clone()),
        _ => None,
    });
    assert_eq!(failure, None);
    assert_eq!(alice.until("end", ended).0, out);
    assert_eq!(bob.until("end", ended).0, call);
    assert_eq!(bob.call(new).phase, CallPhase::Established);
    assert_eq!(carol.call(at_carol).phase, CallPhase::Established);
}

#[test]
fn a_transfer_that_is_refused_leaves_the_call() {
    let (mut alice, mut bob) = (desk("alice"), desk("bob"));
    let (out, call) = talk(&mut alice, &mut bob);
    alice.run(&format!("transfer {out} nobody"));
    bob.until("request", |e| {
        matches!(e, Event::TransferRequested { .. }).then_some(())
    });
    bob.run(&format!("refuse-transfer {call}"));
    let failure = alice.until("refusal", |event| match event {
        Event::Transferred { failure, .. } => failure.clone(),
        _ => None,
    });
    assert!(matches!(failure, Cause::Refused { status, .. } if status.0 == 603));
    bob.until("refusal", |e| {
        matches!(e, Event::Transferred { .. }).then_some(())
    });
    assert_eq!(alice.call(out).phase, CallPhase::Established);
    assert!(
        bob.refused("accept-transfer 0")
            .what
            .contains("no transfer")
    );
}

#[test]
fn an_attended_transfer_connects_the_other_two() {
    let (mut alice, mut bob, mut carol) = (desk("alice"), desk("bob"), desk("carol"));
    let (to_bob, at_bob) = talk(&mut alice, &mut bob);
    let (to_carol, at_carol) = talk(&mut alice, &mut carol);
    alice.run(&format!("transfer {to_bob} to {to_carol}"));
    let attended = bob.until("request", |event| match event {
        Event::TransferRequested { attended, .. } => Some(*attended),
        _ => None,
    });
    assert!(attended);
    bob.run(&format!("accept-transfer {at_bob}"));
    // Carol's call with Alice gives way to the one with Bob, without anybody doing anything.
    let (old, new) = carol.until("replacement", |event| match event {
        Event::Replaced { call, by } => Some((*call, *by)),
        _ => None,
    });
    assert_eq!(old, at_carol);
    assert_eq!(carol.until("end", ended).0, at_carol);
    let mut gone = [alice.until("end", ended).0, alice.until("end", ended).0];
    gone.sort();
    assert_eq!(gone, [to_bob, to_carol]);
    assert_eq!(bob.until("end", ended).0, at_bob);
    assert_eq!(carol.call(new).phase, CallPhase::Established);
}

#[test]
fn rules_for_calls_that_come_in() {
    let (mut alice, mut bob, mut carol) = (desk("alice"), desk("bob"), desk("carol"));
    bob.run("dnd on");
    let call = alice.dial(&bob);
    bob.settle_incoming();
    let cause = alice.until("refusal", ended);
    assert!(matches!(cause, (n, Cause::Refused { status, .. }) if n == call && status.0 == 480));
    bob.run("dnd off");
    // All calls are sent on, and the caller follows.
    let there = carol.uri("carol");
    bob.run(&format!("divert always {there}"));
    alice.dial(&bob);
    bob.settle_incoming();
    let to = alice.until("redirection", |event| match event {
        Event::Redirected { target, .. } => Some(target.clone()),
        _ => None,
    });
    assert!(to.contains("carol"), "{to}");
    carol.incoming();
    carol.run("hangup");
    carol.until("end", ended);
    alice.until("end", ended);
    bob.run("divert always off");
    // The second call finds the phone busy.
    bob.run("waiting off");
    let (_, first) = talk(&mut alice, &mut bob);
    carol.dial(&bob);
    bob.settle_incoming();
    let cause = carol.until("refusal", ended).1;
    assert!(matches!(cause, Cause::Refused { status, .. } if status.0 == 486));
    assert_eq!(bob.call(first).phase, CallPhase::Established);
}

#[test]
fn calls_are_answered_or_sent_on_after_a_while() {
    let (mut alice, mut bob, mut carol) = (desk("alice"), desk("bob"), desk("carol"));
    bob.run("autoanswer on");
    alice.dial(&bob);
    bob.settle_incoming();
    alice.until("answer", |e| {
        matches!(e, Event::Established { .. }).then_some(())
    });
    alice.run("hangup");
    alice.until("end", ended);
    bob.until("end", ended);
    bob.run("autoanswer off");
    bob.run(&format!("divert no-answer {} 0.2", carol.uri("carol")));
    alice.dial(&bob);
    bob.incoming();
    let due = bob.control.next_deadline().unwrap();
    bob.control.on_time(due);
    bob.until("diversion", |e| {
        matches!(e, Event::Diverted { .. }).then_some(())
    });
    carol.incoming();
}

#[test]
fn messages_keys_and_info_inside_and_outside_calls() {
    let (mut alice, mut bob) = (desk("alice"), desk("bob"));
    let message = |event: &Event| match event {
        Event::Message { call, body, .. } => {
            Some((call.is_some(), String::from_utf8(body.clone()).unwrap()))
        }
        _ => None,
    };
    alice.run(&format!("message {} hello  bob", bob.uri("bob")));
    assert_eq!(
        bob.until("message", message),
        (false, "hello  bob".to_owned())
    );
    let status = alice.until("answer", |event| match event {
        Event::Sent { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(status, 200);
    let (out, _) = talk(&mut alice, &mut bob);
    alice.run(&format!("message #{out} two\\nlines"));
    assert_eq!(
        bob.until("message", message),
        (true, "two\nlines".to_owned())
    );
    alice.run(&format!("info {out} application/x-lamp on"));
    let info = bob.until("info", |event| match event {
        Event::Info {
            content_type, body, ..
        } => Some((content_type.clone(), body.clone())),
        _ => None,
    });
    assert_eq!(info, ("application/x-lamp".to_owned(), b"on".to_vec()));
    alice.run(&format!("dtmf {out} 1#9 info"));
    for wanted in ['1', '#', '9'] {
        let key = bob.until("key", |event| match event {
            Event::Dtmf { digit, by_info, .. } => Some((*digit, *by_info)),
            _ => None,
        });
        assert_eq!(key, (wanted, true));
    }
    alice.run(&format!("dtmf {out} 7"));
    let key = bob.until("key", |event| match event {
        Event::Dtmf { digit, by_info, .. } => Some((*digit, *by_info)),
        _ => None,
    });
    assert_eq!(key, ('7', false));
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut alice = desk("alice");
    for (line, what) in [
        ("answer", "no call that rings"),
        ("hangup", "no call that can be ended"),
        ("hold 7", "there is no call 7"),
        ("dtmf 7 1", "there is no call 7"),
        ("swap", "no call is on hold"),
        ("dial bob as mallory", "no account 'mallory'"),
        ("dial sip:", "TARGET"),
        ("register mallory", "no account"),
    ] {
        let refusal = alice.refused(line);
        assert!(refusal.what.contains(what), "{line}: {refusal}");
        assert!(!refusal.advice.is_empty(), "{line}: {refusal}");
    }
    assert_eq!(alice.run("sleep 2"), Outcome::Sleep(Duration::from_secs(2)));
    assert_eq!(
        alice.control.state().accounts[0].registration,
        Registration::None
    );
}
