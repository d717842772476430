//! Settings: those that can change now, and those of the start, which are only shown.

use serde::Serialize;
use serde_json::Value;
use server::directory::Settings;

use crate::problem::Problem;
use crate::request::{Call, Reply, from_json};

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    settings: &'a Settings,
    fixed: Fixed,
}

#[derive(Serialize)]
struct Fixed {
    domains: Vec<String>,
    listen: Vec<String>,
    http: String,
    data: String,
    advertise: String,
    media_ports: String,
    certificate: String,
    workers: usize,
}

/// `GET /api/settings`
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let snapshot = call.context.admin.directory().snapshot();
    Reply::json(&Shown {
        settings: &snapshot.settings,
        fixed: fixed(call),
    })
}

/// `PUT /api/settings`: what is left out stays.
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut wanted: Value = call.json()?;
    let Some(members) = wanted.as_object_mut() else {
        return Err(Problem::malformed("settings are a JSON object"));
    };
    // Shown only; the page sends it back with the rest.
    members.remove("fixed");
    let names: Vec<String> = members.keys().cloned().collect();
    let directory = call.context.admin.directory();
    let snapshot = directory.snapshot();
    let unreadable = |error: serde_json::Error| Problem::unavailable(error.to_string());
    let mut all = serde_json::to_value(&snapshot.settings).map_err(unreadable)?;
    lay_over(&mut all, wanted);
    let bytes = serde_json::to_vec(&all).map_err(unreadable)?;
    let settings: Settings = from_json(&bytes)?;
    directory.put_settings(settings)?;
    call.note("changed", &format!("settings: {}", names.join(", ")));
    show(call)
}

/// Members of `over` take the place of those of `under`, at any depth.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (name, value) in over {
                lay_over(under.entry(name).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

fn fixed(call: &Call<'_>) -> Fixed {
    let admin = &call.context.admin;
    let config = admin.config();
    let listen = admin.listeners().into_iter();
    let (low, high) = config.media_ports;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Fixed {
        domains: admin.domains().to_vec(),
        listen: listen.map(|(t, a)| format!("{t}:{a}")).collect(),
        http: call.context.fixed.http.clone(),
        data: call.context.store.dir().display().to_string(),
        advertise: config.advertised_host.clone().unwrap_or_default(),
        media_ports: format!("{low}-{high}"),
        certificate: call.context.fixed.certificate.clone(),
        workers: match config.workers {
            0 => processors,
            workers => workers,
        },
    }
}
