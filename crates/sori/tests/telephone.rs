//! Whole calls with the binary: a server, a phone that answers, a phone that calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::fs::File;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use media::tone::Tone;
use media::wav::WavWriter;
use support::{PASSWORD, Running, World, run, samples};

/// Every event and every member of it stands in the help.
fn check_documented(lines: &[String]) {
    let (_, help, _) = run(&["call", "--help"]);
    let words: HashSet<&str> = help
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    assert!(lines.len() > 1, "{lines:?}");
    for line in lines {
        let event: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let name = event["event"].as_str().unwrap();
        assert!(
            help.contains(&format!("\n  {name} ")),
            "event {name} is not in the help"
        );
        for member in event.keys() {
            assert!(
                words.contains(member.as_str()),
                "{member} of {name} is not in the help"
            );
        }
    }
}

fn check_secrets(outputs: &[(i32, Vec<String>, String)]) {
    for (_, out, errors) in outputs {
        let all = out.join("\n") + errors;
        assert!(!all.contains(PASSWORD), "{all}");
    }
}

#[test]
fn two_phones_talk_and_each_hears_the_other() {
    let world = World::new("talk");
    let tone = world.path("tone.wav");
    let mut sound = vec![0i16; 16_000];
    Tone::new(440.0, 0.5, 8000).fill(&mut sound);
    let mut writer = WavWriter::new(File::create(&tone).unwrap(), "tone", 1, 8000).unwrap();
    writer.write(&sound).unwrap();
    writer.finish().unwrap();
    let (heard_a, heard_b) = (world.path("a.wav"), world.path("b.wav"));
    let text = |path: &std::path::Path| path.display().to_string();

    let mut bob = Running::start(world.phone(
        "bob",
        "tcp",
        &[
            "answer",
            "--play",
            &text(&tone),
            "--record",
            &text(&heard_b),
            "--calls",
            "1",
            "-v",
        ],
    ));
    assert_eq!(bob.wait_event("registered")["account"], "bob@sori.test");
    let mut alice = Running::start(world.phone(
        "alice",
        "udp",
        &[
            "call",
            "bob",
            "--play",
            &text(&tone),
            "--record",
            &text(&heard_a),
            "--dtmf",
            "15#",
            "--codec",
            "pcma",
            "-v",
        ],
    ));
    assert_eq!(alice.wait_event("ringing")["status"], 180);
    let established = alice.wait_event("established");
    assert_eq!(established["codec"], "PCMA");
    let at_bob = bob.wait_event("established");
    assert_eq!(at_bob["remote_rtp"], established["local_rtp"]);
    assert_eq!(established["remote_rtp"], at_bob["local_rtp"]);
    for digit in ["1", "5", "#"] {
        assert_eq!(bob.wait_event("dtmf")["digit"], digit);
    }
    alice.interrupt();
    let ended = alice.wait_event("ended");
    assert_eq!(ended["cause"], "hung_up_here");
    let ended_b = bob.wait_event("ended");
    assert_eq!(ended_b["cause"], "hung_up_there");
    for event in [&ended, &ended_b] {
        let number = |name: &str| {
            event[name]
                .as_f64()
                .unwrap_or_else(|| panic!("{name} in {event}"))
        };
        let expected = number("duration_s") * 50.0;
        assert!(
            (number("packets_sent") - expected).abs() < expected * 0.2 + 5.0,
            "{event}"
        );
        assert!(
            (number("packets_received") - expected).abs() < expected * 0.2 + 5.0,
            "{event}"
        );
        assert_eq!(number("packets_lost"), 0.0);
        assert!(number("jitter_ms") < 50.0);
    }
    bob.wait_event("unregistered");
    let outputs = [alice.end(), bob.end()];
    assert_eq!((outputs[0].0, outputs[1].0), (0, 0), "{outputs:?}");
    check_secrets(&outputs);
    check_documented(&[outputs[0].1.clone(), outputs[1].1.clone()].concat());
    for (_, _, errors) in &outputs {
        assert!(
            errors.contains("response=\"...\""),
            "-v shows the messages, without proofs: {errors}"
        );
    }
    for path in [heard_a, heard_b] {
        let heard = samples(&path);
        let crossings = heard
            .windows(2)
            .filter(|w| w[0] < -1000 && w[1] >= -1000)
            .count();
        assert!(
            crossings > 150,
            "{}: {crossings} periods of 440 Hz",
            path.display()
        );
    }
}

#[test]
fn refusals_have_their_exit_codes() {
    let world = World::new("refused");
    for (target, status, code) in [("nobody", 404, 3), ("bob", 480, 3)] {
        let mut call = Running::start(world.phone("alice", "udp", &["call", target]));
        let ended = call.wait_event("ended");
        assert_eq!(
            (ended["cause"].as_str(), ended["status"].as_i64()),
            (Some("refused"), Some(status))
        );
        let error = call.wait_event("error");
        assert_eq!(
            (error["exit_code"].as_i64(), error["status"].as_i64()),
            (Some(code), Some(status))
        );
        assert_eq!(i64::from(call.end().0), code);
    }
    std::fs::write(world.password_file(), "wrong\n").unwrap();
    for command in [&["call", "bob"][..], &["answer"], &["register"]] {
        let mut process = Running::start(world.phone("alice", "tcp", command));
        let error = process.wait_event("error");
        assert!(
            matches!(error["status"].as_i64(), Some(401 | 407)),
            "{error}"
        );
        assert!(
            error["advice"].as_str().unwrap().contains("password"),
            "{error}"
        );
        let (code, out, errors) = process.end();
        check_documented(&out);
        assert_eq!(code, 5, "{command:?}: {errors}");
    }
}

