use std::io::{Seek, SeekFrom, Write};

use super::{Problem, WavError};

const HEADER: u64 = 44;

/// Writes 16-bit PCM as it comes. The header is brought up to date every second of sound, so that the file can be played
/// even if the process is killed.
#[derive(Debug)]
pub struct WavWriter<W> {
    inner: W,
    name: String,
    channels: u16,
    sample_rate: u32,
    /// Octets of sound written, and how many of them the header states.
    written: u64,
    stated: u64,
    octets: Vec<u8>,
}

impl<W: Write + Seek> WavWriter<W> {
    /// Writes the header of an empty file. `name` is what errors call it.
    ///
    /// # Errors
    /// [`WavError`] when the target cannot be written, or for no channels or a rate of zero.
    pub fn new(inner: W, name: &str, channels: u16, sample_rate: u32) -> Result<Self, WavError> {
        if channels == 0 || sample_rate == 0 {
            return Err(WavError::new(
                name,
                Problem::BadFormat("no channels or a sample rate of zero"),
            ));
        }
        let mut writer = Self {
            inner,
            name: name.to_owned(),
            channels,
            sample_rate,
            written: 0,
            stated: 0,
            octets: Vec::new(),
        };
        writer
            .header()
            .map_err(|error| WavError::new(name, Problem::Io(error)))?;
        Ok(writer)
    }

    /// Appends samples, those of several channels by turns.
    ///
    /// # Errors
    /// [`Problem::TooLong`] at four gigabytes, [`Problem::Io`] when the target refuses (for instance because the disk is
    /// full); what was written before stays playable.
    pub fn write(&mut self, samples: &[i16]) -> Result<(), WavError> {
        if self.written + samples.len() as u64 * 2 > u64::from(u32::MAX) - HEADER {
            return Err(WavError::new(&self.name, Problem::TooLong));
        }
        self.octets.clear();
        self.octets
            .extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.inner
            .write_all(&self.octets)
            .map_err(|error| WavError::new(&self.name, Problem::Io(error)))?;
        self.written += self.octets.len() as u64;
        let second = u64::from(self.sample_rate) * u64::from(self.channels) * 2;
        if self.written - self.stated >= second {
            self.update()
        } else {
            Ok(())
        }
    }

    /// States all that was written in the header.
    ///
    /// # Errors
    /// [`Problem::Io`] when the target refuses.
    pub fn update(&mut self) -> Result<(), WavError> {
        self.header()
            .map_err(|error| WavError::new(&self.name, Problem::Io(error)))
    }

    /// Brings the header up to date and hands the target back.
    ///
    /// # Errors
    /// [`Problem::Io`] when the target refuses.
    pub fn finish(mut self) -> Result<W, WavError> {
        self.update()?;
        Ok(self.inner)
    }

    fn header(&mut self) -> std::io::Result<()> {
        let length = self.written as u32;
        let frame = self.channels.saturating_mul(2);
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&(length + 36).to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&16u32.to_le_bytes());
        header.extend_from_slice(&1u16.to_le_bytes());
        header.extend_from_slice(&self.channels.to_le_bytes());
        header.extend_from_slice(&self.sample_rate.to_le_bytes());
        header.extend_from_slice(
            &self
                .sample_rate
                .saturating_mul(u32::from(frame))
                .to_le_bytes(),
        );
        header.extend_from_slice(&frame.to_le_bytes());
        header.extend_from_slice(&16u16.to_le_bytes());
        header.extend_from_slice(b"data");
        header.extend_from_slice(&length.to_le_bytes());
        // The sound must be on its way before the header speaks of it.
        self.inner.flush()?;
        self.inner.seek(SeekFrom::Start(0))?;
        self.inner.write_all(&header)?;
        self.inner.seek(SeekFrom::Start(HEADER + self.written))?;
        self.inner.flush()?;
        self.stated = self.written;
        Ok(())
    }
}
