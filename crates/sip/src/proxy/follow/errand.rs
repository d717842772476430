//! Requests of ours to the ends of calls that are followed (RFC 3261 §12.2.1.1, §15.1.1).
//!
//! BYE ends a call for both, each as if the other had hung up. OPTIONS asks whether an end still knows of the call; it carries the
//! last number that was seen, so that the end's count of the other's requests stays as it is: an end that knows the dialog
//! answers 200, or 500 for the number, and one that does not answers 481 (§12.2.2).

use super::{CallEvent, FORGOTTEN, Follow, FollowedId, MAX_CHECKS, Party, tell};
use crate::endpoint::Failure;
use crate::locate::{Hop, NextHop};
use crate::message::{Method, StatusCode};
use crate::proxy::Proxy;
use crate::resolve::{Answer, Query};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{Transactions, User};
use crate::ua::draft::{Departure, Draft};
use crate::uri::Uri;

/// One request on its way to one end of a call.
#[derive(Debug)]
pub(super) struct Errand {
    call: FollowedId,
    to: Party,
    draft: Draft,
    next_hop: NextHop,
}

type ErrandId = Key<Errand>;

/// How many checks in a row an end may leave unanswered.
const MAX_SILENT: u8 = 2;

impl Proxy {
    /// Ends a call that is followed. Says whether there is one.
    pub(crate) fn end_call(&mut self, now: Time, tx: &mut Transactions, id: FollowedId) -> bool {
        let Some(follow) = self.follow.as_deref_mut() else {
            return false;
        };
        let Some(call) = follow.calls.get(id) else {
            return false;
        };
        if let Some(context) = call.context {
            self.withdraw(now, tx, context);
            return true;
        }
        follow.hang_up(now, tx, id);
        true
    }

    /// The name servers answered for an errand.
    pub(crate) fn on_errand_answer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        (query, answer): (&Query, Answer),
    ) {
        let Some(follow) = self.follow.as_deref_mut() else {
            return;
        };
        let id = ErrandId::from_u64(token);
        if let Some(errand) = follow.errands.get_mut(id) {
            errand.next_hop.answer(query, answer);
            follow.advance(now, tx, id, None);
        }
    }

    /// An end answered.
    pub(crate) fn on_errand_response(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        code: StatusCode,
    ) {
        if let Some(follow) = self.follow.as_deref_mut()
            && code.is_final()
        {
            let id = ErrandId::from_u64(token);
            match code.0 {
                503 => follow.advance(now, tx, id, Some(code)),
                _ => follow.finish(now, tx, id, Some(code)),
            }
        }
    }

    /// An end did not answer.
    pub(crate) fn on_errand_failure(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        token: u64,
        failure: Failure,
    ) {
        if let Some(follow) = self.follow.as_deref_mut() {
            let id = ErrandId::from_u64(token);
            match failure {
                Failure::Unreachable => follow.advance(now, tx, id, None),
                Failure::TimedOut => follow.finish(now, tx, id, None),
            }
        }
    }

    /// It is time to look which calls are to be checked.
    pub(crate) fn on_sweep(&mut self, now: Time, tx: &mut Transactions) {
        if let Some(follow) = self.follow.as_deref_mut() {
            follow.sweep(now, tx);
        }
    }
}

impl Follow {
    /// BYE to both ends of an answered call, which is over with that: neither has to wait for the other's answer.
    fn hang_up(&mut self, now: Time, tx: &mut Transactions, id: FollowedId) {
        for to in [Party::Caller, Party::Callee] {
            self.send(now, tx, id, to, Method::Bye);
        }
        if self.remove(id).is_some() {
            let by = Some(Party::Server);
            tell(
                tx,
                CallEvent::Left {
                    call: id,
                    at: now,
                    by,
                },
            );
        }
    }

