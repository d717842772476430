//! Session timers (RFC 4028): a session that nobody refreshes ends.
//!
//! ```text
//!  2xx ──► we refresh: UPDATE or re-INVITE after half of the interval
//!      └─► the peer does: BYE min(32 s, a third) before its end
//! ```

use core::time::Duration;

use super::call::{Phase, Reoffering};
use super::challenge::{MAX_ROUNDS, authorise};
use super::draft::Draft;
use super::event::{AccountId, CallId, Cause};
use super::extension::{TIMER, has_tag};
use super::outbound::{OutboundId, Purpose};
use super::{Alarm, UserAgent, alarm};
use crate::flow::Flow;
use crate::header::{HeaderName, MinSE, Refresher, SessionExpires};
use crate::message::Method;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// The longest interval that a peer can make us ask for.
const LONGEST: u32 = 86_400;
/// No timer of a call runs longer than this, so that calls that ended leave little behind.
const HOP: Duration = Duration::from_secs(60);
/// When a refresh that could not leave, or was refused, is tried again at the earliest.
const AGAIN: Duration = Duration::from_secs(5);

/// What an account wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) seconds: u32,
    pub(super) min: u32,
}

impl Interval {
    /// `seconds` and `min` as the account says; both are at least 90 (RFC 4028 §5).
    pub(super) fn new(seconds: u32, min: u32) -> Interval {
        let min = min.max(MinSE::DEFAULT.0);
        Interval {
            seconds: seconds.max(min),
            min,
        }
    }
}

/// The session timer of a call.
#[derive(Debug, Default)]
pub(super) struct SessionTimer {
    running: Option<Running>,
    /// The largest Min-SE that a peer or proxy named.
    floor: u32,
}

#[derive(Debug)]
struct Running {
    seconds: u32,
    /// We refresh.
    ours: bool,
    /// When the next refresh leaves, if it is ours and not under way.
    refresh: Option<Time>,
    ends: Time,
    serial: u32,
}

/// What our 2xx grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    seconds: u32,
    /// We refresh.
    ours: bool,
    /// The peer knows session timers.
    supports: bool,
}

impl Granted {
    /// The interval, and whether we refresh.
    pub(super) fn interval(&self) -> (u32, bool) {
        (self.seconds, self.ours)
    }

    /// What the 2xx says (§9).
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let refresher = if self.ours {
            Refresher::Uas
        } else {
            Refresher::Uac
        };
        let expires = SessionExpires {
            seconds: self.seconds,
            refresher: Some(refresher),
        };
        let mut headers = vec![("Session-Expires", expires.to_string())];
        if self.supports {
            headers.push(("Require", TIMER.to_owned()));
        }
        headers
    }
}

/// What we make of what a request asks for (§9, table 2). `running`: the interval that holds, and
/// whether we refresh.
fn grant(
    request: &Packet<'_>,
    interval: Interval,
    running: Option<(u32, bool)>,
) -> Option<Granted> {
    let supports = has_tag(request, HeaderName::Supported, TIMER)
        || has_tag(request, HeaderName::Require, TIMER);
    let asked = expires_of(request);
    let min = min_of(request).unwrap_or(0).max(interval.min);
    let seconds = match asked {
        Some(asked) if asked.seconds < min => return None,
        Some(asked) => interval.seconds.clamp(min, asked.seconds),
        None if supports || running.is_some() => {
            let seconds = running.map_or(interval.seconds, |(seconds, _)| seconds);
            seconds.max(min)
        }
        None => return None,
    };
    let ours = match asked.and_then(|a| a.refresher) {
        _ if !supports => true,
        Some(refresher) => refresher == Refresher::Uas,
        None => running.is_none_or(|(_, ours)| ours),
    };
    Some(Granted {
        seconds,
        ours,
        supports,
    })
}

/// What a 2xx to a request of ours grants (§7.2): the interval, and whether we refresh.
fn granted(response: &Packet<'_>) -> Option<(u32, bool)> {
    let expires = expires_of(response)?;
    let seconds = expires.seconds.clamp(MinSE::DEFAULT.0, LONGEST);
    Some((seconds, expires.refresher != Some(Refresher::Uas)))
}

fn expires_of(message: &Packet<'_>) -> Option<SessionExpires> {
    SessionExpires::parse(message.value(HeaderName::SessionExpires)?).ok()
}

fn min_of(message: &Packet<'_>) -> Option<u32> {
    Some(MinSE::parse(message.value(HeaderName::MinSe)?).ok()?.0)
}

/// How long before the end a session that was not refreshed is ended (§10).
fn margin(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds / 3).min(32))
}

impl SessionTimer {
    fn held(&self) -> Option<(u32, bool)> {
        self.running.as_ref().map(|r| (r.seconds, r.ours))
    }

