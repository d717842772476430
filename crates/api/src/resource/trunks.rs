//! Trunks: gateways and providers.

use serde::Serialize;
use serde_json::{Map, Value};
use server::TrunkStatus;
use server::directory::Trunk;

use crate::problem::Problem;
use crate::request::{Call, Reply, from_json};

/// What decides where a trunk's password proves something: whoever has no right to the password must not lead it elsewhere.
const WITH_PASSWORD: [&str; 6] = [
    "host",
    "port",
    "transport",
    "username",
    "domain",
    "register",
];

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    trunk: Map<String, Value>,
    has_password: bool,
    status: TrunkStatus,
}

/// `GET /api/trunks`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let snapshot = call.context.admin.directory().snapshot();
    let all = snapshot.trunks.iter().map(|t| shown(call, t));
    Reply::json(&all.collect::<Result<Vec<_>, _>>()?)
}

/// `GET /api/trunks/{id}`
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    Reply::json(&shown(call, &known(call)?)?)
}

/// `POST /api/trunks`
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Problem> {
    let trunk = Trunk {
        id: String::new(),
        ..read(call, &Trunk::default())?
    };
    let trunk = call.context.admin.directory().put_trunk(trunk)?;
    call.note("created", &format!("trunk {}", trunk.name));
    Reply::created(&shown(call, &trunk)?)
}

/// `PUT /api/trunks/{id}`: a password that is left out stays.
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let before = known(call)?;
    let trunk = Trunk {
        id: before.id.clone(),
        ..read(call, &before)?
    };
    let trunk = call.context.admin.directory().put_trunk(trunk)?;
    call.note("changed", &format!("trunk {}", trunk.name));
    Reply::json(&shown(call, &trunk)?)
}

/// `DELETE /api/trunks/{id}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let trunk = known(call)?;
    call.context.admin.directory().remove_trunk(&trunk.id)?;
    call.note("removed", &format!("trunk {}", trunk.name));
    Ok(Reply::done())
}

/// What the request makes of a trunk. Members that are only shown may stand in it.
fn read(call: &Call<'_>, before: &Trunk) -> Result<Trunk, Problem> {
    let mut wanted: Map<String, Value> = call.json()?;
    for shown in ["id", "has_password", "status"] {
        wanted.remove(shown);
    }
    let password = wanted.contains_key("password");
    let mut all = members(before)?;
    if !call.is_administrator() {
        if password {
            let why = "only an administrator sets the password of a trunk";
            return Err(Problem::forbidden(why).about("password"));
        }
        let moved = |name: &&&str| {
            wanted
                .get(**name)
                .is_some_and(|new| all.get(**name) != Some(new))
        };
        if let Some(name) = WITH_PASSWORD.iter().find(moved)
            && !before.password.is_empty()
        {
            let why =
                format!("this trunk has a password: only an administrator changes its {name}");
            return Err(Problem::forbidden(why).about(*name));
        }
    }
    all.extend(wanted);
    let bytes = serde_json::to_vec(&all).map_err(|e| Problem::unavailable(e.to_string()))?;
    from_json(&bytes)
}

fn known(call: &Call<'_>) -> Result<Trunk, Problem> {
    let snapshot = call.context.admin.directory().snapshot();
    let found = snapshot.trunk(call.part("id"));
    found
        .map(|t| (**t).clone())
        .ok_or_else(|| Problem::not_found("such trunk"))
}

fn members(trunk: &Trunk) -> Result<Map<String, Value>, Problem> {
    match serde_json::to_value(trunk) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Problem::unavailable("the trunk cannot be written")),
    }
}

fn shown(call: &Call<'_>, trunk: &Trunk) -> Result<Shown, Problem> {
    let mut members = members(trunk)?;
    members.remove("password");
    Ok(Shown {
        trunk: members,
        has_password: !trunk.password.is_empty(),
        status: call.context.admin.trunk_status(trunk),
    })
}
