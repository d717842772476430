//! HTTP of `sori serve`: the console for the browser, and the API under it.
//!
//! Every route stands in one table, [`ROUTES`], with who may take it; `openapi.yaml` describes them, and a test holds the
//! two together. Handlers are plain functions from a request to an answer and run on threads that may wait for the disk;
//! sockets belong to a small tokio runtime of this crate's own, so that nothing here can delay a call.
//!
//! ```text
//! http/serve ─► http/dispatch ─► ROUTES ─► resource/* ─► server::admin, store
//! (bounds)      (who, may he)                 └─► audit log
//! ```

mod administrators;
mod assets;
mod certificate;
mod context;
mod http;
mod logs;
mod problem;
mod request;
mod resource;
mod route;
mod secret;
mod session;
mod throttle;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use server::admin::Admin;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, watch};
use tokio_rustls::TlsAcceptor;

pub use administrators::{Administrator, AdministratorError, Administrators};
pub use assets::is_built_in as has_web_app;
use context::Context;
pub use context::Wish;
use http::Listening;
pub use logs::{LogBook, LogLayer, LogLine};
pub use route::{Access, ROUTES, Route};
pub use session::Role;

/// How long requests under way may take when the console stops.
const GRACE: Duration = Duration::from_secs(2);

/// What a console is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Keys and certificate, for HTTPS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The file of the server's certificate, which is shown and whose end is told of; empty without one.
    pub certificate: String,
    /// Files that were read at the start (the program, its settings): when one changes, a restart is advised.
    pub files: Vec<PathBuf>,
}

/// Settings that only a new start changes, as people see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    pub(crate) http: String,
    pub(crate) secure: bool,
    pub(crate) certificate: String,
    pub(crate) files: Vec<StartFile>,
}

/// A file as it was at the start.
#[derive(Clone, Debug)]
pub(crate) struct StartFile {
    pub(crate) path: PathBuf,
    state: Option<(SystemTime, u64)>,
}

impl StartFile {
    fn new(path: PathBuf) -> StartFile {
        StartFile {
            state: state(&path),
            path,
        }
    }

    /// Whether another one stands in its place now. A file that is gone changes nothing until it is back.
    pub(crate) fn changed(&self) -> bool {
        self.state.is_some() && state(&self.path).is_some_and(|now| Some(now) != self.state)
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let told = std::fs::metadata(path).ok()?;
    Some((told.modified().ok()?, told.len()))
}

/// Why a console does not start.
#[derive(Debug)]
pub enum ConsoleError {
    /// The address cannot be had.
    Listen(SocketAddr, io::Error),
    /// The system did not give what is needed.
    System(io::Error),
    /// The first administrator could not be made.
    Administrators(AdministratorError),
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsoleError::Listen(address, error) => {
                write!(f, "cannot listen on {address} for the console: {error}")
            }
            ConsoleError::System(error) => write!(f, "cannot start the console: {error}"),
            ConsoleError::Administrators(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConsoleError {}

/// A console that is served until it is stopped.
pub struct Console {
    runtime: Option<Runtime>,
    served: Option<tokio::task::JoinHandle<()>>,
    stop: watch::Sender<bool>,
    context: Arc<Context>,
    address: SocketAddr,
    secure: bool,
    first: Option<(String, String)>,
    wishes: Mutex<Receiver<Wish>>,
}

impl Console {
    /// Begins to serve the console of a server. `logs` is what its log page shows.
    ///
    /// # Errors
    /// [`ConsoleError`]; nothing is left running.
    pub fn start(
        config: Config,
        admin: Admin,
        logs: Arc<LogBook>,
    ) -> Result<Console, ConsoleError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(16)
            .thread_name("sori-http")
            .enable_all()
            .build()
            .map_err(ConsoleError::System)?;
        let listener = runtime
            .block_on(TcpListener::bind(config.listen))
            .map_err(|error| ConsoleError::Listen(config.listen, error))?;
        let address = listener.local_addr().map_err(ConsoleError::System)?;
        let administrators = Administrators::new(admin.store().clone());
        let first = administrators
            .make_first()
            .map_err(ConsoleError::Administrators)?;
        let (wishes, wished) = sync_channel(4);
        let secure = config.tls.is_some();
        let context = Arc::new(Context {
            store: admin.store().clone(),
            administrators,
            sessions: session::Sessions::default(),
            throttle: throttle::Throttle::default(),
            logs,
            signing_in: AtomicUsize::new(0),
            events: broadcast::channel(64).0,
            streams: AtomicUsize::new(0),
            wishes,
            status: resource::status::Board::default(),
            stopping: AtomicBool::new(false),
            fixed: Fixed {
                http: address.to_string(),
                secure,
                certificate: config.certificate,
                files: config.files.into_iter().map(StartFile::new).collect(),
            },
            admin,
        });
        let (stop, stopped) = watch::channel(false);
        let listening = Listening {
            listener,
            tls: config.tls.map(TlsAcceptor::from),
        };
        runtime.spawn(resource::status::follow(context.clone(), stopped.clone()));
        let router = http::router(&context);
        let served = runtime.spawn(http::serve(listening, router, stopped, GRACE));
        Ok(Console {
            runtime: Some(runtime),
            served: Some(served),
            stop,
            context,
            address,
            secure,
            first,
            wishes: Mutex::new(wished),
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to type into a browser on this host.
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{address}/")
    }

    /// Name and password of the administrator that this start made; it is known nowhere else.
    pub fn first_password(&self) -> Option<(&str, &str)> {
        self.first.as_ref().map(|(n, p)| (n.as_str(), p.as_str()))
    }

    /// What an administrator has asked for since this was last called.
    pub fn wish(&self) -> Option<Wish> {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.try_recv().ok()
    }

    /// Answers what is under way, for at most two seconds, and is gone.
    pub fn stop(mut self) {
        self.context.stopping.store(true, Ordering::SeqCst);
        let _ = self.stop.send(true);
        // Whoever follows us live notices that it is over.
        let _ = self.context.events.send(": bye\n\n".into());
        if let (Some(runtime), Some(served)) = (self.runtime.take(), self.served.take()) {
            let _ = runtime.block_on(served);
            runtime.shutdown_timeout(GRACE);
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
