//! The bounded queue in front of the writer.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::account::Account;
use crate::audit::AuditEntry;
use crate::binding::BindingChange;
use crate::call_record::CallRecord;
use crate::document::DocumentChange;
use crate::error::StoreError;

/// What the writer is asked to do.
pub(crate) enum Work {
    Bindings(Vec<BindingChange>),
    Purge {
        now: u64,
        after: String,
        removed: u64,
    },
    AddAccount(Account),
    PutAccount(Account),
    RemoveAccount {
        domain: String,
        user: String,
    },
    Setting {
        name: String,
        value: String,
    },
    Acknowledge(i64),
    Documents(Vec<DocumentChange>),
    CallRecord(Box<CallRecord>),
    PurgeCallRecords {
        before: u64,
    },
    Audit(AuditEntry),
}

/// Called once with the number of records changed, when the change is durable or has failed.
pub(crate) type Done = Box<dyn FnOnce(Result<u64, StoreError>) + Send>;

/// Work and who waits for it. Dropped unfinished, it tells them that the store was closed.
pub(crate) struct Operation {
    pub(crate) work: Work,
    done: Option<Done>,
}

impl Operation {
    pub(crate) fn new(work: Work, done: Done) -> Self {
        Self {
            work,
            done: Some(done),
        }
    }

    pub(crate) fn complete(mut self, result: Result<u64, StoreError>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<u64, StoreError>) {
        if let Some(done) = self.done.take() {
            // A caller's panic must not end the thread that everybody's storage depends on; the panic hook has
            // reported it by now.
            let _ = catch_unwind(AssertUnwindSafe(|| done(result)));
        }
    }

    /// Drops the operation without a word: its submitter is told by the return value.
    fn reject(mut self, error: StoreError) -> Result<(), StoreError> {
        self.done = None;
        Err(error)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.tell(Err(StoreError::Closed));
    }
}

/// Operations on their way to the writer, oldest first.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Operation>,
    refused: u64,
    closed: bool,
    writer_sleeps: bool,
    submitters_sleep: usize,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity,
        }
    }

    /// Adds an operation, or refuses it at once. A refused operation's callback is not called.
    pub(crate) fn submit(&self, operation: Operation) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return operation.reject(StoreError::Closed);
        }
        if state.waiting.len() >= self.capacity {
            state.refused += 1;
            drop(state);
            return operation.reject(StoreError::QueueFull {
                capacity: self.capacity,
            });
        }
        self.push(state, operation);
        Ok(())
    }

    /// Adds an operation, waiting for room.
    pub(crate) fn submit_waiting(&self, operation: Operation) -> Result<(), StoreError> {
        let mut state = self.lock();
        while !state.closed && state.waiting.len() >= self.capacity {
            state.submitters_sleep += 1;
            state = self
                .emptied
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.submitters_sleep -= 1;
        }
        if state.closed {
            drop(state);
            return operation.reject(StoreError::Closed);
        }
        self.push(state, operation);
        Ok(())
    }

    /// Puts work that is not finished at the end. This is never refused, so the queue can pass its capacity, but by no
    /// more than the writer took at once.
    pub(crate) fn requeue(&self, operation: Operation) {
        self.lock().waiting.push_back(operation);
    }

    /// Waits for operations and takes up to `limit` of them. `None` once the queue is closed and empty.
    pub(crate) fn take(&self, limit: usize) -> Option<Vec<Operation>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state.writer_sleeps = true;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.writer_sleeps = false;
        }
        let count = state.waiting.len().min(limit);
        let taken = state.waiting.drain(..count).collect();
        if state.submitters_sleep > 0 {
            self.emptied.notify_all();
        }
        Some(taken)
    }

    /// Refuses everything from now on; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Tells everybody who still waits that nobody will come.
    pub(crate) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut self.lock().waiting);
        drop(left);
    }

    /// How many operations wait, and how many were refused for lack of room.
    pub(crate) fn counts(&self) -> (usize, u64) {
        let state = self.lock();
        (state.waiting.len(), state.refused)
    }

    fn push(&self, mut state: MutexGuard<'_, State>, operation: Operation) {
        state.waiting.push_back(operation);
        let wake = state.writer_sleeps;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
