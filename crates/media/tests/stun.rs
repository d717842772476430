//! STUN messages against the vectors of RFC 5769 and RFC 8489. `SORI_CONFORMANCE` names the folder with all of them; without
//! it those written here run.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::SocketAddr;

use media::stun::{BINDING, Builder, Class, Malformed, Message, Role, attribute, serve};
use toml::{Table, Value};

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: String = hexadecimal.chars().filter(|c| !c.is_whitespace()).collect();
    (0..digits.len() / 2)
        .map(|n| u8::from_str_radix(&digits[n * 2..n * 2 + 2], 16).unwrap())
        .collect()
}

/// RFC 5769 §2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008\
    932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

#[test]
fn the_request_of_rfc_5769() {
    let request = bytes(REQUEST);
    let message = Message::parse(&request).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (Class::Request, BINDING)
    );
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(
        message.role(),
        Some(Role::Controlled(0x932f_f9b1_5126_3b36))
    );
    assert_eq!(message.proves(PASSWORD.as_bytes()), Some(true));
    assert_eq!(message.proves(b"wrong"), Some(false));
    assert!(message.has_fingerprint() && !message.nominates());
    assert!(message.unknown().is_empty());
}

#[test]
fn no_octet_can_be_changed() {
    let request = bytes(REQUEST);
    // The checksum is eight octets; under another type it is an attribute that does not count.
    for bit in 0..(request.len() - 8) * 8 {
        let mut changed = request.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let proved = Message::parse(&changed).map(|m| m.proves(PASSWORD.as_bytes()));
        assert_ne!(proved, Ok(Some(true)), "{bit}");
    }
    for end in 0..request.len() {
        assert!(Message::parse(&request[..end]).is_err(), "{end}");
    }
}

#[test]
fn what_is_built_is_read() {
    for address in [
        "192.0.2.1:32853",
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
    ] {
        let address: SocketAddr = address.parse().unwrap();
        let built = Builder::new(Class::Success, BINDING, [9; 12])
            .attribute(attribute::SOFTWARE, b"abc")
            .mapped_address(address)
            .role(Role::Controlling(7))
            .integrity(b"key")
            .fingerprint();
        let message = Message::parse(&built).unwrap();
        assert_eq!(message.mapped_address(), Some(address));
        assert_eq!(message.role(), Some(Role::Controlling(7)));
        assert_eq!(message.attribute(attribute::SOFTWARE), Some(&b"abc"[..]));
        assert_eq!(message.proves(b"key"), Some(true));
        assert_eq!(message.transaction(), [9; 12]);
    }
    for class in [
        Class::Request,
        Class::Indication,
        Class::Success,
        Class::Error,
    ] {
        for method in [1, 3, 0x0fff, 0x0a5a] {
            let built = Builder::new(class, method, [0; 12]).plain();
            let message = Message::parse(&built).unwrap();
            assert_eq!((message.class(), message.method()), (class, method));
        }
    }
}

