//! REGISTER: bindings and their rules (RFC 3261 §10.3), Path (RFC 3327), durability.

use server::Authentication;

use crate::message::{Message, Request, bare, word};
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene, password};

fn open() -> Scene {
    Scene::with(|c| c.authentication = Authentication::NONE)
}

/// A REGISTER of `user` without contacts.
fn register(user: &str) -> Request {
    let mut request = Request::new(
        "REGISTER",
        &format!("sip:{DOMAIN}"),
        &format!("sip:{user}@{DOMAIN}"),
    );
    request.to = format!("<sip:{user}@{DOMAIN}>");
    request
}

fn contacts_of(peer: &mut Peer, user: &str) -> Vec<String> {
    let response = peer.exchange(&register(user));
    assert_eq!(response.status(), 200, "{response:?}");
    response.contacts()
}

/// The Contact value of this URI in a response.
fn contact<'m>(response: &'m Message, uri: &str) -> &'m str {
    let all = response.all("Contact");
    all.into_iter()
        .find(|c| bare(c) == uri)
        .unwrap_or_else(|| panic!("no {uri} in {response:?}"))
}

fn expires(value: &str) -> u32 {
    let (_, rest) = value.split_once(";expires=").unwrap();
    rest.split(';').next().unwrap().parse().unwrap()
}

#[test]
fn many_contacts_with_q_and_times_of_their_own() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let request = register("dora")
        .header(
            "Contact",
            "<sip:dora@127.0.0.1:7001>;q=0.5, <sip:dora@127.0.0.1:7002>;expires=120",
        )
        .header(
            "m",
            "\"At home\" <sip:dora@127.0.0.1:7003;x=1>;q=0.25;audio",
        )
        .header("Expires", "600");
    let response = peer.exchange(&request);
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.contacts(),
        [
            "sip:dora@127.0.0.1:7001",
            "sip:dora@127.0.0.1:7002",
            "sip:dora@127.0.0.1:7003;x=1"
        ]
    );
    let first = contact(&response, "sip:dora@127.0.0.1:7001");
    assert!(first.contains(";q=0.5"), "{first}");
    assert!((590..=600).contains(&expires(first)), "{first}");
    let second = contact(&response, "sip:dora@127.0.0.1:7002");
    assert!((110..=120).contains(&expires(second)), "{second}");
    let third = contact(&response, "sip:dora@127.0.0.1:7003;x=1");
    assert!(
        third.contains(";q=0.25") && third.contains(";audio"),
        "{third}"
    );
    let date = response.value("Date");
    assert!(date.ends_with(" GMT") && date.contains(", "), "{date}");
    assert!(response.value("To").contains(";tag="));

    // A refresh of one leaves the others; a query changes nothing and may come again under the same Call-ID.
    let again = request
        .next()
        .without("m")
        .without("Contact")
        .without("Expires");
    let refreshed = peer.exchange(&again.clone().header("Contact", "<sip:dora@127.0.0.1:7001>"));
    assert_eq!(refreshed.contacts().len(), 3);
    assert!(expires(contact(&refreshed, "sip:dora@127.0.0.1:7001")) > 3500);
    assert_eq!(contacts_of(&mut peer, "dora").len(), 3);
    assert_eq!(scene.server().snapshot().bindings, 3);
    assert_eq!(scene.server().snapshot().users, 1);

    let removal = again
        .next()
        .header("Contact", "<sip:dora@127.0.0.1:7002>;expires=0");
    assert_eq!(peer.exchange(&removal).contacts().len(), 2);
    // The default domain is also meant by our address.
    let mut by_address = register("dora");
    by_address.uri = format!("sip:{}", peer.server());
    by_address.to = format!("<sip:dora@{}>", peer.server());
    assert_eq!(peer.exchange(&by_address).contacts().len(), 2);
}

#[test]
fn times_too_short_are_refused_and_too_long_are_cut() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let request = register("dora").header("Contact", "<sip:dora@127.0.0.1:7001>;expires=59");
    let response = peer.exchange(&request);
    assert_eq!(response.status(), 423, "{response:?}");
    assert_eq!(response.value("Min-Expires"), "60");
    assert!(contacts_of(&mut peer, "dora").is_empty());
    let long = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7001>")
        .header("Expires", "99999999");
    let response = peer.exchange(&long);
    let granted = expires(contact(&response, "sip:dora@127.0.0.1:7001"));
    assert!((7190..=7200).contains(&granted), "{granted}");
}

