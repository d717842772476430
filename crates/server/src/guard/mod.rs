//! Protection against abuse: sources that guess passwords or send too much are left out for a while.
//!
//! ```text
//! datagram ─► admits? ─► scan ─► … ─► authenticate ─► wrong password ─► Guard::failed ─► after enough of them: Block
//!               ▲                                                                          │
//!               └──────────────────────── nothing of this source is read ◄─────────────────┘
//! ```
//!
//! **What counts.** The source of a datagram can be forged, and whoever could make others be blocked would have a better
//! weapon than the one that is taken away. Only what shows that its sender reads what we send to that address counts: a
//! wrong password (or the name of nobody) together with a nonce that was issued *to this source*, and whatever comes on a
//! connection. Requests above the rate limit are dropped; they lead to a block only on connections.
//!
//! **Who is spared.** This host itself and the trunks are never counted. A source where somebody has shown the right
//! password in the last two hours (an office behind one address) is treated with lenience: it may send ten times as much, and
//! a user of it who goes on with a wrong password is shut out *alone*, with 403, while everybody else there goes on. Only
//! when all its users together reach ten times the limit is the source itself blocked.
//!
//! **How long.** The first block lasts as long as is set, each further one twice as long as the one before, a day at
//! most; after a quiet day it begins anew. Tries more than an hour apart do not add up.
//!
//! Memory is bounded: 65,536 sources are remembered; who matters least and was quiet longest makes room, and is counted.

mod record;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use net::{Clock, Counter};
use sip::flow::Flow;
use sip::time::Time;

pub use source::Source;

use crate::accounts::unix_millis;
use crate::directory::Network;
use record::{Consequence, Shut};
use table::Table;

/// What one source may do. Zero switches a limit off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second, in the long run; twice as many at once.
    pub requests_per_source: u32,
    /// Wrong passwords, names of nobody and the like until it is blocked.
    pub wrong_passwords: u32,
    /// Seconds that the first block lasts.
    pub block_for: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            requests_per_source: 0,
            wrong_passwords: 20,
            block_for: 300,
        }
    }
}

/// Why a source is blocked: what it did last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Credentials of users who exist, with wrong passwords.
    WrongPasswords,
    /// Credentials of users who do not exist.
    UnknownUsers,
    /// More requests than one source may send.
    TooManyRequests,
    /// What is no SIP.
    Malformed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 4] = [
        Reason::WrongPasswords,
        Reason::UnknownUsers,
        Reason::TooManyRequests,
        Reason::Malformed,
    ];

    /// Its name for programs: `wrong_passwords`, `unknown_users`, `too_many_requests`, `malformed`.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::WrongPasswords => "wrong_passwords",
            Reason::UnknownUsers => "unknown_users",
            Reason::TooManyRequests => "too_many_requests",
            Reason::Malformed => "malformed",
        }
    }
}

/// A source, or one user of it, that is left out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The address; with IPv6 the first of its network of 64 bits.
    pub address: IpAddr,
    /// The user (`user@domain`) when only that one is blocked there.
    pub user: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Until when, in milliseconds since 1970.
    pub until: u64,
    /// Why.
    pub reason: Reason,
    /// The tries that led to it.
    pub tries: u32,
    /// What was dropped or refused since.
    pub dropped: u64,
}

/// Numbers about a guard at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sources remembered.
    pub sources: usize,
    /// Sources and users blocked now.
    pub blocked: usize,
    /// Blocks since the start, by [`Reason`] in the order of [`Reason::ALL`].
    pub blocks: [u64; 4],
    /// Messages and connections of blocked sources that were dropped.
    pub dropped: u64,
    /// Requests dropped because their source sent too many.
    pub throttled: u64,
    /// Requests refused because their user was blocked at their source.
    pub shut_out: u64,
    /// Tries that failed and count.
    pub failures: u64,
    /// Tries that failed and do not count, because their source may be forged.
    pub unproven: u64,
    /// Sources that had to be forgotten for others.
    pub forgotten: u64,
}

/// Counts what sources do wrong and leaves out those who do too much of it.
#[derive(Debug)]
pub struct Guard {
    clock: Clock,
    table: Table,
    requests_per_source: AtomicU32,
    wrong_passwords: AtomicU32,
    block_for: AtomicU32,
    trusted: RwLock<Arc<[Network]>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    blocks: [Counter; 4],
    dropped: Counter,
    throttled: Counter,
    shut_out: Counter,
    failures: Counter,
    unproven: Counter,
}

