//! Content-Length (RFC 3261 §20.14).

use super::ParseError;
use super::cursor::{decimal32, trim};

/// The length of the body in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLength(pub u32);

impl ContentLength {
    /// Reads the value; anything but a number of 32 bits is an error.
    pub fn parse(value: &[u8]) -> Result<ContentLength, ParseError> {
        decimal32(trim(value))
            .map(ContentLength)
            .ok_or(ParseError::new("Content-Length is not a number", 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_only() {
        assert_eq!(ContentLength::parse(b" 150 "), Ok(ContentLength(150)));
        for bad in [&b""[..], b"-999", b"five", b"4294967296", b"1 2", b"+1"] {
            assert!(ContentLength::parse(bad).is_err());
        }
    }
}
