//! Calls that go on now.

use serde::Serialize;
use server::{ActiveCall, CallState};

use crate::problem::Problem;
use crate::request::{Call, Reply};

#[derive(Serialize)]
struct Shown {
    id: String,
    call_id: String,
    caller: String,
    callee: String,
    state: &'static str,
    started: u64,
    answered: Option<u64>,
    codecs: Vec<String>,
    media: &'static str,
    trunk: Option<String>,
    caller_address: String,
    callee_address: String,
}

impl From<ActiveCall> for Shown {
    fn from(call: ActiveCall) -> Shown {
        let text = |a: Option<std::net::SocketAddr>| a.map_or_else(String::new, |a| a.to_string());
        Shown {
            id: call.id.to_string(),
            call_id: call.call_id,
            caller: call.caller,
            callee: call.callee,
            state: match call.state {
                CallState::Calling => "calling",
                CallState::Ringing => "ringing",
                CallState::Answered => "answered",
            },
            started: call.started,
            answered: call.answered,
            codecs: call.codecs,
            media: call.media.name(),
            trunk: call.trunk,
            caller_address: text(call.caller_address),
            callee_address: text(call.callee_address),
        }
    }
}

/// `GET /api/calls`: the latest first.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let mut all = call.context.admin.calls();
    all.retain(|c| {
        let trunk = c.trunk.as_deref().unwrap_or_default();
        wanted.finds(&[&c.caller, &c.callee, &c.call_id, trunk])
    });
    all.sort_unstable_by_key(|c| std::cmp::Reverse((c.started, c.id)));
    let page = wanted.cut(all);
    Reply::json(&crate::request::Page {
        total: page.total,
        items: page.items.into_iter().map(Shown::from).collect(),
    })
}

/// `DELETE /api/calls/{id}`
pub(crate) fn hang_up(call: &Call<'_>) -> Result<Reply, Problem> {
    let id = call.part("id").parse().ok();
    let all = call.context.admin.calls();
    let found = all.into_iter().find(|c| Some(c.id) == id);
    let found = found.ok_or_else(|| Problem::not_found("such call"))?;
    if !call.context.admin.hang_up(found.id) {
        return Err(Problem::not_found("such call any more"));
    }
    call.note(
        "hung_up",
        &format!("call from {} to {}", found.caller, found.callee),
    );
    Ok(Reply::done())
}
