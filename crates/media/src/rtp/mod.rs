//! RTP (RFC 3550 §5): packets, what arrives on a media port, and reception statistics.

mod build;
mod classify;
mod packet;
mod reception;

pub use build::{Builder, Unfit};
pub use classify::{Arrival, classify};
pub use packet::{Element, Elements, Extension, Malformed, Packet};
pub(crate) use reception::duration;
pub use reception::{Reception, Sequence, Tally};
