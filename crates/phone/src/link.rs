//! Links as they stand on web pages: `sip:` and `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966).
//!
//! Whoever wrote the page is a stranger. Nothing here dials: a link is read, made harmless, and shown to a person who
//! decides.

use std::borrow::Cow;
use std::fmt;

use sip::uri::{Uri, escape_user, unescape};

use crate::address::{self, AddressError};

/// The longest link that is read, in octets.
const MAX_OCTETS: usize = 1024;
/// The most digits of a telephone number; those of the whole world have 15 (E.164), and some prefixes come before them.
const MAX_DIGITS: usize = 40;
/// Headers in a link that do no harm and change nothing: they are passed over.
const HARMLESS: &[&str] = &["subject", "priority", "organization", "in-reply-to"];

/// A link that can be called once a person says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    to: To,
    /// What the call is about, as the page says.
    pub subject: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    /// A whole URI.
    Address(String),
    /// A number, and the parameters that belong to it in alphabetical order.
    Number { digits: String, params: String },
}

/// Reads a link.
///
/// # Errors
/// [`LinkError`]: it is no link of a telephone, or one that could do harm.
pub fn parse(text: &str) -> Result<Link, LinkError> {
    let text = text.trim();
    if text.len() > MAX_OCTETS {
        return Err(LinkError::new(
            text,
            format!("it is longer than {MAX_OCTETS} octets"),
        ));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(LinkError::new(text, "blanks may not stand in a link"));
    }
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    // Pages write sip://bob@example.org, as they know it from http.
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    match scheme.to_ascii_lowercase().as_str() {
        scheme @ ("sip" | "sips") => address_link(text, scheme, rest),
        "tel" => number_link(text, rest),
        _ => Err(LinkError::new(
            text,
            "only sip:, sips: and tel: links can be called",
        )),
    }
}

impl Link {
    /// The URI to call; a number is one of `domain`.
    ///
    /// # Errors
    /// When the domain does not fit into a URI.
    pub fn uri(&self, domain: &str) -> Result<String, AddressError> {
        match &self.to {
            To::Address(uri) => Ok(uri.clone()),
            // Parameters of the number become part of the user (RFC 3261 §19.1.6).
            To::Number { digits, params } => {
                let user = format!("{digits}{params}");
                address::target(&format!("sip:{user}@{domain};user=phone"), domain)
            }
        }
    }

    /// Whether it is a number, which means nothing without a domain.
    pub fn is_number(&self) -> bool {
        matches!(self.to, To::Number { .. })
    }
}

/// For a person to decide on: escapes undone where that shows no more than letters.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Address(uri) => {
                let uri = uri.split_once(':').map_or(uri.as_str(), |(_, rest)| rest);
                let (user, host) = uri.rsplit_once('@').unwrap_or(("", uri));
                let host = host.split(';').next().unwrap_or_default();
                if !user.is_empty() {
                    let shown = unescape(user.as_bytes());
                    let shown = String::from_utf8_lossy(&shown);
                    let shown = if shown.contains(['@', ':', ';']) || shown.chars().any(is_unseen) {
                        Cow::Borrowed(user)
                    } else {
                        shown
                    };
                    write!(f, "{shown}@")?;
                }
                f.write_str(host)
            }
            To::Number { digits, params } => write!(f, "{digits}{params}"),
        }
    }
}

/// Why a link cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError {
    link: String,
    why: String,
}

impl LinkError {
    fn new(link: &str, why: impl Into<String>) -> LinkError {
        LinkError {
            link: link.chars().take(80).collect(),
            why: why.into(),
        }
    }

    /// Without the link.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the link '{}' cannot be called: {}",
            self.link.escape_debug(),
            self.why
        )
    }
}

impl std::error::Error for LinkError {}

