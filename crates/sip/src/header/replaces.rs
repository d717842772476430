//! Replaces (RFC 3891 §6.1) and Join (RFC 3911 §7.1), which have the same form.

use super::cursor::{Cursor, WORD};
use super::list::only;
use super::{Params, ParseError};

/// The dialog that a new one replaces.
#[derive(Clone, Copy, Debug)]
pub struct Replaces<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// The tag of the one who receives this header.
    pub to_tag: &'a [u8],
    /// The tag of the other side.
    pub from_tag: &'a [u8],
    /// Whether only a dialog that is not yet confirmed may be replaced.
    pub early_only: bool,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Replaces<'a> {
    /// Reads the value; both tags must be there.
    pub fn parse(value: &'a [u8]) -> Result<Replaces<'a>, ParseError> {
        only(value, take)
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Replaces<'a>, ParseError> {
    let call_id = cursor.take(WORD);
    if call_id.is_empty() {
        return Err(cursor.error("Replaces without a Call-ID"));
    }
    let params = Params::take(cursor, |_| {})?;
    let tag = |name: &[u8]| params.value(name).flatten();
    let (Some(to_tag), Some(from_tag)) = (tag(b"to-tag"), tag(b"from-tag")) else {
        return Err(cursor.error("Replaces without both tags"));
    };
    Ok(Replaces {
        call_id,
        to_tag,
        from_tag,
        early_only: params.has(b"early-only"),
        params,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tags_are_needed() {
        let value = b"98732@sip.example.com\r\n ;from-tag=r33th4x0r ;to-tag=ff87ff;early-only";
        let replaces = Replaces::parse(value).unwrap();
        assert_eq!(replaces.call_id, b"98732@sip.example.com");
        assert_eq!(
            (replaces.to_tag, replaces.from_tag),
            (&b"ff87ff"[..], &b"r33th4x0r"[..])
        );
        assert!(replaces.early_only);
        for bad in [
            &b""[..],
            b"a",
            b"a;to-tag=1",
            b"a;from-tag=1",
            b"a;to-tag;from-tag=1",
        ] {
            assert!(Replaces::parse(bad).is_err());
        }
    }
}
