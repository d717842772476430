//! Reading the manifests, and one reader for every typed header.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

use sip::header::*;
use sip::wire::{Index, Packet, ScanError};
use toml::{Table, Value};

/// One message of a manifest: its entry and its bytes.
pub struct Case {
    pub file: String,
    pub entry: Table,
    pub bytes: Vec<u8>,
}

impl Case {
    pub fn text(&self, key: &str) -> &str {
        self.entry.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// The view, when the bytes are a message at all.
    pub fn packet<'a>(&'a self, index: &'a mut Index) -> Result<Packet<'a>, ScanError> {
        Packet::scan(&self.bytes, index)
    }
}

/// Every message of a manifest: of the conformance material when it is there, else the few kept here.
pub fn cases(folder: &str, complete: usize) -> Vec<Case> {
    let (root, at_least) = match std::env::var_os("SORI_CONFORMANCE") {
        Some(root) => (PathBuf::from(root), complete),
        None => (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/headers"),
            3,
        ),
    };
    let folder = root.join(folder);
    let path = folder.join("manifest.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let table: Table = text.parse().unwrap();
    let cases: Vec<Case> = table["message"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let entry = entry.as_table().unwrap().clone();
            let file = entry["file"].as_str().unwrap().to_owned();
            let path = folder.join(&file);
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            Case { file, entry, bytes }
        })
        .collect();
    assert!(cases.len() >= at_least, "{path:?}: {} cases", cases.len());
    println!("{} messages of {}", cases.len(), path.display());
    cases
}

/// Reads a value by its header's own type; `Ok(false)` for a header that has none.
pub fn read(name: HeaderName, value: &[u8]) -> Result<bool, ParseError> {
    use HeaderName as H;
    fn every<T>(list: impl Iterator<Item = Result<T, ParseError>>) -> Result<(), ParseError> {
        list.take(70_000).try_for_each(|item| item.map(drop))
    }
    match name {
        H::Via => every(Via::parse_list(value).map(|via| {
            let via = via?;
            assert_eq!(&value[via.range()], via.raw());
            Ok(via)
        }))?,
        H::From | H::To | H::ReplyTo | H::ReferredBy => NameAddr::parse(value).map(drop)?,
        H::Contact => every(ContactList::parse(value).addresses())?,
        H::Route | H::RecordRoute | H::Path | H::ServiceRoute => {
            every(routes([value]))?;
        }
        H::PAssertedIdentity | H::PPreferredIdentity | H::Diversion | H::HistoryInfo => {
            every(NameAddr::parse_list(value))?;
        }
        H::RemotePartyId | H::AlertInfo | H::CallInfo | H::ErrorInfo => {
            every(NameAddr::parse_list(value))?;
        }
        H::CallId => CallId::parse(value).map(drop)?,
        H::CSeq => CSeq::parse(value).map(drop)?,
        H::MaxForwards => MaxForwards::parse(value).map(drop)?,
        H::ContentLength => ContentLength::parse(value).map(drop)?,
        H::ContentType => ContentType::parse(value).map(drop)?,
        H::ContentDisposition => ContentDisposition::parse(value).map(drop)?,
        H::Expires => drop(Expires::parse(value)),
        H::MinExpires => MinExpires::parse(value).map(drop)?,
        H::RetryAfter => RetryAfter::parse(value).map(drop)?,
        H::Timestamp => Timestamp::parse(value).map(drop)?,
        H::RSeq => RSeq::parse(value).map(drop)?,
        H::RAck => RAck::parse(value).map(drop)?,
        H::Event => Event::parse(value).map(drop)?,
        H::SubscriptionState => SubscriptionState::parse(value).map(drop)?,
        H::Reason => every(Reason::parse_list(value))?,
        H::Date => Date::parse(value).map(drop)?,
        H::Warning => every(Warning::parse_list(value))?,
        H::Accept => every(MediaRange::parse_list(value))?,
        H::ReferTo => drop(ReferTo::parse(value)?.replaces()),
        H::Replaces | H::Join => Replaces::parse(value).map(drop)?,
        H::MinSe => MinSE::parse(value).map(drop)?,
        H::SessionExpires => SessionExpires::parse(value).map(drop)?,
        H::Allow | H::Supported | H::Require | H::ProxyRequire | H::Unsupported => {
            drop(Tokens::parse(value).collect::<Vec<_>>());
        }
        _ => return Ok(false),
    }
    Ok(true)
}
