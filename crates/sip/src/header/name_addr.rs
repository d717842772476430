//! An address with a display name and parameters (RFC 3261 §20.10, `name-addr` and `addr-spec`).

use std::borrow::Cow;

use core::ops::Range;

use super::ParseError;
use super::cursor::{Cursor, HOST, TOKEN, is_ws, prefix, trim};
use super::params::{Params, unquote};
use super::q::q_value;
use crate::uri::Uri;

/// One value of From, To, Contact, Route, Record-Route, Path, Refer-To, P-Asserted-Identity and
/// their like: `"Display" <uri>;params`, or a bare URI whose parameters belong to the header.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The display name as it stands there, with quotes if it has them.
    pub display: Option<&'a [u8]>,
    /// The address.
    pub uri: Uri<'a>,
    /// The parameters of the header, not those of the URI.
    pub params: Params<'a>,
    tag: Option<&'a [u8]>,
    start: usize,
    end: usize,
    next: Option<usize>,
}

impl<'a> NameAddr<'a> {
    /// Reads a header that holds exactly one value.
    pub fn parse(value: &'a [u8]) -> Result<NameAddr<'a>, ParseError> {
        let addr = NameAddr::parse_at(value, 0)?;
        match addr.next {
            Some(at) => Err(ParseError::new("more than one address", at)),
            None => Ok(addr),
        }
    }

    /// Reads the first value of a header line that may hold more of them.
    pub fn first(value: &'a [u8]) -> Result<NameAddr<'a>, ParseError> {
        NameAddr::parse_at(value, 0)
    }

    /// Reads all values of a header line.
    pub fn parse_list(value: &'a [u8]) -> NameAddrs<'a> {
        NameAddrs { value, at: Some(0) }
    }

    /// The tag of From and To (RFC 3261 §19.3).
    #[inline]
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.tag
    }

    /// The display name without quotes, with quoted pairs undone and folds made one blank.
    pub fn display_unquoted(&self) -> Cow<'a, [u8]> {
        let text = self.display.unwrap_or_default();
        if text.starts_with(b"\"") || !text.iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return unquote(text);
        }
        let mut words = text.split(|b| is_ws(*b)).filter(|word| !word.is_empty());
        let mut out = words.next().unwrap_or_default().to_vec();
        for word in words {
            out.push(b' ');
            out.extend_from_slice(word);
        }
        Cow::Owned(out)
    }

    /// The preference of a Contact in thousandths, 0 to 1000; `None` when it states none or a bad one.
    pub fn q(&self) -> Option<u16> {
        self.params.value(b"q").flatten().and_then(q_value)
    }

    /// The seconds that a Contact wants to be kept; a malformed number counts as
    /// 3600 (RFC 3261 §10.3, §20.10), none at all is `None`.
    pub fn expires(&self) -> Option<u32> {
        let value = self.params.value(b"expires")?.unwrap_or_default();
        Some(super::Expires::parse(&unquote(value)).0)
    }

    /// Where this value stands in its header line, without the white space around it.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Where the next value of the same header line starts. To take this value off the line, cut
    /// from `range().start` to here.
    pub fn next_at(&self) -> Option<usize> {
        self.next
    }

