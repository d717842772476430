use core::time::Duration;

use net::Filter;
use sip::flow::Transport;

use super::*;

const STRANGER: &str = "203.0.113.7";

fn guard(limits: Limits) -> Guard {
    Guard::new(Clock::start(), limits)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn flow(transport: Transport, from: &str) -> Flow {
    Flow {
        transport,
        ..Flow::udp(
            "192.0.2.1:5060".parse().unwrap(),
            format!("{from}:4000").parse().unwrap(),
        )
    }
}

fn admits(guard: &Guard, now: Time, from: &str) -> bool {
    guard.admits(now, &flow(Transport::Udp, from), b"OPTIONS sip:a SIP/2.0")
}

fn wrong(guard: &Guard, now: Time, from: &str, user: &str, times: u32) {
    for _ in 0..times {
        guard.failed(now, ip(from), Some(user), Reason::WrongPasswords, true);
    }
}

#[test]
fn who_guesses_passwords_is_left_out_each_time_for_longer() {
    let guard = guard(Limits::default());
    let mut now = Time::from_micros(1_000_000);
    for (round, seconds) in [300, 600, 1200].into_iter().enumerate() {
        wrong(&guard, now, STRANGER, "alice@a", 19);
        assert!(admits(&guard, now, STRANGER), "round {round}");
        wrong(&guard, now, STRANGER, "alice@a", 1);
        assert!(!admits(&guard, now, STRANGER) && !guard.admits_connection(now, ip(STRANGER)));
        assert!(admits(&guard, now, "203.0.113.8"), "somebody else");
        let just_before = now + Duration::from_secs(seconds - 1);
        assert!(!admits(&guard, just_before, STRANGER), "round {round}");
        now += Duration::from_secs(seconds + 1);
        assert!(admits(&guard, now, STRANGER), "round {round}");
    }
    assert!(guard.counts().dropped >= 6);
}

#[test]
fn nobody_is_blocked_for_what_may_be_forged_and_trunks_never() {
    let guard = guard(Limits::default());
    let now = Time::from_micros(1_000_000);
    for _ in 0..1000 {
        guard.failed(now, ip(STRANGER), Some("a@b"), Reason::UnknownUsers, false);
    }
    assert!(admits(&guard, now, STRANGER));
    assert_eq!(guard.counts().unproven, 1000);
    guard.trust(vec![Network::parse("203.0.113.0/24").unwrap()]);
    wrong(&guard, now, STRANGER, "a@b", 1000);
    wrong(&guard, now, "127.0.0.1", "a@b", 1000);
    assert!(admits(&guard, now, STRANGER) && admits(&guard, now, "127.0.0.1"));
}

#[test]
fn one_wrong_phone_does_not_lock_its_office_out() {
    let guard = guard(Limits::default());
    let now = Time::from_micros(1_000_000);
    guard.succeeded(now, ip(STRANGER), "alice@a");
    wrong(&guard, now, STRANGER, "bob@a", 40);
    assert!(admits(&guard, now, STRANGER));
    assert!(guard.is_shut_out(now, ip(STRANGER), "bob@a"));
    assert!(!guard.is_shut_out(now, ip(STRANGER), "alice@a"));
    // Trying one user after the other is no way round.
    for n in 0..200 {
        wrong(&guard, now, STRANGER, &format!("user{n}@a"), 1);
    }
    assert!(!admits(&guard, now, STRANGER));
    assert!(guard.unblock(ip(STRANGER)));
    assert!(admits(&guard, now, STRANGER) && !guard.is_shut_out(now, ip(STRANGER), "bob@a"));
}

#[test]
fn a_source_sends_so_many_requests_a_second() {
    let guard = guard(Limits {
        requests_per_source: 10,
        ..Limits::default()
    });
    let mut now = Time::from_micros(1_000_000);
    let sent = |now| (0..100).filter(|_| admits(&guard, now, STRANGER)).count();
    assert_eq!(sent(now), 20, "two seconds' worth at once");
    now += Duration::from_secs(1);
    assert_eq!(sent(now), 10);
    assert!(
        guard.admits(now, &flow(Transport::Udp, STRANGER), b"SIP/2.0 200 OK"),
        "responses pass"
    );
    assert_eq!(guard.counts().throttled, 170);
    guard.set_limits(Limits::default());
    assert_eq!(sent(now), 100);
}

#[test]
fn memory_is_bounded() {
    let guard = guard(Limits::default());
    let now = Time::from_micros(1_000_000);
    for n in 0..200_000u32 {
        guard.failed(
            now,
            IpAddr::from(n.to_be_bytes()),
            Some("a@b"),
            Reason::WrongPasswords,
            true,
        );
    }
    let counts = guard.counts();
    assert!(counts.sources <= Guard::capacity(), "{counts:?}");
    assert_eq!(counts.sources as u64 + counts.forgotten, 200_000);
}
