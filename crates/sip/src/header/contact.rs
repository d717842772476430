//! Contact (RFC 3261 §20.10).

use super::NameAddrs;
use super::cursor::trim;

/// What one Contact line holds.
#[derive(Clone, Copy, Debug)]
pub enum ContactList<'a> {
    /// `*`: all bindings, when they are to be removed (RFC 3261 §10.2.2).
    Star,
    /// Addresses.
    List(NameAddrs<'a>),
}

impl<'a> ContactList<'a> {
    /// Reads one header line.
    pub fn parse(value: &'a [u8]) -> ContactList<'a> {
        if trim(value) == b"*" {
            ContactList::Star
        } else {
            ContactList::List(super::NameAddr::parse_list(value))
        }
    }

    /// The addresses; none for `*`.
    pub fn addresses(self) -> impl Iterator<Item = <NameAddrs<'a> as Iterator>::Item> {
        match self {
            ContactList::Star => None,
            ContactList::List(list) => Some(list),
        }
        .into_iter()
        .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_alone() {
        assert!(matches!(ContactList::parse(b" *\r\n "), ContactList::Star));
        assert_eq!(ContactList::parse(b"*").addresses().count(), 0);
        let mixed: Vec<_> = ContactList::parse(b"<sip:a@b>, *").addresses().collect();
        assert!(mixed.len() == 2 && mixed[1].is_err());
    }
}
