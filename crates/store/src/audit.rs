//! Who changed what, and from where.

use rusqlite::{Statement, params};

use crate::database::{millis, stored_millis};
use crate::error::StoreError;
use crate::queue::Work;
use crate::store::Store;

/// One deed of somebody who administers the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; given when it is stored.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The name that was signed in with, or tried.
    pub who: String,
    /// The address that it came from.
    pub source: String,
    /// What was done, as one word such as `created`.
    pub action: String,
    /// To what, such as `account alice@example.org`.
    pub what: String,
}

/// Statement that stores an entry.
pub(crate) const WRITE: &str =
    "INSERT INTO audit (time, who, source, action, what) VALUES (?1, ?2, ?3, ?4, ?5)";

pub(crate) fn write(statement: &mut Statement<'_>, entry: &AuditEntry) -> rusqlite::Result<u64> {
    let count = statement.execute(params![
        stored_millis(entry.time),
        entry.who,
        entry.source,
        entry.action,
        entry.what,
    ])?;
    Ok(count as u64)
}

impl Store {
    /// Notes a deed; returns once it is durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.wait(Work::Audit(entry)).map(drop)
    }

    /// Reads entries, the latest first, that have `search` in one of their texts; and how many there are in all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(u64, Vec<AuditEntry>), StoreError> {
        const WHERE: &str = "?1 = '' OR instr(lower(who || ' ' || source || ' ' || action || ' ' || what), lower(?1)) > 0";
        self.read(|connection| {
            let total: i64 = connection
                .prepare(&format!("SELECT count(*) FROM audit WHERE {WHERE}"))?
                .query_one([search], |row| row.get(0))?;
            let entries = connection
                .prepare(&format!(
                    "SELECT id, time, who, source, action, what FROM audit WHERE {WHERE} \
                     ORDER BY id DESC LIMIT ?2 OFFSET ?3"
                ))?
                .query_map(
                    params![search, stored_millis(limit), stored_millis(offset)],
                    |row| {
                        Ok(AuditEntry {
                            id: row.get(0)?,
                            time: millis(row, 1)?,
                            who: row.get(2)?,
                            source: row.get(3)?,
                            action: row.get(4)?,
                            what: row.get(5)?,
                        })
                    },
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok((u64::try_from(total).unwrap_or(0), entries))
        })
    }
}
