//! Many worlds with loss, duplication and reordering: every transaction ends, is told of once, and leaves nothing.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use sip::endpoint::Event;
use sip::message::StatusCode;
use sip::respond::{self, Reply};
use sip::time::Time;
use sip::transaction::ServerId;
use testkit::{Link, Message, NodeId, World, policy};

const SEEDS: u64 = 200;
const REQUESTS: u64 = 6;

/// A request that the far endpoint was asked about.
#[derive(Clone)]
struct Asked {
    id: ServerId,
    call_id: String,
    /// When it is answered, and with what; INVITE is announced with 180 first.
    answer_at: u64,
    code: u16,
    /// A 2xx to INVITE, and when it is sent again.
    success: Option<(Bytes, u64, u64)>,
    is_invite: bool,
}

struct Run {
    world: World,
    alice: NodeId,
    far: NodeId,
    near: NodeId,
    asked: Rc<RefCell<Vec<Asked>>>,
    methods: BTreeMap<String, &'static str>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut world = World::new(seed);
        let alice = world.peer(&["udp:10.0.0.1:5060"]);
        world.script(alice, acknowledge());
        let near = world.endpoint(
            &["udp:10.0.0.2:5060"],
            &[],
            policy::fork(&[("sip:bob@10.0.0.3", 1000)], true),
        );
        let asked = Rc::new(RefCell::new(Vec::new()));
        let list = asked.clone();
        let mut plan = sip::random::Random::new([seed as u8; 32]);
        let far = world.endpoint(&["udp:10.0.0.3:5060"], &[], move |now, endpoint, event| {
            let Event::Request(id) = event else { return };
            let packet = endpoint.request(id).unwrap();
            let is_invite = packet.method_name() == b"INVITE";
            let span = if is_invite { 20_000 } else { 3000 };
            let asked = Asked {
                id,
                call_id: String::from_utf8(packet.call_id().to_vec()).unwrap(),
                answer_at: now.as_millis() + plan.below(span),
                code: [200, 200, 302, 404, 486, 603][plan.below(6) as usize],
                success: None,
                is_invite,
            };
            if is_invite {
                endpoint.respond(id, &Reply::new(StatusCode(180)));
            }
            list.borrow_mut().push(asked);
        });
        let link = Link {
            latency: Duration::from_millis(seed % 40),
            jitter: Duration::from_millis(seed % 70),
            loss: (seed * 37 % 501) as u32,
            duplication: (seed * 53 % 400) as u32,
            reordering: (seed * 71 % 300) as u32,
            hold: Duration::from_millis(seed * 13 % 900),
        };
        world.set_link(near, far, link);
        world.set_link(far, near, link);
        Run {
            world,
            alice,
            far,
            near,
            asked,
            methods: BTreeMap::new(),
        }
    }

    fn start(&mut self) {
        for n in 0..REQUESTS {
            let method = ["INVITE", "OPTIONS", "MESSAGE"][(n % 3) as usize];
            let request = Message::request(
                method,
                "sip:bob@b.example",
                "UDP",
                "10.0.0.1",
                &n.to_string(),
            );
            self.methods
                .insert(request.header("Call-ID").to_owned(), method);
            self.world
                .send_from(self.alice, "udp:10.0.0.1:5060", "10.0.0.2:5060", &request);
        }
    }

    /// Does what the owner of the far endpoint has to do now.
    fn owner(&mut self) {
        let now = self.world.now().as_millis();
        let pending: Vec<Asked> = self.asked.borrow().clone();
        for (i, mut asked) in pending.into_iter().enumerate() {
            if asked.answer_at <= now && asked.code != 0 {
                let reply = Reply::new(StatusCode(asked.code));
                let (id, keep) = (asked.id, asked.is_invite && asked.code == 200);
                let success = self.world.with(self.far, |_, endpoint| {
                    let flow = endpoint.request_flow(id).unwrap();
                    let tag = endpoint.transactions().local_tag(id);
                    let request = endpoint.request(id).unwrap();
                    let bytes = Bytes::from(respond::print(&request, flow.remote, &reply, &tag));
                    endpoint.respond(id, &reply);
                    bytes
                });
                asked.success = keep.then_some((success, now + 500, 500));
                asked.code = 0;
            } else if let Some((bytes, at, gap)) = asked.success.clone()
                && at <= now
            {
                let id = asked.id;
                if self.acknowledged(&asked.call_id) || now > asked.answer_at + 32_000 {
                    asked.success = None;
                } else {
                    self.world.with(self.far, |now, endpoint| {
                        let layer = endpoint.transactions_mut();
                        layer.respond_with(now, id, StatusCode(200), bytes.clone());
                    });
                    let gap = (gap * 2).min(4000);
                    asked.success = Some((bytes, now + gap, gap));
                }
            } else {
                continue;
            }
            self.asked.borrow_mut()[i] = asked;
        }
    }

    fn acknowledged(&self, call_id: &str) -> bool {
        self.world.trace().iter().any(|s| {
            let arrived = s.arrives.first().is_some_and(|at| *at <= self.world.now());
            arrived
                && s.flow.remote.ip().to_string() == "10.0.0.3"
                && s.bytes.starts_with(b"ACK ")
                && String::from_utf8_lossy(&s.bytes).contains(call_id)
        })
    }

    fn run(&mut self) {
        self.start();
        while self.world.now() < Time::from_millis(120_000) {
            self.world.run_for(Duration::from_millis(250));
            self.owner();
        }
        let end = Time::from_millis(600_000);
        assert!(self.world.run_until_quiet(end), "timers run for ever");
        for node in [self.near, self.far] {
            let (left, proxied) = self
                .world
                .with(node, |_, e| (e.transactions().len(), e.proxied()));
            assert_eq!((left, proxied), ((0, 0), 0), "something stays behind");
        }
    }

    /// Finals that Alice got: by call, the codes in order.
    fn told(&mut self) -> BTreeMap<String, Vec<u16>> {
        let mut told: BTreeMap<String, Vec<u16>> = BTreeMap::new();
        for arrival in self.world.received(self.alice) {
            let message = arrival.message();
            if message.code() >= 200 {
                let codes = told
                    .entry(message.header("Call-ID").to_owned())
                    .or_default();
                codes.push(message.code());
            }
        }
        told
    }

    /// Finals that the far endpoint sent: by call.
    fn answered(&self) -> BTreeMap<String, u16> {
        let sent = self.world.sent_by(self.far);
        let finals = sent.into_iter().filter(|(_, m)| m.code() >= 200);
        finals
            .map(|(_, m)| (m.header("Call-ID").to_owned(), m.code()))
            .collect()
    }
}

