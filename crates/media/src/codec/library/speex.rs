use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use std::sync::OnceLock;

use libloading::Library;

use super::{function, open};
use crate::codec::{Codec, CodecError, CodecKind, Encoding};

/// What `speex.h` calls these requests.
const SET_ENHANCEMENT: c_int = 0;
const SET_QUALITY: c_int = 4;
const SET_VBR: c_int = 12;
const SET_COMPLEXITY: c_int = 16;
const SET_VAD: c_int = 30;
const SET_DTX: c_int = 34;
/// Quality 8 of 10: 15 kbit/s at 8 kHz, 28 at 16 kHz.
const QUALITY: c_int = 8;
const COMPLEXITY: c_int = 3;
/// More than a frame of the best quality takes.
const OCTETS: usize = 200;
/// Frames that a packet may hold.
const FRAMES: usize = 10;

/// Bits of a narrow-band frame by its mode, and of the upper band's part by its own (the Speex manual, tables 9.2 and 10.1).
const NARROW_BITS: [usize; 9] = [5, 43, 119, 160, 220, 300, 364, 492, 79];
const UPPER_BITS: [usize; 5] = [4, 36, 112, 192, 352];

/// `SpeexBits` of `speex_bits.h` takes 48 octets; it is filled and read by the library alone.
#[repr(C, align(16))]
struct Bits([u8; 128]);

/// What libspeex declares in `speex.h` and `speex_bits.h`.
struct Interface {
    mode: unsafe extern "C" fn(c_int) -> *const c_void,
    open_encoder: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    close_encoder: unsafe extern "C" fn(*mut c_void),
    encode: unsafe extern "C" fn(*mut c_void, *mut i16, *mut Bits) -> c_int,
    set_encoder: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int,
    open_decoder: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    close_decoder: unsafe extern "C" fn(*mut c_void),
    decode: unsafe extern "C" fn(*mut c_void, *mut Bits, *mut i16) -> c_int,
    set_decoder: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int,
    open_bits: unsafe extern "C" fn(*mut Bits),
    close_bits: unsafe extern "C" fn(*mut Bits),
    reset_bits: unsafe extern "C" fn(*mut Bits),
    read_bits: unsafe extern "C" fn(*mut Bits, *const c_char, c_int),
    write_bits: unsafe extern "C" fn(*mut Bits, *mut c_char, c_int) -> c_int,
    _library: Library,
}

fn interface() -> Result<&'static Interface, String> {
    static LOADED: OnceLock<Result<Interface, String>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

#[allow(unsafe_code)]
fn load() -> Result<Interface, String> {
    let names = [
        "libspeex.so.1",
        "libspeex.1.dylib",
        "/opt/homebrew/lib/libspeex.1.dylib",
    ];
    let library = open("libspeex", &names, "libspeex1")?;
    // SAFETY: the types are those of the two headers; a pointer to SpeexBits is one to a larger block here.
    unsafe {
        Ok(Interface {
            mode: function(&library, "speex_lib_get_mode")?,
            open_encoder: function(&library, "speex_encoder_init")?,
            close_encoder: function(&library, "speex_encoder_destroy")?,
            encode: function(&library, "speex_encode_int")?,
            set_encoder: function(&library, "speex_encoder_ctl")?,
            open_decoder: function(&library, "speex_decoder_init")?,
            close_decoder: function(&library, "speex_decoder_destroy")?,
            decode: function(&library, "speex_decode_int")?,
            set_decoder: function(&library, "speex_decoder_ctl")?,
            open_bits: function(&library, "speex_bits_init")?,
            close_bits: function(&library, "speex_bits_destroy")?,
            reset_bits: function(&library, "speex_bits_reset")?,
            read_bits: function(&library, "speex_bits_read_from")?,
            write_bits: function(&library, "speex_bits_write")?,
            _library: library,
        })
    }
}

pub(in crate::codec) fn available() -> Result<(), String> {
    interface().map(|_| ())
}

