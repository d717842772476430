//! SRTP against vectors, and between two sessions on a bad network. `SORI_CONFORMANCE` names the folder with all vectors;
//! without it a part of them runs.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod world;

use media::session::{FrameKind, MediaEvent, MediaSession, Protection};
use media::srtp::{Inbound, MasterKey, Outbound, Refusal, Suite};
use toml::{Table, Value};
use world::{Weather, World};

const SUITES: [Suite; 6] = [
    Suite::AesCm128Sha1_80,
    Suite::AesCm128Sha1_32,
    Suite::AesCm256Sha1_80,
    Suite::AesCm256Sha1_32,
    Suite::AesGcm128,
    Suite::AesGcm256,
];

fn manifest() -> Table {
    match std::env::var("SORI_CONFORMANCE") {
        Ok(folder) => {
            let path = format!("{folder}/srtp/vectors.toml");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            text.parse().unwrap()
        }
        Err(_) => include_str!("srtp.toml").parse().unwrap(),
    }
}

fn text<'a>(entry: &'a Table, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or("")
}

fn bytes(entry: &Table, name: &str) -> Vec<u8> {
    let digits = text(entry, name);
    (0..digits.len() / 2)
        .map(|n| u8::from_str_radix(&digits[n * 2..n * 2 + 2], 16).unwrap())
        .collect()
}

fn entries<'a>(manifest: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    let all = manifest[name].as_array().unwrap();
    all.iter().map(|entry| entry.as_table().unwrap())
}

/// None for a suite that is none of ours.
fn key(entry: &Table) -> Option<MasterKey> {
    let suite = SUITES
        .into_iter()
        .find(|s| s.name() == text(entry, "suite"))?;
    let octets = [bytes(entry, "master_key"), bytes(entry, "master_salt")].concat();
    Some(MasterKey::new(suite, &octets, &bytes(entry, "mki")).unwrap())
}

/// Contexts whose rollover counter has been brought to `rollovers` by sending across the wraps.
fn advanced(key: &MasterKey, ssrc: &[u8], rollovers: i64) -> (Outbound, Inbound) {
    let (mut outbound, mut inbound) = (Outbound::new(key), Inbound::new(key));
    let mut index = 1i64;
    while index < rollovers << 16 {
        let mut packet = vec![0x80, 0];
        packet.extend_from_slice(&(index as u16).to_be_bytes());
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(ssrc);
        outbound.protect_rtp(&mut packet).unwrap();
        inbound.unprotect_rtp(&mut packet).unwrap();
        index += 30_000;
    }
    (outbound, inbound)
}

#[test]
fn packets() {
    let manifest = manifest();
    let mut known = 0;
    for entry in entries(&manifest, "packet") {
        let name = text(entry, "name");
        let Some(key) = key(entry) else { continue };
        known += 1;
        let (plain, protected) = (bytes(entry, "plain"), bytes(entry, "protected"));
        let rollovers = entry.get("roc").and_then(Value::as_integer).unwrap_or(0);
        let (mut outbound, mut inbound) = {
            let at = if text(entry, "kind") == "rtp" { 8 } else { 4 };
            advanced(&key, &plain[at..at + 4], rollovers)
        };
        let mut packet = protected.clone();
        if text(entry, "kind") == "rtp" {
            inbound.unprotect_rtp(&mut packet).expect(name);
            assert_eq!(packet, plain, "{name}");
            outbound.protect_rtp(&mut packet).expect(name);
            assert_eq!(packet, protected, "{name}");
        } else {
            inbound.unprotect_rtcp(&mut packet).expect(name);
            assert_eq!(packet, plain, "{name}");
            let again = inbound.unprotect_rtcp(&mut protected.clone());
            assert_eq!(again, Err(Refusal::Replayed), "{name}");
            // Ours are always encrypted, and the first has index 1.
            if entry.get("index").and_then(Value::as_integer) == Some(1) {
                outbound.protect_rtcp(&mut packet).expect(name);
                assert_eq!(packet, protected, "{name}");
            }
        }
    }
    assert!(known >= 9, "{known}");
}

