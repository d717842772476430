//! Locating SIP servers (RFC 3263) as a machine: it says what to ask the DNS, is told, and gives addresses to try.
//!
//! ```text
//! loop { match resolution.poll() {
//!     Step::Ask(query)     => ask a resolver, later resolution.answer(&query, answer)
//!     Step::Wait           => an answer is on its way
//!     Step::Target(target) => try it; if it fails (§4.3), poll again
//!     Step::End            => nothing is left
//! } }
//! ```
//!
//! Nothing is asked for an address before it is needed, so a first target that works costs no more than its own
//! lookups. Nothing is remembered beyond one resolution; caching and CNAMEs are the resolver's.

mod dns;
mod order;

pub use dns::{Answer, Failure, Query, QueryKind, Records};
pub use order::{Naptr, Srv};

use crate::flow::Transport;
use core::fmt;
use order::{Random, best_naptr, by_priority};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 32;
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 16;
/// Questions of one resolution.
const MAX_QUESTIONS: usize = 64;
/// Targets of one resolution.
const MAX_TARGETS: usize = 64;

/// What a URI says about where a request goes; for a response, what the topmost Via says (RFC 3263 §5).
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// The `maddr` parameter or the host: a name, or an address (IPv6 with or without brackets).
    pub host: &'a str,
    /// The explicit port.
    pub port: Option<u16>,
    /// The transport parameter, or the transport of the Via.
    pub transport: Option<Transport>,
    /// Whether the scheme is `sips`.
    pub secure: bool,
}

/// What we are able to do, and what this message needs.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    /// The transports that work here, the preferred one first.
    pub supported: &'a [Transport],
    /// The address families that work here.
    pub families: Families,
    /// The request is too large for a datagram (RFC 3261 §18.1.1): TCP goes before UDP wherever there is TCP.
    pub large: bool,
    /// Random, for the choice by weight; the same seed makes the same choice, as a stateless proxy needs it.
    pub seed: u64,
}

/// Which address families can be reached, and which comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both in turn, IPv4 first.
    V4First,
    /// Both in turn, IPv6 first (RFC 7984, RFC 6724).
    V6First,
}

/// A place to send to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The transport.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
    /// What a certificate must show: the host of the URI, not what the DNS made of it (RFC 5922 §4).
    pub name: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this, and go on polling.
    Ask(Query),
    /// Nothing to do before an answer comes.
    Wait,
    /// Try this.
    Target(Target),
    /// There is nothing (more) to try; see [`Resolution::failure`].
    End,
}

/// Why a destination cannot be looked for at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolveError {
    /// The transport, or for `sips` any secure transport, does not work here.
    Unsupported,
    /// `sips` over a transport that cannot be secure.
    Insecure,
    /// The host is no name that the DNS could have.
    Host,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResolveError::Unsupported => "the transport of the URI is not supported here",
            ResolveError::Insecure => "a sips URI names a transport without TLS",
            ResolveError::Host => "the host is neither an address nor a name",
        })
    }
}

impl core::error::Error for ResolveError {}

/// One search for the servers of one destination.
#[derive(Debug)]
pub struct Resolution {
    domain: String,
    large: bool,
    supported: Vec<Transport>,
    families: Families,
    random: Random,
    /// Questions that the caller has not taken yet.
    questions: VecDeque<Query>,
    /// Questions without an answer.
    open: Vec<Query>,
    asked: usize,
    naptr: bool,
    services: VecDeque<Service>,
    places: VecDeque<Place>,
    lookup: Option<Lookup>,
    targets: VecDeque<Target>,
    given: Vec<(Transport, SocketAddr)>,
    /// The host itself, for when no service record exists (§4.2).
    bare: Option<Place>,
    failure: Option<Failure>,
    ttl: Option<u32>,
}

/// One SRV lookup.
#[derive(Debug)]
struct Service {
    transport: Transport,
    name: String,
    state: ServiceState,
}

#[derive(Debug)]
enum ServiceState {
    Unasked,
    Asked,
    Known(Vec<Srv>),
}

