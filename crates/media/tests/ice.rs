//! Two ICE agents in a simulated internet with address translators, loss, and a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use media::Time;
use media::ice::{Agent, Candidate, Credentials, Event, Kind, Remote, Setup};
use media::stun::{BINDING, Builder, Class, Message, Role, attribute};
use world::Dice;

/// What stands between a host and the internet.
#[derive(Clone, Copy, PartialEq)]
enum Nat {
    None,
    /// One outside port for each inside one; lets in whom was sent to (RFC 4787: address and port-dependent filtering).
    Restricted,
    /// An outside port for each destination.
    Symmetric,
}

struct Host {
    agent: Agent,
    setup: Setup,
    nat: Nat,
    inside: IpAddr,
    outside: IpAddr,
    /// Outside port by inside port and, where it matters, destination.
    mappings: BTreeMap<(u16, Option<SocketAddr>), u16>,
    permitted: BTreeSet<(u16, SocketAddr)>,
    events: Vec<(u64, Event)>,
    sent: u64,
    lite: bool,
}

struct Internet {
    hosts: [Host; 2],
    now: Time,
    dice: Dice,
    loss: f64,
    cut: bool,
    air: Vec<(Time, usize, u8, SocketAddr, Vec<u8>)>,
}

const SERVER: &str = "203.0.113.1:3478";

fn setup(name: &str, controlling: bool, components: u8, seed: u64) -> Setup {
    Setup {
        credentials: Credentials {
            ufrag: format!("ufrag{name}"),
            pwd: format!("password-of-agent-{name}"),
        },
        controlling,
        components,
        seed,
    }
}

impl Host {
    fn new(me: u8, nat: Nat, setup: Setup) -> Host {
        Host {
            agent: Agent::new(setup.clone()),
            setup,
            nat,
            inside: if nat == Nat::None {
                IpAddr::from([198, 51, 100, me])
            } else {
                IpAddr::from([10, 0, me, 1])
            },
            outside: IpAddr::from([198, 51, 100, me]),
            mappings: BTreeMap::new(),
            permitted: BTreeSet::new(),
            events: Vec::new(),
            sent: 0,
            lite: false,
        }
    }

    fn socket(&self, component: u8) -> SocketAddr {
        SocketAddr::new(self.inside, 4000 + u16::from(component) - 1)
    }

    /// The address that a packet of ours shows.
    fn translate(&mut self, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        if self.nat == Nat::None {
            return inside;
        }
        let key = (inside.port(), (self.nat == Nat::Symmetric).then_some(to));
        let next = 20_000 + self.mappings.len() as u16;
        let port = *self.mappings.entry(key).or_insert(next);
        self.permitted.insert((port, to));
        SocketAddr::new(self.outside, port)
    }

    /// The component that gets what is sent to an address, if anybody does.
    fn accepts(&self, from: SocketAddr, to: SocketAddr) -> Option<u8> {
        let inside_port = if self.nat == Nat::None {
            (to.ip() == self.inside).then_some(to.port())?
        } else {
            if to.ip() != self.outside || !self.permitted.contains(&(to.port(), from)) {
                return None;
            }
            self.mappings.iter().find(|m| *m.1 == to.port())?.0.0
        };
        match inside_port {
            4000 => Some(1),
            4001 => Some(2),
            _ => None,
        }
    }

    fn description(&mut self) -> Remote {
        let mut candidates = Vec::new();
        for component in 1..=self.setup.components {
            let socket = self.socket(component);
            let reflexive = self.translate(socket, SERVER.parse().unwrap());
            for (kind, address) in [(Kind::Host, socket), (Kind::ServerReflexive, reflexive)] {
                if kind == Kind::Host || reflexive != socket {
                    candidates.push(Candidate {
                        component,
                        address,
                        priority: kind.priority(component),
                        kind,
                    });
                }
            }
        }
        Remote {
            credentials: self.setup.credentials.clone(),
            candidates,
            lite: self.lite,
        }
    }

    /// Component and address of what was selected last.
    fn selected(&self, component: u8) -> Option<SocketAddr> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Event::Selected {
                component: c,
                remote,
                ..
            } if *c == component => Some(*remote),
            _ => None,
        })
    }
}

impl Internet {
    fn new(nats: [Nat; 2], components: u8) -> Internet {
        Internet {
            hosts: [
                Host::new(1, nats[0], setup("A", true, components, 11)),
                Host::new(2, nats[1], setup("B", false, components, 22)),
            ],
            now: Time::ZERO,
            dice: Dice(99),
            loss: 0.0,
            cut: false,
            air: Vec::new(),
        }
    }

    fn start(&mut self, who: usize) {
        let other = self.hosts[1 - who].description();
        let components = self.hosts[who].setup.components;
        self.hosts[who].agent.start(self.now, other, components);
    }

    fn started(mut self) -> Internet {
        self.start(0);
        self.start(1);
        self
    }

