//! What a phone remembers: calls, messages, contacts, choices – in one SQLite file of its own, `phone.db` in the user's
//! data directory, for its owner alone.
//!
//! A [`Book`] is one connection; it can be sent to another thread, and every thread or process that wants one opens its
//! own. Several may be open at once: each change is one transaction, and a reader never waits for a writer.
//!
//! ```
//! # fn main() -> Result<(), phone::book::BookError> {
//! # let dir = std::env::temp_dir().join(format!("sori-book-doc-{}", std::process::id()));
//! use phone::book::{Book, Contact};
//!
//! let mut book = Book::open(&dir)?;
//! book.add_contact(&Contact::new("김철수", "sip:cs.kim@example.org"))?;
//! assert_eq!(book.search("ㄱㅊㅅ", 10)?[0].name, "김철수");
//! # drop(book);
//! # let _ = std::fs::remove_dir_all(&dir);
//! # Ok(())
//! # }
//! ```

mod calls;
mod contacts;
mod csv;
mod error;
mod file;
mod messages;
mod search;
mod settings;
mod vcard;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use calls::{CallId, CallQuery, CallRecord, Direction, Outcome, Quality};
pub use contacts::{Contact, ContactId, address_key};
pub use csv::{CsvError, from_csv, to_csv};
pub use error::BookError;
pub use messages::{MessageId, MessageRecord, MessageState};
pub use settings::{Forward, Preferences};
pub use vcard::{VcardVersion, from_vcards, to_vcard};

/// Calls and messages are cleaned once in so many of them.
const CLEAN_EVERY: i64 = 256;

/// The phone's own file.
#[derive(Debug)]
pub struct Book {
    connection: Connection,
    path: PathBuf,
    limits: Limits,
}

/// How much is kept. The oldest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls.
    pub calls: u32,
    /// Text messages.
    pub messages: u32,
    /// Nothing older than this.
    pub age: Duration,
}

impl Default for Limits {
    /// Ten thousand calls, fifty thousand messages, three years.
    fn default() -> Limits {
        Limits {
            calls: 10_000,
            messages: 50_000,
            age: Duration::from_secs(3 * 365 * 86_400),
        }
    }
}

impl Book {
    /// Opens the file in a directory; makes both, for their owner alone, where they are missing, and brings an older
    /// file up to date.
    ///
    /// # Errors
    /// [`BookError`]: no permission, no room, a damaged file, or one of a newer release.
    pub fn open(dir: &Path) -> Result<Book, BookError> {
        Book::open_limited(dir, Limits::default())
    }

    /// [`Book::open`] with other bounds.
    ///
    /// # Errors
    /// As with [`Book::open`].
    pub fn open_limited(dir: &Path, limits: Limits) -> Result<Book, BookError> {
        let (connection, path) = file::open(dir)?;
        let book = Book {
            connection,
            path,
            limits,
        };
        book.clean(SystemTime::now())?;
        Ok(book)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what is too old, and the oldest of what is too much. It happens by itself now and then.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn clean(&self, now: SystemTime) -> Result<(), BookError> {
        let oldest = millis(now.checked_sub(self.limits.age).unwrap_or(UNIX_EPOCH));
        self.run(|connection| {
            for (table, column, most) in [
                ("call", "began", self.limits.calls),
                ("message", "at", self.limits.messages),
            ] {
                let sql = format!("DELETE FROM {table} WHERE {column} < ?1");
                connection.execute(&sql, [oldest])?;
                let sql = format!(
                    "DELETE FROM {table} WHERE id <= (SELECT id FROM {table} ORDER BY id DESC LIMIT 1 OFFSET ?1)"
                );
                connection.execute(&sql, [most])?;
            }
            Ok(())
        })
    }

    fn clean_sometimes(&self, id: i64) -> Result<(), BookError> {
        if id % CLEAN_EVERY == 0 {
            self.clean(SystemTime::now())?;
        }
        Ok(())
    }

    /// Runs statements, each for itself.
    fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, BookError> {
        work(&self.connection).map_err(|error| BookError::sqlite(&self.path, &error))
    }

    /// Runs statements that hold together.
    fn change<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, BookError> {
        // A transaction that begins as a reader and wants to write later can fail at once when another writes.
        let result = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            });
        result.map_err(|error| BookError::sqlite(&self.path, &error))
    }
}

/// Milliseconds since 1970.
fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn moment(millis: i64) -> SystemTime {
    UNIX_EPOCH + duration(millis)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Refuses a text that is too long for what it is.
fn check_length(what: &'static str, text: &str, most: usize) -> Result<(), BookError> {
    if text.len() > most {
        return Err(BookError::TooLong { what, most });
    }
    Ok(())
}
