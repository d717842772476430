//! What becomes of calls that come in, without anybody doing anything.

use std::time::Duration;

use sip::ua::Diverted;

use super::state::{CallPhase, State};
use crate::event::CallNumber;

/// How long it rings before [`Rules::no_answer`] sends a call elsewhere, where the command does not say.
pub const NO_ANSWER: Duration = Duration::from_secs(20);

/// What becomes of calls that come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// All calls are refused with [`Rules::refusal`].
    pub do_not_disturb: bool,
    /// What calls that must not disturb are told: 480, 486 or 603.
    pub refusal: u16,
    /// A call that comes in during another rings; if not, it finds us busy.
    pub call_waiting: bool,
    /// Calls are answered after so long.
    pub auto_answer: Option<Duration>,
    /// All calls are sent there.
    pub always: Option<String>,
    /// Calls that find us busy are sent there.
    pub busy: Option<String>,
    /// Calls that nobody answers for so long are sent there.
    pub no_answer: Option<(String, Duration)>,
    /// One call is talked in at a time: dialling, answering or resuming one puts the others on hold.
    pub one_at_a_time: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            do_not_disturb: false,
            refusal: 480,
            call_waiting: true,
            auto_answer: None,
            always: None,
            busy: None,
            no_answer: None,
            one_at_a_time: false,
        }
    }
}

/// What is done with a call that comes in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Screening {
    Ring,
    Refuse(u16),
    /// To another target, and why.
    Divert(String, Diverted),
}

impl Rules {
    /// What is done with `call`.
    pub(super) fn screen(&self, call: CallNumber, state: &State) -> Screening {
        if let Some(target) = &self.always {
            return Screening::Divert(target.clone(), Diverted::Unconditional);
        }
        if self.do_not_disturb {
            return Screening::Refuse(self.refusal);
        }
        let mut others = state.calls.values().filter(|other| other.number != call);
        let talking = |other: &super::CallState| other.phase != CallPhase::Ringing;
        match &self.busy {
            Some(target) if others.clone().any(talking) => {
                Screening::Divert(target.clone(), Diverted::Busy)
            }
            _ if !self.call_waiting && others.next().is_some() => Screening::Refuse(486),
            _ => Screening::Ring,
        }
    }
}
