//! The user agent in a simulated world.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod calls;
mod forks;
mod publications;
mod register;
mod requests;
mod services;
mod subscriptions;
mod transfer;
mod transfer_trouble;
mod trouble;
mod world;
