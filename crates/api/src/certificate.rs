//! When a certificate ends: as much of X.509 (RFC 5280 §4.1) as is needed to read that.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The end of the first certificate in a PEM file, in seconds since 1970; `None` when it cannot be read.
pub(crate) fn end_of_file(path: &Path) -> Option<u64> {
    end(&CertificateDer::from_pem_file(path).ok()?)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The end of its validity, in seconds since 1970.
fn end(der: &[u8]) -> Option<u64> {
    let (certificate, _) = inside(der, SEQUENCE)?;
    let (mut rest, _) = inside(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = inside(rest, VERSION)?;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, rest) = inside(rest, tag)?;
    }
    let (validity, _) = inside(rest, SEQUENCE)?;
    let tag = *validity.first()?;
    let (_, after) = inside(validity, tag)?;
    match *after.first()? {
        UTC_TIME => {
            let (text, _) = inside(after, UTC_TIME)?;
            let year = number(text.get(..2)?)?;
            // RFC 5280 §4.1.2.5.1
            let century = if year >= 50 { 1900 } else { 2000 };
            moment(century + year, text.get(2..)?)
        }
        GENERALIZED_TIME => {
            let (text, _) = inside(after, GENERALIZED_TIME)?;
            moment(number(text.get(..4)?)?, text.get(4..)?)
        }
        _ => None,
    }
}

/// What is inside of the first value, which has this tag, and what follows it.
fn inside(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(*short), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let length = bytes.iter().fold(0, |n, b| (n << 8) | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The moment of a year and `MMDDhhmmssZ`.
fn moment(year: u64, text: &[u8]) -> Option<u64> {
    let two = |at: usize| number(text.get(at..at + 2)?);
    let (month, day) = (two(0)?, two(2)?);
    let (hour, minute, second) = (two(4)?, two(6)?, two(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    // Days of the civil calendar, with years that begin in March.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_end_when_they_say() {
        for (year, month, day, seconds) in [
            (2027, 1, 31, 1_801_353_600),
            (2049, 12, 31, 2_524_521_600),
            (2050, 3, 1, 2_529_705_600),
            (2400, 2, 29, 13_574_563_200),
        ] {
            let mut wanted = rcgen::CertificateParams::new(vec!["a.test".into()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, month, day);
            let key = rcgen::KeyPair::generate().unwrap();
            let made = wanted.self_signed(&key).unwrap();
            assert_eq!(end(made.der()), Some(seconds), "{year}");
            // Whatever is cut off or spoilt, nothing breaks.
            for cut in 0..made.der().len() {
                let _ = end(&made.der()[..cut]);
                let mut spoilt = made.der().to_vec();
                spoilt[cut] ^= 0x81;
                let _ = end(&spoilt);
            }
            let path =
                std::env::temp_dir().join(format!("sori-end-{}-{year}.pem", std::process::id()));
            std::fs::write(&path, made.pem()).unwrap();
            assert_eq!(end_of_file(&path), Some(seconds));
            std::fs::remove_file(&path).unwrap();
        }
    }
}
