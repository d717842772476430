//! Reason (RFC 3326).

use std::borrow::Cow;

use super::cursor::{Cursor, decimal32};
use super::list::List;
use super::{Params, ParseError};

/// Why a request was sent, a BYE or CANCEL for example.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// `SIP`, `Q.850` or another protocol whose numbers `cause` counts by.
    pub protocol: &'a [u8],
    /// The status code or cause.
    pub cause: Option<u32>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Reason<'a> {
    /// Reads all values of a header line.
    pub fn parse_list(value: &'a [u8]) -> List<'a, Reason<'a>> {
        List::new(value, take)
    }

    /// What a person may read.
    pub fn text(&self) -> Option<Cow<'a, [u8]>> {
        self.params.text(b"text")
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Reason<'a>, ParseError> {
    let protocol = cursor.token("Reason without a protocol")?;
    let params = Params::take(cursor, |_| {})?;
    Ok(Reason {
        protocol,
        cause: params.value(b"cause").flatten().and_then(decimal32),
        params,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_cause_and_text() {
        let value = b"Q.850 ;cause=16 ;text=\"Normal, call clearing\", SIP;cause=200";
        let list: Vec<_> = Reason::parse_list(value).map(Result::unwrap).collect();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].protocol, list[0].cause), (&b"Q.850"[..], Some(16)));
        assert_eq!(
            list[0].text().as_deref(),
            Some(&b"Normal, call clearing"[..])
        );
        assert_eq!(list[1].cause, Some(200));
        assert!(Reason::parse_list(b"").next().unwrap().is_err());
        assert!(Reason::parse_list(b"SIP,").any(|r| r.is_err()));
    }
}
