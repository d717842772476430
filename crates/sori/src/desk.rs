//! A phone and everything that happens to it, in one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use phone::{Event, Phone, PhoneError, Settings};

use crate::exit::{Exit, Failure};
use crate::signals;

/// Events that may wait; more are lost and counted.
const EVENTS: usize = 8192;
/// How long the answers to BYE, CANCEL and REGISTER are waited for at the end.
pub const GRACE: Duration = Duration::from_secs(2);

/// Something to react to.
#[derive(Debug)]
pub enum Happening {
    /// The phone tells something.
    Phone(Event),
    /// Ctrl-C.
    Stop,
    /// The moment waited for has come.
    Time,
}

/// A running phone with its events.
pub struct Desk {
    /// The phone.
    pub phone: Phone,
    happenings: Receiver<Happening>,
    lost: Arc<AtomicU64>,
}

impl Desk {
    /// Starts the phone; Ctrl-C is a happening from now on.
    ///
    /// # Errors
    /// Why it cannot start.
    pub fn open(settings: Settings) -> Result<Desk, Failure> {
        let (tell, happenings) = sync_channel(EVENTS);
        let stop = tell.clone();
        signals::on_stop(move || {
            let _ = stop.try_send(Happening::Stop);
        })
        .map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("cannot listen for Ctrl-C: {error}"),
                "",
            )
        })?;
        let lost = Arc::new(AtomicU64::new(0));
        let count = lost.clone();
        let start = |settings| {
            let (tell, count) = (tell.clone(), count.clone());
            Phone::start(
                settings,
                Arc::new(move |event| {
                    if tell.try_send(Happening::Phone(event)).is_err() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }),
            )
        };
        let phone = start(settings).map_err(|error| failure(&error))?;
        Ok(Desk {
            phone,
            happenings,
            lost,
        })
    }

    /// Waits for what happens next, until a moment at most.
    pub fn next(&self, until: Option<Instant>) -> Happening {
        let wait = until.map_or(Duration::from_secs(3600), |at| {
            at.saturating_duration_since(Instant::now())
        });
        match self.happenings.recv_timeout(wait) {
            Ok(happening) => happening,
            Err(RecvTimeoutError::Timeout) => Happening::Time,
            // The phone holds a sender as long as it lives.
            Err(RecvTimeoutError::Disconnected) => Happening::Stop,
        }
    }

    /// Hangs up, unregisters, ends, and yields what happened meanwhile.
    pub fn close(self, grace: Duration) -> Vec<Event> {
        self.phone.close(grace);
        let mut events = Vec::new();
        while let Ok(happening) = self.happenings.try_recv() {
            if let Happening::Phone(event) = happening {
                events.push(event);
            }
        }
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 {
            eprintln!(
                "sori: {lost} events were lost because nobody read standard output fast enough"
            );
        }
        events
    }
}

/// Why a phone cannot start, for a person.
pub fn failure(error: &PhoneError) -> Failure {
    let exit = match error {
        PhoneError::Account(_) | PhoneError::Trust(_) => Exit::Usage,
        PhoneError::Network(net::NetError::NoRoute { .. }) => Exit::Unreachable,
        PhoneError::Stun(_) => Exit::Unreachable,
        PhoneError::Network(_) | PhoneError::System(_) | PhoneError::Certificate(_) => {
            Exit::Internal
        }
    };
    // The network names the server's option for its addresses; the phone has another.
    let message = error.to_string().replace("--sip", "--port");
    Failure::new(exit, message, "")
}
