//! Several phones ring, and one answers.

use super::*;

fn answer(call: &mut RelayedCall, fork: u32, phone: &Phone) -> SocketAddr {
    let sdp = phone.sdp("");
    let answer = call.answer(Side::Callee, fork, sdp.as_bytes(), phone.ip());
    place(&answer.unwrap(), 0)
}

#[test]
fn each_fork_has_its_ports_and_the_winner_stays() {
    let bench = Bench::new(14_300, 8);
    let mut call = bench.open(1);
    let a = Phone::new("127.0.0.1", 0xa);
    let (b, c) = (Phone::new("127.0.0.1", 0xb), Phone::new("127.0.0.1", 0xc));
    let mut offer = |fork| {
        let out = call.offer(Side::Caller, fork, a.sdp("").as_bytes(), a.ip());
        place(&out.unwrap(), 0)
    };
    let (to_b, to_c) = (offer(1), offer(2));
    assert_ne!(to_b, to_c);
    let to_a = answer(&mut call, 1, &b);
    assert_eq!(answer(&mut call, 2, &c), to_a, "one port for the caller");
    // The caller reaches both, of whom one at a time is heard.
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    assert_eq!(c.hear(), (0xa, 1));
    b.say(to_b, 1);
    assert_eq!(a.hear(), (0xb, 1));
    c.say(to_c, 1);
    until(&call, Some(2), |rtp| rtp.packets == 1);
    b.say(to_b, 2);
    assert_eq!(a.hear(), (0xb, 2));
    bench.pass(Duration::from_secs(1));
    c.say(to_c, 2);
    assert_eq!(a.hear(), (0xc, 2));
    assert_eq!(bench.relay.totals().unheard.value(), 1);
    call.settle(1).unwrap();
    b.say(to_b, 3);
    assert_eq!(a.hear(), (0xb, 3));
    a.say(to_a, 2);
    assert_eq!(b.hear(), (0xa, 2));
    let forks: Vec<_> = call.statistics().iter().map(|s| s.fork).collect();
    assert_eq!(forks, [None, Some(1)]);
}

#[test]
fn a_request_that_forks_beyond_us_shares_a_leg() {
    let bench = Bench::new(14_320, 8);
    let mut call = bench.open(1);
    let a = Phone::new("127.0.0.1", 0xa);
    let (b, c) = (Phone::new("127.0.0.2", 0xb), Phone::new("127.0.0.3", 0xc));
    let out = call.offer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip());
    let shared = place(&out.unwrap(), 0);
    let to_a = answer(&mut call, 1, &b);
    b.say(shared, 1);
    assert_eq!(a.hear(), (0xb, 1));
    assert_eq!(answer(&mut call, 9, &c), to_a);
    c.say(shared, 1);
    assert_eq!(a.hear(), (0xc, 1));
    b.say(shared, 2);
    until(&call, Some(1), |rtp| rtp.refused == 1);
    // The first one answers after all.
    call.settle(1).unwrap();
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    b.say(shared, 3);
    assert_eq!(a.hear(), (0xb, 3));
    assert!(call.settle(9).is_err());
}

#[test]
fn the_callee_may_offer() {
    let bench = Bench::new(14_340, 8);
    let mut call = bench.open(1);
    let (a, b) = (Phone::new("127.0.0.1", 0xa), Phone::new("127.0.0.1", 0xb));
    let out = call.offer(Side::Callee, 1, b.sdp("").as_bytes(), b.ip());
    let to_a = place(&out.unwrap(), 0);
    let out = call.answer(Side::Caller, 1, a.sdp("").as_bytes(), a.ip());
    let to_b = place(&out.unwrap(), 0);
    call.settle(1).unwrap();
    a.say(to_a, 1);
    assert_eq!(b.hear(), (0xa, 1));
    b.say(to_b, 1);
    assert_eq!(a.hear(), (0xb, 1));
    assert!(
        call.answer(Side::Callee, 5, b.sdp("").as_bytes(), b.ip())
            .is_err()
    );
}