    /// Whether a header can be read that holds exactly one address, and the tag of that address. Costs a
    /// quarter of [`NameAddr::parse`] for the addresses that nearly everybody writes.
    ///
    /// # Errors
    /// The same as those of [`NameAddr::parse`].
    pub fn check(value: &'a [u8]) -> Result<Option<&'a [u8]>, ParseError> {
        match plain(value) {
            Some(tag) => Ok(tag),
            None => NameAddr::parse(value).map(|addr| addr.tag()),
        }
    }

    fn parse_at(value: &'a [u8], at: usize) -> Result<NameAddr<'a>, ParseError> {
        let mut cursor = Cursor::new(value, at);
        cursor.skip_ws();
        let start = cursor.at();
        let (display, uri) = if cursor.peek() == Some(b'"') {
            let display = cursor.quoted()?;
            cursor.skip_ws();
            if cursor.peek() != Some(b'<') {
                return Err(cursor.error("no < after the display name"));
            }
            (Some(display), bracketed(&mut cursor)?)
        } else {
            unquoted(&mut cursor)?
        };
        let mut tag = None;
        let params = Params::take(&mut cursor, |param| {
            if param.name.len() == 3 && tag.is_none() && param.is(b"tag") {
                tag = param.value;
            }
        })?;
        let end = start + cursor.since(start).trim_ascii_end().len();
        let next = cursor.end_of_value()?.then_some(cursor.at());
        Ok(NameAddr {
            display,
            uri,
            params,
            tag,
            start,
            end,
            next,
        })
    }
}

/// The tag of a value of the form `<sip:user@host:port>;tag=token`, port and tag left out or not; `None`
/// for any other value. Nothing can be wrong with one of that form: each piece is a part of what its
/// grammar allows.
fn plain(value: &[u8]) -> Option<Option<&[u8]>> {
    let piece = |text: &[u8], class| match prefix(text, class) {
        0 => None,
        len => Some(len),
    };
    let rest = value.strip_prefix(b"<sip:")?;
    let (_, rest) = rest.split_at_checked(piece(rest, TOKEN)?)?;
    let host = rest.strip_prefix(b"@")?;
    let (_, rest) = host.split_at_checked(piece(host, HOST)?)?;
    let rest = match rest {
        _ if host.starts_with(b".") => return None,
        [b':', port @ ..] => {
            let digits = port.iter().take_while(|b| b.is_ascii_digit()).count();
            // A number of four digits is a port, whatever it is.
            port.get(digits..).filter(|_| matches!(digits, 1..=4))?
        }
        rest => rest,
    };
    let rest = rest.strip_prefix(b">")?;
    if rest.is_empty() {
        return Some(None);
    }
    let tag = rest.strip_prefix(b";tag=")?;
    (piece(tag, TOKEN)? == tag.len()).then_some(Some(tag))
}

/// Takes a name-addr without quotes, or an addr-spec. The address of the latter ends at the first
/// comma, semicolon or question mark, for one with these inside has to stand in brackets
/// (RFC 3261 §20.10).
fn unquoted<'a>(cursor: &mut Cursor<'a>) -> Result<(Option<&'a [u8]>, Uri<'a>), ParseError> {
    let rest = cursor.rest();
    let stop = rest
        .iter()
        .position(|b| matches!(b, b'<' | b',' | b';' | b'"' | b'?'))
        .unwrap_or(rest.len());
    let from = cursor.at();
    cursor.skip(stop);
    let text = trim(rest.get(..stop).unwrap_or_default());
    match cursor.peek() {
        Some(b'<') => {
            let display = (!text.is_empty()).then_some(text);
            Ok((display, bracketed(cursor)?))
        }
        Some(b'?') => Err(cursor.error("an address with ? needs < and > around it")),
        Some(b'"') => Err(cursor.error("a quote inside the address")),
        _ => {
            let uri = Uri::parse(text).map_err(|e| e.moved(from))?;
            Ok((None, uri))
        }
    }
}

/// Takes `<uri>`; blanks just inside the brackets are let pass.
fn bracketed<'a>(cursor: &mut Cursor<'a>) -> Result<Uri<'a>, ParseError> {
    cursor.skip(1);
    cursor.skip_ws();
    let from = cursor.at();
    let Some(len) = memchr::memchr(b'>', cursor.rest()) else {
        return Err(ParseError::new("< is never closed", from));
    };
    cursor.skip(len);
    let uri = Uri::parse(trim(cursor.since(from))).map_err(|e| e.moved(from))?;
    cursor.skip(1);
    Ok(uri)
}

/// The addresses of one header line; ends after the first that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct NameAddrs<'a> {
    value: &'a [u8],
    at: Option<usize>,
}

