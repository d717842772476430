//! The dial plan.

use server::directory::{PlanRule, Rule};

use crate::problem::Problem;
use crate::request::{Call, Reply};

/// `GET /api/rules`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    Reply::json(&all(call))
}

/// `GET /api/rules/document`
pub(crate) fn export(call: &Call<'_>) -> Result<Reply, Problem> {
    call.note("exported", "rules");
    list(call)
}

/// `PUT /api/rules/document`: all rules anew.
pub(crate) fn import(call: &Call<'_>) -> Result<Reply, Problem> {
    let rules: Vec<Rule> = call.json()?;
    let count = rules.len();
    call.context.admin.directory().replace_rules(rules)?;
    call.note("imported", &format!("rules: {count}"));
    list(call)
}

/// `POST /api/rules`
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut rule: Rule = call.json()?;
    rule.id = String::new();
    let rule = call.context.admin.directory().put_rule(rule)?;
    call.note("created", &format!("rule {}", rule.name));
    Reply::created(&rule)
}

/// `PUT /api/rules/{id}`
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut rule: Rule = call.json()?;
    rule.id = known(call)?.id.clone();
    let rule = call.context.admin.directory().put_rule(rule)?;
    call.note("changed", &format!("rule {}", rule.name));
    Reply::json(&rule)
}

/// `DELETE /api/rules/{id}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let rule = known(call)?;
    call.context.admin.directory().remove_rule(&rule.id)?;
    call.note("removed", &format!("rule {}", rule.name));
    Ok(Reply::done())
}

/// `PUT /api/rules/order`
pub(crate) fn order(call: &Call<'_>) -> Result<Reply, Problem> {
    let ids: Vec<String> = call.json()?;
    call.context.admin.directory().order_rules(&ids)?;
    call.note("changed", "order of the rules");
    list(call)
}

fn all(call: &Call<'_>) -> Vec<Rule> {
    let snapshot = call.context.admin.directory().snapshot();
    let rule = |r: &PlanRule| (*r.rule).clone();
    snapshot.rules.iter().map(rule).collect()
}

fn known(call: &Call<'_>) -> Result<Rule, Problem> {
    let id = call.part("id");
    let found = all(call).into_iter().find(|r| r.id == id);
    found.ok_or_else(|| Problem::not_found("such rule"))
}
