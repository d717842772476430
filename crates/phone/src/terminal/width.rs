//! Text that fits: what columns of a terminal a text takes, and how it is made to take so many.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Stands for what was cut off.
const CUT: &str = "…";

/// Columns that a text takes; a Hangul syllable takes two.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text without anything that could steer a terminal or turn the direction of writing: what comes from the network is shown,
/// never obeyed.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => ' ',
            c if c.is_control() => '\u{fffd}',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// The text in at most `columns`, with "…" where something had to go; never half a character.
pub fn cut(text: &str, columns: usize) -> String {
    let text = harmless(text);
    if text.width() <= columns {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    let room = columns.saturating_sub(CUT.width());
    for cluster in text.graphemes(true) {
        if used + cluster.width() > room {
            break;
        }
        used += cluster.width();
        out.push_str(cluster);
    }
    if columns > 0 {
        out.push_str(CUT);
    }
    out
}

/// The text in exactly so many columns.
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let used = out.width();
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// The text in exactly so many columns, at their right end.
pub fn fit_right(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let used = cut.width();
    let mut out = " ".repeat(columns.saturating_sub(used));
    out.push_str(&cut);
    out
}

/// A left and a right part in exactly so many columns; the left gives way.
pub fn sides(left: &str, right: &str, columns: usize) -> String {
    let right = cut(right, columns);
    let room = columns.saturating_sub(right.width());
    let room_left = room.saturating_sub(usize::from(!right.is_empty()));
    let mut out = fit(left, room_left);
    out.extend(std::iter::repeat_n(' ', room - room_left));
    out.push_str(&right);
    out
}

/// The lines that a text takes when none may be wider than `columns`, broken at spaces where there are any.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let paragraph = harmless(paragraph.trim_end_matches('\r'));
        let mut line = String::new();
        for word in paragraph.split_inclusive(' ') {
            if line.width() + word.trim_end().width() > columns && !line.is_empty() {
                lines.push(line.trim_end().to_owned());
                line.clear();
            }
            for cluster in word.graphemes(true) {
                if line.width() + cluster.width() > columns {
                    // A space that does not fit at the end of a line is not needed on the next one.
                    if cluster == " " {
                        continue;
                    }
                    lines.push(std::mem::take(&mut line));
                }
                line.push_str(cluster);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Whether `text` has what was searched for: anywhere, whatever the case; Hangul also by initial consonants ("ㅂㅈㅅ" finds
/// 박지성).
pub fn matches(text: &str, wanted: &str) -> bool {
    let wanted = wanted.trim().to_lowercase();
    if wanted.is_empty() {
        return true;
    }
    let text = text.to_lowercase();
    if text.contains(&wanted) {
        return true;
    }
    let initials: String = text.chars().map(initial).collect();
    wanted.chars().all(|c| INITIALS.contains(&c) || c == ' ') && initials.contains(&wanted)
}

/// The initial consonants of Hangul syllables, in the order of Unicode.
const INITIALS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];

fn initial(c: char) -> char {
    const FIRST: u32 = 0xac00;
    const LAST: u32 = 0xd7a3;
    const PER_INITIAL: u32 = 588;
    let code = u32::from(c);
    if !(FIRST..=LAST).contains(&code) {
        return c;
    }
    let at = usize::try_from((code - FIRST) / PER_INITIAL).unwrap_or_default();
    INITIALS.get(at).copied().unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_are_never_halved() {
        assert_eq!(width("안녕"), 4);
        assert_eq!(cut("안녕하세요", 10), "안녕하세요");
        assert_eq!(cut("안녕하세요", 9), "안녕하세…");
        assert_eq!(cut("안녕하세요", 8), "안녕하…");
        for columns in 0..12 {
            for text in [
                "안녕하세요 여러분",
                "hello 세계",
                "e\u{301}e\u{301}e\u{301}",
                "👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
            ] {
                assert!(width(&cut(text, columns)) <= columns, "{text} {columns}");
                assert_eq!(width(&fit(text, columns)), columns, "{text} {columns}");
                assert_eq!(
                    width(&fit_right(text, columns)),
                    columns,
                    "{text} {columns}"
                );
                assert_eq!(
                    width(&sides(text, "00:12", columns)),
                    columns,
                    "{text} {columns}"
                );
            }
        }
        assert_eq!(sides("한국어", "9", 8), "한국어 9");
        assert_eq!(sides("한국어", "9", 7), "한국… 9");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("가나다라마", 4), ["가나", "다라", "마"]);
        assert_eq!(wrapped("a\n\nb", 10), ["a", "", "b"]);
        for columns in 2..20 {
            let text = "만나서 반갑습니다 supercalifragilistic and so on";
            let lines = wrapped(text, columns);
            assert!(lines.iter().all(|l| width(l) <= columns), "{lines:?}");
            let squeezed = |s: &str| s.replace(' ', "");
            assert_eq!(squeezed(&lines.concat()), squeezed(text));
        }
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let shown = cut("a\x1b[2J\u{202e}b\nc", 40);
        assert!(!shown.contains(['\x1b', '\u{202e}', '\n']), "{shown:?}");
    }

    #[test]
    fn search_knows_initial_consonants() {
        assert!(matches("박지성", "ㅂㅈ") && matches("박지성", "지성"));
        assert!(!matches("박지성", "ㅈㅂ"));
        assert!(matches("Bob Builder", "BUILD") && matches("x", " "));
        assert!(!matches("Bob", "ㅂ"));
    }
}
