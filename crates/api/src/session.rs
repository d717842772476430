//! Who is signed in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::secret;

/// A session ends after this time at the latest.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// A session ends after this time without a request.
const IDLE: Duration = Duration::from_secs(2 * 3600);
/// Sessions at once; the one that was idle for the longest time ends first.
const MOST: usize = 4096;

/// What somebody may do, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Has an account, and sees only that.
    User,
    /// Does the work of every day.
    Operator,
    /// Does everything.
    Administrator,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Name of the administrator or operator, or the address of the account.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// What the password was checked against: when that changes, the session ends.
    pub(crate) proof: [u8; 32],
}

/// All sessions. A token is kept as its hash only: whoever reads this memory has no token.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_token: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug)]
struct Session {
    identity: Identity,
    started: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.started) >= LIFETIME
            || now.saturating_duration_since(self.used) >= IDLE
    }
}

impl Sessions {
    /// Begins a session; yields its token, 256 random bits in hexadecimal. `None` when the system has no randomness.
    pub(crate) fn begin(&self, identity: Identity, now: Instant) -> Option<String> {
        let token = secret::token()?;
        let mut sessions = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST {
            sessions.retain(|_, s| !s.is_over(now));
        }
        if sessions.len() >= MOST {
            let idle = sessions.iter().min_by_key(|(_, s)| s.used);
            if let Some(key) = idle.map(|(key, _)| *key) {
                sessions.remove(&key);
            }
        }
        let session = Session {
            identity,
            started: now,
            used: now,
        };
        sessions.insert(hash(&token), session);
        Some(token)
    }

    /// Whose session it is; the session counts as used.
    pub(crate) fn find(&self, token: &str, now: Instant) -> Option<Identity> {
        self.look(token, now, true)
    }

    /// Whose session it is; a stream that is open does not keep it from ending.
    pub(crate) fn peek(&self, token: &str, now: Instant) -> Option<Identity> {
        self.look(token, now, false)
    }

    fn look(&self, token: &str, now: Instant, using: bool) -> Option<Identity> {
        let key = hash(token);
        let mut sessions = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        if using {
            session.used = now;
        }
        Some(session.identity.clone())
    }

    /// The password of this session's owner was changed by himself: the others end, this one goes on.
    pub(crate) fn renew(&self, token: &str, proof: [u8; 32]) {
        let mut sessions = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get_mut(&hash(token)) {
            session.identity.proof = proof;
        }
    }

    /// Ends a session.
    pub(crate) fn end(&self, token: &str) {
        let mut sessions = self.by_token.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&hash(token));
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        Identity {
            name: "alice".into(),
            role: Role::Operator,
            proof: [1; 32],
        }
    }

    #[test]
    fn a_session_ends_by_idleness_and_by_age() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let token = sessions.begin(alice(), start).unwrap();
        assert_eq!(token.len(), 64);
        assert!(!format!("{sessions:?}").contains(&token));
        let at = |seconds| start + Duration::from_secs(seconds);
        for hour in 1..=11 {
            assert_eq!(sessions.find(&token, at(hour * 3600)), Some(alice()));
        }
        assert_eq!(sessions.find(&token, at(12 * 3600)), None);

        let token = sessions.begin(alice(), start).unwrap();
        assert!(sessions.peek(&token, at(7199)).is_some());
        assert_eq!(sessions.find(&token, at(7200)), None, "peeking is no use");
        assert_eq!(sessions.find("", start), None);

        let token = sessions.begin(alice(), start).unwrap();
        sessions.end(&token);
        assert_eq!(sessions.find(&token, start), None);
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let first = sessions.begin(alice(), start).unwrap();
        for n in 0..MOST as u64 {
            let _ = sessions.begin(alice(), start + Duration::from_millis(1 + n));
        }
        assert_eq!(sessions.by_token.lock().unwrap().len(), MOST);
        assert!(sessions.find(&first, start).is_none());
    }
}
