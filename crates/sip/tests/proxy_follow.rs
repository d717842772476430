//! Following proxied calls: what the owner is told, and how it ends them.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sip::endpoint::Event;
use sip::proxy::{CallEvent, FollowedId, Party};
use testkit::{Arrival, Link, Message, Scene, policy};

const ONE: &str = "sip:bob@10.0.1.1";
const TWO: &str = "sip:bob@10.0.1.2";
const OFFER: &[u8] = b"v=0 offer";
const ANSWER: &[u8] = b"v=0 answer";

/// A scene whose proxy follows calls, and what its owner was told.
struct Followed {
    scene: Scene,
    told: Rc<RefCell<Vec<CallEvent>>>,
}

/// A call that stands.
struct Call {
    id: FollowedId,
    invite: Message,
    /// The INVITE as the phone got it.
    there: Arrival,
    ok: Message,
}

impl Followed {
    fn new(targets: &[(&str, u16)]) -> Followed {
        let told = Rc::new(RefCell::new(Vec::new()));
        let list = told.clone();
        let mut forward = policy::fork(targets, true);
        let mut scene = Scene::new(2, move |now, endpoint, event| match event {
            Event::Proxied(event) => list.borrow_mut().push(*event),
            event => forward(now, endpoint, event),
        });
        scene.world.with(scene.proxy, |_, e| e.follow_calls(true));
        Followed { scene, told }
    }

    /// What the owner was told since the last call, in short.
    fn told(&self) -> Vec<String> {
        let events = self.told.take();
        events.iter().map(short).collect()
    }

    fn calling(&mut self) -> (FollowedId, Message) {
        let invite = Scene::request("INVITE", "1").with_body("application/sdp", OFFER);
        self.scene.alice_sends(&invite);
        assert_eq!(self.scene.alice_codes(), [100]);
        let id = self.told.borrow().last().unwrap().call();
        (id, invite)
    }

    /// Alice calls, the first phone rings and answers, Alice acknowledges.
    fn established(&mut self) -> Call {
        let (id, invite) = self.calling();
        let there = self.scene.one(0);
        self.scene.answer(0, &there, 180, "b");
        let ok = self.answers(0, &there, "b", &[]);
        assert_eq!(
            self.told(),
            ["calling", "ringing 180", "answered 200 v=0 answer"]
        );
        let call = Call {
            id,
            invite,
            there,
            ok,
        };
        let ack = call.alices("ACK", 1);
        self.scene.alice_sends(&ack);
        assert_eq!(self.scene.methods(0), ["ACK"]);
        call
    }

    /// A phone answers with 200; yields what Alice got.
    fn answers(
        &mut self,
        phone: usize,
        request: &Arrival,
        tag: &str,
        more: &[(&str, &str)],
    ) -> Message {
        let contact = format!("<sip:bob@10.0.1.{}:5060>", phone + 1);
        let mut ok = request.message().reply(200, tag).with("Contact", &contact);
        for (name, value) in more {
            ok = ok.with(name, value);
        }
        let ok = ok.with_body("application/sdp", ANSWER);
        self.scene.phone_sends(phone, request, &ok);
        let got = self.scene.alice_got();
        got.last().unwrap().clone()
    }

    /// The one request that Alice got since the last call.
    fn at_alice(&mut self) -> Message {
        let mut got = self.scene.alice_got();
        assert_eq!(got.len(), 1, "{got:?}");
        got.remove(0)
    }

    fn end_call(&mut self, id: FollowedId) -> bool {
        let proxy = self.scene.proxy;
        let ended = self.scene.world.with(proxy, |_, e| e.end_call(id));
        let now = self.scene.world.now();
        self.scene.world.run_until(now);
        ended
    }

    fn followed(&mut self) -> (usize, usize) {
        let proxy = self.scene.proxy;
        self.scene.world.with(proxy, |_, e| e.followed())
    }

    /// Nothing is left when everything has ended.
    fn end(mut self) {
        self.scene.end();
        assert_eq!(self.followed(), (0, 0));
    }
}

