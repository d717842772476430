//! Any bytes as a session description: read, printed, answered; two of them, split at a NUL, as offer and answer.
#![no_main]

use sdp::{
    Capabilities, LocalMedia, Origin, Role, Session, answer, complete, hold, outcome, reoffer,
    resume, violations,
};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |b| *b == 0);
    let first = parts.next().unwrap_or_default();
    let Ok(session) = Session::parse(first) else {
        return;
    };
    let printed = session.to_string();
    assert_eq!(
        Session::parse(printed.as_bytes()).as_ref(),
        Ok(&session),
        "print and parse differ"
    );
    let caps = Capabilities::g711();
    let address = "192.0.2.250".parse().expect("an address");
    let local = LocalMedia::new(address, 40_000);
    if let Some(Ok(other)) = parts.next().map(Session::parse) {
        let _ = complete(&session, &other, &caps);
        let _ = outcome(&session, &other, Role::Answerer, &caps);
    }
    for next in [
        hold(&session),
        resume(&session),
        reoffer(&session, &local, &caps),
    ] {
        let text = next.to_string();
        let again = Session::parse(text.as_bytes()).map(|s| s.to_string());
        assert_eq!(again, Ok(text), "an offer of ours does not read back");
    }
    if let Ok((ours, streams)) = answer(&session, &Origin::new("-", 1, address), &local, &caps) {
        assert_eq!(
            violations(&session, &ours),
            [],
            "an answer of ours breaks RFC 3264"
        );
        assert_eq!(streams.len(), session.media.len());
    }
});
