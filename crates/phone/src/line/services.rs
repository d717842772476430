//! Requests outside calls and inside them: OPTIONS, MESSAGE, INFO, subscriptions.

use std::time::Duration;

use sip::endpoint::Endpoint;
use sip::time::Time;
use sip::ua::{self, CallId, RequestId};

use super::Line;
use super::accounts::misused;
use crate::answered::answered;
use crate::event::{AccountNumber, CallNumber, Event};

/// A request of ours that has no answer yet.
pub(super) struct Asked {
    method: &'static str,
    target: String,
    call: Option<CallNumber>,
    sent: Time,
    /// The call in which a key was pressed.
    key_of: Option<CallId>,
}

/// How long a key is said to be held.
const PRESSED: Duration = Duration::from_millis(160);
/// Keys of one call that may wait.
const KEYS: usize = 1024;

/// A body with what it is.
type Body<'a> = (&'a str, &'a [u8]);

impl Line {
    pub(super) fn options(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        account: AccountNumber,
        target: String,
    ) {
        let (agent, tx) = endpoint.agent();
        let asked = match self.account_id(account) {
            Some(account) => agent.options(now, tx, account, &target),
            None => Err(ua::Misuse::NoAccount),
        };
        self.note_asked(now, ("OPTIONS", target, None), asked);
    }

    pub(super) fn message(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        account: AccountNumber,
        target: String,
        body: Body<'_>,
    ) {
        let (agent, tx) = endpoint.agent();
        let asked = match self.account_id(account) {
            Some(account) => agent.request(now, tx, account, "MESSAGE", &target, &[], Some(body)),
            None => Err(ua::Misuse::NoAccount),
        };
        self.note_asked(now, ("MESSAGE", target, None), asked);
    }

    pub(super) fn message_in(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        body: Body<'_>,
    ) {
        self.ask_in(now, endpoint, id, "MESSAGE", body);
    }

    pub(super) fn info(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, body: Body<'_>) {
        self.ask_in(now, endpoint, id, "INFO", body);
    }

    fn ask_in(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: CallId,
        method: &'static str,
        body: Body<'_>,
    ) {
        let Some((number, peer)) = self.calls.get(&id).map(|c| (c.number, c.peer.clone())) else {
            return;
        };
        let (agent, tx) = endpoint.agent();
        let asked = agent.request_in(now, tx, id, method, &[], Some(body));
        self.note_asked(now, (method, peer, Some(number)), asked);
    }

    /// Presses keys by INFO, each when the one before has been answered: requests may overtake one another.
    pub(super) fn press(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId, keys: &str) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let room = KEYS.saturating_sub(call.keys.len());
        call.keys
            .extend(keys.chars().filter(|c| *c != ',').take(room));
        if !self.asked.values().any(|asked| asked.key_of == Some(id)) {
            self.press_next(now, endpoint, id);
        }
    }

    fn press_next(&mut self, now: Time, endpoint: &mut Endpoint, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else {
            return;
        };
        let Some(key) = call.keys.pop_front() else {
            return;
        };
        let (number, peer) = (call.number, call.peer.clone());
        let (agent, tx) = endpoint.agent();
        let asked = agent.press(now, tx, id, key, PRESSED);
        let request = asked.as_ref().ok().copied();
        self.note_asked(now, ("INFO", peer, Some(number)), asked);
        if let Some(asked) = request.and_then(|request| self.asked.get_mut(&request)) {
            asked.key_of = Some(id);
        }
    }

    /// Remembers a request until its answer comes, or tells that it never left.
    fn note_asked(
        &mut self,
        now: Time,
        (method, target, call): (&'static str, String, Option<CallNumber>),
        asked: Result<RequestId, ua::Misuse>,
    ) {
        match asked {
            Ok(request) => {
                let asked = Asked {
                    method,
                    target,
                    call,
                    sent: now,
                    key_of: None,
                };
                self.asked.insert(request, asked);
            }
            Err(misuse) => self.tell(Event::RequestFailed {
                method,
                target,
                call,
                cause: misused(misuse),
            }),
        }
    }

    /// What happens outside calls, and inside them beside the sound.
    pub(super) fn on_service(&mut self, now: Time, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::Message {
                account,
                from,
                content_type,
                body,
                ..
            } => self.tell(Event::Message {
                account: account.and_then(|id| self.account_number(id)),
                call: None,
                from,
                content_type,
                body,
            }),
            ua::Event::Request {
                call,
                method,
                content_type,
                body,
                ..
            } => self.on_request_in(call, &method, content_type, body),
            ua::Event::Dtmf {
                call,
                digit,
                duration,
            } => {
                if let Some(call) = self.number(call) {
                    self.tell(Event::Dtmf {
                        call,
                        digit,
                        duration,
                        by_info: true,
                    });
                }
            }
            ua::Event::Response {
                request,
                status,
                reason,
                response,
                ..
            } => {
                let Some(asked) = self.asked.remove(&request) else {
                    return;
                };
                if let Some(id) = asked.key_of {
                    self.press_next(now, endpoint, id);
                }
                self.tell(if asked.method == "OPTIONS" {
                    answered(&response.packet(), status, reason, now.since(asked.sent))
                } else {
                    Event::Sent {
                        method: asked.method,
                        target: asked.target,
                        call: asked.call,
                        status: status.0,
                        reason,
                    }
                });
            }
            ua::Event::RequestFailed { request, cause, .. } => {
                if let Some(asked) = self.asked.remove(&request) {
                    self.tell(Event::RequestFailed {
                        method: asked.method,
                        target: asked.target,
                        call: asked.call,
                        cause,
                    });
                }
            }
            other => self.on_notice(endpoint, other),
        }
    }

    /// INFO or MESSAGE came in a call.
    fn on_request_in(&self, id: CallId, method: &str, content_type: String, body: Vec<u8>) {
        let Some(call) = self.calls.get(&id) else {
            return;
        };
        self.tell(if method == "MESSAGE" {
            Event::Message {
                account: None,
                call: Some(call.number),
                from: call.peer.clone(),
                content_type,
                body,
            }
        } else {
            Event::Info {
                call: call.number,
                content_type,
                body,
            }
        });
    }
}