    /// The headers of a request that makes or refreshes a session (§7.1, §7.4).
    fn headers(&self, interval: Interval) -> Vec<(String, String)> {
        let expires = match self.held() {
            Some((seconds, ours)) => SessionExpires {
                seconds: seconds.max(self.floor),
                refresher: Some(if ours { Refresher::Uac } else { Refresher::Uas }),
            },
            None => SessionExpires {
                seconds: interval.seconds.max(self.floor),
                refresher: None,
            },
        };
        let mut headers = vec![("Session-Expires".to_owned(), expires.to_string())];
        let min = interval.min.max(self.floor);
        if min > MinSE::DEFAULT.0 {
            headers.push(("Min-SE".to_owned(), min.to_string()));
        }
        headers
    }

    fn start(&mut self, now: Time, (seconds, ours): (u32, bool), serial: u32) {
        let whole = Duration::from_secs(u64::from(seconds));
        self.running = Some(Running {
            seconds,
            ours,
            refresh: ours.then(|| now + whole / 2),
            ends: now + whole.saturating_sub(margin(seconds)),
            serial,
        });
    }

    /// How long until something is due.
    fn due(&self, now: Time) -> Option<(Duration, u32)> {
        let running = self.running.as_ref()?;
        let at = running
            .refresh
            .map_or(running.ends, |r| r.min(running.ends));
        Some((at.since(now).min(HOP), running.serial))
    }

    /// A refresh of ours came to nothing.
    pub(super) fn refused(&mut self, now: Time) {
        if let Some(running) = self.running.as_mut().filter(|r| r.ours) {
            let rest = running.ends.since(now);
            running.refresh = Some(now + (rest / 4).max(AGAIN));
        }
    }
}

impl UserAgent {
    /// Asks for a session timer in an INVITE or UPDATE.
    pub(super) fn ask_interval(
        &self,
        draft: &mut Draft,
        account: Option<AccountId>,
        call: Option<CallId>,
    ) {
        let Some(interval) = self.extensions(account).timer else {
            return;
        };
        let fresh = SessionTimer::default();
        let timer = call
            .and_then(|c| self.call_of(c))
            .map_or(&fresh, |c| &c.timer);
        draft.headers.extend(timer.headers(interval));
    }

    /// What our 2xx to a request of the peer grants; `None`: no session timer.
    pub(super) fn grant_interval(&self, id: CallId, request: &Packet<'_>) -> Option<Granted> {
        let call = self.call_of(id)?;
        let interval = self.extensions(call.account).timer?;
        grant(request, interval, call.timer.held())
    }

    /// A 2xx to our INVITE or UPDATE came.
    pub(super) fn interval_granted(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        response: &Packet<'_>,
    ) {
        let Some(account) = self.call_of(id).map(|c| c.account) else {
            return;
        };
        let asked = self.extensions(account).timer.is_some();
        let terms = granted(response).filter(|_| asked);
        self.keep_interval(now, tx, id, terms);
    }

    /// The session was made or refreshed: the timer starts anew, or runs no more.
    pub(super) fn keep_interval(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        terms: Option<(u32, bool)>,
    ) {
        let serial = self.next_serial();
        let Some(call) = self.call_mut(id) else {
            return;
        };
        match terms {
            Some(terms) => call.timer.start(now, terms, serial),
            None => call.timer.running = None,
        }
        self.wind(now, tx, id);
    }

    fn wind(&self, now: Time, tx: &mut Transactions, id: CallId) {
        if let Some((after, serial)) = self.call_of(id).and_then(|c| c.timer.due(now)) {
            alarm(now, tx, after, id.0, Alarm::Session(serial));
        }
    }

    /// Some of the interval has passed.
    pub(super) fn on_session_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: CallId,
        serial: u32,
    ) {
        let Some(call) = self.call_mut(id).filter(|c| c.phase == Phase::Up) else {
            return;
        };
        let Some(running) = call.timer.running.as_mut().filter(|r| r.serial == serial) else {
            return;
        };
        if now >= running.ends {
            self.drop_pending(now, tx, id);
            self.send_bye(now, tx, id, Cause::Expired);
            return;
        }
        if running.refresh.is_some_and(|at| now >= at) {
            running.refresh = None;
            self.refresh(now, tx, id);
        }
        self.wind(now, tx, id);
    }

    /// Refreshes the session: by UPDATE where the peer takes it, else by a re-INVITE that offers what
    /// holds (§7.4).
    fn refresh(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        let Some(call) = self.call_mut(id) else {
            return;
        };
        let Some(leg) = call.confirmed.filter(|l| call.may_offer(*l)) else {
            // Somebody changes the session, which refreshes it too.
            if let Some(running) = call.timer.running.as_mut() {
                running.refresh = Some(now + AGAIN);
            }
            return;
        };
        let by_update = call.legs.get(leg).is_some_and(|l| l.allows_update);
        let reoffering = if by_update {
            Reoffering::new(Method::Update, leg, None)
        } else {
            let offer = call.session.local().map(<[u8]>::to_vec);
            Reoffering::new(Method::Invite, leg, offer)
        };
        let sent = self.change(now, tx, id, reoffering.refreshing());
        if let (Err(_), Some(call)) = (sent, self.call_mut(id)) {
            call.timer.refused(now);
        }
    }

    /// A refresh of ours was refused, but the call goes on (§7.4).
    pub(super) fn on_refresh_refused(&mut self, now: Time, tx: &mut Transactions, id: CallId) {
        if let Some(call) = self.call_mut(id) {
            call.timer.refused(now);
        }
        self.wind(now, tx, id);
    }

    /// 422: the request goes again with the interval that the peer wants (§7.3); `false` when that is
    /// of no use.
    pub(super) fn asks_longer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        response: &Packet<'_>,
        flow: Flow,
    ) -> bool {
        let wanted = self.is_wanted(id);
        let Some(outbound) = self.outbound.get_mut(id).filter(|_| wanted) else {
            return false;
        };
        let purpose = outbound.purpose;
        let (Purpose::Invite(call) | Purpose::Reinvite(call) | Purpose::Update(call)) = purpose
        else {
            return false;
        };
        let min = min_of(response).unwrap_or(0);
        outbound.rounds += 1;
        let asked = outbound.draft.session_expires();
        let of_use = asked.is_some_and(|s| min > s && min <= LONGEST);
        if !of_use || outbound.rounds > MAX_ROUNDS {
            return false;
        }
        let Some(call) = self.call_mut(call) else {
            return false;
        };
        call.timer.floor = call.timer.floor.max(min);
        let floor = call.timer.floor;
        let cseq = self.next_cseq(now, tx, id, purpose);
        let Some(outbound) = self.outbound.get_mut(id) else {
            return false;
        };
        outbound.draft.cseq = cseq;
        outbound.draft.ask_at_least(floor);
        authorise(&mut self.accounts, tx, outbound);
        let sent = outbound.flow.unwrap_or(flow);
        self.depart(now, tx, id, sent);
        true
    }
}

