//! How good concealment sounds, in numbers, on speech-like sound.

mod world;

use media::plc::Concealer;
use media::tone::Tone;
use world::{Dice, speech};

const FRAME: usize = 160;

struct Outcome {
    /// Mean over the lost frames with sound in them, in dB.
    concealed_snr: f64,
    silence_snr: f64,
    /// Mean log-spectral distance of the lost frames in dB.
    concealed_distance: f64,
    silence_distance: f64,
    lost: usize,
}

/// Power in sixteen bands of 250 Hz, by a plain Fourier sum.
fn bands(frame: &[i16]) -> [f64; 16] {
    let mut bands = [1.0f64; 16];
    for bin in 1..64 {
        let frequency = bin as f64 * 62.5;
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (n, sample) in frame.iter().enumerate() {
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / frame.len() as f64).cos();
            let angle = std::f64::consts::TAU * frequency * n as f64 / 8000.0;
            real += window * f64::from(*sample) * angle.cos();
            imaginary += window * f64::from(*sample) * angle.sin();
        }
        bands[bin / 4] += (real * real + imaginary * imaginary) / 1e4;
    }
    bands
}

fn distance(a: &[i16], b: &[i16]) -> f64 {
    let squares: f64 = bands(a)
        .iter()
        .zip(bands(b))
        .map(|(a, b)| (10.0 * (a / b).log10()).powi(2))
        .sum();
    (squares / 16.0).sqrt()
}

fn snr(said: &[i16], heard: &[i16]) -> f64 {
    let power: f64 = said.iter().map(|x| f64::from(*x).powi(2)).sum();
    let noise: f64 = said
        .iter()
        .zip(heard)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    10.0 * (power / noise.max(1.0)).log10()
}

fn lose(share: f64, seed: u64) -> Outcome {
    let said = speech(8000 * 60);
    let mut dice = Dice(seed);
    let mut concealer = Concealer::new(8000);
    let mut sums = [0.0; 4];
    let mut lost = 0;
    for said in said.chunks_exact(FRAME) {
        let mut heard = said.to_vec();
        let loud =
            said.iter().map(|x| i64::from(*x).pow(2)).sum::<i64>() / FRAME as i64 > 300 * 300;
        if dice.unit() >= share {
            concealer.good(&mut heard);
            continue;
        }
        concealer.conceal(&mut heard);
        if loud {
            let silence = [0i16; FRAME];
            sums[0] += snr(said, &heard);
            sums[1] += snr(said, &silence);
            sums[2] += distance(said, &heard);
            sums[3] += distance(said, &silence);
            lost += 1;
        }
    }
    let [
        concealed_snr,
        silence_snr,
        concealed_distance,
        silence_distance,
    ] = sums.map(|sum| sum / lost as f64);
    Outcome {
        concealed_snr,
        silence_snr,
        concealed_distance,
        silence_distance,
        lost,
    }
}

#[test]
fn clearly_better_than_silence() {
    for (share, gain, closeness) in [(0.05, 3.5, 0.2), (0.10, 3.2, 0.2), (0.20, 3.2, 0.2)] {
        let outcome = lose(share, 42);
        println!(
            "{share}: {} frames, SNR {:.1} dB against {:.1}, spectral distance {:.1} dB against {:.1}",
            outcome.lost,
            outcome.concealed_snr,
            outcome.silence_snr,
            outcome.concealed_distance,
            outcome.silence_distance
        );
        assert!(outcome.lost > 80);
        assert!(
            outcome.concealed_snr > outcome.silence_snr + gain,
            "{}",
            outcome.concealed_snr
        );
        assert!(
            outcome.concealed_distance < outcome.silence_distance * closeness,
            "{}",
            outcome.concealed_distance
        );
    }
}

#[test]
fn no_clicks_at_the_seams() {
    // A pure tone's largest step between samples bounds what a seam may add.
    let mut tone = Tone::new(180.0, 0.4, 8000);
    let mut concealer = Concealer::new(8000);
    let mut dice = Dice(5);
    let mut before = 0i32;
    let step = 0.4 * 32_767.0 * std::f64::consts::TAU * 180.0 / 8000.0;
    let mut lost = 0;
    for n in 0..1000 {
        let mut frame = [0i16; FRAME];
        tone.fill(&mut frame);
        if n > 10 && dice.unit() < 0.1 {
            concealer.conceal(&mut frame);
            lost += 1;
        } else {
            concealer.good(&mut frame);
        }
        for sample in frame {
            let jump = (i32::from(sample) - before).abs();
            assert!(
                f64::from(jump) < step * 2.5,
                "a jump of {jump} in frame {n}"
            );
            before = i32::from(sample);
        }
    }
    assert!(lost > 50);
}
