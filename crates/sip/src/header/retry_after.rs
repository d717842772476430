//! Retry-After (RFC 3261 §20.33).

use super::cursor::{Cursor, TOKEN, decimal32};
use super::list::only;
use super::{Params, ParseError};

/// When to try again.
#[derive(Clone, Copy, Debug)]
pub struct RetryAfter<'a> {
    /// How many seconds to wait.
    pub seconds: u32,
    /// For how many seconds the peer can then be reached.
    pub duration: Option<u32>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> RetryAfter<'a> {
    /// Reads the value; a comment in it is passed over.
    pub fn parse(value: &'a [u8]) -> Result<RetryAfter<'a>, ParseError> {
        only(value, take)
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<RetryAfter<'a>, ParseError> {
    let digits = cursor.take(TOKEN);
    let seconds =
        decimal32(digits).ok_or_else(|| cursor.error("Retry-After is not a number of seconds"))?;
    cursor.comments()?;
    let params = Params::take(cursor, |_| {})?;
    Ok(RetryAfter {
        seconds,
        duration: params.value(b"duration").flatten().and_then(decimal32),
        params,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_comment_and_duration() {
        let retry = RetryAfter::parse(b" 18000 (in a meeting) ;duration=3600").unwrap();
        assert_eq!((retry.seconds, retry.duration), (18000, Some(3600)));
        assert_eq!(RetryAfter::parse(b"5").unwrap().duration, None);
        for bad in [
            &b""[..],
            b"x",
            b"949302838503028349304023988",
            b"5 x",
            b"5 (x",
        ] {
            assert!(RetryAfter::parse(bad).is_err());
        }
    }
}