impl Guard {
    /// A guard that goes by the clock of the network, with these limits.
    pub fn new(clock: Clock, limits: Limits) -> Guard {
        Guard {
            clock,
            table: Table::new(),
            requests_per_source: AtomicU32::new(limits.requests_per_source),
            wrong_passwords: AtomicU32::new(limits.wrong_passwords),
            block_for: AtomicU32::new(limits.block_for),
            trusted: RwLock::new(Arc::new([])),
            counters: Counters::default(),
        }
    }

    /// Other limits from now on. Blocks that there are stay.
    pub fn set_limits(&self, limits: Limits) {
        self.wrong_passwords
            .store(limits.wrong_passwords, Ordering::Relaxed);
        self.block_for.store(limits.block_for, Ordering::Relaxed);
        self.requests_per_source
            .store(limits.requests_per_source, Ordering::Relaxed);
    }

    /// The limits now.
    pub fn limits(&self) -> Limits {
        Limits {
            requests_per_source: self.requests_per_source.load(Ordering::Relaxed),
            wrong_passwords: self.wrong_passwords.load(Ordering::Relaxed),
            block_for: self.block_for.load(Ordering::Relaxed),
        }
    }

    /// Nobody in these networks is counted or blocked from now on: gateways and providers.
    pub fn trust(&self, networks: Vec<Network>) {
        let now = self.clock.now();
        self.table.each(|record| {
            let address = record.source.address();
            if networks.iter().any(|network| network.contains(address)) {
                record.pardon(now);
            }
        });
        let mut trusted = self.trusted.write().unwrap_or_else(PoisonError::into_inner);
        *trusted = networks.into();
    }

    /// Somebody at `address` showed the right password of `user` (`user@domain`).
    pub fn succeeded(&self, now: Time, address: IpAddr, user: &str) {
        let limits = self.limits();
        if limits.wrong_passwords == 0 && limits.requests_per_source == 0 {
            return;
        }
        if !self.is_trusted(address) {
            let source = Source::of(address);
            self.table.with_new(now, source, |r| r.welcome(now, user));
        }
    }

    /// Somebody at `address` did wrong, as `user` if that matters. `proven` says that the address is not forged.
    pub fn failed(
        &self,
        now: Time,
        address: IpAddr,
        user: Option<&str>,
        reason: Reason,
        proven: bool,
    ) {
        if !proven {
            return self.counters.unproven.add_one();
        }
        let limits = self.limits();
        if limits.wrong_passwords == 0 || self.is_trusted(address) {
            return;
        }
        self.counters.failures.add_one();
        let unix = unix_millis();
        let source = Source::of(address);
        let consequence = self.table.with_new(now, source, |record| {
            record.expire(now);
            record.fail(now, unix, user, reason, &limits)
        });
        match consequence.unwrap_or(Consequence::Nothing) {
            Consequence::Nothing => return,
            Consequence::SourceBlocked => {
                tracing::warn!(source = %source.address(), reason = reason.name(), "a source is blocked");
            }
            Consequence::UserBlocked => {
                let user = user.unwrap_or_default();
                tracing::warn!(source = %source.address(), user, "a user is shut out at one source");
            }
        }
        if let Some(counter) = self.counters.blocks.get(reason as usize) {
            counter.add_one();
        }
    }

    /// Whether this user is shut out at this address, so that no password is looked at; counts it.
    pub fn is_shut_out(&self, now: Time, address: IpAddr, user: &str) -> bool {
        if self.table.users_blocked() == 0 {
            return false;
        }
        let shut = self.table.with(Source::of(address), |record| {
            let name = record::shown(user);
            let found = record.users.iter_mut().find(|u| u.name == name);
            let block = found.and_then(|u| u.block.as_mut());
            block.filter(|b| b.until > now).map(|b| b.dropped += 1)
        });
        let shut = shut.flatten().is_some();
        self.counters.shut_out.add(u64::from(shut));
        shut
    }

