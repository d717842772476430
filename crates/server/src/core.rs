//! What the owner of a shard does with events: the policy of the server.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use net::{Owner, Remote};
use sip::Endpoint;
use sip::auth::Nonces;
use sip::endpoint::Event;
use sip::message::Method;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua;
use store::Store;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::domains::Domains;
use crate::guard::Guard;
use crate::location::Location;
use crate::register::Registered;
use crate::services::{CallKey, Services};

/// What all shards of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) domains: Domains,
    pub(crate) accounts: Accounts,
    pub(crate) location: Location,
    pub(crate) nonces: Nonces,
    pub(crate) guard: Arc<Guard>,
    pub(crate) store: Store,
    pub(crate) services: Services,
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

/// What other threads tell a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// The bindings of a REGISTER are durable (true), or could not be stored.
    Stored(Registered, bool),
    /// A call of a service has lost its peer.
    HangUp(CallKey),
}

/// The owner of one shard.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: usize,
    /// Calls of services.
    pub(crate) calls: HashMap<ua::CallId, CallKey, ahash::RandomState>,
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, shard: usize) -> Core {
        Core {
            shared,
            shard,
            calls: HashMap::with_hasher(crate::accounts::hasher()),
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
        }
    }

    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Stored(registered, durable) => {
                self.on_stored(endpoint, &registered, durable);
            }
            Command::HangUp(key) => self.hang_up(now, endpoint, key),
        }
    }

    fn on_stop(&mut self, now: Time, endpoint: &mut Endpoint) {
        let calls: Vec<CallKey> = self.calls.values().copied().collect();
        for key in calls {
            self.hang_up(now, endpoint, key);
        }
    }

    fn is_idle(&self, _endpoint: &Endpoint) -> bool {
        self.calls.is_empty()
    }
}
