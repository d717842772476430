//! Forwarding a request (RFC 3261 §16.6): the original bytes and a short list of edits, printed once.

use super::cancel::TIMER_C;
use super::mark::RouteMark;
use super::outgoing::{Outgoing, print_ack};
use super::route::Routing;
use super::{
    Branch, BranchState, ContextId, Forward, MAX_TARGETS, Proxy, ResponseContext, Target, loops,
};
use crate::endpoint::{Alarm, OwnNames};
use crate::flow::Flow;
use crate::header::{HeaderName, NameAddr};
use crate::locate::{Hop, MAX_DATAGRAM, NextHop};
use crate::message::{Method, StatusCode};
use crate::resolve::{Answer, Query, ResolveError};
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, ServerUser, Transactions, User};
use crate::uri::Uri;
use crate::wire::Packet;

/// What our Via, Record-Route and the like add to a request, in octets; for the choice of transport.
const GROWTH: usize = 200;
/// How far a request may be forked when it does not say (RFC 5393 §5.3).
const MAX_BREADTH: u32 = 60;

impl Proxy {
    /// Whether a request inside a dialog finds its way without the owner's help: by the Route that we recorded.
    pub(crate) fn routes_by_itself(&self, own: &OwnNames, packet: &Packet<'_>) -> bool {
        self.goes_on(own, packet, &Routing::read(own, packet))
    }

    /// Whether a request came along our Record-Route and leaves this element: there is a Route left, or its Request-URI
    /// is not ours. Without our Route anybody could pass for a dialog and be relayed anywhere.
    fn goes_on(&self, own: &OwnNames, packet: &Packet<'_>, routing: &Routing<'_>) -> bool {
        let ours = routing.popped > 0 || routing.last_is_uri;
        ours && self.mark.is_none_or(|mark| mark.is_in(packet, routing))
            && (routing.next.is_some()
                || Uri::parse(routing.request_uri).is_ok_and(|uri| !own.is_responsible(&uri)))
    }

    /// Forwards a request to its targets.
    pub(crate) fn forward(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        server: ServerId,
        forward: Forward,
    ) {
        // The caller may have given up while the owner was still deciding.
        if !tx.is_unanswered(server) {
            return;
        }
        let (Some(stored), Some(upstream)) = (tx.take_request(server), tx.request_flow(server))
        else {
            return;
        };
        let packet = stored.packet();
        let method = packet.method().unwrap_or(Method::Extension);
        let loop_hash = loops::hash(tx, &packet);
        let max_breadth = packet
            .value(HeaderName::MaxBreadth)
            .and_then(crate::endpoint::max_forwards)
            .map(u32::from);
        let refusal = refusal(own, &packet, loop_hash, &forward, max_breadth);
        let followed = match self.follow.as_mut() {
            Some(follow) if refusal.is_none() => {
                follow.on_request(now, tx, &packet, method, upstream)
            }
            _ => None,
        };
        tx.restore_request(server, stored);
        if let Some((code, unsupported)) = refusal {
            tx.counters.loops += u64::from(code.0 == 482);
            let mut reply = Reply::new(code);
            if let Some(tags) = &unsupported {
                reply.headers.push(("Unsupported", tags));
            }
            tx.respond(now, server, &reply);
            return;
        }
        let mut waiting = forward.targets;
        waiting.truncate(MAX_TARGETS);
        waiting.reverse();
        waiting.sort_by_key(|t| t.q);
        let context = self.contexts.insert(ResponseContext {
            server: Some(server),
            method,
            upstream,
            ack: None,
            spent: forward.spent,
            record_route: forward.record_route,
            loop_hash,
            max_breadth,
            branches: Vec::with_capacity(waiting.len()),
            waiting,
            best: None,
            challenges: Vec::new(),
            answered: false,
            cancelled: false,
            withdrawn: false,
            followed,
        });
        if let Some(call) = followed {
            self.follow_context(call, context);
        }
        tx.set_server_user(server, ServerUser::Proxy(context));
        if method == Method::Invite {
            tx.counters.calls_proxied += 1;
            tx.send_trying(now, server);
        }
        self.go_on(now, tx, own, context);
    }

