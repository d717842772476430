//! Reliable provisional responses, the caller's side: PRACK for each, in their order (RFC 3262 §4).

use super::call::{Call, Leg, session_of, tag_of};
use super::dialog::Dialog;
use super::event::{CallId, Event};
use super::extension::{RELIABLE, has_tag};
use super::offer_answer::Exchange;
use super::outbound::{OutboundId, Outcome, Purpose, reason_of};
use super::{UserAgent, tell};
use crate::header::{HeaderName, RSeq};
use crate::message::{Method, StatusCode};
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// The last reliable provisional response of one dialog, and its PRACK.
#[derive(Debug)]
pub(super) struct Acknowledged {
    /// The CSeq of the INVITE.
    cseq: u32,
    rseq: u32,
    prack: Prack,
    /// The answer that the PRACK carries.
    answer: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prack {
    /// It waits for the owner's answer.
    Due,
    /// It is on its way.
    Sent(OutboundId),
    /// It was answered.
    Done,
    /// It failed: if the response comes again, so does the PRACK.
    Failed,
}

/// What a provisional response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Unreliable,
    /// The next reliable one.
    Reliable(u32),
    /// A reliable one that came before.
    Again,
    /// A reliable one before its turn; it will come again.
    Early,
}

impl Leg {
    /// What a provisional response with this number, to the INVITE with that one, is.
    fn judge(&self, cseq: u32, rseq: Option<u32>) -> News {
        let Some(rseq) = rseq else {
            return News::Unreliable;
        };
        match &self.acknowledged {
            Some(last) if last.cseq == cseq => match rseq.checked_sub(last.rseq) {
                Some(0) => News::Again,
                Some(1) => News::Reliable(rseq),
                _ => News::Early,
            },
            _ => News::Reliable(rseq),
        }
    }

    /// Whether a PRACK waits for the owner's answer.
    pub(super) fn owes_prack(&self) -> bool {
        self.acknowledged
            .as_ref()
            .is_some_and(|a| a.prack == Prack::Due)
    }

    pub(super) fn has_prack(&self, id: OutboundId) -> bool {
        self.acknowledged
            .as_ref()
            .is_some_and(|a| a.prack == Prack::Sent(id))
    }
}

impl Call {
    /// The dialog of a provisional response to an INVITE of ours; a new one when it made one.
    fn early_leg(&mut self, dialog: impl FnOnce() -> Option<Dialog>, tag: &[u8]) -> Option<usize> {
        if let Some(leg) = self.leg_with(Some(tag)) {
            return Some(leg);
        }
        if self.confirmed.is_some() {
            return None;
        }
        self.new_leg(dialog())
    }
}

impl UserAgent {
    /// Our INVITE goes another time: the early dialogs of the try before died with it.
    pub(super) fn forget_forks(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        self.drop_change(now, tx, id);
        if let Some(call) = self.call_mut(id) {
            call.legs.clear();
            call.reoffering = None;
        }
    }

    /// A provisional response above 100 to an INVITE or re-INVITE of ours that is wanted.
    pub(super) fn on_ringing(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        (id, outbound): (CallId, OutboundId),
        response: &Packet<'_>,
        again: bool,
    ) {
        let Some(sent) = self.outbound.get(outbound) else {
            return;
        };
        let (draft, cseq) = (&sent.draft, sent.draft.cseq);
        let Some(call) = self.calls.get_mut(crate::slab::Key::from_u64(id.0)) else {
            return;
        };
        let dialog = || Dialog::from_response(draft, response);
        let leg = tag_of(response, HeaderName::To).and_then(|tag| call.early_leg(dialog, tag));
        let rseq = rseq_of(response).filter(|_| leg.is_some());
        let news = match leg.and_then(|l| call.legs.get_mut(l)) {
            Some(leg) => {
                leg.learn(response);
                leg.judge(cseq, rseq)
            }
            None => News::Unreliable,
        };
        match (news, leg) {
            (News::Unreliable, leg) if !again => {
                let status = response.status().unwrap_or(StatusCode(180));
                // What a reliable response has settled is settled.
                let settled = leg.is_some_and(|l| {
                    let offered = call.exchange(l).is_some_and(Exchange::is_offered);
                    !offered || !call.awaits_response(l)
                });
                tell(
                    tx,
                    Event::Progress {
                        call: id,
                        status,
                        reason: reason_of(response),
                        body: session_of(response).filter(|_| !settled),
                        offer: false,
                        fork: leg.unwrap_or_default(),
                    },
                );
                self.report_call(now, tx, id, status, &reason_of(response));
            }
            (News::Reliable(rseq), Some(leg)) => {
                let at = (id, leg);
                self.on_reliable(now, tx, at, (cseq, rseq), response, again);
            }
            (News::Again, Some(leg)) => {
                let failed = |l: &Leg| {
                    l.acknowledged
                        .as_ref()
                        .is_some_and(|a| a.prack == Prack::Failed)
                };
                if call.legs.get(leg).is_some_and(failed) {
                    self.send_prack(now, tx, id, leg);
                }
            }
            _ => {}
        }
    }

