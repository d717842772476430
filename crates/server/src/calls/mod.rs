//! The calls that go on now, whoever carries them: proxied, bridged, or of a service. Each leaves a record when it ends.

mod follow;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sip::proxy::FollowedId;
use store::{CallRecord, Store};

use crate::accounts::{hasher, unix_millis};
use crate::services::CallKey;

/// The most calls that are shown; those above go on, and are counted in `not_shown`.
const MAX_CALLS: usize = 500_000;

/// A call that goes on now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCall {
    /// Names it as long as this process runs.
    pub id: u64,
    /// The Call-ID of the caller's side.
    pub call_id: String,
    /// Who calls, `user@domain`.
    pub caller: String,
    /// Who is called, `user@domain`.
    pub callee: String,
    /// How far it is.
    pub state: CallState,
    /// When the INVITE came, in milliseconds since 1970.
    pub started: u64,
    /// When it was answered.
    pub answered: Option<u64>,
    /// What is spoken, such as `PCMU`, `opus`.
    pub codecs: Vec<String>,
    /// Which way the media goes.
    pub media: MediaPath,
    /// The name of the trunk that it goes through.
    pub trunk: Option<String>,
    /// Where the caller's messages come from.
    pub caller_address: Option<SocketAddr>,
    /// Where the callee's do.
    pub callee_address: Option<SocketAddr>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// Nobody has been reached yet.
    Calling,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
}

/// Which way the media of a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaPath {
    /// From phone to phone.
    #[default]
    Direct,
    /// Through the relay of this server.
    Relay,
    /// To a service of this server.
    Server,
}

impl MediaPath {
    /// The word for records and the API.
    pub const fn name(self) -> &'static str {
        match self {
            MediaPath::Direct => "direct",
            MediaPath::Relay => "relay",
            MediaPath::Server => "server",
        }
    }
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Caller,
    Callee,
    Server,
    /// Nobody knows.
    Nobody,
}

impl EndedBy {
    const fn name(self) -> &'static str {
        match self {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::Server => "server",
            EndedBy::Nobody => "",
        }
    }
}

/// What carries a call, so that it can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Proxied(FollowedId),
    Bridge(u64),
    Service(CallKey),
}

/// A call that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewCall {
    pub(crate) call_id: String,
    pub(crate) caller: String,
    pub(crate) callee: String,
    pub(crate) caller_address: Option<SocketAddr>,
    pub(crate) media: MediaPath,
    pub(crate) trunk: Option<String>,
    pub(crate) shard: usize,
    pub(crate) carrier: Carrier,
}

struct Known {
    call: ActiveCall,
    shard: usize,
    carrier: Carrier,
}

struct Table {
    calls: HashMap<u64, Known, ahash::RandomState>,
    /// How many calls each caller has.
    of_caller: HashMap<String, usize, ahash::RandomState>,
}

/// All calls that go on.
pub(crate) struct Calls {
    table: Mutex<Table>,
    next: AtomicU64,
    not_shown: AtomicU64,
    not_recorded: Arc<AtomicU64>,
    store: Store,
}

