//! Loops (RFC 3261 §16.6 step 8, RFC 5393).

use crate::endpoint::OwnNames;
use crate::header::{HeaderName, Via};
use crate::random::read_hex;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// A hash of all that decides where a request goes; never 0.
pub(super) fn hash(tx: &Transactions, packet: &Packet<'_>) -> u64 {
    let value = |name| packet.value(name).unwrap_or_default();
    let base = tx.keyed_hash(&[
        packet.request_uri(),
        value(HeaderName::From),
        value(HeaderName::To),
        packet.call_id(),
        value(HeaderName::CSeq),
        value(HeaderName::ProxyRequire),
        value(HeaderName::ProxyAuthorization),
    ]);
    packet
        .all(HeaderName::Route)
        .fold(base, |h, route| {
            tx.keyed_hash(&[&h.to_be_bytes(), route.value()])
        })
        .max(1)
}

/// Whether a request that we forwarded has come back unchanged.
pub(super) fn is_loop(own: &OwnNames, packet: &Packet<'_>, hash: u64) -> bool {
    // Below our Via stands at least the one of whoever sent us the request.
    if !packet.has_many(HeaderName::Via) {
        return false;
    }
    packet
        .all(HeaderName::Via)
        .flat_map(|h| Via::parse_list(h.value()))
        .map_while(Result::ok)
        .filter(|via| own.is_self(&via.host, via.port))
        .any(|via| {
            let branch = via.branch.unwrap_or_default();
            let at = branch.iter().rposition(|b| *b == b'.');
            at.and_then(|at| read_hex(branch.get(at + 1..)?)) == Some(hash)
        })
}
