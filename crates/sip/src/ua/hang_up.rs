//! How calls end: CANCEL before the answer, BYE after it (RFC 3261 §9.1, §15).

use core::time::Duration;

use super::call::{Leg, Phase, dialog_key};
use super::event::{CallId, Cause, Event, Misuse};
use super::outbound::{OutboundId, Purpose};
use super::reliable::Reliable;
use super::{Alarm, UserAgent, alarm, tell};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};

impl UserAgent {
    /// Ends a call, whatever it takes: CANCEL, a refusal, or BYE.
    ///
    /// [`Event::Ended`] comes when the peer has been told, or cannot be.
    ///
    /// # Errors
    /// [`Misuse::NoCall`].
    pub fn hang_up(&mut self, now: Time, tx: &mut Transactions, id: CallId) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        match call.phase {
            Phase::Calling => {
                call.phase = Phase::Cancelling;
                let invite = call.invite;
                self.cancel(now, tx, id, invite);
                Ok(())
            }
            Phase::Ringing => self.refuse_invite(now, tx, id, (StatusCode(603), None), &[]),
            Phase::Up => {
                self.leave(now, tx, id);
                Ok(())
            }
            Phase::Cancelling | Phase::Ending | Phase::Over => Ok(()),
        }
    }

    /// Ends a call as [`UserAgent::hang_up`] does, and says why in the Reason of BYE or CANCEL
    /// (RFC 3326): `SIP;cause=200;text="Call completed elsewhere"`.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::Header`] when `reason` cannot stand in a header.
    pub fn hang_up_because(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        reason: &str,
    ) -> Result<(), Misuse> {
        if !super::draft::is_clean(reason.as_bytes()) {
            return Err(Misuse::Header);
        }
        self.live_call(id)?.related.parting = Some(reason.to_owned());
        self.hang_up(now, tx, id)
    }

    fn cancel(&mut self, now: Time, tx: &mut Transactions, id: CallId, invite: Option<OutboundId>) {
        let client = invite.and_then(|i| self.outbound.get(i)?.client);
        let Some(client) = client else {
            // Nothing has left yet.
            self.end(now, tx, id, Cause::Cancelled);
            return;
        };
        let reason = self.call_of(id).and_then(|c| c.related.parting.clone());
        if tx.is_proceeding(client) && tx.cancel_client_because(now, client, reason.as_deref()) {
            alarm(now, tx, T1X64, id.0, Alarm::CancelGivesUp);
        }
    }

    /// 64·T1 after CANCEL no final response has come: the INVITE counts as cancelled (§9.1).
    pub(super) fn on_cancel_gives_up(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        if self
            .call_of(id)
            .is_some_and(|c| c.phase == Phase::Cancelling)
        {
            self.end(now, tx, id, Cause::Cancelled);
        }
    }

    fn leave(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        self.drop_pending(now, tx, id);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        if call.unacked.is_some() {
            // §15: the callee sends no BYE before the ACK for its 2xx.
            call.phase = Phase::Ending;
            call.cause = Some(Cause::ByUs);
            return;
        }
        if call.session.state.waits_for_owner() && !call.legs.iter().any(Leg::owes_prack) {
            call.session.undo();
            self.acknowledge_with(now, tx, id, None);
        }
        self.send_bye(now, tx, id, Cause::ByUs);
    }

    /// Sends BYE; the call ends with `cause` when it is answered.
    pub(super) fn send_bye(&mut self, now: Time, tx: &mut Transactions, id: CallId, cause: Cause) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        call.phase = Phase::Ending;
        call.unacked = None;
        call.cause = Some(cause.clone());
        let (account, flow) = (call.account, call.flow);
        let reason = call.related.parting.clone();
        let bye = call.draft(Method::Bye).and_then(|mut draft| {
            draft
                .headers
                .extend(reason.map(|r| ("Reason".to_owned(), r)));
            self.prepare(tx, Purpose::Bye(id), account, draft, flow)
                .ok()
        });
        match bye {
            Some(bye) => self.drive(now, tx, bye),
            None => self.end(now, tx, id, cause),
        }
    }

    /// The BYE was answered, or will not be.
    pub(super) fn on_bye_done(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let cause = self.call_mut(id).and_then(|c| c.cause.take());
        self.end(now, tx, id, cause.unwrap_or(Cause::ByUs));
    }

    /// The call is over: the owner is told, and what may still come is waited for.
    pub(super) fn end(&mut self, now: Time, tx: &mut Transactions, id: CallId, cause: Cause) {
        let Some(call) = self.call_mut(id).filter(|c| c.phase != Phase::Over) else {
            return;
        };
        call.phase = Phase::Over;
        call.pending = None;
        let change = call.change.take();
        call.reliable = Reliable::default();
        call.unacked = None;
        call.reoffering = None;
        let rest = call.linger_until.since(now);
        self.live = self.live.saturating_sub(1);
        if let Some(change) = change {
            change.refuse(now, tx);
        }
        self.report_end(now, tx, id, &cause);
        tell(tx, Event::Ended { call: id, cause });
        self.transfers_lose_call(now, tx, id);
        if rest > Duration::ZERO {
            alarm(now, tx, rest, id.0, Alarm::Forget);
        } else {
            self.let_go(now, tx, id);
        }
    }

    /// Forgets a call that is over, unless repetitions of a 2xx or reports about a transfer may come.
    pub(super) fn let_go(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let idle = self.call_of(id).is_some_and(|c| {
            c.phase == Phase::Over
                && c.related.transfers.is_empty()
                && c.linger_until.since(now) == Duration::ZERO
        });
        if idle {
            self.forget(tx, id);
        }
    }

    /// Takes a call out of the tables.
    pub(super) fn forget(&mut self, tx: &mut Transactions, id: CallId) {
        let Some(call) = self.calls.remove(Key::from_u64(id.0)) else {
            return;
        };
        for outbound in [call.invite, call.reinvite].into_iter().flatten() {
            if let Some(client) = self.outbound.remove(outbound).and_then(|o| o.client) {
                tx.abandon_client(client);
            }
        }
        let key = dialog_key(tx, call.call_id.as_bytes(), call.local_tag.as_bytes());
        if self.by_dialog.get(&key) == Some(&id) {
            self.by_dialog.remove(&key);
        }
    }
}
