//! Changing the session of a call: re-INVITEs of ours (RFC 3261 §14.1).

use core::time::Duration;

use super::call::{Phase, Reoffering, furnish, session_of};
use super::event::{CallId, Cause, Event, Misuse};
use super::offer_answer::OfferAnswer;
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
        let free = call.phase == Phase::Up
            && call.session == OfferAnswer::Stable
            && call.pending.is_none()
            && call.reoffering.is_none()
            && call.unacked.is_none();
        if !free {
            return Err(Misuse::WrongState);
        }
        call.session = OfferAnswer::invite_sent(offer.is_some());
        call.reoffering = Some(Reoffering {
            offer,
            glares: 0,
            serial: 0,
        });
        let sent = self.send_reinvite(now, tx, id);
        if sent.is_err()
            && let Ok(call) = self.live_call(id)
        {
            call.session = OfferAnswer::Stable;
            call.reoffering = None;
        }
        sent
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
        if call.phase != Phase::Up {
            self.send_ack(now, tx, id, outbound, index, None);
            return;
        }
        if !first {
            // The owner has not answered the offer in it.
            return;
        }
        call.reoffering = None;
        let body = session_of(response);
        call.session = call.session.accept_received(body.is_some());
        let waits = call.session.waits_for_owner();
        tell(tx, Event::Reanswered { call: id, body });
        if !waits {
            self.send_ack(now, tx, id, outbound, index, None);
        }
    }

    /// Our re-INVITE failed: the session stays as it was, but for a dialog that is gone (§12.2.1.2).
    pub(super) fn on_reoffer_refused(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outcome: &Outcome<'_>,
    ) {
        let serial = self.next_serial();
        let random = tx.random.bits();
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Up) else {
            return;
        };
        call.reinvite = None;
        let ours = call.invite.is_some();
        let status = outcome.status();
        if let Some(reoffering) = call.reoffering.as_mut()
            && status == Some(StatusCode(491))
            && reoffering.glares < MAX_GLARES
        {
            reoffering.glares += 1;
            reoffering.serial = serial;
            // The peer's offer comes first.
            call.session = OfferAnswer::Stable;
            alarm(
                now,
                tx,
                glare_wait(ours, random),
                id.0,
                Alarm::Reoffer(serial),
            );
            return;
        }
        call.session = OfferAnswer::Stable;
        call.reoffering = None;
        match status {
            Some(StatusCode(481)) => self.end(now, tx, id, outcome.cause()),
            Some(StatusCode(408)) | None => self.send_bye(now, tx, id, outcome.cause()),
            Some(_) => {
                let cause: Cause = outcome.cause();
                tell(tx, Event::ReofferRefused { call: id, cause });
            }
        }
    }

    /// A re-INVITE that met the peer's goes again.
    pub(super) fn on_reoffer_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let again = self.next_serial();
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Up) else {
            return;
        };
        let Some(reoffering) = call.reoffering.as_mut().filter(|r| r.serial == serial) else {
            return;
        };
        let offer = reoffering.offer.is_some();
        if call.pending.is_some() || call.unacked.is_some() {
            reoffering.serial = again;
            alarm(now, tx, Duration::from_secs(2), id.0, Alarm::Reoffer(again));
            return;
        }
        call.session = OfferAnswer::invite_sent(offer);
        if self.send_reinvite(now, tx, id).is_err()
            && let Ok(call) = self.live_call(id)
        {
            call.reoffering = None;
            call.session = OfferAnswer::Stable;
            let cause = Cause::Unreachable {
                reason: Misuse::Full.to_string(),
            };
            tell(tx, Event::ReofferRefused { call: id, cause });
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
