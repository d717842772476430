//! CANCEL and Timer C (RFC 3261 §9.1, §16.8, §16.10).

use core::time::Duration;

use super::{Branch, BranchState, ContextId, Proxy};
use crate::endpoint::{Alarm, OwnNames};
use crate::message::StatusCode;
use crate::time::Time;
use crate::transaction::{T1X64, Transactions};

/// Timer C: how long a branch may ring; more than three minutes (§16.6 step 11).
pub(super) const TIMER_C: Duration = Duration::from_secs(185);

impl Proxy {
    /// The caller gave up.
    pub(crate) fn cancel(&mut self, now: Time, tx: &mut Transactions, id: ContextId) {
        if let Some(context) = self.contexts.get_mut(id) {
            context.cancelled = true;
        }
        self.cancel_pending(now, tx, id);
        self.conclude(now, tx, id);
    }

    /// This element ends a call that nobody has answered: the branches are cancelled, and the caller is told when they have
    /// ended. A 2xx that is quicker still passes.
    pub(super) fn withdraw(&mut self, now: Time, tx: &mut Transactions, id: ContextId) {
        if let Some(context) = self.contexts.get_mut(id) {
            context.withdrawn = true;
        }
        self.cancel(now, tx, id);
    }

    /// Cancels all branches that have no final response.
    pub(super) fn cancel_pending(&mut self, now: Time, tx: &mut Transactions, id: ContextId) {
        let Some(context) = self.contexts.get_mut(id) else {
            return;
        };
        context.waiting.clear();
        for (number, branch) in context.branches.iter_mut().enumerate() {
            match branch.state {
                BranchState::Locating => branch.state = BranchState::Done,
                BranchState::Calling => branch.state = BranchState::CancelWanted,
                BranchState::Proceeding => {
                    send_cancel(now, tx, id, number as u32, branch);
                }
                _ => {}
            }
        }
    }

    /// Timer C fired, or a cancelled branch took too long.
    pub(crate) fn on_branch_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        own: &OwnNames,
        at: (ContextId, u32),
        stamp: u32,
    ) {
        let (id, number) = at;
        let Some(branch) = self.branch_mut(id, number) else {
            return;
        };
        if branch.stamp != stamp {
            return;
        }
        match branch.state {
            BranchState::Proceeding => send_cancel(now, tx, id, number, branch),
            BranchState::Calling | BranchState::CancelWanted | BranchState::Cancelled => {
                if let Some(client) = branch.client.take() {
                    tx.abandon_client(client);
                }
                self.finish_branch(now, tx, id, number, StatusCode(408), None);
                self.go_on(now, tx, own, id);
            }
            BranchState::Locating | BranchState::Done => {}
        }
    }

    pub(super) fn branch_mut(&mut self, id: ContextId, number: u32) -> Option<&mut Branch> {
        self.contexts.get_mut(id)?.branches.get_mut(number as usize)
    }
}

/// Sends CANCEL and gives the branch the time of §9.1 to end.
pub(super) fn send_cancel(
    now: Time,
    tx: &mut Transactions,
    id: ContextId,
    number: u32,
    branch: &mut Branch,
) {
    if let Some(client) = branch.client {
        tx.cancel_client(now, client);
    }
    branch.state = BranchState::Cancelled;
    branch.stamp += 1;
    tx.alarm(now, T1X64, Alarm::Branch(id, number, branch.stamp));
}
