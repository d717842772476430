//! A description with the relay's ports in it, the rest byte for byte.

use std::net::IpAddr;

use super::description::{Description, Line};

/// Attributes that must not pass a relay.
///
/// ICE (RFC 8839): the relay stands in the way on purpose and answers no checks. With `c=` and `m=` changed and the
/// candidates left in, an agent that follows RFC 8839 §4.2.5 answers `ice-mismatch` and goes on without ICE; one that does
/// not finds the direct path and goes around the relay, or waits for checks that nobody answers. Without the attributes
/// both go on without ICE at once, as with a peer that knows none (RFC 7584 §3). Taking part in ICE on both legs is a
/// gateway's work.
///
/// `alt` and `altc` (RFC 6947) name other addresses to go around the relay; `source-filter` (RFC 4570) would make the
/// receiver refuse what the relay sends.
const DROPPED: [&[u8]; 12] = [
    b"candidate",
    b"remote-candidates",
    b"end-of-candidates",
    b"ice-ufrag",
    b"ice-pwd",
    b"ice-options",
    b"ice-lite",
    b"ice-pacing",
    b"ice-mismatch",
    b"alt",
    b"altc",
    b"source-filter",
];

/// Puts `told` and `ports` in place of the addresses of all streams that are relayed. A port belongs to the line of
/// the same place; a line that is off stays off.
pub(super) fn rewrite(
    sdp: &[u8],
    description: &Description,
    told: IpAddr,
    ports: &[Option<u16>],
) -> Vec<u8> {
    if !description.lines.iter().any(Line::is_relayed) {
        return sdp.to_vec();
    }
    let mut writer = Writer {
        out: Vec::with_capacity(sdp.len() + 64),
        description,
        told,
        ports,
        at: None,
        next: 0,
        session: None,
        insert: None,
        dropping: false,
    };
    for (line, end) in lines(sdp) {
        writer.line(line, end);
    }
    writer.insert();
    writer.out
}

struct Writer<'a> {
    out: Vec<u8>,
    description: &'a Description,
    told: IpAddr,
    ports: &'a [Option<u16>],
    /// The stream that the line belongs to; none before the first `m=`.
    at: Option<&'a Line>,
    /// How many `m=` lines have passed.
    next: usize,
    /// The value of the session's `c=`, as it came.
    session: Option<&'a [u8]>,
    /// A `c=` that the stream needs, to be written behind its `m=` and `i=`.
    insert: Option<Vec<u8>>,
    /// The line before was dropped, and lines that continue it go too.
    dropping: bool,
}

impl<'a> Writer<'a> {
    fn line(&mut self, line: &'a [u8], end: &'a [u8]) {
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        if continues && self.dropping {
            return;
        }
        self.dropping = false;
        if !continues && !line.is_empty() && !line.starts_with(b"i=") {
            self.insert();
        }
        match line {
            [b'm', b'=', value @ ..] => self.media(value, end),
            [b'c', b'=', value @ ..] => self.connection(value),
            [b'a', b'=', value @ ..] => {
                if !self.attribute(value) {
                    self.dropping = true;
                    return;
                }
            }
            _ => self.out.extend_from_slice(line),
        }
        self.out.extend_from_slice(end);
    }

    fn insert(&mut self) {
        if let Some(line) = self.insert.take() {
            if !self.out.ends_with(b"\n") && !self.out.ends_with(b"\r") {
                self.out.extend_from_slice(b"\r\n");
            }
            self.out.extend_from_slice(&line);
        }
    }

    fn media(&mut self, value: &[u8], end: &[u8]) {
        self.at = self.description.lines.get(self.next);
        let port = self.ports.get(self.next).copied().flatten();
        self.next += 1;
        self.out.extend_from_slice(b"m=");
        let relayed = self.at.is_some_and(Line::is_relayed);
        match second_word(value).zip(port).filter(|_| relayed) {
            Some(((before, after), port)) => {
                self.out.extend_from_slice(before);
                self.out.extend_from_slice(port.to_string().as_bytes());
                self.out.extend_from_slice(after);
            }
            None => self.out.extend_from_slice(value),
        }
        let own = self.at.is_some_and(|line| line.own_connection);
        let address = match (relayed, self.session) {
            _ if own => return,
            // The session's line is ours now; this stream keeps the address that it had.
            (false, Some(session)) => session.to_vec(),
            (true, None) => connection(self.told).into_bytes(),
            _ => return,
        };
        let end = if end.is_empty() { b"\r\n" } else { end };
        self.insert = Some([b"c=", address.as_slice(), end].concat());
    }

