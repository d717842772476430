//! What a call occupies: a pair of ports, and a place among the calls that may run at once.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::net::UdpSocket;
use net::RtpPorts;

/// The sockets of a call; dropping it frees them and the place.
#[derive(Debug)]
pub(super) struct Line {
    /// Carries RTP.
    pub(super) rtp: UdpSocket,
    /// Carries RTCP.
    pub(super) rtcp: UdpSocket,
    port: u16,
    _place: Place,
}

/// The places there are.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Arc<AtomicUsize>,
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<AtomicUsize>,
}

impl Line {
    /// Binds a free pair of ports.
    ///
    /// # Errors
    /// No pair is free, or the system gives no socket on this address.
    pub(super) fn bind(ports: &RtpPorts, address: IpAddr, place: Place) -> io::Result<Line> {
        let pair = ports.allocate(address).map_err(io::Error::other)?;
        pair.rtp.set_nonblocking(true)?;
        pair.rtcp.set_nonblocking(true)?;
        Ok(Line {
            rtp: UdpSocket::from_std(pair.rtp),
            rtcp: UdpSocket::from_std(pair.rtcp),
            port: pair.port,
            _place: place,
        })
    }

    /// The port of RTP; RTCP's is the one above.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Places {
    /// So many places, all free.
    pub(super) fn new(most: usize) -> Places {
        Places {
            most,
            taken: Arc::default(),
        }
    }

    /// One of them, if any is free.
    pub(super) fn take(&self) -> Option<Place> {
        let more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()?;
        Some(Place {
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
