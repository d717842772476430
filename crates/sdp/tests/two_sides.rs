//! Whole sessions between two of our own sides: what one sends is what the other expects.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use sdp::secure::{Security, SecurityError, SrtpPolicy};
use sdp::{
    Capabilities, Codec, Direction, LocalMedia, Negotiated, Origin, Rule, Session, answer,
    complete, hold, offer_with, renew, reoffer, resume,
};
use support::{dtls, ice, srtp};

fn alice() -> LocalMedia {
    LocalMedia::new("192.0.2.1".parse().unwrap(), 4000)
}

fn bob() -> LocalMedia {
    LocalMedia::new("2001:db8::2".parse().unwrap(), 5000)
}

/// Over the wire and back, as the other side reads it.
fn wire(session: &Session) -> Session {
    Session::parse(session.to_string().as_bytes()).unwrap()
}

struct Sides {
    offer: Session,
    answer: Session,
    alice: Negotiated,
    bob: Negotiated,
}

fn exchange(alice: &LocalMedia, bob: &LocalMedia) -> Sides {
    let caps = Capabilities::g711();
    let offer = offer_with(&Origin::new("alice", 1, alice.address), alice, &caps);
    let (answered, mut at_bob) = answer(
        &wire(&offer),
        &Origin::new("bob", 1, bob.address),
        bob,
        &caps,
    )
    .unwrap();
    let mut at_alice = complete(&offer, &wire(&answered), &caps).unwrap();
    Sides {
        offer,
        answer: answered,
        alice: at_alice.remove(0),
        bob: at_bob.remove(0),
    }
}

#[test]
fn keys_cross_over() {
    let with = |policy, fill: u8, local: LocalMedia| {
        let mut srtp = srtp(policy);
        srtp.keys.iter_mut().for_each(|key| key.key.fill(fill));
        LocalMedia { srtp, ..local }
    };
    for (ours, theirs, protocol) in [
        (SrtpPolicy::Required, SrtpPolicy::Optional, "RTP/SAVP"),
        (SrtpPolicy::Optional, SrtpPolicy::Optional, "RTP/AVP"),
    ] {
        let sides = exchange(&with(ours, 7, alice()), &with(theirs, 8, bob()));
        assert_eq!(sides.answer.media[0].protocol, protocol);
        let (
            Security::Sdes {
                send: a,
                receive: b,
            },
            Security::Sdes {
                send: c,
                receive: d,
            },
        ) = (sides.alice.security, sides.bob.security)
        else {
            panic!("both sides protect")
        };
        assert_eq!((&a, &b), (&d, &c));
        assert_eq!((a.key, b.key), (vec![7; 30], vec![8; 30]));
    }
    let plain = exchange(&with(SrtpPolicy::Optional, 7, alice()), &bob());
    assert_eq!(
        (plain.alice.security, plain.bob.security),
        (Security::None, Security::None)
    );
}

#[test]
fn an_answer_with_a_key_nobody_offered() {
    let local = LocalMedia {
        srtp: srtp(SrtpPolicy::Required),
        ..alice()
    };
    let sides = exchange(
        &local,
        &LocalMedia {
            srtp: srtp(SrtpPolicy::Required),
            ..bob()
        },
    );
    let forged = sides
        .answer
        .to_string()
        .replace("crypto:1 AES", "crypto:9 AES");
    let illegal = complete(
        &sides.offer,
        &Session::parse(forged.as_bytes()).unwrap(),
        &Capabilities::g711(),
    )
    .unwrap_err();
    assert_eq!(
        illegal.violations[0].rule,
        Rule::Security(SecurityError::UnmatchedKey)
    );
    assert_eq!(illegal.tolerated, None);
    let stripped: String = sides
        .answer
        .to_string()
        .lines()
        .filter(|l| !l.starts_with("a=crypto"))
        .map(|l| format!("{l}\r\n"))
        .collect();
    let illegal = complete(
        &sides.offer,
        &Session::parse(stripped.as_bytes()).unwrap(),
        &Capabilities::g711(),
    )
    .unwrap_err();
    assert_eq!(
        illegal.violations[0].rule,
        Rule::Security(SecurityError::NoUsableKey)
    );
}

#[test]
fn one_side_starts_the_handshake() {
    let with = |local: LocalMedia| LocalMedia {
        dtls: Some(dtls()),
        rtcp_mux: true,
        ice: Some(ice(local.address, true)),
        ..local
    };
    let sides = exchange(&with(alice()), &with(bob()));
    let active = |side: &Negotiated| match &side.security {
        Security::Dtls {
            active,
            fingerprints,
        } if fingerprints == &[dtls().fingerprint] => *active,
        other => panic!("{other:?}"),
    };
    assert_eq!((active(&sides.alice), active(&sides.bob)), (false, true));
    assert!(sides.alice.rtcp_mux && sides.bob.rtcp_mux);
    assert_eq!(sides.bob.remote_rtcp, sides.bob.remote_rtp);
    assert_eq!(
        sides.alice.remote_rtp.unwrap().to_string(),
        "[2001:db8::2]:5000"
    );
}

#[test]
fn hold_move_and_resume() {
    let caps = Capabilities::g711();
    let first = exchange(&alice(), &bob());
    let held = hold(&first.offer);
    let (answered, at_bob) = answer(&wire(&held), &first.answer.origin, &bob(), &caps).unwrap();
    let answered = renew(&first.answer, answered);
    assert_eq!(
        (
            held.origin.session_version.as_str(),
            answered.origin.session_version.as_str()
        ),
        ("2", "2")
    );
    assert_eq!(at_bob[0].direction, Direction::RecvOnly);
    assert_eq!(
        complete(&held, &wire(&answered), &caps).unwrap()[0].direction,
        Direction::SendOnly
    );

    // Bob moves while he is held, with a new codec in front; the numbers in use stay.
    let moved = LocalMedia {
        direction: Direction::RecvOnly,
        ..LocalMedia::new("192.0.2.77".parse().unwrap(), 7000)
    };
    let wider = Capabilities {
        one_codec: false,
        ..Capabilities::new(vec![
            Codec::new(101, "L16", 16000),
            Codec::telephone_event(98, 8000),
            Codec::new(8, "PCMA", 8000),
        ])
    };
    let again = reoffer(&answered, &moved, &wider);
    assert_eq!(again.media[0].formats, ["96", "101", "8"]);
    assert_eq!(again.origin.session_version, "3");
    let (_, at_alice) = answer(&wire(&again), &held.origin, &alice(), &caps).unwrap();
    assert_eq!(
        at_alice[0].remote_rtp.as_ref().unwrap().to_string(),
        "192.0.2.77:7000"
    );
    assert_eq!(at_alice[0].direction, Direction::SendOnly);

    assert_eq!(
        resume(&held).media[0].direction(),
        Some(Direction::SendRecv)
    );
    let unchanged = answer(&wire(&first.offer), &first.answer.origin, &bob(), &caps)
        .unwrap()
        .0;
    assert_eq!(
        renew(&first.answer, unchanged),
        first.answer,
        "an unchanged answer keeps its version"
    );
}
