//! The SDP cases of the conformance folder: exchanges, descriptions, offers with their status, bad descriptions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use regex_lite::Regex;
use sdp::body::{self, Body};
use sdp::negotiate::Role;
use sdp::secure::{Security, SrtpPolicy};
use sdp::{
    Capabilities, Codec, Destination, Direction, Fault, LocalMedia, MediaKind, Negotiated, Origin,
    Rejection, Session, answer, outcome, violations,
};
use support::{capabilities, cases, flag, ice, numbers, rich_phone, srtp, strings, text};
use toml::{Table, Value};

fn session(bytes: &[u8], name: &str) -> Session {
    let session = Session::parse(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(
        Session::parse(session.to_string().as_bytes()).as_ref(),
        Ok(&session),
        "{name}: print and parse again"
    );
    session
}

#[test]
fn exchanges() {
    let cases = cases();
    let list = cases.tables("exchange", 31, 2);
    let mut streams = 0;
    for case in &list {
        let name = text(case, "offer").unwrap();
        let offer = session(&cases.read(name), name);
        let answered = session(&cases.read(text(case, "answer").unwrap()), name);
        let broken = violations(&offer, &answered);
        assert_eq!(broken.is_empty(), flag(case, "legal"), "{name}: {broken:?}");
        let caps = Capabilities::g711();
        let at_offerer = outcome(&offer, &answered, Role::Offerer, &caps);
        let at_answerer = outcome(&answered, &offer, Role::Answerer, &caps);
        let expected = case["streams"].as_array().unwrap();
        assert_eq!(
            (at_offerer.len(), at_answerer.len()),
            (expected.len(), expected.len()),
            "{name}"
        );
        for (index, want) in expected.iter().enumerate() {
            check_stream(
                name,
                want.as_table().unwrap(),
                &at_offerer[index],
                &at_answerer[index],
                &broken,
            );
            streams += 1;
        }
        own_answer_is_legal(name, &offer);
    }
    println!("{} exchanges, {streams} streams", list.len());
}

fn check_stream(
    name: &str,
    want: &Table,
    offerer: &Negotiated,
    answerer: &Negotiated,
    broken: &[sdp::Violation],
) {
    assert_eq!(offerer.kind.name(), text(want, "media").unwrap(), "{name}");
    for side in [offerer, answerer] {
        assert_eq!(side.accepted, flag(want, "accepted"), "{name}: {side:?}");
    }
    if !offerer.accepted {
        return;
    }
    let encodings = |codecs: &[Codec]| codecs.iter().map(Codec::encoding).collect::<Vec<_>>();
    let payloads = |codecs: &[Codec]| {
        codecs
            .iter()
            .map(|c| i64::from(c.payload_type))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        encodings(&offerer.may_send),
        strings(want, "codecs"),
        "{name}"
    );
    assert_eq!(
        payloads(&offerer.may_send),
        numbers(want, "payloads_offerer_sends"),
        "{name}"
    );
    assert_eq!(
        payloads(&answerer.may_send),
        numbers(want, "payloads_answerer_sends"),
        "{name}"
    );
    assert_eq!(
        payloads(&offerer.receive),
        payloads(&answerer.may_send),
        "{name}: one side receives what the other sends"
    );
    assert_eq!(
        payloads(&answerer.receive),
        payloads(&offerer.may_send),
        "{name}"
    );
    let direction = Direction::of(flag(want, "offerer_sends"), flag(want, "answerer_sends"));
    assert_eq!(
        (offerer.direction, answerer.direction),
        (direction, direction.reversed()),
        "{name}"
    );
    let place = |d: &Option<Destination>| d.as_ref().map(ToString::to_string);
    assert_eq!(
        place(&answerer.remote_rtp).as_deref(),
        text(want, "offerer_receives_at"),
        "{name}"
    );
    assert_eq!(
        place(&offerer.remote_rtp).as_deref(),
        text(want, "answerer_receives_at"),
        "{name}"
    );
    if let Some(error) = text(want, "direction_error") {
        assert!(
            broken.iter().any(|v| v.rule.to_string().starts_with(error)),
            "{name}: {broken:?}"
        );
    }
}

/// Our own answers to the offers of the exchanges, with one codec and with all.
fn own_answer_is_legal(name: &str, offer: &Session) {
    let names = ["iLBC", "PCMU", "PCMA", "G723"].map(str::to_owned);
    for one_codec in [true, false] {
        let caps = Capabilities {
            one_codec,
            ..capabilities(&names)
        };
        let local = LocalMedia::new("192.0.2.20".parse().unwrap(), 6000);
        let (ours, streams) =
            answer(offer, &Origin::new("-", 9, local.address), &local, &caps).unwrap();
        assert_eq!(violations(offer, &ours), [], "{name}");
        assert_eq!(ours.timings, offer.timings, "{name}");
        assert_eq!(ours.media.len(), offer.media.len(), "{name}");
        assert_eq!(
            streams.iter().filter(|s| s.accepted).count(),
            usize::from(!offer.media.is_empty()),
            "{name}"
        );
        for (line, offered) in ours.media.iter().zip(&offer.media) {
            assert_eq!(
                (&line.kind, &line.protocol),
                (&offered.kind, &offered.protocol),
                "{name}"
            );
            assert!(line.port == 0 || line.kind == MediaKind::Audio, "{name}");
        }
    }
}

#[test]
fn examples() {
    let cases = cases();
    let list = cases.tables("example", 43, 1);
    for case in &list {
        let name = text(case, "file").unwrap();
        let session = session(&cases.read(name), name);
        assert_eq!(
            session.origin.to_string(),
            text(case, "origin").unwrap(),
            "{name}"
        );
        assert_eq!(Some(session.name.as_str()), text(case, "subject"), "{name}");
        assert_eq!(
            session
                .connection
                .as_ref()
                .map(ToString::to_string)
                .as_deref(),
            text(case, "connection"),
            "{name}"
        );
        let groups: Vec<_> = session
            .attributes
            .iter()
            .filter(|a| a.name == "group")
            .filter_map(|a| a.value.clone())
            .collect();
        assert_eq!(groups, strings(case, "groups"), "{name}");
        let expected = case["media"].as_array().unwrap();
        assert_eq!(session.media.len(), expected.len(), "{name}");
        for (media, want) in session.media.iter().zip(expected) {
            check_media(name, &session, media, want.as_table().unwrap());
        }
    }
    println!("{} descriptions", list.len());
}

fn check_media(name: &str, session: &Session, media: &sdp::Media, want: &Table) {
    let count = |attribute: &str| {
        i64::try_from(
            media
                .attributes
                .iter()
                .filter(|a| a.name == attribute)
                .count(),
        )
        .unwrap()
    };
    let wanted = |key: &str| want.get(key).and_then(Value::as_integer).unwrap_or(0);
    assert_eq!(media.kind.name(), text(want, "media").unwrap(), "{name}");
    assert_eq!(i64::from(media.port), wanted("port"), "{name}");
    assert_eq!(media.protocol, text(want, "proto").unwrap(), "{name}");
    assert_eq!(media.formats, strings(want, "formats"), "{name}");
    assert_eq!(
        session.direction_of(media).name(),
        text(want, "direction").unwrap(),
        "{name}"
    );
    assert_eq!(
        session.connection_of(media).map(|c| c.address.as_str()),
        text(want, "address"),
        "{name}"
    );
    for (key, attribute) in [
        ("mid", "mid"),
        ("setup", "setup"),
        ("ice_ufrag", "ice-ufrag"),
        ("sctp_port", "sctp-port"),
    ] {
        assert_eq!(media.attribute(attribute), text(want, key), "{name} {key}");
    }
    for key in ["rtcp_mux", "end_of_candidates", "rtcp_rsize", "bundle_only"] {
        assert_eq!(
            media.attribute(&key.replace('_', "-")).is_some(),
            flag(want, key),
            "{name} {key}"
        );
    }
    assert_eq!(
        (count("candidate"), count("fingerprint")),
        (wanted("candidates"), wanted("fingerprints")),
        "{name}"
    );
    let crypto = media
        .attributes
        .iter()
        .filter(|a| a.name == "crypto")
        .filter_map(|a| a.value.as_deref());
    let crypto: Vec<String> = crypto
        .map(|v| v.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(crypto, strings(want, "crypto"), "{name}");
    for (number, encoding) in want
        .get("rtpmap")
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
    {
        let codec = media
            .codecs()
            .into_iter()
            .find(|c| c.payload_type.to_string() == *number);
        assert_eq!(
            codec.map(|c| c.encoding()).as_deref(),
            encoding.as_str(),
            "{name} {number}"
        );
    }
}

#[test]
fn offers() {
    let cases = cases();
    let list = cases.tables("offer", 82, 4);
    let mut signalling = 0;
    for case in &list {
        let name = text(case, "name").unwrap();
        let headers = strings(case, "extra_headers");
        let content_type = headers
            .iter()
            .find_map(|h| h.strip_prefix("Content-Type: "));
        let reply = reply(
            &cases.read(text(case, "file").unwrap()),
            content_type,
            case["answerer"].as_table().unwrap(),
        );
        // Require, Replaces and Session-Expires are judged by the SIP layer; the body of such a request is acceptable.
        if content_type.is_none() && !headers.is_empty() {
            assert!(reply.starts_with("SIP/2.0 200"), "{name}: {reply}");
            signalling += 1;
            continue;
        }
        let status: i64 = reply[8..11].parse().unwrap();
        assert!(numbers(case, "status").contains(&status), "{name}: {reply}");
        for (key, must) in [("reply_matches", true), ("reply_lacks", false)] {
            for pattern in strings(case, key) {
                assert_eq!(
                    Regex::new(&pattern).unwrap().is_match(&reply),
                    must,
                    "{name}: {key} {pattern}\n{reply}"
                );
            }
        }
    }
    println!(
        "{} offers, {signalling} of them with a status of the SIP layer",
        list.len()
    );
}

/// The reply of a phone in that state, as far as this crate decides it.
fn reply(bytes: &[u8], content_type: Option<&str>, state: &Table) -> String {
    // A phone on this machine takes the loopback address seriously; the offers were written for one.
    let on_loopback = bytes.windows(9).any(|w| w == b"127.0.0.1");
    let address = if on_loopback {
        "127.0.0.1"
    } else {
        "192.168.1.20"
    }
    .parse()
    .unwrap();
    let policy = match text(state, "srtp") {
        Some("required") => SrtpPolicy::Required,
        Some("optional") => SrtpPolicy::Optional,
        _ => SrtpPolicy::Off,
    };
    let rtcp = state.get("ice_rtcp").and_then(Value::as_bool) != Some(false);
    let ice = flag(state, "ice").then(|| ice(address, rtcp));
    let local = LocalMedia {
        srtp: srtp(policy),
        ice,
        ..LocalMedia::new(address, 6000)
    };
    match try_answer(
        bytes,
        content_type,
        &local,
        &capabilities(&strings(state, "codecs")),
    ) {
        Ok((session, _)) => format!("SIP/2.0 200 OK\r\n\r\n{session}"),
        Err(r) => format!(
            "SIP/2.0 {} No\r\nWarning: {} phone \"{}\"\r\n\r\n",
            r.status, r.warning, r.reason
        ),
    }
}

fn try_answer(
    bytes: &[u8],
    content_type: Option<&str>,
    local: &LocalMedia,
    caps: &Capabilities,
) -> Result<(Session, Vec<Negotiated>), Rejection> {
    let Body::Description(found) =
        body::description(content_type.or(Some("application/sdp")), bytes)?
    else {
        panic!("a Content-Type was given")
    };
    let offer = Session::parse(found).map_err(|e| e.rejection())?;
    let (session, streams) = answer(&offer, &Origin::new("-", 9, local.address), local, caps)?;
    assert_eq!(violations(&offer, &session), []);
    Ok((session, streams))
}

/// Cases on which the manifest contradicts itself: this one has no `o=`, which another case wants refused.
const DISPUTED: &str = "sofia-message-6";

#[test]
fn bad() {
    let cases = cases();
    let list = cases.tables("bad", 67, 5);
    let (mut refused, mut tolerated) = (0, 0);
    for case in &list {
        let name = text(case, "name").unwrap();
        let bytes = cases.read(text(case, "file").unwrap());
        let result = try_answer(
            &bytes,
            None,
            &rich_phone("192.0.2.20"),
            &Capabilities::g711(),
        );
        match (text(case, "treat").unwrap(), result) {
            _ if name == DISPUTED => assert_eq!(
                Session::parse(&bytes).map_err(|e| e.fault),
                Err(Fault::NoOrigin)
            ),
            ("reject", Err(rejection)) => {
                assert!(
                    [400, 488].contains(&rejection.status),
                    "{name}: {rejection}"
                );
                refused += 1;
            }
            ("tolerate", Ok((_, streams))) => {
                session(&bytes, name);
                check_tolerated(name, &streams);
                tolerated += 1;
            }
            (treat, result) => panic!("{name}: must {treat}, got {result:?}"),
        }
    }
    println!(
        "{} bad descriptions: {refused} refused, {tolerated} tolerated",
        list.len()
    );
}

fn check_tolerated(name: &str, streams: &[Negotiated]) {
    let stream = streams
        .iter()
        .find(|s| s.accepted)
        .unwrap_or_else(|| panic!("{name}: nothing accepted: {streams:?}"));
    let codecs: Vec<u8> = stream.may_send.iter().map(|c| c.payload_type).collect();
    match name {
        "connection-zero" => assert_eq!(stream.direction, Direction::RecvOnly),
        "direction-capital" => assert_eq!(stream.direction, Direction::SendRecv),
        "connection-media-only" => assert_eq!(
            stream.remote_rtp.as_ref().unwrap().to_string(),
            "192.0.2.11:4000"
        ),
        "connection-bracketed-v6" => assert_eq!(
            stream.remote_rtp.as_ref().unwrap().to_string(),
            "[2001:db8::1]:4000"
        ),
        "ptime-zero" | "ptime-text" | "ptime-huge" => assert_eq!(stream.ptime_ms, 20),
        "payload-128" | "dynamic-without-rtpmap" => assert_eq!(codecs, [0]),
        "payload-twice" | "rtpmap-no-clock" => assert_eq!(codecs, [0, 101]),
        "fmtp-before-rtpmap" => assert_eq!(stream.telephone_event.map(|t| t.send), Some(101)),
        "media-64" => assert_eq!(
            (streams.len(), streams.iter().filter(|s| s.accepted).count()),
            (64, 1)
        ),
        "ice-pwd-short" => assert_eq!(stream.ice, None),
        "candidate-garbage" | "candidate-mdns" => {
            assert_eq!(stream.ice.as_ref().unwrap().candidates.len(), 1)
        }
        "candidates-2000" => assert!(
            stream
                .ice
                .as_ref()
                .is_none_or(|ice| ice.candidates.len() <= 32)
        ),
        "setup-missing" => assert!(matches!(
            stream.security,
            Security::Dtls { active: true, .. }
        )),
        "crypto-on-avp" => assert!(matches!(stream.security, Security::Sdes { .. })),
        _ => assert_eq!(
            stream
                .send
                .as_ref()
                .map(|c| c.name.to_ascii_uppercase())
                .as_deref(),
            Some("PCMU"),
            "{name}"
        ),
    }
}
