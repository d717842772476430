//! Call records.

use serde::Serialize;
use store::{CallQuery, CallRecord, Outcome};

use super::table::Table;
use crate::problem::Problem;
use crate::request::{Call, Page, Reply};

/// Rows of one exported table.
const MOST: u64 = 100_000;

#[derive(Serialize)]
struct Record {
    id: String,
    call_id: String,
    caller: String,
    callee: String,
    started: u64,
    answered: Option<u64>,
    ended: u64,
    duration: u64,
    status: u16,
    reason: String,
    ended_by: String,
    trunk: Option<String>,
    codecs: Vec<String>,
}

impl From<CallRecord> for Record {
    fn from(record: CallRecord) -> Record {
        Record {
            id: record.id.to_string(),
            duration: talked(&record),
            call_id: record.call_id,
            caller: record.caller,
            callee: record.callee,
            started: record.started,
            answered: record.answered,
            ended: record.ended,
            status: record.status,
            reason: record.reason,
            ended_by: record.ended_by,
            trunk: record.trunk,
            codecs: record
                .codecs
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        }
    }
}

/// Seconds between answer and end.
fn talked(record: &CallRecord) -> u64 {
    record
        .answered
        .map_or(0, |a| record.ended.saturating_sub(a).div_ceil(1000))
}

/// `GET /api/records`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let (total, found) = match wanted.limit {
        // To the store, 0 means all.
        0 => (
            call.context
                .store
                .call_records(&CallQuery {
                    limit: 1,
                    ..query(call)?
                })?
                .0,
            Vec::new(),
        ),
        limit => call.context.store.call_records(&CallQuery {
            offset: wanted.offset,
            limit,
            ..query(call)?
        })?,
    };
    Reply::json(&Page {
        total,
        items: found.into_iter().map(Record::from).collect(),
    })
}

/// `GET /api/records/export`
pub(crate) fn export(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut table = Table::new(&[
        "started",
        "answered",
        "ended",
        "duration",
        "caller",
        "callee",
        "status",
        "reason",
        "ended_by",
        "trunk",
        "codecs",
        "media",
        "caller_address",
        "callee_address",
        "call_id",
    ])?;
    let (_, found) = call.context.store.call_records(&CallQuery {
        limit: MOST,
        ..query(call)?
    })?;
    for record in found {
        table.row(&[
            &utc(record.started),
            &record.answered.map(utc).unwrap_or_default(),
            &utc(record.ended),
            &talked(&record).to_string(),
            &record.caller,
            &record.callee,
            &record.status.to_string(),
            &record.reason,
            &record.ended_by,
            record.trunk.as_deref().unwrap_or_default(),
            &record.codecs,
            &record.media,
            &record.caller_address,
            &record.callee_address,
            &record.call_id,
        ])?;
    }
    call.note("exported", "call records");
    Ok(Reply::file(
        "text/csv; charset=utf-8",
        "attachment; filename=\"records.csv\"",
        table.finish()?,
    ))
}

fn query(call: &Call<'_>) -> Result<CallQuery, Problem> {
    let outcome = match call.query("outcome") {
        "" => None,
        "answered" => Some(Outcome::Answered),
        "missed" => Some(Outcome::Missed),
        "failed" => Some(Outcome::Failed),
        _ => {
            return Err(Problem::invalid(
                "outcome",
                "outcome is answered, missed or failed",
            ));
        }
    };
    Ok(CallQuery {
        from: call.number("from")?,
        to: call.number("to")?,
        search: call.query("search").trim().to_owned(),
        outcome,
        party: call.only().unwrap_or_default().to_owned(),
        offset: 0,
        limit: 0,
    })
}

/// Milliseconds since 1970 as `2026-11-28 06:30:00Z` (ISO 8601, and what spreadsheets read).
pub(super) fn utc(millis: u64) -> String {
    let seconds = millis / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar, counted in eras of 400 years from the first of March of the year 0.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_199, "2024-02-29 23:59:59Z"),
            (1_709_251_200, "2024-03-01 00:00:00Z"),
            (1_795_847_400, "2026-11-28 06:30:00Z"),
            (4_102_444_800, "2100-01-01 00:00:00Z"),
        ] {
            assert_eq!(super::utc(seconds * 1000), text);
        }
    }
}
