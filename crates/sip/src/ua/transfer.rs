//! Transfers that we ask for: REFER, and what the peer reports about it (RFC 3515, 5589).
//!
//! A transfer lives in the dialog of its call, which it may outlive: the peer reports to the end even
//! when the call has been hung up (RFC 5057 §3).

use core::time::Duration;

use super::call::Phase;
use super::draft::{Contact, readable, unfold};
use super::event::{AccountId, CallId, Cause, Event, Misuse, TransferId};
use super::outbound::{Outcome, Purpose};
use super::own_dialog::OwnDialog;
use super::referred::Asked;
use super::{Alarm, SUPPORTED, UserAgent, alarm, tell};
use crate::header::{HeaderName, NameAddr};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};
use crate::wire::Packet;

/// The most transfers at once.
pub const MAX_TRANSFERS: usize = 10_000;
/// The most transfers in one call.
const MAX_IN_CALL: usize = 8;
/// How often a REFER goes again because the peer was changing the session (491).
const MAX_GLARES: u8 = 5;
/// How often a REFER that waits for an open offer looks whether it is closed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) path: Path,
    pub(super) role: Role,
    /// The timer that counts.
    pub(super) serial: u32,
}

/// The dialog that a transfer lives in.
#[derive(Debug)]
pub(super) enum Path {
    Call(CallId),
    /// One of its own, for a REFER outside any call.
    Own(Box<OwnDialog>),
}

#[derive(Debug)]
pub(super) enum Role {
    /// We asked the peer.
    Asking(Asking),
    /// The peer asked us.
    Asked(Asked),
}

/// A transfer that we asked for.
#[derive(Debug)]
pub(super) struct Asking {
    to: ReferTo,
    /// The number of the REFER, which is the id of its reports.
    pub(super) cseq: Option<u32>,
    pub(super) stage: Stage,
    glares: u8,
    /// How long it waits for an open offer.
    until: Time,
}

#[derive(Clone, Debug)]
enum ReferTo {
    Address(String),
    /// The peer of another call of ours, in place of us (attended transfer).
    Call(CallId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The session is being changed: a REFER now would be refused with 491.
    Waiting,
    Sent,
    Accepted,
    /// The owner has been told the end; a last report may still come.
    Told,
}

impl Transfer {
    pub(super) fn call(&self) -> Option<CallId> {
        match self.path {
            Path::Call(call) => Some(call),
            Path::Own(_) => None,
        }
    }
}

impl UserAgent {
    /// Asks the peer of a call that stands to call `target` instead (unattended transfer, RFC 5589 §6).
    /// While an offer is open, ours or the peer's, the request waits for it.
    ///
    /// # Errors
    /// [`Misuse::NoCall`], [`Misuse::WrongState`] before the call stands, [`Misuse::NoAccount`],
    /// [`Misuse::Address`], [`Misuse::Full`].
    pub fn transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        target: &str,
    ) -> Result<TransferId, Misuse> {
        let account = self.live_call(call)?.account.ok_or(Misuse::NoAccount)?;
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let target = profile.target(target)?;
        self.ask(now, tx, call, ReferTo::Address(target))
    }

    /// Asks the peer of a call that stands to call the peer of another one, and to take our place in
    /// it (attended transfer, RFC 5589 §7): both calls end when it succeeds.
    ///
    /// # Errors
    /// As [`UserAgent::transfer`]; both calls have to stand.
    pub fn transfer_to(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        other: CallId,
    ) -> Result<TransferId, Misuse> {
        if call == other || self.live_call(other)?.phase != Phase::Up {
            return Err(Misuse::WrongState);
        }
        self.ask(now, tx, call, ReferTo::Call(other))
    }

