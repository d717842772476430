//! A box that hides an inner address behind an outer one.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Gives each inner address and port one outer port, and lets in only what answers to something that left.
#[derive(Debug)]
pub(super) struct Nat {
    inside: IpAddr,
    outside: IpAddr,
    ports: HashMap<SocketAddr, u16>,
    back: HashMap<u16, SocketAddr>,
    spoken_to: HashSet<(SocketAddr, SocketAddr)>,
}

impl Nat {
    pub(super) fn new(inside: IpAddr, outside: IpAddr) -> Nat {
        Nat {
            inside,
            outside,
            ports: HashMap::new(),
            back: HashMap::new(),
            spoken_to: HashSet::new(),
        }
    }

    /// The source that `to` sees of what `from` sends; `None` when it does not pass here.
    pub(super) fn outward(&mut self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if from.ip() != self.inside || to.ip() == self.inside {
            return None;
        }
        let next = 40_000 + self.ports.len() as u16;
        let port = *self.ports.entry(from).or_insert(next);
        self.back.insert(port, from);
        self.spoken_to.insert((from, to));
        Some(SocketAddr::new(self.outside, port))
    }

    /// Whether `to` is on the outer side of this box.
    pub(super) fn is_outside(&self, to: SocketAddr) -> bool {
        to.ip() == self.outside
    }

    /// Where what `from` sends to the outer address `to` ends up; `None` when the box drops it.
    pub(super) fn inward(&self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let inner = *self.back.get(&to.port())?;
        self.spoken_to.contains(&(inner, from)).then_some(inner)
    }
}
