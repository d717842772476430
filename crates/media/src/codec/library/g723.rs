use core::ffi::CStr;

use super::avcodec::{Context, interface};
use crate::codec::{Codec, CodecError, CodecKind};

/// 30 ms.
const FRAME: usize = 240;
/// A frame of 6.3 kbit/s.
const OCTETS: usize = 24;
const RATE: u32 = 8000;
const BITS_PER_SECOND: u32 = 6300;
const NAME: &CStr = c"g723_1";
/// Decodes nothing: it turns samples into frames of libavcodec.
const SAMPLES: &CStr = c"pcm_s16le";
/// A frame of 6.3 kbit/s whose pitch lag is 127, which no encoder may send: the decoder then conceals the frame.
const ERASED: [u8; OCTETS] = {
    let mut frame = [0xff; OCTETS];
    frame[0] = 0xfc;
    frame
};

pub(in crate::codec) fn available() -> Result<(), String> {
    let interface = interface()?;
    if interface.has(NAME) && interface.has(SAMPLES) {
        Ok(())
    } else {
        Err("this libavcodec was built without G.723.1".to_owned())
    }
}

pub(in crate::codec) fn codec() -> Option<Box<dyn Codec>> {
    available().ok()?;
    let interface = interface().ok()?;
    let decoder = Context::decoder(interface, NAME, RATE)?;
    let source = Context::decoder(interface, SAMPLES, RATE)?;
    let encoder = Context::encoder(NAME, &source, &decoder, BITS_PER_SECOND)?;
    Some(Box::new(G723 {
        decoder,
        source,
        encoder,
    }))
}

/// G.723.1 through libavcodec: encodes at 6.3 kbit/s, decodes both rates and silence (Annex A).
struct G723 {
    decoder: Context,
    source: Context,
    encoder: Context,
}

/// Octets of the frame that begins with this octet: its two lowest bits say (RFC 3551 §4.5.3).
fn length(first: u8) -> usize {
    match first & 3 {
        0 => OCTETS,
        1 => 20,
        2 => 4,
        _ => 1,
    }
}

/// Cuts a payload into frames; `None` when it does not end with one.
fn frames(payload: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let cut = |rest: &mut &'_ [u8]| -> Option<usize> {
        let octets = length(*rest.first()?);
        *rest = rest.get(octets..)?;
        Some(octets)
    };
    let mut rest = payload;
    while !rest.is_empty() {
        cut(&mut rest)?;
    }
    let mut rest = payload;
    Some(core::iter::from_fn(move || {
        let (frame, after) = rest.split_at_checked(length(*rest.first()?))?;
        rest = after;
        Some(frame)
    }))
}

impl Codec for G723 {
    fn kind(&self) -> CodecKind {
        CodecKind::G723
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        let whole = samples.chunks_exact(FRAME);
        if samples.is_empty() || !whole.remainder().is_empty() {
            return Err(CodecError::FrameLength);
        }
        let octets = samples.len() / FRAME * OCTETS;
        let payload = payload
            .get_mut(..octets)
            .ok_or(CodecError::BufferTooSmall)?;
        let mut linear = [0u8; FRAME * 2];
        for (frame, out) in whole.zip(payload.chunks_exact_mut(OCTETS)) {
            for (to, sample) in linear.chunks_exact_mut(2).zip(frame) {
                to.copy_from_slice(&sample.to_le_bytes());
            }
            let made = self.encoder.encode(&mut self.source, &linear, out);
            if made != Some(OCTETS) {
                return Err(CodecError::Unavailable);
            }
        }
        Ok(octets)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = self.samples(payload).ok_or(CodecError::Payload)?;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        let frames = frames(payload).ok_or(CodecError::Payload)?;
        for (frame, out) in frames.zip(samples.chunks_exact_mut(FRAME)) {
            self.decoder.decode(frame, out).ok_or(CodecError::Payload)?;
        }
        Ok(count)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        let count = frames(payload)?.count();
        (count > 0).then_some(count * FRAME)
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples.div_ceil(FRAME) * OCTETS
    }

    fn conceals(&self) -> bool {
        true
    }

    fn conceal(&mut self, samples: &mut [i16]) -> bool {
        if !samples.len().is_multiple_of(FRAME) {
            return false;
        }
        samples
            .chunks_exact_mut(FRAME)
            .all(|out| self.decoder.decode(&ERASED, out).is_some())
    }

    fn is_pause(&self, payload: &[u8]) -> bool {
        frames(payload)
            .and_then(Iterator::last)
            .is_some_and(|frame| frame.len() <= 4)
    }
}

impl core::fmt::Debug for G723 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("G723").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_cut_at_their_frames() {
        let lengths = |payload: &[u8]| Some(frames(payload)?.map(<[u8]>::len).collect::<Vec<_>>());
        let mut payload = vec![0u8; 24];
        payload.extend([1; 20]);
        payload.extend([2, 0, 0, 0, 3]);
        assert_eq!(lengths(&payload), Some(vec![24, 20, 4, 1]));
        assert_eq!(lengths(&payload[..43]), None);
        assert_eq!(lengths(&[]), Some(vec![]));
    }
}
