//! ICE (RFC 8445): finds a way between two phones through address translators, and watches that it stays open (RFC 7675).
//!
//! An [`Agent`] serves one stream of one or two components (RTP, and RTCP where it has a port of its own), each with one
//! socket. What a STUN server said about the sockets goes into the description; checks always leave from the sockets
//! themselves, so that a pair is a component and an address of the other side. It nominates regularly, after the checks, and
//! understands a peer that does so at once.
//!
//! The owner moves the datagrams and tells the time: [`Agent::handle`] with what came, [`Agent::run`] when [`Agent::due`]
//! has come, then [`Agent::poll_transmit`] and [`Agent::poll_event`] until they yield nothing.

mod agent;
mod consent;
mod pair;

pub use agent::Agent;

use std::net::SocketAddr;

/// What a description says to authenticate checks (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

impl core::fmt::Debug for Credentials {
    /// Passwords stay out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// How a candidate came to be known (RFC 8445 §5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An address of the host itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the other side saw, or was seen with.
    PeerReflexive,
    /// An address of a TURN server.
    Relayed,
}

impl Kind {
    /// The word in descriptions (RFC 8839 §5.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    /// The kind of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Host,
            Self::ServerReflexive,
            Self::PeerReflexive,
            Self::Relayed,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// Priority of a candidate of ours (RFC 8445 §5.1.2.1), where each component has one address.
    pub const fn priority(self, component: u8) -> u32 {
        let preference: u32 = match self {
            Self::Host => 126,
            Self::PeerReflexive => 110,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        };
        preference << 24 | 65_535 << 8 | (256 - component as u32)
    }
}

/// A place where the other side may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// 1 for RTP, 2 for RTCP.
    pub component: u8,
    /// Where it is.
    pub address: SocketAddr,
    /// How much the other side likes it.
    pub priority: u32,
    /// How it came to be known.
    pub kind: Kind,
}

/// What the other side's description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its credentials.
    pub credentials: Credentials,
    /// Its candidates of our address family, at most [`MAX_CANDIDATES`] count.
    pub candidates: Vec<Candidate>,
    /// It only answers checks (`a=ice-lite`).
    pub lite: bool,
}

/// Candidates of the other side that are used, those discovered by checks included: each one costs packets towards an address
/// that somebody else chose (RFC 8445 §19.5.1).
pub const MAX_CANDIDATES: usize = 48;

/// Our side of the checks.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Our credentials, fresh for every session and every restart.
    pub credentials: Credentials,
    /// Whether our offer opened the session; with a lite peer we control in any case (RFC 8445 §6.1.1).
    pub controlling: bool,
    /// 1, or 2 where RTCP has a port of its own.
    pub components: u8,
    /// Source of all that is random.
    pub seed: u64,
}

/// A datagram to send from the socket of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Whose socket.
    pub component: u8,
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// What the owner should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Packets of this component go there from now on. It may come again with another address.
    Selected {
        /// The component.
        component: u8,
        /// The other side's address.
        remote: SocketAddr,
        /// How that is known.
        kind: Kind,
        /// Our address as the other side sees it.
        mapped: SocketAddr,
    },
    /// No way was found in time; what the description says is all that is left. A late check may still find one.
    Failed,
    /// The other side has not agreed to be sent to for 30 seconds: nothing may go there any more (RFC 7675 §5.1).
    ConsentLost {
        /// The component.
        component: u8,
    },
}
