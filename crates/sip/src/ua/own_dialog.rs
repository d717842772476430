//! Dialogs that no call made: those of subscriptions and of REFERs outside calls (RFC 6665 §4.4.1).

use super::UserAgent;
use super::answer::cseq_of;
use super::call::{dialog_key, tag_of};
use super::dialog::Dialog;
use super::event::{AccountId, SubscriptionId, TransferId};
use super::outbound::Purpose;
use super::report::event_of;
use super::transfer::{Path, Role};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::{Method, StatusCode};
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::wire::Packet;

/// Whose dialog it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Transfer(TransferId),
    Subscription(SubscriptionId),
}

/// One such dialog; it is ours alone until the peer has said something.
#[derive(Debug)]
pub(super) struct OwnDialog {
    pub(super) account: Option<AccountId>,
    /// The user of our Contact, escaped.
    pub(super) user: String,
    call_id: String,
    local_tag: String,
    pub(super) dialog: Option<Dialog>,
    /// The flow that the peer's messages come on.
    pub(super) flow: Option<Flow>,
    /// The peer may only be reached on that flow.
    pub(super) direct: bool,
}

impl OwnDialog {
    /// For a request of ours that will make a dialog.
    pub(super) fn outgoing(
        account: AccountId,
        user: String,
        call_id: String,
        local_tag: String,
    ) -> OwnDialog {
        OwnDialog {
            account: Some(account),
            user,
            call_id,
            local_tag,
            dialog: None,
            flow: None,
            direct: false,
        }
    }

    /// For a request of the peer that makes one.
    pub(super) fn incoming(
        account: Option<AccountId>,
        user: String,
        local_tag: String,
        dialog: Dialog,
        (flow, direct): (Flow, bool),
    ) -> OwnDialog {
        OwnDialog {
            account,
            user,
            call_id: dialog.call_id.clone(),
            local_tag,
            dialog: Some(dialog),
            flow: Some(flow),
            direct,
        }
    }

    /// A number for another try of a request in the dialog.
    pub(super) fn next_cseq(&mut self) -> Option<u32> {
        let dialog = self.dialog.as_mut()?;
        dialog.local_cseq = dialog.local_cseq.saturating_add(1);
        Some(dialog.local_cseq)
    }

    /// Whether a request of the peer is in order; the first one makes the dialog (RFC 6665 §4.4.1).
    pub(super) fn takes(&mut self, packet: &Packet<'_>, source: Flow) -> Result<(), StatusCode> {
        match &mut self.dialog {
            None => {
                let dialog = Dialog::from_notify(packet, 1).ok_or(StatusCode(400))?;
                self.dialog = Some(dialog);
            }
            Some(dialog) if !dialog.is_with(tag_of(packet, HeaderName::From)) => {
                return Err(StatusCode(481));
            }
            Some(dialog) => {
                if !dialog.accepts(cseq_of(packet)) {
                    return Err(StatusCode(500));
                }
            }
        }
        self.flow = Some(source);
        Ok(())
    }

    pub(super) fn key(&self, tx: &Transactions) -> u64 {
        dialog_key(tx, self.call_id.as_bytes(), self.local_tag.as_bytes())
    }

    /// Whether a message with this Call-ID and this tag of ours is for it.
    pub(super) fn is(&self, call_id: &[u8], tag: &[u8]) -> bool {
        self.call_id.as_bytes() == call_id && self.local_tag.as_bytes() == tag
    }
}

impl UserAgent {
    /// The dialog of its own that a request of ours lives in.
    pub(super) fn own_dialog(&self, purpose: Purpose) -> Option<&OwnDialog> {
        match purpose {
            Purpose::Refer(id) | Purpose::Notify(id) => match &self.transfer_of(id)?.path {
                Path::Own(own) => Some(own),
                Path::Call(_) => None,
            },
            Purpose::Subscribe(id) => self.subscription_of(id).map(|s| &s.own),
            _ => None,
        }
    }

    /// The next number of a dialog, for another try of a request that is no part of a call's session.
    pub(super) fn usage_cseq(&mut self, purpose: Purpose) -> Option<u32> {
        let id = match purpose {
            Purpose::Refer(id) | Purpose::Notify(id) => id,
            Purpose::Subscribe(id) => return self.subscription_mut(id)?.own.next_cseq(),
            _ => return None,
        };
        let call = self.call_of_transfer(id);
        let number = match call {
            Some(call) => self.call_mut(call)?.next_cseq()?,
            None => match &mut self.transfer_mut(id)?.path {
                Path::Own(own) => own.next_cseq()?,
                Path::Call(_) => return None,
            },
        };
        if let Some(transfer) = self.transfer_mut(id)
            && let Role::Asking(asking) = &mut transfer.role
        {
            asking.cseq = Some(number);
        }
        Some(number)
    }

    /// The dialog without a call that a message with this Call-ID and this tag of ours is for.
    pub(super) fn find_usage(
        &self,
        tx: &Transactions,
        call_id: &[u8],
        tag: &[u8],
    ) -> Option<Usage> {
        let usage = *self.by_usage.get(&dialog_key(tx, call_id, tag))?;
        let own = match usage {
            Usage::Transfer(id) => match &self.transfer_of(id)?.path {
                Path::Own(own) => Some(&**own),
                Path::Call(_) => None,
            },
            Usage::Subscription(id) => self.subscription_of(id).map(|s| &s.own),
        };
        own.is_some_and(|own| own.is(call_id, tag)).then_some(usage)
    }

    /// A request in a dialog that no call made.
    pub(super) fn in_usage(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        usage: Usage,
        (packet, source): (&Packet<'_>, Flow),
    ) -> Result<(), StatusCode> {
        match usage {
            Usage::Transfer(id) => self.in_transfer(now, tx, server, id, (packet, source)),
            Usage::Subscription(id) => self.in_subscription(now, tx, server, id, (packet, source)),
        }
    }

    fn in_transfer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: TransferId,
        (packet, source): (&Packet<'_>, Flow),
    ) -> Result<(), StatusCode> {
        let gone = StatusCode(481);
        let transfer = self.transfer_mut(id).ok_or(gone)?;
        let asking = matches!(transfer.role, Role::Asking(_));
        let Path::Own(own) = &mut transfer.path else {
            return Err(gone);
        };
        own.takes(packet, source)?;
        match packet.method() {
            Some(Method::Notify) if asking => {
                if event_of(packet)?.package != b"refer" {
                    return Err(StatusCode(489));
                }
                self.on_report(now, tx, server, id, packet)
            }
            Some(Method::Subscribe) if !asking => {
                self.on_refer_subscribe(now, tx, server, &[id], packet)
            }
            _ => Err(gone),
        }
    }
}
