//! Requests outside dialogs: those that the owner hands over, and those that it sends (RFC 3261 §8).

use super::call::check_headers;
use super::draft::{Contact, Draft, is_clean, is_token};
use super::event::{AccountId, CallId, Event, Misuse, RequestId};
use super::extension::refuse_unknown;
use super::inside::{content_type, stored_request};
use super::outbound::{Outcome, Purpose, reason_of};
use super::{ALLOW, UserAgent, answer, call, tell};
use crate::header::{ContentType, HeaderName, MediaRange, Tokens};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::uri::{Scheme, Uri};
use crate::wire::Packet;

/// The bodies that we read, as Accept tells whoever asks.
const ACCEPT: &str = "application/sdp, message/sipfrag";

/// How many requests outside dialogs are remembered for telling merged ones.
const MAX_ARRIVED: usize = 20_000;

impl UserAgent {
    /// Takes a request that is for us: a call becomes [`Event::Incoming`], a message
    /// [`Event::Message`], everything else is answered by RFC 3261 §8.2. Yields the new call.
    pub fn accept_request(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        account: Option<AccountId>,
    ) -> Option<CallId> {
        self.take_request(now, tx, server, account, true)
    }

    /// The same for a call that the owner connects as it likes: whatever Replaces says, no call of ours ends
    /// for it.
    pub fn accept_to_bridge(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
    ) -> Option<CallId> {
        self.take_request(now, tx, server, None, false)
    }

    fn take_request(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        account: Option<AccountId>,
        replaces: bool,
    ) -> Option<CallId> {
        let (request, source) = stored_request(tx, server)?;
        let packet = request.packet();
        let method = packet.method().unwrap_or(Method::Extension);
        if let Err(code) = self.inspect(tx, server, &packet, method) {
            let mut reply = Reply::new(code);
            if matches!(code.0, 405 | 501) {
                reply = reply.header("Allow", ALLOW);
            }
            tx.respond(now, server, &reply);
            return None;
        }
        let extensions = self.extensions(account);
        if refuse_unknown(now, tx, server, &packet, &extensions)
            || refuse_body(now, tx, server, &packet, method)
        {
            return None;
        }
        match method {
            Method::Invite => {
                return self.on_call(now, tx, server, (request, source), account, replaces);
            }
            Method::Options => self.answer_options(now, tx, server, account),
            Method::Refer => {
                let refer = (&packet, source);
                if let Err(code) = self.on_refer_outside(now, tx, server, refer, account) {
                    tx.respond(now, server, &Reply::new(code));
                }
            }
            Method::Notify => {
                if let Err(code) = self.on_unsolicited(now, tx, server, &packet, account) {
                    tx.respond(now, server, &Reply::new(code));
                }
            }
            _ => {
                tx.respond(now, server, &Reply::new(StatusCode(200)));
                let (_, from) = answer::address_of(&packet, HeaderName::From);
                let (_, to) = answer::address_of(&packet, HeaderName::To);
                tell(
                    tx,
                    Event::Message {
                        account,
                        from,
                        to,
                        content_type: content_type(&packet),
                        body: packet.body().to_vec(),
                    },
                );
            }
        }
        None
    }

