//! `--verbose`: every SIP message on standard error, without what proves passwords.

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
            flow.transport.param(),
            flow.local,
            flow.remote,
            readable(bytes).trim_end()
        );
        // Nobody reads it when standard error is closed.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// The message with digest responses masked and control characters made harmless for the terminal.
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
        let line = if secret {
            masked(line)
        } else {
            line.to_owned()
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
    fn terminals_are_left_alone() {
        let text = readable(b"A: \x1b[2J\x07\r\n\r\n\xff");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}
