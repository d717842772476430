//! The one thread that writes: everything that waits goes into one transaction, and is completed when that is durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, Statement};

use crate::account::AccountStatements;
use crate::binding::BindingStatements;
use crate::checkpoint::Checkpointer;
use crate::database::stored_millis;
use crate::document::DocumentStatements;
use crate::error::StoreError;
use crate::queue::{Operation, Queue, Work};
use crate::{audit, call_record, setting};

/// Operations in one transaction at most: keeps the wait of the first one short.
const BATCH: usize = 4096;

/// What the writer has done so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) operations: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// The state of the writing thread.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<Queue>,
    pub(crate) path: PathBuf,
    pub(crate) counters: Arc<Counters>,
}

impl Writer {
    /// Writes until the queue is closed. `ready` is told first whether writing is possible at all.
    pub(crate) fn run(mut self, ready: impl FnOnce(Result<(), StoreError>)) {
        let _abandon = Abandon(&self.queue);
        let path = self.path;
        let checkpointer = Checkpointer::watching(&mut self.connection, &path);
        let prepared = checkpointer
            .and_then(|checkpointer| Ok((checkpointer, Statements::prepare(&self.connection)?)));
        let (mut checkpointer, statements) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return ready(Err(StoreError::sqlite(&path, &error))),
        };
        ready(Ok(()));
        let mut committer = Committer {
            connection: &self.connection,
            statements,
            path,
            queue: &self.queue,
            counters: &self.counters,
        };
        while let Some(batch) = self.queue.take(BATCH) {
            committer.write(batch);
            checkpointer.after_commit(&self.connection);
        }
    }
}

/// However the thread ends, nobody may wait for it in vain.
struct Abandon<'q>(&'q Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

struct Committer<'c> {
    connection: &'c Connection,
    statements: Statements<'c>,
    path: PathBuf,
    queue: &'c Queue,
    counters: &'c Counters,
}

/// What became of one operation in a transaction.
enum Outcome {
    Finished(u64),
    /// A purge that goes on after this address of record.
    Unfinished {
        after: String,
        removed: u64,
    },
}

impl Committer<'_> {
    fn write(&mut self, mut batch: Vec<Operation>) {
        match self.attempt(&batch) {
            Ok(outcomes) => self.complete(batch, outcomes),
            Err(error) => {
                let told = StoreError::sqlite(&self.path, &error);
                if batch.len() == 1 || is_environment(&told) {
                    self.counters
                        .failed
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    for operation in batch {
                        operation.complete(Err(told.clone()));
                    }
                } else {
                    // One of them is at fault. Alone in its transaction, it fails without harm to the others.
                    for operation in batch.drain(..) {
                        self.write(vec![operation]);
                    }
                }
            }
        }
    }

    fn complete(&self, batch: Vec<Operation>, outcomes: Vec<Outcome>) {
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters
            .operations
            .fetch_add(batch.len() as u64, Ordering::Relaxed);
        for (mut operation, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Finished(count) => operation.complete(Ok(count)),
                Outcome::Unfinished { after, removed } => {
                    if let Work::Purge {
                        after: place,
                        removed: sum,
                        ..
                    } = &mut operation.work
                    {
                        (*place, *sum) = (after, removed);
                    }
                    self.queue.requeue(operation);
                }
            }
        }
    }

    /// Performs all of a batch in one transaction, or nothing.
    fn attempt(&mut self, batch: &[Operation]) -> rusqlite::Result<Vec<Outcome>> {
        let result = self.transaction(batch);
        if result.is_err() && !self.connection.is_autocommit() {
            // Where even this fails the connection is beyond help, and the next BEGIN says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    fn transaction(&mut self, batch: &[Operation]) -> rusqlite::Result<Vec<Outcome>> {
        self.statements.begin.execute([])?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for operation in batch {
            outcomes.push(self.statements.perform(&operation.work)?);
        }
        self.statements.commit.execute([])?;
        Ok(outcomes)
    }
}

fn is_environment(error: &StoreError) -> bool {
    error.culprit() == crate::error::Culprit::Environment
}

struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    accounts: AccountStatements<'c>,
    bindings: BindingStatements<'c>,
    setting: Statement<'c>,
    documents: DocumentStatements<'c>,
    call_record: Statement<'c>,
    purge_call_records: Statement<'c>,
    audit: Statement<'c>,
}

impl<'c> Statements<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            accounts: AccountStatements::prepare(connection)?,
            bindings: BindingStatements::prepare(connection)?,
            setting: connection.prepare(setting::WRITE)?,
            documents: DocumentStatements::prepare(connection)?,
            call_record: connection.prepare(call_record::WRITE)?,
            purge_call_records: connection.prepare(call_record::PURGE)?,
            audit: connection.prepare(audit::WRITE)?,
        })
    }

    fn perform(&mut self, work: &Work) -> rusqlite::Result<Outcome> {
        let count = match work {
            Work::Bindings(changes) => {
                let mut touched = 0;
                for change in changes {
                    touched += self.bindings.apply(change)?;
                }
                touched
            }
            Work::Purge {
                now,
                after,
                removed,
            } => {
                let (count, next) = self.bindings.sweep(*now, after)?;
                let removed = removed + count;
                if let Some(after) = next {
                    return Ok(Outcome::Unfinished { after, removed });
                }
                removed
            }
            Work::AddAccount(account) => self.accounts.add(account)?,
            Work::PutAccount(account) => self.accounts.put(account)?,
            Work::RemoveAccount { domain, user } => self.accounts.remove(domain, user)?,
            Work::Setting { name, value } => self.setting.execute([name, value])? as u64,
            Work::Acknowledge(number) => self.accounts.acknowledge(*number)?,
            Work::Documents(changes) => self.documents.apply(changes)?,
            Work::CallRecord(record) => call_record::write(&mut self.call_record, record)?,
            Work::PurgeCallRecords { before } => {
                self.purge_call_records.execute([stored_millis(*before)])? as u64
            }
            Work::Audit(entry) => audit::write(&mut self.audit, entry)?,
        };
        Ok(Outcome::Finished(count))
    }
}
