//! Bytes on the wire: finding messages in them, viewing them in place, changing them in passing.
//!
//! A message on the road stays bytes. [`scan`] makes an [`Index`] of offsets, [`Packet`] is the bytes
//! seen through it, [`Edit`] is a short list of changes printed once, and [`Stream`] cuts a byte
//! stream into messages, and [`websocket`] does so with the frames of a WebSocket.

pub mod edit;
pub mod packet;
pub mod scan;
pub mod stream;
pub mod websocket;

pub use edit::Edit;
pub use packet::{Header, Packet, Stored};
pub use scan::{Defect, Index, ScanError, Start, scan};
pub use stream::{Frame, Stream};

/// The largest message that is read, in octets; what a UDP datagram can hold (RFC 3261 §18.1.1).
pub const MAX_MESSAGE: usize = 65_535;

/// The most header lines that one message may have.
pub const MAX_HEADERS: usize = 512;
