//! The history of calls.

use std::time::{Duration, SystemTime};

use media::session::Statistics;
use rusqlite::{Row, named_params};

use super::contacts::address_key;
use super::{Book, BookError, check_length, duration, millis, moment, span};

/// The most that one question is answered with.
const MAX_ROWS: u32 = 1000;
const MAX_TEXT: usize = 1024;

/// Names a call in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) i64);

/// Who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Somebody called us.
    Incoming,
    /// We called.
    Outgoing,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was talked.
    Answered,
    /// Somebody called, and nobody answered here.
    Missed,
    /// Another phone of the same account answered.
    AnsweredElsewhere,
    /// Whoever was called said no.
    Refused,
    /// Whoever called gave up: we did.
    Cancelled,
    /// It did not come about.
    Failed,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Our account, `alice@example.org`.
    pub account: String,
    /// The other's URI.
    pub peer: String,
    /// The name that the other gave.
    pub peer_name: Option<String>,
    /// Who began.
    pub direction: Direction,
    /// When it began to ring or was dialled.
    pub began: SystemTime,
    /// How it went.
    pub outcome: Outcome,
    /// The SIP status, where it was refused or failed.
    pub status: Option<u16>,
    /// The reason for a person.
    pub reason: Option<String>,
    /// How long it was talked.
    pub duration: Option<Duration>,
    /// The codec that we sent.
    pub codec: Option<String>,
    /// How good the sound was.
    pub quality: Option<Quality>,
    /// Whether a person has seen it; missed calls begin unseen.
    pub seen: bool,
}

/// The numbers of the sound of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// RTP packets that we sent.
    pub packets_sent: u64,
    /// RTP packets that came.
    pub packets_received: u64,
    /// RTP packets that did not.
    pub packets_lost: u64,
    /// How unevenly they came (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// The mean opinion score that the numbers let expect, 1 to 4.5.
    pub mos: Option<f32>,
}

/// Which calls, the newest first.
#[derive(Clone, Debug, Default)]
pub struct CallQuery {
    /// Only missed ones.
    pub missed: bool,
    /// Only those with this address, whichever way it is written.
    pub peer: Option<String>,
    /// Only those older than this one: the next page.
    pub before: Option<CallId>,
    /// At most so many; 0 for a thousand, which is the most.
    pub limit: u32,
}

impl CallRecord {
    /// A call that begins now.
    pub fn new(account: &str, peer: &str, direction: Direction, outcome: Outcome) -> CallRecord {
        CallRecord {
            account: account.to_owned(),
            peer: peer.to_owned(),
            peer_name: None,
            direction,
            began: SystemTime::now(),
            outcome,
            status: None,
            reason: None,
            duration: None,
            codec: None,
            quality: None,
            seen: outcome != Outcome::Missed,
        }
    }
}

impl From<&Statistics> for Quality {
    fn from(statistics: &Statistics) -> Quality {
        Quality {
            packets_sent: statistics.packets_sent,
            packets_received: statistics.packets_received,
            packets_lost: statistics.packets_lost,
            jitter: statistics.jitter,
            round_trip: statistics.round_trip,
            mos: None,
        }
    }
}

impl Outcome {
    const ALL: [(Outcome, &'static str); 6] = [
        (Outcome::Answered, "answered"),
        (Outcome::Missed, "missed"),
        (Outcome::AnsweredElsewhere, "answered_elsewhere"),
        (Outcome::Refused, "refused"),
        (Outcome::Cancelled, "cancelled"),
        (Outcome::Failed, "failed"),
    ];

    /// A word for it, as in JSON.
    pub fn word(self) -> &'static str {
        Outcome::ALL
            .iter()
            .find(|(outcome, _)| *outcome == self)
            .map_or("failed", |(_, word)| word)
    }

    fn of(word: &str) -> Outcome {
        Outcome::ALL
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Outcome::Failed, |(outcome, _)| *outcome)
    }
}

