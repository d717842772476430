//! Registration and credentials against a registrar of a few lines, over a real socket.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use phone::{Cause, Event, Settings, Sound};
use sip::auth::{Ha1, Nonces, ProtectionSpace, Subject, Verdict};
use sip::header::HeaderName;
use sip::time::Time;
use sip::wire::{Index, Packet};
use support::{PATIENCE, Side, settings, start};

/// Answers REGISTER with 200 and anything else with 404, once the password is right; tells each request's method, its
/// Contact and Expires.
fn registrar(password: &str) -> (SocketAddr, Receiver<(String, String, String)>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    let (tell, told) = channel();
    let ha1 = Ha1::new("alice", "example.org", password);
    std::thread::spawn(move || {
        let space = ProtectionSpace::new("example.org");
        let nonces = Nonces::new(&[7; 32], Time::ZERO, Duration::from_secs(60));
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut index = Index::default();
            let Ok(packet) = Packet::scan(&buffer[..length], &mut index) else {
                continue;
            };
            if packet.method_name() == b"ACK" {
                continue;
            }
            let text =
                |name| String::from_utf8_lossy(packet.value(name).unwrap_or_default()).into_owned();
            let values = packet.all(HeaderName::Authorization).map(|h| h.value());
            let credentials = space.find(values).unwrap();
            let verdict = credentials.map(|c| {
                let subject = Subject {
                    method: packet.method_name(),
                    uri: packet.request_uri(),
                    body: packet.body(),
                };
                space.judge(&nonces, Time::ZERO, &c, Some(&ha1), &subject, |_| true)
            });
            let (status, more) = match verdict {
                Some(Verdict::Accept(_)) if packet.method_name() == b"REGISTER" => {
                    let method = String::from_utf8_lossy(packet.method_name()).into_owned();
                    let _ =
                        tell.send((method, text(HeaderName::Contact), text(HeaderName::Expires)));
                    let contact = format!("Contact: {}\r\n", text(HeaderName::Contact));
                    (
                        "200 OK",
                        format!("{contact}Expires: {}\r\n", text(HeaderName::Expires)),
                    )
                }
                Some(Verdict::Accept(_)) => ("404 Not Found", String::new()),
                _ => {
                    let nonce = nonces.issue(Time::ZERO, "example.org");
                    let challenges = space.challenges(&nonce, false);
                    (
                        "401 Unauthorized",
                        challenges
                            .map(|c| format!("WWW-Authenticate: {c}\r\n"))
                            .collect(),
                    )
                }
            };
            let mut reply = format!("SIP/2.0 {status}\r\n");
            for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
                let value = packet
                    .named(name.as_bytes())
                    .map(|h| h.value())
                    .unwrap_or_default();
                let tag = if name == "To" { ";tag=r" } else { "" };
                reply.push_str(&format!(
                    "{name}: {}{tag}\r\n",
                    String::from_utf8_lossy(value)
                ));
            }
            reply.push_str(&format!("{more}Content-Length: 0\r\n\r\n"));
            let _ = socket.send_to(reply.as_bytes(), from);
        }
    });
    (address, told)
}

fn alice(server: SocketAddr, password: &str) -> Side {
    start(Settings {
        server: Some(format!("udp:{server}").parse().unwrap()),
        password: Some(password.to_owned()),
        ..settings("alice")
    })
}

#[test]
fn registers_and_takes_itself_away_at_the_end() {
    let (server, told) = registrar("s3cret");
    let alice = alice(server, "s3cret");
    alice.phone.register(300);
    let (expires, contact) = alice.wait("registration", |event| match event {
        Event::Registered {
            expires, contact, ..
        } => Some((*expires, contact.clone())),
        Event::RegistrationFailed { cause, .. } => panic!("{cause}"),
        _ => None,
    });
    assert_eq!(expires, 300);
    assert!(
        contact.contains(&alice.phone.address().to_string()),
        "{contact}"
    );
    let (_, bound, _) = told.recv_timeout(PATIENCE).unwrap();
    assert!(bound.contains(&contact), "{bound}");
    alice.phone.close(PATIENCE);
    let (_, removed, expires) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!((removed, expires.as_str()), (bound, "0"));
    let gone = alice
        .events
        .try_iter()
        .any(|event| matches!(event, Event::Unregistered { .. }));
    assert!(gone, "the end of the registration was told");
}

#[test]
fn a_contact_can_be_left_behind_and_removed_later() {
    let (server, told) = registrar("s3cret");
    let port = {
        let first = alice(server, "s3cret");
        first.phone.keep_contact();
        first.phone.register(300);
        first.wait("registration", |event| {
            matches!(event, Event::Registered { .. }).then_some(())
        });
        let port = first.phone.address().port();
        first.phone.close(PATIENCE);
        port
    };
    let mut all: Vec<_> = told.try_iter().collect();
    assert_eq!(
        all.len(),
        1,
        "the first phone must not take its contact away: {all:?}"
    );
    let (_, bound, _) = all.remove(0);
    let second = start(Settings {
        server: Some(format!("udp:{server}").parse().unwrap()),
        password: Some("s3cret".to_owned()),
        port: Some(port),
        ..settings("alice")
    });
    second.phone.unregister();
    second.wait("end of the registration", |event| {
        matches!(event, Event::Unregistered { .. }).then_some(())
    });
    let (_, removed, expires) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        (removed, expires.as_str()),
        (bound, "0"),
        "the first phone must not have removed it"
    );
}

#[test]
fn a_wrong_password_is_told_and_not_tried_for_ever() {
    let (server, told) = registrar("right");
    let alice = alice(server, "wrong");
    alice.phone.register(300);
    let (cause, retry_in) = alice.wait("failure", |event| match event {
        Event::RegistrationFailed {
            cause, retry_in, ..
        } => Some((cause.clone(), *retry_in)),
        Event::Registered { .. } => panic!("registered with a wrong password"),
        _ => None,
    });
    assert!(matches!(cause, Cause::Unauthorized { .. }), "{cause}");
    assert_eq!(retry_in, None);
    alice
        .phone
        .call("sip:bob@example.org", Sound::default())
        .unwrap();
    let end = alice.ended();
    assert!(matches!(end.cause, Cause::Unauthorized { .. }), "{end:?}");
    assert!(told.try_recv().is_err());
    assert!(!format!("{:?}", settings("alice")).contains("wrong"));
}

#[test]
fn a_call_answers_the_challenge_and_hears_the_refusal() {
    let (server, _told) = registrar("s3cret");
    let alice = alice(server, "s3cret");
    alice
        .phone
        .call("sip:nobody@example.org", Sound::default())
        .unwrap();
    let end = alice.ended();
    assert!(
        matches!(&end.cause, Cause::Refused { status, .. } if status.0 == 404),
        "{end:?}"
    );
}

#[test]
fn settings_do_not_show_the_password() {
    let settings = Settings {
        password: Some("opensesame".to_owned()),
        ..settings("alice")
    };
    assert!(!format!("{settings:?}").contains("opensesame"));
}
