//! The server's messages, kept for the console: the latest few thousand, in memory.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::administrators::now;

/// Messages that are kept.
const KEPT: usize = 5_000;
/// Characters of one message that are kept.
const LONGEST: usize = 2_000;

/// One message.
#[derive(Clone, Debug, Serialize)]
pub struct LogLine {
    /// Its number; the first one is 1.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// `error`, `warn`, `info` or `debug`.
    pub level: &'static str,
    /// What happened, with what belongs to it.
    pub message: String,
    /// The call that it is about.
    pub call_id: Option<String>,
}

/// The latest messages, and who listens for new ones.
#[derive(Debug)]
pub struct LogBook {
    lines: Mutex<Lines>,
    heard: broadcast::Sender<Arc<LogLine>>,
}

#[derive(Debug, Default)]
struct Lines {
    last: u64,
    kept: VecDeque<Arc<LogLine>>,
}

impl LogBook {
    /// Without messages.
    pub fn new() -> Arc<LogBook> {
        Arc::new(LogBook {
            lines: Mutex::default(),
            heard: broadcast::channel(1024).0,
        })
    }

    /// What fills it from `tracing`.
    pub fn layer(self: &Arc<LogBook>) -> LogLayer {
        LogLayer(self.clone())
    }

    /// New messages from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.heard.subscribe()
    }

    /// The latest messages that are wanted, at most `limit`, the oldest first.
    pub(crate) fn latest(
        &self,
        limit: usize,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> Vec<Arc<LogLine>> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lines.kept.iter().rev().filter(|line| wanted(line));
        let mut found: Vec<_> = found.take(limit).cloned().collect();
        found.reverse();
        found
    }

    fn add(&self, level: Level, message: String, call_id: Option<String>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.last += 1;
        let line = Arc::new(LogLine {
            id: lines.last,
            time: now(),
            level: word(level),
            message,
            call_id,
        });
        if lines.kept.len() == KEPT {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line.clone());
        // Sent under the lock, so that listeners hear them in order. Nobody may listen.
        let _ = self.heard.send(line);
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// Writes what `tracing` says into a [`LogBook`].
#[derive(Debug)]
pub struct LogLayer(Arc<LogBook>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut message = text.message;
        message.push_str(&text.more);
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        self.0.add(*event.metadata().level(), message, text.call_id);
    }
}

/// The fields of a message: `message` first, then ` name=value` for the others; `call_id` apart.
#[derive(Default)]
struct Text {
    message: String,
    more: String,
    call_id: Option<String>,
}

impl Text {
    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing into a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            "call_id" => {
                self.call_id = Some(value.to_string());
                Ok(())
            }
            name => write!(self.more, " {name}={value}"),
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.take(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn messages_are_kept_with_their_call() {
        let book = LogBook::new();
        let mut heard = book.listen();
        let subscriber = tracing_subscriber::registry().with(book.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(call_id = "a1@host", tries = 3, "no answer");
            tracing::info!(error = %"disk full", "stopped");
        });
        let all = book.latest(10, |_| true);
        assert_eq!(all[0].message, "no answer tries=3");
        assert_eq!(all[0].call_id.as_deref(), Some("a1@host"));
        assert_eq!((all[0].id, all[0].level), (1, "warn"));
        assert_eq!(all[1].message, "stopped error=disk full");
        assert_eq!(heard.try_recv().unwrap().id, 1);
        let one = book.latest(1, |l| l.level == "warn");
        assert_eq!(one[0].id, 1);
    }

    #[test]
    fn the_book_is_bounded() {
        let book = LogBook::new();
        let subscriber = tracing_subscriber::registry().with(book.layer());
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..KEPT + 10 {
                tracing::info!("{n} {}", "x".repeat(LONGEST));
            }
        });
        let all = book.latest(usize::MAX, |_| true);
        assert_eq!(all.len(), KEPT);
        assert!(all[0].message.starts_with("10 x"));
        assert_eq!(all[0].message.chars().count(), LONGEST + 1);
    }
}
