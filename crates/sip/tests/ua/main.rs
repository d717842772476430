//! The user agent in a simulated world.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod calls;
mod early;
mod forks;
mod prack;
mod register;
mod requests;
mod script;
mod session_timer;
mod transfer;
mod trouble;
mod update;
mod world;
