//! The connections that one worker reads.

mod messages;
mod reader;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use sip::flow::{ConnectionId, Transport};
use sip::time::Time;
use sip::wire::Index;
use sip::wire::websocket::goodbye;

use self::reader::{Reader, Stage};
use crate::connection::{Connection, Flushed};
use crate::machine::Machine;
use crate::runner::Runner;
use crate::tls::HandshakeFailure;

/// Room for one read.
const ROOM: usize = 65_536;

/// Reads of one connection before others have their turn.
const TURN: usize = 4;

/// How long a connection that we close may still take to hear our last words.
const GOODBYE: Duration = Duration::from_secs(2);

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
        let mut reader = Reader::new(connection, runner);
        self.schedule(&mut reader);
        self.readers.insert(reader.connection.id(), reader);
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
                if reader.scheduled != Some(at) {
                    return Fate::Stay;
                }
                reader.scheduled = None;
                if reader.deadline <= runner.now {
                    return expire(reader, runner);
                }
                if reader.ping(runner) == Fate::End {
                    return Fate::End;
                }
                streams.schedule(reader);
                Fate::Stay
            });
        }
    }

    /// Sees to it that the connection gets attention in time. Only what comes earlier than before has to be noted.
    fn schedule(&mut self, reader: &mut Reader) {
        let next = reader.next();
        if reader.scheduled.is_none_or(|at| next < at) {
            reader.scheduled = Some(next);
            let id = reader.connection.id();
            self.deadlines.push(Reverse((next, id)));
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
                reader.advance(runner);
                self.schedule(reader);
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
        let statistics = &runner.shared.statistics;
        for _ in 0..TURN {
            let result = reader.connection.read(&mut self.buffer, statistics);
            if reader.stage == Stage::Securing && reader.connection.is_secured() {
                statistics.tls_handshakes.add_one();
                reader.advance(runner);
                self.schedule(reader);
            }
            match result {
                Ok(0) => return self.end_of_stream(reader, runner),
                Ok(count) => {
                    statistics.stream_bytes_in.add(count as u64);
                    if !reader.closing {
                        let arrived = self.buffer.get(..count).unwrap_or_default();
                        reader.framing.push(arrived);
                        if self.messages(reader, runner) == Fate::End {
                            return Fate::End;
                        }
                    }
                    // A short read means that the kernel's buffer ran empty; what comes later is
                    // a new event. Only the end of the stream may already be behind it.
                    if reader.connection.reads_all() && count < ROOM && !closed {
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
        self.schedule(reader);
    }
}

/// Nothing came in time.
fn expire<M: Machine>(reader: &Reader, runner: &Runner<'_, M>) -> Fate {
    let statistics = &runner.shared.statistics;
    match reader.stage {
        _ if reader.closing => {}
        Stage::Connecting => statistics.connections_failed.add_one(),
        // Counted where it ends, whatever ends it.
        Stage::Securing => {}
        Stage::Upgrading => statistics.websockets_refused.add_one(),
        Stage::Silent | Stage::Speaking => statistics.connections_idle.add_one(),
    }
    Fate::End
}

/// Ends a connection; whoever still had something to send on it is told.
fn end<M: Machine>(reader: &Reader, runner: &Runner<'_, M>) {
    let shared = runner.shared;
    let connection = &reader.connection;
    if reader.stage == Stage::Securing {
        shared.statistics.tls_failed.add_one();
        report(reader, runner);
    }
    shared.connections.remove(connection, &shared.statistics);
    let is_websocket = matches!(connection.transport(), Transport::Ws | Transport::Wss)
        && matches!(reader.stage, Stage::Silent | Stage::Speaking);
    let farewell = is_websocket.then(|| goodbye().into());
    let mut waiting = connection.close(farewell, &shared.statistics);
    // Only a browser can open its connection again: what it has read and not answered will not be answered.
    if is_websocket && !waiting.contains(&connection.flow) {
        waiting.push(connection.flow);
    }
    for flow in waiting {
        shared.undeliverable(flow);
    }
}

/// Tells whoever wants to know why there is no TLS.
fn report<M: Machine>(reader: &Reader, runner: &Runner<'_, M>) {
    let Some(told) = &runner.shared.tls.on_failure else {
        return;
    };
    let reason = reader.connection.tls_failure().unwrap_or_else(|| {
        if reader.deadline <= runner.now {
            "the handshake was not done in time".to_owned()
        } else {
            "the connection was closed during the handshake".to_owned()
        }
    });
    told(&HandshakeFailure {
        remote: reader.connection.remote(),
        name: reader.connection.peer.clone(),
        reason,
    });
}
