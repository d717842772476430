//! A place in a value, and the sets of octets of RFC 3261 §25.1.

use super::ParseError;

/// May stand in a token.
pub(crate) const TOKEN: u8 = 1;
/// May stand in a host name or an IPv4 address; the underscore is not legal but common.
pub(crate) const HOST: u8 = 2;
/// May stand in the userinfo of a URI, with the `#`, `\`, `^`, `|` and UTF-8 that phones leave unescaped.
pub(crate) const USER: u8 = 4;
/// May stand in an unquoted parameter value.
pub(crate) const VALUE: u8 = 8;
/// May stand after the host of a URI, but for the question mark.
pub(crate) const URI: u8 = 16;
/// May stand in a Call-ID's word.
pub(crate) const WORD: u8 = 32;

const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let plain = b.is_ascii_alphanumeric();
        let token = plain || one_of(b, b"-.!%*_+`'~");
        let mut class = 0;
        if token {
            class |= TOKEN;
        }
        if plain || one_of(b, b"-._") {
            class |= HOST;
        }
        if plain || one_of(b, b"-_.!~*'()%&=+$,;?/:#\\^|{}`") || b >= 0x80 {
            class |= USER;
        }
        if b > b' ' && b != 0x7f && !one_of(b, b";,\"<>") {
            class |= VALUE;
        }
        if b > b' ' && b != 0x7f && !one_of(b, b"<>?") {
            class |= URI;
        }
        if token || one_of(b, b"()<>:\\\"/[]?{}@") {
            class |= WORD;
        }
        table[i] = class;
        i += 1;
    }
    table
};

const fn one_of(b: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == b {
            return true;
        }
        i += 1;
    }
    false
}

#[inline]
pub(crate) fn is(b: u8, class: u8) -> bool {
    CLASS[usize::from(b)] & class != 0
}

/// How many octets of the class the text starts with. Four at a time: this loop is where the
/// reading of headers spends its time.
#[inline]
pub(crate) fn prefix(text: &[u8], class: u8) -> usize {
    let (fours, rest) = text.as_chunks::<4>();
    let mut len = 0;
    for [a, b, c, d] in fours {
        if !is(*a, class) {
            return len;
        }
        if !is(*b, class) {
            return len + 1;
        }
        if !is(*c, class) {
            return len + 2;
        }
        if !is(*d, class) {
            return len + 3;
        }
        len += 4;
    }
    len + rest.iter().take_while(|b| is(**b, class)).count()
}

/// Whether all octets are of the class and there is at least one.
pub(crate) fn all(bytes: &[u8], class: u8) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is(*b, class))
}

/// White space; a fold (CRLF and a blank) is white space too (RFC 3261 §7.3.1).
#[inline]
pub(crate) const fn is_ws(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// The value without white space and folds around it.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_ws(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_ws(*last)
    {
        bytes = rest;
    }
    bytes
}

/// A decimal number: digits only, at least one, within 64 bits.
#[inline]
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    // Nineteen digits fit whatever they are; only longer numbers need care.
    let short = digits.len() <= 19;
    let mut n = 0u64;
    for b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = if short {
            n.wrapping_mul(10).wrapping_add(u64::from(digit))
        } else {
            n.checked_mul(10)?.checked_add(u64::from(digit))?
        };
    }
    (!digits.is_empty()).then_some(n)
}

/// A decimal number within 32 bits.
pub(crate) fn decimal32(digits: &[u8]) -> Option<u32> {
    decimal(digits).and_then(|n| u32::try_from(n).ok())
}

