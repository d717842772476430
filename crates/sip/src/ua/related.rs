//! What a call has to do with other calls.

use super::event::{CallId, TransferId};
use super::redirect::Redirection;

/// The ties of one call: whom it replaces, who asked for it, where it was sent on to.
#[derive(Debug, Default)]
pub(super) struct Related {
    /// The call of ours that ends when this one is accepted (RFC 3891).
    pub(super) replaces: Option<CallId>,
    /// The transfer that asked for this call; it is told how the call fares (RFC 3515 §2.4.4).
    pub(super) referred: Option<TransferId>,
    /// The transfers that live in the dialog of this call; they may outlive the call.
    pub(super) transfers: Vec<TransferId>,
    /// A REFER came before: from the second on they are told apart by an id (RFC 3515 §2.4.6).
    pub(super) referred_before: bool,
    /// Where our INVITE was sent on to.
    pub(super) redirection: Redirection,
    /// What Reason says in our BYE or CANCEL (RFC 3326).
    pub(super) parting: Option<String>,
}
