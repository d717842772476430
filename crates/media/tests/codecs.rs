//! Every codec there and back: how much of the sound survives, and that nothing which comes from the network panics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use media::codec::{Codec, CodecError, CodecKind, Encoding};
use media::tone::Tone;
use world::{Dice, speech};

/// Codecs that this machine can run; the others say why not.
fn available() -> Vec<CodecKind> {
    let all = CodecKind::ALL.into_iter();
    all.filter(|kind| match kind.available() {
        Ok(()) => true,
        Err(reason) => {
            println!("{} is not tested: {reason}", kind.name());
            assert!(reason.contains("apt-get install") || reason.contains("version"));
            false
        }
    })
    .collect()
}

fn frame(kind: CodecKind) -> usize {
    (kind.default_packet_ms() * kind.sample_rate() / 1000) as usize
}

/// Encodes and decodes with two instances.
fn there_and_back(kind: CodecKind, samples: &[i16]) -> (Vec<i16>, usize) {
    let (mut encoder, mut decoder) = (kind.codec(), kind.codec());
    let mut heard = Vec::new();
    let mut octets = 0;
    for said in samples.chunks_exact(frame(kind)) {
        let mut payload = vec![0; encoder.max_payload(said.len())];
        let length = encoder.encode(said, &mut payload).unwrap();
        octets += length;
        let payload = &payload[..length];
        assert_eq!(decoder.samples(payload), Some(said.len()), "{kind:?}");
        let mut out = vec![0; said.len()];
        assert_eq!(decoder.decode(payload, &mut out), Ok(said.len()));
        heard.extend(out);
    }
    (heard, octets)
}

/// Signal-to-noise ratio in dB at the delay where it is best, the level being matched.
fn ratio(said: &[i16], heard: &[i16], longest_delay: usize) -> f64 {
    let length = said.len() - 2 * longest_delay;
    let said = &said[longest_delay..longest_delay + length];
    let mut best = f64::MIN;
    for delay in 0..longest_delay {
        let heard = &heard[longest_delay + delay..longest_delay + delay + length];
        let (mut product, mut a, mut b) = (0.0, 0.0, 0.0);
        // Every fifth sample says as much and takes a fifth of the time.
        for (x, y) in said.iter().zip(heard).step_by(5) {
            let (x, y) = (f64::from(*x), f64::from(*y));
            product += x * y;
            a += x * x;
            b += y * y;
        }
        let likeness = product * product / (a * b).max(1.0);
        best = best.max(10.0 * (likeness / (1.0 - likeness).max(1e-12)).log10());
    }
    best
}

#[test]
fn speech_survives() {
    // What each codec keeps of the wave of a synthetic voice; those at low rates keep its spectrum better than its wave.
    for kind in available() {
        let narrow = speech(8000 * 2);
        let said = media::resample::resample(&narrow, 8000, kind.sample_rate()).unwrap();
        let (heard, octets) = there_and_back(kind, &said);
        let found = ratio(
            &said[..heard.len()],
            &heard,
            kind.sample_rate() as usize / 60,
        );
        let bitrate = octets * 8 / 2;
        println!("{}: {found:.1} dB at {bitrate} bit/s", kind.name());
        let (least, most_bits) = match kind {
            CodecKind::Opus => (12.0, 50_000),
            CodecKind::G722 => (18.0, 64_000),
            CodecKind::Pcmu | CodecKind::Pcma => (30.0, 64_000),
            CodecKind::SpeexWide => (8.0, 30_000),
            CodecKind::Speex => (7.0, 20_000),
            CodecKind::G729 => (3.0, 8000),
            CodecKind::G723 => (3.0, 6400),
            _ => (7.0, 13_200),
        };
        assert!(found > least, "{kind:?}: {found:.1} dB");
        assert!(bitrate <= most_bits, "{kind:?}: {bitrate} bit/s");
    }
}

