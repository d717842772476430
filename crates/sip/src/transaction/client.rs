//! Client transactions: sending requests, and finding the one that a response is for (RFC 3261 §17.1.3).

use bytes::Bytes;

use super::layer::{Fate, Transactions, User, is_invite};
use super::{InviteClient, Next, NonInviteClient, Steps, Timer};
use crate::flow::Flow;
use crate::header::{CSeq, HeaderName, Via};
use crate::message::{Method, StatusCode};
use crate::random::{push_decimal, push_hex, read_hex};
use crate::slab::Key;
use crate::time::Time;
use crate::wire::{Packet, Stored};

/// Names a client transaction.
pub type ClientId = Key<Client>;

/// One client transaction.
#[derive(Debug)]
pub struct Client {
    machine: Machine,
    nonce: u64,
    method: Method,
    pub(super) flow: Flow,
    pub(super) request: Bytes,
    pub(super) user: User,
    pub(super) sent: bool,
    cancel: Option<ClientId>,
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    Invite(InviteClient),
    Other(NonInviteClient),
}

/// A place taken for a client transaction, so that its branch can be printed before it starts.
#[derive(Debug)]
pub struct Reserved {
    id: ClientId,
    nonce: u64,
}

/// The magic cookie of RFC 3261 branches (§8.1.1.7).
pub const COOKIE: &[u8] = b"z9hG4bK";

impl Client {
    fn is_reliable(&self) -> bool {
        self.flow.transport.is_reliable()
    }

    pub(super) fn on_timer(&mut self, timer: Timer, steps: &mut Steps) -> bool {
        match self.machine {
            Machine::Invite(m) => self.go_invite(m.on_timer(timer, steps)),
            Machine::Other(m) => self.go_other(m.on_timer(timer, steps)),
        }
    }

    fn go_invite(&mut self, next: Next<InviteClient>) -> bool {
        match next {
            Next::In(m) => {
                self.machine = Machine::Invite(m);
                if m == InviteClient::Accepted {
                    self.request = Bytes::new();
                }
                false
            }
            Next::Terminated => true,
        }
    }

    fn go_other(&mut self, next: Next<NonInviteClient>) -> bool {
        match next {
            Next::In(m) => {
                self.machine = Machine::Other(m);
                if m == NonInviteClient::Completed {
                    self.request = Bytes::new();
                }
                false
            }
            Next::Terminated => true,
        }
    }

    /// The ACK for a final response that is not 2xx (§17.1.1.3).
    pub(super) fn ack(&self, response: &Packet<'_>) -> Option<Bytes> {
        let to = response.header(HeaderName::To)?;
        same_hop_request(&self.request, "ACK", Some(to.value()), None)
    }
}

