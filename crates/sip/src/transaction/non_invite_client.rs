//! The non-INVITE client transaction (RFC 3261 §17.1.2).
//!
//! ```text
//!              | request from user: send, E, F
//!              v
//!         +--------+  E: send, min(2E, T2)
//!     +---| Trying |--- F or transport error: tell user ----+
//!     |   +--------+                                        |
//!     |  1xx: pass |                                        |
//!     |            v                                        |
//!     |   +------------+  E: send, T2; 1xx: pass            |
//!     |   | Proceeding |--- F or transport error: tell user |
//!     |   +------------+                                    |
//! 200-699: pass |                                           |
//!     v         v                                           |
//!  +-----------+                                            |
//!  | Completed | K                                          v
//!  +-----------+--------------------------------------> Terminated
//! ```

use core::time::Duration;

use super::{Next, Step, Steps, T1, T1X64, T2, T4, Timer, linger};
use crate::message::StatusCode;

/// Where a non-INVITE client transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteClient {
    /// The request was sent, nothing came back.
    Trying {
        /// The interval after which the request is sent again.
        again: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// A final response came; repetitions are swallowed.
    Completed,
}

impl NonInviteClient {
    /// Sends the request and waits.
    pub fn start(reliable: bool, steps: &mut Steps) -> NonInviteClient {
        steps.push(Step::SendRequest);
        if !reliable {
            steps.push(Step::Start(Timer::E, T1));
        }
        steps.push(Step::Start(Timer::F, T1X64));
        NonInviteClient::Trying { again: T1 }
    }

    /// A response came.
    pub fn on_response(self, code: StatusCode, reliable: bool, steps: &mut Steps) -> Next<Self> {
        match self {
            NonInviteClient::Completed => Next::In(self),
            _ if code.is_provisional() => {
                steps.push(Step::Pass);
                Next::In(NonInviteClient::Proceeding)
            }
            _ => {
                steps.push(Step::Pass);
                match linger(reliable, T4) {
                    Some(time) => {
                        steps.push(Step::Start(Timer::K, time));
                        Next::In(NonInviteClient::Completed)
                    }
                    None => Next::Terminated,
                }
            }
        }
    }

    /// A timer fired.
    pub fn on_timer(self, timer: Timer, steps: &mut Steps) -> Next<Self> {
        match (self, timer) {
            (NonInviteClient::Trying { again }, Timer::E) => {
                let again = (again * 2).min(T2);
                steps.push(Step::SendRequest);
                steps.push(Step::Start(Timer::E, again));
                Next::In(NonInviteClient::Trying { again })
            }
            (NonInviteClient::Proceeding, Timer::E) => {
                steps.push(Step::SendRequest);
                steps.push(Step::Start(Timer::E, T2));
                Next::In(self)
            }
            (NonInviteClient::Trying { .. } | NonInviteClient::Proceeding, Timer::F) => {
                steps.push(Step::TimedOut);
                Next::Terminated
            }
            (NonInviteClient::Completed, Timer::K) => Next::Terminated,
            _ => Next::In(self),
        }
    }

    /// What was sent did not arrive.
    pub fn on_transport_error(self, steps: &mut Steps) -> Next<Self> {
        match self {
            NonInviteClient::Completed => Next::In(self),
            _ => {
                steps.push(Step::Unreachable);
                Next::Terminated
            }
        }
    }
}
