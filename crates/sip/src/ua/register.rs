//! Registration as a client (RFC 3261 §10.2): refreshed in time, tried again when it fails.

use core::time::Duration;

use bytes::Bytes;

use super::account::{Profile, contact_uri};
use super::draft::{Contact, Draft, readable};
use super::event::{AccountId, Cause, Event, Misuse};
use super::outbound::{Outbound, OutboundId, Outcome, Purpose, reason_of};
use super::{Alarm, UserAgent, alarm, tell};
use crate::flow::{Flow, Transport};
use crate::header::{ContactList, Expires, HeaderName, MinExpires, RetryAfter, routes};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::uri::Uri;
use crate::wire::Packet;

/// The upper bound of the first wait after a failure; it doubles with each (RFC 5626 §4.5).
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The longest wait (RFC 5626 §4.5).
const LONGEST_RETRY: Duration = Duration::from_secs(1800);
/// The longest wait that a registrar may ask for.
pub(super) const LONGEST_RETRY_AFTER: u32 = 3600;
/// The longest expiry that a registrar may force on us with 423, in seconds.
pub(super) const LONGEST_MIN_EXPIRES: u32 = 7 * 86_400;
/// How often a registration over UDP through an address translator says something, before the translator forgets it: most
/// do after 30 seconds or more (RFC 5626 §4.4.2 wants 24 to 29).
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How often in a row the contact is changed because the server sees another address.
const MAX_MOVES: u8 = 3;

/// One account's registration.
#[derive(Debug, Default)]
pub(super) struct Registration {
    call_id: String,
    tag: String,
    pub(super) cseq: u32,
    /// Seconds that the owner wants; 0 for none.
    wanted: u32,
    /// Seconds that the request on its way asks for.
    asked: u32,
    busy: Option<OutboundId>,
    queued: Option<u32>,
    /// The contact that the registrar holds.
    pub(super) bound: Option<String>,
    pub(super) flow: Option<Flow>,
    pub(super) service_route: Vec<String>,
    failures: u32,
    moves: u8,
    serial: u32,
}

impl UserAgent {
    /// Registers an account's contact for so many seconds, and keeps it registered.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Full`].
    pub fn register(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        expires: u32,
    ) -> Result<(), Misuse> {
        let profile = self.profile_mut(account).ok_or(Misuse::NoAccount)?;
        let registration = &mut profile.registration;
        registration.wanted = expires;
        registration.failures = 0;
        registration.moves = 0;
        self.send_register(now, tx, account, expires)
    }

