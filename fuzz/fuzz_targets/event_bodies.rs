//! Any bytes as the body of a NOTIFY: presence, dialogs, a mail box, the progress of a transfer.
#![no_main]

use sip::event::{DialogInfo, MessageSummary, Presence, SipFrag};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(presence) = Presence::parse(data) {
        // What is written is read as the same, but for texts that white space was taken from.
        let written = presence.to_xml();
        assert!(Presence::parse(written.as_bytes()).is_ok() || written.len() > 60_000);
    }
    let _ = DialogInfo::parse(data);
    let _ = MessageSummary::parse(data);
    let _ = SipFrag::parse(data);
});
