//! Calls that the server stands in: trunks, forwards, hunting groups, transfers.

use server::directory::{
    Action, CallerId, CallerIdMode, Forwards, Group, Match, Profile, Rewrite, Rule, Strategy,
    Trunk, TrunkMode,
};
use server::{Authentication, TrunkState};

use crate::message::{Message, Request, bare};
use crate::peer::{PATIENCE, Peer};
use crate::scene::{DOMAIN, Scene, password};

/// A gateway; its address is its own, as on a host of its own.
fn gateway(scene: &Scene) -> Peer {
    Peer::udp_at("127.0.0.2", scene.udp())
}

/// A trunk to a gateway that is not watched: nothing but calls reaches it.
fn trunk_to(peer: &Peer, name: &str) -> Trunk {
    Trunk {
        name: name.into(),
        host: peer.local().ip().to_string(),
        port: Some(peer.local().port()),
        check_every: 0,
        ..Trunk::default()
    }
}

/// All numbers that begin with a zero leave through these trunks.
fn leave_through(scene: &Scene, trunks: &[&Trunk]) {
    let rule = Rule {
        name: "outside".into(),
        enabled: true,
        matches: Match {
            number: "0.".into(),
            ..Match::default()
        },
        rewrite: Rewrite {
            country: "KR".into(),
            ..Rewrite::default()
        },
        action: Action::Trunks {
            trunks: trunks.iter().map(|t| t.id.clone()).collect(),
            mode: TrunkMode::InOrder,
        },
        ..Rule::default()
    };
    scene.server().directory().put_rule(rule).unwrap();
}

fn invite(caller: &Peer, from: &str, to: &str, offer: &str) -> Request {
    let request = Request::new(
        "INVITE",
        &format!("sip:{to}@{DOMAIN}"),
        &format!("sip:{from}@{DOMAIN}"),
    )
    .header("Contact", &caller.contact(from));
    if offer.is_empty() {
        return request;
    }
    request.body("application/sdp", offer)
}

/// Sends an INVITE and answers its challenge.
fn dial(caller: &mut Peer, from: &str, to: &str, offer: &str) -> Request {
    let call = invite(caller, from, to, offer);
    let challenge = caller.exchange(&call);
    assert_eq!(challenge.status(), 407, "{challenge:?}");
    let call = caller.answered(&call, &challenge, from, &password(from));
    caller.send(&call);
    call
}

/// A response with a session description.
fn with_body(mut response: Message, body: &str) -> Message {
    response.headers.retain(|(n, _)| n != "Content-Length");
    response
        .headers
        .push(("Content-Type".into(), "application/sdp".into()));
    response
        .headers
        .push(("Content-Length".into(), body.len().to_string()));
    response.body = body.as_bytes().to_vec();
    response
}

fn accept(peer: &mut Peer, invite: &Message, tag: &str, body: &str) -> Message {
    let contact = peer.contact(tag);
    let answer = with_body(invite.reply(200, tag, &[("Contact", &contact)]), body);
    peer.respond(&answer);
    answer
}

/// A request of the callee in its dialog.
fn from_callee(method: &str, invite: &Message, answer: &Message, cseq: u32) -> Request {
    let mut request = Request::new(method, bare(invite.value("Contact")), "");
    request.from = answer.value("To").into();
    request.to = invite.value("From").into();
    request.call = invite.value("Call-ID").into();
    request.cseq = cseq;
    request
}

/// BYE of the caller, answered by the callee with 200.
fn hang_up(caller: &mut Peer, call: &Request, ok: &Message, callee: &mut Peer) {
    caller.send(&call.within("BYE", ok));
    let bye = callee.expect_request("BYE");
    callee.respond(&bye.reply(200, "", &[]));
    assert!(caller.expect(200).value("CSeq").ends_with("BYE"));
}

