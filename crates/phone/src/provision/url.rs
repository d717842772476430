//! Where a document is.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The longest URL that is taken, in octets.
const MAX_OCTETS: usize = 2048;

/// An `http:` or `https:` URL. It may hold a token that nobody else should see, so that `Display` and `Debug` show
/// neither its query nor its fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    whole: String,
    is_secure: bool,
}

impl Url {
    /// All of it, for the request alone.
    pub(super) fn whole(&self) -> &str {
        &self.whole
    }

    /// Whether it is fetched over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether the document travels in the clear over a network.
    pub(super) fn is_readable_on_the_way(&self) -> bool {
        let host = authority(&self.whole);
        let host = host.strip_prefix('[').map_or_else(
            || host.split(':').next().unwrap_or_default(),
            |v6| v6.split(']').next().unwrap_or_default(),
        );
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        !self.is_secure && !is_here
    }

    /// A name for it that tells nothing about it, in hexadecimal.
    pub(super) fn digest(&self) -> String {
        hexadecimal(&Sha256::digest(self.whole.as_bytes()))
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Url, UrlError> {
        let whole = text.trim();
        // The fragment is for who reads the document, never for who sends it (RFC 9110 §4.2.5).
        let whole = whole.split('#').next().unwrap_or_default();
        let (scheme, _) = whole.split_once("://").unwrap_or_default();
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError(
                "it has to begin with https:// or http://".to_owned(),
            ));
        }
        if whole.len() > MAX_OCTETS {
            return Err(UrlError(format!("it is longer than {MAX_OCTETS} octets")));
        }
        if !whole.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(UrlError(
                "blanks and other than ASCII characters have to be escaped, as in %20".to_owned(),
            ));
        }
        let authority = authority(whole);
        if authority.contains('@') {
            return Err(UrlError(
                "no user name or password may stand in it; if the server needs one, put a token behind '?'"
                    .to_owned(),
            ));
        }
        if authority.is_empty() || authority.starts_with(':') {
            return Err(UrlError("it names no host".to_owned()));
        }
        Ok(Url {
            whole: whole.to_owned(),
            is_secure,
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole.split_once('?') {
            Some((shown, _)) => write!(f, "{shown}?..."),
            None => f.write_str(&self.whole),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Why a URL cannot be used. It does not repeat the URL, in which a secret may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this URL cannot be used: {}", self.0)
    }
}

impl std::error::Error for UrlError {}

/// Host and port, with what may stand before them.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

pub(super) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_url_and_what_of_it_is_shown() {
        for (text, shown) in [
            ("http://h", "http://h"),
            (
                "https://h:8443/a/b.xml?token=s3cret#x",
                "https://h:8443/a/b.xml?...",
            ),
            ("HTTPS://h/?s3cret", "HTTPS://h/?..."),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("s3cret"));
        }
        for bad in [
            "",
            "h/x.xml",
            "ftp://h/x",
            "file:///etc/passwd",
            "https://",
            "https://:80/",
            "https:///x",
            "https://me:s3cret@h/x",
            "http://h/a b",
            "http://h/\r\nX: y",
            "http://h/한",
        ] {
            let error = bad.parse::<Url>().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        let long = format!("http://h/{}", "x".repeat(MAX_OCTETS));
        assert!(long.parse::<Url>().is_err());
    }

    #[test]
    fn only_this_machine_is_safe_without_tls() {
        for (text, readable) in [
            ("http://example.org/x", true),
            ("https://example.org/x", false),
            ("http://127.0.0.1:80/x", false),
            ("http://localhost/x", false),
            ("http://[::1]:8080/x", false),
            ("http://[2001:db8::1]/x", true),
            ("http://127.0.0.1.example.org/x", true),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.is_readable_on_the_way(), readable, "{text}");
        }
    }

    #[test]
    fn each_url_has_a_name_of_its_own() {
        let digest = |text: &str| text.parse::<Url>().unwrap().digest();
        assert_eq!(digest("http://h/a").len(), 64);
        assert_ne!(digest("http://h/a"), digest("http://h/b"));
    }
}
