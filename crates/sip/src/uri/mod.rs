//! SIP, SIPS and tel URIs, read in place (RFC 3261 §19.1, RFC 3966).

mod compare;
mod escape;
mod host;
mod parse;

pub use escape::{escape_header, escape_user, unescape};
pub use host::Host;

use std::borrow::Cow;

use crate::header::ParseError;

/// What kind of URI it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other scheme; nothing inside it is read.
    Other,
}

/// A URI over the bytes that it was read from. Nothing in it is unescaped yet.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme,
    /// The user of a SIP URI as it stands there; the number of a tel URI.
    pub user: Option<&'a [u8]>,
    /// The password after the user, as it stands there.
    pub password: Option<&'a [u8]>,
    /// The host; an empty name for tel and other URIs.
    pub host: Host<'a>,
    /// The port, when the URI states one.
    pub port: Option<u16>,
    /// The parameters with the semicolon before each; empty when there are none.
    pub params: &'a [u8],
    /// The headers after the question mark, without it; empty when there are none.
    pub headers: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a URI. Blanks around it are an error; take them off first.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Uri<'a>, ParseError> {
        parse::parse(raw)
    }

    /// The original bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// The scheme as it stands there, without the colon.
    pub fn scheme_name(&self) -> &'a [u8] {
        self.raw.split(|b| *b == b':').next().unwrap_or_default()
    }

    /// All after the scheme and its colon.
    pub fn opaque(&self) -> &'a [u8] {
        let skip = self.scheme_name().len() + 1;
        self.raw.get(skip..).unwrap_or_default()
    }

    /// Whether the scheme is sip or sips.
    pub const fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The parameters in their order, as they stand there.
    pub fn params(&self) -> UriParams<'a> {
        UriParams::new(self.params, b';')
    }

    /// The headers in their order, as they stand there.
    pub fn headers(&self) -> UriParams<'a> {
        UriParams::new(self.headers, b'&')
    }

    /// The value of a parameter, still escaped; the inner `None` when it has no `=`. The name
    /// compares without case and with escapes undone (`%6C%72` is `lr`).
    pub fn param(&self, name: &[u8]) -> Option<Option<&'a [u8]>> {
        if self.params.is_empty() {
            return None;
        }
        self.params()
            .find(|(n, _)| escape::same(n, name, true))
            .map(|(_, value)| value)
    }

    /// The value of a header inside the URI, still escaped; compared as in [`Uri::param`].
    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.headers()
            .find(|(n, _)| escape::same(n, name, true))
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether it has the `lr` parameter (RFC 3261 §16.12).
    pub fn is_loose_router(&self) -> bool {
        self.param(b"lr").is_some()
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&'a [u8]> {
        self.param(b"transport").flatten()
    }

    /// The `maddr` parameter: the address to contact instead of the host.
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.param(b"maddr").flatten()
    }

    /// The user with escapes undone; empty when there is none.
    pub fn user_unescaped(&self) -> Cow<'a, [u8]> {
        unescape(self.user.unwrap_or_default())
    }

    /// The port to use when nothing better is known: the stated one, else 5061 for sips and for
    /// `transport=tls`, else 5060 (RFC 3261 §19.1.2, RFC 3263 §4.2).
    pub fn port_or_default(&self) -> u16 {
        let secure = || {
            self.scheme == Scheme::Sips
                || self
                    .transport()
                    .is_some_and(|t| t.eq_ignore_ascii_case(b"tls"))
        };
        self.port
            .unwrap_or_else(|| if secure() { 5061 } else { 5060 })
    }

    /// Whether host and port are these, where no port is not the same as 5060.
    pub fn is_at(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        self.port == port && self.host == *host
    }

    /// Whether both mean the same by the rules of RFC 3261 §19.1.4, or RFC 3966 §4 for tel. The
    /// relation is not transitive. URIs with more than 64 parameters or headers are the same only
    /// when their bytes are.
    pub fn same_as(&self, other: &Uri<'_>) -> bool {
        compare::same(self, other)
    }

    /// The address of record in the one form that compares octet by octet (RFC 3261 §10.3): no
    /// password, no parameters, no headers, host in lower case, nothing escaped that need not be.
    /// The port stays. A tel URI loses its visual separators, another URI stays as it is.
    pub fn address_of_record(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len());
        match self.scheme {
            Scheme::Sip => out.extend_from_slice(b"sip:"),
            Scheme::Sips => out.extend_from_slice(b"sips:"),
            Scheme::Tel => {
                out.extend_from_slice(b"tel:");
                out.extend(compare::digits(self.user.unwrap_or_default()));
                return out;
            }
            Scheme::Other => return self.raw.to_vec(),
        }
        if let Some(user) = self.user {
            escape::normalise(user, &mut out);
            out.push(b'@');
        }
        self.host.write_canonical(&mut out);
        if let Some(port) = self.port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        out
    }
}

impl core::fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        String::from_utf8_lossy(self.raw).fmt(f)
    }
}

/// The `name=value` pairs of a URI's parameters or headers, as they stand there.
#[derive(Clone, Copy, Debug)]
pub struct UriParams<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> UriParams<'a> {
    fn new(raw: &'a [u8], separator: u8) -> UriParams<'a> {
        let rest = match raw {
            [first, rest @ ..] if *first == separator => rest,
            _ => raw,
        };
        UriParams { rest, separator }
    }
}

impl<'a> Iterator for UriParams<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (pair, rest) = split(self.rest, self.separator);
            self.rest = rest.unwrap_or_default();
            let (name, value) = split(pair, b'=');
            if !name.is_empty() {
                return Some((name, value));
            }
        }
        None
    }
}

fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == at) {
        Some(found) => (text.get(..found).unwrap_or_default(), text.get(found + 1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests;
