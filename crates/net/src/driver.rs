//! Running Endpoints on sockets: what a program starts, talks to and stops.

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::Waker;
use sip::endpoint::{Endpoint, Event, Input, Listener, Output};
use sip::time::Time;

use crate::bind::bind_all;
use crate::clock::Clock;
use crate::config::NetConfig;
use crate::error::NetError;
use crate::machine::{Machine, Outputs};
use crate::shard::Item;
use crate::shared::{Desk, Shared};
use crate::statistics::Statistics;
use crate::worker::{Equipment, WAKER, Worker};

/// What lives beside the Endpoint of a shard and decides: the server's core, the phone.
///
/// All calls for one shard come one after the other, and everything that the Endpoint wants done
/// is seen to after each of them. They may come from different threads and must not wait.
pub trait Owner: Send + 'static {
    /// What other threads may ask of it.
    type Command: Send + 'static;

    /// The network runs; the Endpoint knows its listeners.
    fn on_start(&mut self, now: Time, endpoint: &mut Endpoint) {
        let _ = (now, endpoint);
    }

    /// The Endpoint has something to say.
    fn on_event(&mut self, now: Time, endpoint: &mut Endpoint, event: Event);

    /// A command was posted.
    fn on_command(&mut self, now: Time, endpoint: &mut Endpoint, command: Self::Command);

    /// The network is going to stop: hang up, unregister.
    fn on_stop(&mut self, now: Time, endpoint: &mut Endpoint) {
        let _ = (now, endpoint);
    }

    /// Whether nothing is under way that a stopping network should wait for.
    fn is_idle(&self, endpoint: &Endpoint) -> bool {
        let _ = endpoint;
        true
    }
}

/// Endpoints with their owners, running on the sockets of this host.
pub struct Network<O: Owner> {
    driver: Driver<Seat<O>>,
}

impl<O: Owner> Network<O> {
    /// Binds every address, tells the Endpoints their listeners, and starts the workers.
    ///
    /// # Errors
    /// [`NetError`], with nothing left running.
    pub fn start(config: NetConfig, shards: Vec<(Endpoint, O)>) -> Result<Network<O>, NetError> {
        let driver = Driver::start(config, |listeners| {
            let seats = shards.into_iter().map(|(mut endpoint, owner)| {
                for listener in listeners {
                    endpoint.add_listener(listener.clone());
                }
                Seat { endpoint, owner }
            });
            seats.collect()
        })?;
        Ok(Network { driver })
    }

    /// Asks something of the owner of one shard; from any thread, without waiting.
    ///
    /// # Errors
    /// [`PostError`], with the command.
    pub fn post(&self, shard: usize, command: O::Command) -> Result<(), PostError<O::Command>> {
        self.driver.post(shard, command)
    }

    /// Asks the same of the owners of all shards; yields how many were asked.
    pub fn post_all(&self, command: O::Command) -> usize
    where
        O::Command: Clone,
    {
        self.driver.post_all(command)
    }

    /// A way to post commands that can be handed to other threads and does not keep the network alive.
    pub fn remote(&self) -> Remote<O::Command> {
        self.driver.remote()
    }

    /// The addresses bound.
    pub fn listeners(&self) -> &[Listener] {
        self.driver.listeners()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.driver.shared.shards.len()
    }

    /// The clock that all shards go by.
    pub fn clock(&self) -> Clock {
        self.driver.shared.clock
    }

    /// The counters.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.driver.statistics()
    }

    /// Whether all workers work. One that panicked brings the others to an end.
    pub fn is_running(&self) -> bool {
        self.driver.is_running()
    }

    /// Tells the owners that it ends, waits until they are idle but not longer than `grace`, and
    /// gives them back.
    pub fn shutdown(self, grace: Duration) -> Vec<(Endpoint, O)> {
        let seats = self.driver.shutdown(grace);
        seats.into_iter().map(|s| (s.endpoint, s.owner)).collect()
    }
}

/// Why a command was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum PostError<C> {
    /// The inbox of the shard is full, or there is no such shard.
    Full(C),
    /// The network has ended.
    Stopped(C),
}

impl<C> fmt::Display for PostError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PostError::Full(_) => "too many commands wait already; try again later",
            PostError::Stopped(_) => "the network has ended",
        })
    }
}

