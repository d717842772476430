//! Server transactions: recognising requests that came before, and answering (RFC 3261 §17.2.3, §18.2).

use bytes::Bytes;

use super::layer::{Transactions, is_invite};
use super::{InviteServer, Next, NonInviteServer, Steps, Timer};
use crate::flow::Flow;
use crate::header::{CSeq, HeaderName, NameAddr, Via};
use crate::message::{Method, StatusCode};
use crate::respond::{self, Reply};
use crate::slab::Key;
use crate::time::Time;
use crate::uri::Host;
use crate::wire::{Packet, Stored};

/// Names a server transaction.
pub type ServerId = Key<Server>;

/// One server transaction.
#[derive(Debug)]
pub struct Server {
    machine: Machine,
    key: u64,
    method: Method,
    /// The flow on which the request came.
    pub(super) flow: Flow,
    /// The flow on which responses leave.
    pub(super) reply: Flow,
    request: Option<Stored>,
    pub(super) last: Bytes,
    pub(crate) user: ServerUser,
    /// The sender has proved who it is.
    known: bool,
    /// How often Timer G has repeated the response.
    repeats: u8,
}

/// Who answers a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerUser {
    /// The owner of the endpoint has not decided.
    Undecided,
    /// The proxy.
    Proxy(crate::proxy::ContextId),
    /// The user agent; the number is its own.
    Agent(u64),
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    Invite(InviteServer),
    Other(NonInviteServer),
}

impl Server {
    fn go_invite(&mut self, next: Next<InviteServer>) -> bool {
        match next {
            Next::In(m) => {
                self.machine = Machine::Invite(m);
                // Answered for good: only the answer may have to be sent again.
                if !matches!(m, InviteServer::Proceeding { .. }) {
                    self.request = None;
                }
                if m == InviteServer::Confirmed {
                    self.last = Bytes::new();
                }
                false
            }
            Next::Terminated => true,
        }
    }

    fn go_other(&mut self, next: Next<NonInviteServer>) -> bool {
        match next {
            Next::In(m) => {
                self.machine = Machine::Other(m);
                if m == NonInviteServer::Completed {
                    self.request = None;
                }
                false
            }
            Next::Terminated => true,
        }
    }
}

/// What a request turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// A new request.
    New(ServerId),
    /// A repetition; what had to be sent again was sent.
    Repeated,
    /// An ACK that belongs to no transaction, or to one that sent a 2xx.
    Ack,
    /// No room for another transaction.
    Full,
    /// It would begin something new, and there is too much to do already.
    Overload,
}

impl Transactions {
    /// The key of §17.2.3 for a request and the method that its transaction has.
    fn key(&self, request: &Packet<'_>, via: &Via<'_>, method: &[u8]) -> u64 {
        if let Some(branch) = via.branch
            && branch.len() > super::client::COOKIE.len()
            && branch.starts_with(super::client::COOKIE)
        {
            let port = via.port.unwrap_or(0).to_be_bytes();
            let host = match &via.host {
                Host::Name(name) => *name,
                Host::V4(ip) => &ip.octets(),
                Host::V6(ip) => &ip.octets(),
            };
            return self.keyed_hash(&[branch, host, &port, method]);
        }
        // RFC 2543: no branch to rely on.
        let number = request
            .value(HeaderName::CSeq)
            .and_then(|v| CSeq::parse(v).ok())
            .map_or(0, |c| c.number);
        let from = request.value(HeaderName::From).unwrap_or_default();
        let tag = NameAddr::parse(from).ok().and_then(|n| n.tag());
        let top = request.value(HeaderName::Via).unwrap_or_default();
        self.keyed_hash(&[
            request.request_uri(),
            tag.unwrap_or_default(),
            request.call_id(),
            &number.to_be_bytes(),
            top,
            method,
        ])
    }

