//! Registrations: challenges, refresh, failure, moving addresses.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use sip::auth::{Ha1, Nonces, ProtectionSpace, Secret, Subject, Verdict};
use sip::endpoint::Endpoint;
use sip::header::{ContactList, Expires, HeaderName};
use sip::message::{Method, StatusCode};
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua::{Account, AccountId, Cause, Event};

use crate::world::{Serve, World, header};

const ALICE: usize = 0;

/// A registrar and proxy of `example.org` that the test can make difficult.
struct Server {
    nonces: Nonces,
    space: ProtectionSpace,
    ha1: Ha1,
    challenge: bool,
    least: u32,
    grant: u32,
    refuse: Option<(u16, &'static str)>,
    /// Contacts with their seconds, as the last REGISTER left them.
    bound: Vec<(String, u32)>,
}

impl Server {
    fn new() -> Rc<RefCell<Server>> {
        Rc::new(RefCell::new(Server {
            nonces: Nonces::new(&[7; 32], Time::ZERO, Duration::from_secs(300)),
            space: ProtectionSpace::new("example.org"),
            ha1: Ha1::new("alice", "example.org", "secret"),
            challenge: true,
            least: 0,
            grant: u32::MAX,
            refuse: None,
            bound: Vec::new(),
        }))
    }

    fn admits(&self, endpoint: &Endpoint, id: ServerId, now: Time) -> bool {
        let request = endpoint.request(id).unwrap();
        let (name, method) = match request.method() {
            Some(Method::Register) => (HeaderName::Authorization, "REGISTER"),
            other => (HeaderName::ProxyAuthorization, other.unwrap().as_str()),
        };
        let values: Vec<&[u8]> = request.all(name).map(|h| h.value()).collect();
        let Ok(Some(credentials)) = self.space.find(values.iter().copied()) else {
            return false;
        };
        let subject = Subject {
            method: method.as_bytes(),
            uri: request.request_uri(),
            body: request.body(),
        };
        let verdict = self.space.judge(
            &self.nonces,
            now,
            &credentials,
            Some(&self.ha1),
            &subject,
            |_| true,
        );
        matches!(verdict, Verdict::Accept(_))
    }

    fn answer(&mut self, endpoint: &mut Endpoint, id: ServerId, now: Time) {
        if let Some((code, reason)) = self.refuse {
            let reply = Reply::new(StatusCode(code))
                .reason(reason)
                .header("Retry-After", "7");
            endpoint.respond(id, &reply);
            return;
        }
        let register = endpoint.request(id).unwrap().method() == Some(Method::Register);
        if self.challenge && !self.admits(endpoint, id, now) {
            let nonce = self.nonces.issue(now, "example.org");
            let values: Vec<String> = self.space.challenges(&nonce, false).collect();
            let (code, name) = if register {
                (401, "WWW-Authenticate")
            } else {
                (407, "Proxy-Authenticate")
            };
            let mut reply = Reply::new(StatusCode(code));
            for value in &values {
                reply = reply.header(name, value);
            }
            endpoint.respond(id, &reply);
        } else if register {
            self.bind(endpoint, id);
        } else {
            endpoint.respond(id, &Reply::new(StatusCode(486)));
        }
    }

