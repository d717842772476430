//! Ringing those whom the dial plan names, until somebody answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sip::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{Account, AccountId, CallId, Cause, Placing, Reliable};

use super::identity::{Caller, escaped_user};
use super::sound::{Says, awake};
use super::{
    Bridge, Class, Failure, Hunt, Leg, MAX_REDIRECTIONS, Order, Party, Purpose, Whereabouts,
    hang_up,
};
use crate::accounts::unix_millis;
use crate::calls::{Carrier, EndedBy, MediaPath, NewCall};
use crate::core::Core;
use crate::dialplan::{Attempt, Destination, Plan, Query};
use crate::directory::Trunk;

/// What those hear whose phone rang in vain because another one answered (RFC 3326 §2).
const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// A leg that is to ring.
struct Ring {
    placing: Placing,
    account: Option<String>,
    trunk: Option<Arc<Trunk>>,
    /// Where the phone is, when that is known before it answers.
    at: Option<Whereabouts>,
}

impl Core {
    /// The caller's INVITE is in the hands of the user agent: the search begins.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the call")]
    pub(super) fn begin_bridge(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        call: CallId,
        order: Order,
        caller: Caller,
        offer: Option<Vec<u8>>,
        at: Whereabouts,
        new: NewCall,
    ) {
        let line = order
            .trunk
            .as_ref()
            .map(|t| self.shared.trunks.begin(&t.id));
        let id = self.bridges.next;
        self.bridges.next += 1;
        let shown = self.shared.calls.begin(NewCall {
            carrier: Carrier::Bridge(id),
            ..new
        });
        let trunk = order.trunk.as_ref().map(|t| t.name.clone());
        let bridge = Bridge {
            near: Some(Leg {
                call,
                said: offer,
                account: order.account,
                at,
                fork: 0,
                from: None,
                trunk,
                _line: line,
            }),
            far: None,
            hunt: None,
            caller,
            link: None,
            asking: None,
            owed: None,
            joining: false,
            seeking: None,
            sound: None,
            next_sound: None,
            next_fork: 0,
            ended_by: EndedBy::Server,
            shown: Some(shown),
            talked: false,
            redirections: 0,
        };
        self.bridges.of_call.insert(call, id);
        self.bridges.all.insert(id, bridge);
        match order.replaces {
            Some(replaces) => self.seek(id, replaces),
            None => self.search(now, endpoint, id, order.attempt, Purpose::Answer),
        }
    }

    /// Rings all of an attempt; when nobody can be rung, goes on to what follows.
    pub(super) fn search(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        attempt: Arc<Attempt>,
        purpose: Purpose,
    ) {
        let mut rings = Vec::new();
        let mut failures = Vec::new();
        for to in &attempt.to {
            if let Err(failure) = self.rings(endpoint, id, to, &mut rings) {
                failures.push(failure);
            }
        }
        let ring_for = attempt.ring_for.map(|s| Duration::from_secs(s.into()));
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let rang = bridge.hunt.as_ref().is_some_and(|h| h.rings);
        let waiting = match purpose {
            Purpose::Answer => bridge.near.as_ref().map(|leg| Party::Leg(leg.call)),
            Purpose::Transfer { by, .. } => bridge.parties().find(|p| *p != Party::Leg(by)),
        };
        let mode = self.shared.directory.snapshot().settings.relay;
        if let Some(waiting) = waiting {
            let at = bridge.whereabouts(waiting);
            let carried = rings
                .iter()
                .any(|ring| self.shared.carries(mode, &at, ring.at.as_ref()));
            let transfers = matches!(purpose, Purpose::Transfer { .. });
            let fresh = if transfers {
                bridge.next_sound.is_none()
            } else {
                !bridge.is_relayed()
            };
            if (carried || (transfers && bridge.is_relayed()))
                && fresh
                && let Err(error) = self.open_sound(id, waiting)
            {
                tracing::warn!(%error, "the sound of a call cannot pass here");
                failures.push(failure(error.status(), ""));
                rings.clear();
            }
        }
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.hunt = Some(Hunt {
            attempt,
            legs: Vec::new(),
            failures,
            purpose,
            rings: rang,
        });
        for ring in rings {
            self.place(now, endpoint, id, ring, ring_for, waiting);
        }
        self.go_on(now, endpoint, id);
    }

