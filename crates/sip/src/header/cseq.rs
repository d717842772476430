//! CSeq (RFC 3261 §20.16).

use super::ParseError;
use super::cursor::{Cursor, decimal32, is_ws};
use crate::message::Method;

/// The sequence number and the method that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The number. RFC 3261 §8.1.1.5 wants it below 2³¹; see [`CSeq::is_in_range`].
    pub number: u32,
    /// The method, in its own case.
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads the value. A number beyond 32 bits is an error.
    pub fn parse(value: &'a [u8]) -> Result<CSeq<'a>, ParseError> {
        let mut cursor = Cursor::new(value, 0);
        cursor.skip_ws();
        let from = cursor.at();
        while cursor.peek().is_some_and(|b| b.is_ascii_digit()) {
            cursor.skip(1);
        }
        let digits = cursor.since(from);
        let Some(number) = decimal32(digits) else {
            return Err(ParseError::new("CSeq: no number below 2^32", from));
        };
        if !cursor.peek().is_some_and(is_ws) {
            return Err(cursor.error("CSeq: no blank after the number"));
        }
        cursor.skip_ws();
        let method = cursor.token("CSeq: no method")?;
        cursor.end()?;
        Ok(CSeq { number, method })
    }

    /// The method as one of those that we know.
    pub fn method(&self) -> Method {
        Method::from_bytes(self.method)
    }

    /// Whether the number is below 2³¹ (RFC 3261 §8.1.1.5).
    pub const fn is_in_range(&self) -> bool {
        self.number < 1 << 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_method() {
        let cseq = CSeq::parse(b" 0009\r\n  INVITE ").unwrap();
        assert_eq!((cseq.number, cseq.method()), (9, Method::Invite));
        assert!(cseq.is_in_range());
        let largest = CSeq::parse(b"4294967295 x").unwrap();
        assert_eq!(largest.number, u32::MAX);
        assert!(!largest.is_in_range());
        for bad in [
            &b""[..],
            b"1",
            b"1 ",
            b"INVITE",
            b"INVITE 1",
            b"-1 INVITE",
            b"1INVITE",
            b"4294967296 INVITE",
            b"1 INVITE x",
            b"1 IN(VITE",
        ] {
            assert!(CSeq::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
