//! Sockets that wait for connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use sip::flow::{ConnectionId, Flow, Transport};
use sip::time::Time;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::NetError;
use crate::udp::share_port;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// How long accepting pauses when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(200);

/// One listening socket of one worker.
pub(crate) struct Listening {
    socket: TcpListener,
    transport: Transport,
    local: SocketAddr,
    /// Somebody may be waiting.
    pub(crate) ready: bool,
    /// No file descriptor was left; try again at this moment.
    pub(crate) paused_until: Option<Time>,
}

/// What an attempt to accept led to.
pub(crate) enum Accepted {
    /// A connection and its flow, still without a name.
    Connection(TcpStream, Flow),
    /// Nobody is waiting.
    Nobody,
    /// The one who waited is gone already.
    Gone,
    /// The process has no file descriptor left.
    Exhausted,
}

/// Binds one socket to `local`; with `shared`, others of ours may have the same port.
///
/// # Errors
/// [`NetError::Listen`] when the address cannot be had.
pub(crate) fn bind(
    transport: Transport,
    local: SocketAddr,
    shared: bool,
) -> Result<TcpListener, NetError> {
    open(local, shared).map_err(|source| NetError::Listen {
        transport,
        address: local,
        source,
    })
}

/// Binds one socket to `local` and does not listen: who connects there is refused.
///
/// # Errors
/// [`NetError::Listen`] when the address cannot be had.
pub(crate) fn reserve(transport: Transport, local: SocketAddr) -> Result<Socket, NetError> {
    bound(local, false).map_err(|source| NetError::Listen {
        transport,
        address: local,
        source,
    })
}

fn open(local: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = bound(local, shared)?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn bound(local: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(local),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Windows this option would let others take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    share_port(&socket, shared)?;
    socket.bind(&local.into())?;
    Ok(socket)
}

impl Listening {
    pub(crate) fn new(
        transport: Transport,
        mut socket: TcpListener,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Listening> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        let local = socket.local_addr()?;
        Ok(Listening {
            socket,
            transport,
            local,
            ready: true,
            paused_until: None,
        })
    }

    /// Accepts one connection.
    pub(crate) fn accept(&mut self) -> Accepted {
        match self.socket.accept() {
            Ok((socket, remote)) => {
                let flow = Flow {
                    transport: self.transport,
                    local: self.local,
                    remote,
                    connection: ConnectionId::ANY,
                };
                Accepted::Connection(socket, flow)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Accepted::Nobody,
            Err(e) if is_exhausted(&e) => Accepted::Exhausted,
            Err(_) => Accepted::Gone,
        }
    }

    /// Stops accepting for a while.
    pub(crate) fn pause(&mut self, now: Time) {
        self.ready = false;
        self.paused_until = Some(now + PAUSE);
    }

    /// Goes on accepting when the pause is over.
    pub(crate) fn resume(&mut self, now: Time) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
            self.ready = true;
        }
    }
}

/// Whether the process or the system has no file descriptor or memory left for one more.
fn is_exhausted(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    #[cfg(all(unix, not(target_os = "linux")))]
    let exhausted = [24, 23, 55, 12];
    #[cfg(not(unix))]
    let exhausted = [10_024, 10_055];
    error
        .raw_os_error()
        .is_some_and(|code| exhausted.contains(&code))
}
