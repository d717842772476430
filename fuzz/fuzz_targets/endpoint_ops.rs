//! Any sequence of messages, time and commands on an endpoint.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    testkit::ops::run(data);
});
