//! Calls with a microphone and a speaker, in whose places files stand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use media::tone::Tone;
use media::wav::{WavReader, WavWriter};
use phone::device::{Choice, DeviceChange, Hook, Role, Setup};
use phone::readiness::Language;
use phone::{Event, Sound, Source};
use support::desk::{Desk, desk, desk_with};
use support::{PATIENCE, temporary};

const RATE: u32 = 8000;

/// A phone with these devices.
fn with_devices(name: &str, microphone: Choice, speaker: Choice) -> Desk {
    let mut desk = desk(name);
    let hook = Hook::new(Setup {
        microphone,
        speaker,
        ..Setup::default()
    });
    desk.control.set_hook(hook, Language::English);
    desk
}

fn tone(name: &str, loudness: f64) -> PathBuf {
    let path = temporary(name);
    let mut samples = vec![0; 30 * RATE as usize];
    Tone::new(440.0, loudness, RATE).fill(&mut samples);
    let mut writer = WavWriter::new(File::create(&path).unwrap(), "tone", 1, RATE).unwrap();
    writer.write(&samples).unwrap();
    writer.finish().unwrap();
    path
}

/// What the last 200 ms of a recording peak at.
fn peak(path: &Path) -> u16 {
    let Ok(file) = File::open(path) else {
        return 0;
    };
    let Ok(mut reader) = WavReader::new(file, "heard") else {
        return 0;
    };
    let samples = reader.read_all(10_000_000).unwrap();
    let last = samples.len().saturating_sub(RATE as usize / 5);
    let peaks = samples[last..].iter().map(|s| s.unsigned_abs());
    peaks.max().unwrap_or(0)
}

/// Waits until the speaker plays as loud as that.
fn plays(speaker: &Path, least: u16, most: u16) {
    let start = Instant::now();
    let mut last = 0;
    while start.elapsed() < PATIENCE {
        last = peak(speaker);
        if (least..=most).contains(&last) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the speaker plays at {last}, not at {least} to {most}");
}

fn changed(event: &Event) -> Option<(Role, DeviceChange)> {
    match event {
        Event::Device { role, change, .. } => Some((*role, *change)),
        _ => None,
    }
}

fn established(event: &Event) -> Option<()> {
    matches!(event, Event::Established { .. }).then_some(())
}

#[test]
fn one_talks_listens_changes_the_volume_and_the_devices() {
    let (said, heard) = (tone("said", 0.25), temporary("heard"));
    let mut alice = with_devices(
        "alice",
        Choice::File(said.clone()),
        Choice::File(heard.clone()),
    );
    let echo = || {
        Ok(Sound {
            source: Source::Echo,
            ..Sound::default()
        })
    };
    let mut bob = desk_with("bob", Box::new(echo));
    alice.dial(&bob);
    let call = bob.incoming();
    bob.run(&format!("answer {call}"));
    alice.until("answer", established);
    plays(&heard, 7500, 8700);
    alice.run("volume microphone 200");
    plays(&heard, 15_500, 17_000);
    alice.run("volume speaker 50");
    plays(&heard, 7500, 8700);
    alice.run("mute on");
    plays(&heard, 0, 100);
    alice.run("mute off");
    plays(&heard, 7500, 8700);
    alice.run("echo-cancellation off");
    alice.run("noise-suppression off");
    let setup = alice.control.hook().unwrap().setup();
    assert!(!setup.cancels_echo && !setup.suppresses_noise);
    assert_eq!((setup.microphone_gain, setup.speaker_gain), (2.0, 0.5));
    alice.run("device microphone none");
    assert_eq!(
        alice.until("choice", changed),
        (Role::Microphone, DeviceChange::Chosen)
    );
    plays(&heard, 0, 100);
    let refusal = alice.refused("device speaker file:/nonexistent/x.wav");
    assert!(refusal.what.contains("/nonexistent/x.wav"), "{refusal}");
    assert_eq!(refusal.code, Some("speaker_failed"));
    // What did not come about changed nothing.
    alice.run(&format!("device microphone file:{}", said.display()));
    plays(&heard, 7500, 8700);
    assert!(alice.control.hook().unwrap().levels().is_some());
    alice.run("hangup");
    alice.until("end", |e| matches!(e, Event::Ended { .. }).then_some(()));
    let start = Instant::now();
    while alice.control.hook().unwrap().levels().is_some() && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    assert!(
        alice.control.hook().unwrap().levels().is_none(),
        "nobody listens when no call is on"
    );
    for path in [said, heard] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_is_played_to_the_other_side_while_one_listens() {
    let (said, heard) = (tone("played", 0.25), temporary("listened"));
    let file = said.clone();
    let plays_file = move || {
        Ok(Sound {
            source: Source::file(&file)?,
            ..Sound::default()
        })
    };
    let mut alice = desk_with("alice", Box::new(plays_file));
    let hook = Hook::new(Setup {
        microphone: Choice::Null,
        speaker: Choice::File(heard.clone()),
        ..Setup::default()
    });
    alice.control.set_hook(hook, Language::Korean);
    let echo = || {
        Ok(Sound {
            source: Source::Echo,
            ..Sound::default()
        })
    };
    let mut bob = desk_with("bob", Box::new(echo));
    alice.dial(&bob);
    let call = bob.incoming();
    bob.run(&format!("answer {call}"));
    alice.until("answer", established);
    plays(&heard, 7500, 8700);
    let refusal = alice.refused("device speaker file:/nonexistent/x.wav");
    assert!(refusal.what.contains("스피커"), "{refusal}");
    for path in [said, heard] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn without_a_microphone_nobody_is_called_and_nobody_is_answered() {
    let nowhere = Choice::File("/nonexistent/x.wav".into());
    let mut alice = with_devices("alice", nowhere, Choice::Null);
    let mut bob = desk("bob");
    let refusal = alice.refused(&format!("dial {}", bob.uri("bob")));
    assert_eq!(refusal.code, Some("microphone_failed"));
    assert!(refusal.advice.contains("--devices"), "{refusal}");
    assert!(alice.control.state().calls.is_empty());
    // A call that comes in goes on ringing until there is one.
    bob.dial(&alice);
    alice.incoming();
    assert_eq!(alice.refused("answer").code, Some("microphone_failed"));
    alice.run("device microphone none");
    alice.run("answer");
    alice.until("answer", established);
    bob.until("answer", established);
    assert!(bob.refused("devices").what.contains("no microphone"));
}

#[test]
fn it_rings_until_the_call_is_answered() {
    let heard = temporary("rings");
    let mut bob = with_devices("bob", Choice::Null, Choice::File(heard.clone()));
    let mut alice = desk("alice");
    bob.run("dnd on");
    let refused = alice.dial(&bob);
    bob.incoming();
    alice.until("refusal", |e| match e {
        Event::Ended { call, .. } if *call == refused => Some(()),
        _ => None,
    });
    assert!(!heard.exists(), "it rang though nobody was to disturb");
    bob.run("dnd off");
    bob.until("end", |e| matches!(e, Event::Ended { .. }).then_some(()));
    alice.dial(&bob);
    bob.incoming();
    plays(&heard, 5000, 9000);
    bob.run("reject");
    bob.until("end", |e| matches!(e, Event::Ended { .. }).then_some(()));
    std::fs::remove_file(heard).unwrap();
}
