//! Calls that this server stands in (back-to-back user agent, RFC 7092 §3.1.1): those through a trunk, of a hunting
//! group, with forwards, or whose sound it carries. All others are proxied.
//!
//! ```text
//! near ◄── dialog ──► Bridge ◄── dialog ──► far
//!                       │
//!                       └─ hunt: the legs that ring until one becomes far
//! ```
//!
//! Both dialogs belong to the shard of the caller's Call-ID. Descriptions pass as they are. Where a transfer brings two
//! calls together, one side of each is the other bridge ([`Link`]), which may be in another shard.

mod events;
mod hunt;
mod identity;
mod link;
mod sound;
mod transfer;

use std::collections::HashMap;
use std::sync::Arc;

use sip::Endpoint;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua::{AccountId, CallId, TransferId};

use crate::accounts::hasher;
use crate::calls::{CallRef, EndedBy};
use crate::core::{Core, Wanted};
use crate::dialplan::Attempt;
use crate::directory::Trunk;
use crate::trunks::TrunkCall;

pub(crate) use hunt::trunk_account;
use identity::Caller;
pub(crate) use link::LinkCommand;
use link::{Link, Told};
use sound::Sound;
pub(crate) use sound::Whereabouts;

/// How often one call is sent on by phones (3xx) and transfers.
const MAX_REDIRECTIONS: u8 = 5;

/// What a call that is to be bridged needs to know beside its INVITE.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Whom to ring.
    pub(crate) attempt: Arc<Attempt>,
    /// The account that the caller proved to be, `user@domain`.
    pub(crate) account: Option<String>,
    /// The trunk that it came from.
    pub(crate) trunk: Option<Arc<Trunk>>,
    /// The dialog that it takes the place of (RFC 3891), instead of ringing anybody.
    pub(crate) replaces: Option<String>,
}

/// One side of a bridged call.
#[derive(Debug)]
struct Leg {
    call: CallId,
    /// What it said last about its session.
    said: Option<Vec<u8>>,
    /// The account that it is a phone of.
    account: Option<String>,
    /// Where it is.
    at: Whereabouts,
    /// Its leg in the relay.
    fork: u32,
    /// Where its answer came from.
    from: Option<std::net::SocketAddr>,
    /// The name of its trunk.
    trunk: Option<String>,
    /// The line of a trunk that it takes, until it ends.
    _line: Option<TrunkCall>,
}

/// A call with this server in the middle.
#[derive(Debug)]
struct Bridge {
    near: Option<Leg>,
    far: Option<Leg>,
    /// The side that is in another bridge, and what it said last about its session.
    link: Option<(Link, Option<Vec<u8>>)>,
    /// The search for somebody to talk to.
    hunt: Option<Hunt>,
    caller: Caller,
    /// The side whose offer waits for the other side's answer.
    asking: Option<Party>,
    /// The side that gets the answer which comes with the other side's ACK.
    owed: Option<Party>,
    /// Two sides that were in other calls and get to know each other's sessions.
    joining: bool,
    /// A transfer that waits for the bridge of the target.
    seeking: Option<(TransferId, CallId, String)>,
    /// The relay of its sound, where there is one; and the one that takes its place when somebody answers.
    sound: Option<Sound>,
    next_sound: Option<Sound>,
    next_fork: u32,
    /// Who hangs up, when somebody does.
    ended_by: EndedBy,
    /// The call as it is shown.
    shown: Option<CallRef>,
    /// Somebody answered.
    talked: bool,
    redirections: u8,
}

/// Who takes part in a bridged call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Leg(CallId),
    Link(Link),
}

/// A search for somebody who answers.
#[derive(Debug)]
struct Hunt {
    attempt: Arc<Attempt>,
    legs: Vec<Leg>,
    failures: Vec<Failure>,
    purpose: Purpose,
    /// The caller knows that it rings.
    rings: bool,
}

/// Why a leg came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    class: Class,
    status: u16,
    reason: String,
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Busy,
    NoAnswer,
    Other,
}

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The near side waits.
    Answer,
    /// One side asked that the other one be connected to somebody else.
    Transfer { transfer: TransferId, by: CallId },
}

/// The bridged calls of one shard.
#[derive(Debug)]
pub(crate) struct Bridges {
    all: HashMap<u64, Bridge>,
    of_call: HashMap<CallId, u64, ahash::RandomState>,
    next: u64,
    /// The bridges of relayed calls, by the relay's keys.
    of_sound: HashMap<u64, u64>,
    next_sound: u64,
    /// The account that places calls to phones: it has no name and no credentials.
    plain: Option<AccountId>,
    /// The accounts that place calls through trunks.
    trunks: HashMap<String, (Arc<Trunk>, AccountId)>,
}

