//! Two phones call each other over real sockets on the loopback address.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::time::Duration;

use media::wav::{WavReader, WavWriter};
use phone::{Cause, CodecKind, Event, Phone, Recorder, Settings, Sound, Source};
use support::{connect, direct, settings, start, temporary};

/// Once the peer has pressed a key of ours, so much of our sound has been heard.
fn marked(keys: &str) -> Sound {
    Sound {
        keys: keys.to_owned(),
        ..Sound::default()
    }
}

#[test]
fn either_side_hangs_up() {
    for caller_ends in [true, false] {
        let (alice, bob) = (direct("alice"), direct("bob"));
        let (out, call) = connect(&alice, &bob, marked("1"), Sound::default());
        assert_eq!(bob.key().0, '1');
        let (first, second) = if caller_ends {
            (&alice, &bob)
        } else {
            (&bob, &alice)
        };
        first.phone.hang_up(if caller_ends { out } else { call });
        let (ours, theirs) = (first.ended(), second.ended());
        assert_eq!(ours.cause, Cause::ByUs);
        assert_eq!(theirs.cause, Cause::ByPeer { reason: None });
        for end in [ours, theirs] {
            assert!(
                end.talked.unwrap() >= Duration::from_millis(300),
                "{:?}",
                end.talked
            );
            let statistics = end.statistics.unwrap();
            assert!(statistics.packets_sent >= 15, "{statistics:?}");
            assert!(statistics.packets_received >= 15, "{statistics:?}");
            assert_eq!(statistics.packets_lost, 0, "{statistics:?}");
            assert_eq!(statistics.discarded, Default::default());
        }
    }
}

#[test]
fn codecs_are_agreed_on_by_the_offers_order() {
    let codecs = |user, codecs: &[CodecKind]| {
        start(Settings {
            direct: Some("127.0.0.1".to_owned()),
            codecs: codecs.to_vec(),
            ..settings(user)
        })
    };
    let alice = codecs("alice", &[CodecKind::Pcma, CodecKind::Pcmu]);
    let bob = direct("bob");
    alice.phone.call(&bob.uri("bob"), Sound::default()).unwrap();
    bob.phone.answer(bob.incoming(), Sound::default()).unwrap();
    let (at_alice, at_bob) = (alice.established(), bob.established());
    assert_eq!((at_alice.codec, at_bob.codec), ("PCMA", "PCMA"));
    assert_eq!(at_alice.remote, Some(at_bob.local));
    assert!(at_alice.dtmf && at_alice.sends && at_alice.receives);

    let carol = codecs("carol", &[CodecKind::Pcmu]);
    let dave = codecs("dave", &[CodecKind::Pcma]);
    carol
        .phone
        .call(&dave.uri("dave"), Sound::default())
        .unwrap();
    dave.phone
        .answer(dave.incoming(), Sound::default())
        .unwrap();
    let end = carol.ended();
    assert!(
        matches!(&end.cause, Cause::Refused { status, .. } if status.0 == 488),
        "{end:?}"
    );
    assert_eq!(end.talked, None);
    assert_eq!(dave.ended().cause, Cause::ByUs);
}

#[test]
fn keys_arrive_in_order_and_once() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    let (out, _) = connect(&alice, &bob, marked("1,5"), Sound::default());
    alice.phone.press(out, "9#");
    let keys: Vec<(char, Duration)> = (0..4).map(|_| bob.key()).collect();
    assert_eq!(keys.iter().map(|k| k.0).collect::<String>(), "159#");
    for (_, held) in keys {
        assert!((80..=120).contains(&held.as_millis()), "{held:?}");
    }
    alice.phone.hang_up(out);
    let more = bob.wait("end", |event| match event {
        Event::Dtmf { .. } => Some(true),
        Event::Ended { .. } => Some(false),
        _ => None,
    });
    assert!(!more, "a key came twice");
}

#[test]
fn what_is_played_is_what_is_recorded_on_both_sides() {
    // Twice coded; Opus keeps what is heard of a sweep better than its wave.
    for (codec, least) in [
        (CodecKind::Pcmu, 0.98),
        (CodecKind::G722, 0.97),
        (CodecKind::Opus, 0.85),
    ] {
        played_and_recorded(codec, least);
    }
}

