//! Nonces that cannot be forged, aged or replayed, and a client that neither gives up early nor loops.

#![allow(clippy::unwrap_used)]

use sip::auth::{
    Account, Asker, Challenge, Challenged, Client, Credentials, Ha1, NonceCheck, Nonces,
    ProtectionSpace, Secret, Serial, ServerProof, Subject, Verdict, authentication_info,
};
use sip::time::Time;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const LIFETIME: Duration = Duration::from_secs(60);

fn at(millis: u64) -> Time {
    Time::from_millis(1_000_000 + millis)
}

fn nonces() -> Nonces {
    Nonces::new(&[42; 32], at(0), LIFETIME)
}

fn fresh(nonces: &Nonces, now: Time) -> Serial {
    let nonce = nonces.issue(now, "r");
    match nonces.check(now, "r", nonce.as_str()) {
        NonceCheck::Fresh(serial) => serial,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_changed_digit_is_a_forgery() {
    let nonces = nonces();
    let nonce = nonces.issue(at(1), "r");
    assert!(matches!(
        nonces.check(at(1), "r", nonce.as_str()),
        NonceCheck::Fresh(_)
    ));
    for position in 0..nonce.as_str().len() {
        let mut changed: Vec<u8> = nonce.as_str().into();
        changed[position] = if changed[position] == b'0' {
            b'1'
        } else {
            b'0'
        };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(
            nonces.check(at(1), "r", &changed),
            NonceCheck::Forged,
            "{changed}"
        );
    }
    for other in [
        "",
        "0",
        "zz",
        &nonce.as_str()[..46],
        &format!("{}00", nonce.as_str()),
        "é",
    ] {
        assert_eq!(
            nonces.check(at(1), "r", other),
            NonceCheck::Forged,
            "{other}"
        );
    }
    assert_eq!(nonces.check(at(1), "R", nonce.as_str()), NonceCheck::Forged);
    assert_eq!(
        nonces.check(at(1), "r2", nonce.as_str()),
        NonceCheck::Forged
    );
    let stranger = Nonces::new(&[43; 32], at(0), LIFETIME);
    assert_eq!(
        stranger.check(at(1), "r", nonce.as_str()),
        NonceCheck::Forged
    );
}

#[test]
fn a_nonce_ages_and_a_clock_set_back_does_not_revive_it() {
    let nonces = nonces();
    let nonce = nonces.issue(at(1), "r");
    let end = 1 + LIFETIME.as_millis() as u64;
    assert!(matches!(
        nonces.check(at(end), "r", nonce.as_str()),
        NonceCheck::Fresh(_)
    ));
    assert_eq!(
        nonces.check(at(end + 1), "r", nonce.as_str()),
        NonceCheck::Stale
    );
    assert_eq!(nonces.check(at(2), "r", nonce.as_str()), NonceCheck::Stale);
    // Work goes on with the clock set back.
    assert!(nonces.spend(fresh(&nonces, at(2)), Some(1)));
}

#[test]
fn a_nonce_from_the_future_or_from_an_earlier_process_is_stale() {
    let ahead = Nonces::new(&[42; 32], at(0), LIFETIME).issue(at(5000), "r");
    assert_eq!(
        nonces().check(at(1), "r", ahead.as_str()),
        NonceCheck::Stale
    );

    // The same secret, another process: nobody remembers what was used.
    let before = nonces();
    let nonce = before.issue(at(100), "r");
    let after = Nonces::new(&[42; 32], at(200), LIFETIME);
    match after.check(at(201), "r", nonce.as_str()) {
        NonceCheck::Fresh(serial) => assert!(!after.spend(serial, Some(1))),
        other => assert_eq!(other, NonceCheck::Stale),
    }
}

#[test]
fn counts_may_overtake_each_other_but_not_repeat() {
    let nonces = nonces();
    let serial = fresh(&nonces, at(1));
    let mut used = HashSet::new();
    let mut state = 1u32;
    for _ in 0..20_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let nc = 1 + (state >> 16) % 300;
        if nonces.spend(serial, Some(nc)) {
            assert!(used.insert(nc), "{nc} twice");
        }
    }
    assert!(used.contains(&300) && used.len() >= 64);
}

#[test]
fn a_million_issued_nonces_take_no_memory_and_none_of_their_uses_repeats() {
    let nonces = Nonces::with_capacity(&[1; 32], at(0), LIFETIME, 1000);
    assert_eq!(nonces.capacity(), 1024);
    let mut refused = 0;
    let mut used = Vec::new();
    for i in 0..1_000_000u64 {
        // A thousand a millisecond, more than one per microsecond now and then.
        let now = at(i / 2000);
        if i % 50 == 0 {
            let serial = fresh(&nonces, now);
            refused += usize::from(!nonces.spend(serial, Some(1)));
            used.push(serial);
        } else {
            nonces.issue(now, "r");
        }
    }
    assert_eq!(nonces.capacity(), 1024);
    assert_eq!(
        refused, 0,
        "a new nonce is let in at once, however full the table is"
    );
    assert_eq!(used.len(), 20_000);
    assert!(
        used.iter().all(|&serial| !nonces.spend(serial, Some(1))),
        "replayed"
    );
    let alive = used
        .iter()
        .filter(|&&serial| nonces.spend(serial, Some(2)))
        .count();
    assert!((512..=1024).contains(&alive), "{alive}");
}

#[test]
fn two_threads_share_and_nothing_is_accepted_twice() {
    let nonces = nonces();
    let serials: Vec<Serial> = (0..500).map(|_| fresh(&nonces, at(1))).collect();
    let accepted = AtomicUsize::new(0);
    let issued = std::sync::Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut mine = Vec::new();
                for (i, &serial) in serials.iter().enumerate() {
                    let nc = (i % 3 != 0).then_some(1);
                    accepted.fetch_add(usize::from(nonces.spend(serial, nc)), Ordering::Relaxed);
                    mine.push(nonces.issue(at(2), "r"));
                }
                issued.lock().unwrap().extend(mine);
            });
        }
    });
    assert_eq!(accepted.into_inner(), 500);
    assert_eq!(
        issued.into_inner().unwrap().len(),
        1000,
        "a serial was given out twice"
    );
}

