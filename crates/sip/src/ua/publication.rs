//! Publishing event state of our own, presence above all (RFC 3903).

use core::time::Duration;

use super::draft::{is_clean, is_token, readable};
use super::event::{AccountId, Cause, Event, Misuse, PublicationId};
use super::outbound::{Outcome, Purpose};
use super::register::{LONGEST_MIN_EXPIRES, backoff, may_pass, refresh_after, retry_after};
use super::{Alarm, UserAgent, alarm, tell};
use crate::header::{ContentType, Expires, HeaderName, MinExpires};
use crate::message::{Method, StatusCode};
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// The most publications at once.
pub const MAX_PUBLICATIONS: usize = 10_000;
/// How often in a row a publication is made anew because the server has lost it (412).
const MAX_LOST: u8 = 3;

/// How long to wait when too many requests are on their way.
const FULL: Duration = Duration::from_secs(2);

/// One publication.
#[derive(Debug)]
pub(super) struct Publication {
    account: AccountId,
    package: String,
    content_type: String,
    body: Vec<u8>,
    wanted: u32,
    asked: u32,
    /// What the server calls the state that it holds.
    etag: Option<String>,
    busy: bool,
    /// The server does not hold the latest state.
    changed: bool,
    ending: bool,
    lost: u8,
    failures: u32,
    serial: u32,
}

