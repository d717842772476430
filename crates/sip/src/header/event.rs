//! Event (RFC 6665 §8.2.1).

use super::cursor::Cursor;
use super::list::only;
use super::{Params, ParseError};

/// The event package of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The package with its templates, `presence.winfo` for example; compares with case.
    pub package: &'a [u8],
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Event<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Result<Event<'a>, ParseError> {
        only(value, take)
    }

    /// Tells subscriptions to one package within a dialog apart.
    pub fn id(&self) -> Option<&'a [u8]> {
        self.params.value(b"id").flatten()
    }

    /// Whether a NOTIFY with this value belongs to a subscription with the other (RFC 6665 §8.2.1):
    /// same package, same id.
    pub fn matches(&self, other: &Event<'_>) -> bool {
        self.package == other.package && self.id() == other.id()
    }
}

fn take<'a>(cursor: &mut Cursor<'a>) -> Result<Event<'a>, ParseError> {
    Ok(Event {
        package: cursor.token("Event without a package")?,
        params: Params::take(cursor, |_| {})?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_and_id() {
        let event = |text: &'static str| Event::parse(text.as_bytes()).unwrap();
        assert_eq!(event(" presence.winfo ").package, b"presence.winfo");
        assert_eq!(event("refer;id=93809824").id(), Some(&b"93809824"[..]));
        assert!(event("a;id=1").matches(&event("a;x=y;ID=1")));
        assert!(!event("a;id=1").matches(&event("a")));
        assert!(Event::parse(b"a, b").is_err() && Event::parse(b"").is_err());
    }
}
