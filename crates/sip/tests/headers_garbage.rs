//! No octets whatever make a reader panic or run on, and what is read lies inside what was given.

#![allow(clippy::unwrap_used)]

#[path = "headers/cases.rs"]
mod cases;

use cases::{cases, read};
use sip::header::{Date, Expires, HeaderName, NameAddr, Via, q_value, unquote};
use sip::message::{Headers, Method, Request, StatusCode};
use sip::uri::{Host, Uri, escape_user, unescape};
use sip::wire::{Index, Packet};

/// A small generator with a seed, so that every run is the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"<",
    b">",
    b";",
    b",",
    b"=",
    b":",
    b"@",
    b"%",
    b"%4",
    b"%00",
    b"[",
    b"]",
    b"(",
    b")",
    b"?",
    b"&",
    b"/",
    b"*",
    b"\r\n ",
    b"\r",
    b"\n",
    b"\t",
    b"\0",
    b"\xff",
    b"sip:",
    b"sips:",
    b"tel:",
    b"SIP/2.0/UDP ",
    b"4294967296",
    b"99999999999999999999",
    b"-1",
    b":::",
    b"[::1]",
    b"1.2.3.4",
];

fn mutate(text: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let at = random.below(text.len() + 1);
        let piece = PIECES[random.below(PIECES.len())];
        match random.below(5) {
            0 => text.truncate(at),
            1 if at < text.len() => text[at] = random.next() as u8,
            2 if at < text.len() => drop(text.remove(at)),
            3 => {
                let copy = text[at..].to_vec();
                let to = random.below(text.len() + 1);
                text.splice(to..to, copy.into_iter().take(40));
            }
            _ => drop(text.splice(at..at, piece.iter().copied())),
        }
    }
}

fn within(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.as_ptr_range().contains(&part.as_ptr()) && part.len() <= whole.len()
}

fn read_uri(text: &[u8]) {
    let Ok(uri) = Uri::parse(text) else { return };
    assert_eq!(uri.as_bytes(), text);
    assert!(text.iter().all(|b| *b > b' '), "{}", text.escape_ascii());
    assert!(uri.same_as(&uri));
    for part in [
        uri.params,
        uri.headers,
        uri.opaque(),
        uri.user_unescaped().as_ref(),
    ] {
        assert!(part.len() <= text.len());
    }
    let record = uri.address_of_record();
    let again = Uri::parse(&record).unwrap_or_else(|e| {
        panic!(
            "{} from {}: {e}",
            record.escape_ascii(),
            text.escape_ascii()
        )
    });
    assert_eq!(again.address_of_record(), record, "{}", text.escape_ascii());
    let _ = (
        uri.port_or_default(),
        uri.is_loose_router(),
        uri.maddr(),
        uri.header(b"x"),
    );
    if let Some(user) = uri.user {
        let escaped = escape_user(user);
        assert_eq!(&*unescape(&escaped), user);
    }
}

fn read_everything(value: &[u8]) {
    for name in HeaderName::all() {
        let _ = read(*name, value);
    }
    read_uri(value);
    let _ = (
        Host::parse(value),
        q_value(value),
        Expires::parse(value),
        unquote(value),
    );
    for via in Via::parse_list(value).flatten() {
        assert!(within(value, via.host_raw()) && within(value, via.rport_raw()));
        assert_eq!(&value[via.range()], via.raw());
    }
    for addr in NameAddr::parse_list(value).flatten() {
        assert!(addr.range().end <= value.len());
        let _ = (addr.display_unquoted(), addr.q(), addr.expires());
        read_uri(addr.uri.as_bytes());
    }
    if let Ok(date) = Date::parse(value) {
        assert_eq!(Date::parse(date.to_string().as_bytes()), Ok(date));
    }
    let mut headers = Headers::new();
    if headers.push_received(HeaderName::Subject, value).is_ok() {
        let kept = headers.first(HeaderName::Subject).unwrap();
        assert!(!kept.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }
}

/// Every header value of the torture and real messages, and every Request-URI.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for case in cases("torture", 62).iter().chain(&cases("wild", 157)) {
        let mut index = Index::new();
        if let Ok(packet) = case.packet(&mut index) {
            seeds.push(packet.request_uri().to_vec());
            seeds.extend(packet.headers().map(|h| h.value().to_vec()));
        }
    }
    seeds
}

#[test]
fn mutated_values_never_panic() {
    let seeds = seeds();
    let mut random = Random(0x5051_5253_5455_5657);
    let rounds = 40_000;
    for _ in 0..rounds {
        let mut value = seeds[random.below(seeds.len())].clone();
        mutate(&mut value, &mut random);
        read_everything(&value);
    }
    println!("{rounds} mutations of {} values", seeds.len());
    assert!(seeds.len() > 30);
}

#[test]
fn random_pieces_never_panic() {
    let mut random = Random(99);
    for _ in 0..40_000 {
        let mut value = Vec::new();
        for _ in 0..random.below(12) {
            match random.below(3) {
                0 => value.push(random.next() as u8),
                1 => value.push(b"abz019.-"[random.below(8)]),
                _ => value.extend_from_slice(PIECES[random.below(PIECES.len())]),
            }
        }
        read_everything(&value);
    }
}

#[test]
fn long_values_are_read_in_one_pass() {
    // A reader that starts again at every octet would need hours for these.
    for piece in PIECES
        .iter()
        .chain(&[&b";a"[..], b";a=\"", b"a,", b"<sip:a>,", b"(\\", b"&a=b"])
    {
        let many = piece.repeat(65_000 / piece.len());
        for head in [
            &b""[..],
            b"sip:a@b",
            b"<sip:a@b>",
            b"SIP/2.0/UDP a",
            b"sip:a?",
        ] {
            read_everything(&[head, &many].concat());
        }
    }
}

#[test]
fn owned_messages_hold_what_was_put_in_and_nothing_more() {
    let seeds = seeds();
    let mut random = Random(7);
    let (mut printed, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let mut lines = Vec::new();
        let mut builder = Request::builder(Method::Message, "sip:a@b");
        for _ in 0..random.below(5) {
            let name = HeaderName::all()[random.below(HeaderName::all().len())];
            let mut value = seeds[random.below(seeds.len())].clone();
            mutate(&mut value, &mut random);
            builder = builder.header(name, value.clone());
            if name != HeaderName::ContentLength {
                lines.push(name);
            }
        }
        let Ok(mut request) = builder.build() else {
            refused += 1;
            continue;
        };
        request.body = seeds[random.below(seeds.len())].clone();
        let bytes = request.to_bytes();
        let mut index = Index::new();
        let packet = Packet::scan(&bytes, &mut index).unwrap();
        assert_eq!(packet.body(), request.body);
        lines.push(HeaderName::ContentLength);
        let found: Vec<_> = packet.headers().map(|h| h.name()).collect();
        assert_eq!(found, lines, "{}", bytes.escape_ascii());
        printed += 1;
    }
    println!("{printed} printed, {refused} refused");
    assert!(printed > 1_000 && refused > 50);
    assert_eq!(StatusCode(200).reason(), "OK");
}
