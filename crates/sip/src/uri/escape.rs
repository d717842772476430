//! `%HH` in URIs (RFC 3261 §19.1.2, §25.1).

use std::borrow::Cow;

/// The text with `%HH` undone. A percent sign without two hexadecimal digits stays as it is.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Octets(text).map(|(octet, _)| octet).collect())
}

/// The text escaped so that it may stand as the user of a SIP URI.
pub fn escape_user(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(|b| is_user(*b)) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    for b in text {
        if is_user(*b) {
            out.push(*b);
        } else {
            push_escaped(*b, &mut out);
        }
    }
    Cow::Owned(out)
}

/// The text escaped so that it may stand as the value of a header inside a SIP URI (`hvalue`).
pub fn escape_header(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len() + 16);
    for b in text {
        if is_unreserved(*b) {
            out.push(*b);
        } else {
            push_escaped(*b, &mut out);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether two escaped texts mean the same: an escape equals its octet, but for the reserved ones
/// (RFC 3261 §19.1.4).
pub(super) fn same(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    if !a.contains(&b'%') && !b.contains(&b'%') {
        return if ignore_case {
            a.eq_ignore_ascii_case(b)
        } else {
            a == b
        };
    }
    let fold = |(octet, escaped): (u8, bool)| {
        let octet = if ignore_case {
            octet.to_ascii_lowercase()
        } else {
            octet
        };
        (octet, escaped && is_reserved(octet))
    };
    Octets(a).map(fold).eq(Octets(b).map(fold))
}

/// Writes an escaped user with only those escapes that are needed, their digits in upper case.
pub(super) fn normalise(user: &[u8], out: &mut Vec<u8>) {
    for (octet, escaped) in Octets(user) {
        if is_unreserved(octet) || (!escaped && is_user(octet)) {
            out.push(octet);
        } else {
            push_escaped(octet, out);
        }
    }
}

/// The octets that a text stands for, and whether each was escaped.
struct Octets<'a>(&'a [u8]);

impl Iterator for Octets<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.0 = rest;
            return Some((high << 4 | low, true));
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some((*first, false))
    }
}

fn push_escaped(octet: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'%');
    out.push(DIGITS[usize::from(octet >> 4)]);
    out.push(DIGITS[usize::from(octet & 15)]);
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const fn is_reserved(b: u8) -> bool {
    matches!(
        b,
        b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b','
    )
}

const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        )
}

const fn is_user(b: u8) -> bool {
    is_unreserved(b) || matches!(b, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}
