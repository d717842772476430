//! The user agent: registrations, calls, and requests of our own (RFC 3261 §8, §10, §12 to §15).
//!
//! What an application can do, and is told; it sees no exchange of messages. Everything is a method of
//! [`UserAgent`] and a variant of [`Event`].
//!
//! | service | ask | the other side is told | it accepts, refuses | we are told |
//! |---|---|---|---|---|
//! | establish | `call` | `Incoming` | `accept`, `reject`; `ring` | `Progress`, `Established`, `Ended` |
//! | release | `hang_up` | `Ended` | | `Ended` |
//! | change, hold, unhold | `reoffer`, `update` | `Reoffered` | `accept`, `reject` | `Reanswered`, `ReofferRefused` |
//! | transfer | `transfer`, `transfer_to`, `hand_over`, `refer` | `TransferRequested` | `accept_transfer`, `refuse_transfer` | `TransferAccepted`, `TransferProgress`, `TransferDone`, `TransferFailed` |
//! | take a place | `call` with Replaces, `pick_up`, `retrieve` | `Incoming` with `replaces` | `accept`, `reject` | `PickingUp`, `Established` |
//! | forward | `forward` | `Redirected` | `hang_up` refuses | `Ended` |
//! | information | `info`, `press`, `message_in` | `Request`, `Dtmf` | by itself | `Response` |
//! | message | `message` | `Message` | by itself | `Response` |
//! | subscribe | `subscribe`, `unsubscribe` | (a notifier) | | `Subscribed`, `Notified`, `SubscriptionEnded` |
//! | publish | `publish`, `republish`, `unpublish` | (a server) | | `Published`, `PublicationFailed` |
//! | ask what it can do | `options` | | by itself | `Response` |
//!
//! One [`UserAgent`] holds the accounts, dialogs and calls of one shard. Its owner calls the operations
//! with the moment and the transaction layer, and reads [`Event`]s. Session descriptions are bytes
//! here: who offers and who answers is kept track of, what they say is not read.

mod account;
mod answer;
mod answered;
mod call;
mod challenge;
mod dialog;
pub(crate) mod draft;
mod event;
mod extension;
mod hang_up;
mod identity;
mod info;
mod inside;
mod offer_answer;
mod on_behalf;
mod outbound;
mod outside;
mod own_dialog;
mod pick_up;
mod prack;
mod publication;
mod redirect;
mod referred;
mod register;
mod related;
mod reliable;
mod reoffer;
mod replaces;
mod report;
mod session_timer;
mod subscription;
mod transfer;
mod update;

use std::collections::{BTreeMap, VecDeque};

pub use account::{Account, Reliable};
pub(crate) use answer::is_answered_elsewhere;
pub use event::{
    AccountId, CallId, Cause, Event, Misuse, PublicationId, RequestId, SubscriptionId,
    SubscriptionStatus, TransferId,
};
pub use on_behalf::Placing;
pub use publication::MAX_PUBLICATIONS;
pub use redirect::Diverted;
pub use subscription::MAX_SUBSCRIPTIONS;
pub use transfer::MAX_TRANSFERS;

use crate::endpoint::Output;
use crate::slab::{Key, Slab};
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};

/// The most calls at once; a call above that is answered with 503.
pub const MAX_CALLS: usize = 10_000;
/// The most accounts.
pub const MAX_ACCOUNTS: usize = 1_000;
/// The most requests of ours on their way at once.
pub const MAX_REQUESTS: usize = 40_000;
/// The most forks of one call that are kept apart.
pub const MAX_FORKS: usize = 16;

/// What this user agent can be asked, as Allow says it.
pub const ALLOW: &str =
    "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, NOTIFY, PRACK, REFER, UPDATE";
/// The event packages that this user agent notifies of, as Allow-Events says it.
pub const ALLOW_EVENTS: &str = "refer";
/// The extensions that every account knows, as Supported says it; [`Account`] adds to them.
pub const SUPPORTED: &str = "replaces, norefersub";

