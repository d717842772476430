use core::ffi::c_void;
use std::sync::OnceLock;

use libloading::Library;

use super::{function, open};
use crate::codec::{Codec, CodecError, CodecKind, Encoding};

/// 10 ms.
const FRAME: usize = 80;
/// A frame of speech, and one that describes silence (Annex B).
const OCTETS: usize = 10;
const SILENCE: usize = 2;

/// What libbcg729 declares in `bcg729/encoder.h` and `bcg729/decoder.h`.
struct Interface {
    open_encoder: unsafe extern "C" fn(u8) -> *mut c_void,
    close_encoder: unsafe extern "C" fn(*mut c_void),
    encode: unsafe extern "C" fn(*mut c_void, *const i16, *mut u8, *mut u8),
    open_decoder: unsafe extern "C" fn() -> *mut c_void,
    close_decoder: unsafe extern "C" fn(*mut c_void),
    decode: unsafe extern "C" fn(*mut c_void, *const u8, u8, u8, u8, u8, *mut i16),
    _library: Library,
}

fn interface() -> Result<&'static Interface, String> {
    static LOADED: OnceLock<Result<Interface, String>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

#[allow(unsafe_code)]
fn load() -> Result<Interface, String> {
    let names = [
        "libbcg729.so.0",
        "libbcg729.0.dylib",
        "/opt/homebrew/lib/libbcg729.0.dylib",
    ];
    let library = open("libbcg729", &names, "libbcg729-0")?;
    // SAFETY: the types are those of the two headers, unchanged since version 1.0.2.
    unsafe {
        Ok(Interface {
            open_encoder: function(&library, "initBcg729EncoderChannel")?,
            close_encoder: function(&library, "closeBcg729EncoderChannel")?,
            encode: function(&library, "bcg729Encoder")?,
            open_decoder: function(&library, "initBcg729DecoderChannel")?,
            close_decoder: function(&library, "closeBcg729DecoderChannel")?,
            decode: function(&library, "bcg729Decoder")?,
            _library: library,
        })
    }
}

pub(in crate::codec) fn available() -> Result<(), String> {
    interface().map(|_| ())
}

#[allow(unsafe_code)]
pub(in crate::codec) fn codec(encoding: &Encoding) -> Option<Box<dyn Codec>> {
    let interface = interface().ok()?;
    // SAFETY: both yield null or a state that is ours.
    let (encoder, decoder) = unsafe {
        let encoder = (interface.open_encoder)(u8::from(encoding.silence_suppression));
        (encoder, (interface.open_decoder)())
    };
    let codec = G729 {
        interface,
        encoder,
        decoder,
    };
    let whole = !codec.encoder.is_null() && !codec.decoder.is_null();
    whole.then(|| Box::new(codec) as Box<dyn Codec>)
}

/// G.729 with Annexes A and B through libbcg729.
struct G729 {
    interface: &'static Interface,
    /// Neither is null in a finished codec; nobody else uses them.
    encoder: *mut c_void,
    decoder: *mut c_void,
}

// SAFETY: the states are plain memory that belongs to this value alone; libbcg729 keeps nothing per thread.
#[allow(unsafe_code)]
unsafe impl Send for G729 {}

#[allow(unsafe_code)]
impl Drop for G729 {
    fn drop(&mut self) {
        // SAFETY: each state came from its opening function and is not used again.
        unsafe {
            if !self.encoder.is_null() {
                (self.interface.close_encoder)(self.encoder);
            }
            if !self.decoder.is_null() {
                (self.interface.close_decoder)(self.decoder);
            }
        }
    }
}

#[allow(unsafe_code)]
impl G729 {
    /// Decodes a frame of 10 or 2 octets, or makes one up when there is none.
    fn frame(&mut self, octets: &[u8], samples: &mut [i16; FRAME]) {
        let mut copy = [0u8; OCTETS];
        for (to, from) in copy.iter_mut().zip(octets) {
            *to = *from;
        }
        let (lost, silence) = (octets.is_empty(), octets.len() == SILENCE);
        // SAFETY: 10 octets in whatever they say, 80 samples out. The last flag is for payloads of RFC 3389.
        unsafe {
            (self.interface.decode)(
                self.decoder,
                copy.as_ptr(),
                octets.len() as u8,
                u8::from(lost),
                u8::from(silence),
                0,
                samples.as_mut_ptr(),
            );
        }
    }
}

#[allow(unsafe_code)]
impl Codec for G729 {
    fn kind(&self) -> CodecKind {
        CodecKind::G729
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        let frames = samples.chunks_exact(FRAME);
        if samples.is_empty() || !frames.remainder().is_empty() {
            return Err(CodecError::FrameLength);
        }
        if payload.len() < self.max_payload(samples.len()) {
            return Err(CodecError::BufferTooSmall);
        }
        let mut length = 0;
        for frame in frames {
            let (mut out, mut octets) = ([0u8; OCTETS], 0u8);
            // SAFETY: 80 samples in, up to 10 octets and their number out.
            unsafe {
                (self.interface.encode)(
                    self.encoder,
                    frame.as_ptr(),
                    out.as_mut_ptr(),
                    &mut octets,
                );
            }
            let made = out.get(..usize::from(octets)).unwrap_or_default();
            if let Some(to) = payload.get_mut(length..length + made.len()) {
                to.copy_from_slice(made);
                length += made.len();
            }
            // A description of silence can only be the last frame of a packet (RFC 3551 §4.5.6); the 10 ms behind it are
            // silent too.
            if made.len() == SILENCE {
                break;
            }
        }
        Ok(length)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.samples(payload).ok_or(CodecError::Payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        for (octets, out) in payload.chunks(OCTETS).zip(samples.chunks_exact_mut(FRAME)) {
            let mut frame = [0i16; FRAME];
            self.frame(octets, &mut frame);
            out.copy_from_slice(&frame);
        }
        Ok(count)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        let frames = payload.len() / OCTETS;
        match payload.len() % OCTETS {
            0 if frames > 0 => Some(frames * FRAME),
            SILENCE => Some((frames + 1) * FRAME),
            _ => None,
        }
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples.div_ceil(FRAME) * OCTETS
    }

    fn conceals(&self) -> bool {
        true
    }

    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        if !samples.len().is_multiple_of(FRAME) {
            return false;
        }
        for out in samples.chunks_exact_mut(FRAME) {
            let mut frame = [0i16; FRAME];
            self.frame(&[], &mut frame);
            out.copy_from_slice(&frame);
        }
        true
    }

    fn is_pause(&self, payload: &[u8]) -> bool {
        payload.len() % OCTETS == SILENCE
    }
}

impl core::fmt::Debug for G729 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("G729").finish_non_exhaustive()
    }
}
