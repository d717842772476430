//! Contacts as vCards, version 3 (RFC 2426) and 4 (RFC 6350).

use super::contacts::Contact;

/// The longest text that is read, in octets.
const MAX_OCTETS: usize = 32 * 1024 * 1024;
/// Octets of a line when it is written (RFC 6350 §3.2).
const FOLD: usize = 75;

/// Which vCard is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VcardVersion {
    /// What older programs read.
    V3,
    /// What is current.
    V4,
}

/// Reads vCards; also says, for a person, what could not be read and where.
pub fn from_vcards(text: &str) -> (Vec<Contact>, Vec<String>) {
    let (mut contacts, mut problems) = (Vec::new(), Vec::new());
    if text.len() > MAX_OCTETS {
        problems.push(format!("more than {} MiB", MAX_OCTETS / 1024 / 1024));
        return (contacts, problems);
    }
    let mut open: Option<(usize, Card)> = None;
    for (number, line) in unfolded(text.trim_start_matches('\u{feff}')) {
        let Some(property) = Property::parse(&line) else {
            if !line.trim().is_empty() {
                problems.push(format!("line {number}: this is no line of a vCard"));
            }
            continue;
        };
        match (property.name.as_str(), &mut open) {
            ("BEGIN", None) if property.value.eq_ignore_ascii_case("VCARD") => {
                open = Some((number, Card::default()));
            }
            ("BEGIN", Some((begin, _))) if property.value.eq_ignore_ascii_case("VCARD") => {
                problems.push(format!("line {begin}: this vCard does not end"));
                open = Some((number, Card::default()));
            }
            ("END", Some(_)) if property.value.eq_ignore_ascii_case("VCARD") => {
                let Some((begin, card)) = open.take() else {
                    continue;
                };
                match card.contact() {
                    Ok(contact) => contacts.push(contact),
                    Err(why) => problems.push(format!("line {begin}: {why}")),
                }
            }
            (_, Some((_, card))) => card.take(&property),
            (_, None) => {}
        }
    }
    if let Some((begin, _)) = open {
        problems.push(format!("line {begin}: this vCard does not end"));
    }
    (contacts, problems)
}

/// Writes one vCard.
pub fn to_vcard(contact: &Contact, version: VcardVersion) -> String {
    let mut out = String::new();
    let mut line = |text: String| fold(&mut out, &text);
    line("BEGIN:VCARD".to_owned());
    line(match version {
        VcardVersion::V3 => "VERSION:3.0".to_owned(),
        VcardVersion::V4 => "VERSION:4.0".to_owned(),
    });
    if !contact.uid.is_empty() {
        line(format!("UID:{}", escaped(&contact.uid)));
    }
    line(format!("FN:{}", escaped(&contact.name)));
    if version == VcardVersion::V3 {
        // Version 3 wants the parts of the name, which nobody here knows.
        line(format!("N:{};;;;", escaped(&contact.name)));
    }
    for address in &contact.addresses {
        line(match (number_of(address), version) {
            (Some(number), VcardVersion::V3) => format!("TEL:{}", escaped(number)),
            (Some(number), VcardVersion::V4) if number.starts_with('+') => {
                format!("TEL;VALUE=uri:tel:{}", number.replace(' ', "-"))
            }
            (Some(number), VcardVersion::V4) => format!("TEL:{}", escaped(number)),
            (None, _) if has_scheme(address) => format!("IMPP:{}", plain(address)),
            (None, _) => format!("IMPP:sip:{}", plain(address)),
        });
    }
    if !contact.groups.is_empty() {
        let groups: Vec<String> = contact.groups.iter().map(|g| escaped(g)).collect();
        line(format!("CATEGORIES:{}", groups.join(",")));
    }
    if !contact.note.is_empty() {
        line(format!("NOTE:{}", escaped(&contact.note)));
    }
    if contact.favourite {
        line("X-SORI-FAVOURITE:1".to_owned());
    }
    line("END:VCARD".to_owned());
    out
}

/// What was read of a card so far.
#[derive(Default)]
struct Card {
    old: bool,
    /// The name as it is shown, and the one put together from its parts.
    shown: Option<String>,
    parts: Option<String>,
    organisation: Option<String>,
    /// SIP addresses come before numbers, and preferred ones before others.
    addresses: Vec<(u8, String)>,
    contact: Contact,
}

