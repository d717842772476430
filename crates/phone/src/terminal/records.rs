//! What is remembered of people, calls and texts: the book, and as much of it as the screen shows.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use media::session::Statistics;

use super::model::{bare, same};
use super::present::display_name;
use super::scene::{self, Conversation, Past, Presence, Text, TextState};
use crate::Cause;
use crate::book::{
    Book, BookError, CallQuery, CallRecord, Contact, Direction, MessageId, MessageRecord,
    MessageState, Outcome,
};
use crate::control::CallState;

/// Calls shown.
const CALLS: u32 = 300;
/// Other sides whose texts are shown.
const PEERS: u32 = 100;
/// Texts shown of each.
const TEXTS: u32 = 200;
/// Contacts shown.
const CONTACTS: usize = 2000;

/// The book with what of it is on the screen.
pub(super) struct Records {
    pub book: Book,
    pub contacts: Vec<scene::Contact>,
    pub history: Vec<Past>,
    pub conversations: Vec<Conversation>,
    /// What changed since the screen was told.
    pub changed: bool,
    /// The texts on their way, the oldest first.
    sending: Vec<(MessageId, String)>,
    /// What the book does not keep of texts that were sent by this run.
    outcomes: HashMap<MessageId, TextState>,
}

impl Records {
    /// Everything that is to be shown.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn open(book: Book) -> Result<Records, BookError> {
        let mut records = Records {
            book,
            contacts: Vec::new(),
            history: Vec::new(),
            conversations: Vec::new(),
            changed: true,
            sending: Vec::new(),
            outcomes: HashMap::new(),
        };
        records.load_contacts()?;
        records.load_history()?;
        records.load_texts()?;
        Ok(records)
    }

    fn load_contacts(&mut self) -> Result<(), BookError> {
        let known = |address: &str| {
            let before = self.contacts.iter().find(|c| c.address == address);
            before.map_or((Presence::Unknown, None), |c| (c.presence, c.note.clone()))
        };
        let contacts = self.book.contacts(None, CONTACTS)?;
        let contacts = contacts.into_iter().filter_map(|contact| {
            let address = contact.addresses.first()?.clone();
            let (presence, note) = known(&address);
            Some(scene::Contact {
                name: contact.name,
                address,
                presence,
                note,
            })
        });
        self.contacts = contacts.collect();
        self.changed = true;
        Ok(())
    }

    fn load_history(&mut self) -> Result<(), BookError> {
        let query = CallQuery {
            limit: CALLS,
            ..CallQuery::default()
        };
        let calls = self.book.calls(&query)?;
        let calls = calls.into_iter().map(|(id, call)| Past {
            id,
            name: call.peer_name,
            peer: bare(&call.peer).to_owned(),
            is_incoming: call.direction == Direction::Incoming,
            at: since(call.began),
            talked: call.duration,
            reason: call.reason.unwrap_or_default(),
            is_missed: call.outcome == Outcome::Missed,
            is_seen: call.seen,
        });
        self.history = calls.collect();
        self.changed = true;
        Ok(())
    }

    fn load_texts(&mut self) -> Result<(), BookError> {
        let mut conversations = Vec::new();
        for (_, last) in self.book.conversations(PEERS)? {
            let unread = self.book.unseen_messages(Some(&last.peer))?;
            let texts = self.book.conversation(&last.peer, None, TEXTS)?;
            let texts = texts.into_iter().map(|(id, message)| Text {
                at: since(message.at),
                body: message.text,
                state: match (self.outcomes.get(&id), message.state) {
                    (Some(outcome), _) => outcome.clone(),
                    (None, MessageState::Received) => TextState::Received,
                    (None, MessageState::Delivered) => TextState::Delivered,
                    // The program ended before the answer came.
                    (None, MessageState::Sending | MessageState::Failed) => {
                        TextState::Failed(String::new())
                    }
                },
            });
            conversations.push(Conversation {
                peer: bare(&last.peer).to_owned(),
                name: None,
                texts: texts.collect(),
                unread: usize::try_from(unread).unwrap_or(usize::MAX),
            });
        }
        self.conversations = conversations;
        self.changed = true;
        Ok(())
    }

    /// A call is over.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn ended(&mut self, call: &CallState, over: &Over<'_>) -> Result<(), BookError> {
        let direction = if call.outgoing {
            Direction::Outgoing
        } else {
            Direction::Incoming
        };
        let status = match over.cause {
            Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => Some(status.0),
            _ => None,
        };
        let record = CallRecord {
            peer_name: display_name(&call.peer),
            began: UNIX_EPOCH + over.began,
            status,
            reason: Some(over.reason.to_owned()),
            duration: over.talked,
            codec: call.agreed.as_ref().map(|a| a.codec.to_owned()),
            quality: over.statistics.map(Into::into),
            ..CallRecord::new(over.account, &call.peer_uri, direction, over.outcome)
        };
        self.book.add_call(&record)?;
        self.load_history()
    }

    /// A text came.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn received(&mut self, account: &str, peer: &str, text: &str) -> Result<(), BookError> {
        let record = MessageRecord::received(account, peer, text);
        self.book.add_message(&record)?;
        self.load_texts()
    }

    /// A text goes.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn sending(&mut self, account: &str, peer: &str, text: &str) -> Result<(), BookError> {
        let record = MessageRecord::sending(account, peer, text);
        let id = self.book.add_message(&record)?;
        self.sending.push((id, bare(peer).to_owned()));
        self.outcomes.insert(id, TextState::Sending);
        self.load_texts()
    }

    /// What became of the oldest text to `peer` that is still on its way.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn sent(&mut self, peer: &str, state: TextState) -> Result<(), BookError> {
        let Some(at) = self.sending.iter().position(|(_, to)| same(to, peer)) else {
            return Ok(());
        };
        let (id, _) = self.sending.remove(at);
        let kept = match state {
            TextState::Failed(_) => MessageState::Failed,
            _ => MessageState::Delivered,
        };
        self.outcomes.insert(id, state);
        self.book.set_message_state(id, kept)?;
        self.load_texts()
    }

    /// The texts of `peer` were looked at.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn read(&mut self, peer: &str) -> Result<(), BookError> {
        self.book.mark_conversation_seen(peer)?;
        self.load_texts()
    }

    /// Missed calls were looked at.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn saw(&mut self) -> Result<(), BookError> {
        if let Some(newest) = self.history.first() {
            self.book.mark_calls_seen(newest.id)?;
        }
        self.load_history()
    }

    /// A call is to be forgotten.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn forget(&mut self, id: crate::book::CallId) -> Result<(), BookError> {
        self.book.remove_call(id)?;
        self.load_history()
    }

    /// Keeps a contact under a name, a new one or one that is known by its address.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn keep(&mut self, address: &str, name: &str) -> Result<(), BookError> {
        let name = if name.is_empty() { address } else { name };
        match self.book.find_contact(address)? {
            Some(mut contact) => {
                name.clone_into(&mut contact.name);
                self.book.update_contact(&contact)?;
            }
            None => {
                self.book.add_contact(&Contact::new(name, address))?;
            }
        }
        self.load_contacts()
    }

    /// Removes the contact with this address.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn remove(&mut self, address: &str) -> Result<(), BookError> {
        if let Some(id) = self.book.find_contact(address)?.and_then(|c| c.id) {
            self.book.remove_contact(id)?;
        }
        self.load_contacts()
    }
}

