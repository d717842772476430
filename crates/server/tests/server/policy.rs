//! What the server does with requests that are no calls between two of its users.

use server::Authentication;

use crate::message::{Request, unmarked, word};
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene, password};

fn open() -> Scene {
    Scene::with(|c| c.authentication = Authentication::NONE)
}

fn request(method: &str, to: &str) -> Request {
    Request::new(method, to, "sip:somebody@elsewhere.test")
}

#[test]
fn callers_are_told_where_to_go() {
    let scene = Scene::with(|c| {
        c.domains.push("second.test".into());
        c.redirect_domains = vec!["SECOND.test".into()];
    });
    let mut bob = Peer::udp(scene.udp());
    let mut caller = Peer::udp(scene.udp());
    bob.register_contact("bob", "second.test", "<sip:bob@127.0.0.1:7001>;q=0.25");
    bob.register_contact("bob", "second.test", "<sip:bob@127.0.0.1:7002>");
    bob.register("bob", DOMAIN);
    let response = caller.exchange(&request("INVITE", "sip:bob@second.test"));
    assert_eq!(response.status(), 302, "{response:?}");
    assert_eq!(
        response.contacts(),
        ["sip:bob@127.0.0.1:7001", "sip:bob@127.0.0.1:7002"]
    );
    assert!(
        response
            .all("Contact")
            .iter()
            .any(|c| c.ends_with("7001>;q=0.250")),
        "{response:?}"
    );
    // The other domain is put through.
    caller.send(&request("MESSAGE", &format!("sip:bob@{DOMAIN}")));
    let got = bob.expect_request("MESSAGE");
    bob.respond(&got.reply(200, "b", &[]));
    caller.expect(200);
    // Redirecting or not, the absent are absent.
    assert_eq!(
        caller
            .exchange(&request("INVITE", "sip:carol@second.test"))
            .status(),
        480
    );
    assert_eq!(
        caller
            .exchange(&request("INVITE", "sip:x@second.test"))
            .status(),
        404
    );

    let everywhere = Scene::with(|c| c.redirect = true);
    let mut bob = Peer::udp(everywhere.udp());
    bob.register("bob", DOMAIN);
    let mut caller = Peer::udp(everywhere.udp());
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE"] {
        let response = caller.exchange(&request(method, &format!("sip:bob@{DOMAIN}")));
        assert_eq!(response.status(), 302, "{method}");
    }
    bob.heard_nothing();
}

#[test]
fn nothing_is_relayed_for_strangers() {
    let scene = Scene::new();
    let mut stranger = Peer::udp(scene.udp());
    let mut elsewhere = Peer::udp_at("127.0.0.2", scene.udp());
    let target = format!("sip:x@{}", elsewhere.local());
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "FOO"] {
        let response = stranger.exchange(&request(method, &target));
        assert_eq!(response.status(), 403, "{method} {response:?}");
        assert!(response.start.contains("Relaying Denied"));
    }
    let with_route = request("INVITE", &format!("sip:bob@{DOMAIN}"))
        .header("Route", &format!("<sip:{};lr>", elsewhere.local()));
    assert_eq!(stranger.exchange(&with_route).status(), 403);
    elsewhere.heard_nothing();

    // A user of ours, once known, calls anywhere.
    let mut call = request("INVITE", &target);
    call.from = format!("<sip:alice@{DOMAIN}>;tag=1");
    let challenge = stranger.exchange(&call);
    assert_eq!(challenge.status(), 407);
    let call = stranger.answered(&call, &challenge, "alice", &password("alice"));
    stranger.send(&call);
    let got = elsewhere.expect_request("INVITE");
    assert_eq!(got.uri(), target);
    assert_eq!(got.all("Record-Route").len(), 1);
    elsewhere.respond(&got.reply(603, "e", &[]));
    let response = stranger.expect(603);
    stranger.send(&call.ack(&response));
    elsewhere.expect_request("ACK");

    // From elsewhere our users are called without credentials.
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call = request("INVITE", &format!("sip:bob@{DOMAIN}"));
    stranger.send(&call);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(486, "b", &[]));
    let response = stranger.expect(486);
    stranger.send(&call.ack(&response));
    bob.expect_request("ACK");
}

