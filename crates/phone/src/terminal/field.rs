//! One line of text that a person types.

use unicode_segmentation::UnicodeSegmentation;

use super::width::{harmless, width};

/// The most that a field takes, in octets: a MESSAGE has to fit a datagram or is sent over a stream (RFC 3428 §8).
const LONGEST: usize = 4096;

/// A text and the place where the next character goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// An octet index, always on the edge of a whole character as people see it.
    cursor: usize,
}

impl Field {
    /// A field with a text already in it.
    pub fn new(text: &str) -> Field {
        let mut field = Field::default();
        field.insert(text);
        field
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts text at the cursor. Composed characters (한) arrive whole from the input method.
    pub fn insert(&mut self, text: &str) {
        let text = harmless(text);
        if self.text.len() + text.len() > LONGEST {
            return;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // A combining mark joins the character before it: the edge is behind both.
        self.cursor = self.edge_at_or_after(self.cursor);
    }

    /// Takes the character before the cursor.
    pub fn backspace(&mut self) {
        let start = self.before();
        self.text.replace_range(start..self.cursor, "");
        self.cursor = self.edge_at_or_after(start);
    }

    /// Takes the character behind the cursor.
    pub fn delete(&mut self) {
        let end = self.after();
        self.text.replace_range(self.cursor..end, "");
        self.cursor = self.edge_at_or_after(self.cursor);
    }

    /// Takes the word before the cursor.
    pub fn delete_word(&mut self) {
        let head = self.head();
        let start = head.trim_end().rfind(' ').map_or(0, |space| space + 1);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = self.edge_at_or_after(start);
    }

    /// Takes everything.
    pub fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
    }

    /// One character back.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// One character on.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.cursor = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// The part of the text that fits `columns` with the cursor in sight, and the column of the cursor in it.
    pub fn window(&self, columns: usize) -> (String, usize) {
        let room = columns.saturating_sub(1);
        let mut start = self.cursor;
        let mut used = 0;
        for (at, cluster) in self.head().grapheme_indices(true).rev() {
            if used + width(cluster) > room {
                break;
            }
            used += width(cluster);
            start = at;
        }
        let mut shown = String::new();
        let mut total = 0;
        for cluster in self.text.get(start..).unwrap_or_default().graphemes(true) {
            if total + width(cluster) > columns {
                break;
            }
            total += width(cluster);
            shown.push_str(cluster);
        }
        (shown, used)
    }

    fn head(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    fn before(&self) -> usize {
        let last = self.head().grapheme_indices(true).next_back();
        last.map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let tail = self.text.get(self.cursor..).unwrap_or_default();
        self.cursor + tail.graphemes(true).next().map_or(0, str::len)
    }

    fn edge_at_or_after(&self, place: usize) -> usize {
        let edges = self.text.grapheme_indices(true).map(|(at, _)| at);
        edges
            .filter(|at| *at >= place)
            .min()
            .unwrap_or(self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_is_edited_by_syllables() {
        let mut field = Field::new("안녕");
        field.left();
        field.insert("!");
        assert_eq!(field.text(), "안!녕");
        field.backspace();
        field.backspace();
        assert_eq!(field.text(), "녕");
        field.delete();
        field.backspace();
        field.delete();
        assert_eq!(field.text(), "");
        field.insert("하나 둘 셋");
        field.delete_word();
        assert_eq!(field.text(), "하나 둘 ");
        field.delete_word();
        assert_eq!(field.text(), "하나 ");
    }

    #[test]
    fn combining_marks_stay_with_their_letter() {
        let mut field = Field::new("e");
        field.insert("\u{301}");
        field.left();
        field.insert("x");
        assert_eq!(field.text(), "xe\u{301}");
        // Typed apart, three jamo are one syllable on the screen and go together.
        let mut field = Field::new("\u{1112}\u{1161}\u{11ab}");
        field.backspace();
        assert!(field.is_empty());
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        let field = Field::new("abcdefghij");
        assert_eq!(field.window(5), ("ghij".to_owned(), 4));
        let field = Field::new("가나다라");
        assert_eq!(field.window(5), ("다라".to_owned(), 4));
        assert_eq!(field.window(4), ("라".to_owned(), 2));
        assert_eq!(Field::new("가나").window(20), ("가나".to_owned(), 4));
        let mut field = Field::new("abcdefghij");
        field.home();
        assert_eq!(field.window(5), ("abcde".to_owned(), 0));
        for columns in 0..8 {
            let (shown, cursor) = Field::new("가a나b다c").window(columns);
            assert!(width(&shown) <= columns && cursor <= columns, "{columns}");
        }
    }

    #[test]
    fn a_field_has_an_end() {
        let mut field = Field::default();
        for _ in 0..10_000 {
            field.insert("가나다");
        }
        assert!(field.text().len() <= LONGEST);
    }
}
