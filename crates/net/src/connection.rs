//! One connection of a stream transport, as every thread may use it.
//!
//! A connection is a byte stream and a framing. Here the stream is the TCP socket itself; TLS would
//! sit between the queue and the socket, WebSocket between the message and the queue.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Mutex;

use bytes::Bytes;
use mio::net::TcpStream;
use sip::flow::{ConnectionId, Flow, Transport};

use crate::shard::lock;
use crate::statistics::Statistics;

/// How many messages one gathered write carries at most.
const GATHER: usize = 32;

/// One connection. Its worker reads; any thread may write.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What received messages carry: the listener's address, the peer's, and the name.
    pub(crate) flow: Flow,
    /// Whether we opened it.
    pub(crate) outgoing: bool,
    socket: TcpStream,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    state: State,
    queue: VecDeque<Waiting>,
    /// How much of the first in the queue is written.
    written: usize,
    octets: usize,
    /// Whether some worker will flush it at the end of its batch.
    listed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// What is queued still leaves, nothing new is taken.
    Closing,
    /// Our half is shut: the peer has got all that it will get.
    Shut,
    Closed,
}

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    /// The flow that was asked for; `None` for keep-alives, which nobody misses.
    flow: Option<Flow>,
}

/// Why a connection did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too much waits already.
    Full,
    /// It is closed or closing.
    Closed,
}

/// What an attempt to write led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The rest leaves when the socket becomes writable.
    Later,
    /// All has left, and our half of a closing connection is now shut.
    Shut,
    /// The connection is lost.
    Lost,
}

impl Connection {
    pub(crate) fn new(flow: Flow, outgoing: bool, socket: TcpStream) -> Connection {
        Connection {
            flow,
            outgoing,
            socket,
            out: Mutex::new(Out {
                state: if outgoing {
                    State::Connecting
                } else {
                    State::Open
                },
                queue: VecDeque::new(),
                written: 0,
                octets: 0,
                listed: false,
            }),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.flow.connection
    }

    pub(crate) fn transport(&self) -> Transport {
        self.flow.transport
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        self.flow.remote
    }

    /// Queues a message, or a keep-alive when there is no flow; yields whether the caller has to
    /// see to it that the queue is flushed.
    pub(crate) fn queue(
        &self,
        bytes: Bytes,
        flow: Option<Flow>,
        limit: usize,
    ) -> Result<bool, Refused> {
        let mut out = lock(&self.out);
        if !matches!(out.state, State::Connecting | State::Open) {
            return Err(Refused::Closed);
        }
        if out.octets.saturating_add(bytes.len()) > limit {
            return Err(Refused::Full);
        }
        out.octets += bytes.len();
        out.queue.push_back(Waiting { bytes, flow });
        let listed = std::mem::replace(&mut out.listed, true);
        Ok(!listed)
    }

    /// Writes what is queued as far as the socket takes it.
    pub(crate) fn flush(&self, statistics: &Statistics) -> Flushed {
        let mut out = lock(&self.out);
        out.listed = false;
        match out.state {
            State::Connecting => return Flushed::Later,
            State::Closed => return Flushed::Lost,
            State::Shut => return Flushed::Shut,
            State::Open | State::Closing => {}
        }
        while !out.queue.is_empty() {
            match self.write(&out) {
                Ok(0) => return self.lose(),
                Ok(count) => {
                    statistics.stream_bytes_out.add(count as u64);
                    out.wrote(count);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Flushed::Later,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.lose(),
            }
        }
        if out.state == State::Closing {
            out.state = State::Shut;
            // A peer that is gone already needs no goodbye.
            let _ = self.socket.shutdown(Shutdown::Write);
            return Flushed::Shut;
        }
        Flushed::All
    }

    fn write(&self, out: &Out) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); GATHER];
        let mut count = 0;
        for (slice, waiting) in slices.iter_mut().zip(&out.queue) {
            let skip = if count == 0 { out.written } else { 0 };
            *slice = IoSlice::new(waiting.bytes.get(skip..).unwrap_or_default());
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        (&self.socket).write_vectored(slices)
    }

    /// Shutting the socket wakes the worker that reads it; that one cleans up.
    fn lose(&self) -> Flushed {
        let _ = self.socket.shutdown(Shutdown::Both);
        Flushed::Lost
    }

    /// Whether the connection stands after the socket became writable; `None` while it is not known.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub(crate) fn connected(&self) -> io::Result<Option<bool>> {
        let mut out = lock(&self.out);
        if out.state != State::Connecting {
            return Ok(Some(false));
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                out.state = State::Open;
                Ok(Some(true))
            }
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether an attempt to connect is under way.
    pub(crate) fn is_connecting(&self) -> bool {
        lock(&self.out).state == State::Connecting
    }

    /// Whether something still waits to be written.
    pub(crate) fn has_waiting(&self) -> bool {
        !lock(&self.out).queue.is_empty()
    }

    /// Reads what has arrived. Only the worker of the connection calls it.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    /// Lets what is queued leave and takes nothing more.
    pub(crate) fn begin_closing(&self) {
        let mut out = lock(&self.out);
        if matches!(out.state, State::Connecting | State::Open) {
            out.state = State::Closing;
        }
    }

    /// Ends the connection; yields the flows whose messages have not left.
    pub(crate) fn close(&self) -> Vec<Flow> {
        let mut out = lock(&self.out);
        out.state = State::Closed;
        let mut lost: Vec<Flow> = Vec::new();
        for flow in out.queue.drain(..).filter_map(|w| w.flow) {
            if !lost.contains(&flow) {
                lost.push(flow);
            }
        }
        out.octets = 0;
        out.written = 0;
        let _ = self.socket.shutdown(Shutdown::Both);
        lost
    }
}

impl Out {
    /// Takes `count` written octets from the front of the queue.
    fn wrote(&mut self, mut count: usize) {
        self.octets = self.octets.saturating_sub(count);
        while let Some(first) = self.queue.front() {
            let rest = first.bytes.len().saturating_sub(self.written);
            if count < rest {
                self.written += count;
                return;
            }
            count -= rest;
            self.written = 0;
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_leaves_exactly_the_rest() {
        let mut out = Out {
            state: State::Open,
            queue: VecDeque::new(),
            written: 0,
            octets: 0,
            listed: false,
        };
        for text in ["abc", "", "defg", "h"] {
            out.octets += text.len();
            out.queue.push_back(Waiting {
                bytes: text.into(),
                flow: None,
            });
        }
        out.wrote(2);
        assert_eq!((out.queue.len(), out.written, out.octets), (4, 2, 6));
        out.wrote(2);
        assert_eq!((out.queue.len(), out.written, out.octets), (2, 1, 4));
        out.wrote(4);
        assert_eq!((out.queue.len(), out.written, out.octets), (0, 0, 0));
    }
}
