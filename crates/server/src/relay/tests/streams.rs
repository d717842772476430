//! Ports, families, reports, hold, and the end of media.

use super::*;
use crate::relay::RelayError;

#[test]
fn reports_pass_both_ways_beside_and_among_rtp() {
    let bench = Bench::new(14_100, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let (to_a, to_b) = connect(&mut call, &a, &b);
    let mut packet = [0; 64];
    for (from, to, at) in [(&a, to_a, &b), (&b, to_b, &a)] {
        from.rtcp.send_to(&report(from.ssrc), rtcp_of(to)).unwrap();
        let (length, source) = at.rtcp.recv_from(&mut packet).unwrap();
        assert_eq!(&packet[..length], report(from.ssrc));
        assert_eq!(source, rtcp_of(if at.ssrc == a.ssrc { to_a } else { to_b }));
        // rtcp-mux: where RTP goes, reports go.
        from.rtp.send_to(&report(from.ssrc), to).unwrap();
        let (length, _) = at.rtp.recv_from(&mut packet).unwrap();
        assert_eq!(&packet[..length], report(from.ssrc));
    }
    let sides = call.statistics();
    assert!(
        sides
            .iter()
            .all(|s| s.rtcp.packets == 1 && s.rtp.packets == 1),
        "{sides:?}"
    );
}

#[test]
fn ipv4_speaks_with_ipv6() {
    let bench = Bench::new(14_120, 8);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("::1", 0xb));
    let facing = |ip: &str| Facing::at(ip.parse().unwrap());
    let session = Session {
        key: 1,
        caller: facing("127.0.0.1"),
        callee: facing("::1"),
    };
    let mut call = bench.relay.open(session).unwrap();
    let (to_a, to_b) = connect(&mut call, &a, &b);
    assert!(to_a.is_ipv4() && to_b.is_ipv6());
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    b.say(to_b, 1);
    assert_eq!(a.hear(), (0xb, 1));
}

#[test]
fn a_leg_faces_the_family_that_its_phone_describes() {
    let bench = Bench::new(14_140, 8);
    let (a, b) = (Phone::new("::1", 0xa), Phone::new("127.0.0.1", 0xb));
    let mut call = bench.open(1);
    let (to_a, to_b) = connect(&mut call, &a, &b);
    assert!(to_a.is_ipv6() && to_b.is_ipv4());
    b.say(to_b, 1);
    assert_eq!(a.hear(), (0xb, 1));
    // Its ports are there: another family cannot be had any more.
    let moved = described("127.0.0.1".parse().unwrap(), 4000, "");
    let refused = call.offer(Side::Caller, 1, moved.as_bytes(), b.ip());
    let refused = refused.unwrap_err();
    assert!(matches!(refused, RelayError::Family { .. }), "{refused}");
    assert_eq!(refused.status(), 488);
}

#[test]
fn what_is_told_is_not_what_is_bound() {
    let bench = Bench::new(14_160, 8);
    let told = Facing {
        told: "203.0.113.1".parse().unwrap(),
        ..Facing::at("127.0.0.1".parse().unwrap())
    };
    let session = Session {
        key: 1,
        caller: told,
        callee: told,
    };
    let mut call = bench.relay.open(session).unwrap();
    let a = Phone::new("127.0.0.1", 0xa);
    let to_b = call.offer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip());
    assert_eq!(place(&to_b.unwrap(), 0).ip(), told.told);
}

#[test]
fn a_reoffer_keeps_the_ports_and_hold_keeps_the_way() {
    let bench = Bench::new(14_180, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let (to_a, to_b) = connect(&mut call, &a, &b);
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    for (hold, back) in [("a=sendonly\r\n", "a=recvonly\r\n"), ("", "")] {
        let offer = call.offer(Side::Callee, 1, b.sdp(hold).as_bytes(), b.ip());
        assert_eq!(place(&offer.unwrap(), 0), to_a);
        let answer = call.answer(Side::Caller, 1, a.sdp(back).as_bytes(), a.ip());
        assert_eq!(place(&answer.unwrap(), 0), to_b);
        b.say(to_b, 2);
        assert_eq!(a.hear(), (0xb, 2));
    }
    // Another address in a new offer counts from the answer on.
    let moved = Phone::new("127.0.0.1", 0xd);
    let offer = call.offer(Side::Callee, 1, moved.sdp("").as_bytes(), b.ip());
    assert_eq!(place(&offer.unwrap(), 0), to_a);
    a.say(to_a, 2);
    assert_eq!(b.hear(), (0xa, 2));
    call.answer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip())
        .unwrap();
    a.say(to_a, 3);
    assert_eq!(moved.hear(), (0xa, 3));
}

