//! REGISTER: authenticated, carried out in memory, answered when it is durable (RFC 3261 §10.3).

use sip::Endpoint;
use sip::header::{Date, HeaderName, NameAddr};
use sip::message::StatusCode;
use sip::registrar::{self, Binding, Refusal};
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;

use crate::accounts::unix_millis;
use crate::authenticate::{Asker, authenticate};
use crate::core::{Command, Core};
use crate::location::to_store;

/// What a phone is told once its bindings are durable.
#[derive(Debug)]
pub(crate) struct Registered {
    id: ServerId,
    contacts: Vec<String>,
    path: Vec<String>,
}

impl Core {
    pub(crate) fn on_register(&mut self, now: Time, endpoint: &mut Endpoint, id: ServerId) {
        let Some(aor) = self.registered_address(endpoint, id) else {
            return;
        };
        if self.shared.config.authentication.register
            && !authenticate(
                now,
                endpoint,
                id,
                Asker::Registrar,
                &aor,
                &self.shared.nonces,
                &self.shared.accounts,
            )
        {
            return;
        }
        let (Some(packet), Some(flow)) = (endpoint.request(id), endpoint.request_flow(id)) else {
            return;
        };
        if let Some(tags) = packet.value(HeaderName::Require) {
            let tags = String::from_utf8_lossy(tags).into_owned();
            let known = |tag: &str| matches!(tag.trim(), "path");
            if !tags.split(',').all(known) {
                endpoint.respond(
                    id,
                    &Reply::new(StatusCode(420)).header("Unsupported", &tags),
                );
                return;
            }
        }
        let limits = &self.shared.config.registration;
        let wall = unix_millis();
        let mut told = None;
        let outcome = self.shared.location.change(&aor, |existing| {
            let update = registrar::register(&packet, flow, existing, wall, limits)?;
            let registered = Registered::new(id, &update.bindings, wall);
            if update.changes.is_empty() {
                told = Some(registered);
                return Ok(None);
            }
            let changes = update.changes.iter().map(|c| to_store(&aor, c)).collect();
            let done = self.shared.remote(self.shard);
            self.shared
                .store
                .apply(changes, move |result| {
                    done(Command::Stored(registered, result.is_ok()));
                })
                .map_err(|_| Refusal {
                    code: StatusCode(503),
                    reason: "Too Many Registrations",
                })?;
            Ok(Some(update.bindings))
        });
        match outcome {
            Err(refusal) => refuse(endpoint, id, refusal, limits.min_expires),
            Ok(()) => {
                if let Some(registered) = told {
                    self.on_stored(endpoint, &registered, true);
                }
            }
        }
    }

    /// The address of record that a REGISTER is for; answers the request when there is none here.
    fn registered_address(&self, endpoint: &mut Endpoint, id: ServerId) -> Option<String> {
        let packet = endpoint.request(id)?;
        let to = NameAddr::parse(packet.value(HeaderName::To)?).ok()?;
        let aor = match to.uri.scheme {
            sip::uri::Scheme::Sip | sip::uri::Scheme::Sips => {
                self.shared.domains.address_of_record(&to.uri)
            }
            _ => {
                endpoint.respond(
                    id,
                    &Reply::new(StatusCode(400)).reason("To Is No SIP Address"),
                );
                return None;
            }
        };
        if aor.is_none() {
            endpoint.respond(id, &Reply::new(StatusCode(404)));
        }
        aor
    }

    /// The bindings of a REGISTER are durable, or will never be.
    pub(crate) fn on_stored(&self, endpoint: &mut Endpoint, told: &Registered, durable: bool) {
        if !durable {
            let reply = Reply::new(StatusCode(500)).reason("Registration Not Stored");
            endpoint.respond(told.id, &reply);
            return;
        }
        let date = Date {
            unix: unix_millis() / 1000,
        }
        .to_string();
        let mut reply = Reply::new(StatusCode(200));
        for contact in &told.contacts {
            reply.headers.push(("Contact", contact));
        }
        for path in &told.path {
            reply.headers.push(("Path", path));
        }
        reply.headers.push(("Date", &date));
        endpoint.respond(told.id, &reply);
    }
}

impl Registered {
    fn new(id: ServerId, bindings: &[Binding], now: u64) -> Registered {
        Registered {
            id,
            contacts: bindings
                .iter()
                .map(|b| registrar::contact_header(b, now))
                .collect(),
            path: bindings.last().map_or_else(Vec::new, |b| b.path.clone()),
        }
    }
}

fn refuse(endpoint: &mut Endpoint, id: ServerId, refusal: Refusal, min_expires: u32) {
    let mut reply = Reply::new(refusal.code).reason(refusal.reason);
    let min = min_expires.to_string();
    match refusal.code.0 {
        423 => reply.headers.push(("Min-Expires", &min)),
        503 => reply.headers.push(("Retry-After", "5")),
        _ => {}
    }
    endpoint.respond(id, &reply);
}