    fn place(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        mut ring: Ring,
        ring_for: Option<Duration>,
        waiting: Option<Party>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.next_fork += 1;
        let fork = bridge.next_fork;
        let transfers = bridge
            .hunt
            .as_ref()
            .is_some_and(|h| matches!(h.purpose, Purpose::Transfer { .. }));
        let session = waiting.and_then(|party| bridge.said(party));
        let session = if transfers {
            session.map(awake)
        } else {
            session
        };
        let at = ring.at.unwrap_or_else(|| Whereabouts {
            said: None,
            ..waiting.map_or(Whereabouts::NOWHERE, |party| bridge.whereabouts(party))
        });
        let faced = match ring.at {
            Some(at) => self.face_sound(id, fork, at.local),
            None => Ok(()),
        };
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let offer = faced.and_then(|()| match waiting {
            Some(waiting) => bridge.offer_to_fork(fork, session, waiting),
            None => Ok(session),
        });
        ring.placing.ring_for = ring_for;
        let (agent, tx) = endpoint.agent();
        let placed = match offer {
            Ok(offer) => {
                ring.placing.offer = offer;
                agent.place_for(now, tx, ring.placing).map_err(|error| {
                    tracing::warn!(%error, "a call could not be placed");
                    failure(503, "Cannot Be Called")
                })
            }
            Err(error) => {
                tracing::debug!(%error, "the sound of a call cannot pass here");
                Err(failure(error.status(), ""))
            }
        };
        let Some(hunt) = bridge.hunt.as_mut() else {
            return;
        };
        match placed {
            Ok(call) => {
                let line = ring.trunk.as_ref().map(|t| self.shared.trunks.begin(&t.id));
                hunt.legs.push(Leg {
                    call,
                    said: None,
                    account: ring.account,
                    at,
                    fork,
                    from: None,
                    trunk: ring.trunk.as_ref().map(|t| t.name.clone()),
                    _line: line,
                });
                self.bridges.of_call.insert(call, id);
            }
            Err(failure) => hunt.failures.push(failure),
        }
    }

    /// The INVITEs that ring one destination.
    fn rings(
        &mut self,
        endpoint: &mut Endpoint,
        id: u64,
        to: &Destination,
        rings: &mut Vec<Ring>,
    ) -> Result<(), Failure> {
        let caller = match self.bridges.all.get(&id) {
            Some(bridge) => bridge.caller.clone(),
            None => return Ok(()),
        };
        if caller.max_forwards == 0 {
            return Err(failure(483, "Too Many Hops"));
        }
        match to {
            Destination::Account(address) => {
                let account = self
                    .plain_account(endpoint)
                    .ok_or_else(|| failure(503, ""))?;
                let bindings = self
                    .shared
                    .location
                    .find(address)
                    .unwrap_or_else(|| Arc::new([]));
                let now = unix_millis();
                let before = rings.len();
                for binding in bindings.iter().filter(|b| b.expires_at > now) {
                    let mut placing = plain(&caller, account, binding.contact.clone());
                    placing.to = address_uri(address);
                    placing.routes.clone_from(&binding.path);
                    placing.flow = binding.reachable_flow();
                    rings.push(Ring {
                        placing,
                        account: Some(address.clone()),
                        trunk: None,
                        at: Whereabouts::of_binding(binding),
                    });
                }
                if rings.len() == before {
                    return Err(failure(480, "Not Registered"));
                }
            }
            Destination::Elsewhere(address) => {
                let account = self
                    .plain_account(endpoint)
                    .ok_or_else(|| failure(503, ""))?;
                rings.push(Ring {
                    placing: plain(&caller, account, address_uri(address)),
                    account: None,
                    trunk: None,
                    at: None,
                });
            }
            Destination::Trunk { trunk, number } => {
                if !self.shared.trunks.is_usable(trunk) {
                    return Err(failure(503, "Trunk Not Available"));
                }
                let account = self
                    .trunk_account(endpoint, trunk)
                    .ok_or_else(|| failure(503, ""))?;
                let (target, routes) = trunk.target(number);
                let (from, user, headers) =
                    caller.through(trunk, &self.shared.directory.snapshot());
                let placing = Placing {
                    from,
                    user,
                    headers,
                    routes,
                    to: target.clone(),
                    ..plain(&caller, account, target)
                };
                rings.push(Ring {
                    placing,
                    account: None,
                    trunk: Some(trunk.clone()),
                    at: None,
                });
            }
        }
        Ok(())
    }

