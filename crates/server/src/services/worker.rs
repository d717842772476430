//! The media thread: one loop over the sockets and the frames of all calls.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::Time;
use mio::{Events, Poll, Token};

use super::CallKey;
use super::call::{Call, Port, Scratch};
use super::mailbox::{Job, Mailbox, WAKE};

/// Readiness taken from the system at once.
const EVENTS: usize = 1024;
/// Datagrams read from one socket before the others have their turn.
const READS: usize = 16;
/// Turns in a row that may end in a panic before the thread gives up.
const PANICS: u32 = 100;

/// The state of the thread.
pub(super) struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    epoch: Instant,
    silence: Duration,
    slots: Vec<Option<Seated>>,
    free: Vec<usize>,
    slot_of: HashMap<CallKey, usize>,
    /// Every call stands here once, with the time of its next frame.
    due: BinaryHeap<Reverse<Due>>,
    /// Taken from the mailbox and not yet done; a panic loses none of them.
    jobs: VecDeque<Job>,
    /// Sockets that may have something to read.
    readable: Vec<Token>,
    reading: Vec<Token>,
    scratch: Scratch,
    generation: u64,
    /// The call being served, which is to blame for a panic.
    current: Option<usize>,
}

/// A call in its slot.
struct Seated {
    call: Call,
    /// Tells it from earlier calls in this slot.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Time,
    slot: usize,
    generation: u64,
}

impl Worker {
    pub(super) fn new(
        poll: Poll,
        mailbox: Arc<Mailbox>,
        epoch: Instant,
        silence: Duration,
    ) -> Worker {
        Worker {
            poll,
            mailbox,
            epoch,
            silence,
            slots: Vec::new(),
            free: Vec::new(),
            slot_of: HashMap::new(),
            due: BinaryHeap::new(),
            jobs: VecDeque::new(),
            readable: Vec::new(),
            reading: Vec::new(),
            scratch: Scratch::new(),
            generation: 0,
            current: None,
        }
    }

