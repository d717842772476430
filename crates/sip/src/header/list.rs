//! Comma-separated values.

use super::ParseError;
use super::cursor::{Cursor, is_ws, trim};

type Take<'a, T> = fn(&mut Cursor<'a>) -> Result<T, ParseError>;

/// The comma-separated values of one header line, in their order; ends after the first that cannot
/// be read.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, T> {
    value: &'a [u8],
    at: Option<usize>,
    take: Take<'a, T>,
}

impl<'a, T> List<'a, T> {
    pub(super) fn new(value: &'a [u8], take: Take<'a, T>) -> List<'a, T> {
        List {
            value,
            at: Some(0),
            take,
        }
    }
}

impl<T> Iterator for List<'_, T> {
    type Item = Result<T, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = Cursor::new(self.value, self.at.take()?);
        cursor.skip_ws();
        let item = (self.take)(&mut cursor);
        Some(item.and_then(|item| {
            if cursor.end_of_value()? {
                self.at = Some(cursor.at());
            }
            Ok(item)
        }))
    }
}

/// Reads a header that holds exactly one value.
pub(super) fn only<'a, T>(value: &'a [u8], take: Take<'a, T>) -> Result<T, ParseError> {
    let mut cursor = Cursor::new(value, 0);
    cursor.skip_ws();
    let item = take(&mut cursor)?;
    cursor.end()?;
    Ok(item)
}

/// The tokens of Allow, Supported, Require, Proxy-Require, Unsupported, Allow-Events, In-Reply-To,
/// Content-Encoding, Privacy and their like. Empty values are passed over; an empty header has no
/// tokens (RFC 3261 §20.5, §20.37).
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    /// Reads the tokens of one header line.
    pub fn parse(value: &'a [u8]) -> Tokens<'a> {
        Tokens { rest: value }
    }

    /// Whether the token is there, compared without case, as option tags are.
    pub fn has(mut self, token: &[u8]) -> bool {
        self.any(|t| t.eq_ignore_ascii_case(token))
    }

    /// Whether the method is there, compared with case.
    pub fn has_method(mut self, method: &[u8]) -> bool {
        self.any(|t| t == method)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let mut parts = self.rest.splitn(2, |b| matches!(b, b',' | b';'));
            let token = trim(parts.next().unwrap_or_default());
            self.rest = parts.next().unwrap_or_default();
            if !token.is_empty() && !token.iter().any(|b| is_ws(*b)) {
                return Some(token);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_without_empty_ones() {
        let tokens = Tokens::parse(b" INVITE, ACK\r\n ,,BYE ,two words,");
        let all: Vec<_> = tokens.collect();
        assert_eq!(all, [&b"INVITE"[..], b"ACK", b"BYE"]);
        assert!(tokens.has(b"ack") && tokens.has_method(b"ACK") && !tokens.has_method(b"ack"));
        assert!(!tokens.has(b"BY"));
        assert_eq!(Tokens::parse(b" ").count(), 0);
        assert_eq!(Tokens::parse(b"id;critical").count(), 2);
    }
}
