//! Settings: names and values that outlive the process.

use rusqlite::{Connection, OptionalExtension};

/// The domain that a name without one belongs to.
pub(crate) const DEFAULT_DOMAIN: &str = "default_domain";

/// Statement that stores a value under a name.
pub(crate) const WRITE: &str =
    "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";

/// Reads the value stored under a name.
pub(crate) fn read(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare("SELECT value FROM setting WHERE name = ?1")?
        .query_one([name], |row| row.get(0))
        .optional()
}
