//! Expires (RFC 3261 §20.19).

use super::cursor::{decimal32, trim};

/// Seconds that a registration, subscription or invitation is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expires(pub u32);

impl Expires {
    /// What a malformed value stands for (RFC 3261 §20.10, §10.3).
    pub const DEFAULT: Expires = Expires(3600);

    /// Reads the value; one that is not a number of 32 bits is [`Expires::DEFAULT`].
    pub fn parse(value: &[u8]) -> Expires {
        decimal32(trim(value)).map_or(Expires::DEFAULT, Expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_value_is_an_hour() {
        assert_eq!(Expires::parse(b" 0 "), Expires(0));
        assert_eq!(Expires::parse(b"4294967295"), Expires(u32::MAX));
        for bad in [
            &b""[..],
            b"-1",
            b"4294967296",
            b"Thu, 01 Dec 1994 16:00:00 GMT",
            b"1.5",
        ] {
            assert_eq!(Expires::parse(bad), Expires(3600));
        }
    }
}
