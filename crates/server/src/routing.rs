//! Where a request goes (RFC 3261 §16.5).

use std::sync::Arc;

use bytes::Bytes;
use sip::Endpoint;
use sip::header::{HeaderName, MaxForwards, NameAddr, Tokens};
use sip::message::{Method, StatusCode};
use sip::proxy::{Forward, Target};
use sip::registrar::Binding;
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::uri::{Scheme, Uri};

use crate::accounts::unix_millis;
use crate::authenticate::{Asker, authenticate};
use crate::bridge::Order;
use crate::core::Core;
use crate::dialplan::{Attempt, bare};
use crate::directory::Trunk;
use crate::planned::Asked;
use crate::services::Service;

/// Where a request goes.
pub(crate) enum Route {
    /// To these contacts of a user of ours.
    User(Arc<[Binding]>),
    /// To these phones, and what is no call to trunks and other domains.
    Fork(Vec<Target>),
    /// To whom the dial plan names, with this server in between.
    Bridge(Arc<Attempt>, Option<Arc<Trunk>>),
    /// Nowhere: the dial plan refuses it.
    Refused(u16, String),
    /// To a service of this server.
    Service(Service),
    /// This server itself is meant.
    Server,
    /// To a user of ours who is nowhere.
    Away,
    /// To nobody that we know.
    Nobody,
    /// To another domain.
    Elsewhere,
}

/// What routing has to know of a request.
struct Facts {
    method: Method,
    in_dialog: bool,
    /// The caller, when it claims to be a user of ours and has to prove it.
    caller: Option<String>,
    route: Route,
    /// It comes from a trunk.
    from_trunk: bool,
    redirects: bool,
}

impl Facts {
    /// The realm in which the caller proved who it is.
    fn realm(&self) -> Option<String> {
        let (_, domain) = self.caller.as_deref()?.rsplit_once('@')?;
        Some(domain.to_owned())
    }
}

impl Core {
    /// A request that is neither REGISTER nor in a dialog of our own.
    pub(crate) fn on_routable(&mut self, now: Time, endpoint: &mut Endpoint, id: ServerId) {
        match replaced_dialog(endpoint, id) {
            Some(replaces) => self.ask_for_dialog(&replaces, id),
            None => self.on_routable_knowing(now, endpoint, id, None),
        }
    }

    /// The same when it is known whether an INVITE takes the place of a call that is bridged here.
    pub(crate) fn on_routable_knowing(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: ServerId,
        replaces: Option<String>,
    ) {
        let Some(facts) = self.facts(endpoint, id) else {
            endpoint.respond(id, &Reply::new(StatusCode(400)));
            return;
        };
        if let Some((code, unsupported)) = refusal(endpoint, id, &facts.route) {
            let mut reply = Reply::new(StatusCode(code));
            reply.headers.extend(
                unsupported
                    .iter()
                    .map(|tags| ("Unsupported", tags.as_str())),
            );
            endpoint.respond(id, &reply);
            return;
        }
        if self.must_authenticate(&facts) {
            let Some(caller) = &facts.caller else {
                return;
            };
            if !authenticate(
                now,
                endpoint,
                id,
                Asker::Proxy,
                caller,
                &self.shared.nonces,
                &self.shared.accounts,
                &self.shared.config,
            ) {
                return;
            }
        }
        if replaces.is_some() {
            self.take_over(now, endpoint, id, facts, replaces);
            return;
        }
        if self.has_enough_calls(&facts) {
            let reply = Reply::new(StatusCode(403)).reason("Too Many Calls Of This Account");
            endpoint.respond(id, &reply);
            return;
        }
        let spent = facts.realm();
        match facts.route {
            Route::Server if facts.in_dialog => answer(endpoint, id, 481),
            Route::Service(_) if facts.in_dialog => answer(endpoint, id, 481),
            // Nobody reads what is written to the server itself.
            Route::Server | Route::Service(_) if facts.method == Method::Message => {
                let reply = Reply::new(StatusCode(405))
                    .header("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS");
                endpoint.respond(id, &reply);
            }
            // Sound goes where a description says: only for callers who are known.
            Route::Service(_) if facts.caller.is_none() && !facts.from_trunk && !self.is_open() => {
                let reply = Reply::new(StatusCode(403)).reason("For Users Of This Server");
                endpoint.respond(id, &reply);
            }
            Route::Server => self.hand_to_agent(now, endpoint, id, None),
            Route::Service(service) => self.hand_to_agent(now, endpoint, id, Some(service)),
            Route::Refused(status, reason) => {
                let mut reply = Reply::new(StatusCode(status));
                if !reason.is_empty() {
                    reply = reply.reason(&reason);
                }
                endpoint.respond(id, &reply);
            }
            Route::Bridge(attempt, trunk) => {
                let order = Order {
                    attempt,
                    account: facts.caller,
                    trunk,
                    replaces: None,
                };
                self.bridge(now, endpoint, id, order);
            }
            Route::Fork(targets) if targets.is_empty() => answer(endpoint, id, 480),
            Route::Fork(targets) => {
                let forward = Forward {
                    targets,
                    record_route: makes_dialog(facts.method),
                    spent,
                };
                endpoint.forward(id, forward);
            }
            Route::User(bindings) if facts.redirects => redirect(endpoint, id, &bindings),
            Route::User(bindings) => {
                let forward = Forward {
                    targets: targets(&bindings),
                    record_route: makes_dialog(facts.method),
                    spent,
                };
                endpoint.forward(id, forward);
            }
            Route::Away => answer(endpoint, id, 480),
            Route::Nobody if facts.in_dialog => answer(endpoint, id, 481),
            Route::Nobody => answer(endpoint, id, 404),
            Route::Elsewhere if facts.caller.is_none() && !self.is_open() => {
                let reply = Reply::new(StatusCode(403)).reason("Relaying Denied");
                endpoint.respond(id, &reply);
            }
            Route::Elsewhere => {
                let forward = Forward {
                    targets: vec![Target::default()],
                    record_route: makes_dialog(facts.method),
                    spent,
                };
                endpoint.forward(id, forward);
            }
        }
    }

