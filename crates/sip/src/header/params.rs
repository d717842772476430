//! Parameters after a header's value (RFC 3261 §7.3.1, `generic-param` in §25.1).

use std::borrow::Cow;

use super::ParseError;
use super::cursor::{Cursor, TOKEN, VALUE, is_ws};

/// The parameters `;name=value` of one header value, in their order, read as they are asked for.
///
/// White space and folds may stand around `;` and `=`. Each call of `next` gives one parameter;
/// the value is `Copy`, so a walk over a copy leaves the original at the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    raw: &'a [u8],
}

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// The name, in the case in which it stands there.
    pub name: &'a [u8],
    /// The value with its quotes, if it has any; `None` when there is no `=`.
    pub value: Option<&'a [u8]>,
    /// Name and value together, without the semicolon.
    pub raw: &'a [u8],
}

impl<'a> Param<'a> {
    /// Whether this is the name, in any case.
    #[inline]
    pub fn is(&self, name: &[u8]) -> bool {
        // Nearly everybody writes lower case, and then one comparison of words is enough.
        self.name == name || self.name.eq_ignore_ascii_case(name)
    }

    /// The value without quotes and with quoted pairs undone; empty when there is none.
    pub fn unquoted(&self) -> Cow<'a, [u8]> {
        unquote(self.value.unwrap_or_default())
    }
}

impl<'a> Params<'a> {
    /// Reads a text that is nothing but parameters, such as `;lr;q=0.5`.
    pub fn parse(raw: &'a [u8]) -> Result<Params<'a>, ParseError> {
        let mut cursor = Cursor::new(raw, 0);
        let params = Params::take(&mut cursor, |_| {})?;
        cursor.end()?;
        Ok(params)
    }

    /// Takes all parameters that stand at the cursor, showing each to `seen`.
    #[inline]
    pub(crate) fn take(
        cursor: &mut Cursor<'a>,
        mut seen: impl FnMut(Param<'a>),
    ) -> Result<Params<'a>, ParseError> {
        let from = cursor.at();
        while let Some(param) = next_param(cursor)? {
            seen(param);
        }
        Ok(Params {
            raw: cursor.since(from),
        })
    }

    /// The value of the first parameter of that name, quotes and all; the inner `None` when the
    /// parameter has no value.
    pub fn value(mut self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        self.find(|p| p.is(name)).map(|p| p.value)
    }

    /// The first parameter of that name.
    pub fn param(mut self, name: &[u8]) -> Option<Param<'a>> {
        self.find(|p| p.is(name))
    }

    /// The unquoted value of the first parameter of that name, if it has one.
    pub fn text(self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.value(name).flatten().map(unquote)
    }

    /// Whether there is a parameter of that name.
    pub fn has(self, name: &[u8]) -> bool {
        self.value(name).is_some()
    }

    /// The bytes from the first semicolon to the end of the last parameter; empty without any.
    pub fn as_bytes(self) -> &'a [u8] {
        self.raw
    }
}

impl<'a> Iterator for Params<'a> {
    type Item = Param<'a>;

    fn next(&mut self) -> Option<Param<'a>> {
        let mut cursor = Cursor::new(self.raw, 0);
        // What was read once as a whole cannot fail here.
        let param = next_param(&mut cursor).ok().flatten();
        self.raw = if param.is_some() { cursor.rest() } else { &[] };
        param
    }
}

/// Takes one `;name=value`; `None` when no semicolon follows. Peers send one semicolon at the end of
/// the value, and two of them before a name (the examples of RFC 3428 and RFC 5626 do); both are let
/// pass, more are not.
#[inline]
fn next_param<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Param<'a>>, ParseError> {
    cursor.skip_ws();
    if !cursor.eat(b';') {
        return Ok(None);
    }
    cursor.skip_ws();
    let doubled = cursor.eat(b';');
    if doubled {
        cursor.skip_ws();
    }
    let from = cursor.at();
    let name = cursor.take(TOKEN);
    if name.is_empty() {
        return if cursor.is_end() && !doubled {
            Ok(None)
        } else {
            Err(cursor.error("a parameter without a name"))
        };
    }
    if cursor.peek().is_some_and(is_ws) {
        cursor.skip_ws();
    }
    if !cursor.eat(b'=') {
        return Ok(Some(Param {
            name,
            value: None,
            raw: name,
        }));
    }
    cursor.skip_ws();
    let value = if cursor.peek() == Some(b'"') {
        cursor.quoted()?
    } else {
        cursor.take(VALUE)
    };
    Ok(Some(Param {
        name,
        value: Some(value),
        raw: cursor.since(from),
    }))
}

/// A quoted string without its quotes, quoted pairs undone and folds made one blank; any other
/// text as it is.
pub fn unquote(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = text
        .strip_prefix(b"\"")
        .map(|rest| rest.strip_suffix(b"\"").unwrap_or(rest))
    else {
        return Cow::Borrowed(text);
    };
    if memchr::memchr3(b'\\', b'\r', b'\n', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    while let Some(b) = rest.next() {
        match b {
            b'\\' => out.extend(rest.next()),
            b'\r' | b'\n' => {}
            _ => out.push(b),
        }
    }
    Cow::Owned(out)
}

/// Writes `text` as a quoted string, with a backslash before each quote and backslash.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*b);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(raw: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
        Params::parse(raw)
            .unwrap()
            .map(|p| (p.name, p.value))
            .collect()
    }

    #[test]
    fn white_space_and_folds_may_stand_around_separators() {
        assert_eq!(
            items(b" ; a = 1\r\n ;\tb;c=\"x;y,\\\"\"  ; d\r\n =\r\n\t2"),
            [
                (&b"a"[..], Some(&b"1"[..])),
                (b"b", None),
                (b"c", Some(b"\"x;y,\\\"\"")),
                (b"d", Some(b"2")),
            ]
        );
        assert_eq!(items(b""), []);
        assert_eq!(items(b";lr;"), [(&b"lr"[..], None)]);
        assert_eq!(items(b";a; ;b"), [(&b"a"[..], None), (b"b", None)]);
        assert_eq!(items(b";a="), [(&b"a"[..], Some(&b""[..]))]);
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for bad in [
            &b";;"[..],
            b";;;a",
            b";a;;",
            b";=1",
            b";a=\"x",
            b";a b",
            b";a=\"x\"y",
            b"a",
            b";a=<x>",
            b";a,;b",
            b";a=1 2",
        ] {
            assert!(Params::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn the_first_of_a_name_is_found_in_any_case() {
        let params = Params::parse(b";Tag=a;TAG=b;lr").unwrap();
        assert_eq!(params.value(b"tag"), Some(Some(&b"a"[..])));
        assert_eq!(params.value(b"LR"), Some(None));
        assert_eq!(params.value(b"l"), None);
        assert!(params.has(b"lr"));
    }

    #[test]
    fn quotes_are_undone_and_made() {
        assert_eq!(&*unquote(b"\"a\\\"b\\\\\""), b"a\"b\\");
        assert_eq!(&*unquote(b"\"a\r\n b\""), b"a b");
        assert_eq!(&*unquote(b"plain\\"), b"plain\\");
        assert_eq!(&*unquote(b"\"\""), b"");
        assert_eq!(&*unquote(b"\"a\\"), b"a");
        let mut out = Vec::new();
        quote(b"a\"b\\", &mut out);
        assert_eq!(&*unquote(&out), b"a\"b\\");
    }
}
