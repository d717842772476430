//! What can go wrong between sori and its disk, said so that a person knows what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A failure of the store. Its text says what happened, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The file was written by a later release, which may mean things by it that this one does not know.
    NewerVersion {
        /// The database file.
        path: PathBuf,
        /// Version of the layout found in the file.
        found: i64,
        /// Latest version of the layout that this program knows.
        known: i64,
    },
    /// The file is damaged, is no database, or is the database of another program.
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What the database engine found.
        detail: String,
    },
    /// No room is left on the disk.
    Full {
        /// The database file.
        path: PathBuf,
    },
    /// Another process held the database for longer than we wait.
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// This process may not create, read or write the file.
    Permission {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The data directory cannot be used: its path leads through or to something that is no directory.
    Directory {
        /// The path that was given.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The disk or its file system failed.
    Device {
        /// The file concerned.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// More changes wait for the disk than the queue holds; this one was not taken.
    QueueFull {
        /// How many operations the queue holds.
        capacity: usize,
    },
    /// The store was closed before this change was written.
    Closed,
    /// Another server works on the same data directory.
    AlreadyServed {
        /// The data directory.
        dir: PathBuf,
        /// Process number of the other server, where it could be read.
        pid: Option<u32>,
    },
    /// A record that cannot be stored.
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// Any other answer of the database engine: a fault in sori.
    Internal {
        /// The database file.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Disk, file system, permissions, or another process.
    Environment,
    /// More was asked for at once than the disk can take.
    Overload,
    /// The caller asked for something impossible.
    Misuse,
    /// sori itself.
    Defect,
}

impl StoreError {
    /// Whose fault it is.
    pub fn culprit(&self) -> Culprit {
        match self {
            Self::NewerVersion { .. }
            | Self::Corrupt { .. }
            | Self::Full { .. }
            | Self::Locked { .. }
            | Self::Permission { .. }
            | Self::Directory { .. }
            | Self::Device { .. }
            | Self::AlreadyServed { .. } => Culprit::Environment,
            Self::QueueFull { .. } => Culprit::Overload,
            Self::Closed | Self::Invalid { .. } => Culprit::Misuse,
            Self::Internal { .. } => Culprit::Defect,
        }
    }

    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path, detail }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::Permission { path, detail }
            }
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport,
            ) => Self::Device { path, detail },
            _ => Self::Internal { path, detail },
        }
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let path = path.to_path_buf();
        let detail = error.to_string();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full { path },
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Permission { path, detail },
            Kind::NotADirectory | Kind::AlreadyExists | Kind::IsADirectory | Kind::NotFound => {
                Self::Directory { path, detail }
            }
            _ => Self::Device { path, detail },
        }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Self {
        Self::Invalid {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerVersion { path, found, known } => write!(
                f,
                "{} was written by a newer sori (its layout has version {found}, this program knows up to {known}); \
                 use the newer program, or another data directory",
                path.display()
            ),
            Self::Corrupt { path, detail } => write!(
                f,
                "{} is damaged or no database of sori ({detail}); put a backup in its place, \
                 or move it away to start with an empty one",
                path.display()
            ),
            Self::Full { path } => write!(
                f,
                "no room is left on the disk for {}; nothing was changed: free some space and try again",
                path.display()
            ),
            Self::Locked { path } => write!(
                f,
                "another process has kept {} locked for too long; nothing was changed: \
                 find it (for example with fuser), end it and try again",
                path.display()
            ),
            Self::Permission { path, detail } => write!(
                f,
                "no permission to read and write {} ({detail}); run sori as the user who owns it, \
                 correct its permissions, or choose another data directory",
                path.display()
            ),
            Self::Directory { path, detail } => write!(
                f,
                "{} cannot be used as data directory ({detail}); name a directory that exists or can be created",
                path.display()
            ),
            Self::Device { path, detail } => write!(
                f,
                "the disk failed under {} ({detail}); look at the system's log and check the disk",
                path.display()
            ),
            Self::QueueFull { capacity } => write!(
                f,
                "{capacity} changes already wait for the disk, so this one was not taken; \
                 try again shortly, and use a faster disk if this happens often"
            ),
            Self::Closed => f.write_str(
                "the store was closed before this change was written; nothing was changed",
            ),
            Self::AlreadyServed { dir, pid } => {
                write!(
                    f,
                    "another server already works on the data directory {}",
                    dir.display()
                )?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                f.write_str("; stop it first, or give this one a data directory of its own")
            }
            Self::Invalid { reason } => write!(f, "this cannot be stored: {reason}"),
            Self::Internal { path, detail } => write!(
                f,
                "unexpected answer from the database {} ({detail}); this is a fault in sori, please report it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn answered(code: i32) -> StoreError {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        StoreError::sqlite(Path::new("/data/sori.db"), &error)
    }

    #[test]
    fn answers_of_the_engine_name_their_culprit() {
        let cases = [
            (ffi::SQLITE_FULL, "no room is left", Culprit::Environment),
            (ffi::SQLITE_BUSY, "locked", Culprit::Environment),
            (ffi::SQLITE_BUSY_SNAPSHOT, "locked", Culprit::Environment),
            (ffi::SQLITE_CORRUPT, "damaged", Culprit::Environment),
            (ffi::SQLITE_NOTADB, "damaged", Culprit::Environment),
            (ffi::SQLITE_READONLY, "permission", Culprit::Environment),
            (
                ffi::SQLITE_READONLY_DIRECTORY,
                "permission",
                Culprit::Environment,
            ),
            (ffi::SQLITE_CANTOPEN, "permission", Culprit::Environment),
            (ffi::SQLITE_IOERR_FSYNC, "disk failed", Culprit::Environment),
            (ffi::SQLITE_MISUSE, "fault in sori", Culprit::Defect),
        ];
        for (code, says, culprit) in cases {
            let error = answered(code);
            let text = error.to_string();
            assert!(text.contains(says), "{code}: {text}");
            assert!(text.contains("/data/sori.db"), "{code}: {text}");
            assert_eq!(error.culprit(), culprit, "{code}");
        }
    }

    #[test]
    fn answers_of_the_system_name_the_path() {
        use std::io::{Error, ErrorKind};
        let cases = [
            (ErrorKind::PermissionDenied, "no permission"),
            (ErrorKind::ReadOnlyFilesystem, "no permission"),
            (ErrorKind::StorageFull, "no room is left"),
            (ErrorKind::NotADirectory, "cannot be used as data directory"),
            (ErrorKind::Other, "disk failed"),
        ];
        for (kind, says) in cases {
            let text = StoreError::io(Path::new("/srv/x"), &Error::from(kind)).to_string();
            assert!(text.contains(says) && text.contains("/srv/x"), "{text}");
        }
    }
}
