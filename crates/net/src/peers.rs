//! Who is meant by the names of connections that endpoints give out.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex};

use sip::flow::ConnectionId;

use crate::shard::lock;

/// The peers that endpoints have named, the oldest forgotten first.
///
/// Two halves of equal size: what is used moves to the young half, and when that is full the old one is forgotten.
#[derive(Debug)]
pub(crate) struct Peers {
    halves: Mutex<Halves>,
    half: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<ConnectionId, Arc<str>>,
    old: HashMap<ConnectionId, Arc<str>>,
}

impl Peers {
    /// Remembers `limit` names.
    pub(crate) fn new(limit: usize) -> Peers {
        Peers {
            halves: Mutex::default(),
            half: (limit / 2).max(1),
        }
    }

    /// From now on `connection` means `name`.
    pub(crate) fn tell(&self, connection: ConnectionId, name: Arc<str>) {
        lock(&self.halves).put(connection, name, self.half);
    }

    /// Who is meant.
    pub(crate) fn name(&self, connection: ConnectionId) -> Option<Arc<str>> {
        if !connection.is_named() {
            return None;
        }
        let mut halves = lock(&self.halves);
        if let Some(name) = halves.young.get(&connection) {
            return Some(name.clone());
        }
        let name = halves.old.remove(&connection)?;
        halves.put(connection, name.clone(), self.half);
        Some(name)
    }
}

impl Halves {
    fn put(&mut self, connection: ConnectionId, name: Arc<str>, half: usize) {
        if self.young.len() >= half && !self.young.contains_key(&connection) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(connection, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let peers = Peers::new(4);
        let id = |n| ConnectionId::named(n);
        peers.tell(id(1), "one".into());
        for n in 2..1_000 {
            peers.tell(id(n), "other".into());
            assert_eq!(peers.name(id(1)).as_deref(), Some("one"), "after {n}");
        }
        assert_eq!(peers.name(id(2)), None);
        let halves = lock(&peers.halves);
        assert!(halves.young.len() + halves.old.len() <= 4);
    }

    #[test]
    fn a_connection_is_nobody() {
        let peers = Peers::new(4);
        assert_eq!(peers.name(ConnectionId(7)), None);
        assert_eq!(peers.name(ConnectionId::ANY), None);
    }
}