/// How a call ended.
pub(super) struct Over<'a> {
    pub account: &'a str,
    pub cause: &'a Cause,
    pub reason: &'a str,
    pub outcome: Outcome,
    /// When it began, since 1970.
    pub began: Duration,
    pub talked: Option<Duration>,
    pub statistics: Option<&'a Statistics>,
}

fn since(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(name: &str) -> Records {
        let dir = std::env::temp_dir().join(format!("sori-records-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Records::open(Book::open(&dir).unwrap()).unwrap()
    }

    #[test]
    fn texts_find_their_answers_in_order() {
        let mut records = records("texts");
        for body in ["a", "b"] {
            records.sending("alice@x", "bob@x", body).unwrap();
        }
        records.received("alice@x", "sip:carol@x", "c").unwrap();
        records
            .sent("sip:bob@x;transport=tcp", TextState::Stored)
            .unwrap();
        records
            .sent("bob@x", TextState::Failed("no".to_owned()))
            .unwrap();
        records.sent("nobody@x", TextState::Delivered).unwrap();
        assert_eq!(records.conversations[0].peer, "carol@x");
        assert_eq!(records.conversations[0].unread, 1);
        let texts = &records.conversations[1].texts;
        let states: Vec<_> = texts.iter().map(|t| t.state.clone()).collect();
        assert_eq!(
            states,
            [TextState::Stored, TextState::Failed("no".to_owned())]
        );
        records.read("carol@x").unwrap();
        assert_eq!(records.conversations[0].unread, 0);
    }

    #[test]
    fn contacts_are_known_by_their_address() {
        let mut records = records("contacts");
        records.keep("bob@x", "Bob").unwrap();
        records.keep("sip:bob@x", "밥").unwrap();
        records.keep("4711", "").unwrap();
        let names: Vec<_> = records.contacts.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["4711", "밥"]);
        records.remove("bob@x").unwrap();
        assert_eq!(records.contacts.len(), 1);
    }
}