    /// The account that places calls which no server will ask credentials for.
    fn plain_account(&mut self, endpoint: &mut Endpoint) -> Option<AccountId> {
        if self.bridges.plain.is_none() {
            let address = format!("sip:{}", self.shared.domains.default_name());
            let (agent, _) = endpoint.agent();
            self.bridges.plain = agent.add_account(settled(Account::new(&address))).ok();
        }
        self.bridges.plain
    }

    /// The account that places calls through a trunk, as the trunk is set up now.
    fn trunk_account(&mut self, endpoint: &mut Endpoint, trunk: &Arc<Trunk>) -> Option<AccountId> {
        let (agent, _) = endpoint.agent();
        if let Some((known, account)) = self.bridges.trunks.get(&trunk.id) {
            if **known == **trunk {
                return Some(*account);
            }
            agent.remove_account(*account);
        }
        let account = agent.add_account(settled(trunk_account(trunk))).ok()?;
        self.bridges
            .trunks
            .insert(trunk.id.clone(), (trunk.clone(), account));
        Some(account)
    }

    /// A leg came to nothing.
    pub(super) fn on_leg_failed(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        cause: &Cause,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let Some(hunt) = bridge.hunt.as_mut() else {
            return;
        };
        let Some(place) = hunt.legs.iter().position(|l| l.call == call) else {
            return;
        };
        let leg = hunt.legs.remove(place);
        self.bridges.of_call.remove(&call);
        hunt.failures.push(failure_of(cause));
        if let Cause::Refused {
            status, contacts, ..
        } = cause
            && status.is_redirection()
            && let Some(target) = contacts.first()
        {
            bridge.redirections += 1;
            if bridge.redirections <= MAX_REDIRECTIONS && hunt.legs.is_empty() {
                let target = target.clone();
                self.send_on(now, endpoint, id, leg.account, &target);
                return;
            }
        }
        self.go_on(now, endpoint, id);
    }

    /// A phone sends its caller on (302): as if the account had a forward to there.
    fn send_on(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Option<String>,
        target: &str,
    ) {
        let Some(hunt) = self.bridges.all.get(&id).and_then(|b| b.hunt.as_ref()) else {
            return;
        };
        let purpose = hunt.purpose;
        match self.plan_for(by.as_deref(), target) {
            Plan::Ring(attempt) => self.search(now, endpoint, id, attempt, purpose),
            Plan::Service(_) | Plan::Reject { .. } | Plan::Nobody => self.go_on(now, endpoint, id),
        }
    }

    /// What becomes of a URI that somebody of ours is to be connected to.
    pub(super) fn plan_for(&self, account: Option<&str>, target: &str) -> Plan {
        let Some((number, domain)) = self.number_of(target) else {
            return Plan::Nobody;
        };
        let query = Query {
            method: "INVITE".into(),
            caller: account.unwrap_or_default().to_owned(),
            is_ours: account.is_some(),
            trunk: None,
            number,
            domain,
        };
        self.resolve(&query).plan
    }

    /// Goes on when nobody rings any more: to what follows, or to the end.
    pub(super) fn go_on(&mut self, now: Time, endpoint: &mut Endpoint, id: u64) {
        let Some(hunt) = self.bridges.all.get(&id).and_then(|b| b.hunt.as_ref()) else {
            return;
        };
        if !hunt.legs.is_empty() {
            return;
        }
        let class = hunt
            .failures
            .iter()
            .map(|f| f.class)
            .min()
            .unwrap_or(Class::Other);
        let next = match class {
            Class::Busy => &hunt.attempt.on_busy,
            Class::NoAnswer => &hunt.attempt.on_no_answer,
            Class::Other => &hunt.attempt.on_failure,
        };
        let purpose = hunt.purpose;
        if let Some(next) = next.clone() {
            self.search(now, endpoint, id, next, purpose);
            return;
        }
        let worst = worst(&hunt.failures);
        self.nobody_found(now, endpoint, id, &worst);
    }

