//! Event bodies: what NOTIFY and PUBLISH carry (RFC 6665 §5).
//!
//! Readers take bytes from the network: each has a bound on what it reads, and leaves out what it does not
//! know.

mod sipfrag;

pub use sipfrag::SipFrag;
