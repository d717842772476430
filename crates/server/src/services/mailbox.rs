//! How signalling hands work to the media thread.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use media::session::Config;
use mio::{Registry, Token, Waker};

use super::CallKey;
use super::call::Call;

/// The token of the waker; those of sockets count from 0.
pub(super) const WAKE: Token = Token(usize::MAX);
/// Jobs that may wait however few calls there may be.
const LEAST: usize = 64;

/// Work for the media thread.
#[derive(Debug)]
pub(super) enum Job {
    /// A call begins.
    Start(Box<Call>),
    /// Another description holds; `None` for one without a stream.
    Configure(CallKey, Option<Box<Config>>),
    /// A call ends.
    Close(CallKey),
    /// The call's next frame panics.
    #[cfg(test)]
    Break(CallKey),
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
            most: calls.saturating_mul(2).max(LEAST),
        })
    }

    /// Puts in a job.
    ///
    /// # Errors
    /// Gives it back when the queue is full or the thread is gone.
    pub(super) fn post(&self, job: Job) -> Result<(), Job> {
        let mut inside = self.lock();
        if inside.gone || inside.stopped || inside.jobs.len() >= self.most {
            return Err(job);
        }
        self.push(&mut inside, job);
        Ok(())
    }

    /// Puts in a job that must not be lost, like the end of a call. There is at most one for each call that was started
    /// and still has its place, so that the queue stays bounded.
    pub(super) fn post_always(&self, job: Job) {
        let mut inside = self.lock();
        if !inside.gone {
            self.push(&mut inside, job);
        }
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

    fn push(&self, inside: &mut Inside, job: Job) {
        inside.jobs.push_back(job);
        if inside.jobs.len() == 1 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // It is seen with the next packet or frame of any call.
            tracing::error!(%error, "cannot wake the media thread");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
