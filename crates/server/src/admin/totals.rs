//! What was counted since the start.

use sip::endpoint::Counters;

/// Counts of SIP messages since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests received, repetitions too.
    pub requests: u64,
    /// Responses received.
    pub responses: u64,
    /// Requests and responses that could not be understood.
    pub malformed: u64,
    /// Requests that peers repeated, and messages that we did.
    pub retransmissions: u64,
    /// INVITEs that were put through.
    pub calls_proxied: u64,
}

impl Totals {
    /// Both together.
    pub fn plus(self, other: Totals) -> Totals {
        Totals {
            requests: self.requests + other.requests,
            responses: self.responses + other.responses,
            malformed: self.malformed + other.malformed,
            retransmissions: self.retransmissions + other.retransmissions,
            calls_proxied: self.calls_proxied + other.calls_proxied,
        }
    }
}

impl From<&Counters> for Totals {
    fn from(counters: &Counters) -> Totals {
        Totals {
            requests: counters.requests_received,
            responses: counters.responses_received,
            malformed: counters.malformed_requests + counters.malformed_responses,
            retransmissions: counters.repeated_requests + counters.retransmissions,
            calls_proxied: counters.calls_proxied,
        }
    }
}
