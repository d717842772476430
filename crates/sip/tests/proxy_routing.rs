//! The way of requests and responses through one and two proxies (RFC 3261 §16.3, §16.4, §16.12).

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::rc::Rc;

use sip::flow::Transport;
use sip::message::Method;
use testkit::{Arrival, Message, NodeId, Scene, World, policy};

const ONE: &str = "sip:bob@10.0.1.1";

/// A dialog that Alice and a phone have made through the proxy.
struct Dialog {
    invite: Message,
    /// The phone's 200 as Alice got it.
    ok: Message,
    /// The INVITE as the phone got it.
    arrived: Arrival,
}

/// The routes that the caller's later requests carry, as one list (§12.1.2): the Record-Route upside down.
fn caller_routes(ok: &Message) -> Vec<String> {
    let mut routes: Vec<String> = ok
        .values("Record-Route")
        .into_iter()
        .map(str::to_owned)
        .collect();
    routes.reverse();
    routes
}

fn callee_routes(invite: &Message) -> Vec<String> {
    invite
        .values("Record-Route")
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// A request inside the dialog, from the caller's side.
fn inside(dialog: &Dialog, method: &str, branch: &str) -> Message {
    let uri = dialog
        .ok
        .header("Contact")
        .trim_matches(['<', '>'])
        .to_owned();
    let mut request = Message::request(method, &uri, "UDP", "10.0.0.1:5060", branch);
    for route in caller_routes(&dialog.ok) {
        request = request.with("Route", &route);
    }
    request
        .set("To", dialog.ok.header("To"))
        .set("From", dialog.ok.header("From"))
        .set("Call-ID", dialog.ok.header("Call-ID"))
        .set("CSeq", &format!("2 {method}"))
}

fn establish(scene: &mut Scene, contact: &str) -> Dialog {
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    let arrived = scene.one(0);
    let ok = arrived.message().reply(200, "b").with("Contact", contact);
    scene.phone_sends(0, &arrived, &ok);
    let ok = scene.alice_got().pop().unwrap();
    assert_eq!(ok.code(), 200);
    Dialog {
        invite,
        ok,
        arrived,
    }
}

#[test]
fn a_dialog_stays_on_its_recorded_route() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], true));
    let dialog = establish(&mut scene, "<sip:bob@10.0.1.1>");
    assert_eq!(
        callee_routes(&dialog.arrived.message()),
        ["<sip:10.0.0.2:5060;lr>"]
    );
    assert_eq!(dialog.ok.all("Via"), [dialog.invite.header("Via")]);
    let mut ack = inside(&dialog, "ACK", "2");
    ack = ack.set("CSeq", "1 ACK");
    scene.alice_sends(&ack);
    let got = scene.one(0).message();
    assert_eq!((got.method(), got.uri()), ("ACK", "sip:bob@10.0.1.1"));
    assert!(got.all("Route").is_empty(), "our own Route is taken off");
    assert_eq!(got.all("Via").len(), 2);
    assert_eq!(got.header("Max-Forwards"), "69");
    assert!(got.all("Record-Route").is_empty());
    // From the other side.
    let mut bye = Message::request(
        "BYE",
        "sip:alice@10.0.0.1:5060",
        "UDP",
        "10.0.1.1:5060",
        "3",
    );
    bye = bye
        .with("Route", &callee_routes(&dialog.arrived.message())[0])
        .set("From", dialog.ok.header("To"))
        .set("To", dialog.ok.header("From"))
        .set("Call-ID", dialog.ok.header("Call-ID"));
    scene
        .world
        .send_from(scene.phones[0], "udp:10.0.1.1:5060", "10.0.0.2:5060", &bye);
    scene.world.run_to(0);
    let got = scene.world.received(scene.alice);
    assert_eq!(got.len(), 1);
    let request = got[0].message();
    assert_eq!((request.method(), request.all("Route").len()), ("BYE", 0));
    scene
        .world
        .send(scene.alice, got[0].flow, request.reply(200, "").to_bytes());
    scene.world.run_to(0);
    assert_eq!(scene.one(0).message().code(), 200);
    scene.end();
}