#[test]
fn a_call_leaves_through_a_trunk_that_asks_for_credentials() {
    let scene = Scene::new();
    let mut alice = Peer::udp(scene.udp());
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    let trunk = directory
        .put_trunk(Trunk {
            username: "customer".into(),
            password: "the trunk's secret".into(),
            domain: "provider.test".into(),
            caller_id: CallerId {
                mode: CallerIdMode::Fixed,
                number: "+8225550100".into(),
            },
            ..trunk_to(&far, "provider")
        })
        .unwrap();
    leave_through(&scene, &[&trunk]);

    let call = dial(&mut alice, "alice", "0255501234", "offer of alice");
    let first = far.expect_request("INVITE");
    assert_eq!(first.uri(), "sip:+82255501234@provider.test");
    assert_eq!(first.via_count(), 1, "the dialog ends here: {first:?}");
    assert!(first.all("Proxy-Authorization").is_empty());
    assert_ne!(first.value("Call-ID"), call.call);
    assert_eq!(first.value("Max-Forwards"), "69");
    let asserted = "<sip:+8225550100@provider.test>";
    assert_eq!(first.value("P-Asserted-Identity"), asserted);
    assert!(first.value("From").starts_with(asserted), "{first:?}");
    assert!(bare(first.value("Contact")).starts_with("sip:customer@127.0.0.1:"));
    let challenge = "Digest realm=\"provider.test\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    far.respond(&first.reply(407, "g", &[("Proxy-Authenticate", challenge)]));
    far.expect_request("ACK");
    let second = far.expect_request("INVITE");
    let proof = second.value("Proxy-Authorization");
    assert!(proof.contains("username=\"customer\""), "{proof}");
    assert!(!format!("{second:?}").contains("the trunk's secret"));
    assert_eq!(second.body, b"offer of alice");

    let early = with_body(second.reply(183, "g", &[]), "early");
    far.respond(&early);
    let progress = alice.receive();
    let progress = if progress.status() == 100 {
        alice.receive()
    } else {
        progress
    };
    assert_eq!(
        (progress.status(), &progress.body[..]),
        (183, &b"early"[..])
    );
    let answer = accept(&mut far, &second, "g", "answer");
    let ok = alice.expect(200);
    assert_eq!(ok.body, b"answer");
    far.expect_request("ACK");
    alice.send(&call.ack(&ok));
    assert_eq!(scene.server().trunk_status(&trunk).calls, 1);
    let key = call
        .within("INFO", &ok)
        .body("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    alice.send(&key);
    let pressed = far.expect_request("INFO");
    assert!(pressed.body.starts_with(b"Signal=5\r\n"), "{pressed:?}");
    far.respond(&pressed.reply(200, "", &[]));
    alice.expect(200);

    // The gateway wants another session, and then hangs up.
    let mut again = from_callee("INVITE", &second, &answer, 1);
    again = again.header("Contact", &far.contact("g"));
    far.send(&again.clone().body("application/sdp", "hold"));
    let reached = alice.expect_request("INVITE");
    assert_eq!(reached.body, b"hold");
    alice.respond(&with_body(
        reached.reply(200, "", &[("Contact", &alice.contact("alice"))]),
        "held",
    ));
    let held = far.expect(200);
    assert_eq!(held.body, b"held");
    far.send(&again.within("ACK", &held));
    alice.expect_request("ACK");
    let bye = from_callee("BYE", &second, &answer, 2).header("Reason", "Q.850;cause=16");
    far.send(&bye);
    far.expect(200);
    let bye = alice.expect_request("BYE");
    assert_eq!(bye.value("Reason"), "Q.850;cause=16");
    alice.respond(&bye.reply(200, "", &[]));
    far.heard_nothing();
    assert_eq!(scene.server().trunk_status(&trunk).calls, 0);
}

#[test]
fn another_trunk_takes_over_and_a_busy_callee_is_no_failure() {
    let scene = Scene::new();
    let mut alice = Peer::udp(scene.udp());
    let (mut one, mut two) = (gateway(&scene), gateway(&scene));
    let directory = scene.server().directory();
    let first = directory.put_trunk(trunk_to(&one, "one")).unwrap();
    let second = directory.put_trunk(trunk_to(&two, "two")).unwrap();
    leave_through(&scene, &[&first, &second]);

    let call = dial(&mut alice, "alice", "0255501234", "offer");
    let got = one.expect_request("INVITE");
    one.respond(&got.reply(500, "g", &[]));
    one.expect_request("ACK");
    let got = two.expect_request("INVITE");
    two.respond(&got.reply(486, "g", &[]));
    two.expect_request("ACK");
    let busy = alice.expect(486);
    alice.send(&call.ack(&busy));

    let call = dial(&mut alice, "alice", "0255501234", "offer");
    let got = one.expect_request("INVITE");
    one.respond(&got.reply(486, "g", &[]));
    one.expect_request("ACK");
    let busy = alice.expect(486);
    alice.send(&call.ack(&busy));
    two.heard_nothing();
}

#[test]
fn calls_come_in_through_a_trunk() {
    let scene = Scene::new();
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let mut far = gateway(&scene);
    let mut stranger = gateway(&scene);
    let directory = scene.server().directory();
    directory.put_trunk(trunk_to(&far, "provider")).unwrap();
    let profile = Profile {
        aliases: vec!["+8225550100".into()],
        ..Profile::default()
    };
    let address = format!("bob@{DOMAIN}");
    directory.put_profile(&address, profile).unwrap();

    let to = format!("sip:025550100@{}", scene.udp());
    let call = Request::new("INVITE", &to, "sip:0311234567@provider.test")
        .header("Contact", &far.contact("g"))
        .body("application/sdp", "offer");
    far.send(&call);
    let got = bob.expect_request("INVITE");
    assert_eq!(got.uri(), format!("sip:bob@{}", bob.local()));
    assert!(
        got.value("From")
            .starts_with("<sip:0311234567@provider.test>")
    );
    accept(&mut bob, &got, "bob", "answer");
    let ok = far.expect(200);
    far.send(&call.ack(&ok));
    bob.expect_request("ACK");
    hang_up(&mut far, &call, &ok, &mut bob);

    // Nobody else reaches the world outside, and nobody there calls through two trunks.
    let mut other = call.next();
    other.call = crate::message::word();
    other.uri = format!("sip:0101234567@{}", scene.udp());
    other.to = format!("<{}>", other.uri);
    assert_eq!(far.exchange(&other).status(), 404);
    other.call = crate::message::word();
    assert_eq!(stranger.exchange(&other.next()).status(), 404);
}

#[test]
fn a_call_that_nobody_answers_goes_on() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut alice, mut bob, mut carol) = (
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
    );
    bob.register("bob", DOMAIN);
    carol.register("carol", DOMAIN);
    let profile = Profile {
        forwards: Forwards {
            no_answer: "carol".into(),
            no_answer_after: 1,
            busy: "carol".into(),
            ..Forwards::default()
        },
        ..Profile::default()
    };
    let address = format!("bob@{DOMAIN}");
    let directory = scene.server().directory();
    directory.put_profile(&address, profile).unwrap();

    let call = invite(&alice, "alice", "bob", "offer");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(180, "b", &[]));
    assert_eq!(alice.expect(180).body, b"");
    let cancel = bob.expect_request("CANCEL");
    bob.respond(&cancel.reply(200, "b", &[]));
    bob.respond(&got.reply(487, "b", &[]));
    bob.expect_request("ACK");
    let got = carol.expect_request("INVITE");
    accept(&mut carol, &got, "carol", "answer");
    let ok = alice.expect(200);
    assert_eq!(ok.body, b"answer");
    alice.send(&call.ack(&ok));
    carol.expect_request("ACK");
    hang_up(&mut alice, &call, &ok, &mut carol);

    let call = invite(&alice, "alice", "bob", "offer");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(486, "b", &[]));
    bob.expect_request("ACK");
    let got = carol.expect_request("INVITE");
    carol.respond(&got.reply(180, "c", &[]));
    alice.expect(180);
    // The caller gives up.
    alice.send(&call.cancel());
    let cancel = carol.expect_request("CANCEL");
    carol.respond(&cancel.reply(200, "c", &[]));
    carol.respond(&got.reply(487, "c", &[]));
    carol.expect_request("ACK");
    assert!(alice.expect(200).value("CSeq").ends_with("CANCEL"));
    let gone = alice.expect(487);
    alice.send(&call.ack(&gone));
}

