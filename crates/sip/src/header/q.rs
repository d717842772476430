//! Preference values (RFC 3261 §25.1, `qvalue`).

/// A preference from 0 to 1 in thousandths. Digits beyond the third are cut off; the leading zero
/// may be missing.
pub fn q_value(text: &[u8]) -> Option<u16> {
    let mut parts = text.splitn(2, |b| *b == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next();
    let whole = match whole {
        b"" if fraction.is_some_and(|f| !f.is_empty()) => 0,
        b"0" => 0,
        b"1" => 1000,
        _ => return None,
    };
    let fraction = fraction.unwrap_or_default();
    let mut thousandths = 0u16;
    for at in 0..3 {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        thousandths = thousandths * 10 + u16::from(digit.checked_sub(b'0').filter(|d| *d < 10)?);
    }
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(whole + thousandths).filter(|q| *q <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths() {
        for (text, q) in [
            ("0", 0),
            ("1", 1000),
            ("0.", 0),
            ("0.5", 500),
            ("0.33", 330),
            ("0.123", 123),
            ("0.1239", 123),
            ("1.000", 1000),
            (".7", 700),
        ] {
            assert_eq!(q_value(text.as_bytes()), Some(q), "{text}");
        }
        for text in [
            "", ".", "2", "1.1", "1.001", "-1", "0,5", "0.x", "0.123x", "00.5",
        ] {
            assert_eq!(q_value(text.as_bytes()), None, "{text}");
        }
    }
}
