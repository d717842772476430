//! The dial plan joined with what this server knows: who has an account, who is registered, which trunk serves.

use std::sync::Arc;

use bytes::Bytes;
use sip::Endpoint;
use sip::flow::Flow;
use sip::header::{HeaderName, NameAddr};
use sip::message::Method;
use sip::proxy::Target;
use sip::registrar::Binding;
use sip::uri::{Scheme, Uri};
use sip::wire::Packet;

use crate::accounts::unix_millis;
use crate::bridge::Whereabouts;
use crate::core::{Core, Shared};
use crate::dialplan::{Attempt, Destination, Plan, Query, Resolved, Surroundings, bare, resolve};
use crate::directory::{RelayMode, Snapshot, Trunk};
use crate::routing::{Route, targets};
use crate::services::Service;

/// A request outside any dialog, whose way is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) packet: &'a Packet<'a>,
    pub(crate) uri: &'a Uri<'a>,
    pub(crate) method: Method,
    /// The flow that it came on.
    pub(crate) flow: Flow,
    /// The account that the caller will have proved to be when it gets anywhere.
    pub(crate) caller: Option<&'a str>,
    /// The trunk that it came from.
    pub(crate) trunk: Option<&'a Arc<Trunk>>,
}

impl Surroundings for Shared {
    fn is_account(&self, address: &str) -> bool {
        self.accounts.find(address).is_some() || self.location.find(address).is_some()
    }

    fn is_registered(&self, address: &str) -> bool {
        self.location.is_registered(address, unix_millis())
    }

    fn is_service(&self, user: &str) -> bool {
        self.config.services && Service::of_user(user.as_bytes()).is_some()
    }

    fn idle_since(&self, address: &str) -> u64 {
        self.idle.since(address)
    }

    fn is_usable(&self, trunk: &Trunk) -> bool {
        self.trunks.is_usable(trunk)
    }

    fn draw(&self, below: u32) -> u32 {
        let mut bytes = [0u8; 4];
        // Without randomness the first trunk carries more than its share.
        let _ = getrandom::fill(&mut bytes);
        u32::from_le_bytes(bytes) % below.max(1)
    }

    fn default_domain(&self) -> &str {
        self.domains.default_name()
    }

    fn is_ours(&self, domain: &str) -> bool {
        self.domains
            .names()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(domain))
    }
}

impl Shared {
    /// What becomes of a request, and why.
    pub(crate) fn explain(&self, query: &Query) -> Resolved {
        resolve(&self.directory.snapshot(), self, query, true)
    }
}

impl Core {
    pub(crate) fn resolve(&self, query: &Query) -> Resolved {
        resolve(
            &self.shared.directory.snapshot(),
            &*self.shared,
            query,
            false,
        )
    }

    /// The number or user that a URI means, and its domain: one of ours by its name.
    pub(crate) fn number_of(&self, uri: &str) -> Option<(String, String)> {
        let uri = Uri::parse(uri.as_bytes()).ok()?;
        self.named(&uri)
    }

    pub(crate) fn named(&self, uri: &Uri<'_>) -> Option<(String, String)> {
        let user = uri.user?;
        if uri.scheme == Scheme::Tel {
            let number = bare(&String::from_utf8_lossy(user));
            return Some((number, self.shared.domains.default_name().to_owned()));
        }
        let user = String::from_utf8_lossy(&uri.user_unescaped()).into_owned();
        let domain = match self.shared.domains.of(&uri.host) {
            Some(ours) => ours.to_owned(),
            None => host_port(uri),
        };
        Some((user, domain))
    }

    /// Where the dial plan sends a request.
    pub(crate) fn planned(&self, endpoint: &Endpoint, all: &Snapshot, asked: &Asked<'_>) -> Route {
        let route = self.by_plan(endpoint, all, asked);
        let Route::User(bindings) = &route else {
            return route;
        };
        if asked.method != Method::Invite || !self.sound_passes_here(all, asked, bindings) {
            return route;
        }
        let Some((user, domain)) = self.named(asked.uri) else {
            return route;
        };
        let address = format!("{user}@{domain}");
        let address = all.aliases.get(&address).cloned().unwrap_or(address);
        let attempt = Attempt::only(vec![Destination::Account(address)]);
        Route::Bridge(Arc::new(attempt), None)
    }

    /// Whether the sound of a call to these phones is to pass through this server.
    fn sound_passes_here(&self, all: &Snapshot, asked: &Asked<'_>, bindings: &[Binding]) -> bool {
        let mode = all.settings.relay;
        if mode == RelayMode::Never {
            return false;
        }
        let caller = Whereabouts::of_request(asked.packet, &asked.flow);
        let apart = bindings.iter().any(|binding| {
            // Behind another proxy, that one knows where its phones are.
            let there = Whereabouts::of_binding(binding).filter(|_| binding.path.is_empty());
            self.shared.carries(mode, &caller, there.as_ref())
        });
        apart && (mode == RelayMode::Always || !finds_its_way(asked.packet.body()))
    }

