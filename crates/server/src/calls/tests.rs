use store::{CallQuery, Store};

use super::*;

fn calls(name: &str) -> (Arc<Calls>, Store) {
    let path = std::env::temp_dir().join(format!("sori-calls-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let store = Store::open(&path).unwrap();
    (Calls::new(store.clone()), store)
}

fn new(caller: &str) -> NewCall {
    NewCall {
        call_id: "a call".into(),
        caller: caller.into(),
        callee: "bob@b".into(),
        caller_address: "192.0.2.1:5060".parse().ok(),
        media: MediaPath::Direct,
        trunk: None,
        shard: 3,
        carrier: Carrier::Bridge(7),
    }
}

const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";

#[test]
fn a_call_is_shown_and_leaves_a_record() {
    let (calls, store) = calls("shown");
    let call = calls.begin(new("alice@a"));
    let shown = calls.list();
    assert_eq!(
        (shown.len(), calls.count(), calls.of_caller("alice@a")),
        (1, 1, 1)
    );
    assert_eq!(shown[0].state, CallState::Calling);
    assert_eq!(calls.carrier(shown[0].id), Some((3, Carrier::Bridge(7))));
    call.ringing();
    call.answered("192.0.2.2:5060".parse().ok(), Some(ANSWER));
    call.ringing();
    let shown = calls.list();
    assert_eq!(
        (shown[0].state, &shown[0].codecs[..]),
        (CallState::Answered, &["PCMA".to_owned()][..])
    );
    call.ended(200, "", EndedBy::Callee);
    assert_eq!((calls.count(), calls.of_caller("alice@a")), (0, 0));
    // The store writes in order: what it is asked next comes after the record.
    store.set_setting("x", "y").unwrap();
    let (total, records) = store.call_records(&CallQuery::default()).unwrap();
    assert_eq!(total, 1);
    let record = &records[0];
    assert_eq!(
        (
            record.status,
            record.ended_by.as_str(),
            record.codecs.as_str()
        ),
        (200, "callee", "PCMA")
    );
    assert!(record.answered.is_some() && record.ended >= record.started);
    assert_eq!(record.caller_address, "192.0.2.1:5060");
}

#[test]
fn a_call_that_is_dropped_has_ended() {
    let (calls, store) = calls("dropped");
    drop(calls.begin(new("alice@a")));
    assert_eq!(calls.count(), 0);
    store.set_setting("x", "y").unwrap();
    let (_, records) = store.call_records(&CallQuery::default()).unwrap();
    assert_eq!(
        (records[0].ended_by.as_str(), records[0].answered),
        ("server", None)
    );
}
