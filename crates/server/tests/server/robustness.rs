//! Bytes that no element should send: the server stays, and stays the same size.

use std::time::Duration;

use server::Authentication;

use crate::message::Request;
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene};

const MUTATIONS: u64 = 20_000;

/// Numbers that are the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Valid messages of every kind, with no address in them that a mutation could turn into somebody else's.
fn valid() -> Vec<String> {
    let ours = |user: &str| format!("sip:{user}@{DOMAIN}");
    let mut all = Vec::new();
    for method in [
        "INVITE",
        "MESSAGE",
        "OPTIONS",
        "SUBSCRIBE",
        "BYE",
        "CANCEL",
        "ACK",
        "REGISTER",
        "FOO",
    ] {
        for (to, from) in [("bob", "alice"), ("nobody", "x"), ("echo", "alice")] {
            let mut request = Request::new(method, &ours(to), &ours(from))
                .header("Contact", &format!("<sip:{from}@{DOMAIN};transport=udp>;expires=60;q=0.5"))
                .header("Route", &format!("<sip:{DOMAIN};lr>"))
                .header("Record-Route", &format!("<sip:{DOMAIN};lr>"))
                .header("Supported", "path, 100rel")
                .header("Proxy-Authorization", "Digest username=\"alice\", realm=\"example.test\", nonce=\"00\", uri=\"sip:x\", response=\"00\", nc=00000001, cnonce=\"a\", qop=auth")
                .header("Authorization", "Digest username=\"alice\", realm=\"example.test\", nonce=\"00\", uri=\"sip:x\", response=\"00\", nc=00000001, cnonce=\"a\", qop=auth")
                .header("Path", &format!("<sip:{DOMAIN};lr>"))
                .body("application/sdp", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n");
            if to == "nobody" {
                request.to.push_str(";tag=1");
            }
            all.push(request.print("UDP", "127.0.0.1:9".parse().unwrap()));
        }
    }
    let response = all[0].replacen(
        &format!("INVITE sip:bob@{DOMAIN} SIP/2.0"),
        "SIP/2.0 200 OK",
        1,
    );
    assert!(response.starts_with("SIP/2.0 200"));
    all.push(response);
    all
}

fn mutate(numbers: &mut Numbers, bytes: &mut Vec<u8>, other: &[u8]) {
    const PIECES: [&[u8]; 14] = [
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b"\"",
        b"<",
        b">",
        b",",
        b";",
        b":",
        b" ",
        b"%",
        b"4294967296",
        b"\xff\xfe",
        b"[::1]",
    ];
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + numbers.below(40)).min(bytes.len());
        match numbers.below(6) {
            0 => bytes[at] = numbers.next() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => {
                let piece = PIECES[numbers.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let from = numbers.below(other.len());
                let to = (from + numbers.below(80)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => bytes.truncate(at.max(20)),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes.truncate(8_000);
}

/// Resident memory of this process in octets.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn fire(authentication: Authentication, seed: u64, count: u64) {
    let scene = Scene::with(|c| c.authentication = authentication);
    let mut sender = Peer::udp(scene.udp());
    let mut control = Peer::udp(scene.udp());
    let options = || Request::new("OPTIONS", &format!("sip:{DOMAIN}"), "sip:x@elsewhere.test");
    let messages = valid();
    let mut numbers = Numbers(seed);
    let statistics = scene.server().statistics();
    let before = resident();
    for n in 0..count {
        let mut bytes = messages[numbers.below(messages.len())].clone().into_bytes();
        let other = messages[numbers.below(messages.len())].as_bytes();
        mutate(&mut numbers, &mut bytes, other);
        // Each its own transaction, where the mutation left the branch alone.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let own = match text.contains("branch=z9hG4bK") && std::str::from_utf8(&bytes).is_ok() {
            true => text
                .replacen("branch=z9hG4bK", &format!("branch=z9hG4bK{n}x"), 1)
                .into_bytes(),
            false => bytes,
        };
        sender.send_bytes(&own);
        if n % 40 == 39 {
            assert_eq!(control.exchange(&options()).status(), 200, "after {n}");
            while sender.poll(Duration::from_millis(1)).is_some() {}
        }
    }
    assert_eq!(control.exchange(&options()).status(), 200);
    assert!(scene.server().is_running());
    assert!(
        statistics.datagrams_in.value() >= count,
        "{:?}",
        statistics.all()
    );
    assert!(
        statistics.scan_not_sip.value() > 0,
        "{:?}",
        statistics.all()
    );
    assert!(
        statistics.datagrams_out.value() > count / 10,
        "{:?}",
        statistics.all()
    );
    // 20,000 transactions that all live for 32 seconds need less.
    let grown = resident().saturating_sub(before);
    println!(
        "{count} mutations, {} MB more, {:?}",
        grown >> 20,
        scene.server().snapshot()
    );
    assert!(grown < 400 << 20, "{grown} octets more");
    let snapshot = scene.server().snapshot();
    assert!(snapshot.service_calls <= 2_000, "{snapshot:?}");
}

#[test]
fn mutations_do_not_stop_the_server() {
    fire(Authentication::default(), 0x50_52_49, MUTATIONS / 2);
}

#[test]
fn mutations_do_not_stop_an_open_server() {
    fire(Authentication::NONE, 0x53_49_50, MUTATIONS / 2);
}