impl Bridges {
    pub(crate) fn new() -> Bridges {
        Bridges {
            all: HashMap::new(),
            of_call: HashMap::with_hasher(hasher()),
            next: 0,
            of_sound: HashMap::new(),
            next_sound: 0,
            plain: None,
            trunks: HashMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a bridge out of the table.
    fn take(&mut self, id: u64) -> Option<Bridge> {
        let bridge = self.all.remove(&id)?;
        for key in bridge.sound_keys() {
            self.of_sound.remove(&key);
        }
        Some(bridge)
    }

    fn of(&mut self, call: CallId) -> Option<(u64, &mut Bridge)> {
        let id = *self.of_call.get(&call)?;
        Some((id, self.all.get_mut(&id)?))
    }
}

impl Bridge {
    fn leg(&self, call: CallId) -> Option<&Leg> {
        self.sides().find(|leg| leg.call == call)
    }

    fn leg_mut(&mut self, call: CallId) -> Option<&mut Leg> {
        [&mut self.near, &mut self.far]
            .into_iter()
            .flatten()
            .find(|leg| leg.call == call)
    }

    fn sides(&self) -> impl Iterator<Item = &Leg> {
        [&self.near, &self.far].into_iter().flatten()
    }

    fn parties(&self) -> impl Iterator<Item = Party> {
        let link = self.link.iter().map(|(link, _)| Party::Link(*link));
        self.sides().map(|leg| Party::Leg(leg.call)).chain(link)
    }

    /// The other side of this one.
    fn peer(&self, of: Party) -> Option<Party> {
        self.parties().find(|party| *party == of)?;
        self.parties().find(|party| *party != of)
    }

    /// What a side said last about its session.
    fn said(&self, by: Party) -> Option<Vec<u8>> {
        match by {
            Party::Leg(call) => self.leg(call)?.said.clone(),
            Party::Link(_) => self.link.as_ref()?.1.clone(),
        }
    }

    fn hear(&mut self, from: Party, session: Option<&Vec<u8>>) {
        let Some(session) = session else {
            return;
        };
        let place = match from {
            Party::Leg(call) => self.leg_mut(call).map(|leg| &mut leg.said),
            Party::Link(_) => self.link.as_mut().map(|(_, said)| said),
        };
        if let Some(place) = place {
            *place = Some(session.clone());
        }
    }

    /// Takes a side out.
    fn part(&mut self, call: CallId) -> Option<Leg> {
        [&mut self.near, &mut self.far]
            .into_iter()
            .find_map(|side| side.take_if(|leg| leg.call == call))
    }

    /// Puts a leg where nobody is.
    fn seat(&mut self, leg: Leg) {
        if self.near.is_none() {
            self.near = Some(leg);
        } else {
            self.far = Some(leg);
        }
    }
}

impl Core {
    /// Takes a call in, to place it anew.
    pub(crate) fn bridge(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: ServerId,
        order: Order,
    ) {
        let (agent, tx) = endpoint.agent();
        if let Some(call) = agent.accept_to_bridge(now, tx, id) {
            self.wanted.insert(call, Wanted::Bridge(Box::new(order)));
        }
    }

    /// Ends all bridged calls.
    pub(crate) fn end_bridges(&mut self, now: Time, endpoint: &mut Endpoint) {
        let ids: Vec<u64> = self.bridges.all.keys().copied().collect();
        for id in ids {
            self.end_bridge(now, endpoint, id, None);
        }
    }

    /// Hangs up everybody in a bridged call.
    pub(crate) fn end_bridge(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        reason: Option<&str>,
    ) {
        let Some(mut bridge) = self.bridges.take(id) else {
            return;
        };
        if let Some(shown) = bridge.shown.take() {
            shown.ended(if bridge.talked { 200 } else { 487 }, "", bridge.ended_by);
        }
        if let Some((link, _)) = bridge.link.take() {
            self.tell(id, link, Told::Gone(reason.map(str::to_owned)));
        }
        let hunting = bridge.hunt.take().map(|h| h.legs).unwrap_or_default();
        let legs = [bridge.near.take(), bridge.far.take()]
            .into_iter()
            .flatten()
            .chain(hunting);
        for leg in legs {
            self.bridges.of_call.remove(&leg.call);
            if let Some(account) = leg.account.as_deref().filter(|_| bridge.talked) {
                self.shared.idle.ended(account);
            }
            hang_up(now, endpoint, leg.call, reason);
        }
    }
}

/// Hangs up; a call that is over already needs no end.
fn hang_up(now: Time, endpoint: &mut Endpoint, call: CallId, reason: Option<&str>) {
    let (agent, tx) = endpoint.agent();
    let done = match reason {
        Some(reason) => agent.hang_up_because(now, tx, call, reason),
        None => agent.hang_up(now, tx, call),
    };
    if let Err(error) = done {
        tracing::trace!(%error, "a call was over before it was hung up");
    }
}
