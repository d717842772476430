//! Calls that go elsewhere: transfer in its three roles, diversion, pick-up; and what is subscribed to.

use sip::endpoint::Endpoint;
use sip::event::MessageSummary;
use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{self, CallId, Cause, Diverted, Misuse, SubscriptionId, TransferId};

use super::Line;
use super::accounts::misused;
use super::calls::Call;
use super::changes::Change;
use crate::event::{AccountNumber, CallNumber, Event};
use crate::negotiation::Negotiation;

/// Subscriptions of one phone.
const WATCHES: usize = 1000;
/// Seconds that subscriptions are asked for.
const WATCHED_FOR: u32 = 3600;
/// Bodies of events that we can make something of, or hand on.
const ACCEPT: [&str; 4] = [
    "application/pidf+xml",
    "application/simple-message-summary",
    "application/dialog-info+xml",
    "application/reginfo+xml",
];

/// A transfer that waits until the peer is on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To<'a> {
    Target(&'a str),
    Call(CallNumber),
}

/// The same, kept.
#[derive(Clone, Debug)]
pub(super) enum Transfer {
    Blind(String),
    Attended(CallNumber),
}

/// What is subscribed to, or picked up.
pub(super) struct Watch {
    account: AccountNumber,
    package: String,
    target: String,
    picking: Option<(CallNumber, Box<Negotiation>)>,
}

/// We ask the peer to call somebody else.
impl Line {
    pub(super) fn transfer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        target: String,
    ) {
        self.transfer_when_held(now, endpoint, id, Transfer::Blind(target));
    }

    pub(super) fn transfer_to(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        other: CallNumber,
    ) {
        self.transfer_when_held(now, endpoint, id, Transfer::Attended(other));
    }

    /// A peer that is told to call somebody in the middle of a change of its session refuses: it is put on hold first
    /// (RFC 5589 §6.1).
    fn transfer_when_held(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        transfer: Transfer,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        call.transfer = Some(transfer);
        if call.held.0 && call.changing.is_none() {
            self.transfer_now(now, endpoint, id);
        } else {
            self.change(now, endpoint, id, Change::Hold(true));
        }
    }

    /// Asks the peer, if it is to be asked.
    pub(super) fn transfer_now(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        let Some(transfer) = call.transfer.take() else {
            return;
        };
        let to = match &transfer {
            Transfer::Blind(target) => To::Target(target),
            Transfer::Attended(other) => To::Call(*other),
        };
        match self.refer(now, endpoint, id, to) {
            Ok(transfer) => {
                self.transfers.insert(transfer, number);
            }
            Err(misuse) => self.tell(Event::Transferred {
                call: number,
                failure: Some(misused(misuse)),
            }),
        }
    }

    fn refer(
        &self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        to: To<'_>,
    ) -> Result<TransferId, Misuse> {
        let (agent, tx) = endpoint.agent();
        match to {
            To::Target(target) => agent.transfer(now, tx, id, target),
            To::Call(other) => {
                let other = self.ids.get(&other).ok_or(Misuse::NoCall)?;
                agent.transfer_to(now, tx, id, *other)
            }
        }
    }

    fn transfer_over(&mut self, transfer: TransferId, failure: Option<Cause>) {
        if let Some(call) = self.transfers.remove(&transfer) {
            self.tell(Event::Transferred { call, failure });
        }
    }
}

