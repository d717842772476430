//! What the owner of a proxying endpoint does, for tests.

use sip::Endpoint;
use sip::endpoint::Event;
use sip::message::StatusCode;
use sip::proxy::{Forward, Target};
use sip::respond::Reply;
use sip::time::Time;

/// Forwards every request to these URIs, each with its q value (0 to 1000).
pub fn fork(
    targets: &[(&str, u16)],
    record_route: bool,
) -> impl FnMut(Time, &mut Endpoint, Event) + use<> {
    let targets: Vec<Target> = targets
        .iter()
        .map(|(uri, q)| Target {
            q: *q,
            ..Forward::to((*uri).to_owned())
        })
        .collect();
    move |_, endpoint, event| {
        if let Event::Request(id) = event {
            let targets = targets.clone();
            endpoint.forward(
                id,
                Forward {
                    targets,
                    record_route,
                },
            );
        }
    }
}

/// Forwards every request to where Route and Request-URI say.
pub fn along(record_route: bool) -> impl FnMut(Time, &mut Endpoint, Event) {
    move |_, endpoint, event| {
        if let Event::Request(id) = event {
            let forward = Forward {
                record_route,
                ..Forward::along_route()
            };
            endpoint.forward(id, forward);
        }
    }
}

/// Answers every request at once with the same status.
pub fn answer(code: u16) -> impl FnMut(Time, &mut Endpoint, Event) {
    move |_, endpoint, event| {
        if let Event::Request(id) = event {
            endpoint.respond(id, &Reply::new(StatusCode(code)));
        }
    }
}

/// Leaves every request undecided.
pub fn wait() -> impl FnMut(Time, &mut Endpoint, Event) {
    |_, _, _| {}
}

/// The bytes of the request that an event is about are of no interest; only that it came is counted.
pub fn count(seen: std::rc::Rc<std::cell::Cell<u32>>) -> impl FnMut(Time, &mut Endpoint, Event) {
    move |_, _, event| {
        if matches!(event, Event::Request(_)) {
            seen.set(seen.get() + 1);
        }
    }
}
