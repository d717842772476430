//! WAV files of every kind read back, broken ones refused, and a file cut off at any time still playable.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::Cursor;

use media::wav::{Problem, WavReader, WavWriter};

fn file(
    tag: u16,
    bits: u16,
    channels: u16,
    rate: u32,
    data: &[u8],
    odd_chunk: bool,
    extensible: bool,
) -> Vec<u8> {
    let mut out = b"RIFF\xff\xff\xff\xffWAVE".to_vec();
    if odd_chunk {
        out.extend_from_slice(b"LIST\x03\0\0\0abc\0");
    }
    out.extend_from_slice(b"fmt ");
    out.extend_from_slice(&(if extensible { 40u32 } else { 16 }).to_le_bytes());
    out.extend_from_slice(&(if extensible { 0xfffe } else { tag }).to_le_bytes());
    out.extend_from_slice(&channels.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(channels * bits / 8).to_le_bytes());
    out.extend_from_slice(&bits.to_le_bytes());
    if extensible {
        out.extend_from_slice(&[22, 0, bits as u8, 0, 4, 0, 0, 0]);
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&[0; 14]);
    }
    out.extend_from_slice(b"data");
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(data);
    out
}

fn read(bytes: &[u8]) -> Result<(u32, Vec<i16>), String> {
    let mut reader =
        WavReader::new(Cursor::new(bytes), "greeting.wav").map_err(|error| error.to_string())?;
    let samples = reader
        .read_all(1_000_000)
        .map_err(|error| error.to_string())?;
    Ok((reader.sample_rate(), samples))
}

fn octets<T, const N: usize>(values: &[T], to: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(to).collect()
}

#[test]
fn every_encoding() {
    let cases: Vec<(u16, u16, Vec<u8>)> = vec![
        (1, 8, vec![0, 128, 192]),
        (1, 16, octets(&[-32_768i16, 0, 16_384], |x| x.to_le_bytes())),
        (1, 24, vec![0, 0, 0x80, 0, 0, 0, 0, 0, 0x40]),
        (1, 32, octets(&[i32::MIN, 0, 1 << 30], |x| x.to_le_bytes())),
        (3, 32, octets(&[-1.5f32, 0.0, 0.5], |x| x.to_le_bytes())),
        (
            3,
            64,
            octets(&[-1.0f64, f64::NAN, 0.5], |x| x.to_le_bytes()),
        ),
    ];
    let mut count = 0;
    for (tag, bits, data) in &cases {
        for odd in [false, true] {
            for extensible in [false, true] {
                let bytes = file(*tag, *bits, 1, 44_100, data, odd, extensible);
                assert_eq!(
                    read(&bytes),
                    Ok((44_100, vec![-32_768, 0, 16_384])),
                    "{tag} {bits}"
                );
                count += 1;
            }
        }
    }
    assert_eq!(count, 24);
    assert_eq!(
        read(&file(6, 8, 1, 8000, &[0xd5, 0x2a], false, false))
            .unwrap()
            .1,
        [8, -32_256]
    );
    assert_eq!(
        read(&file(7, 8, 1, 8000, &[0xff, 0x00], false, false))
            .unwrap()
            .1,
        [0, -32_124]
    );
}

#[test]
fn stereo_becomes_the_mean() {
    let data = octets(&[100i16, 300, -5, -7, i16::MAX, i16::MAX], |x| {
        x.to_le_bytes()
    });
    assert_eq!(
        read(&file(1, 16, 2, 8000, &data, false, false)).unwrap().1,
        [200, -6, i16::MAX]
    );
}

#[test]
fn an_unfinished_header_and_a_cut_frame() {
    let data = octets(&[1i16, 2, 3, 4], |x| x.to_le_bytes());
    let good = file(1, 16, 1, 8000, &data, false, false);
    for stated in [0u32, u32::MAX, 5000] {
        let mut bytes = good.clone();
        bytes[40..44].copy_from_slice(&stated.to_le_bytes());
        assert_eq!(read(&bytes).unwrap().1, [1, 2, 3, 4]);
    }
    assert_eq!(read(&good[..good.len() - 1]).unwrap().1, [1, 2, 3]);
    let mut more = good.clone();
    more.extend_from_slice(b"LIST\x04\0\0\0abcd");
    assert_eq!(
        read(&more).unwrap().1,
        [1, 2, 3, 4],
        "chunks after the sound are not sound"
    );
}

#[test]
fn errors_name_the_file_and_the_cause() {
    let cases: [(&[u8], &str); 4] = [
        (b"ID3\x04 this is an mp3", "greeting.wav: not a WAV file"),
        (b"", "greeting.wav: not a WAV file"),
        (
            b"RIFF\0\0\0\0WAVE",
            "greeting.wav: the WAV file ends before",
        ),
        (
            b"RIFF\0\0\0\0WAVEdata\0\0\0\0",
            "greeting.wav: the WAV header is wrong: no fmt chunk",
        ),
    ];
    for (bytes, expected) in cases {
        assert!(
            read(bytes).unwrap_err().starts_with(expected),
            "{:?}",
            read(bytes)
        );
    }
    let mp3 = read(&file(0x55, 0, 2, 44_100, &[], false, false)).unwrap_err();
    assert_eq!(
        mp3,
        "greeting.wav: WAV encoding 0x0055 with 0 bits is not supported; convert it to 16-bit PCM"
    );
    assert!(
        read(&file(1, 16, 0, 8000, &[], false, false))
            .unwrap_err()
            .contains("no channels")
    );
    let good = file(1, 24, 2, 8000, &[7; 60], true, true);
    for cut in 0..good.len() {
        let _ = read(&good[..cut]);
    }
}

/// A target that keeps what reached it, as a disk does when the process dies.
#[test]
fn a_killed_writer_leaves_a_playable_file() {
    let samples: Vec<i16> = (0..40_000).map(|n| (n % 1000) as i16).collect();
    let mut disk = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut disk, "record.wav", 1, 8000).unwrap();
    for frame in samples.chunks(160) {
        writer.write(frame).unwrap();
    }
    drop(writer);
    let bytes = disk.into_inner();
    assert_eq!(
        u32::from_le_bytes(bytes[40..44].try_into().unwrap()),
        80_000,
        "five whole seconds are stated"
    );
    assert_eq!(read(&bytes).unwrap(), (8000, samples.clone()));

    let mut disk = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut disk, "record.wav", 2, 16_000).unwrap();
    writer.write(&samples[..1234]).unwrap();
    writer.finish().unwrap();
    let mut reader = WavReader::new(Cursor::new(disk.into_inner()), "record.wav").unwrap();
    assert_eq!((reader.channels(), reader.sample_rate()), (2, 16_000));
    assert_eq!(reader.read_all(10_000).unwrap().len(), 617);
}

#[test]
fn a_full_disk_is_told() {
    let mut disk = [0u8; 60];
    let mut writer = WavWriter::new(Cursor::new(&mut disk[..]), "record.wav", 1, 8000).unwrap();
    let error = writer.write(&[0; 100]).unwrap_err();
    assert!(matches!(error.problem, Problem::Io(_)));
    assert!(error.to_string().starts_with("record.wav: "));
}
