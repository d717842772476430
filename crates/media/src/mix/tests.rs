use super::*;
use crate::tone::Tone;

const FRAME: Time = Time::from_millis(20);

/// Strength of `frequency` in `sound` (Goertzel), as the amplitude of the tone.
fn strength(sound: &[i16], frequency: f64, rate: u32) -> f64 {
    let omega = std::f64::consts::TAU * frequency / f64::from(rate);
    let coefficient = 2.0 * omega.cos();
    let (mut a, mut b) = (0.0, 0.0);
    for sample in sound {
        (a, b) = (f64::from(*sample) + coefficient * a - b, a);
    }
    (a * a + b * b - coefficient * a * b).sqrt() * 2.0 / sound.len() as f64
}

/// Runs a conference of tones for a second; what each member heard in the second half.
fn hold(members: &[(u32, f64)], amplitude: f64) -> Vec<Vec<i16>> {
    let mut mixer = Mixer::new();
    let mut tones = Vec::new();
    for (key, (rate, frequency)) in (0..).zip(members) {
        mixer.join(key, *rate).unwrap();
        tones.push((key, *rate, Tone::new(*frequency, amplitude, *rate)));
    }
    let mut heard = vec![Vec::new(); members.len()];
    for n in 0..50u32 {
        for (key, rate, tone) in &mut tones {
            let mut frame = vec![0; samples(*rate, 20)];
            tone.fill(&mut frame);
            mixer.push(*key, &frame);
        }
        mixer.advance(FRAME * n);
        for ((key, rate, _), heard) in tones.iter().zip(&mut heard) {
            let mut frame = vec![0; samples(*rate, 20)];
            mixer.pull(*key, &mut frame);
            if n >= 25 {
                heard.extend(frame);
            }
        }
    }
    assert_eq!(mixer.dropped(), 0);
    heard
}

#[test]
fn each_hears_the_others_and_not_itself() {
    let frequencies = [400.0, 1000.0, 1700.0, 2300.0];
    let members = frequencies.map(|f| (8000, f));
    let heard = hold(&members, 0.1);
    for (who, heard) in heard.iter().enumerate() {
        for (whom, frequency) in frequencies.iter().enumerate() {
            let strength = strength(heard, *frequency, 8000);
            if who == whom {
                assert!(strength < 10.0, "{who} hears itself: {strength}");
            } else {
                assert!((strength - 3277.0).abs() < 60.0, "{who} {whom}: {strength}");
            }
        }
    }
}

#[test]
fn rates_may_differ() {
    let members = [(8000, 400.0), (16_000, 1000.0), (48_000, 1700.0)];
    let heard = hold(&members, 0.1);
    for ((who, (rate, _)), heard) in members.iter().enumerate().zip(&heard) {
        for (whom, (_, frequency)) in members.iter().enumerate() {
            let strength = strength(heard, *frequency, *rate);
            if who == whom {
                assert!(strength < 10.0, "{who} hears itself: {strength}");
            } else {
                assert!(
                    (strength - 3277.0).abs() < 150.0,
                    "{who} {whom}: {strength}"
                );
            }
        }
    }
}

#[test]
fn loud_members_do_not_overflow() {
    let heard = hold(&[(8000, 400.0), (8000, 400.0), (8000, 400.0)], 0.9);
    let peak = heard[0].iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!((30_000..=32_767).contains(&peak), "{peak}");
    // A wrapped sum would jump from one end to the other.
    let jump = heard[0]
        .windows(2)
        .map(|w| (i32::from(w[0]) - i32::from(w[1])).abs());
    assert!(jump.max().unwrap() < 30_000);
}

#[test]
fn members_of_different_moments_lose_nothing() {
    let mut mixer = Mixer::new();
    mixer.join(1, 8000).unwrap();
    mixer.join(2, 8000).unwrap();
    let mut heard = Vec::new();
    let mut said = 0i16;
    // One has frames of 20 ms at 0, 20, …; the other of 30 ms at 5, 35, ….
    for ms in (0..3000u64).step_by(5) {
        let now = Time::from_millis(ms);
        if ms % 20 == 0 {
            let frame: Vec<i16> = (0..160).map(|n| said + n / 16).collect();
            said += 10;
            mixer.push(1, &frame);
        }
        if ms % 30 == 5 {
            mixer.push(2, &[0; 240]);
        }
        mixer.advance(now);
        if ms % 20 == 0 {
            mixer.pull(1, &mut [0; 160]);
        }
        if ms % 30 == 5 && ms > 60 {
            let mut frame = [0; 240];
            mixer.pull(2, &mut frame);
            heard.extend(frame);
        }
    }
    let inside = &heard[2400..];
    let steps: Vec<i16> = inside.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(steps.iter().all(|s| (0..=1).contains(s)), "{steps:?}");
    assert_eq!(mixer.dropped(), 0);
}

#[test]
fn what_nobody_takes_is_bounded() {
    let mut mixer = Mixer::new();
    mixer.join(1, 8000).unwrap();
    mixer.join(2, 8000).unwrap();
    for n in 0..200u32 {
        mixer.push(1, &[5; 160]);
        mixer.advance(FRAME * n);
    }
    assert!(mixer.dropped() > 0);
    assert!(mixer.members[&2].to_hear.len() <= samples(8000, WAITING_MS));
    // Nor is a pause made up for.
    mixer.advance(FRAME * 1_000_000);
    for n in 0..10_000 {
        mixer.push(3, &[n; 160]);
    }
    assert!(!mixer.has(3));
}

#[test]
fn joining_and_leaving() {
    let mut mixer = Mixer::new();
    assert_eq!(mixer.join(1, 8001), Err(Unmixable::Rate(8001)));
    assert_eq!(mixer.join(1, 0), Err(Unmixable::Rate(0)));
    for member in 0..MAX_MEMBERS as u64 {
        mixer.join(member, 8000).unwrap();
    }
    assert_eq!(mixer.join(1000, 8000), Err(Unmixable::Full));
    assert_eq!(mixer.join(5, 16_000), Ok(()));
    assert_eq!(mixer.rate, 16_000);
    mixer.leave(5);
    assert_eq!((mixer.rate, mixer.len()), (8000, MAX_MEMBERS - 1));
    let mut frame = [9; 4];
    mixer.pull(5, &mut frame);
    assert_eq!(frame, [0; 4]);
}
