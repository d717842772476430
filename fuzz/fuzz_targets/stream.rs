//! Any bytes in any pieces on a stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::bytes::stream(data));
