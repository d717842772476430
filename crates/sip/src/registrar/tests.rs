use super::*;
use crate::wire::Index;

const NOW: u64 = 1_000_000;

fn flow() -> Flow {
    Flow::udp(
        "192.0.2.1:5060".parse().unwrap(),
        "192.0.2.9:5070".parse().unwrap(),
    )
}

fn register_with(
    existing: &[Binding],
    call: &str,
    cseq: u32,
    headers: &str,
) -> Result<Update, Refusal> {
    let text = format!(
        "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK1\r\n\
         From: <sip:a@example.org>;tag=1\r\nTo: <sip:a@example.org>\r\nCall-ID: {call}\r\n\
         CSeq: {cseq} REGISTER\r\n{headers}Content-Length: 0\r\n\r\n"
    );
    let mut index = Index::new();
    let packet = Packet::scan(text.as_bytes(), &mut index).unwrap();
    register(&packet, flow(), existing, NOW, &Limits::default())
}

fn contacts(update: &Update) -> Vec<&str> {
    update.bindings.iter().map(|b| b.contact.as_str()).collect()
}

#[test]
fn a_phone_behind_a_translator_is_known_by_its_via() {
    let bound = |via: &str| {
        let text = format!(
            "REGISTER sip:example.org SIP/2.0\r\n{via}From: <sip:a@example.org>;tag=1\r\nTo: <sip:a@example.org>\r\n\
             Call-ID: c\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@192.0.2.9:5070>\r\nContent-Length: 0\r\n\r\n"
        );
        let mut index = Index::new();
        let packet = Packet::scan(text.as_bytes(), &mut index).unwrap();
        let update = register(&packet, flow(), &[], NOW, &Limits::default()).unwrap();
        (update.bindings[0].flow, update.bindings[0].inside)
    };
    let own = "Via: SIP/2.0/UDP 192.168.1.2:5060;rport;branch=z9hG4bK1\r\n";
    assert_eq!(bound(own), (Some(flow()), "192.168.1.2".parse().ok()));
    let same = "Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bK1\r\n";
    assert_eq!(bound(same), (Some(flow()), None));
    let named = "Via: SIP/2.0/UDP phone.example;rport;branch=z9hG4bK1\r\n";
    assert_eq!(bound(named), (Some(flow()), None));
    let proxied = format!("Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK2\r\n{own}");
    assert_eq!(bound(&proxied), (None, None));
}

#[test]
fn contacts_are_added_refreshed_and_removed() {
    let one = register_with(
        &[],
        "c1",
        1,
        "Contact: <sip:a@192.0.2.9:5070>;q=0.5, <sip:a@192.0.2.10>;expires=120\r\nExpires: 600\r\n",
    )
    .unwrap();
    assert_eq!(contacts(&one), ["sip:a@192.0.2.9:5070", "sip:a@192.0.2.10"]);
    assert_eq!(one.bindings[0].q, 500);
    assert_eq!(one.bindings[0].expires_at, NOW + 600_000);
    assert_eq!(one.bindings[1].expires_at, NOW + 120_000);
    assert_eq!(one.changes.len(), 2);
    // The same URI in another spelling is the same contact.
    let two = register_with(&one.bindings, "c1", 2, "Contact: <SIP:a@192.0.2.10>\r\n").unwrap();
    assert_eq!(two.bindings.len(), 2);
    assert_eq!(two.bindings[1].expires_at, NOW + 3_600_000);
    let three = register_with(
        &two.bindings,
        "c1",
        3,
        "Contact: <sip:a@192.0.2.10>;expires=0\r\n",
    )
    .unwrap();
    assert_eq!(contacts(&three), ["sip:a@192.0.2.9:5070"]);
    let query = register_with(&three.bindings, "c9", 1, "").unwrap();
    assert_eq!(query.bindings, three.bindings);
    assert!(query.changes.is_empty());
}

#[test]
fn an_overtaken_register_changes_nothing() {
    let one = register_with(&[], "c1", 5, "Contact: <sip:a@192.0.2.9>\r\n").unwrap();
    for cseq in [5, 4] {
        let late = register_with(
            &one.bindings,
            "c1",
            cseq,
            "Contact: <sip:a@192.0.2.9>;expires=0\r\n",
        );
        assert_eq!(late.unwrap_err().code, StatusCode(500));
        let star = register_with(&one.bindings, "c1", cseq, "Contact: *\r\nExpires: 0\r\n");
        assert_eq!(star.unwrap_err().code, StatusCode(500));
    }
    let other = register_with(
        &one.bindings,
        "c2",
        1,
        "Contact: <sip:a@192.0.2.9>;expires=0\r\n",
    )
    .unwrap();
    assert!(other.bindings.is_empty());
}