impl<C: fmt::Debug> std::error::Error for PostError<C> {}

/// Posts commands to the shards of a network as long as that lives.
pub struct Remote<C> {
    post: Arc<dyn Fn(usize, C) -> Result<(), PostError<C>> + Send + Sync>,
}

impl<C> Remote<C> {
    /// Asks something of the owner of one shard.
    ///
    /// # Errors
    /// [`PostError`], with the command.
    pub fn post(&self, shard: usize, command: C) -> Result<(), PostError<C>> {
        (self.post)(shard, command)
    }
}

impl<C> Clone for Remote<C> {
    fn clone(&self) -> Remote<C> {
        Remote {
            post: self.post.clone(),
        }
    }
}

/// An Endpoint and its owner, as one machine.
struct Seat<O: Owner> {
    endpoint: Endpoint,
    owner: O,
}

impl<O: Owner> Seat<O> {
    /// What the owner does to the Endpoint without an input counts from the last one: let that be now.
    fn tell_time(&mut self, now: Time) {
        self.endpoint.handle_input(now, Input::Timeout);
    }

    /// Takes what the Endpoint puts out until it wants nothing more for now.
    fn drain(&mut self, now: Time, out: &mut Outputs) -> Option<Time> {
        loop {
            match self.endpoint.poll_output() {
                Output::Transmit(transmit) => out.transmit(transmit),
                Output::Peer { connection, name } => out.peer(connection, name),
                Output::Event(event) => self.owner.on_event(now, &mut self.endpoint, event),
                Output::Query { id, query } => out.query(id, query),
                Output::Timeout(deadline) => return deadline,
            }
        }
    }
}

impl<O: Owner> Machine for Seat<O> {
    type Command = O::Command;

    fn start(&mut self, now: Time, out: &mut Outputs) -> Option<Time> {
        self.tell_time(now);
        self.owner.on_start(now, &mut self.endpoint);
        self.drain(now, out)
    }

    fn input(&mut self, now: Time, input: Input<'_>, out: &mut Outputs) -> Option<Time> {
        self.endpoint.handle_input(now, input);
        self.drain(now, out)
    }

    fn command(&mut self, now: Time, command: O::Command, out: &mut Outputs) -> Option<Time> {
        self.tell_time(now);
        self.owner.on_command(now, &mut self.endpoint, command);
        self.drain(now, out)
    }

    fn stop(&mut self, now: Time, out: &mut Outputs) -> Option<Time> {
        self.tell_time(now);
        self.owner.on_stop(now, &mut self.endpoint);
        self.drain(now, out)
    }

    fn is_idle(&self) -> bool {
        self.owner.is_idle(&self.endpoint)
    }
}

/// Machines running on the sockets of this host; [`Network`] is one of Endpoints.
pub struct Driver<M: Machine> {
    shared: Arc<Shared<M>>,
    listeners: Vec<Listener>,
    workers: Vec<JoinHandle<()>>,
}

impl<M: Machine> Driver<M> {
    /// Binds every address, lets `machines` make the shards, and starts the workers.
    ///
    /// # Errors
    /// [`NetError`], with nothing left running.
    pub fn start(
        config: NetConfig,
        machines: impl FnOnce(&[Listener]) -> Vec<M>,
    ) -> Result<Driver<M>, NetError> {
        let count = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let (listeners, equipment) = bind_all(&config, count)?;
        if let (Some(_), Some(trust)) = (&config.tls.server, &config.tls.trust) {
            // Reading the system's roots takes a moment, which calls should not wait for.
            trust.config();
        }
        let machines = machines(&listeners);
        if machines.is_empty() {
            return Err(NetError::Nothing {
                what: "no shard to run",
            });
        }
        let mut desks = Vec::new();
        for one in &equipment {
            let registry = one.poll.registry();
            let waker = Waker::new(registry, WAKER).map_err(no_poll)?;
            desks.push(Desk::new(waker, registry.try_clone().map_err(no_poll)?));
        }
        let shared = Arc::new(Shared::new(machines, desks, &config));
        let weak = Arc::downgrade(&shared);
        shared.dns.answers_go_to(Arc::new(move |shard, id, answer| {
            if let Some(shared) = weak.upgrade()
                && shared.post(shard, Item::Answer(id, answer)).is_err()
            {
                shared.statistics.notices_dropped.add_one();
            }
        }));
        let mut driver = Driver {
            shared,
            listeners,
            workers: Vec::new(),
        };
        for (n, equipment) in equipment.into_iter().enumerate() {
            driver.spawn(n, equipment)?;
        }
        Ok(driver)
    }

