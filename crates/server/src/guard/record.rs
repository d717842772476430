//! What is remembered of one source.

use core::time::Duration;

use sip::time::Time;

use super::source::Source;
use super::{Limits, Reason};

/// Tries further apart than this have nothing to do with each other.
const RELATED: Duration = Duration::from_secs(3600);
/// How long a source counts as one of ours after somebody there has shown the right password.
const WELCOME: Duration = Duration::from_secs(2 * 3600);
/// How much more is borne from such a source.
const LENIENCE: u32 = 10;
/// Users of one source whose tries are told apart.
const USERS: usize = 16;
/// The longest block.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A source that has been quiet for this long after a block begins anew.
const FORGIVEN: Duration = Duration::from_secs(24 * 3600);
/// The octets of a user name that are kept to show it.
const SHOWN: usize = 64;

/// What is remembered of one source.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) source: Source,
    pub(super) touched: Time,
    /// Tries of all users, beside those of the users below.
    tries: u32,
    last_try: Time,
    pub(super) block: Option<Shut>,
    offences: Offences,
    welcome_until: Option<Time>,
    tokens: Tokens,
    pub(super) users: Vec<User>,
}

/// A block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shut {
    pub(super) until: Time,
    /// Milliseconds since 1970.
    pub(super) since_unix: u64,
    pub(super) until_unix: u64,
    pub(super) reason: Reason,
    pub(super) tries: u32,
    pub(super) dropped: u64,
}

/// Tries as one user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    tries: u32,
    last_try: Time,
    pub(super) block: Option<Shut>,
    offences: Offences,
}

/// Blocks so far, and when the last one ended.
#[derive(Clone, Copy, Debug, Default)]
struct Offences {
    count: u32,
    ended: Option<Time>,
}

/// Requests that may still come (a token bucket), in millionths.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    left: u64,
    at: Time,
}

/// What came of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    Nothing,
    /// The source is blocked from now on.
    SourceBlocked,
    /// This user of the source is blocked from now on.
    UserBlocked,
}

impl Record {
    pub(super) fn new(source: Source, now: Time) -> Record {
        Record {
            source,
            touched: now,
            tries: 0,
            last_try: now,
            block: None,
            offences: Offences::default(),
            welcome_until: None,
            tokens: Tokens {
                left: u64::MAX,
                at: now,
            },
            users: Vec::new(),
        }
    }

    /// Whether it is worth more than one of which nothing but its requests is known, when room is needed.
    pub(super) fn weight(&self, now: Time) -> u8 {
        let blocked = self.block.is_some_and(|b| b.until > now);
        let known = self.welcomes(now) || self.tries > 0 || !self.users.is_empty();
        if blocked { 2 } else { u8::from(known) }
    }

    /// Whether somebody there has shown the right password lately.
    pub(super) fn welcomes(&self, now: Time) -> bool {
        self.welcome_until.is_some_and(|until| until > now)
    }

    /// Takes one request from what the source may send in its time; yields whether it had one left.
    pub(super) fn take_request(&mut self, now: Time, per_second: u32) -> bool {
        let more = if self.welcomes(now) { LENIENCE } else { 1 };
        let rate = u64::from(per_second).saturating_mul(u64::from(more));
        self.tokens.take(now, rate)
    }

    /// Somebody there has shown the right password.
    pub(super) fn welcome(&mut self, now: Time, user: &str) {
        self.welcome_until = Some(now + WELCOME);
        self.users
            .retain(|u| u.name != shown(user) || u.block.is_some_and(|b| b.until > now));
    }

    /// A try failed: of a user, or (malformed, too many) of nobody in particular.
    pub(super) fn fail(
        &mut self,
        now: Time,
        unix: u64,
        user: Option<&str>,
        reason: Reason,
        limits: &Limits,
    ) -> Consequence {
        if limits.wrong_passwords == 0 || self.block.is_some_and(|b| b.until > now) {
            return Consequence::Nothing;
        }
        self.forget_old_tries(now);
        self.last_try = now;
        let welcome = self.welcomes(now);
        let Some(user) = user else {
            self.tries = self.tries.saturating_add(1);
            return self.judge(now, unix, reason, limits, welcome);
        };
        let user = self.user(now, user);
        user.tries = user.tries.saturating_add(1);
        user.last_try = now;
        if welcome && user.tries >= limits.wrong_passwords {
            let shut = user
                .offences
                .shut(now, unix, reason, user.tries, limits.block_for);
            user.block = Some(shut);
            // They still count against the source: trying one user after the other is no way round.
            let spent = core::mem::take(&mut user.tries);
            self.tries = self.tries.saturating_add(spent);
            let all = self.judge(now, unix, reason, limits, welcome);
            return if all == Consequence::Nothing {
                Consequence::UserBlocked
            } else {
                all
            };
        }
        self.judge(now, unix, reason, limits, welcome)
    }

