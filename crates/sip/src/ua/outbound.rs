//! Requests on their way: the next hop, the answer to a challenge, the next server when one fails.

use std::net::SocketAddr;

use super::account::contact_uri;
use super::challenge::authorise;
use super::draft::{Contact, Departure, Draft, readable};
use super::event::{
    AccountId, CallId, Cause, Misuse, PublicationId, RequestId, SubscriptionId, TransferId,
};
use super::{MAX_REQUESTS, UserAgent};
use crate::auth::Asker;
use crate::endpoint::Failure;
use crate::flow::Flow;
use crate::header::{ContactList, HeaderName, Via};
use crate::locate::{Hop, MAX_DATAGRAM, NextHop};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{ClientId, Transactions, User};
use crate::uri::Uri;
use crate::wire::{Packet, Stored};

/// Names a request on its way.
pub(super) type OutboundId = Key<Outbound>;

/// One request on its way, over all the transactions that it takes.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) purpose: Purpose,
    pub(super) account: Option<AccountId>,
    pub(super) draft: Draft,
    next: Result<NextHop, String>,
    pub(super) client: Option<ClientId>,
    pub(super) flow: Option<Flow>,
    pub(super) credentials: Vec<(Asker, String)>,
    pub(super) rounds: u8,
    /// It goes back on the flow that the peer's request came on, and only then where its URI says.
    along: bool,
    /// What the server before said when it could not serve (RFC 3263 §4.3).
    refused: Option<(Stored, Flow)>,
    failed: Option<(Failure, SocketAddr)>,
    /// The Contact that it carried last.
    pub(super) contact: Option<String>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Register(AccountId),
    Invite(CallId),
    Reinvite(CallId),
    Update(CallId),
    /// Acknowledges a reliable provisional response.
    Prack(CallId),
    /// The ACK to a 2xx for one leg of a call.
    Ack(CallId, usize),
    /// Ends the call.
    Bye(CallId),
    /// Ends a fork of a call that another fork won.
    ByeFork,
    /// A request of the owner's, in a call or not.
    Asked(Option<CallId>),
    /// Asks a peer to call somebody else.
    Refer(TransferId),
    /// Reports about a transfer that was asked of us.
    Notify(TransferId),
    Subscribe(SubscriptionId),
    Publish(PublicationId),
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Response(Packet<'a>, Flow),
    Unauthorized(StatusCode, String),
    TimedOut,
    Unreachable(String),
}

impl Outbound {
    /// It goes this way and no other.
    pub(super) fn only_along(&mut self, way: NextHop) {
        self.next = Ok(way);
    }
}

impl Outcome<'_> {
    /// The status, where there was a response.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Outcome::Response(packet, _) => packet.status(),
            Outcome::Unauthorized(status, _) => Some(*status),
            Outcome::TimedOut | Outcome::Unreachable(_) => None,
        }
    }

    /// Why it failed.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Outcome::Response(packet, _) => Cause::Refused {
                status: packet.status().unwrap_or(StatusCode(500)),
                reason: reason_of(packet),
                contacts: contacts_of(packet),
            },
            Outcome::Unauthorized(status, reason) => Cause::Unauthorized {
                status: *status,
                reason: reason.clone(),
            },
            Outcome::TimedOut => Cause::TimedOut,
            Outcome::Unreachable(reason) => Cause::Unreachable {
                reason: reason.clone(),
            },
        }
    }
}

/// The reason phrase of a response; the usual one when it has none.
pub(super) fn reason_of(response: &Packet<'_>) -> String {
    let code = response.status().unwrap_or(StatusCode(500));
    match response.reason() {
        [] => code.reason().to_owned(),
        text => readable(text),
    }
}

/// Where a 3xx points to, the most wanted first (RFC 3261 §8.1.3.4).
pub(super) fn contacts_of(response: &Packet<'_>) -> Vec<String> {
    const MOST: usize = 16;
    if !response.status().is_some_and(StatusCode::is_redirection) {
        return Vec::new();
    }
    let mut found: Vec<(u16, String)> = response
        .all(HeaderName::Contact)
        .flat_map(|h| ContactList::parse(h.value()).addresses())
        .flatten()
        .take(MOST)
        .map(|c| (c.q().unwrap_or(1000), c.uri.to_string()))
        .collect();
    found.sort_by_key(|(q, _)| core::cmp::Reverse(*q));
    found.into_iter().map(|(_, uri)| uri).collect()
}

