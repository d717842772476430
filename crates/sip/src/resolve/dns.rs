//! Questions for the DNS, and what it says.

use super::order::{Naptr, Srv};
use core::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A question for the DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// The full name without a dot at its end.
    pub name: String,
    /// What is wanted.
    pub kind: QueryKind,
}

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryKind {
    /// Naming authority pointers (RFC 3403).
    Naptr,
    /// Services (RFC 2782).
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// What the DNS said to a [`Query`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// The records, aliases already followed; or why there are none.
    pub records: Result<Records, Failure>,
    /// How long this holds, in seconds.
    pub ttl: u32,
}

/// Records of one kind; an empty list is the same as [`Failure::NoData`].
#[derive(Clone, Debug)]
pub enum Records {
    /// For [`QueryKind::Naptr`].
    Naptr(Vec<Naptr>),
    /// For [`QueryKind::Srv`].
    Srv(Vec<Srv>),
    /// For [`QueryKind::A`].
    A(Vec<Ipv4Addr>),
    /// For [`QueryKind::Aaaa`].
    Aaaa(Vec<Ipv6Addr>),
}

/// Why a question has no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// The name exists without such records.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The server could not answer (SERVFAIL, REFUSED).
    Server,
    /// No answer came.
    Timeout,
}

impl Failure {
    /// Whether asking again later may help.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Failure::Server | Failure::Timeout)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::NoData => "the name has no records for SIP",
            Failure::NoName => "the name does not exist",
            Failure::Server => "the name server failed",
            Failure::Timeout => "the name server did not answer",
        })
    }
}
