//! What messages are made of, and messages that a user agent owns.
//!
//! A message on the road stays bytes ([`crate::wire::Packet`]); the owned [`Request`] and
//! [`Response`] here are for user agents that make new ones.

mod headers;
mod method;
mod request;
mod response;
mod status;

pub use headers::{HeaderError, Headers, Name};
pub use method::Method;
pub use request::{Request, RequestBuilder};
pub use response::{Response, ResponseBuilder};
pub use status::StatusCode;
