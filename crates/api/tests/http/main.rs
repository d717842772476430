//! The console's API over real HTTP, against a running server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod description;
mod limits;
mod live;
mod plan;
mod roles;
mod schema;
mod session;
mod support;
