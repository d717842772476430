//! Why a call is not relayed, or a change of it.

use std::fmt;
use std::net::IpAddr;

use net::NetError;

/// Why a call is not relayed, or a change of it. What held before goes on.
#[derive(Debug)]
pub enum RelayError {
    /// The description cannot be read.
    Unreadable(sdp::ParseError),
    /// The description has more streams than a call is given ports for.
    TooManyStreams,
    /// The call has more forks than [`super::Limits::forks`].
    TooManyForks,
    /// There are as many calls as [`super::Limits::calls`].
    TooManyCalls,
    /// No ports are free, or none can be had.
    Ports(NetError),
    /// A leg's ports are of one family, and what is described of the other.
    Family {
        /// The address described.
        described: IpAddr,
    },
    /// The threads do not keep up.
    Overloaded,
    /// The caller of this function has made a mistake.
    Misuse(&'static str),
}

impl RelayError {
    /// The SIP status that fits: 400, 488, 503 or 500.
    pub fn status(&self) -> u16 {
        match self {
            RelayError::Unreadable(_) => 400,
            RelayError::TooManyStreams | RelayError::Family { .. } => 488,
            RelayError::TooManyForks
            | RelayError::TooManyCalls
            | RelayError::Ports(_)
            | RelayError::Overloaded => 503,
            RelayError::Misuse(_) => 500,
        }
    }
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayError::Unreadable(error) => error.fmt(f),
            RelayError::TooManyStreams => write!(
                f,
                "session description with more than {} streams",
                super::description::MOST_LINES
            ),
            RelayError::TooManyForks => f.write_str("too many phones ring for one call"),
            RelayError::TooManyCalls => f.write_str("the media relay has no room for another call"),
            RelayError::Ports(error) => write!(f, "the media relay has no ports: {error}"),
            RelayError::Family { described } => write!(
                f,
                "no way from the ports of this leg to {described}, which is of the other family of addresses"
            ),
            RelayError::Overloaded => f.write_str("the media relay is overloaded"),
            RelayError::Misuse(what) => write!(f, "the media relay was misused: {what}"),
        }
    }
}

impl std::error::Error for RelayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RelayError::Unreadable(error) => Some(error),
            RelayError::Ports(error) => Some(error),
            _ => None,
        }
    }
}