/// A registrar with one user, and what goes to it.
struct Registrar {
    space: ProtectionSpace,
    nonces: Nonces,
    ha1: Ha1,
    requests: usize,
}

impl Registrar {
    fn new() -> Registrar {
        Registrar {
            space: ProtectionSpace::new("r"),
            nonces: nonces(),
            ha1: Ha1::new("u", "r", "right"),
            requests: 0,
        }
    }

    /// The challenges, or none when the request is let in.
    fn request(&mut self, now: Time, sent: &[&[u8]]) -> Option<Vec<String>> {
        self.requests += 1;
        let subject = Subject {
            method: b"REGISTER",
            uri: b"sip:r",
            body: b"",
        };
        let stale = match self.space.find(sent.iter().copied()).unwrap() {
            None => false,
            Some(credentials) => {
                match self.space.judge(
                    &self.nonces,
                    now,
                    &credentials,
                    Some(&self.ha1),
                    &subject,
                    |_| false,
                ) {
                    Verdict::Accept(_) => return None,
                    Verdict::Challenge { stale } => stale,
                    Verdict::Refuse(refusal) => panic!("{refusal:?}"),
                }
            }
        };
        let nonce = self.nonces.issue(now, "r");
        Some(self.space.challenges(&nonce, stale).collect())
    }
}

fn account(password: &str) -> Account {
    Account {
        username: "u".to_owned(),
        secret: Secret::Password(password.to_owned()),
    }
}

#[test]
fn of_two_credentials_for_a_realm_the_last_count() {
    let space = ProtectionSpace::new("r");
    let credentials = |nonce: &str| {
        format!(
            "Digest username=\"u\", realm=\"r\", nonce=\"{nonce}\", uri=\"sip:r\", \
             response=\"0123456789abcdef0123456789abcdef\""
        )
    };
    let (old, new) = (credentials("old"), credentials("new"));
    let other = old.replace("realm=\"r\"", "realm=\"elsewhere\"");
    let broken = old.replace("nonce=\"old\", ", "");
    let sent = [&old, &new, &other, &broken].map(|value| value.as_bytes());
    let found = space.find(sent).unwrap().unwrap();
    assert_eq!(&*found.nonce.unescaped(), "new");
}

