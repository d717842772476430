//! The handle that everybody holds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use rusqlite::Connection;

use crate::account::{self, Account};
use crate::binding::{self, Binding, BindingChange};
use crate::error::StoreError;
use crate::migration::{self, STEPS};
use crate::queue::{Operation, Queue, Work};
use crate::serve_lock::ServeLock;
use crate::watch::{self, AccountChange, AccountWatch, ServedOutcome};
use crate::writer::{Counters, Writer};
use crate::{database, setting};

/// Operations that may wait for the disk. At ten thousand REGISTERs a second these are more than a second's worth,
/// and a phone that waits longer than that repeats itself anyway.
const QUEUE: usize = 16_384;

/// An open data directory. Clones share it; the last one to go writes what waits and closes it.
///
/// Methods that take a `done` callback never wait: they return at once, and `done` is called on the writer's thread
/// when the change is durable or has failed. It must be short, because every other change waits meanwhile. When such
/// a method itself returns an error, the change was not taken and `done` is not called. All other methods wait for
/// the disk; they are for the command line and for start-up, and refuse to be called from a `done` callback.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transactions made durable.
    pub commits: u64,
    /// Operations in them.
    pub operations: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Operations refused because the queue was full.
    pub refused: u64,
    /// Operations that wait now.
    pub waiting: usize,
}

struct Inner {
    dir: PathBuf,
    path: PathBuf,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    writer_id: ThreadId,
}

impl Store {
    /// Opens the data directory; makes it, for its owner alone, where it is missing, and brings an older file up to
    /// date.
    ///
    /// # Errors
    /// When the directory or file cannot be made or used, is damaged, or was written by a newer release.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, QUEUE, |_| Ok(()))
    }

    fn open_with(
        dir: &Path,
        capacity: usize,
        adjust: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, StoreError> {
        let path = database::create(dir)?;
        let told = |error| StoreError::sqlite(&path, &error);
        let mut connection = database::connect(&path)?;
        migration::check(&connection, &path, STEPS)?;
        database::prepare_writer(&connection).map_err(told)?;
        migration::migrate(&mut connection, &path, STEPS)?;
        adjust(&connection).map_err(told)?;
        let reader = database::connect_reader(&path)?;

        let queue = Arc::new(Queue::new(capacity));
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            connection,
            queue: Arc::clone(&queue),
            path: path.clone(),
            counters: Arc::clone(&counters),
        };
        let (ready, started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                writer.run(|result| {
                    let _ = ready.send(result);
                });
            })
            .map_err(|error| StoreError::Device {
                path: path.clone(),
                detail: error.to_string(),
            })?;
        let inner = Inner {
            dir: dir.to_path_buf(),
            path,
            queue,
            counters,
            reader: Mutex::new(Some(reader)),
            writer_id: thread.thread().id(),
            writer: Mutex::new(Some(thread)),
        };
        started.recv().unwrap_or(Err(StoreError::Closed))?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Writes what waits and closes the file. Later calls on any clone answer [`StoreError::Closed`].
    pub fn close(&self) {
        self.inner.close();
    }

    /// The data directory.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What the writer has done and what waits for it.
    pub fn statistics(&self) -> Statistics {
        let (waiting, refused) = self.inner.queue.counts();
        let counters = &self.inner.counters;
        Statistics {
            commits: counters.commits.load(Ordering::Relaxed),
            operations: counters.operations.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
            refused,
            waiting,
        }
    }

    pub(crate) fn submit(
        &self,
        work: Work,
        done: impl FnOnce(Result<u64, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.inner
            .queue
            .submit(Operation::new(work, Box::new(done)))
    }

    pub(crate) fn wait(&self, work: Work) -> Result<u64, StoreError> {
        if thread::current().id() == self.inner.writer_id {
            return Err(StoreError::invalid(
                "a completion callback cannot wait for another change",
            ));
        }
        watch::wait(&self.inner.queue, work)
    }

    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = self
            .inner
            .reader
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let connection = reader.as_ref().ok_or(StoreError::Closed)?;
        read(connection).map_err(|error| StoreError::sqlite(&self.inner.path, &error))
    }
}

/// Accounts.
impl Store {
    /// Stores a new account. Returns false, and changes nothing, when one of that name exists.
    ///
    /// # Errors
    /// When the account is incomplete or cannot be written.
    pub fn add_account(&self, account: Account) -> Result<bool, StoreError> {
        Ok(self.wait(Work::AddAccount(account::normalised(account)?))? > 0)
    }

    /// Stores an account, in place of the one of that name.
    ///
    /// # Errors
    /// When the account is incomplete or cannot be written.
    pub fn put_account(&self, account: Account) -> Result<(), StoreError> {
        self.wait(Work::PutAccount(account::normalised(account)?))
            .map(drop)
    }

