//! Messages in frames of WebSocket, alone and inside TLS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;
mod secure;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use net::{Driver, Limits, NetConfig};
use probe::{Ask, Heard, PATIENCE, Probe, answer, config, next, raise_file_limit, request, start};
use rustls::version::TLS13;
use secure::{Authority, client, secure};
use sip::flow::{Flow, Transport};
use sip::wire::websocket::{Opcode, frame};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

/// The answer to the key of the RFC's example (RFC 6455 §1.3).
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn upgraded(to: SocketAddr) -> TcpStream {
    let mut stream = connect(to);
    upgrade(&mut stream);
    stream
}

fn upgrade(stream: &mut (impl Read + Write)) {
    stream.write_all(UPGRADE.as_bytes()).unwrap();
    let mut buffer = vec![0; UPGRADED.len()];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer), UPGRADED);
}

fn send(stream: &mut impl Write, opcode: Opcode, payload: &[u8]) {
    let octets = frame(opcode, payload, Some([9, 1, 7, 200]));
    stream.write_all(&octets).unwrap();
}

/// The next frame: its first octet, and its payload, which a server does not mask.
fn receive(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut more = [0; 2];
            stream.read_exact(&mut more).unwrap();
            u16::from_be_bytes(more).into()
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

fn expect(stream: &mut impl Read, first: u8, payload: &[u8]) {
    let (opcode, found) = receive(stream);
    let texts = (
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(payload),
    );
    assert_eq!((opcode, texts.0), (first, texts.1));
}

fn expect_end(stream: &mut impl Read) {
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
}

fn packet_flow(heard: &Receiver<Heard>) -> Flow {
    match next(heard) {
        Heard::Packet { flow, .. } => flow,
        other => panic!("a packet should be heard: {other:?}"),
    }
}

fn listening(limits: Limits) -> NetConfig {
    NetConfig {
        limits,
        ..config(Transport::Ws, "127.0.0.1:0")
    }
}

fn converse(
    mut peer: impl Read + Write,
    transport: Transport,
    driver: &Driver<Probe>,
    heard: &Receiver<Heard>,
) {
    upgrade(&mut peer);
    send(&mut peer, Opcode::Text, request("a", 1).as_bytes());
    expect(&mut peer, TEXT, answer("a", 1).as_bytes());
    let flow = packet_flow(heard);
    assert_eq!(flow.transport, transport);
    // In two frames, with a ping between, octet for octet.
    let text = request("pieces", 1);
    let (one, two) = text.as_bytes().split_at(20);
    let mut octets = frame(Opcode::Text, one, Some([1, 2, 3, 4]));
    octets[0] &= 0x7f;
    octets.extend(frame(Opcode::Ping, b"there?", Some([5, 6, 7, 8])));
    octets.extend(frame(Opcode::Continuation, two, Some([4, 3, 2, 1])));
    for octet in octets {
        peer.write_all(&[octet]).unwrap();
    }
    expect(&mut peer, PONG, b"there?");
    expect(&mut peer, TEXT, answer("pieces", 1).as_bytes());
    // Many at once.
    let mut octets = Vec::new();
    for n in 1..=50 {
        let text = request("many", n);
        octets.extend(frame(Opcode::Binary, text.as_bytes(), Some([3, 1, 3, 1])));
    }
    peer.write_all(&octets).unwrap();
    for n in 1..=50 {
        expect(&mut peer, TEXT, answer("many", n).as_bytes());
    }
    // The other way, more than a short frame holds, and octets that are no text.
    let long = request(&"x".repeat(3_000), 1);
    for text in [request("back", 1), long] {
        assert!(driver.post(0, Ask::Send(flow, text.clone())).is_ok());
        expect(&mut peer, TEXT, text.as_bytes());
    }
    send(&mut peer, Opcode::Text, b"\r\n\r\n");
    expect(&mut peer, TEXT, b"\r\n");
    send(&mut peer, Opcode::Close, &1000u16.to_be_bytes());
    expect(&mut peer, CLOSE, &1000u16.to_be_bytes());
    expect_end(&mut peer);
    let statistics = driver.statistics();
    assert_eq!(statistics.websockets_opened.value(), 1);
    assert_eq!(statistics.stream_messages_in.value(), 52);
}

#[test]
fn messages_arrive_in_frames_however_the_octets_are_cut() {
    let (driver, local, heard) = start(config(Transport::Ws, "127.0.0.1:0"), 1);
    converse(connect(local), Transport::Ws, &driver, &heard);
}

#[test]
fn the_same_inside_tls() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Wss, &authority);
    let (driver, local, heard) = start(config, 1);
    let peer = client(local, &authority.root(), &[&TLS13]);
    converse(peer, Transport::Wss, &driver, &heard);
}

