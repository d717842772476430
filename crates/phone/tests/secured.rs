//! Encrypted calls between two phones on the loopback address.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use phone::{Agreed, Cause, Security, Settings, Sound, Srtp};
use support::{Side, connect_agreed, settings, start};

fn phone(user: &str, srtp: Srtp) -> Side {
    start(Settings {
        direct: Some("127.0.0.1".to_owned()),
        srtp,
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
