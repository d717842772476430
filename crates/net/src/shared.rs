//! What all workers of a network share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use mio::{Registry, Waker};
use sip::flow::Flow;
use sip::time::Time;

use crate::clock::Clock;
use crate::config::Limits;
use crate::connections::Connections;
use crate::dns::Dns;
use crate::machine::Machine;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::shard::{Item, Shard};
use crate::statistics::Statistics;
use crate::tap::Tap;
use crate::tls::Tls;

/// Notices (answers, failures) that may wait for one shard.
const NOTICES: usize = 16_384;

/// Not asleep.
const AWAKE: u64 = 0;

/// What all workers of a network share.
pub(crate) struct Shared<M: Machine> {
    pub(crate) clock: Clock,
    pub(crate) shards: Vec<Shard<M>>,
    pub(crate) desks: Vec<Desk>,
    pub(crate) connections: Connections,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) limits: Limits,
    pub(crate) keep_alive: Option<std::time::Duration>,
    pub(crate) tap: Option<Arc<dyn Tap>>,
    pub(crate) dns: Dns,
    pub(crate) tls: Tls,
    pub(crate) peers: Peers,
    pub(crate) origins: Arc<[String]>,
    /// When the network stops at the latest; zero while nobody asked for it.
    stop_at: AtomicU64,
    /// Workers whose machines have been told to stop.
    stopped: AtomicUsize,
}

/// What others may do to one worker.
pub(crate) struct Desk {
    waker: Waker,
    pub(crate) registry: Registry,
    pub(crate) outbox: Outbox,
    /// When the worker wakes by itself; [`AWAKE`] while it is at work.
    wakes_at: AtomicU64,
    /// An inbox of one of its shards has something.
    attention: AtomicBool,
}

impl Desk {
    pub(crate) fn new(waker: Waker, registry: Registry) -> Desk {
        Desk {
            waker,
            registry,
            outbox: Outbox::default(),
            wakes_at: AtomicU64::new(AWAKE),
            attention: AtomicBool::new(false),
        }
    }

    /// Says when the worker will wake by itself. The worker then looks once more at everything
    /// that others may have changed: who changes something looks at this moment afterwards, so one
    /// of the two sees the other.
    pub(crate) fn fall_asleep(&self, until: Option<Time>) {
        let micros = until.map_or(u64::MAX, |t| t.as_micros().max(1));
        self.wakes_at.store(micros, Ordering::SeqCst);
    }

    pub(crate) fn wake_up(&self) {
        self.wakes_at.store(AWAKE, Ordering::SeqCst);
    }

    /// Wakes the worker if it would sleep beyond `moment`.
    fn wake_before(&self, moment: Time) {
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if wakes_at != AWAKE
            && moment.as_micros() < wakes_at
            && self.wakes_at.swap(AWAKE, Ordering::SeqCst) != AWAKE
        {
            // Fails only when the system has no memory for eight octets.
            let _ = self.waker.wake();
        }
    }

    pub(crate) fn has_attention(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
    }

    pub(crate) fn take_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) && self.attention.swap(false, Ordering::SeqCst)
    }

    pub(crate) fn call(&self) {
        self.attention.store(true, Ordering::SeqCst);
        self.wake_before(Time::ZERO);
    }
}

impl<M: Machine> Shared<M> {
    pub(crate) fn new(machines: Vec<M>, desks: Vec<Desk>, config: &crate::NetConfig) -> Shared<M> {
        let statistics = Arc::new(Statistics::default());
        Shared {
            clock: config.clock,
            shards: machines.into_iter().map(Shard::new).collect(),
            desks,
            connections: Connections::default(),
            dns: Dns::new(config.limits.dns_queries, statistics.clone()),
            statistics,
            limits: config.limits.clone(),
            keep_alive: config.keep_alive,
            tap: config.tap.clone(),
            tls: config.tls.clone(),
            peers: Peers::new(config.limits.peers),
            origins: config.origins.clone(),
            stop_at: AtomicU64::new(0),
            stopped: AtomicUsize::new(0),
        }
    }

    /// The worker that minds the timer and the inbox of a shard.
    pub(crate) fn home(&self, shard: usize) -> usize {
        shard % self.desks.len().max(1)
    }

    /// The shards that a worker minds.
    pub(crate) fn at_home(&self, worker: usize) -> impl Iterator<Item = (usize, &Shard<M>)> {
        let step = self.desks.len().max(1);
        self.shards.iter().enumerate().skip(worker).step_by(step)
    }

    /// Tells the worker that minds a shard that its deadline is now this one.
    pub(crate) fn deadline_changed(&self, shard: usize, deadline: Option<Time>, by: usize) {
        let home = self.home(shard);
        if home != by
            && let Some(deadline) = deadline
            && let Some(desk) = self.desks.get(home)
        {
            desk.wake_before(deadline);
        }
    }

    /// Puts an item into the inbox of a shard and wakes who minds it.
    ///
    /// # Errors
    /// Gives the item back when the inbox is full.
    pub(crate) fn post(
        &self,
        shard: usize,
        item: Item<M::Command>,
    ) -> Result<(), Item<M::Command>> {
        let limit = match item {
            Item::Command(_) => self.limits.inbox,
            Item::Answer(..) | Item::Undeliverable(_) => NOTICES,
        };
        let Some(place) = self.shards.get(shard) else {
            return Err(item);
        };
        place.put(item, limit)?;
        if let Some(desk) = self.desks.get(self.home(shard)) {
            desk.call();
        }
        Ok(())
    }

    /// Tells every shard that a flow is dead: any of them may have used it.
    pub(crate) fn undeliverable(&self, flow: Flow) {
        self.statistics.undeliverable.add_one();
        for shard in 0..self.shards.len() {
            if self.post(shard, Item::Undeliverable(flow)).is_err() {
                self.statistics.notices_dropped.add_one();
            }
        }
    }

    /// Asks every worker to end, at the latest at `moment`.
    pub(crate) fn stop(&self, moment: Time) {
        let micros = moment.as_micros().max(1);
        self.stop_at.store(micros, Ordering::SeqCst);
        for desk in &self.desks {
            desk.call();
        }
    }

    /// One more worker has told its machines to stop.
    pub(crate) fn one_more_stopped(&self) {
        self.stopped.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether all machines have been told to stop and have nothing left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) >= self.desks.len()
            && self.shards.iter().all(Shard::is_idle)
    }

    pub(crate) fn stops_at(&self) -> Option<Time> {
        match self.stop_at.load(Ordering::SeqCst) {
            0 => None,
            micros => Some(Time::from_micros(micros)),
        }
    }
}
