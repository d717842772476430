//! The torture messages of RFC 4475 and RFC 5118 against a server, as a registrar and as a proxy.

use std::path::PathBuf;

use server::{Authentication, Config};
use sip::header::{HeaderName, NameAddr, Via};
use sip::uri::Uri;
use sip::wire::{Index, Packet};

use crate::message::{Message, Request};
use crate::peer::{PATIENCE, Peer};
use crate::scene::{DOMAIN, Scene};

/// How many files of the manifest name an outcome for one of our two roles.
const FILES: usize = 59;

struct Case {
    name: String,
    bytes: Vec<u8>,
    registrar: Vec<String>,
    proxy: Vec<String>,
}

/// A few of our own for when the material is not there.
fn own_cases() -> Vec<Case> {
    let case = |name: &str, text: &str, registrar: &[&str], proxy: &[&str]| Case {
        name: name.into(),
        bytes: text.replace('\n', "\r\n").into_bytes(),
        registrar: registrar.iter().map(|s| (*s).to_owned()).collect(),
        proxy: proxy.iter().map(|s| (*s).to_owned()).collect(),
    };
    vec![
        case(
            "folded and compact",
            "OPTIONS sip:a@odd.test SIP/2.0\nv: SIP / 2.0\n /UDP  192.0.2.1 ;branch=z9hG4bKo1\nf:\n <sip:b@odd.test>;tag=1\n\
             t: <sip:a@odd.test>\ni: own1\nCSeq:\n 0007\n OPTIONS\nl: 0\n\n",
            &[],
            &["process"],
        ),
        case(
            "CSeq too large",
            "REGISTER sip:odd.test SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKo2\nFrom: <sip:a@odd.test>;tag=1\n\
             To: <sip:a@odd.test>\nCall-ID: own2\nCSeq: 36893488147419103232 REGISTER\nContent-Length: 0\n\n",
            &["400"],
            &["400"],
        ),
        case(
            "a contact with headers but without brackets",
            "REGISTER sip:odd.test SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKo3\nFrom: <sip:a@odd.test>;tag=1\n\
             To: <sip:a@odd.test>\nCall-ID: own3\nCSeq: 1 REGISTER\nContact: sip:a@192.0.2.9?Route=%3Csip:x%3E\n\
             Content-Length: 0\n\n",
            &["400", "process"],
            &["400", "process"],
        ),
        case(
            "a response that nobody asked for",
            "SIP/2.0 4294967301 better not break\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKo4\nFrom: <sip:a@odd.test>;tag=1\n\
             To: <sip:a@odd.test>;tag=2\nCall-ID: own4\nCSeq: 1 INVITE\nContent-Length: 0\n\n",
            &[],
            &["drop"],
        ),
        case(
            "Max-Forwards 0",
            "MESSAGE sip:a@odd.test SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKo5\nFrom: <sip:b@far.test>;tag=1\n\
             To: <sip:a@odd.test>\nCall-ID: own5\nCSeq: 1 MESSAGE\nMax-Forwards: 0\nContent-Length: 0\n\n",
            &[],
            &["483"],
        ),
    ]
}

