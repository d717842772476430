//! Messages in datagrams, in both address families.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::{Direction, Driver, Machine, NetConfig, NetError, Outputs, Tap, shard_of};
use probe::{Ask, Heard, PATIENCE, answer, config, next, request, start, udp};
use sip::endpoint::Input;
use sip::flow::{Flow, Transmit, Transport};
use sip::time::Time;

#[test]
fn a_datagram_arrives_and_its_answer_returns() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (driver, local, heard) = start(config(Transport::Udp, address), 3);
        let peer = udp(address);
        peer.send_to(request("one", 1).as_bytes(), local).unwrap();
        let mut buffer = [0; 2_000];
        let (count, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], answer("one", 1).as_bytes());
        assert_eq!(from, local);
        let Heard::Packet { shard, flow, .. } = next(&heard) else {
            panic!("a packet comes first");
        };
        assert_eq!(flow, Flow::udp(local, peer.local_addr().unwrap()));
        assert_eq!(shard, shard_of(b"one", 3));
        assert_eq!(driver.shutdown(Duration::ZERO).len(), 3);
    }
}

#[test]
fn keep_alives_and_rubbish_are_counted_and_go_no_further() {
    let (driver, local, heard) = start(config(Transport::Udp, "127.0.0.1:0"), 1);
    let peer = udp("127.0.0.1:0");
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"\r\n",
        b"\0\0\0\0",
        b"hello\r\n\r\n",
    ] {
        peer.send_to(bytes, local).unwrap();
    }
    peer.send_to(request("good", 1).as_bytes(), local).unwrap();
    assert!(matches!(next(&heard), Heard::Packet { .. }));
    let statistics = driver.statistics();
    driver.shutdown(Duration::ZERO);
    assert_eq!(statistics.datagrams_in.value(), 6);
    assert_eq!(statistics.keep_alives_in.value(), 3);
    assert_eq!(statistics.scan_not_sip.value(), 2);
    assert!(heard.try_iter().all(|h| matches!(h, Heard::Stopped(_))));
}

#[test]
fn a_closed_port_is_reported_to_every_shard() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (driver, local, heard) = start(config(Transport::Udp, address), 2);
        let nobody = udp(address).local_addr().unwrap();
        let flow = Flow::udp(local, nobody);
        let ask = Ask::Send(flow, request("x", 1));
        assert!(driver.post(0, ask).is_ok());
        let mut told = [false; 2];
        while told != [true; 2] {
            let Heard::Undeliverable(shard, failed) = next(&heard) else {
                panic!("nothing else is to be heard");
            };
            assert_eq!(failed, flow);
            told[shard] = true;
        }
    }
}

#[test]
fn one_refusal_does_not_cost_another_peer_its_datagrams() {
    let (driver, local, heard) = start(config(Transport::Udp, "127.0.0.1:0"), 1);
    let nobody = udp("127.0.0.1:0").local_addr().unwrap();
    let peer = udp("127.0.0.1:0");
    let there = peer.local_addr().unwrap();
    // All at once, so that a system call ends with the datagram that is refused and the next one
    // meets its error.
    let (here, arrived) = channel();
    let (go, wait) = channel();
    assert!(driver.post(0, Ask::Hold(here, wait)).is_ok());
    arrived.recv_timeout(PATIENCE).unwrap();
    for n in 0..192 {
        let remote = if n % 32 == 31 { nobody } else { there };
        let ask = Ask::Send(Flow::udp(local, remote), request("x", n));
        assert!(driver.post(0, ask).is_ok());
    }
    go.send(()).unwrap();
    let mut buffer = [0; 2_000];
    for n in (0..192).filter(|n| n % 32 != 31) {
        let count = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], request("x", n).as_bytes());
    }
    let Heard::Undeliverable(_, flow) = next(&heard) else {
        panic!("the closed port is reported");
    };
    assert_eq!(flow.remote, nobody);
    assert_eq!(driver.statistics().datagrams_failed.value(), 0);
}

