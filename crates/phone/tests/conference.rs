//! Calls that one phone joins: each party hears the sum of the others, and not itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};

use media::tone::Tone;
use media::wav::{WavReader, WavWriter};
use phone::{CallNumber, Event, Recorder, Sound, Source};
use support::desk::{Desk, desk, desk_with};
use support::temporary;

const RATE: u32 = 8000;

/// Strength of a tone in a sound, as the mean of its amplitude in blocks of 50 ms: the frame that a busy machine leaves out
/// costs one of them.
fn strength(sound: &[i16], frequency: f64) -> f64 {
    let blocks = sound.chunks_exact(RATE as usize / 20);
    let count = blocks.len() as f64;
    blocks.map(|block| amplitude(block, frequency)).sum::<f64>() / count
}

/// Amplitude of a tone (Goertzel).
fn amplitude(sound: &[i16], frequency: f64) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * frequency / f64::from(RATE)).cos();
    let (mut a, mut b) = (0.0, 0.0);
    for sample in sound {
        (a, b) = (f64::from(*sample) + coefficient * a - b, a);
    }
    (a * a + b * b - coefficient * a * b).max(0.0).sqrt() * 2.0 / sound.len() as f64
}

fn tone(path: &Path, frequency: f64) {
    let mut samples = vec![0; 30 * RATE as usize];
    Tone::new(frequency, 0.1, RATE).fill(&mut samples);
    let mut writer = WavWriter::new(File::create(path).unwrap(), "tone", 1, RATE).unwrap();
    writer.write(&samples).unwrap();
    writer.finish().unwrap();
}

/// A party that plays a tone for as long as the test lasts and records what it hears.
fn party(name: &str, frequency: f64) -> (Desk, PathBuf) {
    let (said, heard) = (temporary(&format!("{name}-said")), temporary(name));
    tone(&said, frequency);
    let record = heard.clone();
    let sounds = move || {
        Ok(Sound {
            source: Source::file(&said)?,
            recorder: Some(Recorder::create(&record)?),
            keys: String::new(),
        })
    };
    (desk_with(name, Box::new(sounds)), heard)
}

fn end_of(path: &Path, seconds: usize) -> Vec<i16> {
    let mut reader = WavReader::new(File::open(path).unwrap(), "heard").unwrap();
    let all = reader.read_all(60 * RATE as usize).unwrap();
    all[all.len().saturating_sub(seconds * RATE as usize)..].to_vec()
}

fn joined(event: &Event) -> Option<(CallNumber, bool)> {
    match event {
        Event::Conference { call, joined } => Some((*call, *joined)),
        _ => None,
    }
}

/// Lets so many seconds of a call pass, as its sound tells them.
fn pass(desk: &mut Desk, number: CallNumber, seconds: usize) {
    desk.control.phone().watch(true);
    for _ in 0..seconds {
        desk.until("second", |event| match event {
            Event::Quality { call, .. } => (*call == number).then_some(()),
            _ => None,
        });
    }
    desk.control.phone().watch(false);
}

#[test]
fn three_parties_hear_each_other_through_the_phone() {
    let frequencies = [500.0, 1100.0, 1900.0];
    let mut host = desk("host");
    let mut parties = Vec::new();
    for (name, frequency) in ["p0", "p1", "p2"].into_iter().zip(frequencies) {
        let (mut party, heard) = party(name, frequency);
        let out = host.dial(&party);
        party.incoming();
        party.run("answer");
        host.until("answer", |e| {
            matches!(e, Event::Established { .. }).then_some(())
        });
        if parties.is_empty() {
            // Who is on hold is taken off it when it joins.
            host.run(&format!("hold {out}"));
            host.until("hold", |e| {
                matches!(e, Event::Held { by_us: true, .. }).then_some(())
            });
        }
        parties.push((party, heard, out));
    }
    let numbers: Vec<CallNumber> = parties.iter().map(|p| p.2).collect();
    host.run(&format!(
        "conference {} {} {}",
        numbers[0], numbers[1], numbers[2]
    ));
    for _ in 0..3 {
        assert!(host.until("joining", joined).1);
    }
    host.told("resume", |e| {
        matches!(e, Event::Held { by_us: false, .. }).then_some(())
    });
    assert!(
        host.control
            .state()
            .calls
            .values()
            .all(|c| c.in_conference && !c.held_by_us)
    );
    pass(&mut host, numbers[0], 3);
    // The last leaves the conference and hears nobody any more.
    host.run(&format!("part {}", numbers[2]));
    assert_eq!(host.until("parting", joined), (numbers[2], false));
    let (.., last) = &parties[2];
    assert!(
        host.refused(&format!("part {last}"))
            .what
            .contains("not in the conference")
    );
    let before: Vec<Vec<i16>> = parties.iter().map(|p| end_of(&p.1, 1)).collect();
    pass(&mut host, numbers[0], 2);
    let after = end_of(&parties[2].1, 1);
    host.run("hangup all");
    for (party, ..) in &mut parties {
        party.until("end", |e| matches!(e, Event::Ended { .. }).then_some(()));
    }
    for (who, heard) in before.iter().enumerate() {
        for (whom, frequency) in frequencies.iter().enumerate() {
            let strength = strength(heard, *frequency);
            if who == whom {
                assert!(strength < 100.0, "{who} hears itself: {strength}");
            } else {
                assert!(
                    (2800.0..3800.0).contains(&strength),
                    "{who} {whom}: {strength}"
                );
            }
        }
    }
    for frequency in frequencies {
        let strength = strength(&after, frequency);
        assert!(strength < 100.0, "{frequency} Hz: {strength}");
    }
    for (_, heard, _) in &parties {
        std::fs::remove_file(heard).unwrap();
    }
    for name in ["p0-said", "p1-said", "p2-said"] {
        std::fs::remove_file(temporary(name)).unwrap();
    }
}
