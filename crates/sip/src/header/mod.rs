//! Header fields: their names, and their values read in place.
//!
//! A value is the bytes between the colon and the line end; white space around it and folds inside
//! it may still be there. Nothing here allocates while it reads.

mod accept;
mod call_id;
mod contact;
mod content_disposition;
mod content_length;
mod content_type;
mod cseq;
pub(crate) mod cursor;
mod date;
mod error;
mod event;
mod expires;
mod list;
mod max_forwards;
mod min_expires;
mod min_se;
pub mod name;
mod name_addr;
mod params;
mod q;
mod rack;
mod reason;
mod refer_to;
mod replaces;
mod retry_after;
mod route;
mod rseq;
mod session_expires;
mod subscription_state;
mod timestamp;
mod via;
mod warning;

pub use accept::MediaRange;
pub use call_id::CallId;
pub use contact::ContactList;
pub use content_disposition::ContentDisposition;
pub use content_length::ContentLength;
pub use content_type::ContentType;
pub use cseq::CSeq;
pub use date::Date;
pub use error::ParseError;
pub use event::Event;
pub use expires::Expires;
pub use list::{List, Tokens};
pub use max_forwards::MaxForwards;
pub use min_expires::MinExpires;
pub use min_se::MinSE;
pub use name::HeaderName;
pub use name_addr::{NameAddr, NameAddrs};
pub use params::{Param, Params, quote, unquote};
pub use q::q_value;
pub use rack::RAck;
pub use reason::Reason;
pub use refer_to::ReferTo;
pub use replaces::Replaces;
pub use retry_after::RetryAfter;
pub use route::{Path, RecordRoute, Route, ServiceRoute, routes};
pub use rseq::RSeq;
pub use session_expires::{Refresher, SessionExpires};
pub use subscription_state::SubscriptionState;
pub use timestamp::Timestamp;
pub use via::{MAGIC_COOKIE, Via, Vias};
pub use warning::Warning;
