//! Calls that take the place of others (RFC 3891).

use super::UserAgent;
use super::call::Phase;
use super::draft::readable;
use super::event::CallId;
use crate::header::{HeaderName, NameAddr, Replaces};
use crate::message::StatusCode;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::uri::{Uri, escape_header};
use crate::wire::Packet;

impl UserAgent {
    /// The call that an INVITE wants to replace, or the status that says why it cannot (§3).
    pub(super) fn replaced(
        &self,
        tx: &Transactions,
        invite: &Packet<'_>,
    ) -> Result<Option<CallId>, StatusCode> {
        let Some(value) = invite.value(HeaderName::Replaces) else {
            return Ok(None);
        };
        let unclear = invite.has_many(HeaderName::Replaces) || invite.has(HeaderName::Join);
        let replaces = match Replaces::parse(value) {
            Ok(replaces) if !unclear => replaces,
            _ => return Err(StatusCode(400)),
        };
        let gone = StatusCode(481);
        let id = self
            .find_call(tx, replaces.call_id, replaces.to_tag)
            .ok_or(gone)?;
        let call = self.call_of(id).ok_or(gone)?;
        let leg = call
            .leg_with(Some(replaces.from_tag))
            // A peer of RFC 2543 has no tag, and is named 0.
            .or_else(|| {
                (replaces.from_tag == b"0")
                    .then(|| call.leg_with(None))
                    .flatten()
            })
            .ok_or(gone)?;
        match call.phase {
            Phase::Over | Phase::Ending => Err(StatusCode(603)),
            Phase::Up if call.confirmed != Some(leg) => Err(gone),
            Phase::Up if replaces.early_only => Err(StatusCode(486)),
            Phase::Up => Ok(Some(id)),
            // Only the one who sent the INVITE can take it back.
            Phase::Calling => Ok(Some(id)),
            Phase::Ringing | Phase::Cancelling => Err(gone),
        }
    }

    /// A call was accepted: the one whose place it takes ends.
    pub(super) fn take_place(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let replaced = self
            .call_mut(id)
            .and_then(|call| call.related.replaces.take());
        if let Some(replaced) = replaced {
            // It may have ended by itself.
            let _ = self.hang_up(now, tx, replaced);
        }
    }

    /// Refer-To for the peer of a call, with the dialog that the new one replaces (RFC 3891, RFC 5589 §7.3).
    pub(super) fn in_place_of_us(&self, other: CallId) -> Option<String> {
        let call = self.call_of(other)?;
        let dialog = &call.legs.get(call.confirmed?)?.dialog;
        let remote = NameAddr::parse(&dialog.remote).ok()?;
        let contact = Uri::parse(&dialog.target).ok()?;
        // A Contact behind a proxy may be out of the transferee's reach (RFC 5589 §7.3): there the
        // address of record goes, and Require keeps all but the one who has the dialog from ringing.
        let reachable = dialog.routes.is_empty() || contact.param(b"gr").is_some();
        let named = remote.uri.is_sip() && !is_anonymous(&remote.uri);
        let uri = if reachable || !named {
            &contact
        } else {
            &remote.uri
        };
        let target = readable(uri.as_bytes());
        let target = target.split('?').next().unwrap_or_default();
        let their_tag = match dialog.remote_tag.as_slice() {
            [] => "0".to_owned(),
            tag => readable(tag),
        };
        let replaces = format!(
            "{};to-tag={their_tag};from-tag={}",
            call.call_id, call.local_tag
        );
        Some(format!(
            "<{target}?Replaces={}&Require=replaces>",
            escape_header(replaces.as_bytes())
        ))
    }
}

fn is_anonymous(uri: &Uri<'_>) -> bool {
    uri.host
        .name()
        .is_some_and(|h| h.eq_ignore_ascii_case(b"anonymous.invalid"))
}