/// One request with as many tries as the client wants.
fn register(
    client: &mut Client,
    registrar: &mut Registrar,
    now: Time,
    account: &Account,
) -> Challenged {
    let subject = Subject {
        method: b"REGISTER",
        uri: b"sip:r",
        body: b"",
    };
    loop {
        let sent: Vec<String> = client
            .answers(&subject, "c0ffee", |_| Some(account))
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        let sent: Vec<&[u8]> = sent.iter().map(String::as_bytes).collect();
        let Some(challenges) = registrar.request(now, &sent) else {
            client.accepted(Asker::UserAgent, &sent);
            return Challenged::Retry;
        };
        let values = challenges.iter().map(String::as_bytes);
        match client.challenged(Asker::UserAgent, values, &sent, |_| Some(account)) {
            Challenged::Retry => {}
            end => return end,
        }
    }
}

#[test]
fn a_client_and_a_server_agree_for_long() {
    let (mut client, mut registrar) = (Client::new(), Registrar::new());
    let good = account("right");
    for minute in 0..10 {
        let before = registrar.requests;
        let now = at(minute * 70_000);
        for _ in 0..20 {
            assert_eq!(
                register(&mut client, &mut registrar, now, &good),
                Challenged::Retry
            );
        }
        assert_eq!(
            registrar.requests - before,
            21,
            "one challenge, then the nonce is used on"
        );
    }
}

#[test]
fn a_wrong_password_ends_after_one_answer() {
    let (mut client, mut registrar) = (Client::new(), Registrar::new());
    let bad = account("wrong");
    assert_eq!(
        register(&mut client, &mut registrar, at(1), &bad),
        Challenged::WrongPassword
    );
    assert_eq!(registrar.requests, 2);
    // Changed on the server while we were registered: the old nonce is refused, and so is a new one.
    let (mut client, mut registrar) = (Client::new(), Registrar::new());
    let good = account("right");
    assert_eq!(
        register(&mut client, &mut registrar, at(1), &good),
        Challenged::Retry
    );
    registrar.ha1 = Ha1::new("u", "r", "changed");
    assert_eq!(
        register(&mut client, &mut registrar, at(2), &good),
        Challenged::WrongPassword
    );
    assert_eq!(registrar.requests, 4);
}

#[test]
fn no_server_makes_a_client_loop() {
    let good = account("right");
    let subject = Subject {
        method: b"REGISTER",
        uri: b"sip:r",
        body: b"",
    };
    for stale in ["", ", stale=true"] {
        // Two requests under way at once, each refused with yet another nonce.
        let mut client = Client::new();
        let mut sent: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        let mut ended = None;
        for round in 0..50 {
            let one = &mut sent[round % 2];
            let challenge = format!("Digest realm=\"r\", nonce=\"{round}\"{stale}");
            let carried: Vec<&[u8]> = one.iter().map(String::as_bytes).collect();
            let next = client.challenged(Asker::Proxy, [challenge.as_bytes()], &carried, |_| {
                Some(&good)
            });
            if next == Challenged::WrongPassword {
                ended = Some(round);
                break;
            }
            *one = client
                .answers(&subject, "c", |_| Some(&good))
                .into_iter()
                .map(|(_, value)| value)
                .collect();
        }
        assert!(ended.is_some_and(|round| round <= 6), "{stale} {ended:?}");
    }
}

#[test]
fn requests_under_way_without_credentials_do_not_count_as_refusals() {
    let good = account("right");
    let subject = Subject {
        method: b"REGISTER",
        uri: b"sip:r",
        body: b"",
    };
    let mut client = Client::new();
    for nonce in ["a", "b", "c", "d", "e", "f"] {
        let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"");
        let next = client.challenged(Asker::UserAgent, [challenge.as_bytes()], &[], |_| {
            Some(&good)
        });
        assert_eq!(next, Challenged::Retry);
    }
    let answers = client.answers(&subject, "c", |_| Some(&good));
    assert!(answers[0].1.contains("nonce=\"f\"") && answers[0].1.contains("nc=00000001"));
}

