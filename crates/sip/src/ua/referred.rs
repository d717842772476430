//! Transfers that are asked of us: a REFER comes, we call the target and report (RFC 3515 §2.4).

use core::time::Duration;

use super::answer::{address_of, cseq_of, is_direct};
use super::call::{Phase, tag_of};
use super::dialog::Dialog;
use super::draft::{Draft, is_clean, readable, unfold};
use super::event::{AccountId, CallId, Cause, Event, Misuse, TransferId};
use super::outbound::{Outcome, Purpose};
use super::own_dialog::OwnDialog;
use super::related::Related;
use super::report::event_of;
use super::transfer::{Path, Role, ours, refer_sub};
use super::{UserAgent, tell};
use crate::flow::Flow;
use crate::header::{self, Expires, HeaderName, NameAddr, ReferTo, Replaces};
use crate::message::{Method, StatusCode};
use crate::respond::{self, Reply};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::wire::Packet;

/// How long the owner may take to decide; the request itself lives no longer than 32 seconds (RFC 4320).
const TO_DECIDE: Duration = Duration::from_secs(20);
/// How long we report, in seconds.
const REPORTED: u32 = 180;

/// A transfer that was asked of us.
#[derive(Debug)]
pub(super) struct Asked {
    account: Option<AccountId>,
    /// The REFER, while it is undecided.
    server: Option<ServerId>,
    target: String,
    /// Replaces, Require and Referred-By for the new INVITE.
    headers: Vec<(String, String)>,
    /// What tells it from other REFERs of the dialog.
    event_id: Option<u32>,
    cseq: u32,
    /// The peer wants no reports (RFC 4488).
    quiet: bool,
    /// When the subscription ends.
    until: Time,
    /// What we know of the new call.
    status: StatusCode,
    reason: String,
    over: Option<&'static str>,
    /// A NOTIFY is on its way.
    busy: bool,
    /// There is more to tell than it says.
    more: bool,
    /// It says that this is all.
    last_sent: bool,
}

