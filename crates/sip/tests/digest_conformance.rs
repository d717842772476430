//! Digest against vectors, challenges and credentials kept as data.

#![allow(clippy::unwrap_used)]

use md5::{Digest as _, Md5};
use sip::auth::{
    Account, Algorithm, Asker, AuthError, AuthenticationInfo, Challenge, Challenged, Client,
    Credentials, Ha1, Nonces, ProtectionSpace, Secret, Subject, Text, Verdict, answer, choose,
};
use sip::time::Time;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

const REALM: &str = "pbx.example.com";

/// The cases of one manifest: of the conformance material when it is there, else the few kept here.
fn cases(file: &str, key: &str, complete: usize) -> Vec<Table> {
    let (path, at_least) = match conformance() {
        Some(folder) => (folder.join("digest").join(file), complete),
        None => {
            let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digest");
            (here.join(file), 3)
        }
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let table: Table = text.parse().unwrap();
    let cases: Vec<Table> = table[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_table().unwrap().clone())
        .collect();
    assert!(cases.len() >= at_least, "{path:?}: {} cases", cases.len());
    println!("{} cases of {}", cases.len(), path.display());
    cases
}

fn conformance() -> Option<PathBuf> {
    std::env::var_os("SORI_CONFORMANCE").map(PathBuf::from)
}

fn text<'t>(case: &'t Table, key: &str) -> &'t str {
    case.get(key).map_or("", |v| v.as_str().unwrap())
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn vectors() {
    let mut verified = 0;
    let cases = cases("vectors.toml", "vector", 32);
    for case in &cases {
        let name = text(case, "name");
        let (user, realm, password) = (
            text(case, "user"),
            text(case, "realm"),
            text(case, "password"),
        );
        let algorithm = Algorithm::from_token(text(case, "algorithm")).unwrap();
        let mut header = format!(
            "Digest realm={}, nonce=\"{}\", algorithm={algorithm}",
            quote(realm),
            text(case, "nonce")
        );
        if case.contains_key("qop") {
            header.push_str(&format!(", qop=\"{}\"", text(case, "qop")));
        }
        let challenge = Challenge::parse(header.as_bytes()).next().unwrap().unwrap();
        let body = unhex(text(case, "body_hex"));
        let subject = Subject {
            method: text(case, "method").as_bytes(),
            uri: text(case, "uri").as_bytes(),
            body: &body,
        };
        let account = Account {
            username: user.to_owned(),
            secret: Secret::Password(password.to_owned()),
        };
        let nc = case.get("nc").map_or(1, |nc| {
            u32::from_str_radix(nc.as_str().unwrap(), 16).unwrap()
        });
        let value = answer(&challenge, &account, &subject, nc, text(case, "cnonce")).unwrap();
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        assert_eq!(credentials.response.raw(), text(case, "response"), "{name}");
        assert!(
            credentials.realm == *realm && credentials.username == *user,
            "{name}"
        );

        let ha1 = Ha1::new(user, realm, password);
        let stored = match algorithm {
            Algorithm::Md5 | Algorithm::Md5Sess => Some(hex(&ha1.md5)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => Some(hex(&ha1.sha256)),
            _ => None,
        };
        if let (Some(stored), false) = (&stored, algorithm.is_session()) {
            assert_eq!(stored, text(case, "ha1"), "{name}");
        }
        let right = credentials.verify(Some(&ha1), subject.method, &body);
        assert_eq!(right, stored.is_some(), "{name}");
        assert!(!credentials.verify(None, subject.method, &body), "{name}");
        assert!(!credentials.verify(Some(&ha1), b"OTHER", &body), "{name}");
        if right {
            verified += 1;
            let printed = text(case, "printed_response");
            let wrong = value.replace(text(case, "response"), printed);
            let wrong = Credentials::parse(wrong.as_bytes()).unwrap();
            assert!(!wrong.verify(Some(&ha1), subject.method, &body), "{name}");
        }
        if let (Some(_), true) = (&stored, text(case, "qop") == "auth-int") {
            assert!(
                !credentials.verify(Some(&ha1), subject.method, b"changed"),
                "{name}"
            );
        }
    }
    println!("{} vectors, {verified} verified by a server", cases.len());
    assert!(verified >= 4);
}

fn challenge_values(case: &Table) -> Vec<(Asker, Vec<u8>)> {
    case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| {
            let (name, value) = header.as_str().unwrap().split_once(':').unwrap();
            let asker = [Asker::UserAgent, Asker::Proxy]
                .into_iter()
                .find(|a| a.challenge_header() == name)
                .unwrap();
            (asker, value.as_bytes().to_vec())
        })
        .collect()
}

