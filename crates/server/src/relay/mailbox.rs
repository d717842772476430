//! How signalling hands work to a thread of the relay.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::net::UdpSocket;
use mio::{Registry, Token, Waker};

use super::description::Payload;
use super::latch::Expected;
use super::statistics::Gauge;
use super::tracks::End;

/// The token of the waker; those of sockets count from 0.
pub(super) const WAKE: Token = Token(usize::MAX);
/// Jobs that may wait however few calls there may be.
const LEAST: usize = 64;

/// Work for a thread.
#[derive(Debug)]
pub(super) enum Job {
    /// Something of a call changes, all at once.
    Change(u64, Vec<Change>),
    /// A call ends.
    Close(u64),
}

/// What changes.
#[derive(Debug)]
pub(super) enum Change {
    /// A side of a stream gets ports.
    Seat(Box<Seat>),
    /// A description was agreed on: where that side's RTP and RTCP are.
    Expect {
        stream: usize,
        end: End,
        rtp: Expected,
        rtcp: Expected,
    },
    /// A side of a stream gives its ports back.
    Unseat { stream: usize, end: End },
    /// This fork has answered, the others are gone.
    Settle { fork: u32 },
}

/// The sockets of one side of one stream.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) stream: usize,
    pub(super) end: End,
    pub(super) payload: Payload,
    pub(super) rtp: (UdpSocket, Arc<Gauge>),
    pub(super) rtcp: (UdpSocket, Arc<Gauge>),
}

/// A bounded queue with a bell.
#[derive(Debug)]
pub(super) struct Mailbox {
    inside: Mutex<Inside>,
    waker: Waker,
    most: usize,
}

#[derive(Debug, Default)]
struct Inside {
    jobs: VecDeque<Job>,
    stopped: bool,
    gone: bool,
}

impl Mailbox {
    /// An empty one, sized for so many calls.
    ///
    /// # Errors
    /// The system gives no waker.
    pub(super) fn new(registry: &Registry, calls: usize) -> io::Result<Mailbox> {
        Ok(Mailbox {
            inside: Mutex::default(),
            waker: Waker::new(registry, WAKE)?,
            most: calls.saturating_mul(4).max(LEAST),
        })
    }

    /// Puts in a job; false when the queue is full or the thread is gone. The end of a call is always taken: there is
    /// one for each call at most, and their number is bounded.
    pub(super) fn post(&self, job: Job) -> bool {
        let mut inside = self.lock();
        let full = inside.jobs.len() >= self.most && matches!(job, Job::Change(..));
        if inside.gone || inside.stopped || full {
            return false;
        }
        inside.jobs.push_back(job);
        if inside.jobs.len() == 1 {
            self.wake();
        }
        true
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.wake();
    }

    /// Whether the thread has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// The thread takes all that waits, behind what `jobs` still holds. `false` when it is to end.
    pub(super) fn take(&self, jobs: &mut VecDeque<Job>) -> bool {
        let mut inside = self.lock();
        jobs.append(&mut inside.jobs);
        !inside.stopped
    }

    /// The thread has ended; what waits is for nobody.
    pub(super) fn abandon(&self) {
        let jobs = {
            let mut inside = self.lock();
            inside.gone = true;
            core::mem::take(&mut inside.jobs)
        };
        drop(jobs);
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // It is seen with the next packet of any call.
            tracing::error!(%error, "cannot wake a thread of the media relay");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