#[test]
fn a_phone_that_sends_its_callers_on_is_obeyed() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut alice, mut bob, mut carol) = (
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
    );
    bob.register("bob", DOMAIN);
    carol.register("carol", DOMAIN);
    let directory = scene.server().directory();
    let group = Group {
        name: "Sales".into(),
        number: "600".into(),
        members: vec!["bob".into()],
        ..Group::default()
    };
    directory.put_group(group).unwrap();
    let call = invite(&alice, "alice", "600", "offer");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    let target = format!("<sip:carol@{DOMAIN}>");
    bob.respond(&got.reply(302, "b", &[("Contact", &target)]));
    bob.expect_request("ACK");
    let got = carol.expect_request("INVITE");
    carol.respond(&got.reply(603, "c", &[]));
    carol.expect_request("ACK");
    let declined = alice.expect(603);
    alice.send(&call.ack(&declined));
}

#[test]
fn a_group_rings_all_and_the_first_gets_the_call() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut alice, mut bob, mut carol) = (
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
    );
    bob.register("bob", DOMAIN);
    carol.register("carol", DOMAIN);
    let directory = scene.server().directory();
    let mut group = Group {
        name: "Sales".into(),
        number: "600".into(),
        members: vec!["bob".into(), "carol".into()],
        ..Group::default()
    };
    group = directory.put_group(group).unwrap();

    let call = invite(&alice, "alice", "600", "offer");
    alice.send(&call);
    let at_bob = bob.expect_request("INVITE");
    let at_carol = carol.expect_request("INVITE");
    bob.respond(&at_bob.reply(180, "b", &[]));
    carol.respond(&at_carol.reply(180, "c", &[]));
    accept(&mut carol, &at_carol, "carol", "answer");
    carol.expect_request("ACK");
    let cancel = bob.expect_request("CANCEL");
    assert!(cancel.value("Reason").contains("cause=200"), "{cancel:?}");
    bob.respond(&cancel.reply(200, "b", &[]));
    bob.respond(&at_bob.reply(487, "b", &[]));
    bob.expect_request("ACK");
    assert_eq!(alice.expect(180).body, b"");
    let ok = alice.receive();
    assert_eq!(ok.status(), 200, "one 180 is enough: {ok:?}");
    alice.send(&call.ack(&ok));
    hang_up(&mut alice, &call, &ok, &mut carol);

    // Carol has talked: Bob has been idle longer.
    group.strategy = Strategy::LongestIdle;
    directory.put_group(group).unwrap();
    let call = invite(&alice, "alice", "600", "offer");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(486, "b", &[]));
    bob.expect_request("ACK");
    let got = carol.expect_request("INVITE");
    carol.respond(&got.reply(486, "c", &[]));
    carol.expect_request("ACK");
    let busy = alice.expect(486);
    alice.send(&call.ack(&busy));
}