#[test]
fn streams_come_and_go() {
    let bench = Bench::new(14_200, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let video = Phone::new("127.0.0.1", 0xa2);
    let with = |p: &Phone, port: u16| {
        p.sdp(&format!(
            "m=video {port} RTP/AVP 96\r\nm=message 7394 TCP/MSRP *\r\n"
        ))
    };
    let mut agree = |port: u16, back: u16| {
        let offer = call.offer(Side::Caller, 1, with(&a, port).as_bytes(), a.ip());
        let offer = offer.unwrap();
        let answer = call.answer(Side::Callee, 1, with(&b, back).as_bytes(), b.ip());
        (offer, answer.unwrap(), call.statistics())
    };
    let (offer, answer, sides) = agree(video.port(), 0);
    assert_ne!(place(&offer, 1).port(), 0);
    assert_eq!(place(&answer, 1).port(), 0, "refused");
    assert_eq!(place(&answer, 2).port(), 7394, "not ours");
    assert_eq!(
        sides.len(),
        2,
        "the ports of the refused stream are free: {sides:?}"
    );
    let (_, answer, sides) = agree(video.port(), video.port());
    assert_eq!(sides.len(), 4);
    video.say(place(&answer, 1), 1);
    assert_eq!(
        video.hear(),
        (0xa2, 1),
        "both sides' video is one phone's here"
    );
    let (offer, _, sides) = agree(0, 0);
    assert_eq!(place(&offer, 1).port(), 0);
    assert_eq!(sides.len(), 2);
}

#[test]
fn encrypted_sound_passes_untouched() {
    let bench = Bench::new(14_220, 8);
    let mut call = bench.open(1);
    let a = Phone::new("127.0.0.1", 0xa);
    let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=setup:actpass\r\n\
                a=fingerprint:sha-256 4A:AD:B9:B1\r\n";
    let offer = a.sdp(keys);
    let out = call
        .offer(Side::Caller, 1, offer.as_bytes(), a.ip())
        .unwrap();
    assert!(String::from_utf8(out).unwrap().ends_with(keys));
}

#[test]
fn media_that_died_is_told() {
    let bench = Bench::new(14_240, 8);
    let minute = Duration::from_secs(60);
    let mut call = bench.open(7);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    call.offer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip())
        .unwrap();
    bench.pass(2 * minute);
    assert_eq!(bench.relay.dead(minute), [0u64; 0], "it rings");
    let (to_a, _) = connect(&mut call, &a, &b);
    bench.pass(minute - Duration::from_secs(1));
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    bench.pass(minute - Duration::from_secs(1));
    assert_eq!(bench.relay.dead(minute), [0u64; 0], "one side is alive");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.relay.dead(minute), [7]);
    // On hold nobody has to send.
    call.offer(Side::Caller, 1, a.sdp("a=sendonly\r\n").as_bytes(), a.ip())
        .unwrap();
    call.answer(Side::Callee, 1, b.sdp("a=recvonly\r\n").as_bytes(), b.ip())
        .unwrap();
    bench.pass(10 * minute);
    assert_eq!(bench.relay.dead(minute), [0u64; 0]);
    call.offer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip())
        .unwrap();
    call.answer(Side::Callee, 1, b.sdp("").as_bytes(), b.ip())
        .unwrap();
    assert_eq!(
        bench.relay.dead(minute),
        [0u64; 0],
        "the minute begins anew"
    );
    bench.pass(minute);
    assert_eq!(bench.relay.dead(minute), [7]);
    drop(call);
    assert_eq!(bench.relay.dead(minute), [0u64; 0]);
}

#[test]
fn bounds_hold_and_ports_come_back() {
    let limits = Limits {
        calls: 2,
        forks: 2,
        ..Limits::default()
    };
    let bench = Bench::with(14_260, 3, limits);
    let a = Phone::new("127.0.0.1", 0xa);
    let offer = a.sdp("");
    let mut first = bench.open(1);
    let second = bench.open(2);
    let here = Facing::at(a.ip());
    let session = |key| Session {
        key,
        caller: here,
        callee: here,
    };
    assert!(matches!(
        bench.relay.open(session(3)),
        Err(RelayError::TooManyCalls)
    ));
    drop(second);
    assert!(matches!(
        bench.relay.open(session(1)),
        Err(RelayError::Misuse(_))
    ));
    let mut second = bench.relay.open(session(2)).unwrap();
    first
        .offer(Side::Caller, 1, offer.as_bytes(), a.ip())
        .unwrap();
    // One pair of three is left, and a call needs two.
    let refused = second
        .offer(Side::Caller, 1, offer.as_bytes(), a.ip())
        .unwrap_err();
    assert_eq!(refused.status(), 503);
    assert!(
        refused.to_string().contains("no free pair of UDP ports"),
        "{refused}"
    );
    assert_eq!(second.statistics(), []);
    first
        .offer(Side::Caller, 2, offer.as_bytes(), a.ip())
        .unwrap();
    let refused = first.offer(Side::Caller, 3, offer.as_bytes(), a.ip());
    assert!(matches!(refused, Err(RelayError::TooManyForks)));
    let refused = second.offer(Side::Caller, 1, b"v=0\r\nnonsense", a.ip());
    assert_eq!(refused.unwrap_err().status(), 400);
    drop(first);
    // The thread closes them in its own time.
    let end = Instant::now() + PATIENCE;
    while second
        .offer(Side::Caller, 1, offer.as_bytes(), a.ip())
        .is_err()
    {
        assert!(Instant::now() < end, "the ports do not come back");
        std::thread::yield_now();
    }
    assert_eq!(bench.relay.calls(), 1);
}
