//! A telephone without a face: it registers, calls, answers and carries the sound.
//!
//! A [`Phone`] is started with [`Settings`] and told what to do; what happens comes back as [`Event`]s. Signalling runs on
//! the network's thread, sound on a thread of its own, and neither waits for the other:
//!
//! ```text
//!            commands                       orders
//! owner ───────────────► line (sip, sdp) ───────────► call_media (media, sockets, files)
//!   ▲                        │                             │
//!   └────────────────────────┴────────── events ───────────┘
//! ```

/// The programs in docs/library.md run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct LibraryPage;

#[cfg(test)]
mod library_page;

mod address;
mod answered;
pub mod book;
mod call_media;
pub mod control;
pub mod device;
mod event;
mod gather;
mod level;
mod line;
pub mod link;
mod negotiation;
mod opening;
mod passage;
mod phone;
pub mod provision;
pub mod readiness;
mod secure;
mod sound;
mod stream;
pub mod terminal;
mod trouble;

pub use address::{AddressError, Name, Server, target};
pub use event::{AccountNumber, Agreed, CallNumber, Event, EventSink, Quality};
pub use gather::StunServer;
pub use media::codec::CodecKind;
pub use media::dtmf::code as dtmf_code;
pub use media::session::Statistics;
pub use phone::{CallError, KeysBy, Phone, PhoneError, Settings};
pub use secure::{Security, Srtp};
pub use sip::flow::Transport;
pub use sip::ua::{Cause, Diverted};
pub use sound::{Recorder, Sound, SoundError, Source};