    fn throw(&mut self, from: usize, component: u8, to: SocketAddr, bytes: Vec<u8>) {
        let socket = self.hosts[from].socket(component);
        let source = self.hosts[from].translate(socket, to);
        self.hosts[from].sent += 1;
        if self.cut || self.dice.unit() < self.loss {
            return;
        }
        let at = self.now + Time::from_millis(20);
        for n in 0..2 {
            if let Some(component) = self.hosts[n].accepts(source, to) {
                self.air.push((at, n, component, source, bytes));
                return;
            }
        }
    }

    /// Runs for so many milliseconds.
    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += Time::from_millis(1);
            let now = self.now;
            let (arrived, flying) = self.air.drain(..).partition(|packet| packet.0 <= now);
            self.air = flying;
            let arrived: Vec<(Time, usize, u8, SocketAddr, Vec<u8>)> = arrived;
            for (_, to, component, from, bytes) in arrived {
                if self.hosts[to].lite {
                    let response = lite(&self.hosts[to].setup, from, &bytes);
                    if let Some(response) = response {
                        self.throw(to, component, from, response);
                    }
                } else {
                    self.hosts[to].agent.handle(now, component, from, &bytes);
                }
            }
            for me in 0..2 {
                let mut turns = 0;
                while self.hosts[me].agent.due().is_some_and(|due| due <= now) {
                    self.hosts[me].agent.run(now);
                    turns += 1;
                    assert!(turns < 20, "an agent that is never done");
                }
                while let Some(packet) = self.hosts[me].agent.poll_transmit() {
                    self.throw(me, packet.component, packet.to, packet.bytes);
                }
                while let Some(event) = self.hosts[me].agent.poll_event() {
                    self.hosts[me].events.push((now.as_millis() as u64, event));
                }
            }
        }
    }

    /// Both use the same way, from both ends.
    fn check_joined(&self, components: u8) {
        for component in 1..=components {
            let seen: Vec<(SocketAddr, SocketAddr)> = self
                .hosts
                .iter()
                .map(|host| {
                    let last = host.events.iter().rev();
                    let mut last = last.filter_map(|(_, event)| match event {
                        Event::Selected {
                            component: c,
                            remote,
                            mapped,
                            ..
                        } if *c == component => Some((*remote, *mapped)),
                        _ => None,
                    });
                    last.next().unwrap_or_else(|| panic!("{:?}", host.events))
                })
                .collect();
            assert_eq!(seen[0], (seen[1].1, seen[1].0));
        }
    }
}

/// An agent that only answers.
fn lite(setup: &Setup, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let message = Message::parse(bytes).ok()?;
    assert_eq!(message.proves(setup.credentials.pwd.as_bytes()), Some(true));
    assert!(matches!(message.role(), Some(Role::Controlling(_))));
    Some(
        Builder::new(Class::Success, BINDING, message.transaction())
            .mapped_address(from)
            .integrity(setup.credentials.pwd.as_bytes())
            .fingerprint(),
    )
}

#[test]
fn without_translators() {
    for components in [1, 2] {
        let mut net = Internet::new([Nat::None, Nat::None], components).started();
        net.run(1000);
        net.check_joined(components);
        assert_eq!(net.hosts[0].selected(1), Some(net.hosts[1].socket(1)));
        for host in &net.hosts {
            assert_eq!(host.events.len(), usize::from(components));
            let (at, _) = host.events[usize::from(components) - 1];
            assert!(at < 500, "{:?}", host.events);
            assert!(host.sent <= 6 * u64::from(components), "{}", host.sent);
        }
    }
}

#[test]
fn behind_translators() {
    for nats in [
        [Nat::Restricted, Nat::None],
        [Nat::None, Nat::Restricted],
        [Nat::Restricted, Nat::Restricted],
        [Nat::Symmetric, Nat::None],
        [Nat::None, Nat::Symmetric],
    ] {
        let mut net = Internet::new(nats, 2).started();
        net.run(3000);
        net.check_joined(2);
        for host in &net.hosts {
            assert!(host.sent < 40, "{}", host.sent);
        }
    }
}

#[test]
fn on_a_bad_network() {
    for seed in 1..20 {
        let mut net = Internet::new([Nat::Restricted, Nat::Restricted], 2);
        net.loss = 0.25;
        net.dice = Dice(seed * 7919);
        let mut net = net.started();
        net.run(9900);
        net.check_joined(2);
    }
}

#[test]
fn no_way() {
    let mut net = Internet::new([Nat::Symmetric, Nat::Symmetric], 1).started();
    net.run(60_000);
    for host in &net.hosts {
        assert_eq!(host.events, [(10_000, Event::Failed)]);
        // Two candidates, seven requests each.
        assert!(host.sent <= 14, "{}", host.sent);
    }
}

#[test]
fn both_think_they_control_or_neither() {
    for controlling in [true, false] {
        for seeds in [(1, 2), (2, 1), (77, 5), (5, 77)] {
            let mut net = Internet::new([Nat::None, Nat::Restricted], 2);
            net.hosts[0] = Host::new(1, Nat::None, setup("A", controlling, 2, seeds.0));
            net.hosts[1] = Host::new(2, Nat::Restricted, setup("B", controlling, 2, seeds.1));
            let mut net = net.started();
            net.run(3000);
            net.check_joined(2);
        }
    }
}

