//! Calls that go elsewhere: transfer in its three roles, diversion, pick-up, and what is subscribed to.

use sip::endpoint::Endpoint;
use sip::time::Time;
use sip::ua::{self, CallId, Cause};

use super::Line;
use super::changes::Change;
use crate::event::{AccountNumber, CallNumber, Event};
use crate::negotiation::Negotiation;

/// A transfer that waits until the peer is on hold.
#[derive(Clone, Debug)]
pub(super) enum Transfer {
    Blind(String),
    Attended(CallNumber),
}

/// What is subscribed to.
pub(super) struct Watch {
    account: AccountNumber,
    package: String,
    target: String,
}

impl Line {
    pub(super) fn pick_up(
        &mut self,
        _: Time,
        _: &mut Endpoint,
        _: (CallNumber, AccountNumber),
        _: &str,
        _: Box<Negotiation>,
    ) {
    }
    pub(super) fn subscribe(
        &mut self,
        _: Time,
        _: &mut Endpoint,
        _: AccountNumber,
        _: (String, String),
    ) {
    }
    pub(super) fn accept_transfer(
        &mut self,
        _: Time,
        _: &mut Endpoint,
        _: CallNumber,
        _: CallNumber,
        _: Box<Negotiation>,
    ) {
    }
    pub(super) fn divert(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        _: String,
        _: &str,
    ) {
        self.refuse(now, endpoint, id, 480, None);
    }
    pub(super) fn transfer(&mut self, _: Time, _: &mut Endpoint, _: CallId, _: String) {}
    pub(super) fn transfer_to(&mut self, _: Time, _: &mut Endpoint, _: CallId, _: CallNumber) {}
    pub(super) fn transfer_now(&mut self, _: Time, _: &mut Endpoint, _: CallId) {}
    pub(super) fn refuse_transfer(&mut self, _: Time, _: &mut Endpoint, _: CallId, _: u16) {}
    pub(super) fn press(&mut self, _: Time, _: &mut Endpoint, _: CallId, _: &str) {}
    pub(super) fn on_notice(&mut self, _: ua::Event) {}
}