/// Alice acknowledges every final response to INVITE.
fn acknowledge() -> impl FnMut(&testkit::Arrival) -> Vec<(Duration, Bytes)> {
    |arrival| {
        let response = arrival.message();
        if response.method() != "INVITE" || response.code() < 200 {
            return Vec::new();
        }
        let success = response.code() < 300;
        let uri = if success {
            "sip:bob@10.0.0.3"
        } else {
            "sip:bob@b.example"
        };
        let branch = if success { "ack" } else { "" };
        let mut ack = Message::request("ACK", uri, "UDP", "10.0.0.1", branch);
        let via = response.header("Via").to_owned();
        let via = if success { format!("{via}ack") } else { via };
        for (name, value) in [
            ("Via", via.as_str()),
            ("To", response.header("To")),
            ("From", response.header("From")),
            ("Call-ID", response.header("Call-ID")),
        ] {
            ack = ack.set(name, value);
        }
        if success {
            ack = ack.set("Route", "<sip:10.0.0.2:5060;lr>");
        }
        vec![(Duration::ZERO, ack.to_bytes().into())]
    }
}

fn check(seed: u64) -> (usize, usize) {
    let mut run = Run::new(seed);
    run.run();
    let (told, answered) = (run.told(), run.answered());
    let mut asked: Vec<String> = run
        .asked
        .borrow()
        .iter()
        .map(|a| a.call_id.clone())
        .collect();
    asked.sort();
    let before = asked.len();
    asked.dedup();
    assert_eq!(asked.len(), before, "seed {seed}: an owner was asked twice");
    let mut silent = 0;
    for (call, method) in &run.methods {
        let codes = told.get(call).cloned().unwrap_or_default();
        let answer = answered.get(call).copied();
        match codes.as_slice() {
            [] => {
                assert_ne!(*method, "INVITE", "seed {seed}: {call} was never told");
                silent += 1;
            }
            [code] | [code, ..] if *code == 200 && *method == "INVITE" => {
                assert!(codes.iter().all(|c| c == code), "seed {seed}: {codes:?}");
                assert_eq!(answer, Some(200), "seed {seed}: the ends differ on {call}");
            }
            [408] if *method == "INVITE" => silent += 1,
            [code] => assert_eq!(
                answer,
                Some(*code),
                "seed {seed}: the ends differ on {call}"
            ),
            more => panic!("seed {seed}: {call} was told {more:?}"),
        }
        // Without an ACK the far side gives the call up too (RFC 3261 §13.3.1.4).
        let far_up = answer == Some(200) && run.acknowledged(call);
        let up = (matches!(codes.as_slice(), [200, ..]), far_up);
        if *method == "INVITE" {
            assert_eq!(up.0, up.1, "seed {seed}: {call} is up on one side only");
        }
    }
    (run.methods.len(), silent)
}

#[test]
fn transactions_survive_bad_networks() {
    let mut total = (0, 0);
    for seed in 0..SEEDS {
        let (requests, silent) = check(seed);
        total = (total.0 + requests, total.1 + silent);
    }
    println!(
        "{} requests in {SEEDS} worlds, {} without an answer",
        total.0, total.1
    );
    assert_eq!(total.0 as u64, SEEDS * REQUESTS);
    assert!(
        total.1 * 20 < total.0,
        "{} of {} unanswered",
        total.1,
        total.0
    );
}