impl Call {
    /// A request of Alice's inside the dialog.
    fn alices(&self, method: &str, number: u32) -> Message {
        let uri = self.ok.header("Contact").trim_matches(['<', '>']);
        let branch = format!("{method}{number}");
        let mut request = Message::request(method, uri, "UDP", testkit::scene::ALICE, &branch)
            .set("To", self.ok.header("To"))
            .set("Call-ID", self.invite.header("Call-ID"))
            .set("CSeq", &format!("{number} {method}"));
        for route in self.ok.values("Record-Route").iter().rev() {
            request = request.with("Route", route);
        }
        request
    }

    /// A request of Bob's inside the dialog.
    fn bobs(&self, method: &str, number: u32) -> Message {
        let invite = self.there.message();
        let uri = invite.header("Contact").trim_matches(['<', '>']);
        let branch = format!("bob{method}{number}");
        let mut request = Message::request(method, uri, "UDP", "10.0.1.1:5060", &branch)
            .set("From", self.ok.header("To"))
            .set("To", invite.header("From"))
            .set("Call-ID", invite.header("Call-ID"))
            .set("CSeq", &format!("{number} {method}"))
            .set("Contact", "<sip:bob@10.0.1.1:5060>");
        for route in invite.values("Record-Route") {
            request = request.with("Route", route);
        }
        request
    }
}

fn short(event: &CallEvent) -> String {
    match event {
        CallEvent::Calling { .. } => "calling".to_owned(),
        CallEvent::Ringing { status, .. } => format!("ringing {}", status.0),
        CallEvent::Answered { status, body, .. } => {
            format!("answered {} {}", status.0, String::from_utf8_lossy(body))
        }
        CallEvent::Described { body, .. } => {
            format!("described {}", String::from_utf8_lossy(body))
        }
        CallEvent::Refused {
            status, reason, by, ..
        } => format!("refused {} {reason} by {by:?}", status.0),
        CallEvent::Left { at, by, .. } => format!("left at {} by {by:?}", at.as_millis()),
    }
}

fn answer_bye(scene: &mut Scene, phone: usize) -> Message {
    let bye = scene.one(phone);
    scene.answer(phone, &bye, 200, "");
    bye.message()
}

fn alice_answers(scene: &mut Scene, request: &Message) {
    let ok = request.reply(200, "");
    scene.alice_sends(&ok);
}

#[test]
fn a_call_from_invite_to_bye() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let (id, invite) = f.calling();
    {
        let told = f.told.borrow();
        let CallEvent::Calling {
            invite: kept, flow, ..
        } = &told[0]
        else {
            panic!("{told:?}");
        };
        assert_eq!(kept.packet().call_id(), invite.header("Call-ID").as_bytes());
        assert_eq!(flow.remote.to_string(), testkit::scene::ALICE);
    }
    let there = f.scene.one(0);
    f.scene.answer(0, &there, 100, "");
    f.scene.answer(0, &there, 180, "b");
    f.scene.answer(0, &there, 183, "b");
    let ok = f.answers(0, &there, "b", &[]);
    {
        let told = f.told.borrow();
        let Some(CallEvent::Answered { flow, .. }) = told.last() else {
            panic!("{told:?}");
        };
        assert_eq!(flow.remote.to_string(), "10.0.1.1:5060");
    }
    assert_eq!(
        f.told(),
        ["calling", "ringing 180", "answered 200 v=0 answer"]
    );
    assert_eq!(f.followed(), (1, 0));
    let call = Call {
        id,
        invite,
        there,
        ok,
    };
    f.scene.alice_sends(&call.alices("ACK", 1));
    assert_eq!(f.scene.methods(0), ["ACK"]);
    f.scene.world.run_to(60_000);
    f.scene.alice_sends(&call.alices("BYE", 2));
    assert!(f.told().is_empty(), "the BYE has no answer yet");
    answer_bye(&mut f.scene, 0);
    assert_eq!(f.told(), ["left at 60000 by Some(Caller)"]);
    assert!(!f.end_call(id), "it is over");
    f.end();
}