#[test]
fn a_flow_from_an_address_that_is_not_ours_is_undeliverable() {
    let (driver, _, heard) = start(config(Transport::Udp, "127.0.0.1:0"), 1);
    let flow = Flow::udp(
        "192.0.2.1:5060".parse().unwrap(),
        "127.0.0.1:9".parse().unwrap(),
    );
    assert!(driver.post(0, Ask::Send(flow, request("x", 1))).is_ok());
    assert!(matches!(next(&heard), Heard::Undeliverable(_, f) if f == flow));
    assert_eq!(driver.statistics().no_such_flow.value(), 1);
}

#[test]
fn a_taken_port_is_an_error_whatever_the_number_of_workers() {
    for workers in [1, 2] {
        let held = udp("127.0.0.1:0");
        let address = held.local_addr().unwrap();
        let config = NetConfig {
            workers,
            ..NetConfig::new(vec![(Transport::Udp, address)])
        };
        let Err(error) = Driver::<probe::Probe>::start(config, |_| Vec::new()) else {
            panic!("the port is taken");
        };
        assert!(matches!(error, NetError::Listen { .. }));
        assert!(error.to_string().contains("already in use"), "{error}");
    }
}

#[test]
fn two_networks_do_not_share_a_port_by_accident() {
    let two = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let (_first, local, _heard) = start(two.clone(), 1);
    for transport in [Transport::Udp, Transport::Tcp] {
        let again = NetConfig {
            listen: vec![(transport, local)],
            ..two.clone()
        };
        let started = Driver::<probe::Probe>::start(again, |_| Vec::new());
        let taken = matches!(started, Err(NetError::Listen { .. }));
        assert_eq!(taken, transport == Transport::Udp, "{transport}");
    }
}

