//! The connections that one worker reads.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::event::Event;
use sip::flow::{ConnectionId, Flow};
use sip::time::Time;
use sip::wire::{Frame, Index, Packet, Stream, scan};

use crate::connection::{Connection, Flushed};
use crate::machine::Machine;
use crate::runner::Runner;
use crate::tap::Direction;

/// Room for one read.
const ROOM: usize = 65_536;

/// Reads of one connection before others have their turn.
const TURN: usize = 4;

/// How long a connection that we close may still take to hear our last words.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long an answer to a ping may take (RFC 5626 §4.4.1).
const PONG: Duration = Duration::from_secs(10);

const PING: Bytes = Bytes::from_static(b"\r\n\r\n");
const CRLF: Bytes = Bytes::from_static(b"\r\n");

/// The connections that one worker reads.
pub(crate) struct Streams {
    readers: HashMap<ConnectionId, Reader>,
    deadlines: BinaryHeap<Reverse<(Time, ConnectionId)>>,
    /// Connections with more to read than one turn allowed.
    again: Vec<ConnectionId>,
    buffer: Box<[u8]>,
    index: Index,
    /// Octets that wait for the rest of their messages, over all connections.
    unfinished: usize,
}

struct Reader {
    connection: Arc<Connection>,
    stream: Stream,
    /// The part of [`Streams::unfinished`] that is this connection's.
    unfinished: usize,
    /// When to close it unless something comes.
    deadline: Time,
    keep_alive: Option<KeepAlive>,
    /// Something whole has come, so that [`crate::Limits::idle`] counts.
    spoken: bool,
    /// What still arrives is thrown away: our half is shut or will be.
    closing: bool,
}

/// Pings on a connection that we opened.
struct KeepAlive {
    every: Duration,
    next: Time,
    /// The peer has answered a ping before, so silence means that it is gone.
    answered: bool,
    due: Option<Time>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stay,
    End,
}

impl Streams {
    pub(crate) fn new() -> Streams {
        Streams {
            readers: HashMap::new(),
            deadlines: BinaryHeap::new(),
            again: Vec::new(),
            buffer: vec![0; ROOM].into_boxed_slice(),
            index: Index::new(),
            unfinished: 0,
        }
    }

    /// Begins to read a connection.
    pub(crate) fn adopt<M: Machine>(
        &mut self,
        connection: Arc<Connection>,
        runner: &Runner<'_, M>,
    ) {
        let limits = &runner.shared.limits;
        let patience = if connection.outgoing {
            limits.connect
        } else {
            limits.first_message
        };
        let reader = Reader {
            stream: Stream::new(),
            unfinished: 0,
            deadline: runner.now + patience,
            keep_alive: None,
            spoken: false,
            closing: false,
            connection,
        };
        let id = reader.connection.id();
        self.deadlines.push(Reverse((reader.deadline, id)));
        self.readers.insert(id, reader);
    }

    /// Whether something is left to read at once.
    pub(crate) fn has_more(&self) -> bool {
        !self.again.is_empty()
    }

    /// When something is to be done without anything arriving.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Something happened to a connection.
    pub(crate) fn event<M: Machine>(
        &mut self,
        id: ConnectionId,
        event: &Event,
        runner: &mut Runner<'_, M>,
    ) {
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        let closed = event.is_read_closed() || event.is_error();
        self.with(id, runner, |streams, reader, runner| {
            if event.is_writable() && streams.writable(reader, runner) == Fate::End {
                return Fate::End;
            }
            if readable && !reader.connection.is_connecting() {
                return streams.readable(reader, closed, runner);
            }
            Fate::Stay
        });
    }

    /// Goes on with connections that had more to read.
    pub(crate) fn read_more<M: Machine>(&mut self, runner: &mut Runner<'_, M>) {
        for id in mem::take(&mut self.again) {
            self.with(id, runner, |streams, reader, runner| {
                streams.readable(reader, true, runner)
            });
        }
    }

    /// Closes what was idle for too long and sends the keep-alives that are due.
    pub(crate) fn timers<M: Machine>(&mut self, runner: &mut Runner<'_, M>) {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied()
            && at <= runner.now
        {
            self.deadlines.pop();
            self.with(id, runner, |streams, reader, runner| {
                if reader.deadline <= runner.now {
                    return expire(reader, runner);
                }
                if reader.ping(runner) == Fate::End {
                    return Fate::End;
                }
                streams.deadlines.push(Reverse((reader.next(), id)));
                Fate::Stay
            });
        }
    }

