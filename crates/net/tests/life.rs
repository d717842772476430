//! Commands, timers, names, and the end of a network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use net::{NetConfig, PostError};
use probe::{Ask, Heard, PATIENCE, config, next, request, start, start_with, udp};
use sip::flow::{Flow, Transport};
use sip::resolve::{Query, QueryKind, Records};

#[test]
fn a_full_inbox_gives_the_command_back() {
    let mut config = config(Transport::Udp, "127.0.0.1:0");
    config.limits.inbox = 4;
    let (driver, ..) = start(config, 1);
    let (here, arrived) = channel();
    let (go, wait) = channel();
    assert!(driver.post(0, Ask::Hold(here, wait)).is_ok());
    arrived.recv_timeout(PATIENCE).unwrap();
    for _ in 0..4 {
        assert!(driver.post(0, Ask::WakeIn(Duration::ZERO)).is_ok());
    }
    let refused = driver.post(0, Ask::Panic);
    assert!(matches!(refused, Err(PostError::Full(Ask::Panic))));
    assert!(matches!(
        driver.post(9, Ask::Panic),
        Err(PostError::Full(_))
    ));
    assert_eq!(driver.statistics().inbox_full.value(), 2);
    go.send(()).unwrap();
    assert_eq!(driver.shutdown(PATIENCE).len(), 1);
}

#[test]
fn a_deadline_wakes_the_worker_that_minds_it() {
    let two = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let (driver, _, heard) = start(two, 2);
    let mut worst = Duration::ZERO;
    for n in 0..40 {
        let delay = Duration::from_micros(1_300 * (n % 7 + 1));
        assert!(driver.post(n as usize % 2, Ask::WakeIn(delay)).is_ok());
        let Heard::Timeout(wanted, now) = next(&heard) else {
            panic!("only the timer can be heard");
        };
        assert!(now >= wanted);
        worst = worst.max(now.since(wanted));
    }
    println!("latest timer: {worst:?}");
    // About one millisecond on an idle machine; this leaves room for a busy one.
    assert!(worst < Duration::from_millis(250), "{worst:?}");
}

#[test]
fn a_deadline_made_by_another_worker_is_minded_too() {
    let two = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    // The only shard is at home with one worker; the kernel gives about half of these senders to
    // the other one.
    let (_driver, local, heard) = start(two, 1);
    let peers: Vec<_> = (0..24).map(|_| udp("127.0.0.1:0")).collect();
    for (n, peer) in peers.iter().enumerate() {
        peer.send_to(request("wake", n).as_bytes(), local).unwrap();
        assert!(matches!(next(&heard), Heard::Packet { .. }));
        assert!(matches!(next(&heard), Heard::Timeout(..)));
    }
}

#[test]
fn an_idle_network_sleeps() {
    let (driver, _, heard) = start(config(Transport::Udp, "127.0.0.1:0"), 1);
    assert!(
        driver
            .post(0, Ask::WakeIn(Duration::from_millis(200)))
            .is_ok()
    );
    assert!(matches!(next(&heard), Heard::Timeout(..)));
    assert_eq!(driver.statistics().pauses.value(), 0);
}

#[test]
fn shutdown_says_goodbye_and_waits_for_the_answer() {
    let peer = udp("127.0.0.1:0");
    let remote = peer.local_addr().unwrap();
    let config = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let (driver, local, heard) = start_with(config, 1, |local| {
        Some((Flow::udp(local, remote), request("bye", 1)))
    });
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 2_000];
        let count = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], request("bye", 1).as_bytes());
        let bytes = b"SIP/2.0 200 OK\r\nCall-ID: bye\r\n\r\n";
        peer.send_to(bytes, local).unwrap();
    });
    let begin = Instant::now();
    assert_eq!(driver.shutdown(PATIENCE).len(), 1);
    assert!(
        begin.elapsed() < PATIENCE,
        "it does not wait for the grace to pass"
    );
    answering.join().unwrap();
    assert!(matches!(next(&heard), Heard::Stopped(0)));
    assert!(matches!(next(&heard), Heard::Packet { .. }));
}

#[test]
fn shutdown_does_not_wait_longer_than_it_may() {
    let silent = udp("127.0.0.1:0");
    let remote = silent.local_addr().unwrap();
    let config = config(Transport::Udp, "127.0.0.1:0");
    let (driver, ..) = start_with(config, 1, |local| {
        Some((Flow::udp(local, remote), request("bye", 1)))
    });
    let remote_control = driver.remote();
    let begin = Instant::now();
    driver.shutdown(Duration::from_millis(50));
    assert!(begin.elapsed() >= Duration::from_millis(50));
    assert!(begin.elapsed() < PATIENCE);
    let late = remote_control.post(0, Ask::Panic);
    assert!(matches!(late, Err(PostError::Stopped(_))));
}

#[test]
fn a_panic_ends_the_whole_network() {
    let two = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let (driver, ..) = start(two, 2);
    assert!(driver.is_running());
    assert!(driver.post(0, Ask::Panic).is_ok());
    let begin = Instant::now();
    while driver.is_running() && begin.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert!(!driver.is_running());
    assert!(matches!(
        driver.post(1, Ask::Panic),
        Err(PostError::Stopped(_))
    ));
    assert_eq!(driver.shutdown(PATIENCE).len(), 2);
}

#[test]
fn names_of_the_hosts_file_are_answered() {
    let (driver, _, heard) = start(config(Transport::Udp, "127.0.0.1:0"), 1);
    let query = Query {
        name: "localhost".to_owned(),
        kind: QueryKind::A,
    };
    assert!(driver.post(0, Ask::Query(query)).is_ok());
    let Heard::Answer(_, answer) = next(&heard) else {
        panic!("only the answer can be heard");
    };
    let Ok(Records::A(addresses)) = answer.records else {
        panic!("localhost has an address: {answer:?}");
    };
    assert!(addresses.iter().all(|a| a.is_loopback()) && !addresses.is_empty());
    assert_eq!(driver.statistics().dns_queries.value(), 1);
}