#[test]
fn the_wildcard_removes_everything_and_stands_alone() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let first = register("dora").header(
        "Contact",
        "<sip:dora@127.0.0.1:7001>, <sip:dora@127.0.0.1:7002>",
    );
    assert_eq!(peer.exchange(&first).contacts().len(), 2);
    for bad in [
        register("dora").header("Contact", "*"),
        register("dora")
            .header("Contact", "*")
            .header("Expires", "60"),
        register("dora")
            .header("Contact", "*")
            .header("Contact", "<sip:x@127.0.0.1>")
            .header("Expires", "0"),
    ] {
        let response = peer.exchange(&bad);
        assert_eq!(response.status(), 400, "{bad:?} {response:?}");
    }
    assert_eq!(contacts_of(&mut peer, "dora").len(), 2);
    let star = register("dora")
        .header("Contact", "*")
        .header("Expires", "0");
    let response = peer.exchange(&star);
    assert_eq!((response.status(), response.contacts().len()), (200, 0));
    assert!(contacts_of(&mut peer, "dora").is_empty());
    assert_eq!(scene.server().snapshot().bindings, 0);
}

#[test]
fn an_overtaken_register_is_refused_and_changes_nothing() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let mut request = register("dora").header("Contact", "<sip:dora@127.0.0.1:7001>");
    request.cseq = 10;
    assert_eq!(peer.exchange(&request).status(), 200);
    for cseq in [10, 9] {
        let mut late = request
            .next()
            .without("Contact")
            .header("Contact", "<sip:dora@127.0.0.1:7001>;expires=0");
        late.cseq = cseq;
        assert_eq!(peer.exchange(&late).status(), 500, "CSeq {cseq}");
    }
    assert_eq!(contacts_of(&mut peer, "dora"), ["sip:dora@127.0.0.1:7001"]);
    // Another Call-ID is another phone, which may.
    let other = register("dora").header("Contact", "<sip:dora@127.0.0.1:7001>;expires=0");
    assert!(peer.exchange(&other).contacts().is_empty());
}

#[test]
fn a_repeated_register_gets_the_same_answer() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let request = register("dora").header("Contact", "<sip:dora@127.0.0.1:7001>");
    let text = peer.text(&request);
    let first = peer.exchange(&request);
    assert_eq!(first.status(), 200);
    peer.send_bytes(text.as_bytes());
    // The peer drops what it has seen before, so only another answer would be heard.
    peer.heard_nothing();
}

#[test]
fn the_path_of_this_registration_comes_back_and_is_used() {
    let scene = open();
    let mut phone = Peer::udp(scene.udp());
    let mut edge = Peer::udp(scene.udp());
    let path = |n: u16| format!("<sip:127.0.0.1:{n};lr>");
    let one = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7001>")
        .header("Supported", "path")
        .header("Path", &path(7101));
    let response = phone.exchange(&one);
    assert_eq!(response.all("Path"), [path(7101)], "{response:?}");
    let two = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7002>")
        .header("Path", &path(7102))
        .header("Path", &path(7103));
    assert_eq!(phone.exchange(&two).all("Path"), [path(7102), path(7103)]);
    let refresh = one.next();
    assert_eq!(
        phone.exchange(&refresh).all("Path"),
        [path(7101)],
        "the Path of the other contact"
    );
    assert!(
        phone.exchange(&register("dora")).all("Path").is_empty(),
        "a query has no Path"
    );

    // A call goes to the Path first, and tells it where next.
    let star = register("dora")
        .header("Contact", "*")
        .header("Expires", "0");
    assert_eq!(phone.exchange(&star).status(), 200);
    let here = format!("<sip:{};lr>", edge.local());
    let with_path = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7001>")
        .header("Path", &format!("{here}, {}", path(7103)));
    assert_eq!(phone.exchange(&with_path).status(), 200);
    phone.send(&Request::new(
        "MESSAGE",
        &format!("sip:dora@{DOMAIN}"),
        "sip:x@elsewhere.test",
    ));
    let passed = edge.expect_request("MESSAGE");
    assert_eq!(passed.uri(), "sip:dora@127.0.0.1:7001");
    assert_eq!(passed.all("Route"), [here.as_str(), &path(7103)]);
    edge.respond(&passed.reply(200, "t", &[]));
    phone.expect(200);
}

#[test]
fn an_unknown_extension_is_named() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let request = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7001>")
        .header("Require", "path")
        .header("Require", "nothing-sane, path , other");
    let response = peer.exchange(&request);
    assert_eq!(response.status(), 420, "{response:?}");
    assert_eq!(response.value("Unsupported"), "nothing-sane, other");
    assert!(contacts_of(&mut peer, "dora").is_empty());
    let known = register("dora")
        .header("Contact", "<sip:dora@127.0.0.1:7001>")
        .header("Require", "path");
    assert_eq!(peer.exchange(&known).status(), 200);
}

#[test]
fn a_register_that_makes_no_sense_is_refused() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let mut tel = register("dora");
    tel.to = "<tel:+4912345>".into();
    assert_eq!(peer.exchange(&tel).status(), 400);
    let mut elsewhere = register("dora");
    elsewhere.to = "<sip:dora@elsewhere.test>".into();
    assert_eq!(peer.exchange(&elsewhere).status(), 404);
    let bad = register("dora").header("Contact", "<sip:dora@[::1>");
    assert_eq!(peer.exchange(&bad).status(), 400);
}