    /// Ends every connection.
    pub(crate) fn close_all<M: Machine>(&mut self, runner: &mut Runner<'_, M>) {
        for (_, reader) in mem::take(&mut self.readers) {
            end(&reader, runner);
        }
    }

    /// Takes a reader out while it is worked on, so that its frames may borrow it.
    fn with<M: Machine>(
        &mut self,
        id: ConnectionId,
        runner: &mut Runner<'_, M>,
        work: impl FnOnce(&mut Streams, &mut Reader, &mut Runner<'_, M>) -> Fate,
    ) {
        let Some(mut reader) = self.readers.remove(&id) else {
            return;
        };
        if work(self, &mut reader, runner) == Fate::Stay {
            self.readers.insert(id, reader);
            return;
        }
        self.unfinished = self.unfinished.saturating_sub(reader.unfinished);
        end(&reader, runner);
    }

    fn writable<M: Machine>(&mut self, reader: &mut Reader, runner: &mut Runner<'_, M>) -> Fate {
        match reader.connection.connected() {
            Ok(Some(true)) => {
                let shared = runner.shared;
                reader.deadline = runner.now + shared.limits.idle;
                reader.keep_alive = shared.keep_alive.map(|every| KeepAlive {
                    every,
                    next: runner.now + every,
                    answered: false,
                    due: None,
                });
                let id = reader.connection.id();
                self.deadlines.push(Reverse((reader.next(), id)));
            }
            Ok(Some(false)) => {}
            Ok(None) => return Fate::Stay,
            Err(_) => {
                runner.shared.statistics.connections_failed.add_one();
                return Fate::End;
            }
        }
        if reader.connection.has_waiting() {
            // Should the connection be lost, the reading half is told so too.
            let _: Flushed = reader.connection.flush(&runner.shared.statistics);
        }
        Fate::Stay
    }

    fn readable<M: Machine>(
        &mut self,
        reader: &mut Reader,
        closed: bool,
        runner: &mut Runner<'_, M>,
    ) -> Fate {
        for _ in 0..TURN {
            match reader.connection.read(&mut self.buffer) {
                Ok(0) => return self.end_of_stream(reader, runner),
                Ok(count) => {
                    runner.shared.statistics.stream_bytes_in.add(count as u64);
                    if !reader.closing {
                        let arrived = self.buffer.get(..count).unwrap_or_default();
                        reader.stream.push(arrived);
                        if self.frames(reader, runner) == Fate::End {
                            return Fate::End;
                        }
                    }
                    // A short read means that the kernel's buffer ran empty; what comes later is
                    // a new event. Only the end of the stream may already be behind it.
                    if count < ROOM && !closed {
                        return Fate::Stay;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Fate::Stay,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Fate::End,
            }
        }
        self.again.push(reader.connection.id());
        Fate::Stay
    }

    /// The peer has shut its half. Answers to what it sent before may still leave.
    fn end_of_stream<M: Machine>(
        &mut self,
        reader: &mut Reader,
        runner: &mut Runner<'_, M>,
    ) -> Fate {
        reader.connection.begin_closing();
        match reader.connection.flush(&runner.shared.statistics) {
            Flushed::All | Flushed::Shut | Flushed::Lost => Fate::End,
            Flushed::Later => {
                self.say_goodbye(reader, runner.now);
                Fate::Stay
            }
        }
    }

    fn say_goodbye(&mut self, reader: &mut Reader, now: Time) {
        reader.closing = true;
        reader.keep_alive = None;
        reader.deadline = now + GOODBYE;
        let id = reader.connection.id();
        self.deadlines.push(Reverse((reader.deadline, id)));
    }

    /// Handles every whole message that has arrived.
    fn frames<M: Machine>(&mut self, reader: &mut Reader, runner: &mut Runner<'_, M>) -> Fate {
        let shared = runner.shared;
        let flow = reader.connection.flow;
        let mut broken = false;
        let mut arrived = false;
        while let Some(frame) = reader.stream.next_frame() {
            arrived = true;
            match frame {
                Frame::Message(bytes) => {
                    shared.statistics.stream_messages_in.add_one();
                    if !runner.admits(&flow, bytes) {
                        return Fate::End;
                    }
                    runner.tap(Direction::In, &flow, bytes);
                    message(flow, bytes, &mut self.index, runner);
                }
                Frame::Ping => {
                    shared.statistics.stream_pings_in.add_one();
                    answer_ping(&reader.connection, runner);
                }
                Frame::Pong => {
                    if let Some(keep_alive) = &mut reader.keep_alive {
                        keep_alive.answered = true;
                        keep_alive.due = None;
                    }
                }
                Frame::Broken(head, _) => {
                    runner.tap(Direction::In, &flow, head);
                    broken_message(flow, head, &mut self.index, runner);
                    broken = true;
                    break;
                }
                Frame::Garbage(error) => {
                    runner.malformed(&flow);
                    shared.statistics.scan_error(error);
                    shared.statistics.streams_broken.add_one();
                    return Fate::End;
                }
            }
        }
        if broken {
            shared.statistics.streams_broken.add_one();
            reader.connection.begin_closing();
            runner.flush_later(reader.connection.clone());
            self.unfinished = self.unfinished.saturating_sub(reader.unfinished);
            reader.unfinished = 0;
            reader.stream = Stream::new();
            self.say_goodbye(reader, runner.now);
            return Fate::Stay;
        }
        if arrived {
            reader.deadline = runner.now + shared.limits.idle;
            if !mem::replace(&mut reader.spoken, true) {
                let id = reader.connection.id();
                self.deadlines.push(Reverse((reader.next(), id)));
            }
        }
        self.count_unfinished(reader, runner)
    }

    fn count_unfinished<M: Machine>(
        &mut self,
        reader: &mut Reader,
        runner: &Runner<'_, M>,
    ) -> Fate {
        let pending = reader.stream.pending();
        self.unfinished = self.unfinished.saturating_sub(reader.unfinished) + pending;
        reader.unfinished = pending;
        if pending > 0 && self.unfinished > runner.shared.limits.unfinished {
            runner.shared.statistics.streams_broken.add_one();
            return Fate::End;
        }
        Fate::Stay
    }
}

impl Reader {
    /// When this connection needs attention next.
    fn next(&self) -> Time {
        let ping = self.keep_alive.as_ref().map(|k| match k.due {
            Some(due) => due.min(k.next),
            None => k.next,
        });
        ping.map_or(self.deadline, |p| p.min(self.deadline))
    }

    /// Sends a ping that is due; ends a connection whose peer has stopped answering them.
    fn ping<M: Machine>(&mut self, runner: &mut Runner<'_, M>) -> Fate {
        let Some(keep_alive) = &mut self.keep_alive else {
            return Fate::Stay;
        };
        if keep_alive.due.is_some_and(|due| due <= runner.now) {
            keep_alive.due = None;
            if keep_alive.answered {
                runner.shared.statistics.connections_idle.add_one();
                return Fate::End;
            }
        }
        if keep_alive.next <= runner.now {
            keep_alive.next = runner.now + keep_alive.every;
            keep_alive.due.get_or_insert(runner.now + PONG);
            let limit = runner.shared.limits.connection_pending;
            if let Ok(true) = self.connection.queue(PING, None, limit) {
                runner.flush_later(self.connection.clone());
            }
        }
        Fate::Stay
    }
}

/// Nothing came in time.
fn expire<M: Machine>(reader: &Reader, runner: &Runner<'_, M>) -> Fate {
    let statistics = &runner.shared.statistics;
    if reader.connection.is_connecting() {
        statistics.connections_failed.add_one();
    } else if !reader.closing {
        statistics.connections_idle.add_one();
    }
    Fate::End
}

/// Ends a connection; whoever still had something to send on it is told.
fn end<M: Machine>(reader: &Reader, runner: &Runner<'_, M>) {
    let shared = runner.shared;
    shared
        .connections
        .remove(&reader.connection, &shared.statistics);
    for flow in reader.connection.close() {
        shared.undeliverable(flow);
    }
}

fn answer_ping<M: Machine>(connection: &Arc<Connection>, runner: &mut Runner<'_, M>) {
    let limit = runner.shared.limits.connection_pending;
    if let Ok(true) = connection.queue(CRLF, None, limit) {
        runner.flush_later(connection.clone());
    }
}

fn message<M: Machine>(flow: Flow, bytes: &[u8], index: &mut Index, runner: &mut Runner<'_, M>) {
    match scan(bytes, index) {
        Ok(()) => runner.packet(flow, Packet::new(bytes, index)),
        Err(error) => runner.shared.statistics.scan_error(error),
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
    if scan(head, index).is_ok() && index_has_no_defect(head, index) {
        let mut marked = head.strip_suffix(b"\r\n").unwrap_or(head).to_vec();
        marked.extend_from_slice(b"Content-Length:\r\n\r\n");
        return message(flow, &marked, index, runner);
    }
    message(flow, head, index, runner);
}

fn index_has_no_defect(head: &[u8], index: &Index) -> bool {
    Packet::new(head, index).defect().is_none()
}
