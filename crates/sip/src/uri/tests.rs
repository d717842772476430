use super::*;

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn all_parts() {
    let all = uri("sips:alice:se%63ret@[2001:db8::1]:5070;transport=tcp;lr?subject=a&priority=b");
    assert_eq!(all.scheme, Scheme::Sips);
    assert_eq!(all.user, Some(&b"alice"[..]));
    assert_eq!(all.password, Some(&b"se%63ret"[..]));
    assert_eq!(all.host.to_string(), "[2001:db8::1]");
    assert_eq!(all.port, Some(5070));
    assert_eq!(all.params, b";transport=tcp;lr");
    assert_eq!(all.headers, b"subject=a&priority=b");
    assert_eq!(all.transport(), Some(&b"tcp"[..]));
    assert_eq!(all.header(b"Priority"), Some(&b"b"[..]));
    assert!(all.is_loose_router());
    assert_eq!(all.params().count(), 2);
    assert_eq!(all.headers().count(), 2);
    assert_eq!(all.scheme_name(), b"sips");
    let bare = uri("SIP:example.com");
    assert_eq!(
        (bare.scheme, bare.user, bare.port),
        (Scheme::Sip, None, None)
    );
    assert_eq!(bare.host, Host::Name(b"EXAMPLE.com."));
    assert_eq!((bare.param(b"lr"), bare.header(b"x")), (None, None));
}

#[test]
fn the_user_may_hold_what_elsewhere_separates() {
    let odd = uri("sip:user;par=u%40example.net@example.com");
    assert_eq!(&*odd.user_unescaped(), b"user;par=u@example.net");
    assert_eq!(odd.params().count(), 0);
    let star = uri("sip:*72#123@example.com");
    assert_eq!(star.user, Some(&b"*72#123"[..]));
    assert_eq!(uri("sip:a%00b@h").user_unescaped().len(), 3);
    assert_eq!(&*uri("sip:100%@h").user_unescaped(), b"100%");
}

#[test]
fn names_of_parameters_compare_unescaped_and_without_case() {
    assert!(uri("sip:a@b;%6C%72").is_loose_router());
    assert!(uri("sip:a@b;LR").is_loose_router());
    assert!(!uri("sip:a@b;lrx").is_loose_router());
    let named = uri("sip:a@b;n%61me=v%41lue");
    assert_eq!(named.param(b"NAME"), Some(Some(&b"v%41lue"[..])));
    assert_eq!(uri("sip:a@b;maddr=h;;x").params().count(), 2);
}

