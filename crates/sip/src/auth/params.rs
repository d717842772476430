//! The parameter lists of the authentication headers (RFC 3261 §25.1, RFC 9110 §11.6).

use std::borrow::Cow;
use std::fmt;

/// More parameters than any real header has; the rest of such a header is not read.
const MAX_ITEMS: usize = 64;

/// The value of a parameter without its quotes, still with the escapes that it had inside them.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// A value that has no escapes: each character means itself.
    pub const fn plain(raw: &'a str) -> Text<'a> {
        Text {
            raw,
            escaped: false,
        }
    }

    pub(super) const fn with_escapes(raw: &'a str, escaped: bool) -> Text<'a> {
        Text { raw, escaped }
    }

    /// The characters as they stood on the wire.
    pub const fn raw(&self) -> &'a str {
        self.raw
    }

    /// The value with quoted pairs undone; borrowed when there are none.
    pub fn unescaped(&self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(self.pieces().collect())
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    pub(super) const fn has_escapes(&self) -> bool {
        self.escaped
    }

    /// The value in pieces that together are the unescaped text, without an allocation.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &'a str> {
        let escaped = self.escaped;
        let mut rest = self.raw;
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if !escaped {
                return Some(core::mem::take(&mut rest));
            }
            let body = rest.strip_prefix('\\').unwrap_or(rest);
            // The character after a backslash is literal, even when it is a backslash.
            let literal = if body.len() < rest.len() {
                body.chars().next().map_or(0, char::len_utf8)
            } else {
                0
            };
            let end = body
                .get(literal..)
                .and_then(|tail| tail.find('\\'))
                .map_or(body.len(), |at| at + literal);
            let (piece, tail) = body.split_at_checked(end)?;
            rest = tail;
            Some(piece)
        })
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        let mut rest = other;
        for piece in self.pieces() {
            match rest.strip_prefix(piece) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
        rest.is_empty()
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Text<'_>) -> bool {
        let bytes = |t: &Text<'_>| t.raw.len();
        if !self.escaped && !other.escaped {
            return bytes(self) == bytes(other) && self.raw == other.raw;
        }
        self.pieces()
            .flat_map(str::bytes)
            .eq(other.pieces().flat_map(str::bytes))
    }
}

impl Eq for Text<'_> {}

/// What is wrong with an authentication header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// The header breaks the grammar: an open quote, a parameter without a scheme, not UTF-8, too many parameters.
    Malformed,
    /// The scheme is not Digest.
    Scheme,
    /// The named parameter is missing.
    Missing(&'static str),
    /// The named parameter stands there twice.
    Duplicate(&'static str),
    /// The named parameter has a value that cannot be read.
    Value(&'static str),
    /// The algorithm is not known here.
    Algorithm,
    /// None of the qualities of protection is known here.
    Qop,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuthError::Malformed => f.write_str("malformed authentication header"),
            AuthError::Scheme => f.write_str("authentication scheme other than Digest"),
            AuthError::Missing(name) => write!(f, "parameter {name} is missing"),
            AuthError::Duplicate(name) => write!(f, "parameter {name} occurs twice"),
            AuthError::Value(name) => write!(f, "parameter {name} has an unreadable value"),
            AuthError::Algorithm => f.write_str("unsupported digest algorithm"),
            AuthError::Qop => f.write_str("unsupported quality of protection"),
        }
    }
}

impl core::error::Error for AuthError {}

/// The parameters that have a meaning here; others are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Realm,
    Nonce,
    Opaque,
    Algorithm,
    Qop,
    Stale,
    Userhash,
    Username,
    Uri,
    Response,
    Cnonce,
    Nc,
    Nextnonce,
    Rspauth,
}

const NAMES: [(Name, &str); 14] = [
    (Name::Realm, "realm"),
    (Name::Nonce, "nonce"),
    (Name::Opaque, "opaque"),
    (Name::Algorithm, "algorithm"),
    (Name::Qop, "qop"),
    (Name::Stale, "stale"),
    (Name::Userhash, "userhash"),
    (Name::Username, "username"),
    (Name::Uri, "uri"),
    (Name::Response, "response"),
    (Name::Cnonce, "cnonce"),
    (Name::Nc, "nc"),
    (Name::Nextnonce, "nextnonce"),
    (Name::Rspauth, "rspauth"),
];