fn address_link(link: &str, scheme: &str, rest: &str) -> Result<Link, LinkError> {
    let wrong = |why: String| LinkError::new(link, why);
    let (address, headers) = match rest.split_once('?') {
        Some((address, headers)) => (address, headers),
        None => (rest, ""),
    };
    // Some programs escape the whole of what stands behind the scheme.
    let address = match address.contains('@') {
        true => Cow::Borrowed(address),
        false => Cow::Owned(address.replacen("%40", "@", 1)),
    };
    // Non-ASCII letters, which browsers show unescaped, are escaped again.
    let address = match address.rsplit_once('@') {
        Some((user, host)) => {
            let user = escape_letters(user);
            format!("{user}@{host}")
        }
        None => address.into_owned(),
    };
    if unescape(address.as_bytes())
        .iter()
        .any(|b| b.is_ascii_control())
    {
        return Err(wrong(
            "characters that nobody can see may not stand in it".to_owned(),
        ));
    }
    let uri = format!("{scheme}:{address}");
    let parsed = Uri::parse(uri.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    if parsed.password.is_some() {
        return Err(wrong("no password may stand in it".to_owned()));
    }
    for (name, value) in parsed.params() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = value.unwrap_or_default();
        match name.as_str() {
            // Both send the call to somebody else than the one it shows.
            "maddr" | "lr" => {
                return Err(wrong(format!("the parameter {name} would lead it astray")));
            }
            "method" if !value.eq_ignore_ascii_case(b"INVITE") => {
                return Err(wrong("it asks for something else than a call".to_owned()));
            }
            _ => {}
        }
    }
    let uri = without_method(&uri);
    let subject = subject(headers).map_err(wrong)?;
    // The same check as for what a person types.
    let uri = address::target(&uri, "invalid").map_err(|error| wrong(error.to_string()))?;
    Ok(Link {
        to: To::Address(uri),
        subject,
    })
}

/// `method=INVITE` and `ttl` say nothing and may not stand in a Request-URI (RFC 3261 §19.1.1, table 1).
fn without_method(uri: &str) -> String {
    // A user may have semicolons too.
    let host = uri.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = uri.split_at_checked(host).unwrap_or_default();
    let mut parts = host.split(';');
    let mut kept = format!("{user}{}", parts.next().unwrap_or_default());
    for part in parts {
        let name = part.split('=').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("method") && !name.eq_ignore_ascii_case("ttl") {
            kept.push(';');
            kept.push_str(part);
        }
    }
    kept
}

/// The subject among the headers. Any that could change the call is refused (RFC 3261 §19.1.5): one link could otherwise
/// give us another name, send the call another way, or add a body.
fn subject(headers: &str) -> Result<Option<String>, String> {
    let mut subject = None;
    for pair in headers.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = unescape(name.as_bytes());
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        if !HARMLESS.contains(&name.as_str()) {
            let name = name.escape_debug();
            return Err(format!("a page may not set the header {name} of our calls"));
        }
        if name == "subject" {
            let value = unescape(value.as_bytes());
            let text: String = String::from_utf8_lossy(&value)
                .chars()
                .filter(|c| !is_unseen(*c))
                .take(200)
                .collect();
            subject = Some(text).filter(|text| !text.trim().is_empty());
        }
    }
    Ok(subject)
}

fn number_link(link: &str, rest: &str) -> Result<Link, LinkError> {
    let wrong = |why: &str| LinkError::new(link, why);
    let text = unescape(rest.as_bytes());
    let text = std::str::from_utf8(&text).map_err(|_| wrong("it is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(wrong("characters that nobody can see may not stand in it"));
    }
    let mut parts = text.split(';');
    let digits = number(parts.next().unwrap_or_default())
        .ok_or_else(|| wrong("a number has digits, *, #, and + in front"))?;
    let mut params = Vec::new();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.to_ascii_lowercase().as_str() {
            "phone-context" => {
                let context = context(value)
                    .ok_or_else(|| wrong("phone-context has to be +digits or a domain"))?;
                params.push(format!(";phone-context={context}"));
            }
            "ext" => {
                let extension = number(value)
                    .filter(|e| !e.starts_with('+'))
                    .ok_or_else(|| wrong("ext has to be digits"))?;
                params.push(format!(";ext={extension}"));
            }
            // What else there is (isub, postd, tgrp, rn …) is for exchanges, and a page has no business with it.
            _ => {}
        }
    }
    params.sort();
    if params.len() > 2 {
        return Err(wrong("a parameter stands in it twice"));
    }
    Ok(Link {
        to: To::Number {
            digits,
            params: params.concat(),
        },
        subject: None,
    })
}

