//! Subscriptions (RFC 6665): asked for, refreshed, asked for again when they are lost.
//!
//! The first notifier that answers is the one whose subscription is kept alive. Others that a fork
//! reached are heard, a few of them, until what they granted runs out.

use core::time::Duration;

use super::call::tag_of;
use super::dialog::Dialog;
use super::draft::{is_token, readable};
use super::event::{AccountId, Cause, Event, Misuse, SubscriptionId, SubscriptionStatus};
use super::inside::content_type;
use super::outbound::{Outbound, Outcome, Purpose};
use super::own_dialog::{OwnDialog, Usage};
use super::pick_up::PickUp;
use super::register::{
    LONGEST_MIN_EXPIRES, LONGEST_RETRY_AFTER, backoff, may_pass, refresh_after, retry_after,
};
use super::report::event_of;
use super::transfer::ours;
use super::{Alarm, UserAgent, alarm, tell};
use crate::flow::Flow;
use crate::header::{Expires, HeaderName, MinExpires, SubscriptionState};
use crate::message::{Method, StatusCode};
use crate::respond::Reply;
use crate::slab::Key;
use crate::time::Time;
use crate::transaction::{ServerId, T1X64, Transactions};
use crate::wire::Packet;

/// The most subscriptions at once.
pub const MAX_SUBSCRIPTIONS: usize = 10_000;
/// The most notifiers of one subscription that are heard.
const MAX_NOTIFIERS: usize = 4;
/// The shortest wait before a lost subscription is asked for again.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    account: AccountId,
    target: String,
    /// The event package.
    package: String,
    accept: String,
    /// Seconds that the owner wants; 0: one report only.
    wanted: u32,
    /// Seconds that the request on its way asks for.
    asked: u32,
    pub(super) own: OwnDialog,
    /// Other notifiers that a fork reached.
    forks: Vec<Dialog>,
    /// A SUBSCRIBE is on its way.
    busy: bool,
    /// The owner wants no more.
    ending: bool,
    /// A NOTIFY has come.
    notified: bool,
    refresh_at: Time,
    failures: u32,
    serial: u32,
    /// What its report is for, when the owner only wants to pick up a call.
    pub(super) picking: Option<PickUp>,
}

impl UserAgent {
    /// Subscribes to an event package of `target` for so many seconds, and keeps subscribed. With 0
    /// seconds one report comes (RFC 6665 §4.4.3). `accept` lists media types that the owner reads.
    ///
    /// # Errors
    /// [`Misuse::NoAccount`], [`Misuse::Address`], [`Misuse::Full`]; [`Misuse::Header`] for a package or
    /// media type that cannot stand in a header.
    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub fn subscribe(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        package: &str,
        accept: &[&str],
        expires: u32,
    ) -> Result<SubscriptionId, Misuse> {
        self.subscribe_for(now, tx, account, target, package, accept, expires, None)
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    pub(super) fn subscribe_for(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        package: &str,
        accept: &[&str],
        expires: u32,
        picking: Option<PickUp>,
    ) -> Result<SubscriptionId, Misuse> {
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(Misuse::Full);
        }
        let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
        let target = profile.target(target)?;
        let accept = accept.join(", ");
        if !is_token(package) || !super::draft::is_clean(accept.as_bytes()) {
            return Err(Misuse::Header);
        }
        let user = profile.user.clone();
        let subscription = Subscription {
            account,
            target,
            package: package.to_owned(),
            accept,
            wanted: expires,
            asked: expires,
            own: OwnDialog::outgoing(account, user, String::new(), String::new()),
            forks: Vec::new(),
            busy: false,
            ending: false,
            notified: false,
            refresh_at: now,
            failures: 0,
            serial: 0,
            picking,
        };
        let id = SubscriptionId(self.subscriptions.insert(subscription).as_u64());
        if let Err(misuse) = self.send_subscribe(now, tx, id, expires) {
            self.remove_subscription(tx, id);
            return Err(misuse);
        }
        Ok(id)
    }

    /// Ends a subscription; [`Event::SubscriptionEnded`] follows.
    ///
    /// # Errors
    /// [`Misuse::Gone`].
    pub fn unsubscribe(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
    ) -> Result<(), Misuse> {
        let known = self.subscription_mut(id).ok_or(Misuse::Gone)?;
        known.ending = true;
        known.wanted = 0;
        if known.busy {
            return Ok(());
        }
        let stands = known.own.dialog.is_some();
        if !stands || self.send_subscribe(now, tx, id, 0).is_err() {
            self.subscription_over(tx, id, Cause::ByUs);
        }
        Ok(())
    }

