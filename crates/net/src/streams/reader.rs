//! One connection as the worker that reads it sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::flow::Transport;
use sip::time::Time;
use sip::wire::Stream;
use sip::wire::websocket::{Opcode, WebSocket, frame};

use super::Fate;
use crate::config::Limits;
use crate::connection::Connection;
use crate::machine::Machine;
use crate::runner::Runner;

/// How long an answer to a ping may take (RFC 5626 §4.4.1).
const PONG: Duration = Duration::from_secs(10);

const PING: Bytes = Bytes::from_static(b"\r\n\r\n");

/// One connection as the worker that reads it sees it.
pub(super) struct Reader {
    pub(super) connection: Arc<Connection>,
    pub(super) framing: Framing,
    pub(super) stage: Stage,
    /// The part of [`super::Streams::unfinished`] that is this connection's.
    pub(super) unfinished: usize,
    /// When to close it unless something comes.
    pub(super) deadline: Time,
    pub(super) keep_alive: Option<KeepAlive>,
    /// The entry among the deadlines that counts; the others are stale.
    pub(super) scheduled: Option<Time>,
    /// What still arrives is thrown away: our half is shut or will be.
    pub(super) closing: bool,
}

/// How octets become messages.
pub(super) enum Framing {
    /// By Content-Length.
    Stream(Stream),
    /// By frames.
    WebSocket(WebSocket),
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The peer has not taken it yet.
    Connecting,
    /// TLS agrees on keys.
    Securing,
    /// HTTP becomes a WebSocket.
    Upgrading,
    /// Nothing whole has come yet.
    Silent,
    /// Messages pass.
    Speaking,
}

/// Pings, on a connection that we opened or on a WebSocket.
pub(super) struct KeepAlive {
    ping: Bytes,
    every: Duration,
    /// How long an answer may take.
    patience: Duration,
    next: Time,
    /// The peer has answered a ping before, or has to, so silence means that it is gone.
    answers: bool,
    due: Option<Time>,
}

impl KeepAlive {
    /// Double line ends, which not everybody answers.
    fn line_ends(every: Duration, now: Time) -> KeepAlive {
        KeepAlive {
            ping: PING,
            every,
            patience: PONG,
            next: now + every,
            answers: false,
            due: None,
        }
    }

    /// Pings of WebSocket, which everybody answers (RFC 6455 §5.5.2).
    fn websocket(every: Duration, now: Time) -> KeepAlive {
        KeepAlive {
            ping: frame(Opcode::Ping, b"", None).into(),
            every,
            patience: every,
            next: now + every,
            answers: true,
            due: None,
        }
    }

    /// The peer answered.
    pub(super) fn answered(&mut self) {
        self.answers = true;
        self.due = None;
    }
}

impl Framing {
    /// Adds octets that arrived.
    pub(super) fn push(&mut self, octets: &[u8]) {
        match self {
            Framing::Stream(stream) => stream.push(octets),
            Framing::WebSocket(socket) => socket.push(octets),
        }
    }

    /// How many octets wait for the rest of their message.
    pub(super) fn pending(&self) -> usize {
        match self {
            Framing::Stream(stream) => stream.pending(),
            Framing::WebSocket(socket) => socket.pending(),
        }
    }
}

impl Stage {
    /// What comes next, `before` that.
    fn after(before: Option<Stage>, connection: &Connection) -> Stage {
        let is_tls = matches!(connection.transport(), Transport::Tls | Transport::Wss);
        let is_websocket = matches!(connection.transport(), Transport::Ws | Transport::Wss);
        match before {
            None if connection.outgoing => Stage::Connecting,
            None | Some(Stage::Connecting) if is_tls => Stage::Securing,
            None | Some(Stage::Connecting | Stage::Securing) if is_websocket => Stage::Upgrading,
            Some(Stage::Silent | Stage::Speaking) => Stage::Speaking,
            // Whom we have called need not speak first.
            _ if connection.outgoing => Stage::Speaking,
            _ => Stage::Silent,
        }
    }

    /// How long this may take.
    fn patience(self, limits: &Limits) -> Duration {
        match self {
            Stage::Connecting => limits.connect,
            Stage::Securing => limits.handshake,
            Stage::Upgrading => limits.upgrade,
            Stage::Silent => limits.first_message,
            Stage::Speaking => limits.idle,
        }
    }
}

impl Reader {
    /// A connection of which nothing has been read.
    pub(super) fn new<M: Machine>(connection: Arc<Connection>, runner: &Runner<'_, M>) -> Reader {
        let stage = Stage::after(None, &connection);
        let framing = match connection.transport() {
            Transport::Ws | Transport::Wss => {
                Framing::WebSocket(WebSocket::new(runner.shared.origins.clone()))
            }
            _ => Framing::Stream(Stream::new()),
        };
        Reader {
            framing,
            stage,
            unfinished: 0,
            deadline: runner.now + stage.patience(&runner.shared.limits),
            keep_alive: None,
            scheduled: None,
            closing: false,
            connection,
        }
    }

    /// What this stage was for is done.
    pub(super) fn advance<M: Machine>(&mut self, runner: &Runner<'_, M>) {
        let shared = runner.shared;
        let before = self.stage;
        self.stage = Stage::after(Some(before), &self.connection);
        self.deadline = runner.now + self.stage.patience(&shared.limits);
        let now = runner.now;
        self.keep_alive = match (before, self.stage) {
            (Stage::Upgrading, _) => Some(KeepAlive::websocket(shared.limits.websocket_ping, now)),
            (_, Stage::Speaking) if self.connection.outgoing && self.keep_alive.is_none() => shared
                .keep_alive
                .map(|every| KeepAlive::line_ends(every, now)),
            _ => self.keep_alive.take(),
        };
    }

    /// The peer is there and has said something; with `whole`, something that counts as its first message.
    pub(super) fn is_there<M: Machine>(&mut self, whole: bool, runner: &Runner<'_, M>) {
        if whole && self.stage == Stage::Silent {
            self.advance(runner);
        } else if self.stage == Stage::Speaking {
            self.deadline = runner.now + runner.shared.limits.idle;
        }
    }

    /// When this connection needs attention next.
    pub(super) fn next(&self) -> Time {
        let ping = self.keep_alive.as_ref().map(|k| match k.due {
            Some(due) => due.min(k.next),
            None => k.next,
        });
        ping.map_or(self.deadline, |p| p.min(self.deadline))
    }

    /// Sends a ping that is due; ends a connection whose peer has stopped answering them.
    pub(super) fn ping<M: Machine>(&mut self, runner: &mut Runner<'_, M>) -> Fate {
        let Some(keep_alive) = &mut self.keep_alive else {
            return Fate::Stay;
        };
        if keep_alive.due.is_some_and(|due| due <= runner.now) {
            keep_alive.due = None;
            if keep_alive.answers {
                runner.shared.statistics.connections_idle.add_one();
                return Fate::End;
            }
        }
        if keep_alive.next <= runner.now {
            keep_alive.next = runner.now + keep_alive.every;
            keep_alive
                .due
                .get_or_insert(runner.now + keep_alive.patience);
            let ping = keep_alive.ping.clone();
            self.say(ping, runner);
        }
        Fate::Stay
    }

    /// Sends octets that are no message. When too much waits already they are left out: who does not read misses nothing.
    pub(super) fn say<M: Machine>(&self, octets: Bytes, runner: &mut Runner<'_, M>) {
        let limit = runner.shared.limits.connection_pending;
        if let Ok(true) = self.connection.queue(octets, None, limit) {
            runner.flush_later(self.connection.clone());
        }
    }
}
