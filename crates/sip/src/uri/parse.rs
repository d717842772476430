//! Reading a URI.

use super::{Host, Scheme, Uri, compare};
use crate::header::ParseError;
use crate::header::cursor::{Cursor, URI, USER, decimal};

pub(super) fn parse(raw: &[u8]) -> Result<Uri<'_>, ParseError> {
    let (scheme, start) = scheme(raw)?;
    let mut uri = Uri {
        scheme,
        user: None,
        password: None,
        host: Host::Name(b""),
        port: None,
        params: b"",
        headers: b"",
        raw,
    };
    let mut cursor = Cursor::new(raw, start);
    match scheme {
        Scheme::Sip | Scheme::Sips => {
            userinfo(&mut cursor, &mut uri);
            uri.host = Host::take(&mut cursor)?;
            uri.port = port(&mut cursor)?;
        }
        Scheme::Tel => {
            while cursor
                .peek()
                .is_some_and(|b| !matches!(b, b';' | b'?') && b > b' ')
            {
                cursor.skip(1);
            }
            let number = cursor.since(start);
            if number.iter().all(|b| compare::is_separator(*b)) {
                return Err(cursor.error("tel URI without a number"));
            }
            uri.user = Some(number);
        }
        Scheme::Other => {
            opaque(&cursor)?;
            return Ok(uri);
        }
    }
    params_and_headers(&mut cursor, &mut uri)?;
    Ok(uri)
}

/// The scheme and where what follows it starts.
#[inline]
fn scheme(raw: &[u8]) -> Result<(Scheme, usize), ParseError> {
    if let Some(head) = raw.first_chunk::<4>() {
        // Only the letters may differ in case.
        let lower = u32::from_ne_bytes(*head) | u32::from_ne_bytes([0x20, 0x20, 0x20, 0]);
        if lower == u32::from_ne_bytes(*b"sip:") {
            return Ok((Scheme::Sip, 4));
        }
        if lower == u32::from_ne_bytes(*b"tel:") {
            return Ok((Scheme::Tel, 4));
        }
        if raw
            .get(..5)
            .is_some_and(|s| s.eq_ignore_ascii_case(b"sips:"))
        {
            return Ok((Scheme::Sips, 5));
        }
    }
    let Some(colon) = memchr::memchr(b':', raw) else {
        return Err(ParseError::new("URI without a scheme", 0));
    };
    let name = raw.get(..colon).unwrap_or_default();
    let legal = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !legal {
        return Err(ParseError::new("URI without a scheme", 0));
    }
    Ok((Scheme::Other, colon + 1))
}

/// Takes the userinfo, if an `@` ends it. A user may hold `;`, `?` and `/`, so the `@` decides
/// before anything else does (RFC 3261 §19.1.1); a second one is left for the host to trip over.
#[inline]
fn userinfo<'a>(cursor: &mut Cursor<'a>, uri: &mut Uri<'a>) {
    let mut ahead = *cursor;
    let info = ahead.take(USER);
    if !ahead.eat(b'@') {
        return;
    }
    *cursor = ahead;
    match info.iter().position(|b| *b == b':') {
        Some(colon) => {
            uri.user = info.get(..colon);
            uri.password = info.get(colon + 1..);
        }
        None => uri.user = Some(info),
    }
}

#[inline]
fn port(cursor: &mut Cursor<'_>) -> Result<Option<u16>, ParseError> {
    if !cursor.eat(b':') {
        return Ok(None);
    }
    let from = cursor.at();
    let digits = cursor.rest().iter().take_while(|b| b.is_ascii_digit());
    cursor.skip(digits.count());
    match decimal(cursor.since(from)).and_then(|n| u16::try_from(n).ok()) {
        Some(port) => Ok(Some(port)),
        None => Err(ParseError::new(
            "URI: the port is not a number up to 65535",
            from,
        )),
    }
}

#[inline]
fn params_and_headers<'a>(cursor: &mut Cursor<'a>, uri: &mut Uri<'a>) -> Result<(), ParseError> {
    if cursor.is_end() {
        return Ok(());
    }
    if cursor.peek() == Some(b';') {
        uri.params = cursor.take(URI);
    }
    if cursor.eat(b'?') {
        let from = cursor.at();
        while !cursor.take(URI).is_empty() || cursor.eat(b'?') {}
        uri.headers = cursor.since(from);
    }
    if cursor.is_end() {
        Ok(())
    } else {
        Err(cursor.error("URI: an octet that may not stand there"))
    }
}

fn opaque(cursor: &Cursor<'_>) -> Result<(), ParseError> {
    let rest = cursor.rest();
    if rest.is_empty() {
        return Err(cursor.error("URI with nothing after the scheme"));
    }
    match rest
        .iter()
        .position(|b| *b <= b' ' || matches!(b, 0x7f | b'<' | b'>' | b'"'))
    {
        None => Ok(()),
        Some(at) => Err(ParseError::new(
            "URI: an octet that may not stand there",
            cursor.at() + at,
        )),
    }
}
