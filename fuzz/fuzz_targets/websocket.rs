//! Any bytes in any pieces on a WebSocket, before it is one and after.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| testkit::bytes::websocket(data));
