//! Patterns of the dial plan.

use regex::Regex;

use super::Invalid;

/// A pattern for a number or a user.
///
/// Digits, letters and signs stand for themselves, `X` for a digit, `N` for 2 to 9, `Z` for 1 to 9; `.` at the end for
/// one or more of anything, `!` at the end for none or more. `/…/` is a regular expression that has to match the
/// whole. Nothing matches everything.
#[derive(Clone, Debug, Default)]
pub enum Pattern {
    /// Matches everything.
    #[default]
    Any,
    /// As described above.
    Template {
        /// What stands before the end.
        steps: Vec<Step>,
        /// What may follow.
        tail: Tail,
    },
    /// Between slashes.
    Expression(Box<Regex>),
}

/// One character of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Itself.
    Literal(char),
    /// A digit from this one on.
    Digit(char),
}

/// What may follow a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Nothing,
    /// One or more of anything.
    Some,
    /// Anything or nothing.
    Any,
}

/// A regular expression of the plan may not take more memory than this, in bytes.
const MAX_EXPRESSION: usize = 256 * 1024;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Invalid`] with `field`, when a regular expression is none or `.` and `!` stand elsewhere than at the end.
    pub fn parse(text: &str, field: &str) -> Result<Pattern, Invalid> {
        if text.is_empty() {
            return Ok(Pattern::Any);
        }
        if let Some(inner) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
            return regex::RegexBuilder::new(&format!("^(?:{inner})$"))
                .size_limit(MAX_EXPRESSION)
                .build()
                .map(|expression| Pattern::Expression(Box::new(expression)))
                .map_err(|_| {
                    Invalid::new(
                        field,
                        format!("/{inner}/ is no regular expression that can be used"),
                    )
                });
        }
        let (head, tail) = match text.chars().last() {
            Some('.') => (&text[..text.len() - 1], Tail::Some),
            Some('!') => (&text[..text.len() - 1], Tail::Any),
            _ => (text, Tail::Nothing),
        };
        // An address has dots inside: there they stand for themselves.
        if head.contains('!') || (head.contains('.') && !head.contains('@')) {
            return Err(Invalid::new(
                field,
                "\".\" and \"!\" can only stand at the end".into(),
            ));
        }
        let steps = head
            .chars()
            .map(|c| match c {
                'X' => Step::Digit('0'),
                'Z' => Step::Digit('1'),
                'N' => Step::Digit('2'),
                other => Step::Literal(other),
            })
            .collect();
        Ok(Pattern::Template { steps, tail })
    }

    /// Whether it matches all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Expression(expression) => expression.is_match(text),
            Pattern::Template { steps, tail } => {
                let mut rest = text.chars();
                let fits = steps.iter().all(|step| match (step, rest.next()) {
                    (Step::Literal(wanted), Some(c)) => *wanted == c,
                    (Step::Digit(first), Some(c)) => c.is_ascii_digit() && c >= *first,
                    (_, None) => false,
                });
                fits && match tail {
                    Tail::Nothing => rest.next().is_none(),
                    Tail::Some => rest.next().is_some(),
                    Tail::Any => true,
                }
            }
        }
    }

    /// `text` as `replacement` says, with `$1` and so on for the groups of the expression.
    pub fn replace(&self, text: &str, replacement: &str) -> Option<String> {
        match self {
            Pattern::Expression(expression) => {
                Some(expression.replace(text, replacement).into_owned())
            }
            Pattern::Any | Pattern::Template { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let matches =
            |pattern: &str, text: &str| Pattern::parse(pattern, "number").unwrap().matches(text);
        assert!(matches("", "anything"));
        assert!(matches("1XX", "100") && matches("1XX", "199"));
        assert!(!matches("1XX", "1000") && !matches("1XX", "10") && !matches("1XX", "1a0"));
        assert!(!matches("9N.", "92") && matches("9N.", "921") && !matches("9N.", "9112"));
        assert!(matches("0Z!", "01") && matches("0Z!", "012345") && !matches("0Z!", "00"));
        assert!(matches("+82.", "+8225550100") && !matches("+82.", "8225550100"));
        assert!(matches("alice@example.org", "alice@example.org"));
        assert!(matches("*8", "*8"));
    }

    #[test]
    fn expressions_match_the_whole() {
        let pattern = Pattern::parse("/0(10|2)(\\d+)/", "number").unwrap();
        assert!(pattern.matches("0101234") && !pattern.matches("90101234"));
        assert_eq!(
            pattern.replace("0101234", "+82${1}$2").as_deref(),
            Some("+82101234")
        );
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        for bad in ["/(/", "1.2", "!1", "/a{1000}{1000}/"] {
            assert_eq!(
                Pattern::parse(bad, "match.number").unwrap_err().field,
                "match.number",
                "{bad}"
            );
        }
    }
}
