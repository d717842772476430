//! Server nonces that need no table when they are given out and cannot be replayed when they are used.
//!
//! A nonce is a serial number, a mark of whom it was sent to, and a MAC over these and the realm; nothing is kept when
//! one is issued. The serial
//! is the time in microseconds, or one more than the last, so it says how old the nonce is and never repeats.
//! Only a nonce with which somebody has proved who they are takes a place in a table of fixed size, with the
//! nonce counts that were used. Lines of the table are never freed, only given to younger nonces, so a nonce that is
//! older than all of a full bucket may have been forgotten and counts as stale. A full table costs clients a challenge,
//! never us a replay.

use super::algorithm::Hash;
use crate::time::Time;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

const MAC_SIZE: usize = 12;
const MARK_SIZE: usize = 4;
const SERIAL_SIZE: usize = 8;
const SIZE: usize = SERIAL_SIZE + MARK_SIZE + MAC_SIZE;
const WAYS: usize = 8;
/// Used nonces that are remembered unless told otherwise; about 2 MB.
const DEFAULT_CAPACITY: usize = 1 << 16;

/// Issues and checks nonces for all realms of one process; shared by reference between shards.
///
/// Refusing a nonce that comes from another address would break clients behind a NAT that changes its mapping, so a
/// nonce is good from everywhere. Whom it was sent to can still be [asked](Nonces::was_sent_to): who brings a nonce back
/// from the address that it was sent to can read what arrives there, so that address is not forged.
pub struct Nonces {
    /// Keyed once: only a copy of the state is made for each nonce.
    mac: Hmac<Sha256>,
    lifetime: u64,
    /// Serials up to this one were not issued here.
    start: u64,
    /// The last serial, and the latest moment that was seen: a clock that is set back does not revive a nonce.
    latest: AtomicU64,
    buckets: Box<[Mutex<Bucket>]>,
}

/// What the text of a nonce alone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceCheck {
    /// Ours, for this realm, and young enough; it still has to be [spent](Nonces::spend).
    Fresh(Serial),
    /// Ours, but too old, or from before the start of this process.
    Stale,
    /// Not ours, or for another realm.
    Forged,
}

/// Names one issued nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(u64);

/// The text of a nonce: 48 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 2 * SIZE]);

impl Nonce {
    /// The text, for a header.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Nonces {
    /// Nonces that live for `lifetime`, with room for 65,536 used ones.
    ///
    /// `secret` must be random and not known to anybody else. It may outlive the process only if `now` counts from
    /// an epoch that does too: what was issued before `now` is stale.
    pub fn new(secret: &[u8; 32], now: Time, lifetime: Duration) -> Nonces {
        Nonces::with_capacity(secret, now, lifetime, DEFAULT_CAPACITY)
    }

    /// The same with room for about `capacity` used nonces, of 32 octets each.
    pub fn with_capacity(
        secret: &[u8; 32],
        now: Time,
        lifetime: Duration,
        capacity: usize,
    ) -> Nonces {
        let start = now.as_micros();
        let buckets = capacity
            .div_ceil(WAYS)
            .clamp(1, 1 << 24)
            .next_power_of_two();
        Nonces {
            mac: Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length"),
            lifetime: u64::try_from(lifetime.as_micros()).unwrap_or(u64::MAX),
            start,
            latest: AtomicU64::new(start),
            buckets: (0..buckets).map(|_| Mutex::new(Bucket::new())).collect(),
        }
    }

    /// A new nonce for a realm.
    pub fn issue(&self, now: Time, realm: &str) -> Nonce {
        self.issue_to(now, realm, &[])
    }

