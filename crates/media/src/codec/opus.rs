use core::fmt;

use ::opus::{Application, Bandwidth, Bitrate, Channels, Decoder, Encoder, packet};

use super::{Codec, CodecError, CodecKind, Encoding};

const RATE: u32 = 48_000;
/// What a second of speech takes unless the other side wants less (RFC 7587 §3.1.1 has 28 to 40 kbit/s for full band).
const BITS_PER_SECOND: u32 = 36_000;
/// The encoder's effort, 0 to 10.
const COMPLEXITY: i32 = 8;
/// Loss to guard against before the other side has reported any, in per cent.
const LOSS: i32 = 5;
/// RFC 6716 §3.4: a frame has at most 1275 octets, a packet of 60 ms three of them.
const LARGEST: usize = 4000;
/// A packet of this length says only that nothing is said.
const PAUSE: usize = 2;
/// Samples in 2.5 ms: all lengths are multiples of it.
const STEP: usize = 120;

/// Opus through libopus, which is built in.
pub(super) struct Opus {
    encoding: Encoding,
    /// Made when they are needed: an instance serves one direction.
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
    paused: bool,
}

impl Opus {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            encoder: None,
            decoder: None,
            paused: false,
        }
    }

    fn decoder(&mut self) -> Option<&mut Decoder> {
        if self.decoder.is_none() {
            self.decoder = Decoder::new(RATE, Channels::Mono).ok();
        }
        self.decoder.as_mut()
    }

    fn encoder(&mut self) -> Option<&mut Encoder> {
        if self.encoder.is_none() {
            self.encoder = encoder(&self.encoding).ok();
        }
        self.encoder.as_mut()
    }
}

fn encoder(encoding: &Encoding) -> Result<Encoder, ::opus::Error> {
    let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
    let bits = encoding
        .most_bitrate
        .map_or(BITS_PER_SECOND, |most| most.min(BITS_PER_SECOND));
    encoder.set_bitrate(Bitrate::Bits(i32::try_from(bits).unwrap_or(i32::MAX)))?;
    encoder.set_complexity(COMPLEXITY)?;
    encoder.set_vbr(!encoding.constant_bitrate)?;
    encoder.set_inband_fec(encoding.error_correction)?;
    encoder.set_packet_loss_perc(if encoding.error_correction { LOSS } else { 0 })?;
    encoder.set_dtx(encoding.silence_suppression)?;
    encoder.set_max_bandwidth(match encoding.most_sample_rate {
        Some(..12_000) => Bandwidth::Narrowband,
        Some(12_000..16_000) => Bandwidth::Mediumband,
        Some(16_000..24_000) => Bandwidth::Wideband,
        Some(24_000..48_000) => Bandwidth::Superwideband,
        _ => Bandwidth::Fullband,
    })?;
    Ok(encoder)
}

impl Codec for Opus {
    fn kind(&self) -> CodecKind {
        CodecKind::Opus
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        if payload.len() < LARGEST {
            return Err(CodecError::BufferTooSmall);
        }
        let encoder = self.encoder().ok_or(CodecError::Unavailable)?;
        let octets = encoder
            .encode(samples, payload)
            .map_err(|_| CodecError::FrameLength)?;
        let paused = core::mem::replace(&mut self.paused, octets <= PAUSE);
        // The first packet of a pause is sent, so that what is missing after it is known to be no loss.
        Ok(if paused && self.paused { 0 } else { octets })
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.samples(payload).ok_or(CodecError::Payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        let decoder = self.decoder().ok_or(CodecError::Unavailable)?;
        decoder
            .decode(payload, samples, false)
            .map_err(|_| CodecError::Payload)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        packet::get_nb_samples(payload, RATE).ok()
    }

    fn max_payload(&self, _: usize) -> usize {
        LARGEST
    }

    fn conceals(&self) -> bool {
        true
    }

    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        let whole = samples.len().is_multiple_of(STEP) && !samples.is_empty();
        let decoder = self.decoder.as_mut().filter(|_| whole);
        decoder.is_some_and(|decoder| decoder.decode(&[], samples, false).is_ok())
    }

    fn recover(&mut self, next: &[u8], samples: &mut [i16]) -> bool {
        let whole = samples.len().is_multiple_of(STEP) && !samples.is_empty();
        let decoder = self
            .decoder
            .as_mut()
            .filter(|_| whole && next.len() > PAUSE);
        decoder.is_some_and(|decoder| decoder.decode(next, samples, true).is_ok())
    }

    fn is_pause(&self, payload: &[u8]) -> bool {
        payload.len() <= PAUSE
    }

    fn expect_loss(&mut self, share: f32) {
        if !self.encoding.error_correction {
            return;
        }
        let percent = ((share * 100.0).ceil() as i32).clamp(LOSS, 30);
        if let Some(encoder) = self.encoder() {
            // It fails for values outside 0 to 100 only.
            let _ = encoder.set_packet_loss_perc(percent);
        }
    }
}

impl fmt::Debug for Opus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opus")
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}
