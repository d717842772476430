//! The headers of an owned message.

use core::fmt;

use crate::header::cursor::{TOKEN, all, is_ws, trim};
use crate::header::{
    CSeq, CallId, ContactList, ContentType, Expires, HeaderName, MaxForwards, NameAddr, ParseError,
    Tokens, Via,
};

/// Headers in their order, one value or one line's worth of values each.
///
/// A name or value that would break out of its line cannot get in. Content-Length is not kept here:
/// printing a message states the length that its body has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    lines: Vec<(Name, Vec<u8>)>,
}

/// The name of an owned header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// One that we know.
    Known(HeaderName),
    /// Another one, in the case in which it was given.
    Other(Box<str>),
}

impl Name {
    /// How it is printed.
    pub fn as_str(&self) -> &str {
        match self {
            Name::Known(name) => name.as_str(),
            Name::Other(text) => text,
        }
    }
}

/// Why a header was not taken into an owned message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The name is no token.
    Name,
    /// The value holds a line end or a NUL octet.
    Value(HeaderName),
    /// The start line would hold a blank, a line end or a NUL octet where none may be.
    StartLine,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Name => f.write_str("a header name may hold letters, digits and - only"),
            HeaderError::Value(HeaderName::Other) => {
                f.write_str("the value of a header holds a line end or a NUL octet")
            }
            HeaderError::Value(name) => {
                write!(f, "the value of {name} holds a line end or a NUL octet")
            }
            HeaderError::StartLine => f.write_str(
                "method, URI or reason phrase holds an octet that breaks the start line",
            ),
        }
    }
}

impl std::error::Error for HeaderError {}

impl Headers {
    /// No headers.
    pub const fn new() -> Headers {
        Headers { lines: Vec::new() }
    }

    /// Adds a line at the end. Blanks around the value are taken off; a value with a line end or a
    /// NUL octet is an error. A Content-Length is silently left out.
    pub fn push(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) -> Result<(), HeaderError> {
        if name == HeaderName::Other {
            return Err(HeaderError::Name);
        }
        let value = clean(name, value.into())?;
        if name != HeaderName::ContentLength {
            self.lines.push((Name::Known(name), value));
        }
        Ok(())
    }

    /// Adds a line whose name may be one that we do not know.
    pub fn push_named(&mut self, name: &str, value: impl Into<Vec<u8>>) -> Result<(), HeaderError> {
        match HeaderName::from_bytes(name.as_bytes()) {
            HeaderName::Other if all(name.as_bytes(), TOKEN) => {
                let value = clean(HeaderName::Other, value.into())?;
                self.lines.push((Name::Other(name.into()), value));
                Ok(())
            }
            HeaderName::Other => Err(HeaderError::Name),
            known => self.push(known, value),
        }
    }

    /// Adds a value that came from the network: its folds become one blank each (RFC 3261 §7.3.1).
    pub fn push_received(&mut self, name: HeaderName, value: &[u8]) -> Result<(), HeaderError> {
        self.push(name, unfold(value))
    }

