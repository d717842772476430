//! One JSON object a line.

use std::fmt::Write as _;

/// An object as it is written; members stand in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Object(String);

impl Object {
    /// An object without members.
    pub fn new() -> Object {
        Object("{".to_owned())
    }

    /// Adds a text.
    pub fn text(mut self, name: &str, value: &str) -> Object {
        self.name(name);
        push_text(&mut self.0, value);
        self
    }

    /// Adds a text when there is one.
    pub fn text_if(self, name: &str, value: Option<&str>) -> Object {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a whole number.
    pub fn number(mut self, name: &str, value: u64) -> Object {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a whole number when there is one.
    pub fn number_if(self, name: &str, value: Option<u64>) -> Object {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    /// Adds a number with three decimals.
    pub fn decimal(mut self, name: &str, value: f64) -> Object {
        self.name(name);
        let value = if value.is_finite() { value } else { 0.0 };
        let _ = write!(self.0, "{value:.3}");
        self
    }

    /// Adds true or false.
    pub fn flag(mut self, name: &str, value: bool) -> Object {
        self.name(name);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// Adds a list of texts.
    pub fn list(mut self, name: &str, values: &[String]) -> Object {
        self.name(name);
        self.0.push('[');
        for (n, value) in values.iter().enumerate() {
            if n > 0 {
                self.0.push(',');
            }
            push_text(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    /// The value of the first member, where that is a text without anything escaped: the name of an event.
    pub fn first_text(&self) -> &str {
        self.0.split('"').nth(3).unwrap_or_default()
    }

    /// The whole object on one line, with the line's end.
    pub fn line(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_text(&mut self.0, name);
        self.0.push(':');
    }
}

/// RFC 8259 §7; control characters of terminals are escaped too, since lines are looked at there.
fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_in_order_and_escaped() {
        let line = Object::new()
            .text("event", "a\"b\\c\n\u{1b}[0m\u{9b}é☎")
            .number("n", 7)
            .decimal("d", 1.23456)
            .decimal("nan", f64::NAN)
            .flag("f", true)
            .list("l", &["x".to_owned(), "\t".to_owned()])
            .text_if("none", None)
            .number_if("some", Some(1))
            .line();
        assert_eq!(
            line,
            "{\"event\":\"a\\\"b\\\\c\\n\\u001b[0m\\u009bé☎\",\"n\":7,\"d\":1.235,\"nan\":0.000,\"f\":true,\
             \"l\":[\"x\",\"\\t\"],\"some\":1}\n"
        );
        assert_eq!(Object::new().line(), "{}\n");
    }
}
