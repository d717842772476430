//! The INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §8.7).
//!
//! ```text
//!                 | INVITE: pass, 100 after 200 ms
//!                 v
//!          +------------+  INVITE: send last response
//!     +----| Proceeding |  1xx from user: send
//!     |    +------------+---- 2xx from user: send --+
//! 300-699 from user: send |                         |
//!     v                                             v
//!  +-----------+ INVITE or G: send           +----------+ INVITE: swallow
//!  | Completed |--- H: tell user --+         | Accepted | 2xx from user: send
//!  +-----------+                   |         +----------+ ACK: pass
//!     | ACK                        |              | L
//!     v                            v              v
//!  +-----------+  I            Terminated <-------+
//!  | Confirmed |------------------>
//!  +-----------+
//! ```

use core::time::Duration;

use super::{Next, Step, Steps, T1, T1X64, T2, T4, TRYING_AFTER, Timer, linger};
use crate::message::StatusCode;

/// Where an INVITE server transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteServer {
    /// The user has not decided.
    Proceeding {
        /// Whether any provisional response left already.
        answered: bool,
    },
    /// A final response that is not 2xx was sent; ACK is awaited.
    Completed {
        /// The interval after which the response is sent again.
        again: Duration,
    },
    /// ACK came; more of them are swallowed.
    Confirmed,
    /// A 2xx was sent; the user repeats it and gets the ACK.
    Accepted,
}

impl InviteServer {
    /// A new INVITE came; the user has been told.
    pub fn start(steps: &mut Steps) -> InviteServer {
        steps.push(Step::Start(Timer::Trying, TRYING_AFTER));
        InviteServer::Proceeding { answered: false }
    }

    /// The INVITE came again.
    pub fn on_request(self, steps: &mut Steps) -> Next<Self> {
        match self {
            InviteServer::Proceeding { answered: true } | InviteServer::Completed { .. } => {
                steps.push(Step::SendResponse);
            }
            _ => {}
        }
        Next::In(self)
    }

    /// The user answers; the response is already the last one.
    pub fn on_respond(self, code: StatusCode, reliable: bool, steps: &mut Steps) -> Next<Self> {
        match self {
            InviteServer::Proceeding { .. } if code.is_provisional() => {
                steps.push(Step::SendResponse);
                Next::In(InviteServer::Proceeding { answered: true })
            }
            InviteServer::Proceeding { .. } if code.is_success() => {
                steps.push(Step::SendResponse);
                steps.push(Step::Start(Timer::L, T1X64));
                Next::In(InviteServer::Accepted)
            }
            InviteServer::Proceeding { .. } => {
                steps.push(Step::SendResponse);
                if !reliable {
                    steps.push(Step::Start(Timer::G, T1));
                }
                steps.push(Step::Start(Timer::H, T1X64));
                Next::In(InviteServer::Completed { again: T1 })
            }
            InviteServer::Accepted if code.is_success() => {
                steps.push(Step::SendResponse);
                Next::In(self)
            }
            _ => Next::In(self),
        }
    }

    /// An ACK with the INVITE's branch came.
    pub fn on_ack(self, reliable: bool, steps: &mut Steps) -> Next<Self> {
        match self {
            InviteServer::Completed { .. } => match linger(reliable, T4) {
                Some(time) => {
                    steps.push(Step::Start(Timer::I, time));
                    Next::In(InviteServer::Confirmed)
                }
                None => Next::Terminated,
            },
            _ => Next::In(self),
        }
    }

    /// A timer fired.
    pub fn on_timer(self, timer: Timer, steps: &mut Steps) -> Next<Self> {
        match (self, timer) {
            (InviteServer::Proceeding { answered: false }, Timer::Trying) => {
                steps.push(Step::SendTrying);
                Next::In(InviteServer::Proceeding { answered: true })
            }
            (InviteServer::Completed { again }, Timer::G) => {
                let again = (again * 2).min(T2);
                steps.push(Step::SendResponse);
                steps.push(Step::Start(Timer::G, again));
                Next::In(InviteServer::Completed { again })
            }
            (InviteServer::Completed { .. }, Timer::H) => {
                steps.push(Step::NoAck);
                Next::Terminated
            }
            (InviteServer::Confirmed, Timer::I) | (InviteServer::Accepted, Timer::L) => {
                Next::Terminated
            }
            _ => Next::In(self),
        }
    }
}
