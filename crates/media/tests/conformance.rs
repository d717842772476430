//! The RTP part of the conformance material. `SORI_CONFORMANCE` names its folder; without it a few vectors of our own run.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::SocketAddr;

use media::Time;
use media::codec::{CodecKind, alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
use media::dtmf::{self, Receiver};
use media::rtcp::{Compound, RtcpPacket};
use media::rtp::{Arrival, Packet, classify};
use media::session::{CodecChoice, Config, MediaEvent, MediaSession};
use toml::{Table, Value};

/// The manifest, and whether it is the whole one.
fn manifest() -> (Table, bool) {
    match std::env::var("SORI_CONFORMANCE") {
        Ok(folder) => {
            let path = format!("{folder}/srtp/rtp.toml");
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            (text.parse().unwrap(), true)
        }
        Err(_) => (include_str!("vectors.toml").parse().unwrap(), false),
    }
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: String = hexadecimal.chars().filter(|c| !c.is_whitespace()).collect();
    (0..digits.len() / 2)
        .map(|n| u8::from_str_radix(&digits[n * 2..n * 2 + 2], 16).unwrap())
        .collect()
}

fn tables<'a>(manifest: &'a Table, name: &str) -> Vec<&'a Table> {
    manifest[name]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry.as_table().unwrap())
        .collect()
}

fn number(entry: &Table, name: &str) -> Option<i64> {
    entry.get(name).and_then(Value::as_integer)
}

fn there() -> SocketAddr {
    "192.0.2.9:4000".parse().unwrap()
}

fn session(telephone_event: u8) -> MediaSession {
    let codec = CodecChoice {
        payload_type: 0,
        codec: CodecKind::Pcmu,
    };
    let mut config = Config::new(codec, Some(there()), 1, "test", 1);
    config.telephone_event_receive = Some(telephone_event);
    MediaSession::new(config, Time::ZERO)
}

#[test]
fn telephone_events() {
    let (manifest, whole) = manifest();
    let entries = tables(&manifest, "events");
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let payload_type = number(entry, "payload_type").unwrap_or(101) as u8;
        let mut receiver = Receiver::new(8000);
        let mut session = session(payload_type);
        let mut events = Vec::new();
        let mut now = Time::ZERO;
        for packet in entry["packets"].as_array().unwrap() {
            let packet = bytes(packet.as_str().unwrap());
            events.extend(receiver.expire(now));
            events.extend(receiver.receive(now, &Packet::parse(&packet).unwrap()));
            session.handle_rtp(now, there(), &packet);
            now += Time::from_millis(20);
        }
        let later = now + Time::from_secs(1);
        events.extend(receiver.expire(later));
        session.pull_frame(later, &mut [0; 160]);

        let keys: Vec<_> = events
            .iter()
            .filter(|event| dtmf::key(event.code).is_some())
            .collect();
        let digits: String = keys
            .iter()
            .filter_map(|event| dtmf::key(event.code))
            .collect();
        assert_eq!(digits, entry["digits"].as_str().unwrap(), "{name}");
        let flashes = events
            .iter()
            .filter(|event| event.code == dtmf::FLASH)
            .count();
        assert_eq!(
            flashes as i64,
            number(entry, "flash").unwrap_or(0),
            "{name}"
        );
        if let Some(durations) = entry.get("durations") {
            let expected: Vec<i64> = durations
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_integer)
                .collect();
            let heard: Vec<i64> = keys.iter().map(|event| i64::from(event.units)).collect();
            assert_eq!(heard, expected, "{name}");
        }

        let mut told = String::new();
        let mut told_flashes = 0;
        while let Some(event) = session.poll_event() {
            match event {
                MediaEvent::Dtmf { digit, .. } => told.push(digit),
                MediaEvent::Flash => told_flashes += 1,
                _ => {}
            }
        }
        assert_eq!(
            (told, told_flashes),
            (digits, flashes),
            "{name}: the session tells the same"
        );
    }
    println!("{} telephone-event cases", entries.len());
    assert_eq!(entries.len(), if whole { 17 } else { 2 });
}

