//! One GET, bounded in time, size and detours.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::document::MAX_OCTETS;
use super::error::Fault;
use super::url::Url;

/// How long it may take from the look-up of the name to the last octet.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a name may be looked up, or a connection take.
const CONNECT: Duration = Duration::from_secs(8);
const MAX_REDIRECTS: u32 = 5;
/// Octets of the headers of the response.
const MAX_HEADERS: usize = 16 * 1024;
/// The longest validator that is kept, in octets.
const MAX_VALIDATOR: usize = 512;

/// What a server said.
pub(super) enum Answer {
    /// 304: it is what we have.
    NotModified,
    /// A document.
    Document {
        /// The document.
        octets: Vec<u8>,
        /// What to ask with the next time.
        validators: Validators,
    },
}

/// What a conditional request goes by (RFC 9110 §8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    /// ETag.
    pub(super) entity_tag: Option<String>,
    /// Last-Modified, as the server wrote it.
    pub(super) last_modified: Option<String>,
}

/// Fetches `url`, unless it is still what the validators belong to.
pub(super) fn get(
    url: &Url,
    validators: Option<&Validators>,
    patience: Duration,
) -> Result<Answer, Fault> {
    let mut request = agent(url, patience)
        .get(url.whole())
        .header("accept", "application/xml, text/xml, */*;q=0.1")
        // A reader between here and there must not answer from what it kept.
        .header("cache-control", "no-cache");
    if let Some(validators) = validators {
        if let Some(tag) = &validators.entity_tag {
            request = request.header("if-none-match", tag);
        }
        if let Some(date) = &validators.last_modified {
            request = request.header("if-modified-since", date);
        }
    }
    let mut response = request.call().map_err(fault)?;
    match response.status().as_u16() {
        304 if validators.is_some() => Ok(Answer::NotModified),
        200 => {
            let validators = validators_of(response.headers());
            let body = response.body_mut().with_config();
            let octets = body.limit(MAX_OCTETS as u64).read_to_vec().map_err(fault)?;
            Ok(Answer::Document { octets, validators })
        }
        status => Err(Fault::Status(status)),
    }
}

fn agent(url: &Url, patience: Duration) -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        // What the system trusts, so that an organisation's own authority is trusted where it is installed.
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("sori/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        // A redirection never leads out of TLS.
        .https_only(url.is_secure())
        .max_redirects(MAX_REDIRECTS)
        .max_response_header_size(MAX_HEADERS)
        .max_idle_connections(0)
        .timeout_global(Some(patience))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .build()
        .new_agent()
}

fn validators_of(headers: &HeaderMap) -> Validators {
    let value = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR).then(|| value.to_owned())
    };
    Validators {
        entity_tag: value("etag"),
        last_modified: value("last-modified"),
    }
}

/// Errors of the library without the URL that some of them repeat.
fn fault(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::HostNotFound => Fault::Unreachable("nobody knows this host".to_owned()),
        ureq::Error::Io(error) => match certificate_fault(&error) {
            Some(why) => Fault::Untrusted(why),
            None => Fault::Unreachable(plain(&error)),
        },
        ureq::Error::Timeout(_) => Fault::Unreachable("no answer in time".to_owned()),
        ureq::Error::TooManyRedirects => {
            Fault::Redirected(format!("more than {MAX_REDIRECTS} redirections"))
        }
        ureq::Error::RequireHttpsOnly(_) => {
            Fault::Redirected("a redirection leads from https to http".to_owned())
        }
        ureq::Error::RedirectFailed | ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Fault::Redirected("a redirection leads nowhere".to_owned())
        }
        ureq::Error::BodyExceedsLimit(_) => Fault::TooLarge,
        ureq::Error::LargeResponseHeader(..) => {
            Fault::Unreachable("the headers of the response are too large".to_owned())
        }
        ureq::Error::Rustls(error) => Fault::Untrusted(error.to_string()),
        ureq::Error::Tls(why) => Fault::Untrusted(why.to_owned()),
        ureq::Error::Protocol(error) => {
            Fault::Unreachable(format!("no proper HTTP comes from there ({error})"))
        }
        ureq::Error::InvalidProxyUrl | ureq::Error::ConnectProxyFailed(_) => Fault::Unreachable(
            "the HTTP proxy (see the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) does not let us through"
                .to_owned(),
        ),
        _ => Fault::Unreachable("the connection failed".to_owned()),
    }
}

/// TLS tells of a wrong certificate through an error of the connection.
fn certificate_fault(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.to_string())
}

/// Without the number that the system adds.
fn plain(error: &std::io::Error) -> String {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => "connection refused".to_owned(),
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::UnexpectedEof => {
            "the connection broke".to_owned()
        }
        Kind::TimedOut | Kind::WouldBlock => "no answer in time".to_owned(),
        Kind::NetworkUnreachable | Kind::HostUnreachable => {
            "there is no way through the network".to_owned()
        }
        _ => error.to_string(),
    }
}