#[test]
fn a_register_for_another_domain_is_relayed_or_denied() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let mut other = Peer::udp_at("127.0.0.2", scene.udp());
    let target = format!("sip:{}", other.local());
    // Neither from one of ours nor for us.
    let mut foreign = Request::new("REGISTER", &target, "sip:x@elsewhere.test");
    foreign.to = "<sip:x@elsewhere.test>".into();
    let denied = peer.exchange(&foreign);
    assert_eq!(denied.status(), 403, "{denied:?}");
    other.heard_nothing();
    // A user of ours may register elsewhere through us, once known.
    let ours = Request::new("REGISTER", &target, &format!("sip:alice@{DOMAIN}"));
    let challenge = peer.exchange(&ours);
    assert_eq!(challenge.status(), 407);
    let again = peer.answered(&ours, &challenge, "alice", &password("alice"));
    peer.send(&again);
    let passed = other.expect_request("REGISTER");
    assert_eq!(passed.uri(), target);
    assert!(!passed.has("Record-Route"));
    other.respond(&passed.reply(200, "t", &[]));
    peer.expect(200);
}

#[test]
fn an_expired_binding_is_not_rung() {
    let scene = Scene::with(|c| {
        c.authentication = Authentication::NONE;
        c.registration.min_expires = 1;
    });
    let mut phone = Peer::udp(scene.udp());
    let mut caller = Peer::udp(scene.udp());
    let contact = format!("{};expires=1", phone.contact("alice"));
    assert_eq!(
        phone
            .exchange(&register("alice").header("Contact", &contact))
            .contacts()
            .len(),
        1
    );
    // Asking again and again is how the end of the second is noticed.
    while !contacts_of(&mut caller, "alice").is_empty() {}
    let call = Request::new(
        "INVITE",
        &format!("sip:alice@{DOMAIN}"),
        "sip:x@elsewhere.test",
    );
    assert_eq!(caller.exchange(&call).status(), 480);
    phone.heard_nothing();
}

#[test]
fn the_oldest_contacts_make_room() {
    let scene = Scene::with(|c| {
        c.authentication = Authentication::NONE;
        c.registration.max_bindings = 4;
    });
    let mut peer = Peer::udp(scene.udp());
    for port in 7001..=7007 {
        let request = register("dora").header("Contact", &format!("<sip:dora@127.0.0.1:{port}>"));
        assert_eq!(peer.exchange(&request).status(), 200);
    }
    let left = contacts_of(&mut peer, "dora");
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(
        left.contains(&"sip:dora@127.0.0.1:7007".to_owned()),
        "{left:?}"
    );
}

#[test]
fn what_was_acknowledged_is_on_the_disk_and_comes_back() {
    let mut scene = Scene::new();
    let mut phone = Peer::udp(scene.udp());
    for n in 0..5 {
        let contact = format!("<sip:alice@127.0.0.1:{}>;q=0.{n}", 7001 + n);
        phone.register_contact("alice", DOMAIN, &contact);
        // Read from another connection the moment the 200 is here: it was committed before.
        let stored = scene.store().load_bindings(0).unwrap();
        assert_eq!(stored.len(), n + 1, "{stored:?}");
        assert!(stored.iter().all(|b| b.aor == format!("alice@{DOMAIN}")));
    }
    phone.register("bob", DOMAIN);
    scene.stop();
    scene.start();
    assert_eq!(scene.server().snapshot().bindings, 6);
    let mut peer = Peer::udp(scene.udp());
    let (_, response) = peer.exchange_as(&register("alice"), "alice", &password("alice"));
    assert_eq!(response.contacts().len(), 5);
    assert!(contact(&response, "sip:alice@127.0.0.1:7003").contains(";q=0.2"));
    // And is rung: the phone still sits where it was.
    let call = Request::new(
        "MESSAGE",
        &format!("sip:bob@{DOMAIN}"),
        "sip:x@elsewhere.test",
    );
    peer.send(&call);
    let passed = phone.expect_request("MESSAGE");
    phone.turn_to(scene.udp());
    phone.respond(&passed.reply(200, "t", &[]));
    peer.expect(200);
}

#[test]
fn a_removal_is_durable_too() {
    let mut scene = open();
    let mut phone = Peer::udp(scene.udp());
    phone.register("alice", DOMAIN);
    let star = register("alice")
        .header("Contact", "*")
        .header("Expires", "0");
    assert_eq!(phone.exchange(&star).status(), 200);
    assert!(scene.store().load_bindings(0).unwrap().is_empty());
    scene.stop();
    scene.start();
    assert_eq!(scene.server().snapshot().bindings, 0);
}

#[test]
fn without_authentication_anybody_registers() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let user = format!("u{}", word());
    assert_eq!(peer.register(&user, DOMAIN).contacts().len(), 1);
}
