//! Accounts: who may register and call, and what Digest authentication needs to check them (RFC 3261 §22, RFC 8760).

use std::fmt;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, Statement, params};

use crate::database::{millis, stored_millis};
use crate::error::StoreError;

/// One user of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User part of the address, compared exactly as given (RFC 3261 §19.1.4).
    pub user: String,
    /// Domain of the address; stored and compared in lower case.
    pub domain: String,
    /// What Digest authentication is checked against, one for each algorithm and realm.
    pub credentials: Vec<Credential>,
    /// Name shown to people.
    pub display_name: Option<String>,
    /// Whether the account may be used at present.
    pub enabled: bool,
    /// When the account was made, in milliseconds since 1970.
    pub created: u64,
    /// When the account was last changed, in milliseconds since 1970.
    pub changed: u64,
}

/// The hash of user, realm and password, called H(A1) in RFC 7616 §3.4.2. The password itself is never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The hash function.
    pub algorithm: Algorithm,
    /// The realm that was hashed.
    pub realm: String,
    /// The hash: 16 bytes for MD5, 32 for SHA-256.
    pub ha1: Vec<u8>,
}

/// A hash function of Digest authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `MD5` (RFC 3261 §22.4).
    Md5,
    /// `SHA-256` (RFC 8760).
    Sha256,
}

impl Algorithm {
    /// The token that stands in the `algorithm` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash_length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha256 => 32,
        }
    }
}

/// Leaves the hash out: whoever has it can log in.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("algorithm", &self.algorithm)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl ToSql for Algorithm {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.name()))
    }
}

impl FromSql for Algorithm {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "MD5" => Ok(Self::Md5),
            "SHA-256" => Ok(Self::Sha256),
            other => Err(FromSqlError::Other(
                format!("unknown Digest algorithm {other:?}").into(),
            )),
        }
    }
}

/// Brings an account into the form in which it is stored, or says why it cannot be.
pub(crate) fn normalised(mut account: Account) -> Result<Account, StoreError> {
    if account.user.is_empty() || account.domain.is_empty() {
        return Err(StoreError::invalid("an account needs a user and a domain"));
    }
    for credential in &account.credentials {
        let (length, wanted) = (credential.ha1.len(), credential.algorithm.hash_length());
        if length != wanted {
            let name = credential.algorithm.name();
            return Err(StoreError::invalid(format!(
                "a hash of {name} has {wanted} bytes, this one has {length}"
            )));
        }
    }
    account.domain.make_ascii_lowercase();
    account
        .credentials
        .sort_by(|a, b| (a.algorithm, &a.realm).cmp(&(b.algorithm, &b.realm)));
    let doubled = |pair: &[Credential]| matches!(pair, [a, b] if a.algorithm == b.algorithm && a.realm == b.realm);
    if account.credentials.windows(2).any(doubled) {
        return Err(StoreError::invalid(
            "an account has one credential for each algorithm and realm",
        ));
    }
    Ok(account)
}

/// The writer's prepared statements on accounts. Each change gets the next change number in the same transaction,
/// so that a server in another process learns of it (see `watch`).
pub(crate) struct AccountStatements<'c> {
    insert: Statement<'c>,
    upsert: Statement<'c>,
    delete: Statement<'c>,
    forget_credentials: Statement<'c>,
    insert_credential: Statement<'c>,
    next_number: Statement<'c>,
    log_change: Statement<'c>,
    serve: Statement<'c>,
    forget_changes: Statement<'c>,
}

impl<'c> AccountStatements<'c> {
    pub(crate) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        const COLUMNS: &str = "INSERT INTO account (domain, user, display_name, enabled, created, changed) \
                               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (domain, user) DO";
        Ok(Self {
            insert: connection.prepare(&format!("{COLUMNS} NOTHING"))?,
            upsert: connection.prepare(&format!(
                "{COLUMNS} UPDATE SET display_name = ?3, enabled = ?4, created = ?5, changed = ?6"
            ))?,
            delete: connection.prepare("DELETE FROM account WHERE domain = ?1 AND user = ?2")?,
            forget_credentials: connection.prepare("DELETE FROM credential WHERE domain = ?1 AND user = ?2")?,
            insert_credential: connection.prepare(
                "INSERT INTO credential (domain, user, algorithm, realm, ha1) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            next_number: connection.prepare("UPDATE account_feed SET changed = changed + 1")?,
            log_change: connection.prepare(
                "INSERT OR REPLACE INTO account_change (number, domain, user) SELECT changed, ?1, ?2 FROM account_feed",
            )?,
            serve: connection.prepare("UPDATE account_feed SET served = ?1 WHERE served < ?1")?,
            forget_changes: connection.prepare("DELETE FROM account_change WHERE number <= ?1")?,
        })
    }