    fn nobody_found(&mut self, now: Time, endpoint: &mut Endpoint, id: u64, failure: &Failure) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let Some(hunt) = bridge.hunt.take() else {
            return;
        };
        let status = StatusCode(failure.status);
        let reason = Some(failure.reason.as_str()).filter(|r| !r.is_empty());
        match hunt.purpose {
            Purpose::Answer => {
                let Some(near) = bridge.near.take() else {
                    return;
                };
                if let Some(mut gone) = self.bridges.take(id)
                    && let Some(shown) = gone.shown.take()
                {
                    let text = reason.unwrap_or(status.reason());
                    shown.ended(status.0, text, EndedBy::Callee);
                }
                self.bridges.of_call.remove(&near.call);
                let (agent, tx) = endpoint.agent();
                // Who has given up needs no refusal.
                let _ = agent.reject(now, tx, near.call, status, reason);
            }
            Purpose::Transfer { transfer, by } => {
                if let Some(sound) = bridge.next_sound.take() {
                    self.bridges.of_sound.remove(&sound.key());
                }
                let stays = bridge.leg(by).is_some();
                let (agent, tx) = endpoint.agent();
                agent.report_transfer(now, tx, transfer, status, reason.unwrap_or(status.reason()));
                if !stays {
                    self.end_bridge(now, endpoint, id, None);
                }
            }
        }
    }

    /// Somebody answers: the others stop ringing.
    pub(super) fn on_leg_answered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        body: Option<Vec<u8>>,
        from: SocketAddr,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let Some(mut hunt) = bridge.hunt.take() else {
            return;
        };
        let Some(place) = hunt.legs.iter().position(|l| l.call == call) else {
            bridge.hunt = Some(hunt);
            return;
        };
        let mut leg = hunt.legs.remove(place);
        leg.at.seen = from.ip().to_canonical();
        leg.from = Some(from);
        if body.is_some() {
            leg.said = body;
        }
        bridge.talked = true;
        for other in hunt.legs {
            self.bridges.of_call.remove(&other.call);
            hang_up(now, endpoint, other.call, Some(ELSEWHERE));
        }
        match hunt.purpose {
            Purpose::Answer => self.put_through(now, endpoint, id, leg),
            Purpose::Transfer { transfer, by } => {
                let (agent, tx) = endpoint.agent();
                agent.report_transfer(now, tx, transfer, StatusCode(200), "OK");
                self.replace(now, endpoint, id, leg, by);
            }
        }
    }

    /// The caller gets the answer of the leg that has answered.
    fn put_through(&mut self, now: Time, endpoint: &mut Endpoint, id: u64, leg: Leg) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let (call, fork, seen) = (leg.call, leg.fork, leg.at.seen);
        let said = leg.said.clone();
        if let Some(shown) = &bridge.shown {
            shown.answered(leg.from, said.as_deref());
            if let Some(trunk) = &leg.trunk {
                shown.trunk(trunk);
            }
            if bridge.is_relayed() {
                shown.media(MediaPath::Relay);
            }
        }
        bridge.far = Some(leg);
        let Some(near) = bridge.near.as_ref() else {
            self.end_bridge(now, endpoint, id, None);
            return;
        };
        let says = if near.said.is_none() {
            Says::Offer
        } else {
            Says::Answer
        };
        let near = near.call;
        if says == Says::Offer {
            bridge.owed = Some(Party::Leg(call));
        }
        let told = bridge.told_by_fork(fork, says, said.as_deref(), seen);
        let told = told.and_then(|told| self.settle_sound(id, fork).map(|()| told));
        let (agent, tx) = endpoint.agent();
        let done = match told {
            Ok(told) => agent
                .accept(now, tx, near, told.as_deref().unwrap_or_default())
                .map_err(|error| error.to_string()),
            Err(error) => {
                // It may have gone.
                let _ = agent.reject(now, tx, near, StatusCode(error.status()), None);
                Err(error.to_string())
            }
        };
        if let Err(error) = done {
            tracing::debug!(%error, "an answer could not be passed on");
            self.end_bridge(now, endpoint, id, None);
        }
    }

    /// The target of a transfer takes the place of the one who asked for it.
    fn replace(&mut self, now: Time, endpoint: &mut Endpoint, id: u64, leg: Leg, by: CallId) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let (call, fork, seen) = (leg.call, leg.fork, leg.at.seen);
        let said = leg.said.clone();
        let gone = bridge.part(by);
        bridge.seat(leg);
        let stays = bridge.peer(Party::Leg(call));
        // The answer connects the relay; then it is offered to the one who stays, for whom it is another session.
        let known = bridge.told_by_fork(fork, Says::Answer, said.as_deref(), seen);
        let settled = known.and_then(|_| self.settle_sound(id, fork));
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let told = settled.and_then(|()| bridge.carried(Party::Leg(call), Says::Offer, said));
        if let Some(gone) = gone {
            self.bridges.of_call.remove(&gone.call);
            hang_up(now, endpoint, gone.call, None);
        }
        match (stays, told) {
            (Some(stays), Ok(told)) => self.introduce(now, endpoint, id, stays, told),
            _ => self.end_bridge(now, endpoint, id, None),
        }
    }
}

