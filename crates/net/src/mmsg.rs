//! Many datagrams in one system call (Linux): `recvmmsg`, `sendmmsg`, and the error queue.
//!
//! The only unsafe code of this crate. Every block passes the kernel pointers to memory that lives
//! on this stack frame or is borrowed for the call, with the true lengths.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use mio::net::UdpSocket;
use sip::flow::Transmit;

/// How many datagrams one call carries at most.
pub(crate) const BATCH: usize = 32;

/// As many as a quiet socket has to carry at once: tables of this size cost next to nothing.
pub const FEW: usize = 8;

/// Room for one datagram: more than the largest possible, so that none is cut.
const ROOM: usize = 65_536;

/// Buffers for one batch of datagrams.
pub struct Batch {
    buffer: Box<[u8]>,
    datagrams: [Option<Received>; BATCH],
}

#[derive(Clone, Copy)]
struct Received {
    length: usize,
    remote: SocketAddr,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    /// Buffers that the system backs with memory only as far as they are used.
    pub fn new() -> Batch {
        Batch {
            buffer: vec![0; ROOM * BATCH].into_boxed_slice(),
            datagrams: [None; BATCH],
        }
    }

    /// Receives what is there, up to `most` datagrams: [`FEW`] or [`BATCH`].
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`] when nothing is there.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> io::Result<usize> {
        if most <= FEW {
            self.receive_up_to::<FEW>(socket)
        } else {
            self.receive_up_to::<BATCH>(socket)
        }
    }

    fn receive_up_to<const N: usize>(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut names = [Name::EMPTY; N];
        let mut slices = [EMPTY_SLICE; N];
        let mut headers = [EMPTY_HEADER; N];
        let rooms = self.buffer.chunks_exact_mut(ROOM);
        for (((room, name), slice), header) in
            rooms.zip(&mut names).zip(&mut slices).zip(&mut headers)
        {
            slice.iov_base = room.as_mut_ptr().cast();
            slice.iov_len = room.len();
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = Name::ROOM;
            header.msg_hdr.msg_iov = slice;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: all pointers in `headers` lead to `names`, `slices` and `self.buffer`, which
        // outlive the call and are not touched during it.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                N as u32,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for ((datagram, header), name) in self
            .datagrams
            .iter_mut()
            .zip(&headers)
            .zip(&names)
            .take(count)
        {
            *datagram = name
                .decode(header.msg_hdr.msg_namelen)
                .map(|remote| Received {
                    length: header.msg_len as usize,
                    remote,
                });
        }
        Ok(count.min(N))
    }

    /// The `n`th datagram of the last batch and who sent it.
    pub fn datagram(&self, n: usize) -> Option<(&[u8], SocketAddr)> {
        let received = (*self.datagrams.get(n)?)?;
        let bytes = self.buffer.get(n * ROOM..)?.get(..received.length)?;
        Some((bytes, received.remote))
    }

    /// Sends datagrams of the last batch on to `to`: those that `picks` counts, in that order, up to [`FEW`]. Yields how
    /// many the socket took. Nothing is copied.
    ///
    /// # Errors
    /// What the system says to the first of them when it takes none.
    pub fn forward(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        picks: &[usize],
    ) -> io::Result<usize> {
        let mut datagrams = picks.iter().filter_map(|n| self.datagram(*n));
        if let [_] = picks {
            return match datagrams.next() {
                Some((bytes, _)) => socket.send_to(bytes, to).map(|_| 1),
                None => Ok(0),
            };
        }
        send_up_to::<FEW>(socket, datagrams.map(|(bytes, _)| (bytes, to)))
    }
}

/// Sends as many of `transmits` as the socket takes, in order, up to [`BATCH`]; yields how many.
///
/// # Errors
/// What the system says to the first of them when it takes none.
pub(crate) fn send(socket: &UdpSocket, transmits: &[Transmit]) -> io::Result<usize> {
    let datagrams = transmits.iter().map(|t| (&*t.bytes, t.flow.remote));
    if transmits.len() <= FEW {
        send_up_to::<FEW>(socket, datagrams)
    } else {
        send_up_to::<BATCH>(socket, datagrams)
    }
}

fn send_up_to<'a, const N: usize>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (&'a [u8], SocketAddr)>,
) -> io::Result<usize> {
    let mut names = [Name::EMPTY; N];
    let mut slices = [EMPTY_SLICE; N];
    let mut headers = [EMPTY_HEADER; N];
    let mut count = 0;
    for ((((bytes, to), name), slice), header) in
        datagrams.zip(&mut names).zip(&mut slices).zip(&mut headers)
    {
        // The kernel does not write through this pointer when sending.
        slice.iov_base = bytes.as_ptr().cast_mut().cast();
        slice.iov_len = bytes.len();
        header.msg_hdr.msg_namelen = name.encode(to);
        header.msg_hdr.msg_name = ptr::from_mut(name).cast();
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the first `count` headers lead to `names`, `slices` and the borrowed bytes, all of
    // which outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Asks the kernel to queue errors that peers' hosts and routers report (ICMP), and makes the
/// socket's buffers `octets` large where that is allowed.
pub(crate) fn prepare(socket: RawFd, v6: bool, octets: i32) {
    let (level, name) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    set(socket, level, name, 1);
    for (forced, plain) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        if !set(socket, libc::SOL_SOCKET, forced, octets) {
            set(socket, libc::SOL_SOCKET, plain, octets);
        }
    }
}

fn set(socket: RawFd, level: i32, name: i32, value: i32) -> bool {
    // SAFETY: the pointer leads to `value`, the length is its own.
    let result = unsafe {
        libc::setsockopt(
            socket,
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    result == 0
}

/// One entry of the error queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Where the datagram that met the error was going.
    pub(crate) remote: SocketAddr,
    /// Whether that destination cannot be reached; false for advice, such as a smaller datagram.
    pub(crate) unreachable: bool,
}

/// Takes one entry from the error queue; `None` when it is empty.
pub(crate) fn error_report(socket: &UdpSocket) -> Option<Report> {
    let mut name = Name::EMPTY;
    let mut control = Control([0; 512]);
    let mut header = EMPTY_HEADER.msg_hdr;
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = Name::ROOM;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: the header leads to `name` and `control`, which outlive the call.
    let result = unsafe {
        libc::recvmsg(
            socket.as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
        )
    };
    if result < 0 {
        return None;
    }
    // An entry without a readable address is still an entry: the caller goes on to the next.
    let remote = name
        .decode(header.msg_namelen)
        .unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
    Some(Report {
        remote,
        unreachable: extended_error(&header).is_some_and(is_unreachable),
    })
}

/// The error number in the control data of an error-queue entry.
fn extended_error(header: &libc::msghdr) -> Option<i32> {
    // SAFETY: `header` was filled by recvmsg and its control buffer is alive in the caller, so the
    // macros stay inside it; the data is copied out unaligned.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            let kind = ((*control).cmsg_level, (*control).cmsg_type);
            if kind == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || kind == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                let data = libc::CMSG_DATA(control).cast::<libc::sock_extended_err>();
                return i32::try_from(ptr::read_unaligned(data).ee_errno).ok();
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

/// Whether the error number says that a destination cannot be reached.
pub(crate) fn is_unreachable(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENOPROTOOPT
            | libc::ENONET
            | libc::EPROTO
            | libc::EACCES
    )
}

#[repr(align(16))]
struct Control([u8; 512]);

/// A socket address as the kernel reads and writes it, no larger than the two families need.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Name {
    // SAFETY: all-zero is a valid value of these plain structures.
    const EMPTY: Name = unsafe { MaybeUninit::zeroed().assume_init() };
    const ROOM: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

    fn encode(&mut self, address: SocketAddr) -> libc::socklen_t {
        match address {
            SocketAddr::V4(v4) => {
                *self = Name::EMPTY;
                self.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(v4.ip().octets()),
                    },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(v6) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr {
                        s6_addr: v6.ip().octets(),
                    },
                    sin6_scope_id: v6.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    fn decode(&self, length: libc::socklen_t) -> Option<SocketAddr> {
        // SAFETY: every field is plain data and the union started as all zeros, so each reading is
        // of initialised memory; the family says which one the kernel wrote.
        unsafe {
            match i32::from(self.family) {
                libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
                    let ip = Ipv4Addr::from(self.v4.sin_addr.s_addr.to_ne_bytes());
                    Some(SocketAddrV4::new(ip, u16::from_be(self.v4.sin_port)).into())
                }
                libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
                    let ip = Ipv6Addr::from(self.v6.sin6_addr.s6_addr);
                    let port = u16::from_be(self.v6.sin6_port);
                    Some(SocketAddrV6::new(ip, port, 0, self.v6.sin6_scope_id).into())
                }
                _ => None,
            }
        }
    }
}

const EMPTY_SLICE: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

// SAFETY: all-zero is a valid value of this plain structure (null pointers, zero lengths).
const EMPTY_HEADER: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(address: &str) -> (UdpSocket, UdpSocket) {
        let bind = || UdpSocket::bind(address.parse().unwrap()).unwrap();
        (bind(), bind())
    }

    fn transmit(from: &UdpSocket, to: SocketAddr, text: String) -> Transmit {
        Transmit {
            flow: sip::flow::Flow::udp(from.local_addr().unwrap(), to),
            bytes: text.into(),
        }
    }

    #[test]
    fn a_batch_arrives_in_order_with_its_sender() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (a, b) = pair(address);
            let to = b.local_addr().unwrap();
            let all: Vec<Transmit> = (0..40)
                .map(|n| transmit(&a, to, format!("datagram {n}")))
                .collect();
            assert_eq!(send(&a, &all).unwrap(), BATCH);
            assert_eq!(send(&a, &all[BATCH..]).unwrap(), 8);
            let mut batch = Batch::new();
            let mut next = 0;
            for want in [BATCH, 8] {
                assert_eq!(batch.receive(&b, BATCH).unwrap(), want);
                for n in 0..want {
                    let (bytes, remote) = batch.datagram(n).unwrap();
                    assert_eq!(bytes, format!("datagram {next}").as_bytes());
                    assert_eq!(remote, a.local_addr().unwrap());
                    next += 1;
                }
            }
            let error = batch.receive(&b, FEW).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn what_was_received_is_forwarded_as_picked() {
        let (a, b) = pair("127.0.0.1:0");
        let (c, d) = pair("[::1]:0");
        let all: Vec<Transmit> = (0..5)
            .map(|n| transmit(&a, b.local_addr().unwrap(), format!("datagram {n}")))
            .collect();
        assert_eq!(send(&a, &all).unwrap(), 5);
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&b, FEW).unwrap(), 5);
        let to = d.local_addr().unwrap();
        assert_eq!(batch.forward(&c, to, &[4]).unwrap(), 1);
        assert_eq!(batch.forward(&c, to, &[0, 2, 3]).unwrap(), 3);
        assert_eq!(batch.forward(&c, to, &[FEW]).unwrap(), 0);
        let mut onward = Batch::new();
        assert_eq!(onward.receive(&d, FEW).unwrap(), 4);
        for (n, want) in [4, 0, 2, 3].into_iter().enumerate() {
            let (bytes, remote) = onward.datagram(n).unwrap();
            assert_eq!(bytes, format!("datagram {want}").as_bytes());
            assert_eq!(remote, c.local_addr().unwrap());
        }
    }

    #[test]
    fn the_largest_datagram_is_not_cut() {
        let (a, b) = pair("127.0.0.1:0");
        let text = "x".repeat(65_507);
        let one = [transmit(&a, b.local_addr().unwrap(), text.clone())];
        prepare(a.as_raw_fd(), false, 1 << 20);
        assert_eq!(send(&a, &one).unwrap(), 1);
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&b, FEW).unwrap(), 1);
        assert_eq!(batch.datagram(0).unwrap().0, text.as_bytes());
    }

    #[test]
    fn a_closed_port_is_reported_with_its_address() {
        for (address, v6) in [("127.0.0.1:0", false), ("[::1]:0", true)] {
            let (a, b) = pair(address);
            prepare(a.as_raw_fd(), v6, 1 << 20);
            let to = b.local_addr().unwrap();
            drop(b);
            assert_eq!(send(&a, &[transmit(&a, to, "anyone?".into())]).unwrap(), 1);
            let want = Report {
                remote: to,
                unreachable: true,
            };
            assert_eq!(error_report(&a), Some(want));
            assert_eq!(error_report(&a), None);
        }
    }
}
