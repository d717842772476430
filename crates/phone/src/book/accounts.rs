//! The accounts of this phone, without their passwords.

use rusqlite::Row;

use super::{Book, BookError, check_length};
use crate::address::{Name, Server};

const MAX_TEXT: usize = 1024;
const MAX_ACCOUNTS: usize = 64;

/// An account as it is kept. Its password is not: see [`super::Secrets`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAccount {
    /// Whose it is.
    pub name: Name,
    /// The name that callees see.
    pub display_name: Option<String>,
    /// The user name for Digest, where it is another.
    pub auth_user: Option<String>,
    /// The server that all requests go through.
    pub proxy: Option<Server>,
    /// Whether the phone registers.
    pub register: bool,
    /// For how many seconds.
    pub expires: Option<u32>,
}

impl Book {
    /// The accounts in their order. One that cannot be read any more is left out.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn accounts(&self) -> Result<Vec<SavedAccount>, BookError> {
        let rows: Vec<Option<SavedAccount>> = self.run(|connection| {
            let mut statement = connection.prepare("SELECT * FROM account ORDER BY position")?;
            statement.query_map([], saved)?.collect()
        })?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Keeps these accounts in this order instead of those that were kept; 64 at most.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn set_accounts(&mut self, accounts: &[SavedAccount]) -> Result<(), BookError> {
        for account in accounts {
            check_length("the name of an account", &account.name.uri(), MAX_TEXT)?;
            for text in [&account.display_name, &account.auth_user]
                .into_iter()
                .flatten()
            {
                check_length("a text of an account", text, MAX_TEXT)?;
            }
        }
        self.change(|connection| {
            connection.execute("DELETE FROM account", [])?;
            for (position, account) in accounts.iter().take(MAX_ACCOUNTS).enumerate() {
                connection.execute(
                    "INSERT OR REPLACE INTO account (position, name, display_name, auth_user, proxy, register, expires)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        i64::try_from(position).unwrap_or(0),
                        account.name.to_string(),
                        &account.display_name,
                        &account.auth_user,
                        account.proxy.as_ref().map(ToString::to_string),
                        account.register,
                        account.expires,
                    ),
                )?;
            }
            Ok(())
        })
    }
}

fn saved(row: &Row<'_>) -> rusqlite::Result<Option<SavedAccount>> {
    let Ok(name) = row.get::<_, String>("name")?.parse() else {
        return Ok(None);
    };
    let proxy: Option<String> = row.get("proxy")?;
    Ok(Some(SavedAccount {
        name,
        display_name: row.get("display_name")?,
        auth_user: row.get("auth_user")?,
        proxy: proxy.and_then(|text| text.parse().ok()),
        register: row.get("register")?,
        expires: row.get("expires")?,
    }))
}