    fn bind(&mut self, endpoint: &mut Endpoint, id: ServerId) {
        let stored = endpoint.request(id).unwrap().store();
        let request = stored.packet();
        let general = Expires::parse(request.value(HeaderName::Expires).unwrap()).0;
        for line in request.all(HeaderName::Contact) {
            for contact in ContactList::parse(line.value()).addresses() {
                let contact = contact.unwrap();
                let uri = contact.uri.to_string();
                let seconds = contact.expires().unwrap_or(general).min(self.grant);
                if seconds > 0 && seconds < self.least {
                    let least = self.least.to_string();
                    let reply = Reply::new(StatusCode(423)).header("Min-Expires", &least);
                    endpoint.respond(id, &reply);
                    return;
                }
                self.bound.retain(|(u, _)| *u != uri);
                if seconds > 0 {
                    self.bound.push((uri, seconds));
                }
            }
        }
        let list: Vec<String> = self
            .bound
            .iter()
            .map(|(u, s)| format!("<{u}>;expires={s}"))
            .collect();
        let list = list.join(", ");
        let mut reply =
            Reply::new(StatusCode(200)).header("Service-Route", "<sip:10.0.0.9;lr;edge>");
        if !list.is_empty() {
            reply = reply.header("Contact", &list);
        }
        endpoint.respond(id, &reply);
    }
}

fn world(password: &str) -> (World, AccountId, Rc<RefCell<Server>>) {
    let mut world = World::new(1);
    let mut account = Account::new("sip:alice@example.org");
    account.secret = Some(Secret::Password(password.to_owned()));
    account.proxy = Some("sip:10.0.0.9:5060".to_owned());
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let server = Server::new();
    let shared = Rc::clone(&server);
    let serve: Serve = Box::new(move |e, id, now| shared.borrow_mut().answer(e, id, now));
    world.server("10.0.0.9:5060", serve);
    (world, alice, server)
}

fn register(world: &mut World, alice: AccountId, expires: u32) {
    world
        .with(ALICE, |now, agent, tx| {
            agent.register(now, tx, alice, expires)
        })
        .unwrap();
}

fn registered(world: &mut World) -> (u32, String) {
    match world.event(ALICE) {
        Event::Registered {
            expires, contact, ..
        } => (expires, contact),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_challenge_is_answered_and_the_nonce_serves_again() {
    let (mut world, alice, _server) = world("secret");
    register(&mut world, alice, 60);
    assert_eq!(
        registered(&mut world),
        (60, "sip:alice@10.0.0.1:5060".to_owned())
    );
    assert_eq!(
        (world.count("REGISTER"), world.count("401 REGISTER")),
        (2, 1)
    );
    let first = world.log[0].text.clone();
    assert!(
        first.starts_with("REGISTER sip:example.org SIP/2.0\r\n"),
        "{first}"
    );
    assert_eq!(header(&first, "Route"), "<sip:10.0.0.9:5060;lr>");
    let second = world.last("REGISTER").to_owned();
    assert_eq!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    assert_eq!(
        (
            header(&first, "CSeq").as_str(),
            header(&second, "CSeq").as_str()
        ),
        ("1 REGISTER", "2 REGISTER")
    );
    // The refresh comes at 90 %, with the same nonce.
    let before = world.now;
    assert_eq!(registered(&mut world).0, 60);
    assert!((54_000..54_100).contains(&(world.now - before).as_millis()));
    assert_eq!(
        (world.count("REGISTER"), world.count("401 REGISTER")),
        (3, 1)
    );
    assert!(header(world.last("REGISTER"), "Authorization").contains("nc=00000002"));
    assert_eq!(header(world.last("REGISTER"), "CSeq"), "3 REGISTER");
}

#[test]
fn a_server_that_forgot_its_nonces_does_not_cost_the_registration() {
    let (mut world, alice, server) = world("secret");
    register(&mut world, alice, 60);
    registered(&mut world);
    // It does not say that the nonce is stale, but the password was right before.
    server.borrow_mut().nonces = Nonces::new(&[8; 32], Time::ZERO, Duration::from_secs(300));
    assert_eq!(registered(&mut world).0, 60);
    assert_eq!(
        (world.count("REGISTER"), world.count("401 REGISTER")),
        (4, 2)
    );
}

#[test]
fn calls_are_challenged_apart_and_take_the_service_route() {
    let (mut world, alice, _server) = world("secret");
    register(&mut world, alice, 3600);
    registered(&mut world);
    for round in 1..=2 {
        world
            .with(ALICE, |now, agent, tx| {
                agent.call(now, tx, alice, "bob", None, &[])
            })
            .unwrap();
        match world.event(ALICE) {
            Event::Ended {
                cause: Cause::Refused { status, .. },
                ..
            } => assert_eq!(status.0, 486),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.count("407 INVITE"), 1, "round {round}");
        assert_eq!(world.count("INVITE"), round + 1);
    }
    let invite = world.last("INVITE");
    assert!(invite.starts_with("INVITE sip:bob@example.org SIP/2.0\r\n"));
    let routes: Vec<&str> = invite.lines().filter(|l| l.starts_with("Route")).collect();
    assert_eq!(routes, ["Route: <sip:10.0.0.9;lr;edge>"]);
    assert!(header(invite, "Proxy-Authorization").contains("nc=00000002"));
    assert_eq!(header(invite, "Authorization"), "");
}

#[test]
fn a_wrong_password_is_not_tried_twice() {
    let (mut world, alice, _server) = world("wrong");
    register(&mut world, alice, 60);
    match world.event(ALICE) {
        Event::RegistrationFailed {
            status,
            cause,
            retry_in,
            reason,
            ..
        } => {
            assert_eq!((status, retry_in), (Some(StatusCode(401)), None));
            assert!(matches!(cause, Cause::Unauthorized { .. }));
            assert!(reason.contains("password"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    world.run(4_000_000);
    assert_eq!(world.count("REGISTER"), 2);
    world
        .with(ALICE, |now, agent, tx| {
            agent.call(now, tx, alice, "bob", None, &[])
        })
        .unwrap();
    assert!(matches!(
        world.event(ALICE),
        Event::Ended {
            cause: Cause::Unauthorized {
                status: StatusCode(407),
                ..
            },
            ..
        }
    ));
}

#[test]
fn the_registrar_wants_longer() {
    let (mut world, alice, server) = world("secret");
    server.borrow_mut().least = 120;
    register(&mut world, alice, 30);
    assert_eq!(registered(&mut world).0, 120);
    assert_eq!(world.count("423 REGISTER"), 1);
    // 401, 423, 200, and the refresh asks for 120 at once.
    assert_eq!(registered(&mut world).0, 120);
    assert_eq!(world.count("REGISTER"), 4);
}

#[test]
fn the_registrar_grants_less_and_our_contact_counts() {
    let (mut world, alice, server) = world("secret");
    server.borrow_mut().challenge = false;
    server.borrow_mut().grant = 40;
    server
        .borrow_mut()
        .bound
        .push(("sip:other@10.9.9.9".to_owned(), 7));
    register(&mut world, alice, 3600);
    let before = world.now;
    assert_eq!(registered(&mut world).0, 40);
    assert_eq!(registered(&mut world).0, 40);
    // 40 s less 5.
    let waited = (world.now - before).as_millis();
    assert!((35_000..35_100).contains(&waited), "{waited}");
}

#[test]
fn unregistering_takes_only_our_contact() {
    let (mut world, alice, server) = world("secret");
    server
        .borrow_mut()
        .bound
        .push(("sip:other@10.9.9.9".to_owned(), 7));
    register(&mut world, alice, 60);
    registered(&mut world);
    assert_eq!(server.borrow().bound.len(), 2);
    world
        .with(ALICE, |now, agent, tx| agent.unregister(now, tx, alice))
        .unwrap();
    assert!(matches!(world.event(ALICE), Event::Unregistered { .. }));
    assert_eq!(
        server.borrow().bound,
        [("sip:other@10.9.9.9".to_owned(), 7)]
    );
    let sent = world.log.len();
    world.run(200_000);
    assert_eq!(world.log.len(), sent);
    assert_eq!(world.with(ALICE, |_, agent, _| agent.kept()), 0);
}

#[test]
fn operations_while_one_is_on_its_way_come_after_it() {
    let (mut world, alice, server) = world("secret");
    register(&mut world, alice, 60);
    world
        .with(ALICE, |now, agent, tx| agent.unregister(now, tx, alice))
        .unwrap();
    registered(&mut world);
    assert!(matches!(world.event(ALICE), Event::Unregistered { .. }));
    assert!(server.borrow().bound.is_empty());
}

#[test]
fn failures_are_tried_again_ever_more_slowly() {
    let (mut world, alice, server) = world("secret");
    server.borrow_mut().refuse = Some((500, "Disk full"));
    register(&mut world, alice, 60);
    let mut waits = Vec::new();
    for _ in 0..6 {
        match world.event(ALICE) {
            Event::RegistrationFailed {
                status,
                reason,
                retry_in,
                ..
            } => {
                assert_eq!(
                    (status, reason.as_str()),
                    (Some(StatusCode(500)), "Disk full")
                );
                waits.push(retry_in.unwrap().as_secs());
            }
            other => panic!("{other:?}"),
        }
    }
    // Retry-After is 7; the bound doubles from 2.
    assert_eq!(waits[..3], [7, 7, 7]);
    assert!(
        (8..=16).contains(&waits[3])
            && (16..=32).contains(&waits[4])
            && (32..=64).contains(&waits[5])
    );
    server.borrow_mut().refuse = None;
    assert_eq!(registered(&mut world).0, 60);
    server.borrow_mut().refuse = Some((403, "No"));
    register(&mut world, alice, 60);
    assert!(matches!(
        world.event(ALICE),
        Event::RegistrationFailed { retry_in: None, .. }
    ));
}

#[test]
fn no_server_at_all() {
    let mut world = World::new(3);
    let mut account = Account::new("sip:alice@10.0.0.7");
    account.display_name = Some("Alice".to_owned());
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    register(&mut world, alice, 60);
    for _ in 0..2 {
        match world.event(ALICE) {
            Event::RegistrationFailed {
                status: None,
                cause: Cause::Unreachable { .. },
                retry_in,
                ..
            } => {
                assert!(retry_in.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn behind_a_nat_the_contact_is_what_the_server_sees() {
    let (mut world, alice, server) = world("secret");
    world.hide(ALICE, "203.0.113.5:40000");
    register(&mut world, alice, 60);
    assert_eq!(registered(&mut world).1, "sip:alice@203.0.113.5:40000");
    // The challenge told it already.
    assert_eq!(world.count("REGISTER"), 2);
    assert_eq!(
        server.borrow().bound,
        [("sip:alice@203.0.113.5:40000".to_owned(), 60)]
    );
    // The NAT forgets, and gives another port: the next refresh moves the binding.
    world.hide(ALICE, "203.0.113.5:50000");
    assert_eq!(registered(&mut world).1, "sip:alice@203.0.113.5:50000");
    assert_eq!(
        server.borrow().bound,
        [("sip:alice@203.0.113.5:50000".to_owned(), 60)]
    );
    assert!(
        world
            .last("REGISTER")
            .contains("Contact: <sip:alice@203.0.113.5:40000>;expires=0\r\n")
    );
}

#[test]
fn a_nat_is_reminded_of_us_until_we_unregister() {
    let (mut world, alice, _server) = world("secret");
    let reminders = |world: &World| world.log.iter().filter(|s| s.text == "\r\n\r\n").count();
    register(&mut world, alice, 3600);
    registered(&mut world);
    world.run(300_000);
    assert_eq!(reminders(&world), 0, "nothing stands between");
    world.hide(ALICE, "203.0.113.5:40000");
    register(&mut world, alice, 3600);
    registered(&mut world);
    world.run(251_000);
    assert_eq!(reminders(&world), 10, "every 25 seconds");
    world.with(ALICE, |now, agent, tx| {
        agent.unregister(now, tx, alice).unwrap()
    });
    world.run(100_000);
    assert_eq!(reminders(&world), 10);
}

#[test]
fn without_a_challenge_it_registers_again() {
    let (mut world, alice, server) = world("secret");
    server.borrow_mut().challenge = false;
    world.hide(ALICE, "203.0.113.5:40000");
    register(&mut world, alice, 60);
    assert_eq!(registered(&mut world).1, "sip:alice@203.0.113.5:40000");
    assert_eq!(world.count("REGISTER"), 2);
    assert_eq!(
        server.borrow().bound,
        [("sip:alice@203.0.113.5:40000".to_owned(), 60)]
    );
}

#[test]
fn registering_survives_loss() {
    for seed in 0..40 {
        let (mut world, alice, server) = world("secret");
        world.loss = 300;
        world.duplicates = 100;
        world.jitter = 30;
        for _ in 0..seed {
            world.run(1);
        }
        register(&mut world, alice, 3600);
        assert_eq!(registered(&mut world).0, 3600, "seed {seed}");
        assert_eq!(server.borrow().bound.len(), 1);
    }
}

#[test]
fn no_password_in_debug() {
    let (mut world, alice, _server) = world("opensesame");
    register(&mut world, alice, 60);
    let text = world.with(ALICE, |_, agent, _| format!("{agent:?}"));
    assert!(text.contains("alice") && !text.contains("opensesame"));
}