#[test]
fn who_opens_the_websocket_too_slowly_is_cut_off() {
    let (driver, local, _heard) = start(
        listening(Limits {
            upgrade: Duration::from_millis(80),
            ..Limits::default()
        }),
        1,
    );
    let mut slow = connect(local);
    let begun = Instant::now();
    let mut sent = 0;
    // Octets that come all the time do not help.
    for octet in UPGRADE.bytes() {
        if slow.write_all(&[octet]).is_err() {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(
        sent < UPGRADE.len() || begun.elapsed() > Duration::from_millis(80),
        "it was not slow"
    );
    let refused = &driver.statistics().websockets_refused;
    assert!(matches!(slow.read(&mut [0; 10]), Ok(0) | Err(_)));
    assert_eq!(refused.value(), 1);
    assert_eq!(driver.statistics().websockets_opened.value(), 0);
}

#[test]
fn pongs_and_rubbish_are_no_first_message() {
    let (driver, local, _heard) = start(
        listening(Limits {
            first_message: Duration::from_millis(80),
            ..Limits::default()
        }),
        1,
    );
    let mut peer = upgraded(local);
    send(&mut peer, Opcode::Text, b"hello");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let octets = frame(Opcode::Pong, b"", Some([1; 4]));
        if peer.write_all(&octets).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(begun.elapsed() < PATIENCE, "it is never cut off");
    let statistics = driver.statistics();
    driver.shutdown(Duration::ZERO);
    assert_eq!(statistics.connections_idle.value(), 1);
    assert_eq!(statistics.scan_not_sip.value(), 1);
}

#[test]
fn a_websocket_is_pinged_and_stays_while_it_answers() {
    let (driver, local, _heard) = start(
        listening(Limits {
            idle: Duration::from_millis(200),
            websocket_ping: Duration::from_millis(50),
            ..Limits::default()
        }),
        1,
    );
    let mut peer = upgraded(local);
    send(&mut peer, Opcode::Text, request("a", 1).as_bytes());
    expect(&mut peer, TEXT, answer("a", 1).as_bytes());
    // Longer than it may be idle.
    for _ in 0..10 {
        expect(&mut peer, PING, b"");
        send(&mut peer, Opcode::Pong, b"");
    }
    send(&mut peer, Opcode::Text, request("a", 2).as_bytes());
    loop {
        let (opcode, payload) = receive(&mut peer);
        if opcode == TEXT {
            assert_eq!(payload, answer("a", 2).as_bytes());
            break;
        }
        send(&mut peer, Opcode::Pong, b"");
    }
    // And goes when it does not.
    loop {
        let (opcode, payload) = receive(&mut peer);
        if opcode == CLOSE {
            assert_eq!(payload, 1000u16.to_be_bytes());
            break;
        }
        assert_eq!(opcode, PING);
    }
    expect_end(&mut peer);
    assert_eq!(driver.statistics().connections_idle.value(), 1);
}

#[test]
fn a_websocket_that_is_gone_is_not_opened_from_here() {
    let (driver, local, heard) = start(config(Transport::Ws, "127.0.0.1:0"), 1);
    let mut peer = upgraded(local);
    send(&mut peer, Opcode::Text, request("a", 1).as_bytes());
    expect(&mut peer, TEXT, answer("a", 1).as_bytes());
    let flow = packet_flow(&heard);
    // Not even a close frame: it is gone as when a cable is pulled out.
    drop(peer);
    while driver.statistics().connections_open.value() > 0 {
        std::thread::yield_now();
    }
    // Who waits for an answer on it is told.
    assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = Flow {
        remote: listener.local_addr().unwrap(),
        ..flow
    };
    for flow in [flow, other] {
        assert!(driver.post(0, Ask::Send(flow, request("b", 1))).is_ok());
        assert!(matches!(next(&heard), Heard::Undeliverable(0, f) if f == flow));
    }
    assert_eq!(driver.statistics().flows_gone.value(), 2);
    assert_eq!(driver.statistics().connections_started.value(), 0);
}

#[test]
fn what_opens_no_websocket_gets_an_answer_of_http() {
    let origins = ["https://phone.example".to_owned()].into();
    let config = NetConfig {
        origins,
        ..config(Transport::Ws, "127.0.0.1:0")
    };
    let (driver, local, _heard) = start(config, 1);
    let with = |line: &str| UPGRADE.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426"),
        (UPGRADE.replace("Protocol: sip", "Protocol: chat"), "400"),
        (with("Origin: https://other.example"), "403"),
        (with("Origin: https://phone.example"), "101"),
        (request("a", 1), "400"),
    ] {
        let mut peer = connect(local);
        peer.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        peer.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{request}");
        if status != "101" {
            peer.read_to_end(&mut Vec::new()).unwrap();
        }
    }
    assert_eq!(driver.statistics().websockets_refused.value(), 4);
}

#[test]
fn who_breaks_the_protocol_hears_why() {
    let (driver, local, _heard) = start(config(Transport::Ws, "127.0.0.1:0"), 1);
    let unmasked = frame(Opcode::Text, b"x", None);
    let mut large = frame(Opcode::Text, b"", Some([0; 4]));
    large.splice(1..2, [0xff, 0, 0, 0, 1, 0, 0, 0, 0]);
    for (octets, code) in [(unmasked, 1002u16), (large, 1009)] {
        let mut peer = upgraded(local);
        peer.write_all(&octets).unwrap();
        expect(&mut peer, CLOSE, &code.to_be_bytes());
        expect_end(&mut peer);
    }
    assert_eq!(driver.statistics().streams_broken.value(), 2);
}

#[test]
fn a_network_that_stops_says_goodbye() {
    let (driver, local, _heard) = start(config(Transport::Ws, "127.0.0.1:0"), 1);
    let mut peer = upgraded(local);
    driver.shutdown(Duration::ZERO);
    expect(&mut peer, CLOSE, &1000u16.to_be_bytes());
    expect_end(&mut peer);
}

#[test]
fn many_idle_websockets_disturb_nobody() {
    const MANY: usize = 1_000;
    raise_file_limit();
    let limits = Limits {
        connections_per_source: 2 * MANY,
        ..Limits::default()
    };
    let (driver, local, _heard) = start(listening(limits), 1);
    let mut idle: Vec<TcpStream> = (0..MANY).map(|_| upgraded(local)).collect();
    let statistics = driver.statistics();
    assert_eq!(statistics.connections_open.value(), MANY as u64);
    for (n, peer) in idle.iter_mut().enumerate() {
        send(peer, Opcode::Text, request("i", n).as_bytes());
        expect(peer, TEXT, answer("i", n).as_bytes());
    }
}