    /// Everybody who is blocked now, the latest first.
    pub fn blocks(&self) -> Vec<Block> {
        let now = self.clock.now();
        let mut blocks = Vec::new();
        self.table.each(|record| {
            let address = record.source.address();
            let own = record.block.iter().map(|shut| (None, shut));
            let users = record
                .users
                .iter()
                .filter_map(|u| Some((Some(&u.name), u.block.as_ref()?)));
            let live = own.chain(users).filter(|(_, shut)| shut.until > now);
            blocks.extend(live.map(|(user, shut)| block(address, user, shut)));
        });
        blocks.sort_by_key(|b| core::cmp::Reverse(b.since));
        blocks
    }

    /// Ends the blocks of the source that `address` belongs to, and of its users, and forgets what led to them; yields
    /// whether there were any.
    pub fn unblock(&self, address: IpAddr) -> bool {
        let now = self.clock.now();
        self.table
            .with(Source::of(address), |r| r.pardon(now))
            .unwrap_or(false)
    }

    /// Ends what is over. To be called every minute or so.
    pub fn tidy(&self) {
        let now = self.clock.now();
        self.table.each(|record| record.expire(now));
    }

    /// Numbers about it now.
    pub fn counts(&self) -> Counts {
        let c = &self.counters;
        let mut blocks = [0; 4];
        for (to, from) in blocks.iter_mut().zip(&c.blocks) {
            *to = from.value();
        }
        Counts {
            sources: self.table.len(),
            blocked: self.table.sources_blocked() + self.table.users_blocked(),
            blocks,
            dropped: c.dropped.value(),
            throttled: c.throttled.value(),
            shut_out: c.shut_out.value(),
            failures: c.failures.value(),
            unproven: c.unproven.value(),
            forgotten: self.table.forgotten(),
        }
    }

    /// How many sources are remembered at most.
    pub const fn capacity() -> usize {
        Table::CAPACITY
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        if address.to_canonical().is_loopback() {
            return true;
        }
        let trusted = self.trusted.read().unwrap_or_else(PoisonError::into_inner);
        trusted.iter().any(|network| network.contains(address))
    }

    /// Whether a source is blocked; counts what is dropped therefore.
    fn is_blocked(&self, now: Time, source: Source) -> bool {
        let blocked = self.table.with(source, |record| {
            let block = record.block.as_mut();
            block.filter(|b| b.until > now).map(|b| b.dropped += 1)
        });
        let blocked = blocked.flatten().is_some();
        self.counters.dropped.add(u64::from(blocked));
        blocked
    }

    /// Whether a request is within what its source may send.
    fn is_within_rate(&self, now: Time, source: Source, per_second: u32) -> bool {
        let within = self
            .table
            .with_new(now, source, |r| r.take_request(now, per_second))
            .unwrap_or(true);
        self.counters.throttled.add(u64::from(!within));
        within
    }
}

impl net::Filter for Guard {
    fn admits(&self, now: Time, flow: &Flow, bytes: &[u8]) -> bool {
        let rate = self.requests_per_source.load(Ordering::Relaxed);
        let any_blocked = self.table.sources_blocked() > 0;
        if rate == 0 && !any_blocked {
            return true;
        }
        let address = flow.remote.ip();
        let source = Source::of(address);
        if any_blocked && self.is_blocked(now, source) {
            return false;
        }
        if rate == 0 || !is_request(bytes) || self.is_trusted(address) {
            return true;
        }
        let within = self.is_within_rate(now, source, rate);
        if !within && flow.transport.is_reliable() {
            self.failed(now, address, None, Reason::TooManyRequests, true);
        }
        within
    }

    fn admits_connection(&self, now: Time, address: IpAddr) -> bool {
        self.table.sources_blocked() == 0 || !self.is_blocked(now, Source::of(address))
    }

    fn malformed(&self, now: Time, address: IpAddr) {
        self.failed(now, address, None, Reason::Malformed, true);
    }
}

/// Neither a response nor a keep-alive.
fn is_request(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"SIP/") && bytes.first().is_some_and(u8::is_ascii_alphabetic)
}

fn block(address: IpAddr, user: Option<&String>, shut: &Shut) -> Block {
    Block {
        address,
        user: user.cloned(),
        since: shut.since_unix,
        until: shut.until_unix,
        reason: shut.reason,
        tries: shut.tries,
        dropped: shut.dropped,
    }
}
