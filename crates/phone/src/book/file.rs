//! The file itself: who may read it, how connections are set, and the history of its layout.

use std::fs::{DirBuilder, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::BookError;

const FILE_NAME: &str = "phone.db";
/// "phon" in ASCII: tells our file from the database of another program.
const APPLICATION_ID: i64 = 0x7068_6f6e;
/// How long one process waits while another writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every step that ever led to the present layout. Steps are added at the end and never changed.
const STEPS: &[&str] = &[
    "
    CREATE TABLE call (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        peer TEXT NOT NULL,
        peer_name TEXT,
        peer_key TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        began INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER,
        reason TEXT,
        duration INTEGER,
        codec TEXT,
        packets_sent INTEGER,
        packets_received INTEGER,
        packets_lost INTEGER,
        jitter_us INTEGER,
        round_trip_us INTEGER,
        mos_hundredths INTEGER,
        seen INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX call_peer ON call (peer_key, began);
    CREATE INDEX call_unseen ON call (seen) WHERE seen = 0;
    CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        peer TEXT NOT NULL,
        peer_key TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        at INTEGER NOT NULL,
        text TEXT NOT NULL,
        state TEXT NOT NULL,
        seen INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX message_peer ON message (peer_key, id);
    CREATE INDEX message_unseen ON message (seen) WHERE seen = 0;
    CREATE TABLE contact (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        favourite INTEGER NOT NULL,
        note TEXT NOT NULL
    ) STRICT;
    CREATE TABLE contact_address (
        contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
        position INTEGER NOT NULL,
        address TEXT NOT NULL,
        key TEXT NOT NULL,
        PRIMARY KEY (contact, position)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX contact_address_key ON contact_address (key);
    CREATE TABLE contact_group (
        contact INTEGER NOT NULL REFERENCES contact ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (contact, name)
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE setting (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE TABLE account (
        position INTEGER NOT NULL PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        display_name TEXT,
        auth_user TEXT,
        proxy TEXT,
        register INTEGER NOT NULL,
        expires INTEGER
    ) STRICT;
    CREATE TABLE voicemail (
        account TEXT NOT NULL PRIMARY KEY,
        box TEXT,
        unheard INTEGER NOT NULL,
        heard INTEGER NOT NULL,
        urgent INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT;
",
    // Nothing was ever kept in them.
    "DROP TABLE account; DROP TABLE voicemail;",
];

/// Opens the file in `dir`, made where it is missing.
pub(super) fn open(dir: &Path) -> Result<(Connection, PathBuf), BookError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(dir)
        .map_err(|error| BookError::io(dir, &error))?;
    let path = dir.join(FILE_NAME);
    // SQLite would make it readable for others, as the umask says; its companions take after it.
    private(&path).map_err(|error| BookError::io(&path, &error))?;
    let mut connection = connect(&path).map_err(|error| BookError::sqlite(&path, &error))?;
    migrate(&mut connection, &path, STEPS)?;
    Ok((connection, path))
}

/// Opens a file for its owner alone; makes it where it is missing.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    use_write_ahead_log(&connection)?;
    // A call record may be lost with the power; the file stays whole.
    connection.execute_batch(
        "PRAGMA synchronous = NORMAL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 4194304;
         PRAGMA secure_delete = ON;",
    )?;
    Ok(connection)
}

/// The change of journal mode is the one step for which SQLite does not wait itself when two processes meet.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let set = connection.query_one("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match set {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(2));
            }
            other => return other.map(drop),
        }
    }
}

/// Takes the steps that the file lacks, all in one transaction: another process may be doing the same.
fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), BookError> {
    let sqlite = |error: rusqlite::Error| BookError::sqlite(path, &error);
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let read = |connection: &Connection, sql| connection.query_one(sql, [], |row| row.get(0));
    let version: i64 = read(connection, "PRAGMA user_version").map_err(sqlite)?;
    let owner: i64 = read(connection, "PRAGMA application_id").map_err(sqlite)?;
    if version == known && owner == APPLICATION_ID {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite)?;
    let version: i64 = read(&transaction, "PRAGMA user_version").map_err(sqlite)?;
    let owner: i64 = read(&transaction, "PRAGMA application_id").map_err(sqlite)?;
    let tables: i64 = read(&transaction, "SELECT count(*) FROM sqlite_master").map_err(sqlite)?;
    let is_new = owner == 0 && version == 0 && tables == 0;
    if owner != APPLICATION_ID && !is_new {
        return Err(BookError::Damaged {
            path: path.to_path_buf(),
            detail: "it is the database of another program".to_owned(),
        });
    }
    if version > known {
        return Err(BookError::Newer {
            path: path.to_path_buf(),
        });
    }
    let taken = usize::try_from(version).unwrap_or(0);
    let take = || {
        for step in steps.iter().skip(taken) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()
    };
    take().map_err(sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[&str] = &["CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('kept');"];
    const NEW: &[&str] = &[
        OLD[0],
        "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7;",
        "UPDATE t SET b = b + 1;",
    ];

    fn version(connection: &Connection) -> i64 {
        connection
            .query_one("PRAGMA user_version", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_keeps_its_records() {
        let path = Path::new("old.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, OLD).unwrap();
        migrate(&mut connection, path, NEW).unwrap();
        migrate(&mut connection, path, NEW).unwrap();
        let row: (String, i64) = connection
            .query_one("SELECT a, b FROM t", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!((row, version(&connection)), (("kept".to_owned(), 8), 3));
        let error = migrate(&mut connection, path, OLD).unwrap_err();
        assert!(error.to_string().contains("newer sori"), "{error}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let path = Path::new("old.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, OLD).unwrap();
        let broken = [
            OLD[0],
            "INSERT INTO t VALUES ('half');",
            "INSERT INTO nowhere VALUES (1);",
        ];
        assert!(migrate(&mut connection, path, &broken).is_err());
        let rows: i64 = connection
            .query_one("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!((rows, version(&connection)), (1, 1));
    }

    #[test]
    fn the_file_of_another_program_is_left_alone() {
        let mut foreign = Connection::open_in_memory().unwrap();
        foreign
            .execute_batch("CREATE TABLE bookmarks (url TEXT)")
            .unwrap();
        let error = migrate(&mut foreign, Path::new("x.db"), NEW).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!(version(&foreign), 0);
    }
}
