//! Messages on connections, in both address families.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use net::{Limits, NetConfig};
use probe::{Ask, Heard, PATIENCE, answer, config, next, request, start, tcp_flow};
use sip::flow::{ConnectionId, Flow, Transport};

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn expect(stream: &mut TcpStream, want: &str) {
    let mut buffer = vec![0; want.len()];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer), want);
}

/// The peer is told that nothing more comes, in one way or the other.
fn expect_end(stream: &mut TcpStream) {
    let mut buffer = [0; 100];
    match stream.read(&mut buffer) {
        Ok(0) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("the connection should be closed: {other:?}"),
    }
}

fn listening(limits: Limits) -> NetConfig {
    NetConfig {
        limits,
        ..config(Transport::Tcp, "127.0.0.1:0")
    }
}

fn packet_flow(heard: Heard) -> Flow {
    match heard {
        Heard::Packet { flow, .. } => flow,
        other => panic!("a packet should be heard: {other:?}"),
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn messages_arrive_however_the_octets_are_cut() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (driver, local, heard) = start(config(Transport::Tcp, address), 2);
        let mut peer = connect(local);
        // Many in one write,
        let all: String = (1..=50).map(|n| request("merged", n)).collect();
        peer.write_all(all.as_bytes()).unwrap();
        // then one in many writes.
        for octet in request("split", 1).as_bytes() {
            peer.write_all(&[*octet]).unwrap();
        }
        for n in 1..=50 {
            expect(&mut peer, &answer("merged", n));
        }
        expect(&mut peer, &answer("split", 1));
        let flow = packet_flow(next(&heard));
        assert_eq!(
            (flow.local, flow.remote),
            (local, peer.local_addr().unwrap())
        );
        assert_ne!(flow.connection, ConnectionId::ANY);
        for _ in 0..50 {
            assert_eq!(packet_flow(next(&heard)), flow);
        }
        assert_eq!(driver.statistics().stream_messages_in.value(), 51);
    }
}

#[test]
fn one_connection_serves_a_peer_in_both_directions() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (driver, local, heard) = start(config(Transport::Tcp, address), 1);
        let listener = TcpListener::bind(address).unwrap();
        let flow = tcp_flow(local, listener.local_addr().unwrap());
        for n in 1..=3 {
            let ask = Ask::Send(flow, request("out", n));
            assert!(driver.post(0, ask).is_ok());
        }
        let mut peer = accept(&listener);
        for n in 1..=3 {
            expect(&mut peer, &request("out", n));
        }
        let there = peer.peer_addr().unwrap();
        assert_eq!(there.ip(), local.ip());
        assert_ne!(there, local, "from a port of its own");
        peer.write_all(request("back", 1).as_bytes()).unwrap();
        expect(&mut peer, &answer("back", 1));
        let arrived = packet_flow(next(&heard));
        assert_eq!((arrived.local, arrived.remote), (local, flow.remote));
        assert!(
            driver
                .post(0, Ask::Send(arrived, request("out", 4)))
                .is_ok()
        );
        expect(&mut peer, &request("out", 4));
        assert_eq!(driver.statistics().connections_started.value(), 1);
    }
}

#[test]
fn a_connection_that_is_gone_is_replaced() {
    let (driver, local, heard) = start(config(Transport::Tcp, "127.0.0.1:0"), 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let any = tcp_flow(local, listener.local_addr().unwrap());
    assert!(driver.post(0, Ask::Send(any, request("a", 1))).is_ok());
    let mut first = accept(&listener);
    expect(&mut first, &request("a", 1));
    first.write_all(request("b", 1).as_bytes()).unwrap();
    let named = packet_flow(next(&heard));
    expect(&mut first, &answer("b", 1));
    first.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut first);
    assert!(driver.post(0, Ask::Send(named, request("a", 2))).is_ok());
    let mut second = accept(&listener);
    expect(&mut second, &request("a", 2));
    second.write_all(request("b", 2).as_bytes()).unwrap();
    let renamed = packet_flow(next(&heard));
    assert_ne!(renamed.connection, named.connection);
    // Nobody listens any more: the failure bears the name that was asked for.
    expect(&mut second, &answer("b", 2));
    drop(listener);
    second.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut second);
    assert!(driver.post(0, Ask::Send(renamed, request("a", 3))).is_ok());
    assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == renamed));
}

