//! A running server: from settings to sockets, and back down in order.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use net::{Clock, NetConfig, Network, RtpPorts, Statistics};
use sip::Endpoint;
use sip::auth::Nonces;
use sip::endpoint::{Listener, Pressure};
use sip::time::Time;
use store::{AccountWatch, ServeLock, Store};

use crate::accounts::{Accounts, unix_millis};
use crate::config::Config;
use crate::core::{Command, Core, Shared};
use crate::domains::Domains;
use crate::error::ServeError;
use crate::guard::Guard;
use crate::location::{Location, from_store, to_store};
use crate::services::Services;

/// How long a nonce may be used.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// How often what has expired is cleared away.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Calls of the server's own services at once.
const MAX_SERVICE_CALLS: usize = 2_000;
/// The setting that holds the key of [`route_key`].
const ROUTE_KEY: &str = "route_key";

/// A server that runs until it is stopped.
pub struct Server {
    network: Network<Core>,
    shared: Arc<Shared>,
    watch: Option<AccountWatch>,
    housekeeper: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
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
            location.restore(aor, binding);
        })?;
        let secret: [u8; 32] = random()?;
        let clock = Clock::start();
        let (low, high) = config.media_ports;
        let services = Services::start(RtpPorts::new(low..=high), MAX_SERVICE_CALLS)
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
            guard: Arc::new(Guard::new(clock, config.limits)),
            store,
            services,
            remote: OnceLock::new(),
            config,
        });
        let network = start_network(&shared, clock)?;
        let _ = shared.remote.set(network.remote());
        let watch = watch_accounts(&shared)?;
        let housekeeper = housekeeping(shared.clone(), network.shards())?;
        Ok(Server {
            network,
            shared,
            watch: Some(watch),
            housekeeper: Some(housekeeper),
            _lock: lock,
        })
    }

    /// The addresses that the server listens on.
    pub fn listeners(&self) -> &[Listener] {
        self.network.listeners()
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

    /// Who is left out for a while, and the limits for that.
    pub fn guard(&self) -> &Guard {
        &self.shared.guard
    }

    /// Whether all its threads work.
    pub fn is_running(&self) -> bool {
        self.network.is_running()
    }

    /// Numbers about it now.
    pub fn snapshot(&self) -> Snapshot {
        let (users, bindings) = self.shared.location.count();
        Snapshot {
            accounts: self.shared.accounts.len(),
            users,
            bindings,
            service_calls: self.shared.services.calls(),
        }
    }

    /// Ends calls of its own, takes nothing new, writes what waits, and is gone.
    pub fn stop(mut self, grace: Duration) {
        if let Some((stop, thread)) = self.housekeeper.take() {
            drop(stop);
            let _ = thread.join();
        }
        self.watch = None;
        self.network.shutdown(grace);
        self.shared.store.close();
    }
}

fn start_network(shared: &Arc<Shared>, clock: Clock) -> Result<Network<Core>, ServeError> {
    let config = &shared.config;
    let workers = match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let key = route_key(&shared.store)?;
    let mut shards = Vec::new();
    let pressure = Arc::new(Pressure::default());
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
        endpoint.refuse_statelessly();
        endpoint.heed(pressure.clone());
        for domain in shared.domains.names() {
            endpoint.add_domain(domain);
        }
        shards.push((endpoint, Core::new(shared.clone(), shard)));
    }
    let mut settings = NetConfig::new(config.listen.clone());
    settings.advertised_host.clone_from(&config.advertised_host);
    settings.workers = workers;
    settings.clock = clock;
    settings.filter = Some(shared.guard.clone());
    settings.pressure = pressure;
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
    if !shared.config.authentication.register || shared.location.find(aor).is_none() {
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
) -> Result<(mpsc::Sender<()>, JoinHandle<()>), ServeError> {
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("sori-housekeeper".into())
        .spawn(move || {
            while stopped.recv_timeout(HOUSEKEEPING) == Err(mpsc::RecvTimeoutError::Timeout) {
                let now = unix_millis();
                shared.location.purge(now);
                shared.guard.tidy();
                if let Err(error) = shared.store.purge_expired(now, |_| {}) {
                    tracing::warn!(%error, "expired bindings stay stored for now");
                }
                for key in shared.services.poll_dead() {
                    let shard = (key.0 >> 56) as usize % shards.max(1);
                    shared.remote(shard)(Command::HangUp(key));
                }
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
