//! What the owner of a proxying endpoint does, for tests.

use sip::Endpoint;
use sip::endpoint::Event;
use sip::proxy::{Forward, Target};
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
                    spent: None,
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