#[test]
fn each_realm_is_answered_for_which_there_is_an_account() {
    let good = account("right");
    let values: [&[u8]; 2] = [
        b"Digest realm=\"a\", nonce=\"1\"",
        b"Digest realm=\"b\", nonce=\"2\"",
    ];
    let only_b = |realm: &str| (realm == "b").then_some(&good);
    let mut client = Client::new();
    assert_eq!(
        client.challenged(Asker::Proxy, values, &[], only_b),
        Challenged::Retry
    );
    let subject = Subject {
        method: b"INVITE",
        uri: b"sip:x",
        body: b"",
    };
    let answers = client.answers(&subject, "c", only_b);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].1.contains("realm=\"b\""));
    let next = client.challenged(Asker::Proxy, [values[0]], &[], only_b);
    assert_eq!(next, Challenged::NoAccount);
    // Hashes fit MD5 and SHA-256 only.
    let hashes = Account {
        username: "u".to_owned(),
        secret: Secret::Ha1(Ha1::new("u", "a", "p")),
    };
    let challenge: &[u8] = b"Digest realm=\"a\", nonce=\"1\", algorithm=SHA-512-256";
    let next = client.challenged(Asker::Proxy, [challenge], &[], |_| Some(&hashes));
    assert_eq!(next, Challenged::Unsupported);
}

#[test]
fn a_server_proves_itself_and_hands_on_the_next_nonce() {
    let good = account("right");
    let ha1 = Ha1::new("u", "r", "right");
    let nonces = nonces();
    let subject = Subject {
        method: b"MESSAGE",
        uri: b"sip:x@r",
        body: b"hi",
    };
    for qop in ["auth", "auth-int"] {
        for algorithm in ["MD5", "SHA-256-sess"] {
            let challenge =
                format!("Digest realm=\"r\", nonce=\"n\", qop=\"{qop}\", algorithm={algorithm}");
            let mut client = Client::new();
            let asked =
                client.challenged(Asker::Proxy, [challenge.as_bytes()], &[], |_| Some(&good));
            assert_eq!(asked, Challenged::Retry);
            let sent = client.answers(&subject, "c", |_| Some(&good)).remove(0).1;
            let credentials = Credentials::parse(sent.as_bytes()).unwrap();
            let next = nonces.issue(at(1), "r");
            let info = authentication_info(&credentials, &ha1, b"answer", Some(&next));
            let inform = |value: &str, body: &[u8]| {
                client
                    .clone()
                    .informed(Asker::Proxy, value.as_bytes(), body, |_| Some(&good))
            };
            assert_eq!(inform(&info, b"answer"), ServerProof::Right, "{info}");
            let other = if qop == "auth" {
                ServerProof::Right
            } else {
                ServerProof::Wrong
            };
            assert_eq!(inform(&info, b"changed"), other);
            let stranger =
                authentication_info(&credentials, &Ha1::new("u", "r", "x"), b"answer", None);
            assert_eq!(inform(&stranger, b"answer"), ServerProof::Wrong);
            assert_eq!(inform("nextnonce=\"z\"", b""), ServerProof::None);
            assert_eq!(inform("rspauth=\"open", b""), ServerProof::None);
            client.informed(Asker::Proxy, info.as_bytes(), b"answer", |_| Some(&good));
            let sent = client.answers(&subject, "c", |_| Some(&good)).remove(0).1;
            assert!(
                sent.contains(next.as_str()) && sent.contains("nc=00000001"),
                "{sent}"
            );
        }
    }
}

