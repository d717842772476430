//! Min-Expires (RFC 3261 §20.23).

use super::ParseError;
use super::cursor::{decimal32, trim};

/// The shortest expiry in seconds that a registrar or notifier takes; comes with a 423.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinExpires(pub u32);

impl MinExpires {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Result<MinExpires, ParseError> {
        decimal32(trim(value))
            .map(MinExpires)
            .ok_or(ParseError::new("Min-Expires is not a number", 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        assert_eq!(MinExpires::parse(b"60"), Ok(MinExpires(60)));
        assert!(MinExpires::parse(b"60s").is_err());
    }
}