#[test]
fn the_ack_of_a_2xx_goes_on_even_with_the_branch_of_the_invite() {
    // Some phones make no new branch for it (RFC 3261 §17.1.1.3 asks for one).
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], true));
    let dialog = establish(&mut scene, "<sip:bob@10.0.1.1>");
    let ack = inside(&dialog, "ACK", "1").set("CSeq", "1 ACK");
    assert_eq!(ack.header("Via"), dialog.invite.header("Via"));
    scene.alice_sends(&ack);
    assert_eq!(scene.methods(0), ["ACK"]);
    scene.end();
}

#[test]
fn between_transports_both_sides_are_recorded() {
    let mut scene = Scene::new(
        1,
        policy::fork(&[("sip:bob@10.0.1.1;transport=tcp", 1000)], true),
    );
    let dialog = establish(&mut scene, "<sip:bob@10.0.1.1;transport=tcp>");
    let recorded = callee_routes(&dialog.arrived.message());
    assert_eq!(
        recorded,
        [
            "<sip:10.0.0.2:5060;transport=tcp;lr>",
            "<sip:10.0.0.2:5060;lr>"
        ],
        "RFC 5658"
    );
    let mut bye = inside(&dialog, "BYE", "2");
    assert_eq!(
        bye.all("Route"),
        [
            "<sip:10.0.0.2:5060;lr>",
            "<sip:10.0.0.2:5060;transport=tcp;lr>"
        ]
    );
    bye = bye.set(
        "Route",
        "<sip:10.0.0.2:5060;lr>,<sip:10.0.0.2:5060;transport=tcp;lr>",
    );
    scene.alice_sends(&bye);
    let got = scene.one(0);
    assert_eq!(got.flow.transport, Transport::Tcp);
    assert!(got.message().all("Route").is_empty(), "both are ours");
    scene.answer(0, &got, 200, "");
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
}

/// Alice, two proxies in a row, and a phone.
struct Chain {
    world: World,
    alice: NodeId,
    proxies: [NodeId; 2],
    phone: NodeId,
}

impl Chain {
    fn new() -> Chain {
        let mut world = World::new(3);
        let alice = world.peer(&["udp:10.0.0.1:5060"]);
        let both = ["udp:10.0.0.2:5060", "tcp:10.0.0.2:5060"];
        let first = world.endpoint(
            &both,
            &["a.example"],
            policy::fork(&[("sip:bob@10.0.0.3;transport=tcp", 1)], true),
        );
        let both = ["udp:10.0.0.3:5060", "tcp:10.0.0.3:5060"];
        let second = world.endpoint(&both, &["b.example"], policy::fork(&[(ONE, 1)], true));
        let phone = world.peer(&["udp:10.0.1.1:5060"]);
        Chain {
            world,
            alice,
            proxies: [first, second],
            phone,
        }
    }

    fn alice_sends(&mut self, message: &Message) {
        self.world
            .send_from(self.alice, "udp:10.0.0.1:5060", "10.0.0.2:5060", message);
        let now = self.world.now();
        self.world.run_until(now);
    }
}

#[test]
fn two_proxies_pass_a_whole_call() {
    let mut chain = Chain::new();
    let invite = Scene::request("INVITE", "1");
    chain.alice_sends(&invite);
    let arrived = chain.world.received(chain.phone).remove(0);
    let message = arrived.message();
    assert_eq!(message.all("Via").len(), 3);
    assert_eq!(message.header("Max-Forwards"), "68");
    assert_eq!(
        callee_routes(&message),
        [
            "<sip:10.0.0.3:5060;lr>",
            "<sip:10.0.0.3:5060;transport=tcp;lr>",
            "<sip:10.0.0.2:5060;transport=tcp;lr>",
            "<sip:10.0.0.2:5060;lr>"
        ]
    );
    let ok = message
        .reply(200, "b")
        .with("Contact", "<sip:bob@10.0.1.1>");
    chain.world.send(chain.phone, arrived.flow, ok.to_bytes());
    chain.world.run_to(0);
    let got = chain.world.received(chain.alice);
    assert_eq!(
        got.iter().map(|a| a.message().code()).collect::<Vec<_>>(),
        [100, 200]
    );
    let dialog = Dialog {
        invite,
        ok: got[1].message(),
        arrived,
    };
    chain.alice_sends(&inside(&dialog, "ACK", "2").set("CSeq", "1 ACK"));
    chain.alice_sends(&inside(&dialog, "BYE", "3"));
    let got = chain.world.received(chain.phone);
    let methods: Vec<String> = got
        .iter()
        .map(|a| a.message().method().to_owned())
        .collect();
    assert_eq!(methods, ["ACK", "BYE"]);
    for request in &got {
        assert!(request.message().all("Route").is_empty());
        assert_eq!(request.message().all("Via").len(), 3);
    }
    chain.world.send(
        chain.phone,
        got[1].flow,
        got[1].message().reply(200, "").to_bytes(),
    );
    assert!(
        chain
            .world
            .run_until_quiet(sip::time::Time::from_millis(400_000))
    );
    assert_eq!(chain.world.received(chain.alice).len(), 1);
    for proxy in chain.proxies {
        let left = chain
            .world
            .with(proxy, |_, e| (e.transactions().len(), e.proxied()));
        assert_eq!(left, ((0, 0), 0));
    }
}

