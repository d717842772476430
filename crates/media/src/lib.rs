//! Media of a call without a socket, clock or thread: RTP and RTCP (RFC 3550), G.711, telephone-events (RFC 4733), an
//! adaptive jitter buffer with loss concealment, WAV files, resampling and pacing. [`session::MediaSession`] joins them
//! for one audio stream; its owner moves the datagrams and tells the time.
//!
//! Samples are linear, 16 bits, mono.

pub mod codec;
pub mod comfort_noise;
pub mod dtls;
pub mod dtmf;
pub mod ice;
pub mod jitter;
pub mod mix;
pub mod pace;
pub mod playout;
pub mod plc;
pub mod resample;
pub mod rtcp;
pub mod rtp;
pub mod session;
pub mod srtp;
pub mod stun;
pub mod tone;
pub mod wav;

mod random;

/// A monotonic clock's value: the time since an epoch that the owner chooses and keeps.
pub type Time = core::time::Duration;