#[test]
fn challenges() {
    let cases = cases("challenges.toml", "challenge", 26);
    for case in &cases {
        let name = text(case, "name");
        let expect = case["expect"].as_table().unwrap();
        let headers = challenge_values(case);
        let asker = headers[0].0;
        let values = || headers.iter().map(|(_, value)| value.as_slice());
        let chosen = choose(values(), |_| true);
        let first = chosen.first();
        for (key, want) in expect {
            let shown = format!("{name} {key}: {chosen:?}");
            match (key.as_str(), want) {
                ("use", Value::String(want)) => {
                    let used = first.map_or("none", |c| c.algorithm.token());
                    assert_eq!(used, want, "{shown}");
                }
                // What a local policy may prefer; the topmost is taken here.
                ("or" | "or_qop", _) => {}
                ("qop", Value::String(want)) => {
                    let qop = first.unwrap().qop.map_or("", |q| q.token());
                    assert_eq!(qop, want, "{shown}");
                    if expect.contains_key("or_qop") {
                        assert!(first.unwrap().auth_int, "{shown}");
                    }
                }
                ("realm", Value::String(want)) => {
                    assert!(first.unwrap().realm == **want, "{shown}")
                }
                ("nonce", Value::String(want)) => {
                    assert!(first.unwrap().nonce == **want, "{shown}")
                }
                ("opaque", Value::String(want)) => {
                    assert!(first.unwrap().opaque.unwrap() == **want, "{shown}");
                }
                ("userhash", Value::Boolean(want)) => {
                    assert_eq!(first.unwrap().userhash, *want, "{shown}");
                }
                ("challenges", Value::Integer(want)) => {
                    let found = values().flat_map(Challenge::parse).filter(Result::is_ok);
                    assert_eq!(found.count() as i64, *want, "{shown}");
                }
                ("answers", Value::Integer(want)) => {
                    assert_eq!(chosen.len() as i64, *want, "{shown}")
                }
                ("retry", Value::Boolean(true)) => {
                    // The request carried an older nonce of the same realm.
                    assert_eq!(
                        rounds(
                            asker,
                            &["Digest realm=\"r\", nonce=\"n\"", &first_value(&headers)]
                        ),
                        2
                    );
                }
                ("retry_limit", Value::Integer(limit)) => {
                    let same = first_value(&headers);
                    let first = same.replace("stale=true", "stale=false");
                    let all = [first.as_str(), &same, &same, &same];
                    assert_eq!(rounds(asker, &all) as i64, 1 + limit, "{shown}");
                }
                _ => panic!("{name}: unknown expectation {key}"),
            }
        }
        let several = ["answers", "challenges"]
            .iter()
            .any(|key| expect.contains_key(*key));
        assert!(
            several || chosen.len() <= 1,
            "{name}: one answer for a realm"
        );
        answered(name, asker, values().collect(), expect);
    }
    println!("{} challenges", cases.len());
}

fn first_value(headers: &[(Asker, Vec<u8>)]) -> String {
    String::from_utf8(headers[0].1.clone()).unwrap()
}

/// How often a client answers when the server sends these challenges one after the other.
fn rounds(asker: Asker, challenges: &[&str]) -> usize {
    let account = Account {
        username: "u".to_owned(),
        secret: Secret::Password("p".to_owned()),
    };
    let subject = Subject {
        method: b"REGISTER",
        uri: b"sip:r",
        body: b"",
    };
    let mut client = Client::new();
    let mut sent: Vec<String> = Vec::new();
    for (round, challenge) in challenges.iter().enumerate() {
        let before: Vec<&[u8]> = sent.iter().map(String::as_bytes).collect();
        let next = client.challenged(asker, [challenge.as_bytes()], &before, |_| Some(&account));
        if next != Challenged::Retry {
            return round;
        }
        let answers = client.answers(&subject, "c", |_| Some(&account));
        sent = answers.into_iter().map(|(_, value)| value).collect();
    }
    challenges.len()
}

