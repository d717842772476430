//! What the headers and URIs of the torture messages must read as (RFC 4475, RFC 5118).

#![allow(clippy::unwrap_used)]

#[path = "headers/cases.rs"]
mod cases;

use cases::{Case, cases};
use sip::header::*;
use sip::uri::{Host, Scheme, Uri, unescape};
use sip::wire::{Index, Packet};
use toml::{Table, Value};

/// One comparison between what the manifest expects and what was read.
#[track_caller]
fn same(case: &Case, what: &str, found: &[u8], expected: &str) {
    assert!(
        found == expected.as_bytes(),
        "{} {what}: found {}, expected {expected}",
        case.file,
        String::from_utf8_lossy(found)
    );
}

fn string<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).map(|v| v.as_str().unwrap())
}

fn check_host(case: &Case, what: &str, host: &Host<'_>, expected: &str) {
    match host {
        Host::Name(name) => same(case, what, name, expected),
        // One address has many spellings.
        address => assert_eq!(
            Ok(*address),
            Host::parse(expected.as_bytes()),
            "{}",
            case.file
        ),
    }
}

fn check_uri(case: &Case, what: &str, uri: &Uri<'_>, expected: &Table) {
    if let Some(scheme) = string(expected, "scheme") {
        same(case, what, &uri.scheme_name().to_ascii_lowercase(), scheme);
    }
    if let Some(opaque) = string(expected, "opaque") {
        same(case, what, uri.opaque(), opaque);
        assert_eq!(uri.scheme, Scheme::Other);
    }
    if let Some(host) = string(expected, "host") {
        check_host(case, what, &uri.host, host);
        let user = string(expected, "user");
        assert_eq!(uri.user.is_some(), user.is_some(), "{} {what}", case.file);
        same(case, what, &uri.user_unescaped(), user.unwrap_or(""));
    }
    if let Some(password) = string(expected, "password") {
        same(case, what, &unescape(uri.password.unwrap()), password);
    }
    if let Some(port) = expected.get("port") {
        assert_eq!(uri.port.map(i64::from), port.as_integer(), "{}", case.file);
    }
}

fn check_uri_params(case: &Case, uri: &Uri<'_>, expected: &Table) {
    assert_eq!(uri.params().count(), expected.len(), "{}", case.file);
    for (name, value) in expected {
        let found = uri.param(name.as_bytes()).unwrap().unwrap_or_default();
        same(case, name, &unescape(found), value.as_str().unwrap());
    }
}

fn check_params(case: &Case, params: Params<'_>, expected: &Value) {
    for (name, value) in expected.as_table().unwrap() {
        let found = params.value(name.as_bytes());
        let found = found.unwrap_or_else(|| panic!("{}: no {name}", case.file));
        same(
            case,
            name,
            found.unwrap_or_default(),
            value.as_str().unwrap(),
        );
    }
}

fn check_address(case: &Case, what: &str, addr: &NameAddr<'_>, expected: &Table) -> usize {
    same(
        case,
        what,
        addr.uri.as_bytes(),
        string(expected, "uri").unwrap(),
    );
    let display = string(expected, "display").unwrap_or("");
    same(case, what, &addr.display_unquoted(), display);
    let tag = string(expected, "tag").unwrap_or("");
    same(case, what, addr.tag().unwrap_or_default(), tag);
    if let Some(params) = expected.get("params") {
        check_params(case, addr.params, params);
    }
    let mut parts = expected.clone();
    parts.remove("params");
    check_uri(case, what, &addr.uri, &parts);
    expected.len()
}

fn check_vias(case: &Case, packet: &Packet<'_>, expect: &Table) -> usize {
    let vias: Vec<Via<'_>> = packet
        .all(HeaderName::Via)
        .flat_map(|line| Via::parse_list(line.value()))
        .map(|via| via.unwrap_or_else(|e| panic!("{}: {e}", case.file)))
        .collect();
    let count = expect["via_count"].as_integer().unwrap();
    assert_eq!(vias.len() as i64, count, "{}", case.file);
    let listed = expect["via"].as_array().unwrap();
    assert_eq!(listed.len(), vias.len().min(6));
    for (via, expected) in vias.iter().zip(listed) {
        let expected = expected.as_table().unwrap();
        same(
            case,
            "Via",
            via.transport,
            string(expected, "transport").unwrap(),
        );
        check_host(case, "Via", &via.host, string(expected, "host").unwrap());
        same(
            case,
            "Via",
            via.host_raw(),
            string(expected, "host").unwrap(),
        );
        let port = expected.get("port").and_then(Value::as_integer);
        assert_eq!(via.port.map(i64::from), port, "{}", case.file);
        let params = expected.get("params").and_then(Value::as_table);
        assert_eq!(
            via.params.count(),
            params.map_or(0, Table::len),
            "{}",
            case.file
        );
        if let Some(params) = expected.get("params") {
            check_params(case, via.params, params);
            let branch = params.get("branch").and_then(Value::as_str);
            assert_eq!(via.branch, branch.map(str::as_bytes), "{}", case.file);
            assert_eq!(via.rport.is_some(), params.get("rport").is_some());
        }
    }
    if let Some(ip) = string(expect, "via_received_ip") {
        assert_eq!(vias[0].received, Some(ip.parse().unwrap()), "{}", case.file);
    }
    if let Some(ip) = string(expect, "top_via_ip") {
        assert_eq!(
            vias[0].host.ip(),
            Some(ip.parse().unwrap()),
            "{}",
            case.file
        );
    }
    2 + listed.len()
}

