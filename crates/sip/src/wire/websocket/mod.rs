//! SIP over WebSocket, the server's side (RFC 6455, RFC 7118): octets in, whole messages out.
//!
//! Written here because it is small: what the libraries add to it (masked sending, extensions, their own buffers and
//! streams) is not wanted between a bounded connection and the scanner.

mod frame;
mod upgrade;

use std::sync::Arc;

use memchr::memmem;

pub use frame::{Opcode, frame, write_head};

use self::frame::{Head, Wrong, apply_mask, head};
use self::upgrade::{MAX_HEAD, Refusal, accept, refusal, refuse};
use super::MAX_MESSAGE;

/// Collects the octets of one connection and yields whole messages.
#[derive(Debug)]
pub struct WebSocket {
    state: State,
    buffer: Vec<u8>,
    start: usize,
    /// How far the end of the HTTP request was looked for.
    searched: usize,
    /// The frames of the message that is under way, without their masks.
    message: Vec<u8>,
    /// What that message is; `None` between messages.
    kind: Option<Opcode>,
    /// The pages that browsers may come from; empty for any.
    origins: Arc<[String]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Upgrading,
    Open,
    Closed,
}

/// What was found at the front.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The connection is a WebSocket once this has been sent.
    Opened(Vec<u8>),
    /// It is none: send this and close.
    Refused(Vec<u8>),
    /// One whole message: one SIP message (RFC 7118 §5).
    Message(&'a [u8]),
    /// A message of two line ends: the peer asks whether we are there; answer with one (RFC 5626 §3.5.1).
    KeepAlive,
    /// The peer pinged: send this.
    Pinged(Vec<u8>),
    /// The peer answered our ping, or says that it is there.
    Pong,
    /// The peer closes: send this and close.
    Closed(Vec<u8>),
    /// The peer broke the protocol: send this and close.
    Failed(Vec<u8>),
}

/// The status codes of a close frame that are used here (RFC 6455 §7.4.1).
mod code {
    pub(super) const NORMAL: u16 = 1000;
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const NO_TEXT: u16 = 1007;
    pub(super) const TOO_LARGE: u16 = 1009;
}

/// A close frame of ours for an ordinary end (§5.5.1).
pub fn goodbye() -> Vec<u8> {
    closing(code::NORMAL)
}

fn closing(code: u16) -> Vec<u8> {
    frame(Opcode::Close, &code.to_be_bytes(), None)
}

/// The kind of frame that a message goes in: text where it is text, as browsers' libraries like it (RFC 7118 §4).
pub fn kind_of(message: &[u8]) -> Opcode {
    match core::str::from_utf8(message) {
        Ok(_) => Opcode::Text,
        Err(_) => Opcode::Binary,
    }
}

impl WebSocket {
    /// A connection that has yet to become a WebSocket. Browsers may come from `origins`, or from anywhere when there
    /// are none.
    pub fn new(origins: Arc<[String]>) -> WebSocket {
        WebSocket {
            state: State::Upgrading,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            message: Vec::new(),
            kind: None,
            origins,
        }
    }

