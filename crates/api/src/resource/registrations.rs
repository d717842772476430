//! Registered phones.

use serde::Serialize;

use crate::problem::Problem;
use crate::request::{Call, Page, Reply};

#[derive(Serialize)]
struct Registration {
    id: String,
    address: String,
    contact: String,
    transport: &'static str,
    source: String,
    user_agent: String,
    registered: u64,
    expires: u64,
    behind_nat: bool,
}

/// `GET /api/registrations`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let only = call.only();
    let (total, found) = call.context.admin.registrations(
        |r| {
            only.is_none_or(|own| own == r.address)
                && wanted.finds(&[&r.address, &r.contact, &r.source, &r.user_agent])
        },
        usize::try_from(wanted.offset).unwrap_or(usize::MAX),
        usize::try_from(wanted.limit).unwrap_or(usize::MAX),
    );
    let items = found.into_iter().map(|r| Registration {
        id: r.id,
        address: r.address,
        contact: r.contact,
        transport: r.transport,
        source: r.source,
        user_agent: r.user_agent,
        registered: r.registered,
        expires: r.expires,
        behind_nat: r.behind_nat,
    });
    Reply::json(&Page {
        total: total as u64,
        items: items.collect(),
    })
}

/// `DELETE /api/registrations/{id}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let only = call.only();
    let removed = call
        .context
        .admin
        .remove_registration(call.part("id"), |address| {
            only.is_none_or(|own| own == address)
        })?;
    let address = removed.ok_or_else(|| Problem::not_found("such registration"))?;
    call.note("removed", &format!("registration of {address}"));
    Ok(Reply::done())
}
