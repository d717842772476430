use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::Time;
use crate::random::Random;

/// Time between two requests, before it is spread (RFC 7675 §5.1).
const INTERVAL: f64 = 5.0;
/// Consent that is not renewed ends.
const EXPIRES: Time = Time::from_secs(30);
/// Requests whose responses may still come.
const OPEN: usize = 8;

/// The way in use of one component, and the other side's consent to be sent to.
#[derive(Debug)]
pub(super) struct Consent {
    pub(super) remote: SocketAddr,
    pub(super) priority: u64,
    given: Time,
    due: Time,
    open: VecDeque<[u8; 12]>,
}

impl Consent {
    pub(super) fn new(remote: SocketAddr, priority: u64, now: Time, random: &mut Random) -> Self {
        Self {
            remote,
            priority,
            given: now,
            due: now + interval(random),
            open: VecDeque::new(),
        }
    }

    pub(super) fn due(&self) -> Time {
        self.due.min(self.given + EXPIRES)
    }

    pub(super) fn is_expired(&self, now: Time) -> bool {
        now >= self.given + EXPIRES
    }

    /// Whether a request is due; its transaction is then `transaction`.
    pub(super) fn ask(&mut self, now: Time, transaction: [u8; 12], random: &mut Random) -> bool {
        if now < self.due {
            return false;
        }
        if self.open.len() >= OPEN {
            self.open.pop_front();
        }
        self.open.push_back(transaction);
        self.due = now + interval(random);
        true
    }

    /// A response that proved authentic; whether it was to one of these requests.
    pub(super) fn renew(&mut self, now: Time, from: SocketAddr, transaction: [u8; 12]) -> bool {
        let ours = from == self.remote && self.open.contains(&transaction);
        if ours {
            self.given = now;
        }
        ours
    }
}

/// Spread so that requests do not fall into step.
fn interval(random: &mut Random) -> Time {
    Time::from_secs_f64(INTERVAL * (0.8 + 0.4 * random.unit()))
}
