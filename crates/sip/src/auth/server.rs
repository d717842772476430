//! The server's side: challenges out, verdicts on credentials.

use super::algorithm::{Algorithm, Qop};
use super::credentials::{Credentials, fields};
use super::digest::Subject;
use super::nonce::{Nonce, NonceCheck, Nonces};
use super::params::{AuthError, Name, push_quoted};
use super::secret::Ha1;
use super::uri::{UriMatch, compare};
use crate::time::Time;

/// What a server asks of the users of one realm.
#[derive(Clone, Debug)]
pub struct ProtectionSpace {
    /// The realm; for a domain its name (RFC 3261 §22.1).
    pub realm: String,
    /// The algorithms in the order of the challenges. The strongest stands first (RFC 8760 §2.4), and MD5 last,
    /// since some clients see only the last challenge and know only MD5.
    pub algorithms: Vec<Algorithm>,
    /// Whether `auth-int` is offered beside `auth`. Elements that rewrite SDP break it.
    pub auth_int: bool,
    /// Whether an answer without qop (RFC 2069) is taken. Each of its nonces serves once, so it cannot be replayed.
    pub without_qop: bool,
    /// What the `uri` of credentials may be.
    pub uri_rule: UriRule,
}

/// How far the `uri` of credentials may be from the Request-URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriRule {
    /// The same user at any of this server's own names; parameters do not count.
    Ours,
    /// Anything: only behind a proxy that changes Request-URIs.
    Any,
}

/// What to do with a request and its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user is who they say; how the URIs agreed is worth counting.
    Accept(UriMatch),
    /// 401 or 407 with new challenges.
    Challenge {
        /// The key was right, and only the nonce was not: the client need not ask the user again.
        stale: bool,
    },
    /// 400: the client would get the same wrong again.
    Refuse(Refusal),
}

/// Why credentials are not even looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// They cannot be read.
    Broken(AuthError),
    /// The algorithm was not offered.
    AlgorithmNotOffered,
    /// There is no qop, or one that was not offered.
    QopNotOffered,
    /// They are for another Request-URI.
    UriMismatch,
}

impl ProtectionSpace {
    /// SHA-256 and MD5, qop `auth`, answers without qop refused, URIs of our own names.
    pub fn new(realm: impl Into<String>) -> ProtectionSpace {
        ProtectionSpace {
            realm: realm.into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            auth_int: false,
            without_qop: false,
            uri_rule: UriRule::Ours,
        }
    }

    /// The values of the WWW-Authenticate or Proxy-Authenticate headers, one for each algorithm.
    pub fn challenges(&self, nonce: &Nonce, stale: bool) -> impl Iterator<Item = String> {
        self.algorithms.iter().map(move |algorithm| {
            let mut value = String::with_capacity(160);
            value.push_str("Digest realm=");
            push_quoted(&mut value, &self.realm);
            value.push_str(", nonce=");
            push_quoted(&mut value, nonce.as_str());
            if stale {
                value.push_str(", stale=true");
            }
            value.push_str(", algorithm=");
            value.push_str(algorithm.token());
            value.push_str(if self.auth_int {
                ", qop=\"auth,auth-int\""
            } else {
                ", qop=\"auth\""
            });
            value
        })
    }

    /// The credentials for this realm among the values of all Authorization (or all Proxy-Authorization) headers.
    ///
    /// `None`: there are none for this realm, so challenge. Other realms and other schemes are not looked at. Of several
    /// for this realm the last ones count: a client that keeps the old ones beside the new (Twinkle, after a
    /// redirection) puts those there.
    ///
    /// # Errors
    /// Credentials that are for this realm, or might be, and cannot be read.
    pub fn find<'a>(
        &self,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Credentials<'a>>, AuthError> {
        let (mut found, mut fault) = (None, None);
        for value in values {
            let fields = match fields(value) {
                Ok(fields) => fields,
                Err(AuthError::Scheme) => continue,
                Err(error) => {
                    fault.get_or_insert(error);
                    continue;
                }
            };
            match fields.optional(Name::Realm) {
                Some(realm) if realm != *self.realm => continue,
                _ => {}
            }
            match Credentials::new(&fields) {
                Ok(credentials) => found = Some(credentials),
                Err(error) => {
                    fault.get_or_insert(error);
                }
            }
        }
        match (found, fault) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    /// Judges credentials that [`find`](Self::find) returned, and spends their nonce when they are right.
    ///
    /// `ha1` is `None` for a user who does not exist, which takes the same time and ends like a wrong password.
    /// `ours` says whether a host is a name or an address of this server.
    pub fn judge(
        &self,
        nonces: &Nonces,
        now: Time,
        credentials: &Credentials<'_>,
        ha1: Option<&Ha1>,
        subject: &Subject<'_>,
        ours: impl Fn(&[u8]) -> bool,
    ) -> Verdict {
        let uri = match self.agree(credentials, subject, ours) {
            Ok(uri) => uri,
            Err(refusal) => return Verdict::Refuse(refusal),
        };
        if !credentials.verify(ha1, subject.method, subject.body) {
            return Verdict::Challenge { stale: false };
        }
        match nonces.check(now, &self.realm, credentials.nonce.raw()) {
            NonceCheck::Fresh(serial) => {
                let nc = credentials.qop.and(credentials.nc);
                if nonces.spend(serial, nc) {
                    Verdict::Accept(uri)
                } else {
                    Verdict::Challenge { stale: true }
                }
            }
            NonceCheck::Stale | NonceCheck::Forged => Verdict::Challenge { stale: true },
        }
    }

    /// Whether credentials keep to what was offered; needs no secret, so it can be asked before one is looked up.
    ///
    /// # Errors
    /// The reason for a 400.
    pub fn agree(
        &self,
        credentials: &Credentials<'_>,
        subject: &Subject<'_>,
        ours: impl Fn(&[u8]) -> bool,
    ) -> Result<UriMatch, Refusal> {
        if !self.algorithms.contains(&credentials.algorithm) {
            return Err(Refusal::AlgorithmNotOffered);
        }
        let offered = match credentials.qop {
            None => self.without_qop,
            Some(Qop::Auth) => true,
            Some(Qop::AuthInt) => self.auth_int,
        };
        if !offered {
            return Err(Refusal::QopNotOffered);
        }
        let claimed = credentials.uri.raw().as_bytes();
        match (compare(claimed, subject.uri, ours), self.uri_rule) {
            (Some(agreement), _) => Ok(agreement),
            (None, UriRule::Any) => Ok(UriMatch::Ignored),
            (None, UriRule::Ours) => Err(Refusal::UriMismatch),
        }
    }
}