#[test]
fn the_callee_hangs_up_and_a_challenged_bye_is_none() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    let bye = call.bobs("BYE", 1);
    f.scene.phone_sends(0, &call.there, &bye);
    let at_alice = f.at_alice();
    let refused = at_alice.reply(401, "");
    f.scene.alice_sends(&refused);
    assert!(
        f.told().is_empty(),
        "who is asked for credentials comes again"
    );
    f.scene.phone_sends(0, &call.there, &call.bobs("BYE", 2));
    let at_alice = f.at_alice();
    alice_answers(&mut f.scene, &at_alice);
    assert_eq!(f.told(), ["left at 0 by Some(Callee)"]);
    f.end();
}

#[test]
fn a_bye_that_nobody_answers_ends_the_call_too() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    f.scene.alice_sends(&call.alices("BYE", 2));
    f.scene.world.run_to(40_000);
    assert_eq!(f.told(), ["left at 0 by Some(Caller)"]);
    f.end();
}

#[test]
fn a_bye_of_another_dialog_is_none() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    let fork = call.alices("BYE", 2);
    let to = call.ok.header("To").replace("tag=b", "tag=c");
    f.scene.alice_sends(&fork.set("To", &to));
    answer_bye(&mut f.scene, 0);
    assert!(f.told().is_empty());
    f.scene.alice_sends(&call.alices("BYE", 3));
    answer_bye(&mut f.scene, 0);
    assert_eq!(f.told(), ["left at 0 by Some(Caller)"]);
    f.end();
}

#[test]
fn refused_and_cancelled_calls_say_by_whom() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let (_, invite) = f.calling();
    let there = f.scene.one(0);
    f.scene.answer(0, &there, 486, "b");
    assert_eq!(f.told(), ["calling", "refused 486 Scripted by Callee"]);
    let busy = f.at_alice();
    f.scene.alice_acks(&invite, &busy);
    f.end();

    let mut f = Followed::new(&[(ONE, 1000)]);
    let (_, invite) = f.calling();
    let there = f.scene.one(0);
    f.scene.answer(0, &there, 180, "b");
    f.scene.alice_sends(&invite.cancel());
    let cancel = f.scene.one(0);
    f.scene.answer(0, &cancel, 200, "");
    f.scene.answer(0, &there, 487, "b");
    assert_eq!(
        f.told(),
        ["calling", "ringing 180", "refused 487 Scripted by Caller"]
    );
    f.end();

    let mut f = Followed::new(&[(ONE, 1000)]);
    f.calling();
    f.scene.world.run_to(40_000);
    assert_eq!(
        f.told(),
        ["calling", "refused 408 Request Timeout by Server"]
    );
    f.end();
}

#[test]
fn nothing_is_told_where_nobody_wants_to_know() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let proxy = f.scene.proxy;
    f.scene.world.with(proxy, |_, e| e.follow_calls(false));
    f.scene.alice_sends(&Scene::request("INVITE", "1"));
    let there = f.scene.one(0);
    f.answers(0, &there, "b", &[]);
    assert!(f.told().is_empty());
    f.end();
}

#[test]
fn a_second_answer_and_a_repeated_one_are_not_told() {
    let mut f = Followed::new(&[(ONE, 1000), (TWO, 1000)]);
    let (_, invite) = f.calling();
    let (one, two) = (f.scene.one(0), f.scene.one(1));
    let ok = f.answers(0, &one, "b", &[]);
    f.answers(0, &one, "b", &[]);
    f.answers(1, &two, "c", &[]);
    assert_eq!(f.told(), ["calling", "answered 200 v=0 answer"]);
    let id = f.followed();
    assert_eq!(id, (1, 0));
    let call = Call {
        id: FollowedId::from_u64(0),
        invite,
        there: one,
        ok,
    };
    f.scene.alice_sends(&call.alices("BYE", 2));
    let bye = f.scene.got(0).pop().unwrap();
    f.scene.answer(0, &bye, 200, "");
    assert_eq!(f.told(), ["left at 0 by Some(Caller)"]);
    f.end();
}

