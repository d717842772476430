//! What the process takes of its host.

use std::path::Path;
use std::time::Duration;

/// What this process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vital {
    /// Time on processors since the start, of all threads.
    pub processor: Duration,
    /// Memory in use (resident), in octets; 0 where the system does not say.
    pub memory: u64,
}

impl Vital {
    /// As it is now.
    pub fn now() -> Vital {
        Vital {
            processor: processor(),
            memory: memory(),
        }
    }
}

#[cfg(unix)]
fn processor() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(unix))]
fn processor() -> Duration {
    Duration::ZERO
}

/// The second number of `/proc/self/statm` counts pages.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    #[cfg(unix)]
    let page = rustix::param::page_size() as u64;
    #[cfg(not(unix))]
    let page = 4096;
    pages.unwrap_or(0) * page
}

/// The octets that are free for us where `path` lies, and how many there are; `None` where the system does not say.
pub fn free_space(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        let told = rustix::fs::statvfs(path).ok()?;
        Some((
            told.f_bavail.saturating_mul(told.f_frsize),
            told.f_blocks.saturating_mul(told.f_frsize),
        ))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_takes_something() {
        let before = Vital::now();
        assert!(before.memory > 1 << 20, "{before:?}");
        let mut n = 0u64;
        while Vital::now().processor <= before.processor {
            n = std::hint::black_box(n + 1);
        }
        let (free, all) = free_space(Path::new("/")).unwrap();
        assert!(free <= all && all > 0);
    }
}
