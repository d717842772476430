//! The settings of a server.

use std::net::SocketAddr;
use std::path::PathBuf;

use sip::auth::Algorithm;
use sip::flow::Transport;
use sip::registrar::Limits;

/// Everything a server is told when it starts. The defaults need nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where accounts and bindings are kept.
    pub data: PathBuf,
    /// The domains served; the first is the default, and this host's addresses mean it too.
    pub domains: Vec<String>,
    /// What to listen on; an unspecified address stands for every address of this host.
    pub listen: Vec<(Transport, SocketAddr)>,
    /// The PEM files of the certificate for TLS and of its key; the same when one file has both. Without them TLS shows a
    /// certificate that is made once, signed by itself and kept in [`Config::data`].
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// PEM files of certificates to trust on connections that we open, beside those that this system trusts.
    pub tls_roots: Vec<PathBuf>,
    /// The pages that WebSockets of browsers may come from (`https://example.org`); none for any.
    pub ws_origins: Vec<String>,
    /// The host that peers are told instead of the address bound, behind address translation.
    pub advertised_host: Option<String>,
    /// Which requests have to be authenticated.
    pub authentication: Authentication,
    /// The hash functions of Digest that are offered, in this order. Many phones look at the first challenge only and know
    /// only MD5, so MD5 stands first by default.
    pub algorithms: Vec<Algorithm>,
    /// Whether Digest may cover the body too (`qop=auth-int`); elements between that rewrite bodies break it.
    pub auth_int: bool,
    /// Whether callers are told where to go (302) instead of being put through; for all domains.
    pub redirect: bool,
    /// Domains that redirect whatever [`Config::redirect`] says.
    pub redirect_domains: Vec<String>,
    /// The bounds of registrations.
    pub registration: Limits,
    /// Worker threads; 0 for as many as there are processors.
    pub workers: usize,
    /// The lowest and the highest port for media of the server's own services.
    pub media_ports: (u16, u16),
    /// Whether calls that are proxied are followed, so that they can be shown, recorded and ended.
    pub follow_calls: bool,
    /// Whether `sip:echo@…` and `sip:tone@…` are answered here.
    pub services: bool,
}

impl Config {
    /// The defaults, with data kept in `data` and serving `domain`.
    pub fn new(data: PathBuf, domain: String) -> Config {
        Config {
            data,
            domains: vec![domain],
            listen: Vec::new(),
            certificate: None,
            tls_roots: Vec::new(),
            ws_origins: Vec::new(),
            advertised_host: None,
            authentication: Authentication::default(),
            algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
            auth_int: false,
            redirect: false,
            redirect_domains: Vec::new(),
            registration: Limits::default(),
            workers: 0,
            media_ports: (16_384, 32_767),
            follow_calls: true,
            services: true,
        }
    }
}

/// Which requests have to show who sends them (RFC 3261 §22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// REGISTER is answered with 401 until it does.
    pub register: bool,
    /// INVITE and the other requests that users of our domains begin something with, with 407.
    pub invite: bool,
}

impl Default for Authentication {
    fn default() -> Self {
        Authentication {
            register: true,
            invite: true,
        }
    }
}

impl Authentication {
    /// Nothing has to be authenticated.
    pub const NONE: Authentication = Authentication {
        register: false,
        invite: false,
    };
}
