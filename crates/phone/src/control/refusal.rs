//! Why a command is not carried out.

use std::fmt;

/// A command that is not carried out: which, why, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line, or the command as it is written.
    pub command: String,
    /// What is wrong with it.
    pub what: String,
    /// What to do; empty when nobody knows.
    pub advice: String,
    /// A name for programs, where a device is the reason ([`crate::readiness::NotReady::code`]).
    pub code: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(
        command: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Refusal {
        Refusal {
            command: command.into(),
            what: what.into(),
            advice: advice.into(),
            code: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.command, self.what)?;
        if self.advice.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.advice)
    }
}

impl std::error::Error for Refusal {}
