//! Any bytes as the value of every header of known type; the first octet chooses one to be read twice.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::bytes::headers(data));
