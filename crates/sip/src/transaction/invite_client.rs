//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §8.4).
//!
//! ```text
//!              | INVITE from user: send, A, B
//!              v
//!         +---------+  A: send, 2A
//!     +---| Calling |--- B or transport error: tell user -----+
//!     |   +---------+                                         |
//!     |  1xx: pass |                                          |
//!     |            v                                          |
//!     |   +------------+  1xx: pass                           |
//!     +---| Proceeding |                                      |
//!     |   +------------+                                      |
//! 300-699: ACK, pass |  2xx: pass                             |
//!     v              +---------------------+                  |
//!  +-----------+ 300-699: ACK              v                  |
//!  | Completed |                      +----------+ 2xx: pass  |
//!  +-----------+                      | Accepted |            |
//!        | D or transport error       +----------+            |
//!        v                                 | M                v
//!  +------------------------- Terminated ------------------------+
//! ```

use core::time::Duration;

use super::{Next, Step, Steps, T1, T1X64, Timer, linger};
use crate::message::StatusCode;

/// Where an INVITE client transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteClient {
    /// The request was sent, nothing came back.
    Calling {
        /// The interval after which the request is sent again.
        again: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// A final response that is not 2xx came and was acknowledged.
    Completed,
    /// A 2xx came; the user acknowledges each.
    Accepted,
}

/// At least this long Completed lasts over unreliable transports (§17.1.1.2).
const TIMER_D: Duration = Duration::from_secs(32);

impl InviteClient {
    /// Sends the request and waits.
    pub fn start(reliable: bool, steps: &mut Steps) -> InviteClient {
        steps.push(Step::SendRequest);
        if !reliable {
            steps.push(Step::Start(Timer::A, T1));
        }
        steps.push(Step::Start(Timer::B, T1X64));
        InviteClient::Calling { again: T1 }
    }

    /// A response came.
    pub fn on_response(self, code: StatusCode, reliable: bool, steps: &mut Steps) -> Next<Self> {
        use InviteClient::{Accepted, Calling, Completed, Proceeding};
        match self {
            Calling { .. } | Proceeding if code.is_provisional() => {
                steps.push(Step::Pass);
                Next::In(Proceeding)
            }
            Calling { .. } | Proceeding if code.is_success() => {
                steps.push(Step::Pass);
                steps.push(Step::Start(Timer::M, T1X64));
                Next::In(Accepted)
            }
            Calling { .. } | Proceeding => {
                steps.push(Step::SendAck);
                steps.push(Step::Pass);
                match linger(reliable, TIMER_D) {
                    Some(time) => {
                        steps.push(Step::Start(Timer::D, time));
                        Next::In(Completed)
                    }
                    None => Next::Terminated,
                }
            }
            Completed => {
                if !code.is_provisional() && !code.is_success() {
                    steps.push(Step::SendAck);
                }
                Next::In(self)
            }
            Accepted => {
                if code.is_success() {
                    steps.push(Step::Pass);
                }
                Next::In(self)
            }
        }
    }

    /// A timer fired.
    pub fn on_timer(self, timer: Timer, steps: &mut Steps) -> Next<Self> {
        match (self, timer) {
            (InviteClient::Calling { again }, Timer::A) => {
                let again = again * 2;
                steps.push(Step::SendRequest);
                steps.push(Step::Start(Timer::A, again));
                Next::In(InviteClient::Calling { again })
            }
            (InviteClient::Calling { .. }, Timer::B) => {
                steps.push(Step::TimedOut);
                Next::Terminated
            }
            (InviteClient::Completed, Timer::D) | (InviteClient::Accepted, Timer::M) => {
                Next::Terminated
            }
            _ => Next::In(self),
        }
    }

    /// What was sent did not arrive.
    pub fn on_transport_error(self, steps: &mut Steps) -> Next<Self> {
        match self {
            InviteClient::Calling { .. } => {
                steps.push(Step::Unreachable);
                Next::Terminated
            }
            // RFC 6026 §8.4: the user already has its final response.
            InviteClient::Completed => Next::Terminated,
            InviteClient::Proceeding | InviteClient::Accepted => Next::In(self),
        }
    }
}
