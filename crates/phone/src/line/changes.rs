//! Changing a session that stands: hold, codecs, and what the peer wants.

use media::codec::CodecKind;
use sip::endpoint::Endpoint;
use sip::time::Time;
use sip::ua::{CallId, Cause, Misuse};

use super::Line;
use super::accounts::misused;
use super::calls::Agreement;
use crate::call_media::{Order, Told};
use crate::event::Event;

/// Changes of one call that may wait for one another.
const MOST: usize = 16;

/// What an offer of ours wants to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Hold(bool),
    Codecs(Vec<CodecKind>),
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Change::Hold(true) => "hold",
            Change::Hold(false) => "resume",
            Change::Codecs(_) => "codecs",
        }
    }
}

impl Line {
    /// Puts the peer on hold, or takes it off.
    pub(super) fn hold(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, held: bool) {
        self.change(now, endpoint, id, Change::Hold(held));
    }

    /// Offers other codecs.
    pub(super) fn codecs(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        codecs: &[CodecKind],
    ) {
        self.change(now, endpoint, id, Change::Codecs(codecs.to_vec()));
    }

    /// Takes a call into the conference, or out of it. A peer that we hold is taken off hold: it is to hear the others.
    pub(super) fn join(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, joined: bool) {
        let Some((number, held)) = self.calls.get(&id).map(|c| (c.number, c.held.0)) else {
            return;
        };
        self.order(Order::Tell {
            call: number,
            told: Box::new(Told::Join { joined }),
        });
        if joined && held {
            self.hold(now, endpoint, id, false);
        }
    }

    /// Offers a change now, or when the one before it is settled.
    pub(super) fn change(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        change: Change,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if call.next.len() >= MOST {
            let event = Event::ChangeRefused {
                call: call.number,
                what: change.name(),
                cause: Cause::Unreachable {
                    reason: "too many changes wait already".to_owned(),
                },
            };
            self.tell(event);
            return;
        }
        call.next.push_back(change);
        self.next_change(now, endpoint, id);
    }

    /// Offers the change that waits longest, if none is open.
    pub(super) fn next_change(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId) {
        while let Some(call) = self.calls.get_mut(&id) {
            if call.changing.is_some() || call.established.is_none() {
                return;
            }
            let Some(change) = call.next.pop_front() else {
                return;
            };
            let Some(negotiation) = &mut call.negotiation else {
                return;
            };
            let offer = match &change {
                Change::Hold(held) => negotiation.hold(*held),
                Change::Codecs(codecs) => negotiation.change_codecs(codecs),
            };
            let (agent, tx) = endpoint.agent();
            let refused = match offer {
                Some(offer) => match agent.reoffer(now, tx, id, Some(offer)) {
                    // The peer is in the middle of a change of its own, or its ACK is on the way: ours comes after it.
                    Err(Misuse::WrongState) => {
                        negotiation.refused();
                        call.next.push_front(change);
                        return;
                    }
                    sent => sent.err(),
                },
                None => Some(Misuse::OfferAnswer),
            };
            call.changing = Some(change);
            let Some(misuse) = refused else {
                return;
            };
            self.forget_change(id, misused(misuse));
        }
    }

    /// The peer took our offer.
    pub(super) fn reanswered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        body: Option<Vec<u8>>,
    ) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.changing = None;
        }
        if self.complete(now, endpoint, id, body, Agreement::Anew) {
            self.transfer_now(now, endpoint, id);
            self.next_change(now, endpoint, id);
        }
    }

    /// Our offer came to nothing; the session goes on as it was.
    pub(super) fn change_refused(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        cause: Cause,
    ) {
        self.forget_change(id, cause);
        // A peer that cannot be put on hold can be transferred all the same.
        self.transfer_now(now, endpoint, id);
        self.next_change(now, endpoint, id);
    }

    fn forget_change(&mut self, id: CallId, cause: Cause) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        if let Some(negotiation) = &mut call.negotiation {
            negotiation.refused();
        }
        let what = call.changing.take().map_or("session", |c| c.name());
        let call = call.number;
        self.tell(Event::ChangeRefused { call, what, cause });
    }

    /// The peer wants another session.
    pub(super) fn reoffered(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        offer: Option<&[u8]>,
    ) {
        let Some(negotiation) = self.calls.get_mut(&id).and_then(|c| c.negotiation.as_mut()) else {
            self.refuse(now, endpoint, id, 488, None);
            return;
        };
        let (body, plan) = match offer {
            Some(offer) => match negotiation.answer(offer) {
                Ok((answer, plan)) => (answer, plan),
                Err(rejection) => {
                    self.refuse(now, endpoint, id, rejection.status, Some(&rejection.reason));
                    self.next_change(now, endpoint, id);
                    return;
                }
            },
            None => (negotiation.offer(), None),
        };
        let (agent, tx) = endpoint.agent();
        if agent.accept(now, tx, id, &body).is_ok()
            && let Some(plan) = plan
        {
            self.configure(id, plan, Agreement::Anew);
        }
    }
}
