//! Content-Disposition (RFC 3261 §20.11).

use super::cursor::Cursor;
use super::list::only;
use super::{Params, ParseError};

/// What is to be done with the body.
#[derive(Clone, Copy, Debug)]
pub struct ContentDisposition<'a> {
    /// `session`, `render`, `early-session` and so on.
    pub kind: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> ContentDisposition<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<ContentDisposition<'a>, ParseError> {
        only(value, take)
    }

    /// Whether a body that is not understood may be ignored (`handling=optional`); when nothing is
    /// said it may not.
    pub fn is_optional(&self) -> bool {
        self.params
            .text(b"handling")
            .is_some_and(|h| h.eq_ignore_ascii_case(b"optional"))
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<ContentDisposition<'a>, ParseError> {
    Ok(ContentDisposition {
        kind: cursor.token("Content-Disposition without a type")?,
        params: Params::take(cursor, |_| {})?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handling() {
        let session = ContentDisposition::parse(b"session;Handling=Optional").unwrap();
        assert!(session.kind == b"session" && session.is_optional());
        assert!(!ContentDisposition::parse(b"render").unwrap().is_optional());
        assert!(ContentDisposition::parse(b";x").is_err());
    }
}
