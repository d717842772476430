//! Calls: what is kept of each, and those that we make (RFC 3261 §13.2).

use bytes::Bytes;

use super::answer::{Pending, Unacked};
use super::dialog::Dialog;
use super::draft::{Contact, Draft, is_clean, is_token, readable};
use super::event::{AccountId, CallId, Cause, Event, Misuse};
use super::offer_answer::{Exchange, OfferAnswer};
use super::outbound::{OutboundId, Outcome, Purpose};
use super::prack::Acknowledged;
use super::related::Related;
use super::reliable::Reliable;
use super::session_timer::SessionTimer;
use super::update::Change;
use super::{ALLOW, Alarm, MAX_CALLS, MAX_FORKS, UserAgent, alarm, tell};
use crate::auth::Asker;
use crate::flow::Flow;
use crate::header::{ContentType, HeaderName, NameAddr};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};
use crate::wire::Packet;

/// One call: an INVITE and all that follows from it.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) account: Option<AccountId>,
    /// The user of our Contact, escaped.
    pub(super) user: String,
    pub(super) call_id: String,
    pub(super) local_tag: String,
    pub(super) phase: Phase,
    /// The dialogs that forks of our INVITE made; one for a callee.
    pub(super) legs: Vec<Leg>,
    /// Which of the legs won.
    pub(super) confirmed: Option<usize>,
    /// Offer and answer in the confirmed dialog; before there is one, as our INVITE began it.
    pub(super) session: Exchange,
    /// Our INVITE that made the call; kept for the repetitions of its 2xx.
    pub(super) invite: Option<OutboundId>,
    /// Our last re-INVITE.
    pub(super) reinvite: Option<OutboundId>,
    /// Our re-INVITE or UPDATE that has no final response yet, with its offer.
    pub(super) reoffering: Option<Reoffering>,
    /// The peer's INVITE that we have not answered.
    pub(super) pending: Option<Pending>,
    /// Our reliable provisional responses to the peer's INVITE.
    pub(super) reliable: Reliable,
    /// The peer's UPDATE or PRACK whose offer we have not answered.
    pub(super) change: Option<Change>,
    /// What ends the call when nobody keeps it up.
    pub(super) timer: SessionTimer,
    /// Our 2xx that has no ACK yet.
    pub(super) unacked: Option<Unacked>,
    /// The flow that the peer's messages come on.
    pub(super) flow: Option<Flow>,
    /// The peer has no proxy before it, and may only be reached on the flow that it opened: behind a
    /// NAT, or by a connection.
    pub(super) direct: bool,
    /// Until when repetitions of a 2xx to our INVITE may come.
    pub(super) linger_until: Time,
    /// How the call ends, once it is decided.
    pub(super) cause: Option<Cause>,
    pub(super) related: Related,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Our INVITE has no final response.
    Calling,
    /// The same, and we want it no more.
    Cancelling,
    /// The peer's INVITE has no final response of ours.
    Ringing,
    /// A 2xx came or left.
    Up,
    /// We have hung up; the BYE waits for its response, or for the ACK before it.
    Ending,
    /// The owner has been told; only repetitions are still answered.
    Over,
}

/// One dialog of a call.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) dialog: Dialog,
    /// Offer and answer while the dialog is early and the INVITE is ours; each fork has its own.
    pub(super) session: Exchange,
    /// The last reliable provisional response, and its PRACK.
    pub(super) acknowledged: Option<Acknowledged>,
    /// The peer says that it takes UPDATE.
    pub(super) allows_update: bool,
    /// The last ACK that left, for repetitions of the 2xx.
    pub(super) ack: Option<SentAck>,
    /// The peer hung up before its 2xx came.
    pub(super) dead: bool,
}

#[derive(Debug)]
pub(super) struct SentAck {
    pub(super) cseq: u32,
    pub(super) flow: Flow,
    pub(super) bytes: Bytes,
}

/// A re-INVITE or UPDATE of ours.
#[derive(Debug)]
pub(super) struct Reoffering {
    /// Which of the two.
    pub(super) by: Method,
    /// The dialog that it is sent in.
    pub(super) leg: usize,
    pub(super) offer: Option<Vec<u8>>,
    /// The UPDATE on its way.
    pub(super) request: Option<OutboundId>,
    /// It only keeps the session up; the owner knows nothing of it.
    pub(super) refresh: bool,
    /// A reliable provisional response has brought the answer already.
    pub(super) answered: bool,
    /// How often the peer was doing the same (491).
    pub(super) glares: u8,
    /// The timer that sends it again.
    pub(super) serial: u32,
}

