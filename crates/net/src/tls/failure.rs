//! Why TLS with a peer did not come about, in words for a person.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, Error};

/// A TLS handshake that failed.
#[derive(Clone, Debug)]
pub struct HandshakeFailure {
    /// The other end.
    pub remote: SocketAddr,
    /// Whom it should have been; `None` for a peer that came to us, who shows nothing.
    pub name: Option<Arc<str>>,
    /// What happened, and what to do.
    pub reason: String,
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "no TLS with {name} at {}: {}", self.remote, self.reason),
            None => write!(f, "no TLS with {}: {}", self.remote, self.reason),
        }
    }
}

/// What an error of TLS means to a person.
pub(crate) fn explain(error: &Error) -> String {
    let what = match error {
        Error::InvalidCertificate(error) => return explain_certificate(error),
        Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown),
        ) => return format!("the peer does not trust the certificate shown here ({alert:?})"),
        Error::AlertReceived(alert) => {
            return format!("the peer refuses: {alert:?}; see what its log says");
        }
        Error::InvalidMessage(_) => "what it sends is no TLS; is this its port for TLS?",
        Error::PeerIncompatible(_) => {
            "it speaks no TLS 1.2 or 1.3, or knows none of the methods of encryption used here"
        }
        other => return other.to_string(),
    };
    what.to_owned()
}

fn explain_certificate(error: &CertificateError) -> String {
    let what = match error {
        // A host that made itself a new certificate has the name of the one that is trusted, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody whom this host trusts has signed its certificate; if it is the right one, trust it, or who signed it, \
             with --tls-root FILE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; are the clocks right?"
        }
        CertificateError::Revoked => "its certificate was revoked",
        other => return format!("its certificate is not right: {other}"),
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_named_with_what_to_do() {
        let failure = HandshakeFailure {
            remote: "192.0.2.1:5061".parse().unwrap(),
            name: Some("example.org".into()),
            reason: explain(&CertificateError::UnknownIssuer.into()),
        };
        let text = failure.to_string();
        assert!(
            text.starts_with("no TLS with example.org at 192.0.2.1:5061: nobody"),
            "{text}"
        );
        assert!(text.contains("--tls-root FILE"), "{text}");
    }
}
