//! The HTTP request that opens a WebSocket, and its answer (RFC 6455 §4.2, RFC 7118 §4.1).

use sha1::{Digest, Sha1};

/// The largest request that is read, in octets.
pub(super) const MAX_HEAD: usize = 8_192;

/// What is appended to a client's key before it is hashed (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocol that SIP has (RFC 7118 §4.1).
const SUBPROTOCOL: &[u8] = b"sip";

/// Why a request opens no WebSocket: the status, and what is wrong in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

pub(super) const fn refuse(status: u16, why: &'static str) -> Refusal {
    Refusal { status, why }
}

/// Reads a whole request, empty line included, and yields the answer that accepts it.
pub(super) fn accept(head: &[u8], origins: &[String]) -> Result<Vec<u8>, Refusal> {
    let mut lines = head
        .split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    request_line(lines.next().unwrap_or_default())?;
    let mut found = Found::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        let at = memchr::memchr(b':', line).ok_or(refuse(400, "a header has no colon"))?;
        let (name, value) = line.split_at(at);
        found.take(name, value.get(1..).unwrap_or_default().trim_ascii())?;
    }
    let key = found.judge(origins)?;
    let mut answer = Vec::with_capacity(192);
    answer.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    answer.extend_from_slice(&answer_to(key));
    answer.extend_from_slice(b"\r\nSec-WebSocket-Protocol: sip\r\n\r\n");
    Ok(answer)
}

fn request_line(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    match (method, target, version, words.next()) {
        (Some(method), Some(_), Some(version), None) if version.starts_with(b"HTTP/") => {
            if method != b"GET" {
                Err(refuse(405, "a WebSocket is opened with GET"))
            } else if version != b"HTTP/1.1" {
                Err(refuse(505, "a WebSocket is opened with HTTP/1.1"))
            } else {
                Ok(())
            }
        }
        _ => Err(refuse(400, "this is no HTTP request")),
    }
}

/// The headers that matter.
#[derive(Default)]
struct Found<'a> {
    host: bool,
    upgrade: bool,
    connection: bool,
    version: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    subprotocol: bool,
    origin: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("host") {
            self.host = true;
        } else if is("upgrade") {
            self.upgrade |= lists(value, b"websocket");
        } else if is("connection") {
            self.connection |= lists(value, b"upgrade");
        } else if is("sec-websocket-version") {
            self.version = Some(value);
        } else if is("sec-websocket-key") {
            if self.key.replace(value).is_some() {
                return Err(refuse(400, "Sec-WebSocket-Key stands there twice"));
            }
        } else if is("sec-websocket-protocol") {
            self.subprotocol |= lists(value, SUBPROTOCOL);
        } else if is("origin") {
            self.origin = Some(value);
        }
        Ok(())
    }

    /// The key, when everything is as it must be (RFC 6455 §4.2.1).
    fn judge(&self, origins: &[String]) -> Result<&'a [u8], Refusal> {
        if !self.host {
            return Err(refuse(400, "Host is missing"));
        }
        if !self.upgrade || !self.connection {
            return Err(refuse(426, "this port speaks WebSocket"));
        }
        if self.version != Some(b"13") {
            return Err(refuse(426, "WebSocket has the version 13"));
        }
        let key = self.key.filter(|key| is_key(key));
        let key = key.ok_or(refuse(400, "Sec-WebSocket-Key is missing or wrong"))?;
        // Programs send none and could send any; it is there to hold back pages of others in browsers (§10.2).
        if let Some(origin) = self.origin
            && !origins.is_empty()
            && !origins
                .iter()
                .any(|o| origin.eq_ignore_ascii_case(o.as_bytes()))
        {
            return Err(refuse(403, "this origin is not allowed here"));
        }
        if !self.subprotocol {
            return Err(refuse(400, "the subprotocol here is sip"));
        }
        Ok(key)
    }
}

/// Whether a list with commas between has this word, in any case.
fn lists(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|b| *b == b',')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
}

/// Whether it is sixteen octets in base64 (§4.1).
fn is_key(key: &[u8]) -> bool {
    let [letters @ .., b'=', b'='] = key else {
        return false;
    };
    letters.len() == 22
        && letters
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Sec-WebSocket-Accept (§4.2.2).
fn answer_to(key: &[u8]) -> Vec<u8> {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64(&hash.finalize())
}

fn base64(octets: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(octets.len().div_ceil(3) * 4);
    for chunk in octets.chunks(3) {
        let octet = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            if place > chunk.len() {
                out.push(b'=');
            } else {
                out.push(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]);
            }
        }
    }
    out
}

/// The answer to a request that opens no WebSocket.
pub(super) fn refusal(refusal: Refusal) -> Vec<u8> {
    let (reason, more) = match refusal.status {
        403 => ("Forbidden", ""),
        405 => ("Method Not Allowed", "Allow: GET\r\n"),
        426 => (
            "Upgrade Required",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        ),
        431 => ("Request Header Fields Too Large", ""),
        505 => ("HTTP Version Not Supported", ""),
        _ => ("Bad Request", ""),
    };
    let (status, why) = (refusal.status, refusal.why);
    format!(
        "HTTP/1.1 {status} {reason}\r\n{more}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}\n",
        why.len() + 1
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chat, sip\r\nOrigin: https://phone.example\r\n\r\n";

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let answer = String::from_utf8(accept(GOOD.as_bytes(), &[]).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(answer.ends_with("\r\nSec-WebSocket-Protocol: sip\r\n\r\n"));
    }

    #[test]
    fn each_fault_has_its_status() {
        for (from, to, status) in [
            ("GET / HTTP/1.1", "POST / HTTP/1.1", 405),
            ("GET / HTTP/1.1", "GET / HTTP/1.0", 505),
            ("GET / HTTP/1.1", "GET /", 400),
            ("Host: h\r\n", "", 400),
            ("Host: h", "Host h", 400),
            ("Upgrade: WebSocket\r\n", "", 426),
            ("keep-alive, Upgrade", "keep-alive", 426),
            ("Version: 13", "Version: 8", 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short==", 400),
            ("Sec-WebSocket-Key", "X", 400),
            ("chat, sip", "chat", 400),
            ("Sec-WebSocket-Protocol", "X", 400),
        ] {
            assert!(GOOD.contains(from));
            let request = GOOD.replace(from, to);
            let refused = accept(request.as_bytes(), &[]).unwrap_err();
            assert_eq!(refused.status, status, "{from} to {to}");
            let answer = String::from_utf8(refusal(refused)).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")));
        }
    }

    #[test]
    fn origins_that_are_not_listed_are_refused() {
        let listed = |o: &str| accept(GOOD.as_bytes(), &[o.to_owned()]).map_err(|r| r.status);
        assert!(listed("https://Phone.example").is_ok());
        assert_eq!(listed("https://other.example"), Err(403));
        let program = GOOD.replace("Origin", "X-Origin");
        assert!(accept(program.as_bytes(), &["https://other.example".into()]).is_ok());
    }
}
