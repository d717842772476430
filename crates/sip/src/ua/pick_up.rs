//! Picking up a call that rings elsewhere (RFC 5359 §2.16), or one that was parked there (§2.15): its dialog
//! is asked for (RFC 4235), and an INVITE to the other side takes its place (RFC 3891).

use super::event::{AccountId, Cause, Event, Misuse, SubscriptionId};
use super::related::Related;
use super::{UserAgent, tell};
use crate::event::{DialogInfo, DialogState};
use crate::header::SubscriptionState;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// What to do with the dialog that is asked for.
#[derive(Debug)]
pub(super) struct PickUp {
    offer: Option<Vec<u8>>,
    /// A call that stands is wanted, not one that rings.
    parked: bool,
}

impl UserAgent {
    /// Takes over a call that rings at `target`: asks it for its dialogs, then calls the caller with
    /// `offer` in place of it. [`Event::PickingUp`] names the call; [`Event::SubscriptionEnded`] without it
    /// says why there is none.
    ///
    /// # Errors
    /// As [`UserAgent::subscribe`].
    pub fn pick_up(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        offer: Option<Vec<u8>>,
    ) -> Result<SubscriptionId, Misuse> {
        let picking = PickUp {
            offer,
            parked: false,
        };
        self.ask_for_dialogs(now, tx, account, target, picking)
    }

    /// Takes over a call that stands at `target`, where somebody parked it; otherwise as
    /// [`UserAgent::pick_up`].
    ///
    /// # Errors
    /// As [`UserAgent::subscribe`].
    pub fn retrieve(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        offer: Option<Vec<u8>>,
    ) -> Result<SubscriptionId, Misuse> {
        let picking = PickUp {
            offer,
            parked: true,
        };
        self.ask_for_dialogs(now, tx, account, target, picking)
    }

    fn ask_for_dialogs(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        picking: PickUp,
    ) -> Result<SubscriptionId, Misuse> {
        let accept = ["application/dialog-info+xml"];
        let picking = Some(picking);
        self.subscribe_for(now, tx, account, target, "dialog", &accept, 0, picking)
    }

    /// A report came: `true` when it was what a pick-up waited for, and the subscription is done with.
    pub(super) fn pick(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        packet: &Packet<'_>,
        state: &SubscriptionState<'_>,
    ) -> bool {
        let Some(known) = self.subscription_mut(id) else {
            return false;
        };
        let Some(parked) = known.picking.as_ref().map(|p| p.parked) else {
            return false;
        };
        let found = DialogInfo::parse(packet.body())
            .ok()
            .and_then(|info| info.dialogs.iter().find_map(|d| wanted(d, parked)));
        let Some((caller, replaces)) = found else {
            if state.is_terminated() {
                let reason = if parked {
                    "no call is parked there"
                } else {
                    "no call rings there"
                };
                let reason = reason.to_owned();
                self.subscription_over(tx, id, Cause::Unreachable { reason });
            }
            return state.is_terminated();
        };
        let account = known.own.account;
        let offer = known.picking.take().and_then(|p| p.offer);
        let headers = [
            ("Replaces".to_owned(), replaces),
            ("Require".to_owned(), "replaces".to_owned()),
        ];
        let profile = account.and_then(|a| Some((a, self.profile(a)?)));
        let placed = match profile {
            Some((account, profile)) => {
                let anonymous = profile.account.anonymous;
                let related = Related::default();
                self.place(
                    now, tx, account, &caller, offer, &headers, anonymous, related,
                )
            }
            None => Err(Misuse::NoAccount),
        };
        match placed {
            Ok(call) => {
                let event = Event::PickingUp {
                    subscription: id,
                    call,
                };
                tell(tx, event);
                self.subscription_over(tx, id, Cause::ByUs);
            }
            Err(misuse) => {
                let reason = misuse.to_string();
                self.subscription_over(tx, id, Cause::Unreachable { reason });
            }
        }
        true
    }
}

/// The other side of a call that is wanted, and the Replaces that takes it over. Only the caller, who sent
/// the INVITE, can be asked to give an early dialog up (RFC 3891 §3).
fn wanted(dialog: &crate::event::DialogEntry, parked: bool) -> Option<(String, String)> {
    let fits = match dialog.state {
        DialogState::Early => !parked && !dialog.is_initiator,
        DialogState::Confirmed => parked,
        _ => false,
    };
    if !fits {
        return None;
    }
    let only = if parked { "" } else { ";early-only" };
    let caller = dialog.remote.address()?;
    let clean = |text: &str| {
        let fits = !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b';' | b',' | b'"'));
        fits.then(|| text.to_owned())
    };
    let replaces = format!(
        "{};to-tag={};from-tag={}{only}",
        clean(dialog.call_id.as_deref()?)?,
        clean(dialog.remote_tag.as_deref()?)?,
        clean(dialog.local_tag.as_deref()?)?,
    );
    Some((caller.to_owned(), replaces))
}
