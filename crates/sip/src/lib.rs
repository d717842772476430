//! The SIP stack: a quiet room. Bytes and time come in, bytes and events go out.

pub mod auth;
pub mod endpoint;
pub mod event;
pub mod flow;
pub mod header;
pub mod locate;
pub mod message;
pub mod proxy;
pub mod random;
pub mod registrar;
pub mod resolve;
pub mod respond;
pub mod shard;
pub mod slab;
pub mod time;
pub mod timers;
pub mod transaction;
pub mod ua;
pub mod uri;
pub mod wire;

pub use endpoint::Endpoint;