fn played_and_recorded(codec: CodecKind, least: f64) {
    let (played, echoed, heard) = (temporary("played"), temporary("echoed"), temporary("heard"));
    let sound = sweep();
    let mut writer = WavWriter::new(File::create(&played).unwrap(), "played", 1, 8000).unwrap();
    writer.write(&sound).unwrap();
    writer.finish().unwrap();

    let with_codec = |user| {
        start(Settings {
            codecs: vec![codec],
            direct: Some("127.0.0.1".to_owned()),
            ..settings(user)
        })
    };
    let (alice, bob) = (with_codec("alice"), with_codec("bob"));
    let says = Sound {
        source: Source::file(&played).unwrap(),
        recorder: Some(Recorder::create(&echoed).unwrap()),
        // Pressed when all has been played and has come back.
        keys: ",,1".to_owned(),
    };
    let answers = Sound {
        source: Source::Echo,
        recorder: Some(Recorder::create(&heard).unwrap()),
        ..Sound::default()
    };
    let (out, _) = connect(&alice, &bob, says, answers);
    assert_eq!(bob.key().0, '1');
    alice.phone.hang_up(out);
    alice.ended();
    bob.ended();
    for path in [&heard, &echoed] {
        let file = File::open(path).unwrap();
        let recorded = WavReader::new(file, "recorded")
            .unwrap()
            .read_all(1_000_000)
            .unwrap();
        let likeness = compare(&sound, &recorded);
        let good = likeness
            .iter()
            .filter(|likeness| **likeness > least)
            .count();
        // The jitter buffer stretches the sound where this machine is too busy to be in time.
        assert!(good >= 8, "{codec:?}, {}: {likeness:?}", path.display());
    }
    for path in [played, echoed, heard] {
        std::fs::remove_file(path).unwrap();
    }
}

/// A second that sounds different at each moment.
fn sweep() -> Vec<i16> {
    let sample = |n: u32| {
        let time = f64::from(n) / 8000.0;
        let phase = std::f64::consts::TAU * (300.0 * time + 700.0 * time * time);
        (phase.sin() * 12_000.0) as i16
    };
    (0..8000).map(sample).collect()
}

/// The correlation of each tenth of `sound` with what stands in its place in `recorded`, give or take 100 ms.
fn compare(sound: &[i16], recorded: &[i16]) -> Vec<f64> {
    const BLOCK: usize = 800;
    let (_, start) = best(&sound[..BLOCK], recorded);
    let place = |n: usize| {
        let around = (start + n * BLOCK).saturating_sub(BLOCK)..start + (n + 2) * BLOCK;
        recorded
            .get(around.start..around.end.min(recorded.len()))
            .unwrap_or_default()
    };
    let blocks = sound.chunks_exact(BLOCK).enumerate();
    blocks.map(|(n, block)| best(block, place(n)).0).collect()
}

/// The best correlation of `block` with any place in `recorded`, and the place.
fn best(block: &[i16], recorded: &[i16]) -> (f64, usize) {
    let dot = |a: &[i16], b: &[i16]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let own = dot(block, block);
    let likeness =
        |window: &[i16]| dot(block, window) / (own * dot(window, window)).sqrt().max(1.0);
    let all = recorded.windows(block.len()).map(likeness).zip(0..);
    all.fold(
        (0.0, 0),
        |best, one| if one.0 > best.0 { one } else { best },
    )
}

#[test]
fn a_recording_survives_without_an_end() {
    let path = temporary("open");
    let (alice, bob) = (direct("alice"), direct("bob"));
    let answers = Sound {
        recorder: Some(Recorder::create(&path).unwrap()),
        ..Sound::default()
    };
    connect(&alice, &bob, marked(",,1"), answers);
    assert_eq!(bob.key().0, '1');
    // The file is read while it is being written, as after a kill.
    let mut reader = WavReader::new(File::open(&path).unwrap(), "open").unwrap();
    let samples = reader.read_all(1_000_000).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    assert!(samples >= 8000, "{samples}");
}

#[test]
fn hold_stops_the_sound_of_the_other_side_and_resume_brings_it_back() {
    let changed = |side: &support::Side| {
        side.wait("change", |event| match event {
            Event::MediaChanged { agreed, .. } => Some((agreed.sends, agreed.receives)),
            Event::SoundTrouble { message, .. } => panic!("{message}"),
            _ => None,
        })
    };
    let (alice, bob) = (direct("alice"), direct("bob"));
    let (out, call) = connect(&alice, &bob, marked("1"), Sound::default());
    assert_eq!(bob.key().0, '1');
    alice.phone.hold(out, true);
    assert_eq!(changed(&alice), (true, false));
    assert_eq!(changed(&bob), (false, true));
    bob.phone.press(call, "9");
    alice.phone.press(out, "2");
    assert_eq!(bob.key().0, '2', "the holding side may still be heard");
    alice.phone.hold(out, false);
    assert_eq!(changed(&alice), (true, true));
    assert_eq!(changed(&bob), (true, true));
    assert_eq!(
        alice.key().0,
        '9',
        "what was pressed on hold waits for its end"
    );
    alice.phone.hang_up(out);
    alice.ended();
}

