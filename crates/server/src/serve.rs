//! A running server: from settings to sockets, and back down in order.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use net::{Certificates, NetConfig, Network, RtpPorts, Statistics};
use sip::Endpoint;
use sip::auth::Nonces;
use sip::endpoint::Listener;
use sip::time::Time;
use store::{AccountWatch, ServeLock, Store};

use crate::accounts::{Accounts, unix_millis};
use crate::admin::Admin;
use crate::calls::Calls;
use crate::config::Config;
use crate::core::{Command, Core, Idle, Shared};
use crate::directory::{Directory, Settings};
use crate::domains::Domains;
use crate::error::ServeError;
use crate::location::{Location, from_store, to_store};
use crate::relay::{Limits, Relay};
use crate::secure;
use crate::services::Services;
use crate::trunks::{Trunks, look_up};

/// How long a nonce may be used.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// How often what has expired is cleared away, and phones behind address translators hear from us: most translators
/// forget a phone that is silent after 30 seconds or more.
const HOUSEKEEPING: Duration = Duration::from_secs(25);
/// Phones that hear from us with one command.
const KEEP_ALIVES: usize = 256;
/// Calls of the server's own services at once.
const MAX_SERVICE_CALLS: usize = 2_000;
/// How long a relayed call may be silent on both sides.
const MEDIA_SILENCE: Duration = Duration::from_secs(120);
/// The setting that holds the key of [`route_key`].
const ROUTE_KEY: &str = "route_key";

/// A server that runs until it is stopped.
pub struct Server {
    network: Network<Core>,
    certificates: Option<Arc<Certificates>>,
    shared: Arc<Shared>,
    watch: Option<AccountWatch>,
    housekeeper: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    trunk_watcher: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    // Released last: a second server on this data must not start before this one is gone.
    _lock: ServeLock,
}

/// Numbers about a server at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Accounts known.
    pub accounts: usize,
    /// Users with at least one binding.
    pub users: usize,
    /// Bindings.
    pub bindings: usize,
    /// Calls of the server's own services.
    pub service_calls: usize,
}

impl Shared {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (users, bindings) = self.location.count();
        Snapshot {
            accounts: self.accounts.len(),
            users,
            bindings,
            service_calls: self.services.calls(),
        }
    }
}

impl Server {
    /// Opens the data, binds the addresses and serves.
    ///
    /// # Errors
    /// [`ServeError`], in words for the person who starts it; nothing is left running.
    pub fn start(config: Config) -> Result<Server, ServeError> {
        raise_file_limit();
        let store = Store::open(&config.data)?;
        let lock = store.serve_lock()?;
        let first = config.domains.first().ok_or_else(|| {
            ServeError::Setting("no domain to serve: name one with --domain".into())
        })?;
        store.set_default_domain(&first.to_ascii_lowercase())?;
        let accounts = Accounts::load(store.accounts(None)?);
        let location = Location::new();
        store.each_binding(unix_millis(), |binding| {
            let (aor, binding) = from_store(binding);
            location.restore(&aor, binding);
        })?;
        let secret: [u8; 32] = random()?;
        let (low, high) = config.media_ports;
        let ports = RtpPorts::new(low..=high);
        let relay = Relay::start(ports.clone(), Limits::default()).map_err(|source| {
            ServeError::System {
                what: "start the media relay",
                source,
            }
        })?;
        let services = Services::start(ports, MAX_SERVICE_CALLS)
            .map_err(|source| ServeError::System {
                what: "start the media thread",
                source,
            })?
            .advertised(config.advertised_host.as_deref());
        let shared = Arc::new(Shared {
            domains: Domains::new(&config.domains, own_addresses(&config))
                .advertised(config.advertised_host.as_deref()),
            accounts,
            location,
            nonces: Nonces::new(&secret, Time::ZERO, NONCE_LIFETIME),
            services,
            trunks: Trunks::default(),
            relay,
            idle: Idle::default(),
            calls: Calls::new(store.clone()),
            directory: Directory::load(store.clone(), &Settings::of(&config))?,
            remote: OnceLock::new(),
            store,
            config,
        });
        let certificates = secure::certificates(&shared.config, &own_addresses(&shared.config))?;
        let network = start_network(&shared, certificates.as_ref())?;
        let _ = shared.remote.set(network.remote());
        let watch = watch_accounts(&shared)?;
        let housekeeper = housekeeping(shared.clone(), network.shards(), certificates.clone())?;
        let trunk_watcher = watch_trunks(shared.clone())?;
        Ok(Server {
            network,
            certificates,
            shared,
            watch: Some(watch),
            housekeeper: Some(housekeeper),
            trunk_watcher: Some(trunk_watcher),
            _lock: lock,
        })
    }

