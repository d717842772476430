//! The user agent in a simulated world.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod calls;
mod forks;
mod register;
mod requests;
mod transfer;
mod trouble;
mod world;
