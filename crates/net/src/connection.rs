//! One connection of a stream transport, as every thread may use it.
//!
//! A connection is a byte stream and a framing. The stream is the TCP socket itself, or TLS between the queue and the
//! socket. TLS is fed from the queue only while nothing of its own waits for the socket, so that what has not left stays
//! known. The frames of WebSocket begin between the message and the queue.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mio::net::TcpStream;
use sip::flow::{ConnectionId, Flow, Transport};
use sip::wire::websocket::{kind_of, write_head};

use crate::shard::lock;
use crate::statistics::Statistics;
use crate::tls::Session;

/// How many messages one gathered write carries at most.
const GATHER: usize = 32;

/// How many flows are remembered of those that go along one connection: one for each shard, and a few more.
const MOST_ALONG: usize = 256;

/// One connection. Its worker reads; any thread may write.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What received messages carry: the listener's address, the peer's, and the name.
    pub(crate) flow: Flow,
    /// Whether we opened it.
    pub(crate) outgoing: bool,
    /// Whom the other end has to show to be, in TLS that we open.
    pub(crate) peer: Option<Arc<str>>,
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
    tls: Option<Box<Session>>,
    /// The flows that messages went along, where only this connection leads to the peer: whoever waits for answers on them
    /// has to hear of its end.
    along: Vec<Flow>,
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
    pub(crate) fn accepted(flow: Flow, socket: TcpStream, tls: Option<Session>) -> Connection {
        Connection::new(flow, None, socket, tls, State::Open)
    }

    /// A connection that is being opened; TLS on it is for `peer`.
    pub(crate) fn opening(
        flow: Flow,
        peer: Option<Arc<str>>,
        socket: TcpStream,
        tls: Option<Session>,
    ) -> Connection {
        Connection::new(flow, peer, socket, tls, State::Connecting)
    }

    fn new(
        flow: Flow,
        peer: Option<Arc<str>>,
        socket: TcpStream,
        tls: Option<Session>,
        state: State,
    ) -> Connection {
        Connection {
            flow,
            outgoing: state == State::Connecting,
            peer,
            socket,
            out: Mutex::new(Out {
                state,
                queue: VecDeque::new(),
                written: 0,
                octets: 0,
                listed: false,
                tls: tls.map(Box::new),
                along: Vec::new(),
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

    /// Queues a message, or octets of the transport's own (keep-alives, whole frames) when there is no flow; yields whether
    /// the caller has to see to it that the queue is flushed.
    pub(crate) fn queue(
        &self,
        bytes: Bytes,
        flow: Option<Flow>,
        limit: usize,
    ) -> Result<bool, Refused> {
        let head = match (flow, self.transport()) {
            (Some(_), Transport::Ws | Transport::Wss) => head_of(&bytes),
            _ => Bytes::new(),
        };
        let mut out = lock(&self.out);
        if !matches!(out.state, State::Connecting | State::Open) {
            return Err(Refused::Closed);
        }
        let octets = out.octets.saturating_add(bytes.len() + head.len());
        if octets > limit {
            return Err(Refused::Full);
        }
        out.octets = octets;
        if let (Some(_), Some(flow)) = (&self.peer, flow)
            && out.along.len() < MOST_ALONG
            && !out.along.contains(&flow)
        {
            out.along.push(flow);
        }
        if !head.is_empty() {
            let bytes = head;
            out.queue.push_back(Waiting { bytes, flow });
        }
        out.queue.push_back(Waiting { bytes, flow });
        let listed = std::mem::replace(&mut out.listed, true);
        Ok(!listed)
    }

    /// Writes what is queued as far as the socket takes it.
    pub(crate) fn flush(&self, statistics: &Statistics) -> Flushed {
        let mut out = lock(&self.out);
        out.listed = false;
        self.flush_out(&mut out, statistics)
    }

    fn flush_out(&self, out: &mut Out, statistics: &Statistics) -> Flushed {
        match out.state {
            State::Connecting => return Flushed::Later,
            State::Closed => return Flushed::Lost,
            State::Shut => return Flushed::Shut,
            State::Open | State::Closing => {}
        }
        loop {
            match out.step(&self.socket, statistics) {
                Ok(true) => {}
                Ok(false) => break,
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
        let out = lock(&self.out);
        !out.queue.is_empty() || out.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether messages can pass: there is no TLS, or its handshake is done.
    pub(crate) fn is_secured(&self) -> bool {
        let out = lock(&self.out);
        out.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// What ended TLS, in words for a person.
    pub(crate) fn tls_failure(&self) -> Option<String> {
        let out = lock(&self.out);
        let failure = out.tls.as_ref().and_then(|tls| tls.failure());
        failure.map(crate::tls::explain)
    }

    /// Whether a read that does not fill the buffer says that nothing more is there.
    pub(crate) fn reads_all(&self) -> bool {
        !matches!(self.transport(), Transport::Tls | Transport::Wss)
    }

    /// Reads what has arrived. Only the worker of the connection calls it.
    pub(crate) fn read(&self, buffer: &mut [u8], statistics: &Statistics) -> io::Result<usize> {
        if self.reads_all() {
            return (&self.socket).read(buffer);
        }
        let mut out = lock(&self.out);
        let Some(tls) = out.tls.as_mut() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let result = tls.read(&self.socket, buffer);
        // What was read may call for an answer of TLS, or open the way for what is queued.
        if tls.wants_write() || !out.queue.is_empty() {
            let _: Flushed = self.flush_out(&mut out, statistics);
        }
        result
    }

    /// Lets what is queued leave and takes nothing more.
    pub(crate) fn begin_closing(&self) {
        let mut out = lock(&self.out);
        if matches!(out.state, State::Connecting | State::Open) {
            out.state = State::Closing;
        }
    }

    /// Ends the connection, with `farewell` if nothing stands before it; yields the flows whose messages have not left,
    /// or whose answers cannot come any more.
    pub(crate) fn close(&self, farewell: Option<Bytes>, statistics: &Statistics) -> Vec<Flow> {
        let mut out = lock(&self.out);
        if out.state == State::Open && out.queue.is_empty() {
            out.state = State::Closing;
            if let Some(bytes) = farewell {
                out.queue.push_back(Waiting { bytes, flow: None });
            }
            let _: Flushed = self.flush_out(&mut out, statistics);
        }
        out.state = State::Closed;
        let mut lost = std::mem::take(&mut out.along);
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
    /// Writes once; yields whether there may be more to write.
    fn step(&mut self, socket: &TcpStream, statistics: &Statistics) -> io::Result<bool> {
        let Some(tls) = self.tls.as_mut() else {
            if self.queue.is_empty() {
                return Ok(false);
            }
            let mut slices = [IoSlice::new(&[]); GATHER];
            let waiting = gather(&self.queue, self.written, &mut slices);
            let count = (&*socket).write_vectored(waiting)?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            statistics.stream_bytes_out.add(count as u64);
            self.wrote(count);
            return Ok(true);
        };
        if tls.wants_write() {
            let count = tls.write(socket)?;
            statistics.stream_bytes_out.add(count as u64);
            if !tls.wants_write() {
                let fed = std::mem::take(&mut tls.fed);
                self.wrote(fed);
            }
            return Ok(true);
        }
        if self.queue.is_empty() {
            return Ok(self.state == State::Closing && tls.say_goodbye());
        }
        if tls.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut slices = [IoSlice::new(&[]); GATHER];
        let waiting = gather(&self.queue, self.written, &mut slices);
        match tls.feed(waiting)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(true),
        }
    }

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

/// What one gathered write carries.
fn gather<'a, 'b>(
    queue: &'a VecDeque<Waiting>,
    written: usize,
    slices: &'b mut [IoSlice<'a>; GATHER],
) -> &'b [IoSlice<'a>] {
    let mut count = 0;
    for (slice, waiting) in slices.iter_mut().zip(queue) {
        let skip = if count == 0 { written } else { 0 };
        *slice = IoSlice::new(waiting.bytes.get(skip..).unwrap_or_default());
        count += 1;
    }
    slices.get(..count).unwrap_or_default()
}

/// The head of the frame that a message goes in (RFC 7118 §5).
fn head_of(message: &[u8]) -> Bytes {
    let mut head = Vec::new();
    write_head(&mut head, kind_of(message), message.len(), None);
    head.into()
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
            tls: None,
            along: Vec::new(),
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
