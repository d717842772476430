//! Trunks: gateways and providers. How each stands, which lines are taken, and whose requests are theirs.
//!
//! Shard 0 registers and asks (`watch.rs`); everybody else reads here.

mod watch;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::accounts::unix_millis;
use crate::directory::{Network, Snapshot, Trunk};

pub(crate) use watch::{Watch, look_up};

/// How a trunk stands, as an administrator is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrunkStatus {
    /// In one word.
    pub state: TrunkState,
    /// Why, for people; empty when there is nothing to say.
    pub detail: String,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Milliseconds from the last OPTIONS to its answer.
    pub round_trip: Option<u64>,
    /// Calls through it now.
    pub calls: u32,
}

/// How a trunk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkState {
    /// Nothing was heard of it yet.
    #[default]
    Unknown,
    /// It answers OPTIONS.
    Reachable,
    /// It does not answer.
    Unreachable,
    /// This server is registered there.
    Registered,
    /// It refuses the registration.
    Refused,
    /// It is switched off.
    Disabled,
}

/// The addresses that are remembered of one trunk.
const MAX_ADDRESSES: usize = 32;

#[derive(Debug, Default)]
struct Known {
    state: TrunkState,
    detail: String,
    since: u64,
    round_trip: Option<u64>,
    calls: u32,
    /// Where its host name leads, and where its answers came from.
    addresses: Vec<IpAddr>,
}

/// What is known of all trunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trunks {
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// A line of a trunk that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct TrunkCall {
    trunks: Trunks,
    id: String,
}

impl Trunks {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a trunk stands.
    pub(crate) fn status(&self, trunk: &Trunk) -> TrunkStatus {
        let known = self.lock();
        let known = known.get(&trunk.id);
        TrunkStatus {
            state: if trunk.enabled {
                known.map_or(TrunkState::Unknown, |k| k.state)
            } else {
                TrunkState::Disabled
            },
            detail: known.map_or_else(String::new, |k| k.detail.clone()),
            since: known.map_or(0, |k| k.since),
            round_trip: known.and_then(|k| k.round_trip),
            calls: known.map_or(0, |k| k.calls),
        }
    }

    /// Whether a call can go through it now: what has not been heard of yet may work.
    pub(crate) fn is_usable(&self, trunk: &Trunk) -> bool {
        let status = self.status(trunk);
        let has_line = trunk.max_calls == 0 || status.calls < trunk.max_calls;
        let serves = matches!(
            status.state,
            TrunkState::Unknown | TrunkState::Reachable | TrunkState::Registered
        );
        trunk.enabled && has_line && serves
    }

    /// Takes a line.
    pub(crate) fn begin(&self, id: &str) -> TrunkCall {
        self.lock().entry(id.to_owned()).or_default().calls += 1;
        TrunkCall {
            trunks: self.clone(),
            id: id.to_owned(),
        }
    }

    /// The trunk that a request from `source` comes from: one that is known by this address. On this host itself
    /// several programs share an address, and the port tells them apart.
    pub(crate) fn of_source(&self, all: &Snapshot, source: SocketAddr) -> Option<Arc<Trunk>> {
        if all.trunks.is_empty() {
            return None;
        }
        let ip = source.ip().to_canonical();
        let known = self.lock();
        let is_there = |trunk: &Trunk| {
            let learnt = known
                .get(&trunk.id)
                .is_some_and(|k| k.addresses.contains(&ip));
            let port = !ip.is_loopback() || trunk.port.unwrap_or(5060) == source.port();
            port && (learnt || Network::parse(&trunk.host).is_some_and(|n| n.contains(ip)))
        };
        let names = |trunk: &Trunk| {
            let mut networks = trunk.sources.iter().filter_map(|s| Network::parse(s));
            networks.any(|n| n.contains(ip))
        };
        let mut enabled = all.trunks.iter().filter(|t| t.enabled);
        enabled.find(|t| names(t) || is_there(t)).cloned()
    }