#[test]
fn the_wildcard_needs_expires_zero_and_stands_alone() {
    let one = register_with(&[], "c1", 1, "Contact: <sip:a@192.0.2.9>\r\n").unwrap();
    for bad in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 60\r\n",
        "Contact: *\r\nContact: <sip:b@c>\r\nExpires: 0\r\n",
    ] {
        assert_eq!(
            register_with(&one.bindings, "c1", 2, bad).unwrap_err().code,
            StatusCode(400),
            "{bad}"
        );
    }
    let gone = register_with(&one.bindings, "c1", 2, "Contact: *\r\nExpires: 0\r\n").unwrap();
    assert!(gone.bindings.is_empty());
    assert!(matches!(gone.changes[..], [Change::RemoveAll]));
}

#[test]
fn times_are_bounded() {
    let short = register_with(&[], "c1", 1, "Contact: <sip:a@b>;expires=59\r\n");
    assert_eq!(short.unwrap_err().code, StatusCode(423));
    let long = register_with(&[], "c1", 1, "Contact: <sip:a@b>;expires=999999\r\n").unwrap();
    assert_eq!(long.bindings[0].expires_at, NOW + 7_200_000);
}

#[test]
fn a_restarted_phone_replaces_what_it_left_behind() {
    let id = ";+sip.instance=\"<urn:uuid:1>\"";
    let one = register_with(
        &[],
        "c1",
        1,
        &format!("Contact: <sip:a@192.0.2.9:1>{id}\r\n"),
    )
    .unwrap();
    let two = register_with(
        &one.bindings,
        "c2",
        1,
        &format!("Contact: <sip:a@192.0.2.9:2>{id}\r\n"),
    )
    .unwrap();
    assert_eq!(contacts(&two), ["sip:a@192.0.2.9:2"]);
    assert_eq!(two.changes.len(), 2);
    // Two flows of one phone live side by side, and each replaces itself (RFC 5626).
    let first = register_with(
        &[],
        "c3",
        1,
        &format!("Contact: <sip:a@192.0.2.9:1>{id};reg-id=1\r\n"),
    )
    .unwrap();
    let both = register_with(
        &first.bindings,
        "c4",
        1,
        &format!("Contact: <sip:a@192.0.2.9:2>{id};reg-id=2\r\n"),
    )
    .unwrap();
    let moved = register_with(
        &both.bindings,
        "c3",
        2,
        &format!("Contact: <sip:a@192.0.2.9:3>{id};reg-id=1\r\n"),
    )
    .unwrap();
    assert_eq!(contacts(&moved), ["sip:a@192.0.2.9:3", "sip:a@192.0.2.9:2"]);
}

#[test]
fn the_oldest_make_room() {
    let mut bindings = Vec::new();
    for n in 0..40 {
        let update = register_with(
            &bindings,
            &format!("c{n}"),
            1,
            &format!("Contact: <sip:a@192.0.2.9:{}>\r\n", 1000 + n),
        )
        .unwrap();
        bindings = update.bindings;
        for (age, binding) in bindings.iter_mut().rev().enumerate() {
            binding.registered_at = NOW - age as u64;
        }
    }
    assert_eq!(bindings.len(), 32);
    assert_eq!(bindings[0].contact, "sip:a@192.0.2.9:1008");
}

#[test]
fn what_phones_are_told_can_be_read_back() {
    let one = register_with(
        &[],
        "c1",
        1,
        "Contact: <sip:a@192.0.2.9>;q=0.25;+sip.instance=\"<urn:uuid:1>\";reg-id=1;audio;x=\"1,2\"\r\n",
    )
    .unwrap();
    let value = contact_header(&one.bindings[0], NOW + 500);
    let read = NameAddr::parse(value.as_bytes()).unwrap();
    assert_eq!(read.expires(), Some(3600));
    assert_eq!(read.q(), Some(250));
    let mut again = Binding::new(&read);
    again.call_id.clone_from(&one.bindings[0].call_id);
    assert_eq!(again.params, one.bindings[0].params);
    assert_eq!(again.instance, one.bindings[0].instance);
}

#[test]
fn a_contact_named_twice_is_one_contact_and_thousands_are_refused() {
    let twice = "Contact: <sip:a@192.0.2.9>, <sip:a@192.0.2.9>;q=0.5\r\n";
    let one = register_with(&[], "c1", 1, twice).unwrap();
    assert_eq!(one.bindings.len(), 1);
    assert_eq!(one.bindings[0].q, 500);
    let many: String = (0..33)
        .map(|n| format!("Contact: <sip:a@192.0.2.9:{}>\r\n", 2000 + n))
        .collect();
    assert_eq!(
        register_with(&[], "c1", 1, &many).unwrap_err().code,
        StatusCode(403)
    );
}