    /// Asks `whom`, with whom we have no call, to call `target` (click-to-dial, RFC 5359 §2.18).
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Address`], [`Misuse::Full`].
    pub fn refer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        whom: &str,
        target: &str,
    ) -> Result<TransferId, Misuse> {
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let target = format!("<{}>", profile.target(target)?);
        self.refer_outside(now, tx, account, whom, &target)
    }

    /// Asks `whom`, with whom we have no call, to take our place in one that stands: call park and music
    /// on hold (RFC 5359 §2.3, §2.15). The call ends when its peer is taken over.
    ///
    /// # Errors
    /// [`Misuse::NoCall`], [`Misuse::WrongState`] before the call stands, and as [`UserAgent::refer`].
    pub fn hand_over(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        whom: &str,
    ) -> Result<TransferId, Misuse> {
        let known = self.live_call(call)?;
        if known.phase != Phase::Up {
            return Err(Misuse::WrongState);
        }
        let account = known.account.ok_or(Misuse::NoAccount)?;
        let refer_to = self.in_place_of_us(call).ok_or(Misuse::WrongState)?;
        self.refer_outside(now, tx, account, whom, &refer_to)
    }

    fn refer_outside(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        whom: &str,
        refer_to: &str,
    ) -> Result<TransferId, Misuse> {
        if self.transfers.len() >= MAX_TRANSFERS {
            return Err(Misuse::Full);
        }
        let mut draft = self.outside_draft(tx, account, Method::Refer, whom, &[])?;
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let (preferred, user) = (profile.registration.flow, profile.user.clone());
        let local_tag = tx.random.token();
        draft.from = format!("{};tag={local_tag}", profile.local).into_bytes();
        draft.contact = ours(&user);
        draft.headers = refer_headers(refer_to, &profile.account.address_of_record);
        let own = OwnDialog::outgoing(account, user, draft.call_id.clone(), local_tag);
        let asking = Asking {
            to: ReferTo::Address(refer_to.to_owned()),
            cseq: Some(draft.cseq),
            stage: Stage::Sent,
            glares: 0,
            until: now,
        };
        let id = self.keep_transfer(tx, Path::Own(Box::new(own)), Role::Asking(asking));
        let purpose = Purpose::Refer(id);
        match self.prepare(tx, purpose, Some(account), draft, preferred) {
            Ok(request) => {
                self.drive(now, tx, request);
                Ok(id)
            }
            Err(misuse) => {
                self.drop_transfer(now, tx, id);
                Err(misuse)
            }
        }
    }

    fn ask(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        to: ReferTo,
    ) -> Result<TransferId, Misuse> {
        if self.live_call(call)?.phase != Phase::Up {
            return Err(Misuse::WrongState);
        }
        if !self.may_keep_transfer(Some(call)) {
            return Err(Misuse::Full);
        }
        let asking = Asking {
            to,
            cseq: None,
            stage: Stage::Waiting,
            glares: 0,
            until: now + T1X64,
        };
        let id = self.keep_transfer(tx, Path::Call(call), Role::Asking(asking));
        self.waiting.push(id);
        self.wake_transfer_in(now, tx, id, LOOK_AGAIN);
        self.settle(now, tx);
        Ok(id)
    }

    /// Whether there is room for another transfer.
    pub(super) fn may_keep_transfer(&self, call: Option<CallId>) -> bool {
        let in_call = call
            .and_then(|c| self.call_of(c))
            .map_or(0, |c| c.related.transfers.len());
        self.transfers.len() < MAX_TRANSFERS && in_call < MAX_IN_CALL
    }

    pub(super) fn keep_transfer(
        &mut self,
        tx: &Transactions,
        path: Path,
        role: Role,
    ) -> TransferId {
        let call = match &path {
            Path::Call(call) => Some(*call),
            Path::Own(_) => None,
        };
        let key = match &path {
            Path::Own(own) => Some(own.key(tx)),
            Path::Call(_) => None,
        };
        let transfer = Transfer {
            path,
            role,
            serial: 0,
        };
        let id = TransferId(self.transfers.insert(transfer).as_u64());
        if let Some(call) = call.and_then(|c| self.call_mut(c)) {
            call.related.transfers.push(id);
        }
        if let Some(key) = key {
            self.by_usage
                .insert(key, super::own_dialog::Usage::Transfer(id));
        }
        id
    }

    /// Nothing more comes of a transfer, and its call may be forgotten.
    pub(super) fn drop_transfer(&mut self, now: Time, tx: &mut Transactions, id: TransferId) {
        let Some(transfer) = self.transfers.remove(Key::from_u64(id.0)) else {
            return;
        };
        match transfer.path {
            Path::Call(call) => {
                if let Some(known) = self.call_mut(call) {
                    known.related.transfers.retain(|t| *t != id);
                }
                self.let_go(now, tx, call);
            }
            Path::Own(own) => {
                self.by_usage.remove(&own.key(tx));
            }
        }
    }

    pub(super) fn transfer_of(&self, id: TransferId) -> Option<&Transfer> {
        self.transfers.get(Key::from_u64(id.0))
    }

    /// The call whose dialog a transfer lives in.
    pub(super) fn call_of_transfer(&self, id: TransferId) -> Option<CallId> {
        self.transfer_of(id).and_then(Transfer::call)
    }

    pub(super) fn transfer_mut(&mut self, id: TransferId) -> Option<&mut Transfer> {
        self.transfers.get_mut(Key::from_u64(id.0))
    }

    pub(super) fn asking(&mut self, id: TransferId) -> Option<(&mut Asking, Option<CallId>)> {
        let transfer = self.transfers.get_mut(Key::from_u64(id.0))?;
        let call = transfer.call();
        match &mut transfer.role {
            Role::Asking(asking) => Some((asking, call)),
            Role::Asked(_) => None,
        }
    }

    /// Sets the one timer of a transfer.
    pub(super) fn wake_transfer_in(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        after: Duration,
    ) {
        let serial = self.next_serial();
        if let Some(transfer) = self.transfer_mut(id) {
            transfer.serial = serial;
            alarm(now, tx, after, id.0, Alarm::Transfer(serial));
        }
    }

    /// Whether a call's session rests, so that a REFER will not be refused for it.
    fn is_settled(&self, call: CallId) -> bool {
        self.call_of(call).is_some_and(|c| {
            c.phase == Phase::Up && c.confirmed.is_some_and(|leg| c.may_offer(leg))
        })
    }

    /// Sends the REFERs that waited for an open offer, now that it may be closed.
    pub(crate) fn settle(&mut self, now: Time, tx: &mut Transactions) {
        if self.waiting.is_empty() {
            return;
        }
        for id in core::mem::take(&mut self.waiting) {
            let Some((asking, Some(call))) = self.asking(id) else {
                continue;
            };
            if asking.stage != Stage::Waiting {
                continue;
            }
            let other = match asking.to {
                ReferTo::Call(other) => Some(other),
                ReferTo::Address(_) => None,
            };
            let gone = other.is_some_and(|o| self.call_of(o).is_none_or(|c| c.phase != Phase::Up));
            if gone {
                let reason = "the other call has ended".to_owned();
                self.transfer_failed(now, tx, id, Cause::Unreachable { reason });
            } else if self.is_settled(call) && other.is_none_or(|o| self.is_settled(o)) {
                self.send_refer(now, tx, id, call);
            } else {
                self.waiting.push(id);
            }
        }
    }

    fn send_refer(&mut self, now: Time, tx: &mut Transactions, id: TransferId, call: CallId) {
        let Some((asking, _)) = self.asking(id) else {
            return;
        };
        let refer_to = match asking.to.clone() {
            ReferTo::Address(target) => Some(format!("<{target}>")),
            ReferTo::Call(other) => self.in_place_of_us(other),
        };
        let account = self.call_of(call).and_then(|c| c.account);
        let us = account
            .and_then(|a| self.profile(a))
            .map(|p| p.account.address_of_record.clone());
        let sent = refer_to.zip(us).and_then(|(refer_to, us)| {
            let call = self.call_mut(call)?;
            let (flow, user) = (call.flow, call.user.clone());
            let mut draft = call.draft(Method::Refer)?;
            draft.contact = ours(&user);
            draft.headers = refer_headers(&refer_to, &us);
            let cseq = draft.cseq;
            let request = self.prepare(tx, Purpose::Refer(id), account, draft, flow);
            Some((request.ok()?, cseq))
        });
        let Some((request, cseq)) = sent else {
            let reason = "the transfer cannot be asked for".to_owned();
            self.transfer_failed(now, tx, id, Cause::Unreachable { reason });
            return;
        };
        if let Some((asking, _)) = self.asking(id) {
            asking.cseq = Some(cseq);
            asking.stage = Stage::Sent;
        }
        // The transaction has its own timer.
        self.wake_transfer_in(now, tx, id, T1X64 * 2);
        self.drive(now, tx, request);
    }

    /// REFER was answered, or was not.
    pub(super) fn on_refer_done(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        outcome: &Outcome<'_>,
    ) {
        let Some((asking, call)) = self.asking(id) else {
            return;
        };
        if asking.stage == Stage::Told {
            return;
        }
        let status = outcome.status();
        if status == Some(StatusCode(491)) && asking.glares < MAX_GLARES && call.is_some() {
            asking.glares += 1;
            asking.stage = Stage::Waiting;
            asking.until = now + T1X64;
            let made_call_id = call
                .and_then(|c| self.call_of(c))
                .is_some_and(|c| c.invite.is_some());
            let wait = super::reoffer::glare_wait(made_call_id, tx.random.bits());
            self.wake_transfer_in(now, tx, id, wait);
            return;
        }
        let Outcome::Response(packet, _) = outcome else {
            self.transfer_failed(now, tx, id, outcome.cause());
            return;
        };
        if !status.is_some_and(StatusCode::is_success) {
            self.transfer_failed(now, tx, id, outcome.cause());
            return;
        }
        self.transfer_accepted(tx, id);
        if refer_sub(packet) == Some(false) {
            // RFC 4488 §4: nothing will be reported.
            self.transfer_done(now, tx, id);
            self.drop_transfer(now, tx, id);
        } else {
            self.wake_transfer_in(now, tx, id, T1X64);
        }
    }

    pub(super) fn transfer_accepted(&mut self, tx: &mut Transactions, id: TransferId) {
        if let Some((asking, call)) = self.asking(id)
            && asking.stage == Stage::Sent
        {
            asking.stage = Stage::Accepted;
            tell(tx, Event::TransferAccepted { transfer: id, call });
        }
    }

    pub(super) fn transfer_done(&mut self, now: Time, tx: &mut Transactions, id: TransferId) {
        let Some((asking, call)) = self.asking(id).filter(|(a, _)| a.stage != Stage::Told) else {
            return;
        };
        asking.stage = Stage::Told;
        tell(tx, Event::TransferDone { transfer: id, call });
        let leave = call.filter(|c| {
            self.call_of(*c)
                .and_then(|c| self.profile(c.account?))
                .is_some_and(|p| p.account.hang_up_transferred)
        });
        if let Some(call) = leave {
            // The peer may have hung up already.
            let _ = self.hang_up(now, tx, call);
        }
    }

    /// Tells the owner, and keeps nothing.
    pub(super) fn transfer_failed(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        cause: Cause,
    ) {
        self.tell_failure(tx, id, cause);
        self.drop_transfer(now, tx, id);
    }

    pub(super) fn tell_failure(&mut self, tx: &mut Transactions, id: TransferId, cause: Cause) {
        if let Some((asking, call)) = self.asking(id)
            && asking.stage != Stage::Told
        {
            asking.stage = Stage::Told;
            let event = Event::TransferFailed {
                transfer: id,
                call,
                cause,
            };
            tell(tx, event);
        }
    }

    /// The timer of a transfer.
    pub(super) fn on_transfer_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: TransferId,
        serial: u32,
    ) {
        let Some(transfer) = self.transfer_mut(id).filter(|t| t.serial == serial) else {
            return;
        };
        match &mut transfer.role {
            Role::Asking(asking) if asking.stage == Stage::Waiting && now < asking.until => {
                // What the owner does about the offer is no input: it is looked for.
                if !self.waiting.contains(&id) {
                    self.waiting.push(id);
                }
                self.wake_transfer_in(now, tx, id, LOOK_AGAIN);
            }
            Role::Asking(_) => self.transfer_failed(now, tx, id, Cause::TimedOut),
            Role::Asked(_) => self.on_asked_alarm(now, tx, id),
        }
    }

    /// The call that transfers live in is over: what was only planned or undecided is over too.
    pub(super) fn transfers_lose_call(&mut self, now: Time, tx: &mut Transactions, call: CallId) {
        let ids = self
            .call_of(call)
            .map(|c| c.related.transfers.clone())
            .unwrap_or_default();
        for id in ids {
            let waiting = self
                .asking(id)
                .is_some_and(|(a, _)| a.stage == Stage::Waiting);
            if waiting {
                let reason = "the call has ended".to_owned();
                self.transfer_failed(now, tx, id, Cause::Unreachable { reason });
            } else {
                self.lapse_if_undecided(now, tx, id);
            }
        }
    }
}

fn refer_headers(refer_to: &str, us: &str) -> Vec<(String, String)> {
    [
        ("Refer-To", refer_to.to_owned()),
        ("Referred-By", format!("<{us}>")),
        ("Supported", SUPPORTED.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

pub(super) fn ours(user: &str) -> Contact {
    Contact::Ours {
        user: user.to_owned(),
        params: String::new(),
    }
}

/// What Refer-Sub says (RFC 4488 §4).
pub(super) fn refer_sub(packet: &Packet<'_>) -> Option<bool> {
    let value = packet.value(HeaderName::ReferSub)?;
    let word = value.split(|b| *b == b';').next().unwrap_or_default();
    Some(!word.trim_ascii().eq_ignore_ascii_case(b"false"))
}

/// The address in Referred-By (RFC 3892), for a person.
pub(super) fn referred_by(packet: &Packet<'_>) -> Option<String> {
    let value = unfold(packet.value(HeaderName::ReferredBy)?);
    let address = NameAddr::parse(&value).ok()?;
    Some(readable(address.uri.as_bytes()))
}
