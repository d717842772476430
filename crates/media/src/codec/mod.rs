//! Codecs: linear 16-bit samples to payloads and back.

mod g711;

use core::fmt;

pub use g711::{Pcma, Pcmu, alaw_decode, alaw_encode, ulaw_decode, ulaw_encode};

/// One direction-less codec instance. A stream that sends and receives holds one for each direction, because codecs
/// with memory (G.722, Opus) must not mix them.
pub trait Codec: Send + fmt::Debug {
    /// Which codec this is.
    fn kind(&self) -> CodecKind;

    /// Encodes a frame of mono samples into `payload` and returns the octets written.
    ///
    /// # Errors
    /// [`CodecError::BufferTooSmall`] when `payload` is shorter than [`Codec::max_payload`] asks for;
    /// [`CodecError::FrameLength`] when the codec has no frame of that length.
    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError>;

    /// Decodes one payload into `samples` and returns how many were written.
    ///
    /// # Errors
    /// [`CodecError::BufferTooSmall`] when `samples` is shorter than [`Codec::samples`] says;
    /// [`CodecError::Payload`] when the payload is not of this codec.
    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError>;

    /// How many samples a payload holds, without decoding it. `None` when it is not of this codec.
    fn samples(&self, payload: &[u8]) -> Option<usize>;

    /// The most octets that a frame of `samples` can take.
    fn max_payload(&self, samples: usize) -> usize;

    /// Fills `samples` in place of a lost frame. `false` when the codec has no concealment of its own; the pitch-based
    /// one of [`crate::plc`] then does it.
    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        let _ = samples;
        false
    }
}

/// The codecs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecKind {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl CodecKind {
    /// Every codec, best choice first.
    pub const ALL: [Self; 2] = [Self::Pcmu, Self::Pcma];

    /// Finds a codec by what `a=rtpmap` says: encoding name (in any case) and clock rate.
    pub fn find(encoding_name: &str, clock_rate: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            kind.encoding_name().eq_ignore_ascii_case(encoding_name)
                && kind.clock_rate() == clock_rate
        })
    }

    /// The static payload type of RFC 3551 §6, if it has one.
    pub fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
        }
    }

    /// The encoding name in `a=rtpmap`.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// RTP timestamp units per second. Not always the sample rate: G.722 counts 8000 for 16,000 samples.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// Samples per second that go in and come out.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// Makes an instance.
    pub fn codec(self) -> Box<dyn Codec> {
        match self {
            Self::Pcmu => Box::new(Pcmu),
            Self::Pcma => Box::new(Pcma),
        }
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
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BufferTooSmall => "the buffer is too small for the frame",
            Self::FrameLength => "the codec has no frame of this length",
            Self::Payload => "the payload is not one of this codec",
        })
    }
}

impl core::error::Error for CodecError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_name_and_rate() {
        assert_eq!(CodecKind::find("pcmu", 8000), Some(CodecKind::Pcmu));
        assert_eq!(CodecKind::find("PCMA", 8000), Some(CodecKind::Pcma));
        assert_eq!(CodecKind::find("PCMA", 16_000), None);
        for kind in CodecKind::ALL {
            assert_eq!(kind.codec().kind(), kind);
        }
    }
}
