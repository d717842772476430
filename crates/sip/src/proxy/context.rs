//! Responses (RFC 3261 §16.7): which go upstream at once, and which is the best in the end.

use bytes::Bytes;

use super::cancel::{TIMER_C, send_cancel};
use super::{Best, BranchState, ContextId, Party, Proxy, ResponseContext};
use crate::endpoint::{Alarm, Failure, OwnNames};
use crate::flow::Flow;
use crate::header::{HeaderName, Via};
use crate::message::{Method, StatusCode};
use crate::random::push_decimal;
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};
use crate::wire::{Edit, Packet, Stored};

/// What a caller is told whose call this element ends before it is answered.
const WITHDRAWN: StatusCode = StatusCode(480);

impl Proxy {
    /// A response came for a branch.
    pub(crate) fn on_response(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        at: (ContextId, u32),
        (code, via): (StatusCode, &Via<'_>),
        packet: &Packet<'_>,
    ) {
        let (id, number) = at;
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let invite = context.method == Method::Invite;
        let Some(branch) = context.branches.get_mut(number as usize) else {
            return;
        };
        if !code.is_final() {
            match branch.state {
                BranchState::CancelWanted => send_cancel(now, tx, id, number, branch),
                BranchState::Calling => branch.state = BranchState::Proceeding,
                _ => {}
            }
            if code.0 == 100 {
                return;
            }
            if invite && branch.state == BranchState::Proceeding {
                branch.stamp += 1;
                tx.alarm(now, TIMER_C, Alarm::Branch(id, number, branch.stamp));
            }
            if invite && let Some(call) = context.followed {
                self.follow_provisional(tx, call, code, packet);
            }
            let Some(context) = self.contexts.get(id) else {
                return;
            };
            // RFC 4320 §4.1: a request other than INVITE gets no provisional response but 100.
            if let (Some(server), true) = (context.server, invite && !context.answered)
                && let Some(bytes) = without_top_via(&mut self.edit, packet, via, context.upstream)
            {
                tx.respond_with(now, server, code, bytes);
            }
            return;
        }
        let waits = matches!(branch.state, BranchState::Calling | BranchState::Proceeding);
        if code.0 == 503 && waits && !context.cancelled {
            // RFC 3263 §4.3: another server of the same target may do better.
            branch.client = None;
            branch.state = BranchState::Locating;
            // §16.7 step 6: upstream a 503 would speak of a server that the caller did not ask.
            branch.failure = StatusCode(500);
            self.advance(now, tx, own, id, number);
            self.go_on(now, tx, own, id);
            return;
        }
        let upstream = context.upstream;
        let Some(bytes) = without_top_via(&mut self.edit, packet, via, upstream) else {
            // The next hop lost the Via of whoever asked: nobody further up could do anything with this.
            self.finish_branch(now, tx, id, number, StatusCode(502), None);
            self.go_on(now, tx, own, id);
            return;
        };
        if code.is_success() {
            self.on_success(now, tx, own, at, (code, packet, bytes));
            return;
        }
        if matches!(code.0, 401 | 407)
            && let Some(context) = self.contexts.get_mut(id)
        {
            context.challenges.push((number, challenges(packet)));
        }
        if code.class() == 6 {
            self.cancel_pending(now, tx, id);
        }
        self.finish_branch(now, tx, id, number, code, Some(bytes));
        self.go_on(now, tx, own, id);
    }

    /// A 2xx goes upstream at once, each one of an INVITE (§16.7 step 5).
    fn on_success(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        (id, number): (ContextId, u32),
        (code, packet, bytes): (StatusCode, &Packet<'_>, Bytes),
    ) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let first = !context.answered;
        context.answered = true;
        let followed = context.followed.filter(|_| first);
        if let Some(call) = followed {
            self.follow_success(now, tx, own, call, (id, number), (packet, &bytes));
        }
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if let Some(branch) = context.branches.get_mut(number as usize) {
            branch.state = BranchState::Done;
        }
        if let Some(server) = context.server
            && (first || context.method == Method::Invite)
        {
            tx.respond_with(now, server, code, bytes);
        }
        if first {
            self.cancel_pending(now, tx, id);
        }
        self.conclude(now, tx, id);
    }

    /// No response will come for a branch.
    pub(crate) fn on_failure(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        at: (ContextId, u32),
        failure: Failure,
    ) {
        let (id, number) = at;
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let cancelled = context.cancelled || context.answered;
        let Some(branch) = context.branches.get_mut(number as usize) else {
            return;
        };
        branch.client = None;
        if branch.state == BranchState::Calling && !cancelled {
            branch.state = BranchState::Locating;
            branch.failure = match failure {
                Failure::TimedOut => StatusCode(408),
                Failure::Unreachable => StatusCode(503),
            };
            let lost = failure == Failure::Unreachable
                && branch
                    .target
                    .flow
                    .take()
                    .is_some_and(|f| f.transport.is_reliable());
            if lost {
                // The connection of the registration is gone, but somebody may listen at the contact. A contact that
                // cannot be located leaves the branch without a next hop, which ends it.
                let _ = self.locate(tx, own, id, number);
            }
            self.advance(now, tx, own, id, number);
        } else {
            self.finish_branch(now, tx, id, number, StatusCode(408), None);
        }
        self.go_on(now, tx, own, id);
    }

    /// A branch has its final response; remembers it if it is the best so far.
    pub(super) fn finish_branch(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: ContextId,
        number: u32,
        code: StatusCode,
        bytes: Option<Bytes>,
    ) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if let Some(branch) = context.branches.get_mut(number as usize) {
            if branch.state == BranchState::Done {
                return;
            }
            branch.state = BranchState::Done;
        }
        let better = context
            .best
            .as_ref()
            .is_none_or(|best| rank(code) < rank(best.code));
        if better {
            context.best = Some(Best {
                code,
                branch: number,
                bytes,
            });
        }
        if context.waiting.is_empty() {
            self.conclude(now, tx, id);
        }
    }

