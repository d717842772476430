//! WAV files: nearly any that a person has can be read, 16-bit ones are written.

mod read;
mod write;

use core::fmt;
use std::io;

pub use read::WavReader;
pub use write::WavWriter;

/// Why a WAV file cannot be read or written. Its text names the file.
#[derive(Debug)]
pub struct WavError {
    /// The file, as the caller named it.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a WAV file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// It does not begin with `RIFF` and `WAVE`.
    NotWav,
    /// It ends before the sound begins.
    NoSound,
    /// Its `fmt ` chunk is missing, too short or contradicts itself.
    BadFormat(&'static str),
    /// An encoding (format tag, bits) that is not read here.
    Unsupported(u16, u16),
    /// More than the four gigabytes that the header can state.
    TooLong,
    /// The system refused to read or write.
    Io(io::Error),
}

impl WavError {
    fn new(name: &str, problem: Problem) -> Self {
        Self {
            name: name.to_owned(),
            problem,
        }
    }
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.problem {
            Problem::NotWav => f.write_str("not a WAV file (it does not begin with RIFF … WAVE)"),
            Problem::NoSound => f.write_str("the WAV file ends before its sound data"),
            Problem::BadFormat(why) => write!(f, "the WAV header is wrong: {why}"),
            Problem::Unsupported(tag, bits) => write!(
                f,
                "WAV encoding 0x{tag:04x} with {bits} bits is not supported; convert it to 16-bit PCM"
            ),
            Problem::TooLong => f.write_str("a WAV file cannot hold more than 4 GB"),
            Problem::Io(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for WavError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.problem {
            Problem::Io(error) => Some(error),
            _ => None,
        }
    }
}