/// Whatever a client answers must be what a server takes for right.
fn answered(name: &str, asker: Asker, values: Vec<&[u8]>, expect: &Table) {
    let account = Account {
        username: "u\"ser".to_owned(),
        secret: Secret::Password("p".to_owned()),
    };
    let subject = Subject {
        method: b"INVITE",
        uri: b"sip:x@y",
        body: b"body",
    };
    let mut client = Client::new();
    let next = client.challenged(asker, values.iter().copied(), &[], |_| Some(&account));
    let answers = client.answers(&subject, "cn", |_| Some(&account));
    if expect.get("use").and_then(Value::as_str) == Some("none") {
        assert_eq!(
            (next, answers.len()),
            (Challenged::Unsupported, 0),
            "{name}"
        );
        return;
    }
    assert_eq!(next, Challenged::Retry, "{name}");
    assert!(!answers.is_empty(), "{name}");
    for (kind, value) in answers {
        assert_eq!(kind, asker, "{name}");
        let credentials = Credentials::parse(value.as_bytes()).unwrap();
        let ha1 = Ha1::new("u\"ser", &credentials.realm.unescaped(), "p");
        assert!(
            credentials.verify(Some(&ha1), b"INVITE", b"body"),
            "{name}: {value}"
        );
        assert!(credentials.username == *"u\"ser");
    }
}

struct Server {
    space: ProtectionSpace,
    nonces: Nonces,
}

impl Server {
    fn new() -> Server {
        Server {
            space: ProtectionSpace::new(REALM),
            nonces: Nonces::new(&[7; 32], Time::ZERO, Duration::from_secs(300)),
        }
    }

    fn judge(&self, headers: &[&[u8]], from: &str) -> &'static str {
        let subject = Subject {
            method: b"REGISTER",
            uri: b"sip:pbx.example.com",
            body: b"",
        };
        let credentials = match self.space.find(headers.iter().copied()) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return "challenge",
            Err(_) => return "refuse",
        };
        let user = credentials.username.unescaped();
        let ha1 = ["1001", "зоя"]
            .contains(&user.as_ref())
            .then(|| Ha1::new(&user, REALM, "secret"));
        let now = Time::from_millis(1000);
        let ours = |host: &[u8]| host == REALM.as_bytes();
        let verdict = self.space.judge(
            &self.nonces,
            now,
            &credentials,
            ha1.as_ref(),
            &subject,
            ours,
        );
        match verdict {
            Verdict::Accept(_) if !credentials.speaks_for(from, REALM) => "403",
            Verdict::Accept(_) => "accept",
            Verdict::Challenge { stale: true } => "challenge-stale",
            Verdict::Challenge { stale: false } => "challenge",
            Verdict::Refuse(_) => "refuse",
        }
    }
}

fn md5(text: String) -> String {
    hex(&Md5::digest(text))
}

/// The value of a parameter in a header that is well formed but for its kind of quotes.
fn param(header: &str, name: &str) -> Option<String> {
    let at = header.find(&format!(" {name}="))? + name.len() + 2;
    let rest = &header[at..];
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => {
            let end = rest[1..]
                .find(&format!("{quote}, "))
                .unwrap_or(rest.len() - 2);
            &rest[1..=end]
        }
        _ => rest.split(',').next()?,
    };
    Some(value.to_owned())
}

/// The right response for a header, worked out here from the text of RFC 7616.
fn right_response(header: &str, password: &str) -> String {
    let of = |name| param(header, name).unwrap_or_default();
    let a1 = md5(format!("{}:{REALM}:{password}", of("username")));
    let a2 = md5(format!("REGISTER:{}", of("uri")));
    match param(header, "qop") {
        Some(qop) => md5(format!(
            "{a1}:{}:{}:{}:{qop}:{a2}",
            of("nonce"),
            of("nc").trim_matches('"'),
            of("cnonce")
        )),
        None => md5(format!("{a1}:{}:{a2}", of("nonce"))),
    }
}

