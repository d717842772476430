//! Sessions that end when nobody keeps them up (RFC 4028).

use sip::ua::{AccountId, CallId, Cause, Event};

use crate::calls::{ALICE, BOB, dial, ended, incoming, nothing_is_kept, talk, two, two_with};
use crate::prack::established;
use crate::script::{PEER, Script, body};
use crate::world::{World, header, reply};

const MINUTE: u64 = 60_000;

#[test]
fn two_of_us_keep_a_call_up_for_a_day() {
    let (mut world, alice) = two(1);
    let (ours, theirs) = talk(&mut world, alice);
    assert_eq!(header(world.last("INVITE"), "Session-Expires"), "1800");
    let ok = world.last("200 INVITE");
    assert_eq!(header(ok, "Session-Expires"), "1800;refresher=uas");
    assert_eq!(header(ok, "Require"), "timer");
    world.run(24 * 60 * MINUTE);
    // Bob refreshes every 15 minutes, and neither owner hears of it.
    assert_eq!((world.count("UPDATE"), world.count("200 UPDATE")), (95, 95));
    assert_eq!(
        header(world.last("UPDATE"), "Session-Expires"),
        "1800;refresher=uac"
    );
    assert_eq!(
        header(world.last("200 UPDATE"), "Session-Expires"),
        "1800;refresher=uac"
    );
    assert_eq!(body(world.last("UPDATE")), "");
    assert!(world.unread(ALICE).is_empty() && world.unread(BOB).is_empty());
    world
        .with(ALICE, |now, agent, tx| agent.hang_up(now, tx, ours))
        .unwrap();
    assert_eq!(
        ended(&mut world, BOB, theirs),
        Cause::ByPeer { reason: None }
    );
    assert_eq!(ended(&mut world, ALICE, ours), Cause::ByUs);
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

#[test]
fn who_goes_away_is_missed() {
    let (mut world, alice) = two(2);
    let (ours, theirs) = talk(&mut world, alice);
    let since = world.now;
    // Nothing gets through any more.
    world.loss = 1000;
    // Bob's refresh has no answer.
    world.run(14 * MINUTE);
    assert_eq!(ended(&mut world, BOB, theirs), Cause::TimedOut);
    let bob = (world.now - since).as_secs();
    assert!((932..=965).contains(&bob), "{bob}");
    world.run(14 * MINUTE);
    assert_eq!(ended(&mut world, ALICE, ours), Cause::Expired);
    world.run(60_000);
    world.loss = 0;
    nothing_is_kept(&mut world, &[ALICE, BOB]);
}

/// A call of Alice to a hand-written peer whose 200 says `more`.
fn stands(world: &mut World, alice: AccountId, more: &str) -> (Script, CallId) {
    let peer = world.raw(PEER);
    let call = dial(world, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(peer);
    let more = format!("Contact: <sip:bob@10.0.0.5>\n{more}");
    let ok = reply(&invite, "200 OK", "t", &more, "answer");
    world.write(peer, ALICE, &ok);
    assert!(world.receive(peer).starts_with("ACK "));
    assert_eq!(established(world, ALICE), Some(b"answer".to_vec()));
    (Script::callee(peer, ALICE, &invite, "t"), call)
}

/// Milliseconds from `since` to the last message of a kind that a node sent.
fn after(world: &World, since: sip::time::Time, node: usize, kind: &str) -> u64 {
    let sent = world
        .log
        .iter()
        .rfind(|s| s.from == node && s.kind() == kind);
    (sent.expect("such a message").at - since).as_millis() as u64
}

const OURS: &str = "Require: timer\nSession-Expires: 90;refresher=uac\n";
const THEIRS: &str = "Require: timer\nSession-Expires: 90;refresher=uas\nAllow: UPDATE\n";

#[test]
fn a_peer_without_update_gets_the_same_offer_again() {
    let (mut world, alice) = two(3);
    let (script, call) = stands(&mut world, alice, OURS);
    let since = world.now;
    for n in 1..=3 {
        let more = format!("Contact: <sip:bob@10.0.0.5>\n{OURS}");
        let refresh = script.serve(&mut world, "INVITE", &more, "answer");
        assert_eq!(body(&refresh), "offer");
        assert_eq!(header(&refresh, "Session-Expires"), "90;refresher=uac");
        let at = after(&world, since, ALICE, "INVITE");
        assert!((45_000 * n - 50..45_000 * n + 150).contains(&at), "{at}");
        assert!(script.receive(&mut world).starts_with("ACK "));
    }
    assert!(world.unread(ALICE).is_empty());
    // Then the peer has moved its sound elsewhere.
    let more = format!("Contact: <sip:bob@10.0.0.5>\n{OURS}");
    script.serve(&mut world, "INVITE", &more, "elsewhere");
    match world.event(ALICE) {
        Event::Reanswered { body, .. } => assert_eq!(body.as_deref(), Some(&b"elsewhere"[..])),
        other => panic!("{other:?}"),
    }
    assert!(script.receive(&mut world).starts_with("ACK "));
    // A 200 that says nothing of timers ends them.
    script.serve(
        &mut world,
        "INVITE",
        "Contact: <sip:bob@10.0.0.5>\n",
        "elsewhere",
    );
    world.run(60 * MINUTE);
    assert_eq!(world.count("INVITE"), 6);
    world
        .with(ALICE, |now, agent, tx| agent.hang_up(now, tx, call))
        .unwrap();
}

#[test]
fn a_peer_that_should_refresh_and_does() {
    let (mut world, alice) = two(4);
    let (mut script, call) = stands(&mut world, alice, THEIRS);
    for n in 0..5 {
        world.run(45_000);
        let more = "Contact: <sip:bob@10.0.0.5>\nSupported: timer\n\
                    Session-Expires: 90;refresher=uac\n";
        if n % 2 == 0 {
            script.send(&mut world, "UPDATE", more, "");
            let ok = script.expect(&mut world, 200, "UPDATE");
            assert_eq!(header(&ok, "Session-Expires"), "90;refresher=uac");
            assert_eq!(header(&ok, "Require"), "timer");
        } else {
            script.send(&mut world, "INVITE", more, "answer");
            assert!(matches!(world.event(ALICE), Event::Reoffered { .. }));
            world
                .with(ALICE, |now, agent, tx| {
                    agent.accept(now, tx, call, b"offer")
                })
                .unwrap();
            let ok = script.expect(&mut world, 200, "INVITE");
            assert_eq!(header(&ok, "Session-Expires"), "90;refresher=uac");
            let cseq = header(&ok, "CSeq").split(' ').next().unwrap().parse();
            script.send_as(&mut world, "ACK", cseq.unwrap(), "", "");
            assert!(matches!(world.event(ALICE), Event::Acknowledged { .. }));
        }
    }
    let since = world.now;
    // Our own change of the session is a refresh too, and the role stays.
    world
        .with(ALICE, |now, agent, tx| {
            agent.update(now, tx, call, Some(b"hold".to_vec()))
        })
        .unwrap();
    let ok = format!("Contact: <sip:bob@10.0.0.5>\n{THEIRS}");
    let ours = script.serve(&mut world, "UPDATE", &ok, "held");
    assert_eq!(header(&ours, "Session-Expires"), "90;refresher=uas");
    assert!(matches!(world.event(ALICE), Event::Reanswered { .. }));
    // And then it is silent.
    let bye = script.serve(&mut world, "BYE", "", "");
    assert!(bye.starts_with("BYE "));
    assert_eq!(ended(&mut world, ALICE, call), Cause::Expired);
    let at = after(&world, since, ALICE, "BYE");
    assert!((60_000..60_100).contains(&at), "{at}");
}

#[test]
fn a_refresh_that_is_refused() {
    for (status, bye) in [("481 Gone", false), ("408 Timeout", true)] {
        let (mut world, alice) = two(5);
        let more = format!("{OURS}Allow: UPDATE\n");
        let (script, call) = stands(&mut world, alice, &more);
        let refresh = script.receive(&mut world);
        assert!(refresh.starts_with("UPDATE "));
        world.write(script.node, ALICE, &reply(&refresh, status, "", "", ""));
        if bye {
            script.serve(&mut world, "BYE", "", "");
        }
        assert!(matches!(
            ended(&mut world, ALICE, call),
            Cause::Refused { .. }
        ));
    }
    // Anything else is tried again, until the session has run out.
    let (mut world, alice) = two(6);
    let more = format!("{OURS}Allow: UPDATE\n");
    let (script, call) = stands(&mut world, alice, &more);
    let since = world.now;
    loop {
        let request = script.receive(&mut world);
        if request.starts_with("BYE ") {
            world.write(script.node, ALICE, &reply(&request, "200 OK", "", "", ""));
            break;
        }
        let later = reply(&request, "500 Later", "", "Retry-After: 1\n", "");
        world.write(script.node, ALICE, &later);
    }
    assert_eq!(ended(&mut world, ALICE, call), Cause::Expired);
    assert_eq!(world.count("UPDATE"), 3);
    let at = after(&world, since, ALICE, "BYE");
    assert!((60_000 - 50..60_100).contains(&at), "{at}");
}

#[test]
fn an_interval_that_is_too_short() {
    let (mut world, _) = two_with(7, |_, b| b.min_se = 120);
    let peer = world.raw(PEER);
    let mut script = Script::caller(peer, BOB);
    let contact = "Contact: <sip:x@10.0.0.5>\n";
    let short = format!("{contact}Supported: timer\nSession-Expires: 60\n");
    script.send(&mut world, "INVITE", &short, "offer");
    let refusal = script.expect(&mut world, 422, "INVITE");
    assert_eq!(header(&refusal, "Min-SE"), "120");
    assert!(world.unread(BOB).is_empty());
    // A caller that does not know timers is no reason to refuse: a proxy put that in.
    let odd = format!("{contact}Session-Expires: 60\n");
    script.send(&mut world, "INVITE", &odd, "offer");
    incoming(&mut world, BOB);
}

#[test]
fn a_422_is_followed_by_a_longer_interval() {
    let (mut world, alice) = two_with(8, |a, b| {
        a.session_expires = Some(100);
        b.min_se = 200;
    });
    let (ours, theirs) = talk(&mut world, alice);
    assert_eq!((world.count("INVITE"), world.count("422 INVITE")), (2, 1));
    let invite = world.last("INVITE");
    assert_eq!(header(invite, "CSeq"), "2 INVITE");
    assert_eq!(
        (header(invite, "Session-Expires"), header(invite, "Min-SE")),
        ("200".to_owned(), "200".to_owned())
    );
    world.run(110_000);
    assert_eq!(world.count("UPDATE"), 1);
    assert!(header(world.last("UPDATE"), "Session-Expires").starts_with("200;"));
    world
        .with(BOB, |now, agent, tx| agent.hang_up(now, tx, theirs))
        .unwrap();
    assert_eq!(
        ended(&mut world, ALICE, ours),
        Cause::ByPeer { reason: None }
    );
    // A server that wants more each time, or nothing sensible, is given up.
    for (first, rounds) in [(500u32, 9), (90, 1)] {
        let (mut world, alice) = two_with(9, |a, _| a.session_expires = Some(100));
        let peer = world.raw(PEER);
        let call = dial(&mut world, alice, "sip:bob@10.0.0.5");
        let mut wanted = first;
        for _ in 0..rounds {
            let mut invite = world.receive(peer);
            while invite.starts_with("ACK ") {
                invite = world.receive(peer);
            }
            let min = format!("Min-SE: {wanted}\n");
            world.write(peer, ALICE, &reply(&invite, "422 Short", "p", &min, ""));
            wanted += 500;
            world.run(50);
        }
        assert!(matches!(
            ended(&mut world, ALICE, call),
            Cause::Refused { .. }
        ));
        assert_eq!(world.count("INVITE"), rounds);
    }
}

#[test]
fn without_timers_nobody_refreshes() {
    for (caller, callee) in [(None, Some(1800)), (Some(1800), None), (None, None)] {
        let (mut world, alice) = two_with(10, |a, b| {
            a.session_expires = caller;
            b.session_expires = callee;
        });
        talk(&mut world, alice);
        world.run(120 * MINUTE);
        assert_eq!(world.count("UPDATE") + world.count("BYE"), 0);
        let ok = world.last("200 INVITE");
        assert_eq!(header(ok, "Session-Expires"), "");
    }
}

#[test]
fn losses_do_not_end_a_session() {
    for seed in 0..10 {
        let (mut world, alice) = two_with(seed, |a, _| a.session_expires = Some(180));
        talk(&mut world, alice);
        world.loss = 200;
        world.jitter = 100;
        world.run(60 * MINUTE);
        assert!(world.unread(ALICE).is_empty() && world.unread(BOB).is_empty());
        assert!(world.count("UPDATE") >= 39, "{}", world.count("UPDATE"));
    }
}

/// RFC 4028 §13: two proxies and the callee each have their say about the interval.
#[test]
fn the_flow_of_rfc_4028() {
    let (mut world, alice) = two_with(11, |a, _| a.session_expires = Some(100));
    let peer = world.raw(PEER);
    dial(&mut world, alice, "sip:bob@10.0.0.5");
    let mut invite = world.receive(peer);
    let asked = |text: &str| {
        let names = ["CSeq", "Supported", "Session-Expires", "Min-SE"];
        names.map(|name| header(text, name)).join("|")
    };
    let known = "replaces, norefersub, 100rel, timer";
    assert_eq!(asked(&invite), format!("1 INVITE|{known}|100|"));
    for (n, min) in [(2, 3600), (3, 4000)] {
        let more = format!("Min-SE: {min}\n");
        let refusal = reply(&invite, "422 Session Interval Too Small", "t", &more, "");
        world.write(peer, ALICE, &refusal);
        assert!(world.receive(peer).starts_with("ACK "));
        let again = world.receive(peer);
        assert_eq!(asked(&again), format!("{n} INVITE|{known}|{min}|{min}"));
        for name in ["Call-ID", "From", "To"] {
            assert_eq!(header(&again, name), header(&invite, name), "{name}");
        }
        invite = again;
    }
    let more = "Contact: <sip:bob@10.0.0.5>\nRecord-Route: <sip:10.0.0.5;lr>\nRequire: timer\n\
                Supported: timer\nAllow: INVITE, UPDATE\nSession-Expires: 4000;refresher=uac\n";
    world.write(peer, ALICE, &reply(&invite, "200 OK", "t", more, "answer"));
    assert!(world.receive(peer).starts_with("ACK "));
    let since = world.now;
    world.run(2_000_100);
    let update = world.receive(peer);
    assert!(update.starts_with("UPDATE sip:bob@10.0.0.5 SIP/2.0\r\n"));
    assert_eq!(header(&update, "Route"), "<sip:10.0.0.5;lr>");
    assert_eq!(
        asked(&update),
        format!("4 UPDATE|{known}|4000;refresher=uac|4000")
    );
    assert_eq!(body(&update), "");
    let at = after(&world, since, ALICE, "UPDATE");
    assert!((1_999_900..2_000_050).contains(&at), "{at}");
}