#[allow(unsafe_code)]
pub(in crate::codec) fn codec(kind: CodecKind, encoding: &Encoding) -> Option<Box<dyn Codec>> {
    let interface = interface().ok()?;
    let wide = kind == CodecKind::SpeexWide;
    let mut bits = Box::new(Bits([0; 128]));
    // SAFETY: the modes 0 and 1 exist in every build; each opening function yields null or a state that is ours; the box
    // stays where it is, and the library keeps only what it allocates itself in it.
    let (encoder, decoder) = unsafe {
        (interface.open_bits)(&mut *bits);
        let mode = (interface.mode)(c_int::from(wide));
        if mode.is_null() {
            (interface.close_bits)(&mut *bits);
            return None;
        }
        (
            (interface.open_encoder)(mode),
            (interface.open_decoder)(mode),
        )
    };
    let mut codec = Speex {
        interface,
        kind,
        encoder,
        decoder,
        bits,
    };
    if codec.encoder.is_null() || codec.decoder.is_null() {
        return None;
    }
    let suppress = c_int::from(encoding.silence_suppression);
    let settings = [
        (SET_QUALITY, QUALITY),
        (SET_COMPLEXITY, COMPLEXITY),
        (SET_VBR, c_int::from(!encoding.constant_bitrate)),
        (SET_VAD, suppress),
        (SET_DTX, suppress),
    ];
    for (request, value) in settings {
        codec.set(request, value);
    }
    Some(Box::new(codec))
}

/// Speex through libspeex.
struct Speex {
    interface: &'static Interface,
    kind: CodecKind,
    /// Neither is null in a finished codec; nobody else uses them.
    encoder: *mut c_void,
    decoder: *mut c_void,
    bits: Box<Bits>,
}

// SAFETY: the states are plain memory that belongs to this value alone; libspeex keeps nothing per thread.
#[allow(unsafe_code)]
unsafe impl Send for Speex {}

#[allow(unsafe_code)]
impl Drop for Speex {
    fn drop(&mut self) {
        // SAFETY: each came from its opening function and is not used again.
        unsafe {
            if !self.encoder.is_null() {
                (self.interface.close_encoder)(self.encoder);
            }
            if !self.decoder.is_null() {
                (self.interface.close_decoder)(self.decoder);
            }
            (self.interface.close_bits)(&mut *self.bits);
        }
    }
}

#[allow(unsafe_code)]
impl Speex {
    fn frame(&self) -> usize {
        self.kind.sample_rate() as usize / 50
    }

    fn set(&mut self, request: c_int, value: c_int) {
        let mut value = value;
        let pointer = (&raw mut value).cast();
        // SAFETY: these requests read one int. The decoder knows the enhancement only.
        unsafe {
            if request == SET_ENHANCEMENT {
                (self.interface.set_decoder)(self.decoder, request, pointer);
            } else {
                (self.interface.set_encoder)(self.encoder, request, pointer);
            }
        }
    }

    fn wide(&self) -> bool {
        self.kind == CodecKind::SpeexWide
    }
}

