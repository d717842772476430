//! Warning (RFC 3261 §20.43).

use std::borrow::Cow;

use super::ParseError;
use super::cursor::{Cursor, TOKEN, VALUE, decimal32, trim};
use super::list::List;
use super::params::unquote;

/// More about the status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// Three digits.
    pub code: u16,
    /// The host or the name of the server that adds it.
    pub agent: &'a [u8],
    /// What a person may read, with its quotes if it has them; RFC 2543 peers leave them out.
    pub text: &'a [u8],
}

impl<'a> Warning<'a> {
    /// Reads all values of a header line.
    pub fn parse_list(value: &'a [u8]) -> List<'a, Warning<'a>> {
        List::new(value, take)
    }

    /// The text without quotes.
    pub fn text_unquoted(&self) -> Cow<'a, [u8]> {
        unquote(self.text)
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Warning<'a>, ParseError> {
    let digits = cursor.take(TOKEN);
    let code = decimal32(digits)
        .filter(|_| digits.len() == 3)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| cursor.error("Warning: the code has not three digits"))?;
    cursor.skip_ws();
    let agent = cursor.take(VALUE);
    cursor.skip_ws();
    let text = if cursor.peek() == Some(b'"') {
        cursor.quoted()?
    } else {
        let rest = cursor.rest();
        let len = memchr::memchr2(b',', b'"', rest).unwrap_or(rest.len());
        cursor.skip(len);
        trim(rest.get(..len).unwrap_or_default())
    };
    if agent.is_empty() || text.is_empty() {
        return Err(cursor.error("Warning without an agent or a text"));
    }
    Ok(Warning { code, agent, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_agent_and_text() {
        let value = b"301 isi.edu:5060 \"No \\\"E.164\\\", sorry\" , 399 x \"y\"";
        let list: Vec<_> = Warning::parse_list(value).map(Result::unwrap).collect();
        assert_eq!((list[0].code, list[0].agent), (301, &b"isi.edu:5060"[..]));
        assert_eq!(&*list[0].text_unquoted(), b"No \"E.164\", sorry");
        assert_eq!(list[1].code, 399);
        let bare: Vec<_> = Warning::parse_list(b"330 a.example No IPv6 , 399 b x")
            .map(Result::unwrap)
            .collect();
        assert_eq!((bare[0].text, bare[1].text), (&b"No IPv6"[..], &b"x"[..]));
        for bad in [
            "1812 a \"x\"",
            "39 a \"x\"",
            "399 \"x\"",
            "399 a",
            "399 a x\"",
            "399 a \"x",
        ] {
            assert!(Warning::parse_list(bad.as_bytes()).next().unwrap().is_err());
        }
    }
}
