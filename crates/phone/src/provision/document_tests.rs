//! Documents: what is taken, what is wrong in which line, and what is meant to harm.

use std::time::Duration;

use sip::auth::Secret;

use super::super::profile::{Change, Dtmf};
use super::*;
use crate::Srtp;
use crate::provision::Account;

/// The example of the manual, so that it stays true.
fn manual() -> &'static str {
    let text = include_str!("../../../../docs/provisioning.md");
    let (_, rest) = text.split_once("```xml\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn parse(text: &str) -> Result<Document, Vec<Problem>> {
    Document::parse(text.as_bytes())
}

/// The lines and messages of what is wrong.
fn wrong(text: &str) -> Vec<String> {
    parse(text)
        .unwrap_err()
        .iter()
        .map(Problem::to_string)
        .collect()
}

fn warned(text: &str) -> Vec<String> {
    parse(text)
        .unwrap()
        .warnings
        .iter()
        .map(Problem::to_string)
        .collect()
}

/// A document with these elements, the first of them in line 2.
fn with(elements: &str) -> String {
    format!("<sori version=\"1\">\n{elements}\n</sori>\n")
}

const ACCOUNT: &str = "<account><user>a</user><domain>d</domain></account>";

#[test]
fn the_example_of_the_manual() {
    let document = parse(manual()).unwrap();
    assert_eq!(document.warnings, []);
    let profile = document.profile;
    let [visitor, desk] = profile.accounts.as_slice() else {
        panic!("{:?}", profile.accounts);
    };
    assert_eq!(visitor.name.to_string(), "visitor@example.org");
    assert_eq!(visitor.display_name.as_deref(), Some("Visitor of the shop"));
    assert_eq!(visitor.auth_user.as_deref(), Some("visitor-17"));
    assert_eq!(
        visitor.secret,
        Some(Secret::Password("correct horse".to_owned()))
    );
    assert_eq!(
        visitor.proxy.as_ref().unwrap().to_string(),
        "udp:sip.example.org:5060"
    );
    assert!(visitor.register && !desk.register);
    assert!(matches!(desk.secret, Some(Secret::Ha1(_))));
    assert_eq!(profile.expires(visitor), Some(300));
    assert_eq!(profile.expires(desk), Some(600));
    assert_eq!(
        profile.target(visitor).as_deref(),
        Some("sip:+82212345678@example.org")
    );
    assert_eq!(profile.codecs.len(), 2);
    assert_eq!(profile.dtmf, Some(Dtmf::Events));
    assert_eq!(profile.srtp, Some(Srtp::Off));
    assert_eq!((profile.ice, profile.readiness), (Some(false), Some(true)));
    assert_eq!(profile.timers.session, Some(1800));
    assert_eq!(profile.timers.ring, Some(Duration::from_secs(60)));
    assert_eq!(profile.auto_close, Duration::from_secs(3));
    assert_eq!(profile.devices.ringer.as_deref(), Some("Built-in Audio"));
    assert_eq!(profile.language.as_deref(), Some("ko"));
    assert_eq!(profile.refresh, Some(Duration::from_secs(3600)));
    let settings = profile.settings(visitor);
    assert_eq!(settings.password.as_deref(), Some("correct horse"));
    assert_eq!(settings.auth_user.as_deref(), Some("visitor-17"));
    assert_eq!(
        (settings.srtp, settings.session_expires),
        (Srtp::Off, Some(1800))
    );
    let settings = profile.settings(desk);
    assert!(settings.hashes.is_some() && settings.password.is_none());
    assert_eq!(
        settings.server.unwrap().to_string(),
        "udp:example.org",
        "by <transport>"
    );
    assert!(!format!("{profile:?}").contains("correct horse"));
}

#[test]
fn nearly_everything_may_be_left_out() {
    let profile = parse("<sori version='1'/>").unwrap().profile;
    assert!(profile.accounts.is_empty() && profile.gateway.is_none());
    assert_eq!(profile.auto_close, Duration::from_secs(3));
    let profile = parse(&with(ACCOUNT)).unwrap().profile;
    let [account] = profile.accounts.as_slice() else {
        panic!("{:?}", profile.accounts);
    };
    assert!(account.register);
    let settings = profile.settings(account);
    assert_eq!(settings.server, None);
    assert!(!settings.codecs.is_empty());
}

