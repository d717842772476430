//! Finding the description in the body of a message (RFC 3261 §7.4, RFC 2046 §5.1, RFC 5621).

use crate::negotiate::Rejection;

/// What a body has for a user agent that looks for a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// No body: an INVITE without an offer, for example.
    None,
    /// The description.
    Description(&'a [u8]),
}

/// Nesting of multiparts that is followed.
const MAX_DEPTH: usize = 4;

/// Parts of one multipart that are looked at.
const MAX_PARTS: usize = 32;

/// Finds the description: the body itself, or the first `application/sdp` part of a multipart.
///
/// `content_type` is the value of the Content-Type header, none where it is missing.
///
/// # Errors
/// 400 when an `application/sdp` body is empty or a multipart has no boundary; 415 when there is a body and no description in it.
pub fn description<'a>(content_type: Option<&str>, body: &'a [u8]) -> Result<Body<'a>, Rejection> {
    match content_type {
        None if body.is_empty() => Ok(Body::None),
        // RFC 3261 §20.15 wants the header with a body; a description is told by its first line.
        None if body.trim_ascii_start().starts_with(b"v=0") => Ok(Body::Description(body)),
        None => Err(Rejection::no_description("body without Content-Type")),
        Some(content_type) => look(content_type, body, 0),
    }
}

fn look<'a>(content_type: &str, body: &'a [u8], depth: usize) -> Result<Body<'a>, Rejection> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/sdp") {
        return match body.is_empty() {
            true => Err(Rejection::malformed("empty session description")),
            false => Ok(Body::Description(body)),
        };
    }
    let multipart = media_type
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"));
    if !multipart || depth >= MAX_DEPTH {
        return Err(Rejection::no_description("no application/sdp in the body"));
    }
    let boundary =
        boundary(content_type).ok_or_else(|| Rejection::malformed("multipart without boundary"))?;
    for part in parts(body, &boundary).take(MAX_PARTS) {
        let (headers, content) = split_headers(part);
        let part_type = header(headers, "Content-Type").unwrap_or_else(|| "text/plain".to_owned());
        if let Ok(Body::Description(found)) = look(&part_type, content, depth.saturating_add(1)) {
            return Ok(Body::Description(found));
        }
    }
    Err(Rejection::no_description(
        "no application/sdp in the multipart",
    ))
}

/// The boundary parameter, quoted or not; 1 to 70 characters (RFC 2046 §5.1.1).
fn boundary(content_type: &str) -> Option<String> {
    // Quotes are taken as pairs, so that a `;` inside them does not end a parameter.
    let mut quoted = false;
    let parameters = content_type.split(|c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    let mut named = parameters.skip(1).filter_map(|p| p.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    let value = value.trim().trim_matches('"').replace('\\', "");
    (1..=70).contains(&value.len()).then_some(value)
}

/// Contents between the delimiter lines, without the line end that belongs to the delimiter. A missing last delimiter is tolerated.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = at_delimiter(body, &delimiter).map(|(_, tail)| tail);
    std::iter::from_fn(move || {
        let current = rest.take()?;
        match at_delimiter(current, &delimiter) {
            Some((part, tail)) => {
                rest = Some(tail).filter(|tail| !tail.is_empty());
                Some(part)
            }
            None => (!current.trim_ascii().is_empty()).then_some(current),
        }
    })
}

/// What stands before the next delimiter line and what stands after it; nothing after it where it is the closing one.
fn at_delimiter<'a>(body: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut start = 0usize;
    loop {
        let line_on = body.get(start..).filter(|rest| !rest.is_empty())?;
        let length = line_on
            .iter()
            .position(|b| *b == b'\n')
            .map_or(line_on.len(), |end| end.saturating_add(1));
        let (line, tail) = line_on.split_at_checked(length)?;
        if let Some(end) = line.strip_prefix(delimiter) {
            let before = body.get(..start)?;
            let before = before
                .strip_suffix(b"\n")
                .map_or(before, |b| b.strip_suffix(b"\r").unwrap_or(b));
            match end.trim_ascii_end() {
                b"" => return Some((before, tail)),
                b"--" => return Some((before, b"")),
                _ => {}
            }
        }
        start = start.checked_add(length)?;
    }
}

/// Headers of a part and its content, at the first empty line; without headers the content starts after an empty first line.
fn split_headers(part: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0usize;
    while let Some(rest) = part.get(start..).filter(|rest| !rest.is_empty()) {
        let length = rest
            .iter()
            .position(|b| *b == b'\n')
            .map_or(rest.len(), |end| end.saturating_add(1));
        let next = start.saturating_add(length);
        if rest
            .get(..length)
            .is_some_and(|line| line.trim_ascii().is_empty())
        {
            return (
                part.get(..start).unwrap_or_default(),
                part.get(next..).unwrap_or_default(),
            );
        }
        start = next;
    }
    (part, b"")
}

/// Value of a header of a part, unfolded.
fn header(headers: &[u8], name: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for line in headers.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        match &mut value {
            Some(value) if line.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            Some(_) => break,
            None => {
                let found = line
                    .split_once(':')
                    .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
                value = found.map(|(_, text)| text.trim().to_owned());
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(content_type: &str, body: &'a str) -> Result<&'a str, u16> {
        match description(Some(content_type), body.as_bytes()) {
            Ok(Body::Description(bytes)) => Ok(std::str::from_utf8(bytes).unwrap()),
            Ok(Body::None) => Err(0),
            Err(rejection) => Err(rejection.status),
        }
    }

    #[test]
    fn plain_bodies() {
        assert_eq!(
            found("Application/SDP ; charset=x", "v=0\r\n"),
            Ok("v=0\r\n")
        );
        assert_eq!(found("application/sdp", ""), Err(400));
        assert_eq!(found("text/plain", "v=0"), Err(415));
        assert_eq!(description(None, b""), Ok(Body::None));
        assert_eq!(
            description(None, b"v=0\r\n"),
            Ok(Body::Description(b"v=0\r\n"))
        );
        assert_eq!(description(None, b"hello").map_err(|r| r.status), Err(415));
    }

    #[test]
    fn multiparts() {
        let body = "preamble --b\r\n--bb\r\n\r\nx\r\n--b  \r\n\r\nplain\r\n--b\r\nContent-Type:\r\n application/sdp\r\n\r\nv=0\r\ns=-\r\n--b--\r\n--b\r\n";
        assert_eq!(
            found("multipart/mixed; x=\"a;boundary=c\"; boundary=b", body),
            Ok("v=0\r\ns=-")
        );
        assert_eq!(found("multipart/mixed", body), Err(400));
        assert_eq!(found("multipart/mixed;boundary=zzz", body), Err(415));
        let open = "--b\nContent-Type: application/sdp\n\nv=0\n";
        assert_eq!(
            found("multipart/mixed;boundary=\"b\"", open),
            Ok("v=0\n"),
            "no closing delimiter"
        );
        let epilogue = "--b\n\nplain\n--b--\n--b\nContent-Type: application/sdp\n\nv=0\n";
        assert_eq!(
            found("multipart/mixed;boundary=b", epilogue),
            Err(415),
            "nothing counts behind the last delimiter"
        );
        let nested =
            format!("--o\r\nContent-Type: multipart/related;boundary=b\r\n\r\n{body}\r\n--o--");
        assert_eq!(
            found("multipart/mixed;boundary=o", &nested),
            Ok("v=0\r\ns=-")
        );
    }
}