#[test]
fn the_answer_to_a_late_offer_is_in_the_ack() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let invite = Scene::request("INVITE", "1");
    f.scene.alice_sends(&invite);
    f.scene.alice_codes();
    let there = f.scene.one(0);
    let ok = f.answers(0, &there, "b", &[]);
    let id = f.told.borrow()[0].call();
    let call = Call {
        id,
        invite,
        there,
        ok,
    };
    let ack = call.alices("ACK", 1).with_body("application/sdp", OFFER);
    f.scene.alice_sends(&ack);
    f.scene.alice_sends(&ack);
    assert_eq!(
        f.told(),
        ["calling", "answered 200 v=0 answer", "described v=0 offer"]
    );
    assert!(f.end_call(id));
}

#[test]
fn both_ends_get_a_bye_as_if_from_the_other() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    // Requests that passed count: the next number of either side is higher.
    f.scene.alice_sends(&call.alices("INFO", 7));
    let info = f.scene.one(0);
    f.scene.answer(0, &info, 200, "");
    f.scene.alice_got();
    f.scene.phone_sends(0, &call.there, &call.bobs("INFO", 41));
    let info = f.at_alice();
    alice_answers(&mut f.scene, &info);
    f.scene.got(0);

    assert!(f.end_call(call.id));
    assert_eq!(f.told(), ["left at 0 by Some(Server)"]);
    let at_bob = answer_bye(&mut f.scene, 0);
    let at_alice = f.at_alice();
    alice_answers(&mut f.scene, &at_alice);
    assert_eq!(
        (at_bob.method(), at_bob.uri()),
        ("BYE", "sip:bob@10.0.1.1:5060")
    );
    assert_eq!(at_bob.header("CSeq"), "8 BYE");
    assert_eq!(at_bob.header("From"), call.invite.header("From"));
    assert_eq!(at_bob.header("To"), call.ok.header("To"));
    assert_eq!(
        (at_alice.method(), at_alice.uri()),
        ("BYE", "sip:alice@10.0.0.1:5060")
    );
    assert_eq!(at_alice.header("CSeq"), "42 BYE");
    assert_eq!(at_alice.header("From"), call.ok.header("To"));
    assert_eq!(at_alice.header("To"), call.invite.header("From"));
    for bye in [&at_bob, &at_alice] {
        assert_eq!(bye.header("Call-ID"), call.invite.header("Call-ID"));
        assert!(bye.all("Route").is_empty() && bye.all("Via").len() == 1);
    }
    assert!(f.scene.alice_got().is_empty() && f.scene.got(0).is_empty());
    f.end();
}

#[test]
fn byes_are_repeated_until_they_arrive() {
    let mut lost = 0;
    for seed in 0..20 {
        let mut f = Followed::new(&[(ONE, 1000)]);
        let call = f.established();
        for _ in 0..seed {
            f.scene.world.random().bits();
        }
        let half = Link {
            loss: 500,
            ..Link::PERFECT
        };
        f.scene.world.set_links(half);
        for node in [f.scene.alice, f.scene.phones[0]] {
            f.scene.world.script(node, |arrival| {
                let message = arrival.message();
                let answer = (message.method() == "BYE" && message.is_request())
                    .then(|| (Duration::ZERO, message.reply(200, "").to_bytes().into()));
                answer.into_iter().collect()
            });
        }
        assert!(f.end_call(call.id));
        f.scene.world.run_for(Duration::from_secs(40));
        let got_bye = |messages: Vec<Message>| messages.iter().any(|m| m.method() == "BYE");
        let at_alice = got_bye(f.scene.alice_got());
        let at_bob = f.scene.methods(0).contains(&"BYE".to_owned());
        assert!(at_alice && at_bob, "seed {seed}");
        let sent = f.scene.world.sent_by(f.scene.proxy);
        let byes = sent
            .iter()
            .filter(|(_, m)| m.is_request() && m.method() == "BYE");
        lost += byes.count() - 2;
        f.end();
    }
    assert!(lost > 10, "nothing was lost: {lost}");
}

