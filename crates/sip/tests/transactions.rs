//! What transactions send and when, to the millisecond (RFC 3261 §17, RFC 6026).
//!
//! A client transaction is watched through a proxy: the request that it sends on one side, what its user is told on
//! the other. A server transaction is watched from the peer's side, with an owner that answers when told to.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;

use sip::endpoint::Event;
use sip::message::StatusCode;
use sip::respond::Reply;
use sip::transaction::ServerId;
use testkit::{Message, NodeId, World, conformance, policy};

const ALICE: &str = "udp:10.0.0.1:5060";
const HERE: [&str; 2] = ["udp:10.0.0.2:5060", "tcp:10.0.0.2:5060"];

/// Alice, an endpoint in the middle, and Bob.
struct Hop {
    world: World,
    alice: NodeId,
    middle: NodeId,
    bob: NodeId,
    request: Message,
}

impl Hop {
    /// Alice's request goes through the endpoint, which proxies it to Bob.
    fn client(method: &str, transport: &str) -> Hop {
        let mut world = World::new(1);
        let alice = world.peer(&[ALICE]);
        let target = format!("sip:bob@10.0.0.3;transport={transport}");
        let middle = world.endpoint(&HERE, &[], policy::fork(&[(&target, 1000)], false));
        let bob = world.peer(&["udp:10.0.0.3:5060", "tcp:10.0.0.3:5060"]);
        let request = Message::request(method, "sip:bob@b.example", "UDP", "10.0.0.1", "1");
        world.send_from(alice, ALICE, "10.0.0.2:5060", &request);
        Hop {
            world,
            alice,
            middle,
            bob,
            request,
        }
    }

    /// At `ms` Bob answers the first request that he got.
    fn bob_answers(&mut self, ms: u64, code: u16, tag: &str) {
        self.world.run_to(ms);
        let trace = self.world.trace();
        let first = trace
            .iter()
            .find(|s| s.from == self.middle && s.flow.remote.ip().to_string() == "10.0.0.3");
        let seen = first.unwrap().clone();
        let mut flow = seen.flow;
        core::mem::swap(&mut flow.local, &mut flow.remote);
        let reply = Message::parse(&seen.bytes).reply(code, tag);
        if flow.transport.is_reliable() {
            let arrivals = self.world.received(self.bob);
            flow = arrivals[0].flow;
        }
        self.world.send(self.bob, flow, reply.to_bytes());
        self.world.run_to(ms);
    }

    /// When the endpoint sent Bob requests of this method.
    fn to_bob(&self, method: &str) -> Vec<u64> {
        self.sent("10.0.0.3", |m| m.is_request() && m.method() == method)
    }

    /// Which responses Alice was sent, and when.
    fn to_alice(&self, code: u16) -> Vec<u64> {
        self.sent("10.0.0.1", |m| m.code() == code)
    }

    fn sent(&self, to: &str, which: impl Fn(&Message) -> bool) -> Vec<u64> {
        self.world
            .trace()
            .iter()
            .filter(|s| s.from == self.middle && s.flow.remote.ip().to_string() == to)
            .filter(|s| which(&Message::parse(&s.bytes)))
            .map(|s| s.at.as_millis())
            .collect()
    }

    fn clients(&mut self) -> usize {
        self.world
            .with(self.middle, |_, e| e.transactions().len().0)
    }

    fn servers(&mut self) -> usize {
        self.world
            .with(self.middle, |_, e| e.transactions().len().1)
    }

    /// Checks that the last transaction of one kind goes away exactly at `ms`.
    #[track_caller]
    fn gone_at(&mut self, ms: u64, count: impl Fn(&mut Hop) -> usize) {
        self.world.run_to(ms - 1);
        assert_eq!(count(self), 1, "one millisecond before");
        self.world.run_to(ms);
        assert_eq!(count(self), 0, "at {ms}");
    }
}

/// A request of Alice's at an endpoint whose owner decides later.
struct Serving {
    hop: Hop,
    asked: Rc<RefCell<Vec<ServerId>>>,
}