/// The peer asks us to call somebody else.
impl Line {
    pub(super) fn accept_transfer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        number: CallNumber,
        (new, account): (CallNumber, AccountNumber),
        mut negotiation: Box<Negotiation>,
    ) {
        let call = self.ids.get(&number).and_then(|id| self.calls.get_mut(id));
        let asked = call.and_then(|call| call.asked.take());
        let (agent, tx) = endpoint.agent();
        let placed = match asked {
            Some((transfer, target)) => {
                self.tell(Event::Calling {
                    call: new,
                    account,
                    target: target.clone(),
                });
                let offer = negotiation.offer();
                let placed = agent.accept_transfer(now, tx, transfer, Some(offer), &[]);
                placed.map(|id| (id, target))
            }
            None => {
                self.tell(Event::Calling {
                    call: new,
                    account,
                    target: String::new(),
                });
                Err(Misuse::Gone)
            }
        };
        match placed {
            Ok((id, target)) => {
                let call_id = agent.call_id(id).unwrap_or_default().to_owned();
                let mut call = Call::new(new, true, call_id, target);
                call.negotiation = Some(negotiation);
                self.keep(id, call);
                self.tell(Event::Replaced {
                    call: number,
                    by: new,
                });
            }
            Err(misuse) => self.never(new, misused(misuse)),
        }
    }

    pub(super) fn refuse_transfer(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        status: u16,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let number = call.number;
        if let Some((transfer, _)) = call.asked.take() {
            let (agent, tx) = endpoint.agent();
            // It lapsed in the same moment.
            let _ = agent.refuse_transfer(now, tx, transfer, StatusCode(status));
            self.tell(Event::Transferred {
                call: number,
                failure: Some(Cause::ByUs),
            });
        }
    }
}

/// Calls that ring here, or elsewhere.
impl Line {
    pub(super) fn divert(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        target: String,
        why: Diverted,
    ) {
        let (agent, tx) = endpoint.agent();
        let diverted = agent.forward(now, tx, id, &[&target], why);
        let Some(call) = self.number(id) else {
            return;
        };
        match diverted {
            Ok(()) => self.tell(Event::Diverted { call, target }),
            Err(misuse) => {
                self.tell(Event::SoundTrouble {
                    call,
                    message: format!("it cannot be sent to {target}: {misuse}"),
                    file: false,
                });
                self.refuse(now, endpoint, id, 480, None);
            }
        }
    }

    pub(super) fn pick_up(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        (number, account): (CallNumber, AccountNumber),
        target: &str,
        mut negotiation: Box<Negotiation>,
    ) {
        self.tell(Event::Calling {
            call: number,
            account,
            target: target.to_owned(),
        });
        let offer = negotiation.offer();
        let (agent, tx) = endpoint.agent();
        let asked = match self.account_id(account) {
            Some(id) if self.watches.len() < WATCHES => {
                agent.pick_up(now, tx, id, target, Some(offer))
            }
            Some(_) => Err(Misuse::Full),
            None => Err(Misuse::NoAccount),
        };
        match asked {
            Ok(subscription) => {
                let watch = Watch {
                    account,
                    package: "dialog".to_owned(),
                    target: target.to_owned(),
                    picking: Some((number, negotiation)),
                };
                self.watches.insert(subscription, watch);
            }
            Err(misuse) => self.never(number, misused(misuse)),
        }
    }

    fn picking_up(&mut self, endpoint: &mut Endpoint, subscription: SubscriptionId, id: CallId) {
        let Some(watch) = self.watches.remove(&subscription) else {
            return;
        };
        if let Some((number, negotiation)) = watch.picking {
            let (agent, _) = endpoint.agent();
            let call_id = agent.call_id(id).unwrap_or_default().to_owned();
            let mut call = Call::new(number, true, call_id, watch.target);
            call.negotiation = Some(negotiation);
            self.keep(id, call);
        }
    }
}

/// What is subscribed to.
impl Line {
    pub(super) fn subscribe(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        account: AccountNumber,
        (package, target): (String, String),
    ) {
        let (agent, tx) = endpoint.agent();
        let subscribed = match self.account_id(account) {
            Some(id) if self.watches.len() < WATCHES => {
                agent.subscribe(now, tx, id, &target, &package, &ACCEPT, WATCHED_FOR)
            }
            Some(_) => Err(Misuse::Full),
            None => Err(Misuse::NoAccount),
        };
        match subscribed {
            Ok(subscription) => {
                let watch = Watch {
                    account,
                    package,
                    target,
                    picking: None,
                };
                self.watches.insert(subscription, watch);
            }
            Err(misuse) => self.tell(Event::SubscriptionEnded {
                account,
                package,
                target,
                reason: misuse.to_string(),
            }),
        }
    }

