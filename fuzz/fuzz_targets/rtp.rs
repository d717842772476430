//! Any datagrams on the ports of a media session: the first octet of each piece says how long it is and where it goes.
#![no_main]

use std::net::SocketAddr;

use media::Time;
use media::codec::CodecKind;
use media::dtmf::Receiver;
use media::rtcp::{Compound, NtpTime, RtcpPacket};
use media::rtp::{Packet, classify};
use media::session::{CodecChoice, Config, MediaSession};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let there = SocketAddr::from(([192, 0, 2, 2], 5000));
    let codec = CodecChoice {
        payload_type: 0,
        codec: CodecKind::Pcmu,
    };
    let mut config = Config::new(codec, Some(there), 100, "party@example.org", 77);
    config.telephone_event_receive = Some(101);
    let mut session = MediaSession::new(config, Time::ZERO);
    let mut receiver = Receiver::new(8000);
    let mut now = Time::ZERO;
    let mut heard = [0i16; 160];
    let mut out = Vec::new();
    let mut rest = data;
    while let [first, tail @ ..] = rest {
        let length = usize::from(*first).min(tail.len());
        let (bytes, next) = tail.split_at(length);
        rest = next;
        datagram(bytes, &mut receiver, now);
        session.handle_rtp(now, there, bytes);
        session.handle_rtcp(now, there, bytes);
        now += Time::from_millis(u64::from(*first & 31));
        session.pull_frame(now, &mut heard);
        session.send_frame(now, &heard, &mut out);
        session.poll_rtcp(now, NtpTime(u64::from(*first) << 30), &mut out);
        out.clear();
        while session.poll_event().is_some() {}
        assert!(
            session.waiting() < Time::from_secs(600),
            "the jitter buffer grows"
        );
    }
});

fn datagram(bytes: &[u8], receiver: &mut Receiver, now: Time) {
    let _ = classify(bytes);
    if let Ok(packet) = Packet::parse(bytes) {
        assert!(packet.payload.len() <= bytes.len());
        assert!(packet.contributing().count() <= 15);
        if let Some(extension) = packet.extension {
            assert!(extension.elements().count() <= bytes.len());
        }
        receiver.receive(now, &packet);
    }
    if let Ok(compound) = Compound::parse(bytes) {
        for packet in compound.packets() {
            if let RtcpPacket::SourceDescription(chunks) = packet {
                assert!(chunks.count() <= 31);
            }
        }
    }
}