    /// Whether the connection is a WebSocket now.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Adds octets that arrived.
    pub fn push(&mut self, octets: &[u8]) {
        if self.state == State::Closed {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched = self.searched.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(octets);
    }

    /// How many octets wait for the rest of their message.
    pub fn pending(&self) -> usize {
        let message = if self.kind.is_some() {
            self.message.len()
        } else {
            0
        };
        self.buffer.len() - self.start + message
    }

    /// The next thing; `None` until more octets arrive. After [`Event::Refused`], [`Event::Closed`] and
    /// [`Event::Failed`] nothing comes any more.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        match self.state {
            State::Closed => None,
            State::Upgrading => self.upgrade(),
            State::Open => self.next_frames(),
        }
    }

    fn upgrade(&mut self) -> Option<Event<'static>> {
        let octets = self.buffer.get(self.start..).unwrap_or_default();
        let begin = octets.get(..4).unwrap_or(octets);
        let upper = |b: &u8| b.is_ascii_uppercase() || *b == b' ';
        if !begin.iter().all(upper) {
            return Some(self.refused(refuse(400, "this is no HTTP request")));
        }
        let Some(found) = memmem::find(octets.get(self.searched..)?, b"\r\n\r\n") else {
            if octets.len() > MAX_HEAD {
                return Some(self.refused(refuse(431, "the request is too large")));
            }
            self.searched = octets.len().saturating_sub(3);
            return None;
        };
        let end = self.searched + found + 4;
        if end > MAX_HEAD {
            return Some(self.refused(refuse(431, "the request is too large")));
        }
        match accept(octets.get(..end)?, &self.origins) {
            Ok(answer) => {
                self.start += end;
                self.state = State::Open;
                Some(Event::Opened(answer))
            }
            Err(why) => Some(self.refused(why)),
        }
    }

    fn refused(&mut self, why: Refusal) -> Event<'static> {
        self.end();
        Event::Refused(refusal(why))
    }

    fn failed(&mut self, code: u16) -> Event<'static> {
        self.end();
        Event::Failed(closing(code))
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.buffer = Vec::new();
        self.message = Vec::new();
        self.kind = None;
        self.start = 0;
    }

    fn next_frames(&mut self) -> Option<Event<'_>> {
        loop {
            if self.kind.is_none() {
                self.message.clear();
            }
            let octets = self.buffer.get(self.start..).unwrap_or_default();
            let room = MAX_MESSAGE.saturating_sub(self.message.len());
            let head = match head(octets, room.max(frame::MAX_CONTROL)) {
                Ok(head) => head?,
                Err(Wrong::Protocol) => return Some(self.failed(code::PROTOCOL)),
                Err(Wrong::TooLarge) => return Some(self.failed(code::TOO_LARGE)),
            };
            // What a client sends is masked (RFC 6455 §5.1).
            let Some(mask) = head.mask else {
                return Some(self.failed(code::PROTOCOL));
            };
            if octets.len() < head.size + head.length {
                return None;
            }
            let at = self.start + head.size;
            self.start = at + head.length;
            if let Some(payload) = self.buffer.get_mut(at..at + head.length) {
                apply_mask(payload, mask);
            }
            if head.opcode.is_control() {
                return Some(self.control(head, at));
            }
            match self.data(head, at) {
                Ok(true) => return Some(self.whole()),
                Ok(false) => {}
                Err(code) => return Some(self.failed(code)),
            }
        }
    }

    fn control(&mut self, head: Head, at: usize) -> Event<'static> {
        let payload = self
            .buffer
            .get(at..at + head.length)
            .unwrap_or_default()
            .to_vec();
        match head.opcode {
            Opcode::Ping => Event::Pinged(frame(Opcode::Pong, &payload, None)),
            Opcode::Pong => Event::Pong,
            _ => {
                self.end();
                // The answer repeats the code (§5.5.1).
                match payload.get(..2) {
                    Some(code) => Event::Closed(frame(Opcode::Close, code, None)),
                    None if payload.is_empty() => Event::Closed(frame(Opcode::Close, &[], None)),
                    None => Event::Failed(closing(code::PROTOCOL)),
                }
            }
        }
    }

    /// Takes a frame of a message; says whether it is whole now, or the code that tells what is wrong.
    fn data(&mut self, head: Head, at: usize) -> Result<bool, u16> {
        match (head.opcode, self.kind) {
            (Opcode::Continuation, Some(_)) => {}
            (Opcode::Text | Opcode::Binary, None) => self.kind = Some(head.opcode),
            _ => return Err(code::PROTOCOL),
        }
        let payload = self.buffer.get(at..at + head.length).unwrap_or_default();
        if self.message.len() + payload.len() > MAX_MESSAGE {
            return Err(code::TOO_LARGE);
        }
        self.message.extend_from_slice(payload);
        if !head.last {
            return Ok(false);
        }
        let text = self.kind.take() == Some(Opcode::Text);
        if text && core::str::from_utf8(&self.message).is_err() {
            return Err(code::NO_TEXT);
        }
        Ok(true)
    }

    fn whole(&self) -> Event<'_> {
        match self.message.as_slice() {
            b"\r\n\r\n" => Event::KeepAlive,
            line_ends if line_ends.iter().all(|b| matches!(b, b'\r' | b'\n')) => Event::Pong,
            message => Event::Message(message),
        }
    }
}

#[cfg(test)]
mod tests;
