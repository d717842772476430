use std::io::{self, Read};

use super::{Problem, WavError};
use crate::codec::{alaw_decode, ulaw_decode};

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;
/// Chunks looked at before the sound; a file with more is not meant to be played.
const CHUNKS: usize = 1000;
const BLOCK: usize = 16 * 1024;

/// Reads a WAV file as mono 16-bit samples at the file's own rate: PCM of 8, 16, 24 and 32 bits, float of 32 and 64,
/// A-law and µ-law, any number of channels (mixed to one by their mean).
///
/// A file whose writer was killed, with a sound length of zero or more than there is, is read to its end.
#[derive(Debug)]
pub struct WavReader<R> {
    inner: R,
    name: String,
    format: Format,
    /// Octets of sound left, `None` for all there are.
    left: Option<u64>,
    pending: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Format {
    encoding: Encoding,
    channels: u16,
    sample_rate: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Encoding {
    Pcm8,
    Pcm16,
    Pcm24,
    Pcm32,
    Float32,
    Float64,
    Alaw,
    Ulaw,
}

impl<R: Read> WavReader<R> {
    /// Reads the header. `name` is what errors call the file.
    ///
    /// # Errors
    /// [`WavError`] when it is no WAV file, of an encoding not read here, or cannot be read.
    pub fn new(mut inner: R, name: &str) -> Result<Self, WavError> {
        let fail = |problem| WavError::new(name, problem);
        let mut head = [0; 12];
        fill(&mut inner, &mut head).map_err(|error| fail(ended(error, Problem::NotWav)))?;
        if !matches!(
            &head,
            [
                b'R',
                b'I' | b'F',
                b'F' | b'6',
                b'F' | b'4',
                _,
                _,
                _,
                _,
                b'W',
                b'A',
                b'V',
                b'E'
            ]
        ) {
            return Err(fail(Problem::NotWav));
        }
        let mut format = None;
        for _ in 0..CHUNKS {
            let mut chunk = [0; 8];
            fill(&mut inner, &mut chunk).map_err(|error| fail(ended(error, Problem::NoSound)))?;
            let [a, b, c, d, l0, l1, l2, l3] = chunk;
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            match &[a, b, c, d] {
                b"fmt " => {
                    let mut body = [0; 40];
                    let used = body
                        .get_mut(..(length as usize).min(40))
                        .unwrap_or_default();
                    fill(&mut inner, used).map_err(|error| fail(ended(error, Problem::NoSound)))?;
                    format = Some(Format::parse(used).map_err(fail)?);
                    let rest = u64::from(length).saturating_sub(40) + u64::from(length % 2);
                    skip(&mut inner, rest).map_err(|error| fail(Problem::Io(error)))?;
                }
                b"data" => {
                    let format = format
                        .ok_or_else(|| fail(Problem::BadFormat("no fmt chunk before the sound")))?;
                    let left = (length != 0 && length != u32::MAX).then_some(u64::from(length));
                    return Ok(Self {
                        inner,
                        name: name.to_owned(),
                        format,
                        left,
                        pending: Vec::new(),
                    });
                }
                _ => skip(&mut inner, u64::from(length) + u64::from(length % 2))
                    .map_err(|error| fail(Problem::Io(error)))?,
            }
        }
        Err(fail(Problem::NoSound))
    }

    /// Samples per second.
    pub fn sample_rate(&self) -> u32 {
        self.format.sample_rate
    }

    /// Channels in the file; what is read is always one.
    pub fn channels(&self) -> u16 {
        self.format.channels
    }

    /// Appends up to `count` samples to `samples` and returns how many; 0 at the end.
    ///
    /// # Errors
    /// [`Problem::Io`] when the file cannot be read on.
    pub fn read(&mut self, count: usize, samples: &mut Vec<i16>) -> Result<usize, WavError> {
        let width = self.format.encoding.octets();
        let frame = width * usize::from(self.format.channels);
        let mut made = 0;
        while made < count {
            let wanted = (count - made).saturating_mul(frame).min(BLOCK.max(frame));
            if self.pending.len() < frame && !self.refill(wanted)? {
                break;
            }
            let whole = (self.pending.len() / frame).min(count - made);
            for frame in self.pending.chunks_exact(frame).take(whole) {
                let sum: f64 = frame
                    .chunks_exact(width)
                    .map(|sample| self.format.encoding.value(sample))
                    .sum();
                let mean = sum / f64::from(self.format.channels);
                samples.push(mean.round().clamp(-32_768.0, 32_767.0) as i16);
            }
            self.pending.drain(..whole * frame);
            made += whole;
        }
        Ok(made)
    }

    /// Appends all that is left, at most `limit` samples.
    ///
    /// # Errors
    /// As [`WavReader::read`].
    pub fn read_all(&mut self, limit: usize) -> Result<Vec<i16>, WavError> {
        let mut samples = Vec::new();
        self.read(limit, &mut samples)?;
        Ok(samples)
    }

    /// Reads more octets; `false` when not even one whole frame is left.
    fn refill(&mut self, wanted: usize) -> Result<bool, WavError> {
        let frame = self.format.encoding.octets() * usize::from(self.format.channels);
        while self.pending.len() < frame {
            let allowed = self.left.map_or(wanted, |left| {
                wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
            });
            let before = self.pending.len();
            let read = (&mut self.inner)
                .take(allowed as u64)
                .read_to_end(&mut self.pending)
                .map_err(|error| WavError::new(&self.name, Problem::Io(error)))?;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(read as u64);
            }
            if self.pending.len() == before {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Format {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let word = |at: usize| {
            body.get(at..at + 2)
                .and_then(|two| two.first_chunk::<2>())
                .map(|two| u16::from_le_bytes(*two))
        };
        let short = Problem::BadFormat("the fmt chunk is shorter than 16 octets");
        let (Some(mut tag), Some(channels), Some(bits)) = (word(0), word(2), word(14)) else {
            return Err(short);
        };
        let Some(rate) = body.get(4..8).and_then(|four| four.first_chunk::<4>()) else {
            return Err(short);
        };
        if tag == EXTENSIBLE {
            tag = word(24).ok_or(Problem::BadFormat(
                "an extensible format without its sub-format",
            ))?;
        }
        let sample_rate = u32::from_le_bytes(*rate);
        if channels == 0 {
            return Err(Problem::BadFormat("it has no channels"));
        }
        if sample_rate == 0 {
            return Err(Problem::BadFormat("its sample rate is zero"));
        }
        let encoding = match (tag, bits) {
            (PCM, 8) => Encoding::Pcm8,
            (PCM, 16) => Encoding::Pcm16,
            (PCM, 24) => Encoding::Pcm24,
            (PCM, 32) => Encoding::Pcm32,
            (FLOAT, 32) => Encoding::Float32,
            (FLOAT, 64) => Encoding::Float64,
            (ALAW, 8) => Encoding::Alaw,
            (ULAW, 8) => Encoding::Ulaw,
            _ => return Err(Problem::Unsupported(tag, bits)),
        };
        Ok(Self {
            encoding,
            channels,
            sample_rate,
        })
    }
}

impl Encoding {
    fn octets(self) -> usize {
        match self {
            Self::Pcm8 | Self::Alaw | Self::Ulaw => 1,
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Pcm32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// The value of one sample on the scale of 16 bits.
    fn value(self, octets: &[u8]) -> f64 {
        match (self, octets) {
            (Self::Pcm8, [a]) => (f64::from(*a) - 128.0) * 256.0,
            (Self::Alaw, [a]) => f64::from(alaw_decode(*a)),
            (Self::Ulaw, [a]) => f64::from(ulaw_decode(*a)),
            (Self::Pcm16, [a, b]) => f64::from(i16::from_le_bytes([*a, *b])),
            (Self::Pcm24, [a, b, c]) => f64::from(i32::from_le_bytes([0, *a, *b, *c])) / 65_536.0,
            (Self::Pcm32, [a, b, c, d]) => {
                f64::from(i32::from_le_bytes([*a, *b, *c, *d])) / 65_536.0
            }
            (Self::Float32, [a, b, c, d]) => real(f64::from(f32::from_le_bytes([*a, *b, *c, *d]))),
            (Self::Float64, [a, b, c, d, e, f, g, h]) => {
                real(f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]))
            }
            _ => 0.0,
        }
    }
}

fn real(value: f64) -> f64 {
    if value.is_finite() {
        (value * 32_768.0).clamp(-32_768.0, 32_767.0)
    } else {
        0.0
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    reader.read_exact(buffer)
}

fn ended(error: io::Error, at_end: Problem) -> Problem {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        at_end
    } else {
        Problem::Io(error)
    }
}

fn skip(reader: &mut impl Read, octets: u64) -> io::Result<()> {
    io::copy(&mut reader.take(octets), &mut io::sink()).map(|_| ())
}
