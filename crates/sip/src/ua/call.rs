//! Calls: what is kept of each, and those that we make (RFC 3261 §13.2).

use bytes::Bytes;

use super::answer::{Pending, Unacked};
use super::dialog::Dialog;
use super::draft::{Contact, Draft, is_clean, is_token};
use super::event::{AccountId, CallId, Cause, Misuse};
use super::offer_answer::{Exchange, OfferAnswer};
use super::outbound::{OutboundId, Purpose};
use super::prack::Acknowledged;
use super::related::Related;
use super::reliable::Reliable;
use super::session_timer::SessionTimer;
use super::update::Change;
use super::{ALLOW, MAX_CALLS, MAX_FORKS, UserAgent};
use crate::flow::Flow;
use crate::header::{ContentType, HeaderName, NameAddr};
use crate::message::Method;
use crate::time::Time;
use crate::transaction::Transactions;
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
    /// A call of which nothing is known but its Call-ID and our tag.
    pub(super) fn new(
        now: Time,
        account: Option<AccountId>,
        user: String,
        (call_id, local_tag): (String, String),
        phase: Phase,
    ) -> Call {
        Call {
            account,
            user,
            call_id,
            local_tag,
            phase,
            legs: Vec::new(),
            confirmed: None,
            session: Exchange::default(),
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
            related: Related::default(),
        }
    }

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

    /// Whether a response to our INVITE or re-INVITE is to describe the session in one of the dialogs.
    pub(super) fn awaits_response(&self, leg: usize) -> bool {
        let updating = self
            .reoffering
            .as_ref()
            .is_some_and(|r| r.by == Method::Update && r.leg == leg && r.offer.is_some());
        let state = self.exchange(leg).map(|e| e.state);
        let open = matches!(state, Some(OfferAnswer::Offered | OfferAnswer::Inviting));
        open && !updating
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
        let names = (draft.call_id.clone(), local_tag);
        let mut call = Call::new(now, Some(account), user, names, Phase::Calling);
        call.session.invite_sent(offer.as_deref());
        call.related = related;
        furnish(&mut draft, &call.user, offer);
        self.declare(&mut draft, Some(account));
        self.ask_interval(&mut draft, Some(account), None);
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
