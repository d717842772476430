use super::{Codec, CodecError, CodecKind};

/// G.711 µ-law (ITU-T G.711, table 2; RTP payload type 0).
#[derive(Debug, Clone, Copy, Default)]
pub struct Pcmu;

/// G.711 A-law (ITU-T G.711, table 1; RTP payload type 8).
#[derive(Debug, Clone, Copy, Default)]
pub struct Pcma;

impl Codec for Pcmu {
    fn kind(&self) -> CodecKind {
        CodecKind::Pcmu
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        map(samples, payload, |sample| ulaw_encode(*sample))
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        map(payload, samples, |code| ULAW[usize::from(*code)])
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        Some(payload.len())
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples
    }
}

impl Codec for Pcma {
    fn kind(&self) -> CodecKind {
        CodecKind::Pcma
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        map(samples, payload, |sample| alaw_encode(*sample))
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        map(payload, samples, |code| ALAW[usize::from(*code)])
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        Some(payload.len())
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples
    }
}

fn map<A, B>(from: &[A], to: &mut [B], each: impl Fn(&A) -> B) -> Result<usize, CodecError> {
    let to = to.get_mut(..from.len()).ok_or(CodecError::BufferTooSmall)?;
    for (to, from) in to.iter_mut().zip(from) {
        *to = each(from);
    }
    Ok(from.len())
}

/// The 16-bit sample of a µ-law code.
pub const fn ulaw_decode(code: u8) -> i16 {
    let code = !code;
    let magnitude = ((((code & 0x0f) as i16) << 3) + 0x84) << ((code >> 4) & 7);
    if code & 0x80 != 0 {
        0x84 - magnitude
    } else {
        magnitude - 0x84
    }
}

/// The µ-law code of a 16-bit sample.
pub const fn ulaw_encode(sample: i16) -> u8 {
    // 32,635 plus the bias is the top of the eighth segment.
    let magnitude = sample.unsigned_abs();
    let biased = if magnitude > 32_635 {
        32_635
    } else {
        magnitude
    } + 0x84;
    let segment = 8 - biased.leading_zeros();
    let code = (segment << 4) as u8 | ((biased >> (segment + 3)) & 0x0f) as u8;
    !(code | if sample < 0 { 0x80 } else { 0 })
}

/// The 16-bit sample of an A-law code.
pub const fn alaw_decode(code: u8) -> i16 {
    let code = code ^ 0x55;
    let step = (((code & 0x0f) as i16) << 4) + 8;
    let segment = (code >> 4) & 7;
    let magnitude = if segment == 0 {
        step
    } else {
        (step + 0x100) << (segment - 1)
    };
    if code & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The A-law code of a 16-bit sample.
pub const fn alaw_encode(sample: i16) -> u8 {
    // The one's complement puts −16 … −1 into the smallest negative step, as 13-bit sign and magnitude do.
    let (sign, magnitude) = if sample < 0 {
        (0, !sample as u16)
    } else {
        (0x80, sample as u16)
    };
    let segment = 8u32.saturating_sub(magnitude.leading_zeros());
    let shift = if segment == 0 { 4 } else { segment + 3 };
    let code = (segment << 4) as u8 | ((magnitude >> shift) & 0x0f) as u8;
    (sign | code) ^ 0x55
}

const ULAW: [i16; 256] = table(true);
const ALAW: [i16; 256] = table(false);

const fn table(ulaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if ulaw {
            ulaw_decode(code as u8)
        } else {
            alaw_decode(code as u8)
        };
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample gets the nearest code, but at a segment's border, where the step doubles and G.711 decides by the border
    /// itself: there the error may be twice the least possible one. Values never fall as samples rise.
    fn near(encode: fn(i16) -> u8, decode: fn(u8) -> i16) {
        let mut values: Vec<i32> = (0..=255).map(|code| i32::from(decode(code))).collect();
        values.sort_unstable();
        let mut before = i32::MIN;
        for sample in i16::MIN..=i16::MAX {
            let value = i32::from(decode(encode(sample)));
            assert!(value >= before, "{sample}");
            before = value;
            let least = values
                .iter()
                .map(|value| (value - i32::from(sample)).abs())
                .min()
                .unwrap();
            let error = (value - i32::from(sample)).abs();
            assert!(
                error <= least * 2 + 1,
                "{sample}: error {error}, possible {least}"
            );
        }
    }

    #[test]
    fn every_sample_gets_a_near_code() {
        near(ulaw_encode, ulaw_decode);
        near(alaw_encode, alaw_decode);
    }

    #[test]
    fn every_code_survives_decode_and_encode() {
        for code in 0..=255u8 {
            assert_eq!(alaw_encode(alaw_decode(code)), code);
            // µ-law has two zeros; the negative one becomes the positive.
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(ulaw_encode(ulaw_decode(code)), expected);
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(
            (ulaw_encode(0), ulaw_encode(i16::MAX), ulaw_encode(i16::MIN)),
            (0xff, 0x80, 0x00)
        );
        assert_eq!(
            (alaw_encode(0), alaw_encode(i16::MAX), alaw_encode(i16::MIN)),
            (0xd5, 0xaa, 0x2a)
        );
        assert_eq!(
            (alaw_encode(-1), alaw_encode(-8), alaw_encode(-9)),
            (0x55, 0x55, 0x55)
        );
    }

    #[test]
    fn a_small_buffer_is_an_error() {
        assert_eq!(
            Pcmu.encode(&[0; 4], &mut [0; 3]),
            Err(CodecError::BufferTooSmall)
        );
        assert_eq!(
            Pcma.decode(&[0; 4], &mut [0; 3]),
            Err(CodecError::BufferTooSmall)
        );
    }
}
