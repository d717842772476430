//! Thousands of damaged descriptions: nothing panics, what is accepted prints and parses to itself, our answers stay legal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use sdp::negotiate::Role;
use sdp::{
    Capabilities, Origin, Session, answer, complete, hold, outcome, reoffer, resume, violations,
};
use support::{cases, rich_phone};

/// xorshift64*: reproducible, and no source of randomness is needed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        if bound == 0 {
            0
        } else {
            usize::try_from(high).unwrap() % bound
        }
    }
}

const WORDS: [&str; 24] = [
    "\r",
    "\n",
    "\r\n",
    " ",
    "  ",
    ":",
    "/",
    "=",
    "a=",
    "m=audio 0 RTP/AVP 0\r\n",
    "c=IN IP4 0.0.0.0\r\n",
    "t=0 0\r\n",
    "v=0\r\n",
    "a=rtpmap:0 PCMU/0\r\n",
    "a=inactive\r\n",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:\r\n",
    "a=rtcp:65535\r\n",
    "r=1\r\n",
    "a=group:BUNDLE 0\r\n",
    "65536",
    "-1",
    "\u{e9}",
    "\0",
    "18446744073709551616",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(12)).min(bytes.len());
    match random.below(7) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.truncate(at),
        2 => bytes[at..end]
            .iter_mut()
            .for_each(|b| *b = u8::try_from(random.below(256)).unwrap()),
        3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].bytes())),
        4 => bytes[at..end]
            .iter_mut()
            .filter(|b| b.is_ascii_digit())
            .for_each(|b| *b = b'0' + u8::try_from(random.below(10)).unwrap()),
        _ => {
            let mut lines: Vec<Vec<u8>> = bytes
                .split_inclusive(|b| *b == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            let (from, to) = (random.below(lines.len()), random.below(lines.len()));
            if let Some(line) = lines.get(from).cloned() {
                lines.insert(to, line);
            }
            *bytes = lines.concat();
        }
    }
}

#[test]
fn damaged_descriptions() {
    let cases = cases();
    let mut seeds = Vec::new();
    for (kind, key) in [
        ("example", "file"),
        ("exchange", "offer"),
        ("exchange", "answer"),
        ("offer", "file"),
    ] {
        seeds.extend(
            cases
                .tables(kind, 31, 1)
                .iter()
                .map(|case| cases.read(case[key].as_str().unwrap())),
        );
    }
    let mut random = Random(0x5EED_0000_0000_0001);
    let (mut accepted, mut answered) = (0, 0);
    let rounds = 20_000;
    for round in 0..rounds {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let Ok(session) = Session::parse(&bytes) else {
            continue;
        };
        accepted += 1;
        let printed = session.to_string();
        assert_eq!(
            Session::parse(printed.as_bytes()).as_ref(),
            Ok(&session),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        answered += usize::from(negotiate(&session, &seeds[random.below(seeds.len())]));
    }
    println!("{rounds} damaged descriptions: {accepted} accepted, {answered} answered");
    assert!(
        accepted > rounds / 4 && answered > rounds / 20,
        "{accepted} {answered}"
    );
}

/// Runs everything that reads a description; true when it was answered as an offer.
fn negotiate(session: &Session, other: &[u8]) -> bool {
    let caps = Capabilities {
        one_codec: false,
        ..Capabilities::g711()
    };
    let local = rich_phone("192.0.2.250");
    if let Ok(other) = Session::parse(other) {
        let _ = (
            complete(&other, session, &caps),
            complete(session, &other, &caps),
        );
        outcome(&other, session, Role::Answerer, &caps);
    }
    for next in [
        hold(session),
        resume(session),
        reoffer(session, &local, &caps),
    ] {
        assert!(next.media.len() >= session.media.len());
        let reread = Session::parse(next.to_string().as_bytes());
        assert_eq!(reread.map(|s| s.to_string()), Ok(next.to_string()));
    }
    let Ok((ours, streams)) = answer(session, &Origin::new("-", 1, local.address), &local, &caps)
    else {
        return false;
    };
    assert_eq!(violations(session, &ours), [], "{session}\n{ours}");
    assert_eq!(streams.len(), session.media.len());
    for (stream, line) in streams.iter().zip(&ours.media) {
        assert_eq!(stream.accepted, line.port != 0, "{session}\n{ours}");
        assert!(!stream.accepted || stream.send.is_some(), "{session}");
    }
    true
}
