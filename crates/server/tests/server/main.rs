//! A whole server on real sockets, and raw peers that talk to it byte by byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, reason = "tests")]

mod accounts;
mod bridged;
mod calls;
mod message;
mod peer;
mod policy;
mod register;
mod robustness;
mod scene;
mod services;
mod streams;
mod torture;
