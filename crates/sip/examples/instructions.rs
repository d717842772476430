//! The road of one message, for counting instructions: `bench/instructions` runs this under valgrind,
//! which counts inside [`measured`] only.
//!
//! `instructions WHAT [OPERATIONS]`, where WHAT is one of `scan`, `read`, `forward`, `call`.

use core::time::Duration;
use std::hint::black_box;
use std::net::SocketAddr;

use sip::Endpoint;
use sip::endpoint::{Config, Event, Input, Listener, Output};
use sip::flow::{Flow, Transport};
use sip::header::{CSeq, HeaderName, NameAddr, Via};
use sip::proxy::Forward;
use sip::time::Time;
use sip::wire::{Index, Packet, scan};

/// Operations before those that count: tables have grown, memory is there.
const WARM_UP: usize = 200;
/// Longer than any transaction lives.
const LONG: Duration = Duration::from_secs(600);

const SERVER: &str = "192.0.2.10:5060";
const CALLER: &str = "192.0.2.20:5080";
const CALLEE: &str = "192.0.2.30:5090";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let operations = arguments.next().and_then(|n| n.parse().ok());
    let operations = operations.unwrap_or(1000);
    match what.as_str() {
        "scan" => repeat(operations, scanned),
        "read" => repeat(operations, read),
        "forward" => {
            let mut road = Road::new();
            repeat(operations, |n| road.forward(n));
        }
        "call" => {
            let mut road = Road::new();
            repeat(operations, |n| road.call(n));
        }
        _ => {
            eprintln!("usage: instructions scan|read|forward|call [OPERATIONS]");
            std::process::exit(2);
        }
    }
}

fn repeat(operations: usize, mut operation: impl FnMut(usize)) {
    // Warming up counts too, so the script takes the difference of two runs.
    for n in 0..WARM_UP + operations {
        operation(n);
    }
}