#[test]
fn an_invite_without_an_offer_gets_one_from_the_callee() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let mut alice = Peer::udp(scene.udp());
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    let trunk = directory.put_trunk(trunk_to(&far, "provider")).unwrap();
    leave_through(&scene, &[&trunk]);
    let call = invite(&alice, "alice", "0255501234", "");
    alice.send(&call);
    let got = far.expect_request("INVITE");
    assert!(got.body.is_empty());
    accept(&mut far, &got, "g", "offer of the gateway");
    let ok = alice.expect(200);
    assert_eq!(ok.body, b"offer of the gateway");
    alice.send(&call.ack(&ok).body("application/sdp", "answer of alice"));
    let ack = far.expect_request("ACK");
    assert_eq!(ack.body, b"answer of alice");
    hang_up(&mut alice, &call, &ok, &mut far);
}

#[test]
fn a_caller_from_outside_is_transferred_without_knowing_it() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut bob, mut carol) = (Peer::udp(scene.udp()), Peer::udp(scene.udp()));
    bob.register("bob", DOMAIN);
    carol.register("carol", DOMAIN);
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    directory.put_trunk(trunk_to(&far, "provider")).unwrap();
    let to = format!("sip:bob@{}", scene.udp());
    let call = Request::new("INVITE", &to, "sip:0311234567@provider.test")
        .header("Contact", &far.contact("g"))
        .body("application/sdp", "offer");
    far.send(&call);
    let got = bob.expect_request("INVITE");
    let answer = accept(&mut bob, &got, "bob", "bob's answer");
    let ok = far.expect(200);
    far.send(&call.ack(&ok));
    bob.expect_request("ACK");

    let refer = from_callee("REFER", &got, &answer, 1)
        .header("Contact", &bob.contact("bob"))
        .header("Refer-To", &format!("<sip:carol@{DOMAIN}>"));
    bob.send(&refer);
    bob.expect(202);
    let notify = bob.expect_request("NOTIFY");
    assert!(notify.body.starts_with(b"SIP/2.0 100"), "{notify:?}");
    bob.respond(&notify.reply(200, "", &[]));
    let at_carol = carol.expect_request("INVITE");
    assert_eq!(at_carol.body, b"offer");
    assert!(
        at_carol
            .value("From")
            .starts_with("<sip:0311234567@provider.test>")
    );
    let carols = accept(&mut carol, &at_carol, "carol", "carol's answer");
    carol.expect_request("ACK");
    // The report waits for the answer to the one before; the BYE does not.
    let (mut told, mut ended) = (false, false);
    while !told || !ended {
        let request = bob.receive();
        told |= request.method() == "NOTIFY" && request.body.starts_with(b"SIP/2.0 200");
        ended |= request.method() == "BYE";
        bob.respond(&request.reply(200, "", &[]));
    }
    let again = far.expect_request("INVITE");
    assert_eq!(again.body, b"carol's answer");
    far.respond(&with_body(
        again.reply(200, "", &[("Contact", &far.contact("g"))]),
        "offer",
    ));
    far.expect_request("ACK");
    carol.send(&from_callee("BYE", &at_carol, &carols, 1));
    carol.expect(200);
    let bye = far.expect_request("BYE");
    far.respond(&bye.reply(200, "", &[]));
    assert!(ok.status() == 200);
}

