//! Keeping sums within what a sample can hold, without the rattle of clipping.

/// Sums up to here pass as they are.
const KNEE: i32 = 24_576;
/// What lies between the knee and the loudest sample.
const REST: i32 = i16::MAX as i32 - KNEE;

/// A sum of samples as one sample: as it is up to three quarters of the loudest, above that ever closer to the loudest.
pub fn limited(sum: i32) -> i16 {
    let magnitude = sum.unsigned_abs().min(1 << 30) as i32;
    let limited = if magnitude <= KNEE {
        magnitude
    } else {
        // x / (1 + x/rest): its slope is 1 at the knee, and it never reaches the rest.
        let over = i64::from(magnitude - KNEE);
        let rest = i64::from(REST);
        KNEE + (over * rest / (over + rest)) as i32
    };
    // At most i16::MAX.
    let limited = limited as i16;
    if sum < 0 { -limited } else { limited }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_sums_pass_and_loud_ones_bend() {
        for sum in [0, 1, -1, 24_576, -24_576] {
            assert_eq!(i32::from(limited(sum)), sum);
        }
        let mut before = 0;
        for sum in (0..2_000_000).step_by(97) {
            let now = limited(sum);
            assert!(now >= before, "{sum}");
            assert_eq!(limited(-sum), -now);
            before = now;
        }
        assert!(limited(40_000) < 32_000);
        assert!(limited(i32::MAX) > 32_700 && limited(i32::MIN) < -32_700);
    }
}
