//! Why TLS with a server did not come about, told with what failed because of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::OnFailure;
use sip::ua::Cause;

use crate::event::{Event, EventSink};

/// For how long a handshake that failed explains that somebody cannot be reached.
const FRESH: Duration = Duration::from_secs(5);

/// The newest handshake that failed.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<(Instant, String)>>>);

impl Trouble {
    /// What the network tells of failures.
    pub(crate) fn listener(&self) -> OnFailure {
        let newest = self.0.clone();
        Arc::new(move |failure| {
            let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = Some((Instant::now(), failure.to_string()));
        })
    }

    /// Hands events on, with the reason where it is known better here.
    pub(crate) fn explained(&self, events: EventSink) -> EventSink {
        let trouble = self.clone();
        Arc::new(move |mut event| {
            if let Some(Cause::Unreachable { reason }) = cause_of(&mut event)
                && let Some(better) = trouble.take()
            {
                *reason = better;
            }
            events(event);
        })
    }

    fn take(&self) -> Option<String> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reason) = newest.take()?;
        (at.elapsed() < FRESH).then_some(reason)
    }
}

fn cause_of(event: &mut Event) -> Option<&mut Cause> {
    match event {
        Event::RegistrationFailed { cause, .. }
        | Event::ChangeRefused { cause, .. }
        | Event::RequestFailed { cause, .. }
        | Event::Ended { cause, .. } => Some(cause),
        _ => None,
    }
}