impl Calls {
    pub(crate) fn new(store: Store) -> Arc<Calls> {
        Arc::new(Calls {
            table: Mutex::new(Table {
                calls: HashMap::with_hasher(hasher()),
                of_caller: HashMap::with_hasher(hasher()),
            }),
            next: AtomicU64::new(1),
            not_shown: AtomicU64::new(0),
            not_recorded: Arc::default(),
            store,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; it ends, at the latest, when what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Calls>, new: NewCall) -> CallRef {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let call = ActiveCall {
            id,
            call_id: new.call_id,
            caller: new.caller,
            callee: new.callee,
            state: CallState::Calling,
            started: unix_millis(),
            answered: None,
            codecs: Vec::new(),
            media: new.media,
            trunk: new.trunk,
            caller_address: new.caller_address,
            callee_address: None,
        };
        let mut table = self.table();
        if table.calls.len() >= MAX_CALLS {
            drop(table);
            self.not_shown.fetch_add(1, Ordering::Relaxed);
            return CallRef {
                calls: self.clone(),
                id: 0,
            };
        }
        *table.of_caller.entry(call.caller.clone()).or_default() += 1;
        let known = Known {
            call,
            shard: new.shard,
            carrier: new.carrier,
        };
        table.calls.insert(id, known);
        CallRef {
            calls: self.clone(),
            id,
        }
    }

    /// All calls, the youngest first.
    pub(crate) fn list(&self) -> Vec<ActiveCall> {
        let mut all: Vec<ActiveCall> = self
            .table()
            .calls
            .values()
            .map(|k| k.call.clone())
            .collect();
        all.sort_by_key(|call| core::cmp::Reverse(call.id));
        all
    }

    pub(crate) fn count(&self) -> usize {
        self.table().calls.len()
    }

    /// How many calls this caller, `user@domain`, has now.
    pub(crate) fn of_caller(&self, caller: &str) -> usize {
        self.table().of_caller.get(caller).copied().unwrap_or(0)
    }

    /// Calls that were not shown, and records that could not be stored.
    pub(crate) fn lost(&self) -> (u64, u64) {
        (
            self.not_shown.load(Ordering::Relaxed),
            self.not_recorded.load(Ordering::Relaxed),
        )
    }

    /// What carries a call, and in which shard.
    pub(crate) fn carrier(&self, id: u64) -> Option<(usize, Carrier)> {
        let table = self.table();
        table
            .calls
            .get(&id)
            .map(|known| (known.shard, known.carrier))
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut ActiveCall)) {
        if let Some(known) = self.table().calls.get_mut(&id) {
            change(&mut known.call);
        }
    }

    fn take(&self, id: u64) -> Option<ActiveCall> {
        let mut table = self.table();
        let Known { call, .. } = table.calls.remove(&id)?;
        if let Some(count) = table.of_caller.get_mut(&call.caller) {
            *count -= 1;
            if *count == 0 {
                table.of_caller.remove(&call.caller);
            }
        }
        Some(call)
    }

    fn end(&self, id: u64, status: u16, reason: &str, by: EndedBy) -> Option<(String, String)> {
        let call = self.take(id)?;
        let text =
            |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
        let talked = call
            .answered
            .map(|_| (call.caller.clone(), call.callee.clone()));
        let record = CallRecord {
            id: 0,
            call_id: call.call_id,
            caller: call.caller,
            callee: call.callee,
            started: call.started,
            answered: call.answered,
            ended: unix_millis(),
            status,
            reason: reason.to_owned(),
            ended_by: by.name().to_owned(),
            trunk: call.trunk,
            codecs: call.codecs.join(" "),
            media: call.media.name().to_owned(),
            caller_address: text(call.caller_address),
            callee_address: text(call.callee_address),
        };
        let lost = self.not_recorded.clone();
        let stored = self.store.add_call_record(record, move |done| {
            if let Err(error) = done {
                lost.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "the record of a call could not be stored");
            }
        });
        if let Err(error) = stored {
            self.not_recorded.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "the record of a call is lost");
        }
        talked
    }
}

/// Hold of a call that goes on.
pub(crate) struct CallRef {
    calls: Arc<Calls>,
    /// 0 when it is not shown.
    id: u64,
}

impl core::fmt::Debug for CallRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CallRef({})", self.id)
    }
}

impl CallRef {
    pub(crate) fn ringing(&self) {
        self.calls.change(self.id, |call| {
            if call.state == CallState::Calling {
                call.state = CallState::Ringing;
            }
        });
    }

    /// Somebody answers, there, with this description.
    pub(crate) fn answered(&self, from: Option<SocketAddr>, description: Option<&[u8]>) {
        let codecs = description.map(codecs).unwrap_or_default();
        self.calls.change(self.id, |call| {
            if call.answered.is_none() {
                call.state = CallState::Answered;
                call.answered = Some(unix_millis());
            }
            call.callee_address = from.or(call.callee_address);
            if !codecs.is_empty() {
                call.codecs = codecs;
            }
        });
    }

    /// What was agreed on is known later, or has changed.
    pub(crate) fn described(&self, description: &[u8]) {
        let codecs = codecs(description);
        if !codecs.is_empty() {
            self.calls.change(self.id, |call| call.codecs = codecs);
        }
    }

    pub(crate) fn media(&self, media: MediaPath) {
        self.calls.change(self.id, |call| call.media = media);
    }

    pub(crate) fn trunk(&self, name: &str) {
        self.calls
            .change(self.id, |call| call.trunk = Some(name.to_owned()));
    }

    /// It was no call: the INVITE comes again with credentials.
    pub(crate) fn forgotten(self) {
        self.calls.take(self.id);
    }

    /// It is over: with the status of the final response, 200 for one that was answered. Yields who talked.
    pub(crate) fn ended(self, status: u16, reason: &str, by: EndedBy) -> Option<(String, String)> {
        self.calls.end(self.id, status, reason, by)
    }
}

impl Drop for CallRef {
    fn drop(&mut self) {
        // What ended properly is out of the table already.
        self.calls.end(self.id, 0, "", EndedBy::Server);
    }
}

/// The names of the codecs that a description comes to: the first of each stream that is in use.
fn codecs(description: &[u8]) -> Vec<String> {
    let Ok(session) = sdp::Session::parse(description) else {
        return Vec::new();
    };
    let used = session.media.iter().filter(|m| m.port != 0 && m.is_rtp());
    used.filter_map(|m| m.codecs().into_iter().next())
        .map(|codec| codec.name)
        .take(8)
        .collect()
}

#[cfg(test)]
mod tests;
