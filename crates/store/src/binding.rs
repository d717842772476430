//! Bindings: where the phones of an address of record can be reached (RFC 3261 §10.3).

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use crate::database::{millis, stored_millis};

/// One contact registered for one address of record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The address of record in canonical form (RFC 3261 §10.3 step 5).
    pub aor: String,
    /// The contact URI as registered.
    pub contact: String,
    /// What two contacts are compared by; one binding exists for each address of record and key.
    pub contact_key: String,
    /// Call-ID of the REGISTER that last changed the binding.
    pub call_id: String,
    /// CSeq number of that REGISTER.
    pub cseq: u32,
    /// Preference in thousandths, 0 to 1000.
    pub q: u16,
    /// When the binding ends, in milliseconds since 1970.
    pub expires_at: u64,
    /// Values of the Path header fields, topmost first (RFC 3327).
    pub path: Vec<String>,
    /// The flow on which the REGISTER came, as the network layer writes it (RFC 5626).
    pub received: String,
    /// The `+sip.instance` parameter (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// The `reg-id` parameter (RFC 5626 §4.2).
    pub reg_id: Option<u32>,
    /// The User-Agent header field.
    pub user_agent: Option<String>,
    /// When the phone last registered, in milliseconds since 1970.
    pub registered_at: u64,
    /// The remaining Contact parameters, as registered.
    pub params: String,
}

/// One step of a REGISTER. The steps given to one [`Store::apply`](crate::Store::apply) happen all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingChange {
    /// Stores a binding, in place of the one with the same address of record and contact key.
    Put(Binding),
    /// Removes one binding, if it exists.
    Remove {
        /// The address of record.
        aor: String,
        /// The contact's key.
        contact_key: String,
    },
    /// Removes every binding of an address of record.
    RemoveAll {
        /// The address of record.
        aor: String,
    },
}

/// How many bindings one step of a purge visits before others get their turn.
const SWEEP: u32 = 1000;

/// The writer's prepared statements on bindings.
pub(crate) struct BindingStatements<'c> {
    put: Statement<'c>,
    remove: Statement<'c>,
    remove_all: Statement<'c>,
    sweep_end: Statement<'c>,
    sweep: Statement<'c>,
    sweep_rest: Statement<'c>,
}

impl<'c> BindingStatements<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put: connection.prepare(
                "INSERT OR REPLACE INTO binding (aor, contact_key, expires_at, registered_at, cseq, q, call_id, contact, \
                 received, path, instance, reg_id, user_agent, params) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?,
            remove: connection.prepare("DELETE FROM binding WHERE aor = ?1 AND contact_key = ?2")?,
            remove_all: connection.prepare("DELETE FROM binding WHERE aor = ?1")?,
            sweep_end: connection
                .prepare("SELECT aor FROM binding WHERE aor > ?1 ORDER BY aor LIMIT 1 OFFSET ?2")?,
            sweep: connection.prepare("DELETE FROM binding WHERE aor > ?1 AND aor <= ?2 AND expires_at <= ?3")?,
            sweep_rest: connection.prepare("DELETE FROM binding WHERE aor > ?1 AND expires_at <= ?2")?,
        })
    }

    /// Makes one change. Returns how many bindings it touched.
    pub(crate) fn apply(&mut self, change: &BindingChange) -> rusqlite::Result<u64> {
        let rows = match change {
            BindingChange::Put(binding) => self.put(binding)?,
            BindingChange::Remove { aor, contact_key } => {
                self.remove.execute([aor, contact_key])?
            }
            BindingChange::RemoveAll { aor } => self.remove_all.execute([aor])?,
        };
        Ok(rows as u64)
    }

    /// Removes what has expired at `now` among the next thousand bindings after the address of record `after`.
    /// Returns how many were removed, and where the next step goes on.
    ///
    /// There is no index by time because each refresh would have to move its entry.
    pub(crate) fn sweep(
        &mut self,
        now: u64,
        after: &str,
    ) -> rusqlite::Result<(u64, Option<String>)> {
        let now = stored_millis(now);
        let end: Option<String> = self
            .sweep_end
            .query_one(params![after, SWEEP - 1], |row| row.get(0))
            .optional()?;
        let rows = match &end {
            Some(end) => self.sweep.execute(params![after, end, now])?,
            None => self.sweep_rest.execute(params![after, now])?,
        };
        Ok((rows as u64, end))
    }

    fn put(&mut self, binding: &Binding) -> rusqlite::Result<usize> {
        let path = (!binding.path.is_empty()).then(|| join_lines(&binding.path));
        self.put.execute(params![
            binding.aor,
            binding.contact_key,
            stored_millis(binding.expires_at),
            stored_millis(binding.registered_at),
            binding.cseq,
            binding.q,
            binding.call_id,
            binding.contact,
            binding.received,
            path,
            binding.instance,
            binding.reg_id,
            binding.user_agent,
            binding.params,
        ])
    }
}

/// Gives every binding that has not expired at `now` to `each`, ordered by address of record.
pub(crate) fn read_each(
    connection: &Connection,
    now: u64,
    mut each: impl FnMut(Binding),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT aor, contact_key, expires_at, registered_at, cseq, q, call_id, contact, received, path, instance, \
         reg_id, user_agent, params FROM binding WHERE expires_at > ?1 ORDER BY aor, contact_key",
    )?;
    let mut rows = statement.query([stored_millis(now)])?;
    while let Some(row) = rows.next()? {
        each(from_row(row)?);
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Binding> {
    let path = row
        .get_ref(9)?
        .as_str_or_null()?
        .map(split_lines)
        .unwrap_or_default();
    Ok(Binding {
        aor: row.get(0)?,
        contact_key: row.get(1)?,
        expires_at: millis(row, 2)?,
        registered_at: millis(row, 3)?,
        cseq: row.get(4)?,
        q: row.get(5)?,
        call_id: row.get(6)?,
        contact: row.get(7)?,
        received: row.get(8)?,
        path,
        instance: row.get(10)?,
        reg_id: row.get(11)?,
        user_agent: row.get(12)?,
        params: row.get(13)?,
    })
}

/// Writes values one a line. A header field value holds no line feed, but the store does not depend on that.
fn join_lines(values: &[String]) -> String {
    let mut text = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
    }
    text
}

fn split_lines(text: &str) -> Vec<String> {
    text.split('\n').map(unescaped).collect()
}

fn unescaped(line: &str) -> String {
    let mut value = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_whatever_they_hold() {
        let cases: [&[&str]; 6] = [
            &["<sip:p1.example.org;lr>", "<sip:p2.example.org;lr>"],
            &[""],
            &["", ""],
            &["a\nb", "c\\nd", "\\"],
            &["\\\\n", "\n\n", "소리"],
            &["\r\n"],
        ];
        for case in cases {
            let values: Vec<String> = case.iter().map(|value| (*value).to_owned()).collect();
            let text = join_lines(&values);
            assert_eq!(text.split('\n').count(), values.len());
            assert_eq!(split_lines(&text), values);
        }
    }
}
