//! What is to become of a call.

use std::sync::Arc;

use crate::directory::Trunk;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// It rings; what comes after a failure is inside.
    Ring(Arc<Attempt>),
    /// A service of this server, by its user part.
    Service(String),
    /// It is refused.
    Reject {
        /// Status code.
        status: u16,
        /// Reason phrase; empty for the usual one.
        reason: String,
    },
    /// Nobody has this number or name.
    Nobody,
}

/// Whom to ring together, and whom if that comes to nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// All of these at once.
    pub to: Vec<Destination>,
    /// Seconds of ringing; `None` as long as the caller waits.
    pub ring_for: Option<u32>,
    /// When all are busy or decline (486, 600, 603).
    pub on_busy: Option<Arc<Attempt>>,
    /// When nobody answers in time, or nobody is there (408, 480).
    pub on_no_answer: Option<Arc<Attempt>>,
    /// When it fails in another way: a gateway that does not serve, an address that is none.
    pub on_failure: Option<Arc<Attempt>>,
}

/// One of those who are rung.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// The phones of an account, `user@domain`.
    Account(String),
    /// A number through a gateway.
    Trunk {
        /// Which.
        trunk: Arc<Trunk>,
        /// The number there.
        number: String,
    },
    /// Somebody in another domain, `user@domain`.
    Elsewhere(String),
}

impl Attempt {
    /// These, and nothing after them.
    pub fn only(to: Vec<Destination>) -> Attempt {
        Attempt {
            to,
            ..Attempt::default()
        }
    }

    /// Whether it is one account or another domain with nothing to follow, so that a proxy suffices.
    pub fn is_plain(&self) -> bool {
        let nothing_follows = self.ring_for.is_none()
            && self.on_busy.is_none()
            && self.on_no_answer.is_none()
            && self.on_failure.is_none();
        nothing_follows
            && self.to.len() == 1
            && !matches!(self.to.first(), Some(Destination::Trunk { .. }))
    }
}