    /// An INVITE that takes the place of a call which is bridged here (RFC 3891 §8: only for those who are known).
    fn take_over(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: ServerId,
        facts: Facts,
        replaces: Option<String>,
    ) {
        if facts.caller.is_none() && !facts.from_trunk && !self.is_open() {
            answer(endpoint, id, 403);
            return;
        }
        let order = Order {
            attempt: Arc::default(),
            account: facts.caller,
            trunk: None,
            replaces,
        };
        self.bridge(now, endpoint, id, order);
    }

    /// Nobody has to say who they are, so nobody is kept from calling elsewhere.
    pub(crate) fn is_open(&self) -> bool {
        !self
            .shared
            .directory
            .snapshot()
            .settings
            .authentication
            .invite
    }

    /// Whether the caller has as many calls as one account may have.
    fn has_enough_calls(&self, facts: &Facts) -> bool {
        let begins = facts.method == Method::Invite && !facts.in_dialog;
        let most = self
            .shared
            .directory
            .snapshot()
            .settings
            .limits
            .calls_per_account;
        let caller = facts.caller.as_deref().filter(|_| begins && most > 0);
        caller.is_some_and(|caller| self.shared.calls.of_caller(caller) >= most as usize)
    }

    /// Users of our domains prove that they are who they say, unless the request came along our Record-Route (that is
    /// forwarded without asking) or gets nowhere: a To tag proves nothing.
    fn must_authenticate(&self, facts: &Facts) -> bool {
        self.shared
            .directory
            .snapshot()
            .settings
            .authentication
            .invite
            && facts.caller.is_some()
            && (!facts.in_dialog || matches!(facts.route, Route::Elsewhere | Route::User(_)))
            && !matches!(facts.method, Method::Ack | Method::Cancel)
            && !(facts.method == Method::Options && matches!(facts.route, Route::Server))
    }

    fn facts(&self, endpoint: &Endpoint, id: ServerId) -> Option<Facts> {
        let packet = endpoint.request(id)?;
        let uri = Uri::parse(packet.request_uri()).ok()?;
        // Who calls is of interest only where callers have to prove it.
        let caller = if self.is_open() {
            None
        } else {
            // Who hides from the callee tells us all the same (RFC 3325 §9.1).
            let preferred = packet.value(HeaderName::PPreferredIdentity);
            [preferred, packet.value(HeaderName::From)]
                .into_iter()
                .flatten()
                .filter_map(|value| NameAddr::parse(value).ok())
                .find_map(|name| self.shared.domains.address_of_record(&name.uri))
        };
        let method = packet.method().unwrap_or(Method::Extension);
        let all = self.shared.directory.snapshot();
        let flow = endpoint.request_flow(id)?;
        let trunk = self.shared.trunks.of_source(&all, flow.remote);
        // A gateway is known by its address, not by what its callers call themselves.
        let caller = caller.filter(|_| trunk.is_none());
        let to_tag = NameAddr::check(packet.value(HeaderName::To)?).ok()?;
        let has_route = packet
            .all(HeaderName::Route)
            .flat_map(|h| NameAddr::parse_list(h.value()))
            .map_while(Result::ok)
            .any(|r| !endpoint.own_names().is_self(&r.uri.host, r.uri.port));
        let route = if has_route {
            Route::Elsewhere
        } else if to_tag.is_some() {
            self.route(endpoint, &uri)
        } else {
            let asked = Asked {
                packet: &packet,
                uri: &uri,
                method,
                flow,
                caller: caller.as_deref(),
                trunk: trunk.as_ref(),
            };
            self.planned(endpoint, &all, &asked)
        };
        let domain = self.shared.domains.of(&uri.host);
        let redirects = all.settings.redirect
            || domain.is_some_and(|d| {
                let listed = &self.shared.config.redirect_domains;
                listed.iter().any(|r| r.eq_ignore_ascii_case(d))
            });
        Some(Facts {
            method,
            from_trunk: trunk.is_some(),
            in_dialog: to_tag.is_some(),
            caller,
            route,
            redirects,
        })
    }