#[test]
fn only_dialogs_that_passed_here_are_followed() {
    let mut scene = Scene::with(|c| {
        // The same port again after the restart.
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = port.local_addr().unwrap();
        c.listen = vec![(sip::flow::Transport::Udp, here)];
    });
    let mut stranger = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    let mut elsewhere = Peer::udp_at("127.0.0.2", scene.udp());
    bob.register("bob", DOMAIN);
    let call =
        request("INVITE", &format!("sip:bob@{DOMAIN}")).header("Contact", &stranger.contact("x"));
    stranger.send(&call);
    let got = bob.expect_request("INVITE");
    let contact = bob.contact("bob");
    bob.respond(&got.reply(200, "b", &[("Contact", &contact)]));
    let ok = stranger.expect(200);
    stranger.send(&call.ack(&ok));
    bob.expect_request("ACK");

    // A dialog that was made up, with our address, and with the mark of another call.
    let marked = ok.value("Record-Route").to_owned();
    let made_up = |method: &str, route: &str| {
        let mut request = request(method, &format!("sip:x@{}", elsewhere.local()));
        request.to = format!("<sip:x@{}>;tag=t", elsewhere.local());
        request.header("Route", route)
    };
    let plain = format!("<sip:{};lr>", scene.udp());
    let zero = format!("<sip:{};lr;m=0000000000000000>", scene.udp());
    for route in [&plain, &zero, &marked] {
        for method in ["INVITE", "BYE", "MESSAGE"] {
            let response = stranger.exchange(&made_up(method, route));
            assert_eq!(response.status(), 403, "{method} {route}");
        }
        stranger.send(&made_up("ACK", route));
    }
    elsewhere.heard_nothing();

    // The dialog that did pass outlives the process.
    scene.stop();
    scene.start();
    stranger.send(&call.within("BYE", &ok));
    let bye = bob.expect_request("BYE");
    bob.respond(&bye.reply(200, "b", &[]));
    stranger.expect(200);
}

#[test]
fn every_method_passes_and_those_of_users_are_authenticated() {
    const METHODS: [&str; 13] = [
        "INVITE",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "INFO",
        "REFER",
        "UPDATE",
        "PRACK",
        "BYE",
        "FOO",
        "x-%!'*",
    ];
    let scene = Scene::new();
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    for method in METHODS {
        let request = Request::new(
            method,
            &format!("sip:bob@{DOMAIN}"),
            &format!("sip:alice@{DOMAIN}"),
        )
        .header("Content-Language", "ko")
        .body("text/plain", "안녕");
        let challenge = alice.exchange(&request);
        assert_eq!(challenge.status(), 407, "{method} {challenge:?}");
        let again = alice.answered(&request, &challenge, "alice", &password("alice"));
        alice.send(&again);
        let got = bob.expect_request(method);
        assert_eq!(got.body, "안녕".as_bytes(), "{method}");
        assert_eq!(got.value("CSeq"), format!("2 {method}"));
        let dialog = matches!(method, "INVITE" | "SUBSCRIBE" | "REFER");
        assert_eq!(got.has("Record-Route"), dialog, "{method}");
        bob.respond(&got.reply(299, "b", &[]));
        alice.expect(299);
    }
}

#[test]
fn what_is_for_the_server_itself() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    for uri in [format!("sip:{DOMAIN}"), format!("sip:{}", scene.udp())] {
        let response = peer.exchange(&request("OPTIONS", &uri));
        assert_eq!(response.status(), 200, "{response:?}");
        for method in ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"] {
            assert!(response.value("Allow").contains(method), "{response:?}");
        }
        assert!(response.value("Accept").contains("application/sdp"));
    }
    // A user's phone may ask without credentials: it is how phones see whether we are there.
    let mut ours = request("OPTIONS", &format!("sip:{DOMAIN}"));
    ours.from = format!("<sip:alice@{DOMAIN}>;tag=1");
    assert_eq!(peer.exchange(&ours).status(), 200);
    for (method, status) in [
        ("BYE", 481),
        ("FOO", 501),
        ("SUBSCRIBE", 405),
        ("INVITE", 404),
        ("INFO", 481),
    ] {
        let request =
            request(method, &format!("sip:{DOMAIN}")).header("Contact", &peer.contact("x"));
        let response = peer.exchange(&request);
        assert_eq!(response.status(), status, "{method} {response:?}");
        if matches!(status, 405 | 501) {
            assert!(response.value("Allow").contains("OPTIONS"));
        }
    }
    let required = request("OPTIONS", &format!("sip:{DOMAIN}")).header("Require", "nothing-sane");
    let response = peer.exchange(&required);
    assert_eq!(
        (response.status(), response.value("Unsupported")),
        (420, "nothing-sane")
    );
}