/// An INVITE in the caller's name.
fn plain(caller: &Caller, account: AccountId, target: String) -> Placing {
    Placing {
        account,
        from: caller.from.clone(),
        to: target.clone(),
        target,
        routes: Vec::new(),
        flow: None,
        user: caller.user.clone(),
        max_forwards: caller.max_forwards,
        ring_for: None,
        offer: None,
        headers: caller.headers.clone(),
    }
}

/// `user@domain` as a URI.
fn address_uri(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((user, domain)) => format!("sip:{}@{domain}", escaped_user(user)),
        None => format!("sip:{address}"),
    }
}

/// How the far side of a bridge behaves: the near side decides about everything.
fn settled(mut account: Account) -> Account {
    account.reliable = Reliable::Off;
    account.follow_redirects = 0;
    account.hang_up_transferred = false;
    account
}

/// The account that a trunk knows us by.
pub(crate) fn trunk_account(trunk: &Trunk) -> Account {
    let user = match trunk.username.as_str() {
        "" => String::new(),
        user => format!("{}@", escaped_user(user)),
    };
    let mut account = Account::new(&format!("sip:{user}{}", trunk.shown_domain()));
    account.registrar = Some(trunk.server_uri());
    account.user_agent = concat!("sori/", env!("CARGO_PKG_VERSION")).to_owned();
    if !trunk.username.is_empty() {
        account.username = Some(trunk.username.clone());
        account.secret = Some(sip::auth::Secret::Password(trunk.password.clone()));
    }
    account
}

fn failure(status: u16, reason: &str) -> Failure {
    let class = match status {
        486 | 600 | 603 | 607 | 608 => Class::Busy,
        408 | 480 | 487 => Class::NoAnswer,
        _ => Class::Other,
    };
    Failure {
        class,
        status,
        reason: reason.to_owned(),
    }
}

fn failure_of(cause: &Cause) -> Failure {
    match cause {
        // What we cannot prove to a gateway is not the caller's fault.
        Cause::Unauthorized { .. } => failure(502, "Gateway Does Not Know Us"),
        Cause::Refused { status, .. } if status.is_redirection() => failure(480, ""),
        Cause::Refused { status, reason, .. } => failure(status.0, reason),
        // 64·T1 without a sign of life is a failure of the server there, not of the person.
        Cause::TimedOut => Failure {
            class: Class::Other,
            ..failure(408, "")
        },
        Cause::Unreachable { .. } => failure(502, "Cannot Be Reached"),
        _ => failure(480, ""),
    }
}

/// The failure that the caller is told of several: who declines for all, then the one that says most (RFC 3261 §16.7).
fn worst(failures: &[Failure]) -> Failure {
    let order = |f: &Failure| match f.status {
        600..=699 => 0,
        486 => 1,
        480 => 3,
        400..=499 => 2,
        _ => 4,
    };
    failures
        .iter()
        .min_by_key(|f| order(f))
        .cloned()
        .unwrap_or_else(|| failure(480, ""))
}

impl Core {
    /// It rang long enough.
    pub(super) fn on_rang_out(&mut self, now: Time, endpoint: &mut Endpoint, call: CallId) {
        let Some((id, bridge)) = self.bridges.of(call) else {
            return;
        };
        let Some(hunt) = bridge.hunt.as_mut() else {
            return;
        };
        hunt.legs.retain(|l| l.call != call);
        hunt.failures.push(failure(480, "No Answer"));
        self.bridges.of_call.remove(&call);
        self.go_on(now, endpoint, id);
    }
}
