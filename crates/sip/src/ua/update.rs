//! UPDATE (RFC 3311): changing a session, or refreshing it, without an INVITE; in early dialogs too.
//! An offer in a PRACK (RFC 3262 §5) is decided on in the same way.

use core::time::Duration;

use super::account::contact_uri;
use super::call::{Call, Phase, Reoffering, furnish, session_of};
use super::event::{CallId, Event, Misuse};
use super::extension::allows;
use super::offer_answer::OfferAnswer;
use super::outbound::{OutboundId, Outcome, Purpose};
use super::{ALLOW, Alarm, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::wire::{Packet, Stored};

/// How long the owner may think about an offer in an UPDATE: well below the 64·T1 after which the
/// peer gives up (RFC 3311 §5.2).
const DECIDE: Duration = Duration::from_secs(10);

/// A request of the peer other than INVITE whose offer waits for the owner's answer.
#[derive(Debug)]
pub(super) struct Change {
    server: ServerId,
    request: Stored,
    source: Flow,
    leg: usize,
    serial: u32,
}

impl Change {
    pub(super) fn new(
        server: ServerId,
        request: Stored,
        source: Flow,
        leg: usize,
        serial: u32,
    ) -> Change {
        Change {
            server,
            request,
            source,
            leg,
            serial,
        }
    }

    /// The dialog that it came in.
    pub(super) fn leg(&self) -> usize {
        self.leg
    }

    /// Refuses it because the call is over (RFC 3261 §15.1.2).
    pub(super) fn refuse(&self, now: Time, tx: &mut Transactions) {
        tx.respond(now, self.server, &Reply::new(StatusCode(487)));
    }

    fn is_prack(&self) -> bool {
        self.request.packet().method() == Some(Method::Prack)
    }
}

impl Call {
    /// The early dialog that a request of ours can be sent in, or the confirmed one.
    fn spoken(&self) -> Option<usize> {
        match (self.confirmed, self.phase) {
            (Some(leg), Phase::Up) => Some(leg),
            (Some(leg), Phase::Ringing) => self.reliable.acknowledged.then_some(leg),
            // With several, nobody knows which one is meant.
            (None, Phase::Calling) => (self.legs.len() == 1).then_some(0),
            _ => None,
        }
    }

    /// Whether an offer of ours may leave: none is open, and nothing else is on its way.
    pub(super) fn may_offer(&self, leg: usize) -> bool {
        self.exchange(leg)
            .is_some_and(|e| e.state == OfferAnswer::Stable)
            && self.change.is_none()
            && self.reoffering.is_none()
            && self.unacked.is_none()
            && !self.reliable.holds_back()
            && (self.pending.is_none() || self.phase == Phase::Ringing)
    }
}

impl UserAgent {
    /// Whether the peer of a call says that it takes UPDATE.
    pub fn can_update(&self, call: CallId) -> bool {
        self.call_of(call).is_some_and(|c| {
            let leg = c.spoken().and_then(|leg| c.legs.get(leg));
            leg.is_some_and(|l| l.allows_update)
        })
    }

    /// Offers another session by UPDATE (RFC 3311): like [`UserAgent::reoffer`], but before the call
    /// stands too, once the session has been settled by reliable provisional responses. Without an
    /// `offer` it tells the peer our Contact anew.
    ///
    /// What becomes of it is told as for a re-INVITE: [`Event::Reanswered`] or
    /// [`Event::ReofferRefused`].
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::WrongState`] while another offer is open, ours or the peer's, and
    /// before there is one dialog with a settled session; [`Misuse::Unsupported`] when the peer does not
    /// list UPDATE in Allow; [`Misuse::Full`].
    pub fn update(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        offer: Option<Vec<u8>>,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        let leg = call.spoken().ok_or(Misuse::WrongState)?;
        if !call.may_offer(leg) {
            return Err(Misuse::WrongState);
        }
        if !call.legs.get(leg).is_some_and(|l| l.allows_update) {
            return Err(Misuse::Unsupported);
        }
        self.change(now, tx, id, Reoffering::new(Method::Update, leg, offer))
    }

    /// Sends the UPDATE of the change that is under way.
    pub(super) fn send_update(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
    ) -> Result<(), Misuse> {
        let call = self.live_call(id)?;
        let (account, user) = (call.account, call.user.clone());
        let invite = call.invite;
        let reoffering = call.reoffering.as_ref().ok_or(Misuse::WrongState)?;
        let (leg, offer) = (reoffering.leg, reoffering.offer.clone());
        let stands = call.phase == Phase::Up;
        let flow = call.flow;
        let dialog = call.legs.get_mut(leg).ok_or(Misuse::WrongState)?;
        let mut draft = dialog.dialog.request(Method::Update);
        furnish(&mut draft, &user, offer);
        self.declare(&mut draft, account);
        if stands {
            self.ask_interval(&mut draft, account, Some(id));
        }
        let flow = flow.or_else(|| self.outbound.get(invite?)?.flow);
        let update = self.prepare(tx, Purpose::Update(id), account, draft, flow)?;
        if let Some(reoffering) = self.live_call(id)?.reoffering.as_mut() {
            reoffering.request = Some(update);
        }
        self.drive(now, tx, update);
        Ok(())
    }

    /// Our UPDATE ended.
    pub(super) fn on_update_done(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        update: OutboundId,
        outcome: &Outcome<'_>,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let ours = |r: &&mut Reoffering| r.request == Some(update);
        let Some(leg) = call.reoffering.as_mut().filter(ours).map(|r| r.leg) else {
            return;
        };
        let success = outcome.status().is_some_and(StatusCode::is_success);
        let (Outcome::Response(response, _), true) = (outcome, success) else {
            if matches!(outcome.status(), Some(StatusCode(405 | 501)))
                && let Some(leg) = call.legs.get_mut(leg)
            {
                leg.allows_update = false;
            }
            self.on_reoffer_refused(now, tx, id, outcome);
            return;
        };
        let Some(done) = call.reoffering.take() else {
            return;
        };
        if let Some(leg) = call.legs.get_mut(leg) {
            leg.dialog.refresh_target(response);
            leg.learn(response);
        }
        let body = session_of(response);
        let mut news = !done.refresh;
        if done.offer.is_some()
            && let Some(exchange) = call.exchange_mut(leg)
        {
            news |= exchange.remote() != body.as_deref();
            exchange.answer_received(body.as_deref());
        }
        let stands = call.phase == Phase::Up;
        if news && matches!(call.phase, Phase::Up | Phase::Calling | Phase::Ringing) {
            tell(tx, Event::Reanswered { call: id, body });
        }
        if stands {
            self.interval_granted(now, tx, id, response);
        }
    }

    /// The peer's UPDATE (§5.2).
    pub(super) fn on_update(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        (id, leg): (CallId, usize),
        (request, source): (&Stored, Flow),
    ) -> Result<(), StatusCode> {
        let serial = self.next_serial();
        let call = self.live_call(id).map_err(|_| StatusCode(481))?;
        if call.confirmed.is_some_and(|c| c != leg) {
            return Err(StatusCode(481));
        }
        match call.phase {
            Phase::Up | Phase::Calling | Phase::Ringing => {}
            _ => return Err(StatusCode(487)),
        }
        if call.change.is_some() {
            return Err(StatusCode(500));
        }
        let Some(offer) = session_of(&request.packet()) else {
            self.take_update(now, tx, server, (id, leg), (request, source), None);
            return Ok(());
        };
        let exchange = call.exchange_mut(leg).ok_or(StatusCode(481))?;
        match exchange.state {
            OfferAnswer::Stable => {}
            OfferAnswer::Offered | OfferAnswer::Inviting => return Err(StatusCode(491)),
            OfferAnswer::Asked | OfferAnswer::Invited => return Err(StatusCode(500)),
        }
        exchange.offer_received(&offer);
        call.change = Some(Change::new(server, request.clone(), source, leg, serial));
        self.tell_change(now, tx, id, offer, serial);
        Ok(())
    }

    /// The owner is asked about an offer that cannot wait for long.
    pub(super) fn tell_change(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        offer: Vec<u8>,
        serial: u32,
    ) {
        alarm(now, tx, DECIDE, id.0, Alarm::Change(serial));
        let offer = Some(offer);
        tell(tx, Event::Reoffered { call: id, offer });
    }

    /// Answers an UPDATE with 200: a target refresh, a refresh of the session, and perhaps an answer.
    fn take_update(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        (id, leg): (CallId, usize),
        (request, source): (&Stored, Flow),
        body: Option<&[u8]>,
    ) {
        let packet = request.packet();
        let Some(call) = self.call_mut(id) else {
            return;
        };
        if let Some(leg) = call.legs.get_mut(leg) {
            leg.dialog.refresh_target(&packet);
            leg.learn(&packet);
        }
        let stands = call.phase == Phase::Up;
        let (account, user) = (call.account, call.user.clone());
        let granted = stands.then(|| self.grant_interval(id, &packet)).flatten();
        let extensions = self.extensions(account);
        let supported = extensions.supported();
        let profile = account.and_then(|a| self.profile(a));
        let contact = format!("<{}>", contact_uri(tx, profile, &user, &source));
        let mut reply = Reply::new(StatusCode(200))
            .header("Contact", &contact)
            .header("Allow", ALLOW)
            .header("Supported", &supported);
        let more = granted.map(|g| g.headers()).unwrap_or_default();
        for (name, value) in &more {
            reply = reply.header(name, value);
        }
        reply.body = body.map(|b| ("application/sdp", b));
        tx.respond(now, server, &reply);
        if stands {
            self.keep_interval(now, tx, id, granted.map(|g| g.interval()));
        }
    }

    /// The owner's answer to the offer in an UPDATE or a PRACK.
    pub(super) fn accept_change(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        body: &[u8],
    ) -> Result<(), Misuse> {
        if body.is_empty() {
            return Err(Misuse::OfferAnswer);
        }
        let call = self.live_call(id)?;
        let change = call.change.take().ok_or(Misuse::WrongState)?;
        if let Some(exchange) = call.exchange_mut(change.leg) {
            exchange.answer_sent(body);
        }
        if change.is_prack() {
            let mut reply = Reply::new(StatusCode(200));
            reply.body = Some(("application/sdp", body));
            tx.respond(now, change.server, &reply);
            self.after_prack(now, tx, id);
            return Ok(());
        }
        let at = (id, change.leg);
        let request = (&change.request, change.source);
        self.take_update(now, tx, change.server, at, request, Some(body));
        self.after_prack(now, tx, id);
        Ok(())
    }

    /// The owner does not want what the UPDATE or PRACK offers.
    pub(super) fn reject_change(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        reply: &Reply<'_>,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(change) = call.change.take() else {
            return;
        };
        if let Some(exchange) = call.exchange_mut(change.leg) {
            exchange.undo();
        }
        tx.respond(now, change.server, reply);
        self.after_prack(now, tx, id);
    }

    /// Refuses an offer that still waits when the call ends (RFC 3261 §15.1.2).
    pub(super) fn drop_change(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        self.reject_change(now, tx, id, &Reply::new(StatusCode(487)));
    }

    /// The owner has not decided in time.
    pub(super) fn on_change_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let waits = |c: &Call| c.change.as_ref().is_some_and(|c| c.serial == serial);
        if self.call_of(id).is_some_and(waits) {
            self.reject_change(now, tx, id, &Reply::new(StatusCode(504)));
            tell(tx, Event::ReofferWithdrawn { call: id });
        }
    }
}

impl super::call::Leg {
    /// Notes what the peer can do.
    pub(super) fn learn(&mut self, message: &Packet<'_>) {
        if let Some(allows) = allows(message, Method::Update) {
            self.allows_update = allows;
        }
    }
}
