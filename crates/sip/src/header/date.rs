//! Date (RFC 3261 §20.17): RFC 1123 form, always GMT.

use core::fmt;

use super::ParseError;
use super::cursor::trim;

/// A point in time with a resolution of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix: u64,
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const SECONDS_A_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59, the last that four digits of a year can say.
const LAST: u64 = 253_402_300_799;

impl Date {
    /// Reads `Sat, 13 Nov 2010 23:29:00 GMT`. Another time zone and a year before 1970 are errors;
    /// the day of the week is not compared with the date.
    pub fn parse(value: &[u8]) -> Result<Date, ParseError> {
        let wrong = ParseError::new("Date is not of the form Sat, 13 Nov 2010 23:29:00 GMT", 0);
        let mut words = trim(value)
            .split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b','))
            .filter(|word| !word.is_empty());
        let mut word = || words.next().ok_or(wrong);
        let weekday = word()?;
        let day = number(word()?, 2).ok_or(wrong)?;
        let month = word()?;
        let year = number(word()?, 4).ok_or(wrong)?;
        let clock = word()?;
        let zone = word()?;
        let is = |text: &str, word: &[u8]| text.as_bytes().eq_ignore_ascii_case(word);
        let month = MONTHS.iter().position(|m| is(m, month)).ok_or(wrong)?;
        let known = DAYS.iter().any(|d| is(d, weekday));
        if !known || !is("GMT", zone) || words.next().is_some() {
            return Err(wrong);
        }
        let days = days_from(year, month, day).ok_or(wrong)?;
        let seconds = time_of_day(clock).ok_or(wrong)?;
        Ok(Date {
            unix: days * SECONDS_A_DAY + seconds,
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unix = self.unix.min(LAST);
        let (days, second) = (unix / SECONDS_A_DAY, unix % SECONDS_A_DAY);
        let (year, month, day) = date_of(days);
        let weekday = DAYS.get((days % 7) as usize).copied().unwrap_or("");
        let month = MONTHS.get(month).copied().unwrap_or("");
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

fn number(text: &[u8], longest: usize) -> Option<u64> {
    super::cursor::decimal(text).filter(|_| text.len() <= longest)
}

fn time_of_day(text: &[u8]) -> Option<u64> {
    let mut parts = text.split(|b| *b == b':');
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    // A leap second may be written as 60.
    let second = number(parts.next()?, 2)?;
    let fits = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    fits.then_some(hour * 3600 + minute * 60 + second)
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Days before the first of January, from 1970 on.
const fn days_before(year: u64) -> u64 {
    let y = year - 1;
    365 * (year - 1970) + (y / 4 - 492) - (y / 100 - 19) + (y / 400 - 4)
}

fn days_from(year: u64, month: usize, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || day == 0 || day > days_in(year, month) {
        return None;
    }
    let months: u64 = (0..month).map(|m| days_in(year, m)).sum();
    Some(days_before(year) + months + day - 1)
}

fn date_of(days: u64) -> (u64, usize, u64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_before(year);
    let mut month = 0;
    while month < 11 && day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, unix) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sat, 13 Nov 2010 23:29:00 GMT", 1_289_690_940),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Sat, 21 Nov 2026 07:00:00 GMT", 1_795_244_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", LAST),
        ] {
            assert_eq!(Date::parse(text.as_bytes()), Ok(Date { unix }), "{text}");
            assert_eq!(Date { unix }.to_string(), text);
        }
        assert_eq!(
            Date { unix: u64::MAX }.to_string(),
            Date { unix: LAST }.to_string()
        );
    }

    #[test]
    fn every_day_goes_there_and_back() {
        let mut days = 0;
        while days < 2_932_897 {
            let date = Date {
                unix: days * SECONDS_A_DAY + 3723,
            };
            assert_eq!(Date::parse(date.to_string().as_bytes()), Ok(date));
            days += 13;
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Fri, 01 Jan 2010 16:00:00 UTC",
            "Fri, 01 Jan 2010 16:00:00",
            "Fri, 29 Feb 2100 16:00:00 GMT",
            "Fri, 00 Jan 2010 16:00:00 GMT",
            "Fri, 01 Foo 2010 16:00:00 GMT",
            "Xxx, 01 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 1969 16:00:00 GMT",
            "Fri, 01 Jan 2010 24:00:00 GMT",
            "Fri, 01 Jan 2010 16:00 GMT",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
            "Fri, 01 Jan 20100 16:00:00 GMT",
        ] {
            assert!(Date::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
