//! TCP, mixed transports, IPv6.

use std::net::TcpListener;

use server::Authentication;
use sip::flow::Transport;

use crate::message::{Request, unmarked};
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene, password};

fn open() -> Scene {
    Scene::with(|c| c.authentication = Authentication::NONE)
}

fn invite(caller: &Peer, to: &str) -> Request {
    Request::new(
        "INVITE",
        &format!("sip:{to}@{DOMAIN}"),
        "sip:x@elsewhere.test",
    )
    .header("Contact", &caller.contact("x"))
}

/// A whole call, with what is to be seen of our hops in Record-Route, the nearest to the callee first.
fn call_through(caller: &mut Peer, callee: &mut Peer, hops: &[String]) {
    let call = invite(caller, "bob");
    caller.send(&call);
    let got = callee.expect_request("INVITE");
    assert_eq!(unmarked(&got), hops);
    let contact = callee.contact("bob");
    let answer = got.reply(200, "b", &[("Contact", &contact)]);
    callee.respond(&answer);
    let ok = caller.expect(200);
    assert_eq!(unmarked(&ok), hops);
    caller.send(&call.ack(&ok));
    let ack = callee.expect_request("ACK");
    assert!(!ack.has("Route"), "both of our routes are gone: {ack:?}");
    let mut bye = Request::new("BYE", &format!("sip:x@{}", caller.local()), "");
    bye.uri = crate::message::bare(got.value("Contact")).into();
    bye.from = answer.value("To").into();
    bye.to = got.value("From").into();
    bye.call = got.value("Call-ID").into();
    for hop in got.all("Record-Route") {
        bye = bye.header("Route", hop);
    }
    callee.send(&bye);
    let bye = caller.expect_request("BYE");
    assert!(!bye.has("Route"), "{bye:?}");
    caller.respond(&bye.reply(200, "", &[]));
    callee.expect(200);
}

#[test]
fn a_udp_caller_and_a_tcp_callee() {
    let scene = open();
    let mut alice = Peer::udp(scene.udp());
    let mut bob = Peer::tcp(scene.tcp());
    // The contact says another port than the connection's: the connection is what is used.
    bob.register_contact("bob", DOMAIN, "<sip:bob@127.0.0.1:9;transport=tcp>");
    let hops = [
        format!("<sip:{};transport=tcp;lr>", scene.tcp()),
        format!("<sip:{};lr>", scene.udp()),
    ];
    call_through(&mut alice, &mut bob, &hops);
    let opened = scene.server().statistics();
    assert_eq!(
        opened.connections_started.value(),
        0,
        "it reuses the phone's connection"
    );
}

#[test]
fn a_tcp_caller_and_a_udp_callee() {
    let scene = open();
    let mut alice = Peer::tcp(scene.tcp());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let hops = [
        format!("<sip:{};lr>", scene.udp()),
        format!("<sip:{};transport=tcp;lr>", scene.tcp()),
    ];
    call_through(&mut alice, &mut bob, &hops);
}

#[test]
fn both_over_tcp_need_one_record_route() {
    let scene = open();
    let mut alice = Peer::tcp(scene.tcp());
    let mut bob = Peer::tcp(scene.tcp());
    bob.register("bob", DOMAIN);
    call_through(
        &mut alice,
        &mut bob,
        &[format!("<sip:{};transport=tcp;lr>", scene.tcp())],
    );
}

fn with_websocket() -> Scene {
    Scene::with(|c| {
        c.authentication = Authentication::NONE;
        let local = "127.0.0.1:0".parse().unwrap();
        c.listen.push((Transport::Ws, local));
    })
}

#[test]
fn a_browser_calls_a_udp_phone() {
    let scene = with_websocket();
    let mut alice = Peer::websocket(scene.websocket());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let hops = [
        format!("<sip:{};lr>", scene.udp()),
        format!("<sip:{};transport=ws;lr>", scene.websocket()),
    ];
    call_through(&mut alice, &mut bob, &hops);
}

#[test]
fn a_browser_is_reached_along_its_connection_and_nowhere_else() {
    let scene = with_websocket();
    let mut carol = Peer::udp(scene.udp());
    let mut bob = Peer::websocket(scene.websocket());
    bob.register("carol", DOMAIN);
    let call = Request::new(
        "MESSAGE",
        &format!("sip:carol@{DOMAIN}"),
        "sip:x@elsewhere.test",
    );
    carol.send(&call);
    let got = bob.expect_request("MESSAGE");
    assert_eq!(got.uri(), "sip:carol@q7x9k.invalid;transport=ws");
    bob.respond(&got.reply(200, "b", &[]));
    carol.expect(200);
    // The browser is gone: nobody looks for a host that does not exist.
    drop(bob);
    carol.send(&Request::new(
        "MESSAGE",
        &format!("sip:carol@{DOMAIN}"),
        "sip:x@elsewhere.test",
    ));
    let status = carol.receive().status();
    assert!((400..600).contains(&status), "{status}");
    let statistics = scene.server().statistics();
    assert_eq!(statistics.dns_queries.value(), 0);
    assert_eq!(statistics.websockets_opened.value(), 1);
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let mut config = server::Config::new(std::env::temp_dir(), DOMAIN.into());
    let missing = std::env::temp_dir().join("sori-no-such-certificate.pem");
    config.certificate = Some((missing.clone(), missing));
    let directory = Scene::with(|_| {});
    config.data = directory.directory.path().join("other");
    let error = server::Server::start(config).err().unwrap().to_string();
    assert!(
        error.contains("cannot use the certificate")
            && error.contains("sori-no-such-certificate.pem"),
        "{error}"
    );
}