/// A place in a value that moves forwards only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn is_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// What lies between an earlier place and this one.
    #[inline]
    pub(crate) fn since(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    /// Moves on; never beyond the end.
    #[inline]
    pub(crate) fn skip(&mut self, octets: usize) {
        self.at = self.at.saturating_add(octets).min(self.bytes.len());
    }

    #[inline]
    pub(crate) fn skip_ws(&mut self) {
        while let Some(b) = self.peek()
            && is_ws(b)
        {
            self.at += 1;
        }
    }

    #[inline]
    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    /// Takes the octet with white space on both sides; nothing is taken when it is not there.
    pub(crate) fn eat_spaced(&mut self, octet: u8) -> bool {
        let mut ahead = *self;
        ahead.skip_ws();
        if !ahead.eat(octet) {
            return false;
        }
        ahead.skip_ws();
        *self = ahead;
        true
    }

    /// Takes as many octets of the class as there are.
    #[inline]
    pub(crate) fn take(&mut self, class: u8) -> &'a [u8] {
        let rest = self.rest();
        let len = prefix(rest, class);
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Takes a token, or fails with `what`.
    pub(crate) fn token(&mut self, what: &'static str) -> Result<&'a [u8], ParseError> {
        let token = self.take(TOKEN);
        if token.is_empty() {
            return Err(self.error(what));
        }
        Ok(token)
    }

    /// Takes a quoted string with its quotes; the cursor stands on the opening one.
    pub(crate) fn quoted(&mut self) -> Result<&'a [u8], ParseError> {
        let from = self.at;
        self.skip(1);
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', self.rest()) else {
                return Err(ParseError::new("a quote is never closed", from));
            };
            self.skip(found);
            if self.eat(b'"') {
                return Ok(self.since(from));
            }
            self.skip(2);
        }
    }

    /// Takes comments in parentheses, with the white space around them (RFC 3261 §25.1).
    pub(crate) fn comments(&mut self) -> Result<(), ParseError> {
        self.skip_ws();
        while self.peek() == Some(b'(') {
            let from = self.at;
            let mut depth = 0usize;
            loop {
                match self.peek() {
                    None => return Err(ParseError::new("a comment is never closed", from)),
                    Some(b'(') => depth += 1,
                    Some(b')') => depth -= 1,
                    Some(b'\\') => self.at += 1,
                    Some(_) => {}
                }
                self.skip(1);
                if depth == 0 {
                    break;
                }
            }
            self.skip_ws();
        }
        Ok(())
    }

    /// Ends one value of a list: true when a comma and another value follow.
    pub(crate) fn end_of_value(&mut self) -> Result<bool, ParseError> {
        self.skip_ws();
        match self.peek() {
            None => Ok(false),
            Some(b',') => {
                self.skip(1);
                self.skip_ws();
                if self.is_end() {
                    return Err(self.error("nothing follows the comma"));
                }
                Ok(true)
            }
            Some(_) => Err(self.error("unexpected text after the value")),
        }
    }

    /// Fails unless only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        self.skip_ws();
        if self.is_end() {
            Ok(())
        } else {
            Err(self.error("unexpected text after the value"))
        }
    }

    #[cold]
    pub(crate) const fn error(&self, what: &'static str) -> ParseError {
        ParseError::new(what, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_only_and_never_wrap() {
        assert_eq!(decimal(b"0009"), Some(9));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [&b""[..], b"+1", b"-1", b"1 ", b"18446744073709551616"] {
            assert_eq!(decimal(bad), None);
        }
        assert_eq!(decimal32(b"4294967296"), None);
    }

    #[test]
    fn the_prefix_of_a_class_ends_where_it_should() {
        for len in 0..20 {
            for tail in [&b""[..], b" ", b" aaaaa", b";;;;;"] {
                let text = [&b"a".repeat(len)[..], tail].concat();
                let mut cursor = Cursor::new(&text, 0);
                assert_eq!(cursor.take(TOKEN).len(), len);
                assert_eq!(cursor.rest(), tail);
            }
        }
    }

    #[test]
    fn comments_nest_and_must_close() {
        let mut cursor = Cursor::new(b" (a (b) \\) c) (d)\r\n x", 0);
        cursor.comments().unwrap();
        assert_eq!(cursor.rest(), b"x");
        assert!(Cursor::new(b"((a)", 0).comments().is_err());
        assert!(Cursor::new(b"(a\\", 0).comments().is_err());
    }

    #[test]
    fn quotes_end_at_the_first_quote_without_a_backslash() {
        let mut cursor = Cursor::new(br#""a\"b\\" c"#, 0);
        assert_eq!(cursor.quoted(), Ok(&br#""a\"b\\""#[..]));
        assert_eq!(cursor.rest(), b" c");
        assert!(Cursor::new(br#""a\""#, 0).quoted().is_err());
        assert!(Cursor::new(b"\"a\\", 0).quoted().is_err());
    }
}
