//! Changing the session of a call: re-INVITEs of ours (RFC 3261 §14.1), and what becomes of our UPDATEs.

use core::time::Duration;

use super::call::{Call, Phase, Reoffering, furnish, session_of};
use super::event::{CallId, Cause, Event, Misuse};
use super::outbound::{OutboundId, Outcome, Purpose};
use super::{Alarm, UserAgent, alarm, tell};
use crate::message::{Method, StatusCode};
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// How often a re-INVITE gives way to one of the peer's.
const MAX_GLARES: u8 = 5;

impl UserAgent {
    /// Offers another session to the peer of a call that stands. Without an `offer` the peer offers,
    /// and [`UserAgent::acknowledge`] answers.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] while another offer is open, ours or the peer's.
    pub fn reoffer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        offer: Option<Vec<u8>>,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        let leg = call.confirmed.filter(|_| call.phase == Phase::Up);
        let leg = leg.filter(|leg| call.may_offer(*leg));
        let leg = leg.ok_or(Misuse::WrongState)?;
        self.change(now, tx, id, Reoffering::new(Method::Invite, leg, offer))
    }

    /// Begins a change of the session; without an offer an UPDATE changes nothing.
    pub(super) fn change(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        reoffering: Reoffering,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        call.offer_again(&reoffering);
        call.reoffering = Some(reoffering);
        let sent = self.send_change(now, tx, id);
        if sent.is_err()
            && let Ok(call) = self.live_call(id)
            && let Some(undone) = call.reoffering.take()
        {
            call.take_back(&undone);
        }
        sent
    }

    fn send_change(&mut self, now: Time, tx: &mut Transactions, id: CallId) -> Result<(), Misuse> {
        let by = self.live_call(id)?.reoffering.as_ref().map(|r| r.by);
        match by {
            Some(Method::Update) => self.send_update(now, tx, id),
            _ => self.send_reinvite(now, tx, id),
        }
    }

    fn send_reinvite(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        let offer = call.reoffering.as_ref().and_then(|r| r.offer.clone());
        let (account, flow, user) = (call.account, call.flow, call.user.clone());
        let before = call.reinvite.take();
        let leg = call.leg_mut().ok_or(Misuse::WrongState)?;
        let mut draft = leg.dialog.request(Method::Invite);
        furnish(&mut draft, &user, offer);
        self.declare(&mut draft, account);
        self.ask_interval(&mut draft, account, Some(id));
        if let Some(before) = before {
            self.outbound.remove(before);
        }
        let reinvite = self.prepare(tx, Purpose::Reinvite(id), account, draft, flow)?;
        if let Ok(call) = self.live_call(id) {
            call.reinvite = Some(reinvite);
        }
        self.drive(now, tx, reinvite);
        Ok(())
    }

    /// A 2xx to our re-INVITE, the first or a repetition.
    pub(super) fn on_reoffer_accepted(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: OutboundId,
        response: &Packet<'_>,
    ) {
        let Some(cseq) = self.outbound.get(outbound).map(|o| o.draft.cseq) else {
            return;
        };
        let Some(call) = self.call_mut(id).filter(|c| c.reinvite == Some(outbound)) else {
            return;
        };
        let (Some(index), first) = (call.confirmed, call.reoffering.is_some()) else {
            return;
        };
        let Some(leg) = call.legs.get_mut(index) else {
            return;
        };
        if let Some(ack) = leg.ack.as_ref().filter(|a| a.cseq == cseq) {
            tx.send(ack.flow, ack.bytes.clone());
            return;
        }
        leg.dialog.refresh_target(response);
        leg.learn(response);
        if call.phase != Phase::Up {
            self.send_ack(now, tx, id, outbound, index, None);
            return;
        }
        if !first {
            // The owner has not answered the offer in it.
            return;
        }
        let done = call.reoffering.take();
        let (refresh, answered) = done.map_or((false, false), |r| (r.refresh, r.answered));
        let body = session_of(response).filter(|_| !answered);
        let news = !refresh || call.session.remote() != body.as_deref();
        if !answered {
            call.session.response_received(body.as_deref());
        }
        let waits = !answered && call.session.state.waits_for_owner();
        if news && !answered {
            tell(tx, Event::Reanswered { call: id, body });
        }
        if !waits {
            self.send_ack(now, tx, id, outbound, index, None);
        }
        self.interval_granted(now, tx, id, response);
    }

    /// Our re-INVITE or UPDATE failed: the session stays as it was, but for a dialog that is gone
    /// (§12.2.1.2).
    pub(super) fn on_reoffer_refused(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outcome: &Outcome<'_>,
    ) {
        let serial = self.next_serial();
        let random = tx.random.bits();
        let Some(call) = self.call_mut(id).filter(|c| c.changes()) else {
            return;
        };
        let Some(mut failed) = call.reoffering.take() else {
            return;
        };
        let ours = call.invite.is_some();
        let stands = call.phase == Phase::Up;
        if failed.by == Method::Invite {
            call.reinvite = None;
        }
        call.take_back(&failed);
        match outcome.status() {
            // The peer's offer comes first.
            Some(StatusCode(491)) if failed.glares < MAX_GLARES && !failed.answered => {
                failed.glares += 1;
                failed.serial = serial;
                failed.request = None;
                call.reoffering = Some(failed);
                let wait = glare_wait(ours, random);
                alarm(now, tx, wait, id.0, Alarm::Reoffer(serial));
            }
            Some(StatusCode(481)) if stands => self.end(now, tx, id, outcome.cause()),
            Some(StatusCode(408)) | None if stands => {
                self.drop_pending(now, tx, id);
                self.send_bye(now, tx, id, outcome.cause());
            }
            _ if failed.answered => self.agree_again(now, tx, id),
            _ if failed.refresh => self.on_refresh_refused(now, tx, id),
            _ => {
                let cause: Cause = outcome.cause();
                tell(tx, Event::ReofferRefused { call: id, cause });
            }
        }
    }

    /// A re-INVITE was refused after its change had been carried out by reliable provisional responses:
    /// the change stays, and another offer makes sure that both sides think so (RFC 6141 §3.4).
    fn agree_again(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(leg) = call.confirmed else {
            return;
        };
        let update = call.legs.get(leg).is_some_and(|l| l.allows_update);
        let by = if update {
            Method::Update
        } else {
            Method::Invite
        };
        let offer = call.session.local().map(<[u8]>::to_vec);
        // What cannot leave now is said at the next refresh.
        let _ = self.change(now, tx, id, Reoffering::new(by, leg, offer).refreshing());
    }

    /// A change that met the peer's goes again.
    pub(super) fn on_reoffer_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let again = self.next_serial();
        let Some(call) = self.call_mut(id).filter(|c| c.changes()) else {
            return;
        };
        let Some(mut reoffering) = call.reoffering.take_if(|r| r.serial == serial) else {
            return;
        };
        if !call.may_offer(reoffering.leg) {
            reoffering.serial = again;
            call.reoffering = Some(reoffering);
            alarm(now, tx, Duration::from_secs(2), id.0, Alarm::Reoffer(again));
            return;
        }
        let refresh = reoffering.refresh;
        if self.change(now, tx, id, reoffering).is_err() {
            if refresh {
                self.on_refresh_refused(now, tx, id);
                return;
            }
            let cause = Cause::Unreachable {
                reason: Misuse::Full.to_string(),
            };
            tell(tx, Event::ReofferRefused { call: id, cause });
        }
    }
}

