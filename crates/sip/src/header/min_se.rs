//! Min-SE (RFC 4028 §5).

use super::cursor::{Cursor, TOKEN, decimal32};
use super::list::only;
use super::{Params, ParseError};

/// The shortest session interval in seconds that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinSE(pub u32);

impl MinSE {
    /// What counts when the header is missing (RFC 4028 §5).
    pub const DEFAULT: MinSE = MinSE(90);

    /// Reads the value; parameters are passed over.
    pub fn parse(value: &[u8]) -> Result<MinSE, ParseError> {
        only(value, take)
    }
}

fn take(cursor: &mut Cursor<'_>) -> Result<MinSE, ParseError> {
    let seconds = decimal32(cursor.take(TOKEN));
    let seconds = seconds.ok_or_else(|| cursor.error("Min-SE is not a number of seconds"))?;
    Params::take(cursor, |_| {})?;
    Ok(MinSE(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        assert_eq!(MinSE::parse(b" 3600 ;x=y"), Ok(MinSE(3600)));
        assert!(MinSE::parse(b"x").is_err());
    }
}
