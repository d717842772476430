//! A phone for the tests: two sockets and a packet counter.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use media::codec::{alaw_decode, ulaw_decode};
use media::rtp::{Builder, Packet};

use super::{LOCAL, PATIENCE};

pub(super) struct Peer {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    sequence: u16,
    timestamp: u32,
}

/// One packet as it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) from: SocketAddr,
    pub(super) at: Instant,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) payload: Vec<u8>,
}

impl Peer {
    pub(super) fn new() -> Peer {
        loop {
            let rtp = UdpSocket::bind((LOCAL, 0)).unwrap();
            let port = rtp.local_addr().unwrap().port();
            let Some(above) = port.checked_add(1).filter(|_| port.is_multiple_of(2)) else {
                continue;
            };
            let Ok(rtcp) = UdpSocket::bind((LOCAL, above)) else {
                continue;
            };
            for socket in [&rtp, &rtcp] {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
            }
            return Peer {
                rtp,
                rtcp,
                sequence: 7,
                timestamp: 99,
            };
        }
    }

    /// A description of this peer with these formats and more lines.
    pub(super) fn sdp(&self, formats: &str, more: &str) -> Vec<u8> {
        let port = self.rtp.local_addr().unwrap().port();
        format!(
            "v=0\r\no=peer 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {formats}\r\n{more}"
        )
        .into_bytes()
    }

    /// Waits for the next packet.
    pub(super) fn hear(&self) -> Heard {
        let mut buffer = [0; 2048];
        let (length, from) = self.rtp.recv_from(&mut buffer).expect("a packet in time");
        let packet = Packet::parse(&buffer[..length]).unwrap();
        Heard {
            from,
            at: Instant::now(),
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            ssrc: packet.ssrc,
            payload_type: packet.payload_type,
            payload: packet.payload.to_vec(),
        }
    }

    /// Sends one packet that begins now.
    pub(super) fn say(&mut self, to: SocketAddr, payload_type: u8, payload: &[u8]) {
        let mut packet = Vec::new();
        Builder {
            payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 0x5eed,
            payload,
            ..Builder::default()
        }
        .write(&mut packet)
        .unwrap();
        self.rtp.send_to(&packet, to).unwrap();
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Says one frame of sound.
    pub(super) fn speak(&mut self, to: SocketAddr, payload_type: u8, payload: &[u8]) {
        self.say(to, payload_type, payload);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
    }

    /// Says nothing for so long.
    pub(super) fn skip(&mut self, samples: u32) {
        self.timestamp = self.timestamp.wrapping_add(samples);
    }
}

/// Where the description wants RTP.
pub(super) fn destination(description: &[u8]) -> SocketAddr {
    let session = sdp::Session::parse(description).unwrap();
    let media = &session.media[0];
    let place = sdp::Destination::of(session.connection_of(media), media.port, true).unwrap();
    place.socket_addr().unwrap()
}

/// The version of the description (RFC 3264 §8).
pub(super) fn version(description: &[u8]) -> u64 {
    let session = sdp::Session::parse(description).unwrap();
    session.origin.session_version.parse().unwrap()
}

/// The samples of these packets.
pub(super) fn samples(heard: &[Heard]) -> Vec<i16> {
    let decode = |heard: &Heard, octet: &u8| match heard.payload_type {
        0 => ulaw_decode(*octet),
        8 => alaw_decode(*octet),
        other => panic!("payload type {other}"),
    };
    heard
        .iter()
        .flat_map(|h| h.payload.iter().map(move |octet| decode(h, octet)))
        .collect()
}

/// Root mean square, and the share of the power that lies at `frequency` (Goertzel), at 8 kHz.
pub(super) fn spectrum(samples: &[i16], frequency: f64) -> (f64, f64) {
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let angle = core::f64::consts::TAU * frequency * n as f64 / 8000.0;
        let sample = f64::from(*sample);
        re += sample * angle.cos();
        im += sample * angle.sin();
        power += sample * sample;
    }
    let n = samples.len() as f64;
    (
        (power / n).sqrt(),
        2.0 * (re * re + im * im) / (n * power.max(1.0)),
    )
}
