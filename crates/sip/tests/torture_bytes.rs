//! The fuzz seeds, and thousands of damaged copies of them, as messages, headers, URIs and streams.

use std::path::{Path, PathBuf};

use sip::random::Random;
use testkit::{bytes, ops};

/// The seeds of one fuzz target, and what the fuzzer found once.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    files.iter().filter_map(|f| std::fs::read(f).ok()).collect()
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [&[u8]; 14] = [
        b"\r\n",
        b"\n",
        b" ",
        b"\t",
        b",",
        b";",
        b"<",
        b">",
        b"\"",
        b"\\",
        b"\0",
        b"4294967296",
        b";lr",
        b"sip:",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let end = (at + random.below(10) as usize).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|b| *b = random.below(256) as u8),
            3 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => drop(bytes.splice(at..at, WORDS[random.below(14) as usize].iter().copied())),
        }
    }
}

fn run(target: &str, rounds: usize, check: fn(&[u8])) {
    let seeds = seeds(target);
    let mut random = Random::new([11; 32]);
    for seed in &seeds {
        check(seed);
    }
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        damage(&mut bytes, &mut random);
        let outcome = std::panic::catch_unwind(|| check(&bytes));
        assert!(
            outcome.is_ok(),
            "{target}: {:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    println!("{target}: {} seeds, {rounds} damaged copies", seeds.len());
}

#[test]
fn damaged_messages() {
    run("packet", 4000, bytes::packet);
}

#[test]
fn damaged_headers() {
    run("headers", 20_000, bytes::headers);
}

#[test]
fn damaged_uris() {
    run("uri", 20_000, bytes::uri);
}

#[test]
fn damaged_streams() {
    run("stream", 4000, bytes::stream);
    run("websocket", 1000, bytes::websocket);
}

#[test]
fn damaged_sequences() {
    run("endpoint_ops", 300, |data| {
        ops::run(data);
    });
}