impl Serving {
    fn new(method: &str, transport: &str) -> Serving {
        let mut world = World::new(1);
        let alice = world.peer(&[ALICE, "tcp:10.0.0.1:5060"]);
        let asked = Rc::new(RefCell::new(Vec::new()));
        let list = asked.clone();
        let middle = world.endpoint(&HERE, &[], move |_, _, event| {
            if let Event::Request(id) = event {
                list.borrow_mut().push(id);
            }
        });
        let bob = world.peer(&["udp:10.0.0.3:5060"]);
        let token = transport.to_uppercase();
        let request = Message::request(method, "sip:bob@b.example", &token, "10.0.0.1", "1");
        let hop = Hop {
            world,
            alice,
            middle,
            bob,
            request,
        };
        let mut serving = Serving { hop, asked };
        serving.alice_sends(transport, &serving.hop.request.clone());
        serving
    }

    fn alice_sends(&mut self, transport: &str, message: &Message) {
        let from = format!("{transport}:10.0.0.1:5060");
        let now = self.hop.world.now();
        self.hop
            .world
            .send_from(self.hop.alice, &from, "10.0.0.2:5060", message);
        self.hop.world.run_until(now);
    }

    fn owner_answers(&mut self, ms: u64, code: u16) {
        self.hop.world.run_to(ms);
        let id = self.asked.borrow()[0];
        self.hop.world.with(self.hop.middle, |_, endpoint| {
            endpoint.respond(id, &Reply::new(StatusCode(code)));
        });
    }
}

/// The moments that a case of `timers.toml` expects, and the code that checks them.
struct Timing {
    id: &'static str,
    expect: &'static [u64],
    check: fn(&[u64]),
}

const TIMINGS: &[Timing] = &[
    Timing {
        id: "ict-udp-silence",
        expect: &[0, 500, 1500, 3500, 7500, 15500, 31500],
        check: ict_udp_silence,
    },
    Timing {
        id: "ict-udp-provisional-stops-resend",
        expect: &[0, 500],
        check: ict_udp_provisional,
    },
    Timing {
        id: "ict-udp-failure",
        expect: &[0, 200, 700, 1700],
        check: ict_udp_failure,
    },
    Timing {
        id: "ict-tcp",
        expect: &[0],
        check: ict_tcp,
    },
    Timing {
        id: "ict-accepted",
        expect: &[0],
        check: ict_accepted,
    },
    Timing {
        id: "nict-udp-silence",
        expect: &[
            0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500,
        ],
        check: nict_udp_silence,
    },
    Timing {
        id: "nict-udp-provisional",
        expect: &[0, 500, 4500, 8500, 12500, 16500, 20500, 24500, 28500],
        check: nict_udp_provisional,
    },
    Timing {
        id: "nict-udp-final",
        expect: &[0],
        check: nict_udp_final,
    },
    Timing {
        id: "ist-auto-100",
        expect: &[200],
        check: ist_auto_100,
    },
    Timing {
        id: "ist-udp-failure-no-ack",
        expect: &[
            1000, 1500, 2500, 4500, 8500, 12500, 16500, 20500, 24500, 28500, 32500,
        ],
        check: ist_udp_failure_no_ack,
    },
    Timing {
        id: "ist-udp-failure-ack",
        expect: &[1000, 1500, 2500],
        check: ist_udp_failure_ack,
    },
    Timing {
        id: "nist",
        expect: &[1000, 5000],
        check: nist,
    },
    Timing {
        id: "cancel-waits",
        expect: &[0, 500, 900],
        check: cancel_waits,
    },
    Timing {
        id: "proxy-timer-c",
        expect: &[180_000],
        check: proxy_timer_c,
    },
    Timing {
        id: "no-408-for-non-invite",
        expect: &[],
        check: no_408_for_non_invite,
    },
];

#[test]
fn every_transaction_keeps_its_times() {
    for timing in TIMINGS {
        println!("{}", timing.id);
        (timing.check)(timing.expect);
    }
    assert_eq!(TIMINGS.len(), 15);
    println!("{} cases", TIMINGS.len());
}

