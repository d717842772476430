//! The location service: who is where, in memory; the store makes it durable (RFC 3261 §10.3).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sip::flow::{ConnectionId, Flow, Transport};
use sip::registrar::{Binding, Change};
use store::BindingChange;

use crate::accounts::hasher;

const PARTS: usize = 64;

type Map = HashMap<String, Arc<[Binding]>, ahash::RandomState>;

/// All bindings by address of record (`user@domain`).
#[derive(Debug)]
pub(crate) struct Location {
    parts: Vec<Mutex<Map>>,
    hasher: ahash::RandomState,
}

impl Location {
    pub(crate) fn new() -> Location {
        Location {
            parts: (0..PARTS)
                .map(|_| Mutex::new(HashMap::with_hasher(hasher())))
                .collect(),
            hasher: hasher(),
        }
    }

    fn part(&self, aor: &str) -> MutexGuard<'_, Map> {
        let at = self.hasher.hash_one(aor) as usize % PARTS;
        self.parts[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The bindings of an address of record, the expired ones included.
    pub(crate) fn find(&self, aor: &str) -> Option<Arc<[Binding]>> {
        self.part(aor).get(aor).cloned()
    }

    /// Changes the bindings of one address of record, alone. `change` gets what there is and yields what is to
    /// be there, or leaves everything as it is.
    pub(crate) fn change<E>(
        &self,
        aor: &str,
        change: impl FnOnce(&[Binding]) -> Result<Option<Vec<Binding>>, E>,
    ) -> Result<(), E> {
        let mut part = self.part(aor);
        let existing = part.get(aor).cloned();
        let Some(after) = change(existing.as_deref().unwrap_or_default())? else {
            return Ok(());
        };
        if after.is_empty() {
            part.remove(aor);
        } else if let Some(place) = part.get_mut(aor) {
            *place = after.into();
        } else {
            part.insert(aor.to_owned(), after.into());
        }
        Ok(())
    }

    /// Adds a binding read from the store.
    pub(crate) fn restore(&self, aor: String, binding: Binding) {
        let mut part = self.part(&aor);
        let place = part.entry(aor).or_insert_with(|| Arc::new([]));
        let mut bindings = place.to_vec();
        bindings.push(binding);
        *place = bindings.into();
    }

    /// Forgets an address of record.
    pub(crate) fn forget(&self, aor: &str) {
        self.part(aor).remove(aor);
    }

    /// Forgets what has expired at `now` (milliseconds since 1970).
    pub(crate) fn purge(&self, now: u64) {
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.retain(|_, bindings| {
                if bindings.iter().any(|b| b.expires_at <= now) {
                    *bindings = bindings
                        .iter()
                        .filter(|b| b.expires_at > now)
                        .cloned()
                        .collect();
                }
                !bindings.is_empty()
            });
        }
    }

    /// The flows of phones that are behind address translators and registered over UDP at `now`. A phone that hides its
    /// own address, because it knows of the translator, has to keep it awake by itself.
    pub(crate) fn translated(&self, now: u64) -> Vec<Flow> {
        let mut flows = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let bindings = part.values().flat_map(|all| all.iter());
            let live = bindings.filter(|b| b.expires_at > now);
            let reached = live.filter_map(Binding::reachable_flow);
            flows.extend(reached.filter(|flow| !flow.transport.is_reliable()));
        }
        flows
    }

    /// Shows every address of record with its bindings, the expired ones included, in no order. A part of them is locked
    /// meanwhile.
    pub(crate) fn each(&self, mut show: impl FnMut(&str, &[Binding])) {
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            for (aor, bindings) in part.iter() {
                show(aor, bindings);
            }
        }
    }

    /// How many addresses of record, and how many bindings.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.parts.iter().fold((0, 0), |(users, all), part| {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            (
                users + part.len(),
                all + part.values().map(|b| b.len()).sum::<usize>(),
            )
        })
    }
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
        received: binding.flow.map_or_else(String::new, flow_text),
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

fn flow_text(flow: Flow) -> String {
    format!("{} {} {}", flow.transport.param(), flow.local, flow.remote)
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
                ..Binding::default()
            };
            let (aor, again) = from_store(stored("a@b", &binding));
            assert_eq!(aor, "a@b");
            assert_eq!(again.flow, expected);
        }
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
            location.restore("a@b".into(), binding);
        }
        location.purge(10);
        assert_eq!(location.count(), (1, 1));
        location.purge(20);
        assert_eq!(location.count(), (0, 0));
        assert!(location.find("a@b").is_none());
    }
}
