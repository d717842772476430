//! Where the sound of a call comes from and where it goes: devices, files, silence, or back.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use media::codec::CodecKind;
use media::resample::Resampler;
use media::wav::{WavError, WavReader, WavWriter};

use crate::device::Port;
use crate::readiness::{Language, NotReady};

/// Samples read from a file at a time.
const CHUNK: usize = 1024;

/// What a call says and what becomes of what it hears.
#[derive(Debug, Default)]
pub struct Sound {
    /// What the other side hears.
    pub source: Source,
    /// What records the other side.
    pub recorder: Option<Recorder>,
    /// Keys to press once the call stands; a comma is a pause of a second.
    pub keys: String,
}

impl Sound {
    /// Talks and listens with devices: a source of its own is what the other side hears all the same.
    pub fn attach(&mut self, port: Port) {
        self.source = match std::mem::take(&mut self.source) {
            Source::Silence => Source::Devices(port),
            other => Source::Beside(Box::new(other), port),
        };
    }
}

/// Where sound comes from.
#[derive(Debug, Default)]
pub enum Source {
    /// Silence, which is sent all the same: it keeps address translators open.
    #[default]
    Silence,
    /// What the other side said.
    Echo,
    /// A WAV file, played once; silence after it.
    File(Box<Player>),
    /// A microphone, whose speaker plays what the other side says.
    Devices(Port),
    /// Another source, and a speaker that plays what the other side says.
    Beside(Box<Source>, Port),
}

impl Source {
    /// Opens a WAV file of any usual encoding and rate.
    ///
    /// # Errors
    /// [`SoundError`] naming the file.
    pub fn file(path: &Path) -> Result<Source, SoundError> {
        Ok(Source::File(Box::new(Player::open(path)?)))
    }

    /// Whether a file has been played to its end.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Source::File(player) => player.ended && player.ready.is_empty(),
            Source::Beside(source, _) => source.is_over(),
            _ => false,
        }
    }

    /// Fills a frame; `heard` is what the other side said in its time.
    ///
    /// # Errors
    /// [`SoundError`] once, when the file breaks off; silence follows.
    pub(crate) fn fill(
        &mut self,
        rate: u32,
        heard: &[i16],
        frame: &mut [i16],
    ) -> Result<(), SoundError> {
        match self {
            Source::Silence => frame.fill(0),
            Source::Echo => {
                for (n, sample) in frame.iter_mut().enumerate() {
                    *sample = heard.get(n).copied().unwrap_or(0);
                }
            }
            Source::File(player) => {
                let filled = player.fill(rate, frame);
                if filled.is_err() {
                    *self = Source::Silence;
                }
                return filled;
            }
            Source::Devices(port) => port.exchange(rate, heard, frame),
            Source::Beside(source, port) => {
                port.listen(rate, heard);
                return source.fill(rate, heard, frame);
            }
        }
        Ok(())
    }

    /// What the other side says while we say nothing.
    pub(crate) fn listen(&mut self, rate: u32, heard: &[i16]) {
        if let Some(port) = self.port() {
            port.listen(rate, heard);
        }
    }

    /// The way to the devices, if it uses any.
    pub(crate) fn port(&self) -> Option<&Port> {
        match self {
            Source::Devices(port) | Source::Beside(_, port) => Some(port),
            Source::Silence | Source::Echo | Source::File(_) => None,
        }
    }
}

/// Plays a WAV file at the rate that is wanted.
pub struct Player {
    reader: WavReader<BufReader<File>>,
    name: String,
    resampler: Option<(u32, Resampler)>,
    ready: VecDeque<i16>,
    chunk: Vec<i16>,
    resampled: Vec<i16>,
    ended: bool,
}