#[test]
fn a_refused_connection_is_undeliverable() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (driver, local, heard) = start(config(Transport::Tcp, address), 1);
        let nobody = TcpListener::bind(address).unwrap().local_addr().unwrap();
        let flow = tcp_flow(local, nobody);
        assert!(driver.post(0, Ask::Send(flow, request("x", 1))).is_ok());
        assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
        let statistics = driver.statistics();
        assert_eq!(statistics.connections_failed.value(), 1);
        assert_eq!(statistics.connections_open.value(), 0);
    }
}

#[test]
fn a_connection_that_nobody_accepts_fails_in_time() {
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let remote = full.local_addr().unwrap().as_socket().unwrap();
    // The queue of the listener holds one; whoever comes next gets no answer at all.
    let _first = connect(remote);
    let (driver, local, heard) = start(
        listening(Limits {
            connect: Duration::from_millis(60),
            ..Limits::default()
        }),
        1,
    );
    let flow = tcp_flow(local, remote);
    assert!(driver.post(0, Ask::Send(flow, request("x", 1))).is_ok());
    assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
    assert_eq!(driver.statistics().connections_failed.value(), 1);
}

#[test]
fn what_was_not_written_when_a_connection_is_lost_is_undeliverable() {
    let limits = Limits {
        connection_pending: 256 << 20,
        ..Limits::default()
    };
    let (driver, local, heard) = start(listening(limits), 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = tcp_flow(local, listener.local_addr().unwrap());
    // More than the kernel's buffers take.
    let ask = Ask::Send(flow, "x".repeat(64 << 20));
    assert!(driver.post(0, ask).is_ok());
    let mut peer = accept(&listener);
    peer.read_exact(&mut [0; 1_000]).unwrap();
    drop(peer);
    assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
    assert_eq!(driver.statistics().connections_open.value(), 0);
}

#[test]
fn what_the_kernel_takes_in_pieces_arrives_whole() {
    let limits = Limits {
        connection_pending: 256 << 20,
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = tcp_flow(local, listener.local_addr().unwrap());
    let texts: Vec<String> = (0..60)
        .map(|n| format!("{n} ").repeat(50_000 + 7 * n))
        .collect();
    for text in &texts {
        assert!(driver.post(0, Ask::Send(flow, text.clone())).is_ok());
    }
    let mut peer = accept(&listener);
    for text in &texts {
        let mut buffer = vec![0; text.len()];
        peer.read_exact(&mut buffer).unwrap();
        assert!(buffer == text.as_bytes());
    }
}

#[test]
fn what_is_too_much_for_a_connection_is_dropped_and_told() {
    let limits = Limits {
        connection_pending: 2_000,
        ..Limits::default()
    };
    let (driver, local, heard) = start(listening(limits), 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = tcp_flow(local, listener.local_addr().unwrap());
    assert!(driver.post(0, Ask::Send(flow, "x".repeat(3_000))).is_ok());
    assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
    assert!(driver.post(0, Ask::Send(flow, request("x", 1))).is_ok());
    expect(&mut accept(&listener), &request("x", 1));
    assert_eq!(driver.statistics().stream_messages_dropped.value(), 1);
}

#[test]
fn a_ping_is_answered_and_a_pong_is_not() {
    let (driver, local, _heard) = start(config(Transport::Tcp, "127.0.0.1:0"), 1);
    let mut peer = connect(local);
    peer.write_all(b"\r\n\r\n").unwrap();
    expect(&mut peer, "\r\n");
    peer.write_all(format!("\r\n{}", request("p", 1)).as_bytes())
        .unwrap();
    expect(&mut peer, &answer("p", 1));
    assert_eq!(driver.statistics().stream_pings_in.value(), 1);
}

#[test]
fn connections_that_we_opened_are_kept_alive() {
    let config = NetConfig {
        keep_alive: Some(Duration::from_millis(20)),
        ..config(Transport::Tcp, "127.0.0.1:0")
    };
    let (driver, local, _heard) = start(config, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let flow = tcp_flow(local, listener.local_addr().unwrap());
    assert!(driver.post(0, Ask::Send(flow, request("k", 1))).is_ok());
    let mut peer = accept(&listener);
    expect(&mut peer, &request("k", 1));
    for _ in 0..3 {
        expect(&mut peer, "\r\n\r\n");
        peer.write_all(b"\r\n").unwrap();
    }
}

#[test]
fn a_message_without_an_end_is_answered_and_the_connection_closed() {
    for bad in ["Content-Length: 1x\r\n", "", "l: 99999999\r\n"] {
        let (driver, local, heard) = start(config(Transport::Tcp, "127.0.0.1:0"), 1);
        let mut peer = connect(local);
        let text = format!("OPTIONS sip:a SIP/2.0\r\nCall-ID: x\r\n{bad}\r\nand something more");
        peer.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("SIP/2.0 400 "), "{bad:?}: {answer:?}");
        let Heard::Packet { defect, .. } = next(&heard) else {
            panic!("the headers are handed on");
        };
        assert!(defect.is_some(), "{bad:?}");
        assert_eq!(driver.statistics().streams_broken.value(), 1);
    }
}

#[test]
fn what_is_no_sip_or_too_large_is_cut_off() {
    let large = "a".repeat(70_000);
    for rubbish in ["GET / HTTP/1.1\r\n\r\n", large.as_str()] {
        let (driver, local, _heard) = start(config(Transport::Tcp, "127.0.0.1:0"), 1);
        let mut peer = connect(local);
        peer.write_all(rubbish.as_bytes()).unwrap();
        expect_end(&mut peer);
        let statistics = driver.statistics();
        driver.shutdown(Duration::ZERO);
        assert_eq!(statistics.streams_broken.value(), 1);
        assert_eq!(statistics.connections_open.value(), 0);
        let kinds = statistics.scan_not_sip.value() + statistics.scan_too_large.value();
        assert_eq!(kinds, 1);
    }
}

#[test]
fn who_says_nothing_is_cut_off() {
    let limits = Limits {
        first_message: Duration::from_millis(30),
        idle: Duration::from_secs(60),
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let mut silent = connect(local);
    // Octets that make no message do not count.
    silent.write_all(b"OPTIONS").unwrap();
    expect_end(&mut silent);
    assert_eq!(driver.statistics().connections_idle.value(), 1);
}

#[test]
fn who_says_nothing_more_is_cut_off() {
    let limits = Limits {
        first_message: Duration::from_secs(60),
        idle: Duration::from_millis(30),
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let mut peer = connect(local);
    peer.write_all(request("i", 1).as_bytes()).unwrap();
    expect(&mut peer, &answer("i", 1));
    expect_end(&mut peer);
    assert_eq!(driver.statistics().connections_idle.value(), 1);
}

#[test]
fn a_source_may_not_take_all_connections() {
    let limits = Limits {
        connections_per_source: 2,
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let mut first = connect(local);
    let mut second = connect(local);
    for (n, peer) in [&mut first, &mut second].into_iter().enumerate() {
        peer.write_all(request("c", n).as_bytes()).unwrap();
        expect(peer, &answer("c", n));
    }
    expect_end(&mut connect(local));
    // Room comes back when one of them leaves.
    first.shutdown(std::net::Shutdown::Write).unwrap();
    expect_end(&mut first);
    let mut third = connect(local);
    third.write_all(request("c", 3).as_bytes()).unwrap();
    expect(&mut third, &answer("c", 3));
    expect_end(&mut connect(local));
    let statistics = driver.statistics();
    driver.shutdown(Duration::ZERO);
    assert_eq!(statistics.connections_accepted.value(), 3);
    assert_eq!(statistics.connections_refused.value(), 2);
}

#[test]
fn unfinished_messages_may_not_take_all_memory() {
    let limits = Limits {
        unfinished: 10_000,
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let mut patient = connect(local);
    patient
        .write_all(&request("u", 1).as_bytes()[..40])
        .unwrap();
    let mut greedy = connect(local);
    let head = format!("OPTIONS sip:a SIP/2.0\r\nX: {}", "x".repeat(10_000));
    greedy.write_all(head.as_bytes()).unwrap();
    expect_end(&mut greedy);
    patient
        .write_all(&request("u", 1).as_bytes()[40..])
        .unwrap();
    expect(&mut patient, &answer("u", 1));
    assert_eq!(driver.statistics().streams_broken.value(), 1);
}

#[test]
fn answers_to_many_reach_a_peer_that_reads_late() {
    let two = NetConfig {
        workers: 2,
        ..config(Transport::Tcp, "127.0.0.1:0")
    };
    let (_driver, local, _heard) = start(two, 4);
    const MANY: usize = 20_000;
    let mut peer = connect(local);
    let mut writing = peer.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for n in 0..MANY {
            writing.write_all(request("m", n).as_bytes()).unwrap();
        }
    });
    for n in 0..MANY {
        expect(&mut peer, &answer("m", n));
    }
    writer.join().unwrap();
}
