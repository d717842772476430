//! The server's own services: `sip:echo@…` plays back what it hears, `sip:tone@…` plays a tone.
//!
//! ```text
//! shard ─ open, reoffer, close ─► negotiation (SDP) ─► mailbox ─► thread "sori-media" ─► sockets
//!         the answer, at once ◄──────────┘                         one for all calls
//! ```
//!
//! Signalling leaves work in the mailbox and never waits for the thread.

mod call;
mod line;
mod mailbox;
mod negotiation;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::session::{Config, MediaSession};
use net::RtpPorts;

use call::{Call, Voice};
use line::{Line, Places};
use mailbox::{Job, Mailbox};
use negotiation::{Negotiation, media_address, parse};
use worker::Worker;

/// How long a peer that we send to may give no sign of life, neither RTP nor RTCP. A phone that sends no sound in
/// silence still reports every five seconds or so (RFC 3550 §6.2).
const SILENCE: Duration = Duration::from_secs(60);

/// What a call to the server itself is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Plays back what it hears.
    Echo,
    /// Plays a tone of 440 Hz.
    Tone,
}

/// Names a call over all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallKey(pub(crate) u64);

/// Why a service does not take a call, or a change of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// SIP status: 400 unreadable, 488 nothing acceptable, 503 no line free, 481 no such call.
    pub(crate) status: u16,
    /// Why, for the Warning header; ASCII without quotes.
    pub(crate) reason: String,
}

/// The calls of the services: their descriptions here, their media on a thread of their own.
pub(crate) struct Services {
    ports: RtpPorts,
    /// The address that peers are told in place of ours.
    advertised: Option<IpAddr>,
    places: Places,
    epoch: Instant,
    calls: Mutex<HashMap<CallKey, Dialogue>>,
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// The signalling side of a call.
struct Dialogue {
    service: Service,
    negotiation: Negotiation,
    /// The bound ports, until there is a stream to carry; then they are the media thread's.
    idle: Option<Line>,
    pulse: Arc<Pulse>,
}

/// What the media thread lets signalling know of a call.
#[derive(Debug, Default)]
struct Pulse {
    lost: AtomicBool,
}

impl Service {
    /// The service that a user part names.
    pub(crate) fn of_user(user: &[u8]) -> Option<Service> {
        match user {
            b"echo" => Some(Service::Echo),
            b"tone" => Some(Service::Tone),
            _ => None,
        }
    }
}

impl Services {
    /// Starts the media thread. Calls take their ports from `ports`; at most `max_calls` run at once.
    ///
    /// # Errors
    /// The system gives no thread or no poll.
    pub(crate) fn start(ports: RtpPorts, max_calls: usize) -> io::Result<Services> {
        Services::start_with(ports, max_calls, SILENCE)
    }

    fn start_with(ports: RtpPorts, max_calls: usize, silence: Duration) -> io::Result<Services> {
        let epoch = Instant::now();
        let poll = mio::Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(poll.registry(), max_calls)?);
        let worker = Worker::new(poll, mailbox.clone(), epoch, silence);
        let thread = std::thread::Builder::new()
            .name("sori-media".into())
            .spawn(move || worker.run())?;
        Ok(Services {
            ports,
            advertised: None,
            places: Places::new(max_calls),
            epoch,
            calls: Mutex::new(HashMap::new()),
            mailbox,
            thread: Some(thread),
        })
    }

    /// Tells peers this address for the media, behind address translation. A name says nothing: descriptions need an
    /// address.
    pub(crate) fn advertised(mut self, host: Option<&str>) -> Services {
        self.advertised = host.and_then(|h| h.trim_matches(['[', ']']).parse().ok());
        self
    }

    /// The address to tell for media that is bound to `bound`.
    fn told(&self, bound: IpAddr) -> IpAddr {
        let fits = |a: &IpAddr| !bound.is_loopback() && a.is_ipv4() == bound.is_ipv4();
        self.advertised.filter(fits).unwrap_or(bound)
    }

    /// Opens the media of a call on `address`, ours towards the caller, and answers its offer; without one it makes an
    /// offer, whose answer goes to [`Services::answered`]. What it returns is the description for the 200. After an
    /// answer the media flows at once.
    ///
    /// # Errors
    /// 400 for an offer that cannot be read, 488 for one of which nothing is acceptable, 503 when calls or ports are
    /// exhausted. Nothing stays open then.
    pub(crate) fn open(
        &self,
        call: CallKey,
        service: Service,
        address: IpAddr,
        offer: Option<&[u8]>,
    ) -> Result<Vec<u8>, Refused> {
        let offer = offer.map(parse).transpose()?;
        let place = self
            .places
            .take()
            .ok_or_else(|| Refused::unavailable("all lines of this service are busy"))?;
        let address = media_address(address, offer.as_ref());
        let line = Line::bind(&self.ports, address, place).map_err(|error| {
            tracing::warn!(%address, %error, "a call of a service found no media ports");
            Refused::unavailable("no media ports are free")
        })?;
        let mut negotiation = Negotiation::new(self.told(address), line.port())?;
        let (body, config) = match offer {
            Some(offer) => negotiation.answer(&offer)?,
            None => (negotiation.offer(), None),
        };
        let mut dialogue = Dialogue {
            service,
            negotiation,
            idle: Some(line),
            pulse: Arc::default(),
        };
        match self.lock().entry(call) {
            Entry::Occupied(_) => Err(Refused::new(500, "this call is open already")),
            Entry::Vacant(free) => {
                self.apply(call, &mut dialogue, config)?;
                free.insert(dialogue);
                Ok(body)
            }
        }
    }

