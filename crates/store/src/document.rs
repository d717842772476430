//! Documents: what an administrator sets up (rules, trunks, groups …), each a text that its owner understands.

use rusqlite::{Connection, Statement, params};

use crate::database::{millis, stored_millis};
use crate::error::StoreError;
use crate::queue::Work;
use crate::store::Store;

/// One thing that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name among those of its kind.
    pub key: String,
    /// Its place among those of its kind, where order matters.
    pub position: u32,
    /// What it says; JSON by custom.
    pub body: String,
    /// When it was last written, in milliseconds since 1970.
    pub changed: u64,
}

/// A change to the documents of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// Stores a document in place of the one of that name.
    Put {
        /// What kind of thing it is, such as `trunk`.
        kind: &'static str,
        /// The document.
        document: Document,
    },
    /// Removes one, if it is there.
    Remove {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        key: String,
    },
    /// Removes all of a kind.
    Clear {
        /// The kind.
        kind: &'static str,
    },
}

impl Store {
    /// Makes changes to documents, all or none, in the order given. Returns how many documents were touched.
    ///
    /// # Errors
    /// When the changes cannot be written.
    pub fn change_documents(&self, changes: Vec<DocumentChange>) -> Result<u64, StoreError> {
        self.wait(Work::Documents(changes))
    }

    /// Reads all documents of a kind, by position and name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn documents(&self, kind: &str) -> Result<Vec<Document>, StoreError> {
        self.read(|connection| read_all(connection, kind))
    }
}

/// The writer's prepared statements.
pub(crate) struct DocumentStatements<'c> {
    put: Statement<'c>,
    remove: Statement<'c>,
    clear: Statement<'c>,
}

impl<'c> DocumentStatements<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            put: connection.prepare(
                "INSERT OR REPLACE INTO document (kind, key, position, body, changed) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            remove: connection.prepare("DELETE FROM document WHERE kind = ?1 AND key = ?2")?,
            clear: connection.prepare("DELETE FROM document WHERE kind = ?1")?,
        })
    }

    pub(crate) fn apply(&mut self, changes: &[DocumentChange]) -> rusqlite::Result<u64> {
        let mut touched = 0;
        for change in changes {
            touched += match change {
                DocumentChange::Put { kind, document } => self.put.execute(params![
                    kind,
                    document.key,
                    document.position,
                    document.body,
                    stored_millis(document.changed),
                ])?,
                DocumentChange::Remove { kind, key } => self.remove.execute([*kind, key])?,
                DocumentChange::Clear { kind } => self.clear.execute([*kind])?,
            };
        }
        Ok(touched as u64)
    }
}

fn read_all(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<Document>> {
    connection
        .prepare("SELECT key, position, body, changed FROM document WHERE kind = ?1 ORDER BY position, key")?
        .query_map([kind], |row| {
            Ok(Document {
                key: row.get(0)?,
                position: row.get(1)?,
                body: row.get(2)?,
                changed: millis(row, 3)?,
            })
        })?
        .collect()
}
