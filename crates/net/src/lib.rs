//! Sockets, and the loop that runs Endpoints on them.
//!
//! A [`Network`] binds the addresses of a [`NetConfig`], spreads the shards over worker threads and
//! carries bytes between sockets and Endpoints:
//!
//! ```text
//! wait ─► receive a batch ─► scan each message once ─► shard_of(Call-ID)
//!              ▲                                            │ one thread at a time
//!              │                                            ▼
//!           sockets ◄── send a batch ◄── outbox ◄── Endpoint and Owner, until Timeout
//! ```
//!
//! Whichever worker received a message runs its shard to completion; timers and commands of a shard
//! are minded by one worker, its home. Names are looked up on a thread of their own, which starts
//! with the first question.

mod bind;
mod clock;
mod config;
mod connection;
mod connections;
mod dns;
mod driver;
mod error;
mod interfaces;
mod listening;
mod load;
mod machine;
#[cfg(target_os = "linux")]
mod mmsg;
mod outbox;
mod peers;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
mod rtp_port;
mod runner;
mod shard;
mod shared;
mod statistics;
mod streams;
mod tap;
mod tls;
mod udp;
mod worker;

pub use clock::Clock;
pub use config::{Limits, NetConfig};
pub use driver::{Driver, Network, Owner, PostError, Remote};
pub use error::NetError;
pub use interfaces::{interfaces, local_address_for};
pub use load::Load;
pub use machine::{Machine, Outputs};
#[cfg(target_os = "linux")]
pub use mmsg::{Batch, FEW};
#[cfg(not(target_os = "linux"))]
pub use portable::{Batch, FEW};
pub use rtp_port::{PortPair, RtpPorts};
pub use sip::shard::shard_of;
pub use statistics::{Counter, Statistics};
pub use tap::{Direction, Tap};
pub use tls::{
    CertificateError, Certificates, HandshakeFailure, OnFailure, Tls, Trust, TrustError,
};
