//! A simulated world for tests: virtual time, lossy links, endpoints and scripted peers.
//!
//! A test builds a [`World`], puts nodes into it, lets time run and asserts on what each side got and on
//! [`World::trace`], the record of every message that left any node.

pub mod bytes;
pub mod conformance;
pub mod message;
pub mod ops;
pub mod phone;
pub mod policy;
pub mod scene;
pub mod world;
pub mod zone;

pub use message::Message;
pub use phone::Phone;
pub use scene::Scene;
pub use world::{Arrival, Link, NodeId, Peer, Seen, World};
