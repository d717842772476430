//! Calls through the server: challenge, forwarding, dialogs, forking, CANCEL (RFC 3261 §16).

use server::Authentication;

use crate::message::{Message, Request, bare, unmarked, word};
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene, password};

fn open() -> Scene {
    Scene::with(|c| c.authentication = Authentication::NONE)
}

fn invite(caller: &Peer, from: &str, to: &str) -> Request {
    Request::new(
        "INVITE",
        &format!("sip:{to}@{DOMAIN}"),
        &format!("sip:{from}@{DOMAIN}"),
    )
    .header("Contact", &caller.contact(from))
    .header("X-Unknown", "kept ;as, it \"is\"")
    .body("application/sdp", "v=0\r\n")
}

/// A request of the callee in the dialog of an INVITE that it got and answered.
fn from_callee(method: &str, invite: &Message, answer: &Message) -> Request {
    let mut request = Request::new(method, bare(invite.value("Contact")), "");
    request.from = answer.value("To").into();
    request.to = invite.value("From").into();
    request.call = invite.value("Call-ID").into();
    for route in invite.all("Record-Route") {
        request = request.header("Route", route);
    }
    request
}

#[test]
fn a_call_is_challenged_put_through_and_ended() {
    let scene = Scene::new();
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call = invite(&alice, "alice", "bob");
    let challenge = alice.exchange(&call);
    assert_eq!(challenge.status(), 407);
    let realms = challenge.all("Proxy-Authenticate");
    assert_eq!(realms.len(), 2, "{challenge:?}");
    assert!(
        realms
            .iter()
            .all(|c| c.contains(&format!("realm=\"{DOMAIN}\""))),
        "{realms:?}"
    );
    let call = alice.answered(&call, &challenge, "alice", &password("alice"));
    alice.send(&call);
    assert_eq!(alice.receive().status(), 100);
    let got = bob.expect_request("INVITE");
    assert_eq!(got.uri(), format!("sip:bob@{}", bob.local()));
    assert_eq!(got.value("Max-Forwards"), "69");
    let vias = got.all("Via");
    assert_eq!(vias.len(), 2, "{got:?}");
    assert!(
        vias[0].contains(&scene.udp().to_string()) && vias[0].contains(";branch=z9hG4bK"),
        "{vias:?}"
    );
    assert!(
        vias[1].contains(&format!(";branch={}", call.branch)),
        "{vias:?}"
    );
    assert!(
        vias[1].contains(&format!("rport={}", alice.local().port())),
        "{vias:?}"
    );
    assert_eq!(unmarked(&got), [format!("<sip:{};lr>", scene.udp())]);
    assert_eq!(got.value("From"), call.from);
    assert_eq!(got.value("To"), call.to);
    assert_eq!(got.value("Call-ID"), call.call);
    assert_eq!(got.value("X-Unknown"), "kept ;as, it \"is\"");
    // The credentials were for this server alone (§22.3).
    assert!(got.all("Proxy-Authorization").is_empty(), "{got:?}");
    assert_eq!(got.body, b"v=0\r\n");

    bob.respond(&got.reply(180, "b", &[]));
    let ringing = alice.receive();
    assert_eq!(
        (ringing.status(), ringing.via_count()),
        (180, 1),
        "{ringing:?}"
    );
    let contact = bob.contact("bob");
    let answer = got.reply(200, "b", &[("Contact", &contact)]);
    bob.respond(&answer);
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    let ack = bob.expect_request("ACK");
    assert_eq!(ack.uri(), format!("sip:bob@{}", bob.local()));
    assert!(!ack.has("Route"), "{ack:?}");
    assert_eq!((ack.value("Max-Forwards"), ack.via_count()), ("69", 2));

    // A re-INVITE of the callee, then BYE of the caller: neither is challenged, both keep to the route.
    let mut again = from_callee("INVITE", &got, &answer);
    again = again.header("Contact", &contact);
    bob.send(&again);
    let reached = alice.expect_request("INVITE");
    assert_eq!(reached.uri(), format!("sip:alice@{}", alice.local()));
    alice.respond(&reached.reply(488, "", &[]));
    assert_eq!(alice.expect_request("ACK").value("Call-ID"), call.call);
    let refused = bob.expect(488);
    bob.send(&again.ack(&refused));
    alice.send(&call.within("BYE", &ok));
    let bye = bob.expect_request("BYE");
    bob.respond(&bye.reply(200, "", &[]));
    assert_eq!(
        alice.expect(200).value("CSeq"),
        format!("{} BYE", call.cseq + 1)
    );
}

