//! XML from the network, within bounds: no document types, so no entities either.

use roxmltree::{Document, Node, ParsingOptions};

use super::BodyError;

/// The longest document that is read, in octets.
pub const MAX_DOCUMENT: usize = 65_535;
/// How deep elements may be nested.
const MAX_DEPTH: usize = 32;
/// The most nodes of a document.
const MAX_NODES: u32 = 10_000;
/// The longest text that is taken out of a document, in octets.
const MAX_TEXT: usize = 1000;

/// Reads a document whose root is `root` in `namespace`, and gives it to `read`.
pub(super) fn read<T>(
    body: &[u8],
    (namespace, root): (&str, &str),
    read: impl FnOnce(Node<'_, '_>) -> Result<T, BodyError>,
) -> Result<T, BodyError> {
    if body.len() > MAX_DOCUMENT {
        return Err(BodyError::TooLarge);
    }
    let text = core::str::from_utf8(body).map_err(|_| BodyError::Xml("not UTF-8".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !is_flat(text.as_bytes()) {
        return Err(BodyError::Xml("nested too deep".to_owned()));
    }
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|why| BodyError::Xml(why.to_string()))?;
    let element = document.root_element();
    if !is(&element, namespace, root) {
        return Err(BodyError::Foreign);
    }
    read(element)
}

pub(super) fn is(node: &Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.is_element()
        && node.tag_name().name() == name
        && node.tag_name().namespace() == Some(namespace)
}

/// The children of that name, `most` at most.
pub(super) fn children<'a, 'd: 'a>(
    node: Node<'a, 'd>,
    namespace: &'a str,
    name: &'a str,
    most: usize,
) -> impl Iterator<Item = Node<'a, 'd>> + 'a {
    node.children()
        .filter(move |n| is(n, namespace, name))
        .take(most)
}

pub(super) fn child<'a, 'd: 'a>(
    node: Node<'a, 'd>,
    namespace: &'a str,
    name: &'a str,
) -> Option<Node<'a, 'd>> {
    children(node, namespace, name, 1).next()
}

/// The text inside an element, without the white space around it; `None` when there is none.
pub(super) fn text(node: Node<'_, '_>) -> Option<String> {
    bounded(node.text()?)
}

/// An attribute without a namespace.
pub(super) fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    bounded(node.attribute(name)?)
}

fn bounded(text: &str) -> Option<String> {
    let text = text.trim();
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    (!clean.is_empty()).then_some(clean)
}

/// Writes text so that it may stand in an element or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Whether elements are not nested too deep: looked at before the parser is, whose stack it is.
fn is_flat(text: &[u8]) -> bool {
    let mut depth = 0usize;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = rest.get(at..).unwrap_or_default();
        let skip = |end: &[u8]| memchr::memmem::find(rest, end).map(|n| n + end.len());
        let next = if rest.starts_with(b"<!--") {
            skip(b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            skip(b"]]>")
        } else if rest.starts_with(b"<?") {
            skip(b"?>")
        } else {
            skip(b">")
        };
        let Some(next) = next else {
            return true;
        };
        let tag = rest.get(..next).unwrap_or_default();
        if tag.starts_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if !tag.starts_with(b"<!") && !tag.starts_with(b"<?") && !tag.ends_with(b"/>") {
            depth += 1;
            if depth > MAX_DEPTH {
                return false;
            }
        }
        rest = rest.get(next..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_without_comments() {
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(is_flat(deep(32).as_bytes()) && !is_flat(deep(33).as_bytes()));
        let wide = "<a/><b x='1'></b><!-- <a> --><![CDATA[<a>]]><?a <?>".repeat(100);
        assert!(is_flat(wide.as_bytes()));
    }

    #[test]
    fn a_greater_sign_in_a_value_only_makes_it_count_less() {
        // The parser is what decides; a bound that can be passed has to be safe for it.
        let odd = format!("<a x='{}'>", "/>".repeat(10));
        assert!(is_flat(odd.as_bytes()));
    }
}