impl Call {
    /// Whether a change of the session may be under way.
    fn changes(&self) -> bool {
        matches!(self.phase, Phase::Up | Phase::Calling | Phase::Ringing)
    }

    fn offer_again(&mut self, reoffering: &Reoffering) {
        let offer = reoffering.offer.as_deref();
        let Some(exchange) = self.exchange_mut(reoffering.leg) else {
            return;
        };
        match (reoffering.by, offer) {
            (Method::Update, None) => {}
            (Method::Update, Some(offer)) => exchange.offer_sent(offer),
            (_, offer) => exchange.invite_sent(offer),
        }
    }

    /// Our offer came to nothing; what a reliable provisional response has settled holds.
    fn take_back(&mut self, failed: &Reoffering) {
        let open = failed.by == Method::Invite || failed.offer.is_some();
        if open
            && !failed.answered
            && let Some(exchange) = self.exchange_mut(failed.leg)
        {
            exchange.undo();
        }
    }
}

/// How long a re-INVITE waits after 491: the side that made the Call-ID 2.1 to 4 seconds, the other
/// up to 2, in steps of 10 ms (RFC 3261 §14.1).
pub(super) const fn glare_wait(made_call_id: bool, random: u64) -> Duration {
    let millis = if made_call_id {
        2100 + 10 * (random % 191)
    } else {
        10 * (random % 201)
    };
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_after_glare_do_not_overlap() {
        for random in 0..1000 {
            assert!((2100..=4000).contains(&glare_wait(true, random).as_millis()));
            assert!((0..=2000).contains(&glare_wait(false, random).as_millis()));
        }
    }
}
