//! What the HTTP API asks of a running server.

mod registrations;
mod totals;
mod vital;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use net::Statistics;
use sip::endpoint::Listener;
use store::{ServedOutcome, Store, StoreError};

pub use registrations::Registration;
pub use totals::Totals;
pub use vital::{Vital, free_space};

use crate::core::{Command, Shared};
use crate::dialplan::{Query, Resolved};
use crate::directory::{Directory, Trunk};
use crate::serve::Snapshot;
use crate::trunks::TrunkStatus;

/// How long a change may take to be in force.
const SERVED_WITHIN: Duration = Duration::from_secs(5);
/// How long a shard may take to say what it counted.
const COUNTED_WITHIN: Duration = Duration::from_millis(500);

/// A hold on a running server for those who show and change it. Clones are cheap.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
    statistics: Arc<Statistics>,
    listeners: Arc<[Listener]>,
    shards: usize,
}

impl Admin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        statistics: Arc<Statistics>,
        listeners: &[Listener],
        shards: usize,
    ) -> Admin {
        Admin {
            shared,
            statistics,
            listeners: listeners.into(),
            shards,
        }
    }

    /// The store that the server works on.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What is set up.
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// The domains served, the default first.
    pub fn domains(&self) -> &[String] {
        self.shared.domains.names()
    }

    /// The domain that addresses without another one belong to.
    pub fn default_domain(&self) -> &str {
        self.shared.domains.default_name()
    }

    /// What it was started with.
    pub fn config(&self) -> &crate::Config {
        &self.shared.config
    }

    /// Transport (`udp`, `tcp` …) and address of everything it listens on.
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let named = |l: &Listener| (l.transport.name(), l.local);
        self.listeners.iter().map(named).collect()
    }

    /// Numbers about it now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// The network's counters.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// What all shards counted since the start. A shard that is too busy to say is left out of `before`'s successor: its
    /// numbers stay what they were.
    pub fn totals(&self, before: &mut Vec<Totals>) -> Totals {
        before.resize(self.shards, Totals::default());
        let (told, heard) = mpsc::sync_channel(self.shards.max(1));
        let mut asked = 0;
        if let Some(remote) = self.shared.remote.get() {
            for shard in 0..self.shards {
                let told = told.clone();
                asked += usize::from(remote.post(shard, Command::Count(shard, told)).is_ok());
            }
        }
        drop(told);
        for _ in 0..asked {
            let Ok((shard, counters)) = heard.recv_timeout(COUNTED_WITHIN) else {
                break;
            };
            if let Some(place) = before.get_mut(shard) {
                *place = Totals::from(&counters);
            }
        }
        before.iter().copied().fold(Totals::default(), Totals::plus)
    }

    /// The calls that go on, the youngest first.
    pub fn calls(&self) -> Vec<crate::ActiveCall> {
        self.shared.calls.list()
    }

    /// How many they are.
    pub fn call_count(&self) -> usize {
        self.shared.calls.count()
    }

    /// Calls that were not shown and records that were not stored, since the start.
    pub fn calls_lost(&self) -> (u64, u64) {
        self.shared.calls.lost()
    }

    /// Ends a call; false when there is no such call. Its ends are told a moment later.
    pub fn hang_up(&self, id: u64) -> bool {
        let Some((shard, carrier)) = self.shared.calls.carrier(id) else {
            return false;
        };
        self.shared.remote(shard)(Command::EndCall(carrier));
        true
    }

    /// How a trunk stands.
    pub fn trunk_status(&self, trunk: &Trunk) -> TrunkStatus {
        self.shared.trunks.status(trunk)
    }

    /// What would become of a request now, and why.
    pub fn explain(&self, query: &Query) -> Resolved {
        self.shared.explain(query)
    }

    /// Whether `user@domain` is an account that may call.
    pub fn is_account(&self, address: &str) -> bool {
        let found = self.shared.accounts.find(address);
        found.is_some_and(|account| account.enabled)
    }

    /// Waits until changes of accounts are in force.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts_changed(&self) -> Result<(), StoreError> {
        if self.shared.store.wait_until_served(SERVED_WITHIN)? == ServedOutcome::TimedOut {
            tracing::warn!("changed accounts are stored, but not in force yet");
        }
        Ok(())
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
