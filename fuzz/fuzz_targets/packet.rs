//! Any bytes as a message: viewed, kept, proxied, answered.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::bytes::packet(data));
