//! Who may say who a peer is, on connections that we open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::provider;

/// Whom connections that we open trust: the roots that this system trusts, and some more.
///
/// The system's roots are read when the first connection needs them.
pub struct Trust {
    extra: Vec<CertificateDer<'static>>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("extra", &self.extra.len())
            .finish()
    }
}

/// A file of certificates that cannot be used.
#[derive(Debug)]
pub struct TrustError {
    file: PathBuf,
    why: String,
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot trust the certificates in {}: {}",
            self.file.display(),
            self.why
        )
    }
}

impl std::error::Error for TrustError {}

impl Trust {
    /// The system's roots, and every certificate in these PEM files: roots, or single hosts with certificates that they signed
    /// themselves.
    ///
    /// # Errors
    /// [`TrustError`] for a file that cannot be read or has no certificate.
    pub fn new(files: &[PathBuf]) -> Result<Trust, TrustError> {
        let mut extra = Vec::new();
        for file in files {
            extra.extend(certificates_in(file)?);
        }
        Ok(Trust {
            extra,
            config: OnceLock::new(),
        })
    }

    /// The settings of a connection that we open.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        self.config.get_or_init(|| {
            let provider = provider();
            let verifier: Arc<dyn ServerCertVerifier> = match Verifier::new_with_extra_roots(
                self.extra.iter().cloned(),
                provider.clone(),
            ) {
                Ok(verifier) => Arc::new(verifier),
                Err(error) => Arc::new(Nobody(error)),
            };
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("ring has what TLS 1.2 and 1.3 need");
            let config = builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            Arc::new(config)
        })
    }
}

fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let error = |why: String| TrustError {
        file: file.to_owned(),
        why,
    };
    let text = std::fs::read(file).map_err(|e| error(e.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|e| error(format!("it is no PEM file: {e}")))?;
    if found.is_empty() {
        return Err(error(
            "there is none in it; it has to begin with -----BEGIN CERTIFICATE-----".to_owned(),
        ));
    }
    let mut roots = rustls::RootCertStore::empty();
    for one in &found {
        roots
            .add(one.clone())
            .map_err(|e| error(format!("one of them is not right: {e}")))?;
    }
    Ok(found)
}

/// Trusts nobody, because this system names nobody.
#[derive(Debug)]
struct Nobody(Error);

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(Error::General(format!(
            "this host has no list of whom to trust ({}); install its ca-certificates, or name a file with --tls-root",
            self.0
        )))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(self.0.clone())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(self.0.clone())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let dir = std::env::temp_dir().join(format!("sori-trust-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("roots.pem");
        let missing = Trust::new(std::slice::from_ref(&file)).unwrap_err();
        assert!(missing.to_string().contains("roots.pem"), "{missing}");
        for (text, says) in [
            ("", "there is none in it"),
            ("hello", "there is none in it"),
            (
                "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                "not right",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Trust::new(std::slice::from_ref(&file)).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