#[test]
fn the_callee_ends_the_call() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call = invite(&alice, "alice", "bob");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    let contact = bob.contact("bob");
    let answer = got.reply(200, "b", &[("Contact", &contact)]);
    bob.respond(&answer);
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    bob.expect_request("ACK");
    bob.send(&from_callee("BYE", &got, &answer));
    let bye = alice.expect_request("BYE");
    assert_eq!(bye.uri(), format!("sip:alice@{}", alice.local()));
    alice.respond(&bye.reply(200, "", &[]));
    bob.expect(200);
}

#[test]
fn unknown_away_and_nobody() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    for (user, status) in [("bob", 480), ("nobody", 404), ("bo%62", 480), ("BOB", 404)] {
        let call = invite(&peer, "alice", user);
        let (_, response) = peer.exchange_as(&call, "alice", &password("alice"));
        assert_eq!(response.status(), status, "{user}");
        assert!(response.value("To").contains(";tag="));
    }
    // Without credentials nobody learns who exists.
    for user in ["bob", "nobody"] {
        let call = invite(&peer, "alice", user);
        assert_eq!(peer.exchange(&call).status(), 407);
    }
}

#[test]
fn contacts_of_one_q_ring_together() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut phones = [Peer::udp(scene.udp()), Peer::udp(scene.udp())];
    for phone in &mut phones {
        phone.register("bob", DOMAIN);
    }
    let call = invite(&alice, "alice", "bob");
    alice.send(&call);
    let [one, two] = &mut phones;
    let (first, second) = (one.expect_request("INVITE"), two.expect_request("INVITE"));
    assert_ne!(
        first.value("Via"),
        second.value("Via"),
        "each branch has its own"
    );
    one.respond(&first.reply(180, "one", &[]));
    two.respond(&second.reply(180, "two", &[]));
    let mut ringing = [alice.expect(180), alice.expect(180)].map(|m| m.value("To").to_owned());
    ringing.sort();
    assert!(
        ringing[0].ends_with("one") && ringing[1].ends_with("two"),
        "{ringing:?}"
    );
    let contact = two.contact("bob");
    two.respond(&second.reply(200, "two", &[("Contact", &contact)]));
    let ok = alice.expect(200);
    let cancel = one.expect_request("CANCEL");
    assert_eq!(cancel.value("Via"), first.value("Via"));
    assert_eq!((cancel.via_count(), cancel.uri()), (1, first.uri()));
    one.respond(&cancel.reply(200, "one", &[]));
    one.respond(&first.reply(487, "one", &[]));
    assert_eq!(one.expect_request("ACK").value("Via"), first.value("Via"));
    alice.send(&call.ack(&ok));
    two.expect_request("ACK");
    alice.heard_nothing();
}

#[test]
fn contacts_of_lower_q_ring_later() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut phones = [
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
        Peer::udp(scene.udp()),
    ];
    for (phone, q) in phones.iter_mut().zip(["0.3", "0.9", "0.6"]) {
        let contact = format!("{};q={q}", phone.contact("bob"));
        phone.register_contact("bob", DOMAIN, &contact);
    }
    let call = invite(&alice, "alice", "bob");
    alice.send(&call);
    let [last, first, middle] = &mut phones;
    let got = first.expect_request("INVITE");
    middle.heard_nothing();
    last.heard_nothing();
    first.respond(&got.reply(486, "a", &[]));
    first.expect_request("ACK");
    let got = middle.expect_request("INVITE");
    last.heard_nothing();
    middle.respond(&got.reply(404, "b", &[]));
    middle.expect_request("ACK");
    let got = last.expect_request("INVITE");
    let contact = last.contact("bob");
    last.respond(&got.reply(200, "c", &[("Contact", &contact)]));
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    last.expect_request("ACK");
}