/// What the manifest says about one vector.
fn check(entry: &Table, bytes: &[u8]) {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
    let name = text("name");
    let parsed = Message::parse(bytes);
    if let Some(Value::Table(expected)) = entry.get("expect") {
        let message = parsed.as_ref().expect(name);
        let key = match text("credential") {
            "long-term" => ["key_sha256", "key_md5"]
                .map(text)
                .into_iter()
                .find(|k| !k.is_empty())
                .map(crate::bytes)
                .unwrap(),
            _ => text("password").as_bytes().to_vec(),
        };
        assert_eq!(
            message.transaction().to_vec(),
            crate::bytes(text("transaction")),
            "{name}"
        );
        for (attribute, value) in expected {
            let seen = match attribute.as_str() {
                "MESSAGE-INTEGRITY" | "MESSAGE-INTEGRITY-SHA256" => {
                    assert_eq!(message.proves(&key), Some(true), "{name}");
                    assert_eq!(message.proves(b"other"), Some(false), "{name}");
                    continue;
                }
                "FINGERPRINT" => {
                    assert!(message.has_fingerprint(), "{name}");
                    continue;
                }
                "SOFTWARE" => message
                    .attribute(attribute::SOFTWARE)
                    .map(|s| String::from_utf8_lossy(s).into_owned()),
                "USERNAME" => message.username().map(str::to_owned),
                "PRIORITY" => {
                    assert_eq!(message.priority().map(i64::from), value.as_integer());
                    continue;
                }
                "ICE-CONTROLLED" => match message.role() {
                    Some(Role::Controlled(tie)) => Some(format!("{tie:016x}")),
                    _ => None,
                },
                "XOR-MAPPED-ADDRESS" => message.mapped_address().map(|a| a.to_string()),
                "USERHASH" => message
                    .attribute(attribute::USERHASH)
                    .map(|h| h.iter().map(|b| format!("{b:02x}")).collect()),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(seen.as_deref(), value.as_str(), "{name}: {attribute}");
        }
    }
    let from: SocketAddr = "198.51.100.1:5000".parse().unwrap();
    let response = parsed.as_ref().ok().and_then(|m| serve(m, from));
    let code = response.as_ref().map(|r| {
        let message = Message::parse(r).unwrap();
        message.error_code().unwrap_or(0)
    });
    match text("treat") {
        "" => {}
        "drop" if name == "xor-mapped-bad-family" => {
            assert_eq!(parsed.map(|m| m.mapped_address()), Ok(None), "{name}");
        }
        "drop" => assert_eq!(parsed.map(drop), Err(Malformed::Length), "{name}"),
        "not-stun" | "rfc3489" | "turn" => {
            let foreign = parsed.map(drop) == Err(Malformed::Foreign);
            assert!(foreign || bytes[0] >> 6 != 0, "{name}");
        }
        "success" => assert_eq!(code, Some(0), "{name}"),
        "420" => assert_eq!(code, Some(420), "{name}"),
        "401-or-drop" => assert_eq!(parsed.unwrap().proves(PASSWORD.as_bytes()), Some(false)),
        "ignore-after" => {
            let message = parsed.unwrap();
            let seen = |kind: u16| message.attributes().filter(|(k, _)| *k == kind).count();
            assert_eq!(seen(attribute::PRIORITY), 1, "{name}");
            assert_eq!(message.proves(PASSWORD.as_bytes()), Some(true), "{name}");
        }
        "400-or-drop" => assert_eq!(parsed.unwrap().username(), None, "{name}"),
        "redirect" => {
            let message = parsed.unwrap();
            assert_eq!(message.error_code(), Some(300), "{name}");
            assert_eq!(
                message.alternate_server(),
                "192.0.2.2:3478".parse().ok(),
                "{name}"
            );
        }
        // TURN is not served here.
        "401" => assert_eq!(response, None, "{name}"),
        other => panic!("{name}: {other}"),
    }
}

/// A part of the manifest, for trees without the whole one.
const VECTORS: &str = r#"
[[vector]]
name = "rfc5769-2.2-response-ipv4"
transaction = "b7e7a701bc34d686fa87dfae"
credential = "short-term"
password = "VOkJxbRl1RmTxUk/WvJxBt"
expect = { SOFTWARE = "test vector", XOR-MAPPED-ADDRESS = "192.0.2.1:32853", MESSAGE-INTEGRITY = "valid", FINGERPRINT = "valid" }
octets = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"

[[vector]]
name = "rfc5769-2.3-response-ipv6"
transaction = "b7e7a701bc34d686fa87dfae"
credential = "short-term"
password = "VOkJxbRl1RmTxUk/WvJxBt"
expect = { XOR-MAPPED-ADDRESS = "[2001:db8:1234:5678:11:2233:4455:6677]:32853", MESSAGE-INTEGRITY = "valid", FINGERPRINT = "valid" }
octets = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"

[[vector]]
name = "rfc5769-2.4-long-term"
transaction = "78ad3433c6ad72c029da412e"
credential = "long-term"
key_md5 = "e8ca7ad59d5eb0518e312911d2dab2a9"
expect = { MESSAGE-INTEGRITY = "valid" }
octets = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
"#;

#[test]
fn vectors() {
    let folder = std::env::var("SORI_CONFORMANCE").ok();
    let manifest = match &folder {
        Some(folder) => std::fs::read_to_string(format!("{folder}/stun/manifest.toml")).unwrap(),
        None => VECTORS.to_owned(),
    };
    let manifest: Table = manifest.parse().unwrap();
    let entries = manifest["vector"].as_array().unwrap();
    for entry in entries {
        let entry = entry.as_table().unwrap();
        let octets = match &folder {
            Some(folder) => {
                let file = entry["file"].as_str().unwrap();
                std::fs::read(format!("{folder}/stun/{file}")).unwrap()
            }
            None => bytes(entry["octets"].as_str().unwrap()),
        };
        check(entry, &octets);
    }
    assert!(entries.len() >= if folder.is_some() { 20 } else { 3 });
}
