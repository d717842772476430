//! What strangers write – documents, links, vCards, tables – broken in a hundred thousand ways: nothing panics, and what
//! is taken keeps its promises. The same numbers come each time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use phone::book::{VcardVersion, address_key, from_csv, from_vcards, to_csv, to_vcard};
use phone::{link, provision::Document};

/// Numbers that look random (xorshift, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }

    /// A seed with a few octets changed, cut out, doubled or put elsewhere.
    fn broken(&mut self, seed: &[u8], spice: &[&[u8]]) -> Vec<u8> {
        let mut octets = seed.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(octets.len() + 1);
            let end = (at + 1 + self.below(12)).min(octets.len());
            match self.below(5) {
                0 => drop(octets.drain(at.min(end)..end)),
                1 => {
                    let part = octets[at.min(end)..end].to_vec();
                    let to = self.below(octets.len() + 1);
                    drop(octets.splice(to..to, part));
                }
                2 if at < octets.len() => octets[at] = u8::try_from(self.below(256)).unwrap(),
                3 => octets.truncate(at),
                _ => {
                    let extra = spice[self.below(spice.len())].to_vec();
                    drop(octets.splice(at..at, extra));
                }
            }
        }
        octets
    }
}

/// The example of the manual.
fn document() -> Vec<u8> {
    let manual = include_str!("../../../docs/provisioning.md");
    let (_, rest) = manual.split_once("```xml\n").unwrap();
    rest.split_once("```").unwrap().0.as_bytes().to_vec()
}

#[test]
fn documents() {
    let seed = document();
    let spice: [&[u8]; 9] = [
        b"<",
        b">",
        b"/>",
        b"&",
        b"<account>",
        b"<![CDATA[",
        b"<!--",
        b"'",
        "가".as_bytes(),
    ];
    let mut dice = Dice(0x5eed_0001);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        match Document::parse(&dice.broken(&seed, &spice)) {
            Ok(document) => {
                good += 1;
                for account in &document.profile.accounts {
                    let settings = document.profile.settings(account);
                    assert!(!settings.codecs.is_empty());
                    let target = document.profile.target(account);
                    assert_eq!(target.is_some(), document.profile.gateway.is_some());
                }
            }
            Err(problems) => {
                bad += 1;
                assert!(!problems.is_empty());
                let lines = u32::try_from(seed.len()).unwrap();
                assert!(
                    problems
                        .iter()
                        .all(|p| (1..=lines).contains(&p.line) && p.column > 0)
                );
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn links() {
    let seeds: [&[u8]; 5] = [
        b"sip:bob@example.org;transport=tcp?subject=x%20y&priority=urgent",
        b"sips:%EB%B0%A5@[2001:db8::1]:5061;method=INVITE",
        b"tel:+82-2-1234-5678;ext=12;phone-context=example.com",
        b"tel:*97%23",
        b"sip:bob%40example.org",
    ];
    let spice: [&[u8]; 12] = [
        b"%0d%0a",
        b"@",
        b":",
        b";",
        b"?",
        b"&",
        b"=",
        b"%",
        b"Route=x",
        b";maddr=h",
        "밥".as_bytes(),
        b"<",
    ];
    let mut dice = Dice(0x5eed_0002);
    let mut good = 0;
    for turn in 0..60_000 {
        let octets = dice.broken(seeds[turn % seeds.len()], &spice);
        let Ok(text) = String::from_utf8(octets) else {
            continue;
        };
        let Ok(link) = link::parse(&text) else {
            continue;
        };
        good += 1;
        let uri = link
            .uri("example.org")
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(
            uri.starts_with("sip:") || uri.starts_with("sips:"),
            "{text}: {uri}"
        );
        let bad =
            |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '?');
        assert!(!uri.contains(bad), "{text}: {uri}");
        let lower = uri.to_ascii_lowercase();
        assert!(
            !lower.contains("%0d") && !lower.contains("%0a"),
            "{text}: {uri}"
        );
        let (_, host) = lower.rsplit_once('@').unwrap_or(("", &lower));
        let names = host.split(';').skip(1).map(|part| part.split('=').next());
        let mut astray = names
            .flatten()
            .filter(|name| ["maddr", "lr", "method", "ttl"].contains(name));
        assert_eq!(astray.next(), None, "{text}: {uri}");
        // Who is called is who the link shows.
        if !link.is_number() {
            let shown = link.to_string().to_ascii_lowercase();
            let (_, shown) = shown.rsplit_once('@').unwrap_or(("", &shown));
            let host = host.split(';').next().unwrap();
            let host = host
                .strip_prefix("sips:")
                .or(host.strip_prefix("sip:"))
                .unwrap_or(host);
            assert_eq!(host, shown, "{text}: {uri}");
        }
        assert!(!link.to_string().chars().any(char::is_control), "{text}");
    }
    assert!(good > 1000, "{good}");
}

#[test]
fn address_books() {
    let card = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:김;철수;;;\r\nFN:김철수\r\nitem1.TEL;TYPE=\"a:b\",pref:+82-10-1234-5678\r\n\
                IMPP:sip:cs@example.org\r\nCATEGORIES:일,a\\,b\r\nNOTE:first\\nse\r\n cond\\; \\\\\r\nUID:u-1\r\nEND:VCARD\r\n";
    let table = "name,address,address,groups,favourite,note\r\n\"김 \"\"철\"\", 수\",sip:a@h,+82-2-1,\"x;y\",yes,\"a\r\nb\"\r\n";
    let spice: [&[u8]; 10] = [
        b"\r\n",
        b":",
        b";",
        b",",
        b"\\",
        b"\"",
        b"\n ",
        b"BEGIN:VCARD\n",
        b"\t",
        "가".as_bytes(),
    ];
    let mut dice = Dice(0x5eed_0003);
    let mut good = 0;
    for _ in 0..20_000 {
        let octets = dice.broken(card.as_bytes(), &spice);
        let (contacts, _) = from_vcards(&String::from_utf8_lossy(&octets));
        for contact in &contacts {
            good += 1;
            assert!(!contact.name.is_empty());
            for version in [VcardVersion::V3, VcardVersion::V4] {
                let text = to_vcard(contact, version);
                let (again, problems) = from_vcards(&text);
                assert!(
                    problems.is_empty() && again.len() == 1,
                    "{text}: {problems:?}"
                );
                let keys = |c: &phone::book::Contact| -> Vec<String> {
                    c.addresses.iter().map(|a| address_key(a)).collect()
                };
                assert_eq!(keys(&again[0]).len(), keys(contact).len(), "{text}");
            }
        }
        let octets = dice.broken(table.as_bytes(), &spice);
        if let Ok(contacts) = from_csv(&String::from_utf8_lossy(&octets)) {
            let again = from_csv(&to_csv(&contacts)).unwrap();
            assert_eq!(again.len(), contacts.len());
        }
    }
    assert!(good > 1000, "{good}");
}