impl Call {
    pub(super) fn is_calling(&self) -> bool {
        self.phase == Phase::Calling
    }

    /// The dialog that the call lives in.
    pub(super) fn leg_mut(&mut self) -> Option<&mut Leg> {
        self.legs.get_mut(self.confirmed?)
    }

    /// Offer and answer in one of the dialogs.
    pub(super) fn exchange(&self, leg: usize) -> Option<&Exchange> {
        if self.confirmed == Some(leg) {
            return Some(&self.session);
        }
        self.legs.get(leg).map(|l| &l.session)
    }

    /// The same, to be changed.
    pub(super) fn exchange_mut(&mut self, leg: usize) -> Option<&mut Exchange> {
        if self.confirmed == Some(leg) {
            return Some(&mut self.session);
        }
        self.legs.get_mut(leg).map(|l| &mut l.session)
    }

    /// A number for another try of a request in the dialog.
    pub(super) fn next_cseq(&mut self) -> Option<u32> {
        let dialog = &mut self.leg_mut()?.dialog;
        dialog.local_cseq = dialog.local_cseq.saturating_add(1);
        Some(dialog.local_cseq)
    }

    /// The same for a PRACK or UPDATE, which may be in an early dialog.
    pub(super) fn next_cseq_of(&mut self, request: OutboundId) -> Option<u32> {
        let updating = self
            .reoffering
            .as_ref()
            .filter(|r| r.request == Some(request));
        let leg = match updating {
            Some(reoffering) => Some(reoffering.leg),
            None => self.legs.iter().position(|l| l.has_prack(request)),
        };
        let dialog = &mut self.legs.get_mut(leg?)?.dialog;
        dialog.local_cseq = dialog.local_cseq.saturating_add(1);
        Some(dialog.local_cseq)
    }

    /// Whether a re-INVITE of ours is on its way.
    pub(super) fn reoffering_invites(&self) -> bool {
        let by_invite = |r: &Reoffering| r.by == Method::Invite && r.serial == 0;
        self.reoffering.as_ref().is_some_and(by_invite)
    }

    /// Takes a dialog that a fork of our INVITE made; `None` when there are enough of them.
    pub(super) fn new_leg(&mut self, dialog: Option<Dialog>) -> Option<usize> {
        if self.legs.len() >= MAX_FORKS {
            return None;
        }
        let mut leg = Leg::new(dialog)?;
        leg.session = self.session.clone();
        self.legs.push(leg);
        Some(self.legs.len().saturating_sub(1))
    }

    /// The dialog with this tag of the peer.
    pub(super) fn leg_with(&self, tag: Option<&[u8]>) -> Option<usize> {
        self.legs.iter().position(|l| l.dialog.is_with(tag))
    }

    pub(super) fn draft(&mut self, method: Method) -> Option<Draft> {
        Some(self.leg_mut()?.dialog.request(method))
    }
}

impl Reoffering {
    pub(super) fn new(by: Method, leg: usize, offer: Option<Vec<u8>>) -> Reoffering {
        Reoffering {
            by,
            leg,
            offer,
            request: None,
            refresh: false,
            answered: false,
            glares: 0,
            serial: 0,
        }
    }

    /// The same, to keep the session up.
    pub(super) fn refreshing(mut self) -> Reoffering {
        self.refresh = true;
        self
    }
}

impl UserAgent {
    /// Calls `target`: a SIP address, `user@host`, or a user of the account's domain. Without an
    /// `offer` the callee offers, and [`UserAgent::acknowledge`] answers.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Address`], [`Misuse::Header`], [`Misuse::Full`].
    pub fn call(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        offer: Option<Vec<u8>>,
        headers: &[(String, String)],
    ) -> Result<CallId, Misuse> {
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let anonymous = profile.account.anonymous;
        let related = Related::default();
        self.place(now, tx, account, target, offer, headers, anonymous, related)
    }

