//! Transfers inside bridged calls (REFER, RFC 3515, RFC 5589): this server does what is asked for, so that the other side,
//! often a gateway, needs to know nothing of transfers.

use std::sync::Arc;

use sip::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, TransferId};
use sip::uri::Uri;

use super::link::Told;
use super::sound::Says;
use super::{MAX_REDIRECTIONS, Party, Purpose};
use crate::core::Core;
use crate::dialplan::{Attempt, Destination, Plan};

impl Core {
    /// One side asks that the other one be connected to somebody else.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub(super) fn on_transfer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: CallId,
        transfer: TransferId,
        target: &str,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return refuse(now, endpoint, transfer, 481);
        };
        bridge.redirections = bridge.redirections.saturating_add(1);
        if !bridge.is_quiet(by) || bridge.redirections > MAX_REDIRECTIONS {
            return refuse(now, endpoint, transfer, 491);
        }
        let account = bridge.leg(by).and_then(|l| l.account.clone());
        let (agent, tx) = endpoint.agent();
        let headers = agent.transfer_headers(transfer);
        let replaces = headers.iter().find(|(name, _)| name == "Replaces");
        if let Some((_, replaces)) = replaces {
            // Attended: the target is in a call with the one who asks, bridged in some shard or not at all.
            if agent.take_transfer(now, tx, transfer).is_ok() {
                bridge.seeking = Some((transfer, by, target.to_owned()));
                self.seek(id, replaces.clone());
            }
            return;
        }
        match self.plan_for(account.as_deref(), target) {
            Plan::Ring(attempt) => {
                let (agent, tx) = endpoint.agent();
                if agent.take_transfer(now, tx, transfer).is_ok() {
                    self.search(
                        now,
                        endpoint,
                        id,
                        attempt,
                        Purpose::Transfer { transfer, by },
                    );
                }
            }
            Plan::Reject { status, .. } => refuse(now, endpoint, transfer, status),
            Plan::Service(_) | Plan::Nobody => refuse(now, endpoint, transfer, 404),
        }
    }

    /// No bridge has the dialog that is to be replaced.
    pub(super) fn on_not_joined(&mut self, now: Time, endpoint: &mut Endpoint, id: u64) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        let Some((transfer, by, target)) = bridge.seeking.take() else {
            // It ended while the INVITE was on its way here.
            let near = bridge.near.as_ref().map(|leg| leg.call);
            let (agent, tx) = endpoint.agent();
            if let Some(near) = near {
                // Who has given up needs no refusal; the end of the call clears the rest away.
                let _ = agent.reject(now, tx, near, StatusCode(481), None);
            }
            return;
        };
        // The target is in a call with the one who asks that passes here only by proxy: its phone is told.
        let (agent, _) = endpoint.agent();
        let headers = agent.transfer_headers(transfer);
        bridge.caller.headers.extend(headers);
        let attempt = self.phone_of(endpoint, &target);
        self.search(
            now,
            endpoint,
            id,
            Arc::new(attempt),
            Purpose::Transfer { transfer, by },
        );
    }

    /// The phone that a Contact or address means. A phone of ours is reached the way that it registered.
    fn phone_of(&self, endpoint: &Endpoint, target: &str) -> Attempt {
        let to = self.number_of(target).map(|(user, domain)| {
            let uri = Uri::parse(target.as_bytes()).ok();
            let is_contact = uri.is_some_and(|uri| {
                uri.host.ip().is_some() && !endpoint.own_names().is_self(&uri.host, uri.port)
            });
            let own = format!("{user}@{}", self.shared.domains.default_name());
            if !is_contact {
                return Destination::Account(format!("{user}@{domain}"));
            }
            let place = target.split_once('@').map_or("", |(_, place)| place);
            let place = place.split([';', '?']).next().unwrap_or_default();
            let bindings = self.shared.location.find(&own);
            let is_here = bindings
                .is_some_and(|all| all.iter().any(|b| b.contact.contains(&format!("@{place}"))));
            if is_here {
                Destination::Account(own)
            } else {
                let bare = target.split_once(':').map_or(target, |(_, bare)| bare);
                Destination::Elsewhere(bare.to_owned())
            }
        });
        Attempt::only(to.into_iter().collect())
    }

    /// Tells a side the session of its new peer.
    pub(super) fn introduce(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        party: Party,
        session: Option<Vec<u8>>,
    ) {
        match party {
            Party::Link(link) => self.tell(id, link, Told::Offer(session)),
            Party::Leg(call) => {
                let (agent, tx) = endpoint.agent();
                if let Err(error) = agent.reoffer(now, tx, call, session) {
                    tracing::debug!(%error, "a call that was transferred cannot be connected");
                    self.end_bridge(now, endpoint, id, None);
                }
            }
        }
    }

    /// One side has answered the other's session: the other side is told.
    pub(super) fn on_introduced(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: Party,
        answer: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.joining = false;
        let told = bridge.carried(by, Says::Offer, answer);
        match (bridge.peer(by), told) {
            (Some(peer), Ok(told)) => self.introduce(now, endpoint, id, peer, told),
            (_, Err(_)) => self.end_bridge(now, endpoint, id, None),
            (None, Ok(_)) => {}
        }
    }
}

fn refuse(now: Time, endpoint: &mut Endpoint, transfer: TransferId, status: u16) {
    let (agent, tx) = endpoint.agent();
    // It may have lapsed.
    let _ = agent.refuse_transfer(now, tx, transfer, StatusCode(status));
}