fn check_contacts(case: &Case, packet: &Packet<'_>, expect: &Table) -> usize {
    let contacts: Vec<NameAddr<'_>> = packet
        .all(HeaderName::Contact)
        .flat_map(|line| ContactList::parse(line.value()).addresses())
        .map(|addr| addr.unwrap_or_else(|e| panic!("{}: {e}", case.file)))
        .collect();
    let Some(listed) = expect.get("contact").and_then(Value::as_array) else {
        return 0;
    };
    assert_eq!(contacts.len(), listed.len(), "{}", case.file);
    for (addr, expected) in contacts.iter().zip(listed) {
        check_address(case, "Contact", addr, expected.as_table().unwrap());
    }
    if let Some(users) = expect.get("contact_users").and_then(Value::as_array) {
        for (addr, user) in contacts.iter().zip(users) {
            same(
                case,
                "Contact",
                &addr.uri.user_unescaped(),
                user.as_str().unwrap(),
            );
        }
        assert!(!contacts[0].uri.same_as(&contacts[1].uri));
    }
    if let Some(user) = string(expect, "contact_user") {
        same(case, "Contact", &contacts[0].uri.user_unescaped(), user);
    }
    if let Some(params) = expect.get("contact_uri_params") {
        check_uri_params(case, &contacts[0].uri, params.as_table().unwrap());
    }
    if let Some(uri) = string(expect, "stored_contact_uri") {
        same(case, "Contact", contacts[0].uri.as_bytes(), uri);
    }
    listed.len()
}

fn check_start(case: &Case, packet: &Packet<'_>, expect: &Table) -> usize {
    let Some(text) = string(expect, "request_uri") else {
        assert_eq!(
            packet.status().map(|s| i64::from(s.0)),
            expect["status"].as_integer()
        );
        same(
            case,
            "reason",
            packet.reason(),
            string(expect, "reason").unwrap(),
        );
        return 2;
    };
    let uri = Uri::parse(packet.request_uri()).unwrap();
    same(case, "Request-URI", uri.as_bytes(), text);
    let parts = expect["request_uri_parts"].as_table().unwrap();
    check_uri(case, "Request-URI", &uri, parts);
    match parts.get("params") {
        Some(params) => check_uri_params(case, &uri, params.as_table().unwrap()),
        None => assert_eq!(uri.params().count(), 0, "{}", case.file),
    }
    same(
        case,
        "method",
        packet.method_name(),
        string(expect, "method").unwrap(),
    );
    if let Some(ip) = string(expect, "ruri_ip") {
        assert_eq!(uri.host.ip(), Some(ip.parse().unwrap()), "{}", case.file);
    }
    if expect.contains_key("ruri_port_absent") {
        assert_eq!(uri.port, None);
    }
    2 + parts.len()
}

/// The value with runs of white space made one blank.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = value
        .split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty())
        .collect();
    words.join(&b' ')
}

fn check_numbers(case: &Case, packet: &Packet<'_>, expect: &Table) -> usize {
    let value = |name| packet.value(name).unwrap();
    let cseq = CSeq::parse(value(HeaderName::CSeq)).unwrap();
    assert_eq!(
        Some(i64::from(cseq.number)),
        expect["cseq"].as_integer(),
        "{}",
        case.file
    );
    same(
        case,
        "CSeq",
        cseq.method,
        string(expect, "cseq_method").unwrap(),
    );
    let call_id = CallId::parse(value(HeaderName::CallId)).unwrap();
    same(
        case,
        "Call-ID",
        call_id.0,
        string(expect, "call_id").unwrap(),
    );
    let mut checked = 3;
    if let Some(hops) = expect.get("max_forwards").and_then(Value::as_integer) {
        let found = MaxForwards::parse(value(HeaderName::MaxForwards)).unwrap();
        assert_eq!(i64::from(found.0), hops, "{}", case.file);
        checked += 1;
    }
    if let Some(length) = expect.get("content_length").and_then(Value::as_integer) {
        let found = ContentLength::parse(value(HeaderName::ContentLength)).unwrap();
        assert_eq!(i64::from(found.0), length, "{}", case.file);
        checked += 1;
    }
    if let Some(text) = string(expect, "content_type") {
        let found = ContentType::parse(value(HeaderName::ContentType)).unwrap();
        let mut printed = [found.kind, b"/", found.subtype].concat();
        for param in found.params {
            printed.extend_from_slice(&[b";", param.name, b"=", &param.unquoted()].concat());
        }
        same(case, "Content-Type", &printed, text);
        checked += 1;
    }
    checked
}

