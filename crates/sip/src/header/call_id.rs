//! Call-ID (RFC 3261 §20.8).

use super::ParseError;
use super::cursor::{WORD, all, trim};

/// The identifier of a call; compares octet by octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId<'a>(pub &'a [u8]);

impl<'a> CallId<'a> {
    /// Reads the value. Every octet that some RFC 3261 word may hold is taken, more than one `@` too.
    pub fn parse(value: &'a [u8]) -> Result<CallId<'a>, ParseError> {
        let text = trim(value);
        if all(text, WORD) {
            Ok(CallId(text))
        } else {
            Err(ParseError::new(
                "Call-ID is empty or holds a wrong octet",
                0,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_octets_have_no_meaning() {
        let odd = br#" intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{ "#;
        assert_eq!(CallId::parse(odd), Ok(CallId(trim(odd))));
        for bad in [&b""[..], b"a b", b"a,b", b"a;b", b"\xff", b"a\0"] {
            assert!(CallId::parse(bad).is_err());
        }
    }
}