#[derive(Debug)]
struct Place {
    transport: Transport,
    host: String,
    port: u16,
}

#[derive(Debug)]
struct Lookup {
    place: Place,
    v4: Option<Vec<Ipv4Addr>>,
    v6: Option<Vec<Ipv6Addr>>,
}

impl Resolution {
    /// Starts; which of the branches of §4.1 and §4.2 is taken is decided here.
    ///
    /// # Errors
    /// When no answer of the DNS could help.
    pub fn new(to: &Destination<'_>, means: &Means<'_>) -> Result<Resolution, ResolveError> {
        let explicit = to
            .transport
            .map(|transport| effective(transport, to.secure))
            .transpose()?;
        let usable = |t: &Transport| {
            (!to.secure || t.is_secure()) && explicit.is_none_or(|wanted| wanted == *t)
        };
        let supported: Vec<Transport> = means.supported.iter().copied().filter(usable).collect();
        let preferred = [Transport::Udp, Transport::Tls]
            .into_iter()
            .find(|t| supported.contains(t));
        let transport = preferred
            .or_else(|| supported.first().copied())
            .ok_or(ResolveError::Unsupported)?;
        let tcp = means.supported.contains(&Transport::Tcp);
        let host = to.host.trim_end_matches('.');
        let mut this = Resolution {
            domain: host.to_owned(),
            large: means.large && tcp && !to.secure,
            supported,
            families: means.families,
            random: Random(means.seed),
            questions: VecDeque::new(),
            open: Vec::new(),
            asked: 0,
            naptr: false,
            services: VecDeque::new(),
            places: VecDeque::new(),
            lookup: None,
            targets: VecDeque::new(),
            given: Vec::new(),
            bare: None,
            failure: None,
            ttl: None,
        };
        let port = to.port.unwrap_or(transport.default_port());
        if let Some(ip) = numeric(host) {
            this.push_targets(transport, SocketAddr::new(ip, port));
            return Ok(this);
        }
        // Nobody has such a name (RFC 6761 §6.4): a WebSocket client is reached on its connection alone (RFC 7118 §5).
        if !is_name(host) || is_invalid(host) {
            return Err(ResolveError::Host);
        }
        this.bare = Some(Place {
            transport,
            host: host.to_owned(),
            port,
        });
        match (to.port, explicit) {
            (Some(_), _) => {}
            (None, Some(_)) => this.guess_services(),
            (None, None) => {
                this.naptr = true;
                this.ask(this.domain.clone(), QueryKind::Naptr);
            }
        }
        Ok(this)
    }

    /// What to do now. After a target has failed, polling again gives the next.
    pub fn poll(&mut self) -> Step {
        loop {
            if let Some(question) = self.questions.pop_front() {
                return Step::Ask(question);
            }
            if let Some(target) = self.targets.pop_front() {
                let key = (target.transport, target.address);
                if self.given.len() >= MAX_TARGETS {
                    return Step::End;
                }
                if !self.given.contains(&key) {
                    self.given.push(key);
                    return Step::Target(target);
                }
            } else if let Some(lookup) = self.lookup.take() {
                if lookup.v4.is_none() || lookup.v6.is_none() {
                    self.lookup = Some(lookup);
                    return Step::Wait;
                }
                self.finish_lookup(&lookup);
            } else if let Some(place) = self.places.pop_front() {
                self.look_up(place);
            } else if self.naptr {
                return Step::Wait;
            } else if let Some(service) = self.services.pop_front() {
                if let Some(wait) = self.serve(service) {
                    return wait;
                }
            } else if let Some(place) = self.bare.take() {
                self.places.push_back(place);
            } else {
                return Step::End;
            }
        }
    }

    /// Takes the answer to a question; answers to questions that were not asked are ignored.
    pub fn answer(&mut self, query: &Query, answer: Answer) {
        let Some(at) = self.open.iter().position(|q| q == query) else {
            return;
        };
        self.open.swap_remove(at);
        self.ttl = Some(self.ttl.map_or(answer.ttl, |ttl| ttl.min(answer.ttl)));
        self.settle(query, answer.records);
    }

