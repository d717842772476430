//! Everything that is counted, for Prometheus (text format 0.0.4).

use std::fmt::Write as _;

use axum::http::StatusCode;
use server::admin::Vital;
use server::guard::Reason;

use crate::problem::Problem;
use crate::request::{Call, Reply};

/// `GET /metrics`: for programs of this host, and for who is signed in as an operator.
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let is_staff = call
        .role()
        .is_some_and(|role| role >= crate::session::Role::Operator);
    if !call.source.to_canonical().is_loopback() && !is_staff {
        return Err(Problem::forbidden(
            "metrics are told to programs of this host alone: scrape them through one there",
        ));
    }
    let text = render(call);
    Ok(Reply::text(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        text,
    ))
}

fn render(call: &Call<'_>) -> String {
    let admin = &call.context.admin;
    let mut out = Exposition::default();
    let now = admin.snapshot();
    out.gauge("sori_accounts", "Accounts", now.accounts as u64);
    out.gauge(
        "sori_registered_users",
        "Users with a phone registered",
        now.users as u64,
    );
    out.gauge(
        "sori_registrations",
        "Phones registered",
        now.bindings as u64,
    );
    out.gauge("sori_calls", "Calls that go on", admin.call_count() as u64);
    let (not_shown, not_recorded) = admin.calls_lost();
    out.counter(
        "sori_calls_not_shown_total",
        "Calls above the number that is followed",
        not_shown,
    );
    out.counter(
        "sori_call_records_lost_total",
        "Records of calls that could not be stored",
        not_recorded,
    );
    let totals = admin.totals(&mut Vec::new());
    out.counter(
        "sori_requests_total",
        "SIP requests received",
        totals.requests,
    );
    out.counter(
        "sori_responses_total",
        "SIP responses received",
        totals.responses,
    );
    out.counter(
        "sori_malformed_total",
        "SIP messages that could not be understood",
        totals.malformed,
    );
    out.counter(
        "sori_retransmissions_total",
        "Messages repeated, by peers and by the server",
        totals.retransmissions,
    );
    out.counter(
        "sori_calls_proxied_total",
        "INVITEs that were put through",
        totals.calls_proxied,
    );
    for (name, value) in admin.statistics().all() {
        // What is there now falls again; everything else only rises.
        if name.ends_with("_open") || name.ends_with("_now") {
            out.gauge(&format!("sori_net_{name}"), "Counted by the network", value);
        } else {
            out.counter(
                &format!("sori_net_{name}_total"),
                "Counted by the network",
                value,
            );
        }
    }
    let guard = admin.guard_counts();
    out.gauge(
        "sori_sources_blocked",
        "Sources and users left out now",
        guard.blocked as u64,
    );
    out.gauge(
        "sori_sources_remembered",
        "Sources that something is known of",
        guard.sources as u64,
    );
    out.head("sori_blocks_total", "counter", "Blocks since the start");
    for (reason, count) in Reason::ALL.iter().zip(guard.blocks) {
        let _ = writeln!(
            out.0,
            "sori_blocks_total{{reason=\"{}\"}} {count}",
            reason.name()
        );
    }
    out.counter(
        "sori_dropped_blocked_total",
        "Messages of blocked sources that were dropped",
        guard.dropped,
    );
    out.counter(
        "sori_throttled_total",
        "Requests dropped because their source sent too many",
        guard.throttled,
    );
    out.counter(
        "sori_failed_tries_total",
        "Wrong passwords and the like that count",
        guard.failures,
    );
    trunks(call, &mut out);
    process(&mut out);
    out.0
}

fn trunks(call: &Call<'_>, out: &mut Exposition) {
    let admin = &call.context.admin;
    let all = admin.directory().snapshot();
    out.head(
        "sori_trunk_up",
        "gauge",
        "Whether a trunk answers or has taken our registration",
    );
    let mut calls = String::new();
    for trunk in &all.trunks {
        let status = admin.trunk_status(trunk);
        let up = matches!(
            status.state,
            server::TrunkState::Reachable | server::TrunkState::Registered
        );
        let name = escaped(&trunk.name);
        let _ = writeln!(out.0, "sori_trunk_up{{trunk=\"{name}\"}} {}", u8::from(up));
        let _ = writeln!(
            calls,
            "sori_trunk_calls{{trunk=\"{name}\"}} {}",
            status.calls
        );
    }
    out.head("sori_trunk_calls", "gauge", "Calls through a trunk");
    out.0.push_str(&calls);
}

fn process(out: &mut Exposition) {
    let vital = Vital::now();
    out.head("process_cpu_seconds_total", "counter", "Time on processors");
    let _ = writeln!(
        out.0,
        "process_cpu_seconds_total {:.3}",
        vital.processor.as_secs_f64()
    );
    out.gauge(
        "process_resident_memory_bytes",
        "Memory in use",
        vital.memory,
    );
}

/// A label's value (backslash, quotation mark and line end are escaped).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_a_line() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