    /// Tries the targets that share the highest q that is left.
    pub(super) fn try_next_group(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        id: ContextId,
    ) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        let first = context.branches.len();
        let q = context.waiting.last().map(|t| t.q);
        while let Some(target) = context.waiting.pop_if(|t| Some(t.q) == q) {
            context.branches.push(Branch {
                target,
                next_hop: NextHop::none(),
                client: None,
                state: BranchState::Locating,
                failure: StatusCode(503),
                stamp: 0,
            });
        }
        let breadth = context.branches.len() - first;
        if breadth > 1 || context.max_breadth.is_some() {
            let share = context.max_breadth.unwrap_or(MAX_BREADTH) / (breadth.max(1) as u32);
            context.max_breadth = Some(share.max(1));
        }
        for number in first..first + breadth {
            match self.locate(tx, own, id, number as u32) {
                Ok(()) => self.advance(now, tx, own, id, number as u32),
                Err(error) => {
                    let code = match error {
                        ResolveError::Host => StatusCode(404),
                        _ => StatusCode(503),
                    };
                    self.finish_branch(now, tx, id, number as u32, code, None);
                }
            }
        }
    }

    /// Finds out where a branch goes next: its flow, its first route, or its URI.
    pub(super) fn locate(
        &mut self,
        tx: &mut Transactions,
        own: &OwnNames,
        id: ContextId,
        number: u32,
    ) -> Result<(), ResolveError> {
        let Some(context) = self.contexts.get_mut(id) else {
            return Ok(());
        };
        let stored = match (&context.ack, context.server) {
            (Some(ack), _) => Some(ack.clone()),
            (None, Some(server)) => tx.take_request(server),
            (None, None) => None,
        };
        let Some(stored) = stored else {
            return Ok(());
        };
        let branch = &mut context.branches[number as usize];
        let next_hop = match branch.target.flow {
            Some(flow) if branch.target.routes.is_empty() => Ok(NextHop::along(flow)),
            _ => {
                let packet = stored.packet();
                let routing = Routing::read(own, &packet);
                let way = (context.upstream, self.mark);
                next_hop(tx, &routing, &packet, &branch.target, way)
            }
        };
        if let Some(server) = context.server {
            tx.restore_request(server, stored);
        }
        branch.next_hop = next_hop?;
        Ok(())
    }

    /// Sends to the next server of a branch, or waits for the name servers, or gives the branch up.
    pub(super) fn advance(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        id: ContextId,
        number: u32,
    ) {
        let user = User::Proxy {
            context: id,
            branch: number,
        };
        let Some(branch) = self.branch_mut(id, number) else {
            return;
        };
        let failure = branch.failure;
        match branch.next_hop.poll(tx, user) {
            Hop::Send(flow) => self.send(now, tx, own, id, number, flow),
            Hop::Wait => {}
            Hop::End => self.finish_branch(now, tx, id, number, failure, None),
        }
    }

    /// The name servers answered for a branch.
    pub(crate) fn on_answer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        at: (ContextId, u32),
        answered: (&Query, Answer),
    ) {
        let (id, number) = at;
        let Some(branch) = self.branch_mut(id, number) else {
            return;
        };
        branch.next_hop.answer(answered.0, answered.1);
        if branch.state == BranchState::Locating {
            self.advance(now, tx, own, id, number);
            self.go_on(now, tx, own, id);
        }
    }

    fn send(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        id: ContextId,
        number: u32,
        flow: Flow,
    ) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        if let Some(ack) = context.ack.take() {
            let packet = ack.packet();
            let routing = Routing::read(own, &packet);
            let way = (context.upstream, flow);
            let bytes = print_ack(&mut self.edit, tx, &packet, &routing, way);
            tx.send(flow, bytes);
            self.contexts.remove(id);
            return;
        }
        let Some(server) = context.server else {
            return;
        };
        let Some(stored) = tx.take_request(server) else {
            return;
        };
        let user = User::Proxy {
            context: id,
            branch: number,
        };
        let branch = &mut context.branches[number as usize];
        let reserved = tx.reserve_client(user, context.method, flow);
        let outgoing = Outgoing {
            upstream: context.upstream,
            flow,
            target: &branch.target,
            spent: context.spent.as_deref(),
            record_route: context.record_route,
            max_breadth: context.max_breadth,
            mark: self.mark,
        };
        let loop_hash = context.loop_hash;
        let packet = stored.packet();
        let routing = Routing::read(own, &packet);
        let bytes = outgoing.print(&mut self.edit, tx, &packet, &routing, |tx, out| {
            tx.write_via(out, &reserved, &flow, loop_hash);
        });
        tx.restore_request(server, stored);
        branch.state = BranchState::Calling;
        branch.stamp += 1;
        if context.method == Method::Invite {
            tx.alarm(now, TIMER_C, Alarm::Branch(id, number, branch.stamp));
        }
        branch.client = Some(tx.start_client(now, reserved, bytes));
    }

    /// Forwards the ACK for a 2xx (§16.6, no transaction). Says whether it goes anywhere.
    pub(crate) fn forward_ack(
        &mut self,
        tx: &mut Transactions,
        own: &OwnNames,
        upstream: Flow,
        packet: &Packet<'_>,
    ) -> bool {
        let routing = Routing::read(own, packet);
        if !self.goes_on(own, packet, &routing) || forwards_left(packet) == Some(0) {
            return false;
        }
        if self.follow.is_some() {
            self.follow_ack(tx, packet);
        }
        let target = Target::default();
        let Ok(mut hop) = next_hop(tx, &routing, packet, &target, (upstream, self.mark)) else {
            return false;
        };
        // Numeric hosts, which is nearly all of them, need no context.
        if hop.is_numeric() {
            let Hop::Send(flow) = hop.poll(tx, User::Nobody) else {
                return false;
            };
            let bytes = print_ack(&mut self.edit, tx, packet, &routing, (upstream, flow));
            tx.send(flow, bytes);
            return true;
        }
        if self.contexts.len() >= crate::transaction::layer::MAX_TRANSACTIONS {
            return false;
        }
        let id = self.contexts.insert(ResponseContext {
            server: None,
            method: Method::Ack,
            upstream,
            ack: Some(packet.store()),
            spent: None,
            record_route: false,
            loop_hash: 0,
            max_breadth: None,
            branches: vec![Branch {
                target,
                next_hop: hop,
                client: None,
                state: BranchState::Locating,
                failure: StatusCode(503),
                stamp: 0,
            }],
            waiting: Vec::new(),
            best: None,
            challenges: Vec::new(),
            answered: false,
            cancelled: false,
            withdrawn: false,
            followed: None,
        });
        self.advance(Time::ZERO, tx, own, id, 0);
        true
    }
}

