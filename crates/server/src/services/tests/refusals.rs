use super::super::{Refused, Service};
use super::peer::Peer;
use super::{LOCAL, call, services};

fn status<T>(outcome: Result<T, Refused>) -> Option<u16> {
    outcome.err().map(|refused| {
        assert!(refused.reason.is_ascii() && !refused.reason.contains('"'));
        refused.status
    })
}

#[test]
fn users_name_services() {
    assert_eq!(Service::of_user(b"echo"), Some(Service::Echo));
    assert_eq!(Service::of_user(b"tone"), Some(Service::Tone));
    for other in [&b"Echo"[..], b"", b"tones", b"\xff"] {
        assert_eq!(Service::of_user(other), None);
    }
}

#[test]
fn offers_that_are_no_use() {
    let services = services(21_200, 20, 10);
    let peer = Peer::new();
    let open = |offer: &[u8]| status(services.open(call(1), Service::Echo, LOCAL, Some(offer)));
    assert_eq!(open(b"\x00\xff garbage"), Some(400));
    assert_eq!(open(b""), Some(400));
    assert_eq!(open(&peer.sdp("3 18", "")), Some(488));
    let video = String::from_utf8(peer.sdp("31", "")).unwrap();
    assert_eq!(
        open(video.replace("m=audio", "m=video").as_bytes()),
        Some(488)
    );
    let far = String::from_utf8(peer.sdp("0", "")).unwrap();
    assert_eq!(
        open(far.replace("IP4 127.0.0.1", "IP4 224.0.0.1").as_bytes()),
        Some(488)
    );
    assert_eq!(services.calls(), 0);
    assert_eq!(open(&peer.sdp("0", "")), None);
    assert_eq!(open(&peer.sdp("0", "")), Some(500), "a call opens once");
    assert_eq!(services.calls(), 1);
}

#[test]
fn nothing_is_left_of_a_refused_call() {
    let services = services(21_300, 1, 1);
    let peer = Peer::new();
    for _ in 0..10 {
        let refused = services.open(call(1), Service::Echo, LOCAL, Some(&peer.sdp("3", "")));
        assert_eq!(status(refused), Some(488));
    }
    let taken = services.open(call(1), Service::Echo, LOCAL, Some(&peer.sdp("0", "")));
    assert_eq!(status(taken), None);
}

#[test]
fn ports_and_lines_run_out() {
    let peer = Peer::new();
    let offer = peer.sdp("0", "");
    for (first, pairs, calls) in [(21_400, 2, 10), (21_500, 20, 2)] {
        let services = services(first, pairs, calls);
        for n in 0..2 {
            services
                .open(call(n), Service::Tone, LOCAL, Some(&offer))
                .unwrap();
        }
        let third = services.open(call(2), Service::Tone, LOCAL, Some(&offer));
        assert_eq!(status(third), Some(503));
        assert_eq!(services.calls(), 2);
        services.reoffer(call(0), Some(&offer)).unwrap();
    }
}

#[test]
fn a_refused_change_changes_nothing() {
    let services = services(21_600, 20, 10);
    let peer = Peer::new();
    services
        .open(call(1), Service::Tone, LOCAL, Some(&peer.sdp("0", "")))
        .unwrap();
    let change = |offer: &[u8]| status(services.reoffer(call(1), Some(offer)));
    assert_eq!(change(b"garbage"), Some(400));
    assert_eq!(change(&peer.sdp("3", "")), Some(488));
    assert_eq!(peer.hear().payload_type, 0);
    services.reoffer(call(1), None).unwrap();
    let answered = |answer: &[u8]| status(services.answered(call(1), Some(answer)));
    assert_eq!(answered(b"garbage"), Some(400));
    assert_eq!(answered(&peer.sdp("3", "")), Some(488));
}

#[test]
fn calls_that_are_not() {
    let services = services(21_700, 20, 10);
    assert_eq!(status(services.reoffer(call(1), None)), Some(481));
    assert_eq!(status(services.answered(call(1), None)), Some(481));
    services.close(call(1));
    assert_eq!(services.poll_dead(), []);
}
