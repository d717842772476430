use core::fmt;
use std::net::SocketAddr;

use super::{BINDING, Builder, Class, Message};
use crate::Time;

/// First waiting time; each further one is twice as long (RFC 8489 §6.2.1).
const RTO: Time = Time::from_millis(500);
/// Requests sent at most.
const REQUESTS: u32 = 7;
/// After the last request so many RTO pass until there is no hope.
const LAST_WAIT: u32 = 16;

/// Asks a server for our public address, over UDP, again and again until it answers.
#[derive(Debug)]
pub struct Client {
    transaction: [u8; 12],
    request: Vec<u8>,
    sent: u32,
    due: Time,
}

/// Why the public address stays unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No response came.
    TimedOut,
    /// The server refuses, with this code.
    Refused(u16),
    /// The response says no address.
    Useless,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("it does not answer"),
            Self::Refused(code) => write!(f, "it refuses with code {code}"),
            Self::Useless => f.write_str("its answer names no address"),
        }
    }
}

impl core::error::Error for Failure {}

impl Client {
    /// `transaction` is random; who can guess it can lie about our address.
    pub fn new(transaction: [u8; 12]) -> Self {
        Self {
            transaction,
            request: Builder::new(Class::Request, BINDING, transaction).fingerprint(),
            sent: 0,
            due: Time::ZERO,
        }
    }

    /// When [`Client::poll`] has something to do next.
    pub fn due(&self) -> Time {
        self.due
    }

    /// Whether no response will come any more.
    pub fn is_hopeless(&self, now: Time) -> bool {
        self.sent >= REQUESTS && now >= self.due
    }

    /// The request, when it is due.
    pub fn poll(&mut self, now: Time) -> Option<&[u8]> {
        if now < self.due || self.sent >= REQUESTS {
            return None;
        }
        self.sent += 1;
        let wait = if self.sent == REQUESTS {
            LAST_WAIT
        } else {
            1 << (self.sent - 1)
        };
        self.due = now + RTO * wait;
        Some(&self.request)
    }

    /// Takes a datagram; `None` when it is not our response.
    pub fn handle(&self, bytes: &[u8]) -> Option<Result<SocketAddr, Failure>> {
        let message = Message::parse(bytes).ok()?;
        if message.transaction() != self.transaction || message.method() != BINDING {
            return None;
        }
        match message.class() {
            Class::Success => Some(message.mapped_address().ok_or(Failure::Useless)),
            Class::Error => Some(Err(message
                .error_code()
                .map_or(Failure::Useless, Failure::Refused))),
            Class::Request | Class::Indication => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_requests_and_then_no_hope() {
        let mut client = Client::new([1; 12]);
        let mut times = Vec::new();
        let mut now = Time::ZERO;
        while !client.is_hopeless(now) {
            if client.poll(now).is_some() {
                times.push(now.as_millis());
            }
            now = client.due();
        }
        assert_eq!(times, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(now, Time::from_millis(39_500));
    }

    #[test]
    fn other_responses_are_not_ours() {
        let client = Client::new([1; 12]);
        let to = SocketAddr::from(([192, 0, 2, 1], 4000));
        let response = |id: u8| {
            Builder::new(Class::Success, BINDING, [id; 12])
                .mapped_address(to)
                .fingerprint()
        };
        assert_eq!(client.handle(&response(2)), None);
        assert_eq!(client.handle(&response(1)), Some(Ok(to)));
        let refusal = Builder::new(Class::Error, BINDING, [1; 12])
            .error_code(401, "Unauthorized")
            .plain();
        assert_eq!(client.handle(&refusal), Some(Err(Failure::Refused(401))));
        let empty = Builder::new(Class::Success, BINDING, [1; 12]).plain();
        assert_eq!(client.handle(&empty), Some(Err(Failure::Useless)));
    }
}
