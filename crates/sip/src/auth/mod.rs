//! Digest authentication in SIP: RFC 3261 §22, RFC 7616 and RFC 8760.
//!
//! A server owns one [`Nonces`] and a [`ProtectionSpace`] for each realm: it prints challenges and judges
//! [`Credentials`]. A client owns one [`Client`] for each account: it reads challenges, chooses among them,
//! and answers. Neither knows a clock or a source of random values: both come in as arguments.

mod algorithm;
mod challenge;
mod client;
mod credentials;
mod digest;
mod info;
mod nonce;
mod params;
mod secret;
mod server;
mod uri;

pub use algorithm::{Algorithm, Qop};
pub use challenge::{Challenge, Challenges, choose};
pub use client::{Account, Asker, Challenged, Client, ClientNonce, ServerProof, answer};
pub use credentials::Credentials;
pub use digest::Subject;
pub use info::{AuthenticationInfo, authentication_info};
pub use nonce::{Nonce, NonceCheck, Nonces, Serial};
pub use params::{AuthError, Text};
pub use secret::{Ha1, Secret};
pub use server::{ProtectionSpace, Refusal, UriRule, Verdict};
pub use uri::UriMatch;