impl<'a> Iterator for NameAddrs<'a> {
    type Item = Result<NameAddr<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let addr = NameAddr::parse_at(self.value, self.at?);
        self.at = addr.as_ref().ok().and_then(NameAddr::next_at);
        Some(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_from() {
        for (value, display, uri, tag) in [
            ("sip:a@b", "", "sip:a@b", None),
            ("sip:a@b;tag=1", "", "sip:a@b", Some("1")),
            ("<sip:a@b;x=1>;Tag=2", "", "sip:a@b;x=1", Some("2")),
            (
                "A. G. Bell <sip:a@b> ;tag=3",
                "A. G. Bell",
                "sip:a@b",
                Some("3"),
            ),
            (
                "\"A, \\\"B\\\" <x>\"<sip:a@b>",
                "A, \"B\" <x>",
                "sip:a@b",
                None,
            ),
            ("\"\" <sip:a@b>", "", "sip:a@b", None),
            (
                "caller<sip:a@b>\r\n ;\r\n tag = 4 ",
                "caller",
                "sip:a@b",
                Some("4"),
            ),
            ("J \r\n Rosenberg <sip:a@b>", "J Rosenberg", "sip:a@b", None),
            ("< sip:a@b >", "", "sip:a@b", None),
            ("<sip:a@b>;tag=6;tag=7", "", "sip:a@b", Some("6")),
            ("tel:+1-201;tag=5", "", "tel:+1-201", Some("5")),
            ("김 <sip:a@b>", "김", "sip:a@b", None),
        ] {
            let addr = NameAddr::parse(value.as_bytes()).unwrap();
            assert_eq!(&*addr.display_unquoted(), display.as_bytes(), "{value}");
            assert_eq!(addr.uri.as_bytes(), uri.as_bytes(), "{value}");
            assert_eq!(addr.tag(), tag.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn what_looks_plain_reads_the_same_in_full() {
        let mut plain_ones = 0;
        let pieces = [
            "<sip:",
            "<sips:",
            "\"A\" ",
            "bob",
            "",
            "b%40b",
            "@",
            "example.org",
            "192.0.2.1",
            ".x",
            "[::1]",
            ":",
            "5060",
            "65536",
            ";lr",
            ">",
            ";tag=",
            ";x=1",
            "a.b-c",
            " ",
            ",",
            "\"",
        ];
        let mut seed = 1u64;
        let mut next = |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % bound
        };
        for _ in 0..20_000 {
            // A good one with up to two pieces changed.
            let mut parts = [
                "<sip:",
                "bob",
                "@",
                "example.org",
                ":",
                "5060",
                ">",
                ";tag=",
                "a.b-c",
            ];
            for _ in 0..next(3) {
                parts[next(9)] = pieces[next(pieces.len())];
            }
            let value = parts[..9 - next(3)].concat();
            let full = NameAddr::parse(value.as_bytes()).map(|addr| addr.tag());
            assert_eq!(NameAddr::check(value.as_bytes()), full, "{value}");
            plain_ones += usize::from(plain(value.as_bytes()).is_some());
        }
        assert!((5_000..15_000).contains(&plain_ones), "{plain_ones}");
    }

    #[test]
    fn lists_split_at_commas_outside_quotes_and_brackets() {
        let value = b"\"a,b\" <sip:x,y@h;p=1,2>;q=0.5;z=\",\" , sip:c@d;q=1,<sip:e@f>";
        let list: Vec<_> = NameAddr::parse_list(value).map(Result::unwrap).collect();
        assert_eq!(list.len(), 3);
        assert_eq!(list[0].uri.user, Some(&b"x,y"[..]));
        assert_eq!(
            (list[0].q(), list[1].q(), list[2].q()),
            (Some(500), Some(1000), None)
        );
        assert_eq!(&value[list[1].range()], b"sip:c@d;q=1");
        assert_eq!(list[1].next_at(), Some(list[2].range().start));
        assert_eq!(NameAddr::first(value).unwrap().range(), list[0].range());
    }

    #[test]
    fn expiry_of_contacts() {
        for (text, seconds) in [
            ("", None),
            (";expires=60", Some(60)),
            (";expires=\"60\"", Some(60)),
            (";expires=280297596632815", Some(3600)),
            (";expires", Some(3600)),
        ] {
            let value = format!("<sip:a@b>{text}");
            assert_eq!(
                NameAddr::parse(value.as_bytes()).unwrap().expires(),
                seconds
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "*",
            "\"x <sip:a@b>",
            "\"x\" sip:a@b",
            "<sip:a@b",
            "<sip:a@b>;;;;",
            "<sip:a@b>,",
            "<sip:a@b>, <sip:c@d>",
            "sip:a@b?Route=%3Csip:x%3E",
            "Bell, Alexander <sip:a@b>",
            "<sip:a@b> x",
            "<>",
            "a \"b\" <sip:a@b>",
        ] {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let error = NameAddr::parse(b"\"x\" <sip:>").unwrap_err();
        assert!(error.to_string().ends_with("at octet 9"), "{error}");
    }
}