/// Why a request cannot be forwarded at all (§16.3): the status, and what is unsupported.
fn refusal(
    own: &OwnNames,
    packet: &Packet<'_>,
    loop_hash: u64,
    forward: &Forward,
    max_breadth: Option<u32>,
) -> Option<(StatusCode, Option<String>)> {
    if forwards_left(packet) == Some(0) {
        return Some((StatusCode(483), None));
    }
    if packet.has(HeaderName::ProxyRequire) {
        // No extension that a client could require of a proxy is known here.
        return Some((StatusCode(420), Some(required(packet))));
    }
    if loops::is_loop(own, packet, loop_hash) {
        return Some((StatusCode(482), None));
    }
    if forward.targets.is_empty() {
        return Some((StatusCode(480), None));
    }
    if max_breadth.is_some_and(|breadth| breadth == 0 || (breadth as usize) < parallel(forward)) {
        return Some((StatusCode(440), None));
    }
    None
}

/// The option tags that a proxy must know (§20.29), on one line.
fn required(packet: &Packet<'_>) -> String {
    let mut tags = String::new();
    for header in packet.all(HeaderName::ProxyRequire) {
        for tag in header.value().split(|b| *b == b',') {
            if !tags.is_empty() {
                tags.push_str(", ");
            }
            tags.push_str(&String::from_utf8_lossy(tag.trim_ascii()));
        }
    }
    tags
}

/// The most targets that share one q.
fn parallel(forward: &Forward) -> usize {
    let same = |q: u16| forward.targets.iter().filter(|t| t.q == q).count();
    forward.targets.iter().map(|t| same(t.q)).max().unwrap_or(0)
}

pub(super) fn forwards_left(packet: &Packet<'_>) -> Option<u8> {
    crate::endpoint::max_forwards(packet.value(HeaderName::MaxForwards)?)
}

/// The servers of a target (§16.6 step 7).
fn next_hop(
    tx: &mut Transactions,
    routing: &Routing<'_>,
    packet: &Packet<'_>,
    target: &Target,
    (upstream, mark): (Flow, Option<RouteMark>),
) -> Result<NextHop, ResolveError> {
    let along = match mark {
        Some(mark) if target.routes.is_empty() => mark.flow_of(tx, packet, routing),
        _ => None,
    };
    let along = along.filter(|flow| flow.connection != upstream.connection);
    let large = packet.end() + GROWTH > MAX_DATAGRAM;
    let bytes = match (target.routes.first(), routing.next) {
        (Some(route), _) => match NameAddr::parse(route.as_bytes()) {
            Ok(route) => route.uri.as_bytes(),
            Err(_) => return Err(ResolveError::Host),
        },
        (None, Some(route)) => route.uri.as_bytes(),
        (None, None) => target.uri.as_deref().unwrap_or(routing.request_uri),
    };
    let uri = Uri::parse(bytes).map_err(|_| ResolveError::Host)?;
    let located = NextHop::new(tx, &uri, Some(upstream), large);
    match along {
        // The connection that the peer opened, and only when that is gone where it says that it is.
        Some(flow) => Ok(located
            .unwrap_or_else(|_| NextHop::none())
            .first_along(flow)),
        None => located,
    }
}
