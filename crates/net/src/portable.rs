//! One datagram per system call, for systems without `recvmmsg`; the same shape as `mmsg`.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use sip::flow::Transmit;

/// How many datagrams are handled together at most.
pub(crate) const BATCH: usize = 32;

/// How many a quiet socket is asked for.
pub const FEW: usize = 8;

const ROOM: usize = 65_536;

/// Buffers for one batch of datagrams.
pub struct Batch {
    buffer: Box<[u8]>,
    datagrams: [Option<(usize, SocketAddr)>; BATCH],
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    /// Empty buffers.
    pub fn new() -> Batch {
        Batch {
            buffer: vec![0; ROOM * BATCH].into_boxed_slice(),
            datagrams: [None; BATCH],
        }
    }

    /// Receives what is there, up to `most` datagrams.
    ///
    /// # Errors
    /// What the system says when it gives none; [`io::ErrorKind::WouldBlock`] when nothing is there.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> io::Result<usize> {
        let most = most.min(BATCH);
        let rooms = self.buffer.chunks_exact_mut(ROOM).take(most);
        for (n, (room, datagram)) in rooms.zip(&mut self.datagrams).enumerate() {
            match socket.recv_from(room) {
                Ok(received) => *datagram = Some(received),
                Err(error) if n == 0 => return Err(error),
                Err(_) => return Ok(n),
            }
        }
        Ok(most)
    }

    /// The `n`th datagram of the last batch and who sent it.
    pub fn datagram(&self, n: usize) -> Option<(&[u8], SocketAddr)> {
        let (length, remote) = (*self.datagrams.get(n)?)?;
        let bytes = self.buffer.get(n * ROOM..)?.get(..length)?;
        Some((bytes, remote))
    }

    /// Sends datagrams of the last batch on to `to`: those that `picks` counts, in that order, up to [`FEW`]. Yields how
    /// many the socket took.
    ///
    /// # Errors
    /// What the system says to the first of them when it takes none.
    pub fn forward(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        picks: &[usize],
    ) -> io::Result<usize> {
        let mut sent = 0;
        for (bytes, _) in picks.iter().take(FEW).filter_map(|n| self.datagram(*n)) {
            match socket.send_to(bytes, to) {
                Ok(_) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }
}

/// Sends as many of `transmits` as the socket takes, in order, up to [`BATCH`]; yields how many.
///
/// # Errors
/// What the system says to the first of them when it takes none.
pub(crate) fn send(socket: &UdpSocket, transmits: &[Transmit]) -> io::Result<usize> {
    for (n, transmit) in transmits.iter().take(BATCH).enumerate() {
        match socket.send_to(&transmit.bytes, transmit.flow.remote) {
            Ok(_) => {}
            Err(error) if n == 0 => return Err(error),
            Err(_) => return Ok(n),
        }
    }
    Ok(transmits.len().min(BATCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_in_order_with_their_sender() {
        let bind = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (a, b) = (bind(), bind());
        let flow = sip::flow::Flow::udp(a.local_addr().unwrap(), b.local_addr().unwrap());
        let all: Vec<Transmit> = (0..3)
            .map(|n| Transmit {
                flow,
                bytes: format!("datagram {n}").into(),
            })
            .collect();
        assert_eq!(send(&a, &all).unwrap(), 3);
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&b, FEW).unwrap(), 3);
        for n in 0..3 {
            let (bytes, remote) = batch.datagram(n).unwrap();
            assert_eq!(bytes, format!("datagram {n}").as_bytes());
            assert_eq!(remote, flow.local);
        }
        assert_eq!(batch.forward(&b, flow.local, &[1, 2]).unwrap(), 2);
        let mut onward = Batch::new();
        assert_eq!(onward.receive(&a, FEW).unwrap(), 2);
        assert_eq!(onward.datagram(1).unwrap().0, b"datagram 2");
        let error = batch.receive(&b, FEW).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
