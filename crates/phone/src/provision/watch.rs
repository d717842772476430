//! Looks at the document again from time to time.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Cache, Change, Fetched, Origin, ProvisionError, Url, fetch};

/// How soon a server that failed is asked again, at most.
const AFTER_FAILURE: Duration = Duration::from_secs(300);

/// What [`Watch`] tells.
#[derive(Debug)]
pub enum Update {
    /// The document says something else now.
    Changed {
        /// The new settings.
        fetched: Box<Fetched>,
        /// What has changed.
        changes: Vec<Change>,
    },
    /// The server could not be asked, or the document is wrong; the settings stay as they are. Told once, until it
    /// succeeds again.
    Failed(Box<ProvisionError>),
    /// The server can be asked again.
    Recovered,
}

/// Fetches a document again and again, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    _stop: Sender<()>,
}

impl Watch {
    /// Begins with settings that were fetched just now. They say how often to look; `every` holds where they do not.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        url: Url,
        cache: Option<Cache>,
        first: &Fetched,
        every: Duration,
        tell: impl Fn(Update) + Send + 'static,
    ) -> io::Result<Watch> {
        let (stop, stopped) = channel();
        let mut profile = first.profile.clone();
        let mut failing = matches!(first.origin, Origin::Cache { .. });
        let run = move || {
            loop {
                let usual = profile.refresh.unwrap_or(every);
                let wait = if failing {
                    usual.min(AFTER_FAILURE)
                } else {
                    usual
                };
                // Nobody ever sends: the other end is dropped.
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let (fetched, error) = match fetch(&url, cache.as_ref()) {
                    Ok(Fetched {
                        origin: Origin::Cache { because },
                        ..
                    }) => (None, Some(because)),
                    Ok(fetched) => (Some(fetched), None),
                    Err(error) => (None, Some(Box::new(error))),
                };
                let failed = std::mem::replace(&mut failing, error.is_some());
                match error {
                    Some(error) if !failed => tell(Update::Failed(error)),
                    None if failed => tell(Update::Recovered),
                    _ => {}
                }
                let Some(fetched) = fetched else {
                    continue;
                };
                let changes = profile.changes(&fetched.profile);
                if !changes.is_empty() {
                    profile = fetched.profile.clone();
                    let fetched = Box::new(fetched);
                    tell(Update::Changed { fetched, changes });
                }
            }
        };
        thread::Builder::new()
            .name("settings".to_owned())
            .spawn(run)?;
        Ok(Watch { _stop: stop })
    }
}