#[test]
fn a_dead_end_does_not_keep_the_other_from_its_bye() {
    for dead in ["alice", "bob"] {
        let mut f = Followed::new(&[(ONE, 1000)]);
        let call = f.established();
        let node = match dead {
            "alice" => f.scene.alice,
            _ => f.scene.phones[0],
        };
        f.scene.world.silence(node);
        assert!(f.end_call(call.id));
        match dead {
            "alice" => assert_eq!(answer_bye(&mut f.scene, 0).method(), "BYE"),
            _ => {
                let bye = f.at_alice();
                assert_eq!(bye.method(), "BYE");
                alice_answers(&mut f.scene, &bye);
            }
        }
        assert_eq!(f.told(), ["left at 0 by Some(Server)"]);
        assert_eq!(f.followed(), (0, 1), "one BYE is still on its way");
        f.end();
    }
}

#[test]
fn new_targets_get_the_bye() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    let moved = call
        .alices("INVITE", 2)
        .set("Contact", "<sip:alice@10.0.1.2:5060>");
    f.scene.alice_sends(&moved);
    let there = f.scene.one(0);
    f.scene.alice_got();
    f.answers(0, &there, "b", &[]);
    assert!(f.end_call(call.id));
    let at_new = f.scene.one(1).message();
    assert_eq!(at_new.uri(), "sip:alice@10.0.1.2:5060");
    assert_eq!(f.scene.one(0).message().header("CSeq"), "3 BYE");
}

#[test]
fn a_refused_move_moves_nobody() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    let moved = call
        .alices("INVITE", 2)
        .set("Contact", "<sip:alice@10.0.1.2:5060>");
    f.scene.alice_sends(&moved);
    let there = f.scene.one(0);
    f.scene.answer(0, &there, 488, "b");
    f.scene.alice_got();
    assert!(f.told().is_empty(), "the call goes on");
    assert!(f.end_call(call.id));
    assert_eq!(f.at_alice().uri(), "sip:alice@10.0.0.1:5060");
}

#[test]
fn a_call_that_rings_is_cancelled() {
    let mut f = Followed::new(&[(ONE, 1000), (TWO, 1000)]);
    let (id, invite) = f.calling();
    let invites = [f.scene.one(0), f.scene.one(1)];
    for (n, there) in invites.iter().enumerate() {
        f.scene.answer(n, there, 180, &format!("t{n}"));
    }
    f.scene.alice_got();
    f.told();
    assert!(f.end_call(id));
    for (n, there) in invites.iter().enumerate() {
        let cancel = f.scene.one(n);
        assert_eq!(cancel.message().method(), "CANCEL");
        f.scene.answer(n, &cancel, 200, "");
        f.scene.answer(n, there, 487, &format!("t{n}"));
    }
    let told = f.at_alice();
    assert_eq!(told.code(), 480);
    f.scene.alice_acks(&invite, &told);
    assert_eq!(f.told(), ["refused 480 Temporarily Unavailable by Server"]);
    f.end();
}

#[test]
fn an_answer_that_crosses_the_end_is_followed_by_bye() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let (id, _) = f.calling();
    let there = f.scene.one(0);
    f.scene.answer(0, &there, 180, "b");
    assert!(f.end_call(id));
    assert_eq!(f.scene.methods(0), ["CANCEL"]);
    f.answers(0, &there, "b", &[]);
    assert_eq!(
        f.told(),
        [
            "calling",
            "ringing 180",
            "answered 200 v=0 answer",
            "left at 0 by Some(Server)"
        ]
    );
    assert!(f.scene.methods(0).contains(&"BYE".to_owned()));
}

#[test]
fn ends_are_asked_whether_they_know_the_call() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let call = f.established();
    f.scene.world.run_to(299_000);
    assert!(f.scene.got(0).is_empty());
    f.scene.world.run_to(301_000);
    let asked = f.scene.got(0);
    let question = asked[0].message();
    assert_eq!(
        (question.method(), question.header("CSeq")),
        ("OPTIONS", "1 OPTIONS"),
        "its number uses none of Alice's up"
    );
    // Out of order, but of a call that it knows (§12.2.2).
    f.scene.answer(0, &asked[0], 500, "");
    let question = f.scene.alice_got().remove(0);
    assert_eq!(question.header("CSeq"), "0 OPTIONS");
    alice_answers(&mut f.scene, &question);
    assert!(f.told().is_empty());
    assert_eq!(f.followed(), (1, 0));
    f.scene.world.run_to(601_000);
    let asked = f.scene.got(0);
    f.scene.answer(0, &asked[0], 481, "");
    assert_eq!(f.told().len(), 1);
    assert_eq!(f.scene.one(0).message().method(), "BYE");
    let methods: Vec<String> = f
        .scene
        .alice_got()
        .iter()
        .map(|m| m.method().to_owned())
        .collect();
    assert!(methods.contains(&"BYE".to_owned()), "{methods:?}");
    let _ = call;
    f.end();
}

