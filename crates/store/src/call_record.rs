//! Call records: what remains of a call when it is over.

use rusqlite::types::Value;
use rusqlite::{Row, Statement, params, params_from_iter};

use crate::database::{millis, stored_millis};
use crate::error::StoreError;
use crate::queue::Work;
use crate::store::Store;

/// One call that is over. Times are in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// Its number; given when it is stored.
    pub id: i64,
    /// Call-ID of the INVITE.
    pub call_id: String,
    /// Address of who called.
    pub caller: String,
    /// Address or number that was called.
    pub callee: String,
    /// When the INVITE came.
    pub started: u64,
    /// When the 2xx came; `None` if nobody answered.
    pub answered: Option<u64>,
    /// When the BYE or the final response came.
    pub ended: u64,
    /// The final status code of the INVITE (RFC 3261 §21).
    pub status: u16,
    /// Its reason phrase.
    pub reason: String,
    /// `caller`, `callee`, `server`, or empty.
    pub ended_by: String,
    /// Identifier of the trunk that it went through.
    pub trunk: Option<String>,
    /// Codecs of the answer, the first one first, separated by spaces.
    pub codecs: String,
    /// `direct`, `relay` or `server`.
    pub media: String,
    /// Where the caller's INVITE came from.
    pub caller_address: String,
    /// Where the answer came from.
    pub callee_address: String,
}

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody answered.
    Answered,
    /// Nobody answered, but somebody could have: busy, declined, no answer, given up (480, 486, 487, 600, 603, 408).
    Missed,
    /// Everything else.
    Failed,
}

/// Which records are wanted. The default wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallQuery {
    /// Those that started at this moment or later.
    pub from: Option<u64>,
    /// Those that started before this moment.
    pub to: Option<u64>,
    /// Text in caller, callee or Call-ID; empty for any.
    pub search: String,
    /// How they came out.
    pub outcome: Option<Outcome>,
    /// One party's address; empty for anybody's.
    pub party: String,
    /// Records to pass over.
    pub offset: u64,
    /// Records wanted at most; 0 for as many as there are.
    pub limit: u64,
}

const COLUMNS: &str = "call_id, caller, callee, started, answered, ended, status, reason, ended_by, trunk, codecs, \
                       media, caller_address, callee_address";

/// Statement that stores a record; its columns are [`COLUMNS`].
pub(crate) const WRITE: &str = "INSERT INTO call_record (call_id, caller, callee, started, answered, ended, status, \
     reason, ended_by, trunk, codecs, media, caller_address, callee_address) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// Statement that removes old records.
pub(crate) const PURGE: &str = "DELETE FROM call_record WHERE started < ?1";

const MISSED: &str = "answered IS NULL AND status IN (408, 480, 486, 487, 600, 603)";

pub(crate) fn write(statement: &mut Statement<'_>, record: &CallRecord) -> rusqlite::Result<u64> {
    let count = statement.execute(params![
        record.call_id,
        record.caller,
        record.callee,
        stored_millis(record.started),
        record.answered.map(stored_millis),
        stored_millis(record.ended),
        record.status,
        record.reason,
        record.ended_by,
        record.trunk,
        record.codecs,
        record.media,
        record.caller_address,
        record.callee_address,
    ])?;
    Ok(count as u64)
}

impl Store {
    /// Stores the record of a call without waiting; `done` is told when it is durable.
    ///
    /// # Errors
    /// When the queue is full or the store is closed.
    pub fn add_call_record(
        &self,
        record: CallRecord,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(Work::CallRecord(Box::new(record)), move |result| {
            done(result.map(drop));
        })
    }

    /// Removes the records of calls that started before a moment, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the queue is full or the store is closed.
    pub fn purge_call_records(
        &self,
        before: u64,
        done: impl FnOnce(Result<u64, StoreError>) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.submit(Work::PurgeCallRecords { before }, done)
    }

    /// Reads records, the latest first, and how many fit the query in all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn call_records(&self, query: &CallQuery) -> Result<(u64, Vec<CallRecord>), StoreError> {
        let (condition, mut values) = condition(query);
        self.read(|connection| {
            let total: i64 = connection
                .prepare(&format!("SELECT count(*) FROM call_record WHERE {condition}"))?
                .query_one(params_from_iter(&values), |row| row.get(0))?;
            let limit = match query.limit {
                0 => -1,
                limit => stored_millis(limit),
            };
            values.push(limit.into());
            values.push(stored_millis(query.offset).into());
            let records = connection
                .prepare(&format!(
                    "SELECT {COLUMNS}, id FROM call_record WHERE {condition} ORDER BY started DESC, id DESC LIMIT ? OFFSET ?"
                ))?
                .query_map(params_from_iter(&values), record)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((u64::try_from(total).unwrap_or(0), records))
        })
    }
}

fn condition(query: &CallQuery) -> (String, Vec<Value>) {
    let mut parts = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if let Some(from) = query.from {
        parts.push("started >= ?".into());
        values.push(stored_millis(from).into());
    }
    if let Some(to) = query.to {
        parts.push("started < ?".into());
        values.push(stored_millis(to).into());
    }
    if !query.search.is_empty() {
        parts.push("instr(lower(caller || ' ' || callee || ' ' || call_id), lower(?)) > 0".into());
        values.push(query.search.clone().into());
    }
    if !query.party.is_empty() {
        parts.push("? IN (caller, callee)".into());
        values.push(query.party.clone().into());
    }
    match query.outcome {
        None => {}
        Some(Outcome::Answered) => parts.push("answered IS NOT NULL".into()),
        Some(Outcome::Missed) => parts.push(MISSED.into()),
        Some(Outcome::Failed) => {
            parts.push(format!("answered IS NULL AND NOT ({MISSED})"));
        }
    }
    (parts.join(" AND "), values)
}

fn record(row: &Row<'_>) -> rusqlite::Result<CallRecord> {
    Ok(CallRecord {
        call_id: row.get(0)?,
        caller: row.get(1)?,
        callee: row.get(2)?,
        started: millis(row, 3)?,
        answered: row
            .get::<_, Option<i64>>(4)?
            .map(|t| u64::try_from(t).unwrap_or(0)),
        ended: millis(row, 5)?,
        status: row.get(6)?,
        reason: row.get(7)?,
        ended_by: row.get(8)?,
        trunk: row.get(9)?,
        codecs: row.get(10)?,
        media: row.get(11)?,
        caller_address: row.get(12)?,
        callee_address: row.get(13)?,
        id: row.get(14)?,
    })
}