    fn connection(&mut self, value: &'a [u8]) {
        self.out.extend_from_slice(b"c=");
        if self.at.is_none() && self.session.is_none() {
            self.session = Some(value);
        }
        let written = match self.at {
            Some(line) if !line.is_relayed() => value.to_vec(),
            _ if is_unspecified(value) => connection(match self.told {
                IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            })
            .into_bytes(),
            _ => connection(self.told).into_bytes(),
        };
        self.out.extend_from_slice(&written);
    }

    /// Writes an attribute; false when it is left out.
    fn attribute(&mut self, value: &[u8]) -> bool {
        let relayed = self.at.is_none_or(Line::is_relayed);
        let name = value.split(|b| *b == b':').next().unwrap_or_default();
        let name = name.trim_ascii();
        if relayed && DROPPED.contains(&name) {
            return false;
        }
        self.out.extend_from_slice(b"a=");
        let port = self.next.checked_sub(1).and_then(|n| self.ports.get(n));
        match (self.at, port.copied().flatten()) {
            (Some(line), Some(port)) if relayed && name == b"rtcp" => {
                // A port that RTP and RTCP share is written as such (RFC 5761 §5.1.3).
                let port = if line.shares_port { port } else { port + 1 };
                self.out.extend_from_slice(b"rtcp:");
                self.out.extend_from_slice(port.to_string().as_bytes());
                if value.trim_ascii().iter().any(|b| matches!(b, b' ' | b'\t')) {
                    self.out.push(b' ');
                    let address = connection(self.told);
                    self.out.extend_from_slice(address.as_bytes());
                }
            }
            _ => self.out.extend_from_slice(value),
        }
        true
    }
}

/// The value of a `c=` line.
fn connection(address: IpAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {family} {address}")
}

fn is_unspecified(value: &[u8]) -> bool {
    let words = value.split(u8::is_ascii_whitespace);
    let address = words.filter(|word| !word.is_empty()).nth(2);
    let text = address.and_then(|word| str::from_utf8(word).ok());
    text.and_then(|text| text.parse::<IpAddr>().ok())
        .is_some_and(|address| address.is_unspecified())
}

/// What stands before and behind the second word.
fn second_word(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = u8::is_ascii_whitespace;
    let from = |start: usize, test: &dyn Fn(&u8) -> bool| {
        let rest = value.get(start..)?;
        Some(start + rest.iter().position(test)?)
    };
    let first = from(0, &|b| !blank(b))?;
    let gap = from(first, &blank)?;
    let start = from(gap, &|b| !blank(b))?;
    let end = from(start, &blank)?;
    Some((value.get(..start)?, value.get(end..)?))
}