    /// Calls `target` without telling who calls (RFC 3323, 3325), whatever the account says.
    ///
    /// # Errors
    /// As [`UserAgent::call`].
    pub fn call_anonymously(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        offer: Option<Vec<u8>>,
        headers: &[(String, String)],
    ) -> Result<CallId, Misuse> {
        let related = Related::default();
        self.place(now, tx, account, target, offer, headers, true, related)
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub(super) fn place(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        offer: Option<Vec<u8>>,
        headers: &[(String, String)],
        anonymous: bool,
        related: Related,
    ) -> Result<CallId, Misuse> {
        if self.live >= MAX_CALLS {
            return Err(Misuse::Full);
        }
        let mut draft = self.outside_draft(tx, account, Method::Invite, target, headers)?;
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let preferred = profile.registration.flow;
        let (from, user) = profile.face(anonymous);
        let user = user.to_owned();
        let local_tag = tx.random.token();
        draft.from = format!("{from};tag={local_tag}").into_bytes();
        if anonymous {
            draft.headers.extend(profile.privacy());
        }
        draft
            .headers
            .extend(self.recv_info().map(|list| ("Recv-Info".to_owned(), list)));
        let mut session = Exchange::default();
        session.invite_sent(offer.as_deref());
        furnish(&mut draft, &user, offer);
        self.declare(&mut draft, Some(account));
        self.ask_interval(&mut draft, Some(account), None);
        let call = Call {
            account: Some(account),
            user,
            call_id: draft.call_id.clone(),
            local_tag,
            phase: Phase::Calling,
            legs: Vec::new(),
            confirmed: None,
            session,
            invite: None,
            reinvite: None,
            reoffering: None,
            pending: None,
            reliable: Reliable::default(),
            change: None,
            timer: SessionTimer::default(),
            unacked: None,
            flow: None,
            direct: false,
            linger_until: now,
            cause: None,
            related,
        };
        let id = self.keep_call(tx, call);
        match self.prepare(tx, Purpose::Invite(id), Some(account), draft, preferred) {
            Ok(invite) => {
                if let Some(call) = self.call_mut(id) {
                    call.invite = Some(invite);
                }
                self.drive(now, tx, invite);
                Ok(id)
            }
            Err(misuse) => {
                self.live = self.live.saturating_sub(1);
                self.forget(tx, id);
                Err(misuse)
            }
        }
    }

    /// Takes a new call into the tables.
    pub(super) fn keep_call(&mut self, tx: &Transactions, call: Call) -> CallId {
        let key = dialog_key(tx, call.call_id.as_bytes(), call.local_tag.as_bytes());
        let id = CallId(self.calls.insert(call).as_u64());
        self.live += 1;
        self.by_dialog.insert(key, id);
        id
    }

    /// The call that a message with this Call-ID and this tag of ours belongs to.
    pub(super) fn find_call(
        &self,
        tx: &Transactions,
        call_id: &[u8],
        tag: &[u8],
    ) -> Option<CallId> {
        let id = *self.by_dialog.get(&dialog_key(tx, call_id, tag))?;
        let call = self.call_of(id)?;
        let same = call.call_id.as_bytes() == call_id && call.local_tag.as_bytes() == tag;
        same.then_some(id)
    }

    /// A provisional response: an early dialog perhaps (RFC 3261 §13.2.2.1), and the moment from
    /// which CANCEL may be sent (§9.1).
    pub(super) fn on_provisional(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        response: &Packet<'_>,
    ) {
        let Some(outbound) = self.outbound.get(id) else {
            return;
        };
        let client = outbound.client;
        let (call_id, again) = match outbound.purpose {
            Purpose::Invite(call) => (call, false),
            Purpose::Reinvite(call) => (call, true),
            _ => return,
        };
        let Some(call) = self.calls.get_mut(Key::from_u64(call_id.0)) else {
            return;
        };
        if call.phase == Phase::Cancelling && !again {
            let reason = call.related.parting.as_deref();
            if client.is_some_and(|c| tx.cancel_client_because(now, c, reason)) {
                alarm(now, tx, T1X64, call_id.0, Alarm::CancelGivesUp);
            }
            return;
        }
        let code = response.status().unwrap_or(StatusCode(100));
        let wanted = if again { Phase::Up } else { Phase::Calling };
        if call.phase == wanted && code.0 != 100 {
            self.on_ringing(now, tx, (call_id, id), response, again);
        }
    }

    /// A 2xx to an INVITE of ours, the first or a repetition (RFC 3261 §13.2.2.4).
    pub(super) fn on_accepted(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: OutboundId,
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let Some(draft) = self.outbound.get(outbound).map(|o| &o.draft) else {
            return;
        };
        let cseq = draft.cseq;
        let Some(call) = self.calls.get_mut(Key::from_u64(id.0)) else {
            return;
        };
        let tag = tag_of(response, HeaderName::To);
        if call.invite != Some(outbound) {
            self.on_reoffer_accepted(now, tx, id, outbound, response);
            return;
        }
        let leg = match call.leg_with(tag) {
            Some(leg) => leg,
            None => match call.new_leg(Dialog::from_response(draft, response)) {
                Some(leg) => leg,
                None => return,
            },
        };
        let Some(known) = call.legs.get_mut(leg) else {
            return;
        };
        if let Some(ack) = known.ack.as_ref().filter(|a| a.cseq == cseq) {
            tx.send(ack.flow, ack.bytes.clone());
        } else if call.confirmed == Some(leg) {
            // The owner has not answered the offer in it.
        } else {
            known.dialog.confirm(response);
            if call.confirmed.is_some() || call.phase == Phase::Over {
                self.drop_fork(now, tx, id, outbound, leg, flow);
            } else {
                self.on_answered(now, tx, id, (outbound, leg), response, flow);
            }
        }
    }

    /// The first 2xx: this leg is the call.
    fn on_answered(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        (outbound, index): (OutboundId, usize),
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(leg) = call.legs.get_mut(index) else {
            return;
        };
        leg.learn(response);
        let dead = leg.dead;
        let remote_uri = readable(&leg.dialog.target);
        call.session = core::mem::take(&mut leg.session);
        let forked = call.legs.len() > 1;
        let was_open = matches!(
            call.session.state,
            OfferAnswer::Offered | OfferAnswer::Inviting
        );
        let body = match session_of(response) {
            body if was_open => body,
            // What reliable responses have settled holds; of several forks, what this one said.
            _ if forked => call.session.answer().map(<[u8]>::to_vec),
            _ => None,
        };
        call.confirmed = Some(index);
        call.flow = Some(flow);
        call.linger_until = now + T1X64;
        if dead {
            self.send_ack(now, tx, id, outbound, index, None);
            self.end(now, tx, id, Cause::ByPeer { reason: None });
            return;
        }
        if call.phase == Phase::Cancelling {
            self.send_ack(now, tx, id, outbound, index, None);
            self.send_bye(now, tx, id, Cause::Cancelled);
            return;
        }
        call.phase = Phase::Up;
        if was_open {
            call.session.response_received(body.as_deref());
        }
        let waits = was_open && call.session.state.waits_for_owner();
        let elsewhere = call.reoffering.take_if(|r| r.leg != index).is_some();
        if call.change.as_ref().is_some_and(|c| c.leg() != index) {
            self.drop_change(now, tx, id);
        }
        if elsewhere {
            let cause = Cause::Cancelled;
            tell(tx, Event::ReofferRefused { call: id, cause });
        }
        tell(
            tx,
            Event::Established {
                call: id,
                remote_uri,
                body,
                flow,
            },
        );
        if !waits {
            self.send_ack(now, tx, id, outbound, index, None);
        }
        self.interval_granted(now, tx, id, response);
        self.report_call(now, tx, id, StatusCode(200), "OK");
    }

    /// Another fork answered too: it gets its ACK, and BYE.
    fn drop_fork(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outbound: OutboundId,
        leg: usize,
        flow: Flow,
    ) {
        self.send_ack(now, tx, id, outbound, leg, None);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let account = call.account;
        let Some(leg) = call.legs.get_mut(leg).filter(|l| !l.dead) else {
            return;
        };
        leg.dead = true;
        let draft = leg.dialog.request(Method::Bye);
        if let Ok(bye) = self.prepare(tx, Purpose::ByeFork, account, draft, Some(flow)) {
            self.drive(now, tx, bye);
        }
    }

    /// Answers the offer that came with the 2xx, or a reliable provisional response, to an INVITE without
    /// one.
    ///
    /// # Errors
    /// [`Misuse::NoCall`]; [`Misuse::OfferAnswer`] when no answer is due.
    pub fn acknowledge(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        answer: Vec<u8>,
    ) -> Result<(), Misuse> {
        let known = self.live_call(call)?;
        if matches!(known.phase, Phase::Calling | Phase::Up)
            && self.answer_in_prack(now, tx, call, &answer)
        {
            return Ok(());
        }
        let known = self.live_call(call)?;
        let due = known.phase == Phase::Up
            && known.pending.is_none()
            && known.change.is_none()
            && known.session.state.waits_for_owner();
        if !due {
            return Err(Misuse::OfferAnswer);
        }
        known.session.answer_sent(&answer);
        self.acknowledge_with(now, tx, call, Some(answer));
        Ok(())
    }

    /// Sends the ACK that waited for an answer.
    pub(super) fn acknowledge_with(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        answer: Option<Vec<u8>>,
    ) {
        let Some(call) = self.call_of(id) else {
            return;
        };
        if let (Some(leg), Some(invite)) = (call.confirmed, call.reinvite.or(call.invite)) {
            self.send_ack(now, tx, id, invite, leg, answer);
        }
    }

    pub(super) fn send_ack(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        invite: OutboundId,
        leg: usize,
        body: Option<Vec<u8>>,
    ) {
        let Some(outbound) = self.outbound.get(invite) else {
            return;
        };
        // RFC 3261 §22.1: the ACK carries the credentials of its INVITE.
        let credentials: Vec<(Asker, String)> = outbound.credentials.clone();
        let (cseq, flow) = (outbound.draft.cseq, outbound.flow);
        let Some(call) = self.call_of(id) else {
            return;
        };
        let (account, flow) = (call.account, call.flow.or(flow));
        let Some(mut draft) = call.legs.get(leg).map(|l| l.dialog.ack(cseq)) else {
            return;
        };
        draft.body = body.map(sdp);
        if let Ok(ack) = self.prepare(tx, Purpose::Ack(id, leg), account, draft, flow) {
            if let Some(outbound) = self.outbound.get_mut(ack) {
                outbound.credentials = credentials;
            }
            self.drive(now, tx, ack);
        }
    }

    /// An ACK left: it is kept for repetitions of the 2xx.
    pub(super) fn note_ack(&mut self, purpose: Purpose, cseq: u32, flow: Flow, bytes: Bytes) {
        if let Purpose::Ack(call, leg) = purpose
            && let Some(leg) = self.call_mut(call).and_then(|c| c.legs.get_mut(leg))
        {
            leg.ack = Some(SentAck { cseq, flow, bytes });
        }
    }

    /// Our INVITE failed.
    pub(super) fn on_refused(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        outcome: &Outcome<'_>,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        call.invite = None;
        let cause = match call.phase {
            Phase::Cancelling => Cause::Cancelled,
            _ => outcome.cause(),
        };
        self.end(now, tx, id, cause);
    }

    /// A call that is not over.
    pub(super) fn live_call(&mut self, id: CallId) -> Result<&mut Call, Misuse> {
        self.call_mut(id)
            .filter(|c| c.phase != Phase::Over)
            .ok_or(Misuse::NoCall)
    }
}

impl Leg {
    pub(super) fn new(dialog: Option<Dialog>) -> Option<Leg> {
        Some(Leg {
            dialog: dialog?,
            session: Exchange::default(),
            acknowledged: None,
            allows_update: false,
            ack: None,
            dead: false,
        })
    }
}

/// Gives an INVITE what each needs: Contact, Allow, the offer.
pub(super) fn furnish(draft: &mut Draft, user: &str, offer: Option<Vec<u8>>) {
    draft.contact = Contact::Ours {
        user: user.to_owned(),
        params: String::new(),
    };
    draft.headers.push(("Allow".to_owned(), ALLOW.to_owned()));
    draft.body = offer.map(sdp);
}

pub(super) fn sdp(body: Vec<u8>) -> (String, Vec<u8>) {
    ("application/sdp".to_owned(), body)
}

/// The body of a message when it is a session description.
pub(super) fn session_of(message: &Packet<'_>) -> Option<Vec<u8>> {
    let body = message.body();
    let kind = message.value(HeaderName::ContentType)?;
    let is_sdp = ContentType::parse(kind).is_ok_and(|k| k.is("application", "sdp"));
    (is_sdp && !body.is_empty()).then(|| body.to_vec())
}

/// The tag of From or To.
pub(super) fn tag_of<'a>(message: &Packet<'a>, name: HeaderName) -> Option<&'a [u8]> {
    NameAddr::parse(message.value(name)?).ok()?.tag()
}

/// Checks the headers that an owner adds.
pub(super) fn check_headers(headers: &[(String, String)]) -> Result<(), Misuse> {
    /// Headers that the stack writes.
    const OURS: [HeaderName; 12] = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::Contact,
        HeaderName::Route,
        HeaderName::MaxForwards,
        HeaderName::ContentType,
        HeaderName::ContentLength,
        HeaderName::Authorization,
        HeaderName::ProxyAuthorization,
    ];
    let fits = |(name, value): &(String, String)| {
        is_token(name)
            && is_clean(value.as_bytes())
            && !OURS.contains(&HeaderName::from_bytes(name.as_bytes()))
    };
    if headers.iter().all(fits) {
        Ok(())
    } else {
        Err(Misuse::Header)
    }
}

pub(super) fn dialog_key(tx: &Transactions, call_id: &[u8], tag: &[u8]) -> u64 {
    tx.keyed_hash(&[b"dialog", call_id, tag])
}
