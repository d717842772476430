//! Random sequences of messages, time and commands: an endpoint never panics and never keeps anything.

use sip::random::Random;
use testkit::ops::{self, Tally};

const SEQUENCES: u64 = 3000;

#[test]
fn whatever_happens_everything_ends() {
    let mut total = Tally::default();
    for seed in 0..SEQUENCES {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = Random::new(bytes);
        let length = 50 + random.below(600);
        let data: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let tally = std::panic::catch_unwind(|| ops::run(&data))
            .unwrap_or_else(|_| panic!("sequence {seed}"));
        total.operations += tally.operations;
        total.transmitted += tally.transmitted;
        total.asked += tally.asked;
        total.established += tally.established;
        total.transferred += tally.transferred;
        total.notified += tally.notified;
        total.acknowledged += tally.acknowledged;
        total.changed += tally.changed;
    }
    println!("{total:?}");
    assert!(total.asked > 4000 && total.established > 50, "{total:?}");
    assert!(total.acknowledged > 2 && total.changed > 5, "{total:?}");
    assert!(total.transferred > 10 && total.notified > 10, "{total:?}");
}
