//! The certificate that we show, from files that may change while we run.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use super::{provider, self_signed};

/// The certificate that we show to those who open TLS to us, and its key.
///
/// Every handshake gets the newest one: [`Certificates::refresh`] looks whether the files have changed.
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files looked like when they were read last, whether they could be used or not.
    seen: Mutex<Stamp>,
    self_signed: bool,
}

/// What changes when somebody writes one of two files.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("certificate", &self.certificate)
            .field("self_signed", &self.self_signed)
            .finish_non_exhaustive()
    }
}

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct CertificateError {
    what: String,
    why: String,
}

impl CertificateError {
    pub(super) fn new(what: &str, file: &Path, why: impl fmt::Display) -> CertificateError {
        CertificateError {
            what: format!("{what} {}", file.display()),
            why: why.to_string(),
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the {}: {}", self.what, self.why)
    }
}

impl std::error::Error for CertificateError {}

impl Certificates {
    /// A certificate from a PEM file that begins with it and has those that sign it behind, and its key from another.
    ///
    /// # Errors
    /// [`CertificateError`], which says what is wrong with which file.
    pub fn from_files(
        certificate: &Path,
        key: &Path,
    ) -> Result<Arc<Certificates>, CertificateError> {
        Certificates::read(certificate, key, false)
    }

    /// A certificate that we signed ourselves, for the start; made once and kept in `dir`. It is for `names`, domains and
    /// addresses; when one of the domains is missing in the one that is kept, a new one is made.
    ///
    /// # Errors
    /// [`CertificateError`] when it cannot be made or kept.
    pub fn self_signed(
        dir: &Path,
        names: &[String],
    ) -> Result<Arc<Certificates>, CertificateError> {
        let (certificate, key) = self_signed::files(dir);
        if certificate.exists()
            && let Ok(kept) = Certificates::read(&certificate, &key, true)
            && names
                .iter()
                .filter(|name| name.parse::<std::net::IpAddr>().is_err())
                .all(|name| kept.is_for(name))
        {
            return Ok(kept);
        }
        self_signed::make(dir, names)?;
        Certificates::read(&certificate, &key, true)
    }

    fn read(
        certificate: &Path,
        key: &Path,
        self_signed: bool,
    ) -> Result<Arc<Certificates>, CertificateError> {
        let stamp = stamp(certificate, key);
        let current = load(certificate, key)?;
        Ok(Arc::new(Certificates {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Arc::new(current)),
            seen: Mutex::new(stamp),
            self_signed,
        }))
    }

    /// Looks whether the files have changed and takes what is in them now; says whether that is something new. The old one
    /// stays when the new one cannot be used, and the same files are not complained of again.
    ///
    /// # Errors
    /// [`CertificateError`], which says what is wrong with which file.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.certificate, &self.key);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        let new = load(&self.certificate, &self.key)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = new.cert != current.cert;
        *current = Arc::new(new);
        Ok(is_new)
    }

    /// Whether it is one that we signed ourselves.
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }

    /// The file of the certificate.
    pub fn file(&self) -> &Path {
        &self.certificate
    }

    /// The SHA-256 of the certificate, as browsers and `openssl x509 -fingerprint -sha256` show it.
    pub fn fingerprint(&self) -> String {
        let current = self.current();
        let certificate = current.cert.first();
        let hash = Sha256::digest(certificate.map_or(&[][..], |c| c.as_ref()));
        let pairs: Vec<String> = hash.iter().map(|b| format!("{b:02X}")).collect();
        pairs.join(":")
    }

    /// Whether it is for this domain or address.
    pub fn is_for(&self, name: &str) -> bool {
        let current = self.current();
        let Some(certificate) = current.cert.first() else {
            return false;
        };
        match (
            ParsedCertificate::try_from(certificate),
            ServerName::try_from(name),
        ) {
            (Ok(parsed), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
            _ => false,
        }
    }

    /// The settings of a TLS server that always shows the current certificate. `protocols` are what it speaks inside
    /// (ALPN, RFC 7301), the best first; none for SIP.
    pub fn server_config(self: &Arc<Certificates>, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need");
        let mut config = builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Newest(self.clone())));
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

#[derive(Debug)]
struct Newest(Arc<Certificates>);

impl ResolvesServerCert for Newest {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let of_certificate = |why: String| CertificateError::new("certificate", certificate, why);
    let of_key = |why: String| CertificateError::new("key", key, why);
    let text = fs::read(certificate).map_err(|e| of_certificate(e.to_string()))?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|e| of_certificate(format!("it is no PEM file: {e}")))?;
    if chain.is_empty() {
        return Err(of_certificate(
            "there is none in it; it has to begin with -----BEGIN CERTIFICATE-----".to_owned(),
        ));
    }
    let text = fs::read(key).map_err(|e| of_key(e.to_string()))?;
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        of_key(
            "there is none in it; it has to be a PEM file with a PRIVATE KEY without a passphrase"
                .to_owned(),
        )
    })?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            of_key(format!("it is not the key of {}", certificate.display()))
        }
        rustls::Error::InvalidCertificate(error) => of_certificate(error.to_string()),
        error => of_key(error.to_string()),
    })
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|file| {
        let about = fs::metadata(file).ok()?;
        let changed: io::Result<SystemTime> = about.modified();
        Some((changed.ok()?, about.len()))
    })
}
