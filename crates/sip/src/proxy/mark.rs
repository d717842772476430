//! The mark in our Record-Route, by which the requests inside a dialog show that the dialog passed here.
//!
//! The proxy keeps no dialogs: Route alone says that a request belongs to one. Unmarked, anybody could write such a Route
//! and be relayed anywhere. The mark is a keyed hash of the Call-ID, which every request of the dialog repeats.

use core::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;

use super::route::{Routing, routes};
use crate::flow::{ConnectionId, Flow, Transport};
use crate::random::{push_hex, read_hex};
use crate::transaction::Transactions;
use crate::uri::Uri;
use crate::wire::Packet;

/// The URI parameter that carries the mark.
const PARAM: &[u8] = b"m";

/// The URI parameter that carries a flow.
const FLOW: &[u8] = b"f";

/// Whether only the very connection leads to the peer, or one to whoever has shown a certain name: what the peer records of
/// itself may be an address, for which it has no certificate.
pub(super) const fn has_token(flow: &Flow) -> bool {
    (flow.connection.is_one() || flow.connection.is_named())
        && matches!(
            flow.transport,
            Transport::Tls | Transport::Ws | Transport::Wss
        )
}

/// Makes and recognises marks; the same key makes the same marks in every shard and after a restart.
#[derive(Clone, Copy)]
pub(crate) struct RouteMark(SipHasher24);

impl core::fmt::Debug for RouteMark {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RouteMark(..)")
    }
}

impl RouteMark {
    pub(crate) fn new(key: &[u8; 16]) -> RouteMark {
        RouteMark(SipHasher24::new_with_key(key))
    }

    fn of(&self, call_id: &[u8]) -> u64 {
        let mut hasher = self.0;
        hasher.write(call_id);
        hasher.finish()
    }

    fn of_flow(&self, call_id: &[u8], flow: &[u8]) -> u64 {
        let mut hasher = self.0;
        hasher.write(call_id);
        hasher.write(&[0]);
        hasher.write(flow);
        hasher.finish()
    }

    /// Writes the parameter that leads back along a connection which its peer has opened (RFC 5626 §5.2): nothing else leads
    /// to a WebSocket client, or proves to a TLS client who we are. It also leads to a peer that has shown its name. Listener, connection, address and port, and a keyed hash
    /// over them and the Call-ID.
    pub(super) fn write_flow(
        &self,
        tx: &Transactions,
        call_id: &[u8],
        flow: &Flow,
        out: &mut Vec<u8>,
    ) {
        let listener = if has_token(flow) {
            tx.listener_at(flow)
        } else {
            None
        };
        let Some(listener) = listener else {
            return;
        };
        out.push(b';');
        out.extend_from_slice(FLOW);
        out.push(b'=');
        let begin = out.len();
        push_hex(out, listener as u64, 2);
        push_hex(out, flow.connection.0, 16);
        push_hex(out, u64::from(flow.remote.port()), 4);
        match flow.remote.ip() {
            IpAddr::V4(ip) => push_hex(out, u64::from(ip.to_bits()), 8),
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                push_hex(out, (bits >> 64) as u64, 16);
                push_hex(out, bits as u64, 16);
            }
        }
        let mac = self.of_flow(call_id, out.get(begin..).unwrap_or_default());
        push_hex(out, mac, 16);
    }

    /// The connection that a request goes along, when the last of our Route values is one that we wrote for it.
    pub(super) fn flow_of(
        &self,
        tx: &Transactions,
        packet: &Packet<'_>,
        routing: &Routing<'_>,
    ) -> Option<Flow> {
        let last = routes(packet).nth(routing.popped.checked_sub(1)?)?;
        let token = last.uri.param(FLOW).flatten()?;
        let (text, mac) = token.split_at_checked(token.len().checked_sub(16)?)?;
        if read_hex(mac) != Some(self.of_flow(packet.call_id(), text)) {
            return None;
        }
        let number = |from: usize, to: usize| text.get(from..to).and_then(read_hex);
        let listener = tx.listeners().get(number(0, 2)? as usize)?;
        let ip = match text.len() {
            30 => IpAddr::from(u32::try_from(number(22, 30)?).ok()?.to_be_bytes()),
            54 => {
                let bits = u128::from(number(22, 38)?) << 64 | u128::from(number(38, 54)?);
                IpAddr::from(bits.to_be_bytes())
            }
            _ => return None,
        };
        Some(Flow {
            transport: listener.transport,
            local: listener.local,
            remote: SocketAddr::new(ip, number(18, 22)? as u16),
            connection: ConnectionId(number(2, 18)?),
        })
    }

    /// Writes the parameter for the dialogs of a Call-ID.
    pub(super) fn write(&self, call_id: &[u8], out: &mut Vec<u8>) {
        out.push(b';');
        out.extend_from_slice(PARAM);
        out.push(b'=');
        push_hex(out, self.of(call_id), 16);
    }

    /// Whether one of the values that are ours carries the mark of this request's Call-ID.
    pub(super) fn is_in(&self, packet: &Packet<'_>, routing: &Routing<'_>) -> bool {
        let mark = self.of(packet.call_id());
        let carries = |uri: &Uri<'_>| uri.param(PARAM).flatten().and_then(read_hex) == Some(mark);
        let strict =
            || routing.last_is_uri && Uri::parse(packet.request_uri()).is_ok_and(|u| carries(&u));
        routes(packet).take(routing.popped).any(|r| carries(&r.uri)) || strict()
    }
}
