use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use std::sync::OnceLock;

use libloading::Library;

use super::{function, open};

/// Major versions of libavcodec whose interface this is: FFmpeg 5 to 8.
const VERSIONS: core::ops::RangeInclusive<u32> = 59..=62;
/// `AV_LOG_QUIET`: the library would write to standard error.
const QUIET: c_int = -8;
/// `AV_INPUT_BUFFER_PADDING_SIZE`.
const PADDING: usize = 64;
/// Octets that one packet may have here.
const LARGEST: usize = 4096;

/// The first members of `AVPacket`, which are public and have had these places since version 55.
#[repr(C)]
struct Packet {
    buffer: *mut c_void,
    pts: i64,
    dts: i64,
    data: *mut u8,
    size: c_int,
}

/// The first member of `AVFrame`, which is public and always was the first.
#[repr(C)]
struct Frame {
    data: [*mut u8; 8],
}

/// The first members of `AVCodecParameters`, which are public and always were the first.
#[repr(C)]
struct Parameters {
    kind: c_int,
    id: c_int,
}

/// What libavcodec and libavutil declare. Contexts and codecs are only passed on; options are set by name.
pub(super) struct Interface {
    find_encoder: unsafe extern "C" fn(*const c_char) -> *const c_void,
    find_decoder: unsafe extern "C" fn(*const c_char) -> *const c_void,
    open_context: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    close_context: unsafe extern "C" fn(*mut *mut c_void),
    start: unsafe extern "C" fn(*mut c_void, *const c_void, *mut c_void) -> c_int,
    send_packet: unsafe extern "C" fn(*mut c_void, *const Packet) -> c_int,
    receive_frame: unsafe extern "C" fn(*mut c_void, *mut Frame) -> c_int,
    send_frame: unsafe extern "C" fn(*mut c_void, *const Frame) -> c_int,
    receive_packet: unsafe extern "C" fn(*mut c_void, *mut Packet) -> c_int,
    new_packet: unsafe extern "C" fn() -> *mut Packet,
    free_packet: unsafe extern "C" fn(*mut *mut Packet),
    empty_packet: unsafe extern "C" fn(*mut Packet),
    fill_packet: unsafe extern "C" fn(*mut Packet, *mut u8, c_int) -> c_int,
    new_parameters: unsafe extern "C" fn() -> *mut Parameters,
    free_parameters: unsafe extern "C" fn(*mut *mut Parameters),
    parameters_of: unsafe extern "C" fn(*mut Parameters, *const c_void) -> c_int,
    set_parameters: unsafe extern "C" fn(*mut c_void, *const Parameters) -> c_int,
    allocate: unsafe extern "C" fn(usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    new_frame: unsafe extern "C" fn() -> *mut Frame,
    free_frame: unsafe extern "C" fn(*mut *mut Frame),
    set_number: unsafe extern "C" fn(*mut c_void, *const c_char, i64, c_int) -> c_int,
    set_text: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int,
    _library: Library,
}

pub(super) fn interface() -> Result<&'static Interface, String> {
    static LOADED: OnceLock<Result<Interface, String>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

#[allow(unsafe_code)]
fn load() -> Result<Interface, String> {
    let names = [
        "libavcodec.so.59",
        "libavcodec.so.60",
        "libavcodec.so.61",
        "libavcodec.so.62",
        "libavcodec.61.dylib",
        "/opt/homebrew/lib/libavcodec.61.dylib",
        "/opt/homebrew/lib/libavcodec.62.dylib",
    ];
    let library = open("libavcodec", &names, "ffmpeg")?;
    // SAFETY: the types are those of the public headers. Looking up a symbol also finds those of libavutil, on which
    // libavcodec depends.
    unsafe {
        let version: unsafe extern "C" fn() -> u32 = function(&library, "avcodec_version")?;
        let major = version() >> 16;
        if !VERSIONS.contains(&major) {
            return Err(format!(
                "libavcodec has version {major}; {} to {} are known",
                VERSIONS.start(),
                VERSIONS.end()
            ));
        }
        let level: unsafe extern "C" fn(c_int) = function(&library, "av_log_set_level")?;
        level(QUIET);
        Ok(Interface {
            find_encoder: function(&library, "avcodec_find_encoder_by_name")?,
            find_decoder: function(&library, "avcodec_find_decoder_by_name")?,
            open_context: function(&library, "avcodec_alloc_context3")?,
            close_context: function(&library, "avcodec_free_context")?,
            start: function(&library, "avcodec_open2")?,
            send_packet: function(&library, "avcodec_send_packet")?,
            receive_frame: function(&library, "avcodec_receive_frame")?,
            send_frame: function(&library, "avcodec_send_frame")?,
            receive_packet: function(&library, "avcodec_receive_packet")?,
            new_packet: function(&library, "av_packet_alloc")?,
            free_packet: function(&library, "av_packet_free")?,
            empty_packet: function(&library, "av_packet_unref")?,
            fill_packet: function(&library, "av_packet_from_data")?,
            new_parameters: function(&library, "avcodec_parameters_alloc")?,
            free_parameters: function(&library, "avcodec_parameters_free")?,
            parameters_of: function(&library, "avcodec_parameters_from_context")?,
            set_parameters: function(&library, "avcodec_parameters_to_context")?,
            allocate: function(&library, "av_mallocz")?,
            free: function(&library, "av_free")?,
            new_frame: function(&library, "av_frame_alloc")?,
            free_frame: function(&library, "av_frame_free")?,
            set_number: function(&library, "av_opt_set_int")?,
            set_text: function(&library, "av_opt_set")?,
            _library: library,
        })
    }
}

#[allow(unsafe_code)]
impl Interface {
    /// Whether both an encoder and a decoder of this name are there.
    pub(super) fn has(&self, name: &CStr) -> bool {
        // SAFETY: the name ends with a zero; what comes back is null or lives as long as the library.
        unsafe {
            !(self.find_encoder)(name.as_ptr()).is_null()
                && !(self.find_decoder)(name.as_ptr()).is_null()
        }
    }
}

/// One context of libavcodec with its packet and frame. Mono.
pub(super) struct Context {
    interface: &'static Interface,
    /// None of them is null in a finished value; nobody else uses them.
    context: *mut c_void,
    packet: *mut Packet,
    frame: *mut Frame,
}

// SAFETY: what the pointers lead to belongs to this value alone; the library allows a context to be used by any thread,
// one at a time.
#[allow(unsafe_code)]
unsafe impl Send for Context {}

#[allow(unsafe_code)]
impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: all three functions take null too, and set the pointer to null.
        unsafe {
            (self.interface.close_context)(&mut self.context);
            (self.interface.free_packet)(&mut self.packet);
            (self.interface.free_frame)(&mut self.frame);
        }
    }
}