impl Player {
    pub(crate) fn open(path: &Path) -> Result<Player, SoundError> {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|error| SoundError::new(format!("cannot open {name}: {error}")))?;
        let reader = WavReader::new(BufReader::new(file), &name)?;
        for codec in CodecKind::ALL {
            Resampler::new(reader.sample_rate(), codec.sample_rate()).map_err(|_| {
                SoundError::new(format!(
                    "{name}: cannot play {} samples per second; convert it to 8000",
                    reader.sample_rate()
                ))
            })?;
        }
        Ok(Player {
            reader,
            name,
            resampler: None,
            ready: VecDeque::new(),
            chunk: Vec::new(),
            resampled: Vec::new(),
            ended: false,
        })
    }

    pub(crate) fn fill(&mut self, rate: u32, frame: &mut [i16]) -> Result<(), SoundError> {
        frame.fill(0);
        while self.ready.len() < frame.len() && !self.ended {
            self.more(rate)?;
        }
        for sample in frame.iter_mut() {
            *sample = self.ready.pop_front().unwrap_or(0);
        }
        Ok(())
    }

    fn more(&mut self, rate: u32) -> Result<(), SoundError> {
        let from = self.reader.sample_rate();
        if self.resampler.as_ref().is_none_or(|(to, _)| *to != rate) {
            let resampler = Resampler::new(from, rate).map_err(|_| {
                SoundError::new(format!(
                    "{}: cannot play it at {rate} samples per second",
                    self.name
                ))
            })?;
            self.resampler = Some((rate, resampler));
        }
        self.chunk.clear();
        let read = self.reader.read(CHUNK, &mut self.chunk)?;
        let Some((_, resampler)) = &mut self.resampler else {
            return Ok(());
        };
        if read == 0 {
            // What is still inside the filter comes out behind as much silence.
            self.ended = true;
            self.chunk
                .resize(resampler.delay() * from as usize / rate.max(1) as usize, 0);
        }
        self.resampled.clear();
        resampler.process(&self.chunk, &mut self.resampled);
        self.ready.extend(&self.resampled);
        Ok(())
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Writes what is heard to a WAV file, which can be played at any time, even after a crash.
pub struct Recorder {
    writer: WavWriter<File>,
    name: String,
    resampler: Option<(u32, Resampler)>,
    resampled: Vec<i16>,
}

/// Samples per second in recordings.
const RECORDED_RATE: u32 = 8000;

impl Recorder {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// [`SoundError`] naming the file.
    pub fn create(path: &Path) -> Result<Recorder, SoundError> {
        let name = path.display().to_string();
        let file = File::create(path)
            .map_err(|error| SoundError::new(format!("cannot write {name}: {error}")))?;
        Ok(Recorder {
            writer: WavWriter::new(file, &name, 1, RECORDED_RATE)?,
            name,
            resampler: None,
            resampled: Vec::new(),
        })
    }

    pub(crate) fn write(&mut self, samples: &[i16], rate: u32) -> Result<(), SoundError> {
        if rate == RECORDED_RATE {
            return Ok(self.writer.write(samples)?);
        }
        if self
            .resampler
            .as_ref()
            .is_none_or(|(from, _)| *from != rate)
        {
            let resampler = Resampler::new(rate, RECORDED_RATE).map_err(|_| {
                SoundError::new(format!(
                    "{}: cannot record {rate} samples per second",
                    self.name
                ))
            })?;
            self.resampler = Some((rate, resampler));
        }
        self.resampled.clear();
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.process(samples, &mut self.resampled);
        }
        Ok(self.writer.write(&self.resampled)?)
    }

    pub(crate) fn finish(self) -> Result<(), SoundError> {
        self.writer.finish()?;
        Ok(())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a sound file, or a device; its text names it.
#[derive(Debug)]
pub struct SoundError {
    text: String,
    advice: String,
    code: Option<&'static str>,
}

impl SoundError {
    /// What is wrong, for a person.
    pub fn new(text: String) -> SoundError {
        SoundError {
            text,
            advice: String::new(),
            code: None,
        }
    }

    /// A device cannot be used.
    pub(crate) fn not_ready(why: &NotReady, language: Language) -> SoundError {
        SoundError {
            text: why.message(language),
            advice: why.advice(language).to_owned(),
            code: Some(why.code()),
        }
    }

    /// What to do about it; empty when nobody knows.
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// A name for programs ([`NotReady::code`]), where a device is the reason.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }
}

impl From<WavError> for SoundError {
    fn from(error: WavError) -> SoundError {
        SoundError::new(error.to_string())
    }
}

impl fmt::Display for SoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SoundError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, rate: u32, samples: &[i16]) {
        let mut writer = WavWriter::new(File::create(path).unwrap(), "test", 1, rate).unwrap();
        writer.write(samples).unwrap();
        writer.finish().unwrap();
    }

    fn temporary(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("sori-{}-{name}.wav", std::process::id()))
    }

    #[test]
    fn a_file_is_played_once_and_silence_follows() {
        let path = temporary("once");
        let samples: Vec<i16> = (1..=400).collect();
        write(&path, 8000, &samples);
        let mut source = Source::file(&path).unwrap();
        let mut played = Vec::new();
        for _ in 0..5 {
            let mut frame = [7i16; 160];
            source.fill(8000, &[], &mut frame).unwrap();
            played.extend(frame);
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(played[..400], samples);
        assert!(played[400..].iter().all(|s| *s == 0));
    }

    #[test]
    fn a_file_of_another_rate_keeps_its_length_and_pitch() {
        let path = temporary("rate");
        let tone = |rate: u32, n: usize| {
            let mut samples = vec![0i16; n];
            media::tone::Tone::new(440.0, 0.5, rate).fill(&mut samples);
            samples
        };
        write(&path, 44_100, &tone(44_100, 44_100));
        let mut source = Source::file(&path).unwrap();
        let mut played = vec![0i16; 8000];
        for frame in played.chunks_mut(160) {
            source.fill(8000, &[], frame).unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        // Inside, where the filter has settled: 0.9 s of 440 Hz.
        let inside = &played[400..7600];
        let crossings = inside.windows(2).filter(|w| w[0] < 0 && w[1] >= 0).count();
        assert!((395..=397).contains(&crossings), "{crossings}");
        let energy: f64 = played.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 8000.0;
        let wanted: f64 = tone(8000, 8000)
            .iter()
            .map(|s| f64::from(*s).powi(2))
            .sum::<f64>()
            / 8000.0;
        assert!((energy / wanted - 1.0).abs() < 0.05, "{energy} {wanted}");
    }

    #[test]
    fn echo_and_silence() {
        let mut frame = [9i16; 4];
        Source::Echo.fill(8000, &[1, 2, 3], &mut frame).unwrap();
        assert_eq!(frame, [1, 2, 3, 0]);
        Source::Silence.fill(8000, &[1, 2, 3], &mut frame).unwrap();
        assert_eq!(frame, [0; 4]);
    }

    #[test]
    fn a_missing_or_wrong_file_is_named() {
        let path = temporary("missing");
        let error = Source::file(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        std::fs::write(&path, b"no sound at all, just a text").unwrap();
        let error = Source::file(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("not a WAV file"), "{error}");
        let error = Recorder::create(Path::new("/nonexistent/x.wav"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/x.wav"), "{error}");
    }

    #[test]
    fn a_recording_can_be_read_back() {
        let path = temporary("record");
        let mut recorder = Recorder::create(&path).unwrap();
        recorder.write(&[1, -2, 3], 8000).unwrap();
        recorder.finish().unwrap();
        let mut reader = WavReader::new(File::open(&path).unwrap(), "it").unwrap();
        let read = reader.read_all(100).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((reader.sample_rate(), read), (8000, vec![1, -2, 3]));
    }
}