    /// A new nonce for a realm that is sent to `receiver`, the octets of an address.
    pub fn issue_to(&self, now: Time, realm: &str, receiver: &[u8]) -> Nonce {
        let next = |latest: u64| latest.saturating_add(1).max(now.as_micros());
        let mut latest = self.latest.load(Ordering::SeqCst);
        loop {
            match self.latest.compare_exchange_weak(
                latest,
                next(latest),
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => break,
                Err(current) => latest = current,
            }
        }
        let serial = next(latest);
        let mark = self.mark(serial, receiver);
        let mut bytes = [0; SIZE];
        let (head, rest) = bytes.split_at_mut(SERIAL_SIZE);
        let (middle, tail) = rest.split_at_mut(MARK_SIZE);
        head.copy_from_slice(&serial.to_be_bytes());
        middle.copy_from_slice(&mark);
        tail.copy_from_slice(&self.tag(serial, mark, realm));
        let mut nonce = Nonce([b'0'; 2 * SIZE]);
        for (to, digit) in nonce.0.iter_mut().zip(Hash::new(&bytes).hex().as_bytes()) {
            *to = *digit;
        }
        nonce
    }

    /// Whether a nonce is ours, for this realm, and young enough. Changes nothing that is remembered.
    pub fn check(&self, now: Time, realm: &str, nonce: &str) -> NonceCheck {
        let Some((serial, mark, tag)) = parts(nonce) else {
            return NonceCheck::Forged;
        };
        if !bool::from(self.tag(serial, mark, realm).ct_eq(&tag)) {
            return NonceCheck::Forged;
        }
        let before = self.latest.fetch_max(now.as_micros(), Ordering::SeqCst);
        let age = before.max(now.as_micros()).checked_sub(serial);
        match age {
            // A serial above all that were given out carries our MAC only if the secret was used before.
            None => NonceCheck::Stale,
            Some(age) if age > self.lifetime || serial <= self.start => NonceCheck::Stale,
            Some(_) => NonceCheck::Fresh(Serial(serial)),
        }
    }

    /// Whether a nonce that [`Nonces::check`] did not find forged was issued to this receiver.
    pub fn was_sent_to(&self, nonce: &str, receiver: &[u8]) -> bool {
        parts(nonce)
            .is_some_and(|(serial, mark, _)| bool::from(self.mark(serial, receiver).ct_eq(&mark)))
    }

    /// Takes note that a nonce was used by somebody who proved who they are; `nc` is `None` without qop.
    ///
    /// `false` when this use is a repetition, or cannot be told from one: then the client needs a new nonce
    /// (`stale=true`). A nonce count may come late by up to 63; without qop a nonce serves once.
    pub fn spend(&self, serial: Serial, nc: Option<u32>) -> bool {
        // Fibonacci hashing spreads serials that differ only in their high bits.
        let spread = serial.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let index = spread as usize & (self.buckets.len() - 1);
        let Some(bucket) = self.buckets.get(index) else {
            return false;
        };
        bucket
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spend(serial.0, nc)
    }

    /// How many used nonces there is room for.
    pub fn capacity(&self) -> usize {
        self.buckets.len() * WAYS
    }

    fn tag(&self, serial: u64, mark: [u8; MARK_SIZE], realm: &str) -> [u8; MAC_SIZE] {
        self.shortened(&[&serial.to_be_bytes(), &mark, realm.as_bytes()])
    }

    fn mark(&self, serial: u64, receiver: &[u8]) -> [u8; MARK_SIZE] {
        self.shortened(&[&serial.to_be_bytes(), receiver])
    }

    /// The first octets of the MAC over `parts`.
    fn shortened<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        let mut mac = self.mac.clone();
        // How many there are keeps a mark from ever being a tag.
        mac.update(&[N as u8]);
        for part in parts {
            mac.update(part);
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut short = [0; N];
        for (to, from) in short.iter_mut().zip(full) {
            *to = from;
        }
        short
    }
}

/// Serial, mark and tag of a nonce.
fn parts(nonce: &str) -> Option<(u64, [u8; MARK_SIZE], [u8; MAC_SIZE])> {
    let bytes = Hash::from_hex(nonce.as_bytes(), SIZE)?;
    let (head, rest) = bytes.as_bytes().split_first_chunk::<SERIAL_SIZE>()?;
    let (mark, tag) = rest.split_first_chunk::<MARK_SIZE>()?;
    Some((u64::from_be_bytes(*head), *mark, tag.try_into().ok()?))
}

