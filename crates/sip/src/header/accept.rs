//! Accept (RFC 3261 §20.1).

use super::cursor::Cursor;
use super::list::List;
use super::q::q_value;
use super::{ContentType, ParseError};

/// A range of media types that the sender takes; `*` may stand for type or subtype.
#[derive(Clone, Copy, Debug)]
pub struct MediaRange<'a> {
    /// The range and its parameters.
    pub range: ContentType<'a>,
    /// The preference in thousandths; 1000 when nothing is said.
    pub q: u16,
}

impl<'a> MediaRange<'a> {
    /// Reads all values of an Accept line; an empty one takes nothing.
    pub fn parse_list(value: &'a [u8]) -> impl Iterator<Item = Result<MediaRange<'a>, ParseError>> {
        let empty = super::cursor::trim(value).is_empty();
        List::new(value, take).take(if empty { 0 } else { usize::MAX })
    }

    /// Whether this media type is within the range.
    pub fn contains(&self, kind: &str, subtype: &str) -> bool {
        let fits =
            |range: &[u8], text: &str| range == b"*" || range.eq_ignore_ascii_case(text.as_bytes());
        self.q > 0 && fits(self.range.kind, kind) && fits(self.range.subtype, subtype)
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<MediaRange<'a>, ParseError> {
    let range = ContentType::take(cursor)?;
    let q = range.params.value(b"q").flatten().and_then(q_value);
    Ok(MediaRange {
        range,
        q: q.unwrap_or(1000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let value = b"application/sdp;level=1, application/x-private;q=0, text/*;q=0.5";
        let list: Vec<_> = MediaRange::parse_list(value).map(Result::unwrap).collect();
        assert_eq!(list.iter().map(|r| r.q).collect::<Vec<_>>(), [1000, 0, 500]);
        assert!(list[0].contains("application", "SDP") && !list[0].contains("application", "x"));
        assert!(!list[1].contains("application", "x-private"));
        assert!(list[2].contains("text", "plain"));
        assert_eq!(MediaRange::parse_list(b" ").count(), 0);
        assert!(MediaRange::parse_list(b"text").next().unwrap().is_err());
    }
}