    pub(super) fn subscription_of(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(Key::from_u64(id.0))
    }

    pub(super) fn subscription_mut(&mut self, id: SubscriptionId) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(Key::from_u64(id.0))
    }

    fn remove_subscription(&mut self, tx: &Transactions, id: SubscriptionId) {
        if let Some(known) = self.subscriptions.remove(Key::from_u64(id.0)) {
            self.by_usage.remove(&known.own.key(tx));
        }
    }

    /// It is over for good, and its id names nothing any more.
    pub(super) fn subscription_over(
        &mut self,
        tx: &mut Transactions,
        id: SubscriptionId,
        cause: Cause,
    ) {
        self.remove_subscription(tx, id);
        let event = Event::SubscriptionEnded {
            subscription: id,
            cause,
            retry_in: None,
        };
        tell(tx, event);
    }

    /// It is lost, and asked for again after a while.
    fn subscription_lost(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        cause: Cause,
        least: Duration,
    ) {
        let random = tx.random.below(1000);
        let Some(known) = self.subscription_mut(id) else {
            return;
        };
        let wait = backoff(known.failures, random)
            .max(least)
            .max(SHORTEST_RETRY);
        known.failures = known.failures.saturating_add(1);
        known.forks.clear();
        known.notified = false;
        let (account, user) = (known.account, known.own.user.clone());
        let key = known.own.key(tx);
        known.own = OwnDialog::outgoing(account, user, String::new(), String::new());
        self.by_usage.remove(&key);
        self.wake_subscription_in(now, tx, id, wait);
        let event = Event::SubscriptionEnded {
            subscription: id,
            cause,
            retry_in: Some(wait),
        };
        tell(tx, event);
    }

    fn wake_subscription_in(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        after: Duration,
    ) {
        let serial = self.next_serial();
        if let Some(known) = self.subscription_mut(id) {
            known.serial = serial;
            alarm(now, tx, after, id.0, Alarm::Subscription(serial));
        }
    }

    fn send_subscribe(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        expires: u32,
    ) -> Result<(), Misuse> {
        let known = self.subscription_mut(id).ok_or(Misuse::Gone)?;
        let mut headers = vec![
            ("Event".to_owned(), known.package.clone()),
            ("Expires".to_owned(), expires.to_string()),
        ];
        if !known.accept.is_empty() {
            headers.push(("Accept".to_owned(), known.accept.clone()));
        }
        let (account, user) = (known.account, known.own.user.clone());
        let inside = known.own.dialog.as_mut().map(|dialog| {
            let mut draft = dialog.request(Method::Subscribe);
            draft.headers.clone_from(&headers);
            draft
        });
        let (draft, preferred) = match inside {
            Some(draft) => (draft, known.own.flow),
            None => {
                let target = known.target.clone();
                let mut draft =
                    self.outside_draft(tx, account, Method::Subscribe, &target, &headers)?;
                let profile = self.profile(account).ok_or(Misuse::NoAccount)?;
                let preferred = profile.registration.flow;
                let tag = tx.random.token();
                draft.from = format!("{};tag={tag}", profile.local).into_bytes();
                let own = OwnDialog::outgoing(account, user.clone(), draft.call_id.clone(), tag);
                self.by_usage.insert(own.key(tx), Usage::Subscription(id));
                let before = self
                    .subscription_mut(id)
                    .map(|known| core::mem::replace(&mut known.own, own));
                if let Some(before) = before {
                    self.by_usage.remove(&before.key(tx));
                }
                (draft, preferred)
            }
        };
        let draft = super::draft::Draft {
            contact: ours(&user),
            ..draft
        };
        let serial = self.next_serial();
        let purpose = Purpose::Subscribe(id);
        let request = self.prepare(tx, purpose, Some(account), draft, preferred)?;
        if let Some(known) = self.subscription_mut(id) {
            known.busy = true;
            known.asked = expires;
            // Whatever timer ran is overtaken.
            known.serial = serial;
        }
        self.drive(now, tx, request);
        Ok(())
    }

    /// SUBSCRIBE was answered, or was not.
    pub(super) fn on_subscribe_done(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        outbound: &Outbound,
        outcome: &Outcome<'_>,
    ) {
        let Some(known) = self.subscription_mut(id) else {
            return;
        };
        known.busy = false;
        let status = outcome.status();
        if let Outcome::Response(packet, flow) = outcome
            && status.is_some_and(StatusCode::is_success)
        {
            self.on_subscribed(now, tx, id, outbound, (packet, *flow));
            return;
        }
        if known.ending {
            self.subscription_over(tx, id, Cause::ByUs);
            return;
        }
        let inside = known.own.dialog.is_some();
        match (outcome, status) {
            (Outcome::Response(packet, _), Some(StatusCode(423)))
                if self.subscribe_longer(now, tx, id, packet) => {}
            // RFC 6665 §4.1.2.2: the notifier knows nothing of it any more.
            (_, Some(StatusCode(481))) if inside => {
                self.subscription_lost(now, tx, id, outcome.cause(), Duration::ZERO);
            }
            _ if may_pass(outcome) && self.is_lasting(id) => {
                self.subscription_lost(now, tx, id, outcome.cause(), retry_after(outcome));
            }
            _ => self.subscription_over(tx, id, outcome.cause()),
        }
    }

    fn is_lasting(&self, id: SubscriptionId) -> bool {
        self.subscription_of(id).is_some_and(|s| s.wanted > 0)
    }

    /// 423: asks again for as long as the notifier wants.
    fn subscribe_longer(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        response: &Packet<'_>,
    ) -> bool {
        let Some(known) = self.subscription_mut(id) else {
            return false;
        };
        let least = response
            .value(HeaderName::MinExpires)
            .and_then(|v| MinExpires::parse(v).ok())
            .map_or(0, |m| m.0);
        if known.asked == 0 || least <= known.asked || least > LONGEST_MIN_EXPIRES {
            return false;
        }
        known.wanted = least;
        self.send_subscribe(now, tx, id, least).is_ok()
    }

    fn on_subscribed(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        outbound: &Outbound,
        (response, flow): (&Packet<'_>, Flow),
    ) {
        let Some(known) = self.subscription_mut(id) else {
            return;
        };
        if known.own.dialog.is_none() {
            known.own.dialog = Dialog::from_response(&outbound.draft, response);
            known.own.flow = Some(flow);
        }
        let expires = response
            .value(HeaderName::Expires)
            .map_or(known.asked, |v| Expires::parse(v).0)
            .min(known.asked);
        if known.ending && known.asked > 0 {
            // The owner changed its mind while this was on its way.
            if self.send_subscribe(now, tx, id, 0).is_err() {
                self.subscription_over(tx, id, Cause::ByUs);
            }
            return;
        }
        if known.asked == 0 || expires == 0 {
            // One more report comes.
            self.wake_subscription_in(now, tx, id, T1X64);
            return;
        }
        let refresh = refresh_after(expires);
        known.refresh_at = now + refresh;
        let wait = if known.notified {
            refresh
        } else {
            refresh.min(T1X64)
        };
        self.wake_subscription_in(now, tx, id, wait);
        let event = Event::Subscribed {
            subscription: id,
            expires,
        };
        tell(tx, event);
    }

    /// The timer of a subscription.
    pub(super) fn on_subscription_alarm(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        serial: u32,
    ) {
        let Some(known) = self.subscription_mut(id).filter(|s| s.serial == serial) else {
            return;
        };
        let stands = known.own.dialog.is_some();
        if known.ending {
            self.subscription_over(tx, id, Cause::ByUs);
        } else if known.wanted == 0 {
            self.subscription_over(tx, id, Cause::TimedOut);
        } else if stands && !known.notified {
            // RFC 6665 §4.1.2.4, timer N.
            self.subscription_lost(now, tx, id, Cause::TimedOut, Duration::ZERO);
        } else {
            let wanted = known.wanted;
            match self.send_subscribe(now, tx, id, wanted) {
                Ok(()) => {}
                Err(Misuse::Full) => {
                    let reason = Misuse::Full.to_string();
                    let cause = Cause::Unreachable { reason };
                    self.subscription_lost(now, tx, id, cause, Duration::ZERO);
                }
                Err(misuse) => {
                    let reason = misuse.to_string();
                    self.subscription_over(tx, id, Cause::Unreachable { reason });
                }
            }
        }
    }

    /// NOTIFY for a subscription.
    pub(super) fn in_subscription(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        id: SubscriptionId,
        (packet, source): (&Packet<'_>, Flow),
    ) -> Result<(), StatusCode> {
        let gone = StatusCode(481);
        let known = self.subscription_mut(id).ok_or(gone)?;
        if packet.method() != Some(Method::Notify) {
            return Err(StatusCode(405));
        }
        let event = event_of(packet)?;
        if event.package != known.package.as_bytes() {
            return Err(gone);
        }
        let state = packet
            .value(HeaderName::SubscriptionState)
            .and_then(|v| SubscriptionState::parse(v).ok())
            .ok_or(StatusCode(400))?;
        let first = known.hears(packet, source)?;
        let status = SubscriptionStatus::of(&state);
        let account = known.account;
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        tell(
            tx,
            Event::Notified {
                subscription: Some(id),
                account: Some(account),
                package: readable(event.package),
                state: status,
                content_type: content_type(packet),
                body: packet.body().to_vec(),
            },
        );
        if self.pick(now, tx, id, packet, &state) || !first {
            return Ok(());
        }
        match status {
            SubscriptionStatus::Terminated => self.on_terminated(now, tx, id, &state),
            _ => self.on_standing(now, tx, id, &state),
        }
        Ok(())
    }

    fn on_standing(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        state: &SubscriptionState<'_>,
    ) {
        let Some(known) = self.subscription_mut(id) else {
            return;
        };
        let first = !core::mem::replace(&mut known.notified, true);
        known.failures = 0;
        if known.busy || known.ending || known.wanted == 0 {
            return;
        }
        let before = known.refresh_at;
        if let Some(expires) = state.expires {
            known.refresh_at = before.min(now + refresh_after(expires));
        }
        if first || known.refresh_at < before {
            let wait = known.refresh_at.since(now).max(SHORTEST_RETRY);
            self.wake_subscription_in(now, tx, id, wait);
        }
    }

    /// The notifier ends it, and says why (RFC 6665 §4.1.3).
    fn on_terminated(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: SubscriptionId,
        state: &SubscriptionState<'_>,
    ) {
        let Some(known) = self.subscription_of(id) else {
            return;
        };
        if known.ending || known.wanted == 0 {
            // A SUBSCRIBE that is still on its way finds nothing when it is answered.
            self.subscription_over(tx, id, Cause::ByUs);
            return;
        }
        let reason = state.reason.map(readable).unwrap_or_default();
        let cause = Cause::ByPeer {
            reason: (!reason.is_empty()).then(|| reason.clone()),
        };
        match reason.to_ascii_lowercase().as_str() {
            "rejected" | "noresource" | "invariant" => self.subscription_over(tx, id, cause),
            _ => {
                let seconds = state.retry_after.unwrap_or(0).min(LONGEST_RETRY_AFTER);
                let least = Duration::from_secs(u64::from(seconds));
                self.subscription_lost(now, tx, id, cause, least);
            }
        }
    }

    /// NOTIFY that belongs to no subscription: a voice mail box may send one all the same.
    pub(super) fn on_unsolicited(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        packet: &Packet<'_>,
        account: Option<AccountId>,
    ) -> Result<(), StatusCode> {
        let event = event_of(packet)?;
        if event.package != b"message-summary" {
            return Err(StatusCode(481));
        }
        let state = packet
            .value(HeaderName::SubscriptionState)
            .and_then(|v| SubscriptionState::parse(v).ok());
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        tell(
            tx,
            Event::Notified {
                subscription: None,
                account,
                package: readable(event.package),
                state: state.map_or(SubscriptionStatus::Active, |s| SubscriptionStatus::of(&s)),
                content_type: content_type(packet),
                body: packet.body().to_vec(),
            },
        );
        Ok(())
    }
}

impl Subscription {
    /// Whether a NOTIFY is in order, and from the notifier whose subscription is kept alive.
    fn hears(&mut self, packet: &Packet<'_>, source: Flow) -> Result<bool, StatusCode> {
        let tag = tag_of(packet, HeaderName::From);
        let ours = |dialog: &Dialog| dialog.is_with(tag);
        if self.own.dialog.as_ref().is_none_or(ours) {
            self.own.takes(packet, source)?;
            return Ok(true);
        }
        if let Some(fork) = self.forks.iter_mut().find(|d| d.is_with(tag)) {
            let number = super::answer::cseq_of(packet);
            return fork.accepts(number).then_some(false).ok_or(StatusCode(500));
        }
        if self.forks.len() + 1 >= MAX_NOTIFIERS {
            return Err(StatusCode(481));
        }
        let fork = Dialog::from_notify(packet, 1).ok_or(StatusCode(400))?;
        self.forks.push(fork);
        Ok(false)
    }
}
