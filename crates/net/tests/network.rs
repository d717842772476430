//! Endpoints and their owners on real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use net::{NetConfig, Network, Owner};
use sip::Endpoint;
use sip::endpoint::{Config, Event};
use sip::flow::Transport;
use sip::message::StatusCode;
use sip::respond::Reply;
use sip::time::Time;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers every request with 200 and tells the time when asked.
struct Agreeable {
    answered: usize,
    stopped: bool,
}

impl Owner for Agreeable {
    type Command = Sender<(Time, Time)>;

    fn on_event(&mut self, _: Time, endpoint: &mut Endpoint, event: Event) {
        if let Event::Request(id) = event {
            self.answered += 1;
            endpoint.respond(id, &Reply::new(StatusCode(200)));
        }
    }

    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, answer: Self::Command) {
        answer.send((now, endpoint.now())).unwrap();
    }

    fn on_stop(&mut self, _: Time, _: &mut Endpoint) {
        self.stopped = true;
    }
}

fn network(workers: usize, shards: u8) -> Network<Agreeable> {
    let config = NetConfig {
        workers,
        ..NetConfig::new(vec![
            (Transport::Udp, "127.0.0.1:0".parse().unwrap()),
            (Transport::Udp, "[::1]:0".parse().unwrap()),
            (Transport::Tcp, "127.0.0.1:0".parse().unwrap()),
        ])
    };
    let now = config.clock.now();
    let shard = |shard| {
        let settings = Config {
            shard,
            shards: shards.into(),
            seed: [shard; 32],
            product: String::new(),
        };
        let owner = Agreeable {
            answered: 0,
            stopped: false,
        };
        (Endpoint::new(settings, now), owner)
    };
    Network::start(config, (0..shards).map(shard).collect()).unwrap()
}

fn options(transport: Transport, port: u16, call: usize) -> String {
    format!(
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.1:{port};branch=z9hG4bK{call};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag={call}\r\nTo: <sip:127.0.0.1>\r\n\
         Call-ID: call-{call}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn owners_answer_over_every_transport() {
    let network = network(2, 4);
    let locals: Vec<_> = network.listeners().to_vec();
    let mut buffer = [0; 2_000];
    for (n, listener) in locals
        .iter()
        .filter(|l| l.transport == Transport::Udp)
        .enumerate()
    {
        let peer = UdpSocket::bind((listener.local.ip(), 0)).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = peer.local_addr().unwrap().port();
        for call in 0..8 {
            let text = options(Transport::Udp, port, n * 8 + call);
            peer.send_to(text.as_bytes(), listener.local).unwrap();
            let count = peer.recv(&mut buffer).unwrap();
            let answer = String::from_utf8_lossy(&buffer[..count]);
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        }
    }
    let tcp = locals
        .iter()
        .find(|l| l.transport == Transport::Tcp)
        .unwrap();
    let mut peer = TcpStream::connect(tcp.local).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = peer.local_addr().unwrap().port();
    peer.write_all(options(Transport::Tcp, port, 99).as_bytes())
        .unwrap();
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        let count = peer.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let owners = network.shutdown(Duration::ZERO);
    assert_eq!(owners.iter().map(|(_, o)| o.answered).sum::<usize>(), 17);
    assert!(owners.iter().all(|(_, o)| o.stopped));
    assert!(owners.iter().filter(|(_, o)| o.answered > 0).count() > 1);
}

#[test]
fn a_command_finds_the_endpoint_at_its_own_moment() {
    let network = network(1, 2);
    let (told, times) = channel();
    assert_eq!(network.post_all(told), 2);
    for _ in 0..2 {
        let (now, endpoint) = times.recv_timeout(PATIENCE).unwrap();
        assert_eq!(now, endpoint);
        assert!(now <= network.clock().now());
    }
}