#[test]
fn session_keys_keep_the_first_cnonce() {
    let good = account("right");
    let ha1 = Ha1::new("u", "r", "right");
    let subject = Subject {
        method: b"MESSAGE",
        uri: b"sip:x@r",
        body: b"",
    };
    let challenge: &[u8] = b"Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5-sess";
    let mut client = Client::new();
    client.challenged(Asker::Proxy, [challenge], &[], |_| Some(&good));
    for (cnonce, nc) in [("first", 1), ("second", 2)] {
        let sent = client
            .answers(&subject, cnonce, |_| Some(&good))
            .remove(0)
            .1;
        let credentials = Credentials::parse(sent.as_bytes()).unwrap();
        assert!(credentials.cnonce.unwrap() == *"first");
        assert_eq!(credentials.nc, Some(nc));
        assert!(credentials.verify(Some(&ha1), b"MESSAGE", b""));
    }
}

#[test]
fn nothing_in_an_answer_starts_another_header() {
    let evil = Account {
        username: "u\r\nVia: x\"\\".to_owned(),
        secret: Secret::Password("p".to_owned()),
    };
    let value = b"Digest realm=\"a\r\n b\\\"\", nonce=\"n\r\n\tx\", opaque=\"\\\r\", qop=\"auth\"";
    let subject = Subject {
        method: b"INVITE",
        uri: b"sip:x\r\nTo: y",
        body: b"",
    };
    let mut client = Client::new();
    client.challenged(Asker::Proxy, [&value[..]], &[], |_| Some(&evil));
    let sent = client
        .answers(&subject, "c\nd", |_| Some(&evil))
        .remove(0)
        .1;
    assert!(!sent.chars().any(|c| c.is_ascii_control()), "{sent:?}");
    assert!(Credentials::parse(sent.as_bytes()).unwrap().username == *"uVia: x\"\\");
}

#[test]
fn phones_that_hash_escapes_as_they_stand_are_let_in() {
    use md5::{Digest as _, Md5};
    let hash = |text: &str| -> String {
        Md5::digest(text)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let ha1 = Ha1::new("u", "r", "p");
    let a1 = hash("u:r:p");
    let a2 = hash("INVITE:sip:x");
    for cnonce in [r#"a"b"#, r#"a\"b"#] {
        let response = hash(&format!("{a1}:n:00000001:{cnonce}:auth:{a2}"));
        let value = format!(
            r#"Digest username="u", realm="r", nonce="n", uri="sip:x", qop=auth, nc=00000001, cnonce="a\"b", response="{response}""#
        );
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert!(credentials.verify(Some(&ha1), b"INVITE", b""), "{cnonce}");
    }
}

#[test]
fn challenges_are_printed_strongest_first_and_read_back() {
    let mut space = ProtectionSpace::new("a \"b\" \\c");
    space.auth_int = true;
    let nonce = nonces().issue(at(3), &space.realm);
    let printed: Vec<String> = space.challenges(&nonce, true).collect();
    let read: Vec<Challenge<'_>> = printed
        .iter()
        .map(|value| Challenge::parse(value.as_bytes()).next().unwrap().unwrap())
        .collect();
    let tokens: Vec<&str> = read.iter().map(|c| c.algorithm.token()).collect();
    assert_eq!(tokens, ["SHA-256", "MD5"]);
    for challenge in read {
        assert!(challenge.realm == *space.realm && challenge.nonce == *nonce.as_str());
        assert!(challenge.stale && challenge.auth_int && challenge.opaque.is_none());
    }
    let short: Vec<String> = ProtectionSpace::new("r")
        .challenges(&nonce, false)
        .collect();
    assert!(
        short
            .iter()
            .all(|c| !c.contains("stale") && c.contains("qop=\"auth\""))
    );
}

#[test]
fn nobody_has_no_key_that_could_be_guessed() {
    let zero = Account {
        username: "nobody".to_owned(),
        secret: Secret::Ha1(Ha1 {
            md5: [0; 16],
            sha256: [0; 32],
        }),
    };
    let subject = Subject {
        method: b"INVITE",
        uri: b"sip:x",
        body: b"",
    };
    let mut client = Client::new();
    client.challenged(Asker::Proxy, [&b"Digest realm=r, nonce=n"[..]], &[], |_| {
        Some(&zero)
    });
    let sent = client.answers(&subject, "c", |_| Some(&zero)).remove(0).1;
    let credentials = Credentials::parse(sent.as_bytes()).unwrap();
    assert!(!credentials.verify(None, b"INVITE", b""));
}
