//! TLS of a server: the certificate that it shows, whom it trusts, and what is said of handshakes that fail.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::{Certificates, HandshakeFailure, Tls, Trust};
use sip::flow::Transport;

use crate::config::Config;
use crate::error::ServeError;

/// Failed handshakes are told of at most this often: strangers cause them.
const PAUSE: Duration = Duration::from_secs(1);

/// The certificate that the settings want: from files, or signed by itself where TLS is listened on without one. `None`
/// where neither is.
///
/// # Errors
/// [`ServeError::Setting`], which says what is wrong with which file.
pub(crate) fn certificates(
    config: &Config,
    own: &[IpAddr],
) -> Result<Option<Arc<Certificates>>, ServeError> {
    let made = match &config.certificate {
        Some((certificate, key)) => Certificates::from_files(certificate, key),
        None if listens(config) => Certificates::self_signed(&config.data, &names(config, own)),
        None => return Ok(None),
    };
    made.map(Some)
        .map_err(|error| ServeError::Setting(error.to_string()))
}

/// What the network needs for TLS.
///
/// # Errors
/// [`ServeError::Setting`] for a file of roots that cannot be used.
pub(crate) fn tls(
    config: &Config,
    certificates: Option<&Arc<Certificates>>,
) -> Result<Tls, ServeError> {
    let trust =
        Trust::new(&config.tls_roots).map_err(|error| ServeError::Setting(error.to_string()))?;
    let throttle = Throttle::default();
    Ok(Tls {
        server: certificates.map(|c| c.server_config(&[])),
        trust: Some(Arc::new(trust)),
        on_failure: Some(Arc::new(move |failure| throttle.tell(failure))),
    })
}

/// Takes new files, if there are any.
pub(crate) fn refresh(certificates: &Certificates) {
    let file = certificates.file().display();
    match certificates.refresh() {
        Ok(true) => {
            let fingerprint = certificates.fingerprint();
            tracing::info!(%file, %fingerprint, "a new certificate is shown from now on");
        }
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the certificate stays the old one"),
    }
}

fn listens(config: &Config) -> bool {
    let is_tls = |(transport, _): &_| matches!(transport, Transport::Tls | Transport::Wss);
    config.listen.iter().any(is_tls)
}

/// Whom a certificate of our own stands for: the names first.
fn names(config: &Config, own: &[IpAddr]) -> Vec<String> {
    let unbracketed = |name: &String| {
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.to_ascii_lowercase()
    };
    let mut names: Vec<String> = config.domains.iter().map(unbracketed).collect();
    names.extend(config.advertised_host.iter().map(unbracketed));
    names.push(crate::accounts::domain_of_host());
    names.push("localhost".to_owned());
    names.extend(own.iter().map(IpAddr::to_string));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Tells of failures, and counts those that it leaves out.
#[derive(Default)]
struct Throttle(Mutex<(Option<Instant>, u64)>);

impl Throttle {
    fn tell(&self, failure: &HandshakeFailure) {
        let Some(untold) = self.is_due(Instant::now()) else {
            return;
        };
        if untold > 0 {
            tracing::warn!(untold, "{failure}");
        } else {
            tracing::warn!("{failure}");
        }
    }

    /// How many were left out since the last one, when the next may be told.
    fn is_due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, untold) = &mut *state;
        if last.is_some_and(|last| now.duration_since(last) < PAUSE) {
            *untold += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_failures_is_told_of_once_a_second() {
        let throttle = Throttle::default();
        let begun = Instant::now();
        assert_eq!(throttle.is_due(begun), Some(0));
        for n in 0..999 {
            let now = begun + Duration::from_millis(n);
            assert_eq!(throttle.is_due(now), None);
        }
        assert_eq!(throttle.is_due(begun + PAUSE), Some(999));
        assert_eq!(throttle.is_due(begun + 2 * PAUSE), Some(0));
    }

    #[test]
    fn a_certificate_of_our_own_is_for_all_our_names_once() {
        let mut config = Config::new("x".into(), "Example.org".into());
        config.domains.push("[2001:db8::1]".into());
        config.advertised_host = Some("sip.example.org".into());
        let own = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let names = names(&config, &own);
        assert_eq!(
            names[..3],
            ["example.org", "2001:db8::1", "sip.example.org"]
        );
        assert_eq!(names.iter().filter(|n| *n == "2001:db8::1").count(), 1);
        assert!(names.contains(&"192.0.2.1".to_owned()));
        assert!(names.contains(&"localhost".to_owned()));
    }
}