    /// The worst thing that the DNS said, for the response when no target was found or none worked.
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// How long, in seconds, all that was learned so far holds; `None` when nothing was asked.
    pub const fn ttl(&self) -> Option<u32> {
        self.ttl
    }

    fn ask(&mut self, name: String, kind: QueryKind) {
        let query = Query { name, kind };
        if self.open.contains(&query) {
            return;
        }
        if self.asked >= MAX_QUESTIONS {
            self.settle(&query, Err(Failure::Server));
            return;
        }
        self.asked += 1;
        self.open.push(query.clone());
        self.questions.push_back(query);
    }

    fn settle(&mut self, query: &Query, records: Result<Records, Failure>) {
        let records = match records {
            Err(failure) => {
                self.failure = self.failure.max(Some(failure));
                None
            }
            Ok(records) => Some(records),
        };
        match (query.kind, records) {
            (QueryKind::Naptr, Some(Records::Naptr(list))) => self.use_naptr(list),
            (QueryKind::Naptr, _) => self.use_naptr(Vec::new()),
            (QueryKind::Srv, Some(Records::Srv(list))) => self.use_srv(query, list),
            (QueryKind::Srv, _) => self.use_srv(query, Vec::new()),
            (QueryKind::A, records) => {
                let list = match records {
                    Some(Records::A(list)) => list,
                    _ => Vec::new(),
                };
                if let Some(lookup) = self.lookup.as_mut() {
                    lookup.v4 = Some(list);
                }
            }
            (QueryKind::Aaaa, records) => {
                let list = match records {
                    Some(Records::Aaaa(list)) => list,
                    _ => Vec::new(),
                };
                if let Some(lookup) = self.lookup.as_mut() {
                    lookup.v6 = Some(list);
                }
            }
        }
    }

    /// §4.1: the services that we share with the domain, in its order; without any, SRV for what we can do.
    fn use_naptr(&mut self, mut records: Vec<Naptr>) {
        self.naptr = false;
        records.truncate(MAX_RECORDS);
        let chosen = best_naptr(records, &self.supported);
        self.services = chosen
            .into_iter()
            .map(|(transport, name)| Service {
                transport,
                name,
                state: ServiceState::Unasked,
            })
            .collect();
        if self.services.is_empty() {
            self.guess_services();
        }
        self.reliable_first();
    }

    /// SRV for each transport that has a service name, all asked at once since most of them will not exist.
    fn guess_services(&mut self) {
        for transport in self.supported.clone() {
            if let Some(prefix) = order::srv_prefix(transport) {
                self.services.push_back(Service {
                    transport,
                    name: format!("{prefix}{}", self.domain),
                    state: ServiceState::Asked,
                });
            }
        }
        self.reliable_first();
        let names: Vec<String> = self.services.iter().map(|s| s.name.clone()).collect();
        for name in names {
            self.ask(name, QueryKind::Srv);
        }
    }

    fn reliable_first(&mut self) {
        if self.large {
            self.services
                .make_contiguous()
                .sort_by_key(|s| !s.transport.is_reliable());
        }
    }

    fn use_srv(&mut self, query: &Query, mut records: Vec<Srv>) {
        records.truncate(MAX_RECORDS);
        if !records.is_empty() {
            self.bare = None;
        }
        for service in &mut self.services {
            if service.name == query.name && matches!(service.state, ServiceState::Asked) {
                service.state = ServiceState::Known(records.clone());
            }
        }
    }

