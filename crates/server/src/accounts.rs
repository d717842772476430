//! The accounts in memory, as fresh as the store.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use sip::auth::Ha1;
use store::{Account, AccountChange, Algorithm, Credential};

/// What is needed of an account while requests pass.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) ha1: Option<Ha1>,
    pub(crate) enabled: bool,
}

/// All accounts by `user@domain`.
#[derive(Debug)]
pub(crate) struct Accounts {
    entries: RwLock<HashMap<String, Entry, ahash::RandomState>>,
}

impl Accounts {
    pub(crate) fn load(accounts: Vec<Account>) -> Accounts {
        let mut entries = HashMap::with_hasher(hasher());
        for account in accounts {
            entries.insert(name(&account.user, &account.domain), entry(&account));
        }
        Accounts {
            entries: RwLock::new(entries),
        }
    }

    pub(crate) fn find(&self, address_of_record: &str) -> Option<Entry> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(address_of_record).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.len()
    }

    /// Takes over changes; yields the addresses of record that are no more.
    pub(crate) fn change(&self, changes: Vec<AccountChange>) -> Vec<String> {
        let mut gone = Vec::new();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let key = name(&change.user, &change.domain);
            match change.account {
                Some(account) => {
                    entries.insert(key, entry(&account));
                }
                None => {
                    entries.remove(&key);
                    gone.push(key);
                }
            }
        }
        gone
    }
}

pub(crate) fn hasher() -> ahash::RandomState {
    let mut seed = [0u8; 32];
    // Without randomness the map only loses its protection against chosen keys.
    let _ = getrandom::fill(&mut seed);
    let part = |i: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&seed[i * 8..i * 8 + 8]);
        u64::from_le_bytes(word)
    };
    ahash::RandomState::with_seeds(part(0), part(1), part(2), part(3))
}

fn name(user: &str, domain: &str) -> String {
    format!("{user}@{domain}")
}

fn entry(account: &Account) -> Entry {
    let hash = |algorithm| {
        account
            .credentials
            .iter()
            .find(|c| c.algorithm == algorithm && c.realm == account.domain)
            .map(|c| c.ha1.as_slice())
    };
    let ha1 = match (hash(Algorithm::Md5), hash(Algorithm::Sha256)) {
        (Some(md5), Some(sha256)) => md5
            .try_into()
            .ok()
            .zip(sha256.try_into().ok())
            .map(|(md5, sha256)| Ha1 { md5, sha256 }),
        _ => None,
    };
    Entry {
        ha1,
        enabled: account.enabled,
    }
}

/// The account of a user with this password: what Digest needs of the password for each algorithm, and not the
/// password itself. The realm is the domain.
pub fn account_for(user: &str, domain: &str, password: &str) -> Account {
    let domain = domain.to_ascii_lowercase();
    let ha1 = Ha1::new(user, &domain, password);
    let credential = |algorithm, hash: &[u8]| Credential {
        algorithm,
        realm: domain.clone(),
        ha1: hash.to_vec(),
    };
    let now = unix_millis();
    Account {
        user: user.to_owned(),
        credentials: vec![
            credential(Algorithm::Md5, &ha1.md5),
            credential(Algorithm::Sha256, &ha1.sha256),
        ],
        domain,
        display_name: None,
        enabled: true,
        created: now,
        changed: now,
    }
}

/// The domain of this host: its full name, or `localhost` when it has none.
pub fn domain_of_host() -> String {
    let name = gethostname::gethostname()
        .to_string_lossy()
        .to_ascii_lowercase();
    let good = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if good { name } else { "localhost".to_owned() }
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