fn ict_udp_silence(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "udp");
    hop.world.run_to(31_999);
    assert!(hop.to_alice(408).is_empty());
    hop.world.run_to(60_000);
    assert_eq!(hop.to_bob("INVITE"), expect);
    assert_eq!(hop.to_alice(408)[0], 32_000);
    assert_eq!(hop.clients(), 0);
}

fn ict_udp_provisional(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "udp");
    hop.bob_answers(600, 100, "");
    hop.world.run_to(180_000);
    assert_eq!(hop.to_bob("INVITE"), expect);
    assert_eq!(hop.to_alice(408), []);
    assert_eq!(hop.clients(), 1);
    assert_eq!(hop.to_alice(100), [0], "the 100 of the next hop stays here");
}

fn ict_udp_failure(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "udp");
    for ms in [200, 700, 1700] {
        hop.bob_answers(ms, 486, "b");
    }
    let mut sent = hop.to_bob("INVITE");
    sent.extend(hop.to_bob("ACK"));
    assert_eq!(sent, expect);
    let (from, to) = (hop.middle, "10.0.0.3:5060");
    let messages: Vec<Message> = hop
        .world
        .trace()
        .iter()
        .filter(|s| s.from == from && s.flow.remote.to_string() == to)
        .map(|s| Message::parse(&s.bytes))
        .collect();
    let (invite, ack) = (&messages[0], &messages[1]);
    assert_eq!(
        ack.all("Via"),
        [invite.header("Via")],
        "one Via, with the branch of the INVITE"
    );
    for name in ["From", "Call-ID"] {
        assert_eq!(ack.header(name), invite.header(name));
    }
    assert_eq!(ack.uri(), invite.uri());
    assert_eq!(ack.header("To"), "<sip:bob@b.example>;tag=b");
    assert_eq!(ack.header("CSeq"), "1 ACK");
    // The user is told once: Alice sees one 486 until her own side repeats it.
    assert_eq!(hop.to_alice(486), [200, 700, 1700]);
    hop.gone_at(32_200, Hop::clients);
}

fn ict_tcp(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "tcp");
    hop.world.run_to(31_999);
    assert!(hop.to_alice(408).is_empty());
    hop.world.run_to(60_000);
    assert_eq!(hop.to_bob("INVITE"), expect);
    assert_eq!(hop.to_alice(408)[0], 32_000);
}

fn ict_accepted(expect: &[u64]) {
    for transport in ["udp", "tcp"] {
        let mut hop = Hop::client("INVITE", transport);
        hop.bob_answers(300, 200, "a");
        if transport == "udp" {
            hop.bob_answers(800, 200, "a");
            hop.bob_answers(900, 200, "b");
            hop.bob_answers(1000, 486, "c");
            assert_eq!(hop.to_alice(200), [300, 800, 900]);
        }
        assert_eq!(hop.to_bob("INVITE"), expect);
        assert_eq!(hop.to_bob("ACK"), [], "the user agent acknowledges");
        assert_eq!(hop.to_alice(486), []);
        hop.gone_at(32_300, Hop::clients);
    }
}

fn nict_udp_silence(expect: &[u64]) {
    let mut hop = Hop::client("OPTIONS", "udp");
    hop.gone_at(32_000, Hop::clients);
    assert_eq!(hop.to_bob("OPTIONS"), expect);
    let proxied = hop.world.with(hop.middle, |_, e| e.proxied());
    assert_eq!(proxied, 0, "the user was told");
}

fn nict_udp_provisional(expect: &[u64]) {
    let mut hop = Hop::client("OPTIONS", "udp");
    hop.bob_answers(200, 100, "");
    hop.gone_at(32_000, Hop::clients);
    assert_eq!(hop.to_bob("OPTIONS"), expect);
}

