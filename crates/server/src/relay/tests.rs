//! Calls over loopback sockets; time stands still unless a test moves it.

mod forks;
mod hijack;
mod streams;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use net::RtpPorts;
use sip::time::Time;

use super::{Facing, Limits, PortStatistics, Relay, RelayedCall, Session, Side};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A relay whose clock a test holds.
struct Bench {
    relay: Relay,
    micros: Arc<AtomicU64>,
}

/// A phone: a pair of sockets, and what it describes.
struct Phone {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    ssrc: u32,
}

impl Bench {
    /// Each test has a range of ports of its own, below those that the system gives to other sockets.
    fn new(first: u16, pairs: u16) -> Bench {
        Bench::with(first, pairs, Limits::default())
    }

    fn with(first: u16, pairs: u16, limits: Limits) -> Bench {
        let micros = Arc::new(AtomicU64::new(1_000_000));
        let read = micros.clone();
        let clock = move || Time::from_micros(read.load(Ordering::SeqCst));
        let ports = RtpPorts::new(first..=first + 2 * pairs - 1);
        Bench {
            relay: Relay::start_with(ports, limits, Arc::new(clock)).unwrap(),
            micros,
        }
    }

    fn pass(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap();
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    fn open(&self, key: u64) -> RelayedCall {
        let here = Facing::at("127.0.0.1".parse().unwrap());
        let session = Session {
            key,
            caller: here,
            callee: here,
        };
        self.relay.open(session).unwrap()
    }
}

impl Phone {
    fn new(ip: &str, ssrc: u32) -> Phone {
        // The phones' own range, which no relay here has.
        let pair = RtpPorts::new(21_000..=21_999).allocate(ip.parse().unwrap());
        let pair = pair.unwrap();
        for socket in [&pair.rtp, &pair.rtcp] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Phone {
            rtp: pair.rtp,
            rtcp: pair.rtcp,
            ssrc,
        }
    }

    fn ip(&self) -> IpAddr {
        self.rtp.local_addr().unwrap().ip()
    }

    fn port(&self) -> u16 {
        self.rtp.local_addr().unwrap().port()
    }

    fn sdp(&self, more: &str) -> String {
        described(self.ip(), self.port(), more)
    }

    /// Sends RTP with this sequence number.
    fn say(&self, to: SocketAddr, sequence: u16) {
        self.rtp.send_to(&rtp(self.ssrc, sequence), to).unwrap();
    }

    /// Waits for RTP and says whose it is, and which.
    fn hear(&self) -> (u32, u16) {
        heard(&self.rtp)
    }
}

fn described(ip: IpAddr, port: u16, more: &str) -> String {
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n{more}"
    )
}

fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x55; 160]);
    packet
}

/// An empty receiver report.
fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet
}

fn heard(socket: &UdpSocket) -> (u32, u16) {
    let mut packet = [0; 2048];
    let (length, _) = socket.recv_from(&mut packet).unwrap();
    assert_eq!(length, 172);
    let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
    (ssrc, u16::from_be_bytes(packet[2..4].try_into().unwrap()))
}

/// The address that a description gives its stream.
fn place(sdp: &[u8], stream: usize) -> SocketAddr {
    let session = sdp::Session::parse(sdp).unwrap();
    let media = &session.media[stream];
    let connection = session.connection_of(media).unwrap();
    SocketAddr::new(connection.address.parse().unwrap(), media.port)
}

fn rtcp_of(rtp: SocketAddr) -> SocketAddr {
    SocketAddr::new(rtp.ip(), rtp.port() + 1)
}

/// Offers from `a`, answers from `b`, settled; yields where each of them sends.
fn connect(call: &mut RelayedCall, a: &Phone, b: &Phone) -> (SocketAddr, SocketAddr) {
    let offer = a.sdp("");
    let to_b = call.offer(Side::Caller, 1, offer.as_bytes(), a.ip());
    let answer = b.sdp("");
    let to_a = call.answer(Side::Callee, 1, answer.as_bytes(), b.ip());
    call.settle(1).unwrap();
    (place(&to_a.unwrap(), 0), place(&to_b.unwrap(), 0))
}

/// Waits until a side's RTP port has counted so.
fn until(call: &RelayedCall, fork: Option<u32>, counted: impl Fn(&PortStatistics) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let streams = call.statistics();
        let side = streams.iter().find(|s| s.fork == fork && s.stream == 0);
        if side.is_some_and(|side| counted(&side.rtp)) {
            return;
        }
        assert!(Instant::now() < end, "waited in vain: {streams:?}");
        std::thread::yield_now();
    }
}
