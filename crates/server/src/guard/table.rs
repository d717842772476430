//! A table of fixed size for what is remembered of sources.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use net::Counter;
use sip::time::Time;

use super::record::Record;
use super::source::Source;

/// Sources in one bucket. When it is full, the one that matters least makes room.
const WAYS: usize = 8;
/// Buckets: 65,536 sources in all.
const BUCKETS: usize = 8_192;

/// Records by source. The keyed hash keeps strangers from choosing whom they push out.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Mutex<Vec<Record>>]>,
    hasher: ahash::RandomState,
    sources_blocked: AtomicUsize,
    users_blocked: AtomicUsize,
    forgotten: Counter,
}

impl Table {
    /// How many sources there is room for.
    pub(super) const CAPACITY: usize = WAYS * BUCKETS;

    pub(super) fn new() -> Table {
        Table {
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
            hasher: crate::accounts::hasher(),
            sources_blocked: AtomicUsize::new(0),
            users_blocked: AtomicUsize::new(0),
            forgotten: Counter::default(),
        }
    }

    /// Works on the record of a source, if there is one.
    pub(super) fn with<T>(&self, source: Source, work: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let mut bucket = self.bucket(source);
        let record = bucket.iter_mut().find(|r| r.source == source)?;
        Some(self.watched(record, work))
    }

    /// Works on the record of a source, made when there is none.
    pub(super) fn with_new<T>(
        &self,
        now: Time,
        source: Source,
        work: impl FnOnce(&mut Record) -> T,
    ) -> Option<T> {
        let mut bucket = self.bucket(source);
        if !bucket.iter().any(|r| r.source == source) {
            let least = bucket
                .iter()
                .enumerate()
                .min_by_key(|(_, r)| (r.weight(now), r.touched))
                .map(|(n, _)| n);
            if bucket.len() >= WAYS
                && let Some(least) = least
            {
                let gone = bucket.swap_remove(least).blocks();
                self.recount(gone, (0, 0));
                self.forgotten.add_one();
            }
            bucket.push(Record::new(source, now));
        }
        let record = bucket.iter_mut().find(|r| r.source == source)?;
        record.touched = record.touched.max(now);
        Some(self.watched(record, work))
    }

    /// Works on every record.
    pub(super) fn each(&self, mut work: impl FnMut(&mut Record)) {
        for bucket in &self.buckets {
            for record in lock(bucket).iter_mut() {
                self.watched(record, &mut work);
            }
        }
    }

    /// Sources that are blocked, or were and have not been tidied up.
    pub(super) fn sources_blocked(&self) -> usize {
        self.sources_blocked.load(Ordering::Relaxed)
    }

    /// The same of users who are shut out at their source.
    pub(super) fn users_blocked(&self) -> usize {
        self.users_blocked.load(Ordering::Relaxed)
    }

    /// Sources that had to make room.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.value()
    }

    /// Works on a record and keeps the numbers of blocks right.
    fn watched<T>(&self, record: &mut Record, work: impl FnOnce(&mut Record) -> T) -> T {
        let before = record.blocks();
        let done = work(record);
        self.recount(before, record.blocks());
        done
    }

    fn recount(&self, before: (usize, usize), after: (usize, usize)) {
        if before == after {
            return;
        }
        // In this order, so that a number never passes below zero.
        self.sources_blocked.fetch_add(after.0, Ordering::Relaxed);
        self.sources_blocked.fetch_sub(before.0, Ordering::Relaxed);
        self.users_blocked.fetch_add(after.1, Ordering::Relaxed);
        self.users_blocked.fetch_sub(before.1, Ordering::Relaxed);
    }

    /// How many sources are known.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| lock(bucket).len()).sum()
    }

    fn bucket(&self, source: Source) -> MutexGuard<'_, Vec<Record>> {
        let n = self.hasher.hash_one(source) as usize % self.buckets.len();
        lock(&self.buckets[n])
    }
}

fn lock(bucket: &Mutex<Vec<Record>>) -> MutexGuard<'_, Vec<Record>> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}