    /// The addresses that the server listens on.
    pub fn listeners(&self) -> &[Listener] {
        self.network.listeners()
    }

    /// The certificate that TLS shows, where there is one: [`Certificates::server_config`] makes of it what any server of TLS
    /// needs, with new files taken by themselves.
    pub fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }

    /// The domain that addresses without another one belong to.
    pub fn default_domain(&self) -> &str {
        self.shared.domains.default_name()
    }

    /// All domains served, the default first.
    pub fn domains(&self) -> &[String] {
        self.shared.domains.names()
    }

    /// The network's counters.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.network.statistics()
    }

    /// What an administrator has set up.
    pub fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// What would become of a request, and why.
    pub fn explain(&self, query: &crate::dialplan::Query) -> crate::dialplan::Resolved {
        self.shared.explain(query)
    }

    /// How a trunk stands.
    pub fn trunk_status(&self, trunk: &crate::directory::Trunk) -> crate::TrunkStatus {
        self.shared.trunks.status(trunk)
    }

    /// Whether all its threads work.
    pub fn is_running(&self) -> bool {
        self.network.is_running()
    }

    /// Numbers about it now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// A hold on it for those who show and change it.
    pub fn admin(&self) -> Admin {
        let statistics = self.network.statistics();
        let shards = self.network.shards();
        Admin::new(self.shared.clone(), statistics, self.listeners(), shards)
    }

    /// Ends calls of its own, takes nothing new, writes what waits, and is gone.
    pub fn stop(mut self, grace: Duration) {
        for (stop, thread) in [self.housekeeper.take(), self.trunk_watcher.take()]
            .into_iter()
            .flatten()
        {
            drop(stop);
            let _ = thread.join();
        }
        self.watch = None;
        self.network.shutdown(grace);
        self.shared.store.close();
    }
}