/// The user agent of one shard.
#[derive(Debug)]
pub struct UserAgent {
    product: String,
    /// What an OPTIONS request is told that we can do.
    capabilities: Option<Vec<u8>>,
    accounts: Slab<account::Profile>,
    calls: Slab<call::Call>,
    /// How many of `calls` are not over.
    live: usize,
    outbound: Slab<outbound::Outbound>,
    /// Call-ID and our tag, hashed.
    by_dialog: BTreeMap<u64, CallId>,
    transfers: Slab<transfer::Transfer>,
    /// Transfers that wait for an open offer.
    waiting: Vec<TransferId>,
    subscriptions: Slab<subscription::Subscription>,
    publications: Slab<publication::Publication>,
    /// The same as `by_dialog`, for dialogs that no call made.
    by_usage: BTreeMap<u64, own_dialog::Usage>,
    /// The Info-Packages that the owner knows.
    info_packages: Vec<String>,
    /// From tag, Call-ID and CSeq of requests outside dialogs, hashed (RFC 3261 §8.2.2.2).
    arrived: BTreeMap<u64, ServerId>,
    /// The same in the order of their arrival.
    arrivals: VecDeque<(u64, ServerId)>,
    serial: u32,
}

/// What a timer of the user agent is for. The numbers tell a timer that still counts from one that
/// was overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A registration is to be refreshed or tried again.
    Register(u32),
    /// The address translator in front of us is to be reminded of a registration's flow (RFC 5626 §4.4).
    KeepAlive(u32),
    /// A 2xx goes again, because no ACK came (RFC 3261 §13.3.1.4).
    Repeat(u32),
    /// A provisional response goes again, so that proxies keep waiting (§13.3.1.1).
    Provisional(u32),
    /// A reliable provisional response goes again, because no PRACK came (RFC 3262 §3).
    Reliable(u32),
    /// The owner has not decided on an offer in an UPDATE (RFC 3311 §5.2).
    Change(u32),
    /// Something about the session timer may be due (RFC 4028 §10).
    Session(u32),
    /// A call that was placed for somebody has rung long enough.
    RingOut,
    /// A cancelled INVITE has had its time (§9.1).
    CancelGivesUp,
    /// A re-INVITE that met another one goes again (§14.1).
    Reoffer(u32),
    /// Nothing can come any more for a call that is over.
    Forget,
    /// A transfer has had its time.
    Transfer(u32),
    /// A subscription is to be refreshed or tried again, or nothing was heard of it.
    Subscription(u32),
    /// A publication is to be refreshed or tried again.
    Publication(u32),
}

impl UserAgent {
    /// A user agent without accounts. `product` is what Server and User-Agent say where no account
    /// says something else; empty for nothing.
    pub fn new(product: String) -> UserAgent {
        let product = if draft::is_clean(product.as_bytes()) {
            product
        } else {
            String::new()
        };
        UserAgent {
            product,
            capabilities: None,
            accounts: Slab::default(),
            calls: Slab::default(),
            live: 0,
            outbound: Slab::default(),
            by_dialog: BTreeMap::new(),
            transfers: Slab::default(),
            waiting: Vec::new(),
            subscriptions: Slab::default(),
            publications: Slab::default(),
            by_usage: BTreeMap::new(),
            info_packages: Vec::new(),
            arrived: BTreeMap::new(),
            arrivals: VecDeque::new(),
            serial: 0,
        }
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`Misuse::Address`] or [`Misuse::Header`] when a text of it cannot stand in a message,
    /// [`Misuse::Full`] above [`MAX_ACCOUNTS`].
    pub fn add_account(&mut self, account: Account) -> Result<AccountId, Misuse> {
        if self.accounts.len() >= MAX_ACCOUNTS {
            return Err(Misuse::Full);
        }
        let profile = account::Profile::new(account)?;
        Ok(AccountId(self.accounts.insert(profile).as_u64()))
    }