fn nict_udp_final(expect: &[u64]) {
    let mut hop = Hop::client("OPTIONS", "udp");
    hop.bob_answers(200, 200, "b");
    hop.bob_answers(700, 200, "b");
    assert_eq!(hop.to_bob("OPTIONS"), expect);
    assert_eq!(hop.to_alice(200), [200], "told once");
    hop.gone_at(5200, Hop::clients);
}

fn ist_auto_100(expect: &[u64]) {
    for transport in ["udp", "tcp"] {
        let mut serving = Serving::new("INVITE", transport);
        serving.hop.world.run_to(10_000);
        assert_eq!(serving.hop.to_alice(100), expect);
        let mut quick = Serving::new("INVITE", transport);
        quick.owner_answers(199, 180);
        quick.hop.world.run_to(10_000);
        assert_eq!(quick.hop.to_alice(100), []);
        assert_eq!(quick.hop.to_alice(180), [199]);
    }
}

fn ist_udp_failure_no_ack(expect: &[u64]) {
    let mut serving = Serving::new("INVITE", "udp");
    serving.owner_answers(1000, 486);
    serving.hop.gone_at(33_000, Hop::servers);
    assert_eq!(serving.hop.to_alice(486), expect);
    let counters = serving
        .hop
        .world
        .with(serving.hop.middle, |_, e| e.transactions().counters);
    assert_eq!(counters.no_ack, 1);
}

fn ist_udp_failure_ack(expect: &[u64]) {
    let mut serving = Serving::new("INVITE", "udp");
    serving.owner_answers(1000, 486);
    for ms in [3000, 3100] {
        serving.hop.world.run_to(ms);
        let refusal = serving.hop.world.received(serving.hop.alice);
        let ack = match refusal.last() {
            Some(arrival) => serving.hop.request.ack_for(&arrival.message()),
            None => serving
                .hop
                .request
                .ack_for(&serving.hop.request.reply(486, "x")),
        };
        serving.alice_sends("udp", &ack);
    }
    serving.hop.gone_at(8000, Hop::servers);
    assert_eq!(serving.hop.to_alice(486), expect);
    let counters = serving
        .hop
        .world
        .with(serving.hop.middle, |_, e| e.transactions().counters);
    assert_eq!((counters.stray_acks, counters.no_ack), (0, 0));
    assert_eq!(serving.asked.borrow().len(), 1);
}

fn nist(expect: &[u64]) {
    let mut serving = Serving::new("OPTIONS", "udp");
    serving.hop.world.run_to(100);
    let options = serving.hop.request.clone();
    serving.alice_sends("udp", &options);
    serving.owner_answers(1000, 200);
    serving.hop.world.run_to(5000);
    serving.alice_sends("udp", &options);
    assert_eq!(serving.asked.borrow().len(), 1, "the owner is told once");
    serving.hop.gone_at(33_000, Hop::servers);
    assert_eq!(serving.hop.to_alice(200), expect);
    assert_eq!(serving.hop.world.sent_by(serving.hop.middle).len(), 2);
}

fn cancel_waits(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "udp");
    hop.world.run_to(100);
    let cancel = hop.request.cancel();
    hop.world
        .send_from(hop.alice, ALICE, "10.0.0.2:5060", &cancel);
    hop.world.run_to(899);
    assert_eq!(
        hop.to_alice(200),
        [100],
        "the CANCEL itself is answered at once"
    );
    assert_eq!(hop.to_bob("CANCEL"), []);
    hop.bob_answers(900, 180, "b");
    let mut sent = hop.to_bob("INVITE");
    sent.extend(hop.to_bob("CANCEL"));
    assert_eq!(sent, expect);
    let messages = hop.world.sent_by(hop.middle);
    let find = |method| {
        messages
            .iter()
            .find(|(_, m)| m.is_request() && m.method() == method)
            .unwrap()
    };
    let (invite, cancel) = (&find("INVITE").1, &find("CANCEL").1);
    assert_eq!(cancel.all("Via"), [invite.header("Via")]);
    assert_eq!(cancel.uri(), invite.uri());
    assert_eq!(cancel.header("To"), "<sip:bob@b.example>");
    assert_eq!(cancel.header("CSeq"), "1 CANCEL");
    hop.world.run_to(32_899);
    assert_eq!(hop.to_alice(487), []);
    hop.world.run_to(32_900);
    assert_eq!(
        hop.to_alice(487),
        [32_900],
        "no final response within 64*T1 of the CANCEL"
    );
}

