//! Changes to a message in passing: splices into the original bytes, printed once.

use core::ops::Range;

/// A list of changes to the bytes of one message.
///
/// Ranges are those of the original and must not overlap. Insertions at the same place are printed in
/// the order in which they were made, and before a change that starts there. Reuse one for many messages: [`Edit::clear`] keeps its memory.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    splices: Vec<Splice>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Splice {
    at: usize,
    end: usize,
    text: usize,
    text_end: usize,
}

impl Edit {
    /// No changes.
    pub fn new() -> Edit {
        Edit::default()
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.splices.clear();
        self.text.clear();
    }

    /// Puts `text` in place of `range`.
    pub fn replace(&mut self, range: Range<usize>, text: &[u8]) {
        self.replace_with(range, |out| out.extend_from_slice(text));
    }

    /// Puts what `write` appends in place of `range`.
    pub fn replace_with(&mut self, range: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let text = self.text.len();
        write(&mut self.text);
        let splice = Splice {
            at: range.start,
            end: range.end.max(range.start),
            text,
            text_end: self.text.len(),
        };
        // What is put before an octet stands before what takes that octet's place, whichever was asked for first.
        let is_insertion = splice.end == splice.at;
        let stays_before =
            |s: &Splice| s.at < splice.at || s.at == splice.at && (s.end == s.at || !is_insertion);
        let place = self
            .splices
            .iter()
            .rposition(stays_before)
            .map_or(0, |i| i + 1);
        self.splices.insert(place, splice);
    }

    /// Puts `text` before the octet at `at`.
    pub fn insert(&mut self, at: usize, text: &[u8]) {
        self.replace(at..at, text);
    }

    /// Puts what `write` appends before the octet at `at`.
    pub fn insert_with(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.replace_with(at..at, write);
    }

    /// Takes `range` out.
    pub fn remove(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.replace(range, &[]);
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.splices.is_empty()
    }

    /// How many octets [`Edit::print`] yields for an original of `length` octets.
    pub fn printed_len(&self, length: usize) -> usize {
        let added = self.text.len();
        let removed: usize = self.splices.iter().map(|s| s.end - s.at).sum();
        (length + added).saturating_sub(removed)
    }

    /// The original with the changes made.
    pub fn print(&self, original: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.printed_len(original.len()));
        let mut at = 0;
        for splice in &self.splices {
            debug_assert!(splice.at >= at, "changes overlap");
            if let Some(kept) = original.get(at..splice.at) {
                out.extend_from_slice(kept);
            }
            out.extend_from_slice(&self.text[splice.text..splice.text_end]);
            at = splice.end.max(at);
        }
        out.extend_from_slice(original.get(at..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_printed_in_order_of_place_then_of_making() {
        let mut edit = Edit::new();
        edit.replace(6..11, b"there");
        edit.insert(0, b"1");
        edit.insert(0, b"2");
        edit.remove(5..6);
        assert_eq!(edit.print(b"hello world!"), b"12hellothere!");
        assert_eq!(edit.printed_len(12), 13);
        edit.clear();
        assert_eq!(edit.print(b"same"), b"same");
    }

    #[test]
    fn an_insertion_stands_before_a_removal_at_its_place() {
        let mut edit = Edit::new();
        edit.remove(2..4);
        edit.insert(2, b"1");
        edit.remove(4..5);
        edit.insert(2, b"2");
        edit.insert(4, b"3");
        assert_eq!(edit.print(b"abcdef"), b"ab123f");
    }
}
