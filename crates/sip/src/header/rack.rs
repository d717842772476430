//! RAck (RFC 3262 §7.2).

use super::cursor::{Cursor, TOKEN, decimal32};
use super::{CSeq, ParseError};

/// Which provisional response a PRACK acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the response.
    pub rseq: u32,
    /// The CSeq of the response.
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<RAck<'a>, ParseError> {
        let mut cursor = Cursor::new(value, 0);
        cursor.skip_ws();
        let rseq = decimal32(cursor.take(TOKEN))
            .ok_or_else(|| cursor.error("RAck: no response number"))?;
        let cseq = CSeq::parse(cursor.rest()).map_err(|e| e.moved(cursor.at()))?;
        Ok(RAck { rseq, cseq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Method;

    #[test]
    fn two_numbers_and_a_method() {
        let rack = RAck::parse(b" 776656 1\tINVITE").unwrap();
        assert_eq!((rack.rseq, rack.cseq.number), (776_656, 1));
        assert_eq!(rack.cseq.method(), Method::Invite);
        for bad in [
            &b""[..],
            b"1 INVITE",
            b"1 2",
            b"x 1 INVITE",
            b"1 1 INVITE 1",
        ] {
            assert!(RAck::parse(bad).is_err());
        }
    }
}