#[test]
fn a_strict_router_next_gets_its_uri_as_request_uri() {
    let mut scene = Scene::new(2, policy::along(true));
    let request = Message::request(
        "INVITE",
        "sip:carol@far.example",
        "UDP",
        "10.0.0.1:5060",
        "1",
    )
    .with("Route", "<sip:10.0.0.2;lr>")
    .with("Route", "<sip:10.0.1.1>, <sip:10.9.9.9;lr>");
    scene.alice_sends(&request);
    let got = scene.one(0).message();
    assert_eq!(got.uri(), "sip:10.0.1.1");
    assert_eq!(
        got.values("Route"),
        ["<sip:10.9.9.9;lr>", "<sip:carol@far.example>"]
    );
    let mut alone = Scene::new(1, policy::along(false));
    let request = Message::request(
        "INVITE",
        "sip:carol@far.example",
        "UDP",
        "10.0.0.1:5060",
        "1",
    )
    .with("Route", "<sip:10.0.1.1>");
    alone.alice_sends(&request);
    let got = alone.one(0).message();
    assert_eq!(
        (got.uri(), got.values("Route")),
        ("sip:10.0.1.1", vec!["<sip:carol@far.example>"])
    );
}

#[test]
fn a_strict_router_before_is_understood() {
    // It put our Record-Route into the Request-URI and the real target last (§16.4).
    let mut scene = Scene::new(1, policy::along(false));
    let request = Message::request("BYE", "sip:10.0.0.2:5060;lr", "UDP", "10.0.0.1:5060", "1")
        .set("To", "<sip:bob@b.example>;tag=b")
        .with("Route", "<sip:10.0.1.1;lr>")
        .with("Route", "<sip:bob@10.8.8.8>");
    scene.alice_sends(&request);
    let got = scene.one(0).message();
    assert_eq!(
        (got.uri(), got.values("Route")),
        ("sip:bob@10.8.8.8", vec!["<sip:10.0.1.1;lr>"])
    );
    let mut scene = Scene::new(1, policy::along(false));
    let request = Message::request("BYE", "sip:10.0.0.2:5060;lr", "UDP", "10.0.0.1:5060", "1")
        .set("To", "<sip:bob@b.example>;tag=b")
        .with("Route", "<sip:bob@10.0.1.1>");
    scene.alice_sends(&request);
    let got = scene.one(0).message();
    assert_eq!((got.uri(), got.all("Route").len()), ("sip:bob@10.0.1.1", 0));
}

#[test]
fn max_forwards_ends_at_zero() {
    for (value, code) in [("0", Some(483)), ("1", None), ("255", None)] {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        scene.alice_sends(&Scene::request("OPTIONS", "1").set("Max-Forwards", value));
        match code {
            Some(code) => {
                assert_eq!(scene.alice_codes(), [code]);
                assert!(scene.got(0).is_empty());
            }
            None => {
                let left = value.parse::<u32>().unwrap() - 1;
                assert_eq!(
                    scene.one(0).message().header("Max-Forwards"),
                    left.to_string()
                );
            }
        }
        scene.end();
    }
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    scene.alice_sends(&Scene::request("OPTIONS", "1").without("Max-Forwards"));
    assert_eq!(scene.one(0).message().all("Max-Forwards"), ["70"]);
    for wrong in ["256", "-1", "x", ""] {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        scene.alice_sends(&Scene::request("OPTIONS", "1").set("Max-Forwards", wrong));
        assert_eq!(scene.alice_codes(), [400], "{wrong}");
    }
}

