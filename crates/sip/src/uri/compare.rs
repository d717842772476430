//! When two URIs are the same (RFC 3261 §19.1.4, RFC 3966 §4).

use super::{Scheme, Uri, UriParams, escape};

/// Each parameter is looked up among all others, so their number needs a bound.
const MAX_PARAMS: usize = 64;

/// Parameters that make a difference when only one URI has them. The text of §19.1.4 names the
/// first four, its examples add `transport`.
const NEVER_IGNORED: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];

pub(super) fn same(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    if a.scheme != b.scheme {
        return false;
    }
    if a.as_bytes() == b.as_bytes() {
        return true;
    }
    let too_many = |params: UriParams<'_>| params.take(MAX_PARAMS + 1).count() > MAX_PARAMS;
    let all = [a.params(), b.params(), a.headers(), b.headers()];
    if all.into_iter().any(too_many) {
        return false;
    }
    match a.scheme {
        Scheme::Sip | Scheme::Sips => {
            same_part(a.user, b.user)
                && same_part(a.password, b.password)
                && a.port == b.port
                && a.host == b.host
                && same_params(a, b)
                && same_params(b, a)
                && same_headers(a, b)
                && same_headers(b, a)
        }
        Scheme::Tel => {
            digits(a.user.unwrap_or_default()).eq(digits(b.user.unwrap_or_default()))
                && same_tel_params(a, b)
                && same_tel_params(b, a)
        }
        Scheme::Other => {
            a.scheme_name().eq_ignore_ascii_case(b.scheme_name()) && a.opaque() == b.opaque()
        }
    }
}

/// The number without its visual separators, letters in lower case.
pub(super) fn digits(number: &[u8]) -> impl Iterator<Item = u8> {
    number
        .iter()
        .filter(|b| !is_separator(**b))
        .map(u8::to_ascii_lowercase)
}

/// What a reader of a number sees but a telephone does not (RFC 3966 §3, `visual-separator`).
pub(super) const fn is_separator(b: u8) -> bool {
    matches!(b, b'-' | b'.' | b'(' | b')')
}

fn same_part(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => escape::same(a, b, false),
        (None, None) => true,
        _ => false,
    }
}

fn same_value(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => escape::same(a, b, true),
        (None, None) => true,
        _ => false,
    }
}

fn same_params(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.params().all(|(name, value)| match b.param(name) {
        Some(other) => same_value(value, other),
        None => !NEVER_IGNORED.iter().any(|n| escape::same(name, n, true)),
    })
}

fn same_headers(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.headers().all(|(name, value)| {
        b.header(name)
            .is_some_and(|other| escape::same(value.unwrap_or_default(), other, false))
    })
}

fn same_tel_params(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    a.params().all(|(name, value)| {
        let Some(other) = b.param(name) else {
            return false;
        };
        let numeric = [&b"ext"[..], b"isub", b"phone-context"]
            .iter()
            .any(|n| escape::same(name, n, true));
        match (value, other) {
            (Some(v), Some(o)) if numeric && !v.contains(&b'%') && !o.contains(&b'%') => {
                // A domain in phone-context keeps its dots and hyphens.
                let domain = |t: &[u8]| t.iter().any(u8::is_ascii_alphabetic);
                if domain(v) || domain(o) {
                    v.eq_ignore_ascii_case(o)
                } else {
                    digits(v).eq(digits(o))
                }
            }
            _ => same_value(value, other),
        }
    })
}
