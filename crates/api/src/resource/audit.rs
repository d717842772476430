//! Who did what, and from where.

use serde::Serialize;

use crate::problem::Problem;
use crate::request::{Call, Page, Reply};

#[derive(Serialize)]
struct AuditEntry {
    id: i64,
    time: u64,
    who: String,
    from: String,
    action: String,
    what: String,
}

/// `GET /api/audit`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let (total, found) = call
        .context
        .store
        .audit(&wanted.search, wanted.offset, wanted.limit)?;
    let items = found.into_iter().map(|entry| AuditEntry {
        id: entry.id,
        time: entry.time,
        who: entry.who,
        from: entry.source,
        action: entry.action,
        what: entry.what,
    });
    Reply::json(&Page {
        total,
        items: items.collect(),
    })
}