#[test]
fn a_certificate_of_our_own_stays_the_same_after_a_restart() {
    let mut scene = Scene::with(|c| {
        c.listen
            .push((Transport::Tls, "127.0.0.1:0".parse().unwrap()))
    });
    let shown = |scene: &Scene| {
        let certificates = scene.server().certificates().unwrap();
        assert!(certificates.is_self_signed() && certificates.is_for(DOMAIN));
        certificates.fingerprint()
    };
    let first = shown(&scene);
    scene.stop();
    scene.start();
    assert_eq!(shown(&scene), first);
}

#[test]
fn from_ipv6_to_ipv4() {
    let scene = open();
    // The signalling alone: the sound would have to pass here, and the call be bridged.
    let directory = scene.server().directory();
    let settings = server::directory::Settings {
        relay: server::directory::RelayMode::Never,
        ..directory.snapshot().settings.clone()
    };
    directory.put_settings(settings).unwrap();
    let mut alice = Peer::udp(scene.udp6());
    let mut bob = Peer::udp(scene.udp());
    bob.register("bob", DOMAIN);
    let hops = [
        format!("<sip:{};lr>", scene.udp()),
        format!("<sip:{};lr>", scene.udp6()),
    ];
    call_through(&mut alice, &mut bob, &hops);
}

#[test]
fn within_ipv6_with_authentication() {
    let scene = Scene::new();
    let mut alice = Peer::udp(scene.udp6());
    let mut bob = Peer::udp(scene.udp6());
    let registered = bob.register("bob", DOMAIN);
    assert_eq!(registered.contacts(), [format!("sip:bob@{}", bob.local())]);
    assert!(
        registered.value("Via").contains("received=::1"),
        "{registered:?}"
    );
    let request = Request::new(
        "MESSAGE",
        &format!("sip:bob@{DOMAIN}"),
        &format!("sip:alice@{DOMAIN}"),
    );
    let challenge = alice.exchange(&request);
    let again = alice.answered(&request, &challenge, "alice", &password("alice"));
    alice.send(&again);
    let got = bob.expect_request("MESSAGE");
    bob.respond(&got.reply(200, "b", &[]));
    alice.expect(200);
}

#[test]
fn a_phone_that_closed_its_connection_is_called_at_its_contact() {
    let scene = open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let contact = format!("<sip:bob@{};transport=tcp>", listener.local_addr().unwrap());
    let mut bob = Peer::tcp(scene.tcp());
    bob.register_contact("bob", DOMAIN, &contact);
    drop(bob);
    let mut alice = Peer::udp(scene.udp());
    let statistics = scene.server().statistics();
    while statistics.connections_open.value() > 0 {
        alice.exchange(&Request::new(
            "OPTIONS",
            &format!("sip:{DOMAIN}"),
            "sip:x@elsewhere.test",
        ));
    }
    alice.send(&invite(&alice, "bob"));
    let mut bob = Peer::accept(&listener);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(486, "b", &[]));
    alice.expect(486);
}

#[test]
fn after_a_restart_a_phone_is_called_at_its_contact() {
    let mut scene = open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let contact = format!("<sip:bob@{};transport=tcp>", listener.local_addr().unwrap());
    let mut bob = Peer::tcp(scene.tcp());
    bob.register_contact("bob", DOMAIN, &contact);
    scene.stop();
    scene.start();
    let mut alice = Peer::udp(scene.udp());
    alice.send(&invite(&alice, "bob"));
    let mut bob = Peer::accept(&listener);
    let got = bob.expect_request("INVITE");
    bob.respond(&got.reply(486, "b", &[]));
    alice.expect(486);
}

#[test]
fn a_large_request_takes_tcp_to_the_callee() {
    let scene = open();
    let mut alice = Peer::tcp(scene.tcp());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let contact = format!("<sip:bob@{}>", listener.local_addr().unwrap());
    Peer::udp(scene.udp()).register_contact("bob", DOMAIN, &contact);
    let text = "long ".repeat(400);
    alice.send(
        &Request::new(
            "MESSAGE",
            &format!("sip:bob@{DOMAIN}"),
            "sip:x@elsewhere.test",
        )
        .body("text/plain", &text),
    );
    let mut bob = Peer::accept(&listener);
    let got = bob.expect_request("MESSAGE");
    assert_eq!(got.body, text.as_bytes());
    assert!(got.value("Via").starts_with("SIP/2.0/TCP "), "{got:?}");
    bob.respond(&got.reply(200, "b", &[]));
    alice.expect(200);
}

#[test]
fn many_messages_in_one_segment_and_one_message_in_many() {
    let scene = open();
    let mut peer = Peer::tcp(scene.tcp());
    let requests: Vec<Request> = (0..5)
        .map(|_| {
            Request::new("OPTIONS", &format!("sip:{DOMAIN}"), "sip:x@elsewhere.test")
                .body("text/plain", "hello")
        })
        .collect();
    let text: String = requests
        .iter()
        .map(|r| format!("\r\n\r\n{}", peer.text(r)))
        .collect();
    peer.send_bytes(text.as_bytes());
    let mut calls: Vec<String> = requests
        .iter()
        .map(|_| peer.expect(200).value("Call-ID").to_owned())
        .collect();
    calls.sort();
    let mut sent: Vec<String> = requests.into_iter().map(|r| r.call).collect();
    sent.sort();
    assert_eq!(calls, sent);
    let request = Request::new("OPTIONS", &format!("sip:{DOMAIN}"), "sip:x@elsewhere.test");
    for byte in peer.text(&request).bytes() {
        peer.send_bytes(&[byte]);
    }
    assert_eq!(peer.expect(200).value("Call-ID"), request.call);
}