    fn notified(
        &self,
        watch: Option<&Watch>,
        account: AccountNumber,
        (package, content_type, body): (String, String, Vec<u8>),
    ) {
        if package == "message-summary"
            && let Some(summary) = MessageSummary::parse(&body)
        {
            let voice = summary.voice();
            self.tell(Event::MessagesWaiting {
                account,
                waiting: summary.waiting,
                new: voice.map_or(0, |v| v.new),
                old: voice.map_or(0, |v| v.old),
            });
            return;
        }
        self.tell(Event::Notified {
            account,
            package,
            target: watch.map(|w| w.target.clone()).unwrap_or_default(),
            content_type,
            body,
        });
    }

    fn subscription_over(&mut self, subscription: SubscriptionId, cause: Cause, over: bool) {
        let Some(watch) = self.watches.remove(&subscription) else {
            return;
        };
        match watch.picking {
            Some((number, _)) => self.never(number, cause),
            None => {
                self.tell(Event::SubscriptionEnded {
                    account: watch.account,
                    package: watch.package.clone(),
                    target: watch.target.clone(),
                    reason: cause.to_string(),
                });
                if !over {
                    self.watches.insert(subscription, watch);
                }
            }
        }
    }
}

impl Line {
    /// What happens to transfers and subscriptions.
    pub(super) fn on_notice(&mut self, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::Redirected { call, to, .. } => {
                if let Some(call) = self.number(call) {
                    self.tell(Event::Redirected { call, target: to });
                }
            }
            ua::Event::TransferAccepted { transfer, .. } => {
                self.transferring(transfer, 202, "Accepted".to_owned());
            }
            ua::Event::TransferProgress {
                transfer,
                status,
                reason,
                ..
            } => self.transferring(transfer, status.0, reason),
            ua::Event::TransferDone { transfer, .. } => self.transfer_over(transfer, None),
            ua::Event::TransferFailed {
                transfer, cause, ..
            } => self.transfer_over(transfer, Some(cause)),
            ua::Event::TransferRequested {
                transfer,
                call: Some(id),
                target,
                replaces,
                referred_by,
                ..
            } => {
                let Some(call) = self.calls.get_mut(&id) else {
                    return;
                };
                call.asked = Some((transfer, target.clone()));
                let call = call.number;
                self.tell(Event::TransferRequested {
                    call,
                    target,
                    referred_by: Some(referred_by).filter(|by| !by.is_empty()),
                    attended: replaces,
                });
            }
            ua::Event::TransferLapsed { transfer } => self.lapsed(transfer),
            other => self.on_subscription(endpoint, other),
        }
    }

    fn transferring(&self, transfer: TransferId, status: u16, reason: String) {
        if let Some(call) = self.transfers.get(&transfer).copied() {
            self.tell(Event::Transferring {
                call,
                status,
                reason,
            });
        }
    }

    /// Nobody decided in time about what the peer asked for.
    fn lapsed(&mut self, transfer: TransferId) {
        let is_it = |call: &&mut Call| call.asked.as_ref().is_some_and(|(t, _)| *t == transfer);
        let Some(call) = self.calls.values_mut().find(is_it) else {
            return;
        };
        call.asked = None;
        let call = call.number;
        self.tell(Event::Transferred {
            call,
            failure: Some(Cause::TimedOut),
        });
    }

    fn on_subscription(&mut self, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::PickingUp { subscription, call } => {
                self.picking_up(endpoint, subscription, call);
            }
            ua::Event::Notified {
                subscription,
                account,
                package,
                content_type,
                body,
                ..
            } => {
                let watch = subscription.and_then(|id| self.watches.get(&id));
                let account = match watch {
                    Some(watch) => watch.account,
                    None => account
                        .and_then(|id| self.account_number(id))
                        .unwrap_or_default(),
                };
                self.notified(watch, account, (package, content_type, body));
            }
            ua::Event::SubscriptionEnded {
                subscription,
                cause,
                retry_in,
            } => self.subscription_over(subscription, cause, retry_in.is_none()),
            _ => {}
        }
    }
}
