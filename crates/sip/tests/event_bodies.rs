//! The readers of event bodies against the bodies printed in RFCs, and hostile ones.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use sip::event::{Basic, BodyError, DialogInfo, DialogState, MessageSummary, Presence};
use testkit::conformance::{Case, cases};
use toml::Value;

const MANIFEST: &str = "presence/manifest.toml";

fn of(key: &str) -> Vec<Case> {
    cases(MANIFEST, key, "file").unwrap_or_else(|| {
        println!("no conformance material: only what stands in the unit tests is tested");
        Vec::new()
    })
}

fn entries(case: &Case, key: &str) -> Option<Vec<toml::Table>> {
    let Value::Array(list) = case.entry.get(key)? else {
        return None;
    };
    Some(list.iter().map(|e| e.as_table().unwrap().clone()).collect())
}

fn field<'a>(entry: &'a toml::Table, key: &str) -> Option<&'a str> {
    entry.get(key).and_then(Value::as_str)
}

#[test]
fn presence_documents() {
    let mut read = 0;
    for case in of("document") {
        let parsed = Presence::parse(&case.bytes);
        if case.text("root") != "presence" {
            assert!(parsed.is_err(), "{}", case.name);
            continue;
        }
        let presence = parsed.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(presence.entity, case.text("entity"), "{}", case.name);
        let wanted = entries(&case, "tuples").unwrap_or_default();
        assert_eq!(presence.tuples.len(), wanted.len(), "{}", case.name);
        for (tuple, wanted) in presence.tuples.iter().zip(&wanted) {
            assert_eq!(Some(tuple.id.as_str()), field(wanted, "id"));
            let basic = match field(wanted, "basic") {
                Some("open") => Some(Basic::Open),
                Some("closed") => Some(Basic::Closed),
                _ => None,
            };
            assert_eq!(tuple.basic, basic, "{}", case.name);
            assert_eq!(tuple.contact.as_deref(), field(wanted, "contact"));
            assert_eq!(tuple.priority.as_deref(), field(wanted, "priority"));
        }
        if let Some(Value::Array(notes)) = case.entry.get("notes") {
            let first = notes[0].as_str().unwrap();
            assert_eq!(presence.notes[0], first, "{}", case.name);
        }
        if case.name == "rfc4480-01.xml" {
            assert_eq!(presence.activities, ["away"]);
        }
        // What is written says the same.
        assert_eq!(Presence::parse(presence.to_xml().as_bytes()), Ok(presence));
        read += 1;
    }
    assert!(
        read > 5 || testkit::conformance::folder().is_none(),
        "{read}"
    );
}

#[test]
fn dialog_documents() {
    let mut read = 0;
    for case in of("document") {
        let parsed = DialogInfo::parse(&case.bytes);
        if case.text("root") != "dialog-info" {
            assert!(parsed.is_err(), "{}", case.name);
            continue;
        }
        let info = parsed.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(
            info.version.to_string(),
            case.text("version"),
            "{}",
            case.name
        );
        assert_eq!(info.is_full, case.text("state") == "full", "{}", case.name);
        let wanted = entries(&case, "dialogs").unwrap_or_default();
        assert_eq!(info.dialogs.len(), wanted.len(), "{}", case.name);
        for (dialog, wanted) in info.dialogs.iter().zip(&wanted) {
            assert_eq!(Some(dialog.id.as_str()), field(wanted, "id"));
            assert_eq!(dialog.call_id.as_deref(), field(wanted, "call-id"));
            assert_eq!(dialog.local_tag.as_deref(), field(wanted, "local-tag"));
            assert_eq!(dialog.remote_tag.as_deref(), field(wanted, "remote-tag"));
            assert_eq!(
                dialog.is_initiator,
                field(wanted, "direction") == Some("initiator")
            );
            let state = match field(wanted, "state").unwrap_or_default() {
                "trying" => DialogState::Trying,
                "proceeding" => DialogState::Proceeding,
                "early" => DialogState::Early,
                "confirmed" => DialogState::Confirmed,
                "terminated" => DialogState::Terminated,
                _ => DialogState::Unknown,
            };
            assert_eq!(dialog.state, state, "{}", case.name);
            let identity = field(wanted, "remote_identity").filter(|i| !i.is_empty());
            if identity.is_some() {
                assert_eq!(dialog.remote.identity.as_deref(), identity, "{}", case.name);
            }
        }
        read += 1;
    }
    assert!(
        read > 20 || testkit::conformance::folder().is_none(),
        "{read}"
    );
}