/// A call that stands: the INVITE as it was sent, its 200, the INVITE as it came, and the answer.
fn talk(caller: &mut Peer, far: &mut Peer, number: &str, session: &str) -> [Message; 3] {
    let call = invite(caller, "alice", number, "offer");
    caller.send(&call);
    let got = far.expect_request("INVITE");
    let answer = accept(far, &got, "g", session);
    let ok = caller.expect(200);
    caller.send(&call.ack(&ok));
    far.expect_request("ACK");
    [ok, got, answer]
}

/// A request of the caller in the dialog that a 200 made.
fn from_caller(method: &str, ok: &Message) -> Request {
    let mut request = Request::new(method, bare(ok.value("Contact")), "");
    request.from = ok.value("From").into();
    request.to = ok.value("To").into();
    request.call = ok.value("Call-ID").into();
    request.cseq = 10;
    request
}

/// What a Refer-To says about a dialog that the caller is in.
fn replaces(ok: &Message) -> String {
    let tag = |value: &str| value.rsplit_once(";tag=").unwrap().1.to_owned();
    format!(
        "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
        ok.value("Call-ID"),
        tag(ok.value("To")),
        tag(ok.value("From")),
    )
}

/// Answers what comes until both calls of the one who transfers have ended.
fn is_released(peer: &mut Peer, byes: usize) {
    let (mut ended, mut accepted, mut told) = (0, false, false);
    while ended < byes || !accepted || !told {
        let message = peer.receive();
        if message.is_request() {
            ended += usize::from(message.method() == "BYE");
            told |= message.body.starts_with(b"SIP/2.0 200");
            peer.respond(&message.reply(200, "", &[]));
        } else {
            accepted |= message.status() == 202;
        }
    }
}