#[test]
fn sequences() {
    let manifest = manifest();
    let mut checked = 0;
    for entry in entries(&manifest, "sequence") {
        let name = text(entry, "name");
        let mut inbound = Inbound::new(&key(entry).unwrap());
        for (n, packet) in entries(entry, "packets").enumerate() {
            let mut bytes_in = bytes(packet, "protected");
            let outcome = inbound.unprotect_rtp(&mut bytes_in);
            match text(packet, "verdict") {
                "accept" => {
                    assert_eq!(outcome, Ok(()), "{name} {n}");
                    assert_eq!(bytes_in, bytes(packet, "plain"), "{name} {n}");
                }
                "drop" => assert!(outcome.is_err(), "{name} {n}"),
                "either" => {}
                other => panic!("{name}: {other}"),
            }
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked}");
}

fn keys(suite: Suite) -> [MasterKey; 2] {
    let length = suite.key_length() + suite.salt_length();
    [1u8, 2].map(|n| {
        let octets: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(n) ^ n).collect();
        MasterKey::new(suite, &octets, &[]).unwrap()
    })
}

fn protections(suite: Suite) -> [Protection; 2] {
    let [a, b] = keys(suite);
    [
        Protection::Srtp {
            send: a.clone(),
            receive: b.clone(),
        },
        Protection::Srtp {
            send: b,
            receive: a,
        },
    ]
}

fn secured(suite: Suite, weather: Weather, seed: u64) -> World {
    let mut world = World::new(weather, seed);
    for (party, protection) in world.parties.iter_mut().zip(protections(suite)) {
        party.session.protect(protection);
    }
    world
}

#[test]
fn every_suite_opens_what_it_protects_and_no_changed_bit() {
    for suite in SUITES {
        let [key, other] = keys(suite);
        let plain: Vec<u8> = [0x80, 0, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4]
            .into_iter()
            .chain(0..100)
            .collect();
        let mut protected = plain.clone();
        Outbound::new(&key).protect_rtp(&mut protected).unwrap();
        let mut report = vec![0x80, 200, 0, 6, 1, 2, 3, 4];
        report.extend(0..20);
        let mut protected_report = report.clone();
        Outbound::new(&key)
            .protect_rtcp(&mut protected_report)
            .unwrap();
        assert!(!protected.windows(8).any(|w| plain[20..].starts_with(w)));
        let mut inbound = Inbound::new(&key);
        for bit in 0..protected.len() * 8 {
            let mut changed = protected.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                inbound.unprotect_rtp(&mut changed).is_err(),
                "{suite:?} {bit}"
            );
        }
        for bit in 0..protected_report.len() * 8 {
            let mut changed = protected_report.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                inbound.unprotect_rtcp(&mut changed).is_err(),
                "{suite:?} {bit}"
            );
        }
        for end in 0..protected.len() {
            let mut short = protected[..end].to_vec();
            assert!(inbound.unprotect_rtp(&mut short).is_err());
            let _ = inbound.unprotect_rtcp(&mut short);
        }
        let wrong = Inbound::new(&other).unprotect_rtp(&mut protected.clone());
        assert_eq!(wrong, Err(Refusal::Forged));
        inbound.unprotect_rtp(&mut protected).unwrap();
        inbound.unprotect_rtcp(&mut protected_report).unwrap();
        assert_eq!((protected, protected_report), (plain, report), "{suite:?}");
    }
}

#[test]
fn sound_and_reports_pass_a_bad_network() {
    for suite in SUITES {
        let weather = Weather {
            delay_us: 30_000,
            jitter_us: 40_000,
            loss: 0.05,
            duplication: 0.02,
        };
        let mut world = secured(suite, weather, 7);
        world.run(15.0);
        let mut speech = 0;
        for party in &world.parties {
            let statistics = party.session.statistics();
            assert_eq!(statistics.discarded.forged, 0, "{suite:?}");
            assert_eq!(statistics.discarded.malformed, 0, "{suite:?}");
            assert!(statistics.packets_received > 650, "{statistics:?}");
            assert!(statistics.remote.is_some(), "{suite:?}: {statistics:?}");
            speech += party
                .kinds
                .iter()
                .filter(|kind| **kind == FrameKind::Audio)
                .count();
        }
        for (n, party) in world.parties.iter().enumerate() {
            // A copy that the network made is a replay.
            let copies = world.parties[1 - n].duplicated;
            let replayed = party.session.statistics().discarded.replayed;
            assert!(
                replayed <= copies && replayed + 3 >= copies,
                "{replayed} {copies}"
            );
        }
        assert!(speech > 1200, "{suite:?}: {speech}");
    }
}

