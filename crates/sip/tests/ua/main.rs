//! The user agent in a simulated world.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod calls;
mod early;
mod flows;
mod forks;
mod on_behalf;
mod prack;
mod publications;
mod register;
mod requests;
mod script;
mod service_examples;
mod services;
mod session_timer;
mod subscriptions;
mod transfer;
mod transfer_trouble;
mod trouble;
mod update;
mod world;
