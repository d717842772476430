//! People and how they are reached.

use rusqlite::{Connection, OptionalExtension, Row};

use super::search::Question;
use super::{Book, BookError, check_length};

/// The most contacts that are kept.
const MAX_CONTACTS: usize = 20_000;
/// The most addresses and the most groups of one.
const MAX_EACH: usize = 16;
const MAX_NAME: usize = 512;
const MAX_ADDRESS: usize = 1024;
const MAX_NOTE: usize = 16 * 1024;
/// Digits that tell one telephone number from another, wherever in the world it is dialled from.
const TELLING_DIGITS: usize = 8;

/// Names a contact of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactId(i64);

/// One person, or one desk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Its name in this file; `None` until it is kept.
    pub id: Option<ContactId>,
    /// Its name in the world (RFC 6350 §6.7.6); made up when it is empty.
    pub uid: String,
    /// What people call it.
    pub name: String,
    /// SIP URIs, addresses, or numbers, the preferred one first.
    pub addresses: Vec<String>,
    /// Groups that it belongs to.
    pub groups: Vec<String>,
    /// Whether it stands at the top.
    pub favourite: bool,
    /// What else is to be known.
    pub note: String,
}

impl Contact {
    /// Somebody with one address.
    pub fn new(name: &str, address: &str) -> Contact {
        Contact {
            name: name.to_owned(),
            addresses: vec![address.to_owned()],
            ..Contact::default()
        }
    }

    fn check(&self) -> Result<(), BookError> {
        check_length("the name of a contact", &self.name, MAX_NAME)?;
        check_length("the note of a contact", &self.note, MAX_NOTE)?;
        check_length("the UID of a contact", &self.uid, MAX_NAME)?;
        for address in &self.addresses {
            check_length("the address of a contact", address, MAX_ADDRESS)?;
        }
        for group in &self.groups {
            check_length("the name of a group", group, MAX_NAME)?;
        }
        Ok(())
    }
}

/// What is equal for all ways to write an address: `user@host` without scheme, parameters and capitals of the host; of a
/// telephone number the last eight digits, which are the same with and without country code.
pub fn address_key(address: &str) -> String {
    let address = address.trim();
    let address = match address.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => address,
    };
    let bare = match address.split_once(':') {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => rest,
        _ => address,
    };
    let bare = bare.split(['?', '>']).next().unwrap_or_default();
    let (user, host) = match bare.rsplit_once('@') {
        Some((user, host)) => (user, Some(host.split(';').next().unwrap_or_default())),
        None => (bare, None),
    };
    let user = user.split(';').next().unwrap_or_default();
    let mark = |c: &char| !matches!(c, '-' | '.' | '(' | ')' | ' ');
    let digits: String = user
        .strip_prefix('+')
        .unwrap_or(user)
        .chars()
        .filter(mark)
        .collect();
    if digits.len() >= TELLING_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) {
        let from = digits.len() - TELLING_DIGITS;
        return format!("tel:{}", digits.get(from..).unwrap_or_default());
    }
    match host {
        Some(host) => format!("{user}@{}", host.to_ascii_lowercase()),
        None => user.to_owned(),
    }
}

impl Book {
    /// Keeps a new contact.
    ///
    /// # Errors
    /// [`BookError`]; [`BookError::TooMany`] above 20,000.
    pub fn add_contact(&mut self, contact: &Contact) -> Result<ContactId, BookError> {
        contact.check()?;
        self.check_room(1)?;
        let id = self.change(|connection| insert(connection, contact))?;
        Ok(ContactId(id))
    }

    /// Changes a contact that has an `id`; one that is gone stays gone.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn update_contact(&mut self, contact: &Contact) -> Result<(), BookError> {
        contact.check()?;
        let Some(id) = contact.id else {
            return Ok(());
        };
        self.change(|connection| update(connection, id.0, contact))
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn remove_contact(&self, id: ContactId) -> Result<(), BookError> {
        self.run(|connection| {
            connection
                .execute("DELETE FROM contact WHERE id = ?1", [id.0])
                .map(drop)
        })
    }

    /// Takes contacts from elsewhere. One whose UID is known, or whose name and first address are, is changed; the others
    /// are new. Yields how many were new and how many changed.
    ///
    /// # Errors
    /// [`BookError`]; then nothing was taken.
    pub fn import_contacts(&mut self, contacts: &[Contact]) -> Result<(usize, usize), BookError> {
        for contact in contacts {
            contact.check()?;
        }
        self.check_room(contacts.len())?;
        self.change(|connection| {
            let (mut new, mut changed) = (0, 0);
            for contact in contacts {
                match same(connection, contact)? {
                    Some(id) => {
                        update(connection, id, contact)?;
                        changed += 1;
                    }
                    None => {
                        insert(connection, contact)?;
                        new += 1;
                    }
                }
            }
            Ok((new, changed))
        })
    }

