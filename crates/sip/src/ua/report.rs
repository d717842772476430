//! What a peer reports about a transfer: NOTIFY with Event refer (RFC 3515 §2.4.4, §2.4.5).

use core::time::Duration;

use super::call::tag_of;
use super::draft::readable;
use super::event::{CallId, Cause, Event, TransferId};
use super::transfer::Stage;
use super::{UserAgent, tell};
use crate::event::SipFrag;
use crate::header::{self, ContentType, HeaderName, SubscriptionState};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, T1X64, Transactions};
use crate::wire::Packet;

/// How long a peer may report at least, in seconds. Many grant 60 seconds and go on while the target rings.
const USUAL_EXPIRES: u32 = 180;
/// The longest time that a peer may take to report, in seconds.
const LONGEST_EXPIRES: u32 = 3600;

impl UserAgent {
    /// Which transfer of ours in this call a report belongs to: that with the id, or the first one
    /// when there is none (RFC 3515 §2.4.6).
    fn reported(&mut self, call: CallId, event: &header::Event<'_>) -> Option<TransferId> {
        let ids = self.call_of(call)?.related.transfers.clone();
        let wanted = match event.id() {
            Some(text) => Some(core::str::from_utf8(text).ok()?.parse::<u32>().ok()?),
            None => None,
        };
        ids.into_iter().find(|id| {
            self.asking(*id).is_some_and(|(asking, _)| {
                asking.cseq.is_some() && (wanted.is_none() || asking.cseq == wanted)
            })
        })
    }

    /// NOTIFY or SUBSCRIBE in the dialog of a call, which may be over: a transfer is spoken of.
    pub(super) fn inside_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        call: CallId,
        packet: &Packet<'_>,
    ) -> Result<(), StatusCode> {
        let gone = StatusCode(481);
        let known = self.call_mut(call).ok_or(gone)?;
        let from = tag_of(packet, HeaderName::From);
        let index = known.leg_with(from).ok_or(gone)?;
        if known.confirmed != Some(index) {
            return Err(gone);
        }
        let transfers = known.related.transfers.clone();
        let leg = known.leg_mut().ok_or(gone)?;
        let number = super::answer::cseq_of(packet);
        let in_order = match packet.method() {
            Some(Method::Notify) => leg.dialog.accepts_report(number),
            _ => leg.dialog.accepts(number),
        };
        if !in_order {
            return Err(StatusCode(500));
        }
        if packet.method() == Some(Method::Notify) {
            self.on_notify_in_call(now, tx, server, call, packet)
        } else {
            self.on_refer_subscribe(now, tx, server, &transfers, packet)
        }
    }

    fn on_notify_in_call(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        call: CallId,
        packet: &Packet<'_>,
    ) -> Result<(), StatusCode> {
        let event = event_of(packet)?;
        if event.package != b"refer" {
            return Err(StatusCode(489));
        }
        let transfer = self.reported(call, &event).ok_or(StatusCode(481))?;
        self.on_report(now, tx, server, transfer, packet)
    }

    /// What the peer reports about a transfer (RFC 3515 §2.4.5).
    pub(super) fn on_report(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: TransferId,
        packet: &Packet<'_>,
    ) -> Result<(), StatusCode> {
        let state = packet
            .value(HeaderName::SubscriptionState)
            .and_then(|v| SubscriptionState::parse(v).ok())
            .ok_or(StatusCode(400))?;
        let readable_kind = packet
            .value(HeaderName::ContentType)
            .is_none_or(|v| ContentType::parse(v).is_ok_and(|k| k.is("message", "sipfrag")));
        if !packet.body().is_empty() && !readable_kind {
            let reply = Reply::new(StatusCode(415)).header("Accept", "message/sipfrag");
            tx.respond(now, server, &reply);
            return Ok(());
        }
        if self.asking(id).is_none() {
            return Err(StatusCode(481));
        }
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        self.transfer_accepted(tx, id);
        let heard = SipFrag::parse(packet.body());
        let Some((asking, call)) = self.asking(id) else {
            return Ok(());
        };
        let over = state.is_terminated();
        let told = asking.stage == Stage::Told;
        match heard {
            Some(_) if told => {}
            Some(heard) if heard.status.is_provisional() => {
                let event = Event::TransferProgress {
                    transfer: id,
                    call,
                    status: heard.status,
                    reason: heard.reason,
                };
                tell(tx, event);
            }
            Some(heard) if heard.status.is_success() => self.transfer_done(now, tx, id),
            Some(heard) => {
                let cause = Cause::Refused {
                    status: heard.status,
                    reason: heard.reason,
                    contacts: Vec::new(),
                };
                self.tell_failure(tx, id, cause);
            }
            None => {}
        }
        if over {
            let why = state.reason.map(readable).unwrap_or_default();
            self.tell_failure(tx, id, silent(&why));
            self.drop_transfer(now, tx, id);
            return Ok(());
        }
        let told = self.asking(id).is_some_and(|(a, _)| a.stage == Stage::Told);
        let seconds = state.expires.unwrap_or(USUAL_EXPIRES);
        let seconds = seconds.clamp(USUAL_EXPIRES, LONGEST_EXPIRES);
        let rest = Duration::from_secs(u64::from(seconds));
        self.wake_transfer_in(now, tx, id, if told { T1X64 } else { rest });
        Ok(())
    }
}

/// The end of the reports without a final one.
fn silent(reason: &str) -> Cause {
    if reason.eq_ignore_ascii_case("timeout") {
        return Cause::TimedOut;
    }
    let reason = match reason {
        "" => "the other side stopped reporting".to_owned(),
        why => format!("the other side stopped reporting ({why})"),
    };
    Cause::Unreachable { reason }
}

/// What Event says; 489 when it cannot be read (RFC 6665 §4.2.1.1).
pub(super) fn event_of<'a>(packet: &Packet<'a>) -> Result<header::Event<'a>, StatusCode> {
    packet
        .value(HeaderName::Event)
        .and_then(|v| header::Event::parse(v).ok())
        .ok_or(StatusCode(489))
}
