//! Unpredictable values from a seed that comes in from outside.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator for tags, branches, Call-IDs and delays.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// A generator; equal seeds give equal worlds.
    pub fn new(seed: [u8; 32]) -> Random {
        Random(ChaCha8Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A token of 16 hexadecimal digits: a tag has to have at least 32 random bits (RFC 3261 §19.3).
    pub fn token(&mut self) -> String {
        let mut text = Vec::with_capacity(16);
        push_hex(&mut text, self.bits(), 16);
        String::from_utf8(text).expect("hexadecimal digits are ASCII")
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }
}

/// Appends `number` as `digits` hexadecimal digits.
pub fn push_hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 16];
    let digits = text.len().min(digits as usize);
    let mut rest = number;
    for place in text[..digits].iter_mut().rev() {
        *place = DIGITS[(rest & 15) as usize];
        rest >>= 4;
    }
    out.extend_from_slice(&text[..digits]);
}

/// Reads hexadecimal digits; `None` when there is anything else or more than 16 of them.
pub fn read_hex(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        Some((n << 4) | u64::from(digit))
    })
}

/// Appends a decimal number.
pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
