//! Base64 of RFC 4648 section 4, for the keys of `a=crypto`.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub(crate) fn encode(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, i| {
            bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0))
        });
        for place in 0..4 {
            let symbol = ALPHABET
                .get(bits >> (18 - 6 * place) & 63)
                .copied()
                .filter(|_| place <= chunk.len());
            text.push(symbol.map_or('=', char::from));
        }
    }
    text
}

/// The padding may be missing; none when it is not base64 or longer than any key.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let symbols = text.trim_end_matches('=');
    if text.len() - symbols.len() > 2 || symbols.len() % 4 == 1 || symbols.len() > 128 {
        return None;
    }
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for symbol in symbols.bytes() {
        let value = ALPHABET.iter().position(|s| *s == symbol)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from(bits >> count & 0xFF).ok()?);
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_rfc_4648() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        let all: Vec<u8> = (0..=95).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        for bad in ["A", "Zg===", "Z*==", "Zg==Zg==", "Zm9v Zm9v"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
