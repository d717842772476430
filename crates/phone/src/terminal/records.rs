//! What is remembered of calls and texts.

use std::time::Duration;

use super::model::{bare, same};
use super::present::display_name;
use super::scene::{Conversation, Past, Text, TextState};
use crate::control::CallState;

/// Calls remembered.
const CALLS: usize = 500;
/// Other sides whose texts are remembered.
const PEERS: usize = 200;
/// Texts remembered of each.
const TEXTS: usize = 500;

/// Calls and texts, the newest call first.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub history: Vec<Past>,
    pub conversations: Vec<Conversation>,
    next: i64,
}

impl Records {
    /// A call is over.
    pub fn ended(
        &mut self,
        call: &CallState,
        began: Duration,
        talked: Option<Duration>,
        reason: String,
        is_missed: bool,
    ) {
        self.next += 1;
        self.history.insert(
            0,
            Past {
                id: self.next,
                name: display_name(&call.peer),
                peer: bare(&call.peer_uri).to_owned(),
                is_incoming: !call.outgoing,
                at: began,
                talked,
                reason,
                is_missed,
                is_seen: !is_missed,
            },
        );
        self.history.truncate(CALLS);
    }

    /// A text came or goes.
    pub fn text(&mut self, peer: &str, at: Duration, body: String, state: TextState) {
        let peer = bare(peer);
        let found = self.conversations.iter().position(|c| same(&c.peer, peer));
        let mut conversation = match found {
            Some(at) => self.conversations.remove(at),
            None => Conversation {
                peer: peer.to_owned(),
                ..Conversation::default()
            },
        };
        if state == TextState::Received {
            conversation.unread += 1;
        }
        conversation.texts.push(Text { at, body, state });
        if conversation.texts.len() > TEXTS {
            conversation.texts.remove(0);
        }
        self.conversations.insert(0, conversation);
        self.conversations.truncate(PEERS);
    }

    /// What became of the oldest text to `peer` that is still on its way.
    pub fn sent(&mut self, peer: &str, state: &TextState) {
        let to = |c: &&mut Conversation| same(&c.peer, peer);
        let Some(conversation) = self.conversations.iter_mut().find(to) else {
            return;
        };
        let mut texts = conversation.texts.iter_mut();
        if let Some(text) = texts.find(|t| t.state == TextState::Sending) {
            text.state = state.clone();
        }
    }

    /// The texts of `peer` were looked at.
    pub fn read(&mut self, peer: &str) {
        for conversation in &mut self.conversations {
            if same(&conversation.peer, peer) {
                conversation.unread = 0;
            }
        }
    }

    /// Missed calls were looked at.
    pub fn saw(&mut self) {
        for past in &mut self.history {
            past.is_seen = true;
        }
    }

    /// A call is to be forgotten.
    pub fn forget(&mut self, id: i64) {
        self.history.retain(|p| p.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_find_their_answers_in_order() {
        let mut records = Records::default();
        let now = Duration::ZERO;
        for body in ["a", "b"] {
            records.text("sip:bob@x", now, body.to_owned(), TextState::Sending);
        }
        records.text("carol@x", now, "c".to_owned(), TextState::Received);
        records.sent("sip:bob@x;transport=tcp", &TextState::Delivered);
        records.sent("bob@x", &TextState::Failed("no".to_owned()));
        records.sent("nobody@x", &TextState::Delivered);
        assert_eq!(records.conversations[0].peer, "carol@x");
        assert_eq!(records.conversations[0].unread, 1);
        let states: Vec<_> = records.conversations[1]
            .texts
            .iter()
            .map(|t| &t.state)
            .collect();
        assert_eq!(
            states,
            [&TextState::Delivered, &TextState::Failed("no".to_owned())]
        );
        records.read("sip:carol@x");
        assert_eq!(records.conversations[0].unread, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut records = Records::default();
        for n in 0..TEXTS + 10 {
            records.text("a@x", Duration::ZERO, n.to_string(), TextState::Received);
        }
        for n in 0..PEERS + 10 {
            records.text(
                &format!("{n}@x"),
                Duration::ZERO,
                String::new(),
                TextState::Received,
            );
        }
        assert_eq!(records.conversations.len(), PEERS);
        assert!(records.conversations.iter().all(|c| c.texts.len() <= TEXTS));
    }
}