#[test]
fn a_peer_that_only_answers() {
    let mut net = Internet::new([Nat::Restricted, Nat::None], 1);
    net.hosts[1].lite = true;
    // Even where its offer came first, we control.
    net.hosts[0] = Host::new(1, Nat::Restricted, setup("A", false, 1, 3));
    net.start(0);
    net.run(2000);
    assert_eq!(net.hosts[0].selected(1), Some(net.hosts[1].socket(1)));
    net.run(100_000);
    assert_eq!(net.hosts[0].events.len(), 1, "{:?}", net.hosts[0].events);
}

#[test]
fn checks_come_before_the_description() {
    let mut net = Internet::new([Nat::Restricted, Nat::Restricted], 2);
    // The caller's translator has to be opened by the caller; the callee begins at once.
    net.start(1);
    net.run(1500);
    assert!(net.hosts[0].events.is_empty());
    net.start(0);
    net.run(2500);
    net.check_joined(2);
}

#[test]
fn consent_is_asked_for_and_missed() {
    let mut net = Internet::new([Nat::None, Nat::None], 1).started();
    net.run(1000);
    let before = net.hosts[0].sent;
    net.run(120_000);
    net.check_joined(1);
    // A request and an answer to the other's every five seconds.
    let sent = net.hosts[0].sent - before;
    assert!((40..=60).contains(&sent), "{sent}");
    net.cut = true;
    net.run(20_000);
    assert_eq!(net.hosts[0].events.len(), 1);
    net.run(16_000);
    for host in &net.hosts {
        let (_, last) = host.events.last().unwrap();
        assert_eq!(*last, Event::ConsentLost { component: 1 });
    }
    let sent = net.hosts[0].sent;
    net.run(60_000);
    assert_eq!(net.hosts[0].sent, sent, "nothing is sent without consent");
}

#[test]
fn a_restart_finds_another_way() {
    let mut net = Internet::new([Nat::None, Nat::None], 1).started();
    net.run(1000);
    let first = net.hosts[0].selected(1);
    // The callee has moved.
    net.hosts[1].inside = IpAddr::from([198, 51, 100, 77]);
    let news = [setup("C", true, 1, 31), setup("D", false, 1, 32)];
    for (host, setup) in net.hosts.iter_mut().zip(&news) {
        host.setup = setup.clone();
    }
    for (me, setup) in news.into_iter().enumerate() {
        let other = net.hosts[1 - me].description();
        net.hosts[me].agent.restart(net.now, setup, other, 1);
    }
    net.run(1000);
    net.check_joined(1);
    assert_ne!(net.hosts[0].selected(1), first);
    assert_eq!(net.hosts[0].selected(1), Some(net.hosts[1].socket(1)));
}

#[test]
fn strangers_are_refused() {
    let mut agent = Agent::new(setup("A", true, 1, 1));
    let from = SocketAddr::from(([203, 0, 113, 66], 6666));
    let request = |name: &str, key: &str| {
        Builder::new(Class::Request, BINDING, [3; 12])
            .attribute(attribute::USERNAME, name.as_bytes())
            .role(Role::Controlled(1))
            .integrity(key.as_bytes())
            .fingerprint()
    };
    let code = |agent: &mut Agent, bytes: &[u8]| {
        agent.handle(Time::ZERO, 1, from, bytes);
        let answer = agent.poll_transmit()?;
        assert!(agent.poll_transmit().is_none());
        let message = Message::parse(&answer.bytes).unwrap();
        Some(message.error_code().unwrap_or(0))
    };
    let right = "password-of-agent-A";
    assert_eq!(code(&mut agent, &request("ufragA:x", "wrong")), Some(401));
    assert_eq!(code(&mut agent, &request("other:x", right)), Some(401));
    let bare = Builder::new(Class::Request, BINDING, [3; 12]).fingerprint();
    assert_eq!(code(&mut agent, &bare), Some(401));
    assert_eq!(code(&mut agent, &request("ufragA:x", right)), Some(0));
    assert_eq!(code(&mut agent, b"\0\x01\0\0"), None);
    let response = Builder::new(Class::Success, BINDING, [3; 12])
        .mapped_address(from)
        .fingerprint();
    assert_eq!(code(&mut agent, &response), None);
}

/// A response that does not prove that it comes from the other side selects nothing.
#[test]
fn forged_responses_select_nothing() {
    let mut net = Internet::new([Nat::None, Nat::None], 1);
    net.start(0);
    net.hosts[0].agent.run(net.now);
    let check = net.hosts[0].agent.poll_transmit().unwrap();
    let transaction = Message::parse(&check.bytes).unwrap().transaction();
    let forged = |key: &str| {
        Builder::new(Class::Success, BINDING, transaction)
            .mapped_address(net.hosts[0].socket(1))
            .integrity(key.as_bytes())
            .fingerprint()
    };
    let (wrong, right) = (forged("wrong"), forged("password-of-agent-B"));
    let agent = &mut net.hosts[0].agent;
    assert!(!agent.handle(Time::ZERO, 1, check.to, &wrong));
    assert!(agent.handle(Time::ZERO, 1, check.to, &right));
}