#[test]
fn odd_packets() {
    let (manifest, whole) = manifest();
    let entries = tables(&manifest, "packet");
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let packet = bytes(entry["packet"].as_str().unwrap());
        let kind = classify(&packet);
        match entry["treat"].as_str().unwrap() {
            "accept" if kind == Arrival::Rtcp => accepted_report(name, entry, &packet),
            "accept" => {
                let read = Packet::parse(&packet).unwrap_or_else(|error| panic!("{name}: {error}"));
                if let Some(octets) = number(entry, "payload_octets") {
                    assert_eq!(read.payload.len() as i64, octets, "{name}");
                }
                assert_eq!(kind, Arrival::Rtp, "{name}");
                let mut session = session(101);
                session.handle_rtp(Time::ZERO, there(), &packet);
                assert_eq!(session.statistics().packets_received, 1, "{name}");
            }
            "drop" => {
                assert!(
                    Packet::parse(&packet).is_err() || kind == Arrival::Rtcp,
                    "{name}"
                );
                assert!(Compound::parse(&packet).is_err(), "{name}");
                let mut session = session(101);
                session.handle_rtp(Time::ZERO, there(), &packet);
                session.handle_rtcp(Time::ZERO, there(), &packet);
                let statistics = session.statistics();
                assert_eq!(
                    (statistics.packets_received, statistics.reports_received),
                    (0, 0),
                    "{name}"
                );
            }
            "rtcp" => assert_eq!(kind, Arrival::Rtcp, "{name}"),
            "dtls" => assert_eq!(kind, Arrival::Dtls, "{name}"),
            "stun" => assert_eq!(kind, Arrival::Stun, "{name}"),
            "zrtp" => assert_eq!(kind, Arrival::Zrtp, "{name}"),
            "turn" => assert_eq!(kind, Arrival::Turn, "{name}"),
            other => panic!("{name}: unknown treatment {other}"),
        }
    }
    println!("{} odd packets", entries.len());
    assert_eq!(entries.len(), if whole { 18 } else { 3 });
}

fn accepted_report(name: &str, entry: &Table, packet: &[u8]) {
    let compound = Compound::parse(packet).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Some(report) = entry.get("report").and_then(Value::as_table) else {
        return;
    };
    let packets: Vec<_> = compound.packets().collect();
    let RtcpPacket::SenderReport {
        ssrc,
        info,
        mut blocks,
    } = packets[0]
    else {
        panic!("{name}: no SR first")
    };
    assert_eq!(Some(i64::from(ssrc)), number(report, "ssrc"), "{name}");
    assert_eq!(
        Some(i64::from(info.packets)),
        number(report, "packets"),
        "{name}"
    );
    assert_eq!(
        Some(i64::from(info.octets)),
        number(report, "octets"),
        "{name}"
    );
    assert_eq!(
        Some(i64::from(blocks.next().unwrap().lost)),
        number(report, "lost"),
        "{name}"
    );
    let RtcpPacket::SourceDescription(mut chunks) = packets[1] else {
        panic!("{name}: no SDES")
    };
    assert_eq!(chunks.next().map(|chunk| chunk.ssrc), Some(ssrc), "{name}");
}

#[test]
fn g711_values() {
    let (manifest, whole) = manifest();
    let Some(g711) = manifest.get("g711").and_then(Value::as_table) else {
        panic!("no g711")
    };
    let mut count = 0;
    for (law, decode, encode) in [
        (
            "pcmu",
            ulaw_decode as fn(u8) -> i16,
            ulaw_encode as fn(i16) -> u8,
        ),
        ("pcma", alaw_decode, alaw_encode),
    ] {
        for (code, value) in g711
            .get(law)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
        {
            let value = value.as_integer().unwrap() as i16;
            assert_eq!(decode(code as u8), value, "{law} {code}");
            assert_eq!(decode(encode(value)), value, "{law} {code}");
            count += 1;
        }
    }
    println!("{count} G.711 codes");
    assert_eq!(count, if whole { 512 } else { 8 });
    // Points of ITU-T G.711's tables, whether or not the whole of them is at hand.
    assert_eq!(
        [0xff, 0x80, 0x00, 0xf0].map(ulaw_decode),
        [0, 32_124, -32_124, 120]
    );
    assert_eq!(
        [0xd5, 0xaa, 0x2a, 0x55].map(alaw_decode),
        [8, 32_256, -32_256, -8]
    );
}
