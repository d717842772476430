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

mod address;
mod answered;
mod call_media;
pub mod device;
mod event;
mod line;
mod negotiation;
mod phone;
pub mod readiness;
mod sound;
mod stream;

pub use address::{AddressError, Name, Server, target};
pub use event::{Agreed, CallNumber, Event, EventSink};
pub use media::codec::CodecKind;
pub use media::dtmf::code as dtmf_code;
pub use media::session::Statistics;
pub use phone::{CallError, Phone, PhoneError, Settings};
pub use sip::flow::Transport;
pub use sip::ua::Cause;
pub use sound::{Recorder, Sound, SoundError, Source};