    /// Recognises a request, or opens a transaction for it.
    pub(crate) fn on_request(
        &mut self,
        now: Time,
        flow: Flow,
        request: &Packet<'_>,
        via: &Via<'_>,
        method: Method,
        in_dialog: bool,
    ) -> Arrival {
        let name = match method {
            Method::Ack => b"INVITE".as_slice(),
            _ => request.method_name(),
        };
        let key = self.key(request, via, name);
        if let Some(id) = self.by_key.get(&key).copied() {
            return self.on_repetition(now, id, method);
        }
        if method == Method::Ack {
            return Arrival::Ack;
        }
        if self.is_full() {
            return Arrival::Full;
        }
        if !in_dialog && method != Method::Cancel && self.takes_nothing_new() {
            return Arrival::Overload;
        }
        let mut steps = Steps::new();
        let machine = if is_invite(method) {
            Machine::Invite(InviteServer::start(&mut steps))
        } else {
            Machine::Other(NonInviteServer::Trying)
        };
        let id = self.servers.insert(Server {
            machine,
            key,
            method,
            flow,
            reply: respond::reply_flow(flow, via),
            request: Some(request.store()),
            last: Bytes::new(),
            user: ServerUser::Undecided,
            known: false,
            repeats: 0,
        });
        self.by_key.insert(key, id);
        self.run_server(now, id, false, &steps);
        Arrival::New(id)
    }

    fn on_repetition(&mut self, now: Time, id: ServerId, method: Method) -> Arrival {
        let Some(server) = self.servers.get_mut(id) else {
            return Arrival::Repeated;
        };
        let reliable = server.reply.transport.is_reliable();
        let mut steps = Steps::new();
        let over = match (server.machine, method) {
            (Machine::Invite(InviteServer::Accepted), Method::Ack) => return Arrival::Ack,
            (Machine::Invite(m), Method::Ack) => {
                let next = m.on_ack(reliable, &mut steps);
                server.go_invite(next)
            }
            (Machine::Invite(m), _) => {
                let next = m.on_request(&mut steps);
                server.go_invite(next)
            }
            (Machine::Other(m), _) => {
                let next = m.on_request(&mut steps);
                server.go_other(next)
            }
        };
        self.counters.repeated_requests += u64::from(method != Method::Ack);
        self.run_server(now, id, over, &steps);
        Arrival::Repeated
    }

    /// The INVITE transaction that a CANCEL is about (§9.2).
    pub(crate) fn match_cancel(&self, cancel: &Packet<'_>, via: &Via<'_>) -> Option<ServerId> {
        let key = self.key(cancel, via, b"INVITE");
        self.by_key.get(&key).copied()
    }