    /// The next reliable provisional response of a dialog.
    fn on_reliable(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        (id, index): (CallId, usize),
        (cseq, rseq): (u32, u32),
        response: &Packet<'_>,
        again: bool,
    ) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let open = call.awaits_response(index);
        let Some(exchange) = call.exchange_mut(index) else {
            return;
        };
        let body = session_of(response).filter(|_| open);
        if body.is_some() {
            exchange.response_received(body.as_deref());
        }
        let offer = body.is_some() && exchange.state.waits_for_owner();
        if let Some(leg) = call.legs.get_mut(index) {
            leg.acknowledged = Some(Acknowledged {
                cseq,
                rseq,
                prack: Prack::Due,
                answer: None,
            });
        }
        if !again {
            let status = response.status().unwrap_or(StatusCode(180));
            tell(
                tx,
                Event::Progress {
                    call: id,
                    status,
                    reason: reason_of(response),
                    body,
                    offer,
                    fork: index,
                },
            );
            self.report_call(now, tx, id, status, &reason_of(response));
        } else if body.is_some() {
            if let Some(reoffering) = self.call_mut(id).and_then(|c| c.reoffering.as_mut()) {
                reoffering.answered = true;
            }
            tell(tx, Event::Reanswered { call: id, body });
        }
        if !offer {
            self.send_prack(now, tx, id, index);
        }
    }

    /// The owner's answer to the offer in a reliable provisional response; `false` when none is due.
    pub(super) fn answer_in_prack(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        answer: &[u8],
    ) -> bool {
        let Some(call) = self.call_mut(id) else {
            return false;
        };
        let Some(index) = call.legs.iter().position(Leg::owes_prack) else {
            return false;
        };
        if let Some(exchange) = call.exchange_mut(index) {
            exchange.answer_sent(answer);
        }
        if let Some(last) = call
            .legs
            .get_mut(index)
            .and_then(|l| l.acknowledged.as_mut())
        {
            last.answer = Some(answer.to_vec());
        }
        self.send_prack(now, tx, id, index);
        true
    }

    fn send_prack(&mut self, now: Time, tx: &mut Transactions, id: CallId, index: usize) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let (account, flow, invite) = (call.account, call.flow, call.invite);
        let Some(leg) = call.legs.get_mut(index) else {
            return;
        };
        let Some(last) = leg.acknowledged.as_ref() else {
            return;
        };
        let mut draft = leg.dialog.request(Method::Prack);
        let rack = format!("{} {} INVITE", last.rseq, last.cseq);
        draft.headers.push(("RAck".to_owned(), rack));
        draft.body = last.answer.clone().map(super::call::sdp);
        let flow = flow.or_else(|| self.outbound.get(invite?)?.flow);
        let Ok(prack) = self.prepare(tx, Purpose::Prack(id), account, draft, flow) else {
            return;
        };
        let leg = self.call_mut(id).and_then(|c| c.legs.get_mut(index));
        if let Some(last) = leg.and_then(|l| l.acknowledged.as_mut()) {
            last.prack = Prack::Sent(prack);
        }
        self.drive(now, tx, prack);
    }

    /// Our PRACK was answered, or will not be.
    pub(super) fn on_prack_done(&mut self, id: CallId, prack: OutboundId, outcome: &Outcome<'_>) {
        let success = outcome.status().is_some_and(StatusCode::is_success);
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let leg = call.legs.iter_mut().find(|l| l.has_prack(prack));
        if let Some(last) = leg.and_then(|l| l.acknowledged.as_mut()) {
            last.prack = if success { Prack::Done } else { Prack::Failed };
        }
    }
}

/// The number of a provisional response that wants a PRACK (§4).
fn rseq_of(response: &Packet<'_>) -> Option<u32> {
    let rseq = RSeq::parse(response.value(HeaderName::RSeq)?).ok()?;
    has_tag(response, HeaderName::Require, RELIABLE).then_some(rseq.0)
}