#[test]
fn an_end_that_is_dead_twice_is_left() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    f.established();
    f.scene.world.silence(f.scene.phones[0]);
    let alice = f.scene.alice;
    f.scene.world.script(alice, |arrival| {
        let message = arrival.message();
        let answer = message
            .is_request()
            .then(|| (Duration::ZERO, message.reply(200, "").to_bytes().into()));
        answer.into_iter().collect()
    });
    f.scene.world.run_to(400_000);
    assert!(f.told().is_empty(), "once may be an outage");
    f.scene.world.run_to(800_000);
    assert_eq!(f.told().len(), 1);
    let last = f.scene.alice_got().pop().unwrap();
    assert_eq!(last.method(), "BYE", "whoever is left need not wait");
    f.end();
}

#[test]
fn a_session_timer_says_when_to_ask() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let (id, invite) = f.calling();
    let there = f.scene.one(0);
    let timer = [("Session-Expires", "1800;refresher=uac")];
    let ok = f.answers(0, &there, "b", &timer);
    f.told();
    let call = Call {
        id,
        invite,
        there,
        ok,
    };
    f.scene.world.run_to(1_000_000);
    let refresh = call.alices("UPDATE", 2);
    f.scene.alice_sends(&refresh);
    let there = f.scene.one(0);
    f.answers(0, &there, "b", &timer);
    f.scene.world.run_to(2_831_000);
    assert!(f.scene.got(0).is_empty(), "it was refreshed");
    f.scene.world.run_to(2_900_000);
    assert!(f.scene.methods(0).contains(&"OPTIONS".to_owned()));
    assert!(f.end_call(id));
}

#[test]
fn a_proxy_in_between_gets_what_its_end_has_recorded() {
    let mut f = Followed::new(&[(ONE, 1000)]);
    let invite = Scene::request("INVITE", "1")
        .with("Record-Route", "<sip:10.0.1.2;lr>, <sip:far.example;lr>")
        .with("Via", "SIP/2.0/UDP 10.9.9.9;branch=z9hG4bKfar");
    f.scene.alice_sends(&invite);
    let there = f.scene.one(0);
    let mut ok = there
        .message()
        .reply(200, "b")
        .with("Contact", "<sip:bob@10.9.0.1>");
    let own = ok
        .all("Record-Route")
        .iter()
        .map(|r| (*r).to_owned())
        .collect::<Vec<_>>();
    ok = ok.set(
        "Record-Route",
        &format!(
            "<sip:near-bob.example;lr>, <sip:10.0.1.2:5060;lr>, {}",
            own.join(", ")
        ),
    );
    f.scene.phone_sends(0, &there, &ok);
    f.scene.alice_got();
    let id = f.told.borrow()[0].call();
    assert!(f.end_call(id));
    let byes: Vec<Message> = f.scene.got(1).iter().map(Arrival::message).collect();
    assert_eq!(byes.len(), 2, "both ways lead past the second phone");
    let to_alice = byes.iter().find(|b| b.uri().contains("alice")).unwrap();
    assert_eq!(
        to_alice.all("Route"),
        ["<sip:10.0.1.2;lr>", "<sip:far.example;lr>"]
    );
    let to_bob = byes.iter().find(|b| b.uri() == "sip:bob@10.9.0.1").unwrap();
    assert_eq!(
        to_bob.all("Route"),
        ["<sip:10.0.1.2:5060;lr>", "<sip:near-bob.example;lr>"]
    );
    assert_eq!(
        f.told().last().unwrap(),
        &format!("left at 0 by {:?}", Some(Party::Server))
    );
}