#[test]
fn a_registration_is_left_and_removed() {
    let world = World::new("register");
    for transport in ["udp", "tcp"] {
        let phone = |args: &[&str]| {
            let mut process = Running::start(world.phone("alice", transport, args));
            let name = if args.contains(&"--remove") {
                "unregistered"
            } else {
                "registered"
            };
            let event = process.wait_event(name);
            assert_eq!(process.end().0, 0);
            event
        };
        let registered = phone(&["register", "--expires", "600"]);
        assert_eq!(registered["expires_s"], 600);
        // Nobody answers at the contact that is left, and nobody at all is registered afterwards.
        let refusal = |target: &str| {
            let mut call = Running::start(world.phone("bob", "udp", &["call", target]));
            let ended = call.wait_event("ended");
            (ended["status"].as_i64(), ended["reason"].to_string())
        };
        let (status, reason) = refusal("alice");
        assert_eq!(status, Some(480), "{transport}");
        assert!(reason.contains("Next Hop"), "{transport}: {reason}");
        phone(&["register", "--remove"]);
        let (status, reason) = refusal("alice");
        assert_eq!(status, Some(480), "{transport}");
        assert!(!reason.contains("Next Hop"), "{transport}: {reason}");
    }
}

#[test]
fn interrupting_before_the_answer_cancels_and_ends_with_130() {
    let world = World::new("cancel");
    let mut bob = Running::start(world.phone("bob", "udp", &["answer", "--after", "30"]));
    bob.wait_event("registered");
    let mut alice = Running::start(world.phone("alice", "udp", &["call", "bob"]));
    alice.wait_event("ringing");
    alice.interrupt();
    assert_eq!(bob.wait_event("ended")["cause"], "cancelled");
    let (code, _, errors) = alice.end();
    assert_eq!(code, 130, "{errors}");
    let mut second = Running::start(world.phone("alice", "udp", &["call", "bob", "--ring", "1"]));
    second.wait_event("ringing");
    let (code, out, errors) = second.end();
    assert_eq!(code, 3, "{out:?} {errors}");
    assert!(errors.contains("nobody answered within 1 s"), "{errors}");
    bob.interrupt();
    bob.wait_event("unregistered");
    assert_eq!(bob.end().0, 0);
}

#[test]
fn a_server_that_never_answers_does_not_hold_anybody_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let proxy = format!("udp:{}", silent.local_addr().unwrap());
    let args = [
        "call",
        "bob",
        "--account",
        "alice@sori.test",
        "--proxy",
        &proxy,
        "--json",
    ];
    for interrupts in [1, 2] {
        let mut call = Running::start(support::sori(&args));
        call.wait_event("calling");
        silent.recv_from(&mut [0; 4096]).unwrap();
        let start = Instant::now();
        call.interrupt();
        // Signals that come too fast count as one.
        while interrupts == 2 && call.is_running() {
            call.interrupt();
        }
        let (code, out, errors) = call.end();
        assert_eq!(code, 130, "{out:?} {errors}");
        let most = if interrupts == 1 { 3500 } else { 1500 };
        assert!(
            start.elapsed() < Duration::from_millis(most),
            "{interrupts}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_phone_in_a_call_is_busy_and_stays_within_its_calls() {
    let world = World::new("busy");
    for (limits, calls) in [
        (&["--at-once", "1", "--calls", "2"][..], 2),
        (&["--calls", "1"], 1),
    ] {
        let args = [&["answer"][..], limits].concat();
        let mut bob = Running::start(world.phone("bob", "udp", &args));
        bob.wait_event("registered");
        for _ in 0..calls {
            let mut first = Running::start(world.phone("alice", "udp", &["call", "bob"]));
            first.wait_event("established");
            let mut second = Running::start(world.phone("alice", "udp", &["call", "bob"]));
            assert_eq!(second.wait_event("ended")["status"], 486, "{limits:?}");
            assert_eq!(second.end().0, 3);
            first.interrupt();
            assert_eq!(first.end().0, 0);
        }
        assert_eq!(bob.end().0, 0);
    }
}

#[test]
fn a_duration_ends_the_call_from_either_side() {
    let world = World::new("duration");
    let mut bob =
        Running::start(world.phone("bob", "udp", &["answer", "--echo", "--duration", "0.5"]));
    bob.wait_event("registered");
    let mut alice = Running::start(world.phone("alice", "udp", &["call", "bob"]));
    assert_eq!(alice.wait_event("ended")["cause"], "hung_up_there");
    assert_eq!(alice.end().0, 0);
    let mut alice =
        Running::start(world.phone("alice", "udp", &["call", "bob", "--duration", "0.2"]));
    let ended = alice.wait_event("ended");
    assert_eq!(ended["cause"], "hung_up_here");
    let duration = ended["duration_s"].as_f64().unwrap();
    assert!((0.19..0.5).contains(&duration), "{duration}");
    assert_eq!(alice.end().0, 0);
}

#[test]
fn options_shows_what_a_server_can_do() {
    let world = World::new("options");
    let (code, out, errors) = run(&["options", &world.address]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(out.contains("200 OK") && out.contains("Allow: "), "{out}");
    let (code, out, _) = run(&[
        "options",
        &format!("sip:{};transport=tcp", world.address),
        "--json",
    ]);
    assert_eq!(code, 0);
    let event: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (event["event"].as_str(), event["status"].as_i64()),
        (Some("answered"), Some(200))
    );
}
