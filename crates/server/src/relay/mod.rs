//! The media relay: RTP and RTCP of two legs that cannot, or must not, reach each other.
//!
//! ```text
//! shard ─ offer, answer, settle ─► call (descriptions, ports) ─► mailbox ─► threads "sori-relay" ─► sockets
//!         the rewritten description ◄──────┘                                 latch, count, forward
//! ```
//!
//! A call has one caller and, while it rings, any number of callees: a *fork* for each. Every stream has a pair of ports
//! towards the caller, which all forks share, and one towards each fork. What comes from the caller goes to every fork
//! whose description is known; of the forks one at a time is heard: the first that speaks, until it falls silent, or
//! until [`RelayedCall::settle`] names the one that has answered. Packets pass as they are, encrypted or not.
//!
//! Signalling rewrites descriptions and leaves the rest in the mailbox of a thread; it never waits for a packet, and a
//! packet never waits for it.

mod call;
mod description;
mod error;
mod latch;
mod mailbox;
mod pace;
mod rewrite;
mod statistics;
#[cfg(test)]
mod tests;
mod tracks;
mod worker;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use net::RtpPorts;
use sip::time::Time;

pub use call::RelayedCall;
pub use error::RelayError;
pub use statistics::{PortStatistics, StreamStatistics, Totals};

use mailbox::Mailbox;
use statistics::Pulse;
use worker::Worker;

/// Relays the media of calls on threads of its own. Dropping it ends them and frees all ports.
pub struct Relay {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

/// The bounds of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once.
    pub calls: usize,
    /// Forks of one call at once.
    pub forks: usize,
    /// Datagrams a second that one port passes on; a video call of the best quality stays below 2,000. What comes faster
    /// is dropped and counted: nobody floods a peer through us, and descriptions that send packets in a circle cost little.
    pub rate: u32,
    /// Threads.
    pub threads: usize,
}

/// A call to be relayed.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Names the call; no two at once have the same.
    pub key: u64,
    /// How the leg towards the caller is faced.
    pub caller: Facing,
    /// How those towards callees are, unless [`RelayedCall::face`] says otherwise for one.
    pub callee: Facing,
}

/// Our side of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facing {
    /// The address of this host to bind ports on: the one that the leg's signalling uses. When the other side describes
    /// an address of the other family, the address of this host that leads there takes its place.
    pub local: IpAddr,
    /// The address to tell the other side, which is another than `local` behind address translation of our own.
    pub told: IpAddr,
}

/// One of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who is called, one fork of them.
    Callee,
}

/// What calls and threads share.
pub(crate) struct Inner {
    ports: RtpPorts,
    limits: Limits,
    clock: Clock,
    mailboxes: Vec<Arc<Mailbox>>,
    calls: Mutex<HashMap<u64, Arc<Pulse>>>,
    totals: Arc<Totals>,
}

/// The time that everything of a relay goes by.
type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            calls: 5_000,
            forks: 16,
            rate: 4_000,
            threads: 1,
        }
    }
}

impl Facing {
    /// The address bound is the one told.
    pub fn at(local: IpAddr) -> Facing {
        Facing { local, told: local }
    }
}

impl Relay {
    /// Starts the threads. Ports come from `ports`, which others may share.
    ///
    /// # Errors
    /// The system gives no thread or no poll.
    pub fn start(ports: RtpPorts, limits: Limits) -> io::Result<Relay> {
        let epoch = Instant::now();
        let clock = move || {
            let micros = u64::try_from(epoch.elapsed().as_micros());
            Time::from_micros(micros.unwrap_or(u64::MAX))
        };
        Relay::start_with(ports, limits, Arc::new(clock))
    }

    fn start_with(ports: RtpPorts, limits: Limits, clock: Clock) -> io::Result<Relay> {
        let totals = Arc::new(Totals::default());
        let mut mailboxes = Vec::new();
        let mut threads = Vec::new();
        for n in 0..limits.threads.clamp(1, 64) {
            let poll = mio::Poll::new()?;
            let mailbox = Arc::new(Mailbox::new(poll.registry(), limits.calls)?);
            let worker = Worker::new(
                poll,
                mailbox.clone(),
                clock.clone(),
                limits.rate,
                totals.clone(),
            );
            mailboxes.push(mailbox);
            let thread = std::thread::Builder::new()
                .name(format!("sori-relay-{n}"))
                .spawn(move || worker.run());
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    mailboxes.iter().for_each(|mailbox| mailbox.stop());
                    return Err(error);
                }
            }
        }
        let inner = Arc::new(Inner {
            ports,
            limits,
            clock,
            mailboxes,
            calls: Mutex::default(),
            totals,
        });
        Ok(Relay { inner, threads })
    }

    /// Takes a call. It has no ports before its first offer, and frees them when it is dropped.
    ///
    /// # Errors
    /// [`RelayError::TooManyCalls`], [`RelayError::Misuse`] when `session.key` is in use.
    pub fn open(&self, session: Session) -> Result<RelayedCall, RelayError> {
        let pulse = Arc::new(Pulse::default());
        let mut calls = self.inner.calls();
        if calls.len() >= self.inner.limits.calls {
            return Err(RelayError::TooManyCalls);
        }
        match calls.entry(session.key) {
            Entry::Occupied(_) => Err(RelayError::Misuse("this key is a call's already")),
            Entry::Vacant(free) => {
                free.insert(pulse.clone());
                drop(calls);
                Ok(RelayedCall::new(self.inner.clone(), session, pulse))
            }
        }
    }

    /// Calls open now.
    pub fn calls(&self) -> usize {
        self.inner.calls().len()
    }

    /// What was relayed and refused since the start.
    pub fn totals(&self) -> &Totals {
        &self.inner.totals
    }

    /// The streams of one call; none when there is no such call.
    pub fn statistics(&self, key: u64) -> Vec<StreamStatistics> {
        let pulse = self.inner.calls().get(&key).cloned();
        pulse.map_or_else(Vec::new, |pulse| pulse.streams(self.inner.now()))
    }

    /// The keys of calls whose media has died: answered, not on hold, and neither side has sent anything for `silence`.
    /// A stream counts as held unless both descriptions send and receive. Each is told again until it is dropped.
    pub fn dead(&self, silence: Duration) -> Vec<u64> {
        let now = self.inner.now();
        let gone: Vec<bool> = self.inner.mailboxes.iter().map(|m| m.is_gone()).collect();
        let lost = |key: u64| gone.get(self.inner.place(key)).copied().unwrap_or(true);
        self.inner
            .calls()
            .iter()
            .filter(|(key, pulse)| lost(**key) || pulse.is_dead(now, silence))
            .map(|(key, _)| *key)
            .collect()
    }
}

impl Inner {
    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Arc<Pulse>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        (self.clock)()
    }

    /// The thread that a call belongs to.
    fn place(&self, key: u64) -> usize {
        // Keys count up from the shard in their highest octet: both tell calls apart.
        ((key ^ (key >> 56)) % self.mailboxes.len().max(1) as u64) as usize
    }

    fn mailbox(&self, key: u64) -> Option<&Mailbox> {
        self.mailboxes
            .get(self.place(key))
            .map(|mailbox| &**mailbox)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.inner.mailboxes.iter().for_each(|m| m.stop());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the media relay ended in a panic");
            }
        }
    }
}