impl Card {
    fn take(&mut self, property: &Property) {
        let text = || property.text();
        match property.name.as_str() {
            "VERSION" => self.old = property.value.trim() == "2.1",
            "FN" => self.shown = self.shown.take().or_else(|| Some(text())),
            "N" => {
                let mut parts: Vec<String> =
                    split(&property.value, ';').map(|p| unescaped(&p)).collect();
                parts.truncate(3);
                // Family, given, further names: Koreans write them in this order and without blanks.
                let korean = parts
                    .iter()
                    .any(|p| p.chars().any(|c| ('가'..='힣').contains(&c)));
                if !korean && !parts.is_empty() {
                    // The family comes last: given, further names, family.
                    parts.rotate_left(1);
                }
                parts.retain(|part| !part.trim().is_empty());
                let name = parts.join(if korean { "" } else { " " });
                self.parts = Some(name.trim().to_owned());
            }
            "ORG" => self.organisation = split(&property.value, ';').next().map(|p| unescaped(&p)),
            "TEL" => self.address(2, property),
            "IMPP" | "X-SIP" | "X-EVOLUTION-SIP" => self.address(0, property),
            "CATEGORIES" => {
                let groups = split(&property.value, ',').map(|g| unescaped(&g).trim().to_owned());
                self.contact.groups.extend(groups.filter(|g| !g.is_empty()));
            }
            "NOTE" => self.contact.note = text(),
            "UID" => self.contact.uid = text().trim().to_owned(),
            "X-SORI-FAVOURITE" => self.contact.favourite = property.value.trim() == "1",
            _ => {}
        }
    }

    fn address(&mut self, rank: u8, property: &Property) {
        let text = property.text();
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let address = match lower.split_once(':') {
            // The parameter ext becomes part of what is dialled nowhere, so that it stays for people.
            Some(("tel", _)) => text
                .get(4..)
                .unwrap_or_default()
                .split(';')
                .next()
                .unwrap_or_default(),
            Some(("sip" | "sips", _)) => text,
            // xmpp: and its like cannot be called.
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => return,
            _ => text,
        };
        let is_plain = !address.chars().any(|c| c.is_control());
        if !address.is_empty() && is_plain {
            let rank = rank + u8::from(!property.is_preferred());
            self.addresses.push((rank, address.to_owned()));
        }
    }

    fn contact(mut self) -> Result<Contact, String> {
        if self.old {
            return Err("this vCard is of version 2.1; export it as version 3 or 4".to_owned());
        }
        let names = [self.shown, self.parts, self.organisation];
        let name = names
            .into_iter()
            .flatten()
            .map(|n| n.trim().to_owned())
            .find(|n| !n.is_empty());
        self.addresses.sort_by_key(|(rank, _)| *rank);
        let mut addresses: Vec<String> = Vec::new();
        for (_, address) in self.addresses {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        self.contact.name = match (name, addresses.first()) {
            (Some(name), _) => name,
            (None, Some(address)) => address.clone(),
            (None, None) => return Err("this vCard has neither a name nor a number".to_owned()),
        };
        self.contact.addresses = addresses;
        Ok(self.contact)
    }
}

/// `group.NAME;PARAMETER=VALUE:value`
struct Property {
    name: String,
    params: String,
    value: String,
}

impl Property {
    fn parse(line: &str) -> Option<Property> {
        let mut quoted = false;
        let colon = line.char_indices().find_map(|(at, c)| {
            quoted ^= c == '"';
            (c == ':' && !quoted).then_some(at)
        })?;
        let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let (name, params) = head.split_once(';').unwrap_or((head, ""));
        let name = name.rsplit('.').next().unwrap_or_default().trim();
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        good.then(|| Property {
            name: name.to_ascii_uppercase(),
            params: params.to_ascii_lowercase(),
            value: value.to_owned(),
        })
    }

    fn text(&self) -> String {
        unescaped(&self.value)
    }

    fn is_preferred(&self) -> bool {
        self.params
            .split([';', ',', '='])
            .any(|part| part == "pref")
    }
}

/// Lines put together again, each with the number of its first part.
fn unfolded(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some((_, before))) => before.push_str(rest),
            _ => lines.push((index + 1, line.to_owned())),
        }
    }
    lines
}