    /// Puts a line in the place of the first of that name, or at the end, and removes the others.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Vec<u8>>) -> Result<(), HeaderError> {
        let at = self.lines.iter().position(|(n, _)| *n == Name::Known(name));
        let before = self.lines.len();
        self.push(name, value)?;
        let Some(at) = at.filter(|_| self.lines.len() > before) else {
            return Ok(());
        };
        if let Some(line) = self.lines.pop() {
            self.remove(name);
            self.lines.insert(at, line);
        }
        Ok(())
    }

    /// Removes all lines of that name; true when there were any.
    pub fn remove(&mut self, name: HeaderName) -> bool {
        let before = self.lines.len();
        self.lines.retain(|(n, _)| *n != Name::Known(name));
        self.lines.len() != before
    }

    /// The value of the first line of that name.
    pub fn first(&self, name: HeaderName) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all lines of that name, top down.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |(n, _)| *n == Name::Known(name))
            .map(|(_, value)| value.as_slice())
    }

    /// The value of the first line with that name in any case, known or not.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        match HeaderName::from_bytes(name.as_bytes()) {
            HeaderName::Other => self
                .lines
                .iter()
                .find(|(n, _)| n.as_str().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_slice()),
            known => self.first(known),
        }
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &[u8])> {
        self.lines.iter().map(|(n, value)| (n, value.as_slice()))
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The top Via.
    pub fn via(&self) -> Option<Result<Via<'_>, ParseError>> {
        self.first(HeaderName::Via).map(Via::parse)
    }

    /// From.
    pub fn from(&self) -> Option<Result<NameAddr<'_>, ParseError>> {
        self.first(HeaderName::From).map(NameAddr::parse)
    }

    /// To.
    pub fn to(&self) -> Option<Result<NameAddr<'_>, ParseError>> {
        self.first(HeaderName::To).map(NameAddr::parse)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<Result<CallId<'_>, ParseError>> {
        self.first(HeaderName::CallId).map(CallId::parse)
    }

    /// CSeq.
    pub fn cseq(&self) -> Option<Result<CSeq<'_>, ParseError>> {
        self.first(HeaderName::CSeq).map(CSeq::parse)
    }

    /// Max-Forwards.
    pub fn max_forwards(&self) -> Option<Result<MaxForwards, ParseError>> {
        self.first(HeaderName::MaxForwards).map(MaxForwards::parse)
    }

    /// Content-Type.
    pub fn content_type(&self) -> Option<Result<ContentType<'_>, ParseError>> {
        self.first(HeaderName::ContentType).map(ContentType::parse)
    }

    /// Expires.
    pub fn expires(&self) -> Option<Expires> {
        self.first(HeaderName::Expires).map(Expires::parse)
    }

    /// Every address of every Contact line; none for `*`.
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.all(HeaderName::Contact)
            .flat_map(|line| ContactList::parse(line).addresses())
    }

    /// Every address of every line of Route, Record-Route, Path or Service-Route.
    pub fn routes(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'_>, ParseError>> {
        self.all(name).flat_map(NameAddr::parse_list)
    }

    /// Every token of every line of Allow, Supported, Require and their like.
    pub fn tokens(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.all(name).flat_map(Tokens::parse)
    }

    pub(super) fn write_into(&self, body: &[u8], out: &mut Vec<u8>) {
        for (name, value) in &self.lines {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
    }
}

/// The value with every fold made one blank.
fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = trim(value);
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        let (line, fold) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(line.trim_ascii_end());
        out.push(b' ');
        rest = fold.trim_ascii_start();
    }
    out.extend_from_slice(rest);
    out
}

fn clean(name: HeaderName, mut value: Vec<u8>) -> Result<Vec<u8>, HeaderError> {
    if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return Err(HeaderError::Value(name));
    }
    if value.first().is_some_and(|b| is_ws(*b)) || value.last().is_some_and(|b| is_ws(*b)) {
        value = trim(&value).to_vec();
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_line() {
        let mut headers = Headers::new();
        for bad in ["a\r\nVia: x", "a\nb", "a\rb", "a\0b", "a\r\n b"] {
            let error = headers.push(HeaderName::Subject, bad).unwrap_err();
            assert_eq!(error, HeaderError::Value(HeaderName::Subject));
            assert!(headers.push_named("X-Y", bad).is_err());
        }
        for bad in ["", "X Y", "X:Y", "X\r\nY", "é"] {
            assert_eq!(headers.push_named(bad, "x"), Err(HeaderError::Name));
        }
        assert_eq!(headers.push(HeaderName::Other, "x"), Err(HeaderError::Name));
        assert!(headers.is_empty());
    }

    #[test]
    fn order_is_kept_and_set_replaces() {
        let mut headers = Headers::new();
        headers
            .push(HeaderName::Route, "<sip:a;lr>, <sip:b>")
            .unwrap();
        headers.push_named("X-One", " 1 ").unwrap();
        headers.push_named("route", "<sip:c>").unwrap();
        assert_eq!(headers.routes(HeaderName::Route).count(), 3);
        assert_eq!(headers.named("x-ONE"), Some(&b"1"[..]));
        headers.set(HeaderName::Route, "<sip:d>").unwrap();
        headers.set(HeaderName::Subject, "new").unwrap();
        let lines: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v)).collect();
        assert_eq!(
            lines,
            [
                ("Route", &b"<sip:d>"[..]),
                ("X-One", b"1"),
                ("Subject", b"new")
            ]
        );
        assert!(headers.set(HeaderName::Route, "a\n").is_err());
        assert_eq!(headers.first(HeaderName::Route), Some(&b"<sip:d>"[..]));
        assert!(headers.remove(HeaderName::Route) && !headers.remove(HeaderName::Route));
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn received_folds_become_one_blank() {
        let mut headers = Headers::new();
        headers
            .push_received(HeaderName::Subject, b" a \r\n\t b\r\n c ")
            .unwrap();
        assert_eq!(headers.first(HeaderName::Subject), Some(&b"a b c"[..]));
        assert!(headers.push_received(HeaderName::Subject, b"a\0").is_err());
    }
}
