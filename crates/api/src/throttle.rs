//! Wrong passwords cost time: each one beyond a few doubles the wait for the next try.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Who is remembered at most; the half that was wrong the longest time ago goes first.
const MOST: usize = 10_000;
/// After this time without a wrong try all is forgiven.
const FORGIVEN: Duration = Duration::from_secs(3600);

/// Counts wrong passwords by source and by name.
///
/// A name is slowed down later and less than a source: somebody who tries wrong passwords of `admin` from many places
/// must not be able to lock the administrator out.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    tries: Mutex<HashMap<Who, Tries>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Source(IpAddr),
    Name(String),
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    last: Instant,
}

impl Who {
    /// How many wrong tries cost nothing, and the longest wait.
    fn leniency(&self) -> (u32, Duration) {
        match self {
            Who::Source(_) => (5, Duration::from_secs(900)),
            Who::Name(_) => (20, Duration::from_secs(30)),
        }
    }

    fn wait(&self, tries: &Tries, now: Instant) -> Duration {
        let (free, longest) = self.leniency();
        let Some(more) = tries.wrong.checked_sub(free) else {
            return Duration::ZERO;
        };
        let wait = Duration::from_secs(1 << more.min(20)).min(longest);
        (tries.last + wait).saturating_duration_since(now)
    }
}

impl Throttle {
    /// How long to wait until a password of this name is looked at, in whole seconds; `None` when it is now.
    pub(crate) fn wait(&self, source: IpAddr, name: &str, now: Instant) -> Option<u64> {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys(source, name)
            .iter()
            .filter_map(|who| Some(who.wait(tries.get(who)?, now)))
            .max()?;
        (!wait.is_zero()).then(|| wait.as_secs_f64().ceil() as u64)
    }

    /// A password was wrong.
    pub(crate) fn wrong(&self, source: IpAddr, name: &str, now: Instant) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() + 2 > MOST {
            tries.retain(|_, t| now.saturating_duration_since(t.last) < FORGIVEN);
        }
        if tries.len() + 2 > MOST {
            // The older half at once: looking for the oldest at every try would be work for whoever floods us.
            let mut times: Vec<Instant> = tries.values().map(|t| t.last).collect();
            let (_, median, _) = times.select_nth_unstable(MOST / 2);
            let median = *median;
            tries.retain(|_, t| t.last > median);
        }
        for who in keys(source, name) {
            let entry = tries.entry(who).or_insert(Tries {
                wrong: 0,
                last: now,
            });
            if now.saturating_duration_since(entry.last) >= FORGIVEN {
                entry.wrong = 0;
            }
            entry.wrong = entry.wrong.saturating_add(1);
            entry.last = now;
        }
    }

    /// A password was right. The source keeps its count: else one account of one's own would buy tries at others.
    pub(crate) fn right(&self, name: &str) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.remove(&Who::Name(name.to_owned()));
    }
}

/// One host of IPv6 has a whole /64.
fn keys(source: IpAddr, name: &str) -> [Who; 2] {
    let source = match source.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    };
    let name: String = name.chars().take(256).collect();
    [Who::Source(source), Who::Name(name)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn the_wait_doubles_and_ends() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..4 {
            throttle.wrong(SOURCE, "admin", start);
        }
        assert_eq!(throttle.wait(SOURCE, "admin", start), None);
        throttle.wrong(SOURCE, "admin", start);
        assert_eq!(throttle.wait(SOURCE, "admin", start), Some(1));
        throttle.wrong(SOURCE, "other", start);
        assert_eq!(throttle.wait(SOURCE, "third", start), Some(2));
        assert_eq!(
            throttle.wait(SOURCE, "third", start + Duration::from_secs(2)),
            None
        );
        for _ in 0..100 {
            throttle.wrong(SOURCE, "admin", start);
        }
        assert_eq!(throttle.wait(SOURCE, "admin", start), Some(900));
        // From elsewhere the name alone counts.
        let other = "192.0.2.2".parse().unwrap();
        assert_eq!(throttle.wait(other, "admin", start), Some(30));
        throttle.right("admin");
        assert_eq!(throttle.wait(other, "admin", start), None);
        assert_eq!(throttle.wait(SOURCE, "admin", start), Some(900));
        // An hour later all is forgiven.
        let later = start + FORGIVEN;
        throttle.wrong(SOURCE, "admin", later);
        assert_eq!(throttle.wait(SOURCE, "admin", later), None);
    }

    #[test]
    fn a_host_of_ipv6_is_its_network_and_memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..5u128 {
            let ip = std::net::Ipv6Addr::from((0x2001_0db8 << 96) | n);
            throttle.wrong(ip.into(), "a", now);
        }
        let again = "2001:db8::ffff".parse().unwrap();
        assert_eq!(throttle.wait(again, "b", now), Some(1));
        for n in 0..12_000u32 {
            throttle.wrong(
                std::net::Ipv4Addr::from(n).into(),
                &n.to_string(),
                now + Duration::from_millis(u64::from(n)),
            );
        }
        assert!(throttle.tries.lock().unwrap().len() <= MOST);
        assert_eq!(throttle.wait(again, "b", now), None, "the oldest is gone");
    }
}