    /// Tries the next group of targets when all branches of this one have failed.
    pub(super) fn go_on(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        id: ContextId,
    ) {
        loop {
            let Some(context) = self.contexts.get(id) else {
                return;
            };
            if !context.is_idle() || context.answered || context.waiting.is_empty() {
                break;
            }
            self.try_next_group(now, tx, own, id);
        }
        self.conclude(now, tx, id);
    }

    /// Sends the best response when nothing better can come (§16.7 step 6), and forgets the context when nothing
    /// at all can come.
    pub(super) fn conclude(&mut self, now: Time, tx: &mut Transactions, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if !context.is_idle() || !context.waiting.is_empty() {
            return;
        }
        if context.answered {
            if context.method == Method::Invite {
                // Repeated 2xx go the same way for as long as they may come.
                tx.alarm(now, T1X64, Alarm::Context(id));
            } else {
                self.contexts.remove(id);
            }
            return;
        }
        context.answered = true;
        if let Some(call) = context.followed {
            let (status, by) = context.verdict();
            let best = context.best.take();
            let passes = best.as_ref().filter(|b| b.code == status);
            let reason = passes.and_then(|b| reason_of(b.bytes.as_ref()?));
            let reason = reason.unwrap_or_else(|| status.reason().as_bytes());
            self.follow_end(tx, call, status, reason, by);
            if let Some(context) = self.contexts.get_mut(id) {
                context.best = best;
            }
        }
        if let Some(context) = self.contexts.get_mut(id)
            && let Some(server) = context.server
        {
            context.send_best(now, tx, server);
        }
        self.contexts.remove(id);
    }

    /// The time for repeated responses is over.
    pub(crate) fn on_context_alarm(&mut self, id: ContextId) {
        self.contexts.remove(id);
    }
}

impl ResponseContext {
    /// Whether no branch waits for anything.
    fn is_idle(&self) -> bool {
        self.branches.iter().all(|b| b.state == BranchState::Done)
    }

    /// What the request comes to, and by whom, when no 2xx came.
    fn verdict(&self) -> (StatusCode, Party) {
        match &self.best {
            _ if self.withdrawn => (WITHDRAWN, Party::Server),
            None | Some(Best { bytes: None, .. }) if self.cancelled => {
                (StatusCode(487), Party::Caller)
            }
            Some(best) => match (best.code, &best.bytes) {
                (StatusCode(503), None) => (StatusCode(480), Party::Server),
                (StatusCode(503), Some(_)) => (StatusCode(500), Party::Callee),
                (code, None) => (code, Party::Server),
                (code, Some(_)) if self.cancelled => (code, Party::Caller),
                (code, Some(_)) => (code, Party::Callee),
            },
            None => (StatusCode(408), Party::Server),
        }
    }