impl Draft {
    /// The session interval that the request asks for.
    fn session_expires(&self) -> Option<u32> {
        let value = self.headers.iter().find(|(n, _)| n == "Session-Expires")?;
        let parsed = SessionExpires::parse(value.1.as_bytes()).ok()?;
        Some(parsed.seconds)
    }

    /// Asks for an interval of at least `floor` seconds.
    fn ask_at_least(&mut self, floor: u32) {
        self.headers.retain(|(name, _)| name != "Min-SE");
        for (name, value) in &mut self.headers {
            if name == "Session-Expires"
                && let Ok(mut asked) = SessionExpires::parse(value.as_bytes())
            {
                asked.seconds = asked.seconds.max(floor);
                *value = asked.to_string();
            }
        }
        self.headers.push(("Min-SE".to_owned(), floor.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stored;

    fn request(headers: &str) -> Stored {
        let text = format!(
            "UPDATE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n{headers}\
             Content-Length: 0\r\n\r\n"
        );
        Stored::scan(bytes::Bytes::from(text.into_bytes())).unwrap()
    }

    fn judged(headers: &str, running: Option<(u32, bool)>) -> Option<(u32, bool, bool)> {
        let interval = Interval::new(1800, 0);
        let granted = grant(&request(headers).packet(), interval, running)?;
        Some((granted.seconds, granted.ours, granted.supports))
    }

    #[test]
    fn the_table_of_refreshers() {
        const KNOWS: &str = "Supported: timer\r\n";
        for (headers, running, expected) in [
            ("", None, None),
            ("Session-Expires: 600\r\n", None, Some((600, true, false))),
            ("Session-Expires: 60\r\n", None, None),
            (KNOWS, None, Some((1800, true, true))),
            (
                "Supported: timer\r\nx: 600\r\n",
                None,
                Some((600, true, true)),
            ),
            (
                "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n",
                None,
                Some((600, false, true)),
            ),
            (
                "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n",
                None,
                Some((600, true, true)),
            ),
            // The role that holds stays.
            (
                "Supported: timer\r\nSession-Expires: 600\r\n",
                Some((600, false)),
                Some((600, false, true)),
            ),
            // We may shorten it, but not below what the peer takes.
            (
                "Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600\r\n",
                None,
                Some((3600, true, true)),
            ),
            (
                "Supported: timer\r\nSession-Expires: 7200\r\n",
                None,
                Some((1800, true, true)),
            ),
            // A peer that does not know timers is kept alive by us.
            ("", Some((1800, false)), Some((1800, true, false))),
        ] {
            assert_eq!(judged(headers, running), expected, "{headers}");
        }
    }

    #[test]
    fn what_is_said_in_requests() {
        let mut timer = SessionTimer::default();
        let interval = Interval::new(10, 10);
        assert_eq!(interval, Interval::new(90, 90));
        let text = |timer: &SessionTimer| {
            let lines = timer.headers(interval);
            let lines = lines.iter().map(|(n, v)| format!("{n}: {v}"));
            lines.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&timer), "Session-Expires: 90");
        timer.floor = 120;
        assert_eq!(text(&timer), "Session-Expires: 120 Min-SE: 120");
        timer.start(Time::ZERO, (200, false), 1);
        assert_eq!(
            text(&timer),
            "Session-Expires: 200;refresher=uas Min-SE: 120"
        );
        assert_eq!(margin(90), Duration::from_secs(30));
        assert_eq!(margin(1800), Duration::from_secs(32));
    }
}