    /// Takes the answer to an offer of ours, which came in the ACK. Without a pending offer nothing happens.
    ///
    /// # Errors
    /// 400 for an answer that is missing or cannot be read, 488 for one that cannot be gone on with, 503 when the media
    /// thread is overloaded, 481 for an unknown call. The call is of no use then, and the caller hangs it up.
    pub(crate) fn answered(&self, call: CallKey, answer: Option<&[u8]>) -> Result<(), Refused> {
        let mut calls = self.lock();
        let dialogue = calls.get_mut(&call).ok_or_else(Refused::unknown)?;
        if !dialogue.negotiation.is_pending() {
            return Ok(());
        }
        let answer = answer.ok_or_else(|| Refused::new(400, "the answer is missing"))?;
        let config = dialogue.negotiation.complete(&parse(answer)?)?;
        self.apply(call, dialogue, config)
    }

    /// Takes the offer of a re-INVITE: hold or its end, another address, another codec. The ports stay. Without an offer
    /// it makes one of what there is.
    ///
    /// # Errors
    /// As for [`Services::open`], and 481 for an unknown call. What was agreed before goes on then.
    pub(crate) fn reoffer(&self, call: CallKey, offer: Option<&[u8]>) -> Result<Vec<u8>, Refused> {
        let mut calls = self.lock();
        let dialogue = calls.get_mut(&call).ok_or_else(Refused::unknown)?;
        let Some(offer) = offer else {
            return Ok(dialogue.negotiation.offer());
        };
        let offer = parse(offer)?;
        let mut next = dialogue.negotiation.clone();
        let (body, config) = next.answer(&offer)?;
        self.apply(call, dialogue, config)?;
        dialogue.negotiation = next;
        Ok(body)
    }

    /// Ends a call: the peer gets an RTCP BYE, and its ports are freed. An unknown call is none to end.
    pub(crate) fn close(&self, call: CallKey) {
        let closed = self.lock().remove(&call);
        if closed.is_some_and(|dialogue| dialogue.idle.is_none()) {
            self.mailbox.post_always(Job::Close(call));
        }
    }

    /// Calls open now.
    pub(crate) fn calls(&self) -> usize {
        self.lock().len()
    }

    /// Calls whose media is lost: we send, and the peer gave no sign of life for a minute. A call on hold is not among
    /// them. Each is told again until it is closed.
    pub(crate) fn poll_dead(&self) -> Vec<CallKey> {
        let gone = self.mailbox.is_gone();
        let lost = |dialogue: &Dialogue| gone || dialogue.pulse.lost.load(Ordering::Relaxed);
        self.lock()
            .iter()
            .filter(|(_, dialogue)| lost(dialogue))
            .map(|(call, _)| *call)
            .collect()
    }

    /// Lets the media thread do what was agreed; `None` is a call without a stream for now.
    fn apply(
        &self,
        call: CallKey,
        dialogue: &mut Dialogue,
        config: Option<Config>,
    ) -> Result<(), Refused> {
        let job = match (dialogue.idle.take(), config) {
            (None, config) => Job::Configure(call, config.map(Box::new)),
            (idle, None) => {
                dialogue.idle = idle;
                return Ok(());
            }
            (Some(line), Some(config)) => {
                let session = MediaSession::new(config.clone(), self.epoch.elapsed());
                let voice = Voice::of(dialogue.service);
                let pulse = dialogue.pulse.clone();
                Job::Start(Box::new(Call::new(
                    call, voice, line, session, config, pulse,
                )))
            }
        };
        self.mailbox.post(job).map_err(|job| {
            if let Job::Start(refused) = job {
                dialogue.idle = Some(refused.into_line());
            }
            Refused::unavailable("the media thread is overloaded")
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallKey, Dialogue>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.mailbox.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the media thread ended in a panic");
        }
    }
}

impl Pulse {
    fn set_lost(&self, lost: bool) {
        self.lost.store(lost, Ordering::Relaxed);
    }
}

impl Refused {
    fn new(status: u16, reason: &str) -> Refused {
        Refused {
            status,
            reason: reason.to_owned(),
        }
    }

    fn unavailable(reason: &str) -> Refused {
        Refused::new(503, reason)
    }

    fn unknown() -> Refused {
        Refused::new(481, "no such call of a service")
    }
}

impl From<sdp::Rejection> for Refused {
    fn from(rejection: sdp::Rejection) -> Refused {
        Refused {
            status: rejection.status,
            reason: rejection.reason,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.status)
    }
}
