use super::CLOCK;
use crate::codec::{Codec, CodecKind};
use crate::jitter::Frame;
use crate::resample::Resampler;

/// The codecs of a stream by payload type, each with what brings its sound to the rate that is played.
#[derive(Debug)]
pub(super) struct Decoders {
    all: Vec<Decoder>,
    sample_rate: u32,
    scratch: Vec<i16>,
}

#[derive(Debug)]
struct Decoder {
    payload_type: u8,
    codec: Box<dyn Codec>,
    /// None when the codec has the rate that is played.
    resampler: Option<Resampler>,
}

impl Decoder {
    fn new(payload_type: u8, codec: Box<dyn Codec>, sample_rate: u32) -> Self {
        let rate = codec.kind().sample_rate();
        Self {
            payload_type,
            codec,
            resampler: resampler(rate, sample_rate),
        }
    }

    /// Samples of the codec in so many units.
    fn count(&self, units: u32) -> usize {
        let rate = u64::from(self.codec.kind().sample_rate());
        (u64::from(units) * rate / u64::from(CLOCK)) as usize
    }

    /// Hands on what the codec made.
    fn give(&mut self, made: &[i16], out: &mut Vec<i16>) {
        match &mut self.resampler {
            Some(resampler) => resampler.process(made, out),
            None => out.extend_from_slice(made),
        }
    }
}

fn resampler(from: u32, to: u32) -> Option<Resampler> {
    if from == to {
        return None;
    }
    Resampler::new(from, to).ok()
}

impl Decoders {
    pub(super) fn new(codecs: Vec<(u8, Box<dyn Codec>)>, sample_rate: u32) -> Self {
        let mut decoders = Self {
            all: Vec::new(),
            sample_rate,
            scratch: Vec::new(),
        };
        decoders.replace(codecs, sample_rate);
        decoders
    }

    /// Takes other codecs; one that stays under its payload type goes on with its memory.
    pub(super) fn replace(&mut self, codecs: Vec<(u8, Box<dyn Codec>)>, sample_rate: u32) {
        let mut before = core::mem::take(&mut self.all);
        for (payload_type, codec) in codecs {
            let kind = codec.kind();
            let known = before
                .iter()
                .position(|old| old.payload_type == payload_type && old.codec.kind() == kind);
            self.all.push(match known {
                Some(known) if sample_rate == self.sample_rate => before.swap_remove(known),
                Some(known) => {
                    Decoder::new(payload_type, before.swap_remove(known).codec, sample_rate)
                }
                None => Decoder::new(payload_type, codec, sample_rate),
            });
        }
        self.sample_rate = sample_rate;
    }

    pub(super) fn knows(&self, payload_type: u8) -> bool {
        self.kind(payload_type).is_some()
    }

    pub(super) fn kind(&self, payload_type: u8) -> Option<CodecKind> {
        let mut all = self.all.iter();
        let decoder = all.find(|decoder| decoder.payload_type == payload_type)?;
        Some(decoder.codec.kind())
    }

    /// Samples in a payload, at the codec's rate.
    pub(super) fn samples(&self, payload_type: u8, payload: &[u8]) -> Option<usize> {
        let mut all = self.all.iter();
        let decoder = all.find(|decoder| decoder.payload_type == payload_type)?;
        decoder.codec.samples(payload)
    }

    /// Units of the shortest frame that this codec conceals by itself; `None` when it conceals nothing.
    pub(super) fn concealed_frame(&self, payload_type: u8) -> Option<u32> {
        let mut all = self.all.iter();
        let decoder = all.find(|decoder| decoder.payload_type == payload_type)?;
        let shortest = decoder.codec.kind().packet_ms(1) * (CLOCK / 1000);
        decoder.codec.conceals().then_some(shortest)
    }

    fn find(&mut self, payload_type: u8) -> Option<(&mut Decoder, &mut Vec<i16>)> {
        let mut all = self.all.iter_mut();
        let decoder = all.find(|decoder| decoder.payload_type == payload_type)?;
        Some((decoder, &mut self.scratch))
    }

    /// Decodes into `out` and says whether the packet begins a pause; `None` when it cannot be decoded.
    pub(super) fn decode(
        &mut self,
        payload_type: u8,
        payload: &[u8],
        out: &mut Vec<i16>,
    ) -> Option<bool> {
        let (decoder, scratch) = self.find(payload_type)?;
        let count = decoder.codec.samples(payload)?;
        scratch.clear();
        scratch.resize(count, 0);
        let made = decoder.codec.decode(payload, scratch).ok()?;
        decoder.give(scratch.get(..made)?, out);
        Some(decoder.codec.is_pause(payload))
    }

    /// Decodes a packet whose turn has not come, if its codec keeps nothing from packet to packet.
    pub(super) fn peek(&self, frame: &Frame, out: &mut Vec<i16>) -> bool {
        let mut all = self.all.iter();
        let Some(decoder) = all.find(|decoder| decoder.payload_type == frame.payload_type) else {
            return false;
        };
        let mut codec = match decoder.codec.kind() {
            kind @ (CodecKind::Pcmu | CodecKind::Pcma) => kind.codec(),
            _ => return false,
        };
        let mut samples = vec![0; codec.samples(&frame.payload).unwrap_or(0)];
        if codec.decode(&frame.payload, &mut samples).is_err() {
            return false;
        }
        match &decoder.resampler {
            Some(resampler) => resampler.clone().process(&samples, out),
            None => out.extend_from_slice(&samples),
        }
        true
    }

    /// Makes up `units` by the codec's own concealment; `false` when it has none.
    pub(super) fn conceal(&mut self, payload_type: u8, units: u32, out: &mut Vec<i16>) -> bool {
        let Some((decoder, scratch)) = self.find(payload_type) else {
            return false;
        };
        scratch.clear();
        scratch.resize(decoder.count(units), 0);
        let done = !scratch.is_empty() && decoder.codec.conceal(scratch);
        if done {
            decoder.give(scratch, out);
        }
        done
    }

    /// Makes `units` that were lost right before `next` from what `next` repeats of them; `false` when it repeats nothing.
    pub(super) fn recover(&mut self, next: &Frame, units: u32, out: &mut Vec<i16>) -> bool {
        let Some((decoder, scratch)) = self.find(next.payload_type) else {
            return false;
        };
        scratch.clear();
        scratch.resize(decoder.count(units), 0);
        let done = !scratch.is_empty() && decoder.codec.recover(&next.payload, scratch);
        if done {
            decoder.give(scratch, out);
        }
        done
    }
}
