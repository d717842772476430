//! How the server does: counted each second, shown to whoever asks and to all who follow.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde::Serialize;
use server::TrunkState;
use server::admin::{Totals, Vital};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::notices::{self, Notice, Watch};
use crate::administrators::now;
use crate::context::Context;
use crate::http::live::event;
use crate::problem::Problem;
use crate::request::{Call, Reply};

/// Rates are means over this many seconds.
const SPAN: usize = 5;

/// How the server does.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    started: u64,
    now: u64,
    domains: Vec<String>,
    listeners: Vec<Listener>,
    accounts: usize,
    registered_users: usize,
    registrations: usize,
    calls: usize,
    requests_per_second: f64,
    responses_per_second: f64,
    calls_per_second: f64,
    requests: u64,
    responses: u64,
    malformed: u64,
    retransmissions: u64,
    calls_proxied: u64,
    load: f64,
    memory: u64,
    trunks: Trunks,
    blocked_sources: usize,
    notices: Vec<Notice>,
}

#[derive(Clone, Debug, Serialize)]
struct Listener {
    transport: &'static str,
    address: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Trunks {
    total: usize,
    reachable: usize,
}

#[derive(Serialize)]
struct Calls {
    count: usize,
}

/// The latest status, and what the next one is made from.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Arc<Status>>,
    samples: VecDeque<Sample>,
    shards: Vec<Totals>,
    watch: Watch,
    started: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    totals: Totals,
    processor: Duration,
}

impl Board {
    /// Counts anew.
    fn sample(&self, context: &Context) -> Arc<Status> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let totals = context.admin.totals(&mut state.shards);
        let vital = Vital::now();
        let sample = Sample {
            at: Instant::now(),
            totals,
            processor: vital.processor,
        };
        state.samples.push_back(sample);
        if state.samples.len() > SPAN + 1 {
            state.samples.pop_front();
        }
        let started = *state.started.get_or_insert_with(now);
        let notices = notices::all(context, &mut state.watch);
        let status = Arc::new(status(context, &state.samples, vital, started, notices));
        state.latest = Some(status.clone());
        status
    }

    fn latest(&self) -> Option<Arc<Status>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest.clone()
    }
}

fn status(
    context: &Context,
    samples: &VecDeque<Sample>,
    vital: Vital,
    started: u64,
    notices: Vec<Notice>,
) -> Status {
    let admin = &context.admin;
    let numbers = admin.snapshot();
    let newest = samples.back().map(|s| s.totals).unwrap_or_default();
    let rate = |of: fn(&Totals) -> u64| per_second(samples, of);
    let transport = if context.fixed.secure {
        "https"
    } else {
        "http"
    };
    let http = Listener {
        transport,
        address: context.fixed.http.clone(),
    };
    let sip = admin
        .listeners()
        .into_iter()
        .map(|(transport, address)| Listener {
            transport,
            address: address.to_string(),
        });
    Status {
        version: env!("CARGO_PKG_VERSION"),
        started,
        now: now(),
        domains: admin.domains().to_vec(),
        listeners: sip.chain([http]).collect(),
        accounts: numbers.accounts,
        registered_users: numbers.users,
        registrations: numbers.bindings,
        calls: admin.call_count(),
        requests_per_second: rate(|t| t.requests),
        responses_per_second: rate(|t| t.responses),
        calls_per_second: rate(|t| t.calls_proxied),
        requests: newest.requests,
        responses: newest.responses,
        malformed: newest.malformed,
        retransmissions: newest.retransmissions,
        calls_proxied: newest.calls_proxied,
        load: load(samples),
        memory: vital.memory,
        trunks: trunks(context),
        blocked_sources: admin.guard_counts().blocked,
        notices,
    }
}

fn trunks(context: &Context) -> Trunks {
    let snapshot = context.admin.directory().snapshot();
    let states = snapshot.trunks.iter();
    let states = states.map(|trunk| context.admin.trunk_status(trunk).state);
    let serves =
        |state: &TrunkState| matches!(state, TrunkState::Reachable | TrunkState::Registered);
    Trunks {
        total: snapshot.trunks.len(),
        reachable: states.filter(serves).count(),
    }
}

fn per_second(samples: &VecDeque<Sample>, of: fn(&Totals) -> u64) -> f64 {
    let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
        return 0.0;
    };
    let span = last.at.saturating_duration_since(first.at).as_secs_f64();
    if span <= 0.0 {
        return 0.0;
    }
    let rate = of(&last.totals).saturating_sub(of(&first.totals)) as f64 / span;
    (rate * 10.0).round() / 10.0
}

/// The share of all processors between the last two samples.
fn load(samples: &VecDeque<Sample>) -> f64 {
    let mut latest = samples.iter().rev();
    let (Some(last), Some(before)) = (latest.next(), latest.next()) else {
        return 0.0;
    };
    let span = last.at.saturating_duration_since(before.at).as_secs_f64();
    let used = last
        .processor
        .saturating_sub(before.processor)
        .as_secs_f64();
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if span <= 0.0 {
        return 0.0;
    }
    ((used / span / processors).clamp(0.0, 1.0) * 1000.0).round() / 1000.0
}

/// Counts each second until the console stops, and tells all who follow.
pub(crate) async fn follow(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut each_second = interval(Duration::from_secs(1));
    each_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = each_second.tick() => {}
            _ = stop.wait_for(|s| *s) => return,
        }
        let counting = context.clone();
        let counted = tokio::task::spawn_blocking(move || counting.status.sample(&counting));
        let Ok(status) = counted.await else {
            continue;
        };
        if context.events.receiver_count() == 0 {
            continue;
        }
        // Nobody may listen any more.
        let _ = context.events.send(event("status", &*status).into());
        // Each time, because who has just begun to follow has not heard it.
        let calls = Calls {
            count: status.calls,
        };
        let _ = context.events.send(event("calls", &calls).into());
    }
}

/// `GET /api/status`
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let board = &call.context.status;
    let latest = board.latest().unwrap_or_else(|| board.sample(call.context));
    Reply::json(&*latest)
}

/// `GET /healthz`: the process answers.
pub(crate) fn healthy(_call: &Call<'_>) -> Result<Reply, Problem> {
    Ok(Reply::text(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        "ok\n",
    ))
}

/// `GET /readyz`: the process takes calls, and its data can be read.
pub(crate) fn ready(call: &Call<'_>) -> Result<Reply, Problem> {
    if call.context.stopping.load(Ordering::SeqCst) {
        return Err(Problem::unavailable("the server is ending"));
    }
    call.context.store.default_domain()?;
    healthy(call)
}

/// `GET /api/openapi.yaml`
pub(crate) fn description(_call: &Call<'_>) -> Result<Reply, Problem> {
    let text = include_str!("../../openapi.yaml");
    Ok(Reply::text(
        StatusCode::OK,
        "application/yaml; charset=utf-8",
        text,
    ))
}