    /// Method, dialog, address and merging (§8.2.1, §8.2.2, §12.2.2).
    fn inspect(
        &mut self,
        tx: &Transactions,
        server: ServerId,
        packet: &Packet<'_>,
        method: Method,
    ) -> Result<(), StatusCode> {
        let tagged = call::tag_of(packet, HeaderName::To).is_some();
        match method {
            Method::Invite | Method::Options | Method::Message if !tagged => {}
            Method::Refer | Method::Notify if !tagged => {}
            Method::Extension => return Err(StatusCode(501)),
            Method::Info
            | Method::Bye
            | Method::Ack
            | Method::Cancel
            | Method::Prack
            | Method::Update => return Err(StatusCode(481)),
            _ if tagged => return Err(StatusCode(481)),
            _ => return Err(StatusCode(405)),
        }
        let scheme = Uri::parse(packet.request_uri()).map(|u| u.scheme);
        if !matches!(scheme, Ok(Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
            return Err(StatusCode(416));
        }
        if self.is_merged(tx, server, packet) {
            return Err(StatusCode(482));
        }
        if packet.method() == Some(Method::Invite) && !accepts_sdp(packet) {
            return Err(StatusCode(406));
        }
        Ok(())
    }

    /// Whether the same request came another way (§8.2.2.2).
    fn is_merged(&mut self, tx: &Transactions, server: ServerId, packet: &Packet<'_>) -> bool {
        let key = tx.keyed_hash(&[
            b"merged",
            call::tag_of(packet, HeaderName::From).unwrap_or_default(),
            packet.call_id(),
            packet.value(HeaderName::CSeq).unwrap_or_default(),
        ]);
        // The oldest make room, a few at a time, so that a flood costs each request the same.
        while let Some((oldest, arrived)) = self.arrivals.front().copied() {
            let gone = tx.request_method(arrived).is_none();
            if !gone && self.arrivals.len() < MAX_ARRIVED {
                break;
            }
            self.arrivals.pop_front();
            if self.arrived.get(&oldest) == Some(&arrived) {
                self.arrived.remove(&oldest);
            }
        }
        match self.arrived.get(&key) {
            Some(other) if *other != server && tx.request_method(*other).is_some() => true,
            _ => {
                self.arrived.insert(key, server);
                self.arrivals.push_back((key, server));
                false
            }
        }
    }

    /// 200 to OPTIONS: what we can do (§11.2).
    pub(super) fn answer_options(
        &self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        account: Option<AccountId>,
    ) {
        let contact = account.and_then(|a| self.profile(a)).and_then(|profile| {
            let flow = tx.request_flow(server)?;
            let uri = super::account::contact_uri(tx, Some(profile), &profile.user, &flow);
            Some(format!("<{uri}>"))
        });
        let supported = self.extensions(account).supported();
        let mut reply = Reply::new(StatusCode(200))
            .header("Allow", ALLOW)
            .header("Accept", ACCEPT)
            .header("Accept-Encoding", "identity")
            .header("Allow-Events", super::ALLOW_EVENTS)
            .header("Supported", &supported);
        let packages = self.recv_info();
        if let Some(packages) = &packages {
            reply = reply.header("Recv-Info", packages);
        }
        if let Some(contact) = &contact {
            reply = reply.header("Contact", contact);
        }
        if !self.product.is_empty() {
            reply = reply.header("Server", &self.product);
        }
        reply.body = self
            .capabilities
            .as_deref()
            .map(|session| ("application/sdp", session));
        tx.respond(now, server, &reply);
    }

    /// Asks `target` what it can do (§11.1); the answer is [`Event::Response`].
    ///
    /// # Errors
    /// As [`UserAgent::request`].
    pub fn options(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
    ) -> Result<RequestId, Misuse> {
        let accept = [("Accept".to_owned(), "application/sdp".to_owned())];
        self.request(now, tx, account, "OPTIONS", target, &accept, None)
    }

    /// Sends a request outside any dialog: OPTIONS, MESSAGE and their like. `body` is Content-Type
    /// and content.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Address`], [`Misuse::Header`], [`Misuse::Full`];
    /// [`Misuse::Method`] for methods that have an operation of their own.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub fn request(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: Option<(&str, &[u8])>,
    ) -> Result<RequestId, Misuse> {
        let known = checked_method(method)?;
        let mut draft = self.outside_draft(tx, account, known, target, headers)?;
        dress(&mut draft, method, body)?;
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let anonymous = profile.account.anonymous;
        let (from, user) = profile.face(anonymous);
        draft.from = format!("{from};tag={}", tx.random.token()).into_bytes();
        if anonymous {
            draft.headers.extend(profile.privacy());
        }
        if known == Method::Options {
            draft.contact = Contact::Ours {
                user: user.to_owned(),
                params: String::new(),
            };
        }
        let preferred = profile.registration.flow;
        let id = self.prepare(tx, Purpose::Asked(None), Some(account), draft, preferred)?;
        self.drive(now, tx, id);
        Ok(RequestId(id.as_u64()))
    }