    /// Forgets an account; its contact stays with the registrar until it expires. Calls go on, but
    /// can no longer answer challenges.
    pub fn remove_account(&mut self, account: AccountId) -> bool {
        self.accounts.remove(Key::from_u64(account.0)).is_some()
    }

    /// The session description that OPTIONS requests are told (RFC 3261 §11.2); `None` for none.
    pub fn set_capabilities(&mut self, session: Option<Vec<u8>>) {
        self.capabilities = session;
    }

    /// The Call-ID of a call.
    pub fn call_id(&self, call: CallId) -> Option<&str> {
        let call = self.calls.get(Key::from_u64(call.0))?;
        Some(call.call_id.as_str())
    }

    /// How many calls are not over.
    pub fn calls(&self) -> usize {
        self.live
    }

    /// How many values are kept, in all tables; for finding leaks.
    pub fn kept(&self) -> usize {
        self.calls.len()
            + self.outbound.len()
            + self.by_dialog.len()
            + self.transfers.len()
            + self.subscriptions.len()
            + self.publications.len()
            + self.by_usage.len()
    }

    /// A timer of ours fired.
    pub(crate) fn on_alarm(&mut self, now: Time, tx: &mut Transactions, token: u64, kind: Alarm) {
        match kind {
            Alarm::Register(serial) => self.on_register_alarm(now, tx, AccountId(token), serial),
            Alarm::KeepAlive(serial) => self.keep_alive(now, tx, AccountId(token), serial),
            Alarm::Repeat(serial) => self.on_repeat(now, tx, CallId(token), serial),
            Alarm::Provisional(serial) => self.on_ring_again(now, tx, CallId(token), serial),
            Alarm::Reliable(serial) => self.on_unacknowledged(now, tx, CallId(token), serial),
            Alarm::Change(serial) => self.on_change_alarm(now, tx, CallId(token), serial),
            Alarm::Session(serial) => self.on_session_alarm(now, tx, CallId(token), serial),
            Alarm::RingOut => self.on_ring_out(now, tx, CallId(token)),
            Alarm::CancelGivesUp => self.on_cancel_gives_up(now, tx, CallId(token)),
            Alarm::Reoffer(serial) => self.on_reoffer_alarm(now, tx, CallId(token), serial),
            Alarm::Forget => self.let_go(now, tx, CallId(token)),
            Alarm::Transfer(serial) => self.on_transfer_alarm(now, tx, TransferId(token), serial),
            Alarm::Subscription(serial) => {
                self.on_subscription_alarm(now, tx, SubscriptionId(token), serial);
            }
            Alarm::Publication(serial) => {
                self.on_publication_alarm(now, tx, PublicationId(token), serial);
            }
        }
    }

    fn profile(&self, account: AccountId) -> Option<&account::Profile> {
        self.accounts.get(Key::from_u64(account.0))
    }

    fn profile_mut(&mut self, account: AccountId) -> Option<&mut account::Profile> {
        self.accounts.get_mut(Key::from_u64(account.0))
    }

    fn call_of(&self, call: CallId) -> Option<&call::Call> {
        self.calls.get(Key::from_u64(call.0))
    }

    fn call_mut(&mut self, call: CallId) -> Option<&mut call::Call> {
        self.calls.get_mut(Key::from_u64(call.0))
    }

    /// A number that no running timer carries.
    fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

fn tell(tx: &mut Transactions, event: Event) {
    tx.out
        .push_back(Output::Event(crate::endpoint::Event::Agent(Box::new(
            event,
        ))));
}

/// Starts a timer of ours.
fn alarm(now: Time, tx: &mut Transactions, after: core::time::Duration, token: u64, kind: Alarm) {
    tx.alarm(now, after, crate::endpoint::Alarm::Agent { token, kind });
}