#[allow(unsafe_code)]
impl Context {
    fn new(interface: &'static Interface, codec: *const c_void) -> Option<Context> {
        // SAFETY: the codec lives as long as the library; each function yields null or something that is ours.
        let made = unsafe {
            Context {
                interface,
                context: (interface.open_context)(codec),
                packet: (interface.new_packet)(),
                frame: (interface.new_frame)(),
            }
        };
        let whole = !made.context.is_null() && !made.packet.is_null() && !made.frame.is_null();
        (!codec.is_null() && whole).then_some(made)
    }

    /// Opens a decoder.
    pub(super) fn decoder(
        interface: &'static Interface,
        name: &CStr,
        rate: u32,
    ) -> Option<Context> {
        // SAFETY: names end with a zero; the context is not open yet, so that options may be set. Versions before 5.1 know
        // the number of channels only, later ones the layout.
        unsafe {
            let codec = (interface.find_decoder)(name.as_ptr());
            let made = Context::new(interface, codec)?;
            (interface.set_number)(made.context, c"ar".as_ptr(), i64::from(rate), 0);
            if (interface.set_text)(made.context, c"ch_layout".as_ptr(), c"mono".as_ptr(), 0) < 0 {
                (interface.set_number)(made.context, c"ac".as_ptr(), 1, 0);
            }
            ((interface.start)(made.context, codec, null_mut()) >= 0).then_some(made)
        }
    }

