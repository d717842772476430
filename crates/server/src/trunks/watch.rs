//! Registering with trunks and asking them whether they are there. Shard 0 does it, once a second.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use sip::Endpoint;
use sip::time::Time;
use sip::ua::{AccountId, Cause, Event, RequestId};

use super::{TrunkState, Trunks};
use crate::bridge::trunk_account;
use crate::directory::{Snapshot, Trunk};

/// How often an unreachable trunk is asked, at least, in seconds: it comes back quickly.
const ASK_AGAIN: u64 = 10;

/// What shard 0 knows of one trunk.
#[derive(Debug)]
struct Watched {
    trunk: Arc<Trunk>,
    account: AccountId,
    /// When OPTIONS is due.
    next: Time,
    /// One that waits for its answer.
    asked: Option<(RequestId, Time)>,
    registered: bool,
}

/// All trunks that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    watched: HashMap<String, Watched>,
    /// Accounts of trunks that are no more, while their registration is being taken back; and whether it is.
    leaving: Vec<(AccountId, bool)>,
}

impl Watch {
    /// A second has passed, or something was set up.
    pub(crate) fn tick(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        all: &Snapshot,
        trunks: &Trunks,
    ) {
        self.drop_changed(now, endpoint, all, trunks);
        let (agent, _) = endpoint.agent();
        self.leaving.retain(|(account, gone)| {
            if *gone {
                agent.remove_account(*account);
            }
            !gone
        });
        for trunk in all.trunks.iter().filter(|t| t.enabled) {
            if !self.watched.contains_key(&trunk.id) {
                self.begin(now, endpoint, trunk, trunks);
            }
        }
        for (id, watched) in &mut self.watched {
            if watched.trunk.check_every == 0 || watched.asked.is_some() || now < watched.next {
                continue;
            }
            let (agent, tx) = endpoint.agent();
            let target = watched.trunk.server_uri();
            match agent.request(now, tx, watched.account, "OPTIONS", &target, &[], None) {
                Ok(request) => watched.asked = Some((request, now)),
                Err(error) => {
                    trunks.set(id, TrunkState::Unreachable, &error.to_string());
                    watched.next = now + std::time::Duration::from_secs(ASK_AGAIN);
                }
            }
        }
    }

    fn drop_changed(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        all: &Snapshot,
        trunks: &Trunks,
    ) {
        let same = |w: &Watched| {
            all.trunk(&w.trunk.id)
                .is_some_and(|t| t.enabled && **t == *w.trunk)
        };
        let changed: Vec<String> = self
            .watched
            .iter()
            .filter(|(_, w)| !same(w))
            .map(|(id, _)| id.clone())
            .collect();
        for id in changed {
            let Some(watched) = self.watched.remove(&id) else {
                continue;
            };
            let (agent, tx) = endpoint.agent();
            if watched.registered && agent.unregister(now, tx, watched.account).is_ok() {
                self.leaving.push((watched.account, false));
            } else {
                agent.remove_account(watched.account);
            }
            trunks.forget(&id);
        }
    }

    fn begin(&mut self, now: Time, endpoint: &mut Endpoint, trunk: &Arc<Trunk>, trunks: &Trunks) {
        let (agent, tx) = endpoint.agent();
        let account = match agent.add_account(trunk_account(trunk)) {
            Ok(account) => account,
            Err(error) => {
                trunks.set(&trunk.id, TrunkState::Refused, &error.to_string());
                return;
            }
        };
        if trunk.register
            && let Err(error) = agent.register(now, tx, account, REGISTERED_FOR)
        {
            trunks.set(&trunk.id, TrunkState::Refused, &error.to_string());
        }
        self.watched.insert(
            trunk.id.clone(),
            Watched {
                trunk: trunk.clone(),
                account,
                next: now,
                asked: None,
                registered: false,
            },
        );
    }