impl Name {
    const fn token(self) -> &'static str {
        NAMES[self as usize].1
    }
}

/// The known parameters of one challenge, of credentials or of Authentication-Info.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields<'a> {
    values: [Option<Text<'a>>; NAMES.len()],
}

impl<'a> Fields<'a> {
    pub(super) fn optional(&self, name: Name) -> Option<Text<'a>> {
        self.values.get(name as usize).copied().flatten()
    }

    pub(super) fn required(&self, name: Name) -> Result<Text<'a>, AuthError> {
        self.optional(name).ok_or(AuthError::Missing(name.token()))
    }

    fn put(&mut self, name: &str, value: Text<'a>) -> Result<(), AuthError> {
        let known = NAMES.iter().find(|(_, n)| name.eq_ignore_ascii_case(n));
        if let Some(&(known, token)) = known
            && let Some(slot) = self.values.get_mut(known as usize)
            && slot.replace(value).is_some()
        {
            return Err(AuthError::Duplicate(token));
        }
        Ok(())
    }

    /// Reads a list without a scheme, as Authentication-Info has it.
    pub(super) fn parse_bare(value: &'a [u8]) -> Result<Fields<'a>, AuthError> {
        let mut fields = Fields::default();
        for item in Scan::new(value)? {
            match item? {
                Item::Param(name, value) => fields.put(name, value)?,
                Item::Scheme(_) => return Err(AuthError::Malformed),
            }
        }
        Ok(fields)
    }
}

/// Splits a header value into its schemes, each with its own parameters, as an HTTP list may have several.
#[derive(Clone, Debug)]
pub(super) struct Groups<'a> {
    scan: Scan<'a>,
    scheme: Option<&'a str>,
    done: bool,
}

impl<'a> Groups<'a> {
    pub(super) fn new(value: &'a [u8]) -> Groups<'a> {
        match Scan::new(value) {
            Ok(mut scan) => {
                let scheme = match scan.next() {
                    Some(Ok(Item::Scheme(scheme))) => Some(scheme),
                    _ => None,
                };
                Groups {
                    scan,
                    scheme,
                    done: false,
                }
            }
            Err(_) => Groups {
                scan: Scan::empty(),
                scheme: None,
                done: false,
            },
        }
    }

    fn collect(&mut self, digest: bool) -> Result<Fields<'a>, AuthError> {
        let mut fields = Fields::default();
        let mut fault = None;
        for item in self.scan.by_ref() {
            match item {
                Ok(Item::Scheme(next)) => {
                    self.scheme = Some(next);
                    break;
                }
                Ok(Item::Param(name, value)) if digest => {
                    // The rest is still read, so that the next scheme of a list is found.
                    if let Err(error) = fields.put(name, value) {
                        fault.get_or_insert(error);
                    }
                }
                Ok(Item::Param(..)) => {}
                Err(error) => {
                    self.done = true;
                    return Err(error);
                }
            }
        }
        match fault {
            Some(error) => Err(error),
            None if digest => Ok(fields),
            None => Err(AuthError::Scheme),
        }
    }
}

impl<'a> Iterator for Groups<'a> {
    type Item = Result<Fields<'a>, AuthError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        match self.scheme.take() {
            Some(scheme) => Some(self.collect(scheme.eq_ignore_ascii_case("Digest"))),
            None => {
                self.done = true;
                // Only the very first group can come without a scheme: after it the scan is at its end.
                (self.scan.count <= 1).then_some(Err(AuthError::Malformed))
            }
        }
    }
}

enum Item<'a> {
    Scheme(&'a str),
    Param(&'a str, Text<'a>),
}

#[derive(Clone, Debug)]
struct Scan<'a> {
    text: &'a str,
    at: usize,
    count: usize,
}

