//! What the core of a user agent must send and when, against a peer that follows a script.

#![allow(clippy::unwrap_used)]

use sip::message::StatusCode;
use sip::ua::{CallId, Cause, Event};
use testkit::{Arrival, Message, NodeId, Phone, World};

const HERE: &str = "10.0.0.1:5060";
const THERE: &str = "10.0.0.2:5060";

/// A phone and a scripted peer.
struct Pair {
    world: World,
    phone: Phone,
    peer: NodeId,
}

impl Pair {
    fn new(transport: &str) -> Pair {
        Pair::seeded(transport, 9)
    }

    fn seeded(transport: &str, seed: u64) -> Pair {
        let mut world = World::new(seed);
        let phone = Phone::new(
            &mut world,
            &format!("{transport}:{HERE}"),
            "sip:alice@a.example",
        );
        let peer = world.peer(&[&format!("{transport}:{THERE}")]);
        Pair { world, phone, peer }
    }

    /// Lets time run to `ms` and gives what the peer got on the way.
    fn to(&mut self, ms: u64) -> Vec<Arrival> {
        self.world.run_to(ms);
        self.world.received(self.peer)
    }

    fn peer_sends(&mut self, message: &Message) {
        let now = self.world.now();
        self.world
            .send_from(self.peer, &format!("udp:{THERE}"), HERE, message);
        self.world.run_until(now);
    }

    fn peer_sends_over(&mut self, transport: &str, message: &Message) {
        let via = message.header("Via");
        let via = via.replace("UDP", &transport.to_uppercase());
        let message = message.clone().set("Via", &via);
        let now = self.world.now();
        self.world
            .send_from(self.peer, &format!("{transport}:{THERE}"), HERE, &message);
        self.world.run_until(now);
    }

    fn answers(&mut self, request: &Arrival, code: u16, tag: &str) {
        let reply = request
            .message()
            .reply(code, tag)
            .with("Contact", &format!("<sip:bob@{THERE}>"));
        self.world.send(self.peer, request.flow, reply.to_bytes());
        let now = self.world.now();
        self.world.run_until(now);
    }

    /// The moments at which the phone sent messages of which this holds.
    fn sent(&self, which: impl Fn(&Message) -> bool) -> Vec<u64> {
        let all = self.world.sent_by(self.phone.node);
        all.into_iter()
            .filter(|(_, m)| which(m))
            .map(|(at, _)| at)
            .collect()
    }

    fn requests(&self, method: &str) -> Vec<u64> {
        self.sent(|m| m.is_request() && m.method() == method)
    }

    fn hang_up(&mut self, call: CallId) {
        self.phone
            .with(&mut self.world, |agent, now, layer| {
                agent.hang_up(now, layer, call)
            })
            .unwrap();
    }

    fn accept(&mut self, call: CallId) {
        self.phone
            .with(&mut self.world, |agent, now, layer| {
                agent.accept(now, layer, call, b"v=0\r\n")
            })
            .unwrap();
    }

    fn left(&mut self) -> ((usize, usize), usize) {
        let node = self.phone.node;
        self.world
            .with(node, |_, e| (e.transactions().len(), e.agent().0.kept()))
    }

    fn ends_clean(&mut self) {
        let deadline = sip::time::Time::from_micros(self.world.now().as_micros() + 1_000_000_000);
        assert!(self.world.run_until_quiet(deadline));
        assert_eq!(self.left(), ((0, 0), 0), "something stays behind");
    }
}

/// The peer's INVITE, with an offer.
fn invite(branch: &str, to_tag: &str, cseq: u32) -> Message {
    let to = if to_tag.is_empty() {
        String::new()
    } else {
        format!(";tag={to_tag}")
    };
    Message::request("INVITE", &format!("sip:alice@{HERE}"), "UDP", THERE, branch)
        .set("From", "<sip:bob@b.example>;tag=peer")
        .set("To", &format!("<sip:alice@a.example>{to}"))
        .set("Call-ID", "theirs@b.example")
        .set("CSeq", &format!("{cseq} INVITE"))
        .set("Contact", &format!("<sip:bob@{THERE}>"))
        .with_body("application/sdp", b"v=0\r\n")
}

fn incoming(told: &[(u64, Event)]) -> CallId {
    let call = told.iter().find_map(|(_, e)| match e {
        Event::Incoming { call, .. } => Some(*call),
        _ => None,
    });
    call.unwrap()
}

fn ended(told: &[(u64, Event)]) -> Vec<(u64, Cause)> {
    let causes = told.iter().filter_map(|(at, e)| match e {
        Event::Ended { cause, .. } => Some((*at, cause.clone())),
        _ => None,
    });
    causes.collect()
}

