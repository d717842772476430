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
    ("api", &["server", "store"]),
    (
        "sori",
        &[
            "sip", "sdp", "media", "net", "store", "server", "phone", "api",
        ],
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

/// The page says why each library is there; one that is not used any more is not named.
#[test]
fn every_library_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page is there");
    let (_, page) = page.split_once("## Libraries").expect("it has the table");
    let rows = page.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let names = rows.filter_map(|row| row.split('|').nth(1));
    // `rusqlite (bundled)`: what stands in parentheses is a feature.
    let names = names.flat_map(|cell| cell.split(','));
    let named: BTreeSet<String> = names
        .filter_map(|name| name.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let mut used = BTreeSet::new();
    for (name, _) in ARROWS {
        let manifest = root.join("crates").join(name).join("Cargo.toml");
        used.extend(dependencies(&manifest, "dependencies"));
        let text = std::fs::read_to_string(&manifest).expect("every crate has a manifest");
        let manifest: toml::Table = text.parse().expect("cargo reads it, so do we");
        let targets = manifest.get("target").and_then(|t| t.as_table());
        for target in targets.into_iter().flat_map(|t| t.values()) {
            let more = target.get("dependencies").and_then(|d| d.as_table());
            used.extend(more.into_iter().flat_map(|d| d.keys().cloned()));
        }
    }
    for (name, _) in ARROWS {
        used.remove(*name);
    }
    let unnamed: Vec<&String> = used.difference(&named).collect();
    assert!(unnamed.is_empty(), "no reason is given for {unnamed:?}");
    let unused: Vec<&String> = named.difference(&used).collect();
    // The terminal comes with ratatui, by a feature.
    assert_eq!(unused, ["crossterm"], "nobody uses these");
}

/// The table of the page is the table above.
#[test]
fn the_page_has_the_same_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page is there");
    for (name, may) in ARROWS {
        let start = format!("| `{name}` |");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("the page has no {name}"));
        let told = row.split('|').nth(3).unwrap_or_default().trim();
        let told: BTreeSet<&str> = match told {
            "–" => BTreeSet::new(),
            "all" => may.iter().copied().collect(),
            some => some.split(", ").collect(),
        };
        assert_eq!(told, may.iter().copied().collect(), "{name}");
    }
}