fn check_others(case: &Case, packet: &Packet<'_>, expect: &Table) -> usize {
    let mut checked = 0;
    if let Some(listed) = expect.get("route").and_then(Value::as_array) {
        let lines = packet.all(HeaderName::Route).map(|line| line.value());
        let found: Vec<String> = routes(lines).map(|r| r.unwrap().uri.to_string()).collect();
        let listed: Vec<&str> = listed.iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(found, listed, "{}", case.file);
        checked += 1;
    }
    for (key, name) in [
        ("unsupported_from_uas", HeaderName::Require),
        ("unsupported_from_proxy", HeaderName::ProxyRequire),
    ] {
        if let Some(listed) = expect.get(key).and_then(Value::as_array) {
            let lines = packet.all(name).map(|line| line.value());
            let found: Vec<&[u8]> = lines.flat_map(Tokens::parse).collect();
            let listed: Vec<&[u8]> = listed
                .iter()
                .map(|v| v.as_str().unwrap().as_bytes())
                .collect();
            assert_eq!(found, listed, "{}", case.file);
            checked += 1;
        }
    }
    if let Some(headers) = expect.get("headers").and_then(Value::as_table) {
        for (name, value) in headers {
            let found = packet.named(name.as_bytes()).unwrap().value();
            same(case, name, &unfolded(found), value.as_str().unwrap());
            checked += 1;
        }
    }
    checked
}

#[test]
fn every_expectation_of_the_torture_messages() {
    let cases = cases("torture", 62);
    let (mut messages, mut checked) = (0, 0);
    for case in &cases {
        let Some(expect) = case.entry.get("expect").and_then(Value::as_table) else {
            continue;
        };
        if !expect.contains_key("call_id") {
            continue;
        }
        let mut index = Index::new();
        let packet = case.packet(&mut index).unwrap();
        checked += check_start(case, &packet, expect);
        for (what, name) in [("from", HeaderName::From), ("to", HeaderName::To)] {
            let addr = NameAddr::parse(packet.value(name).unwrap()).unwrap();
            checked += check_address(case, what, &addr, expect[what].as_table().unwrap());
        }
        checked += check_vias(case, &packet, expect);
        checked += check_contacts(case, &packet, expect);
        checked += check_numbers(case, &packet, expect);
        checked += check_others(case, &packet, expect);
        messages += 1;
    }
    println!("{messages} messages with expectations, {checked} values compared");
    let complete = std::env::var_os("SORI_CONFORMANCE").is_some();
    assert!(messages >= if complete { 39 } else { 2 } && checked > 20 * messages);
}

/// The header of which each message was made bad, and that a typed reader has to refuse.
const BAD: &[(&str, HeaderName)] = &[
    ("badinv01", HeaderName::Via),
    ("badinv01", HeaderName::Contact),
    ("ncl", HeaderName::ContentLength),
    ("scalar02", HeaderName::CSeq),
    ("scalar02", HeaderName::MaxForwards),
    ("scalarlg", HeaderName::CSeq),
    ("scalarlg", HeaderName::RetryAfter),
    ("scalarlg", HeaderName::Warning),
    ("quotbal", HeaderName::To),
    ("baddate", HeaderName::Date),
    ("regbadct", HeaderName::Contact),
    ("baddn", HeaderName::From),
    ("baddn", HeaderName::To),
    ("badvers", HeaderName::Via),
];

#[test]
fn bad_headers_are_refused_and_no_others() {
    let cases = cases("torture", 62);
    let (mut refused, mut read) = (0, 0);
    for case in &cases {
        let mut index = Index::new();
        let Ok(packet) = case.packet(&mut index) else {
            continue;
        };
        let name = case.text("name");
        for header in packet.headers() {
            let bad = BAD.contains(&(name, header.name()));
            let result = cases::read(header.name(), header.value());
            assert_eq!(
                result.is_err(),
                bad,
                "{} {}: {result:?}",
                case.file,
                header.name()
            );
            refused += usize::from(bad);
            read += usize::from(result == Ok(true));
        }
        let uri = Uri::parse(packet.request_uri());
        let bad_uri = ["lwsruri", "ltgtruri", "ipv6-bad"].contains(&name);
        if packet.is_request() && bad_uri {
            println!("{name}: {uri:?}");
            assert!(name == "ltgtruri" || uri.is_err(), "{}: {uri:?}", case.file);
        }
    }
    println!("{read} values read, {refused} refused");
    let complete = std::env::var_os("SORI_CONFORMANCE").is_some();
    assert!(refused >= if complete { BAD.len() } else { 1 } && read > 10);
}