/// A call that the phone made and the peer answered with tag `b`.
fn up(pair: &mut Pair) -> (CallId, Arrival) {
    let call = pair
        .phone
        .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
    let request = pair.to(0).remove(0);
    pair.answers(&request, 200, "b");
    assert_eq!(pair.world.received(pair.peer)[0].message().method(), "ACK");
    pair.phone.told();
    (call, request)
}

#[test]
fn every_2xx_is_acknowledged_and_a_second_dialog_ended() {
    let mut pair = Pair::new("udp");
    let call = pair
        .phone
        .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
    let request = pair.to(300).remove(0);
    let mut branches = Vec::new();
    for (ms, tag) in [(300, "a"), (800, "a"), (900, "b")] {
        pair.world.run_to(ms);
        pair.answers(&request, 200, tag);
        let got = pair.world.received(pair.peer);
        let ack = got
            .iter()
            .map(Arrival::message)
            .find(|m| m.method() == "ACK")
            .unwrap();
        assert_eq!(ack.param("To", "tag"), Some(tag));
        assert_eq!(
            ack.header("CSeq").split(' ').next(),
            request.message().header("CSeq").split(' ').next()
        );
        branches.push(ack.param("Via", "branch").unwrap().to_owned());
        let byes: Vec<&Arrival> = got
            .iter()
            .filter(|a| a.message().method() == "BYE")
            .collect();
        assert_eq!(byes.len(), usize::from(tag == "b"));
        for bye in byes {
            assert_eq!(bye.message().param("To", "tag"), Some("b"));
            pair.answers(bye, 200, "");
        }
    }
    pair.world.run_to(1000);
    pair.answers(&request, 486, "c");
    assert_ne!(
        branches[0],
        request.message().param("Via", "branch").unwrap()
    );
    assert_ne!(branches[0], branches[2]);
    assert_eq!(pair.requests("INVITE"), [0]);
    assert!(
        ended(&pair.phone.told()).is_empty(),
        "the first dialog stands"
    );
    pair.hang_up(call);
    let bye = pair.to(1000).remove(0);
    pair.answers(&bye, 200, "");
    pair.ends_clean();
}

#[test]
fn a_2xx_goes_again_until_its_ack() {
    let expect: &[u64] = &[
        1000, 1500, 2500, 4500, 8500, 12500, 16500, 20500, 24500, 28500, 32500,
    ];
    for transport in ["udp", "tcp"] {
        let mut pair = Pair::new(transport);
        let mut request = invite("1", "", 1);
        if transport == "tcp" {
            request = request.set("Via", &format!("SIP/2.0/TCP {THERE};branch=z9hG4bK1"));
            request = request.set("Contact", &format!("<sip:bob@{THERE};transport=tcp>"));
        }
        pair.world
            .send_from(pair.peer, &format!("{transport}:{THERE}"), HERE, &request);
        pair.to(1000);
        let call = incoming(&pair.phone.told());
        pair.accept(call);
        let before = pair.to(20_000).len();
        assert!(before > 0);
        pair.world
            .send_from(pair.peer, &format!("{transport}:{THERE}"), HERE, &request);
        pair.world.run_to(32_999);
        assert_eq!(pair.sent(|m| m.code() == 200), expect, "{transport}");
        assert_eq!(pair.requests("BYE"), []);
        pair.world.run_to(33_000);
        assert_eq!(pair.requests("BYE")[0], 33_000);
        let told = pair.phone.told();
        assert!(
            !told
                .iter()
                .any(|(_, e)| matches!(e, Event::Incoming { .. })),
            "it rings once"
        );
        let bye = pair.world.received(pair.peer).pop().unwrap();
        pair.answers(&bye, 200, "");
        assert_eq!(ended(&pair.phone.told()), [(33_000, Cause::NoAck)]);
        pair.ends_clean();
    }
}

#[test]
fn a_hang_up_waits_for_a_provisional_response() {
    let mut pair = Pair::new("udp");
    let call = pair
        .phone
        .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
    let request = pair.to(100).remove(0);
    pair.hang_up(call);
    pair.world.run_to(899);
    assert_eq!(pair.requests("CANCEL"), []);
    pair.world.run_to(900);
    pair.answers(&request, 180, "b");
    let mut sent = pair.requests("INVITE");
    sent.extend(pair.requests("CANCEL"));
    assert_eq!(sent, [0, 500, 900]);
    let got = pair.world.received(pair.peer);
    let cancel = got.last().unwrap().message();
    let original = request.message();
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), original.header(name), "{name}");
    }
    assert_eq!(
        (cancel.uri(), cancel.param("To", "tag")),
        (original.uri(), None)
    );
    pair.world.run_to(32_899);
    assert!(ended(&pair.phone.told()).iter().all(|(at, _)| *at <= 900));
    pair.ends_clean();
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut pair = Pair::new("udp");
    let call = pair
        .phone
        .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
    let request = pair.to(100).remove(0);
    pair.answers(&request, 180, "b");
    pair.world.run_to(500);
    pair.hang_up(call);
    pair.world.run_to(510);
    pair.answers(&request, 200, "b");
    assert_eq!(
        (pair.requests("CANCEL"), pair.requests("ACK")),
        (vec![500], vec![510])
    );
    assert_eq!(pair.requests("BYE"), [510]);
    let order: Vec<String> = pair
        .world
        .received(pair.peer)
        .iter()
        .map(|a| a.message().method().to_owned())
        .collect();
    assert_eq!(order, ["CANCEL", "ACK", "BYE"]);
    pair.ends_clean();
}

