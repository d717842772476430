//! Hunting groups.

use server::directory::Group;

use crate::problem::Problem;
use crate::request::{Call, Reply};

/// `GET /api/groups`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let snapshot = call.context.admin.directory().snapshot();
    let all: Vec<&Group> = snapshot.groups.iter().map(|g| &**g).collect();
    Reply::json(&all)
}

/// `POST /api/groups`
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut group: Group = call.json()?;
    group.id = String::new();
    let group = call.context.admin.directory().put_group(group)?;
    call.note("created", &format!("group {}", group.name));
    Reply::created(&group)
}

/// `PUT /api/groups/{id}`
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut group: Group = call.json()?;
    group.id = known(call)?.id;
    let group = call.context.admin.directory().put_group(group)?;
    call.note("changed", &format!("group {}", group.name));
    Reply::json(&group)
}

/// `DELETE /api/groups/{id}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let group = known(call)?;
    call.context.admin.directory().remove_group(&group.id)?;
    call.note("removed", &format!("group {}", group.name));
    Ok(Reply::done())
}

fn known(call: &Call<'_>) -> Result<Group, Problem> {
    let id = call.part("id");
    let snapshot = call.context.admin.directory().snapshot();
    let found = snapshot.groups.iter().find(|g| g.id == id);
    found
        .map(|g| (**g).clone())
        .ok_or_else(|| Problem::not_found("such group"))
}
