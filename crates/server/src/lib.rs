//! The SIP server: what happens to a request is decided here (policy); how, in `sip`.
//!
//! ```text
//! net ─► Endpoint ─► Event::Request ─► core ─┬─► authenticate ─► accounts
//!                                            ├─► register ─► location ─► store (durable, then 200)
//!                                            ├─► routing ─► location ─► Endpoint::forward
//!                                            └─► services (echo, tone) ─► media thread
//! ```

mod accounts;
pub mod admin;
mod agent;
mod authenticate;
mod bridge;
mod calls;
mod config;
mod core;
pub mod dialplan;
pub mod directory;
mod domains;
mod error;
mod location;
mod packed;
mod planned;
mod register;
pub mod relay;
mod routing;
mod secure;
mod serve;
mod services;
mod trunks;

pub use accounts::{account_for, domain_of_host};
pub use calls::{ActiveCall, CallState, MediaPath};
pub use config::{Authentication, Config};
pub use error::ServeError;
pub use serve::{Server, Snapshot};
pub use trunks::{TrunkState, TrunkStatus};
