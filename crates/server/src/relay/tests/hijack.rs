//! Who a port listens to.

use super::*;

/// A phone that describes a private address and sends from elsewhere on the host that its signalling comes from.
fn behind_nat() -> (String, IpAddr) {
    let sdp = described("192.168.1.2".parse().unwrap(), 4000, "");
    (sdp, "127.0.0.1".parse().unwrap())
}

#[test]
fn a_phone_behind_translation_is_found_and_a_stranger_is_not() {
    let bench = Bench::new(14_000, 8);
    let mut call = bench.open(1);
    let (inside, translator) = behind_nat();
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let stranger = Phone::new("127.0.0.66", 0xbad);
    let to_b = call.offer(Side::Caller, 1, inside.as_bytes(), translator);
    let to_b = place(&to_b.unwrap(), 0);
    let to_a = call.answer(Side::Callee, 1, b.sdp("").as_bytes(), b.ip());
    let to_a = place(&to_a.unwrap(), 0);
    call.settle(1).unwrap();
    // Before: neither heard nor sent to.
    stranger.say(to_a, 1);
    stranger.say(to_a, 2);
    until(&call, None, |rtp| rtp.refused == 2);
    b.say(to_b, 1);
    until(&call, None, |rtp| rtp.unsent == 1);
    // The phone is heard from its first packet on, and sent to after its second.
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    a.say(to_a, 2);
    assert_eq!(b.hear(), (0xa, 2));
    b.say(to_b, 2);
    assert_eq!(a.hear(), (0xb, 2));
    // After: not even with the stream's own marks, and not after a silence.
    bench.pass(Duration::from_secs(60));
    for sequence in 3..6 {
        stranger.rtp.send_to(&rtp(0xa, sequence), to_a).unwrap();
    }
    until(&call, None, |rtp| rtp.refused == 5);
    b.say(to_b, 3);
    assert_eq!(a.hear(), (0xb, 3));
    assert_eq!(bench.relay.totals().refused.value(), 5);
    let side = call.statistics().into_iter().find(|s| s.fork.is_none());
    assert_eq!(side.unwrap().rtp.source, Some(a.rtp.local_addr().unwrap()));
}

#[test]
fn a_neighbour_takes_over_after_silence_alone() {
    let bench = Bench::new(14_020, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let neighbour = Phone::new("127.0.0.1", 0xc);
    let (to_a, to_b) = connect(&mut call, &a, &b);
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    for sequence in 1..=10 {
        neighbour.say(to_a, sequence);
    }
    until(&call, None, |rtp| rtp.refused == 10);
    b.say(to_b, 1);
    assert_eq!(a.hear(), (0xb, 1));
    bench.pass(Duration::from_secs(2));
    neighbour.say(to_a, 11);
    neighbour.say(to_a, 12);
    assert_eq!(b.hear(), (0xc, 12));
    b.say(to_b, 2);
    assert_eq!(neighbour.hear(), (0xb, 2));
}

#[test]
fn what_is_no_media_is_dropped() {
    let bench = Bench::new(14_040, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let (to_a, _) = connect(&mut call, &a, &b);
    let stun = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for junk in [&b"INVITE sip:x SIP/2.0"[..], b"", &stun, &[0x80, 0, 0, 1]] {
        a.rtp.send_to(junk, to_a).unwrap();
    }
    until(&call, None, |rtp| rtp.dropped == 4);
    a.say(to_a, 7);
    assert_eq!(b.hear(), (0xa, 7), "nothing else has passed before");
}

#[test]
fn nobody_is_flooded_through_a_port() {
    let limits = Limits {
        rate: 100,
        ..Limits::default()
    };
    let bench = Bench::with(14_060, 8, limits);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let (to_a, _) = connect(&mut call, &a, &b);
    for sequence in 1..=25 {
        a.say(to_a, sequence);
    }
    until(&call, None, |rtp| rtp.dropped == 15);
    for sequence in 1..=10 {
        assert_eq!(b.hear(), (0xa, sequence));
    }
    bench.pass(Duration::from_millis(100));
    a.say(to_a, 26);
    assert_eq!(b.hear(), (0xa, 26));
}
