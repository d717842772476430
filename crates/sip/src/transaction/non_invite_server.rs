//! The non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320).
//!
//! ```text
//!        | request: pass
//!        v
//!   +--------+ request: swallow
//!   | Trying |------------------------+
//!   +--------+ 1xx from user: send    |
//!        v                            |
//!   +------------+ request: send last | 200-699 from user: send
//!   | Proceeding |------------------->|
//!   +------------+                    v
//!                              +-----------+ request: send last
//!                              | Completed |
//!                              +-----------+ J --> Terminated
//! ```

use super::{Next, Step, Steps, T1X64, Timer, linger};
use crate::message::StatusCode;

/// Where a non-INVITE server transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteServer {
    /// The user has not answered.
    Trying,
    /// The user gave a provisional response.
    Proceeding,
    /// The user gave its final response.
    Completed,
}

impl NonInviteServer {
    /// The request came again.
    pub fn on_request(self, steps: &mut Steps) -> Next<Self> {
        if self != NonInviteServer::Trying {
            steps.push(Step::SendResponse);
        }
        Next::In(self)
    }

    /// The user answers; the response is already the last one.
    pub fn on_respond(self, code: StatusCode, reliable: bool, steps: &mut Steps) -> Next<Self> {
        if self == NonInviteServer::Completed {
            return Next::In(self);
        }
        steps.push(Step::SendResponse);
        if code.is_provisional() {
            return Next::In(NonInviteServer::Proceeding);
        }
        match linger(reliable, T1X64) {
            Some(time) => {
                steps.push(Step::Start(Timer::J, time));
                Next::In(NonInviteServer::Completed)
            }
            None => Next::Terminated,
        }
    }

    /// A timer fired.
    pub fn on_timer(self, timer: Timer) -> Next<Self> {
        match (self, timer) {
            (NonInviteServer::Completed, Timer::J) => Next::Terminated,
            _ => Next::In(self),
        }
    }
}