/// A telephone number without the marks that make it readable (RFC 3966 §5.1.1); `None` when it is none.
pub(crate) fn number(text: &str) -> Option<String> {
    let (plus, rest) = match text.strip_prefix('+') {
        Some(rest) => ("+", rest),
        None => ("", text),
    };
    let digits: String = rest
        .chars()
        .filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ' | '\u{a0}'))
        .collect();
    let is_digit = |c: char| c.is_ascii_digit() || (plus.is_empty() && matches!(c, '*' | '#'));
    let good = (1..=MAX_DIGITS).contains(&digits.len()) && digits.chars().all(is_digit);
    good.then(|| format!("{plus}{}", digits.replace('#', "%23")))
}

/// `+82-2` or `example.org`.
fn context(value: &str) -> Option<String> {
    if value.starts_with('+') {
        return number(value);
    }
    let good = !value.is_empty()
        && value.len() <= 255
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    good.then(|| value.to_ascii_lowercase())
}

/// Escapes what is not ASCII, and leaves what is escaped already.
fn escape_letters(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for c in user.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut octets = [0; 4];
            let escaped = escape_user(c.encode_utf8(&mut octets).as_bytes()).into_owned();
            out.push_str(&String::from_utf8_lossy(&escaped));
        }
    }
    out
}

