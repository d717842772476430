//! Administrators and operators.

use serde::{Deserialize, Serialize};

use crate::administrators::AdministratorError;
use crate::problem::Problem;
use crate::request::{Call, Reply};
use crate::session::Role;

#[derive(Serialize)]
struct Administrator {
    name: String,
    role: Role,
    last_signed_in: Option<u64>,
    /// Only when the server made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Deserialize)]
struct NewAdministrator {
    name: String,
    role: Role,
    password: Option<String>,
}

#[derive(Deserialize)]
struct AdministratorChange {
    role: Option<Role>,
    password: Option<String>,
}

impl From<crate::Administrator> for Administrator {
    fn from(one: crate::Administrator) -> Administrator {
        Administrator {
            name: one.name,
            role: one.role,
            last_signed_in: one.last_signed_in,
            password: None,
        }
    }
}

/// `GET /api/administrators`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let all = call.context.administrators.list()?;
    let all: Vec<Administrator> = all.into_iter().map(Administrator::from).collect();
    Reply::json(&all)
}

/// `POST /api/administrators`
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Problem> {
    let new: NewAdministrator = call.json()?;
    let chosen = new.password.as_deref().filter(|p| !p.is_empty());
    let made = call
        .context
        .administrators
        .add(&new.name, new.role, chosen)?;
    call.note("created", &format!("administrator {}", new.name));
    Reply::created(&Administrator {
        password: made,
        ..one(call, &new.name)?
    })
}

/// `PUT /api/administrators/{name}`
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let name = call.part("name");
    let change: AdministratorChange = call.json()?;
    let all = &call.context.administrators;
    one(call, name)?;
    if let Some(role) = change.role {
        all.set_role(name, role)?;
    }
    if let Some(password) = change.password.as_deref().filter(|p| !p.is_empty()) {
        all.set_password(name, password, name == call.name())?;
    }
    call.note("changed", &format!("administrator {name}"));
    Reply::json(&one(call, name)?)
}

/// `DELETE /api/administrators/{name}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let name = call.part("name");
    call.context.administrators.remove(name)?;
    call.note("removed", &format!("administrator {name}"));
    Ok(Reply::done())
}

fn one(call: &Call<'_>, name: &str) -> Result<Administrator, Problem> {
    let found = call.context.administrators.find(name)?;
    let found = found.ok_or_else(|| AdministratorError::Unknown(name.to_owned()))?;
    Ok(found.into())
}
