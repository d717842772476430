//! All that is set up, in the form in which requests ask for it. A snapshot never changes; a change makes a new one.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::{Device, Group, Profile, Rule, Settings, Trunk};
use super::pattern::Pattern;

/// All that is set up.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Settings that can change while the server runs.
    pub settings: Settings,
    /// Profiles by `user@domain`, of the accounts that have one.
    pub profiles: HashMap<String, Arc<Profile>>,
    /// `user@domain` of the account that an alias `user@domain` means.
    pub aliases: HashMap<String, String>,
    /// The same for aliases that are telephone numbers, as E.164 writes them (`+8225550100`).
    pub numbers: HashMap<String, String>,
    /// The rules of the dial plan, in order.
    pub rules: Vec<PlanRule>,
    /// Trunks by their identifiers, in order of their names.
    pub trunks: Vec<Arc<Trunk>>,
    /// Hunting groups.
    pub groups: Vec<Arc<Group>>,
    /// Phones that fetch their settings.
    pub devices: Vec<Arc<Device>>,
}

/// A rule and its patterns, ready for use.
#[derive(Clone, Debug)]
pub struct PlanRule {
    /// As it was written.
    pub rule: Arc<Rule>,
    /// For the number.
    pub number: Pattern,
    /// For the caller.
    pub caller: Pattern,
}

impl Snapshot {
    /// Whether every name means itself: nothing is set up that sends a request elsewhere.
    pub fn is_plain(&self) -> bool {
        self.rules.is_empty() && self.groups.is_empty() && self.profiles.is_empty()
    }

    /// The trunk of this identifier.
    pub fn trunk(&self, id: &str) -> Option<&Arc<Trunk>> {
        self.trunks.iter().find(|t| t.id == id)
    }

    /// The group that this number calls.
    pub fn group(&self, number: &str) -> Option<&Arc<Group>> {
        self.groups.iter().find(|g| g.number == number)
    }

    /// The profile of an account, `user@domain`.
    pub fn profile(&self, address: &str) -> Option<&Arc<Profile>> {
        self.profiles.get(address)
    }
}
