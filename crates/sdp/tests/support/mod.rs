//! What the tests share: where the cases are, and the phone that they are put to.
#![allow(dead_code)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sdp::ice::{Candidate, LocalIce};
use sdp::secure::{CryptoSuite, Fingerprint, LocalDtls, LocalSrtp, SdesKey, SrtpPolicy};
use sdp::{Capabilities, Codec, LocalMedia};
use toml::{Table, Value};

/// The conformance folder, or the few vectors kept beside the tests.
pub struct Cases {
    pub root: PathBuf,
    pub full: bool,
}

pub fn cases() -> Cases {
    match std::env::var_os("SORI_CONFORMANCE") {
        Some(root) => Cases {
            root: root.into(),
            full: true,
        },
        None => Cases {
            root: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
            full: false,
        },
    }
}

impl Cases {
    /// The tables of one kind in `sdp/manifest.toml`; panics unless there are as many as there must be.
    pub fn tables(&self, kind: &str, full: usize, kept: usize) -> Vec<Table> {
        let text = fs::read_to_string(self.root.join("sdp/manifest.toml")).unwrap();
        let manifest: Table = text.parse().unwrap();
        let list: Vec<Table> = manifest[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_table().unwrap().clone())
            .collect();
        let expected = if self.full { full } else { kept };
        assert!(
            list.len() >= expected,
            "{} cases of {kind}, expected {expected}",
            list.len()
        );
        list
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.root.join("sdp").join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// Files of a folder, sorted by name.
    pub fn files(&self, folder: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(self.root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == extension))
            .map(|path| {
                (
                    format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()),
                    fs::read(&path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }
}

pub fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

pub fn flag(table: &Table, key: &str) -> bool {
    table.get(key).and_then(Value::as_bool).unwrap_or(false)
}

pub fn strings(table: &Table, key: &str) -> Vec<String> {
    let list = table
        .get(key)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list.iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect()
}

pub fn numbers(table: &Table, key: &str) -> Vec<i64> {
    let list = table
        .get(key)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list.iter().map(|v| v.as_integer().unwrap()).collect()
}

/// Codecs of those names and telephone events.
pub fn capabilities(names: &[String]) -> Capabilities {
    let mut codecs = Vec::new();
    for name in names {
        let rates: &[u32] = match name.as_str() {
            "speex" => &[8000, 16000, 32000],
            "G7221" => &[16000, 32000],
            "AMR-WB" => &[16000],
            _ => &[8000],
        };
        codecs.extend(rates.iter().map(|rate| Codec::new(96, name, *rate)));
    }
    codecs.push(Codec::telephone_event(101, 8000));
    codecs.push(Codec::telephone_event(102, 16000));
    let numbered = Capabilities::new(codecs).numbered(&[]);
    Capabilities::new(numbered)
}

pub fn srtp(policy: SrtpPolicy) -> LocalSrtp {
    let key = |suite: CryptoSuite, fill: u8| SdesKey {
        suite,
        key: vec![fill; suite.key_length()],
        mki: Vec::new(),
    };
    LocalSrtp {
        policy,
        keys: vec![
            key(CryptoSuite::AesCm128Sha1_80, 1),
            key(CryptoSuite::AesCm128Sha1_32, 2),
        ],
    }
}

pub fn dtls() -> LocalDtls {
    LocalDtls {
        fingerprint: Fingerprint {
            hash: "sha-256".into(),
            digest: vec![0xA5; 32],
        },
    }
}

pub fn ice(address: IpAddr, rtcp: bool) -> LocalIce {
    let candidate = |component: u16| {
        let port = 6000 + component - 1;
        Candidate::parse(&format!(
            "H {component} UDP 2130706431 {address} {port} typ host"
        ))
        .unwrap()
    };
    LocalIce {
        ufrag: "ours".into(),
        pwd: "ourpasswordourpassword".into(),
        candidates: if rtcp {
            vec![candidate(1), candidate(2)]
        } else {
            vec![candidate(1)]
        },
    }
}

/// A phone that can do all we know.
pub fn rich_phone(address: &str) -> LocalMedia {
    let address = address.parse().unwrap();
    LocalMedia {
        srtp: srtp(SrtpPolicy::Optional),
        dtls: Some(dtls()),
        ice: Some(ice(address, true)),
        rtcp_mux: true,
        ..LocalMedia::new(address, 6000)
    }
}