#[test]
fn proxy_require_is_420() {
    let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
    let request = Scene::request("INVITE", "1")
        .with("Proxy-Require", "one, two")
        .with("Proxy-Require", "three");
    scene.alice_sends(&request);
    let got = scene.alice_got();
    assert_eq!(got[0].code(), 420);
    assert_eq!(got[0].values("Unsupported"), ["one", "two", "three"]);
    scene.alice_acks(&request, &got[0]);
    scene.end();
    assert!(scene.got(0).is_empty());
}

/// A proxy that sends everything to another one, which sends everything back.
fn looping(there: &'static str, back: &'static str) -> (World, NodeId, Rc<Cell<u32>>) {
    let mut world = World::new(4);
    let alice = world.peer(&["udp:10.0.0.1:5060"]);
    let passes = Rc::new(Cell::new(0));
    let count = passes.clone();
    let mut first = policy::fork(&[(there, 1)], false);
    world.endpoint(&["udp:10.0.0.2:5060"], &[], move |now, endpoint, event| {
        count.set(count.get() + 1);
        first(now, endpoint, event);
    });
    world.endpoint(
        &["udp:10.0.0.3:5060"],
        &[],
        policy::fork(&[(back, 1)], false),
    );
    (world, alice, passes)
}

#[test]
fn a_loop_is_482() {
    let (mut world, alice, passes) = looping("sip:bob@10.0.0.3", "sip:bob@10.0.0.2");
    let request = Message::request("MESSAGE", "sip:bob@10.0.0.2", "UDP", "10.0.0.1:5060", "1");
    world.send_from(alice, "udp:10.0.0.1:5060", "10.0.0.2:5060", &request);
    world.run_to(1000);
    let codes: Vec<u16> = world
        .received(alice)
        .iter()
        .map(|a| a.message().code())
        .collect();
    assert_eq!(codes, [482]);
    assert_eq!(passes.get(), 2, "seen when it came back");
}

#[test]
fn a_spiral_is_no_loop() {
    let mut world = World::new(4);
    let alice = world.peer(&["udp:10.0.0.1:5060"]);
    let mut passes = 0;
    world.endpoint(&["udp:10.0.0.2:5060"], &[], move |now, endpoint, event| {
        passes += 1;
        let target = [
            "sip:step1@10.0.0.3",
            "sip:step2@10.0.0.3",
            "sip:end@10.0.0.9",
        ][passes - 1];
        policy::fork(&[(target, 1)], false)(now, endpoint, event);
    });
    let mut turns = 0;
    world.endpoint(&["udp:10.0.0.3:5060"], &[], move |now, endpoint, event| {
        turns += 1;
        let target = ["sip:one@10.0.0.2", "sip:two@10.0.0.2"][turns - 1];
        policy::fork(&[(target, 1)], false)(now, endpoint, event);
    });
    let end = world.peer(&["udp:10.0.0.9:5060"]);
    let request = Message::request("MESSAGE", "sip:bob@10.0.0.2", "UDP", "10.0.0.1:5060", "1");
    world.send_from(alice, "udp:10.0.0.1:5060", "10.0.0.2:5060", &request);
    world.run_to(0);
    let got = world.received(end);
    assert_eq!(got[0].message().all("Via").len(), 6);
    world.send(
        end,
        got[0].flow,
        got[0].message().reply(200, "e").to_bytes(),
    );
    world.run_to(0);
    let codes: Vec<u16> = world
        .received(alice)
        .iter()
        .map(|a| a.message().code())
        .collect();
    assert_eq!(codes, [200]);
}

#[test]
fn every_method_and_unknown_ones_are_passed() {
    let mut names: Vec<&str> = Method::KNOWN.iter().map(|m| m.as_str()).collect();
    names.extend(["FUTURE", "x-9.!%*_+`'~"]);
    let mut passed = 0;
    for name in names.iter().filter(|n| !matches!(**n, "ACK" | "CANCEL")) {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        scene.alice_sends(&Scene::request(name, "1"));
        let got = scene.one(0);
        assert_eq!(got.message().method(), *name);
        scene.answer(0, &got, 200, "b");
        let codes = scene.alice_codes();
        let expected: &[u16] = if *name == "INVITE" {
            &[100, 200]
        } else {
            &[200]
        };
        assert_eq!(codes, expected, "{name}");
        scene.end();
        passed += 1;
    }
    assert_eq!((names.len(), passed), (16, 14));
}
