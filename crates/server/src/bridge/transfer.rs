//! Transfers inside bridged calls (REFER, RFC 3515, RFC 5589): this server does what is asked for, so that the other side,
//! often a gateway, needs to know nothing of transfers.

use sip::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, TransferId};

use super::{Bridge, MAX_REDIRECTIONS, Purpose, hang_up};
use crate::core::Core;
use crate::dialplan::Plan;

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
        replaces: bool,
    ) {
        match self.transfer_plan(id, by, target) {
            Err(status) => refuse(now, endpoint, transfer, status),
            Ok(_) if replaces => self.join(now, endpoint, id, by, transfer),
            Ok(Plan::Ring(attempt)) => {
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
            Ok(Plan::Reject { status, .. }) => refuse(now, endpoint, transfer, status),
            Ok(Plan::Service(_) | Plan::Nobody) => refuse(now, endpoint, transfer, 404),
        }
    }

    fn transfer_plan(&mut self, id: u64, by: CallId, target: &str) -> Result<Plan, u16> {
        let bridge = self.bridges.all.get_mut(&id).ok_or(481u16)?;
        let can = bridge.hunt.is_none() && bridge.peer(by).is_some();
        bridge.redirections = bridge.redirections.saturating_add(1);
        if !can || bridge.redirections > MAX_REDIRECTIONS {
            return Err(491);
        }
        let account = bridge.leg(by).and_then(|l| l.account.clone());
        Ok(self.plan_for(account.as_deref(), target))
    }

    /// Attended transfer: the peers of the two calls of the one who asks get connected.
    fn join(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        by: CallId,
        transfer: TransferId,
    ) {
        let (agent, tx) = endpoint.agent();
        let other = agent.transfer_replaces(tx, transfer);
        let there = other.and_then(|other| Some((other, *self.bridges.of_call.get(&other)?)));
        let Some((other, second)) = there.filter(|(_, second)| *second != id) else {
            refuse(now, endpoint, transfer, 481);
            return;
        };
        let ready = |bridge: Option<&Bridge>, call| {
            bridge.is_some_and(|b| b.hunt.is_none() && b.asking.is_none() && b.peer(call).is_some())
        };
        let both =
            ready(self.bridges.all.get(&id), by) && ready(self.bridges.all.get(&second), other);
        if !both || agent.take_transfer(now, tx, transfer).is_err() {
            refuse(now, endpoint, transfer, 491);
            return;
        }
        agent.report_transfer(now, tx, transfer, StatusCode(200), "OK");
        let Some(mut gone) = self.bridges.all.remove(&second) else {
            return;
        };
        gone.part(other);
        let moved = [gone.near.take(), gone.far.take()]
            .into_iter()
            .flatten()
            .next();
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.part(by);
        let stays = [&bridge.near, &bridge.far].into_iter().flatten().next();
        let session = stays.and_then(|l| l.said.clone());
        for left in [by, other] {
            self.bridges.of_call.remove(&left);
            hang_up(now, endpoint, left, None);
        }
        if let (Some(moved), Some(bridge)) = (moved, self.bridges.all.get_mut(&id)) {
            let call = moved.call;
            bridge.seat(moved);
            bridge.joining = true;
            self.bridges.of_call.insert(call, id);
            self.introduce(now, endpoint, id, call, session);
        }
    }

    /// One side has answered the other's session: the other side is told.
    pub(super) fn on_introduced(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        call: CallId,
        answer: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return;
        };
        bridge.joining = false;
        if let Some(peer) = bridge.peer(call) {
            self.introduce(now, endpoint, id, peer, answer);
        }
    }
}

fn refuse(now: Time, endpoint: &mut Endpoint, transfer: TransferId, status: u16) {
    let (agent, tx) = endpoint.agent();
    // It may have lapsed.
    let _ = agent.refuse_transfer(now, tx, transfer, StatusCode(status));
}
