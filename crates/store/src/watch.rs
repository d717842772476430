//! How a running server learns of accounts that another process changed, and how that process learns that it did.
//!
//! Every change to an account gets the next number, in the same transaction, and is noted with it. The server's watcher
//! asks the engine 20 times a second whether anybody committed (a look at shared memory), reads what was noted since
//! the number it saw last, gives it to the server, and then notes that number as served.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Statement};

use crate::account::{self, Account};
use crate::error::StoreError;
use crate::queue::{Operation, Queue, Work};
use crate::{database, serve_lock};

/// How often the watcher looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Changes given to the server at once, at most.
const PAGE: u32 = 1000;

/// An account that was added, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Its user part.
    pub user: String,
    /// Its domain, in lower case.
    pub domain: String,
    /// What it is now; `None` if it is no more.
    pub account: Option<Account>,
}

/// Keeps a watcher running; dropping it ends the watcher and waits for its end.
#[derive(Debug)]
pub struct AccountWatch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a running server honours a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedOutcome {
    /// It does.
    Served,
    /// No server runs; the next one will.
    NotRunning,
    /// A server runs but has not taken the change up in time.
    TimedOut,
}

impl Drop for AccountWatch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Starts the watcher's thread.
pub(crate) fn watch(
    path: PathBuf,
    queue: Arc<Queue>,
    callback: impl FnMut(Result<Vec<AccountChange>, StoreError>) + Send + 'static,
) -> Result<AccountWatch, StoreError> {
    let connection = database::connect_reader(&path)?;
    let (_, seen) = feed(&connection).map_err(|error| StoreError::sqlite(&path, &error))?;
    let (stop, stopped) = mpsc::channel();
    let failed_path = path.clone();
    let mut watcher = Watcher {
        path,
        queue,
        callback,
        seen,
        failing: false,
    };
    let thread = thread::Builder::new()
        .name("store-watch".into())
        .spawn(move || watcher.run(&connection, &stopped))
        .map_err(|error| StoreError::Device {
            path: failed_path,
            detail: error.to_string(),
        })?;
    Ok(AccountWatch {
        stop: Some(stop),
        thread: Some(thread),
    })
}

struct Watcher<F> {
    path: PathBuf,
    queue: Arc<Queue>,
    callback: F,
    /// Number of the last change given to the server and noted as served.
    seen: i64,
    /// Whether the last attempt failed, which is reported once.
    failing: bool,
}

impl<F: FnMut(Result<Vec<AccountChange>, StoreError>)> Watcher<F> {
    fn run(&mut self, connection: &Connection, stopped: &mpsc::Receiver<()>) {
        let mut pause = Duration::ZERO;
        let mut version = None;
        let mut data_version: Option<Statement<'_>> = None;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
            pause = INTERVAL;
            let looked = match &mut data_version {
                Some(statement) => statement.query_one([], |row| row.get::<_, i64>(0)),
                None => connection
                    .prepare("PRAGMA data_version")
                    .and_then(|statement| {
                        data_version
                            .insert(statement)
                            .query_one([], |row| row.get(0))
                    }),
            };
            let result = match looked {
                Ok(found) if version == Some(found) => continue,
                Ok(found) => self.catch_up(connection).map(|()| version = Some(found)),
                Err(error) => Err(StoreError::sqlite(&self.path, &error)),
            };
            match result {
                Ok(()) => self.failing = false,
                Err(StoreError::Closed) => return,
                // Tried again at the next look, since `version` has not moved on.
                Err(error) if !self.failing => {
                    self.failing = true;
                    (self.callback)(Err(error));
                }
                Err(_) => {}
            }
        }
    }

    fn catch_up(&mut self, connection: &Connection) -> Result<(), StoreError> {
        loop {
            let (last, changes) = changes_after(connection, self.seen)
                .map_err(|error| StoreError::sqlite(&self.path, &error))?;
            if changes.is_empty() {
                return Ok(());
            }
            (self.callback)(Ok(changes));
            self.acknowledge(last)?;
            self.seen = last;
        }
    }

    fn acknowledge(&self, number: i64) -> Result<(), StoreError> {
        wait(&self.queue, Work::Acknowledge(number)).map(drop)
    }
}

/// Submits work and waits until it is durable. Must not be called by the writer's thread.
pub(crate) fn wait(queue: &Queue, work: Work) -> Result<u64, StoreError> {
    let (done, told) = mpsc::sync_channel(1);
    let done = Box::new(move |result| {
        let _ = done.send(result);
    });
    queue.submit_waiting(Operation::new(work, done))?;
    told.recv().unwrap_or(Err(StoreError::Closed))
}

/// The next changes after a number, with the accounts as they are now, and the number of the last of them.
fn changes_after(
    connection: &Connection,
    seen: i64,
) -> rusqlite::Result<(i64, Vec<AccountChange>)> {
    let transaction = connection.unchecked_transaction()?;
    let (changed, _) = feed(&transaction)?;
    let mut changes = Vec::new();
    let mut last = seen;
    if changed > seen {
        let mut statement = transaction
            .prepare("SELECT number, domain, user FROM account_change WHERE number > ?1 ORDER BY number LIMIT ?2")?;
        let mut rows = statement.query([seen, i64::from(PAGE)])?;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let (domain, user): (String, String) = (row.get(1)?, row.get(2)?);
            let account = account::read_one(&transaction, &domain, &user)?;
            changes.push(AccountChange {
                user,
                domain,
                account,
            });
        }
    }
    Ok((last, changes))
}

/// The number of the latest change, and of the latest one that a server honours.
pub(crate) fn feed(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection.query_one("SELECT changed, served FROM account_feed", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// Waits until a running server honours every change made so far.
pub(crate) fn wait_until_served(
    read_feed: impl Fn() -> Result<(i64, i64), StoreError>,
    dir: &Path,
    timeout: Duration,
) -> Result<ServedOutcome, StoreError> {
    let deadline = Instant::now() + timeout;
    let (wanted, mut served) = read_feed()?;
    loop {
        if served >= wanted {
            return Ok(ServedOutcome::Served);
        }
        if !serve_lock::is_held(dir)? {
            return Ok(ServedOutcome::NotRunning);
        }
        let Some(left) = deadline
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        else {
            return Ok(ServedOutcome::TimedOut);
        };
        // The other process can only be asked, and it looks every 50 ms itself.
        thread::sleep(left.min(Duration::from_millis(5)));
        served = read_feed()?.1;
    }
}