    /// What the user agent tells of a registration or of an OPTIONS; gives back what is about something else.
    pub(crate) fn on_event(&mut self, now: Time, event: Event, trunks: &Trunks) -> Option<Event> {
        match &event {
            Event::Registered { account, .. } => {
                let watched = self.of_account(*account)?;
                watched.registered = true;
                trunks.set(&watched.trunk.id, TrunkState::Registered, "");
            }
            Event::RegistrationFailed {
                account,
                reason,
                cause,
                ..
            } => {
                let Some(watched) = self.of_account(*account) else {
                    self.left(*account);
                    return None;
                };
                watched.registered = false;
                let state = match cause {
                    Cause::Refused { .. } | Cause::Unauthorized { .. } => TrunkState::Refused,
                    _ => TrunkState::Unreachable,
                };
                trunks.set(&watched.trunk.id, state, reason);
            }
            Event::Response {
                request,
                status,
                reason,
                ..
            } => {
                let Some((watched, sent)) = self.of_request(*request) else {
                    return Some(event);
                };
                let id = watched.trunk.id.clone();
                let wait = u64::from(watched.trunk.check_every);
                watched.next = now + std::time::Duration::from_secs(wait);
                if matches!(status.0, 408 | 503) {
                    trunks.set(
                        &id,
                        TrunkState::Unreachable,
                        &format!("{} {reason}", status.0),
                    );
                    return None;
                }
                let taken = u64::try_from(now.since(sent).as_millis()).unwrap_or(u64::MAX);
                trunks.measured(&id, Some(taken));
                // A registration says more than an answer to OPTIONS.
                if !watched.trunk.register {
                    trunks.set(&id, TrunkState::Reachable, "");
                }
            }
            Event::RequestFailed { request, cause, .. } => {
                let Some((watched, _)) = self.of_request(*request) else {
                    return Some(event);
                };
                let id = watched.trunk.id.clone();
                if let Cause::Unauthorized { .. } = cause {
                    // It answers; what it thinks of our credentials shows in calls and registrations.
                    watched.next =
                        now + std::time::Duration::from_secs(u64::from(watched.trunk.check_every));
                    if !watched.trunk.register {
                        trunks.set(&id, TrunkState::Reachable, "");
                    }
                    return None;
                }
                watched.next = now
                    + std::time::Duration::from_secs(
                        ASK_AGAIN.min(u64::from(watched.trunk.check_every)),
                    );
                trunks.measured(&id, None);
                trunks.set(&id, TrunkState::Unreachable, &cause.to_string());
            }
            Event::Unregistered { account } => self.left(*account),
            _ => return Some(event),
        }
        None
    }

    fn left(&mut self, account: AccountId) {
        for (leaving, gone) in &mut self.leaving {
            *gone |= *leaving == account;
        }
    }

    fn of_account(&mut self, account: AccountId) -> Option<&mut Watched> {
        self.watched.values_mut().find(|w| w.account == account)
    }

    fn of_request(&mut self, request: RequestId) -> Option<(&mut Watched, Time)> {
        let asked = |w: &&mut Watched| w.asked.is_some_and(|(id, _)| id == request);
        let watched = self.watched.values_mut().find(asked)?;
        let (_, sent) = watched.asked.take()?;
        Some((watched, sent))
    }
}

/// How long this server registers for, in seconds; providers shorten it.
const REGISTERED_FOR: u32 = 600;

/// Looks up where the host names of trunks lead. It waits for the name server: not on a thread that serves.
pub(crate) fn look_up(all: &Snapshot, trunks: &Trunks) {
    for trunk in all
        .trunks
        .iter()
        .filter(|t| t.enabled && t.host.parse::<IpAddr>().is_err())
    {
        let host = trunk.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(found) = (host, trunk.port.unwrap_or(5060)).to_socket_addrs() {
            trunks.learn(&trunk.id, found.map(|a| a.ip()));
        }
    }
}