#[test]
fn hosts() {
    for (text, address) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("192.000.002.001", Some("192.0.2.1")),
        ("[::ffff:192.0.2.1]", Some("::ffff:192.0.2.1")),
        ("[2001:db8::10:5070]", Some("2001:db8::10:5070")),
        ("[2001:db8:::192.0.2.1]", Some("2001:db8::192.0.2.1")),
        ("256.0.0.1", None),
        ("1.2.3", None),
        ("1.2.3.4.5", None),
        ("1.2.3.", None),
        ("1.2.3.0004", None),
        ("3com.example", None),
        ("a_b.example.", None),
    ] {
        let host = Host::parse(text.as_bytes()).unwrap();
        assert_eq!(host.ip(), address.map(|a| a.parse().unwrap()), "{text}");
    }
    assert_ne!(Host::parse(b"1.2.3.4"), Host::parse(b"[::1]"));
    for bad in [
        "",
        ".",
        "..",
        "[::1",
        "[::1]x",
        "[fe80::1%eth0]",
        "[]",
        "[x]",
        "[1:::2]",
        "[:::]",
        "2001:db8::1",
        "a b",
        "é",
    ] {
        assert!(Host::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn tel_and_other_schemes() {
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!(
        (tel.scheme, tel.user),
        (Scheme::Tel, Some(&b"+1-201-555-0123"[..]))
    );
    assert_eq!(tel.param(b"phone-context"), Some(Some(&b"example.com"[..])));
    let other = uri("soap.beep://192.0.2.103:3002");
    assert_eq!(other.scheme, Scheme::Other);
    assert_eq!(other.scheme_name(), b"soap.beep");
    assert_eq!(other.opaque(), b"//192.0.2.103:3002");
    assert_eq!(other.to_string(), "soap.beep://192.0.2.103:3002");
}

#[test]
fn what_is_no_uri_is_refused() {
    for bad in [
        "",
        "sip",
        "sip:",
        "sip:@",
        "sip:a@",
        "sip:a@b@c",
        "sip:2001:db8::10",
        "sip:a@b:",
        "sip:a@b:65536",
        "sip:a@b:5060x",
        "sip:a@b; lr",
        " sip:a@b",
        "sip:a@b ",
        "<sip:a@b>",
        "sip:a@b;x=<y>",
        "sip:a@b?x y",
        "sip:a b@c",
        "sip\u{1a}a@b",
        "tel:",
        "tel:-",
        "tel:1 2",
        "1x:y",
        ":x",
        "http:",
        "http:a b",
    ] {
        assert!(Uri::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn same_by_the_examples_of_the_rfc() {
    for set in [
        &[
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ][..],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"],
        &["sip:carol@chicago.com", "sip:carol@chicago.com;security=on"],
        &[
            "sip:carol@chicago.com;newparam=5",
            "sip:carol@chicago.com;security=on",
        ],
        &[
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ],
        &[
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ],
    ] {
        for a in set {
            for b in set {
                assert!(uri(a).same_as(&uri(b)), "{a} {b}");
            }
        }
    }
}

#[test]
fn different_by_the_examples_of_the_rfc() {
    for (a, b) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtLanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
    ] {
        assert!(!uri(a).same_as(&uri(b)), "{a} {b}");
        assert!(!uri(b).same_as(&uri(a)), "{b} {a}");
    }
}

#[test]
fn more_of_the_comparison() {
    for (a, b, same) in [
        ("sip:a@b", "sips:a@b", false),
        ("sip:a@b", "sip:b", false),
        ("sip:a@b", "sip:a:@b", false),
        ("sip:a:p@b", "sip:a:P@b", false),
        ("sip:a@b", "sip:a@b.", true),
        ("sip:a@[::1]", "sip:a@[0:0:0:0:0:0:0:1]", true),
        ("sip:a@b;user=phone", "sip:a@b", false),
        ("sip:a@b;ttl=1", "sip:a@b", false),
        ("sip:a@b;maddr=1.2.3.4", "sip:a@b", false),
        ("sip:a@b;method=INVITE", "sip:a@b", false),
        ("sip:a@b;%75ser=phone", "sip:a@b;user=phone", true),
        ("sip:a@b;lr", "sip:a@b;lr=on", false),
        ("sip:a;b@c", "sip:a%3Bb@c", false),
        ("sip:a%3bb@c", "sip:a%3Bb@c", true),
        ("sip:a%2db@c", "sip:a-b@c", true),
        ("sip:a@b?x=1", "sip:a@b?X=1", true),
        ("sip:a@b?x=1", "sip:a@b?x=2", false),
        ("sip:a@b?x=a", "sip:a@b?x=A", false),
        ("tel:+1-201-555-0123", "TEL:+1(201)5550123", true),
        ("tel:+12015550123", "tel:+12015550124", false),
        ("tel:123;phone-context=a.example", "tel:123", false),
        (
            "tel:123;phone-context=+1-2;ext=3",
            "tel:123;ext=3;Phone-Context=+12",
            true,
        ),
        ("http://a/B", "HTTP://a/B", true),
        ("http://a/B", "http://a/b", false),
    ] {
        assert_eq!(uri(a).same_as(&uri(b)), same, "{a} {b}");
        assert_eq!(uri(b).same_as(&uri(a)), same, "{b} {a}");
    }
}

#[test]
fn very_many_parameters_are_not_compared() {
    let many = |x: &str| format!("sip:a@b{}{x}", ";p=1".repeat(15_000));
    let (a, b) = (many(""), many(";q"));
    assert!(uri(&a).same_as(&uri(&a)));
    assert!(!uri(&a).same_as(&uri(&b)));
}

#[test]
fn the_address_of_record_has_one_form() {
    for (text, record) in [
        (
            "sip:%61lice:pw@AtLanTa.CoM.;transport=tcp?x=y",
            "sip:alice@atlanta.com",
        ),
        ("SIPS:Alice@h:5061", "sips:Alice@h:5061"),
        ("sip:a%3bb%20;c@h", "sip:a%3Bb%20;c@h"),
        ("sip:#31@h", "sip:%2331@h"),
        ("sip:%00@h", "sip:%00@h"),
        ("sip:H..", "sip:h"),
        ("sip:a@[2001:DB8:0::1]", "sip:a@[2001:db8::1]"),
        ("tel:+1-201(5)", "tel:+12015"),
        ("isbn:29", "isbn:29"),
    ] {
        assert_eq!(uri(text).address_of_record(), record.as_bytes(), "{text}");
    }
}

#[test]
fn ports_and_places() {
    for (text, port) in [
        ("sip:a", 5060),
        ("sips:a", 5061),
        ("sip:a;transport=TLS", 5061),
        ("sip:a:7;transport=tls", 7),
    ] {
        assert_eq!(uri(text).port_or_default(), port);
    }
    let a = uri("sip:x@Host:5060");
    assert!(a.is_at(&Host::Name(b"host"), Some(5060)));
    assert!(!a.is_at(&Host::Name(b"host"), None));
}

#[test]
fn users_are_escaped() {
    assert_eq!(&*escape_user(b"alice+1"), b"alice+1");
    assert_eq!(&*escape_user(b"a b@c:%\xe9"), b"a%20b%40c%3A%25%E9");
    assert_eq!(&*unescape(&escape_user(b"\x00\xff%")), b"\x00\xff%");
}
