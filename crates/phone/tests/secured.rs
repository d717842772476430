//! Encrypted calls between two phones on the loopback address.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use phone::{Agreed, Cause, Event, Security, Settings, Sound, Srtp};
use support::{Side, connect_agreed, settings, start};

fn phone(user: &str, srtp: Srtp) -> Side {
    with_ice(user, srtp, false)
}

fn with_ice(user: &str, srtp: Srtp, ice: bool) -> Side {
    start(Settings {
        direct: Some("127.0.0.1".to_owned()),
        srtp,
        ice,
        ..settings(user)
    })
}

fn keys(keys: &str) -> Sound {
    Sound {
        keys: keys.to_owned(),
        ..Sound::default()
    }
}

/// Talks until a key was heard each way, and hangs up.
fn talk(alice: &Side, bob: &Side) -> [Agreed; 2] {
    let (out, agreed) = connect_agreed(alice, bob, keys("1"), keys("2"));
    assert_eq!(bob.key().0, '1');
    assert_eq!(alice.key().0, '2');
    alice.phone.hang_up(out);
    for side in [alice, bob] {
        let statistics = side.ended().statistics.unwrap();
        assert!(statistics.packets_received >= 15, "{statistics:?}");
        assert_eq!(statistics.packets_lost, 0, "{statistics:?}");
        assert_eq!(statistics.discarded, Default::default());
    }
    agreed
}

#[test]
fn wishes_that_fit() {
    use Srtp::{Off, Optional, Required};
    for (caller, callee, expected) in [
        (Required, Required, Security::Sdes),
        (Required, Optional, Security::Sdes),
        (Optional, Optional, Security::Sdes),
        (Optional, Off, Security::None),
        (Off, Optional, Security::None),
    ] {
        let agreed = talk(&phone("alice", caller), &phone("bob", callee));
        let suite = (expected == Security::Sdes).then_some("AES_CM_128_HMAC_SHA1_80");
        for side in agreed {
            assert_eq!(
                (side.security, side.suite),
                (expected, suite),
                "{caller:?} {callee:?}"
            );
        }
    }
}

#[test]
fn wishes_that_do_not_fit() {
    for (caller, callee) in [(Srtp::Required, Srtp::Off), (Srtp::Off, Srtp::Required)] {
        let (alice, bob) = (phone("alice", caller), phone("bob", callee));
        alice.phone.call(&bob.uri("bob"), Sound::default()).unwrap();
        bob.phone.answer(bob.incoming(), Sound::default()).unwrap();
        let cause = alice.ended().cause;
        assert!(
            matches!(&cause, Cause::Refused { status, .. } if status.0 == 488),
            "{cause:?}"
        );
    }
}

/// The suite that the handshake gave.
fn secured(side: &Side) -> &'static str {
    side.told("keys", |event| match event {
        Event::Secured { suite, .. } => Some(*suite),
        Event::SoundTrouble { message, .. } => panic!("{message}"),
        _ => None,
    })
}

#[test]
fn keys_from_a_handshake_outlive_a_hold() {
    for ice in [false, true] {
        let alice = with_ice("alice", Srtp::Dtls, ice);
        let bob = with_ice("bob", Srtp::Optional, ice);
        let (out, agreed) = connect_agreed(&alice, &bob, keys("1"), keys("2"));
        for side in &agreed {
            assert_eq!((side.security, side.suite), (Security::Dtls, None));
        }
        assert_eq!(secured(&alice), "AEAD_AES_128_GCM");
        assert_eq!(secured(&bob), "AEAD_AES_128_GCM");
        assert_eq!((bob.key().0, alice.key().0), ('1', '2'));
        for held in [true, false] {
            alice.phone.hold(out, held);
            for side in [&alice, &bob] {
                side.wait("change", |event| {
                    matches!(event, Event::MediaChanged { .. }).then_some(())
                });
            }
        }
        alice.phone.press(out, "3");
        assert_eq!(bob.key().0, '3');
        alice.phone.hang_up(out);
        for side in [&alice, &bob] {
            let discarded = side.ended().statistics.unwrap().discarded;
            assert_eq!((discarded.forged, discarded.malformed), (0, 0));
        }
    }
}

#[test]
fn a_way_is_found_where_both_look_for_one() {
    let path = |side: &Side| {
        side.told("path", |event| match event {
            Event::PathFound { remote, kind, .. } => Some((*remote, *kind)),
            _ => None,
        })
    };
    let (alice, bob) = (
        with_ice("alice", Srtp::Required, true),
        with_ice("bob", Srtp::Required, true),
    );
    let (out, [at_alice, at_bob]) = connect_agreed(&alice, &bob, keys("1"), keys("2"));
    assert_eq!(path(&alice), (at_bob.local, "host"));
    assert_eq!(path(&bob).0, at_alice.local);
    assert_eq!((bob.key().0, alice.key().0), ('1', '2'));
    alice.phone.hang_up(out);
    alice.ended();
    bob.ended();
    // Who is alone with it goes on as without.
    let carol = with_ice("carol", Srtp::Off, true);
    talk(&carol, &phone("bob", Srtp::Off));
    talk(&phone("alice", Srtp::Off), &carol);
}
