//! The server's messages.

use crate::problem::Problem;
use crate::request::{Call, Reply};

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

/// `GET /api/logs`: those of a level and above, the oldest first.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let level = match call.query("level") {
        "" => "info",
        level => level,
    };
    let Some(depth) = LEVELS.iter().position(|l| *l == level) else {
        return Err(Problem::invalid(
            "level",
            "level is error, warn, info or debug",
        ));
    };
    let levels = &LEVELS[..=depth];
    let wanted = call.page()?;
    let after = call.number("after")?.unwrap_or(0);
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let lines = call.context.logs.latest(limit, |line| {
        let call_id = line.call_id.as_deref().unwrap_or_default();
        line.id > after && levels.contains(&line.level) && wanted.finds(&[&line.message, call_id])
    });
    let lines: Vec<_> = lines.iter().map(|line| &**line).collect();
    Reply::json(&lines)
}
