//! Content-Type (RFC 3261 §20.15).

use super::cursor::{Cursor, TOKEN};
use super::list::only;
use super::{Params, ParseError};

/// What the body is.
#[derive(Clone, Copy, Debug)]
pub struct ContentType<'a> {
    /// The type, `application` for example, in its own case.
    pub kind: &'a [u8],
    /// The subtype, `sdp` for example, in its own case.
    pub subtype: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<ContentType<'a>, ParseError> {
        only(value, ContentType::take)
    }

    /// Whether type and subtype are these, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    pub(super) fn take(cursor: &mut Cursor<'a>) -> Result<ContentType<'a>, ParseError> {
        let kind = cursor.token("media type without a type")?;
        if !cursor.eat_spaced(b'/') {
            return Err(cursor.error("media type without a slash"));
        }
        let subtype = cursor.take(TOKEN);
        if subtype.is_empty() {
            return Err(cursor.error("media type without a subtype"));
        }
        let params = Params::take(cursor, |_| {})?;
        Ok(ContentType {
            kind,
            subtype,
            params,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_subtype_and_parameters() {
        let mixed = ContentType::parse(b" Multipart / mixed ;\r\n boundary=\"a;b\"").unwrap();
        assert!(mixed.is("multipart", "MIXED") && !mixed.is("multipart", "x"));
        assert_eq!(mixed.params.text(b"Boundary").as_deref(), Some(&b"a;b"[..]));
        for bad in [
            &b""[..],
            b"text",
            b"text/",
            b"/plain",
            b"text/plain x",
            b"a/b, c/d",
        ] {
            assert!(ContentType::parse(bad).is_err());
        }
    }
}
