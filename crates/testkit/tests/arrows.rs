//! Who may import whom: the table of ARCHITECTURE.md, held against every Cargo.toml.

use std::collections::BTreeSet;
use std::path::Path;

/// Each crate and what of ours it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("sdp", &[]),
    ("sip", &["sdp"]),
    ("media", &[]),
    ("net", &["sip"]),
    ("store", &[]),
    ("server", &["sip", "sdp", "media", "net", "store"]),
    ("phone", &["sip", "sdp", "media", "net"]),
    (
        "sori",
        &["sip", "sdp", "media", "net", "store", "server", "phone"],
    ),
    (
        "testkit",
        &["sip", "sdp", "media", "net", "store", "server", "phone"],
    ),
];

/// What the quiet rooms may never depend on, directly.
const LOUD: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "libc",
    "hickory-resolver",
    "rusqlite",
    "getrandom",
    "rand",
];

fn dependencies(manifest: &Path, table: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifest).expect("every crate has a manifest");
    let manifest: toml::Table = text.parse().expect("cargo reads it, so do we");
    let Some(found) = manifest.get(table).and_then(|d| d.as_table()) else {
        return BTreeSet::new();
    };
    found.keys().cloned().collect()
}

#[test]
fn every_crate_keeps_to_its_arrows() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(&crates).expect("the crates are there") {
        let folder = entry.expect("the crates are readable").path();
        let name = folder
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let (known, may) = ARROWS
            .iter()
            .find(|(crate_name, _)| *crate_name == name)
            .unwrap_or_else(|| panic!("crate {name} stands in no table of arrows"));
        let needs = dependencies(&folder.join("Cargo.toml"), "dependencies");
        for need in needs.iter().filter(|n| ours.contains(n.as_str())) {
            assert!(may.contains(&need.as_str()), "{known} imports {need}");
        }
        if ["sdp", "sip", "media"].contains(known) {
            for loud in LOUD {
                assert!(
                    !needs.contains(*loud),
                    "the quiet room {known} imports {loud}"
                );
            }
        }
        if *known != "testkit" {
            assert!(!needs.contains("testkit"), "{known} ships the test kit");
        }
        seen.insert(*known);
    }
    assert_eq!(seen, ours, "the table names crates that are not there");
}