    pub(crate) fn route(&self, endpoint: &Endpoint, uri: &Uri<'_>) -> Route {
        let aor = match uri.scheme {
            // A number without a domain is one of the default domain.
            Scheme::Tel => {
                let number = bare(&String::from_utf8_lossy(uri.user.unwrap_or_default()));
                let domain = self.shared.domains.default_name();
                Some(format!("{number}@{domain}"))
            }
            _ if !endpoint.own_names().is_responsible(uri)
                && !self.shared.domains.is_literal(&uri.host, uri.port) =>
            {
                return Route::Elsewhere;
            }
            _ => self.shared.domains.address_of_record(uri),
        };
        let Some(aor) = aor else {
            return if uri.user.is_none() {
                Route::Server
            } else {
                Route::Nobody
            };
        };
        if let Some(bindings) = self.shared.location.find(&aor) {
            let now = unix_millis();
            if bindings.iter().any(|b| b.expires_at > now) {
                return Route::User(bindings);
            }
        }
        let user = aor.rsplit_once('@').map_or("", |(user, _)| user);
        if self.shared.config.services
            && let Some(service) = Service::of_user(user.as_bytes())
        {
            return Route::Service(service);
        }
        if self.shared.accounts.find(&aor).is_some() {
            Route::Away
        } else {
            Route::Nobody
        }
    }
}

/// What a proxy checks before it looks who asks and for whom (RFC 3261 §16.3): the hops left, and whether it has what
/// is required of it. That is nothing: we know no extension for proxies.
fn refusal(endpoint: &Endpoint, id: ServerId, route: &Route) -> Option<(u16, Option<String>)> {
    let packet = endpoint.request(id)?;
    let left = packet
        .value(HeaderName::MaxForwards)
        .and_then(|v| MaxForwards::parse(v).ok());
    if left == Some(MaxForwards(0)) && !matches!(route, Route::Server | Route::Service(_)) {
        return Some((483, None));
    }
    let required: Vec<String> = packet
        .all(HeaderName::ProxyRequire)
        .flat_map(|h| Tokens::parse(h.value()))
        .map(|tag| String::from_utf8_lossy(tag).into_owned())
        .collect();
    (!required.is_empty()).then(|| (420, Some(required.join(", "))))
}

/// The dialog that a new INVITE wants to take the place of.
fn replaced_dialog(endpoint: &Endpoint, id: ServerId) -> Option<String> {
    let packet = endpoint.request(id)?;
    let value = packet.value(HeaderName::Replaces)?;
    let to = NameAddr::check(packet.value(HeaderName::To)?).ok()?;
    let is_new = packet.method() == Some(Method::Invite) && to.is_none();
    is_new.then(|| String::from_utf8_lossy(value).into_owned())
}

fn answer(endpoint: &mut Endpoint, id: ServerId, code: u16) {
    endpoint.respond(id, &Reply::new(StatusCode(code)));
}

/// Requests that make dialogs, in which later requests should pass here too.
const fn makes_dialog(method: Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer)
}

/// The contacts as targets: by q, of equal ones the youngest first.
pub(crate) fn targets(bindings: &[Binding]) -> Vec<Target> {
    let now = unix_millis();
    let mut live: Vec<&Binding> = bindings.iter().filter(|b| b.expires_at > now).collect();
    live.sort_by_key(|b| core::cmp::Reverse((b.q, b.registered_at)));
    live.iter()
        .map(|b| Target {
            uri: Some(Bytes::copy_from_slice(b.contact.as_bytes())),
            q: b.q,
            routes: b.path.clone(),
            flow: b.reachable_flow(),
        })
        .collect()
}

/// 302 with the contacts (RFC 3261 §8.3, §13.3.1.2).
fn redirect(endpoint: &mut Endpoint, id: ServerId, bindings: &[Binding]) {
    let now = unix_millis();
    let contacts: Vec<String> = bindings
        .iter()
        .filter(|b| b.expires_at > now)
        .map(|b| {
            let q = f64::from(b.q) / 1000.0;
            format!("<{}>;q={q:.3}", b.contact)
        })
        .collect();
    let mut reply = Reply::new(StatusCode(302));
    for contact in &contacts {
        reply.headers.push(("Contact", contact));
    }
    endpoint.respond(id, &reply);
}