fn start_network(
    shared: &Arc<Shared>,
    certificates: Option<&Arc<Certificates>>,
) -> Result<Network<Core>, ServeError> {
    let config = &shared.config;
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let key = route_key(&shared.store)?;
    let mut shards = Vec::new();
    let count = workers.min(256);
    for shard in 0..count {
        let settings = sip::endpoint::Config {
            shard: shard as u8,
            shards: count as u16,
            seed: random()?,
            product: concat!("sori/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut endpoint = Endpoint::new(settings, Time::ZERO);
        endpoint.mark_routes(&key);
        endpoint.follow_calls(config.follow_calls);
        for domain in shared.domains.names() {
            endpoint.add_domain(domain);
        }
        shards.push((endpoint, Core::new(shared.clone(), (shard, count))));
    }
    let mut settings = NetConfig::new(config.listen.clone());
    settings.advertised_host.clone_from(&config.advertised_host);
    settings.workers = workers;
    settings.tls = secure::tls(config, certificates)?;
    settings.origins = config.ws_origins.clone().into();
    Ok(Network::start(settings, shards)?)
}

/// The key that marks our Record-Routes. It is kept, so that calls go on after a restart.
fn route_key(store: &Store) -> Result<[u8; 16], ServeError> {
    let kept = store.setting(ROUTE_KEY)?;
    if let Some(key) = kept.and_then(|text| u128::from_str_radix(&text, 16).ok()) {
        return Ok(key.to_be_bytes());
    }
    let key = random()?;
    store.set_setting(ROUTE_KEY, &format!("{:032x}", u128::from_be_bytes(key)))?;
    Ok(key)
}

/// The addresses that mean this host in a URI.
fn own_addresses(config: &Config) -> Vec<IpAddr> {
    let mut all: HashSet<IpAddr> = config.listen.iter().map(|(_, a)| a.ip()).collect();
    all.extend(
        config
            .advertised_host
            .as_deref()
            .and_then(|h| h.parse::<IpAddr>().ok()),
    );
    if config.listen.iter().any(|(_, a)| a.ip().is_unspecified()) {
        all.extend(
            net::interfaces()
                .unwrap_or_default()
                .into_iter()
                .map(|(ip, _)| ip),
        );
    }
    all.into_iter().filter(|ip| !ip.is_unspecified()).collect()
}

fn watch_accounts(shared: &Arc<Shared>) -> Result<AccountWatch, ServeError> {
    let weak = Arc::downgrade(shared);
    let watch = shared.store.watch_accounts(move |changes| {
        let Some(shared) = weak.upgrade() else {
            return;
        };
        match changes {
            Ok(changes) => {
                for aor in shared.accounts.change(changes) {
                    forget(&shared, &aor);
                }
            }
            Err(error) => tracing::error!(%error, "accounts changed elsewhere are not seen"),
        }
    })?;
    Ok(watch)
}

/// The phones of an account that is no more are not rung any longer.
fn forget(shared: &Shared, aor: &str) {
    if !shared.directory.snapshot().settings.authentication.register
        || shared.location.find(aor).is_none()
    {
        return;
    }
    shared.location.forget(aor);
    let change = to_store(aor, &sip::registrar::Change::RemoveAll);
    if let Err(error) = shared.store.apply(vec![change], |_| {}) {
        tracing::warn!(%error, "the bindings of a removed account stay until they expire");
    }
}

/// Clears away what has expired, and ends calls that lost their peer.
fn housekeeping(
    shared: Arc<Shared>,
    shards: usize,
    certificates: Option<Arc<Certificates>>,
) -> Result<(mpsc::Sender<()>, JoinHandle<()>), ServeError> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("sori-housekeeper".into())
        .spawn(move || {
            while stopped.recv_timeout(HOUSEKEEPING) == Err(mpsc::RecvTimeoutError::Timeout) {
                let now = unix_millis();
                if let Some(certificates) = &certificates {
                    secure::refresh(certificates);
                }
                shared.location.purge(now);
                purge_records(&shared, now);
                if let Err(error) = shared.store.purge_expired(now, |_| {}) {
                    tracing::warn!(%error, "expired bindings stay stored for now");
                }
                for key in shared.relay.dead(MEDIA_SILENCE) {
                    let shard = (key >> 56) as usize % shards.max(1);
                    shared.remote(shard)(Command::Silence(key));
                }
                for key in shared.services.poll_dead() {
                    let shard = (key.0 >> 56) as usize % shards.max(1);
                    shared.remote(shard)(Command::HangUp(key));
                }
                let translated = shared.location.translated(now);
                for (n, flows) in translated.chunks(KEEP_ALIVES).enumerate() {
                    shared.remote(n % shards.max(1))(Command::KeepAlive(flows.to_vec()));
                }
            }
        })
        .map_err(|source| ServeError::System {
            what: "start a thread",
            source,
        })?;
    Ok((stop, thread))
}

/// Forgets the records of calls that have been kept as long as they are to be.
fn purge_records(shared: &Shared, now: u64) {
    const DAY: u64 = 24 * 3600 * 1000;
    let days = shared.directory.snapshot().settings.keep_records;
    if days == 0 {
        return;
    }
    let before = now.saturating_sub(u64::from(days) * DAY);
    let purged = shared.store.purge_call_records(before, |done| {
        if let Err(error) = done {
            tracing::warn!(%error, "old call records stay for now");
        }
    });
    if let Err(error) = purged {
        tracing::warn!(%error, "old call records stay for now");
    }
}

/// How often the trunks are looked after.
const TRUNK_TICK: Duration = Duration::from_secs(1);
/// After how many of these their host names are looked up again.
const LOOK_UP_EVERY: u64 = 60;

/// Lets shard 0 register with the trunks and ask whether they are there.
fn watch_trunks(shared: Arc<Shared>) -> Result<(mpsc::Sender<()>, JoinHandle<()>), ServeError> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("sori-trunks".into())
        .spawn(move || {
            let mut looked_up = Arc::new(crate::directory::Snapshot::default());
            let mut ticks: u64 = 0;
            let mut had_some = false;
            while stopped.recv_timeout(TRUNK_TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let all = shared.directory.snapshot();
                let has_some = !all.trunks.is_empty();
                if has_some || had_some {
                    shared.remote(0)(Command::Trunks);
                }
                if has_some
                    && (ticks.is_multiple_of(LOOK_UP_EVERY) || !Arc::ptr_eq(&looked_up, &all))
                {
                    look_up(&all, &shared.trunks);
                    looked_up = all;
                }
                had_some = has_some;
                ticks += 1;
            }
        })
        .map_err(|source| ServeError::System {
            what: "start a thread",
            source,
        })?;
    Ok((stop, thread))
}

/// Connections and the ports of calls are open files: take as many as the system lets us have.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it was");
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], ServeError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| ServeError::System {
        what: "get random numbers",
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}
