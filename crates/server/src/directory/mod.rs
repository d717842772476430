//! What an administrator sets up: profiles of accounts, dial plan, trunks, groups, devices, settings.
//!
//! It is stored as documents and read as a [`Snapshot`] that requests share; each change is checked, stored, and then
//! makes the next snapshot.

mod check;
mod model;
mod network;
mod pattern;
mod snapshot;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Document, DocumentChange, Store, StoreError};

pub use check::{Invalid, destination, is_host};
pub use model::*;
pub use network::Network;
pub use pattern::Pattern;
pub use snapshot::{PlanRule, Snapshot};

use crate::accounts::unix_millis;

const PROFILE: &str = "profile";
const RULE: &str = "rule";
const TRUNK: &str = "trunk";
const GROUP: &str = "group";
const DEVICE: &str = "device";
const SETTINGS: &str = "settings";

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// It cannot be used as it is.
    Invalid(Invalid),
    /// There is nothing of that name.
    Unknown,
    /// It could not be stored.
    Store(StoreError),
}

impl core::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ChangeError::Invalid(invalid) => invalid.fmt(f),
            ChangeError::Unknown => f.write_str("there is nothing of that name"),
            ChangeError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<Invalid> for ChangeError {
    fn from(invalid: Invalid) -> ChangeError {
        ChangeError::Invalid(invalid)
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> ChangeError {
        ChangeError::Store(error)
    }
}

/// Called with each new snapshot.
type Watcher = Box<dyn Fn(&Arc<Snapshot>) + Send + Sync>;

/// What an administrator has set up.
pub struct Directory {
    store: Store,
    current: RwLock<Arc<Snapshot>>,
    /// Held while a change is checked and stored: two changes never decide on the same snapshot.
    changing: Mutex<()>,
    watchers: Mutex<Vec<Watcher>>,
}

impl Directory {
    /// Reads what is stored; `defaults` are the settings of a server that has none stored.
    ///
    /// # Errors
    /// [`StoreError`]; a document that cannot be read is left out, and the log says which.
    pub fn load(store: Store, defaults: &Settings) -> Result<Directory, StoreError> {
        let snapshot = read(&store, defaults)?;
        Ok(Directory {
            store,
            current: RwLock::new(Arc::new(snapshot)),
            changing: Mutex::new(()),
            watchers: Mutex::new(Vec::new()),
        })
    }

    /// As it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// `watcher` is called after each change, on the thread that makes it.
    pub fn watch(&self, watcher: impl Fn(&Arc<Snapshot>) + Send + Sync + 'static) {
        self.watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(watcher));
    }

    /// Stores the profile of the account `address`.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing is changed then. The same holds for all below.
    pub fn put_profile(&self, address: &str, profile: Profile) -> Result<(), ChangeError> {
        self.change(|all| {
            check::profile(address, &profile, all)?;
            Ok((vec![put(PROFILE, address, 0, &profile)], ()))
        })
    }

    /// Forgets the profile of an account that is no more.
    ///
    /// # Errors
    /// See above.
    pub fn remove_profile(&self, address: &str) -> Result<(), ChangeError> {
        self.change(|_| Ok((vec![gone(PROFILE, address)], ())))
    }

    /// Adds a rule at the end, or changes the one of that identifier where it stands. Yields it with its identifier.
    ///
    /// # Errors
    /// See above.
    pub fn put_rule(&self, mut rule: Rule) -> Result<Rule, ChangeError> {
        self.change(|all| {
            let place = match all.rules.iter().position(|r| r.rule.id == rule.id) {
                Some(place) => place,
                None if rule.id.is_empty() => {
                    rule.id = identifier();
                    all.rules.len()
                }
                None => return Err(ChangeError::Unknown),
            };
            check::rule(&rule, all)?;
            Ok((vec![put(RULE, &rule.id, place, &rule)], rule))
        })
    }

    /// Removes a rule; the others keep their order.
    ///
    /// # Errors
    /// See above.
    pub fn remove_rule(&self, id: &str) -> Result<(), ChangeError> {
        self.change(|all| {
            let left = all
                .rules
                .iter()
                .map(|r| r.rule.clone())
                .filter(|r| r.id != id)
                .collect::<Vec<_>>();
            if left.len() == all.rules.len() {
                return Err(ChangeError::Unknown);
            }
            Ok((in_order(&left), ()))
        })
    }

    /// Puts the rules into the order of these identifiers, which have to be all of them.
    ///
    /// # Errors
    /// See above.
    pub fn order_rules(&self, ids: &[String]) -> Result<(), ChangeError> {
        self.change(|all| {
            let mut sorted = Vec::with_capacity(ids.len());
            for id in ids {
                let found = all.rules.iter().find(|r| r.rule.id == *id);
                let rule =
                    found.ok_or_else(|| Invalid::new("", format!("there is no rule {id:?}")))?;
                sorted.push(rule.rule.clone());
            }
            let mut seen: Vec<&String> = ids.iter().collect();
            seen.sort();
            seen.dedup();
            if seen.len() != all.rules.len() || ids.len() != all.rules.len() {
                return Err(
                    Invalid::new("", "the rules have changed: read them again".into()).into(),
                );
            }
            Ok((in_order(&sorted), ()))
        })
    }

    /// Puts these rules in place of all.
    ///
    /// # Errors
    /// See above; the field begins with the place of the rule that is wrong, from 0.
    pub fn replace_rules(&self, rules: Vec<Rule>) -> Result<(), ChangeError> {
        self.change(|all| {
            let mut ready: Vec<Arc<Rule>> = Vec::with_capacity(rules.len());
            for (place, mut rule) in rules.into_iter().enumerate() {
                if rule.id.is_empty() || ready.iter().any(|r| r.id == rule.id) {
                    rule.id = identifier();
                }
                check::rule(&rule, all).map_err(|wrong| {
                    Invalid::new(&format!("{place}.{}", wrong.field), wrong.message)
                })?;
                ready.push(Arc::new(rule));
            }
            Ok((in_order(&ready), ()))
        })
    }

    /// Adds a trunk, or changes the one of that identifier.
    ///
    /// # Errors
    /// See above.
    pub fn put_trunk(&self, mut trunk: Trunk) -> Result<Trunk, ChangeError> {
        self.change(|all| {
            check::trunk(&trunk)?;
            own_identifier(&mut trunk.id, |id| all.trunk(id).is_some())?;
            Ok((vec![put(TRUNK, &trunk.id, 0, &trunk)], trunk))
        })
    }

    /// Removes a trunk that no rule names.
    ///
    /// # Errors
    /// See above.
    pub fn remove_trunk(&self, id: &str) -> Result<(), ChangeError> {
        self.change(|all| {
            if all.trunk(id).is_none() {
                return Err(ChangeError::Unknown);
            }
            let names = |rule: &Rule| {
                rule.matches.trunk == id || matches!(&rule.action, Action::Trunks { trunks, .. } if trunks.iter().any(|t| t == id))
            };
            if let Some(user) = all.rules.iter().find(|r| names(&r.rule)) {
                return Err(Invalid::new("", format!("the rule {:?} uses this trunk: change or remove the rule first", user.rule.name)).into());
            }
            Ok((vec![gone(TRUNK, id)], ()))
        })
    }

    /// Adds a hunting group, or changes the one of that identifier.
    ///
    /// # Errors
    /// See above.
    pub fn put_group(&self, mut group: Group) -> Result<Group, ChangeError> {
        self.change(|all| {
            check::group(&group, all)?;
            own_identifier(&mut group.id, |id| all.groups.iter().any(|g| g.id == id))?;
            Ok((vec![put(GROUP, &group.id, 0, &group)], group))
        })
    }

    /// Removes a hunting group.
    ///
    /// # Errors
    /// See above.
    pub fn remove_group(&self, id: &str) -> Result<(), ChangeError> {
        self.change(|all| {
            if !all.groups.iter().any(|g| g.id == id) {
                return Err(ChangeError::Unknown);
            }
            Ok((vec![gone(GROUP, id)], ()))
        })
    }

    /// Adds a device, or changes the one of that identifier.
    ///
    /// # Errors
    /// See above.
    pub fn put_device(&self, mut device: Device) -> Result<Device, ChangeError> {
        self.change(|all| {
            check::name("name", &device.name)?;
            own_identifier(&mut device.id, |id| all.devices.iter().any(|d| d.id == id))?;
            Ok((vec![put(DEVICE, &device.id, 0, &device)], device))
        })
    }

    /// Removes a device.
    ///
    /// # Errors
    /// See above.
    pub fn remove_device(&self, id: &str) -> Result<(), ChangeError> {
        self.change(|all| {
            if !all.devices.iter().any(|d| d.id == id) {
                return Err(ChangeError::Unknown);
            }
            Ok((vec![gone(DEVICE, id)], ()))
        })
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// See above.
    pub fn put_settings(&self, settings: Settings) -> Result<(), ChangeError> {
        self.change(|_| {
            check::settings(&settings)?;
            Ok((vec![put(SETTINGS, SETTINGS, 0, &settings)], ()))
        })
    }

    /// Decides on the snapshot, stores, and makes the next snapshot.
    fn change<T>(
        &self,
        decide: impl FnOnce(&Snapshot) -> Result<(Vec<DocumentChange>, T), ChangeError>,
    ) -> Result<T, ChangeError> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let (changes, value) = decide(&before)?;
        self.store.change_documents(changes)?;
        // Stored settings always exist after a change of settings; else those in force go on.
        let next = Arc::new(read(&self.store, &before.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
        for watcher in self
            .watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            watcher(&next);
        }
        drop(changing);
        Ok(value)
    }
}

impl core::fmt::Debug for Directory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

/// An identifier for something new: 64 random bits.
fn identifier() -> String {
    let mut bytes = [0u8; 8];
    // Without randomness, time has to do: identifiers are names, not secrets.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = unix_millis().to_le_bytes();
    }
    format!("{:016x}", u64::from_le_bytes(bytes))
}