#[test]
fn a_caller_gives_up() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    let out = alice.phone.call(&bob.uri("bob"), Sound::default()).unwrap();
    bob.phone.ring(bob.incoming());
    alice.ringing();
    alice.phone.hang_up(out);
    assert_eq!(alice.ended().cause, Cause::Cancelled);
    let end = bob.ended();
    assert_eq!((end.cause, end.talked), (Cause::Cancelled, None));
}

#[test]
fn a_callee_is_busy_or_declines() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    for status in [486, 603] {
        alice.phone.call(&bob.uri("bob"), Sound::default()).unwrap();
        bob.phone.reject(bob.incoming(), status);
        let end = alice.ended();
        assert!(
            matches!(&end.cause, Cause::Refused { status: got, .. } if got.0 == status),
            "{end:?}"
        );
        assert_eq!(bob.ended().cause, Cause::ByUs);
    }
}

#[test]
fn nobody_is_there() {
    let alice = direct("alice");
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for transport in ["", ";transport=tcp"] {
        let target = format!("sip:bob@{free}{transport}");
        alice.phone.call(&target, Sound::default()).unwrap();
        let end = alice.ended();
        assert!(
            matches!(end.cause, Cause::Unreachable { .. }),
            "{transport}: {end:?}"
        );
        alice.phone.options(&target);
        alice.wait("failure", |event| {
            matches!(event, Event::RequestFailed { .. }).then_some(())
        });
    }
}

#[test]
fn a_call_over_tcp() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    let target = format!("{};transport=tcp", bob.uri("bob"));
    alice.phone.call(&target, marked("7")).unwrap();
    bob.phone.answer(bob.incoming(), Sound::default()).unwrap();
    let transport = alice.wait("answered call", |event| match event {
        Event::Established { transport, .. } => Some(*transport),
        _ => None,
    });
    assert_eq!(transport, phone::Transport::Tcp);
    assert_eq!(bob.key().0, '7');
    alice.phone.close(support::PATIENCE);
    assert_eq!(bob.ended().cause, Cause::ByPeer { reason: None });
}

#[test]
fn closing_ends_calls_and_tells_so() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    connect(&alice, &bob, marked("1"), Sound::default());
    bob.key();
    alice.phone.close(support::PATIENCE);
    let end = alice.events.try_iter().find_map(|event| match event {
        Event::Ended { cause, talked, .. } => Some((cause, talked.is_some())),
        _ => None,
    });
    assert_eq!(end, Some((Cause::ByUs, true)));
    assert_eq!(bob.ended().cause, Cause::ByPeer { reason: None });
}

#[test]
fn options_tell_what_a_phone_can_do() {
    let (alice, bob) = (direct("alice"), direct("bob"));
    alice.phone.options(&bob.uri("bob"));
    let (status, allow) = alice.wait("answer", |event| match event {
        Event::Answered { status, allow, .. } => Some((*status, allow.clone())),
        _ => None,
    });
    assert_eq!(status, 200);
    for method in ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"] {
        assert!(allow.iter().any(|m| m == method), "{allow:?}");
    }
}

#[test]
fn many_calls_at_once() {
    const CALLS: usize = 20;
    let (alice, bob) = (direct("alice"), direct("bob"));
    for _ in 0..CALLS {
        alice.phone.call(&bob.uri("bob"), marked("5")).unwrap();
        let sound = Sound {
            source: Source::Echo,
            ..Sound::default()
        };
        bob.phone.answer(bob.incoming(), sound).unwrap();
    }
    let mut keys = 0;
    while keys < CALLS {
        bob.key();
        keys += 1;
    }
    bob.phone.close(support::PATIENCE);
    for _ in 0..CALLS {
        let end = alice.ended();
        assert_eq!(end.cause, Cause::ByPeer { reason: None });
        assert_eq!(end.statistics.unwrap().packets_lost, 0);
    }
}

#[test]
fn a_server_of_this_host_is_reached_by_name() {
    let phone = start(Settings {
        server: Some("udp:localhost:5060".parse().unwrap()),
        ..settings("alice")
    });
    assert_eq!(phone.phone.address().ip().to_string(), "127.0.0.1");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = direct("alice");
    let settings = Settings {
        direct: Some("127.0.0.1".to_owned()),
        port: Some(first.phone.address().port()),
        ..settings("bob")
    };
    let error = Phone::start(settings, std::sync::Arc::new(|_| {}))
        .err()
        .unwrap()
        .to_string();
    let port = first.phone.address().port().to_string();
    assert!(error.contains(&port) && error.contains("in use"), "{error}");
}