impl core::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Nonces")
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

struct Bucket {
    uses: [Use; WAYS],
}

/// The counts that were used with one nonce, as a window like that of RFC 4303 §3.4.3.
#[derive(Clone, Copy)]
struct Use {
    /// Zero for a free line.
    serial: u64,
    /// Bit *n* is set when `highest - n` was used.
    seen: u64,
    highest: u32,
    once: bool,
}

impl Bucket {
    const fn new() -> Bucket {
        const FREE: Use = Use {
            serial: 0,
            seen: 0,
            highest: 0,
            once: false,
        };
        Bucket { uses: [FREE; WAYS] }
    }

    fn spend(&mut self, serial: u64, nc: Option<u32>) -> bool {
        if let Some(known) = self.uses.iter_mut().find(|u| u.serial == serial) {
            return known.again(nc);
        }
        let Some(oldest) = self.uses.iter_mut().min_by_key(|u| u.serial) else {
            return false;
        };
        // It may have been here and made room for a younger one.
        if oldest.serial > serial {
            return false;
        }
        *oldest = Use {
            serial,
            seen: 1,
            highest: nc.unwrap_or_default(),
            once: nc.is_none(),
        };
        true
    }
}

impl Use {
    fn again(&mut self, nc: Option<u32>) -> bool {
        let Some(nc) = nc else { return false };
        if self.once {
            return false;
        }
        if nc > self.highest {
            let ahead = nc - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = nc;
            return true;
        }
        let bit = 1u64.checked_shl(self.highest - nc).unwrap_or(0);
        let new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_says_whom_it_was_sent_to_and_is_good_from_everywhere() {
        let now = Time::from_micros(10);
        let nonces = Nonces::new(&[7; 32], Time::ZERO, Duration::from_secs(60));
        let nonce = nonces.issue_to(now, "example.org", &[192, 0, 2, 1]);
        assert!(nonces.was_sent_to(nonce.as_str(), &[192, 0, 2, 1]));
        assert!(!nonces.was_sent_to(nonce.as_str(), &[192, 0, 2, 2]));
        let fresh =
            |text: &str| matches!(nonces.check(now, "example.org", text), NonceCheck::Fresh(_));
        assert!(fresh(nonce.as_str()));
        // The mark cannot be exchanged for that of another nonce.
        let other = nonces.issue_to(now, "example.org", &[192, 0, 2, 2]);
        let mixed = format!(
            "{}{}{}",
            &nonce.as_str()[..16],
            &other.as_str()[16..24],
            &nonce.as_str()[24..]
        );
        assert!(!fresh(&mixed));
    }

    #[test]
    fn the_window_takes_each_count_once() {
        let mut bucket = Bucket::new();
        for (nc, new) in [
            (5, true),
            (5, false),
            (7, true),
            (6, true),
            (6, false),
            (1, true),
            (70, true),
        ] {
            assert_eq!(bucket.spend(9, Some(nc)), new, "{nc}");
        }
        // 70 - 63 = 7 is the last one inside the window, and was used.
        for (nc, new) in [
            (7, false),
            (8, true),
            (6, false),
            (2, false),
            (u32::MAX, true),
            (71, false),
        ] {
            assert_eq!(bucket.spend(9, Some(nc)), new, "{nc}");
        }
        assert!(!bucket.spend(9, None));
        assert!(bucket.spend(10, None));
        assert!(!bucket.spend(10, None) && !bucket.spend(10, Some(1)));
    }

    #[test]
    fn a_full_bucket_takes_nothing_older_than_what_it_holds() {
        let mut bucket = Bucket::new();
        for serial in 101..=200 {
            assert!(bucket.spend(serial, Some(1)));
        }
        for serial in 101..=200 {
            assert!(!bucket.spend(serial, Some(1)), "{serial} replayed");
            assert_eq!(bucket.spend(serial, Some(2)), serial > 192, "{serial}");
        }
        // Never used, but nobody remembers that.
        assert!(!bucket.spend(100, Some(1)));
    }
}
