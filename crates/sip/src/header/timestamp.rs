//! Timestamp (RFC 3261 §20.38).

use super::ParseError;
use super::cursor::{Cursor, TOKEN, all, is};
use super::list::only;

/// When the client sent the request, by a clock of its own, and how long the server waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp<'a> {
    /// A decimal number of seconds; copied into the response as it stands.
    pub time: &'a [u8],
    /// A decimal number of seconds.
    pub delay: Option<&'a [u8]>,
}

impl<'a> Timestamp<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<Timestamp<'a>, ParseError> {
        only(value, take)
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Timestamp<'a>, ParseError> {
    let time = number(cursor)?;
    cursor.skip_ws();
    let delay = if cursor.peek().is_some_and(|b| is(b, TOKEN)) {
        Some(number(cursor)?)
    } else {
        None
    };
    Ok(Timestamp { time, delay })
}

fn number<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], ParseError> {
    let text = cursor.take(TOKEN);
    let mut parts = text.splitn(2, |b| *b == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if all(text, TOKEN) && digits(whole) && digits(fraction) && text != b"." {
        Ok(text)
    } else {
        Err(cursor.error("Timestamp is not a decimal number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_delay() {
        let both = Timestamp::parse(b" 54.12  .5 ").unwrap();
        assert_eq!((both.time, both.delay), (&b"54.12"[..], Some(&b".5"[..])));
        assert_eq!(Timestamp::parse(b"54").unwrap().delay, None);
        for bad in [&b""[..], b"x", b"1.2.3", b".", b"1 2 3", b"-1"] {
            assert!(Timestamp::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
