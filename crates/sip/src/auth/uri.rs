//! Whether the `uri` of credentials and the Request-URI mean the same resource (RFC 7616 §3.4.6).

/// How the `uri` of credentials agrees with the Request-URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriMatch {
    /// The same octets.
    Exact,
    /// The same scheme, user, host and port; parameters, headers or letter case differ.
    Equivalent,
    /// The same user, at two of our own names.
    Ours,
    /// Another resource, let pass because the rule does not look.
    Ignored,
}

/// Compares; `ours` says whether a host (a name in any case, or an address) is this server.
/// `None` when they mean different things.
///
/// Clients write the domain where the Request-URI has the address or the other way round, add or omit the default
/// port, and leave parameters out: all that is let pass. The user part is never: it says who is called, and the
/// digest is what keeps somebody on the way from changing it.
pub(super) fn compare(
    claimed: &[u8],
    requested: &[u8],
    ours: impl Fn(&[u8]) -> bool,
) -> Option<UriMatch> {
    if claimed == requested {
        return Some(UriMatch::Exact);
    }
    let (a, b) = (parts(claimed)?, parts(requested)?);
    if a.user != b.user {
        return None;
    }
    let same = a.scheme.eq_ignore_ascii_case(b.scheme)
        && a.host.eq_ignore_ascii_case(b.host)
        && a.port == b.port;
    if same {
        return Some(UriMatch::Equivalent);
    }
    let sip =
        |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips");
    (sip(a.scheme) && sip(b.scheme) && ours(a.host) && ours(b.host)).then_some(UriMatch::Ours)
}

struct Parts<'a> {
    scheme: &'a [u8],
    user: &'a [u8],
    host: &'a [u8],
    port: &'a [u8],
}

fn parts(uri: &[u8]) -> Option<Parts<'_>> {
    let uri = uri.strip_prefix(b"<").unwrap_or(uri);
    let uri = uri.strip_suffix(b">").unwrap_or(uri);
    let (scheme, rest) = split_once(uri, b':')?;
    let default: &[u8] = match scheme {
        s if s.eq_ignore_ascii_case(b"sip") => b"5060",
        s if s.eq_ignore_ascii_case(b"sips") => b"5061",
        _ => b"",
    };
    // A user part may contain ';' and '?', so it goes first.
    let (user, rest) = match rest.iter().rposition(|&b| b == b'@') {
        Some(at) => (rest.get(..at)?, rest.get(at.checked_add(1)?..)?),
        None => (&b""[..], rest),
    };
    let end = rest.iter().position(|b| matches!(b, b';' | b'?'));
    let place = rest.get(..end.unwrap_or(rest.len()))?;
    let port_at = match place.iter().rposition(|&b| b == b']') {
        Some(bracket) => place.get(bracket..)?.contains(&b':').then_some(bracket + 1),
        None => place.iter().position(|&b| b == b':'),
    };
    let (host, port) = match port_at {
        Some(at) => (place.get(..at)?, place.get(at.checked_add(1)?..)?),
        None => (place, default),
    };
    Some(Parts {
        scheme,
        user,
        host,
        port: if port.is_empty() { default } else { port },
    })
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|&b| b == at)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_differences_are_told_from_dialects() {
        let ours = |host: &[u8]| {
            host.eq_ignore_ascii_case(b"pbx.example.com")
                || host == b"192.0.2.1"
                || host == b"[2001:db8::1]"
        };
        let cases = [
            ("sip:a@x", "sip:a@x", Some(UriMatch::Exact)),
            ("sip:a@x:5060", "sip:a@X", Some(UriMatch::Equivalent)),
            ("sips:a@x", "sips:a@x:5061", Some(UriMatch::Equivalent)),
            ("sip:a@x", "sip:a@x;user=phone?b=c@d", None),
            ("sip:a@x", "sip:a@x;user=phone", Some(UriMatch::Equivalent)),
            ("<sip:x>", "sip:x", Some(UriMatch::Equivalent)),
            (
                "sip:[2001:db8::2]:5060",
                "sip:[2001:DB8::2]",
                Some(UriMatch::Equivalent),
            ),
            (
                "sip:[2001:db8::1]",
                "sip:192.0.2.1:5070",
                Some(UriMatch::Ours),
            ),
            (
                "sip:pbx.example.com",
                "sip:192.0.2.1;transport=udp",
                Some(UriMatch::Ours),
            ),
            (
                "sip:a@pbx.example.com",
                "sips:a@192.0.2.1",
                Some(UriMatch::Ours),
            ),
            ("sip:b@pbx.example.com", "sip:a@pbx.example.com", None),
            ("sip:A@pbx.example.com", "sip:a@pbx.example.com", None),
            ("sip:other.example.com", "sip:pbx.example.com", None),
            ("sip:a@x:5061", "sip:a@x", None),
            ("sip:pbx.example.com", "tel:pbx.example.com", None),
            ("", "sip:x", None),
            ("garbage", "sip:x", None),
        ];
        for (claimed, requested, want) in cases {
            let found = compare(claimed.as_bytes(), requested.as_bytes(), ours);
            assert_eq!(found, want, "{claimed} {requested}");
        }
    }
}