    /// Stores an account in place of the one of that name. Returns 1.
    pub(crate) fn put(&mut self, account: &Account) -> rusqlite::Result<u64> {
        Self::write(&mut self.upsert, account)?;
        self.forget_credentials
            .execute([&account.domain, &account.user])?;
        self.write_credentials(account)
    }

    /// Stores a new account. Returns 0 when one of that name exists, which then stays as it is.
    pub(crate) fn add(&mut self, account: &Account) -> rusqlite::Result<u64> {
        match Self::write(&mut self.insert, account)? {
            0 => Ok(0),
            _ => self.write_credentials(account),
        }
    }

    /// Removes an account. Returns 0 when there is none of that name.
    pub(crate) fn remove(&mut self, domain: &str, user: &str) -> rusqlite::Result<u64> {
        if self.delete.execute([domain, user])? == 0 {
            return Ok(0);
        }
        self.record_change(domain, user)?;
        Ok(1)
    }

    /// Notes that the running server honours every change up to this number.
    pub(crate) fn acknowledge(&mut self, number: i64) -> rusqlite::Result<u64> {
        self.serve.execute([number])?;
        self.forget_changes.execute([number])?;
        Ok(1)
    }

    fn write(statement: &mut Statement<'_>, account: &Account) -> rusqlite::Result<usize> {
        statement.execute(params![
            account.domain,
            account.user,
            account.display_name,
            account.enabled,
            stored_millis(account.created),
            stored_millis(account.changed),
        ])
    }

    fn write_credentials(&mut self, account: &Account) -> rusqlite::Result<u64> {
        for Credential {
            algorithm,
            realm,
            ha1,
        } in &account.credentials
        {
            self.insert_credential.execute(params![
                account.domain,
                account.user,
                algorithm,
                realm,
                ha1
            ])?;
        }
        self.record_change(&account.domain, &account.user)?;
        Ok(1)
    }

    fn record_change(&mut self, domain: &str, user: &str) -> rusqlite::Result<()> {
        self.next_number.execute([])?;
        self.log_change.execute([domain, user])?;
        Ok(())
    }
}

const SELECT: &str = "SELECT a.user, a.domain, a.display_name, a.enabled, a.created, a.changed, \
                             c.algorithm, c.realm, c.ha1 \
                      FROM account a LEFT JOIN credential c ON c.domain = a.domain AND c.user = a.user";

/// Reads one account.
pub(crate) fn read_one(
    connection: &Connection,
    domain: &str,
    user: &str,
) -> rusqlite::Result<Option<Account>> {
    let mut statement = connection.prepare(&format!(
        "{SELECT} WHERE a.domain = ?1 AND a.user = ?2 ORDER BY c.algorithm, c.realm"
    ))?;
    Ok(collect(statement.query([&domain.to_ascii_lowercase(), user])?)?.pop())
}

/// Reads the accounts of one domain, or all, ordered by domain and user.
pub(crate) fn read_all(
    connection: &Connection,
    domain: Option<&str>,
) -> rusqlite::Result<Vec<Account>> {
    const ORDER: &str = "ORDER BY a.domain, a.user, c.algorithm, c.realm";
    match domain {
        Some(domain) => {
            let mut statement =
                connection.prepare(&format!("{SELECT} WHERE a.domain = ?1 {ORDER}"))?;
            collect(statement.query([domain.to_ascii_lowercase()])?)
        }
        None => collect(
            connection
                .prepare(&format!("{SELECT} {ORDER}"))?
                .query([])?,
        ),
    }
}

/// The join gives one row for each credential; rows of one account follow each other.
fn collect(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<Account>> {
    let mut accounts: Vec<Account> = Vec::new();
    while let Some(row) = rows.next()? {
        let (user, domain) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        let credential = credential(row)?;
        match accounts.last_mut() {
            Some(last) if last.user == user && last.domain == domain => {
                last.credentials.extend(credential)
            }
            _ => accounts.push(Account {
                user: user.to_owned(),
                domain: domain.to_owned(),
                credentials: credential.into_iter().collect(),
                display_name: row.get(2)?,
                enabled: row.get(3)?,
                created: millis(row, 4)?,
                changed: millis(row, 5)?,
            }),
        }
    }
    Ok(accounts)
}

fn credential(row: &Row<'_>) -> rusqlite::Result<Option<Credential>> {
    let Some(algorithm) = row.get(6)? else {
        return Ok(None);
    };
    Ok(Some(Credential {
        algorithm,
        realm: row.get(7)?,
        ha1: row.get(8)?,
    }))
}
