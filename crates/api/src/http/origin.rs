//! Whether a request comes from our own pages (or from no browser at all), and what every answer forbids browsers.

use axum::http::{HeaderMap, HeaderValue, Method, header};

use crate::route::Body;

/// Why a request that changes something is refused: another site made the browser send it.
///
/// The cookie is `SameSite=Strict`; this is the second lock. Browsers say where a request comes from in `Sec-Fetch-Site`
/// or at least in `Origin`; programs that are no browsers send neither, and have no cookie that somebody else could use.
pub(super) fn refusal(method: &Method, headers: &HeaderMap, body: Body) -> Option<&'static str> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Some("the request comes from the page of another site");
    }
    if let Some(origin) = text("origin") {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        let ours = text("host").unwrap_or_default();
        if host.is_empty() || !host.eq_ignore_ascii_case(ours) {
            return Some("the request comes from the page of another site");
        }
    }
    let wanted = match body {
        Body::Json | Body::Document => "application/json",
        Body::Csv => "text/csv",
    };
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || text("content-length").is_some_and(|l| l != "0");
    let given = text("content-type").unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    // A form of another site cannot send these kinds.
    (has_body && !kind.eq_ignore_ascii_case(wanted)).then_some(match body {
        Body::Csv => "the body has to be text/csv",
        _ => "the body has to be application/json",
    })
}

/// Headers of every answer.
pub(super) fn secure(headers: &mut HeaderMap, is_https: bool) {
    const ALWAYS: [(&str, &str); 6] = [
        (
            "content-security-policy",
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_https {
        // Without subdomains, and for a month only: a host that loses its certificate must come back.
        let value = HeaderValue::from_static("max-age=2592000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sites_change_nothing() {
        let refused = |method: Method, lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("sori.test:8080"));
            for (name, value) in lines {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            refusal(&method, &headers, Body::Json).is_some()
        };
        let json = ("content-type", "application/json; charset=utf-8");
        let length = ("content-length", "2");
        assert!(!refused(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(!refused(Method::POST, &[]));
        assert!(!refused(Method::POST, &[json, length]));
        assert!(!refused(
            Method::POST,
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://sori.test:8080"),
                json,
                length
            ]
        ));
        for lines in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://evil.test")],
            &[("origin", "http://sori.test:8081")],
            &[("origin", "null")],
            &[length],
            &[length, ("content-type", "text/plain")],
            &[
                ("transfer-encoding", "chunked"),
                ("content-type", "application/x-www-form-urlencoded"),
            ],
        ] {
            assert!(refused(Method::POST, lines), "{lines:?}");
            assert!(refused(Method::DELETE, lines), "{lines:?}");
        }
    }
}