impl<'a> Scan<'a> {
    fn new(value: &'a [u8]) -> Result<Scan<'a>, AuthError> {
        let text = core::str::from_utf8(value).map_err(|_| AuthError::Malformed)?;
        Ok(Scan {
            text,
            at: 0,
            count: 0,
        })
    }

    const fn empty() -> Scan<'a> {
        Scan {
            text: "",
            at: 0,
            count: 0,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves over octets that satisfy the predicate; the text that was passed.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    fn item(&mut self) -> Result<Item<'a>, AuthError> {
        let word = self.take_while(|b| !is_blank(b) && !matches!(b, b',' | b'=' | b'"'));
        if word.is_empty() {
            return Err(AuthError::Malformed);
        }
        self.skip_blanks();
        if self.peek() != Some(b'=') {
            return if self.peek() == Some(b'"') {
                Err(AuthError::Malformed)
            } else {
                Ok(Item::Scheme(word))
            };
        }
        self.at += 1;
        self.skip_blanks();
        let value = if self.peek() == Some(b'"') {
            self.quoted()?
        } else {
            Text::plain(self.take_while(|b| !is_blank(b) && !matches!(b, b',' | b'"')))
        };
        self.skip_blanks();
        match self.peek() {
            None | Some(b',') => Ok(Item::Param(word, value)),
            Some(_) => Err(AuthError::Malformed),
        }
    }

    fn quoted(&mut self) -> Result<Text<'a>, AuthError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
                None => return Err(AuthError::Malformed),
            }
        }
        let raw = self.text.get(start..self.at).ok_or(AuthError::Malformed)?;
        self.at += 1;
        Ok(Text { raw, escaped })
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Result<Item<'a>, AuthError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take_while(|b| is_blank(b) || b == b',');
        self.peek()?;
        self.count += 1;
        let item = if self.count > MAX_ITEMS {
            Err(AuthError::Malformed)
        } else {
            self.item()
        };
        if item.is_err() {
            self.at = self.text.len();
        }
        Some(item)
    }
}

/// Blanks, and the line ends of a folded header.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Appends a quoted string; control characters, which could start another header, are left out.
pub(super) fn push_quoted(out: &mut String, value: &str) {
    out.push('"');
    for c in value.chars().filter(|c| !c.is_ascii_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// Appends a quoted string as it was received, with the escapes that it had.
pub(super) fn push_echo(out: &mut String, value: Text<'_>) {
    // Without its control character a backslash would escape the quote that ends the string.
    if value.has_escapes() && !value.raw().contains(|c: char| c.is_ascii_control()) {
        out.push('"');
        out.push_str(value.raw());
        out.push('"');
    } else {
        push_quoted(out, &value.unescaped());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> Text<'_> {
        Text { raw, escaped: true }
    }

    #[test]
    fn escapes_are_undone_in_pieces() {
        for (raw, plain) in [
            ("", ""),
            ("a", "a"),
            (r#"a\"b\\c"#, r#"a"b\c"#),
            (r"\\\\", r"\\"),
            (r"\жб\ж", "жбж"),
            (r"end\", "end"),
        ] {
            assert_eq!(text(raw).unescaped(), plain);
            assert!(text(raw) == *plain);
            assert!(text(raw) == Text::plain(plain));
            assert!(text(raw) != *"other");
        }
        assert!(Text::plain(r"a\b") != text(r"a\b"));
    }

    #[test]
    fn lists_of_schemes_are_split() {
        let count = |s: &str| Groups::new(s.as_bytes()).filter(Result::is_ok).count();
        assert_eq!(count(r#"Digest realm="a, Digest b", nonce=x"#), 1);
        assert_eq!(
            count("Digest a=b, Digest c = d , Basic YWJj=, Digest e=f"),
            3
        );
        assert_eq!(count("Basic YWJj, Digest e=f"), 1);
        assert_eq!(count("realm=x"), 0);
        assert_eq!(count("Digest realm=\"open"), 0);
        assert_eq!(count("Digest realm=\"a\"junk"), 0);
        assert_eq!(count("Digest a=\"\\"), 0);
    }

    #[test]
    fn a_header_without_scheme_or_with_too_many_parameters_is_malformed() {
        for bad in ["", "  ", "a=b", "=", "\"x\"", "Digest =x"] {
            let all: Vec<_> = Groups::new(bad.as_bytes()).take(9).collect();
            assert!(
                matches!(all.as_slice(), [Err(AuthError::Malformed)]),
                "{bad:?} {all:?}"
            );
        }
        let long = format!("Digest {}", "x=y,".repeat(MAX_ITEMS + 1));
        assert!(Groups::new(long.as_bytes()).all(|g| g.is_err()));
    }
}