impl UserAgent {
    /// A REFER inside a call.
    pub(super) fn on_refer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        call: CallId,
        packet: &Packet<'_>,
    ) -> Result<(), StatusCode> {
        if !self.may_keep_transfer(Some(call)) {
            return Err(StatusCode(503));
        }
        let known = self.live_call(call).map_err(|_| StatusCode(481))?;
        if known.phase != Phase::Up {
            // There is nothing to transfer yet, or any more.
            return Err(StatusCode(491));
        }
        let account = known.account;
        let mut asked = read(packet, account)?;
        let number = known.related.referred_before.then_some(asked.cseq);
        asked.event_id = number;
        known.related.referred_before = true;
        if let Some(leg) = known.leg_mut() {
            leg.dialog.refresh_target(packet);
        }
        self.take_refer(now, tx, Path::Call(call), asked, (server, packet));
        Ok(())
    }

    /// A REFER outside any call: click-to-dial (RFC 5359 §2.18).
    pub(super) fn on_refer_outside(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        (packet, source): (&Packet<'_>, Flow),
        account: Option<AccountId>,
    ) -> Result<(), StatusCode> {
        let profile = account.and_then(|a| self.profile(a));
        let profile = profile.filter(|p| p.account.refer_outside_calls);
        let user = profile.ok_or(StatusCode(403))?.user.clone();
        if !self.may_keep_transfer(None) {
            return Err(StatusCode(503));
        }
        let mut asked = read(packet, account)?;
        asked.event_id = None;
        let local_tag = tx.local_tag(server);
        let dialog = Dialog::from_request(packet, &local_tag).ok_or(StatusCode(400))?;
        let way = (source, is_direct(packet, &source));
        let own = OwnDialog::incoming(account, user, local_tag, dialog, way);
        let path = Path::Own(Box::new(own));
        self.take_refer(now, tx, path, asked, (server, packet));
        Ok(())
    }

    fn take_refer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        path: Path,
        mut asked: Asked,
        (server, packet): (ServerId, &Packet<'_>),
    ) {
        asked.server = Some(server);
        let (account, target) = (asked.account, asked.target.clone());
        let replaces = asked.headers.iter().any(|(name, _)| name == "Replaces");
        let (_, from) = address_of(packet, HeaderName::From);
        let id = self.keep_transfer(tx, path, Role::Asked(asked));
        let call = self.transfer_mut(id).and_then(|t| t.call());
        self.wake_transfer_in(now, tx, id, TO_DECIDE);
        tell(
            tx,
            Event::TransferRequested {
                transfer: id,
                call,
                account,
                target,
                replaces,
                referred_by: super::transfer::referred_by(packet).unwrap_or(from),
            },
        );
    }

    fn asked(&mut self, id: TransferId) -> Option<&mut Asked> {
        match &mut self.transfers.get_mut(Key::from_u64(id.0))?.role {
            Role::Asked(asked) => Some(asked),
            Role::Asking(_) => None,
        }
    }

    fn undecided(&mut self, id: TransferId) -> Result<ServerId, Misuse> {
        let asked = self.asked(id).ok_or(Misuse::Gone)?;
        asked.server.ok_or(Misuse::WrongState)
    }

    /// Does what a transfer asks for: calls its target with `offer` and reports to the one who asked
    /// how that goes. The call that the request came in stays as it is; the peer is expected to end it.
    ///
    /// # Errors
    /// [`Misuse::Gone`], [`Misuse::WrongState`] when it is decided already; and as
    /// [`UserAgent::call`], after which the transfer has failed.
    pub fn accept_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        transfer: TransferId,
        offer: Option<Vec<u8>>,
        headers: &[(String, String)],
    ) -> Result<CallId, Misuse> {
        let server = self.undecided(transfer)?;
        super::call::check_headers(headers)?;
        self.answer_refer(now, tx, transfer, server);
        let asked = self.asked(transfer).ok_or(Misuse::Gone)?;
        asked.server = None;
        asked.until = now + Duration::from_secs(u64::from(REPORTED));
        let (account, target) = (asked.account, asked.target.clone());
        let mut all = headers.to_vec();
        all.extend(asked.headers.iter().cloned());
        self.report(now, tx, transfer, StatusCode(100), "Trying", false);
        let rest = Duration::from_secs(u64::from(REPORTED));
        self.wake_transfer_in(now, tx, transfer, rest);
        let call = match account {
            Some(account) => {
                let anonymous = self.profile(account).is_some_and(|p| p.account.anonymous);
                let related = Related {
                    referred: Some(transfer),
                    ..Related::default()
                };
                self.place(now, tx, account, &target, offer, &all, anonymous, related)
            }
            None => Err(Misuse::NoAccount),
        };
        if call.is_err() {
            let code = StatusCode(503);
            self.report(now, tx, transfer, code, code.reason(), true);
        }
        call
    }

    /// Takes a transfer over: the owner itself calls the target, and tells with
    /// [`UserAgent::report_transfer`] how that goes.
    ///
    /// # Errors
    /// [`Misuse::Gone`], [`Misuse::WrongState`] when it is decided already.
    pub fn take_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        transfer: TransferId,
    ) -> Result<(), Misuse> {
        let server = self.undecided(transfer)?;
        self.answer_refer(now, tx, transfer, server);
        let rest = Duration::from_secs(u64::from(REPORTED));
        let asked = self.asked(transfer).ok_or(Misuse::Gone)?;
        asked.server = None;
        asked.until = now + rest;
        self.report(now, tx, transfer, StatusCode(100), "Trying", false);
        self.wake_transfer_in(now, tx, transfer, rest);
        Ok(())
    }

    /// Reports about a transfer that was taken over; a final status is the last report. One that is no
    /// more has nobody to be told.
    pub fn report_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        transfer: TransferId,
        status: StatusCode,
        reason: &str,
    ) {
        self.report(now, tx, transfer, status, reason, status.is_final());
    }

    /// The headers that the new call is to carry, as the one who asks wants it: Replaces, Referred-By.
    pub fn transfer_headers(&self, transfer: TransferId) -> Vec<(String, String)> {
        let known = self.transfers.get(Key::from_u64(transfer.0));
        match known.map(|t| &t.role) {
            Some(Role::Asked(asked)) => asked.headers.clone(),
            _ => Vec::new(),
        }
    }

    /// The call of ours whose dialog this Replaces value names (RFC 3891 §3), from whichever side it is seen:
    /// it is written for the one who is in the dialog with whoever writes it.
    pub fn replaced_call(&self, tx: &Transactions, replaces: &str) -> Option<CallId> {
        let replaces = Replaces::parse(replaces.as_bytes()).ok()?;
        [replaces.to_tag, replaces.from_tag]
            .into_iter()
            .find_map(|tag| self.find_call(tx, replaces.call_id, tag))
    }

    /// Refuses to do what a transfer asks for.
    ///
    /// # Errors
    /// [`Misuse::Gone`], [`Misuse::WrongState`] when it is decided already; [`Misuse::Status`] below 300.
    pub fn refuse_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        transfer: TransferId,
        status: StatusCode,
    ) -> Result<(), Misuse> {
        if !matches!(status.0, 300..=699) {
            return Err(Misuse::Status);
        }
        let server = self.undecided(transfer)?;
        tx.respond(now, server, &Reply::new(status));
        self.drop_transfer(now, tx, transfer);
        Ok(())
    }

    /// 202 to the REFER.
    fn answer_refer(&mut self, now: Time, tx: &mut Transactions, id: TransferId, server: ServerId) {
        let Some(transfer) = self.transfers.get(Key::from_u64(id.0)) else {
            return;
        };
        let Role::Asked(asked) = &transfer.role else {
            return;
        };
        let (user, tag, own) = match &transfer.path {
            Path::Own(own) => (own.user.clone(), tx.local_tag(server), true),
            Path::Call(call) => match self.call_of(*call) {
                Some(call) => (call.user.clone(), call.local_tag.clone(), false),
                None => return,
            },
        };
        let quiet = asked.quiet;
        let profile = asked.account.and_then(|a| self.profile(a));
        let (Some(request), Some(flow)) = (tx.request(server), tx.request_flow(server)) else {
            return;
        };
        let contact = super::account::contact_uri(tx, profile, &user, &flow);
        let contact = format!("<{contact}>");
        let mut reply = Reply::new(StatusCode(202)).header("Contact", &contact);
        if quiet {
            reply = reply.header("Refer-Sub", "false");
        }
        reply.record_route = own;
        let bytes = respond::print(&request, flow.remote, &reply, &tag);
        tx.respond_with(now, server, StatusCode(202), bytes.into());
    }

    /// The call that a transfer asked for has come so far.
    pub(super) fn report_call(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        status: StatusCode,
        reason: &str,
    ) {
        if let Some(transfer) = self.call_of(call).and_then(|c| c.related.referred) {
            let over = status.is_final();
            if let Some(call) = self.call_mut(call).filter(|_| over) {
                call.related.referred = None;
            }
            self.report(now, tx, transfer, status, reason, over);
        }
    }

    /// The call that a transfer asked for is over, perhaps before it stood.
    pub(super) fn report_end(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        cause: &Cause,
    ) {
        let (status, reason) = match cause {
            Cause::Refused { status, reason, .. } | Cause::Unauthorized { status, reason } => {
                (*status, reason.as_str())
            }
            Cause::TimedOut => (StatusCode(408), StatusCode(408).reason()),
            Cause::Unreachable { .. } => (StatusCode(503), StatusCode(503).reason()),
            _ => (StatusCode(487), StatusCode(487).reason()),
        };
        self.report_call(now, tx, call, status, reason);
    }

    fn report(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        status: StatusCode,
        reason: &str,
        over: bool,
    ) {
        let Some(asked) = self.asked(id).filter(|a| a.over.is_none()) else {
            return;
        };
        asked.status = status;
        asked.reason = reason.to_owned();
        if over {
            asked.over = Some("noresource");
        }
        if !asked.quiet {
            self.notify(now, tx, id);
        } else if over {
            self.drop_transfer(now, tx, id);
        }
    }

    /// Sends NOTIFY with the latest state; one at a time, so that they cannot overtake each other.
    fn notify(&mut self, now: Time, tx: &mut Transactions, id: TransferId) {
        let Some(transfer) = self.transfers.get_mut(Key::from_u64(id.0)) else {
            return;
        };
        let Role::Asked(asked) = &mut transfer.role else {
            return;
        };
        if asked.busy {
            asked.more = true;
            return;
        }
        let headers = asked.notify_headers(now);
        let body = format!("SIP/2.0 {} {}\r\n", asked.status.0, clean(&asked.reason));
        asked.busy = true;
        asked.more = false;
        asked.last_sent = asked.over.is_some();
        let draft = match &mut transfer.path {
            Path::Own(own) => own.dialog.as_mut().map(|dialog| {
                let user = own.user.clone();
                (dialog.request(Method::Notify), user, own.account, own.flow)
            }),
            Path::Call(call) => {
                let call = *call;
                self.call_mut(call).and_then(|call| {
                    let (user, account, flow) = (call.user.clone(), call.account, call.flow);
                    Some((call.draft(Method::Notify)?, user, account, flow))
                })
            }
        };
        let sent = draft.and_then(|(draft, user, account, flow)| {
            let draft = Draft {
                contact: ours(&user),
                headers,
                body: Some(("message/sipfrag;version=2.0".to_owned(), body.into_bytes())),
                ..draft
            };
            let purpose = Purpose::Notify(id);
            self.prepare(tx, purpose, account, draft, flow).ok()
        });
        match sent {
            Some(request) => self.drive(now, tx, request),
            None => self.drop_transfer(now, tx, id),
        }
    }

    /// A NOTIFY was answered, or was not.
    pub(super) fn on_notify_done(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        outcome: &Outcome<'_>,
    ) {
        let Some(asked) = self.asked(id) else {
            return;
        };
        asked.busy = false;
        let heard = outcome.status().is_some_and(StatusCode::is_success);
        if !heard || asked.last_sent {
            // Who does not want to hear has unsubscribed (RFC 6665 §4.2.2).
            self.drop_transfer(now, tx, id);
        } else if asked.more {
            self.notify(now, tx, id);
        }
    }

    /// SUBSCRIBE of the one who asked: to hear longer, or no more (RFC 3515 §2.4.4).
    pub(super) fn on_refer_subscribe(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        candidates: &[TransferId],
        packet: &Packet<'_>,
    ) -> Result<(), StatusCode> {
        let event = event_of(packet)?;
        if event.package != b"refer" {
            return Err(StatusCode(489));
        }
        let found = candidates
            .iter()
            .copied()
            .find(|id| self.asked(*id).is_some_and(|a| a.is_meant(&event)));
        let id = found.ok_or(StatusCode(481))?;
        let wanted = packet
            .value(HeaderName::Expires)
            .map_or(REPORTED, |v| Expires::parse(v).0)
            .min(REPORTED);
        let expires = wanted.to_string();
        let reply = Reply::new(StatusCode(200)).header("Expires", &expires);
        tx.respond(now, server, &reply);
        let rest = Duration::from_secs(u64::from(wanted));
        if let Some(asked) = self.asked(id) {
            asked.until = now + rest;
            if wanted == 0 && asked.over.is_none() {
                asked.over = Some("timeout");
            }
        }
        self.wake_transfer_in(now, tx, id, rest);
        self.notify(now, tx, id);
        Ok(())
    }

    /// The timer of a transfer that was asked of us: the owner did not decide, or we have reported long
    /// enough.
    pub(super) fn on_asked_alarm(&mut self, now: Time, tx: &mut Transactions, id: TransferId) {
        if self.lapse_if_undecided(now, tx, id) {
            return;
        }
        if let Some(asked) = self.asked(id)
            && asked.over.is_none()
            && !asked.quiet
        {
            asked.over = Some("timeout");
            self.notify(now, tx, id);
        } else if !self.asked(id).is_some_and(|a| a.busy) {
            self.drop_transfer(now, tx, id);
        }
    }

    pub(super) fn lapse_if_undecided(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
    ) -> bool {
        let Some(server) = self.asked(id).and_then(|a| a.server) else {
            return false;
        };
        tx.respond(now, server, &Reply::new(StatusCode(603)));
        self.drop_transfer(now, tx, id);
        tell(tx, Event::TransferLapsed { transfer: id });
        true
    }
}