    /// Takes the foremost service a step on; a step for the caller when it has to wait.
    fn serve(&mut self, mut service: Service) -> Option<Step> {
        match service.state {
            ServiceState::Unasked => {
                let name = service.name.clone();
                service.state = ServiceState::Asked;
                self.services.push_front(service);
                self.ask(name, QueryKind::Srv);
                None
            }
            ServiceState::Asked => {
                self.services.push_front(service);
                Some(Step::Wait)
            }
            ServiceState::Known(records) => {
                for record in by_priority(records, &mut self.random) {
                    let host = record.target.trim_end_matches('.');
                    // The root as target: the service is decidedly not there (RFC 2782).
                    if host.is_empty() || record.port == 0 {
                        self.failure = self.failure.max(Some(Failure::NoData));
                        continue;
                    }
                    self.places.push_back(Place {
                        transport: service.transport,
                        host: host.to_owned(),
                        port: record.port,
                    });
                }
                None
            }
        }
    }

    fn look_up(&mut self, place: Place) {
        if let Some(ip) = numeric(&place.host) {
            self.push_targets(place.transport, SocketAddr::new(ip, place.port));
            return;
        }
        let name = place.host.clone();
        let (v4, v6) = match self.families {
            Families::V4 => (true, false),
            Families::V6 => (false, true),
            Families::V4First | Families::V6First => (true, true),
        };
        self.lookup = Some(Lookup {
            place,
            v4: (!v4).then(Vec::new),
            v6: (!v6).then(Vec::new),
        });
        if !is_name(&name) {
            self.lookup = None;
            return;
        }
        let wanted = [(QueryKind::Aaaa, v6), (QueryKind::A, v4)];
        for (kind, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            self.ask(name.clone(), kind);
        }
    }

    /// The families take turns, so that one that does not work costs one attempt and not all of its addresses.
    fn finish_lookup(&mut self, lookup: &Lookup) {
        let v4 = lookup.v4.iter().flatten().copied().map(IpAddr::V4);
        let v6 = lookup.v6.iter().flatten().copied().map(IpAddr::V6);
        let (mut first, mut second): (Vec<IpAddr>, Vec<IpAddr>) = match self.families {
            Families::V4 | Families::V4First => (v4.collect(), v6.collect()),
            Families::V6 | Families::V6First => (v6.collect(), v4.collect()),
        };
        first.truncate(MAX_ADDRESSES);
        second.truncate(MAX_ADDRESSES);
        if first.is_empty() && second.is_empty() {
            self.failure = self.failure.max(Some(Failure::NoData));
        }
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        loop {
            let pair = [first.next(), second.next()];
            if pair == [None, None] {
                break;
            }
            for ip in pair.into_iter().flatten() {
                let address = SocketAddr::new(ip, lookup.place.port);
                self.push_targets(lookup.place.transport, address);
            }
        }
    }

    fn push_targets(&mut self, transport: Transport, address: SocketAddr) {
        let target = |transport| Target {
            transport,
            address,
            name: self.domain.clone(),
        };
        // §18.1.1 of RFC 3261: TCP at the same place, and UDP after all where TCP is refused.
        if transport == Transport::Udp && self.large {
            self.targets.push_back(target(Transport::Tcp));
        }
        self.targets.push_back(target(transport));
    }
}

/// The transport that a parameter means under a scheme (RFC 3261 §26.2.2, RFC 7118 §5.3).
fn effective(transport: Transport, secure: bool) -> Result<Transport, ResolveError> {
    match (transport, secure) {
        (transport, false) => Ok(transport),
        (Transport::Tcp | Transport::Tls, true) => Ok(Transport::Tls),
        (Transport::Ws | Transport::Wss, true) => Ok(Transport::Wss),
        (Transport::Udp | Transport::Sctp, true) => Err(ResolveError::Insecure),
    }
}

fn numeric(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Whether a name ends with the domain that stays empty.
fn is_invalid(host: &str) -> bool {
    let top = host.rsplit('.').next().unwrap_or_default();
    top.eq_ignore_ascii_case("invalid")
}

/// Fits into a DNS message with a service prefix in front; which letters are allowed is the resolver's business.
fn is_name(host: &str) -> bool {
    let label = |l: &str| (1..=63).contains(&l.len());
    host.len() <= 240
        && host.split('.').all(label)
        && host.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}
