//! The HTTP server: sockets, limits, headers, and the way from a request to its handler.

mod dispatch;
pub(crate) mod live;
mod origin;
mod serve;
mod stream;

pub(crate) use dispatch::router;
pub(crate) use serve::{Listening, serve};