#[test]
fn dialogs_that_nobody_has() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    for uri in [
        format!("sip:{DOMAIN}"),
        format!("sip:nobody@{DOMAIN}"),
        format!("sip:echo@{DOMAIN}"),
    ] {
        for method in ["BYE", "INVITE", "UPDATE", "INFO", "NOTIFY"] {
            let mut inside = request(method, &uri);
            inside.to = format!("<{uri}>;tag=unknown");
            let response = peer.exchange(&inside);
            assert_eq!(response.status(), 481, "{method} {uri} {response:?}");
        }
    }
    // An ACK is never answered.
    let mut ack = request("ACK", &format!("sip:nobody@{DOMAIN}"));
    ack.to = format!("<{}>;tag=unknown", ack.uri);
    peer.send(&ack);
    peer.heard_nothing();
}

#[test]
fn numbers_without_a_domain_are_of_the_default_one() {
    let scene = open();
    let mut phone = Peer::udp(scene.udp());
    let mut caller = Peer::udp(scene.udp());
    phone.register("+4930123", DOMAIN);
    for uri in [
        "tel:+4930123".to_owned(),
        format!("sip:+4930123@{DOMAIN};user=phone"),
    ] {
        caller.send(&request("MESSAGE", &uri));
        let got = phone.expect_request("MESSAGE");
        assert_eq!(got.uri(), format!("sip:+4930123@{}", phone.local()));
        phone.respond(&got.reply(200, "b", &[]));
        caller.expect(200);
    }
    assert_eq!(caller.exchange(&request("INVITE", "tel:+1")).status(), 404);
    // Separators are for the eye only (RFC 3966 §5.1.1).
    caller.send(&request("MESSAGE", "tel:+49-30-(123)"));
    let got = phone.expect_request("MESSAGE");
    phone.respond(&got.reply(200, "b", &[]));
    caller.expect(200);
}

#[test]
fn our_address_means_the_default_domain() {
    let scene = Scene::new();
    let mut bob = Peer::udp(scene.udp());
    let mut caller = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    for address in [scene.udp(), scene.tcp(), scene.udp6()] {
        caller.send(&request("MESSAGE", &format!("sip:bob@{address}")));
        let got = bob.expect_request("MESSAGE");
        bob.respond(&got.reply(200, "b", &[]));
        caller.expect(200);
    }
    // A caller who says so too is one of ours.
    let mut from_address = request("MESSAGE", &format!("sip:bob@{DOMAIN}"));
    from_address.from = format!("<sip:alice@{}>;tag=1", scene.udp());
    assert_eq!(caller.exchange(&from_address).status(), 407);
}

#[test]
fn an_address_may_be_a_domain() {
    let scene =
        Scene::with(|c| c.domains = vec!["127.0.0.1".into(), "[::1]".into(), "192.0.2.7".into()]);
    for domain in ["127.0.0.1", "[::1]", "192.0.2.7"] {
        let mut bob = Peer::udp(scene.udp());
        let mut caller = Peer::udp(scene.udp());
        bob.register("bob", domain);
        caller.send(&request("MESSAGE", &format!("sip:bob@{domain}")));
        let got = bob
            .poll(crate::peer::PATIENCE)
            .unwrap_or_else(|| panic!("{domain}: {:?}", caller.receive()));
        assert_eq!(got.uri(), format!("sip:bob@{}", bob.local()), "{domain}");
        bob.respond(&got.reply(200, "b", &[]));
        caller.expect(200);
    }
}

#[test]
fn behind_address_translation_the_advertised_name_is_ours() {
    call_behind("outside.test");
}

#[test]
fn behind_address_translation_the_advertised_address_is_ours() {
    call_behind("127.0.0.77");
}

