//! Finds people by what is typed so far: beginnings of words, and for Korean names initial consonants (ㄱㅊㅅ finds
//! 김철수), syllables that are not finished yet (기 finds 김), and any part of the name.

/// The consonants that a syllable can begin with, in the order of Unicode.
const INITIALS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];
const SYLLABLES: std::ops::RangeInclusive<char> = '가'..='힣';
/// Syllables that share their initial consonant, and those that share initial consonant and vowel.
const PER_INITIAL: u32 = 588;
const PER_VOWEL: u32 = 28;
/// The longest question, in characters.
const MAX_QUESTION: usize = 64;

/// A question, made ready to be compared with many names.
pub(super) struct Question {
    words: Vec<Word>,
}

struct Word {
    letters: Vec<char>,
    /// The digits, when it looks like a part of a number.
    digits: Option<String>,
}

impl Question {
    /// What a person typed; `None` when nothing can be asked with it.
    pub(super) fn new(text: &str) -> Option<Question> {
        let text: String = text.chars().take(MAX_QUESTION).collect();
        let mut words: Vec<Word> = Vec::new();
        if let Some(digits) = digits(&text) {
            let letters = letters(&text);
            let digits = Some(digits);
            words.push(Word { letters, digits });
        } else {
            for word in text.split_whitespace() {
                words.push(Word {
                    letters: letters(word),
                    digits: digits(word),
                });
            }
        }
        (!words.is_empty()).then_some(Question { words })
    }

    /// How well a person fits: 0 is best, `None` not at all.
    pub(super) fn rank(&self, name: &str, addresses: &[&str]) -> Option<u8> {
        let name = letters(name);
        let ranks = self.words.iter().map(|word| {
            let by_name = word.in_name(&name);
            let by_address = || addresses.iter().any(|a| word.in_address(a)).then_some(3);
            by_name.or_else(by_address)
        });
        ranks.max_by_key(|rank| rank.unwrap_or(u8::MAX)).flatten()
    }
}

impl Word {
    fn in_name(&self, name: &[char]) -> Option<u8> {
        let korean = self.letters.first().is_some_and(|c| is_korean(*c));
        let mut best = None;
        for (at, window) in name.windows(self.letters.len().max(1)).enumerate() {
            let begins = at
                .checked_sub(1)
                .and_then(|before| name.get(before))
                .is_none_or(|before| !before.is_alphanumeric());
            let rank = match (at, begins) {
                (0, _) => 0,
                (_, true) => 1,
                (_, false) if korean => 2,
                (_, false) => continue,
            };
            if best.is_none_or(|known| rank < known) && self.fits(window) {
                best = Some(rank);
            }
        }
        best
    }

    fn fits(&self, window: &[char]) -> bool {
        let last = self.letters.len().saturating_sub(1);
        self.letters
            .iter()
            .zip(window)
            .enumerate()
            .all(|(at, (asked, found))| is_same(*asked, *found, at == last))
    }

    fn in_address(&self, address: &str) -> bool {
        let bare = address.split_once(':').map_or(address, |(_, rest)| rest);
        if let (Some(asked), Some(found)) = (&self.digits, digits_of(address)) {
            // 010… in the country is +82 10… abroad.
            let national = asked.strip_prefix('0').filter(|rest| rest.len() > 1);
            if found.contains(asked.as_str()) || national.is_some_and(|n| found.contains(n)) {
                return true;
            }
        }
        letters(bare).starts_with(&self.letters)
    }
}

/// Whether a letter that was asked for is the one that is there.
fn is_same(asked: char, found: char, is_last: bool) -> bool {
    if asked == found {
        return true;
    }
    if !SYLLABLES.contains(&found) {
        return false;
    }
    let found = u32::from(found) - u32::from(*SYLLABLES.start());
    if INITIALS.contains(&asked) {
        return INITIALS.get((found / PER_INITIAL) as usize) == Some(&asked);
    }
    if !is_last || !SYLLABLES.contains(&asked) {
        return false;
    }
    // A syllable without a final consonant may still get one.
    let asked = u32::from(asked) - u32::from(*SYLLABLES.start());
    asked.is_multiple_of(PER_VOWEL) && asked / PER_VOWEL == found / PER_VOWEL
}

fn is_korean(c: char) -> bool {
    SYLLABLES.contains(&c) || INITIALS.contains(&c)
}

/// Small letters, syllables put together, pairs of consonants taken apart.
fn letters(text: &str) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.trim().chars().flat_map(char::to_lowercase) {
        match (
            pair(c),
            out.last().copied().and_then(|before| joined(before, c)),
        ) {
            (Some((first, second)), _) => out.extend([first, second]),
            (None, Some(syllable)) => {
                out.pop();
                out.push(syllable);
            }
            (None, None) => out.push(c),
        }
    }
    out
}