    fn check_room(&self, more: usize) -> Result<(), BookError> {
        let count: i64 = self.run(|connection| {
            connection.query_one("SELECT count(*) FROM contact", [], |row| row.get(0))
        })?;
        if usize::try_from(count).unwrap_or(0) + more > MAX_CONTACTS {
            return Err(BookError::TooMany { most: MAX_CONTACTS });
        }
        Ok(())
    }

    /// One contact.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn contact(&self, id: ContactId) -> Result<Option<Contact>, BookError> {
        self.run(|connection| load(connection, id.0))
    }

    /// Contacts, favourites first, then by name; of one group, or all.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn contacts(&self, group: Option<&str>, limit: usize) -> Result<Vec<Contact>, BookError> {
        self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT id FROM contact
                 WHERE ?1 IS NULL OR id IN (SELECT contact FROM contact_group WHERE name = ?1)
                 ORDER BY favourite DESC, name COLLATE NOCASE, id LIMIT ?2",
            )?;
            let limit = i64::try_from(limit.min(MAX_CONTACTS)).unwrap_or(0);
            let ids: Vec<i64> = statement
                .query_map((group, limit), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            load_all(connection, &ids)
        })
    }

    /// The names of all groups.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn groups(&self) -> Result<Vec<String>, BookError> {
        self.run(|connection| {
            let sql = "SELECT DISTINCT name FROM contact_group ORDER BY name COLLATE NOCASE";
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Whose address this is, whichever way it is written.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn find_contact(&self, address: &str) -> Result<Option<Contact>, BookError> {
        self.run(|connection| {
            let sql = "SELECT contact FROM contact_address JOIN contact ON contact.id = contact
                       WHERE key = ?1 ORDER BY favourite DESC, contact LIMIT 1";
            let id: Option<i64> = connection
                .query_row(sql, [address_key(address)], |row| row.get(0))
                .optional()?;
            id.map_or(Ok(None), |id| load(connection, id))
        })
    }

    /// Who fits what was typed so far, the best first. Words are beginnings of words of the name, parts of a number, or
    /// the beginning of an address; Korean names are found by initial consonants too (ㄱㅊㅅ for 김철수).
    ///
    /// # Errors
    /// [`BookError`].
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<Contact>, BookError> {
        let Some(question) = Question::new(text) else {
            return Ok(Vec::new());
        };
        self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, name, favourite,
                     (SELECT group_concat(address, char(10)) FROM contact_address WHERE contact = contact.id)
                 FROM contact",
            )?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (id, name, favourite): (i64, String, bool) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                let addresses: Option<String> = row.get(3)?;
                let addresses: Vec<&str> = addresses.iter().flat_map(|a| a.lines()).collect();
                if let Some(rank) = question.rank(&name, &addresses) {
                    found.push((rank, !favourite, name, id));
                }
            }
            found.sort();
            let ids: Vec<i64> = found.iter().take(limit).map(|(_, _, _, id)| *id).collect();
            load_all(connection, &ids)
        })
    }
}

fn insert(connection: &Connection, contact: &Contact) -> rusqlite::Result<i64> {
    let uid = match contact.uid.as_str() {
        "" => made_up_uid(),
        uid => uid.to_owned(),
    };
    connection.execute(
        "INSERT INTO contact (uid, name, favourite, note) VALUES (?1, ?2, ?3, ?4)",
        (uid, &contact.name, contact.favourite, &contact.note),
    )?;
    let id = connection.last_insert_rowid();
    insert_parts(connection, id, contact)?;
    Ok(id)
}

fn update(connection: &Connection, id: i64, contact: &Contact) -> rusqlite::Result<()> {
    let changed = connection.execute(
        "UPDATE contact SET name = ?2, favourite = ?3, note = ?4 WHERE id = ?1",
        (id, &contact.name, contact.favourite, &contact.note),
    )?;
    if changed == 0 {
        return Ok(());
    }
    connection.execute("DELETE FROM contact_address WHERE contact = ?1", [id])?;
    connection.execute("DELETE FROM contact_group WHERE contact = ?1", [id])?;
    insert_parts(connection, id, contact)
}