#[test]
fn after_a_491_the_owner_of_the_call_id_waits_longer() {
    for seed in 0..20 {
        let mut pair = Pair::seeded("udp", seed);
        pair.world.run_to(seed);
        let call = pair
            .phone
            .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
        let request = pair.to(seed).remove(0);
        pair.answers(&request, 200, "b");
        pair.to(seed);
        pair.phone
            .with(&mut pair.world, |agent, now, layer| {
                agent.reoffer(now, layer, call, Some(b"v=0\r\n".to_vec()))
            })
            .unwrap();
        let again = pair.to(seed).remove(0);
        pair.answers(&again, 491, "");
        pair.to(seed + 2099);
        let invites = pair.requests("INVITE");
        assert_eq!(invites.len(), 2);
        pair.to(seed + 4001);
        let wait = pair.requests("INVITE")[2] - invites[1];
        assert!(
            (2100..=4000).contains(&wait) && wait.is_multiple_of(10),
            "{wait}"
        );
    }
}

#[test]
fn after_a_491_the_other_side_waits_less() {
    let mut waits = Vec::new();
    for seed in 0..20 {
        let mut pair = Pair::seeded("udp", seed);
        pair.world.run_to(seed);
        pair.peer_sends(&invite(&seed.to_string(), "", 1));
        let call = incoming(&pair.phone.told());
        pair.accept(call);
        let ok = pair.to(seed).pop().unwrap().message();
        let ack =
            invite(&format!("ack{seed}"), ok.param("To", "tag").unwrap(), 1).set("CSeq", "1 ACK");
        let ack = Message {
            start: ack.start.replace("INVITE", "ACK"),
            ..ack
        };
        pair.peer_sends(&ack);
        pair.phone
            .with(&mut pair.world, |agent, now, layer| {
                agent.reoffer(now, layer, call, Some(b"v=0\r\n".to_vec()))
            })
            .unwrap();
        let again = pair.to(seed).remove(0);
        assert_eq!(again.message().method(), "INVITE");
        pair.answers(&again, 491, "");
        pair.to(seed + 2001);
        let invites = pair.requests("INVITE");
        let wait = invites[1] - invites[0];
        assert!(wait <= 2000 && wait.is_multiple_of(10), "{wait}");
        waits.push(wait);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 5, "the waits are random: {waits:?}");
}

#[test]
fn a_second_invite_before_the_first_is_answered_is_500() {
    let mut pair = Pair::new("udp");
    let (_, request) = up(&mut pair);
    let ours = request.message();
    let dialog = |branch: &str, cseq: u32| {
        invite(branch, ours.param("From", "tag").unwrap(), cseq)
            .set("From", &format!("{};tag=b", ours.header("To")))
            .set("To", ours.header("From"))
            .set("Call-ID", ours.header("Call-ID"))
    };
    pair.peer_sends(&dialog("r1", 2));
    let told = pair.phone.told();
    assert!(matches!(told[0].1, Event::Reoffered { .. }));
    pair.peer_sends(&dialog("r2", 3));
    let got = pair.world.received(pair.peer);
    let refusal = got
        .iter()
        .map(Arrival::message)
        .find(|m| m.code() == 500)
        .unwrap();
    let seconds: u32 = refusal.header("Retry-After").parse().unwrap();
    assert!(seconds <= 10);
    assert!(refusal.header("CSeq").starts_with("3 "));
}

#[test]
fn a_reinvite_that_meets_our_own_is_491() {
    let mut pair = Pair::new("udp");
    let (call, request) = up(&mut pair);
    pair.phone
        .with(&mut pair.world, |agent, now, layer| {
            agent.reoffer(now, layer, call, Some(b"v=0\r\n".to_vec()))
        })
        .unwrap();
    let ours = request.message();
    let theirs = invite("r1", ours.param("From", "tag").unwrap(), 2)
        .set("From", &format!("{};tag=b", ours.header("To")))
        .set("To", ours.header("From"))
        .set("Call-ID", ours.header("Call-ID"));
    pair.peer_sends(&theirs);
    let codes: Vec<u16> = pair
        .world
        .received(pair.peer)
        .iter()
        .map(|a| a.message().code())
        .collect();
    assert!(codes.contains(&491), "{codes:?}");
}

