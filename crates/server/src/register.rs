//! REGISTER: authenticated, carried out in memory, answered when it is durable (RFC 3261 §10.3).

use sip::Endpoint;
use sip::header::{Date, HeaderName, NameAddr, Tokens};
use sip::message::StatusCode;
use sip::registrar::{self, Binding, Refusal};
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::wire::Packet;

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
        if self
            .shared
            .directory
            .snapshot()
            .settings
            .authentication
            .register
            && !authenticate(
                now,
                endpoint,
                id,
                Asker::Registrar,
                &aor,
                &self.shared.nonces,
                &self.shared.accounts,
                &self.shared.config,
            )
        {
            return;
        }
        let (Some(packet), Some(flow)) = (endpoint.request(id), endpoint.request_flow(id)) else {
            return;
        };
        if let Some(tags) = unsupported(&packet) {
            endpoint.respond(
                id,
                &Reply::new(StatusCode(420)).header("Unsupported", &tags),
            );
            return;
        }
        let settings = &self.shared.directory.snapshot().settings;
        let limits = &settings
            .registration
            .limits(self.shared.config.registration.max_bindings);
        let wall = unix_millis();
        let mut told = None;
        let outcome = self.shared.location.change(&aor, |existing| {
            let update = registrar::register(&packet, flow, existing, wall, limits)?;
            let registered = Registered {
                id,
                contacts: contacts(&update.bindings, wall),
                path: path(&packet),
            };
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

fn contacts(bindings: &[Binding], now: u64) -> Vec<String> {
    bindings
        .iter()
        .map(|b| registrar::contact_header(b, now))
        .collect()
}

/// The Path of a REGISTER, which its 200 repeats (RFC 3327 §5.3).
fn path(packet: &Packet<'_>) -> Vec<String> {
    packet
        .all(HeaderName::Path)
        .flat_map(|h| {
            let value = h.value();
            NameAddr::parse_list(value)
                .map_while(Result::ok)
                .filter_map(move |p| value.get(p.range()))
        })
        .map(|value| String::from_utf8_lossy(value).replace(['\r', '\n'], " "))
        .collect()
}

/// What a REGISTER requires and we do not have (RFC 3261 §8.2.2.3), for Unsupported.
fn unsupported(packet: &Packet<'_>) -> Option<String> {
    let unknown: Vec<String> = packet
        .all(HeaderName::Require)
        .flat_map(|h| Tokens::parse(h.value()))
        .filter(|tag| !tag.eq_ignore_ascii_case(b"path"))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
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
