//! What strangers send to a media port: datagrams of every protocol there, damaged and cut, by the ten thousand.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod world;

use std::net::SocketAddr;
use std::time::Instant;

use media::Time;
use media::dtls::{Digest, Handshake, Identity};
use media::ice::{Agent, Candidate, Credentials, Kind, Remote, Setup};
use media::srtp::{Inbound, MasterKey, Outbound, Suite};
use media::stun::{BINDING, Builder, Class, Message, serve};
use world::Dice;

/// One of the samples, with some octets changed, and mostly cut or lengthened.
fn damaged(dice: &mut Dice, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[dice.bits() as usize % samples.len()].clone();
    for _ in 0..dice.bits() % 5 {
        if bytes.is_empty() {
            break;
        }
        let at = dice.bits() as usize % bytes.len();
        bytes[at] = match dice.bits() % 4 {
            0 => 0,
            1 => 255,
            _ => dice.bits() as u8,
        };
    }
    match dice.bits() % 3 {
        0 => bytes.truncate(dice.bits() as usize % (bytes.len() + 1)),
        1 => bytes.extend(std::iter::repeat_n(
            dice.bits() as u8,
            dice.bits() as usize % 40,
        )),
        _ => {}
    }
    bytes
}

#[test]
fn srtp() {
    let mut dice = Dice(1);
    for suite in [
        Suite::AesCm128Sha1_80,
        Suite::AesCm256Sha1_32,
        Suite::AesGcm128,
    ] {
        let length = suite.key_length() + suite.salt_length();
        let key = MasterKey::new(suite, &vec![9; length], &[1, 2]).unwrap();
        let mut outbound = Outbound::new(&key);
        let mut samples = Vec::new();
        for n in 0..4u8 {
            let mut rtp = vec![
                0x80 | (n & 1) << 4 | n >> 1,
                0,
                0,
                n,
                0,
                0,
                0,
                0,
                1,
                2,
                3,
                4,
            ];
            // As an extension this is an empty one.
            rtp.extend([0; 44]);
            outbound.protect_rtp(&mut rtp).unwrap();
            let mut rtcp = vec![0x80, 200, 0, 6, 1, 2, 3, 4];
            rtcp.extend([8; 20]);
            outbound.protect_rtcp(&mut rtcp).unwrap();
            samples.extend([rtp, rtcp]);
        }
        let mut inbound = Inbound::new(&key);
        for _ in 0..10_000 {
            let mut bytes = damaged(&mut dice, &samples);
            let _ = inbound.unprotect_rtp(&mut bytes.clone());
            let _ = inbound.unprotect_rtcp(&mut bytes.clone());
            let _ = outbound.protect_rtp(&mut bytes.clone());
            let _ = outbound.protect_rtcp(&mut bytes);
        }
    }
}

#[test]
fn stun_and_ice() {
    let credentials = |name: &str| Credentials {
        ufrag: name.to_owned(),
        pwd: format!("password-of-{name}-and-more"),
    };
    let from = SocketAddr::from(([192, 0, 2, 1], 4000));
    let mut agent = Agent::new(Setup {
        credentials: credentials("ours"),
        controlling: true,
        components: 2,
        seed: 1,
    });
    let remote = Remote {
        credentials: credentials("theirs"),
        candidates: vec![Candidate {
            component: 1,
            address: from,
            priority: 5,
            kind: Kind::Host,
        }],
        lite: false,
    };
    agent.start(Time::ZERO, remote, 2);
    agent.run(Time::ZERO);
    let check = agent.poll_transmit().unwrap().bytes;
    let transaction = Message::parse(&check).unwrap().transaction();
    let message = |class, key: &str| {
        Builder::new(class, BINDING, transaction)
            .attribute(6, b"ours:theirs")
            .mapped_address(from)
            .error_code(487, "x")
            .integrity(key.as_bytes())
            .fingerprint()
    };
    let samples = vec![
        check,
        message(Class::Request, "password-of-ours-and-more"),
        message(Class::Error, "password-of-theirs-and-more"),
        message(Class::Success, "password-of-theirs-and-more"),
        message(Class::Indication, ""),
        Builder::new(Class::Request, BINDING, transaction).plain(),
    ];
    let mut dice = Dice(2);
    for n in 0..50_000u32 {
        let bytes = damaged(&mut dice, &samples);
        if let Ok(message) = Message::parse(&bytes) {
            let _ = (message.mapped_address(), message.alternate_server());
            let _ = (message.username(), message.role(), message.unknown());
            let _ = serve(&message, from);
        }
        let other = SocketAddr::from(([192, 0, 2, 2], dice.bits() as u16));
        let sender = if n % 2 == 0 { from } else { other };
        let now = Time::from_millis(u64::from(n));
        agent.handle(now, (n % 4) as u8, sender, &bytes);
        agent.run(now);
        // Nobody gets more than one answer, and checks keep their pace whoever asks for them.
        let mut sent = 0;
        while agent.poll_transmit().is_some() {
            sent += 1;
        }
        assert!(sent <= 60, "{sent}");
        while agent.poll_event().is_some() {}
    }
}

#[test]
fn dtls() {
    #[allow(clippy::disallowed_methods, reason = "a test owns its clock")]
    let epoch = Instant::now();
    let identity = Identity::generate().unwrap();
    let expected = vec![Digest {
        hash: "sha-256".to_owned(),
        octets: identity.fingerprint().to_vec(),
    }];
    let mut samples: Vec<Vec<u8>> = Vec::new();
    let end =
        |active| Handshake::new(&identity, active, expected.clone(), epoch, Time::ZERO).unwrap();
    let mut ends = [end(true), end(false)];
    for step in 0..20 {
        for me in 0..2 {
            ends[me].run(Time::from_millis(step));
            while let Some(bytes) = ends[me].poll_transmit() {
                ends[1 - me].handle(Time::from_millis(step), &bytes);
                samples.push(bytes);
            }
        }
    }
    assert!(samples.len() >= 6 && ends[0].poll_outcome().unwrap().is_ok());
    let mut dice = Dice(3);
    for active in [true, false] {
        for _ in 0..60 {
            let mut victim = end(active);
            victim.run(Time::ZERO);
            for n in 0..100 {
                victim.handle(Time::from_millis(n), &damaged(&mut dice, &samples));
                while victim.poll_transmit().is_some() {}
            }
            assert!(!matches!(victim.poll_outcome(), Some(Ok(_))));
        }
    }
}