    fn send_best(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: crate::transaction::ServerId,
    ) {
        let best = self.best.take();
        if self.withdrawn {
            let reply = Reply::new(WITHDRAWN).reason("Call Ended By The Server");
            tx.respond(now, server, &reply);
            return;
        }
        if self.cancelled && best.as_ref().is_none_or(|b| b.bytes.is_none()) {
            tx.respond(now, server, &Reply::new(StatusCode(487)));
            return;
        }
        let code = best.as_ref().map_or(StatusCode(408), |b| b.code);
        if code.0 == 408 && self.method != Method::Invite {
            // RFC 4320 §4.2: it would come too late to be of use.
            tx.abandon_server(server);
            return;
        }
        match best {
            // Nothing is wrong here or there: whoever is meant cannot be reached just now.
            Some(Best {
                code, bytes: None, ..
            }) if code.0 == 503 => {
                let reply = Reply::new(StatusCode(480)).reason("Next Hop Unavailable");
                tx.respond(now, server, &reply);
            }
            Some(Best { code, .. }) if code.0 == 503 => {
                tx.respond(now, server, &Reply::new(StatusCode(500)));
            }
            Some(Best {
                code,
                branch,
                bytes: Some(bytes),
            }) => {
                let bytes = self.with_all_challenges(code, branch, bytes);
                tx.respond_with(now, server, code, bytes);
            }
            _ => tx.respond(now, server, &Reply::new(code)),
        }
    }

    /// A 401 or 407 carries the challenges of all branches (§16.7 step 7).
    fn with_all_challenges(&self, code: StatusCode, branch: u32, bytes: Bytes) -> Bytes {
        let others = || self.challenges.iter().filter(|(b, _)| *b != branch);
        if !matches!(code.0, 401 | 407) || others().next().is_none() {
            return bytes;
        }
        let Ok(stored) = Stored::scan(bytes.clone()) else {
            return bytes;
        };
        let mut edit = Edit::new();
        let packet = stored.packet();
        let at = packet
            .headers()
            .last()
            .map_or(packet.headers_at(), |h| h.line_range().start);
        for (_, lines) in others() {
            edit.insert(at, lines);
        }
        Bytes::from(edit.print(&bytes))
    }
}

/// The lower the better (§16.7 step 6): 6xx wins, then the lowest class, and in it what the caller can act on.
fn rank(code: StatusCode) -> u16 {
    let helpful = matches!(code.0, 401 | 407 | 415 | 420 | 484);
    match code.class() {
        6 => 0,
        class => {
            class * 10 + if helpful { 0 } else { 1 } + 2 * u16::from(matches!(code.0, 408 | 487))
        }
    }
}

/// The reason phrase of a response that is printed.
fn reason_of(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next()?;
    Some(line.get(12..)?.trim_ascii())
}

/// The challenge lines of a response.
fn challenges(packet: &Packet<'_>) -> Vec<u8> {
    packet
        .headers()
        .filter(|h| {
            matches!(
                h.name(),
                HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate
            )
        })
        .flat_map(|h| h.line().iter().copied())
        .collect()
}

/// The response as it goes upstream: without our Via (§16.7 step 3). `None` when no Via is left: it was for us.
///
/// A datagram may leave its Content-Length out; on a stream nobody would find the end of the response (§18.3).
fn without_top_via(
    edit: &mut Edit,
    packet: &Packet<'_>,
    via: &Via<'_>,
    upstream: Flow,
) -> Option<Bytes> {
    let header = packet.header(HeaderName::Via)?;
    edit.clear();
    edit.remove(0..packet.start_at());
    match via.next_at() {
        Some(next) => {
            let base = header.value_range().start;
            edit.remove(base + via.range().start..base + next);
        }
        None => {
            packet.all(HeaderName::Via).nth(1)?;
            edit.remove(header.line_range());
        }
    }
    if upstream.transport.is_reliable() && !packet.has(HeaderName::ContentLength) {
        let end = packet.headers().last()?.line_range().end;
        edit.insert_with(end, |out| {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, packet.body().len() as u64);
            out.extend_from_slice(b"\r\n");
        });
    }
    Some(Bytes::from(edit.print(&packet.bytes()[..packet.end()])))
}
