//! Carrying the write-ahead log over into the database, without making those wait who need a commit.
//!
//! SQLite would do this inside the commit that fills the log, and every REGISTER would wait for megabytes of scattered
//! writes. Here a thread of its own does the bulk while commits go on, and the writer only carries over the few pages
//! added meanwhile, after which the log starts again from its beginning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::database;
use crate::error::StoreError;

/// Pages in the log at which a checkpoint begins: 16 MiB, which are also read again after a crash.
const THRESHOLD: u32 = 4096;

/// Decides when to checkpoint; belongs to the writer.
pub(crate) struct Checkpointer {
    path: PathBuf,
    log_pages: Arc<AtomicU32>,
    begin_at: u32,
    bulk: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Watches the length of the log that this connection's commits leave behind.
    pub(crate) fn watching(connection: &mut Connection, path: &Path) -> rusqlite::Result<Self> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&log_pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            path: path.to_path_buf(),
            log_pages,
            begin_at: THRESHOLD,
            bulk: None,
        })
    }

    /// To be called by the writer between transactions.
    pub(crate) fn after_commit(&mut self, connection: &Connection) {
        match self.bulk.take() {
            Some(bulk) if bulk.is_finished() => {
                let _ = bulk.join();
                self.carry_over_rest(connection);
            }
            Some(bulk) => self.bulk = Some(bulk),
            None if self.log_pages.load(Ordering::Relaxed) >= self.begin_at => {
                self.begin(connection)
            }
            None => {}
        }
    }

    fn begin(&mut self, connection: &Connection) {
        let path = self.path.clone();
        let bulk = move || {
            // A failure here shows again, and is handled, when the writer carries over the rest.
            let _ = database::connect(&path).and_then(|connection| {
                connection
                    .pragma_update(None, "synchronous", "FULL")
                    .map_err(|e| StoreError::sqlite(&path, &e))?;
                checkpoint(&connection).map_err(|e| StoreError::sqlite(&path, &e))
            });
        };
        match thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(bulk)
        {
            Ok(bulk) => self.bulk = Some(bulk),
            Err(_) => self.carry_over_rest(connection),
        }
    }

    fn carry_over_rest(&mut self, connection: &Connection) {
        self.begin_at = match checkpoint(connection) {
            Ok((log, carried)) if log == carried => THRESHOLD,
            // A long read keeps the log in use, or the disk is full: the log grows, nothing is lost, and it is tried
            // again later.
            _ => self
                .log_pages
                .load(Ordering::Relaxed)
                .saturating_add(THRESHOLD),
        };
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        if let Some(bulk) = self.bulk.take() {
            let _ = bulk.join();
        }
    }
}

/// Carries over what no reader holds back. Returns the pages in the log and how many of them are carried over.
fn checkpoint(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok((row.get(1)?, row.get(2)?))
    })
}