#[test]
fn an_ack_that_never_comes_after_a_refusal_is_no_concern_of_the_call() {
    let mut pair = Pair::new("udp");
    pair.peer_sends(&invite("1", "", 1));
    let call = incoming(&pair.phone.told());
    pair.phone
        .with(&mut pair.world, |agent, now, layer| {
            agent.reject(now, layer, call, StatusCode(486), None)
        })
        .unwrap();
    assert_eq!(ended(&pair.phone.told()), [(0, Cause::ByUs)]);
    pair.ends_clean();
}

#[test]
fn a_reliable_response_without_prack_doubles_its_gaps_and_ends_the_call() {
    for transport in ["udp", "tcp"] {
        let mut pair = Pair::new(transport);
        let invite = invite("1", "", 1)
            .with("Supported", "100rel")
            .with("Require", "100rel");
        pair.peer_sends_over(transport, &invite);
        let call = incoming(&pair.phone.told());
        let ring = |pair: &mut Pair, code: u16, body: Option<&[u8]>| {
            pair.phone
                .with(&mut pair.world, |agent, now, layer| {
                    agent.ring(now, layer, call, StatusCode(code), body)
                })
                .unwrap();
        };
        ring(&mut pair, 183, Some(b"v=0\r\n"));
        // Neither the next one nor the answer leaves before the PRACK.
        ring(&mut pair, 180, None);
        pair.world.run_to(100);
        pair.accept(call);
        pair.world.run_to(40_000);
        let of = |pair: &Pair, code: u16| pair.sent(|m| !m.is_request() && m.code() == code);
        assert_eq!(
            of(&pair, 183),
            [0, 500, 1500, 3500, 7500, 15_500, 31_500],
            "{transport}"
        );
        assert_eq!((of(&pair, 180), of(&pair, 200)), (vec![], vec![]));
        assert_eq!(of(&pair, 504)[0], 32_000);
        assert_eq!(ended(&pair.phone.told()), [(32_000, Cause::NoPrack)]);
        pair.ends_clean();
    }
}

/// A call that the phone made and the peer answered with these headers of RFC 4028.
fn timed(headers: &[(&str, &str)]) -> Pair {
    let mut pair = Pair::new("udp");
    pair.phone
        .call(&mut pair.world, &format!("sip:bob@{THERE}"), b"v=0\r\n");
    let request = pair.to(0).remove(0);
    let mut reply = request
        .message()
        .reply(200, "b")
        .with("Contact", &format!("<sip:bob@{THERE}>"));
    for (name, value) in headers {
        reply = reply.with(name, value);
    }
    pair.world.send(pair.peer, request.flow, reply.to_bytes());
    pair.world.run_until(sip::time::Time::ZERO);
    pair.phone.told();
    pair
}

#[test]
fn sessions_are_refreshed_at_half_time_and_ended_before_they_run_out() {
    for (seconds, half, end) in [(90, 45_000, 60_000), (1800, 900_000, 1_768_000)] {
        let ours = format!("{seconds};refresher=uac");
        for (allow, method) in [("INVITE, UPDATE", "UPDATE"), ("INVITE", "INVITE")] {
            let mut pair = timed(&[
                ("Require", "timer"),
                ("Session-Expires", &ours),
                ("Allow", allow),
            ]);
            pair.world.run_to(half + 100);
            let refreshes: Vec<u64> = pair.requests(method);
            assert_eq!(refreshes.last(), Some(&half), "{method}");
        }
        let theirs = format!("{seconds};refresher=uas");
        let mut pair = timed(&[("Require", "timer"), ("Session-Expires", &theirs)]);
        pair.world.run_to(end + 100);
        assert_eq!(pair.requests("BYE"), [end]);
        assert_eq!(pair.requests("INVITE"), [0]);
    }
}

#[test]
fn a_session_interval_that_is_too_small_is_422() {
    let mut pair = Pair::new("udp");
    let small = invite("1", "", 1)
        .with("Supported", "timer")
        .with("Session-Expires", "60");
    pair.peer_sends(&small);
    let refusal = pair.to(0).pop().unwrap().message();
    assert_eq!(refusal.code(), 422);
    assert!(refusal.header("Min-SE").parse::<u32>().unwrap() >= 90);
    assert!(pair.phone.told().is_empty());
}