    fn by_plan(&self, endpoint: &Endpoint, all: &Snapshot, asked: &Asked<'_>) -> Route {
        let plain = || self.route(endpoint, asked.uri);
        let Some((mut number, mut domain)) = self.named(asked.uri) else {
            return plain();
        };
        let is_local =
            self.shared.domains.of(&asked.uri.host).is_some() || asked.uri.scheme == Scheme::Tel;
        if let Some(trunk) = asked.trunk {
            number = dialled_through(asked.packet, trunk, number);
            self.shared.domains.default_name().clone_into(&mut domain);
        } else if all.is_plain() || (!is_local && all.rules.is_empty()) {
            return plain();
        }
        let query = Query {
            method: String::from_utf8_lossy(asked.packet.method_name()).into_owned(),
            caller: asked
                .caller
                .map_or_else(|| caller_of(asked.packet), str::to_owned),
            is_ours: asked.caller.is_some() || (asked.trunk.is_none() && self.is_open()),
            trunk: asked.trunk.map(|t| t.id.clone()),
            number,
            domain,
        };
        let requested = format!("{}@{}", query.number, query.domain);
        match resolve(all, &*self.shared, &query, false).plan {
            Plan::Nobody => Route::Nobody,
            Plan::Reject { status, reason } => Route::Refused(status, reason),
            Plan::Service(user) => {
                Service::of_user(user.as_bytes()).map_or(Route::Nobody, Route::Service)
            }
            Plan::Ring(attempt) => match attempt.to.first() {
                Some(Destination::Elsewhere(address))
                    if attempt.is_plain() && *address == requested =>
                {
                    plain()
                }
                Some(Destination::Account(address))
                    if attempt.is_plain() && asked.trunk.is_none() =>
                {
                    self.phones(address)
                }
                _ if asked.method == Method::Invite => Route::Bridge(attempt, asked.trunk.cloned()),
                _ => Route::Fork(self.all_of(&attempt)),
            },
        }
    }

    fn phones(&self, address: &str) -> Route {
        let now = unix_millis();
        match self.shared.location.find(address) {
            Some(bindings) if bindings.iter().any(|b| b.expires_at > now) => Route::User(bindings),
            _ => Route::Away,
        }
    }

    /// All that an attempt would ring, as targets of a request that is no call.
    fn all_of(&self, attempt: &Attempt) -> Vec<Target> {
        let mut found = Vec::new();
        for to in &attempt.to {
            match to {
                Destination::Account(address) => {
                    if let Some(bindings) = self.shared.location.find(address) {
                        found.extend(targets(&bindings));
                    }
                }
                Destination::Trunk { trunk, number } => {
                    let (uri, routes) = trunk.target(number);
                    found.push(Target {
                        uri: Some(Bytes::from(uri)),
                        routes,
                        ..Target::default()
                    });
                }
                Destination::Elsewhere(address) => found.push(Target {
                    uri: Some(Bytes::from(format!("sip:{address}"))),
                    ..Target::default()
                }),
            }
        }
        found
    }
}

/// Whether whoever offers this knows by ICE where it can be reached from outside (RFC 8445): the two phones then find the way
/// themselves, and a relay between them would take that from them.
fn finds_its_way(offer: &[u8]) -> bool {
    [&b" typ srflx"[..], b" typ relay"]
        .iter()
        .any(|kind| offer.windows(kind.len()).any(|part| part == *kind))
}

/// The number that a caller from a trunk dialled. Where we are registered, the Request-URI is our contact, and the
/// number stands in To.
fn dialled_through(packet: &Packet<'_>, trunk: &Trunk, number: String) -> String {
    if trunk.username.is_empty() || number != trunk.username {
        return number;
    }
    let to = packet
        .value(HeaderName::To)
        .and_then(|v| NameAddr::parse(v).ok());
    let user = to.map(|to| String::from_utf8_lossy(&to.uri.user_unescaped()).into_owned());
    user.filter(|u| !u.is_empty()).unwrap_or(number)
}

/// Who a request says that it comes from, for rules about callers.
fn caller_of(packet: &Packet<'_>) -> String {
    let from = packet
        .value(HeaderName::From)
        .and_then(|v| NameAddr::parse(v).ok());
    from.map_or_else(String::new, |from| {
        format!(
            "{}@{}",
            String::from_utf8_lossy(&from.uri.user_unescaped()),
            host_port(&from.uri)
        )
    })
}

fn host_port(uri: &Uri<'_>) -> String {
    let host = uri.host.to_string();
    match uri.port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}
