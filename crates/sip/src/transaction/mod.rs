//! The transactions of RFC 3261 §17 as amended by RFC 6026.
//!
//! Each machine is a value: an input consumes it and says what comes next. One figure, one file.
//! The machines know nothing of bytes; what they want done they put into [`Steps`].

pub mod client;
pub mod invite_client;
pub mod invite_server;
pub mod layer;
pub mod non_invite_client;
pub mod non_invite_server;
pub mod server;

use core::time::Duration;

pub use client::ClientId;
pub use invite_client::InviteClient;
pub use invite_server::InviteServer;
pub use layer::{Fate, Transactions, User};
pub use non_invite_client::NonInviteClient;
pub use non_invite_server::NonInviteServer;
pub use server::{ServerId, ServerUser};

/// T1: an estimate of the round-trip time (RFC 3261 §17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// T2: the longest interval between repetitions of a non-INVITE request or an INVITE response.
pub const T2: Duration = Duration::from_secs(4);
/// T4: how long a message may stay in the network.
pub const T4: Duration = Duration::from_secs(5);
/// 64·T1: when waiting ends.
pub const T1X64: Duration = Duration::from_secs(32);
/// When an INVITE server transaction sends 100 by itself (§17.2.1).
pub const TRYING_AFTER: Duration = Duration::from_millis(200);

/// The timers of RFC 3261 (table 4) and RFC 6026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE request retransmission.
    A,
    /// INVITE client gives up.
    B,
    /// Wait for repeated final responses to INVITE.
    D,
    /// Non-INVITE request retransmission.
    E,
    /// Non-INVITE client gives up.
    F,
    /// INVITE response retransmission.
    G,
    /// Wait for ACK.
    H,
    /// Wait for repeated ACK.
    I,
    /// Wait for repeated non-INVITE requests.
    J,
    /// Wait for repeated non-INVITE responses.
    K,
    /// Wait for repeated INVITE after a 2xx (RFC 6026).
    L,
    /// Wait for repeated 2xx (RFC 6026).
    M,
    /// 100 Trying is due.
    Trying,
}

/// What a machine becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<S> {
    /// This state.
    In(S),
    /// The transaction is over.
    Terminated,
}

/// One thing that a machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the request (again).
    SendRequest,
    /// Send the ACK for a final response that is not 2xx.
    SendAck,
    /// Send 100 Trying.
    SendTrying,
    /// Send the last response (again).
    SendResponse,
    /// Give the response to the transaction's user.
    Pass,
    /// Tell the user that nobody answered: 408 (§8.1.3.1, §16.7).
    TimedOut,
    /// Tell the user that the request could not be sent: 503 (§8.1.3.1, §16.9).
    Unreachable,
    /// Tell the user that no ACK came for its final response.
    NoAck,
    /// Start a timer.
    Start(Timer, Duration),
}

/// What a machine wants done, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    list: [Option<Step>; 4],
    len: usize,
}

impl Steps {
    /// Nothing to do.
    pub fn new() -> Steps {
        Steps::default()
    }

    /// Adds one.
    pub fn push(&mut self, step: Step) {
        debug_assert!(
            self.len < self.list.len(),
            "no figure has an edge with five actions"
        );
        if let Some(place) = self.list.get_mut(self.len) {
            *place = Some(step);
            self.len += 1;
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Step> + use<> {
        self.list.into_iter().flatten()
    }
}

/// The time that a transaction lingers: none over reliable transports.
const fn linger(reliable: bool, time: Duration) -> Option<Duration> {
    if reliable { None } else { Some(time) }
}