#[test]
fn all_mistakes_are_told_with_their_lines() {
    let text = with(
        "<account>\n<user>a</user>\n<register>perhaps</register>\n<expires>5</expires>\n</account>\n\
         <codecs>pcma mp3</codecs>\n<dtmf>loud</dtmf>\n<srtp>maybe</srtp>\n<ice/>\n<stun>h:x</stun>\n\
         <timers><session>10</session></timers>\n<auto-close>-1</auto-close>\n<refresh>1</refresh>\n\
         <language>한국어</language>\n<transport>sctp</transport>\n<devices>x</devices>\n<readiness><b/></readiness>",
    );
    let found = wrong(&text);
    for expected in [
        "line 2: this <account> has no <domain>",
        "line 4: <register>perhaps</register>: it has to be yes or no",
        "line 5: <expires>5</expires>: it has to be a whole number from 30 to 86400",
        "line 7: <codecs>: there is no codec mp3; this program has",
        "line 8: <dtmf>loud</dtmf>: it has to be rfc4733, info or tones",
        "line 9: <srtp>maybe</srtp>: it has to be off, optional, required or dtls",
        "line 10: <ice> is empty",
        "line 11: <stun>h:x</stun>: it has to be HOST or HOST:PORT",
        "line 12: <session>10</session>: it has to be a whole number from 90 to 86400",
        "line 13: <auto-close>-1</auto-close>: it has to be a whole number from 0 to 3600",
        "line 14: <refresh>1</refresh>: it has to be a whole number from 60",
        "line 15: <language>한국어</language>: it has to be a language",
        "line 16: <transport>sctp</transport>: it has to be a transport",
        "line 17: there is text between the elements of <devices>",
        "line 18: <readiness> takes text, and no <b>",
    ] {
        assert!(
            found.iter().any(|f| f.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), 15, "{found:#?}");
}

#[test]
fn mistakes_of_single_elements() {
    let account = |inner: &str| {
        with(&format!(
            "<account><user>a</user><domain>d</domain>{inner}</account>"
        ))
    };
    for (text, expected) in [
        ("<sori/>".to_owned(), "line 1: <sori> has to say version"),
        (
            "<sori version='2'/>".to_owned(),
            "line 1: version \"2\" is not known",
        ),
        (
            "<html><body/></html>".to_owned(),
            "line 1: <html> is no document for a phone",
        ),
        (
            with("<ice>no</ice>\n<ice>no</ice>"),
            "line 3: <ice> stands here a second time, first in line 2",
        ),
        (
            with(&format!("{ACCOUNT}\n{ACCOUNT}")),
            "line 3: the account a@d stands here a second time",
        ),
        (
            account("<password>p</password><ha1 md5='0'/>"),
            "line 2: md5 of <ha1> has to be 32 hexadecimal digits",
        ),
        (account("<ha1/>"), "line 2: <ha1> needs md5="),
        (
            account(&format!(
                "<password>p</password><ha1 md5='{}'/>",
                "0".repeat(32)
            )),
            "line 2: an <account> has <password> or <ha1>, not both",
        ),
        (
            account("<proxy>sip.example.org</proxy>"),
            "line 2: <proxy>sip.example.org</proxy>: ",
        ),
        (
            account("<password>\n</password>"),
            "line 2: <password> is empty",
        ),
        (
            account("<display-name>a\nb</display-name>"),
            "line 2: <display-name> has to stand in one line",
        ),
        (
            with("<account><user>a@b c</user><domain>d;x</domain></account>"),
            "line 2: <user> and <domain>: ",
        ),
        (
            with(&format!("{ACCOUNT}\n<gateway>mailto:x</gateway>")),
            "line 3: <gateway>: 'mailto:x'",
        ),
        (
            with("<codecs>g729</codecs><codecs>opus</codecs>"),
            "line 2: <codecs> stands here a second time",
        ),
        (
            with("<codecs>pcma,PCMA</codecs>"),
            "line 2: <codecs>: PCMA stands here a second time",
        ),
        (
            with(&ACCOUNT.replace(">a<", &format!(">{}<", "x".repeat(5000)))),
            "line 2: <user> is longer than 4096",
        ),
    ] {
        let found = wrong(&text);
        assert!(
            found.iter().any(|f| f.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    let many: String = (0..17)
        .map(|n| ACCOUNT.replace(">a<", &format!(">a{n}<")))
        .collect();
    assert_eq!(
        wrong(&with(&many)),
        ["line 2: there are more than 16 accounts"]
    );
}

#[test]
fn a_secret_is_in_no_message() {
    for secret in [
        "<password>s3cret<b/></password>",
        "<ha1 md5='s3cret'/>",
        "<password>s3\ncret</password>",
    ] {
        let text = with(&format!(
            "<account><user>a</user><domain>d</domain>{secret}</account>"
        ));
        let found = wrong(&text).join(" ");
        assert!(!found.contains("s3"), "{found}");
    }
}

#[test]
fn what_is_not_known_is_a_warning() {
    let text = with(&format!(
        "{ACCOUNT}\n<hologram>yes</hologram>\n<timers><tea>5</tea></timers>"
    ));
    assert_eq!(
        warned(&text),
        [
            "line 3: <hologram> is not known in <sori> and passed over",
            "line 4: <tea> is not known in <timers> and passed over"
        ]
    );
    assert_eq!(
        warned(&with("<codecs>evs pcma</codecs>")),
        ["line 2: <codecs>: this program has no evs"]
    );
    // Comments and CDATA are XML.
    let text =
        with("<!-- x --><gateway>12<!-- y -->34</gateway><language><![CDATA[ko]]></language>");
    let profile = parse(&text).unwrap().profile;
    assert_eq!(profile.gateway.as_deref(), Some("1234"));
    assert_eq!(profile.language.as_deref(), Some("ko"));
}

#[test]
fn what_cannot_be_had_is_told() {
    let parsed = |elements: &str| parse(&with(elements)).unwrap().profile.unmet().join("; ");
    assert_eq!(
        parsed("<dtmf>rfc4733</dtmf><ice>yes</ice><stun>h</stun>"),
        ""
    );
    let unmet = parsed("<dtmf>tones</dtmf>");
    assert!(unmet.contains("<dtmf>"), "{unmet}");
}

#[test]
fn what_is_no_xml_is_told_with_its_line() {
    for (text, expected) in [
        ("", "line 1: there is nothing in it"),
        ("hello", "line 1: this is no XML"),
        ("{\"user\": \"a\"}", "line 1: this is no XML"),
        (
            "<sori version='1'>\n<ice>no</stun>\n</sori>",
            "line 2: </stun> closes what <ice> opened",
        ),
        (
            "<sori version='1'>\n<ice>no</ice>\n",
            "line 2: it breaks off",
        ),
        (
            "<sori version='1'>\n<ice>&nbsp;</ice></sori>",
            "line 2: this is no well-formed XML",
        ),
        (
            "<sori version='1'>\n\n<ice x=y/></sori>",
            "line 3: this is no well-formed XML",
        ),
    ] {
        let found = wrong(text);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{expected}: {found:?}"
        );
    }
    let found = Document::parse(b"<sori version='1'>\n\n<user>\xff\xfe</user></sori>").unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "line 3: the document has to be UTF-8, and these octets are not"
    );
    assert!(
        Document::parse(b"\xef\xbb\xbf<sori version='1'/>").is_ok(),
        "a mark of UTF-8 in front"
    );
}

#[test]
fn hostile_documents_cost_nothing() {
    let laughs = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]>\n<sori version='1'><ice>&b;</ice></sori>";
    assert!(wrong(laughs)[0].contains("<!DOCTYPE"));
    let outside = "<?xml version='1.0'?>\n<!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<sori version='1'><ice>&x;</ice></sori>";
    assert!(wrong(outside)[0].starts_with("line 2: a document type"));
    let deep = format!("{}{}", "<a>".repeat(35_000), "</a>".repeat(35_000));
    assert!(wrong(&deep)[0].contains("more than 20000 elements"));
    let deep = format!(
        "<sori version='1'>{}{}</sori>",
        "<a>".repeat(15_000),
        "</a>".repeat(15_000)
    );
    assert_eq!(
        warned(&deep).len(),
        1,
        "what is not known is not walked into"
    );
    let wide = with(&"<a/>".repeat(15_000));
    assert_eq!(warned(&wide).len(), MAX_PROBLEMS);
    let wrongs = with(&"<account/>".repeat(15_000));
    assert_eq!(wrong(&wrongs).len(), MAX_PROBLEMS);
    let attributes: String = (0..25_000).map(|n| format!(" a{n}=''")).collect();
    let crowded = format!("<sori version='1'>\n<x{attributes}/></sori>");
    assert_eq!(
        wrong(&crowded),
        ["line 2: there are more than 500 attributes in one element"]
    );
    let large = with(&" ".repeat(MAX_OCTETS));
    assert_eq!(
        wrong(&large),
        ["line 1: the document is larger than 256 KiB"]
    );
}

const LINPHONE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:schemaLocation="http://www.linphone.org/xsds/lpconfig.xsd lpconfig.xsd">
  <section name="misc"><entry name="transient_provisioning" overwrite="true">1</entry></section>
  <section name="sip">
    <entry name="default_proxy" overwrite="true">1</entry>
    <entry name="media_encryption" overwrite="true">srtp</entry>
    <entry name="use_info" overwrite="true">1</entry>
    <entry name="guess_hostname" overwrite="true">1</entry>
  </section>
  <section name="net">
    <entry name="stun_server">stun.example.org</entry>
    <entry name="firewall_policy">ice</entry>
  </section>
  <section name="proxy_0">
    <entry name="reg_proxy" overwrite="true">&lt;sip:example.org&gt;</entry>
    <entry name="reg_identity" overwrite="true">sip:bob@example.org</entry>
    <entry name="reg_sendregister" overwrite="true">0</entry>
  </section>
  <section name="proxy_1">
    <entry name="reg_proxy" overwrite="true">&lt;sip:sip.example.org:5070;transport=tcp&gt;</entry>
    <entry name="reg_identity" overwrite="true">"김 앨리스" &lt;sip:alice@example.org&gt;</entry>
    <entry name="reg_expires" overwrite="true">900</entry>
    <entry name="realm" overwrite="true">example.org</entry>
  </section>
  <section name="auth_info_0">
    <entry name="username" overwrite="true">alice</entry>
    <entry name="userid" overwrite="true">al-7</entry>
    <entry name="passwd" overwrite="true">pw</entry>
    <entry name="realm" overwrite="true">example.org</entry>
    <entry name="domain" overwrite="true">example.org</entry>
  </section>
  <section name="auth_info_1">
    <entry name="username" overwrite="true">bob</entry>
    <entry name="ha1" overwrite="true">00112233445566778899aabbccddeeff</entry>
  </section>
  <section name="audio_codec_0"><entry name="mime">PCMA</entry><entry name="enabled">1</entry></section>
  <section name="audio_codec_1"><entry name="mime">PCMU</entry><entry name="enabled">0</entry></section>
  <section name="video_codec_0"><entry name="mime">VP8</entry></section>
</config>"#;

#[test]
fn linphones_document() {
    let document = parse(LINPHONE).unwrap();
    assert_eq!(document.warnings, []);
    let profile = document.profile;
    let [alice, bob] = profile.accounts.as_slice() else {
        panic!("{:?}", profile.accounts);
    };
    assert_eq!(
        alice.name.uri(),
        "sip:alice@example.org",
        "default_proxy comes first"
    );
    assert_eq!(alice.display_name.as_deref(), Some("김 앨리스"));
    assert_eq!(alice.auth_user.as_deref(), Some("al-7"));
    assert_eq!(alice.secret, Some(Secret::Password("pw".to_owned())));
    assert_eq!(
        alice.proxy.as_ref().unwrap().to_string(),
        "tcp:sip.example.org:5070"
    );
    assert_eq!((alice.register, alice.expires), (true, Some(900)));
    assert_eq!(bob.proxy, None, "the domain itself");
    assert!(!bob.register);
    assert!(matches!(bob.secret, Some(Secret::Md5([0x00, 0x11, ..]))));
    assert_eq!(profile.codecs, [media::codec::CodecKind::Pcma]);
    assert_eq!(profile.srtp, Some(Srtp::Optional));
    assert_eq!(profile.dtmf, Some(Dtmf::Info));
    assert_eq!(profile.settings(alice).keys_by, crate::KeysBy::Info);
    assert_eq!(
        (profile.ice, profile.stun.clone().map(|s| s.host)),
        (Some(true), Some("stun.example.org".to_owned()))
    );
}

#[test]
fn mistakes_in_linphones_document() {
    let text = LINPHONE
        .replace("sip:bob@example.org", "bob")
        .replace(">900<", ">soon<")
        .replace(">srtp<", ">rot13<")
        .replace("00112233445566778899aabbccddeeff", "xyz")
        .replace("transport=tcp", "transport=smoke");
    let found = wrong(&text);
    for expected in [
        "line 7: media_encryption: 'rot13' is not known",
        "line 17: reg_identity: 'bob'",
        "line 21: reg_proxy: '<sip:sip.example.org:5070;transport=smoke>' cannot be used as a server",
        "line 23: reg_expires: 'soon': it has to be a whole number",
    ] {
        assert!(
            found.iter().any(|f| f.starts_with(expected)),
            "{expected}\n{found:#?}"
        );
    }
    let none = LINPHONE.replace(">PCMA<", ">isac<");
    let found = wrong(&none);
    assert!(
        found[0].contains("allows no codec that this program has"),
        "{found:?}"
    );
}

#[test]
fn differences_are_told_by_name() {
    let old = parse(manual()).unwrap().profile;
    assert_eq!(old.changes(&old.clone()), []);
    let mut new = old.clone();
    new.accounts[0].secret = Some(Secret::Password("other".to_owned()));
    new.accounts[1].name = "front@example.org".parse().unwrap();
    new.gateway = Some("1".to_owned());
    new.refresh = None;
    let name = |account: &Account| account.name.clone();
    assert_eq!(
        old.changes(&new),
        [
            Change::AccountChanged(name(&old.accounts[0])),
            Change::AccountAdded(name(&new.accounts[1])),
            Change::AccountRemoved(name(&old.accounts[1])),
            Change::Setting("gateway"),
            Change::Setting("refresh"),
        ]
    );
}
