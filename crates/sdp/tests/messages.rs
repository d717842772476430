//! Descriptions inside whole SIP messages: of real products and of the call flows in RFCs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use sdp::body::{self, Body};
use sdp::{Capabilities, Fault, Origin, Session, answer, violations};
use support::{cases, rich_phone};

/// Messages of the flows that the printing of the RFC spoiled: a line of prose at the end of the body, and a body part with an empty
/// line between its headers.
const SPOILED: [&str; 2] = ["flows/rfc4916-001.sip", "flows/rfc5589-038.sip"];

/// Headers and body, at the first empty line.
fn split(message: &[u8]) -> (String, &[u8]) {
    let find = |mark: &[u8]| {
        message
            .windows(mark.len())
            .position(|w| w == mark)
            .map(|at| (at, at + mark.len()))
    };
    let (head, body) = find(b"\r\n\r\n")
        .or_else(|| find(b"\n\n"))
        .unwrap_or((message.len(), message.len()));
    (
        String::from_utf8_lossy(&message[..head]).into_owned(),
        &message[body..],
    )
}

/// Content-Type, unfolded.
fn content_type(headers: &str) -> Option<String> {
    let unfolded = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let named = unfolded.lines().filter_map(|line| line.split_once(':'));
    let mut values = named.filter(|(name, _)| {
        ["content-type", "c"].contains(&name.trim().to_ascii_lowercase().as_str())
    });
    values.next().map(|(_, value)| value.trim().to_owned())
}

fn run(folder: &str, expected: usize) {
    let (mut found, mut in_multipart) = (0, 0);
    for (name, message) in cases().files(folder, "sip") {
        let (headers, content) = split(&message);
        let Some(content_type) = content_type(&headers).filter(|_| !content.is_empty()) else {
            continue;
        };
        let Ok(Body::Description(bytes)) = body::description(Some(&content_type), content) else {
            assert_ne!(content_type, "application/sdp", "{name}");
            continue;
        };
        let session = match Session::parse(bytes) {
            Err(error) if SPOILED.contains(&name.as_str()) => {
                assert_eq!(error.fault, Fault::NotALine);
                continue;
            }
            session => session.unwrap_or_else(|e| panic!("{name}: {e}")),
        };
        assert_eq!(
            Session::parse(session.to_string().as_bytes()),
            Ok(session.clone()),
            "{name}"
        );
        let local = rich_phone("192.0.2.250");
        match answer(
            &session,
            &Origin::new("-", 1, local.address),
            &local,
            &Capabilities::g711(),
        ) {
            Ok((ours, _)) => assert_eq!(violations(&session, &ours), [], "{name}"),
            Err(rejection) => assert_eq!(rejection.status, 488, "{name}"),
        }
        found += 1;
        in_multipart += usize::from(content_type.starts_with("multipart"));
    }
    println!("{folder}: {found} descriptions, {in_multipart} of them in multiparts");
    assert!(found >= expected, "{folder}: {found} of {expected}");
}

#[test]
fn wild() {
    run("wild", if cases().full { 57 } else { 1 });
}

#[test]
fn flows() {
    run("flows", if cases().full { 168 } else { 1 });
}