/// Control characters, and those that turn the direction of writing or take no room.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_what_they_call() {
        for (text, uri, shown) in [
            (
                "sip:bob@example.org",
                "sip:bob@example.org",
                "bob@example.org",
            ),
            (
                "SIP:bob@Example.org;transport=tcp",
                "sip:bob@Example.org;transport=tcp",
                "bob@Example.org",
            ),
            (
                "sips:bob@example.org:5071",
                "sips:bob@example.org:5071",
                "bob@example.org:5071",
            ),
            (
                "sip://bob@example.org",
                "sip:bob@example.org",
                "bob@example.org",
            ),
            (
                "sip:bob%40example.org",
                "sip:bob@example.org",
                "bob@example.org",
            ),
            ("sip:b%20b@h", "sip:b%20b@h", "b b@h"),
            ("sip:밥@h", "sip:%EB%B0%A5@h", "밥@h"),
            ("sip:%EB%B0%A5@h", "sip:%EB%B0%A5@h", "밥@h"),
            ("sip:real@bank.example%40evil@h;method=INVITE", "", ""),
            (
                "sip:bank%40evil.example@h",
                "sip:bank%40evil.example@h",
                "bank%40evil.example@h",
            ),
            ("sip:x%e2%80%aey@h", "sip:x%e2%80%aey@h", "x%e2%80%aey@h"),
            (
                "sip:bob@h;method=invite;ttl=3;user=ip",
                "sip:bob@h;user=ip",
                "bob@h",
            ),
            (
                "sip:a;ttl=1;method=x@h;ttl=2",
                "sip:a;ttl=1;method=x@h",
                "a;ttl=1;method=x@h",
            ),
            ("sip:example.org", "sip:example.org", "example.org"),
            (
                "tel:+82-2-1234-5678",
                "sip:+82212345678@d;user=phone",
                "+82212345678",
            ),
            (
                "TEL://+1(201)555.0123",
                "sip:+12015550123@d;user=phone",
                "+12015550123",
            ),
            ("tel:%2B82%2010", "sip:+8210@d;user=phone", "+8210"),
            ("tel:110", "sip:110@d;user=phone", "110"),
            ("tel:*97%23", "sip:*97%23@d;user=phone", "*97%23"),
            (
                "tel:7042;phone-context=example.com;isub=1",
                "sip:7042;phone-context=example.com@d;user=phone",
                "7042;phone-context=example.com",
            ),
            (
                "tel:863-1234;phone-context=+1-914-555;ext=12",
                "sip:8631234;ext=12;phone-context=+1914555@d;user=phone",
                "8631234;ext=12;phone-context=+1914555",
            ),
        ] {
            if uri.is_empty() {
                assert!(parse(text).is_err(), "{text}");
                continue;
            }
            let link = parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(link.uri("d").as_deref(), Ok(uri), "{text}");
            assert_eq!(link.to_string(), shown, "{text}");
            assert_eq!(
                link.is_number(),
                text.to_ascii_lowercase().starts_with("tel:")
            );
        }
    }

    #[test]
    fn links_that_are_none_or_could_do_harm() {
        for (text, says) in [
            ("", "only sip:"),
            ("bob", "only sip:"),
            ("http://example.org", "only sip:"),
            ("javascript:alert(1)", "only sip:"),
            ("sip:", "cannot be called"),
            ("sip:@h", "cannot be called"),
            ("sip:bob@", "cannot be called"),
            ("sip:bob:s3cret@h", "no password"),
            ("sip:bob@h;maddr=192.0.2.1", "maddr"),
            ("sip:bob@h;lr", "lr would lead it astray"),
            ("sip:bob@h;method=REGISTER", "something else than a call"),
            ("sip:bob@h?From=sip:boss@h", "the header from"),
            ("sip:bob@h?Route=%3Csip:evil%3E", "the header route"),
            ("sip:bob@h?subject=hi&%52oute=x", "the header route"),
            ("sip:bob@h?body=x", "the header body"),
            ("sip:bob@h?Replaces=1%3Bto-tag=2", "the header replaces"),
            ("sip:bob@h?x%0d%0ay=1", "the header x\\r\\ny"),
            ("sip:b%0d%0aVia:x@h", "nobody can see"),
            ("sip:b%00@h", "nobody can see"),
            ("sip:a b@h", "blanks"),
            ("sip:<bob@h>", "cannot be called"),
            ("tel:", "digits"),
            ("tel:+", "digits"),
            ("tel:+82x", "digits"),
            ("tel:+82*1", "digits"),
            ("tel:bob@example.org", "digits"),
            ("tel:1;phone-context=a@b", "phone-context"),
            ("tel:1;phone-context=", "phone-context"),
            ("tel:1;ext=+1", "ext"),
            ("tel:1;ext=1;ext=2;ext=3", "twice"),
            ("tel:1%0a", "nobody can see"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(
                error.chars().count() < 250 && !error.contains('\r'),
                "{error}"
            );
        }
        assert!(parse(&format!("sip:{}@h", "b".repeat(2000))).is_err());
        assert!(parse(&format!("tel:{}", "1".repeat(41))).is_err());
        let link = parse("sip:bob@h").unwrap();
        assert!(link.uri("any").is_ok());
        let link = parse("tel:1").unwrap();
        assert!(link.uri("a b").is_err(), "a domain that is none");
    }

    #[test]
    fn a_subject_is_kept_for_the_person() {
        let link = parse("sip:bob@h?subject=%EA%B0%80%20x%0d%0aVia:%20y&priority=urgent").unwrap();
        assert_eq!(link.subject.as_deref(), Some("가 xVia: y"));
        assert_eq!(
            link.uri("d").as_deref(),
            Ok("sip:bob@h"),
            "and never goes into the URI"
        );
        assert_eq!(parse("sip:bob@h?subject=%20").unwrap().subject, None);
    }
}