    /// The request of a server transaction, until it has been answered for good.
    pub fn request(&self, id: ServerId) -> Option<Packet<'_>> {
        Some(self.servers.get(id)?.request.as_ref()?.packet())
    }

    /// Lends the request out, so that it can be read while the layer changes; see [`Transactions::restore_request`].
    pub(crate) fn take_request(&mut self, id: ServerId) -> Option<Stored> {
        self.servers.get_mut(id)?.request.take()
    }

    /// Takes back what [`Transactions::take_request`] lent.
    pub(crate) fn restore_request(&mut self, id: ServerId, request: Stored) {
        if let Some(server) = self.servers.get_mut(id) {
            server.request = Some(request);
        }
    }

    /// The flow on which the request of a server transaction came.
    pub fn request_flow(&self, id: ServerId) -> Option<Flow> {
        self.servers.get(id).map(|s| s.flow)
    }

    /// Notes that the sender of a request has proved who it is.
    pub(crate) fn sender_is_known(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.known = true;
        }
    }

    /// Whether a request was sent by nobody knows whom and nothing was answered yet, so that it may be forgotten.
    pub(crate) fn is_strangers(&self, id: ServerId) -> bool {
        self.servers.get(id).is_some_and(|s| {
            let silent = matches!(
                s.machine,
                Machine::Invite(InviteServer::Proceeding { answered: false })
                    | Machine::Other(NonInviteServer::Trying)
            );
            silent && !s.known && s.user == ServerUser::Undecided
        })
    }

    /// What answering a request statelessly takes: the request, the flow that it came on, and the one back.
    pub(crate) fn for_refusal(&self, id: ServerId) -> Option<(Packet<'_>, Flow, Flow)> {
        let server = self.servers.get(id)?;
        Some((server.request.as_ref()?.packet(), server.flow, server.reply))
    }

    /// The method of a server transaction.
    pub fn request_method(&self, id: ServerId) -> Option<Method> {
        self.servers.get(id).map(|s| s.method)
    }

    /// Whether a server transaction still waits for its final response.
    pub fn is_unanswered(&self, id: ServerId) -> bool {
        self.servers.get(id).is_some_and(|s| {
            matches!(
                s.machine,
                Machine::Invite(InviteServer::Proceeding { .. })
                    | Machine::Other(NonInviteServer::Trying | NonInviteServer::Proceeding)
            )
        })
    }

    /// The tag that our own responses to this request carry in To: the same each time.
    pub fn local_tag(&self, id: ServerId) -> String {
        let key = self.servers.get(id).map_or(0, |s| s.key);
        let hash = self.keyed_hash(&[b"tag", &key.to_be_bytes()]);
        let mut text = Vec::with_capacity(16);
        crate::random::push_hex(&mut text, hash, 16);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Answers with a response made here. Nothing happens when the transaction is answered already.
    pub fn respond(&mut self, now: Time, id: ServerId, reply: &Reply<'_>) {
        // A 100 has none (RFC 3261 §8.2.6.2), and it is the response that is made most often.
        let tag = match reply.code.0 {
            100 => String::new(),
            _ => self.local_tag(id),
        };
        let Some(server) = self.servers.get(id) else {
            return;
        };
        let Some(request) = server.request.as_ref() else {
            return;
        };
        let bytes = respond::print(&request.packet(), server.flow.remote, reply, &tag);
        self.respond_with(now, id, reply.code, Bytes::from(bytes));
    }

    /// Answers with a response that is printed already.
    pub fn respond_with(&mut self, now: Time, id: ServerId, code: StatusCode, bytes: Bytes) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        let reliable = server.reply.transport.is_reliable();
        let mut steps = Steps::new();
        let before = core::mem::replace(&mut server.last, bytes);
        let over = match server.machine {
            Machine::Invite(m) => {
                let next = m.on_respond(code, reliable, &mut steps);
                server.go_invite(next)
            }
            Machine::Other(m) => {
                let next = m.on_respond(code, reliable, &mut steps);
                server.go_other(next)
            }
        };
        if steps.iter().next().is_none() {
            // Answered for good before: what may have to be repeated is that answer.
            server.last = before;
            return;
        }
        self.run_server(now, id, over, &steps);
        if let Some(server) = self.servers.get_mut(id)
            && matches!(server.machine, Machine::Invite(InviteServer::Accepted))
        {
            // The user repeats a 2xx itself (RFC 6026 §8.7).
            server.last = Bytes::new();
        }
    }

    /// A timer of a server transaction fired.
    pub(crate) fn on_server_timer(&mut self, now: Time, id: ServerId, timer: Timer) {
        let Some(server) = self.servers.get_mut(id) else {
            return;
        };
        if timer == Timer::Trying {
            self.send_trying(now, id);
            return;
        }
        if timer == Timer::G && !server.known {
            if server.repeats >= self.repeats_to_strangers {
                return;
            }
            server.repeats += 1;
        }
        let mut steps = Steps::new();
        let over = match server.machine {
            Machine::Invite(m) => {
                let next = m.on_timer(timer, &mut steps);
                server.go_invite(next)
            }
            Machine::Other(m) => {
                let next = m.on_timer(timer);
                server.go_other(next)
            }
        };
        self.run_server(now, id, over, &steps);
    }

    /// Sends 100 Trying unless something was sent already (§17.2.1).
    pub fn send_trying(&mut self, now: Time, id: ServerId) {
        let waits = self.servers.get(id).is_some_and(|s| {
            matches!(
                s.machine,
                Machine::Invite(InviteServer::Proceeding { answered: false })
            )
        });
        if waits {
            self.respond(now, id, &Reply::new(StatusCode(100)));
        }
    }

    /// Forgets a server transaction that its user will never answer.
    pub fn abandon_server(&mut self, id: ServerId) {
        if let Some(server) = self.servers.remove(id) {
            self.by_key.remove(&server.key);
        }
    }

    /// Says who answers a server transaction.
    pub(crate) fn set_server_user(&mut self, id: ServerId, user: ServerUser) {
        if let Some(server) = self.servers.get_mut(id) {
            server.user = user;
        }
    }

    /// Who answers a server transaction.
    pub(crate) fn server_user(&self, id: ServerId) -> Option<ServerUser> {
        self.servers.get(id).map(|s| s.user)
    }
}
