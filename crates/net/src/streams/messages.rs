//! Octets that arrived on a connection become messages.

use std::mem;

use bytes::Bytes;
use sip::flow::Flow;
use sip::wire::websocket::{Event, Opcode, frame};
use sip::wire::{Frame, Index, Packet, Stream, scan};

use super::reader::{Framing, Reader};
use super::{Fate, Streams};
use crate::machine::Machine;
use crate::runner::Runner;
use crate::tap::Direction;

const CRLF: Bytes = Bytes::from_static(b"\r\n");

/// What a turn of reading came upon.
#[derive(Default)]
struct Found {
    /// Something that shows that the peer is there.
    life: bool,
    /// Something that counts as its first message.
    whole: bool,
    /// The connection ends once what is queued has left.
    over: bool,
}

impl Streams {
    /// Handles every whole message that has arrived.
    pub(super) fn messages<M: Machine>(
        &mut self,
        reader: &mut Reader,
        runner: &mut Runner<'_, M>,
    ) -> Fate {
        // Out of the reader while its messages are lent out.
        let empty = Framing::Stream(Stream::new());
        let mut framing = mem::replace(&mut reader.framing, empty);
        let found = match &mut framing {
            Framing::Stream(stream) => self.frames(stream, reader, runner),
            Framing::WebSocket(socket) => Some(self.events(socket, reader, runner)),
        };
        let Some(found) = found else {
            return Fate::End;
        };
        if found.over {
            reader.connection.begin_closing();
            runner.flush_later(reader.connection.clone());
            self.unfinished = self.unfinished.saturating_sub(reader.unfinished);
            reader.unfinished = 0;
            self.say_goodbye(reader, runner.now);
            return Fate::Stay;
        }
        reader.framing = framing;
        if found.life || found.whole {
            reader.is_there(found.whole, runner);
            self.schedule(reader);
        }
        self.count_unfinished(reader, runner)
    }

    /// Messages cut by their length; `None` when the connection has to end at once.
    fn frames<M: Machine>(
        &mut self,
        stream: &mut Stream,
        reader: &mut Reader,
        runner: &mut Runner<'_, M>,
    ) -> Option<Found> {
        let shared = runner.shared;
        let flow = reader.connection.flow;
        let mut found = Found::default();
        while let Some(frame) = stream.next_frame() {
            found.life = true;
            found.whole = true;
            match frame {
                Frame::Message(bytes) => {
                    shared.statistics.stream_messages_in.add_one();
                    runner.tap(Direction::In, &flow, bytes);
                    message(flow, bytes, &mut self.index, runner);
                }
                Frame::Ping => {
                    shared.statistics.stream_pings_in.add_one();
                    reader.say(CRLF, runner);
                }
                Frame::Pong => {
                    if let Some(keep_alive) = &mut reader.keep_alive {
                        keep_alive.answered();
                    }
                }
                Frame::Broken(head, _) => {
                    runner.tap(Direction::In, &flow, head);
                    broken_message(flow, head, &mut self.index, runner);
                    shared.statistics.streams_broken.add_one();
                    found.over = true;
                    break;
                }
                Frame::Garbage(error) => {
                    shared.statistics.scan_error(error);
                    shared.statistics.streams_broken.add_one();
                    return None;
                }
            }
        }
        Some(found)
    }

    /// Messages in frames of WebSocket, and what else comes there.
    fn events<M: Machine>(
        &mut self,
        socket: &mut sip::wire::websocket::WebSocket,
        reader: &mut Reader,
        runner: &mut Runner<'_, M>,
    ) -> Found {
        let shared = runner.shared;
        let flow = reader.connection.flow;
        let mut found = Found::default();
        while let Some(event) = socket.next_event() {
            match event {
                Event::Opened(answer) => {
                    shared.statistics.websockets_opened.add_one();
                    reader.say(answer.into(), runner);
                    reader.advance(runner);
                    self.schedule(reader);
                }
                Event::Message(bytes) => {
                    shared.statistics.stream_messages_in.add_one();
                    runner.tap(Direction::In, &flow, bytes);
                    found.whole |= message(flow, bytes, &mut self.index, runner);
                }
                Event::KeepAlive => {
                    found.life = true;
                    shared.statistics.stream_pings_in.add_one();
                    reader.say(frame(Opcode::Text, b"\r\n", None).into(), runner);
                }
                Event::Pinged(pong) => {
                    found.life = true;
                    shared.statistics.stream_pings_in.add_one();
                    reader.say(pong.into(), runner);
                }
                Event::Pong => {
                    found.life = true;
                    if let Some(keep_alive) = &mut reader.keep_alive {
                        keep_alive.answered();
                    }
                }
                Event::Refused(answer) => {
                    shared.statistics.websockets_refused.add_one();
                    reader.say(answer.into(), runner);
                    found.over = true;
                }
                Event::Closed(last) => {
                    reader.say(last.into(), runner);
                    found.over = true;
                }
                Event::Failed(last) => {
                    shared.statistics.streams_broken.add_one();
                    reader.say(last.into(), runner);
                    found.over = true;
                }
            }
        }
        found
    }

    fn count_unfinished<M: Machine>(
        &mut self,
        reader: &mut Reader,
        runner: &Runner<'_, M>,
    ) -> Fate {
        let pending = reader.framing.pending();
        self.unfinished = self.unfinished.saturating_sub(reader.unfinished) + pending;
        reader.unfinished = pending;
        if pending > 0 && self.unfinished > runner.shared.limits.unfinished {
            runner.shared.statistics.streams_broken.add_one();
            return Fate::End;
        }
        Fate::Stay
    }
}

/// Hands a message on; says whether it is one.
fn message<M: Machine>(
    flow: Flow,
    bytes: &[u8],
    index: &mut Index,
    runner: &mut Runner<'_, M>,
) -> bool {
    match scan(bytes, index) {
        Ok(()) => {
            runner.packet(flow, Packet::new(bytes, index));
            true
        }
        Err(error) => {
            runner.shared.statistics.scan_error(error);
            false
        }
    }
}

/// Hands on headers whose body cannot be found, so that the request is answered with 400.
///
/// The scanner sees no fault in a message without Content-Length, because in a datagram that is
/// none. On a stream it is (RFC 3261 §18.3): an empty one makes the fault visible.
fn broken_message<M: Machine>(
    flow: Flow,
    head: &[u8],
    index: &mut Index,
    runner: &mut Runner<'_, M>,
) {
    let mut marked = Vec::new();
    let mut bytes = head;
    if scan(head, index).is_ok() && Packet::new(head, index).defect().is_none() {
        marked.extend_from_slice(head.strip_suffix(b"\r\n").unwrap_or(head));
        marked.extend_from_slice(b"Content-Length:\r\n\r\n");
        bytes = &marked;
    }
    message(flow, bytes, index, runner);
}
