//! The dial plan: what becomes of a number or name that is called.
//!
//! A function from what is set up ([`crate::directory::Snapshot`]) and a [`Query`] to a [`Plan`]; it changes nothing, so
//! that it can be tried and explained.

mod number;
mod plan;
mod resolve;
#[cfg(test)]
mod tests;

pub use number::{bare, e164, is_country};
pub use plan::{Attempt, Destination, Plan};
pub use resolve::{Query, Resolved, Step, Surroundings, resolve};
