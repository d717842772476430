//! Refer-To (RFC 3515 §2.1).

use std::borrow::Cow;

use super::{NameAddr, ParseError};
use crate::uri::unescape;

/// Whom a REFER asks to contact.
#[derive(Clone, Copy, Debug)]
pub struct ReferTo<'a>(pub NameAddr<'a>);

impl<'a> ReferTo<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<ReferTo<'a>, ParseError> {
        NameAddr::parse(value).map(ReferTo)
    }

    /// The method to use; INVITE when the URI names none.
    pub fn method(&self) -> Cow<'a, [u8]> {
        let method = self.0.uri.param(b"method").flatten();
        unescape(method.unwrap_or(b"INVITE"))
    }

    /// The Replaces value inside the URI, unescaped and ready for [`super::Replaces::parse`].
    pub fn replaces(&self) -> Option<Cow<'a, [u8]>> {
        self.0.uri.header(b"Replaces").map(unescape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Replaces;

    #[test]
    fn replaces_is_unescaped() {
        let refer = ReferTo::parse(
            b"<sips:a8342043f@atlanta.example.com?Replaces=12345601%40at.example.com%3Bfrom-tag%3D314159%3Bto-tag%3D1234567>",
        )
        .unwrap();
        let replaces = refer.replaces().unwrap();
        let replaces = Replaces::parse(&replaces).unwrap();
        assert_eq!(replaces.call_id, b"12345601@at.example.com");
        assert_eq!(&*refer.method(), b"INVITE");
        let other = ReferTo::parse(b"<sip:a@b;method=SUBSCRIBE>").unwrap();
        assert_eq!(&*other.method(), b"SUBSCRIBE");
        assert_eq!(other.replaces(), None);
    }
}