impl UserAgent {
    /// Takes a request up. The caller notes its id, then lets it go with [`UserAgent::drive`].
    pub(super) fn prepare(
        &mut self,
        tx: &mut Transactions,
        purpose: Purpose,
        account: Option<AccountId>,
        draft: Draft,
        preferred: Option<Flow>,
    ) -> Result<OutboundId, Misuse> {
        if self.outbound.len() >= MAX_REQUESTS {
            return Err(Misuse::Full);
        }
        let mut outbound = Outbound {
            purpose,
            account,
            next: Err(String::new()),
            client: None,
            flow: None,
            credentials: Vec::new(),
            rounds: 0,
            along: false,
            refused: None,
            failed: None,
            contact: None,
            draft,
        };
        // CANCEL and ACK cannot be challenged (RFC 3261 §22.1).
        if outbound.draft.method != Method::Ack {
            authorise(&mut self.accounts, tx, &mut outbound);
        }
        let call = match purpose {
            Purpose::Ack(call, _)
            | Purpose::Bye(call)
            | Purpose::Reinvite(call)
            | Purpose::Update(call)
            | Purpose::Prack(call) => Some(call),
            Purpose::Asked(call) => call,
            Purpose::Refer(transfer) | Purpose::Notify(transfer) => self.call_of_transfer(transfer),
            Purpose::Register(_)
            | Purpose::Invite(_)
            | Purpose::ByeFork
            | Purpose::Subscribe(_)
            | Purpose::Publish(_) => None,
        };
        let direct = call.and_then(|c| self.call_of(c)).is_some_and(|c| c.direct)
            || self.own_dialog(purpose).is_some_and(|own| own.direct);
        match preferred.filter(|_| direct) {
            Some(flow) => {
                outbound.along = true;
                outbound.next = Ok(NextHop::along(flow));
            }
            None => outbound.locate(tx, preferred),
        }
        Ok(self.outbound.insert(outbound))
    }

    /// Sends a request to the next server that may take it.
    pub(super) fn drive(&mut self, now: Time, tx: &mut Transactions, id: OutboundId) {
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        outbound.client = None;
        let next = match outbound.next.as_mut() {
            Ok(next) => next,
            Err(reason) => {
                let reason = reason.clone();
                self.deliver(now, tx, id, Outcome::Unreachable(reason));
                return;
            }
        };
        match next.poll(tx, User::Agent(id.as_u64())) {
            Hop::Send(flow) => self.depart(now, tx, id, flow),
            Hop::Wait => {}
            Hop::End => self.exhausted(now, tx, id),
        }
    }

    /// No server is left: what the last one said is the outcome.
    fn exhausted(&mut self, now: Time, tx: &mut Transactions, id: OutboundId) {
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        if core::mem::take(&mut outbound.along) {
            outbound.locate(tx, None);
            self.drive(now, tx, id);
            return;
        }
        if let Some((stored, flow)) = outbound.refused.take() {
            self.deliver(now, tx, id, Outcome::Response(stored.packet(), flow));
            return;
        }
        let outcome = match outbound.failed {
            Some((Failure::TimedOut, _)) => Outcome::TimedOut,
            Some((Failure::Unreachable, remote)) => {
                Outcome::Unreachable(format!("{remote} does not take SIP messages"))
            }
            None => {
                let uri = readable(outbound.draft.next_uri());
                Outcome::Unreachable(format!("no address found for {uri}"))
            }
        };
        self.deliver(now, tx, id, outcome);
    }

    /// Prints the request for this flow and sends it.
    pub(super) fn depart(&mut self, now: Time, tx: &mut Transactions, id: OutboundId, flow: Flow) {
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        let profile = outbound
            .account
            .and_then(|a| self.accounts.get(Key::from_u64(a.0)));
        let contact = match &outbound.draft.contact {
            Contact::None => None,
            Contact::Ours { user, .. } => Some(contact_uri(tx, profile, user, &flow)),
        };
        let stale = profile
            .filter(|_| outbound.is_register())
            .and_then(|p| p.registration.bound.clone())
            .filter(|bound| Some(bound) != contact.as_ref());
        let user_agent = profile.map_or(self.product.as_str(), |p| p.account.user_agent.as_str());
        let mut via = Vec::with_capacity(96);
        let reserved = if outbound.draft.method == Method::Ack {
            tx.write_stateless_via(&mut via, &flow, 0);
            None
        } else {
            let user = User::Agent(id.as_u64());
            let reserved = tx.reserve_client(user, outbound.draft.method, flow);
            tx.write_via(&mut via, &reserved, &flow, 0);
            Some(reserved)
        };
        let bytes = bytes::Bytes::from(outbound.draft.print(&Departure {
            via: &via,
            contact: contact.as_deref(),
            stale_contact: stale.as_deref(),
            credentials: &outbound.credentials,
            user_agent,
        }));
        outbound.flow = Some(flow);
        outbound.contact = contact;
        match reserved {
            Some(reserved) => outbound.client = Some(tx.start_client(now, reserved, bytes)),
            None => {
                tx.send(flow, bytes.clone());
                let (purpose, cseq) = (outbound.purpose, outbound.draft.cseq);
                self.outbound.remove(id);
                self.note_ack(purpose, cseq, flow, bytes);
            }
        }
    }

    /// A response to one of our requests.
    pub(crate) fn on_response(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        client: ClientId,
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let id = OutboundId::from_u64(token);
        let Some(code) = response.status() else {
            return;
        };
        let Some(outbound) = self.outbound.get(id).filter(|o| o.client == Some(client)) else {
            return;
        };
        self.learn(tx, outbound.account, outbound.flow, response);
        if code.is_provisional() {
            self.on_provisional(now, tx, id, response);
            return;
        }
        if matches!(code.0, 401 | 407) {
            self.on_challenge(now, tx, id, response, flow);
            return;
        }
        self.credentials_taken(id, response);
        if code.0 == 422 && self.asks_longer(now, tx, id, response, flow) {
            return;
        }
        if code.0 == 503 && self.is_wanted(id) {
            if let Some(outbound) = self.outbound.get_mut(id) {
                outbound.refused = Some((response.store(), flow));
            }
            self.drive(now, tx, id);
            return;
        }
        self.deliver(now, tx, id, Outcome::Response(*response, flow));
    }