#[test]
fn two_calls_become_one() {
    let scene = Scene::with(|c| {
        c.authentication = Authentication::NONE;
        c.workers = 4;
    });
    let (mut one, mut two) = (gateway(&scene), gateway(&scene));
    let directory = scene.server().directory();
    let first = directory.put_trunk(trunk_to(&one, "one")).unwrap();
    let second = directory.put_trunk(trunk_to(&two, "two")).unwrap();
    // The two calls are in the same shard or not: both happen.
    for _ in 0..6 {
        let mut alice = Peer::udp(scene.udp());
        leave_through(&scene, &[&first]);
        let [ok, at_one, from_one] = talk(&mut alice, &mut one, "0255501234", "session of one");
        let rule = directory.snapshot().rules[0].rule.id.clone();
        directory.remove_rule(&rule).unwrap();
        leave_through(&scene, &[&second]);
        let [ok_two, ..] = talk(&mut alice, &mut two, "0255504321", "session of two");
        let rule = directory.snapshot().rules[0].rule.id.clone();
        directory.remove_rule(&rule).unwrap();

        let target = format!("<sip:0255504321@{DOMAIN}?Replaces={}>", replaces(&ok_two));
        let refer = from_caller("REFER", &ok)
            .header("Contact", &alice.contact("alice"))
            .header("Refer-To", &target);
        alice.send(&refer);
        is_released(&mut alice, 2);
        let met = one.expect_request("INVITE");
        assert_eq!(met.body, b"session of two");
        let contact = one.contact("g");
        one.respond(&with_body(
            met.reply(200, "", &[("Contact", &contact)]),
            "one for two",
        ));
        one.expect_request("ACK");
        let met = two.expect_request("INVITE");
        assert_eq!(met.body, b"one for two");
        let contact = two.contact("g");
        two.respond(&with_body(
            met.reply(200, "", &[("Contact", &contact)]),
            "two again",
        ));
        two.expect_request("ACK");
        one.send(&from_callee("BYE", &at_one, &from_one, 1));
        one.expect(200);
        let bye = two.expect_request("BYE");
        two.respond(&bye.reply(200, "", &[]));
    }
}

#[test]
fn a_caller_is_handed_to_a_phone_that_was_asked_before() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut alice, mut bob) = (Peer::udp(scene.udp()), Peer::udp(scene.udp()));
    bob.register("bob", DOMAIN);
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    let trunk = directory.put_trunk(trunk_to(&far, "provider")).unwrap();
    leave_through(&scene, &[&trunk]);
    let [ok, at_far, from_far] = talk(&mut alice, &mut far, "0255501234", "session of far");
    // Alice asks Bob; that call is proxied.
    let [with_bob, ..] = talk(&mut alice, &mut bob, "bob", "session of bob");
    let target = format!(
        "<{}?Replaces={}&Require=replaces>",
        bare(with_bob.value("Contact")),
        replaces(&with_bob)
    );
    let refer = from_caller("REFER", &ok)
        .header("Contact", &alice.contact("alice"))
        .header("Refer-To", &target);
    alice.send(&refer);
    let instead = bob.expect_request("INVITE");
    assert_eq!(instead.value("Require"), "replaces");
    assert!(
        instead
            .value("Replaces")
            .starts_with(with_bob.value("Call-ID"))
    );
    assert_eq!(instead.body, b"session of far");
    accept(&mut bob, &instead, "bob2", "bob for far");
    bob.expect_request("ACK");
    is_released(&mut alice, 1);
    let met = far.expect_request("INVITE");
    assert_eq!(met.body, b"bob for far");
    let contact = far.contact("g");
    far.respond(&with_body(
        met.reply(200, "", &[("Contact", &contact)]),
        "session of far",
    ));
    far.expect_request("ACK");
    far.send(&from_callee("BYE", &at_far, &from_far, 1));
    far.expect(200);
    let bye = bob.expect_request("BYE");
    bob.respond(&bye.reply(200, "", &[]));
}