impl UserAgent {
    /// Publishes event state of an account for so many seconds, and keeps it published: `presence` with
    /// `application/pidf+xml`, for example.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Full`]; [`Misuse::Header`] for a package or media type that
    /// cannot stand in a header.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub fn publish(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        package: &str,
        content_type: &str,
        body: Vec<u8>,
        expires: u32,
    ) -> Result<PublicationId, Misuse> {
        if self.publications.len() >= MAX_PUBLICATIONS {
            return Err(Misuse::Full);
        }
        self.profile(account).ok_or(Misuse::NoAccount)?;
        let kind = ContentType::parse(content_type.as_bytes());
        if !is_token(package) || !is_clean(content_type.as_bytes()) || kind.is_err() {
            return Err(Misuse::Header);
        }
        let publication = Publication {
            account,
            package: package.to_owned(),
            content_type: content_type.to_owned(),
            body,
            wanted: expires.max(1),
            asked: 0,
            etag: None,
            busy: false,
            changed: true,
            ending: false,
            lost: 0,
            failures: 0,
            serial: 0,
        };
        let id = PublicationId(self.publications.insert(publication).as_u64());
        if let Err(misuse) = self.send_publish(now, tx, id) {
            self.publications.remove(Key::from_u64(id.0));
            return Err(misuse);
        }
        Ok(id)
    }

    /// Replaces what is published.
    ///
    /// # Errors
    /// [`Misuse::Gone`], [`Misuse::Full`].
    pub fn republish(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        body: Vec<u8>,
    ) -> Result<(), Misuse> {
        let known = self.publication_mut(id).ok_or(Misuse::Gone)?;
        if known.ending {
            return Err(Misuse::Gone);
        }
        known.body = body;
        known.changed = true;
        if known.busy {
            return Ok(());
        }
        self.send_publish(now, tx, id)
    }

    /// Takes back what is published; [`Event::Unpublished`] follows.
    ///
    /// # Errors
    /// [`Misuse::Gone`].
    pub fn unpublish(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
    ) -> Result<(), Misuse> {
        let known = self.publication_mut(id).ok_or(Misuse::Gone)?;
        known.ending = true;
        if known.busy {
            return Ok(());
        }
        if known.etag.is_none() || self.send_publish(now, tx, id).is_err() {
            self.unpublished(tx, id);
        }
        Ok(())
    }

    fn publication_mut(&mut self, id: PublicationId) -> Option<&mut Publication> {
        self.publications.get_mut(Key::from_u64(id.0))
    }

    fn unpublished(&mut self, tx: &mut Transactions, id: PublicationId) {
        self.publications.remove(Key::from_u64(id.0));
        tell(tx, Event::Unpublished { publication: id });
    }

    fn send_publish(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
    ) -> Result<(), Misuse> {
        let serial = self.next_serial();
        let known = self.publication_mut(id).ok_or(Misuse::Gone)?;
        let expires = if known.ending { 0 } else { known.wanted };
        let mut headers = vec![
            ("Event".to_owned(), known.package.clone()),
            ("Expires".to_owned(), expires.to_string()),
        ];
        if let Some(etag) = &known.etag {
            headers.push(("SIP-If-Match".to_owned(), etag.clone()));
        }
        // A refresh carries no body (§4.1, table 1).
        let wants_body = !known.ending && (known.changed || known.etag.is_none());
        let body = wants_body.then(|| (known.content_type.clone(), known.body.clone()));
        let account = known.account;
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let target = profile.account.address_of_record.clone();
        let (from, preferred) = (profile.local.clone(), profile.registration.flow);
        let mut draft = self.outside_draft(tx, account, Method::Publish, &target, &headers)?;
        draft.from = format!("{from};tag={}", tx.random.token()).into_bytes();
        draft.body = body;
        let request = self.prepare(tx, Purpose::Publish(id), Some(account), draft, preferred)?;
        if let Some(known) = self.publication_mut(id) {
            known.busy = true;
            known.changed = false;
            known.asked = expires;
            known.serial = serial;
        }
        self.drive(now, tx, request);
        Ok(())
    }

    /// PUBLISH was answered, or was not.
    pub(super) fn on_publish_done(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        outcome: &Outcome<'_>,
    ) {
        let Some(known) = self.publication_mut(id) else {
            return;
        };
        known.busy = false;
        let status = outcome.status();
        if let Outcome::Response(packet, _) = outcome
            && status.is_some_and(StatusCode::is_success)
        {
            self.on_published(now, tx, id, packet);
            return;
        }
        if known.ending {
            self.unpublished(tx, id);
            return;
        }
        let again = match (outcome, status) {
            // §4.5: the server has lost it, or holds it under another name.
            (_, Some(StatusCode(412))) if known.etag.is_some() && known.lost < MAX_LOST => {
                known.lost += 1;
                known.etag = None;
                self.send_publish(now, tx, id).is_ok()
            }
            (Outcome::Response(packet, _), Some(StatusCode(423))) => {
                known.publish_longer(packet) && self.send_publish(now, tx, id).is_ok()
            }
            _ => false,
        };
        if !again {
            self.publication_failed(now, tx, id, outcome);
        }
    }

    fn on_published(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        response: &Packet<'_>,
    ) {
        let Some(known) = self.publication_mut(id) else {
            return;
        };
        if known.ending && known.asked == 0 {
            self.unpublished(tx, id);
            return;
        }
        known.failures = 0;
        known.lost = 0;
        known.etag = response
            .value(HeaderName::SipETag)
            .map(readable)
            .filter(|tag| is_token(tag));
        let expires = response
            .value(HeaderName::Expires)
            .map_or(known.asked, |v| Expires::parse(v).0)
            .min(known.asked);
        if known.ending || known.changed {
            if known.ending && known.etag.is_none() {
                self.unpublished(tx, id);
            } else if self.send_publish(now, tx, id).is_err() {
                self.wake_publication_in(now, tx, id, FULL);
            }
            return;
        }
        self.wake_publication_in(now, tx, id, refresh_after(expires));
        let event = Event::Published {
            publication: id,
            expires,
        };
        tell(tx, event);
    }

    fn publication_failed(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        outcome: &Outcome<'_>,
    ) {
        let random = tx.random.below(1000);
        let cause: Cause = outcome.cause();
        let mut retry_in = None;
        if may_pass(outcome)
            && let Some(known) = self.publication_mut(id)
        {
            let wait = backoff(known.failures, random).max(retry_after(outcome));
            known.failures = known.failures.saturating_add(1);
            known.changed = true;
            retry_in = Some(wait);
            self.wake_publication_in(now, tx, id, wait);
        } else {
            self.publications.remove(Key::from_u64(id.0));
        }
        let event = Event::PublicationFailed {
            publication: id,
            cause,
            retry_in,
        };
        tell(tx, event);
    }

    fn wake_publication_in(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        after: Duration,
    ) {
        let serial = self.next_serial();
        if let Some(known) = self.publication_mut(id) {
            known.serial = serial;
            alarm(now, tx, after, id.0, Alarm::Publication(serial));
        }
    }

    /// It is time to refresh or to try again.
    pub(super) fn on_publication_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: PublicationId,
        serial: u32,
    ) {
        let due = self.publication_mut(id).is_some_and(|p| p.serial == serial);
        if !due {
            return;
        }
        match self.send_publish(now, tx, id) {
            Ok(()) => {}
            Err(Misuse::Full) => self.wake_publication_in(now, tx, id, FULL),
            Err(misuse) => {
                self.publications.remove(Key::from_u64(id.0));
                let reason = misuse.to_string();
                let event = Event::PublicationFailed {
                    publication: id,
                    cause: Cause::Unreachable { reason },
                    retry_in: None,
                };
                tell(tx, event);
            }
        }
    }
}

impl Publication {
    /// 423: takes the shortest time that the server grants.
    fn publish_longer(&mut self, response: &Packet<'_>) -> bool {
        let least = response
            .value(HeaderName::MinExpires)
            .and_then(|v| MinExpires::parse(v).ok())
            .map_or(0, |m| m.0);
        let fits = least > self.asked && least <= LONGEST_MIN_EXPIRES;
        if fits {
            self.wanted = least;
            self.changed = true;
        }
        fits
    }
}
