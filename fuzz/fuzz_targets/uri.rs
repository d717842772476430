//! Any bytes as one or two URIs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::bytes::uri(data));
