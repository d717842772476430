//! The mark in our Record-Route, by which the requests inside a dialog show that the dialog passed here.
//!
//! The proxy keeps no dialogs: Route alone says that a request belongs to one. Unmarked, anybody could write such a Route
//! and be relayed anywhere. The mark is a keyed hash of the Call-ID, which every request of the dialog repeats.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::route::{Routing, routes};
use crate::random::{push_hex, read_hex};
use crate::uri::Uri;
use crate::wire::Packet;

/// The URI parameter that carries the mark.
const PARAM: &[u8] = b"m";

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
