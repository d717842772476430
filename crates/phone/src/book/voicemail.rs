//! What the voice mailboxes last said (RFC 3842).

use std::time::SystemTime;

use rusqlite::OptionalExtension;

use super::{Book, BookError, check_length, millis, moment};

const MAX_TEXT: usize = 1024;
const MAX_BOXES: i64 = 64;

/// What a mailbox holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voicemail {
    /// Where to call to listen.
    pub mailbox: Option<String>,
    /// Messages that nobody has listened to.
    pub unheard: u32,
    /// Those that somebody has.
    pub heard: u32,
    /// Urgent ones among the unheard.
    pub urgent: u32,
    /// When the server said so.
    pub at: SystemTime,
}

impl Book {
    /// Keeps what the mailbox of an account holds.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn set_voicemail(&mut self, account: &str, voicemail: &Voicemail) -> Result<(), BookError> {
        check_length("the account of a mailbox", account, MAX_TEXT)?;
        check_length(
            "the address of a mailbox",
            voicemail.mailbox.as_deref().unwrap_or_default(),
            MAX_TEXT,
        )?;
        self.change(|connection| {
            connection.execute(
                "INSERT OR REPLACE INTO voicemail (account, box, unheard, heard, urgent, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    account,
                    &voicemail.mailbox,
                    voicemail.unheard,
                    voicemail.heard,
                    voicemail.urgent,
                    millis(voicemail.at),
                ),
            )?;
            connection.execute(
                "DELETE FROM voicemail WHERE account NOT IN
                     (SELECT account FROM voicemail ORDER BY at DESC LIMIT ?1)",
                [MAX_BOXES],
            )?;
            Ok(())
        })
    }

    /// What the mailbox of an account last held.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn voicemail(&self, account: &str) -> Result<Option<Voicemail>, BookError> {
        self.run(|connection| {
            let sql = "SELECT box, unheard, heard, urgent, at FROM voicemail WHERE account = ?1";
            let read = |row: &rusqlite::Row<'_>| {
                Ok(Voicemail {
                    mailbox: row.get(0)?,
                    unheard: row.get(1)?,
                    heard: row.get(2)?,
                    urgent: row.get(3)?,
                    at: moment(row.get(4)?),
                })
            };
            connection.query_row(sql, [account], read).optional()
        })
    }
}
