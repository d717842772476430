//! Broken datagrams of every kind: nothing panics, nothing grows without bound, the stream goes on.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod world;

use std::net::SocketAddr;

use media::Time;
use media::dtmf::Receiver;
use media::rtcp::{Compound, NtpTime, Report, ReportBlock, RtcpPacket, SenderInfo};
use media::rtp::{Builder, Extension, Packet, classify};
use media::session::MediaSession;
use media::wav::WavReader;
use world::Dice;

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (payload_type, payload) in [
        (0, &[0x55u8; 160][..]),
        (0, &[]),
        (101, &[5, 10, 1, 64]),
        (101, &[5, 0x8a, 1, 64]),
        (13, &[64, 100, 200]),
        (0, &[1; 1400]),
    ] {
        for (csrc, extension, padding) in [
            (&[][..], None, 0),
            (
                &[1, 2][..],
                Some(Extension {
                    profile: 0xbede,
                    data: &[0x10, 1, 0x32, 1, 2, 3, 0, 0],
                }),
                3,
            ),
            (
                &[][..],
                Some(Extension {
                    profile: 0x1001,
                    data: &[1, 2, 9, 9],
                }),
                0,
            ),
        ] {
            let mut out = Vec::new();
            Builder {
                payload_type,
                payload,
                csrc,
                extension,
                padding,
                sequence: 7,
                ssrc: 9,
                ..Builder::default()
            }
            .write(&mut out)
            .unwrap();
            seeds.push(out);
        }
    }
    for goodbye in [false, true] {
        let mut out = Vec::new();
        let sender = Some(SenderInfo {
            ntp: NtpTime(77 << 20),
            timestamp: 5,
            packets: 6,
            octets: 7,
        });
        let block = ReportBlock {
            ssrc: 100,
            lost: -1,
            ..ReportBlock::default()
        };
        Report {
            ssrc: 9,
            sender,
            blocks: &[block, block],
            cname: "a@b",
            goodbye,
        }
        .write(&mut out);
        seeds.push(out);
    }
    seeds
}

fn mutate(dice: &mut Dice, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..dice.bits() % 6 {
        let at = dice.bits() as usize % bytes.len().max(1);
        match dice.bits() % 5 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), dice.bits() as u8),
            2 if !bytes.is_empty() => {
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff][dice.bits() as usize % 5]
            }
            3 if !bytes.is_empty() => bytes[at] ^= 1 << (dice.bits() % 8),
            _ if !bytes.is_empty() => bytes[at] = dice.bits() as u8,
            _ => {}
        }
    }
    bytes
}

#[test]
fn parsers_and_sessions_survive() {
    let there: SocketAddr = "192.0.2.2:5000".parse().unwrap();
    let seeds = seeds();
    let mut dice = Dice(0x5eed);
    let mut receiver = Receiver::new(8000);
    let mut session = MediaSession::new(world::config(there, 100), Time::ZERO);
    let mut now = Time::ZERO;
    let mut heard = [0i16; 160];
    let mut out = Vec::new();
    let mut accepted = 0;
    for round in 0..60_000u64 {
        let seed = dice.bits() as usize % seeds.len();
        let bytes = mutate(&mut dice, &seeds[seed]);
        classify(&bytes);
        if let Ok(packet) = Packet::parse(&bytes) {
            assert!(packet.payload.len() <= bytes.len());
            packet.contributing().count();
            packet
                .extension
                .map(|extension| extension.elements().count());
            receiver.receive(now, &packet);
            accepted += 1;
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            for packet in compound.packets() {
                if let RtcpPacket::SourceDescription(chunks) = packet {
                    assert!(chunks.count() <= 31);
                }
            }
            accepted += 1;
        }
        session.handle_rtp(now, there, &bytes);
        session.handle_rtcp(now, there, &bytes);
        if round % 5 == 0 {
            // Time runs unevenly, sometimes far ahead.
            now += Time::from_millis(if dice.bits().is_multiple_of(500) {
                7000
            } else {
                dice.bits() % 40
            });
            let length = 1 + dice.bits() as usize % 160;
            session.pull_frame(now, &mut heard[..length]);
            session.send_frame(now, &heard, &mut out);
            session.poll_rtcp(now, NtpTime(round << 30), &mut out);
            while session.poll_event().is_some() {}
            assert!(session.waiting() < Time::from_secs(600));
        }
    }
    assert!(accepted > 20_000, "{accepted} were still readable");
    assert!(session.statistics().discarded.malformed > 5000);
}

#[test]
fn wav_headers_survive() {
    let mut dice = Dice(0xfeed);
    let mut disk = std::io::Cursor::new(Vec::new());
    let mut writer = media::wav::WavWriter::new(&mut disk, "x", 2, 8000).unwrap();
    writer.write(&[7; 50]).unwrap();
    writer.finish().unwrap();
    let seed = disk.into_inner();
    let mut readable = 0;
    for _ in 0..20_000 {
        let bytes = mutate(&mut dice, &seed);
        if let Ok(mut reader) = WavReader::new(&bytes[..], "x") {
            readable += usize::from(reader.read_all(100_000).is_ok());
        }
    }
    assert!(readable > 2000, "{readable}");
}
