//! What can go wrong between a phone and its file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the book. Its text says what happened, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BookError {
    /// The file was written by a later release.
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or another program's.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the engine found.
        detail: String,
    },
    /// Another process held the file for too long.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full, or it or the permissions do not let us.
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// A text that is longer than it may be.
    TooLong {
        /// What it is.
        what: &'static str,
        /// Octets that are taken.
        most: usize,
    },
    /// More contacts than are kept.
    TooMany {
        /// How many are.
        most: usize,
    },
}

impl BookError {
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> BookError {
        let path = path.to_path_buf();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => BookError::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                BookError::Damaged { path, detail }
            }
            _ => BookError::Disk { path, detail },
        }
    }

    pub(super) fn io(path: &Path, error: &io::Error) -> BookError {
        BookError::Disk {
            path: path.to_path_buf(),
            detail: error.to_string(),
        }
    }
}

impl fmt::Display for BookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BookError::Newer { path } => write!(
                f,
                "{} was written by a newer sori; use that one, or another data directory (SORI_DATA)",
                path.display()
            ),
            BookError::Damaged { path, detail } => write!(
                f,
                "{} is damaged or no file of this phone ({detail}); move it away to start with an empty one",
                path.display()
            ),
            BookError::Locked { path } => write!(
                f,
                "another process has kept {} locked for too long; nothing was changed",
                path.display()
            ),
            BookError::Disk { path, detail } => write!(
                f,
                "cannot use {}: {detail}; check its permissions and the room on the disk",
                path.display()
            ),
            BookError::TooLong { what, most } => {
                write!(f, "{what} is longer than {most} octets; it was not kept")
            }
            BookError::TooMany { most } => {
                write!(f, "there are {most} contacts already, more are not kept")
            }
        }
    }
}

impl std::error::Error for BookError {}
