//! RSeq (RFC 3262 §7.1).

use super::ParseError;
use super::cursor::{decimal32, trim};

/// The number of a reliable provisional response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RSeq(pub u32);

impl RSeq {
    /// Reads the value, 1 to 2³²−1.
    pub fn parse(value: &[u8]) -> Result<RSeq, ParseError> {
        decimal32(trim(value))
            .filter(|n| *n > 0)
            .map(RSeq)
            .ok_or(ParseError::new("RSeq is not a number from 1 to 2^32-1", 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_number() {
        assert_eq!(RSeq::parse(b"988789"), Ok(RSeq(988_789)));
        for bad in [&b"0"[..], b"4294967296", b"", b"1 INVITE"] {
            assert!(RSeq::parse(bad).is_err());
        }
    }
}