/// ACK or CANCEL for a request that was sent: same Request-URI, Via, From, Call-ID, number and Route (§9.1, §17.1.1.3).
fn same_hop_request(
    request: &Bytes,
    method: &str,
    to: Option<&[u8]>,
    reason: Option<&str>,
) -> Option<Bytes> {
    let stored = Stored::scan(request.clone()).ok()?;
    let packet = stored.packet();
    let cseq = CSeq::parse(packet.value(HeaderName::CSeq)?).ok()?;
    let mut out = Vec::with_capacity(512);
    let line = |out: &mut Vec<u8>, name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    out.extend_from_slice(method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(packet.request_uri());
    out.extend_from_slice(b" SIP/2.0\r\n");
    // Our own Via is alone on its line: we wrote it.
    line(&mut out, "Via", packet.value(HeaderName::Via)?);
    for route in packet.all(HeaderName::Route) {
        line(&mut out, "Route", route.value());
    }
    out.extend_from_slice(b"Max-Forwards: 70\r\n");
    line(&mut out, "From", packet.value(HeaderName::From)?);
    line(&mut out, "To", to.or_else(|| packet.value(HeaderName::To))?);
    line(&mut out, "Call-ID", packet.call_id());
    out.extend_from_slice(b"CSeq: ");
    push_decimal(&mut out, u64::from(cseq.number));
    out.push(b' ');
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\r\n");
    if let Some(reason) = reason {
        line(&mut out, "Reason", reason.as_bytes());
    }
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(Bytes::from(out))
}

impl Transactions {
    /// Takes a place for a client transaction; [`Transactions::start_client`] fills it.
    pub fn reserve_client(&mut self, user: User, method: Method, flow: Flow) -> Reserved {
        let nonce = self.random.bits();
        let machine = if is_invite(method) {
            Machine::Invite(InviteClient::Proceeding)
        } else {
            Machine::Other(NonInviteClient::Proceeding)
        };
        let id = self.clients.insert(Client {
            machine,
            nonce,
            method,
            flow,
            request: Bytes::new(),
            user,
            sent: false,
            cancel: None,
        });
        Reserved { id, nonce }
    }

    /// Appends our Via value for a reserved transaction: transport, sent-by, branch and `rport` (RFC 3581).
    ///
    /// `loop_hash` goes into the branch for loop detection (RFC 5393 §4.2); 0 leaves it out.
    pub fn write_via(&self, out: &mut Vec<u8>, reserved: &Reserved, flow: &Flow, loop_hash: u64) {
        self.write_via_parts(out, flow, reserved.id.as_u64(), reserved.nonce, loop_hash);
    }

    fn write_via_parts(&self, out: &mut Vec<u8>, flow: &Flow, id: u64, nonce: u64, loop_hash: u64) {
        out.extend_from_slice(b"SIP/2.0/");
        out.extend_from_slice(flow.transport.token().as_bytes());
        out.push(b' ');
        self.write_sent_by(out, flow);
        out.extend_from_slice(b";branch=");
        out.extend_from_slice(COOKIE);
        push_hex(out, u64::from(self.shard), 2);
        push_hex(out, id, 16);
        push_hex(out, nonce, 16);
        if loop_hash != 0 {
            out.push(b'.');
            push_hex(out, loop_hash, 16);
        }
        if !flow.transport.is_reliable() {
            out.extend_from_slice(b";rport");
        }
    }

    /// Appends a Via value that belongs to no transaction: for the ACK to a 2xx.
    pub fn write_stateless_via(&mut self, out: &mut Vec<u8>, flow: &Flow, loop_hash: u64) {
        let nonce = self.random.bits();
        self.write_via_parts(out, flow, u64::MAX, nonce, loop_hash);
    }

    /// Sends the printed request and starts its timers.
    pub fn start_client(&mut self, now: Time, reserved: Reserved, request: Bytes) -> ClientId {
        let id = reserved.id;
        let mut steps = Steps::new();
        if let Some(client) = self.clients.get_mut(id) {
            client.request = request;
            let reliable = client.is_reliable();
            client.machine = if is_invite(client.method) {
                Machine::Invite(InviteClient::start(reliable, &mut steps))
            } else {
                Machine::Other(NonInviteClient::start(reliable, &mut steps))
            };
        }
        self.run_client(now, id, false, &steps, None);
        id
    }

    /// Sends CANCEL for an INVITE that has a provisional response and no final one (§9.1).
    /// The caller waits for the provisional response first. Says whether it left.
    pub fn cancel_client(&mut self, now: Time, id: ClientId) -> bool {
        self.cancel_client_because(now, id, None)
    }

    /// As [`Transactions::cancel_client`], with a Reason (RFC 3326) that may stand in a header.
    pub fn cancel_client_because(&mut self, now: Time, id: ClientId, reason: Option<&str>) -> bool {
        let Some(client) = self.clients.get(id) else {
            return false;
        };
        if client.cancel.is_some()
            || !matches!(client.machine, Machine::Invite(InviteClient::Proceeding))
        {
            return false;
        }
        let Some(request) = same_hop_request(&client.request, "CANCEL", None, reason) else {
            return false;
        };
        let reserved = self.reserve_client(User::Nobody, Method::Cancel, client.flow);
        let cancel = reserved.id;
        if let Some(client) = self.clients.get_mut(id) {
            client.cancel = Some(cancel);
        }
        self.start_client(now, reserved, request);
        true
    }

    /// Whether a provisional response has come for an INVITE that still waits.
    pub fn is_proceeding(&self, id: ClientId) -> bool {
        self.clients
            .get(id)
            .is_some_and(|c| matches!(c.machine, Machine::Invite(InviteClient::Proceeding)))
    }

    /// The flow that a client transaction uses.
    pub fn client_flow(&self, id: ClientId) -> Option<Flow> {
        self.clients.get(id).map(|c| c.flow)
    }

    /// The request that a client transaction sent, while it may still have to be sent again.
    pub fn client_request(&self, id: ClientId) -> Option<Bytes> {
        self.clients.get(id).map(|c| c.request.clone())
    }

    /// Forgets a client transaction: its user wants nothing more of it.
    pub fn abandon_client(&mut self, id: ClientId) {
        self.clients.remove(id);
    }

    /// Which client transaction a response is for: the branch says it.
    pub(crate) fn match_response(&self, response: &Packet<'_>, via: &Via<'_>) -> Option<ClientId> {
        let text = via.branch?.strip_prefix(COOKIE)?;
        if read_hex(text.get(..2)?)? != u64::from(self.shard) {
            return None;
        }
        let id = ClientId::from_u64(read_hex(text.get(2..18)?)?);
        let nonce = read_hex(text.get(18..34)?)?;
        let client = self.clients.get(id)?;
        if client.nonce != nonce {
            return None;
        }
        let cseq = CSeq::parse(response.value(HeaderName::CSeq)?).ok()?;
        match Method::from_bytes(cseq.method) {
            Method::Cancel if client.method != Method::Cancel => client.cancel,
            method if method == client.method => Some(id),
            _ => None,
        }
    }

    /// Gives a response to its transaction.
    pub(crate) fn on_response(
        &mut self,
        now: Time,
        id: ClientId,
        code: StatusCode,
        response: &Packet<'_>,
    ) -> Fate {
        let Some(client) = self.clients.get_mut(id) else {
            return Fate::Quiet;
        };
        let reliable = client.is_reliable();
        let mut steps = Steps::new();
        let over = match client.machine {
            Machine::Invite(m) => {
                let next = m.on_response(code, reliable, &mut steps);
                client.go_invite(next)
            }
            Machine::Other(m) => {
                let next = m.on_response(code, reliable, &mut steps);
                client.go_other(next)
            }
        };
        self.run_client(now, id, over, &steps, Some(response))
    }

    /// What was sent to `flow` did not arrive: the users of these transactions must be told.
    pub(crate) fn on_undeliverable(&mut self, now: Time, flow: &Flow) -> Vec<(ClientId, Fate)> {
        let hit: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, c)| {
                c.flow.transport == flow.transport
                    && c.flow.remote == flow.remote
                    && (flow.connection == c.flow.connection
                        || flow.connection == crate::flow::ConnectionId::ANY
                        || c.flow.connection == crate::flow::ConnectionId::ANY)
            })
            .map(|(id, _)| id)
            .collect();
        let mut fates = Vec::new();
        for id in hit {
            let mut steps = Steps::new();
            let Some(client) = self.clients.get_mut(id) else {
                continue;
            };
            let over = match client.machine {
                Machine::Invite(m) => {
                    let next = m.on_transport_error(&mut steps);
                    client.go_invite(next)
                }
                Machine::Other(m) => {
                    let next = m.on_transport_error(&mut steps);
                    client.go_other(next)
                }
            };
            let fate = self.run_client(now, id, over, &steps, None);
            if fate != Fate::Quiet {
                fates.push((id, fate));
            }
        }
        fates
    }
}
