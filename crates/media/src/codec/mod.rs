//! Codecs: linear 16-bit samples to payloads and back.

mod encoding;
mod g711;
mod g722;
mod kind;
mod library;
mod opus;

use core::fmt;

pub use encoding::Encoding;
pub use g711::{Pcma, Pcmu, alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};
pub use g722::G722;
pub use kind::CodecKind;

/// One direction-less codec instance. A stream that sends and receives holds one for each direction, because codecs
/// with memory (G.722, Opus) must not mix them.
pub trait Codec: Send + fmt::Debug {
    /// Which codec this is.
    fn kind(&self) -> CodecKind;

    /// Encodes a frame of mono samples into `payload` and returns the octets written; 0 when the codec finds the frame so
    /// silent that nothing need be sent.
    ///
    /// # Errors
    /// [`CodecError::BufferTooSmall`] when `payload` is shorter than [`Codec::max_payload`] asks for;
    /// [`CodecError::FrameLength`] when the codec has no frame of that length;
    /// [`CodecError::Unavailable`] when this machine cannot run the codec.
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError>;

    /// Decodes one payload into `samples` and returns how many were written.
    ///
    /// # Errors
    /// [`CodecError::BufferTooSmall`] when `samples` is shorter than [`Codec::samples`] says;
    /// [`CodecError::Payload`] when the payload is not of this codec;
    /// [`CodecError::Unavailable`] when this machine cannot run the codec.
    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError>;

    /// How many samples a payload holds, without decoding it. `None` when it is not of this codec.
    fn samples(&self, payload: &[u8]) -> Option<usize>;

    /// The most octets that a frame of `samples` can take.
    fn max_payload(&self, samples: usize) -> usize;

    /// Whether the codec has a concealment of its own, for whole frames.
    fn conceals(&self) -> bool {
        false
    }

    /// Fills `samples` in place of lost ones and moves the decoder on as if they had come. `false` when the codec has no
    /// concealment of its own, or none for this length; the pitch-based one of [`crate::plc`] then does it.
    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        let _ = samples;
        false
    }

    /// Fills `samples`, which were lost right before `next`, from what `next` repeats of them (in-band error correction).
    /// `next` itself is decoded after it. `false` when the codec repeats nothing.
    fn recover(&mut self, next: &[u8], samples: &mut [i16]) -> bool {
        let _ = (next, samples);
        false
    }

    /// Whether the sender says with this payload that it falls silent: what is missing after it is no loss.
    fn is_pause(&self, payload: &[u8]) -> bool {
        let _ = payload;
        false
    }

    /// Tells an encoder the share of packets (0.0 to 1.0) that gets lost on the way, so that it can guard against it.
    fn expect_loss(&mut self, share: f32) {
        let _ = share;
    }
}

/// Why a frame could not be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecError {
    /// The caller's buffer does not hold the result.
    BufferTooSmall,
    /// The codec has no frame of this length.
    FrameLength,
    /// The payload is not one of this codec.
    Payload,
    /// The codec is not there: [`CodecKind::available`] says why.
    Unavailable,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "the buffer is too small for the frame",
            Self::FrameLength => "the codec has no frame of this length",
            Self::Payload => "the payload is not one of this codec",
            Self::Unavailable => "this machine cannot run the codec",
        })
    }
}

impl core::error::Error for CodecError {}

/// Stands in for a codec whose library is not there.
#[derive(Debug)]
struct Absent(CodecKind);

impl Codec for Absent {
    fn kind(&self) -> CodecKind {
        self.0
    }

    fn encode(&mut self, _: &[i16], _: &mut [u8]) -> Result<usize, CodecError> {
        Err(CodecError::Unavailable)
    }

    fn decode(&mut self, _: &[u8], _: &mut [i16]) -> Result<usize, CodecError> {
        Err(CodecError::Unavailable)
    }

    fn samples(&self, _: &[u8]) -> Option<usize> {
        None
    }

    fn max_payload(&self, _: usize) -> usize {
        0
    }
}
