//! Session-Expires (RFC 4028 §4).

use super::cursor::{Cursor, TOKEN, decimal32};
use super::list::only;
use super::{Params, ParseError};

/// Who refreshes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The side that sent the request.
    Uac,
    /// The side that answered it.
    Uas,
}

/// How long a session lasts without a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// Who refreshes; `None` when that is still open.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Reads the value; an unknown refresher counts as none.
    pub fn parse(value: &[u8]) -> Result<SessionExpires, ParseError> {
        only(value, take)
    }
}

impl core::fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let refresher = match self.refresher {
            Some(Refresher::Uac) => ";refresher=uac",
            Some(Refresher::Uas) => ";refresher=uas",
            None => "",
        };
        write!(f, "{}{refresher}", self.seconds)
    }
}

fn take(cursor: &mut Cursor<'_>) -> Result<SessionExpires, ParseError> {
    let seconds = decimal32(cursor.take(TOKEN))
        .ok_or_else(|| cursor.error("Session-Expires is not a number of seconds"))?;
    let params = Params::take(cursor, |_| {})?;
    let refresher = match params.value(b"refresher").flatten() {
        Some(who) if who.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
        Some(who) if who.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
        _ => None,
    };
    Ok(SessionExpires { seconds, refresher })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["1800;refresher=uac", "1800;refresher=uas", "90"] {
            let value = SessionExpires::parse(text.as_bytes()).unwrap();
            assert_eq!(value.to_string(), text);
        }
        let odd = SessionExpires::parse(b"90 ; Refresher = UAS").unwrap();
        assert_eq!(odd.refresher, Some(Refresher::Uas));
        assert!(SessionExpires::parse(b"x;refresher=uac").is_err());
    }
}
