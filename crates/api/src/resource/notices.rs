//! What is not right, and what can be seen from here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use server::TrunkState;
use server::admin::free_space;

use super::records::utc;
use crate::administrators::now;
use crate::certificate::end_of_file;
use crate::context::Context;

/// The clock may be off by this much against the time that passed.
const JUMP: Duration = Duration::from_secs(5);
/// How long a jump is told of.
const TOLD_FOR: Duration = Duration::from_secs(3600);
/// How often the certificate is looked at, and how many days before its end it is told of.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const DAYS: u64 = 14;
/// Free space below which is warned, and below which it is an error.
const LOW: u64 = 500 << 20;
const EMPTY: u64 = 50 << 20;

/// Something that is not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Notice {
    level: &'static str,
    code: &'static str,
    values: BTreeMap<&'static str, String>,
}

impl Notice {
    fn new(level: &'static str, code: &'static str) -> Notice {
        Notice {
            level,
            code,
            values: BTreeMap::new(),
        }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Notice {
        self.values.insert(name, value.to_string());
        self
    }
}

/// What has to be followed over time.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    clocks: Option<(Instant, SystemTime)>,
    jump: Option<(Instant, i64)>,
    /// When the certificate was last looked at, and when it ends, in seconds since 1970.
    certificate: Option<(Instant, Option<u64>)>,
}

impl Watch {
    /// When the certificate in `path` ends; looked at once a minute.
    fn certificate_end(&mut self, path: &Path, now: Instant) -> Option<u64> {
        let looked = self
            .certificate
            .filter(|(at, _)| now.saturating_duration_since(*at) < LOOK_EVERY);
        let (_, end) = looked.unwrap_or_else(|| (now, end_of_file(path)));
        self.certificate = Some((looked.map_or(now, |(at, _)| at), end));
        end
    }

    /// Seconds that the clock jumped by within the last hour, forwards or back.
    fn jumped(&mut self, now: Instant, clock: SystemTime) -> Option<i64> {
        if let Some((then, before)) = self.clocks {
            let expected = before + now.saturating_duration_since(then);
            let by = match clock.duration_since(expected) {
                Ok(ahead) => ahead.as_secs_f64(),
                Err(behind) => -behind.duration().as_secs_f64(),
            };
            if by.abs() >= JUMP.as_secs_f64() {
                self.jump = Some((now, by.round() as i64));
            }
        }
        self.clocks = Some((now, clock));
        let (at, by) = self.jump?;
        (now.saturating_duration_since(at) < TOLD_FOR).then_some(by)
    }
}

/// All of them now.
pub(super) fn all(context: &Context, watch: &mut Watch) -> Vec<Notice> {
    let mut notices = Vec::new();
    let admin = &context.admin;
    if admin.snapshot().accounts == 0 {
        notices.push(Notice::new("info", "no_accounts"));
    }
    for one in context.administrators.list().unwrap_or_default() {
        if one.must_change_password {
            notices.push(Notice::new("warning", "first_password").with("name", one.name));
        }
    }
    let listeners = admin.listeners();
    let addresses: Vec<IpAddr> = listeners.iter().map(|(_, a)| a.ip()).collect();
    notices.extend(reach(&addresses, admin.config().advertised_host.is_some()));
    let transports: Vec<&str> = listeners.iter().map(|(t, _)| *t).collect();
    notices.extend(encryption(context, &transports, &addresses));
    notices.extend(open_relay(context));
    notices.extend(trunks(context));
    if let Some(seconds) = watch.jumped(Instant::now(), SystemTime::now()) {
        notices.push(Notice::new("warning", "clock_jumped").with("seconds", seconds));
    }
    notices.extend(expiry(context, watch));
    notices.extend(disk(context));
    for file in &context.fixed.files {
        if file.changed() {
            let notice = Notice::new("info", "restart_needed");
            notices.push(notice.with("path", file.path.display()));
        }
    }
    notices
}

/// Who can reach these addresses.
fn reach(addresses: &[IpAddr], advertised: bool) -> Option<Notice> {
    if addresses.is_empty() {
        return None;
    }
    if addresses.iter().all(IpAddr::is_loopback) {
        return Some(Notice::new("warning", "loopback_only"));
    }
    let mut others = addresses.iter().filter(|ip| !ip.is_loopback());
    let private = |ip: &IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    let example = others.clone().next()?;
    (!advertised && others.all(private))
        .then(|| Notice::new("info", "private_address").with("address", example))
}

