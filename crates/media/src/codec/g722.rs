use super::{Codec, CodecError, CodecKind};

/// G.722 at 64 kbit/s (ITU-T G.722; RTP payload type 9): two bands of ADPCM, 16 kHz.
#[derive(Debug, Clone)]
pub struct G722 {
    low: Band,
    high: Band,
    /// The last 24 samples of the filter that splits or joins the bands, oldest first.
    filter: [i32; 24],
}

impl Default for G722 {
    fn default() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
            filter: [0; 24],
        }
    }
}

impl Codec for G722 {
    fn kind(&self) -> CodecKind {
        CodecKind::G722
    }

    fn encode(&mut self, samples: &[i16], payload: &mut [u8]) -> Result<usize, CodecError> {
        if !samples.len().is_multiple_of(2) {
            return Err(CodecError::FrameLength);
        }
        let octets = samples.len() / 2;
        let payload = payload
            .get_mut(..octets)
            .ok_or(CodecError::BufferTooSmall)?;
        for (octet, pair) in payload.iter_mut().zip(samples.chunks_exact(2)) {
            let (even, odd) = self.filtered([i32::from(pair[0]), i32::from(pair[1])]);
            let low = self.low.encode_low((even + odd) >> 14);
            let high = self.high.encode_high((even - odd) >> 14);
            *octet = (high << 6 | low) as u8;
        }
        Ok(octets)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut [i16]) -> Result<usize, CodecError> {
        let count = payload.len() * 2;
        let samples = samples.get_mut(..count).ok_or(CodecError::BufferTooSmall)?;
        for (octet, pair) in payload.iter().zip(samples.chunks_exact_mut(2)) {
            let low = self.low.decode_low(usize::from(octet & 0x3f));
            let high = self.high.decode_high(usize::from(octet >> 6));
            let (first, second) = self.filtered([low + high, low - high]);
            pair[0] = saturate(first >> 11) as i16;
            pair[1] = saturate(second >> 11) as i16;
        }
        Ok(count)
    }

    fn samples(&self, payload: &[u8]) -> Option<usize> {
        Some(payload.len() * 2)
    }

    fn max_payload(&self, samples: usize) -> usize {
        samples.div_ceil(2)
    }
}

/// Half of the filter's coefficients, which are symmetric (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

impl G722 {
    /// Takes two samples into the filter and yields the sums over the odd and the even ones (§3.1, §4.4).
    fn filtered(&mut self, pair: [i32; 2]) -> (i32, i32) {
        self.filter.copy_within(2.., 0);
        self.filter[22..].copy_from_slice(&pair);
        let (mut odd, mut even) = (0, 0);
        for (n, pair) in self.filter.chunks_exact(2).enumerate() {
            even += pair[0] * QMF[n];
            odd += pair[1] * QMF[11 - n];
        }
        (odd, even)
    }
}

/// Decision levels of the lower band (table 14, Q6).
const LOW_LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Output of the 60-level inverse quantiser by code word (QM6).
const LOW_60: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Output of the 15-level inverse quantiser by the upper four bits (QM4).
const LOW_15: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// Steps of the lower band's logarithmic scale factor by the upper four bits (WL of RL42).
const LOW_STEPS: [i32; 16] = [
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
];
/// Output of the upper band's inverse quantiser (QM2), and its steps (WH of RH2).
const HIGH_4: [i32; 4] = [-7408, -1616, 7408, 1616];
const HIGH_STEPS: [i32; 4] = [798, -214, 798, -214];
/// 2^(n/32) in Q11 (ILB).
const EXPONENTIAL: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// One band: an adaptive quantiser and an adaptive predictor of two poles and six zeros.
#[derive(Debug, Clone)]
struct Band {
    /// Predicted signal, and the part of it from the zeros.
    predicted: i32,
    predicted_zero: i32,
    /// Reconstructed signals, partially reconstructed ones, differences: newest first.
    reconstructed: [i32; 2],
    partial: [i32; 2],
    differences: [i32; 6],
    poles: [i32; 2],
    zeros: [i32; 6],
    /// Scale factor and its logarithm.
    scale: i32,
    log_scale: i32,
}