/// Lines with their ends, as `sdp` reads them: CRLF, LF or CR.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
        let (line, tail) = rest.split_at(length.unwrap_or(rest.len()));
        let end = if tail.starts_with(b"\r\n") {
            2
        } else {
            tail.len().min(1)
        };
        let (end, tail) = tail.split_at(end);
        rest = tail;
        Some((line, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sdp: &str, told: &str, ports: &[Option<u16>]) -> String {
        let seen = "192.0.2.1".parse().unwrap();
        let description = Description::read(sdp.as_bytes(), seen).unwrap();
        let out = rewrite(sdp.as_bytes(), &description, told.parse().unwrap(), ports);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_change_and_nothing_else() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=caf\u{e9} \r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
                   m=audio  4000 RTP/SAVP 0  101\r\na=rtcp:4007 IN IP4 192.0.2.1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n\
                   a=fingerprint:sha-256 AA:BB\r\na=fmtp:101 0-16\r\n\
                   m=video 5000 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.2\r\na=rtcp:5000\r\na=rtcp-mux\r\n";
        let want = sdp
            .replace("c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1")
            .replace("c=IN IP4 192.0.2.2", "c=IN IP6 2001:db8::1")
            .replace("m=audio  4000", "m=audio  7000")
            .replace(
                "a=rtcp:4007 IN IP4 192.0.2.1",
                "a=rtcp:7001 IN IP6 2001:db8::1",
            )
            .replace("m=video 5000", "m=video 8000")
            .replace("a=rtcp:5000", "a=rtcp:8000");
        let got = rewritten(sdp, "2001:db8::1", &[Some(7000), Some(8000)]);
        assert_eq!(got, want);
    }

    #[test]
    fn ice_goes_with_the_lines_that_continue_it() {
        let sdp = "v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\na=ice-lite\na=ice-options:trickle\n\
                   m=audio 4000 RTP/AVP 0\na=ice-ufrag:abcd\na=ice-pwd:asd88fgpdd777uzjYhagZg\n\
                   a=candidate:1 1 UDP 1 192.0.2.1 4000\n typ host\na=sendrecv\na=altc:1 IP4 192.0.2.1 4000\na=end-of-candidates";
        let want = "v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\nm=audio 7000 RTP/AVP 0\na=sendrecv\n";
        assert_eq!(rewritten(sdp, "198.51.100.1", &[Some(7000)]), want);
    }

    #[test]
    fn what_is_not_relayed_keeps_the_address_that_it_had() {
        let head = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
        let msrp = "m=message 7394 TCP/MSRP *\r\ni=chat\r\na=path:msrp://192.0.2.1:7394/x;tcp\r\n";
        let alone = format!("{head}{msrp}");
        assert_eq!(rewritten(&alone, "198.51.100.1", &[None]), alone);
        let both = format!("{head}{msrp}m=audio 4000 RTP/AVP 0\r\n");
        let got = rewritten(&both, "198.51.100.1", &[None, Some(7000)]);
        let want = both
            .replace("c=IN IP4 192.0.2.1", "c=IN IP4 198.51.100.1")
            .replace("i=chat\r\n", "i=chat\r\nc=IN IP4 192.0.2.1\r\n")
            .replace("m=audio 4000", "m=audio 7000");
        assert_eq!(got, want);
        let last = format!("{head}m=audio 4000 RTP/AVP 0\r\nm=message 7394 TCP/MSRP *");
        let got = rewritten(&last, "198.51.100.1", &[Some(7000), None]);
        assert!(
            got.ends_with("m=message 7394 TCP/MSRP *\r\nc=IN IP4 192.0.2.1\r\n"),
            "{got}"
        );
    }

    #[test]
    fn ports_of_zero_and_hold_stay() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000/2 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n";
        let got = rewritten(sdp, "2001:db8::1", &[Some(7000), None]);
        let want = sdp
            .replace("IP4 0.0.0.0", "IP6 ::")
            .replace("4000/2", "7000");
        assert_eq!(got, want);
    }

    #[test]
    fn a_stream_without_any_address_gets_ours() {
        let sdp =
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n";
        let got = rewritten(sdp, "198.51.100.1", &[Some(7000)]);
        assert!(
            got.ends_with("m=audio 7000 RTP/AVP 0\r\nc=IN IP4 198.51.100.1\r\na=sendrecv\r\n"),
            "{got}"
        );
    }

    #[test]
    fn whatever_can_be_read_says_the_relay_and_nothing_else() {
        let base = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=ice-lite\r\n\
                     m=audio 4000 RTP/AVP 0 8\r\ni=x\r\na=rtcp:4001 IN IP4 192.0.2.1\r\na=candidate:1 1 UDP 1 192.0.2.1 4000\r\n typ host\r\n\
                     m=message 7394 TCP/MSRP *\r\nm=video 5000/2 RTP/SAVPF 96\nc=IN IP4 192.0.2.1\ra=sendonly\r\n";
        let seen = "192.0.2.1".parse().unwrap();
        let told: IpAddr = "198.51.100.1".parse().unwrap();
        let mut random = 1u64;
        let mut draw = |below: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % below
        };
        let mut read = 0;
        for _ in 0..10_000 {
            let mut sdp = base.to_vec();
            for _ in 0..=draw(3) {
                let at = draw(sdp.len());
                match draw(3) {
                    0 => drop(sdp.remove(at)),
                    1 => sdp.insert(at, b"\r\n \t=:/0\x0c\xff"[draw(10)]),
                    _ => sdp[at] = sdp[draw(sdp.len())],
                }
            }
            let Ok(description) = Description::read(&sdp, seen) else {
                continue;
            };
            read += 1;
            let lines = description.lines.iter().zip(7000..);
            let ports: Vec<Option<u16>> = lines
                .map(|(line, port)| (line.on && line.is_relayed()).then_some(port))
                .collect();
            let out = rewrite(&sdp, &description, told, &ports);
            let shown = String::from_utf8_lossy(&sdp);
            let again = sdp::Session::parse(&out).unwrap_or_else(|e| panic!("{e}: {shown}"));
            assert_eq!(again.media.len(), ports.len(), "{shown}");
            for (media, port) in again.media.iter().zip(&ports) {
                let Some(port) = port else { continue };
                assert_eq!(media.port, *port, "{shown}");
                let address = again.connection_of(media).map(|c| c.address.as_str());
                assert!(
                    matches!(address, Some("198.51.100.1" | "0.0.0.0")),
                    "{shown}"
                );
                assert_eq!(media.attribute("candidate"), None, "{shown}");
            }
        }
        assert!(read > 2_500, "{read} could be read");
    }
}
