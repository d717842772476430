//! From octets to a profile, or to all that is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use roxmltree::{Node, ParsingOptions};

use super::profile::Profile;
use super::{linphone, schema};

/// The largest document that is read.
pub const MAX_OCTETS: usize = 256 * 1024;
/// The most elements, texts and comments.
const MAX_NODES: u32 = 20_000;
/// The most attributes of an element, roughly: the parser compares each with each.
const MAX_ATTRIBUTES: usize = 500;
/// Complaints that are kept.
const MAX_PROBLEMS: usize = 100;
/// The longest value, in octets.
const MAX_VALUE: usize = 4096;

/// A document that can be used.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub profile: Profile,
    /// What in it was passed over.
    pub warnings: Vec<Problem>,
}

/// Something in a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// What it is, for a person.
    pub message: String,
}

impl Document {
    /// Reads a document: ours, or Linphone's.
    ///
    /// # Errors
    /// Every value that is wrong, in the order of the document. Elements that are not known are warnings only.
    pub fn parse(octets: &[u8]) -> Result<Document, Vec<Problem>> {
        let text = decode(octets)?;
        if let Some(line) = crowded(text) {
            let message = format!("there are more than {MAX_ATTRIBUTES} attributes in one element");
            return Err(vec![Problem {
                line,
                column: 1,
                message,
            }]);
        }
        let options = ParsingOptions {
            // No entities but the five of XML: nothing grows, nothing is fetched.
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let tree = roxmltree::Document::parse_with_options(text, options)
            .map_err(|error| vec![malformed(text, &error)])?;
        let mut reader = Reader::new(&tree);
        let root = tree.root_element();
        let profile = match root.tag_name().name() {
            "sori" => schema::read(&mut reader, root),
            "config" => linphone::read(&mut reader, root),
            other => {
                let message = format!(
                    "<{other}> is no document for a phone: it has to be <sori version=\"1\">, or Linphone's <config>"
                );
                reader.error(root, message);
                Profile::default()
            }
        };
        reader.finish(profile)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Walks the elements of a document and collects what is wrong with them.
pub(super) struct Reader<'t, 'd> {
    tree: &'t roxmltree::Document<'d>,
    /// Where each line begins: the tree would count them from the start for each question.
    lines: Vec<usize>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'t, 'd> Reader<'t, 'd> {
    fn new(tree: &'t roxmltree::Document<'d>) -> Reader<'t, 'd> {
        Reader {
            tree,
            lines: std::iter::once(0)
                .chain(tree.input_text().match_indices('\n').map(|(at, _)| at + 1))
                .collect(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn finish(self, profile: Profile) -> Result<Document, Vec<Problem>> {
        if self.errors.is_empty() {
            Ok(Document {
                profile,
                warnings: self.warnings,
            })
        } else {
            Err(self.errors)
        }
    }

    /// Something is wrong, and the document cannot be used.
    pub(super) fn error(&mut self, node: Node<'_, '_>, message: impl Into<String>) {
        if self.errors.len() < MAX_PROBLEMS {
            let problem = self.problem(node, message.into());
            self.errors.push(problem);
        }
    }

    /// Something is passed over.
    pub(super) fn warn(&mut self, node: Node<'_, '_>, message: impl Into<String>) {
        if self.warnings.len() < MAX_PROBLEMS {
            let problem = self.problem(node, message.into());
            self.warnings.push(problem);
        }
    }

    fn problem(&self, node: Node<'_, '_>, message: String) -> Problem {
        let at = node.range().start;
        let line = self.line(node);
        let begin = self.lines.get(line as usize - 1).copied().unwrap_or(0);
        let before = self.tree.input_text().get(begin..at).unwrap_or_default();
        Problem {
            line,
            column: u32::try_from(before.chars().count()).unwrap_or(u32::MAX) + 1,
            message,
        }
    }

    /// The line in which a node begins, counted from 1.
    fn line(&self, node: Node<'_, '_>) -> u32 {
        let at = node.range().start;
        let line = self.lines.partition_point(|begin| *begin <= at);
        u32::try_from(line.max(1)).unwrap_or(u32::MAX)
    }

    /// Gives each child element to `take`, which says whether it knows it. Whatever does not stand in `many` may be
    /// there once.
    pub(super) fn children(
        &mut self,
        parent: Node<'t, 'd>,
        many: &[&str],
        mut take: impl FnMut(&mut Self, &str, Node<'t, 'd>) -> bool,
    ) {
        let place = parent.tag_name().name();
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        for child in parent.children() {
            if child.is_text() && !child.text().unwrap_or_default().trim().is_empty() {
                let message = format!("there is text between the elements of <{place}>");
                self.error(child, message);
            }
            if !child.is_element() {
                continue;
            }
            let name = child.tag_name().name();
            if let Some(first) = seen.get(name) {
                let message = format!("<{name}> stands here a second time, first in line {first}");
                self.error(child, message);
            } else if !take(self, name, child) {
                let message = format!("<{name}> is not known in <{place}> and passed over");
                self.warn(child, message);
            } else if !many.contains(&name) {
                seen.insert(name, self.line(child));
            }
        }
    }

    /// The text of an element that holds nothing but text.
    pub(super) fn text(&mut self, node: Node<'_, '_>) -> Option<String> {
        let name = node.tag_name().name();
        if let Some(inner) = node.children().find(Node::is_element) {
            let inner = inner.tag_name().name();
            self.error(node, format!("<{name}> takes text, and no <{inner}>"));
            return None;
        }
        // A comment may stand in the middle.
        let parts: String = node
            .children()
            .filter_map(|part| part.is_text().then(|| part.text())?)
            .collect();
        let text = parts.trim();
        if text.is_empty() {
            self.error(node, format!("<{name}> is empty"));
            return None;
        }
        if text.len() > MAX_VALUE {
            self.error(node, format!("<{name}> is longer than {MAX_VALUE} octets"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.error(node, format!("<{name}> has to stand in one line"));
            return None;
        }
        Some(text.to_owned())
    }

    /// Text that `parse` makes something of; it says what is wrong, beginning with "it has to".
    pub(super) fn value<T>(
        &mut self,
        node: Node<'_, '_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(node)?;
        let name = node.tag_name().name();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.error(node, format!("<{name}>{}</{name}>: {why}", shown(&text)));
                None
            }
        }
    }

    /// `yes` or `no`.
    pub(super) fn switch(&mut self, node: Node<'_, '_>) -> Option<bool> {
        self.value(node, switch)
    }

    /// A whole number in a range.
    pub(super) fn number(&mut self, node: Node<'_, '_>, range: RangeInclusive<u32>) -> Option<u32> {
        self.value(node, |text| number(text, range))
    }
}

/// `yes` or `no`, and what others write for them.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "1" => Ok(true),
        "no" | "off" | "false" | "0" => Ok(false),
        _ => Err("it has to be yes or no".to_owned()),
    }
}

/// A whole number in a range.
pub(super) fn number(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "it has to be a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// A value in a message: whole if it is short.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn decode(octets: &[u8]) -> Result<&str, Vec<Problem>> {
    let alone = |line, message: String| {
        vec![Problem {
            line,
            column: 1,
            message,
        }]
    };
    if octets.len() > MAX_OCTETS {
        let message = format!("the document is larger than {} KiB", MAX_OCTETS / 1024);
        return Err(alone(1, message));
    }
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    std::str::from_utf8(octets).map_err(|error| {
        let before = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let message = "the document has to be UTF-8, and these octets are not".to_owned();
        alone(u32::try_from(line).unwrap_or(u32::MAX), message)
    })
}

/// The line of an element with more attributes than any has that is meant well.
fn crowded(text: &str) -> Option<u32> {
    let mut line = 1;
    for part in text.split('<') {
        if part.matches('=').count() > MAX_ATTRIBUTES {
            return Some(line);
        }
        line += u32::try_from(part.matches('\n').count()).unwrap_or(0);
    }
    None
}

fn malformed(text: &str, error: &roxmltree::Error) -> Problem {
    use roxmltree::Error;
    let at = error.pos();
    let end = u32::try_from(text.lines().count().max(1)).unwrap_or(u32::MAX);
    let line_of = |wanted: &str| {
        let before = text
            .find(wanted)
            .and_then(|at| text.get(..at))
            .unwrap_or_default();
        u32::try_from(before.matches('\n').count()).unwrap_or(0) + 1
    };
    let (line, message) = match error {
        Error::DtdDetected => (
            line_of("<!DOCTYPE"),
            "a document type (<!DOCTYPE) is not taken: it could make the document grow without end"
                .to_owned(),
        ),
        Error::NodesLimitReached
        | Error::AttributesLimitReached
        | Error::NamespacesLimitReached => (
            1,
            format!("the document has more than {MAX_NODES} elements, texts and comments"),
        ),
        Error::UnclosedRootNode => (
            end,
            "it breaks off: the first element is never closed".to_owned(),
        ),
        Error::NoRootNode => (1, "there is nothing in it".to_owned()),
        Error::UnexpectedCloseTag(expected, found, _) => (
            at.row,
            format!(
                "</{}> closes what <{}> opened",
                shown(found),
                shown(expected)
            ),
        ),
        _ if !text.trim_start().starts_with('<') => (1, "this is no XML".to_owned()),
        other => {
            // The position stands in front already.
            let text = other.to_string();
            let bare = text
                .rsplit_once(" at ")
                .map_or(text.as_str(), |(bare, _)| bare);
            (
                at.row,
                format!("this is no well-formed XML: {}", shown(bare)),
            )
        }
    };
    Problem {
        line,
        column: at.col,
        message,
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