fn insert_parts(connection: &Connection, id: i64, contact: &Contact) -> rusqlite::Result<()> {
    let mut address = connection.prepare(
        "INSERT INTO contact_address (contact, position, address, key) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let addresses = contact.addresses.iter().map(|a| a.trim());
    for (position, text) in addresses
        .filter(|a| !a.is_empty())
        .take(MAX_EACH)
        .enumerate()
    {
        let position = i64::try_from(position).unwrap_or(0);
        address.execute((id, position, text, address_key(text)))?;
    }
    let mut group = connection
        .prepare("INSERT OR IGNORE INTO contact_group (contact, name) VALUES (?1, ?2)")?;
    let groups = contact.groups.iter().map(|g| g.trim());
    for name in groups.filter(|g| !g.is_empty()).take(MAX_EACH) {
        group.execute((id, name))?;
    }
    Ok(())
}

/// The contact that an imported one is.
fn same(connection: &Connection, contact: &Contact) -> rusqlite::Result<Option<i64>> {
    if !contact.uid.is_empty() {
        let sql = "SELECT id FROM contact WHERE uid = ?1";
        let known = connection.query_row(sql, [&contact.uid], |row| row.get(0));
        if let Some(id) = known.optional()? {
            return Ok(Some(id));
        }
    }
    let key = contact
        .addresses
        .first()
        .map(|address| address_key(address));
    let sql =
        "SELECT id FROM contact JOIN contact_address ON contact = id WHERE name = ?1 AND key = ?2";
    connection
        .query_row(sql, (&contact.name, key), |row| row.get(0))
        .optional()
}

fn load_all(connection: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<Contact>> {
    ids.iter()
        .filter_map(|id| load(connection, *id).transpose())
        .collect()
}

fn load(connection: &Connection, id: i64) -> rusqlite::Result<Option<Contact>> {
    let read = |row: &Row<'_>| {
        Ok(Contact {
            id: Some(ContactId(id)),
            uid: row.get(0)?,
            name: row.get(1)?,
            favourite: row.get(2)?,
            note: row.get(3)?,
            ..Contact::default()
        })
    };
    let sql = "SELECT uid, name, favourite, note FROM contact WHERE id = ?1";
    let Some(mut contact) = connection.query_row(sql, [id], read).optional()? else {
        return Ok(None);
    };
    let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(sql)?;
        statement.query_map([id], |row| row.get(0))?.collect()
    };
    contact.addresses =
        texts("SELECT address FROM contact_address WHERE contact = ?1 ORDER BY position")?;
    contact.groups = texts("SELECT name FROM contact_group WHERE contact = ?1 ORDER BY name")?;
    Ok(Some(contact))
}

/// A random UUID (RFC 9562 §5.4).
fn made_up_uid() -> String {
    let mut octets = [0_u8; 16];
    // Without randomness the clock does: it has to be new for this file alone.
    if getrandom::fill(&mut octets).is_err() {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        octets = now.as_nanos().to_be_bytes();
    }
    let number = u128::from_be_bytes(octets) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default().to_owned();
    let parts = [
        part(0..8),
        part(8..12),
        part(12..16),
        part(16..20),
        part(20..32),
    ];
    format!("urn:uuid:{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_written_in_many_ways_has_one_key() {
        for same in [
            &[
                "sip:alice@Example.org",
                "alice@example.org",
                "<sip:alice@example.org;transport=tcp>",
                "\"A\" <sips:alice@example.org?x=y>",
            ][..],
            &[
                "+82-10-1234-5678",
                "01012345678",
                "tel:+82-10-1234-5678",
                "sip:+821012345678@gw;user=phone",
                "010.1234.5678",
            ],
            &[
                "4711@example.org",
                "sip:4711@EXAMPLE.ORG:5060;x"
                    .strip_suffix(":5060;x")
                    .unwrap_or_default(),
            ],
        ] {
            for other in same {
                assert_eq!(address_key(other), address_key(same[0]), "{other}");
            }
        }
        for (a, b) in [
            ("4711@a", "4711@b"),
            ("Alice@h", "alice@h"),
            ("01012345678", "01012345679"),
            ("100", "101"),
        ] {
            assert_ne!(address_key(a), address_key(b));
        }
        assert_eq!(address_key(""), "");
    }

    #[test]
    fn a_made_up_uid_is_a_uuid() {
        let uid = made_up_uid();
        assert_eq!((uid.len(), uid.as_bytes()[23]), (45, b'4'), "{uid}");
        assert!(
            matches!(uid.as_bytes()[28], b'8' | b'9' | b'a' | b'b'),
            "{uid}"
        );
        assert_ne!(uid, made_up_uid());
    }
}
