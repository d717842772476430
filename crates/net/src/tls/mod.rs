//! TLS: what a network needs to accept it and to open it.

mod certificates;
mod failure;
mod self_signed;
mod session;
mod trust;

use std::sync::Arc;

use rustls::ServerConfig;

pub use certificates::{CertificateError, Certificates};
pub use failure::HandshakeFailure;
pub(crate) use failure::explain;
pub(crate) use session::Session;
pub use trust::{Trust, TrustError};

/// What a network needs for TLS, and for WebSocket inside it. Without either half that half does not exist.
#[derive(Clone, Default)]
pub struct Tls {
    /// For connections that peers open. [`Certificates::server_config`] makes one.
    pub server: Option<Arc<ServerConfig>>,
    /// For connections that we open: who may say who a peer is.
    pub trust: Option<Arc<Trust>>,
    /// Told of each handshake that fails, on the thread that met it; has to return at once.
    pub on_failure: Option<OnFailure>,
}

/// Hears of a handshake that failed.
pub type OnFailure = Arc<dyn Fn(&HandshakeFailure) + Send + Sync>;

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("server", &self.server.is_some())
            .field("trust", &self.trust.is_some())
            .field("on_failure", &self.on_failure.is_some())
            .finish()
    }
}

/// The one source of cryptography, named here because no other may decide for us.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