#[test]
fn a_phone_takes_the_place_of_another_in_a_call_from_outside() {
    let scene = Scene::new();
    let (mut alice, mut bob) = (Peer::udp(scene.udp()), Peer::udp(scene.udp()));
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    let trunk = directory.put_trunk(trunk_to(&far, "provider")).unwrap();
    leave_through(&scene, &[&trunk]);
    let call = dial(&mut alice, "alice", "0255501234", "offer");
    let got = far.expect_request("INVITE");
    let answer = accept(&mut far, &got, "g", "session of far");
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    far.expect_request("ACK");

    let named = replaces(&ok).replace("%3B", ";").replace("%3D", "=");
    let instead = invite(&bob, "bob", "0255501234", "offer of bob").header("Replaces", &named);
    let challenge = bob.exchange(&instead);
    assert_eq!(
        challenge.status(),
        407,
        "who knows a dialog is not known by that"
    );
    let instead = bob.answered(&instead, &challenge, "bob", &password("bob"));
    bob.send(&instead);
    let met = far.expect_request("INVITE");
    assert_eq!(met.body, b"offer of bob");
    let contact = far.contact("g");
    far.respond(&with_body(
        met.reply(200, "", &[("Contact", &contact)]),
        "far for bob",
    ));
    far.expect_request("ACK");
    let answered = bob.expect(200);
    assert_eq!(answered.body, b"far for bob");
    bob.send(&instead.ack(&answered));
    let bye = alice.expect_request("BYE");
    alice.respond(&bye.reply(200, "", &[]));
    far.send(&from_callee("BYE", &got, &answer, 1));
    far.expect(200);
    let bye = bob.expect_request("BYE");
    bob.respond(&bye.reply(200, "", &[]));
}

/// A description of one stream of G.711 at this address.
fn session_at(address: std::net::SocketAddr) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
        ip = address.ip(),
        port = address.port()
    )
}

/// Where a description wants its sound.
fn wants_sound_at(session: &[u8]) -> std::net::SocketAddr {
    let text = String::from_utf8_lossy(session);
    let after = |prefix: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(prefix)).unwrap();
        line.split(' ').next().unwrap().to_owned()
    };
    format!("{}:{}", after("c=IN IP4 "), after("m=audio "))
        .parse()
        .unwrap()
}

/// A packet of sound from one socket, sent through the server, as another one gets it.
fn sound_arrives(
    from: &std::net::UdpSocket,
    through: std::net::SocketAddr,
    at: &std::net::UdpSocket,
    word: u8,
) {
    at.set_read_timeout(Some(std::time::Duration::from_millis(50)))
        .unwrap();
    let mut packet = [0u8; 172];
    packet[..12].copy_from_slice(&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, word]);
    let start = std::time::Instant::now();
    let mut buffer = [0; 500];
    loop {
        packet[3] = packet[3].wrapping_add(1);
        from.send_to(&packet, through).unwrap();
        match at.recv_from(&mut buffer) {
            Ok((172, _)) if buffer[11] == word => return,
            _ => assert!(start.elapsed() < PATIENCE, "no sound"),
        }
    }
}

