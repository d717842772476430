//! Messages of real products and of the RFCs survive being read, printed and read again.

#![allow(clippy::unwrap_used)]

use sip::header::HeaderName;
use sip::message::{Request, Response};
use sip::wire::{Index, Packet};
use testkit::conformance::{self, Case};

/// Messages kept here for when there is no conformance folder.
fn kept() -> Vec<Case> {
    let all = include_str!("proxy/forwarded.sip").split("----\n");
    all.map(|m| Case {
        name: "kept".to_owned(),
        bytes: m.replace('\n', "\r\n").into_bytes(),
        entry: toml::Table::new(),
    })
    .collect()
}

/// The value with its folds made one blank each.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.iter().copied().peekable();
    while let Some(b) = rest.next() {
        if matches!(b, b'\r' | b'\n') {
            while rest
                .next_if(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\t'))
                .is_some()
            {}
            while out.last().is_some_and(|b| matches!(b, b' ' | b'\t')) {
                out.pop();
            }
            out.push(b' ');
        } else {
            out.push(b);
        }
    }
    out
}

/// Start line, headers and body.
type Content = (Vec<Vec<u8>>, Vec<(String, Vec<u8>)>, Vec<u8>);

/// What a message says, however it is written: names in full, folds undone, Content-Length left out.
fn content(packet: &Packet<'_>) -> Content {
    let start = match packet.status() {
        Some(code) => vec![code.0.to_string().into_bytes(), packet.reason().to_vec()],
        None => vec![packet.method_name().to_vec(), packet.request_uri().to_vec()],
    };
    let name = |h: &sip::wire::Header<'_>| match h.name() {
        HeaderName::Other => String::from_utf8_lossy(h.raw_name()).into_owned(),
        known => known.as_str().to_owned(),
    };
    let headers = packet
        .headers()
        .filter(|h| h.name() != HeaderName::ContentLength)
        .map(|h| (name(&h), unfolded(h.value())))
        .collect();
    (start, headers, packet.body().to_vec())
}

/// The message as a user agent would hold it, printed.
fn printed(packet: &Packet<'_>) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fill = |headers: &mut sip::message::Headers| {
        for header in packet.headers() {
            let value = header.value();
            match header.name() {
                HeaderName::Other => headers.push_named(&text(header.raw_name()), unfolded(value)),
                known => headers.push_received(known, value),
            }
            .unwrap_or_else(|e| panic!("{}: {e:?}", text(header.line())));
        }
    };
    match packet.status() {
        Some(code) => {
            let builder = Response::builder(code).reason(&text(packet.reason()));
            let mut response = builder.build().unwrap();
            fill(&mut response.headers);
            response.body = packet.body().to_vec();
            response.to_bytes()
        }
        None => {
            let builder = Request::builder_named(&text(packet.method_name()), packet.request_uri());
            let mut request = builder.build().unwrap();
            fill(&mut request.headers);
            request.body = packet.body().to_vec();
            request.to_bytes()
        }
    }
}

#[test]
fn messages_survive_reading_and_printing() {
    let real = ["wild", "flows"].iter().flat_map(|folder| {
        let cases = conformance::cases(&format!("{folder}/manifest.toml"), "message", "file");
        cases.unwrap_or_default()
    });
    let (mut survived, mut whole, mut left_out) = (0, 0, Vec::new());
    for case in kept().into_iter().chain(real) {
        let mut index = Index::new();
        let doubtful = ["either", "reject"].contains(&case.text("reader"))
            || case.is("partial")
            || case.is("elided");
        let packet = match Packet::scan(&case.bytes, &mut index) {
            Ok(packet) if packet.defect().is_none() => packet,
            other => {
                if !doubtful {
                    left_out.push(format!("{} {:?}", case.name, other.map(|p| p.defect())));
                }
                continue;
            }
        };
        let before = content(&packet);
        let bytes = printed(&packet);
        let mut index = Index::new();
        let again = Packet::scan(&bytes, &mut index).unwrap();
        assert_eq!(again.defect(), None, "{}", case.name);
        assert_eq!(content(&again), before, "{}", case.name);
        survived += 1;
        whole += usize::from(!doubtful);
    }
    println!("{survived} messages survived, {whole} of them whole by their manifests");
    assert_eq!(left_out, if whole > 7 { LEFT_OUT } else { &[] });
    let complete = conformance::folder().is_some();
    assert_eq!(survived, if complete { 989 } else { 7 });
}

/// Messages that their manifests call sound and that the scanner finds a defect in.
const LEFT_OUT: &[&str] = &[
    // Text of the RFC stands behind the message, so that Content-Length seems folded.
    "rfc4916-003.sip Ok(Some(ContentLength))",
    // Two blanks before the version.
    "rfc5368-001.sip Ok(Some(StartLine))",
    // No version.
    "rfc5853-001.sip Err(NotSip)",
];
