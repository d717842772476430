//! Random secrets.

/// What stands in passwords: no two of these look alike.
const READABLE: &[u8; 54] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ234567";

/// 256 random bits in hexadecimal; `None` when the system has no randomness.
pub(crate) fn token() -> Option<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// A password of 16 characters, some 92 bits; `None` when the system has no randomness.
pub(crate) fn password() -> Option<String> {
    let mut out = String::new();
    while out.len() < 16 {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).ok()?;
        // A byte that would favour the first characters is thrown away.
        let fair = bytes.iter().filter(|b| **b < 216);
        let fair = fair.filter_map(|b| READABLE.get(usize::from(*b) % READABLE.len()));
        out.extend(fair.map(|b| char::from(*b)).take(16 - out.len()));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_long_and_differ() {
        let one = super::password().unwrap();
        assert_eq!(one.len(), 16);
        assert_ne!(one, super::password().unwrap());
        assert!(!one.contains(['0', 'O', '1', 'l', 'I', 'o']));
    }
}
