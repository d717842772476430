//! What a registrar does with a REGISTER (RFC 3261 §10.3), as a function of the request and the bindings there are.

mod binding;

pub use binding::{Binding, contact_header};

use core::net::IpAddr;

use crate::flow::Flow;
use crate::header::{CSeq, Expires, HeaderName, NameAddr};
use crate::message::StatusCode;
use crate::wire::Packet;

/// The bounds of registrations.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The shortest time a binding may have, in seconds; less is answered with 423.
    pub min_expires: u32,
    /// The longest time a binding gets, in seconds.
    pub max_expires: u32,
    /// The time when the phone names none, in seconds.
    pub default_expires: u32,
    /// The most bindings of one address of record; the oldest make room.
    pub max_bindings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            min_expires: 60,
            max_expires: 7200,
            default_expires: 3600,
            max_bindings: 32,
        }
    }
}

/// What a REGISTER changes.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// All bindings of the address of record afterwards.
    pub bindings: Vec<Binding>,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

/// One change of the bindings of an address of record.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are Put, and few live at once"
)]
pub enum Change {
    /// The binding of this key is now this.
    Put(Binding),
    /// The binding of this key is gone.
    Remove(String),
    /// All bindings are gone.
    RemoveAll,
}

/// Why a REGISTER is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: StatusCode,
    /// What is wrong.
    pub reason: &'static str,
}

const fn refuse(code: u16, reason: &'static str) -> Refusal {
    Refusal {
        code: StatusCode(code),
        reason,
    }
}

/// Works out what a REGISTER does to the `existing` bindings of its address of record at `now`
/// (milliseconds since 1970). Bindings that have expired are left out of the result.
///
/// # Errors
/// The status that the RFC names: 400 for what cannot be read, 423 for too short a time, 500 for a
/// REGISTER that was overtaken by a younger one.
pub fn register(
    request: &Packet<'_>,
    flow: Flow,
    existing: &[Binding],
    now: u64,
    limits: &Limits,
) -> Result<Update, Refusal> {
    let mut update = Update {
        bindings: existing
            .iter()
            .filter(|b| b.expires_at > now)
            .cloned()
            .collect(),
        changes: Vec::new(),
    };
    if !request.has(HeaderName::Contact) {
        return Ok(update);
    }
    let cseq = request
        .value(HeaderName::CSeq)
        .and_then(|v| CSeq::parse(v).ok())
        .ok_or(refuse(400, "Malformed CSeq"))?;
    let header_expires = request
        .value(HeaderName::Expires)
        .map(|v| Expires::parse(v).0);
    if request.all(HeaderName::Contact).any(|h| h.value() == b"*") {
        remove_all(request, cseq.number, header_expires, &mut update)?;
        return Ok(update);
    }
    let common = Common::read(request, flow, cseq.number, now);
    let mut named = 0;
    for header in request.all(HeaderName::Contact) {
        for contact in NameAddr::parse_list(header.value()) {
            let contact = contact.map_err(|_| refuse(400, "Malformed Contact"))?;
            let wanted = contact.expires().or(header_expires);
            let expires = match wanted.unwrap_or(limits.default_expires) {
                0 => 0,
                short if short < limits.min_expires => {
                    return Err(refuse(423, "Interval Too Brief"));
                }
                other => other.min(limits.max_expires),
            };
            named += 1;
            if named > limits.max_bindings {
                return Err(refuse(403, "Too Many Contacts"));
            }
            place(&contact, expires, &common, existing, &mut update)?;
        }
    }
    make_room(limits.max_bindings, &mut update);
    Ok(update)
}

/// `Contact: *` removes everything, and needs `Expires: 0` (§10.3 step 6).
fn remove_all(
    request: &Packet<'_>,
    cseq: u32,
    expires: Option<u32>,
    update: &mut Update,
) -> Result<(), Refusal> {
    let alone = request.all(HeaderName::Contact).count() == 1;
    if expires != Some(0) || !alone {
        return Err(refuse(400, "Contact * needs Expires 0 and stands alone"));
    }
    let call_id = request.call_id();
    if update
        .bindings
        .iter()
        .any(|b| b.call_id.as_bytes() == call_id && b.cseq >= cseq)
    {
        return Err(refuse(500, "CSeq Out of Order"));
    }
    update.bindings.clear();
    update.changes.push(Change::RemoveAll);
    Ok(())
}

