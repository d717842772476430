//! Session descriptions and the offer/answer model.
//!
//! SDP as RFC 8866 writes it (and RFC 4566 and RFC 2327 before it, as phones still do), and what two user agents do with it:
//! RFC 3264 with its companions for RTP (RFC 3551, 3605, 4733, 5761), for keys (RFC 4568, 8122) and for ICE (RFC 8839).
//!
//! Two layers, and they differ in how strict they are:
//!
//! - [`Session::parse`] is about *form*. It accepts what is seen in the wild and keeps what it does not understand, so that
//!   parse → print → parse loses nothing. A monitor or a proxy needs no more.
//! - [`answer`] and [`complete`] are about *meaning*. They refuse what a phone must not act on: an address that is no address, a key
//!   of the wrong length, an answer that breaks RFC 3264.
//!
//! ```
//! use sdp::{Capabilities, Direction, LocalMedia, Origin, Session, answer, complete, offer};
//!
//! let caps = Capabilities::g711();
//! let alice = "192.0.2.1".parse().expect("literal");
//! let sent = offer(&Origin::new("alice", 1, alice), alice, 4000, &caps, Direction::SendRecv);
//!
//! let received = Session::parse(sent.to_string().as_bytes()).expect("our own print");
//! let bob = "192.0.2.2".parse().expect("literal");
//! let (reply, at_bob) = answer(&received, &Origin::new("bob", 2, bob), &LocalMedia::new(bob, 5000), &caps).expect("common codec");
//! let at_alice = complete(&sent, &reply, &caps).expect("legal answer");
//! assert_eq!(at_alice[0].send.as_ref().map(|c| c.name.as_str()), Some("PCMU"));
//! assert_eq!(at_bob[0].direction, Direction::SendRecv);
//! ```

pub mod address;
pub mod attribute;
mod base64;
pub mod body;
pub mod codec;
pub mod direction;
pub mod ice;
pub mod negotiate;
pub mod parse;
mod print;
pub mod secure;
pub mod session;

pub use address::{AddressError, Destination, Host};
pub use attribute::Attribute;
pub use codec::Codec;
pub use direction::Direction;
pub use negotiate::{
    Capabilities, IllegalAnswer, LocalMedia, Negotiated, Refusal, Rejection, Role, Rule,
    TelephoneEvent, Violation, answer, complete, hold, offer, offer_with, outcome, renew, reoffer,
    resume, violations,
};
pub use parse::{Fault, Limits, ParseError};
pub use session::{Bandwidth, Connection, Line, Media, MediaKind, Origin, Session, Timing};