    /// Removes an account. Returns false when there is none of that name.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn remove_account(&self, user: &str, domain: &str) -> Result<bool, StoreError> {
        Ok(self.wait(removal(user, domain))? > 0)
    }

    /// [`Store::put_account`] without waiting.
    ///
    /// # Errors
    /// When the account is incomplete, the queue is full, or the store is closed.
    pub fn put_account_then(
        &self,
        account: Account,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(
            Work::PutAccount(account::normalised(account)?),
            move |result| done(result.map(drop)),
        )
    }

    /// [`Store::remove_account`] without waiting.
    ///
    /// # Errors
    /// When the queue is full or the store is closed.
    pub fn remove_account_then(
        &self,
        user: &str,
        domain: &str,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(removal(user, domain), move |result| {
            done(result.map(|count| count > 0))
        })
    }

    /// Reads one account.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn account(&self, user: &str, domain: &str) -> Result<Option<Account>, StoreError> {
        self.read(|connection| account::read_one(connection, domain, user))
    }

    /// Reads the accounts of one domain, or of all, ordered by domain and user.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn accounts(&self, domain: Option<&str>) -> Result<Vec<Account>, StoreError> {
        self.read(|connection| account::read_all(connection, domain))
    }

    /// Takes the mark of the one server of this data directory. The server does so before it reads anything.
    ///
    /// # Errors
    /// [`StoreError::AlreadyServed`] when another server has it.
    pub fn serve_lock(&self) -> Result<ServeLock, StoreError> {
        ServeLock::take(&self.inner.dir)
    }

    /// Tells the server of changed accounts, whichever process changes them, this one included. When `callback`
    /// returns, the changes are noted as served, so it returns once they are in effect.
    ///
    /// It is called on a thread of its own, first with the changes that no server has seen yet: a server that reads all
    /// accounts and then watches misses none, though it may hear of some again. It is called with an error, once, when
    /// changes cannot be read or noted any more; the watcher keeps trying.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn watch_accounts(
        &self,
        callback: impl FnMut(Result<Vec<AccountChange>, StoreError>) + Send + 'static,
    ) -> Result<AccountWatch, StoreError> {
        watch::watch(
            self.inner.path.clone(),
            Arc::clone(&self.inner.queue),
            callback,
        )
    }

    /// Waits until the server that runs on this data directory, in whichever process, honours every change made to
    /// accounts so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn wait_until_served(&self, timeout: Duration) -> Result<ServedOutcome, StoreError> {
        watch::wait_until_served(|| self.read(watch::feed), &self.inner.dir, timeout)
    }
}

/// Settings.
impl Store {
    /// Stores a value under a name, in place of the one there.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.wait(Work::Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .map(drop)
    }

    /// Reads the value stored under a name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read(|connection| setting::read(connection, name))
    }

    /// Remembers the domain that a user without one belongs to.
    ///
    /// # Errors
    /// When the change cannot be written.
    pub fn set_default_domain(&self, domain: &str) -> Result<(), StoreError> {
        self.set_setting(setting::DEFAULT_DOMAIN, &domain.to_ascii_lowercase())
    }

    /// The domain that a user without one belongs to, if a server has ever named it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn default_domain(&self) -> Result<Option<String>, StoreError> {
        self.setting(setting::DEFAULT_DOMAIN)
    }
}

/// Bindings.
impl Store {
    /// Makes the changes of one REGISTER, all or none (RFC 3261 §10.3 step 7).
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] when too much waits for the disk, which is answered with 503;
    /// [`StoreError::Closed`].
    pub fn apply(
        &self,
        changes: Vec<BindingChange>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(Work::Bindings(changes), move |result| {
            done(result.map(drop))
        })
    }

    /// Removes the bindings that have expired at `now` (milliseconds since 1970), a thousand at a time so that others
    /// get their turn. `done` is told how many.
    ///
    /// # Errors
    /// When the queue is full or the store is closed.
    pub fn purge_expired(
        &self,
        now: u64,
        done: impl FnOnce(Result<u64, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(
            Work::Purge {
                now,
                after: String::new(),
                removed: 0,
            },
            done,
        )
    }

    /// Reads every binding that has not expired at `now` (milliseconds since 1970), ordered by address of record.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load_bindings(&self, now: u64) -> Result<Vec<Binding>, StoreError> {
        let mut bindings = Vec::new();
        self.each_binding(now, |binding| bindings.push(binding))?;
        Ok(bindings)
    }

    /// [`Store::load_bindings`] one by one. The write-ahead log cannot be cut short while this runs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn each_binding(&self, now: u64, each: impl FnMut(Binding)) -> Result<(), StoreError> {
        self.read(|connection| binding::read_each(connection, now, each))
    }
}

fn removal(user: &str, domain: &str) -> Work {
    Work::RemoveAccount {
        domain: domain.to_ascii_lowercase(),
        user: user.to_owned(),
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        // The writer's connection must be the last to go: only one that may write can clear the log away.
        drop(
            self.reader
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if thread::current().id() == self.writer_id {
            // The last clone went away in a completion callback. The thread ends by itself.
            return;
        }
        if let Some(writer) = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            let _ = writer.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