    /// Sends a request inside a call that stands: INFO, MESSAGE and their like.
    ///
    /// # Errors
    /// [`Misuse::NoCall`], [`Misuse::WrongState`] before the call stands, [`Misuse::Header`],
    /// [`Misuse::Full`]; [`Misuse::Method`] for methods that have an operation of their own.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub fn request_in(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        method: &str,
        headers: &[(String, String)],
        body: Option<(&str, &[u8])>,
    ) -> Result<RequestId, Misuse> {
        let known = checked_method(method)?;
        check_headers(headers)?;
        let call = self.live_call(id)?;
        if call.phase != call::Phase::Up {
            return Err(Misuse::WrongState);
        }
        let (account, flow) = (call.account, call.flow);
        let leg = call.leg_mut().ok_or(Misuse::WrongState)?;
        let mut draft = leg.dialog.request(known);
        draft.headers = headers.to_vec();
        dress(&mut draft, method, body)?;
        let request = self.prepare(tx, Purpose::Asked(Some(id)), account, draft, flow)?;
        self.drive(now, tx, request);
        Ok(RequestId(request.as_u64()))
    }

    /// A request of the owner's ended.
    pub(super) fn on_asked_done(
        &mut self,
        tx: &mut Transactions,
        request: RequestId,
        call: Option<CallId>,
        outcome: &Outcome<'_>,
    ) {
        let event = match outcome {
            Outcome::Response(packet, _) => Event::Response {
                request,
                call,
                status: packet.status().unwrap_or(StatusCode(500)),
                reason: reason_of(packet),
                response: packet.store(),
            },
            other => Event::RequestFailed {
                request,
                call,
                cause: other.cause(),
            },
        };
        tell(tx, event);
    }

    /// A request outside dialogs, without its From (RFC 3261 §8.1.1).
    pub(super) fn outside_draft(
        &self,
        tx: &mut Transactions,
        account: AccountId,
        method: Method,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<Draft, Misuse> {
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        check_headers(headers)?;
        let target = profile.target(target)?;
        let mut draft = Draft::new(method, &target);
        draft.route(target.as_bytes(), &profile.routes());
        draft.to = format!("<{target}>").into_bytes();
        draft.call_id = tx.call_id();
        draft.headers = headers.to_vec();
        Ok(draft)
    }
}

/// Adds the name of an unknown method, and the body.
fn dress(draft: &mut Draft, method: &str, body: Option<(&str, &[u8])>) -> Result<(), Misuse> {
    if draft.method == Method::Extension {
        draft.extension = method.to_owned();
    }
    if let Some((kind, content)) = body {
        if !is_clean(kind.as_bytes()) || ContentType::parse(kind.as_bytes()).is_err() {
            return Err(Misuse::Header);
        }
        draft.body = Some((kind.to_owned(), content.to_vec()));
    }
    Ok(())
}

/// A method that may be sent as a plain request.
fn checked_method(method: &str) -> Result<Method, Misuse> {
    let known = Method::from_bytes(method.as_bytes());
    let own_way = matches!(
        known,
        Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Register
            | Method::Prack
            | Method::Update
    );
    if own_way || !is_token(method) {
        return Err(Misuse::Method);
    }
    Ok(known)
}

/// 415 to a body that we cannot read and that is not optional (RFC 3261 §8.2.3).
fn refuse_body(
    now: Time,
    tx: &mut Transactions,
    server: ServerId,
    packet: &Packet<'_>,
    method: Method,
) -> bool {
    if packet.body().is_empty() || is_optional(packet) {
        return false;
    }
    let plain = packet
        .value(HeaderName::ContentEncoding)
        .is_none_or(|v| Tokens::parse(v).all(|t| t.eq_ignore_ascii_case(b"identity")));
    let readable = method != Method::Invite
        || packet
            .value(HeaderName::ContentType)
            .is_some_and(|v| ContentType::parse(v).is_ok_and(|kind| kind.is("application", "sdp")));
    if plain && readable {
        return false;
    }
    let reply = Reply::new(StatusCode(415))
        .header("Accept", "application/sdp")
        .header("Accept-Encoding", "identity");
    tx.respond(now, server, &reply);
    true
}

/// Whether the caller would read the session description of an answer (§20.1); without Accept it does (§13.2.1).
fn accepts_sdp(packet: &Packet<'_>) -> bool {
    let mut ranges = packet
        .all(HeaderName::Accept)
        .flat_map(|h| MediaRange::parse_list(h.value()))
        .filter_map(Result::ok)
        .peekable();
    ranges.peek().is_none() || ranges.any(|r| r.contains("application", "sdp"))
}

/// Whether the sender does not mind when its body is not understood (§20.11).
fn is_optional(packet: &Packet<'_>) -> bool {
    packet
        .value(HeaderName::ContentDisposition)
        .and_then(|v| crate::header::ContentDisposition::parse(v).ok())
        .is_some_and(|d| d.is_optional())
}