#[test]
fn forgers_move_nothing() {
    let mut world = secured(Suite::AesCm128Sha1_80, Weather::default(), 3);
    let evil = "203.0.113.9:6666".parse().unwrap();
    world.run(0.5);
    let before = world.parties[0].session.destination();
    let mut plain = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    plain.extend([0x55; 160]);
    for n in 0..300u16 {
        plain[2..4].copy_from_slice(&n.to_be_bytes());
        let now = world.clock(0) + std::time::Duration::from_secs(10);
        world.parties[0].session.handle_rtp(now, evil, &plain);
        world.parties[0]
            .session
            .handle_rtcp(now, evil, &[0x80, 203, 0, 1, 0, 0, 0, 101, 0, 0]);
    }
    let session = &world.parties[0].session;
    assert_eq!(session.destination(), before);
    let statistics = session.statistics();
    assert_eq!(statistics.discarded.forged, 300, "{statistics:?}");
    let heard: Vec<&MediaEvent> = world.parties[0]
        .events
        .iter()
        .filter(|e| !matches!(e, MediaEvent::FirstPacket { .. }))
        .collect();
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn nothing_flows_before_the_keys_are_there() {
    let mut world = World::new(Weather::default(), 5);
    world.parties[0].session.protect(Protection::Awaited);
    world.run(1.0);
    assert_eq!(world.parties[0].sent, 0);
    assert_eq!(world.parties[0].session.statistics().packets_received, 0);
    assert!(world.parties[0].session.statistics().discarded.keyless > 40);
    for (party, protection) in world.parties.iter_mut().zip(protections(Suite::AesGcm128)) {
        party.session.protect(protection);
    }
    world.run(1.0);
    assert!(world.parties[0].sent > 45);
    assert!(world.parties[0].session.statistics().packets_received > 45);
}

/// New keys, while the counters of wraps go on at one side and begin anew at the other.
#[test]
fn keys_can_change_after_a_wrap() {
    let suite = Suite::AesCm128Sha1_80;
    let [old, new] = keys(suite);
    let (_, before) = advanced(&old, &[1, 2, 3, 4], 2);
    let packet = |sequence: u16| {
        let [high, low] = sequence.to_be_bytes();
        vec![0x80, 0, high, low, 0, 0, 0, 0, 1, 2, 3, 4, 42]
    };
    let mut fresh = packet(9_000);
    Outbound::new(&new).protect_rtp(&mut fresh).unwrap();
    let (mut continuing, _) = advanced(&new, &[1, 2, 3, 4], 2);
    let mut continued = packet(9_000);
    continuing.protect_rtp(&mut continued).unwrap();
    assert_ne!(fresh, continued);
    for mut bytes in [fresh, continued] {
        let mut inbound = Inbound::renewed(&new, &before);
        assert_eq!(inbound.unprotect_rtp(&mut bytes), Ok(()));
        assert_eq!(bytes, packet(9_000));
    }
}

#[test]
fn a_source_that_wrapped_becomes_a_new_one_with_new_keys() {
    let [old, _] = protections(Suite::AesCm128Sha1_80);
    let [new, _] = protections(Suite::AesGcm256);
    let mut world = secured(Suite::AesCm128Sha1_80, Weather::default(), 11);
    let session = &mut world.parties[0].session;
    let mut packet = Vec::new();
    let mut send = |session: &mut MediaSession| {
        let now = session.next_frame_due();
        assert!(session.send_frame(now, &[0; 160], &mut packet));
        (packet[2..4].to_vec(), packet[8..12].to_vec())
    };
    let (_, first) = send(session);
    session.protect(new.clone());
    assert_eq!(
        send(session).1,
        first,
        "before the wrap nothing is in doubt"
    );
    session.protect(old.clone());
    for _ in 0..0x1_0000 {
        assert_eq!(send(session).1, first);
    }
    session.protect(old);
    assert_eq!(send(session).1, first, "the same keys");
    session.protect(new);
    let (sequence, source) = send(session);
    assert_ne!(source, first);
    assert!(sequence[0] < 0x80);
}