/// Writes a line of any length; parts of a character stay together.
fn fold(out: &mut String, line: &str) {
    let mut length = 0;
    for c in line.chars() {
        if length + c.len_utf8() > FOLD {
            out.push_str("\r\n ");
            length = 1;
        }
        out.push(c);
        length += c.len_utf8();
    }
    out.push_str("\r\n");
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ',' | ';' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// A URI stands there as it is; what may not stand in one is left out or escaped as in URIs.
fn plain(uri: &str) -> String {
    uri.chars()
        .filter(|c| !c.is_control())
        .collect::<String>()
        .replace('\\', "%5C")
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// The parts between separators that are not escaped; escapes stay.
fn split(text: &str, separator: char) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.into_iter()
}

/// The number, when the address is one.
fn number_of(address: &str) -> Option<&str> {
    let bare = match address.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => address.get(4..)?,
        _ => address,
    };
    crate::link::number(bare).map(|_| bare)
}

fn has_scheme(address: &str) -> bool {
    let scheme = address
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|s| s == "sip" || s == "sips")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Contact {
        let (contacts, problems) = from_vcards(text);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(contacts.len(), 1);
        contacts.into_iter().next().unwrap()
    }

    #[test]
    fn a_card_of_version_3_as_telephones_write_it() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:김;철수;;;\r\nFN:김철수\r\nTEL;TYPE=CELL:+82-10-1234-5678\r\n\
             item1.TEL;type=WORK;type=pref:02-123-4567\r\nitem1.X-ABLabel:x\r\nIMPP;X-SERVICE-TYPE=SIP:sip:cs@example.org\r\n\
             IMPP:xmpp:cs@example.org\r\nCATEGORIES:일,a\\,b\r\nNOTE:first\\nsecond\\; \\\\\r\n\
             PHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n  BBBB\r\nUID:u-1\r\nEND:VCARD\r\n";
        let contact = one(text);
        assert_eq!(contact.name, "김철수");
        assert_eq!(
            contact.addresses,
            ["sip:cs@example.org", "02-123-4567", "+82-10-1234-5678"]
        );
        assert_eq!(contact.groups, ["일", "a,b"]);
        assert_eq!(contact.note, "first\nsecond; \\");
        assert_eq!(contact.uid, "u-1");
    }

    #[test]
    fn a_card_of_version_4_and_names_in_parts() {
        let contact = one(
            "begin:vcard\nVERSION:4.0\nN:Adams;Alice;Q.;;\nTEL;VALUE=uri;PREF=1:tel:+1-201-555-0123;ext=102\nend:vcard\n",
        );
        assert_eq!(contact.name, "Alice Q. Adams");
        assert_eq!(contact.addresses, ["+1-201-555-0123"]);
        let contact = one("BEGIN:VCARD\nVERSION:4.0\nN:김;철수;;;\nEND:VCARD");
        assert_eq!(contact.name, "김철수");
        let contact = one("BEGIN:VCARD\nVERSION:4.0\nORG:Bank;Branch\nTEL:1\nEND:VCARD");
        assert_eq!(contact.name, "Bank");
        let contact = one("BEGIN:VCARD\nVERSION:4.0\nTEL:1\nEND:VCARD");
        assert_eq!(contact.name, "1");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let contact = Contact {
            id: None,
            uid: "urn:uuid:1".to_owned(),
            name: "아주 긴 이름; 그리고, 더 긴 이름을 가진 사람 \\ 이름이 아직도 끝나지 않았습니다"
                .to_owned(),
            addresses: vec![
                "sip:a@h;transport=tcp".to_owned(),
                "bob@h".to_owned(),
                "+82-2-1".to_owned(),
                "4711".to_owned(),
            ],
            groups: vec!["x,y".to_owned(), "z".to_owned()],
            favourite: true,
            note: "line\nline".to_owned(),
        };
        for version in [VcardVersion::V3, VcardVersion::V4] {
            let text = to_vcard(&contact, version);
            assert!(text.split("\r\n").all(|line| line.len() <= FOLD), "{text}");
            let mut wanted = contact.clone();
            wanted.addresses[1] = "sip:bob@h".to_owned();
            assert_eq!(one(&text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let (contacts, problems) = from_vcards(
            "hello\nBEGIN:VCARD\nVERSION:2.1\nN:A;B\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD\nBEGIN:VCARD\nFN:x\nBEGIN:VCARD\nFN:y",
        );
        assert_eq!(contacts, []);
        assert_eq!(
            problems,
            [
                "line 1: this is no line of a vCard",
                "line 2: this vCard is of version 2.1; export it as version 3 or 4",
                "line 6: this vCard has neither a name nor a number",
                "line 8: this vCard does not end",
                "line 10: this vCard does not end",
            ]
        );
        assert_eq!(from_vcards("").0, []);
    }
}