#[test]
fn g722_is_that_of_the_recommendation() {
    // Octets and samples as another implementation of G.722 codes them, bit by bit.
    let (mut a, mut b) = (
        Tone::new(440.0, 0.3, 16_000),
        Tone::new(5200.0, 0.2, 16_000),
    );
    let mut samples = vec![0i16; 3200];
    let mut other = vec![0i16; 3200];
    a.fill(&mut samples);
    b.fill(&mut other);
    for (sample, other) in samples.iter_mut().zip(&other) {
        *sample = sample.saturating_add(*other);
    }
    let mut codec = CodecKind::G722.codec();
    let mut payload = vec![0; 1600];
    codec.encode(&samples, &mut payload).unwrap();
    let mut heard = vec![0i16; 3200];
    CodecKind::G722
        .codec()
        .decode(&payload, &mut heard)
        .unwrap();
    let sum = |octets: &mut dyn Iterator<Item = u8>| {
        octets.fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let linear = &mut heard.iter().flat_map(|sample| sample.to_le_bytes());
    assert_eq!(sum(&mut payload.iter().copied()), 0x77f6_a2b7_3c05_afe2);
    assert_eq!(sum(linear), 0x4a47_84d1_fe34_c882);
}

#[test]
fn any_payload_is_decoded_or_refused() {
    let mut dice = Dice(77);
    for kind in available() {
        let mut codec = kind.codec();
        let mut out = vec![0i16; 48_000];
        for n in 0..4000usize {
            let length = match n % 4 {
                0 => n / 4 % 70,
                1 => [1, 2, 4, 10, 12, 20, 24, 33, 66, 160][n / 4 % 10],
                2 => (dice.bits() % 400) as usize,
                _ => (dice.bits() % 1500) as usize,
            };
            let payload: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
            let said = codec.samples(&payload);
            match codec.decode(&payload, &mut out) {
                Ok(made) => assert_eq!(Some(made), said, "{kind:?} {length}"),
                Err(CodecError::BufferTooSmall) => assert!(said > Some(48_000)),
                Err(error) => assert_eq!(error, CodecError::Payload, "{kind:?} {length}"),
            }
            if n % 7 == 0 {
                let count = frame(kind);
                codec.conceal(&mut out[..count]);
                codec.recover(&payload, &mut out[..count]);
            }
        }
        assert_eq!(codec.samples(&[]).unwrap_or(0), 0, "{kind:?}");
    }
}

#[test]
fn buffers_and_frames_of_the_wrong_size_are_refused() {
    for kind in available() {
        let mut codec = kind.codec();
        let samples = vec![0; frame(kind)];
        let room = codec.max_payload(samples.len());
        let mut payload = vec![0; room];
        let short = codec.encode(&samples, &mut payload[..room - 1]);
        assert_eq!(short, Err(CodecError::BufferTooSmall), "{kind:?}");
        if !matches!(kind, CodecKind::Pcmu | CodecKind::Pcma) {
            let odd = codec.encode(&samples[..frame(kind) - 1], &mut payload);
            assert_eq!(odd, Err(CodecError::FrameLength), "{kind:?}");
        }
        let length = codec.encode(&samples, &mut payload).unwrap();
        let mut out = vec![0; frame(kind) - 1];
        let short = codec.decode(&payload[..length], &mut out);
        assert_eq!(short, Err(CodecError::BufferTooSmall), "{kind:?}");
    }
}

#[test]
fn a_lost_frame_is_concealed_by_the_codec() {
    for kind in available() {
        let (mut encoder, mut decoder) = (kind.codec(), kind.codec());
        let mut tone = Tone::new(220.0, 0.4, kind.sample_rate());
        let mut said = vec![0; frame(kind)];
        let mut payload = vec![0; encoder.max_payload(said.len())];
        let mut heard = vec![0i16; said.len()];
        for _ in 0..30 {
            tone.fill(&mut said);
            let length = encoder.encode(&said, &mut payload).unwrap();
            decoder.decode(&payload[..length], &mut heard).unwrap();
        }
        assert_eq!(decoder.conceal(&mut heard), decoder.conceals(), "{kind:?}");
        if decoder.conceals() {
            let power = heard.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let level = (power / heard.len() as f64).sqrt();
            assert!((1500.0..12_000.0).contains(&level), "{kind:?}: {level}");
        }
    }
}

#[test]
fn opus_repeats_a_lost_frame_in_the_next_one() {
    let kind = CodecKind::Opus;
    let narrow = speech(8000 * 5);
    let said = media::resample::resample(&narrow, 8000, 48_000).unwrap();
    let mut encoder = kind.codec();
    encoder.expect_loss(0.2);
    let payloads: Vec<Vec<u8>> = said
        .chunks_exact(960)
        .map(|said| {
            let mut payload = vec![0; encoder.max_payload(960)];
            let length = encoder.encode(said, &mut payload).unwrap();
            payload.truncate(length);
            payload
        })
        .collect();
    let play = |fec: bool| {
        let mut decoder = kind.codec();
        let mut heard = Vec::new();
        for n in 0..payloads.len() - 1 {
            let mut out = vec![0i16; 960];
            if n % 10 != 9 {
                decoder.decode(&payloads[n], &mut out).unwrap();
            } else if fec {
                assert!(decoder.recover(&payloads[n + 1], &mut out));
            } else {
                assert!(decoder.conceal(&mut out));
            }
            heard.extend(out);
        }
        ratio(&said[..heard.len()], &heard, 960)
    };
    let (with, without) = (play(true), play(false));
    println!("{with:.1} dB with, {without:.1} dB without");
    assert!(with > without + 1.0, "{with:.1} {without:.1}");
}

/// Frames sent of four seconds of which the middle two are silent.
fn sent(mut codec: Box<dyn Codec>) -> Vec<usize> {
    let kind = codec.kind();
    let rate = kind.sample_rate() as usize;
    let mut said = media::resample::resample(&speech(8000 * 4), 8000, rate as u32).unwrap();
    said[rate..3 * rate].fill(0);
    said.chunks_exact(frame(kind))
        .map(|said| {
            let mut payload = vec![0; codec.max_payload(said.len())];
            let length = codec.encode(said, &mut payload).unwrap();
            if length > 0 {
                assert!(codec.samples(&payload[..length]).is_some());
            }
            length
        })
        .collect()
}

#[test]
fn silence_costs_nothing_where_it_is_suppressed() {
    let suppressing = [
        CodecKind::Opus,
        CodecKind::G729,
        CodecKind::Speex,
        CodecKind::SpeexWide,
    ];
    for kind in available()
        .into_iter()
        .filter(|kind| suppressing.contains(kind))
    {
        let encoding = Encoding {
            silence_suppression: true,
            ..Encoding::default()
        };
        let unsent = sent(kind.encoder(&encoding))
            .iter()
            .filter(|octets| **octets == 0)
            .count();
        assert!((40..110).contains(&unsent), "{kind:?}: {unsent} of 200");
        let unsent = sent(kind.codec())
            .iter()
            .filter(|octets| **octets == 0)
            .count();
        assert_eq!(unsent, 0, "{kind:?}");
    }
}

#[test]
fn an_absent_codec_fails_softly() {
    for kind in CodecKind::ALL
        .into_iter()
        .filter(|kind| kind.available().is_err())
    {
        let mut codec = kind.codec();
        assert_eq!(
            codec.encode(&[0; 160], &mut [0; 400]),
            Err(CodecError::Unavailable)
        );
        assert_eq!(codec.samples(&[0; 33]), None);
    }
}
