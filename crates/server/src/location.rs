//! The location service: who is where, in memory; the store makes it durable (RFC 3261 §10.3).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use sip::flow::{ConnectionId, Flow, Transport};
use sip::registrar::{Binding, Change};
use store::BindingChange;

use crate::accounts::hasher;
use crate::packed::Packed;

const PARTS: usize = 64;

/// All bindings by address of record (`user@domain`), packed.
pub(crate) struct Location {
    parts: Vec<Mutex<HashTable<Packed>>>,
    hasher: ahash::RandomState,
}

impl Location {
    pub(crate) fn new() -> Location {
        Location {
            parts: (0..PARTS).map(|_| Mutex::new(HashTable::new())).collect(),
            hasher: hasher(),
        }
    }

    fn hash(&self, aor: &str) -> u64 {
        self.hasher.hash_one(aor)
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, HashTable<Packed>> {
        // The table itself goes by the lowest and the highest bits.
        lock(&self.parts[(hash >> 32) as usize % PARTS])
    }

    /// The bindings of an address of record, the expired ones included.
    pub(crate) fn find(&self, aor: &str) -> Option<Arc<[Binding]>> {
        let hash = self.hash(aor);
        let part = self.part(hash);
        let found = part.find(hash, |packed| packed.address_of_record() == aor)?;
        Some(found.bindings().into())
    }

    /// Whether an address of record has a binding that has not expired at `now`.
    pub(crate) fn is_registered(&self, aor: &str, now: u64) -> bool {
        let hash = self.hash(aor);
        let part = self.part(hash);
        let found = part.find(hash, |packed| packed.address_of_record() == aor);
        found.is_some_and(|packed| {
            packed.earliest_expiry() > now || packed.bindings().iter().any(|b| b.expires_at > now)
        })
    }

    /// Changes the bindings of one address of record, alone. `change` gets what there is and yields what is to
    /// be there, or leaves everything as it is.
    pub(crate) fn change<E>(
        &self,
        aor: &str,
        change: impl FnOnce(&[Binding]) -> Result<Option<Vec<Binding>>, E>,
    ) -> Result<(), E> {
        let hash = self.hash(aor);
        let mut part = self.part(hash);
        let existing = part.find(hash, |packed| packed.address_of_record() == aor);
        let existing = existing.map(Packed::bindings).unwrap_or_default();
        if let Some(after) = change(&existing)? {
            self.put(&mut part, hash, aor, &after);
        }
        Ok(())
    }

    fn put(&self, part: &mut HashTable<Packed>, hash: u64, aor: &str, bindings: &[Binding]) {
        let entry = part.entry(
            hash,
            |packed| packed.address_of_record() == aor,
            |packed| self.hash(packed.address_of_record()),
        );
        match entry {
            Entry::Occupied(place) if bindings.is_empty() => drop(place.remove()),
            Entry::Occupied(mut place) => *place.get_mut() = Packed::new(aor, bindings),
            Entry::Vacant(_) if bindings.is_empty() => {}
            Entry::Vacant(place) => drop(place.insert(Packed::new(aor, bindings))),
        }
    }

    /// Adds a binding read from the store.
    pub(crate) fn restore(&self, aor: &str, binding: Binding) {
        let hash = self.hash(aor);
        let mut part = self.part(hash);
        let existing = part.find(hash, |packed| packed.address_of_record() == aor);
        let mut bindings = existing.map(Packed::bindings).unwrap_or_default();
        bindings.push(binding);
        self.put(&mut part, hash, aor, &bindings);
    }

    /// Forgets an address of record.
    pub(crate) fn forget(&self, aor: &str) {
        let hash = self.hash(aor);
        let mut part = self.part(hash);
        self.put(&mut part, hash, aor, &[]);
    }

    /// Forgets what has expired at `now` (milliseconds since 1970).
    pub(crate) fn purge(&self, now: u64) {
        for part in &self.parts {
            lock(part).retain(|packed| {
                if packed.earliest_expiry() > now {
                    return true;
                }
                let mut live = packed.bindings();
                live.retain(|b| b.expires_at > now);
                *packed = Packed::new(packed.address_of_record(), &live);
                !live.is_empty()
            });
        }
    }

    /// The flows of phones that are behind address translators and registered over UDP at `now`.
    pub(crate) fn translated(&self, now: u64) -> Vec<Flow> {
        let mut flows = Vec::new();
        self.each(|_, bindings| {
            let live = bindings.iter().filter(|b| b.expires_at > now);
            let hidden = live.filter(|b| b.inside.is_some() || b.reachable_flow().is_some());
            let hidden = hidden.filter_map(|b| b.flow);
            flows.extend(hidden.filter(|flow| !flow.transport.is_reliable()));
        });
        flows
    }

    /// Shows every address of record with its bindings, the expired ones included, in no order. A part of them is locked
    /// meanwhile.
    pub(crate) fn each(&self, mut show: impl FnMut(&str, &[Binding])) {
        for part in &self.parts {
            for packed in &*lock(part) {
                show(packed.address_of_record(), &packed.bindings());
            }
        }
    }

    /// How many addresses of record, and how many bindings.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.parts.iter().fold((0, 0), |(users, all), part| {
            let part = lock(part);
            let bindings: usize = part.iter().map(Packed::len).sum();
            (users + part.len(), all + bindings)
        })
    }
}