#[test]
fn the_sound_passes_through_the_server_where_it_has_to() {
    let scene = Scene::with(|c| c.authentication = Authentication::NONE);
    let (mut alice, mut bob, mut carol) = (
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
    );
    bob.register("bob", DOMAIN);
    carol.register("carol", DOMAIN);
    let directory = scene.server().directory();
    let settings = server::directory::Settings {
        relay: server::directory::RelayMode::Always,
        ..directory.snapshot().settings.clone()
    };
    directory.put_settings(settings).unwrap();
    let socket = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (at_alice, at_bob, at_carol) = (socket(), socket(), socket());
    let session = |s: &std::net::UdpSocket| session_at(s.local_addr().unwrap());

    let call = invite(&alice, "alice", "bob", &session(&at_alice));
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    let to_alice = wants_sound_at(&got.body);
    assert_ne!(to_alice, at_alice.local_addr().unwrap());
    let answer = accept(&mut bob, &got, "bob", &session(&at_bob));
    let ok = alice.expect(200);
    let to_bob = wants_sound_at(&ok.body);
    assert_ne!(to_bob, at_bob.local_addr().unwrap());
    alice.send(&call.ack(&ok));
    bob.expect_request("ACK");
    sound_arrives(&at_alice, to_bob, &at_bob, 1);
    sound_arrives(&at_bob, to_alice, &at_alice, 2);

    // After a transfer it passes between those who talk then.
    let refer = from_callee("REFER", &got, &answer, 1)
        .header("Contact", &bob.contact("bob"))
        .header("Refer-To", &format!("<sip:carol@{DOMAIN}>"));
    bob.send(&refer);
    let at = carol.expect_request("INVITE");
    let to_alice = wants_sound_at(&at.body);
    accept(&mut carol, &at, "carol", &session(&at_carol));
    carol.expect_request("ACK");
    is_released(&mut bob, 1);
    let again = alice.expect_request("INVITE");
    let to_carol = wants_sound_at(&again.body);
    let contact = alice.contact("alice");
    alice.respond(&with_body(
        again.reply(200, "", &[("Contact", &contact)]),
        &session(&at_alice),
    ));
    alice.expect_request("ACK");
    sound_arrives(&at_alice, to_carol, &at_carol, 3);
    sound_arrives(&at_carol, to_alice, &at_alice, 4);
    let mut bye = call.within("BYE", &ok);
    bye.cseq += 5;
    alice.send(&bye);
    let bye = carol.expect_request("BYE");
    carol.respond(&bye.reply(200, "", &[]));
    alice.expect(200);
}

#[test]
fn trunks_are_registered_with_and_asked() {
    let scene = Scene::new();
    let mut far = gateway(&scene);
    let directory = scene.server().directory();
    let trunk = directory
        .put_trunk(Trunk {
            register: true,
            username: "customer".into(),
            password: "the trunk's secret".into(),
            check_every: 5,
            ..trunk_to(&far, "provider")
        })
        .unwrap();
    let mut registered = false;
    let mut asked = false;
    while !registered || !asked {
        let request = far.receive();
        match request.method() {
            "REGISTER" if !request.has("Authorization") => {
                let challenge = "Digest realm=\"provider.test\", nonce=\"n1\", algorithm=MD5";
                far.respond(&request.reply(401, "g", &[("WWW-Authenticate", challenge)]));
            }
            "REGISTER" => {
                assert!(
                    request
                        .value("Authorization")
                        .contains("username=\"customer\"")
                );
                let contact = format!("{};expires=600", request.value("Contact"));
                far.respond(&request.reply(200, "g", &[("Contact", &contact)]));
                registered = true;
            }
            "OPTIONS" => {
                far.respond(&request.reply(200, "g", &[]));
                asked = true;
            }
            other => panic!("{other}"),
        }
    }
    let start = std::time::Instant::now();
    loop {
        let status = scene.server().trunk_status(&trunk);
        if status.state == TrunkState::Registered && status.round_trip.is_some() {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{status:?}");
        std::thread::yield_now();
    }
    // It is taken back when the trunk is no more.
    directory.remove_trunk(&trunk.id).unwrap();
    loop {
        let request = far.receive();
        if request.method() == "REGISTER" {
            assert!(
                request.value("Contact").contains("expires=0") || request.value("Expires") == "0"
            );
            far.respond(&request.reply(200, "g", &[]));
            break;
        }
    }
}