#[test]
fn an_unspecified_address_becomes_one_listener_for_each_of_ours() {
    let (driver, ..) = start(config(Transport::Udp, "0.0.0.0:0"), 1);
    let ours = net::interfaces().unwrap();
    let ours: Vec<_> = ours.iter().filter(|(ip, _)| ip.is_ipv4()).collect();
    assert_eq!(driver.listeners().len(), ours.len());
    for (listener, (ip, prefix)) in driver.listeners().iter().zip(ours) {
        assert_eq!((listener.local.ip(), listener.prefix), (*ip, *prefix));
        assert_ne!(listener.local.port(), 0);
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(Direction, Flow, Vec<u8>)>>);

impl Tap for Seen {
    fn packet(&self, direction: Direction, flow: &Flow, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap()
            .push((direction, *flow, bytes.to_vec()));
    }
}

#[test]
fn a_tap_sees_both_directions() {
    let seen = Arc::new(Seen::default());
    let config = NetConfig {
        tap: Some(seen.clone()),
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let (driver, local, _heard) = start(config, 1);
    let peer = udp("127.0.0.1:0");
    peer.send_to(request("t", 1).as_bytes(), local).unwrap();
    peer.recv(&mut [0; 2_000]).unwrap();
    driver.shutdown(Duration::ZERO);
    let flow = Flow::udp(local, peer.local_addr().unwrap());
    let want = vec![
        (Direction::In, flow, request("t", 1).into_bytes()),
        (Direction::Out, flow, answer("t", 1).into_bytes()),
    ];
    assert_eq!(*seen.0.lock().unwrap(), want);
}

/// Answers each request and sends a copy, numbered within the shard, to one observer.
struct Copier {
    observer: SocketAddr,
    shard: usize,
    count: usize,
    last: HashMap<Vec<u8>, usize>,
}

impl Machine for Copier {
    type Command = ();

    fn start(&mut self, _: Time, _: &mut Outputs) -> Option<Time> {
        None
    }

    fn input(&mut self, _: Time, input: Input<'_>, out: &mut Outputs) -> Option<Time> {
        let Input::Packet { flow, packet } = input else {
            return None;
        };
        let n = number(packet.bytes());
        let last = self.last.entry(packet.call_id().to_vec()).or_default();
        assert_eq!(n, *last + 1, "messages of one call arrive in order");
        *last = n;
        self.count += 1;
        let copy = format!("{} {}", self.shard, self.count);
        out.transmit(Transmit {
            flow: Flow::udp(flow.local, self.observer),
            bytes: copy.into(),
        });
        out.transmit(Transmit {
            flow,
            bytes: packet.bytes().to_vec().into(),
        });
        None
    }

    fn command(&mut self, _: Time, (): (), _: &mut Outputs) -> Option<Time> {
        None
    }

    fn stop(&mut self, _: Time, _: &mut Outputs) -> Option<Time> {
        None
    }

    fn is_idle(&self) -> bool {
        true
    }
}

/// The CSeq number of a [`request`].
fn number(bytes: &[u8]) -> usize {
    let text = std::str::from_utf8(bytes).unwrap();
    let at = text.find("CSeq: ").unwrap() + 6;
    text[at..].split(' ').next().unwrap().parse().unwrap()
}

const SENDERS: usize = 10;
const EACH: usize = 10_000;
const CALLS: usize = 5;
const WINDOW: usize = 24;

/// Sends [`EACH`] requests of several calls and checks that the answers of each call are in order.
fn converse(sender: usize, to: SocketAddr) {
    let socket = udp("127.0.0.1:0");
    let call = |n: usize| format!("{sender}-{}", n % CALLS);
    let mut buffer = [0; 2_000];
    let mut seen = [0; CALLS];
    let mut sent = 0;
    for answered in 0..EACH {
        while sent < EACH && sent < answered + WINDOW {
            let text = request(&call(sent), sent / CALLS + 1);
            socket.send_to(text.as_bytes(), to).unwrap();
            sent += 1;
        }
        let count = socket.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        let which = (0..CALLS)
            .find(|c| text.contains(&format!("Call-ID: {}\r\n", call(*c))))
            .unwrap();
        seen[which] += 1;
        assert_eq!(number(&buffer[..count]), seen[which]);
    }
}

/// Counts the copies; those of one shard come in the order in which they were made.
fn observe(observer: &UdpSocket) {
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut buffer = [0; 100];
    for _ in 0..SENDERS * EACH {
        let count = observer.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        let (shard, n) = text.split_once(' ').unwrap();
        let last = last.entry(shard.parse().unwrap()).or_default();
        let n: usize = n.parse().unwrap();
        assert_eq!(n, *last + 1, "shard {shard}");
        *last = n;
    }
    assert_eq!(last.values().sum::<usize>(), SENDERS * EACH);
    assert_eq!(last.len(), 4, "every shard has had its share");
}

#[test]
fn nothing_of_a_call_is_reordered_by_two_workers() {
    let observer = udp("127.0.0.1:0");
    socket2::SockRef::from(&observer)
        .set_recv_buffer_size(4 << 20)
        .unwrap();
    let config = NetConfig {
        workers: 2,
        ..config(Transport::Udp, "127.0.0.1:0")
    };
    let address = observer.local_addr().unwrap();
    let copier = |shard| Copier {
        observer: address,
        shard,
        count: 0,
        last: HashMap::new(),
    };
    let driver = Driver::start(config, |_| (0..4).map(copier).collect()).unwrap();
    let local = driver.listeners()[0].local;
    std::thread::scope(|scope| {
        scope.spawn(|| observe(&observer));
        for sender in 0..SENDERS {
            scope.spawn(move || converse(sender, local));
        }
    });
    let statistics = driver.statistics();
    driver.shutdown(PATIENCE);
    let total = (SENDERS * EACH) as u64;
    assert_eq!(statistics.datagrams_in.value(), total);
    assert_eq!(statistics.datagrams_out.value(), 2 * total);
    assert_eq!(statistics.datagrams_dropped.value(), 0);
}
