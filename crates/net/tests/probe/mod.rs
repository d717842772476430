//! A machine that tells a test everything that it meets.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use net::{Driver, Limits, Machine, NetConfig, Outputs};
use sip::endpoint::{Input, QueryId};
use sip::flow::{ConnectionId, Flow, Transmit, Transport};
use sip::resolve::{Answer, Query};
use sip::time::Time;
use sip::wire::Defect;

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub enum Heard {
    Packet {
        shard: usize,
        flow: Flow,
        bytes: Vec<u8>,
        defect: Option<Defect>,
    },
    Undeliverable(usize, Flow),
    /// The moment wanted and the moment of the call.
    Timeout(Time, Time),
    Answer(QueryId, Answer),
    Stopped(usize),
}

pub enum Ask {
    Send(Flow, String),
    /// From now on the name of a connection means this peer.
    Peer(ConnectionId, &'static str),
    WakeIn(Duration),
    Query(Query),
    /// Waits until the other end says so.
    Hold(Sender<()>, Receiver<()>),
    Panic,
}

pub struct Probe {
    shard: usize,
    told: Sender<Heard>,
    wanted: Option<Time>,
    /// Sent when told to stop; idle once something comes back.
    pub farewell: Option<(Flow, String)>,
    busy: bool,
    started: bool,
}

impl Machine for Probe {
    type Command = Ask;

    fn start(&mut self, _: Time, _: &mut Outputs) -> Option<Time> {
        assert!(!self.started, "it starts once");
        self.started = true;
        None
    }

    fn input(&mut self, now: Time, input: Input<'_>, out: &mut Outputs) -> Option<Time> {
        assert!(self.started, "the start comes first");
        let heard = match input {
            Input::Packet { flow, packet } => {
                self.busy = false;
                if packet.call_id() == b"wake" {
                    self.wanted = Some(now + Duration::from_millis(3));
                }
                if packet.is_request() {
                    let headers = &packet.bytes()[packet.headers_at()..];
                    let status = if packet.defect().is_some() {
                        "SIP/2.0 400 Bad\r\n"
                    } else {
                        "SIP/2.0 200 OK\r\n"
                    };
                    let bytes = [status.as_bytes(), headers].concat().into();
                    out.transmit(Transmit { flow, bytes });
                }
                Heard::Packet {
                    shard: self.shard,
                    flow,
                    bytes: packet.bytes().to_vec(),
                    defect: packet.defect(),
                }
            }
            Input::Undeliverable { flow } => Heard::Undeliverable(self.shard, flow),
            Input::Answer { id, answer } => Heard::Answer(id, answer),
            Input::Timeout => match self.wanted {
                Some(wanted) if wanted <= now => {
                    self.wanted = None;
                    Heard::Timeout(wanted, now)
                }
                _ => return self.wanted,
            },
        };
        let _ = self.told.send(heard);
        self.wanted
    }

    fn command(&mut self, now: Time, ask: Ask, out: &mut Outputs) -> Option<Time> {
        match ask {
            Ask::Send(flow, text) => out.transmit(Transmit {
                flow,
                bytes: text.into(),
            }),
            Ask::Peer(connection, name) => out.peer(connection, name.into()),
            Ask::WakeIn(delay) => self.wanted = Some(now + delay),
            Ask::Query(query) => out.query(QueryId(7), query),
            Ask::Hold(here, go) => {
                here.send(()).unwrap();
                go.recv().unwrap();
            }
            Ask::Panic => panic!("as asked"),
        }
        self.wanted
    }

    fn stop(&mut self, _: Time, out: &mut Outputs) -> Option<Time> {
        if let Some((flow, text)) = self.farewell.take() {
            out.transmit(Transmit {
                flow,
                bytes: text.into(),
            });
            self.busy = true;
        }
        let _ = self.told.send(Heard::Stopped(self.shard));
        None
    }

    fn is_idle(&self) -> bool {
        !self.busy
    }
}

pub fn quick() -> Limits {
    Limits {
        idle: Duration::from_secs(60),
        ..Limits::default()
    }
}

pub fn config(transport: Transport, address: &str) -> NetConfig {
    NetConfig {
        workers: 1,
        limits: quick(),
        ..NetConfig::new(vec![(transport, address.parse().unwrap())])
    }
}

/// Starts a network of probes; yields it, its first address and what the probes hear.
pub fn start(config: NetConfig, shards: usize) -> (Driver<Probe>, SocketAddr, Receiver<Heard>) {
    start_with(config, shards, |_| None)
}

pub fn start_with(
    config: NetConfig,
    shards: usize,
    farewell: impl Fn(SocketAddr) -> Option<(Flow, String)>,
) -> (Driver<Probe>, SocketAddr, Receiver<Heard>) {
    let (told, heard) = channel();
    let driver = Driver::start(config, |listeners| {
        let probe = |shard| Probe {
            shard,
            told: told.clone(),
            wanted: None,
            farewell: farewell(listeners[0].local),
            busy: false,
            started: false,
        };
        (0..shards).map(probe).collect()
    })
    .unwrap();
    let local = driver.listeners()[0].local;
    (driver, local, heard)
}

pub fn next(heard: &Receiver<Heard>) -> Heard {
    heard.recv_timeout(PATIENCE).expect("something is heard")
}

/// A request of one call; `n` is its number there.
pub fn request(call: &str, n: usize) -> String {
    format!(
        "OPTIONS sip:a@b SIP/2.0\r\nCall-ID: {call}\r\nCSeq: {n} OPTIONS\r\nContent-Length: 2\r\n\r\nhi"
    )
}

/// The answer that a probe gives to [`request`].
pub fn answer(call: &str, n: usize) -> String {
    request(call, n).replace("OPTIONS sip:a@b SIP/2.0", "SIP/2.0 200 OK")
}

pub fn udp(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub fn tcp_flow(local: SocketAddr, remote: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Tcp,
        ..Flow::udp(local, remote)
    }
}

/// As many open files as the system allows this process.
pub fn raise_file_limit() {
    #[cfg(target_os = "linux")]
    {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointers lead to a value on this stack frame.
        unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
            limit.rlim_cur = limit.rlim_max;
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        }
    }
}