fn cases() -> Vec<Case> {
    let Some(root) = std::env::var_os("SORI_CONFORMANCE") else {
        return own_cases();
    };
    let folder = PathBuf::from(root).join("torture");
    let manifest: toml::Table = std::fs::read_to_string(folder.join("manifest.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let mut cases = Vec::new();
    for message in manifest["message"].as_array().unwrap() {
        let reply = message["reply"].as_table().unwrap();
        let outcomes = |role: &str| -> Vec<String> {
            let list = reply.get(role).and_then(|v| v.as_array());
            list.map_or_else(Vec::new, |l| {
                l.iter().map(|o| o.as_str().unwrap().to_owned()).collect()
            })
        };
        let file = message["file"].as_str().unwrap();
        let case = Case {
            name: file.into(),
            bytes: std::fs::read(folder.join(file)).unwrap(),
            registrar: outcomes("registrar"),
            proxy: outcomes("proxy"),
        };
        if !case.registrar.is_empty() || !case.proxy.is_empty() {
            cases.push(case);
        }
    }
    assert_eq!(cases.len(), FILES);
    cases
}

/// The hosts of Request-URI, To and Route: with these as its domains the server has to deal with the request itself.
fn hosts(bytes: &[u8]) -> Vec<String> {
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(bytes, &mut index) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let mut add = |uri: &Uri<'_>| all.push(uri.host.to_string());
    if let Ok(uri) = Uri::parse(packet.request_uri()) {
        add(&uri);
    }
    for name in [HeaderName::Route, HeaderName::To] {
        let values = packet
            .all(name)
            .flat_map(|h| NameAddr::parse_list(h.value()));
        values
            .map_while(Result::ok)
            .for_each(|value| add(&value.uri));
    }
    all.retain(|host| !host.is_empty());
    all
}

/// The same message with `rport` in the top Via, so that the answer comes to where it was sent from.
fn with_rport(bytes: &[u8]) -> Vec<u8> {
    let mut index = Index::new();
    let Ok(packet) = Packet::scan(bytes, &mut index) else {
        return bytes.to_vec();
    };
    let Some(header) = packet.header(HeaderName::Via) else {
        return bytes.to_vec();
    };
    let at = match Via::parse(header.value()) {
        Ok(via) if via.rport.is_some() => return bytes.to_vec(),
        Ok(via) => header.value_range().start + via.range().end,
        Err(_) => header.value_range().end,
    };
    [&bytes[..at], b";rport", &bytes[at..]].concat()
}

fn is_request(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"SIP/")
}

fn is_register(bytes: &[u8]) -> bool {
    let mut index = Index::new();
    Packet::scan(bytes, &mut index).is_ok_and(|p| p.method_name() == b"REGISTER")
}

/// What came back: a final response, or nothing. Some need time: a REGISTER is answered when it is on the disk.
fn outcome(scene: &Scene, case: &Case, outcomes: &[String]) -> Option<Message> {
    let answered = is_request(&case.bytes) && !outcomes.iter().any(|o| o == "drop");
    let mut peer = Peer::udp(scene.udp());
    peer.send_bytes(&with_rport(&case.bytes));
    // The server has one worker, so this is answered after that, unless the other has to wait for something.
    let probe = Request::new(
        "OPTIONS",
        &format!("sip:{DOMAIN}"),
        "sip:probe@elsewhere.test",
    );
    let mut probed = false;
    let mut found = None;
    peer.send(&probe);
    while !probed
        || found
            .as_ref()
            .map_or(answered, |m: &Message| m.status() < 200)
    {
        let Some(message) = peer.poll(PATIENCE) else {
            break;
        };
        if message.has("Call-ID") && message.value("Call-ID") == probe.call {
            probed = true;
        } else {
            assert!(!message.is_request(), "{}: {message:?}", case.name);
            found = Some(message);
        }
    }
    found
}

/// Whether what came back is among the outcomes that are right.
fn fits(outcomes: &[String], request: bool, found: Option<&Message>) -> bool {
    const REFUSED_AS_BAD: [u16; 6] = [400, 416, 420, 483, 501, 505];
    outcomes
        .iter()
        .any(|outcome| match (outcome.as_str(), found) {
            ("drop", found) => found.is_none(),
            // A response is dealt with in silence: it answers nothing that we asked.
            ("process", found) if !request => found.is_none(),
            ("process", Some(message)) => !REFUSED_AS_BAD.contains(&message.status()),
            (status, Some(message)) => message.status().to_string() == status,
            (_, None) => false,
        })
}

fn scene_for(domains: &[String], authentication: Authentication) -> Scene {
    Scene::with(|config: &mut Config| {
        config.domains.extend(domains.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        config
            .domains
            .retain(|d| seen.insert(d.to_ascii_lowercase()));
        config.authentication = authentication;
        config.registration.min_expires = 1;
        config.workers = 1;
    })
}

fn run(authentication: Authentication) {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        // What is no REGISTER is not for a registrar alone: we are a proxy for it.
        let mut outcomes = case.proxy.clone();
        if is_register(&case.bytes) && !case.registrar.is_empty() {
            outcomes.clone_from(&case.registrar);
        } else {
            outcomes.extend(case.registrar.iter().cloned());
        }
        // Some of the messages share their branch, so each has a server of its own.
        let scene = scene_for(&hosts(&case.bytes), authentication);
        let found = outcome(&scene, case, &outcomes);
        if !fits(&outcomes, is_request(&case.bytes), found.as_ref()) {
            wrong.push(format!(
                "{}: {outcomes:?}, but {:?}",
                case.name,
                found.map(|m| m.start)
            ));
        }
    }
    println!(
        "{} torture messages, {} of them REGISTER",
        cases.len(),
        cases.iter().filter(|c| is_register(&c.bytes)).count()
    );
    assert!(cases.len() >= own_cases().len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn without_authentication() {
    run(Authentication::NONE);
}

#[test]
fn with_authentication() {
    run(Authentication::default());
}
