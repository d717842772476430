//! Every header of known type in every real and printed message reads, or is listed as refused.

#![allow(clippy::unwrap_used)]

#[path = "headers/cases.rs"]
mod cases;

use std::collections::BTreeSet;

use cases::{Case, cases, read};
use sip::uri::Uri;
use sip::wire::Index;
use toml::{Table, Value};

/// `file header` of everything that is refused, with the reasons in the list itself.
fn refused() -> BTreeSet<String> {
    let table: Table = include_str!("headers/refused.toml").parse().unwrap();
    let groups = table["refused"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["headers"].as_array().unwrap())
        .map(|entry| entry.as_str().unwrap().to_owned())
        .collect()
}

/// Whether the manifest itself warns about the message.
fn is_marked(case: &Case) -> bool {
    let doubtful = matches!(case.text("reader"), "either" | "reject");
    doubtful
        || ["partial", "elided"]
            .iter()
            .any(|key| case.entry.get(*key) == Some(&Value::Boolean(true)))
}

struct Tally {
    read: usize,
    refused: BTreeSet<String>,
    marked: usize,
}

fn read_all(case: &Case, tally: &mut Tally) {
    let mut index = Index::new();
    let Ok(packet) = case.packet(&mut index) else {
        // What is not even meant as a message has no start line in the manifest.
        if case.entry.contains_key("start") {
            tally.refused.insert(format!("{} start-line", case.file));
        }
        return;
    };
    for header in packet.headers() {
        match read(header.name(), header.value()) {
            Ok(typed) => tally.read += usize::from(typed),
            Err(error) => {
                println!("{} {}: {error}", case.file, header.name());
                tally.marked += usize::from(is_marked(case));
                tally
                    .refused
                    .insert(format!("{} {}", case.file, header.name()));
            }
        }
    }
    if packet.is_request() {
        let uri = Uri::parse(packet.request_uri());
        assert!(uri.is_ok() || is_marked(case), "{} {uri:?}", case.file);
        tally.read += usize::from(uri.is_ok());
    }
}

#[test]
fn every_header_reads_or_is_listed() {
    let mut tally = Tally {
        read: 0,
        refused: BTreeSet::new(),
        marked: 0,
    };
    for case in cases("wild", 157).iter().chain(&cases("flows", 838)) {
        read_all(case, &mut tally);
    }
    println!(
        "{} values read, {} refused ({} in messages that a manifest marks)",
        tally.read,
        tally.refused.len(),
        tally.marked
    );
    let listed = refused();
    let unlisted: Vec<_> = tally.refused.difference(&listed).collect();
    assert!(unlisted.is_empty(), "refused but not listed: {unlisted:?}");
    if std::env::var_os("SORI_CONFORMANCE").is_some() {
        let kept: Vec<_> = listed
            .difference(&tally.refused)
            .filter(|entry| !entry.starts_with("refused.sip"))
            .collect();
        assert!(kept.is_empty(), "listed but read: {kept:?}");
        assert!(tally.read > 9_000, "{}", tally.read);
    } else {
        assert!(
            tally.read > 40 && tally.refused.len() == 1,
            "{}",
            tally.read
        );
    }
}