    /// Takes our contact, and only ours, from the registrar (RFC 3261 §10.2.2).
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Full`].
    pub fn unregister(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
    ) -> Result<(), Misuse> {
        self.register(now, tx, account, 0)
    }

    fn send_register(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        expires: u32,
    ) -> Result<(), Misuse> {
        let serial = self.next_serial();
        let profile = self.profile_mut(account).ok_or(Misuse::NoAccount)?;
        // Whatever timer ran is overtaken.
        profile.registration.serial = serial;
        if profile.registration.busy.is_some() {
            profile.registration.queued = Some(expires);
            return Ok(());
        }
        let draft = profile.register_draft(tx, expires);
        let preferred = profile.registration.flow;
        profile.registration.asked = expires;
        let purpose = Purpose::Register(account);
        let id = self.prepare(tx, purpose, Some(account), draft, preferred)?;
        if let Some(profile) = self.profile_mut(account) {
            profile.registration.busy = Some(id);
        }
        self.drive(now, tx, id);
        Ok(())
    }

    /// It is time to refresh or to try again.
    pub(super) fn on_register_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        serial: u32,
    ) {
        let Some(profile) = self.profile(account) else {
            return;
        };
        let wanted = profile.registration.wanted;
        if profile.registration.serial != serial || wanted == 0 {
            return;
        }
        if self.send_register(now, tx, account, wanted).is_err() {
            alarm(now, tx, FIRST_RETRY, account.0, Alarm::Register(serial));
        }
    }

    /// Keeps the way through an address translator open, as long as this registration stands. Over UDP the empty lines of
    /// RFC 5626 §4.4.1 serve too: servers pass over them (RFC 3261 §7.5), and they need no STUN.
    pub(super) fn keep_alive(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        serial: u32,
    ) {
        let Some(profile) = self.profile(account) else {
            return;
        };
        let registration = &profile.registration;
        if let Some(flow) = registration.flow
            && registration.serial == serial
            && registration.bound.is_some()
        {
            tx.send(flow, Bytes::from_static(b"\r\n\r\n"));
            alarm(now, tx, KEEP_ALIVE, account.0, Alarm::KeepAlive(serial));
        }
    }

    /// A connection is lost. Who registered along one that only we can open cannot be called until we do (RFC 5626 §4.4).
    pub(crate) fn on_flow_lost(&mut self, now: Time, tx: &mut Transactions, flow: &Flow) {
        if flow.transport != Transport::Tls {
            return;
        }
        let lost: Vec<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, profile)| {
                let registration = &profile.registration;
                registration.flow.as_ref() == Some(flow)
                    && registration.bound.is_some()
                    && registration.busy.is_none()
                    && registration.wanted > 0
            })
            .map(|(key, _)| AccountId(key.as_u64()))
            .collect();
        for account in lost {
            let serial = self.next_serial();
            // Not all at once: the server may have lost the connections of everybody.
            let wait = backoff(0, tx.random.below(1000));
            if let Some(profile) = self.profile_mut(account) {
                profile.registration.flow = None;
                profile.registration.serial = serial;
                alarm(now, tx, wait, account.0, Alarm::Register(serial));
            }
        }
    }

    /// A REGISTER ended.
    pub(super) fn on_register_outcome(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        outbound: &Outbound,
        outcome: &Outcome<'_>,
    ) {
        let Some(profile) = self.profile_mut(account) else {
            return;
        };
        profile.registration.busy = None;
        let queued = profile.registration.queued.take();
        match outcome {
            Outcome::Response(packet, _)
                if outcome.status().is_some_and(StatusCode::is_success) =>
            {
                self.on_registered(now, tx, account, outbound, packet);
            }
            _ if queued.is_some() => {}
            Outcome::Response(packet, _)
                if outcome.status() == Some(StatusCode(423))
                    && self.ask_longer(now, tx, account, packet) => {}
            _ => self.on_register_failed(now, tx, account, outcome),
        }
        if let Some(expires) = queued {
            // The table was not too full for the one that just ended.
            let _ = self.send_register(now, tx, account, expires);
        }
    }

    fn on_registered(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        outbound: &Outbound,
        response: &Packet<'_>,
    ) {
        let Some(profile) = self.accounts.get_mut(Key::from_u64(account.0)) else {
            return;
        };
        let registration = &mut profile.registration;
        registration.failures = 0;
        if registration.asked == 0 {
            registration.bound = None;
            registration.service_route.clear();
            tell(tx, Event::Unregistered { account });
            return;
        }
        registration.flow = outbound.flow;
        registration.service_route = service_route(response);
        let contact = outbound.contact.clone().unwrap_or_default();
        let expires = granted(response, &contact, registration.asked);
        registration.bound = Some(contact.clone());
        let moved = outbound
            .flow
            .is_some_and(|f| contact_uri(tx, Some(profile), &profile.user, &f) != contact);
        let registration = &mut profile.registration;
        if moved && registration.moves < MAX_MOVES {
            registration.moves += 1;
            let wanted = registration.wanted;
            if wanted > 0 && self.send_register(now, tx, account, wanted).is_ok() {
                return;
            }
        } else {
            registration.moves = 0;
        }
        let refresh = refresh_after(expires);
        if let Some(profile) = self.profile(account) {
            let serial = profile.registration.serial;
            alarm(now, tx, refresh, account.0, Alarm::Register(serial));
            if outbound
                .flow
                .is_some_and(|flow| profile.is_translated(&flow))
            {
                alarm(now, tx, KEEP_ALIVE, account.0, Alarm::KeepAlive(serial));
            }
        }
        tell(
            tx,
            Event::Registered {
                account,
                expires,
                contact,
            },
        );
    }

    /// 423: asks again for as long as the registrar wants (RFC 3261 §10.2.8).
    fn ask_longer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        response: &Packet<'_>,
    ) -> bool {
        let Some(profile) = self.profile_mut(account) else {
            return false;
        };
        let registration = &mut profile.registration;
        let least = response
            .value(HeaderName::MinExpires)
            .and_then(|v| MinExpires::parse(v).ok())
            .map_or(0, |m| m.0);
        let more = least > registration.asked && least <= LONGEST_MIN_EXPIRES;
        if registration.asked == 0 || !more {
            return false;
        }
        registration.wanted = least;
        self.send_register(now, tx, account, least).is_ok()
    }

    fn on_register_failed(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        outcome: &Outcome<'_>,
    ) {
        let Some(profile) = self.profile_mut(account) else {
            return;
        };
        let registration = &mut profile.registration;
        // A failed flow is not the one to prefer.
        registration.flow = None;
        if registration.asked == 0 {
            registration.bound = None;
        }
        let mut retry_in = None;
        if registration.wanted > 0 && may_pass(outcome) {
            let wait = backoff(registration.failures, tx.random.below(1000));
            let wait = wait.max(retry_after(outcome));
            registration.failures = registration.failures.saturating_add(1);
            alarm(
                now,
                tx,
                wait,
                account.0,
                Alarm::Register(registration.serial),
            );
            retry_in = Some(wait);
        }
        let cause = outcome.cause();
        let reason = match (&cause, outcome) {
            (Cause::Refused { .. }, Outcome::Response(packet, _)) => reason_of(packet),
            (cause, _) => cause.to_string(),
        };
        tell(
            tx,
            Event::RegistrationFailed {
                account,
                status: outcome.status(),
                reason,
                cause,
                retry_in,
            },
        );
    }
}

impl Profile {
    fn register_draft(&mut self, tx: &mut Transactions, expires: u32) -> Draft {
        let registration = &mut self.registration;
        if registration.call_id.is_empty() {
            registration.call_id = tx.call_id();
            registration.tag = tx.random.token();
        }
        registration.cseq = registration.cseq.saturating_add(1);
        let mut draft = Draft::new(Method::Register, &self.registrar);
        draft.from = format!("{};tag={}", self.local, registration.tag).into_bytes();
        draft.to = self.local.clone().into_bytes();
        draft.call_id.clone_from(&registration.call_id);
        draft.cseq = registration.cseq;
        let params = match &self.account.instance {
            Some(urn) => format!(";+sip.instance=\"<{urn}>\""),
            None => String::new(),
        };
        draft.contact = Contact::Ours {
            user: self.user.clone(),
            params,
        };
        draft.headers = vec![
            ("Expires".to_owned(), expires.to_string()),
            ("Allow".to_owned(), super::ALLOW.to_owned()),
            ("Supported".to_owned(), "path".to_owned()),
        ];
        if let Some(proxy) = &self.proxy {
            draft.hop = Some(proxy.clone().into_bytes());
            if !self.proxy_is_registrar() {
                draft.routes.push(format!("<{proxy}>").into_bytes());
            }
        }
        draft
    }
}

/// What the registrar granted for our contact, in seconds (RFC 3261 §10.2.4). A registrar that
/// changed our contact on the way is believed when it names just one.
fn granted(response: &Packet<'_>, contact: &str, asked: u32) -> u32 {
    const MOST: usize = 256;
    let general = response
        .value(HeaderName::Expires)
        .map_or(asked, |v| Expires::parse(v).0);
    let ours = Uri::parse(contact.as_bytes());
    let mut count = 0;
    let mut only = None;
    for named in response
        .all(HeaderName::Contact)
        .flat_map(|h| ContactList::parse(h.value()).addresses())
        .flatten()
        .take(MOST)
    {
        if ours.as_ref().is_ok_and(|u| u.same_as(&named.uri)) {
            return named.expires().unwrap_or(general);
        }
        count += 1;
        only = named.expires();
    }
    if count == 1 {
        only.unwrap_or(general)
    } else {
        general
    }
}

fn service_route(response: &Packet<'_>) -> Vec<String> {
    const MOST: usize = 16;
    routes(response.all(HeaderName::ServiceRoute).map(|h| h.value()))
        .flatten()
        .take(MOST)
        .map(|r| readable(r.uri.as_bytes()))
        .collect()
}

/// When a registration of so many seconds is refreshed: after 90 %, 5 seconds before its end at the latest.
pub(super) fn refresh_after(expires: u32) -> Duration {
    let millis = u64::from(expires) * 1000;
    let after = (millis * 9 / 10).min(millis.saturating_sub(5000));
    Duration::from_millis(after.max(millis / 2).max(500))
}

/// The wait after so many failures: half of an upper bound that doubles, and a random part of the
/// other half (RFC 5626 §4.5).
pub(super) fn backoff(failures: u32, random_thousandths: u64) -> Duration {
    let bound = FIRST_RETRY
        .saturating_mul(1 << failures.min(16))
        .min(LONGEST_RETRY);
    let half = bound / 2;
    half + half * u32::try_from(random_thousandths.min(1000)).unwrap_or(0) / 1000
}

/// Whether the same request may succeed later without anybody changing anything.
pub(super) fn may_pass(outcome: &Outcome<'_>) -> bool {
    match outcome {
        Outcome::TimedOut | Outcome::Unreachable(_) => true,
        Outcome::Unauthorized(..) => false,
        Outcome::Response(..) => outcome.status().is_some_and(|s| {
            matches!(s.0, 408 | 429 | 430 | 480 | 486 | 491 | 600)
                || (s.is_server_error() && !matches!(s.0, 501 | 505 | 513))
        }),
    }
}

pub(super) fn retry_after(outcome: &Outcome<'_>) -> Duration {
    let Outcome::Response(packet, _) = outcome else {
        return Duration::ZERO;
    };
    packet
        .value(HeaderName::RetryAfter)
        .and_then(|v| RetryAfter::parse(v).ok())
        .map_or(Duration::ZERO, |r| {
            Duration::from_secs(u64::from(r.seconds.min(LONGEST_RETRY_AFTER)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_come_before_the_end() {
        for (expires, millis) in [
            (3600, 3_240_000),
            (60, 54_000),
            (40, 35_000),
            (6, 3000),
            (1, 500),
        ] {
            assert_eq!(
                refresh_after(expires),
                Duration::from_millis(millis),
                "{expires}"
            );
        }
        assert!(refresh_after(u32::MAX) > Duration::from_secs(3_000_000_000));
    }

    #[test]
    fn waits_double_up_to_half_an_hour() {
        let bounds: Vec<u64> = (0..12).map(|n| backoff(n, 1000).as_secs()).collect();
        assert_eq!(
            bounds,
            [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800]
        );
        assert_eq!(backoff(0, 0), Duration::from_secs(1));
        assert_eq!(backoff(u32::MAX, 500), Duration::from_secs(1350));
    }
}