    fn sweep(&mut self, now: Time, tx: &mut Transactions) {
        self.sweeping = false;
        let mut due = Vec::new();
        let mut forgotten = Vec::new();
        let mut answered = false;
        for (id, call) in self.calls.iter() {
            let Some(dialog) = &call.dialog else {
                continue;
            };
            answered = true;
            if now.since(dialog.heard_at) >= FORGOTTEN {
                forgotten.push(id);
            } else if dialog.check_at <= now && due.len() < MAX_CHECKS {
                due.push(id);
            }
        }
        for id in forgotten {
            self.remove(id);
            let (call, at, by) = (id, now, None);
            tell(tx, CallEvent::Left { call, at, by });
        }
        for id in due {
            if let Some(dialog) = self.calls.get_mut(id).and_then(|c| c.dialog.as_mut()) {
                dialog.check_at = now + super::CHECK;
            }
            for to in [Party::Caller, Party::Callee] {
                self.send(now, tx, id, to, Method::Options);
            }
        }
        if answered {
            self.sweep_later(now, tx);
        }
    }

    /// Sends a request to one end of a call.
    fn send(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: FollowedId,
        to: Party,
        method: Method,
    ) {
        let Some(followed) = self.calls.get_mut(call) else {
            return;
        };
        // The number of whoever it seems to come from.
        let last = match to {
            Party::Caller => followed.callee_cseq.unwrap_or(0),
            _ => followed.caller_cseq,
        };
        let cseq = match method {
            Method::Bye => last.saturating_add(1),
            _ => last,
        };
        let Some(dialog) = followed.dialog.as_deref() else {
            return;
        };
        let end = match to {
            Party::Caller => &dialog.caller,
            _ => &dialog.callee,
        };
        let Some(draft) = dialog.request(to, method, cseq) else {
            return;
        };
        let located = match Uri::parse(draft.next_uri()) {
            Ok(uri) => NextHop::new(tx, &uri, Some(end.flow), false).ok(),
            Err(_) => None,
        };
        let mut next_hop = located.unwrap_or_else(NextHop::none);
        if end.direct {
            next_hop = next_hop.first_along(end.flow);
        }
        if tx.is_full() {
            tx.counters.refused_full += 1;
            return;
        }
        let errand = self.errands.insert(Errand {
            call,
            to,
            draft,
            next_hop,
        });
        self.advance(now, tx, errand, None);
    }

    /// Sends an errand to the next server of its end; `code` is what the last one said.
    fn advance(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: ErrandId,
        code: Option<StatusCode>,
    ) {
        let Some(errand) = self.errands.get_mut(id) else {
            return;
        };
        let user = User::Followed(id.as_u64());
        let flow = match errand.next_hop.poll(tx, user) {
            Hop::Send(flow) => flow,
            Hop::Wait => return,
            Hop::End => return self.finish(now, tx, id, code),
        };
        let reserved = tx.reserve_client(user, errand.draft.method, flow);
        let mut via = Vec::with_capacity(100);
        tx.write_via(&mut via, &reserved, &flow, 0);
        let bytes = errand.draft.print(&Departure {
            via: &via,
            contact: None,
            stale_contact: None,
            credentials: &[],
            user_agent: "",
        });
        tx.start_client(now, reserved, bytes.into());
    }

    /// An errand is done: with a response, or without.
    fn finish(&mut self, now: Time, tx: &mut Transactions, id: ErrandId, code: Option<StatusCode>) {
        let Some(errand) = self.errands.remove(id) else {
            return;
        };
        if errand.draft.method == Method::Bye {
            return;
        }
        let call = self.calls.get_mut(errand.call);
        let Some(dialog) = call.and_then(|c| c.dialog.as_deref_mut()) else {
            return;
        };
        let end = match errand.to {
            Party::Caller => &mut dialog.caller,
            _ => &mut dialog.callee,
        };
        let over = match code {
            Some(StatusCode(481)) => true,
            None | Some(StatusCode(408 | 503)) => {
                end.silent += 1;
                end.silent >= MAX_SILENT
            }
            Some(_) => {
                end.silent = 0;
                false
            }
        };
        if over {
            self.hang_up(now, tx, errand.call);
        }
    }
}
