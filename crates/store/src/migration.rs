//! The layout of the file and its history. `user_version` counts the steps that have been taken.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// "sori" in ASCII: tells our file from the database of another program.
const APPLICATION_ID: i64 = 0x736f_7269;

/// Every step that ever led to the present layout. Steps are added at the end and never changed.
pub(crate) const STEPS: &[&str] = &[
    // The one row of account_feed holds the number of the latest change to an account and of the latest one that the
    // running server honours; account_change holds what lies between. Bindings have no row id and no second index:
    // a refresh then touches one page.
    "CREATE TABLE setting (
         name TEXT NOT NULL PRIMARY KEY,
         value TEXT NOT NULL
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE account (
         domain TEXT NOT NULL,
         user TEXT NOT NULL,
         display_name TEXT,
         enabled INTEGER NOT NULL,
         created INTEGER NOT NULL,
         changed INTEGER NOT NULL,
         PRIMARY KEY (domain, user)
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE credential (
         domain TEXT NOT NULL,
         user TEXT NOT NULL,
         algorithm TEXT NOT NULL,
         realm TEXT NOT NULL,
         ha1 BLOB NOT NULL,
         PRIMARY KEY (domain, user, algorithm, realm),
         FOREIGN KEY (domain, user) REFERENCES account ON DELETE CASCADE
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE account_change (
         number INTEGER NOT NULL PRIMARY KEY,
         domain TEXT NOT NULL,
         user TEXT NOT NULL,
         UNIQUE (domain, user)
     ) STRICT;
     CREATE TABLE account_feed (
         changed INTEGER NOT NULL,
         served INTEGER NOT NULL
     ) STRICT;
     INSERT INTO account_feed (changed, served) VALUES (0, 0);
     CREATE TABLE binding (
         aor TEXT NOT NULL,
         contact_key TEXT NOT NULL,
         expires_at INTEGER NOT NULL,
         registered_at INTEGER NOT NULL,
         cseq INTEGER NOT NULL,
         q INTEGER NOT NULL,
         call_id TEXT NOT NULL,
         contact TEXT NOT NULL,
         received TEXT NOT NULL,
         path TEXT,
         instance TEXT,
         reg_id INTEGER,
         user_agent TEXT,
         params TEXT NOT NULL,
         PRIMARY KEY (aor, contact_key)
     ) WITHOUT ROWID, STRICT;",
    // What an administrator sets up is few, read whole at the start, and grows new members: documents. What grows
    // with use has columns: calls, and what administrators did.
    "CREATE TABLE document (
         kind TEXT NOT NULL,
         key TEXT NOT NULL,
         position INTEGER NOT NULL,
         body TEXT NOT NULL,
         changed INTEGER NOT NULL,
         PRIMARY KEY (kind, key)
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE call_record (
         id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
         call_id TEXT NOT NULL,
         caller TEXT NOT NULL,
         callee TEXT NOT NULL,
         started INTEGER NOT NULL,
         answered INTEGER,
         ended INTEGER NOT NULL,
         status INTEGER NOT NULL,
         reason TEXT NOT NULL,
         ended_by TEXT NOT NULL,
         trunk TEXT,
         codecs TEXT NOT NULL,
         media TEXT NOT NULL,
         caller_address TEXT NOT NULL,
         callee_address TEXT NOT NULL
     ) STRICT;
     CREATE INDEX call_record_started ON call_record (started);
     CREATE TABLE audit (
         id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
         time INTEGER NOT NULL,
         who TEXT NOT NULL,
         source TEXT NOT NULL,
         action TEXT NOT NULL,
         what TEXT NOT NULL
     ) STRICT;",
];

/// Refuses a file that is not ours or is newer than this program; changes nothing.
pub(crate) fn check(
    connection: &Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(), StoreError> {
    let (owner, found, empty) =
        identity(connection).map_err(|error| StoreError::sqlite(path, &error))?;
    if owner != APPLICATION_ID && !(owner == 0 && found == 0 && empty) {
        let detail = "it is the database of another program".to_owned();
        return Err(StoreError::Corrupt {
            path: path.to_path_buf(),
            detail,
        });
    }
    let known = steps.len() as i64;
    if found > known {
        return Err(StoreError::NewerVersion {
            path: path.to_path_buf(),
            found,
            known,
        });
    }
    Ok(())
}

/// Whose file it is, the version of its layout, and whether it is empty: read in one transaction, because another
/// process may just be making it.
fn identity(connection: &Connection) -> rusqlite::Result<(i64, i64, bool)> {
    let transaction = connection.unchecked_transaction()?;
    let read = |sql| transaction.query_one(sql, [], |row| row.get::<_, i64>(0));
    let tables = read("SELECT count(*) FROM sqlite_master")?;
    Ok((
        read("PRAGMA application_id")?,
        read("PRAGMA user_version")?,
        tables == 0,
    ))
}

/// Takes the steps that the file still lacks, each in a transaction of its own.
pub(crate) fn migrate(
    connection: &mut Connection,
    path: &Path,
    steps: &[&str],
) -> Result<(), StoreError> {
    loop {
        check(connection, path, steps)?;
        let more = step(connection, steps).map_err(|error| StoreError::sqlite(path, &error))?;
        if !more {
            return Ok(());
        }
    }
}

/// Takes one step. The version is read inside the transaction, because another process may be taking the same steps.
fn step(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<bool> {
    let version =
        |connection: &Connection| connection.query_one("PRAGMA user_version", [], |row| row.get(0));
    if version(connection)? >= steps.len() as i64 {
        return Ok(false);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let taken: i64 = version(&transaction)?;
    if let Some(sql) = usize::try_from(taken)
        .ok()
        .and_then(|taken| steps.get(taken))
    {
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", taken + 1)?;
    }
    transaction.commit()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[&str] = &["CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('kept');"];
    const NEW: &[&str] = &[
        OLD[0],
        "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7;",
        "CREATE INDEX t_b ON t (b); UPDATE t SET b = b + 1;",
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
        assert_eq!(version(&connection), 1);
        migrate(&mut connection, path, NEW).unwrap();
        assert_eq!(version(&connection), 3);
        let row: (String, i64) = connection
            .query_one("SELECT a, b FROM t", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(row, ("kept".to_owned(), 8));
        migrate(&mut connection, path, NEW).unwrap();
        assert_eq!(version(&connection), 3);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let path = Path::new("old.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, OLD).unwrap();
        let broken = [
            OLD[0],
            "INSERT INTO t VALUES ('half'); INSERT INTO nowhere VALUES (1);",
        ];
        let error = migrate(&mut connection, path, &broken).unwrap_err();
        assert!(matches!(error, StoreError::Internal { .. }), "{error}");
        assert_eq!(version(&connection), 1);
        let rows: i64 = connection
            .query_one("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_newer_file_and_a_foreign_one_are_refused() {
        let path = Path::new("/data/sori.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path, NEW).unwrap();
        let error = migrate(&mut connection, path, OLD).unwrap_err();
        assert_eq!(
            error,
            StoreError::NewerVersion {
                path: path.to_path_buf(),
                found: 3,
                known: 1
            }
        );
        assert!(error.to_string().contains("newer sori"), "{error}");

        let mut foreign = Connection::open_in_memory().unwrap();
        foreign
            .execute_batch("CREATE TABLE bookmarks (url TEXT)")
            .unwrap();
        let error = migrate(&mut foreign, path, NEW).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!(version(&foreign), 0);
    }
}