/// Two consonants that a keyboard makes one of while nobody meant a final.
fn pair(c: char) -> Option<(char, char)> {
    Some(match c {
        'ㄳ' => ('ㄱ', 'ㅅ'),
        'ㄵ' => ('ㄴ', 'ㅈ'),
        'ㄶ' => ('ㄴ', 'ㅎ'),
        'ㄺ' => ('ㄹ', 'ㄱ'),
        'ㄻ' => ('ㄹ', 'ㅁ'),
        'ㄼ' => ('ㄹ', 'ㅂ'),
        'ㄽ' => ('ㄹ', 'ㅅ'),
        'ㄾ' => ('ㄹ', 'ㅌ'),
        'ㄿ' => ('ㄹ', 'ㅍ'),
        'ㅀ' => ('ㄹ', 'ㅎ'),
        'ㅄ' => ('ㅂ', 'ㅅ'),
        _ => return None,
    })
}

/// A syllable from its parts, which some systems write one by one (Unicode, section 3.12).
fn joined(before: char, c: char) -> Option<char> {
    let (before, c) = (u32::from(before), u32::from(c));
    let first = u32::from(*SYLLABLES.start());
    if (0x1100..0x1113).contains(&before) && (0x1161..0x1176).contains(&c) {
        return char::from_u32(first + (before - 0x1100) * PER_INITIAL + (c - 0x1161) * PER_VOWEL);
    }
    let open = before.checked_sub(first).is_some_and(|at| {
        at <= u32::from(*SYLLABLES.end()) - first && at.is_multiple_of(PER_VOWEL)
    });
    if open && (0x11a8..0x11c3).contains(&c) {
        return char::from_u32(before + c - 0x11a7);
    }
    None
}

/// The digits of a text that is a part of a number, at least two of them.
fn digits(text: &str) -> Option<String> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | ' ');
    if !text.chars().all(is_number) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= 2).then_some(digits)
}

/// The digits of the number in an address.
fn digits_of(address: &str) -> Option<String> {
    let bare = address.split_once(':').map_or(address, |(_, rest)| rest);
    let user = bare.split(['@', ';']).next().unwrap_or_default();
    digits(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(question: &str, name: &str, addresses: &[&str]) -> Option<u8> {
        Question::new(question).and_then(|q| q.rank(name, addresses))
    }

    #[test]
    fn korean_names() {
        for (question, name, expected) in [
            ("ㄱㅊㅅ", "김철수", Some(0)),
            ("ㄱ", "김철수", Some(0)),
            ("ㄱㅅ", "김철수", None),
            ("김ㅊ", "김철수", Some(0)),
            ("기", "김철수", Some(0)),
            ("김처", "김철수", Some(0)),
            ("기철", "김철수", None),
            ("철수", "김철수", Some(2)),
            ("ㅊㅅ", "김철수", Some(2)),
            ("영업", "김철수 영업팀", Some(1)),
            ("김철 영", "김철수 영업팀", Some(1)),
            ("ㄲ", "김철수", None),
            ("ㄲ", "까치", Some(0)),
            ("ㄳ", "김상수", Some(0)),
            ("ㄳ", "강사", Some(0)),
            ("이", "김철수", None),
            (
                "김철수",
                "\u{1100}\u{1175}\u{11b7}\u{110e}\u{1165}\u{11af}\u{1109}\u{116e}",
                Some(0),
            ),
            ("\u{1100}\u{1175}\u{11b7}", "김철수", Some(0)),
        ] {
            assert_eq!(rank(question, name, &[]), expected, "{question} in {name}");
        }
    }

    #[test]
    fn other_names_by_the_beginnings_of_words() {
        for (question, name, expected) in [
            ("al", "Alice Adams", Some(0)),
            ("ADA", "Alice Adams", Some(1)),
            ("ali ad", "Alice Adams", Some(1)),
            ("ad ali", "Alice Adams", Some(1)),
            ("lice", "Alice Adams", None),
            ("alice adamsx", "Alice Adams", None),
            ("o'b", "Conan O'Brien", Some(1)),
            ("éc", "Écluse", Some(0)),
            ("", "Alice", None),
            ("   ", "Alice", None),
        ] {
            assert_eq!(rank(question, name, &[]), expected, "{question} in {name}");
        }
    }

    #[test]
    fn addresses_and_numbers() {
        let addresses = ["sip:alice@example.org", "+82-10-1234-5678"];
        for (question, expected) in [
            ("alice", Some(3)),
            ("alice@ex", Some(3)),
            ("1234", Some(3)),
            ("010 1234", Some(3)),
            ("010-1234-5678", Some(3)),
            ("+82 10", Some(3)),
            ("9999", None),
            ("1", None),
            ("example", None),
        ] {
            assert_eq!(
                rank(question, "Somebody", &addresses),
                expected,
                "{question}"
            );
        }
        assert_eq!(rank("12", "12 Monkeys", &[]), Some(0));
        let long = "ㄱ".repeat(100_000);
        assert_eq!(rank(&long, "김", &[]), None);
    }
}