fn call_behind(host: &str) {
    let scene = Scene::with(|c| {
        c.authentication = Authentication::NONE;
        c.advertised_host = Some(host.into());
    });
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let call =
        request("INVITE", &format!("sip:bob@{DOMAIN}")).header("Contact", &alice.contact("a"));
    alice.send(&call);
    let got = bob.expect_request("INVITE");
    let shown = format!("{host}:{}", scene.udp().port());
    assert!(got.value("Via").contains(&shown), "{got:?}");
    assert_eq!(unmarked(&got), [format!("<sip:{shown};lr>")]);
    let contact = bob.contact("bob");
    bob.respond(&got.reply(200, "b", &[("Contact", &contact)]));
    let ok = alice.expect(200);
    alice.send(&call.ack(&ok));
    assert!(!bob.expect_request("ACK").has("Route"));
    alice.send(&call.within("BYE", &ok));
    let bye = bob.expect_request("BYE");
    bob.respond(&bye.reply(200, "b", &[]));
    alice.expect(200);
}

#[test]
fn requests_that_cannot_be_served() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let mut phone = Peer::udp(scene.udp());
    phone.register("bob", DOMAIN);
    let bob = format!("sip:bob@{DOMAIN}");
    let spent = request("INVITE", &bob)
        .without("Max-Forwards")
        .header("Max-Forwards", "0");
    assert_eq!(peer.exchange(&spent).status(), 483);
    let proxy_require = request("INVITE", &bob).header("Proxy-Require", "nothing-sane");
    let response = peer.exchange(&proxy_require);
    assert_eq!(
        (response.status(), response.value("Unsupported")),
        (420, "nothing-sane")
    );
    let scheme = request("INVITE", "nobodyKnowsThisScheme:totallyopaquecontent");
    assert_eq!(peer.exchange(&scheme).status(), 416);
    let cases: [(&str, &str, u16); 6] = [
        ("SIP/2.0\r\n", "SIP/7.0\r\n", 505),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE", 400),
        ("To: ", "Toto: ", 400),
        ("Max-Forwards: 70", "Max-Forwards: 700", 400),
        ("From: <", "From: \"<", 400),
    ];
    for (from, to, status) in cases {
        let request = request("INVITE", &bob);
        let text = peer.text(&request).replacen(from, to, 1);
        peer.send_bytes(text.as_bytes());
        let response = peer.expect(status);
        assert!(response.value("Via").contains(&request.branch));
    }
    phone.heard_nothing();
}

#[test]
fn a_request_for_a_user_with_odd_names() {
    let scene = open();
    let mut peer = Peer::udp(scene.udp());
    let mut phone = Peer::udp(scene.udp());
    for (registered, called) in [
        ("a%20b", "%61%20b"),
        ("d;x=1", "d;x=1"),
        ("(e)", "%28e%29"),
        (&word(), ""),
    ] {
        let contact = phone.contact("odd");
        phone.register_contact(registered, DOMAIN, &contact);
        let called = if called.is_empty() {
            registered
        } else {
            called
        };
        peer.send(&request(
            "MESSAGE",
            &format!("sip:{called}@EXAMPLE.test;x=y"),
        ));
        let got = phone.expect_request("MESSAGE");
        phone.respond(&got.reply(200, "b", &[]));
        peer.expect(200);
    }
}

#[test]
fn who_hides_from_the_callee_proves_who_it_is_to_the_server() {
    let scene = Scene::new();
    let mut bob = Peer::udp(scene.udp());
    let mut alice = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let hidden = |who: &str| {
        Request::new(
            "MESSAGE",
            &format!("sip:bob@{DOMAIN}"),
            "sip:anonymous@anonymous.invalid",
        )
        .header("P-Preferred-Identity", &format!("<sip:{who}@{DOMAIN}>"))
        .header("Privacy", "id")
    };
    let asked = alice.exchange(&hidden("alice"));
    assert_eq!(asked.status(), 407, "{asked:?}");
    let request = alice.answered(&hidden("alice"), &asked, "alice", &password("alice"));
    alice.send(&request);
    let got = bob.expect_request("MESSAGE");
    assert_eq!(got.all("P-Preferred-Identity").len(), 0, "{got:?}");
    assert_eq!(got.value("Privacy"), "id");
    assert!(!format!("{got:?}").contains("alice"), "{got:?}");
    bob.respond(&got.reply(200, "b", &[]));
    alice.expect(200);
    // Nobody hides behind somebody else.
    let asked = alice.exchange(&hidden("carol"));
    let request = alice.answered(&hidden("carol"), &asked, "alice", &password("alice"));
    assert_eq!(alice.exchange(&request).status(), 403);
}
