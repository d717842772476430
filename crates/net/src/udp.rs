//! Datagram sockets of one worker.

use std::io;
use std::net::SocketAddr;

use mio::{Interest, Registry, Token, net::UdpSocket};
use sip::flow::{Flow, Transmit, Transport};
use sip::time::Time;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::NetError;
use crate::load::Load;
use crate::statistics::Statistics;

#[cfg(target_os = "linux")]
use crate::mmsg as system;
#[cfg(not(target_os = "linux"))]
use crate::portable as system;

pub(crate) use system::{BATCH, Batch, FEW};

/// What a socket's kernel buffers are asked to hold.
const KERNEL_BUFFER: usize = 8 << 20;

/// Entries of the error queue that are read before other work has its turn.
const REPORTS: usize = 64;

/// One socket of one worker, bound to one exact address.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    token: Token,
    local: SocketAddr,
    load: Load,
    /// A busy socket is taken from the poll and read once a millisecond.
    pub(crate) busy: bool,
    /// Something may be there to read.
    pub(crate) ready: bool,
    waiting: Vec<Transmit>,
    blocked: bool,
    /// Errors of the receiving call since it last gave something.
    errors: usize,
}

/// Binds one socket to `local`; with `shared`, others of ours may have the same port.
///
/// # Errors
/// [`NetError::Listen`] when the address cannot be had.
pub(crate) fn bind(local: SocketAddr, shared: bool) -> Result<UdpSocket, NetError> {
    let refused = |source| NetError::Listen {
        transport: Transport::Udp,
        address: local,
        source,
    };
    open(local, shared).map_err(refused)
}

fn open(local: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    share_port(&socket, shared)?;
    enlarge(&socket, local);
    socket.bind(&local.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Lets several sockets of ours share a port; the kernel spreads the senders over them.
pub(crate) fn share_port(socket: &Socket, shared: bool) -> io::Result<()> {
    #[cfg(unix)]
    if shared {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = (socket, shared);
    Ok(())
}

#[cfg(target_os = "linux")]
fn enlarge(socket: &Socket, local: SocketAddr) {
    use std::os::fd::AsRawFd;
    system::prepare(socket.as_raw_fd(), local.is_ipv6(), KERNEL_BUFFER as i32);
}

#[cfg(not(target_os = "linux"))]
fn enlarge(socket: &Socket, _local: SocketAddr) {
    // A smaller buffer works too, only less well under bursts.
    let _ = socket.set_recv_buffer_size(KERNEL_BUFFER);
    let _ = socket.set_send_buffer_size(KERNEL_BUFFER);
}

impl Datagrams {
    pub(crate) fn new(
        mut socket: UdpSocket,
        token: Token,
        registry: &Registry,
        now: Time,
    ) -> io::Result<Datagrams> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        let local = socket.local_addr()?;
        Ok(Datagrams {
            socket,
            token,
            local,
            load: Load::new(now),
            busy: false,
            ready: true,
            waiting: Vec::new(),
            blocked: false,
            errors: 0,
        })
    }

    /// The address bound.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Receives one batch; zero when nothing is there.
    pub(crate) fn receive(&mut self, batch: &mut Batch, failed: &mut Vec<Flow>) -> usize {
        let most = if self.busy { BATCH } else { FEW };
        match batch.receive(&self.socket, most) {
            Ok(count) => {
                // Less than was asked for means that the kernel's queue ran empty.
                self.ready = count == most;
                self.errors = 0;
                count
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.ready = false;
                0
            }
            Err(_) => {
                // An error of an earlier send shows here; reading the queue of errors clears it.
                // One that stays waits for the next arrival.
                self.read_errors(failed);
                self.errors += 1;
                self.ready = self.errors < REPORTS;
                0
            }
        }
    }

    /// Judges the load; a change of it moves the socket out of or into the poll.
    pub(crate) fn measure(&mut self, now: Time, received: usize, registry: &Registry) {
        let busy = self.load.note(now, received);
        if busy == self.busy {
            return;
        }
        let interest = self.interest();
        let changed = if busy {
            registry.deregister(&mut self.socket)
        } else {
            registry.register(&mut self.socket, self.token, interest)
        };
        if changed.is_ok() {
            self.busy = busy;
        }
    }

    /// Collects the flows that the network reported as unreachable.
    pub(crate) fn read_errors(&mut self, failed: &mut Vec<Flow>) {
        #[cfg(target_os = "linux")]
        for _ in 0..REPORTS {
            let Some(report) = system::error_report(&self.socket) else {
                break;
            };
            let flow = Flow::udp(self.local, report.remote);
            if report.unreachable && !failed.contains(&flow) {
                failed.push(flow);
            }
        }
        // Elsewhere the error arrives with the receive call and names nobody.
        #[cfg(not(target_os = "linux"))]
        let _ = (failed, REPORTS, self.socket.take_error());
    }

    /// Puts a datagram into the queue; yields false when the queue has reached `limit`.
    pub(crate) fn queue(&mut self, transmit: Transmit, limit: usize) -> bool {
        // The limit is for a socket that does not take what it is given, not for one large batch.
        if self.blocked && self.waiting.len() >= limit {
            return false;
        }
        self.waiting.push(transmit);
        true
    }

    /// Whether datagrams wait because the socket could not take them.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Sends what is queued until the socket takes no more.
    pub(crate) fn flush(
        &mut self,
        statistics: &Statistics,
        failed: &mut Vec<Flow>,
        registry: &Registry,
    ) {
        let was_blocked = std::mem::take(&mut self.blocked);
        let mut sent = 0;
        let mut failures = 0;
        while let Some(rest) = self.waiting.get(sent..)
            && let Some(first) = rest.first()
        {
            match system::send(&self.socket, rest) {
                Ok(count) => {
                    let bytes: usize = rest.iter().take(count).map(|t| t.bytes.len()).sum();
                    statistics.datagrams_out.add(count as u64);
                    statistics.datagram_bytes_out.add(bytes as u64);
                    statistics.batches_out.add_one();
                    sent += count.max(1);
                    failures = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                // The error may be that of an earlier datagram to somebody else: once more.
                Err(_) if failures == 0 => {
                    self.read_errors(failed);
                    failures = 1;
                }
                Err(_) => {
                    statistics.datagrams_failed.add_one();
                    let flow = first.flow;
                    if !failed.contains(&flow) {
                        failed.push(flow);
                    }
                    sent += 1;
                    failures = 0;
                }
            }
        }
        self.waiting.drain(..sent.min(self.waiting.len()));
        if self.blocked && !was_blocked {
            statistics.datagrams_delayed.add(self.waiting.len() as u64);
        }
        if self.blocked != was_blocked && !self.busy {
            // Should this fail, the queue is tried again at the next batch all the same.
            let interest = self.interest();
            let _ = registry.reregister(&mut self.socket, self.token, interest);
        }
    }

    fn interest(&self) -> Interest {
        if self.blocked {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        }
    }
}