    fn learn(&self, id: &str, found: impl IntoIterator<Item = IpAddr>) {
        let mut known = self.lock();
        let known = known.entry(id.to_owned()).or_default();
        for ip in found.into_iter().map(|ip| ip.to_canonical()) {
            if !known.addresses.contains(&ip) {
                known.addresses.push(ip);
            }
        }
        let surplus = known.addresses.len().saturating_sub(MAX_ADDRESSES);
        known.addresses.drain(..surplus);
    }

    fn set(&self, id: &str, state: TrunkState, detail: &str) {
        let mut all = self.lock();
        let known = all.entry(id.to_owned()).or_default();
        if known.state != state {
            known.state = state;
            known.since = unix_millis();
            tracing::info!(trunk = id, ?state, detail, "a trunk changed");
        }
        detail.clone_into(&mut known.detail);
    }

    fn measured(&self, id: &str, round_trip: Option<u64>) {
        self.lock().entry(id.to_owned()).or_default().round_trip = round_trip;
    }

    fn forget(&self, id: &str) {
        let mut all = self.lock();
        // Calls that go on still count.
        match all.get_mut(id) {
            Some(known) if known.calls > 0 => {
                let calls = known.calls;
                *known = Known {
                    calls,
                    ..Known::default()
                };
            }
            _ => {
                all.remove(id);
            }
        }
    }
}

impl Drop for TrunkCall {
    fn drop(&mut self) {
        if let Some(known) = self.trunks.lock().get_mut(&self.id) {
            known.calls = known.calls.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted() {
        let trunks = Trunks::default();
        let trunk = Trunk {
            id: "a".into(),
            max_calls: 2,
            ..Trunk::default()
        };
        let first = trunks.begin("a");
        assert!(trunks.is_usable(&trunk));
        let second = trunks.begin("a");
        assert!(!trunks.is_usable(&trunk));
        drop(first);
        assert!(trunks.is_usable(&trunk));
        trunks.set("a", TrunkState::Unreachable, "no answer");
        assert!(!trunks.is_usable(&trunk));
        trunks.forget("a");
        assert_eq!(
            trunks.status(&trunk).calls,
            1,
            "a call that goes on still counts"
        );
        drop(second);
        assert_eq!(trunks.status(&trunk).calls, 0);
    }

    #[test]
    fn sources_are_known_by_name_or_by_what_was_learnt() {
        let trunks = Trunks::default();
        let mut all = Snapshot::default();
        let trunk = |id: &str, host: &str, sources: &[&str]| {
            Arc::new(Trunk {
                id: id.into(),
                host: host.into(),
                sources: sources.iter().map(|s| (*s).to_owned()).collect(),
                ..Trunk::default()
            })
        };
        all.trunks = vec![
            trunk("a", "192.0.2.1", &["198.51.100.0/24"]),
            trunk("b", "gateway.example", &[]),
        ];
        let of = |ip: &str| {
            let source = SocketAddr::new(ip.parse().unwrap(), 5070);
            trunks.of_source(&all, source).map(|t| t.id.clone())
        };
        assert_eq!(of("192.0.2.1").as_deref(), Some("a"));
        assert_eq!(of("198.51.100.7").as_deref(), Some("a"));
        assert_eq!(of("203.0.113.5"), None);
        trunks.learn("b", ["203.0.113.5".parse().unwrap()]);
        assert_eq!(of("::ffff:203.0.113.5").as_deref(), Some("b"));
        assert_eq!(of("0.0.0.1"), None);
        // On this host, the port tells programs apart.
        all.trunks = vec![trunk("c", "127.0.0.1", &[])];
        let at = |port| SocketAddr::new("127.0.0.1".parse().unwrap(), port);
        assert!(trunks.of_source(&all, at(5070)).is_none());
        assert!(trunks.of_source(&all, at(5060)).is_some());
    }
}