#[test]
fn the_best_refusal_comes_back_once() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut phones = [Peer::udp(scene.udp()), Peer::udp(scene.udp())];
    for phone in &mut phones {
        phone.register("bob", DOMAIN);
    }
    let [one, two] = &mut phones;
    for (codes, best) in [([503, 486], 486), ([480, 603], 603), ([500, 404], 404)] {
        let call = invite(&alice, "alice", "bob");
        alice.send(&call);
        let (first, second) = (one.expect_request("INVITE"), two.expect_request("INVITE"));
        one.respond(&first.reply(codes[0], "one", &[]));
        one.expect_request("ACK");
        two.respond(&second.reply(codes[1], "two", &[]));
        two.expect_request("ACK");
        let response = alice.expect(best);
        assert_eq!(response.via_count(), 1);
        alice.send(&call.ack(&response));
        alice.heard_nothing();
    }
}

#[test]
fn a_caller_gives_up() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call = invite(&alice, "alice", "bob");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(180, "b", &[]));
    alice.expect(180);
    alice.send(&call.cancel());
    assert_eq!(
        alice.expect(200).value("CSeq"),
        format!("{} CANCEL", call.cseq)
    );
    let cancel = bob.expect_request("CANCEL");
    assert_eq!(cancel.value("Via"), got.value("Via"));
    bob.respond(&cancel.reply(200, "b", &[]));
    bob.respond(&got.reply(487, "b", &[]));
    bob.expect_request("ACK");
    let ended = alice.expect(487);
    alice.send(&call.ack(&ended));
    // The same CANCEL for a call that there never was.
    let mut stray = call.cancel();
    stray.branch = format!("z9hG4bK{}", word());
    assert_eq!(alice.exchange(&stray).status(), 481);
}

#[test]
fn a_call_to_oneself_and_a_loop() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    // The contact is the address of record itself: the request comes back to where it started.
    alice.register_contact("loop", DOMAIN, &format!("<sip:loop@{}>", scene.udp()));
    let call = invite(&alice, "alice", "loop");
    let response = alice.exchange(&call);
    assert_eq!(response.status(), 482, "{response:?}");
}

#[test]
fn a_callee_that_cannot_be_reached() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let gone = Peer::udp(scene.udp()).contact("bob");
    alice.register_contact("bob", DOMAIN, &gone);
    let call = invite(&alice, "alice", "bob");
    let response = alice.exchange(&call);
    assert!(
        matches!(response.status(), 500 | 503 | 480 | 408),
        "{response:?}"
    );
    // With another phone that answers nobody notices.
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call = invite(&alice, "alice", "bob");
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    let contact = bob.contact("bob");
    bob.respond(&got.reply(200, "b", &[("Contact", &contact)]));
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    bob.expect_request("ACK");
}

#[test]
fn a_strict_router_behind_us_and_a_route_beyond() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut next = Peer::udp_at("127.0.0.2", scene.udp());
    // Our own address and our domain as Route are popped; what is left is obeyed.
    let target = format!("<sip:{};lr>", next.local());
    for own in [
        format!("<sip:{};lr>", scene.udp()),
        format!("<sip:{DOMAIN};lr>"),
    ] {
        let request = Request::new(
            "MESSAGE",
            "sip:x@elsewhere.test",
            &format!("sip:alice@{DOMAIN}"),
        )
        .header("Route", &own)
        .header("Route", &target);
        alice.send(&request);
        let got = next.expect_request("MESSAGE");
        assert_eq!(got.all("Route"), [target.as_str()]);
        assert_eq!(got.uri(), "sip:x@elsewhere.test");
        next.respond(&got.reply(200, "n", &[]));
        alice.expect(200);
    }
    let strict = format!("<sip:{}>", next.local());
    let request = Request::new(
        "MESSAGE",
        "sip:x@elsewhere.test",
        &format!("sip:alice@{DOMAIN}"),
    )
    .header("Route", &strict);
    alice.send(&request);
    let got = next.expect_request("MESSAGE");
    assert_eq!(got.uri(), bare(&strict));
    assert_eq!(got.all("Route"), ["<sip:x@elsewhere.test>"]);
    next.respond(&got.reply(200, "n", &[]));
    alice.expect(200);
}
