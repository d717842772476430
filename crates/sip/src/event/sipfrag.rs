//! message/sipfrag (RFC 3420), as far as a report about a transfer needs it: the status line.

use crate::message::StatusCode;

/// What a transferred peer has heard (RFC 3515 §2.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipFrag {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase.
    pub reason: String,
}

impl SipFrag {
    /// Reads the status line at the start of a fragment; `None` when there is none.
    pub fn parse(body: &[u8]) -> Option<SipFrag> {
        let line = body
            .split(|b| matches!(b, b'\r' | b'\n'))
            .find(|l| !l.is_empty())?;
        let line = String::from_utf8_lossy(line.get(..line.len().min(500))?);
        let mut words = line.splitn(3, ' ');
        let version = words.next()?;
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            return None;
        }
        let status = words.next().filter(|w| w.len() == 3)?.parse().ok()?;
        Some(SipFrag {
            status: StatusCode::new(status)?,
            reason: words.next().unwrap_or_default().trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_of_a_fragment() {
        for (body, status, reason) in [
            ("SIP/2.0 100 Trying", 100, "Trying"),
            (
                "\r\nSIP/2.0 503 Service Unavailable\r\nVia: x\r\n\r\n",
                503,
                "Service Unavailable",
            ),
            ("sip/2.0 200\n", 200, ""),
        ] {
            let frag = SipFrag::parse(body.as_bytes()).unwrap();
            assert_eq!((frag.status.0, frag.reason.as_str()), (status, reason));
        }
        for bad in [
            "",
            "SIP/2.0",
            "SIP/2.0 2000 x",
            "SIP/2.0 099 x",
            "INVITE sip:a@b SIP/2.0",
            "SIP/2.0 +20 x",
        ] {
            assert_eq!(SipFrag::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