/// 100.64.0.0/10, between a provider and its customers (RFC 6598).
fn is_shared(ip: std::net::Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

fn encryption(context: &Context, transports: &[&str], addresses: &[IpAddr]) -> Option<Notice> {
    let http: Option<std::net::SocketAddr> = context.fixed.http.parse().ok();
    let console_open = !context.fixed.secure && http.is_some_and(|a| !a.ip().is_loopback());
    if console_open {
        let notice = Notice::new("warning", "no_tls");
        return Some(notice.with("address", format!("http {}", context.fixed.http)));
    }
    let sip_open = !addresses.iter().all(IpAddr::is_loopback);
    let secure = transports.iter().any(|t| matches!(*t, "tls" | "wss"));
    (sip_open && !secure).then(|| Notice::new("info", "no_tls"))
}

/// Callers have to prove nothing, and a rule leads out at our cost.
fn open_relay(context: &Context) -> Option<Notice> {
    let snapshot = context.admin.directory().snapshot();
    if snapshot.settings.authentication.invite {
        return None;
    }
    let leads_out = |rule: &&server::directory::PlanRule| {
        use server::directory::Action;
        let trunks = match &rule.rule.action {
            Action::Trunks { trunks, .. } => trunks,
            _ => return false,
        };
        let usable = |id: &String| snapshot.trunk(id).is_some_and(|t| t.enabled);
        rule.rule.enabled && trunks.iter().any(usable)
    };
    let rule = snapshot.rules.iter().find(leads_out)?;
    Some(Notice::new("error", "open_relay").with("rule", &rule.rule.name))
}

fn trunks(context: &Context) -> Vec<Notice> {
    let snapshot = context.admin.directory().snapshot();
    let told = snapshot.trunks.iter().filter_map(|trunk| {
        let status = context.admin.trunk_status(trunk);
        let notice = match status.state {
            TrunkState::Unreachable => Notice::new("warning", "trunk_unreachable"),
            TrunkState::Refused => Notice::new("error", "trunk_refused"),
            _ => return None,
        };
        let notice = notice.with("trunk", &trunk.name);
        Some(match status.detail.is_empty() {
            true => notice,
            false => notice.with("detail", status.detail),
        })
    });
    told.collect()
}

fn expiry(context: &Context, watch: &mut Watch) -> Option<Notice> {
    let path = &context.fixed.certificate;
    if path.is_empty() {
        return None;
    }
    let end = watch.certificate_end(Path::new(path), Instant::now())?;
    expires(end, now() / 1000).map(|notice| notice.with("path", path))
}

/// What is told of a certificate that ends at `end`; both in seconds since 1970.
fn expires(end: u64, now: u64) -> Option<Notice> {
    let days = end.saturating_sub(now) / 86_400;
    let level = if end <= now { "error" } else { "warning" };
    (days < DAYS).then(|| {
        let notice = Notice::new(level, "certificate_expires");
        notice.with("days", days).with("date", utc(end * 1000))
    })
}

fn disk(context: &Context) -> Option<Notice> {
    let dir = context.store.dir();
    let (free, _) = free_space(dir)?;
    if free >= LOW {
        return None;
    }
    let level = if free < EMPTY { "error" } else { "warning" };
    Some(
        Notice::new(level, "disk_low")
            .with("free", format!("{} MB", free >> 20))
            .with("path", dir.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_is_told_by_the_addresses() {
        let code = |list: &[&str], advertised| {
            let all: Vec<IpAddr> = list.iter().map(|a| a.parse().unwrap()).collect();
            reach(&all, advertised).map(|n| n.code)
        };
        assert_eq!(code(&["127.0.0.1", "::1"], false), Some("loopback_only"));
        assert_eq!(
            code(&["127.0.0.1", "10.1.2.3", "fd00::1"], false),
            Some("private_address")
        );
        assert_eq!(code(&["100.64.0.1"], false), Some("private_address"));
        assert_eq!(code(&["10.1.2.3"], true), None);
        assert_eq!(code(&["10.1.2.3", "203.0.113.5"], false), None);
        assert_eq!(code(&["100.128.0.1"], false), None);
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends() {
        const DAY: u64 = 86_400;
        let told = |end: u64| expires(end, 1000 * DAY).map(|n| (n.level, n.values["days"].clone()));
        assert_eq!(told(1014 * DAY), None);
        assert_eq!(told(1014 * DAY - 1), Some(("warning", "13".into())));
        assert_eq!(told(1000 * DAY), Some(("error", "0".into())));
        assert_eq!(told(1), Some(("error", "0".into())));
    }

    #[test]
    fn a_clock_that_jumps_is_seen_for_an_hour() {
        let mut watch = Watch::default();
        let (start, clock) = (Instant::now(), SystemTime::now());
        let at = |s: u64| start + Duration::from_secs(s);
        let by = |s: u64| clock + Duration::from_secs(s);
        assert_eq!(watch.jumped(start, clock), None);
        assert_eq!(
            watch.jumped(at(10), by(13)),
            None,
            "three seconds are no jump"
        );
        assert_eq!(watch.jumped(at(11), by(114)), Some(100));
        assert_eq!(watch.jumped(at(12), by(115)), Some(100));
        assert_eq!(watch.jumped(at(13), by(16)), Some(-100));
        assert_eq!(watch.jumped(at(13 + 3600), by(16 + 3600)), None);
    }
}
