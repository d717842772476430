//! Registered phones, as people see them.

use std::collections::BTreeMap;
use std::sync::mpsc;

use sip::registrar::{Binding, Change};
use sip::uri::Uri;
use store::StoreError;

use super::Admin;
use crate::accounts::unix_millis;
use crate::location::to_store;

/// One phone of one account. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Names it among all.
    pub id: String,
    /// The account, `user@domain`.
    pub address: String,
    /// Where it says that it can be reached.
    pub contact: String,
    /// `udp`, `tcp` …; empty when it is not known any more (a connection from before a restart).
    pub transport: &'static str,
    /// Address and port that it was seen at; empty as above.
    pub source: String,
    /// What it calls itself.
    pub user_agent: String,
    /// When it last registered.
    pub registered: u64,
    /// When that ends.
    pub expires: u64,
    /// It says another address than it was seen at: it sits behind an address translator.
    pub behind_nat: bool,
}

impl Admin {
    /// How many phones an account has registered now.
    pub fn phones(&self, address: &str) -> usize {
        let now = unix_millis();
        let bindings = self.shared.location.find(address);
        bindings.map_or(0, |all| all.iter().filter(|b| b.expires_at > now).count())
    }

    /// The registrations that are `wanted`, by address: how many, and those from `offset` on, at most `limit`.
    pub fn registrations(
        &self,
        wanted: impl Fn(&Registration) -> bool,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<Registration>) {
        let now = unix_millis();
        let most = offset.saturating_add(limit);
        let mut total = 0;
        // Only what can be on the page is kept, whatever there is.
        let mut first: BTreeMap<(String, String), Registration> = BTreeMap::new();
        self.shared.location.each(|address, bindings| {
            for binding in bindings.iter().filter(|b| b.expires_at > now) {
                let shown = registration(address, binding);
                if !wanted(&shown) {
                    continue;
                }
                total += 1;
                first.insert((shown.address.clone(), shown.id.clone()), shown);
                if first.len() > most {
                    first.pop_last();
                }
            }
        });
        (total, first.into_values().skip(offset).collect())
    }

    /// Forgets a registration; yields its address, or `None` when there is none of this identifier, or `may` says no.
    /// The phone is not told: it registers again when its time comes.
    ///
    /// # Errors
    /// When the change cannot be stored.
    pub fn remove_registration(
        &self,
        id: &str,
        may: impl FnOnce(&str) -> bool,
    ) -> Result<Option<String>, StoreError> {
        let Some((address, key)) = parts(id) else {
            return Ok(None);
        };
        if !may(&address) {
            return Ok(None);
        }
        let (durable, told) = mpsc::sync_channel(1);
        let mut found = false;
        self.shared.location.change(&address, |existing| {
            found = existing.iter().any(|b| b.key == key);
            if !found {
                return Ok(None);
            }
            let change = to_store(&address, &Change::Remove(key.clone()));
            self.shared.store.apply(vec![change], move |result| {
                let _ = durable.send(result);
            })?;
            let rest = existing.iter().filter(|b| b.key != key);
            Ok::<_, StoreError>(Some(rest.cloned().collect()))
        })?;
        if !found {
            return Ok(None);
        }
        told.recv().unwrap_or(Err(StoreError::Closed))?;
        Ok(Some(address))
    }
}

fn registration(address: &str, binding: &Binding) -> Registration {
    let host = Uri::parse(binding.contact.as_bytes()).ok();
    let host = host.and_then(|uri| uri.host.ip());
    let seen = binding.flow.as_ref().map(|f| f.remote);
    Registration {
        id: format!("{}-{}", hex(address), hex(&binding.key)),
        address: address.to_owned(),
        contact: binding.contact.clone(),
        transport: binding.flow.as_ref().map_or("", |f| f.transport.name()),
        source: seen.map_or_else(String::new, |s| s.to_string()),
        user_agent: binding.user_agent.clone().unwrap_or_default(),
        registered: binding.registered_at,
        expires: binding.expires_at,
        behind_nat: host.zip(seen).is_some_and(|(said, seen)| said != seen.ip()),
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

/// Address and key of an identifier.
fn parts(id: &str) -> Option<(String, String)> {
    let text = |hex: &str| {
        let bytes = hex.as_bytes().chunks(2).map(|pair| {
            let pair = core::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
    };
    let (address, key) = id.split_once('-')?;
    Some((text(address)?, text(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_come_back() {
        let binding = Binding {
            contact: "sip:alice@10.0.0.7:5062".into(),
            key: "<urn:uuid:1> 1".into(),
            flow: None,
            ..Binding::default()
        };
        let shown = registration("a b-c@example.org", &binding);
        assert!(shown.id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
        assert_eq!(
            parts(&shown.id),
            Some(("a b-c@example.org".into(), "<urn:uuid:1> 1".into()))
        );
        assert!(!shown.behind_nat);
        for bad in ["", "-", "6", "61", "6-61", "zz-61", "é-61"] {
            let parsed = parts(bad);
            assert!(parsed.is_none() || bad == "-", "{bad} {parsed:?}");
        }
    }
}
