//! Text messages, as conversations.

use std::time::SystemTime;

use rusqlite::{Row, named_params};

use super::calls::Direction;
use super::contacts::address_key;
use super::{Book, BookError, check_length, millis, moment};

const MAX_ROWS: u32 = 1000;
const MAX_TEXT: usize = 64 * 1024;
const MAX_ADDRESS: usize = 1024;

/// Names a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(i64);

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It came.
    Received,
    /// It is on its way.
    Sending,
    /// The other side has it (2xx).
    Delivered,
    /// It did not get there.
    Failed,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// Our account.
    pub account: String,
    /// The other's URI.
    pub peer: String,
    /// Who wrote it.
    pub direction: Direction,
    /// When.
    pub at: SystemTime,
    /// What.
    pub text: String,
    /// What has become of it.
    pub state: MessageState,
    /// Whether a person has seen it; what comes begins unseen.
    pub seen: bool,
}

impl MessageRecord {
    /// A message that came just now.
    pub fn received(account: &str, peer: &str, text: &str) -> MessageRecord {
        MessageRecord {
            account: account.to_owned(),
            peer: peer.to_owned(),
            direction: Direction::Incoming,
            at: SystemTime::now(),
            text: text.to_owned(),
            state: MessageState::Received,
            seen: false,
        }
    }

    /// A message that is being sent.
    pub fn sending(account: &str, peer: &str, text: &str) -> MessageRecord {
        MessageRecord {
            direction: Direction::Outgoing,
            state: MessageState::Sending,
            seen: true,
            ..MessageRecord::received(account, peer, text)
        }
    }
}

impl MessageState {
    fn word(self) -> &'static str {
        match self {
            MessageState::Received => "received",
            MessageState::Sending => "sending",
            MessageState::Delivered => "delivered",
            MessageState::Failed => "failed",
        }
    }

    fn of(word: &str) -> MessageState {
        match word {
            "received" => MessageState::Received,
            "sending" => MessageState::Sending,
            "delivered" => MessageState::Delivered,
            _ => MessageState::Failed,
        }
    }
}

impl Book {
    /// Keeps a message.
    ///
    /// # Errors
    /// [`BookError`]; a text above 64 KiB is not kept.
    pub fn add_message(&self, message: &MessageRecord) -> Result<MessageId, BookError> {
        check_length("the message", &message.text, MAX_TEXT)?;
        check_length("the address of a message", &message.peer, MAX_ADDRESS)?;
        check_length("the account of a message", &message.account, MAX_ADDRESS)?;
        let id = self.run(|connection| {
            connection.execute(
                "INSERT INTO message (account, peer, peer_key, outgoing, at, text, state, seen)
                 VALUES (:account, :peer, :peer_key, :outgoing, :at, :text, :state, :seen)",
                named_params! {
                    ":account": message.account,
                    ":peer": message.peer,
                    ":peer_key": address_key(&message.peer),
                    ":outgoing": message.direction == Direction::Outgoing,
                    ":at": millis(message.at),
                    ":text": message.text,
                    ":state": message.state.word(),
                    ":seen": message.seen,
                },
            )?;
            Ok(connection.last_insert_rowid())
        })?;
        self.clean_sometimes(id)?;
        Ok(MessageId(id))
    }

    /// Says what has become of a message.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn set_message_state(&self, id: MessageId, state: MessageState) -> Result<(), BookError> {
        self.run(|connection| {
            let sql = "UPDATE message SET state = ?2 WHERE id = ?1";
            connection.execute(sql, (id.0, state.word())).map(drop)
        })
    }

    /// The last messages with somebody, the oldest of them first; with `before` the page before that message.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn conversation(
        &self,
        peer: &str,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<(MessageId, MessageRecord)>, BookError> {
        let mut messages: Vec<_> = self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT * FROM message WHERE peer_key = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
            )?;
            let key = address_key(peer);
            let parameters = (key, before.map(|id| id.0), limit.min(MAX_ROWS));
            statement.query_map(parameters, record)?.collect()
        })?;
        messages.reverse();
        Ok(messages)
    }

    /// The last message of each conversation, the newest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn conversations(&self, limit: u32) -> Result<Vec<(MessageId, MessageRecord)>, BookError> {
        self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT * FROM message WHERE id IN (SELECT max(id) FROM message GROUP BY peer_key)
                 ORDER BY id DESC LIMIT ?1",
            )?;
            statement
                .query_map([limit.min(MAX_ROWS)], record)?
                .collect()
        })
    }

    /// How many messages nobody has seen yet; of one person, or of all.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn unseen_messages(&self, peer: Option<&str>) -> Result<u64, BookError> {
        let count: i64 = self.run(|connection| {
            let sql =
                "SELECT count(*) FROM message WHERE seen = 0 AND (?1 IS NULL OR peer_key = ?1)";
            connection.query_one(sql, [peer.map(address_key)], |row| row.get(0))
        })?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// A person has looked at the conversation.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn mark_conversation_seen(&self, peer: &str) -> Result<(), BookError> {
        self.run(|connection| {
            let sql = "UPDATE message SET seen = 1 WHERE seen = 0 AND peer_key = ?1";
            connection.execute(sql, [address_key(peer)]).map(drop)
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<(MessageId, MessageRecord)> {
    let outgoing: bool = row.get("outgoing")?;
    let message = MessageRecord {
        account: row.get("account")?,
        peer: row.get("peer")?,
        direction: if outgoing {
            Direction::Outgoing
        } else {
            Direction::Incoming
        },
        at: moment(row.get("at")?),
        text: row.get("text")?,
        state: MessageState::of(&row.get::<_, String>("state")?),
        seen: row.get("seen")?,
    };
    Ok((MessageId(row.get("id")?), message))
}