/// What all bindings of one REGISTER share.
struct Common {
    call_id: String,
    cseq: u32,
    now: u64,
    path: Vec<String>,
    flow: Option<Flow>,
    inside: Option<IpAddr>,
    user_agent: Option<String>,
}

impl Common {
    fn read(request: &Packet<'_>, flow: Flow, cseq: u32, now: u64) -> Common {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let path = request
            .all(HeaderName::Path)
            .flat_map(|h| {
                let value = h.value();
                NameAddr::parse_list(value)
                    .map_while(Result::ok)
                    .filter_map(move |p| value.get(p.range()).map(text))
            })
            .collect();
        // Through a proxy the flow is that proxy's, not the phone's.
        let via = request
            .value(HeaderName::Via)
            .filter(|_| request.all(HeaderName::Via).count() == 1)
            .and_then(|v| crate::header::Via::parse(v).ok())
            .filter(|via| via.next_at().is_none());
        let inside = via
            .as_ref()
            .and_then(|via| via.host.ip())
            .map(|ip| ip.to_canonical())
            .filter(|ip| *ip != flow.remote.ip().to_canonical());
        Common {
            call_id: text(request.call_id()),
            cseq,
            now,
            path,
            flow: via.is_some().then_some(flow),
            inside,
            user_agent: request.value(HeaderName::UserAgent).map(text),
        }
    }
}

fn place(
    contact: &NameAddr<'_>,
    expires: u32,
    common: &Common,
    existing: &[Binding],
    update: &mut Update,
) -> Result<(), Refusal> {
    let mut binding = Binding::new(contact);
    let at = update.bindings.iter().position(|b| b.is_same_as(&binding));
    if let Some(old) = at.map(|i| &update.bindings[i]) {
        // A contact that this very request has named before is not one that was overtaken.
        let before = existing
            .iter()
            .any(|b| b.key == old.key && b.cseq == old.cseq);
        if before && old.call_id == common.call_id && old.cseq >= common.cseq {
            return Err(refuse(500, "CSeq Out of Order"));
        }
        binding.key.clone_from(&old.key);
    }
    if expires == 0 {
        if let Some(at) = at {
            update.bindings.remove(at);
            update.changes.push(Change::Remove(binding.key));
        }
        return Ok(());
    }
    // A phone that was restarted registers anew under the same instance: what it left behind goes.
    if binding.instance.is_some() && binding.reg_id.is_none() {
        drop_leftovers(&binding, &common.call_id, update);
    }
    binding.call_id.clone_from(&common.call_id);
    binding.cseq = common.cseq;
    binding.registered_at = common.now;
    binding.expires_at = common.now + u64::from(expires) * 1000;
    binding.path.clone_from(&common.path);
    binding.flow = common.flow;
    binding.inside = common.inside;
    binding.user_agent.clone_from(&common.user_agent);
    let at = update.bindings.iter().position(|b| b.key == binding.key);
    match at {
        Some(at) => update.bindings[at] = binding.clone(),
        None => update.bindings.push(binding.clone()),
    }
    update.changes.push(Change::Put(binding));
    Ok(())
}

fn drop_leftovers(binding: &Binding, call_id: &str, update: &mut Update) {
    let changes = &mut update.changes;
    update.bindings.retain(|b| {
        let leftover = b.instance == binding.instance
            && b.reg_id.is_none()
            && b.call_id != call_id
            && b.key != binding.key;
        if leftover {
            changes.push(Change::Remove(b.key.clone()));
        }
        !leftover
    });
}

fn make_room(max: usize, update: &mut Update) {
    while update.bindings.len() > max {
        let oldest = update
            .bindings
            .iter()
            .enumerate()
            .min_by_key(|(_, b)| b.registered_at)
            .map_or(0, |(i, _)| i);
        let gone = update.bindings.remove(oldest);
        update.changes.push(Change::Remove(gone.key));
    }
}

#[cfg(test)]
mod tests;
