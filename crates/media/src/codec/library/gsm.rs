use core::ffi::{c_int, c_void};
use std::sync::OnceLock;

use libloading::Library;

use super::{function, open};
use crate::codec::{Codec, CodecError, CodecKind};

/// 20 ms.
const FRAME: usize = 160;
const OCTETS: usize = 33;
/// The upper four bits of every frame (RFC 3551 §4.5.8.1).
const SIGNATURE: u8 = 0xd;

/// What libgsm declares in `gsm.h`.
struct Interface {
    create: unsafe extern "C" fn() -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    encode: unsafe extern "C" fn(*mut c_void, *mut i16, *mut u8),
    decode: unsafe extern "C" fn(*mut c_void, *mut u8, *mut i16) -> c_int,
    _library: Library,
}

fn interface() -> Result<&'static Interface, String> {
    static LOADED: OnceLock<Result<Interface, String>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

#[allow(unsafe_code)]
fn load() -> Result<Interface, String> {
    let names = [
        "libgsm.so.1",
        "libgsm.1.dylib",
        "/opt/homebrew/lib/libgsm.1.dylib",
    ];
    let library = open("libgsm", &names, "libgsm1")?;
    // SAFETY: the types are those of gsm.h.
    unsafe {
        Ok(Interface {
            create: function(&library, "gsm_create")?,
            destroy: function(&library, "gsm_destroy")?,
            encode: function(&library, "gsm_encode")?,
            decode: function(&library, "gsm_decode")?,
            _library: library,
        })
    }
}

pub(in crate::codec) fn available() -> Result<(), String> {
    interface().map(|_| ())
}

#[allow(unsafe_code)]
pub(in crate::codec) fn codec() -> Option<Box<dyn Codec>> {
    let interface = interface().ok()?;
    // SAFETY: it takes nothing and yields null or a state that is ours.
    let state = unsafe { (interface.create)() };
    (!state.is_null()).then(|| Box::new(Gsm { interface, state }) as Box<dyn Codec>)
}

/// GSM 06.10 full rate through libgsm.
struct Gsm {
    interface: &'static Interface,
    /// Never null, and used by nobody else.
    state: *mut c_void,
}

// SAFETY: the state is plain memory that belongs to this value alone; libgsm keeps nothing per thread.
#[allow(unsafe_code)]
unsafe impl Send for Gsm {}

#[allow(unsafe_code)]
impl Drop for Gsm {
    fn drop(&mut self) {
        // SAFETY: the state came from `create` and is not used again.
        unsafe { (self.interface.destroy)(self.state) }
    }
}

#[allow(unsafe_code)]
impl Codec for Gsm {
    fn kind(&self) -> CodecKind {
        CodecKind::Gsm
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        let frames = samples.chunks_exact(FRAME);
        if samples.is_empty() || !frames.remainder().is_empty() {
            return Err(CodecError::FrameLength);
        }
        let octets = samples.len() / FRAME * OCTETS;
        let payload = payload
            .get_mut(..octets)
            .ok_or(CodecError::BufferTooSmall)?;
        for (frame, out) in frames.zip(payload.chunks_exact_mut(OCTETS)) {
            // The library's type is not const: it gets a copy.
            let mut copy = [0i16; FRAME];
            copy.copy_from_slice(frame);
            // SAFETY: 160 samples in, 33 octets out, as gsm.h says.
            unsafe { (self.interface.encode)(self.state, copy.as_mut_ptr(), out.as_mut_ptr()) };
        }
        Ok(octets)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.samples(payload).ok_or(CodecError::Payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        for (frame, out) in payload
            .chunks_exact(OCTETS)
            .zip(samples.chunks_exact_mut(FRAME))
        {
            let mut copy = [0u8; OCTETS];
            copy.copy_from_slice(frame);
            // SAFETY: 33 octets in, 160 samples out.
            let failed =
                unsafe { (self.interface.decode)(self.state, copy.as_mut_ptr(), out.as_mut_ptr()) };
            if failed != 0 {
                return Err(CodecError::Payload);
            }
        }
        Ok(count)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        let frames = payload.chunks_exact(OCTETS);
        let whole = !payload.is_empty() && frames.remainder().is_empty();
        let signed = |frame: &[u8]| frame.first().is_some_and(|octet| octet >> 4 == SIGNATURE);
        (whole && frames.clone().all(signed)).then(|| frames.len() * FRAME)
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples.div_ceil(FRAME) * OCTETS
    }
}

impl core::fmt::Debug for Gsm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Gsm").finish_non_exhaustive()
    }
}
