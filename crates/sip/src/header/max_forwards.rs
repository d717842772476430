//! Max-Forwards (RFC 3261 §20.22).

use super::ParseError;
use super::cursor::{decimal, trim};

/// How many more hops the request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxForwards(pub u8);

impl MaxForwards {
    /// What a request without the header gets (RFC 3261 §16.6).
    pub const DEFAULT: MaxForwards = MaxForwards(70);

    /// Reads the value, 0 to 255.
    pub fn parse(value: &[u8]) -> Result<MaxForwards, ParseError> {
        decimal(trim(value))
            .and_then(|n| u8::try_from(n).ok())
            .map(MaxForwards)
            .ok_or(ParseError::new("Max-Forwards is not a number up to 255", 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_one_octet() {
        assert_eq!(MaxForwards::parse(b" 0068\r\n "), Ok(MaxForwards(68)));
        for bad in [&b""[..], b"256", b"300", b"-1", b"7 0", b"x"] {
            assert!(MaxForwards::parse(bad).is_err());
        }
    }
}