    /// Opens an encoder that takes frames as `source` decodes them. `kind` is an open decoder of the same codec.
    pub(super) fn encoder(
        name: &CStr,
        source: &Context,
        kind: &Context,
        bits_per_second: u32,
    ) -> Option<Context> {
        let interface = source.interface;
        // SAFETY: as above; parameters are ours until they are freed here, and the members touched are the first ones.
        unsafe {
            let codec = (interface.find_encoder)(name.as_ptr());
            let made = Context::new(interface, codec)?;
            let mut of_kind = (interface.new_parameters)();
            let mut parameters = (interface.new_parameters)();
            let mut done = !of_kind.is_null() && !parameters.is_null();
            done = done
                && (interface.parameters_of)(of_kind, kind.context) >= 0
                && (interface.parameters_of)(parameters, source.context) >= 0;
            if done {
                (*parameters).kind = (*of_kind).kind;
                (*parameters).id = (*of_kind).id;
                done = (interface.set_parameters)(made.context, parameters) >= 0;
            }
            (interface.free_parameters)(&mut of_kind);
            (interface.free_parameters)(&mut parameters);
            (interface.set_number)(made.context, c"b".as_ptr(), i64::from(bits_per_second), 0);
            (done && (interface.start)(made.context, codec, null_mut()) >= 0).then_some(made)
        }
    }

    /// Decodes one packet into this context's frame.
    fn feed(&mut self, octets: &[u8]) -> Option<()> {
        if octets.is_empty() || octets.len() > LARGEST {
            return None;
        }
        let size = c_int::try_from(octets.len()).ok()?;
        // SAFETY: the block has room for the octets and the zeroed padding that the library asks for, and belongs to the
        // packet once that is filled.
        unsafe {
            let block = (self.interface.allocate)(octets.len() + PADDING).cast::<u8>();
            if block.is_null() {
                return None;
            }
            block.copy_from_nonoverlapping(octets.as_ptr(), octets.len());
            if (self.interface.fill_packet)(self.packet, block, size) < 0 {
                (self.interface.free)(block.cast());
                return None;
            }
            let sent = (self.interface.send_packet)(self.context, self.packet);
            (self.interface.empty_packet)(self.packet);
            (sent >= 0 && (self.interface.receive_frame)(self.context, self.frame) >= 0)
                .then_some(())
        }
    }

    /// Decodes one packet that is known to hold `samples.len()` samples of 16 bits.
    pub(super) fn decode(&mut self, octets: &[u8], samples: &mut [i16]) -> Option<()> {
        self.feed(octets)?;
        // SAFETY: the frame was filled just now; the caller knows how many samples the codec has in a frame.
        unsafe {
            let data = (*self.frame).data[0].cast::<i16>();
            if data.is_null() || !data.is_aligned() {
                return None;
            }
            data.copy_to_nonoverlapping(samples.as_mut_ptr(), samples.len());
        }
        Some(())
    }

    /// Encodes the frame that `source` decodes from `octets`, and yields how many octets were written to `payload`.
    pub(super) fn encode(
        &mut self,
        source: &mut Context,
        octets: &[u8],
        payload: &mut [u8],
    ) -> Option<usize> {
        source.feed(octets)?;
        // SAFETY: the frame was filled just now and is only read; the packet's data and size are what was encoded.
        unsafe {
            if (self.interface.send_frame)(self.context, source.frame) < 0
                || (self.interface.receive_packet)(self.context, self.packet) < 0
            {
                return None;
            }
            let size = usize::try_from((*self.packet).size).unwrap_or(0);
            let fits = size <= payload.len() && !(*self.packet).data.is_null();
            if fits {
                (*self.packet)
                    .data
                    .copy_to_nonoverlapping(payload.as_mut_ptr(), size);
            }
            (self.interface.empty_packet)(self.packet);
            fits.then_some(size)
        }
    }
}