#[test]
fn message_summaries() {
    let mut read = 0;
    for case in of("mwi") {
        let summary = MessageSummary::parse(&case.bytes).unwrap();
        if case.entry.contains_key("waiting") {
            assert_eq!(summary.waiting, case.is("waiting"), "{}", case.name);
        } else {
            assert!(summary.waiting, "{}", case.name);
        }
        let account = case.entry.get("account").and_then(Value::as_str);
        assert_eq!(summary.account.as_deref(), account, "{}", case.name);
        for (key, class) in [("voice", "voice-message"), ("fax", "fax-message")] {
            let Some(Value::Array(wanted)) = case.entry.get(key) else {
                continue;
            };
            let pair =
                |list: &[Value]| (list[0].as_integer().unwrap(), list[1].as_integer().unwrap());
            let found = summary.counts.iter().find(|c| c.class == class).unwrap();
            assert_eq!(
                (i64::from(found.new), i64::from(found.old)),
                pair(wanted),
                "{}",
                case.name
            );
            if let Some(Value::Array(urgent)) = case.entry.get(&format!("{key}_urgent")) {
                let (new, old) = found.urgent.unwrap();
                assert_eq!(
                    (i64::from(new), i64::from(old)),
                    pair(urgent),
                    "{}",
                    case.name
                );
            }
        }
        read += 1;
    }
    assert!(
        read > 8 || testkit::conformance::folder().is_none(),
        "{read}"
    );
}

#[test]
fn bad_documents() {
    for case in of("bad") {
        let presence = Presence::parse(&case.bytes);
        let dialogs = DialogInfo::parse(&case.bytes);
        match case.name.as_str() {
            "bad-prefix.xml" => assert!(presence.unwrap().is_open()),
            "bad-bad-basic.xml" => assert_eq!(presence.unwrap().tuples[0].basic, None),
            "bad-duplicate-id.xml" => assert_eq!(presence.unwrap().tuples.len(), 1),
            "bad-no-entity.xml" => assert_eq!(presence, Err(BodyError::Missing("entity"))),
            "bad-wrong-namespace.xml" => assert_eq!(presence, Err(BodyError::Foreign)),
            "bad-dialog-info-version-gap.xml" => {
                let info = dialogs.unwrap();
                assert!(!info.is_full && info.version == 7);
            }
            _ => assert!(
                presence.is_err() && dialogs.is_err(),
                "{}: {presence:?}",
                case.name
            ),
        }
    }
}

#[test]
fn hostile_documents() {
    let deep = format!("{}{}", "<a>".repeat(9000), "</a>".repeat(9000));
    for bad in [
        deep.as_str(),
        "<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"&b;\"/>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"a\">",
        "",
    ] {
        assert!(Presence::parse(bad.as_bytes()).is_err());
        assert!(DialogInfo::parse(bad.as_bytes()).is_err());
        MessageSummary::parse(bad.as_bytes());
    }
}

#[test]
fn damaged_bodies_never_panic() {
    let good = Presence {
        entity: "sip:a@b".to_owned(),
        notes: vec!["hé".to_owned()],
        ..Presence::default()
    };
    let good = good.to_xml().into_bytes();
    let dialog = b"<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='1' state='full' entity='a'><dialog id='1'><state>early</state></dialog></dialog-info>";
    let summary = b"Messages-Waiting: yes\r\nVoice-Message: 1/2 (3/4)\r\n";
    let mut random = 1u64;
    let mut next = |bound: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % bound
    };
    let mut readable = 0;
    for _ in 0..20_000 {
        for body in [&good[..], dialog, summary] {
            let mut body = body.to_vec();
            for _ in 0..next(4) {
                let at = next(body.len());
                match next(3) {
                    0 => body[at] = next(256) as u8,
                    1 => body.truncate(at.max(1)),
                    _ => body.insert(at, b"<>&;\"'/!"[next(8)]),
                }
            }
            readable += usize::from(Presence::parse(&body).is_ok());
            readable += usize::from(DialogInfo::parse(&body).is_ok());
            readable += usize::from(MessageSummary::parse(&body).is_some());
        }
    }
    assert!(readable > 10_000, "{readable}");
}
