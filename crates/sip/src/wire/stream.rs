//! Cutting a byte stream into messages by Content-Length (RFC 3261 §18.3, RFC 5626 §3.5.1).

use memchr::memmem;

use super::scan::{Defect, Index, ScanError, scan};
use super::{MAX_MESSAGE, Packet};
use crate::header::HeaderName;

/// Collects the octets of one connection and yields whole messages.
#[derive(Debug, Default)]
pub struct Stream {
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    index: Index,
    crlfs: u8,
}

/// What was found at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// One whole message.
    Message(&'a [u8]),
    /// A double CRLF: the peer asks whether we are there; answer with one CRLF.
    Ping,
    /// A single CRLF: the answer to our ping, or an idle line end.
    Pong,
    /// The stream cannot be followed any more: answer 400 to these headers if they are a request, and close.
    Broken(&'a [u8], Defect),
    /// What arrives is no SIP; close.
    Garbage(ScanError),
}

impl Stream {
    /// An empty stream.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Adds octets that arrived.
    pub fn push(&mut self, octets: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// How many octets wait for the rest of their message.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next thing in the stream; `None` until more octets arrive.
    ///
    /// After [`Frame::Broken`] and [`Frame::Garbage`] the connection has to be closed.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if let Some(frame) = self.line_ends() {
            return Some(frame);
        }
        let from = self.searched.max(self.start);
        let found = memmem::find(&self.buffer[from..], b"\r\n\r\n");
        let Some(found) = found else {
            if self.pending() > MAX_MESSAGE {
                return Some(Frame::Garbage(ScanError::TooLarge));
            }
            self.searched = self.buffer.len().saturating_sub(3).max(self.start);
            return None;
        };
        let head_end = from + found + 4;
        self.searched = from + found;
        if head_end - self.start > MAX_MESSAGE {
            return Some(Frame::Garbage(ScanError::TooLarge));
        }
        let head = &self.buffer[self.start..head_end];
        if let Err(error) = scan(head, &mut self.index) {
            return Some(Frame::Garbage(error));
        }
        let packet = Packet::new(head, &self.index);
        match content_length(&packet) {
            Err(defect) => Some(Frame::Broken(head, defect)),
            Ok(length) if head.len() + length > MAX_MESSAGE => {
                Some(Frame::Broken(head, Defect::ContentLength))
            }
            Ok(length) if head.len() + length > self.pending() => None,
            Ok(length) => {
                let end = head_end + length;
                let start = self.start;
                self.start = end;
                self.searched = end;
                Some(Frame::Message(&self.buffer[start..end]))
            }
        }
    }

    /// Line ends between messages: two CRLF are a ping, one is a pong.
    fn line_ends(&mut self) -> Option<Frame<'static>> {
        let rest = &self.buffer[self.start..];
        if rest.starts_with(b"\r\n\r\n") {
            self.take(4);
            return Some(Frame::Ping);
        }
        if rest.starts_with(b"\r\n") {
            // The second CRLF of a ping may still be on its way: wait unless something else follows.
            if rest.len() == 2 || rest == b"\r\n\r" {
                if self.crlfs == 0 {
                    self.crlfs = 1;
                    self.take(2);
                    return Some(Frame::Pong);
                }
                self.crlfs = 0;
                self.take(2);
                return Some(Frame::Ping);
            }
            self.take(2);
            return Some(Frame::Pong);
        }
        if !rest.is_empty() && rest != b"\r" {
            self.crlfs = 0;
        }
        None
    }

    fn take(&mut self, octets: usize) {
        self.start += octets;
        self.searched = self.searched.max(self.start);
    }
}

/// What Content-Length says; on a stream it must be there (RFC 3261 §20.14).
fn content_length(packet: &Packet<'_>) -> Result<usize, Defect> {
    let mut length = None;
    for header in packet.all(HeaderName::ContentLength) {
        match (super::scan::decimal(header.value()), length) {
            (None, _) => return Err(Defect::ContentLength),
            (Some(value), Some(before)) if value != before => return Err(Defect::ContentLength),
            (Some(value), _) => length = Some(value),
        }
    }
    length.ok_or(Defect::ContentLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl: 2\r\n\r\nhi";
    const B: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

    fn frames(stream: &mut Stream) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(frame) = stream.next_frame() {
            let end = matches!(frame, Frame::Broken(..) | Frame::Garbage(_));
            all.push(match frame {
                Frame::Message(m) => format!("message {}", m.len()),
                other => format!("{other:?}")
                    .split('(')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            });
            if end {
                break;
            }
        }
        all
    }

    #[test]
    fn messages_come_out_whole_however_the_octets_arrive() {
        let mut all = Vec::new();
        for part in [A, B, b"\r\n\r\n", A] {
            all.extend_from_slice(part);
        }
        let whole = [
            format!("message {}", A.len()),
            format!("message {}", B.len()),
            "Ping".to_owned(),
            format!("message {}", A.len()),
        ];
        let mut stream = Stream::new();
        stream.push(&all);
        assert_eq!(frames(&mut stream), whole);
        let mut stream = Stream::new();
        let mut got = Vec::new();
        for octet in &all {
            stream.push(&[*octet]);
            got.extend(frames(&mut stream));
        }
        got.retain(|f| f != "Pong");
        assert_eq!(got, whole);
        assert_eq!(stream.pending(), 0);
    }

    #[test]
    fn a_stream_that_cannot_be_framed_is_broken() {
        for bad in ["-999", "1 2", "5\r\nl: 6", "99999999999"] {
            let mut stream = Stream::new();
            stream
                .push(format!("OPTIONS sip:a SIP/2.0\r\nContent-Length: {bad}\r\n\r\n").as_bytes());
            assert_eq!(frames(&mut stream), ["Broken"], "{bad}");
        }
        let mut stream = Stream::new();
        stream.push(b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n");
        assert_eq!(frames(&mut stream), ["Broken"]);
        let mut stream = Stream::new();
        stream.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(frames(&mut stream), ["Garbage"]);
        let mut stream = Stream::new();
        stream.push(&vec![b'x'; MAX_MESSAGE + 1]);
        assert_eq!(frames(&mut stream), ["Garbage"]);
    }
}
