//! A shard: one machine, its inbox, and when it wants to be woken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sip::endpoint::QueryId;
use sip::flow::Flow;
use sip::resolve::Answer;
use sip::time::Time;

use crate::machine::Machine;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// How many items of an inbox are handled before other work has its turn.
const TURN: usize = 256;

/// One machine and what belongs to it.
pub(crate) struct Shard<M: Machine> {
    room: Mutex<Room<M>>,
    inbox: Mutex<Inbox<M::Command>>,
    waiting: AtomicUsize,
    deadline: AtomicU64,
}

/// What only the thread that runs the shard touches.
pub(crate) struct Room<M> {
    /// `None` once the network has given it back.
    pub(crate) machine: Option<M>,
    /// The machine knows that the network runs.
    pub(crate) started: bool,
    /// Which worker's outbox, and which filling of it, holds the last datagrams of this shard.
    pub(crate) unsent: Option<(usize, u64)>,
}

/// What waits for a shard.
#[derive(Debug)]
pub(crate) enum Item<C> {
    Command(C),
    Answer(QueryId, Answer),
    Undeliverable(Flow),
}

struct Inbox<C> {
    items: VecDeque<Item<C>>,
    commands: usize,
}

impl<M: Machine> Shard<M> {
    pub(crate) fn new(machine: M) -> Shard<M> {
        Shard {
            room: Mutex::new(Room {
                machine: Some(machine),
                started: false,
                unsent: None,
            }),
            inbox: Mutex::new(Inbox {
                items: VecDeque::new(),
                commands: 0,
            }),
            waiting: AtomicUsize::new(0),
            deadline: AtomicU64::new(NEVER),
        }
    }

    /// The room; a machine that panicked stays as it was left.
    pub(crate) fn enter(&self) -> MutexGuard<'_, Room<M>> {
        lock(&self.room)
    }

    /// Whether nothing is under way and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        let room = self.enter();
        !self.has_waiting() && room.machine.as_ref().is_none_or(Machine::is_idle)
    }

    /// When the machine wants its timeout.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.deadline.load(Ordering::SeqCst) {
            NEVER => None,
            micros => Some(Time::from_micros(micros)),
        }
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Time>) {
        let micros = deadline.map_or(NEVER, Time::as_micros);
        if self.deadline.load(Ordering::Relaxed) != micros {
            self.deadline.store(micros, Ordering::SeqCst);
        }
    }

    /// Puts an item into the inbox unless `limit` of its kind (commands, others) wait there.
    pub(crate) fn put(&self, item: Item<M::Command>, limit: usize) -> Result<(), Item<M::Command>> {
        let mut inbox = lock(&self.inbox);
        let is_command = matches!(item, Item::Command(_));
        let alike = if is_command {
            inbox.commands
        } else {
            inbox.items.len().saturating_sub(inbox.commands)
        };
        if alike >= limit {
            return Err(item);
        }
        inbox.commands += usize::from(is_command);
        inbox.items.push_back(item);
        self.waiting.store(inbox.items.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Whether something is in the inbox.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Moves one turn's worth of the inbox into `turn`.
    pub(crate) fn take(&self, turn: &mut Vec<Item<M::Command>>) {
        let mut inbox = lock(&self.inbox);
        let count = inbox.items.len().min(TURN);
        turn.extend(inbox.items.drain(..count));
        let commands = turn
            .iter()
            .filter(|i| matches!(i, Item::Command(_)))
            .count();
        inbox.commands = inbox.commands.saturating_sub(commands);
        self.waiting.store(inbox.items.len(), Ordering::SeqCst);
    }
}

/// Locks; what a panicking thread left behind is still consistent, since no lock here is held
/// across a call that may leave its data half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