impl Book {
    /// Keeps a call that is over.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn add_call(&self, call: &CallRecord) -> Result<CallId, BookError> {
        check_length("the address of a call", &call.peer, MAX_TEXT)?;
        check_length("the account of a call", &call.account, MAX_TEXT)?;
        let cut = |text: &Option<String>| {
            text.as_ref()
                .map(|t| t.chars().take(256).collect::<String>())
        };
        let quality = call.quality.as_ref();
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        let id = self.run(|connection| {
            connection.execute(
                "INSERT INTO call (account, peer, peer_name, peer_key, outgoing, began, outcome, status, reason, duration,
                     codec, packets_sent, packets_received, packets_lost, jitter_us, round_trip_us, mos_hundredths, seen)
                 VALUES (:account, :peer, :peer_name, :peer_key, :outgoing, :began, :outcome, :status, :reason, :duration,
                     :codec, :sent, :received, :lost, :jitter, :round_trip, :mos, :seen)",
                named_params! {
                    ":account": call.account,
                    ":peer": call.peer,
                    ":peer_name": cut(&call.peer_name),
                    ":peer_key": address_key(&call.peer),
                    ":outgoing": call.direction == Direction::Outgoing,
                    ":began": millis(call.began),
                    ":outcome": call.outcome.word(),
                    ":status": call.status,
                    ":reason": cut(&call.reason),
                    ":duration": call.duration.map(span),
                    ":codec": cut(&call.codec),
                    ":sent": quality.map(|q| count(q.packets_sent)),
                    ":received": quality.map(|q| count(q.packets_received)),
                    ":lost": quality.map(|q| count(q.packets_lost)),
                    ":jitter": quality.map(|q| micros(q.jitter)),
                    ":round_trip": quality.and_then(|q| q.round_trip).map(micros),
                    ":mos": quality.and_then(|q| q.mos).map(|mos| (mos * 100.0).round() as i64),
                    ":seen": call.seen,
                },
            )?;
            Ok(connection.last_insert_rowid())
        })?;
        self.clean_sometimes(id)?;
        Ok(CallId(id))
    }

    /// Calls, the newest first.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn calls(&self, query: &CallQuery) -> Result<Vec<(CallId, CallRecord)>, BookError> {
        let limit = match query.limit {
            0 => MAX_ROWS,
            limit => limit.min(MAX_ROWS),
        };
        self.run(|connection| {
            let mut statement = connection.prepare(
                "SELECT * FROM call
                 WHERE (:before IS NULL OR id < :before) AND (:peer IS NULL OR peer_key = :peer)
                     AND (:missed = 0 OR outcome = 'missed')
                 ORDER BY id DESC LIMIT :limit",
            )?;
            let parameters = named_params! {
                ":before": query.before.map(|id| id.0),
                ":peer": query.peer.as_deref().map(address_key),
                ":missed": query.missed,
                ":limit": limit,
            };
            statement.query_map(parameters, record)?.collect()
        })
    }

    /// How many missed calls nobody has seen yet.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn unseen_calls(&self) -> Result<u64, BookError> {
        let count: i64 = self.run(|connection| {
            let sql = "SELECT count(*) FROM call WHERE seen = 0";
            connection.query_one(sql, [], |row| row.get(0))
        })?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// A person has looked at the history, up to and with this call.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn mark_calls_seen(&self, up_to: CallId) -> Result<(), BookError> {
        self.run(|connection| {
            let sql = "UPDATE call SET seen = 1 WHERE seen = 0 AND id <= ?1";
            connection.execute(sql, [up_to.0]).map(drop)
        })
    }

    /// Removes a call from the history.
    ///
    /// # Errors
    /// [`BookError`].
    pub fn remove_call(&self, call: CallId) -> Result<(), BookError> {
        self.run(|connection| {
            connection
                .execute("DELETE FROM call WHERE id = ?1", [call.0])
                .map(drop)
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<(CallId, CallRecord)> {
    let count = |name: &str| -> rusqlite::Result<Option<u64>> {
        let value: Option<i64> = row.get(name)?;
        Ok(value.map(|v| u64::try_from(v).unwrap_or(0)))
    };
    let quality = match (count("packets_sent")?, count("packets_received")?) {
        (Some(packets_sent), Some(packets_received)) => Some(Quality {
            packets_sent,
            packets_received,
            packets_lost: count("packets_lost")?.unwrap_or(0),
            jitter: Duration::from_micros(count("jitter_us")?.unwrap_or(0)),
            round_trip: count("round_trip_us")?.map(Duration::from_micros),
            mos: count("mos_hundredths")?.map(|mos| mos as f32 / 100.0),
        }),
        _ => None,
    };
    let outgoing: bool = row.get("outgoing")?;
    let call = CallRecord {
        account: row.get("account")?,
        peer: row.get("peer")?,
        peer_name: row.get("peer_name")?,
        direction: if outgoing {
            Direction::Outgoing
        } else {
            Direction::Incoming
        },
        began: moment(row.get("began")?),
        outcome: Outcome::of(&row.get::<_, String>("outcome")?),
        status: row.get("status")?,
        reason: row.get("reason")?,
        duration: row.get::<_, Option<i64>>("duration")?.map(duration),
        codec: row.get("codec")?,
        quality,
        seen: row.get("seen")?,
    };
    Ok((CallId(row.get("id")?), call))
}