    fn spawn(&mut self, n: usize, equipment: Equipment) -> Result<(), NetError> {
        let shared = self.shared.clone();
        let work = move || {
            let _ending = Ending(shared.clone());
            // A worker that cannot watch its sockets ends at once, and the network with it.
            if let Ok(worker) = Worker::new(&shared, n, equipment) {
                worker.work();
            }
        };
        let worker = thread::Builder::new()
            .name(format!("sip-{n}"))
            .spawn(work)
            .map_err(|source| NetError::System {
                what: "cannot start a thread",
                source,
            })?;
        self.workers.push(worker);
        Ok(())
    }

    /// Posts a command to one shard; from any thread, without waiting.
    ///
    /// # Errors
    /// [`PostError`], with the command.
    pub fn post(&self, shard: usize, command: M::Command) -> Result<(), PostError<M::Command>> {
        post(&self.shared, shard, command)
    }

    /// Posts the same command to all shards; yields how many took it.
    pub fn post_all(&self, command: M::Command) -> usize
    where
        M::Command: Clone,
    {
        (0..self.shared.shards.len())
            .filter(|shard| self.post(*shard, command.clone()).is_ok())
            .count()
    }

    /// A way to post commands that can be handed to other threads and does not keep the network alive.
    pub fn remote(&self) -> Remote<M::Command> {
        let weak: Weak<Shared<M>> = Arc::downgrade(&self.shared);
        Remote {
            post: Arc::new(move |shard, command| match weak.upgrade() {
                Some(shared) => post(&shared, shard, command),
                None => Err(PostError::Stopped(command)),
            }),
        }
    }

    /// The addresses bound.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The counters.
    pub fn statistics(&self) -> Arc<Statistics> {
        self.shared.statistics.clone()
    }

    /// Whether all workers work.
    pub fn is_running(&self) -> bool {
        self.shared.stops_at().is_none()
    }

    /// Tells the machines that it ends, waits until they are idle but not longer than `grace`, and
    /// gives them back. A machine whose worker panicked comes back as it was left.
    pub fn shutdown(mut self, grace: Duration) -> Vec<M> {
        self.end(grace);
        let shards = self.shared.shards.iter();
        shards.filter_map(|s| s.enter().machine.take()).collect()
    }

    fn end(&mut self, grace: Duration) {
        if self.shared.stops_at().is_none() {
            self.shared.stop(self.shared.clock.now() + grace);
        }
        for worker in self.workers.drain(..) {
            // A panic has been reported by the thread that met it.
            let _ = worker.join();
        }
        self.shared.dns.stop();
    }
}

impl<M: Machine> Drop for Driver<M> {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Brings the whole network to an end when one worker ends before its time: half a network would
/// look alive and lose messages.
struct Ending<M: Machine>(Arc<Shared<M>>);

impl<M: Machine> Drop for Ending<M> {
    fn drop(&mut self) {
        if self.0.stops_at().is_none() {
            self.0.stop(self.0.clock.now());
        }
    }
}

fn post<M: Machine>(
    shared: &Shared<M>,
    shard: usize,
    command: M::Command,
) -> Result<(), PostError<M::Command>> {
    if shared.stops_at().is_some() {
        return Err(PostError::Stopped(command));
    }
    match shared.post(shard, Item::Command(command)) {
        Ok(()) => Ok(()),
        Err(Item::Command(command)) => {
            shared.statistics.inbox_full.add_one();
            Err(PostError::Full(command))
        }
        Err(Item::Answer(..) | Item::Undeliverable(_)) => Ok(()),
    }
}

pub(crate) fn no_poll(source: io::Error) -> NetError {
    NetError::System {
        what: "cannot watch sockets",
        source,
    }
}
