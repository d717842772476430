//! What the owner of a shard does with events: the policy of the server.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, OnceLock};

use net::{Owner, Remote};
use sip::Endpoint;
use sip::auth::Nonces;
use sip::endpoint::{Counters, Event};
use sip::flow::Flow;
use sip::message::Method;
use sip::proxy::FollowedId;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua;
use store::Store;

use crate::accounts::Accounts;
use crate::bridge::{Bridges, LinkCommand, Order};
use crate::calls::{CallRef, Calls, Carrier};
use crate::config::Config;
use crate::directory::Directory;
use crate::domains::Domains;
use crate::location::Location;
use crate::register::Registered;
use crate::relay::Relay;
use crate::services::{CallKey, Service, Services};
use crate::trunks::{Trunks, Watch};

/// What all shards of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) domains: Domains,
    pub(crate) accounts: Accounts,
    pub(crate) location: Location,
    pub(crate) nonces: Nonces,
    pub(crate) store: Store,
    pub(crate) services: Services,
    pub(crate) directory: Directory,
    pub(crate) trunks: Trunks,
    pub(crate) relay: Relay,
    pub(crate) idle: Idle,
    pub(crate) calls: Arc<Calls>,
    pub(crate) remote: OnceLock<Remote<Command>>,
}

impl Shared {
    /// A way back into a shard for another thread.
    pub(crate) fn remote(&self, shard: usize) -> impl FnOnce(Command) + Send + 'static {
        let remote = self.remote.get().cloned();
        move |command| {
            // A server that is going away answers nobody: the phone asks again.
            if let Some(remote) = remote
                && remote.post(shard, command).is_err()
            {
                tracing::warn!("an answer was dropped because its shard is overloaded");
            }
        }
    }
}

/// When the last call of each account ended, in milliseconds since 1970: hunting groups want to know.
#[derive(Debug, Default)]
pub(crate) struct Idle(std::sync::Mutex<HashMap<String, u64>>);

/// The accounts whose last call is remembered.
const MAX_IDLE: usize = 100_000;

impl Idle {
    pub(crate) fn ended(&self, account: &str) {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if all.len() < MAX_IDLE || all.contains_key(account) {
            all.insert(account.to_owned(), crate::accounts::unix_millis());
        }
    }

    pub(crate) fn since(&self, account: &str) -> u64 {
        let all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        all.get(account).copied().unwrap_or(0)
    }
}

/// What other threads tell a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// The bindings of a REGISTER are durable (true), or could not be stored.
    Stored(Registered, bool),
    /// A call of a service has lost its peer.
    HangUp(CallKey),
    /// An administrator ends a call.
    EndCall(Carrier),
    /// Nothing was heard in a relayed call for a while.
    Silence(u64),
    /// These phones are behind address translators that are to be reminded of them.
    KeepAlive(Vec<Flow>),
    /// Somebody wants to know what this shard counted.
    Count(usize, SyncSender<(usize, Counters)>),
    /// A second has passed for the trunks.
    Trunks,
    /// A bridge of another shard has something to say.
    Link(LinkCommand),
}

/// The owner of one shard.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: usize,
    /// How many shards there are.
    pub(crate) shards: usize,
    /// Calls of services.
    pub(crate) calls: HashMap<ua::CallId, CallKey, ahash::RandomState>,
    /// What calls are for that the user agent has just taken in.
    pub(crate) wanted: HashMap<ua::CallId, Wanted, ahash::RandomState>,
    pub(crate) bridges: Bridges,
    /// The calls that are proxied, and those of services, as they are shown.
    pub(crate) proxied: HashMap<FollowedId, CallRef, ahash::RandomState>,
    pub(crate) served: HashMap<CallKey, CallRef, ahash::RandomState>,
    /// Of shard 0: the trunks that it registers with.
    pub(crate) watch: Watch,
}

/// What becomes of a call that the user agent takes in.
#[derive(Debug)]
pub(crate) enum Wanted {
    Service(Service),
    Bridge(Box<Order>),
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, (shard, shards): (usize, usize)) -> Core {
        Core {
            shared,
            shard,
            shards,
            calls: HashMap::with_hasher(crate::accounts::hasher()),
            wanted: HashMap::with_hasher(crate::accounts::hasher()),
            bridges: Bridges::new(),
            proxied: HashMap::with_hasher(crate::accounts::hasher()),
            served: HashMap::with_hasher(crate::accounts::hasher()),
            watch: Watch::default(),
        }
    }

    fn on_request(&mut self, now: Time, endpoint: &mut Endpoint, id: ServerId) {
        match endpoint.transactions().request_method(id) {
            Some(Method::Register) => self.on_register_or_relay(now, endpoint, id),
            Some(_) => self.on_routable(now, endpoint, id),
            None => {}
        }
    }

    /// A REGISTER for our domains is ours; one for another domain passes like any request.
    fn on_register_or_relay(&mut self, now: Time, endpoint: &mut Endpoint, id: ServerId) {
        let ours = endpoint.request(id).is_some_and(|packet| {
            sip::uri::Uri::parse(packet.request_uri())
                .is_ok_and(|uri| self.shared.domains.of(&uri.host).is_some())
        });
        if ours {
            self.on_register(now, endpoint, id);
        } else {
            self.on_routable(now, endpoint, id);
        }
    }
}

impl Owner for Core {
    type Command = Command;

    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, event: Event) {
        match event {
            Event::Request(id) => self.on_request(now, endpoint, id),
            Event::Agent(event) => self.on_agent(now, endpoint, *event),
            Event::Proxied(event) => self.on_proxied(*event),
        }
    }

    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Stored(registered, durable) => {
                self.on_stored(endpoint, &registered, durable);
            }
            Command::HangUp(key) => self.hang_up(now, endpoint, key),
            Command::EndCall(carrier) => self.end_call(now, endpoint, carrier),
            Command::Silence(key) => self.on_silence(now, endpoint, key),
            Command::KeepAlive(flows) => {
                for flow in flows {
                    let empty = bytes::Bytes::from_static(b"\r\n\r\n");
                    endpoint.transactions_mut().send(flow, empty);
                }
            }
            // Nobody waits any longer when this shard was too slow.
            Command::Count(shard, told) => {
                let _ = told.try_send((shard, endpoint.transactions().counters));
            }
            Command::Link(command) => self.on_link_command(now, endpoint, command),
            Command::Trunks => {
                let shared = self.shared.clone();
                let all = shared.directory.snapshot();
                self.watch.tick(now, endpoint, &all, &shared.trunks);
            }
        }
    }

    fn on_stop(&mut self, now: Time, endpoint: &mut Endpoint) {
        let calls: Vec<CallKey> = self.calls.values().copied().collect();
        for key in calls {
            self.hang_up(now, endpoint, key);
        }
        self.end_bridges(now, endpoint);
    }

    fn is_idle(&self, _endpoint: &Endpoint) -> bool {
        self.calls.is_empty() && self.bridges.is_empty()
    }
}
