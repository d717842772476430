//! Telephone numbers (RFC 3966, E.164).

use std::str::FromStr;

use phonenumber::Mode;
use phonenumber::country::Id;

/// Whether `code` is the ISO 3166 code of a country that has telephone numbers.
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) && Id::from_str(code).is_ok()
}

/// The number as E.164 writes it, `+8225550100`, when it is a possible one of `country` or begins with `+`.
pub fn e164(number: &str, country: &str) -> Option<String> {
    let country = Id::from_str(country).ok();
    if !number.starts_with('+') && (country.is_none() || number.len() < 7) {
        return None;
    }
    if !number
        .chars()
        .all(|c| c.is_ascii_digit() || "+-.() ".contains(c))
    {
        return None;
    }
    let parsed = phonenumber::parse(country, number).ok()?;
    phonenumber::is_valid(&parsed).then(|| parsed.format().mode(Mode::E164).to_string())
}

/// A telephone number without what is there for the eye (RFC 3966 §3).
pub fn bare(number: &str) -> String {
    number.replace(['-', '.', '(', ')'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_numbers_become_e164() {
        assert_eq!(e164("02-555-0100", "KR").as_deref(), Some("+8225550100"));
        assert_eq!(e164("01012345678", "KR").as_deref(), Some("+821012345678"));
        assert_eq!(e164("+49 30 901820", "KR").as_deref(), Some("+4930901820"));
        assert_eq!(e164("+8225550100", "").as_deref(), Some("+8225550100"));
        for not in ["100", "alice", "025550100x", "+1", ""] {
            assert_eq!(e164(not, "KR"), None, "{not}");
        }
        assert_eq!(e164("025550100", ""), None, "no country to know it by");
    }

    #[test]
    fn countries() {
        assert!(is_country("KR") && is_country("DE"));
        assert!(!is_country("kr") && !is_country("XX") && !is_country(""));
    }
}