fn lock(part: &Mutex<HashTable<Packed>>) -> MutexGuard<'_, HashTable<Packed>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A change as the store takes it.
pub(crate) fn to_store(aor: &str, change: &Change) -> BindingChange {
    match change {
        Change::Put(binding) => BindingChange::Put(stored(aor, binding)),
        Change::Remove(key) => BindingChange::Remove {
            aor: aor.to_owned(),
            contact_key: key.clone(),
        },
        Change::RemoveAll => BindingChange::RemoveAll {
            aor: aor.to_owned(),
        },
    }
}

fn stored(aor: &str, binding: &Binding) -> store::Binding {
    store::Binding {
        aor: aor.to_owned(),
        contact: binding.contact.clone(),
        contact_key: binding.key.clone(),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        q: binding.q,
        expires_at: binding.expires_at,
        path: binding.path.clone(),
        received: received_text(binding),
        instance: binding.instance.clone(),
        reg_id: binding.reg_id,
        user_agent: binding.user_agent.clone(),
        registered_at: binding.registered_at,
        params: binding.params.clone(),
    }
}

/// A binding as it was stored. Connections do not outlive the process that had them: who registered on one is sought
/// at the contact.
pub(crate) fn from_store(stored: store::Binding) -> (String, Binding) {
    let binding = Binding {
        inside: inside_from(&stored.received),
        contact: stored.contact,
        key: stored.contact_key,
        call_id: stored.call_id,
        cseq: stored.cseq,
        q: stored.q,
        expires_at: stored.expires_at,
        registered_at: stored.registered_at,
        path: stored.path,
        flow: flow_from(&stored.received).filter(|f| !f.transport.is_reliable()),
        instance: stored.instance,
        reg_id: stored.reg_id,
        user_agent: stored.user_agent,
        params: stored.params,
    };
    (stored.aor, binding)
}

/// The flow of a binding, and the address of the phone behind it where that is another.
fn received_text(binding: &Binding) -> String {
    let Some(flow) = binding.flow else {
        return String::new();
    };
    let mut text = format!("{} {} {}", flow.transport.param(), flow.local, flow.remote);
    if let Some(inside) = binding.inside {
        text.push_str(&format!(" {inside}"));
    }
    text
}

fn inside_from(text: &str) -> Option<IpAddr> {
    text.split(' ').nth(3)?.parse().ok()
}

fn flow_from(text: &str) -> Option<Flow> {
    let mut words = text.split(' ');
    let transport = Transport::from_token(words.next()?.as_bytes())?;
    let local: SocketAddr = words.next()?.parse().ok()?;
    let remote: SocketAddr = words.next()?.parse().ok()?;
    Some(Flow {
        transport,
        local,
        remote,
        connection: ConnectionId::ANY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_comes_back_from_the_store_without_its_connection() {
        let flow = |transport| Flow {
            transport,
            local: "[2001:db8::1]:5060".parse().unwrap(),
            remote: "[2001:db8::2]:40000".parse().unwrap(),
            connection: ConnectionId::ANY,
        };
        for (transport, expected) in [
            (Transport::Udp, Some(flow(Transport::Udp))),
            (Transport::Tcp, None),
        ] {
            let binding = Binding {
                contact: "sip:a@b".into(),
                key: "k".into(),
                flow: Some(flow(transport)),
                inside: Some("fd00::2".parse().unwrap()),
                ..Binding::default()
            };
            let (aor, again) = from_store(stored("a@b", &binding));
            assert_eq!(aor, "a@b");
            assert_eq!(again.flow, expected);
            assert_eq!(again.inside, binding.inside);
        }
    }

    #[test]
    fn phones_behind_translators_are_known_by_contact_or_by_via() {
        let location = Location::new();
        let flow = |transport, n: u16| Flow {
            transport,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: SocketAddr::from(([203, 0, 113, 9], n)),
            connection: ConnectionId::ANY,
        };
        let told = "sip:a@203.0.113.9:1";
        for (n, contact, inside, transport) in [
            (1, told, None, Transport::Udp),
            (2, told, Some("192.168.1.2"), Transport::Udp),
            (3, "sip:a@192.168.1.2", None, Transport::Udp),
            (4, "sip:a@192.168.1.2", Some("192.168.1.2"), Transport::Tcp),
        ] {
            let binding = Binding {
                contact: contact.into(),
                key: n.to_string(),
                flow: Some(flow(transport, n)),
                inside: inside.map(|ip| ip.parse().unwrap()),
                expires_at: 10,
                ..Binding::default()
            };
            location.restore("a@b", binding);
        }
        let ports: Vec<u16> = location
            .translated(9)
            .iter()
            .map(|f| f.remote.port())
            .collect();
        assert_eq!(ports, [2, 3]);
        assert!(location.translated(10).is_empty());
    }

    #[test]
    fn what_expired_is_forgotten() {
        let location = Location::new();
        for (n, expires_at) in [(1, 10), (2, 20)] {
            let binding = Binding {
                key: n.to_string(),
                expires_at,
                ..Binding::default()
            };
            location.restore("a@b", binding);
        }
        location.purge(10);
        assert_eq!(location.count(), (1, 1));
        location.purge(20);
        assert_eq!(location.count(), (0, 0));
        assert!(location.find("a@b").is_none());
    }
}
