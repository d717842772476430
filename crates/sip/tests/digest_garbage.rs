//! Broken headers are refused or read, never a panic, and what is read can be answered and judged.

#![allow(clippy::unwrap_used)]

use sip::auth::{
    Account, Asker, AuthenticationInfo, Challenge, Challenged, Client, Credentials, Ha1, Nonces,
    ProtectionSpace, Secret, Subject,
};
use sip::time::Time;
use std::time::Duration;

const SEEDS: [&[u8]; 5] = [
    b"Digest realm=\"a\\\"b, c\", nonce=\"n\", algorithm=SHA-256-sess, qop=\"auth-int,auth\", opaque=\"\", stale=TRUE",
    b"Digest realm=r,nonce=n,Digest realm=\"s\",nonce=\"\\\\\", Basic YWJj==",
    "Digest username=\"зоя\\я\", realm=\"r\", nonce=\"n\", uri=\"sip:[::1]:5060;a=b@c?d\", qop=auth, nc=0000000f, cnonce=\"\\\"\", response=\"00112233445566778899aabbccddeeff\"".as_bytes(),
    b"Digest\r\n username=u,realm=r,nonce=n,uri=:@:@,response=zz",
    b"qop=auth, rspauth=\"00\", cnonce=\"c\", nc=00000001, nextnonce=\"x\"",
];
const SPICE: &[u8] = b"\"\\,= \r\n\tDigest=;@:[]\xd0\xff\0a0";

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

fn spoil(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = SEEDS[dice.below(SEEDS.len())].to_vec();
    for _ in 0..dice.below(5) {
        let at = dice.below(bytes.len());
        let spice = SPICE[dice.below(SPICE.len())];
        match dice.below(4) {
            0 => bytes.insert(at, spice),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 => bytes.truncate(at.max(8)),
            _ if !bytes.is_empty() => bytes[at] = spice,
            _ => {}
        }
    }
    bytes
}

#[test]
fn nothing_panics_and_what_is_answered_is_readable() {
    let mut dice = Dice(20);
    let space = ProtectionSpace::new("r");
    let nonces = Nonces::with_capacity(&[3; 32], Time::ZERO, Duration::from_secs(1), 8);
    let ha1 = Ha1::new("u", "r", "p");
    let account = Account {
        username: "u".to_owned(),
        secret: Secret::Password("p".to_owned()),
    };
    let (mut answered, mut judged, mut refused) = (0, 0, 0);
    for _ in 0..40_000 {
        let bytes = spoil(&mut dice);
        assert!(Challenge::parse(&bytes).count() <= bytes.len() + 1);
        let _ = AuthenticationInfo::parse(&bytes);
        let subject = Subject {
            method: b"INVITE",
            uri: &bytes,
            body: &bytes,
        };
        let mut client = Client::new();
        let next = client.challenged(Asker::Proxy, [&bytes[..]], &[&bytes], |_| Some(&account));
        if next == Challenged::Retry {
            for (_, value) in client.answers(&subject, "c", |_| Some(&account)) {
                assert!(Credentials::parse(value.as_bytes()).is_ok(), "{value:?}");
                assert!(!value.contains(['\r', '\n']));
                answered += 1;
            }
        }
        match space.find([&bytes[..]]) {
            Ok(Some(found)) => {
                let uri = found.uri.unescaped().into_owned();
                let subject = Subject {
                    uri: uri.as_bytes(),
                    ..subject
                };
                space.judge(&nonces, Time::ZERO, &found, Some(&ha1), &subject, |_| true);
                judged += 1;
            }
            Ok(None) => {}
            Err(_) => refused += 1,
        }
    }
    println!("{answered} answered, {judged} judged, {refused} refused");
    assert!(answered > 1000 && judged > 1000 && refused > 1000);
}
