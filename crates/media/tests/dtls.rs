//! Two ends of a DTLS-SRTP handshake on a simulated network.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod world;

use std::time::Instant;

use media::Time;
use media::dtls::{Digest, Failure, Handshake, Identity};
use media::session::Protection;
use media::srtp::{Inbound, Outbound};
use world::Dice;

struct Pair {
    ends: [Handshake; 2],
    outcomes: [Option<Result<Protection, Failure>>; 2],
    now: Time,
    sent: [usize; 2],
}

fn digest(identity: &Identity) -> Vec<Digest> {
    vec![Digest {
        hash: "sha-256".to_owned(),
        octets: identity.fingerprint().to_vec(),
    }]
}

/// The first end is active.
fn pair(expected: impl Fn(usize, &[Identity; 2]) -> Vec<Digest>) -> Pair {
    let identities = [Identity::generate().unwrap(), Identity::generate().unwrap()];
    // Any instant will do for an epoch.
    #[allow(clippy::disallowed_methods, reason = "a test owns its clock")]
    let epoch = Instant::now();
    let ends = [0, 1].map(|me| {
        let other = expected(me, &identities);
        Handshake::new(&identities[me], me == 0, other, epoch, Time::ZERO).unwrap()
    });
    Pair {
        ends,
        outcomes: [None, None],
        now: Time::ZERO,
        sent: [0, 0],
    }
}

impl Pair {
    /// Runs for so many seconds while `loses` says what does not arrive.
    fn run(&mut self, seconds: u64, mut loses: impl FnMut() -> bool) {
        for _ in 0..seconds * 100 {
            self.now += Time::from_millis(10);
            for me in 0..2 {
                if self.ends[me].due().is_some_and(|due| due <= self.now) {
                    self.ends[me].run(self.now);
                }
                while let Some(bytes) = self.ends[me].poll_transmit() {
                    assert!(bytes.len() < 1300, "{}", bytes.len());
                    self.sent[me] += 1;
                    if !loses() {
                        self.ends[1 - me].handle(self.now, &bytes);
                    }
                }
                if let Some(outcome) = self.ends[me].poll_outcome() {
                    assert!(self.outcomes[me].is_none());
                    self.outcomes[me] = Some(outcome);
                }
            }
        }
    }

    /// What one end protects the other opens, both ways.
    fn check_keys(&self) {
        let keys = self.outcomes.each_ref().map(|outcome| match outcome {
            Some(Ok(Protection::Srtp { send, receive })) => (send, receive),
            other => panic!("{other:?}"),
        });
        for me in 0..2 {
            let plain = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3];
            let mut packet = plain.clone();
            Outbound::new(keys[me].0).protect_rtp(&mut packet).unwrap();
            let mut other = Inbound::new(keys[1 - me].1);
            other.unprotect_rtp(&mut packet).unwrap();
            assert_eq!(packet, plain);
        }
        assert_ne!(keys[0].0, keys[0].1);
    }
}

#[test]
fn keys_on_both_sides() {
    let mut pair = pair(|me, identities| digest(&identities[1 - me]));
    pair.run(1, || false);
    pair.check_keys();
    assert!(pair.sent.iter().all(|sent| *sent < 8), "{:?}", pair.sent);
}

#[test]
fn on_a_bad_network() {
    for seed in 1..40 {
        let mut dice = Dice(seed * 104_729);
        // The first numbers of small seeds are small.
        for _ in 0..20 {
            dice.bits();
        }
        let mut pair = pair(|me, identities| digest(&identities[1 - me]));
        pair.run(19, || dice.unit() < 0.15);
        pair.check_keys();
    }
}

#[test]
fn a_stranger_is_noticed_by_either_side() {
    for victim in 0..2 {
        let stranger = digest(&Identity::generate().unwrap());
        let mut pair = pair(|me, identities| {
            if me == victim {
                stranger.clone()
            } else {
                digest(&identities[1 - me])
            }
        });
        pair.run(25, || false);
        assert_eq!(pair.outcomes[victim], Some(Err(Failure::Stranger)));
        assert!(
            !matches!(pair.outcomes[1 - victim], Some(Ok(_))) || victim == 0,
            "{:?}",
            pair.outcomes
        );
    }
}

#[test]
fn only_the_right_hash_vouches() {
    for hash in ["sha-1", "sha-224", "sha-256", "sha-384", "sha-512", "md5"] {
        let mut pair = pair(|me, identities| {
            let mut expected = digest(&identities[1 - me]);
            expected[0].hash = hash.to_owned();
            expected
        });
        pair.run(1, || false);
        // The digest above is one of SHA-256: under any other name it is none.
        let agreed = matches!(pair.outcomes[0], Some(Ok(_)));
        assert_eq!(agreed, hash == "sha-256", "{hash}");
    }
}

#[test]
fn nobody_answers_and_garbage_does_no_harm() {
    let mut pair = pair(|me, identities| digest(&identities[1 - me]));
    pair.run(5, || true);
    for garbage in [&[22u8][..], &[22, 254, 253, 0, 0], &[20; 60], &[63; 200]] {
        for end in &mut pair.ends {
            end.handle(pair.now, garbage);
        }
    }
    assert_eq!(pair.outcomes, [None, None]);
    pair.run(4, || false);
    pair.check_keys();

    let mut pair = self::pair(|me, identities| digest(&identities[1 - me]));
    pair.run(25, || true);
    for outcome in &pair.outcomes {
        assert!(
            matches!(outcome, Some(Err(Failure::TimedOut))),
            "{outcome:?}"
        );
    }
    // Four times a second, and no more.
    assert!(pair.sent[0] <= 85, "{:?}", pair.sent);
}
