//! Accounts: whose requests are whose, and who is registered.

use sip::endpoint::Endpoint;
use sip::header::{HeaderName, NameAddr};
use sip::time::Time;
use sip::ua::{self, AccountId, Cause, Misuse};
use sip::uri::Uri;
use sip::wire::Packet;

use super::Line;
use crate::event::{AccountNumber, Event};

/// One account.
pub(super) struct Seat {
    pub(super) account: ua::Account,
    pub(super) id: Option<AccountId>,
    /// The registrar holds our contact, or is being asked to.
    registered: bool,
    /// A REGISTER that takes our contact away is on its way.
    unregistering: bool,
}

impl Seat {
    pub(super) fn new(account: ua::Account) -> Seat {
        Seat {
            account,
            id: None,
            registered: false,
            unregistering: false,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.unregistering
    }
}

impl Line {
    pub(super) fn account_number(&self, id: AccountId) -> Option<AccountNumber> {
        let place = self.seats.iter().position(|seat| seat.id == Some(id))?;
        u32::try_from(place).ok().map(AccountNumber)
    }

    pub(super) fn account_id(&self, number: AccountNumber) -> Option<AccountId> {
        self.seat(number)?.id
    }

    pub(super) fn seat(&self, number: AccountNumber) -> Option<&Seat> {
        self.seats.get(usize::try_from(number.0).ok()?)
    }

    fn seat_of(&mut self, id: AccountId) -> Option<(AccountNumber, &mut Seat)> {
        let number = self.account_number(id)?;
        let place = usize::try_from(number.0).ok()?;
        Some((number, self.seats.get_mut(place)?))
    }

    /// The account that a request is for: that whose address of record is called, else that whose user is; the first one
    /// when nobody can say.
    pub(super) fn called(&self, packet: &Packet<'_>) -> Option<AccountId> {
        let first = self.seats.first()?.id;
        if self.seats.len() == 1 {
            return first;
        }
        let to = packet.value(HeaderName::To).unwrap_or_default();
        let to = NameAddr::parse(to).ok();
        let to = to.and_then(|to| Uri::parse(to.uri.as_bytes()).ok());
        let target = Uri::parse(packet.request_uri()).ok();
        let matches = |seat: &&Seat, uri: &Option<Uri<'_>>, whole: bool| {
            let own = Uri::parse(seat.account.address_of_record.as_bytes()).ok();
            let (Some(own), Some(uri)) = (own, uri) else {
                return false;
            };
            own.user_unescaped() == uri.user_unescaped() && (!whole || own.host == uri.host)
        };
        let find = |uri, whole| self.seats.iter().find(|seat| matches(seat, uri, whole));
        let found = find(&to, true)
            .or_else(|| find(&target, true))
            .or_else(|| find(&target, false))
            .or_else(|| find(&to, false));
        found.map_or(first, |seat| seat.id)
    }

    pub(super) fn register(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        account: AccountNumber,
        expires: u32,
    ) {
        let Some(id) = self.account_id(account) else {
            return;
        };
        if let Some((_, seat)) = self.seat_of(id) {
            seat.registered |= expires > 0;
            seat.unregistering = expires == 0;
        }
        let (agent, tx) = endpoint.agent();
        let Err(misuse) = agent.register(now, tx, id, expires) else {
            return;
        };
        self.registration_failed(id, misused(misuse), None);
    }

    fn registration_failed(
        &mut self,
        id: AccountId,
        cause: Cause,
        retry_in: Option<std::time::Duration>,
    ) {
        if let Some((account, seat)) = self.seat_of(id) {
            seat.registered &= retry_in.is_some() && !seat.unregistering;
            seat.unregistering = false;
            self.tell(Event::RegistrationFailed {
                account,
                cause,
                retry_in,
            });
        }
    }

    /// Takes our contacts from the registrars, unless they are to stay.
    pub(super) fn leave(&mut self, now: Time, endpoint: &mut Endpoint) {
        if self.keep_contact {
            return;
        }
        let leaving = |seat: &Seat| seat.registered && !seat.unregistering;
        let numbers: Vec<AccountNumber> = (0u32..)
            .zip(&self.seats)
            .filter(|(_, seat)| leaving(seat))
            .map(|(number, _)| AccountNumber(number))
            .collect();
        for account in numbers {
            self.register(now, endpoint, account, 0);
        }
    }

    /// What happens to accounts, and outside calls.
    pub(super) fn on_account(&mut self, now: Time, endpoint: &mut Endpoint, event: ua::Event) {
        match event {
            ua::Event::Registered {
                account,
                expires,
                contact,
            } => {
                if let Some((account, seat)) = self.seat_of(account) {
                    seat.registered = true;
                    self.tell(Event::Registered {
                        account,
                        expires,
                        contact,
                    });
                }
            }
            ua::Event::Unregistered { account } => {
                if let Some((account, seat)) = self.seat_of(account) {
                    seat.registered = false;
                    seat.unregistering = false;
                    self.tell(Event::Unregistered { account });
                }
            }
            ua::Event::RegistrationFailed {
                account,
                cause,
                retry_in,
                ..
            } => self.registration_failed(account, cause, retry_in),
            other => self.on_service(now, endpoint, other),
        }
    }
}

/// A mistake of ours as the cause of a failure.
pub(super) fn misused(misuse: Misuse) -> Cause {
    Cause::Unreachable {
        reason: misuse.to_string(),
    }
}
