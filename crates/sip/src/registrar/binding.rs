//! Bindings: an address of record is reachable at a contact for some time (RFC 3261 §10).

use core::net::IpAddr;

use crate::flow::Flow;
use crate::header::NameAddr;
use crate::uri::Uri;

/// One contact of an address of record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The contact URI as registered.
    pub contact: String,
    /// What names this binding among those of its address of record; it outlives changes of the contact's spelling.
    pub key: String,
    /// Call-ID of the REGISTER that last changed it.
    pub call_id: String,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: u64,
    /// When the phone last registered, in milliseconds since 1970.
    pub registered_at: u64,
    /// The proxies on the way to it, the nearest to us first (RFC 3327).
    pub path: Vec<String>,
    /// The flow that the phone registered on, when no proxy was in between (RFC 5626).
    pub flow: Option<Flow>,
    /// The address that the phone says it has itself (Via), where its flow comes from another: behind address translation.
    /// Its contact may hide that, when it tells us what we see.
    pub inside: Option<IpAddr>,
    /// `+sip.instance` (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// `reg-id` (RFC 5626 §4.2).
    pub reg_id: Option<u32>,
    /// What the phone calls itself.
    pub user_agent: Option<String>,
    /// All other parameters of the contact, each with its `;`.
    pub params: String,
}

impl Binding {
    /// The contact of a REGISTER, without what the rest of the request says.
    pub(super) fn new(contact: &NameAddr<'_>) -> Binding {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut binding = Binding {
            contact: text(contact.uri.as_bytes()),
            q: contact.q().unwrap_or(1000),
            ..Binding::default()
        };
        for param in contact.params {
            if param.is(b"+sip.instance") {
                binding.instance = Some(text(&param.unquoted()));
            } else if param.is(b"reg-id") {
                binding.reg_id = core::str::from_utf8(param.value.unwrap_or_default())
                    .ok()
                    .and_then(|v| v.parse().ok());
            } else if !param.is(b"expires") && !param.is(b"q") {
                binding.params.push(';');
                binding.params.push_str(&text(param.name));
                if let Some(value) = param.value {
                    binding.params.push('=');
                    binding.params.push_str(&text(value));
                }
            }
        }
        binding.key = match (&binding.instance, binding.reg_id) {
            (Some(instance), Some(reg_id)) => format!("{instance};reg-id={reg_id}"),
            _ => binding.contact.clone(),
        };
        binding
    }

    /// Whether both are the same contact: by instance and reg-id (RFC 5626 §6), else by URI (§19.1.4).
    pub(super) fn is_same_as(&self, other: &Binding) -> bool {
        if self.instance.is_some() && self.reg_id.is_some() && other.reg_id.is_some() {
            return self.instance == other.instance && self.reg_id == other.reg_id;
        }
        if self.contact == other.contact {
            return true;
        }
        match (
            Uri::parse(self.contact.as_bytes()),
            Uri::parse(other.contact.as_bytes()),
        ) {
            (Ok(a), Ok(b)) => a.same_as(&b),
            _ => false,
        }
    }

    /// The flow to use instead of what the contact says: the connection that the phone opened, or, where its
    /// contact is an address that it does not come from, the hole it made in the address translation between.
    pub fn reachable_flow(&self) -> Option<Flow> {
        let flow = self.flow?;
        if flow.transport.is_reliable() {
            return Some(flow);
        }
        let uri = Uri::parse(self.contact.as_bytes()).ok()?;
        match uri.host.ip() {
            Some(ip) if ip != flow.remote.ip() => Some(flow),
            _ => None,
        }
    }
}

/// The value of a Contact header that tells a phone about a binding at `now` (§10.3 step 8).
pub fn contact_header(binding: &Binding, now: u64) -> String {
    let left = binding.expires_at.saturating_sub(now).div_ceil(1000);
    let mut value = format!("<{}>;expires={left}", binding.contact);
    if binding.q != 1000 {
        value.push_str(&format!(";q={}.{:03}", binding.q / 1000, binding.q % 1000));
    }
    if let Some(instance) = &binding.instance {
        value.push_str(";+sip.instance=");
        let mut quoted = Vec::new();
        crate::header::quote(instance.as_bytes(), &mut quoted);
        value.push_str(&String::from_utf8_lossy(&quoted));
    }
    if let Some(reg_id) = binding.reg_id {
        value.push_str(&format!(";reg-id={reg_id}"));
    }
    value.push_str(&binding.params);
    value
}