    /// One of our requests got no response.
    pub(crate) fn on_failure(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        client: ClientId,
        failure: Failure,
    ) {
        let id = OutboundId::from_u64(token);
        let wanted = self.is_wanted(id);
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        let (true, Some(flow)) = (outbound.client == Some(client), outbound.flow) else {
            return;
        };
        outbound.failed = Some((failure, flow.remote));
        if wanted {
            self.drive(now, tx, id);
        } else {
            self.exhausted(now, tx, id);
        }
    }

    /// The name servers answered for one of our requests.
    pub(crate) fn on_answer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        query: &crate::resolve::Query,
        answer: crate::resolve::Answer,
    ) {
        let id = OutboundId::from_u64(token);
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        if let Ok(next) = outbound.next.as_mut() {
            next.answer(query, answer);
        }
        // An answer that comes while a server is being tried is for later.
        if outbound.client.is_none() {
            self.drive(now, tx, id);
        }
    }

    /// Notes in the account where the server saw us (RFC 3581).
    fn learn(
        &mut self,
        tx: &Transactions,
        account: Option<AccountId>,
        flow: Option<Flow>,
        response: &Packet<'_>,
    ) {
        let (Some(profile), Some(flow)) = (account.and_then(|a| self.profile_mut(a)), flow) else {
            return;
        };
        if let Some(via) = response
            .value(HeaderName::Via)
            .and_then(|v| Via::parse(v).ok())
        {
            profile.learn(tx, &flow, &via);
        }
    }

    /// Whether a failed try is worth another one: not for a call that is being cancelled.
    pub(super) fn is_wanted(&self, id: OutboundId) -> bool {
        match self.outbound.get(id).map(|o| o.purpose) {
            Some(Purpose::Invite(call)) => self.call_of(call).is_some_and(|c| c.is_calling()),
            Some(_) => true,
            None => false,
        }
    }

    /// Tells those who wait for a request how it ended.
    pub(super) fn deliver(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        outcome: Outcome<'_>,
    ) {
        let Some(purpose) = self.outbound.get(id).map(|o| o.purpose) else {
            return;
        };
        let success = outcome.status().is_some_and(StatusCode::is_success);
        if let (
            Purpose::Invite(call) | Purpose::Reinvite(call),
            true,
            Outcome::Response(packet, flow),
        ) = (purpose, success, &outcome)
        {
            // It stays: each repetition of the 2xx wants its ACK.
            self.on_accepted(now, tx, call, id, packet, *flow);
            return;
        }
        let Some(outbound) = self.outbound.remove(id) else {
            return;
        };
        match purpose {
            Purpose::Register(account) => {
                self.on_register_outcome(now, tx, account, &outbound, &outcome);
            }
            Purpose::Invite(call) => {
                if !self.redirect(now, tx, call, &outbound, &outcome) {
                    self.on_refused(now, tx, call, &outcome);
                }
            }
            Purpose::Reinvite(call) => self.on_reoffer_refused(now, tx, call, &outcome),
            Purpose::Update(call) => self.on_update_done(now, tx, call, id, &outcome),
            Purpose::Prack(call) => self.on_prack_done(call, id, &outcome),
            Purpose::Bye(call) => self.on_bye_done(now, tx, call),
            Purpose::Asked(call) => self.on_asked_done(tx, RequestId(id.as_u64()), call, &outcome),
            Purpose::Refer(transfer) => self.on_refer_done(now, tx, transfer, &outcome),
            Purpose::Notify(transfer) => self.on_notify_done(now, tx, transfer, &outcome),
            Purpose::Subscribe(id) => self.on_subscribe_done(now, tx, id, &outbound, &outcome),
            Purpose::Publish(id) => self.on_publish_done(now, tx, id, &outcome),
            Purpose::Ack(..) | Purpose::ByeFork => {}
        }
    }
}

impl Outbound {
    pub(super) fn is_register(&self) -> bool {
        matches!(self.purpose, Purpose::Register(_))
    }

    pub(super) fn is_large(&self) -> bool {
        self.draft.size(&self.credentials) > MAX_DATAGRAM
    }

    /// Starts to look for the servers of the next hop.
    pub(super) fn locate(&mut self, tx: &mut Transactions, preferred: Option<Flow>) {
        let large = self.is_large();
        let text = self.draft.next_uri();
        self.next = match Uri::parse(text) {
            Ok(uri) if uri.is_sip() => NextHop::new(tx, &uri, preferred, large)
                .map_err(|e| format!("{}: {e}", readable(text))),
            _ => Err(format!("{} is no SIP address", readable(text))),
        };
    }
}
