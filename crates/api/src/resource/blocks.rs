//! Sources that are left out for a while.

use std::net::IpAddr;

use serde::Serialize;
use server::guard::Block;

use crate::problem::Problem;
use crate::request::{Call, Page, Reply};

#[derive(Serialize)]
struct Shown {
    address: String,
    /// The account that alone is shut out there; empty when it is the whole source.
    user: String,
    since: u64,
    until: u64,
    reason: &'static str,
    tries: u32,
}

impl From<Block> for Shown {
    fn from(block: Block) -> Shown {
        Shown {
            address: block.address.to_string(),
            user: block.user.unwrap_or_default(),
            since: block.since,
            until: block.until,
            reason: block.reason.name(),
            tries: block.tries,
        }
    }
}

/// `GET /api/blocks`: the latest first.
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let mut all = call.context.admin.blocks();
    all.retain(|b| {
        let user = b.user.as_deref().unwrap_or_default();
        wanted.finds(&[&b.address.to_string(), user])
    });
    let page = wanted.cut(all);
    Reply::json(&Page {
        total: page.total,
        items: page.items.into_iter().map(Shown::from).collect(),
    })
}

/// `DELETE /api/blocks/{address}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let address = call.part("address");
    let parsed: Option<IpAddr> = address.parse().ok();
    if !parsed.is_some_and(|ip| call.context.admin.unblock(ip)) {
        return Err(Problem::not_found("such block"));
    }
    call.note("removed", &format!("block of {address}"));
    Ok(Reply::done())
}
