//! The SIP server: what happens to a request is decided here (policy); how, in `sip`.
//!
//! ```text
//! net ─► Endpoint ─► Event::Request ─► core ─┬─► authenticate ─► accounts
//!                                            ├─► register ─► location ─► store (durable, then 200)
//!                                            ├─► routing ─► location ─► Endpoint::forward
//!                                            └─► services (echo, tone) ─► media thread
//! ```

mod accounts;
mod agent;
mod authenticate;
mod config;
mod core;
mod domains;
mod error;
pub mod guard;
mod location;
mod register;
mod routing;
mod serve;
mod services;

pub use accounts::{account_for, domain_of_host};
pub use config::{Authentication, Config};
pub use error::ServeError;
pub use serve::{Server, Snapshot};