/// The only code whose instructions count.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn invite(n: usize) -> Vec<u8> {
    let body = "v=0\r\no=u 53655765 2353687637 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n\
        m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\n";
    let size = body.len();
    format!(
        "INVITE sip:bob@{SERVER} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK-{n:08}-1;rport\r\n\
         From: <sip:alice@{SERVER}>;tag=17c{n:08}\r\n\
         To: <sip:bob@{SERVER}>\r\n\
         Call-ID: {n:08}-17@192.0.2.20\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:alice@{CALLER}>\r\n\
         Max-Forwards: 70\r\n\
         User-Agent: bench\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {size}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request inside the dialog, as the caller sends it.
fn inside(method: &str, number: u32, n: usize) -> Vec<u8> {
    format!(
        "{method} sip:bob@{CALLEE} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {CALLER};branch=z9hG4bK-{n:08}-{method};rport\r\n\
         Route: <sip:{SERVER};lr>\r\n\
         From: <sip:alice@{SERVER}>;tag=17c{n:08}\r\n\
         To: <sip:bob@{SERVER}>;tag=93s{n:08}\r\n\
         Call-ID: {n:08}-17@192.0.2.20\r\n\
         CSeq: {number} {method}\r\n\
         Max-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// The callee's response to a request as it arrived there.
fn response(request: &[u8], status: &str) -> Vec<u8> {
    let mut index = Index::new();
    let packet = Packet::scan(request, &mut index).expect("the proxy forwards SIP");
    let mut out = format!("SIP/2.0 {status}\r\n").into_bytes();
    for header in packet.headers() {
        match header.name() {
            HeaderName::Via
            | HeaderName::RecordRoute
            | HeaderName::From
            | HeaderName::CallId
            | HeaderName::CSeq => out.extend_from_slice(header.line()),
            HeaderName::To => {
                out.extend_from_slice(header.line().trim_ascii_end());
                if !header.value().ends_with(b">") {
                    out.extend_from_slice(b"\r\n");
                } else {
                    let tag = &packet.call_id()[..8];
                    out.extend_from_slice(b";tag=93s");
                    out.extend_from_slice(tag);
                    out.extend_from_slice(b"\r\n");
                }
            }
            _ => {}
        }
    }
    out.extend_from_slice(format!("Contact: <sip:bob@{CALLEE}>\r\n").as_bytes());
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    out
}

fn scanned(n: usize) {
    let bytes = invite(n);
    let mut index = Index::new();
    scan(&bytes, &mut index).expect("it is SIP");
    measured(|| scan(&bytes, &mut index).is_ok());
}

fn read(n: usize) {
    let bytes = invite(n);
    let mut index = Index::new();
    scan(&bytes, &mut index).expect("it is SIP");
    let all = measured(|| {
        let packet = Packet::scan(&bytes, &mut index).ok()?;
        let via = Via::parse(packet.value(HeaderName::Via)?).ok()?;
        let from = NameAddr::parse(packet.value(HeaderName::From)?).ok()?;
        let to = NameAddr::parse(packet.value(HeaderName::To)?).ok()?;
        let cseq = CSeq::parse(packet.value(HeaderName::CSeq)?).ok()?;
        let contact = NameAddr::parse(packet.value(HeaderName::Contact)?).ok()?;
        Some((
            via.port,
            from.tag()?.len(),
            to.uri.port,
            cseq.number,
            contact.uri.port,
        ))
    });
    assert_eq!(all, Some((Some(5080), 11, Some(5060), 1, Some(5080))));
}

/// A proxy between a caller and a callee.
struct Road {
    endpoint: Endpoint,
    index: Index,
    now: Time,
    sent: Vec<sip::flow::Transmit>,
}

impl Road {
    fn new() -> Road {
        let config = Config {
            shard: 1,
            shards: 1,
            seed: [7; 32],
            product: String::from("bench"),
        };
        let mut endpoint = Endpoint::new(config, Time::ZERO);
        endpoint.add_listener(Listener::new(Transport::Udp, address(SERVER)));
        Road {
            endpoint,
            index: Index::new(),
            now: Time::ZERO,
            sent: Vec::new(),
        }
    }

    /// Lets a message in and collects what leaves; a request that has to be decided on goes to the callee.
    fn arrive(&mut self, from: &str, bytes: &[u8]) {
        self.now += Duration::from_millis(1);
        let flow = Flow::udp(address(SERVER), address(from));
        let Road {
            endpoint,
            index,
            now,
            sent,
        } = self;
        sent.clear();
        let contact = Flow::udp(address(SERVER), address(CALLEE));
        measured(|| {
            let packet = Packet::scan(bytes, index).expect("it is SIP");
            endpoint.handle_input(*now, Input::Packet { flow, packet });
            loop {
                match endpoint.poll_output() {
                    Output::Transmit(transmit) => sent.push(transmit),
                    Output::Event(Event::Request(id)) => {
                        let mut target = Forward::to(&b"sip:bob@192.0.2.30:5090"[..]);
                        target.flow = Some(contact);
                        let forward = Forward {
                            targets: vec![target],
                            record_route: true,
                            spent: None,
                        };
                        endpoint.forward(id, forward);
                    }
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
        });
    }

    /// Nothing is left of what was before.
    fn forget(&mut self) {
        self.now += LONG;
        self.endpoint.handle_input(self.now, Input::Timeout);
        while !matches!(self.endpoint.poll_output(), Output::Timeout(_)) {}
    }

    /// The last message that left towards `remote`.
    fn last_to(&self, remote: &str) -> Vec<u8> {
        let found = self.sent.iter().rfind(|t| t.flow.remote == address(remote));
        found.expect("something left").bytes.to_vec()
    }

    fn forward(&mut self, n: usize) {
        self.arrive(CALLER, &invite(n));
        assert_eq!(self.sent.len(), 2, "100 and the INVITE");
        self.forget();
    }

    /// INVITE 100 180 200 ACK BYE 200.
    fn call(&mut self, n: usize) {
        self.arrive(CALLER, &invite(n));
        let invite = self.last_to(CALLEE);
        self.arrive(CALLEE, &response(&invite, "180 Ringing"));
        assert_eq!(self.sent.len(), 1);
        self.arrive(CALLEE, &response(&invite, "200 OK"));
        assert_eq!(self.sent.len(), 1);
        self.arrive(CALLER, &inside("ACK", 1, n));
        assert_eq!(self.sent.len(), 1);
        self.arrive(CALLER, &inside("BYE", 2, n));
        let bye = self.last_to(CALLEE);
        self.arrive(CALLEE, &response(&bye, "200 OK"));
        assert_eq!(self.sent.len(), 1);
        if n % 100 == 99 {
            self.forget();
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}