fn proxy_timer_c(expect: &[u64]) {
    let mut hop = Hop::client("INVITE", "udp");
    hop.bob_answers(1000, 180, "b");
    hop.bob_answers(100_000, 183, "b");
    hop.bob_answers(170_000, 100, "");
    hop.world.run_to(400_000);
    let cancels = hop.to_bob("CANCEL");
    let after = cancels[0] - 100_000;
    assert!(after > expect[0] && after < expect[0] + 10_000, "{after}");
    assert_eq!(hop.to_alice(408)[0], cancels[0] + 32_000);
}

fn no_408_for_non_invite(_: &[u64]) {
    let mut hop = Hop::client("MESSAGE", "udp");
    hop.bob_answers(100, 183, "b");
    assert!(
        hop.world
            .run_until_quiet(sip::time::Time::from_millis(300_000))
    );
    assert!(
        hop.world.received(hop.alice).is_empty(),
        "neither 408 nor 183"
    );
    assert_eq!(
        (hop.clients(), hop.servers()),
        (0, 0),
        "and nothing stays behind"
    );
    let mut hop = Hop::client("MESSAGE", "udp");
    hop.bob_answers(100, 408, "b");
    hop.world.run_to(60_000);
    assert!(
        hop.world.received(hop.alice).is_empty(),
        "a 408 is not passed on either"
    );
    assert_eq!(hop.servers(), 0);
}

/// Cases of the manifest that are not about transactions, and where each is checked.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ist-success", "transactions_agent"),
    ("cancel-crossing-200", "transactions_agent"),
    ("glare-owner", "transactions_agent"),
    ("glare-other", "transactions_agent"),
    ("second-invite-before-first-answered", "transactions_agent"),
    ("reinvite-while-own-pending", "transactions_agent"),
    ("reliable-provisional-no-prack", "transactions_agent"),
    ("session-timer-90", "transactions_agent"),
    ("session-timer-1800", "transactions_agent"),
    ("session-timer-too-small", "transactions_agent"),
    ("keepalive-crlf", "the connections of net"),
    ("keepalive-udp", "nowhere: outbound is not offered"),
];

#[test]
fn the_manifest_says_the_same() {
    let Some(cases) = conformance::cases("flows/timers.toml", "case", "id") else {
        assert_eq!(TIMINGS.len(), 15);
        return;
    };
    let mut checked = 0;
    for case in &cases {
        let Some(timing) = TIMINGS.iter().find(|t| t.id == case.name) else {
            let known = ELSEWHERE.iter().any(|(id, _)| *id == case.name);
            assert!(known, "{} is checked nowhere", case.name);
            continue;
        };
        if !matches!(timing.id, "no-408-for-non-invite") {
            let expect = case.entry["expect"].to_string();
            assert_eq!(moments(&expect), timing.expect, "{}", case.name);
        }
        checked += 1;
    }
    println!(
        "{checked} of {} cases here, {} elsewhere",
        cases.len(),
        ELSEWHERE.len()
    );
    assert_eq!(checked, TIMINGS.len());
    assert_eq!(cases.len(), TIMINGS.len() + ELSEWHERE.len());
}

/// The numbers in the text of an expectation that are moments: not status codes, not the names of messages.
fn moments(text: &str) -> Vec<u64> {
    let text = text
        .replace("within 200 ms", "")
        .replace("at the latest", "")
        .replace("(100 does not", "");
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    let mut all = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let code = words.get(i + 1).is_some_and(|w| *w == "at")
            || words.get(i + 1).is_some_and(|w| *w == "to");
        let code = code || i > 0 && matches!(words[i - 1], "the" | "to" | "101");
        if let (Ok(number), false) = (word.parse(), code) {
            all.push(number);
        }
    }
    all
}