    /// Whether the tries of all users together are too many.
    fn judge(
        &mut self,
        now: Time,
        unix: u64,
        reason: Reason,
        limits: &Limits,
        welcome: bool,
    ) -> Consequence {
        let of_users = self.users.iter().map(|u| u.tries);
        let all = of_users.fold(self.tries, u32::saturating_add);
        let borne = if welcome { LENIENCE } else { 1 };
        if all < limits.wrong_passwords.saturating_mul(borne) {
            return Consequence::Nothing;
        }
        let shut = self.offences.shut(now, unix, reason, all, limits.block_for);
        self.block = Some(shut);
        self.tries = 0;
        self.users.clear();
        Consequence::SourceBlocked
    }

    /// The tries of a user; whose are the oldest is forgotten for a new one, but its tries stay with the source.
    fn user(&mut self, now: Time, name: &str) -> &mut User {
        let name = shown(name);
        let at = self.users.iter().position(|u| u.name == name);
        let at = at.unwrap_or_else(|| {
            let oldest = (0..self.users.len()).min_by_key(|n| {
                let user = self.users.get(*n);
                user.map(|u| (u.block.is_some_and(|b| b.until > now), u.last_try))
            });
            if self.users.len() >= USERS
                && let Some(oldest) = oldest
            {
                let gone = self.users.swap_remove(oldest);
                self.tries = self.tries.saturating_add(gone.tries);
            }
            self.users.push(User {
                name: name.to_owned(),
                tries: 0,
                last_try: now,
                block: None,
                offences: Offences::default(),
            });
            self.users.len() - 1
        });
        &mut self.users[at]
    }

    fn forget_old_tries(&mut self, now: Time) {
        if now.since(self.last_try) > RELATED {
            self.tries = 0;
        }
        self.users.retain(|u| {
            now.since(u.last_try) <= RELATED
                || u.block.is_some()
                || u.offences.ended.is_some_and(|e| now.since(e) < FORGIVEN)
        });
        for user in &mut self.users {
            if now.since(user.last_try) > RELATED {
                user.tries = 0;
            }
        }
    }

    /// Ends blocks whose time is over.
    pub(super) fn expire(&mut self, now: Time) {
        self.block.take_if(|b| b.until <= now);
        for user in &mut self.users {
            user.block.take_if(|b| b.until <= now);
        }
    }

    /// Ends all its blocks and forgets what led to them; yields whether there were any that count.
    pub(super) fn pardon(&mut self, now: Time) -> bool {
        self.expire(now);
        let any = self.blocks() != (0, 0);
        self.block = None;
        self.users.clear();
        self.tries = 0;
        self.offences = Offences::default();
        any
    }

    /// Blocks that it holds, of the source and of its users.
    pub(super) fn blocks(&self) -> (usize, usize) {
        let users = self.users.iter().filter(|u| u.block.is_some()).count();
        (usize::from(self.block.is_some()), users)
    }
}

impl Offences {
    /// A block that is twice as long as the one before, up to a day.
    fn shut(&mut self, now: Time, unix: u64, reason: Reason, tries: u32, seconds: u32) -> Shut {
        if self.ended.is_some_and(|ended| now.since(ended) > FORGIVEN) {
            self.count = 0;
        }
        let doubled = u64::from(seconds.max(1)) << self.count.min(16);
        let time =
            Duration::from_secs(doubled).min(LONGEST.max(Duration::from_secs(u64::from(seconds))));
        self.count = self.count.saturating_add(1);
        self.ended = Some(now + time);
        Shut {
            until: now + time,
            since_unix: unix,
            until_unix: unix + u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2),
            reason,
            tries,
            dropped: 0,
        }
    }
}

impl Tokens {
    /// A bucket that holds what comes in two seconds, so that a phone that starts may ask for everything at once.
    fn take(&mut self, now: Time, per_second: u64) -> bool {
        const ONE: u64 = 1_000_000;
        let elapsed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let most = per_second.saturating_mul(2 * ONE);
        let gained = elapsed.saturating_mul(per_second);
        self.left = self.left.saturating_add(gained).min(most);
        self.at = self.at.max(now);
        match self.left.checked_sub(ONE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// The part of a user name that is kept.
pub(super) fn shown(name: &str) -> &str {
    let mut end = name.len().min(SHOWN);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}
