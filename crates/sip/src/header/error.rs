//! What is wrong with a value.

/// Why a header value or a URI cannot be read: what was found and how many octets into the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong, for a person.
    pub what: &'static str,
    /// How far into the value.
    pub offset: usize,
}

impl ParseError {
    #[cold]
    pub(crate) const fn new(what: &'static str, offset: usize) -> ParseError {
        ParseError { what, offset }
    }

    /// The same error seen from a value in which this one starts at `base`.
    #[cold]
    pub(crate) const fn moved(self, base: usize) -> ParseError {
        ParseError {
            what: self.what,
            offset: self.offset.saturating_add(base),
        }
    }
}

impl core::fmt::Display for ParseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}, at octet {}", self.what, self.offset)
    }
}

impl std::error::Error for ParseError {}