impl Band {
    fn new(scale: i32) -> Self {
        Self {
            predicted: 0,
            predicted_zero: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            differences: [0; 6],
            poles: [0; 2],
            zeros: [0; 6],
            scale,
            log_scale: 0,
        }
    }

    fn encode_low(&mut self, signal: i32) -> usize {
        let error = saturate(signal - self.predicted);
        let size = if error < 0 { -(error + 1) } else { error };
        let above = LOW_LEVELS
            .iter()
            .take_while(|level| size >= (**level * self.scale) >> 12)
            .count();
        // Code words fall as the error grows; the two smallest negative ones stand apart (table 15).
        let code = match (error < 0, above) {
            (false, _) => 61 - above,
            (true, 0 | 1) => 63 - above,
            (true, _) => 33 - above,
        };
        self.adapt_low(code);
        code
    }

    fn decode_low(&mut self, code: usize) -> i32 {
        let difference = (self.scale * LOW_60[code & 63]) >> 15;
        let signal = (self.predicted + difference).clamp(-16_384, 16_383);
        self.adapt_low(code);
        signal
    }

    fn adapt_low(&mut self, code: usize) {
        let upper = (code >> 2) & 15;
        let difference = (self.scale * LOW_15[upper]) >> 15;
        self.rescale(LOW_STEPS[upper], 18_432, 8);
        self.predict(difference);
    }

    fn encode_high(&mut self, signal: i32) -> usize {
        let error = saturate(signal - self.predicted);
        let size = if error < 0 { -(error + 1) } else { error };
        let large = size >= (564 * self.scale) >> 12;
        let code = match (error < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt_high(code);
        code
    }

    fn decode_high(&mut self, code: usize) -> i32 {
        let predicted = self.predicted;
        let difference = self.adapt_high(code);
        (predicted + difference).clamp(-16_384, 16_383)
    }

    fn adapt_high(&mut self, code: usize) -> i32 {
        let difference = (self.scale * HIGH_4[code & 3]) >> 15;
        self.rescale(HIGH_STEPS[code & 3], 22_528, 10);
        self.predict(difference);
        difference
    }

    /// Adapts the scale factor (blocks LOGSCL, SCALEL and their kin in the upper band).
    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, most);
        let mantissa = EXPONENTIAL[((self.log_scale >> 6) & 31) as usize];
        let right = shift - (self.log_scale >> 11);
        self.scale = if right < 0 {
            mantissa << -right
        } else {
            mantissa >> right
        } << 2;
    }

    /// Adapts the predictor and predicts the next sample (block 4).
    fn predict(&mut self, difference: i32) {
        let reconstructed = saturate(self.predicted + difference);
        let partial = saturate(self.predicted_zero + difference);
        let same = |other: i32| (other < 0) == (partial < 0);
        let alike = [same(self.partial[0]), same(self.partial[1])];

        let quadruple = saturate(self.poles[0] << 2);
        let first = if alike[0] { -quadruple } else { quadruple }.min(32_767);
        let second =
            (first >> 7) + if alike[1] { 128 } else { -128 } + ((self.poles[1] * 32_512) >> 15);
        self.poles[1] = second.clamp(-12_288, 12_288);
        let first = (if alike[0] { 192 } else { -192 }) + ((self.poles[0] * 32_640) >> 15);
        let limit = 15_360 - self.poles[1];
        self.poles[0] = first.clamp(-limit, limit);

        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let step = if (past < 0) == (difference < 0) {
                step
            } else {
                -step
            };
            *zero = saturate(step + ((*zero * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];

        let scaled = |coefficient: i32, value: i32| (coefficient * saturate(value << 1)) >> 15;
        let poles = self.poles.iter().zip(self.reconstructed);
        let from_poles = saturate(poles.map(|(pole, value)| scaled(*pole, value)).sum());
        let zeros = self.zeros.iter().zip(self.differences);
        self.predicted_zero = saturate(zeros.map(|(zero, value)| scaled(*zero, value)).sum());
        self.predicted = saturate(from_poles + self.predicted_zero);
    }
}

fn saturate(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}