    /// Serves until it is told to stop. A panic costs the call that caused it, not the others.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut panics = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn(&mut events))) {
                Ok(Ok(true)) => panics = 0,
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the media thread ends: the system does not wait for it");
                    break;
                }
                Err(panic) => {
                    panics += 1;
                    self.recover(&*panic);
                    if panics >= PANICS {
                        tracing::error!("the media thread ends: it does not get over its panics");
                        break;
                    }
                }
            }
        }
        for slot in 0..self.slots.len() {
            self.end(slot);
        }
        self.mailbox.abandon();
    }

    /// Waits and serves once. `false` when it is time to stop.
    fn turn(&mut self, events: &mut Events) -> io::Result<bool> {
        match self.poll.poll(events, self.timeout()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(error),
        }
        let go_on = self.mailbox.take(&mut self.jobs);
        self.work();
        let ready = events.iter().map(|event| event.token());
        self.readable.extend(ready.filter(|token| *token != WAKE));
        self.read();
        self.tick();
        Ok(go_on)
    }

    fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.readable.is_empty() || !self.jobs.is_empty() {
            return Some(Duration::ZERO);
        }
        let Reverse(next) = self.due.peek()?;
        Some(next.at.saturating_sub(self.now()))
    }

    fn work(&mut self) {
        while let Some(job) = self.jobs.pop_front() {
            match job {
                Job::Start(call) => self.begin(*call),
                Job::Configure(key, config) => {
                    let now = self.now();
                    if let Some(call) = self.call_of(key) {
                        call.configure(config.map(|config| *config), now);
                    }
                }
                Job::Close(key) => {
                    if let Some(slot) = self.slot_of.get(&key) {
                        self.end(*slot);
                    }
                }
                #[cfg(test)]
                Job::Break(key) => {
                    if let Some(call) = self.call_of(key) {
                        call.broken = true;
                    }
                }
            }
            self.current = None;
        }
    }

    fn begin(&mut self, mut call: Call) {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        let (rtp, rtcp) = (token(slot, Port::Rtp), token(slot, Port::Rtcp));
        if let Err(error) = call.register(self.poll.registry(), rtp, rtcp) {
            tracing::error!(call = call.key.0, %error, "the media of a call cannot be waited for");
            call.give_up();
            self.free.push(slot);
            if slot == self.slots.len() {
                self.slots.push(None);
            }
            return;
        }
        self.generation += 1;
        self.due.push(Reverse(Due {
            at: call.due(),
            slot,
            generation: self.generation,
        }));
        self.slot_of.insert(call.key, slot);
        let seated = Some(Seated {
            call,
            generation: self.generation,
        });
        match self.slots.get_mut(slot) {
            Some(empty) => *empty = seated,
            None => self.slots.push(seated),
        }
    }

    fn end(&mut self, slot: usize) {
        let now = self.now();
        if let Some(Seated { call, .. }) = self.slots.get_mut(slot).and_then(Option::take) {
            self.slot_of.remove(&call.key);
            self.free.push(slot);
            call.leave(self.poll.registry(), now, &mut self.scratch);
        }
    }

    fn call_of(&mut self, key: CallKey) -> Option<&mut Call> {
        let slot = *self.slot_of.get(&key)?;
        self.current = Some(slot);
        let seated = self.slots.get_mut(slot)?.as_mut()?;
        Some(&mut seated.call)
    }

    fn read(&mut self) {
        core::mem::swap(&mut self.readable, &mut self.reading);
        // What was left over may have been told again.
        self.reading.sort_unstable();
        self.reading.dedup();
        for token in self.reading.drain(..) {
            let (slot, port) = place(token);
            let Some(seated) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            self.current = Some(slot);
            let now = self.epoch.elapsed();
            if seated.call.receive(port, now, READS, &mut self.scratch) {
                self.readable.push(token);
            }
        }
        self.current = None;
    }

    fn tick(&mut self) {
        let now = self.now();
        while let Some(Reverse(due)) = self.due.peek().copied().filter(|due| due.0.at <= now) {
            self.due.pop();
            let seated = self.slots.get_mut(due.slot).and_then(Option::as_mut);
            let Some(seated) = seated.filter(|seated| seated.generation == due.generation) else {
                continue;
            };
            self.current = Some(due.slot);
            seated.call.tick(now, self.silence, &mut self.scratch);
            let at = seated.call.due();
            self.due.push(Reverse(Due { at, ..due }));
        }
        self.current = None;
    }

    /// Goes on after a panic without the call that was being served.
    fn recover(&mut self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let culprit = self.current.take();
        let seated = culprit.and_then(|slot| self.slots.get_mut(slot)?.take().map(|s| (slot, s)));
        let key = seated.as_ref().map(|(_, seated)| seated.call.key.0);
        tracing::error!(call = key, panic = text, "a panic on the media thread");
        if let Some((slot, Seated { call, .. })) = seated {
            call.give_up();
            self.slot_of.remove(&call.key);
            self.free.push(slot);
        }
        // What was under way is lost: the next frames and the sockets to read are found anew.
        self.due.clear();
        self.readable.clear();
        for (slot, seated) in self.slots.iter().enumerate() {
            let Some(Seated { call, generation }) = seated else {
                continue;
            };
            self.due.push(Reverse(Due {
                at: call.due(),
                slot,
                generation: *generation,
            }));
            self.readable.push(token(slot, Port::Rtp));
            self.readable.push(token(slot, Port::Rtcp));
        }
    }
}

fn token(slot: usize, port: Port) -> Token {
    match port {
        Port::Rtp => Token(2 * slot),
        Port::Rtcp => Token(2 * slot + 1),
    }
}

fn place(token: Token) -> (usize, Port) {
    let port = match token.0 % 2 {
        0 => Port::Rtp,
        _ => Port::Rtcp,
    };
    (token.0 / 2, port)
}