impl Asked {
    fn notify_headers(&self, now: Time) -> Vec<(String, String)> {
        let event = match self.event_id {
            Some(id) => format!("refer;id={id}"),
            None => "refer".to_owned(),
        };
        let state = match self.over {
            Some(why) => format!("terminated;reason={why}"),
            None => format!("active;expires={}", self.until.since(now).as_secs()),
        };
        [("Event", event), ("Subscription-State", state)]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }

    /// Whether a SUBSCRIBE with this Event is for it.
    fn is_meant(&self, event: &header::Event<'_>) -> bool {
        let number = event
            .id()
            .map(|id| core::str::from_utf8(id).ok().and_then(|t| t.parse().ok()));
        self.server.is_none()
            && match number {
                Some(number) => number == Some(self.cseq),
                None => self.event_id.is_none(),
            }
    }
}

/// What a REFER asks for; else why it is refused.
fn read(packet: &Packet<'_>, account: Option<AccountId>) -> Result<Asked, StatusCode> {
    if packet.has_many(HeaderName::ReferTo) {
        return Err(StatusCode(400));
    }
    let value = unfold(packet.value(HeaderName::ReferTo).ok_or(StatusCode(400))?);
    let refer_to = ReferTo::parse(&value).map_err(|_| StatusCode(400))?;
    let uri = &refer_to.0.uri;
    if !uri.is_sip() && uri.scheme != crate::uri::Scheme::Tel {
        return Err(StatusCode(416));
    }
    if &*refer_to.method() != b"INVITE" {
        return Err(StatusCode(501));
    }
    let target = bare(&readable(uri.as_bytes()));
    let mut headers = Vec::new();
    if let Some(replaces) = refer_to.replaces() {
        Replaces::parse(&replaces).map_err(|_| StatusCode(400))?;
        let replaces = readable(&replaces);
        if !is_clean(replaces.as_bytes()) {
            return Err(StatusCode(400));
        }
        headers.push(("Replaces".to_owned(), replaces));
        let required = uri.header(b"Require").map(crate::uri::unescape);
        if required.is_some_and(|v| header::Tokens::parse(&v).has(b"replaces")) {
            headers.push(("Require".to_owned(), "replaces".to_owned()));
        }
    }
    let by = match packet.value(HeaderName::ReferredBy) {
        Some(value) => unfold(value),
        None => {
            let from = tag_of(packet, HeaderName::From).and(packet.value(HeaderName::From));
            let from = from.and_then(|v| NameAddr::parse(v).ok());
            from.map(|f| [b"<", f.uri.as_bytes(), b">"].concat())
                .unwrap_or_default()
        }
    };
    let by = String::from_utf8_lossy(&by).into_owned();
    if !by.is_empty() && is_clean(by.as_bytes()) {
        headers.push(("Referred-By".to_owned(), by));
    }
    Ok(Asked {
        account,
        server: None,
        target,
        headers,
        event_id: None,
        cseq: cseq_of(packet),
        quiet: refer_sub(packet) == Some(false),
        until: Time::ZERO,
        status: StatusCode(100),
        reason: String::new(),
        over: None,
        busy: false,
        more: false,
        last_sent: false,
    })
}

/// A URI without headers and without `method`.
fn bare(uri: &str) -> String {
    let plain = uri.split('?').next().unwrap_or_default();
    let mut parts = plain.split(';');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let name = part.split('=').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("method") {
            out.push(';');
            out.push_str(part);
        }
    }
    out
}

/// A reason phrase that may stand in a status line.
fn clean(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_loses_what_may_not_stand_in_a_request_line() {
        assert_eq!(bare("sip:a@b;method=INVITE;x=y?Replaces=1"), "sip:a@b;x=y");
        assert_eq!(bare("sip:a@b"), "sip:a@b");
        assert_eq!(clean("Ring\r\ning"), "Ringing");
    }
}