#[test]
fn authorizations() {
    let cases = cases("authorizations.toml", "authorization", 24);
    for case in &cases {
        let name = text(case, "name");
        let mut server = Server::new();
        if name == "algorithm-downgrade" {
            server.space.algorithms = vec![Algorithm::Sha256];
        }
        let nonce = server.nonces.issue(Time::from_millis(999), REALM);
        let mut header = text(case, "header")
            .replace("{N}", nonce.as_str())
            .replace("\\u0000", "\0");
        let mut headers = Vec::new();
        if let Some(("first: other realm", second)) = header.split_once("; second: ") {
            headers.push(format!("Digest username=\"x\", realm=\"other\", nonce=\"{nonce}\", uri=\"sip:x\", response=\"00\"", nonce = nonce.as_str()));
            header = second.to_owned();
        }
        let right = right_response(&header, "secret");
        headers.push(
            header
                .replace("{R}", &right)
                .replace("{R in capitals}", &right.to_uppercase()),
        );
        let headers: Vec<&[u8]> = headers.iter().map(String::as_bytes).collect();
        let from = match name {
            "user-not-in-aor" => "1002",
            "utf8-username" => "зоя",
            _ => "1001",
        };
        let mut verdict = server.judge(&headers, from);
        let wanted: &[&str] = match text(case, "verdict") {
            "challenge" if name == "nc-replayed" => {
                assert_eq!(verdict, "accept");
                verdict = server.judge(&headers, from);
                &["challenge-stale"]
            }
            "refuse" if name == "single-quotes" => &["challenge"],
            "either" => &["accept"],
            other => &[other],
        };
        assert!(wanted.contains(&verdict), "{name}: {verdict}");
    }
    println!("{} authorizations", cases.len());
}

#[test]
fn an_answer_without_qop_serves_once_where_it_is_let_in() {
    let mut server = Server::new();
    let nonce = server.nonces.issue(Time::from_millis(1), REALM);
    let header = format!(
        "Digest username=\"1001\", realm=\"{REALM}\", nonce=\"{}\", uri=\"sip:{REALM}:5060\", nc=00000001, response=",
        nonce.as_str()
    );
    let header = format!(
        "{header}\"{}\"",
        right_response(&format!("{header}\"\""), "secret")
    );
    assert_eq!(server.judge(&[header.as_bytes()], "1001"), "refuse");
    server.space.without_qop = true;
    assert_eq!(server.judge(&[header.as_bytes()], "1001"), "accept");
    // Nothing protects the count of such an answer, so another count is the same use.
    for again in [header.clone(), header.replace("00000001", "00000002")] {
        assert_eq!(server.judge(&[again.as_bytes()], "1001"), "challenge-stale");
    }
}

#[test]
fn headers_of_real_products_are_read() {
    let Some(folder) = conformance() else {
        let value = b"DIGEST USERNAME=\"digest\", REALM=\"x\", NONCE=\"MjAw==\", RESPONSE=\"d9\", URI=\"sip:x\"";
        assert!(Credentials::parse(value).is_ok());
        return;
    };
    let mut read = 0;
    let mut refused: Vec<(String, AuthError)> = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("wild"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sip"))
        .collect();
    files.sort();
    for path in files {
        let message = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let message = message.replace("\r\n ", " ").replace("\r\n\t", " ");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for line in message.lines() {
            let Some((header, value)) = line.split_once(':') else {
                continue;
            };
            let outcome = match header.to_ascii_lowercase().as_str() {
                "authorization" | "proxy-authorization" => {
                    Credentials::parse(value.as_bytes()).map(drop)
                }
                "www-authenticate" | "proxy-authenticate" => {
                    Challenge::parse(value.as_bytes()).next().unwrap().map(drop)
                }
                "authentication-info" => AuthenticationInfo::parse(value.as_bytes()).map(drop),
                _ => continue,
            };
            match outcome {
                Ok(()) => read += 1,
                Err(error) => refused.push((name.clone(), error)),
            }
        }
    }
    println!("{read} headers read, {} refused", refused.len());
    let missing = AuthError::Missing;
    let refused: Vec<(&str, AuthError)> = refused.iter().map(|(n, e)| (n.as_str(), *e)).collect();
    assert_eq!(
        refused,
        [
            ("dialogic-200-busy-headers", missing("nonce")),
            ("dialogic-200-busy-headers", missing("nonce")),
            ("edial-401", AuthError::Scheme),
            ("edial-401", AuthError::Scheme),
            ("edial-register", AuthError::Scheme),
            ("ios-ims-register-aka", AuthError::Algorithm),
            ("kamtest-pingtel", missing("username")),
            ("kamtest-short-nonce", AuthError::Malformed),
            ("yate-401-aka", AuthError::Algorithm),
        ]
    );
    assert!(read >= 30, "{read}");
}

#[test]
fn texts_compare_unescaped() {
    assert!(Text::plain("a") == *"a");
    assert!(Text::plain("a") != *"ab" && Text::plain("ab") != *"a");
}
