//! Why a server does not start, in words for the person who starts it.

use std::fmt;

use net::NetError;
use store::StoreError;

/// Why a server does not start or does not go on.
#[derive(Debug)]
pub enum ServeError {
    /// The data directory.
    Store(StoreError),
    /// The addresses.
    Net(NetError),
    /// The system did not give what is needed.
    System {
        /// What was wanted.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting makes no sense.
    Setting(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Store(error) => error.fmt(f),
            ServeError::Net(error) => error.fmt(f),
            ServeError::System { what, source } => write!(f, "cannot {what}: {source}"),
            ServeError::Setting(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<StoreError> for ServeError {
    fn from(error: StoreError) -> Self {
        ServeError::Store(error)
    }
}

impl From<NetError> for ServeError {
    fn from(error: NetError) -> Self {
        ServeError::Net(error)
    }
}