#[allow(unsafe_code)]
impl Codec for Speex {
    fn kind(&self) -> CodecKind {
        self.kind
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        let frame = self.frame();
        let frames = samples.chunks_exact(frame);
        if !frames.remainder().is_empty() || !(1..=FRAMES).contains(&frames.len()) {
            return Err(CodecError::FrameLength);
        }
        let room = self.max_payload(samples.len());
        let payload = payload.get_mut(..room).ok_or(CodecError::BufferTooSmall)?;
        let mut needed = false;
        let mut copy = [0i16; 320];
        // SAFETY: the bits are open; the encoder takes a frame of its mode's length and may change it, so it gets a copy;
        // at most `payload.len()` octets are written.
        let octets = unsafe {
            (self.interface.reset_bits)(&mut *self.bits);
            for samples in frames {
                for (to, from) in copy.iter_mut().zip(samples) {
                    *to = *from;
                }
                needed |=
                    (self.interface.encode)(self.encoder, copy.as_mut_ptr(), &mut *self.bits) != 0;
            }
            (self.interface.write_bits)(
                &mut *self.bits,
                payload.as_mut_ptr().cast(),
                c_int::try_from(payload.len()).unwrap_or(0),
            )
        };
        if !needed {
            return Ok(0);
        }
        usize::try_from(octets).map_err(|_| CodecError::FrameLength)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.samples(payload).ok_or(CodecError::Payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        let length = c_int::try_from(payload.len()).map_err(|_| CodecError::Payload)?;
        let frame = self.frame();
        let mut out = [0i16; 320];
        // SAFETY: the library copies the payload into the bits.
        unsafe {
            (self.interface.read_bits)(&mut *self.bits, payload.as_ptr().cast(), length);
        }
        for samples in samples.chunks_exact_mut(frame) {
            // SAFETY: a frame of the mode's length, at most 320 samples, is written.
            let result =
                unsafe { (self.interface.decode)(self.decoder, &mut *self.bits, out.as_mut_ptr()) };
            if result != 0 {
                return Err(CodecError::Payload);
            }
            samples.copy_from_slice(out.get(..frame).unwrap_or_default());
        }
        Ok(count)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        let frames = frames(payload, self.wide());
        (1..=FRAMES)
            .contains(&frames)
            .then(|| frames * self.frame())
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples.div_ceil(self.frame()) * OCTETS
    }

    fn conceals(&self) -> bool {
        true
    }

    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        let frame = self.frame();
        if !samples.len().is_multiple_of(frame) {
            return false;
        }
        let mut out = [0i16; 320];
        for samples in samples.chunks_exact_mut(frame) {
            // SAFETY: null in place of the bits stands for a lost frame.
            unsafe { (self.interface.decode)(self.decoder, null_mut(), out.as_mut_ptr()) };
            samples.copy_from_slice(out.get(..frame).unwrap_or_default());
        }
        true
    }

    fn is_pause(&self, payload: &[u8]) -> bool {
        // Mode 0 is silence, mode 1 the noise that an encoder describes before it stops sending.
        matches!(bits(payload, 0, 5), Some(0 | 1))
    }
}

impl core::fmt::Debug for Speex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Speex")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// How many frames a payload holds; what does not parse ends the count.
fn frames(payload: &[u8], wide: bool) -> usize {
    let end = payload.len() * 8;
    let (mut at, mut count) = (0, 0);
    while let Some(mode) = bits(payload, at, 5) {
        // A first bit of 1 would be an upper band without its lower one; 9 to 15 end the packet or are no speech.
        let Some(length) = NARROW_BITS.get(mode) else {
            break;
        };
        at += length;
        if wide && let Some(upper) = bits(payload, at, 4).filter(|upper| upper & 8 != 0) {
            let Some(length) = UPPER_BITS.get(upper & 7) else {
                break;
            };
            at += length;
        }
        if at > end {
            break;
        }
        count += 1;
    }
    count
}

/// `count` bits from `at`, highest first; `None` past the end.
fn bits(payload: &[u8], at: usize, count: usize) -> Option<usize> {
    let mut value = 0;
    for n in at..at + count {
        let octet = payload.get(n / 8)?;
        value = value << 1 | usize::from(octet >> (7 - n % 8) & 1);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_without_decoding() {
        for (kind, wide) in [(CodecKind::Speex, false), (CodecKind::SpeexWide, true)] {
            if let Err(reason) = kind.available() {
                println!("not run: {reason}");
                return;
            }
            let mut codec = kind.codec();
            let frame = kind.sample_rate() as usize / 50;
            for packets in 1..=4 {
                let mut samples = vec![0i16; frame * packets];
                crate::tone::Tone::new(500.0, 0.5, kind.sample_rate()).fill(&mut samples);
                let mut payload = vec![0; codec.max_payload(samples.len())];
                let octets = codec.encode(&samples, &mut payload).unwrap();
                assert_eq!(frames(&payload[..octets], wide), packets);
            }
        }
        assert_eq!(frames(&[], true), 0);
        assert_eq!(frames(&[0x78], false), 0, "a terminator");
        assert_eq!(frames(&[0x18; 3], false), 0, "cut off");
    }
}
