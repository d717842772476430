//! What peers do that our own phones do not: early sound, INVITE without an offer, descriptions that cannot be used. The
//! peer is a socket and a few lines of text.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{SocketAddr, UdpSocket};

use phone::{Cause, Event, Recorder, Settings, Sound};
use sip::wire::{Index, Packet};
use support::{PATIENCE, Side, direct, temporary};

/// A SIP socket and an RTP socket on the loopback address.
struct Peer {
    sip: UdpSocket,
    rtp: UdpSocket,
}

/// A message as text, with where it came from.
struct Message {
    text: String,
    from: SocketAddr,
}

impl Message {
    fn header(&self, name: &str) -> String {
        let mut index = Index::default();
        let packet = Packet::scan(self.text.as_bytes(), &mut index).unwrap();
        let values: Vec<String> = packet
            .headers()
            .filter(|h| h.raw_name().eq_ignore_ascii_case(name.as_bytes()))
            .map(|h| String::from_utf8_lossy(h.value()).into_owned())
            .collect();
        values.join(", ")
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }
}

impl Peer {
    fn new() -> Peer {
        let bind = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Peer {
            sip: bind(),
            rtp: bind(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    /// Waits for a message that begins so; repetitions of others are passed over.
    fn wait(&self, start: &str) -> Message {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, from) = self
                .sip
                .recv_from(&mut buffer)
                .unwrap_or_else(|e| panic!("no {start}: {e}"));
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.starts_with(start) {
                return Message { text, from };
            }
        }
    }

    fn reply(&self, request: &Message, status: &str, body: &str) {
        let to = request.header("To");
        let tag = if to.contains("tag=") { "" } else { ";tag=peer" };
        let mut text = format!(
            "SIP/2.0 {status}\r\nTo: {to}{tag}\r\nContact: <sip:peer@{}>\r\n",
            self.address()
        );
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", request.header(name)));
        }
        self.send(&text, body, request.from);
    }

    fn send(&self, head: &str, body: &str, to: SocketAddr) {
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let text = format!("{head}{kind}Content-Length: {}\r\n\r\n{body}", body.len());
        self.sip.send_to(text.as_bytes(), to).unwrap();
    }

    fn request(&self, line: &str, to_tag: &str, cseq: u32, body: &str, to: SocketAddr) {
        let (method, _) = line.split_once(' ').unwrap();
        let us = self.address();
        let head = format!(
            "{line} SIP/2.0\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:peer@{us}>;tag=peer\r\nTo: <sip:bob@{to}>{to_tag}\r\nCall-ID: of-the-peer\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:peer@{us}>\r\n"
        );
        self.send(&head, body, to);
    }

    fn description(&self) -> String {
        let port = self.rtp.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"
        )
    }

    /// Speaks until the phone has been heard `frames` times, and yields the payload type heard.
    fn talk(&self, to: SocketAddr, first: u16, frames: u16) -> u8 {
        let mut kind = 0;
        let mut buffer = [0; 2048];
        for n in first..first + frames {
            let (length, _) = self.rtp.recv_from(&mut buffer).unwrap();
            assert_eq!(length, 172);
            kind = buffer[1] & 0x7f;
            let mut packet = vec![0x80, 8];
            packet.extend(n.to_be_bytes());
            packet.extend((u32::from(n) * 160).to_be_bytes());
            packet.extend(7u32.to_be_bytes());
            // Loud: A-law for about a third of full scale, by turns above and below zero.
            packet.extend((0..160).map(|n| if n % 8 < 4 { 0xb5 } else { 0x35 }));
            self.rtp.send_to(&packet, to).unwrap();
        }
        kind
    }
}

