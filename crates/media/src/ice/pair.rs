use std::net::SocketAddr;

use super::Candidate;
use crate::Time;

/// First waiting time of a check (RFC 8445 §14.3), and the longest: doubling on would leave a network that loses much with
/// two or three attempts in the time that a person waits.
const RTO: Time = Time::from_millis(500);
const LONGEST: Time = Time::from_secs(1);
/// Requests of one check at most (RFC 8489 §6.2.1).
const REQUESTS: u32 = 7;

/// One way that may work: our socket of a component, and an address of the other side.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) remote: Candidate,
    pub(super) state: State,
    /// Our address as the other side saw it in the check that succeeded.
    pub(super) mapped: Option<SocketAddr>,
    /// Our check says that this pair is to be used.
    pub(super) nominating: bool,
    /// The other side said so.
    pub(super) wanted: bool,
    pub(super) transaction: [u8; 12],
    /// The role that our check claimed.
    pub(super) controlling: bool,
    sent: u32,
    pub(super) due: Time,
}

/// RFC 8445 §6.1.2.6. Nothing is ever frozen: with one stream and one address there is nothing to be learnt from waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

impl Pair {
    pub(super) fn new(remote: Candidate) -> Self {
        Self {
            remote,
            state: State::Waiting,
            mapped: None,
            nominating: false,
            wanted: false,
            transaction: [0; 12],
            controlling: false,
            sent: 0,
            due: Time::ZERO,
        }
    }

    /// RFC 8445 §6.1.2.3; `own` is the priority of our candidate.
    pub(super) fn priority(&self, own: u32, controlling: bool) -> u64 {
        let (own, theirs) = (u64::from(own), u64::from(self.remote.priority));
        let (controlling, controlled) = if controlling {
            (own, theirs)
        } else {
            (theirs, own)
        };
        (controlling.min(controlled) << 32)
            + 2 * controlling.max(controlled)
            + u64::from(controlling > controlled)
    }

    /// A check begins.
    pub(super) fn begin(&mut self, transaction: [u8; 12]) {
        self.state = State::InProgress;
        self.transaction = transaction;
        self.sent = 0;
    }

    /// A request leaves.
    pub(super) fn count(&mut self, now: Time, controlling: bool) {
        self.controlling = controlling;
        self.due = now + (RTO * (1 << self.sent.min(REQUESTS))).min(LONGEST);
        self.sent += 1;
    }

    /// Whether the check has been sent as often as it may.
    pub(super) fn is_spent(&self) -> bool {
        self.sent >= REQUESTS
    }
}