/// Gives something new its identifier; something that is changed has to be there.
fn own_identifier(id: &mut String, is_known: impl Fn(&str) -> bool) -> Result<(), ChangeError> {
    if id.is_empty() {
        *id = identifier();
    } else if !is_known(id) {
        return Err(ChangeError::Unknown);
    }
    Ok(())
}

fn put(kind: &'static str, key: &str, position: usize, value: &impl Serialize) -> DocumentChange {
    DocumentChange::Put {
        kind,
        document: Document {
            key: key.to_owned(),
            position: u32::try_from(position).unwrap_or(u32::MAX),
            body: serde_json::to_string(value)
                .expect("texts, numbers and lists can be written as JSON"),
            changed: unix_millis(),
        },
    }
}

fn gone(kind: &'static str, key: &str) -> DocumentChange {
    DocumentChange::Remove {
        kind,
        key: key.to_owned(),
    }
}

fn in_order(rules: &[Arc<Rule>]) -> Vec<DocumentChange> {
    let all = rules
        .iter()
        .enumerate()
        .map(|(place, rule)| put(RULE, &rule.id, place, &**rule));
    [DocumentChange::Clear { kind: RULE }]
        .into_iter()
        .chain(all)
        .collect()
}

fn read(store: &Store, defaults: &Settings) -> Result<Snapshot, StoreError> {
    let mut all = Snapshot {
        settings: documents::<Settings>(store, SETTINGS)?
            .pop()
            .map_or_else(|| defaults.clone(), |(_, s)| s),
        trunks: documents::<Trunk>(store, TRUNK)?
            .into_iter()
            .map(|(_, t)| Arc::new(t))
            .collect(),
        groups: documents::<Group>(store, GROUP)?
            .into_iter()
            .map(|(_, g)| Arc::new(g))
            .collect(),
        devices: documents::<Device>(store, DEVICE)?
            .into_iter()
            .map(|(_, d)| Arc::new(d))
            .collect(),
        ..Snapshot::default()
    };
    all.trunks
        .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    all.groups
        .sort_by(|a, b| (&a.number, &a.id).cmp(&(&b.number, &b.id)));
    for (address, profile) in documents::<Profile>(store, PROFILE)? {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        for alias in &profile.aliases {
            all.aliases
                .insert(format!("{alias}@{domain}"), address.clone());
            if let Some(number) = crate::dialplan::e164(alias, &all.settings.country) {
                all.numbers.insert(number, address.clone());
            }
        }
        all.profiles.insert(address, Arc::new(profile));
    }
    for (id, rule) in documents::<Rule>(store, RULE)? {
        match check::rule(&rule, &all) {
            Ok(ready) => all.rules.push(ready),
            Err(error) => {
                tracing::error!(rule = %rule.name, %id, %error, "a rule of the dial plan cannot be used and is left out")
            }
        }
    }
    Ok(all)
}

fn documents<T: DeserializeOwned>(
    store: &Store,
    kind: &str,
) -> Result<Vec<(String, T)>, StoreError> {
    let mut all = Vec::new();
    for document in store.documents(kind)? {
        match serde_json::from_str(&document.body) {
            Ok(value) => all.push((document.key, value)),
            // The error shows a place, not the content: a trunk's document has a password.
            Err(error) => {
                tracing::error!(kind, key = %document.key, line = error.line(), column = error.column(), "a stored document cannot be read and is left out")
            }
        }
    }
    Ok(all)
}