/// Where the phone's description says that it receives.
fn media_of(description: &str) -> SocketAddr {
    let port = description
        .split("m=audio ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    format!("127.0.0.1:{port}").parse().unwrap()
}

#[test]
fn early_sound_is_heard_and_recorded() {
    let (alice, peer, path) = (direct("alice"), Peer::new(), temporary("early"));
    let sound = Sound {
        recorder: Some(Recorder::create(&path).unwrap()),
        ..Sound::default()
    };
    let target = format!("sip:peer@{}", peer.address());
    let call = alice.phone.call(&target, sound).unwrap();
    let invite = peer.wait("INVITE");
    peer.reply(&invite, "183 Session Progress", &peer.description());
    let early = alice.wait("early sound", |event| match event {
        Event::EarlyMedia { agreed, .. } => Some(agreed.clone()),
        Event::Established { .. } => panic!("established by a 183"),
        _ => None,
    });
    assert_eq!(early.codec, "PCMA");
    let to = media_of(invite.body());
    assert_eq!(early.local, to);
    assert_eq!(peer.talk(to, 0, 20), 8);
    peer.reply(&invite, "200 OK", &peer.description());
    peer.wait("ACK");
    assert_eq!(alice.established(), early);
    peer.talk(to, 20, 10);
    peer.request(
        &format!("BYE sip:alice@{}", alice.phone.address()),
        "",
        1,
        "",
        alice.phone.address(),
    );
    // That was somebody else's BYE: the dialog is named by both tags and the Call-ID.
    peer.wait("SIP/2.0 481");
    alice.phone.hang_up(call);
    let bye = peer.wait("BYE");
    peer.reply(&bye, "200 OK", "");
    let end = alice.ended();
    assert_eq!(end.cause, Cause::ByUs);
    assert!(end.statistics.unwrap().packets_received >= 29);
    let recorded = media::wav::WavReader::new(std::fs::File::open(&path).unwrap(), "early")
        .unwrap()
        .read_all(100_000)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let loud = recorded.iter().filter(|s| s.unsigned_abs() > 5000).count();
    assert!(loud > 3000, "{loud} of {}", recorded.len());
}

fn call_without_offer(bob: &Side, peer: &Peer) -> Message {
    let to = bob.phone.address();
    peer.request(&format!("INVITE sip:bob@{to}"), "", 1, "", to);
    bob.phone.answer(bob.incoming(), Sound::default()).unwrap();
    peer.wait("SIP/2.0 200")
}

fn to_tag(answer: &Message) -> String {
    format!(";tag={}", answer.header("To").split("tag=").nth(1).unwrap())
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_the_answer_comes_in_the_ack() {
    let (bob, peer) = (direct("bob"), Peer::new());
    let answer = call_without_offer(&bob, &peer);
    assert!(
        answer.body().contains("m=audio") && answer.body().contains("RTP/AVP 96 9 0 8 101 100"),
        "{}",
        answer.body()
    );
    let to = bob.phone.address();
    peer.request(
        &format!("ACK sip:bob@{to}"),
        &to_tag(&answer),
        1,
        &peer.description(),
        to,
    );
    let agreed = bob.wait("agreement", |event| match event {
        Event::MediaChanged { agreed, .. } => Some(agreed.clone()),
        _ => None,
    });
    assert_eq!(
        (agreed.codec, agreed.remote),
        ("PCMA", Some(peer.rtp.local_addr().unwrap()))
    );
    assert_eq!(peer.talk(media_of(answer.body()), 0, 5), 8);
    peer.request(&format!("BYE sip:bob@{to}"), &to_tag(&answer), 2, "", to);
    peer.wait("SIP/2.0 200");
    assert_eq!(bob.ended().cause, Cause::ByPeer { reason: None });
}

#[test]
fn an_answer_that_cannot_be_used_ends_the_call() {
    let (alice, peer) = (direct("alice"), Peer::new());
    for wrong in [
        "",
        "hello",
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n",
    ] {
        alice
            .phone
            .call(&format!("sip:peer@{}", peer.address()), Sound::default())
            .unwrap();
        let invite = peer.wait("INVITE");
        peer.reply(&invite, "200 OK", wrong);
        peer.wait("ACK");
        let bye = peer.wait("BYE");
        peer.reply(&bye, "200 OK", "");
        let mut trouble = false;
        let cause = alice.wait("end", |event| match event {
            Event::SoundTrouble { message, .. } => {
                trouble = message.contains("cannot be used");
                None
            }
            Event::Established { .. } => panic!("established without sound"),
            Event::Ended { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        assert!(trouble, "{wrong:?}");
        assert_eq!(cause, Cause::ByUs);
    }
}

#[test]
fn without_a_server_named_everything_goes_to_that_of_the_domain() {
    let peer = Peer::new();
    let account = format!("alice@{}", peer.address()).parse().unwrap();
    let alice = support::start(Settings::new(account));
    alice
        .phone
        .call("sip:bob@192.0.2.99", Sound::default())
        .unwrap();
    let invite = peer.wait("INVITE sip:bob@192.0.2.99 SIP/2.0");
    peer.reply(&invite, "486 Busy Here", "");
    let end = alice.ended();
    assert!(
        matches!(&end.cause, Cause::Refused { status, .. } if status.0 == 486),
        "{end:?}"
    );
    alice.phone.register(60);
    let register = peer.wait("REGISTER");
    assert_eq!(
        register.header("Route"),
        "",
        "the registrar is no stop on the way to itself"
    );
}

#[test]
fn an_offer_that_cannot_be_read_is_refused() {
    let (bob, peer) = (direct("bob"), Peer::new());
    let to = bob.phone.address();
    peer.request(&format!("INVITE sip:bob@{to}"), "", 1, "hello", to);
    bob.phone.answer(bob.incoming(), Sound::default()).unwrap();
    peer.wait("SIP/2.0 400");
    assert_eq!(bob.ended().talked, None);
}
