//! CANCEL (RFC 3261 §9, §16.10) and what may cross it.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::rc::Rc;

use sip::endpoint::Event;
use sip::proxy::Forward;
use testkit::{Message, Scene, policy};

const ONE: &str = "sip:bob@10.0.1.1";
const TWO: &str = "sip:bob@10.0.1.2";

fn calling() -> (Scene, Message) {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    assert_eq!(scene.alice_codes(), [100]);
    (scene, invite)
}

#[test]
fn after_a_provisional_response_it_goes_on_at_once() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.answer(0, &ringing, 180, "b");
    scene.alice_got();
    scene.alice_sends(&invite.cancel());
    let ok = scene.alice_got();
    assert_eq!((ok[0].code(), ok[0].method()), (200, "CANCEL"));
    let cancel = scene.one(0);
    let (sent, original) = (cancel.message(), ringing.message());
    assert_eq!(sent.method(), "CANCEL");
    assert_eq!(
        sent.all("Via"),
        [original.header("Via")],
        "the branch of the INVITE and nothing below it"
    );
    for name in ["From", "To", "Call-ID"] {
        assert_eq!(sent.header(name), original.header(name));
    }
    assert_eq!(
        (sent.uri(), sent.header("CSeq")),
        (original.uri(), "1 CANCEL")
    );
    scene.answer(0, &cancel, 200, "");
    let gone = scene.answer(0, &ringing, 487, "b");
    assert_eq!(scene.methods(0), ["ACK"]);
    let finals = scene.alice_got();
    assert_eq!(finals.len(), 1);
    assert_eq!(
        (finals[0].code(), finals[0].header("To")),
        (487, gone.header("To"))
    );
    scene.alice_acks(&invite, &finals[0]);
    scene.end();
    assert!(scene.alice_codes().is_empty());
    assert!(scene.got(0).is_empty(), "the 200 stops the CANCEL");
}

#[test]
fn before_a_provisional_response_it_waits() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.alice_sends(&invite.cancel());
    assert_eq!(scene.alice_codes(), [200]);
    scene.world.run_to(600);
    assert_eq!(
        scene.methods(0),
        ["INVITE"],
        "the INVITE is repeated, no CANCEL leaves"
    );
    scene.answer(0, &ringing, 100, "");
    assert_eq!(scene.methods(0), ["CANCEL"]);
    scene.answer(0, &ringing, 487, "b");
    assert_eq!(scene.alice_codes(), [487]);
    scene.end();
}

#[test]
fn a_final_response_may_be_quicker() {
    for (code, told) in [(200, 200), (486, 486)] {
        let (mut scene, invite) = calling();
        let ringing = scene.one(0);
        scene.alice_sends(&invite.cancel());
        scene.alice_got();
        scene.answer(0, &ringing, code, "b");
        assert_eq!(scene.alice_codes(), [told]);
        scene.end();
        assert!(!scene.methods(0).contains(&"CANCEL".to_owned()));
    }
}

#[test]
fn a_2xx_that_crosses_it_goes_up() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.answer(0, &ringing, 180, "b");
    scene.alice_sends(&invite.cancel());
    scene.alice_got();
    scene.world.run_to(20_000);
    scene.answer(0, &ringing, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
}

#[test]
fn silence_after_it_ends_the_call() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.answer(0, &ringing, 180, "b");
    scene.world.run_to(5000);
    scene.alice_sends(&invite.cancel());
    scene.alice_got();
    scene.world.run_to(36_999);
    assert_eq!(scene.alice_codes(), []);
    scene.world.run_to(37_000);
    assert_eq!(scene.alice_codes(), [487]);
    scene.end();
    let (mut scene, invite) = calling();
    scene.world.run_to(1000);
    scene.alice_sends(&invite.cancel());
    scene.world.run_to(31_999);
    scene.alice_got();
    scene.world.run_to(32_000);
    assert_eq!(
        scene.alice_codes(),
        [487],
        "Timer B of a branch that never answered"
    );
    scene.end();
}

#[test]
fn all_branches_are_cancelled_and_none_is_begun() {
    let mut scene = Scene::new(
        3,
        policy::fork(&[(ONE, 1000), (TWO, 1000), ("sip:bob@10.0.1.3", 1)], false),
    );
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    let got = [scene.one(0), scene.one(1)];
    scene.answer(0, &got[0], 180, "a");
    scene.answer(1, &got[1], 183, "b");
    scene.alice_sends(&invite.cancel());
    for (n, invite) in got.iter().enumerate() {
        assert_eq!(scene.methods(n), ["CANCEL"]);
        scene.answer(n, invite, 487, "x");
    }
    assert_eq!(scene.alice_codes(), [100, 180, 183, 200, 487]);
    scene.end();
    assert!(scene.got(2).is_empty());
}

#[test]
fn a_repeated_cancel_is_answered_again_and_sent_once() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.answer(0, &ringing, 180, "b");
    scene.alice_got();
    for _ in 0..3 {
        scene.alice_sends(&invite.cancel());
    }
    assert_eq!(scene.alice_codes(), [200; 3]);
    assert_eq!(scene.methods(0), ["CANCEL"]);
    scene.answer(0, &ringing, 487, "b");
    scene.end();
}

#[test]
fn what_it_does_not_match_is_481() {
    let (mut scene, invite) = calling();
    scene.one(0);
    let other = invite
        .cancel()
        .set("Via", "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKother");
    scene.alice_sends(&other);
    assert_eq!(scene.alice_codes(), [481]);
    scene.end();
}

#[test]
fn it_does_nothing_after_the_final_response() {
    for code in [200, 486] {
        let (mut scene, invite) = calling();
        let ringing = scene.one(0);
        scene.answer(0, &ringing, code, "b");
        scene.alice_got();
        scene.methods(0);
        scene.alice_sends(&invite.cancel());
        assert_eq!(scene.alice_codes(), [200]);
        assert!(scene.got(0).is_empty());
        scene.end();
    }
}

#[test]
fn an_undecided_invite_is_487_and_never_forwarded() {
    let late = Rc::new(Cell::new(None));
    let kept = late.clone();
    let mut scene = Scene::new(1, move |_, _, event| {
        if let Event::Request(id) = event {
            kept.set(Some(id));
        }
    });
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    scene.alice_sends(&invite.cancel());
    assert_eq!(scene.alice_codes(), [200, 487]);
    let id = late.get().unwrap();
    scene.world.with(scene.proxy, |_, endpoint| {
        let targets = vec![Forward::to(ONE)];
        endpoint.forward(
            id,
            Forward {
                targets,
                record_route: false,
                spent: None,
            },
        );
    });
    scene.end();
    assert!(
        scene.got(0).is_empty(),
        "the owner's decision came too late"
    );
}

#[test]
fn a_lost_cancel_is_sent_again() {
    let (mut scene, invite) = calling();
    let ringing = scene.one(0);
    scene.answer(0, &ringing, 180, "b");
    let lossy = testkit::Link {
        loss: 1000,
        ..testkit::Link::PERFECT
    };
    let (proxy, phone) = (scene.proxy, scene.phones[0]);
    scene.world.set_link(proxy, phone, lossy);
    scene.alice_sends(&invite.cancel());
    scene.world.run_to(100);
    scene.world.set_link(proxy, phone, testkit::Link::PERFECT);
    assert!(scene.got(0).is_empty());
    scene.world.run_to(500);
    assert_eq!(scene.methods(0), ["CANCEL"]);
    scene.answer(0, &ringing, 487, "b");
    scene.end();
}
