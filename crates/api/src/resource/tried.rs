//! The try-it box of the dial plan: what would become of a call, and why.

use serde::{Deserialize, Serialize};
use server::dialplan::{Attempt, Destination, Plan, Query, Resolved};

use crate::problem::Problem;
use crate::request::{Call, Reply};

/// Attempts that are told one after the other.
const TOLD: usize = 16;

#[derive(Deserialize)]
#[serde(default)]
struct Try {
    caller: String,
    number: String,
    method: String,
    trunk: String,
}

impl Default for Try {
    fn default() -> Try {
        Try {
            caller: String::new(),
            number: String::new(),
            method: "INVITE".to_owned(),
            trunk: String::new(),
        }
    }
}

#[derive(Serialize)]
struct Tried {
    steps: Vec<Step>,
    number: String,
    outcome: String,
    kind: &'static str,
    targets: Vec<String>,
}

#[derive(Serialize)]
struct Step {
    rule: String,
    name: String,
    matched: bool,
    why: String,
}

/// `POST /api/rules/try`
pub(crate) fn explain(call: &Call<'_>) -> Result<Reply, Problem> {
    let asked: Try = call.json()?;
    let query = query(call, &asked)?;
    let found = call.context.admin.explain(&query);
    let (kind, outcome, targets) = told(call, &found);
    let steps = found.steps.into_iter().map(|step| Step {
        rule: step.rule,
        name: step.name,
        matched: step.matched,
        why: step.why,
    });
    Reply::json(&Tried {
        steps: steps.collect(),
        number: found.number,
        outcome,
        kind,
        targets,
    })
}

fn query(call: &Call<'_>, asked: &Try) -> Result<Query, Problem> {
    let admin = &call.context.admin;
    let snapshot = admin.directory().snapshot();
    let number = asked.number.trim().trim_start_matches("sip:");
    if number.is_empty() {
        return Err(Problem::invalid(
            "number",
            "a number, user or address is needed",
        ));
    }
    let trunk = (!asked.trunk.is_empty()).then(|| asked.trunk.clone());
    if trunk
        .as_deref()
        .is_some_and(|id| snapshot.trunk(id).is_none())
    {
        return Err(Problem::invalid("trunk", "there is no such trunk"));
    }
    let (number, domain) = number
        .rsplit_once('@')
        .unwrap_or((number, admin.default_domain()));
    let caller = asked.caller.trim().trim_start_matches("sip:");
    let caller = match caller.contains('@') || trunk.is_some() || caller.is_empty() {
        true => caller.to_owned(),
        false => format!("{caller}@{}", admin.default_domain()),
    };
    let method = match asked.method.trim() {
        "" => "INVITE".to_owned(),
        method => method.to_ascii_uppercase(),
    };
    Ok(Query {
        method,
        is_ours: trunk.is_none() && admin.is_account(&caller),
        caller,
        trunk,
        number: number.to_owned(),
        domain: domain.to_owned(),
    })
}

/// What happens: for programs, for people, and to whom.
fn told(call: &Call<'_>, found: &Resolved) -> (&'static str, String, Vec<String>) {
    match &found.plan {
        Plan::Nobody => ("nobody", "nobody has this number: 404".into(), Vec::new()),
        Plan::Service(user) => (
            "service",
            format!("is answered by the service {user}"),
            vec![user.clone()],
        ),
        Plan::Reject { status, reason } => (
            "reject",
            format!("is refused with {status} {reason}")
                .trim_end()
                .to_owned(),
            Vec::new(),
        ),
        Plan::Ring(first) => {
            let mut attempts = vec![&**first];
            while attempts.len() < TOLD
                && let Some(next) = attempts.last().and_then(|a| following(a))
            {
                attempts.push(next);
            }
            let texts: Vec<String> = attempts.iter().map(|a| attempt(call, a)).collect();
            let all = attempts.iter().flat_map(|a| &a.to);
            let is_group = found.steps.iter().any(|s| s.matched && s.name == "group");
            let kind = match first.to.first() {
                _ if is_group => "group",
                Some(Destination::Trunk { .. }) => "trunks",
                Some(Destination::Elsewhere(_)) => "domain",
                _ => "account",
            };
            (kind, texts.join(", then "), all.map(target).collect())
        }
    }
}

fn following(attempt: &Attempt) -> Option<&Attempt> {
    let next = attempt.on_no_answer.as_ref();
    let next = next.or(attempt.on_busy.as_ref());
    next.or(attempt.on_failure.as_ref()).map(|next| &**next)
}

fn attempt(call: &Call<'_>, attempt: &Attempt) -> String {
    let each = attempt.to.iter().map(|to| match to {
        Destination::Account(address) => match call.context.admin.phones(address) {
            0 => format!("finds no phone of {address}"),
            1 => format!("rings 1 phone of {address}"),
            n => format!("rings {n} phones of {address}"),
        },
        Destination::Trunk { trunk, number } => {
            format!("goes to {number} through trunk {}", trunk.name)
        }
        Destination::Elsewhere(address) => format!("goes to {address}"),
    });
    let mut text = each.collect::<Vec<_>>().join(" and ");
    if let Some(seconds) = attempt.ring_for {
        text.push_str(&format!(" for {seconds} s"));
    }
    text
}

fn target(to: &Destination) -> String {
    match to {
        Destination::Account(address) | Destination::Elsewhere(address) => address.clone(),
        Destination::Trunk { trunk, .. } => trunk.name.clone(),
    }
}
