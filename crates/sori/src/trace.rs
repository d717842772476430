//! `--verbose`: every SIP message on standard error, without what proves passwords and without keys.

use std::io::Write as _;

use net::{Direction, Tap};
use sip::flow::Flow;

/// Prints messages as they come and go.
#[derive(Debug)]
pub struct Trace;

impl Tap for Trace {
    fn packet(&self, direction: Direction, flow: &Flow, bytes: &[u8]) {
        let arrow = match direction {
            Direction::In => "<<<",
            Direction::Out => ">>>",
        };
        let text = format!(
            "{arrow} {} {} {}\n{}\n\n",
            flow.transport.name(),
            flow.local,
            flow.remote,
            readable(bytes).trim_end()
        );
        // Nobody reads it when standard error is closed.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// The message with digest responses and keys masked and control characters made harmless for the terminal.
pub fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut secret = false;
    let mut in_body = false;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let folded = line.starts_with([' ', '\t']);
        if !folded || in_body {
            secret = !in_body && is_credentials(line);
        }
        in_body |= line.is_empty();
        let line = match (secret, in_body) {
            (true, _) => masked(line),
            (false, true) => keyless(line),
            (false, false) => line.to_owned(),
        };
        out.extend(line.chars().map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        }));
        out.push('\n');
    }
    out
}

fn is_credentials(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    ["Authorization", "Proxy-Authorization"]
        .iter()
        .any(|n| name.eq_ignore_ascii_case(n))
}

/// A line of a session description without its keys: those of SRTP (RFC 4568) and the password of ICE (RFC 8839). Only the
/// suite, the lifetime and what else cannot open anything is left.
fn keyless(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    let lower = line.to_ascii_lowercase();
    if let Some(secret) = lower.trim_start().strip_prefix("a=ice-pwd:") {
        rest = "";
        out.push_str(line.get(..line.len() - secret.len()).unwrap_or_default());
        out.push_str("...");
    }
    while let Some(at) = rest.to_ascii_lowercase().find("inline:") {
        let (head, key) = rest.split_at(at + "inline:".len());
        out.push_str(head);
        out.push_str("...");
        let end = key.find(['|', ';', ' ', '\t']);
        rest = end.and_then(|end| key.get(end..)).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Replaces the value of each `response` parameter.
fn masked(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = lower.get(at..).and_then(|rest| rest.find("response")) {
        let after = at + found + "response".len();
        out.push_str(line.get(at..after).unwrap_or_default());
        at = after;
        let rest = line.get(at..).unwrap_or_default();
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start();
        let length = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map_or(value.len(), |end| end + 2),
            None => value.find(',').unwrap_or(value.len()),
        };
        out.push_str("=\"...\"");
        at = line.len() - value.get(length..).unwrap_or_default().len();
    }
    out.push_str(line.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_are_masked_and_nothing_else() {
        let message = b"REGISTER sip:h SIP/2.0\r\nauthorization: Digest username=\"a\",\r\n response = \"0123abc\", uri=\"sip:h\"\r\n\
            Proxy-Authorization: Digest response=feed,qop=auth\r\nX: response=\"kept\"\r\n\r\nresponse=\"kept too\"";
        let text = readable(message);
        assert!(
            !text.contains("0123abc") && !text.contains("feed"),
            "{text}"
        );
        assert!(text.contains("response=\"...\", uri=\"sip:h\""), "{text}");
        assert!(text.contains("response=\"...\",qop=auth"), "{text}");
        assert!(
            text.contains("X: response=\"kept\"") && text.contains("response=\"kept too\""),
            "{text}"
        );
        assert_eq!(
            masked("Authorization: Digest response=\"open"),
            "Authorization: Digest response=\"...\""
        );
    }

    #[test]
    fn keys_are_masked_and_nothing_else() {
        let message = b"INVITE sip:h SIP/2.0\r\nSubject: inline:shown\r\n\r\nv=0\r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:c2VjcmV0+/=|2^20|1:4;inline:bW9yZQ== WSH=64\r\n\
            A=crypto:2 X inline:dGhpcmQ=\r\na=ICE-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\na=sendrecv\r\n";
        let text = readable(message);
        for secret in ["c2VjcmV0", "bW9yZQ", "dGhpcmQ", "asd88", "+/="] {
            assert!(!text.contains(secret), "{text}");
        }
        for kept in [
            "Subject: inline:shown\n",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:...|2^20|1:4;inline:... WSH=64\n",
            "A=crypto:2 X inline:...\n",
            "a=ICE-pwd:...\n",
            "a=ice-ufrag:8hhY\n",
            "a=sendrecv\n",
        ] {
            assert!(text.contains(kept), "{kept} {text}");
        }
    }

    #[test]
    fn terminals_are_left_alone() {
        let text = readable(b"A: \x1b[2J\x07\r\n\r\n\xff");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
