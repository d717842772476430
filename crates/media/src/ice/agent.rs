use std::collections::VecDeque;
use std::net::SocketAddr;

use super::consent::Consent;
use super::pair::{Pair, State};
use super::{Candidate, Event, Kind, MAX_CANDIDATES, Remote, Setup, Transmit};
use crate::Time;
use crate::random::Random;
use crate::stun::{BINDING, Builder, Class, Message, Role, attribute};

/// Time between two new checks (RFC 8445 §14.2).
const PACE: Time = Time::from_millis(50);
/// Time after the first success until the best pair so far is nominated, while better ones are still being checked.
const SETTLE: Time = Time::from_millis(400);
/// Without a way for every component by then the checks have failed.
const PATIENCE: Time = Time::from_secs(10);
/// Checks kept that come before the other side's description.
const EARLY: usize = 16;
/// Datagrams that may wait to be sent.
const OUT: usize = 64;

/// The checks of one stream.
#[derive(Debug)]
pub struct Agent {
    setup: Setup,
    tie: u64,
    remote: Option<Remote>,
    pairs: Vec<Pair>,
    triggered: VecDeque<usize>,
    early: Vec<Early>,
    selected: [Option<Consent>; 2],
    pace: Time,
    /// When the checks began, and when the first succeeded.
    since: Time,
    settled_from: Option<Time>,
    failed: bool,
    random: Random,
    out: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

/// A check that came before the other side's description.
#[derive(Debug, Clone, Copy)]
struct Early {
    component: u8,
    from: SocketAddr,
    priority: u32,
    nominates: bool,
}

impl Agent {
    /// Answers checks from now on; its own begin with [`Agent::start`].
    pub fn new(setup: Setup) -> Self {
        let mut random = Random::new(setup.seed);
        Self {
            tie: random.bits(),
            setup,
            remote: None,
            pairs: Vec::new(),
            triggered: VecDeque::new(),
            early: Vec::new(),
            selected: [None, None],
            pace: Time::ZERO,
            since: Time::ZERO,
            settled_from: None,
            failed: false,
            random,
            out: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins the checks with what the other side's description says, in a session of so many components.
    pub fn start(&mut self, now: Time, remote: Remote, components: u8) {
        self.setup.components = components;
        self.setup.controlling |= remote.lite;
        self.since = now;
        self.pace = now;
        for candidate in remote.candidates.iter().take(MAX_CANDIDATES) {
            let known = self.find(candidate.component, candidate.address).is_some();
            if candidate.component <= components && !known {
                self.pairs.push(Pair::new(*candidate));
            }
        }
        self.remote = Some(remote);
        for early in core::mem::take(&mut self.early) {
            self.trigger(now, early);
        }
    }

    /// Begins anew with other credentials of both sides (RFC 8445 §9); the ways in use stay until there are new ones.
    pub fn restart(&mut self, now: Time, setup: Setup, remote: Remote, components: u8) {
        let tie = self.tie;
        let mut fresh = Self::new(setup);
        fresh.tie = tie;
        fresh.out = core::mem::take(&mut self.out);
        fresh.events = core::mem::take(&mut self.events);
        *self = fresh;
        self.start(now, remote, components);
    }

    /// Our credentials, and those of the other side where they are known.
    pub fn credentials(&self) -> (&super::Credentials, Option<&super::Credentials>) {
        let remote = self.remote.as_ref().map(|remote| &remote.credentials);
        (&self.setup.credentials, remote)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Agent::run`] has something to do; `None` while it only listens.
    pub fn due(&self) -> Option<Time> {
        self.remote.as_ref()?;
        let checks = self
            .pairs
            .iter()
            .filter(|pair| pair.state == State::InProgress)
            .map(|pair| pair.due);
        let next =
            (!self.triggered.is_empty() || self.next_waiting().is_some()).then_some(self.pace);
        let consents = self.selected.iter().flatten().map(Consent::due);
        let settle = self
            .settled_from
            .filter(|_| self.setup.controlling && self.can_nominate())
            .map(|from| (from + SETTLE).max(self.pace));
        let patience = (!self.failed && !self.is_complete()).then_some(self.since + PATIENCE);
        checks
            .chain(consents)
            .chain(next)
            .chain(settle)
            .chain(patience)
            .min()
    }

    /// Does what is due: new checks, repeated ones, nominations, consent.
    pub fn run(&mut self, now: Time) {
        if self.remote.is_none() {
            return;
        }
        for place in 0..self.pairs.len() {
            self.repeat(now, place);
        }
        self.nominate(now);
        if now >= self.pace {
            let next = self.triggered.pop_front().or_else(|| self.next_waiting());
            if let Some(place) = next {
                self.pace = now + PACE;
                self.check(now, place);
            }
        }
        self.keep_consent(now);
        if !self.failed && !self.is_complete() && now >= self.since + PATIENCE {
            self.failed = true;
            self.events.push_back(Event::Failed);
        }
    }

    /// Takes a datagram that came to the socket of a component. Says whether it was a message that proves to be for us.
    pub fn handle(&mut self, now: Time, component: u8, from: SocketAddr, bytes: &[u8]) -> bool {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let Ok(message) = Message::parse(bytes) else {
            return false;
        };
        if message.method() != BINDING || component == 0 || component > 2 {
            return false;
        }
        match message.class() {
            Class::Request => self.answer(now, component, from, &message),
            Class::Success | Class::Error => self.conclude(now, component, from, &message),
            Class::Indication => false,
        }
    }

    fn is_complete(&self) -> bool {
        let wanted = usize::from(self.setup.components);
        self.selected.iter().take(wanted).all(Option::is_some)
    }

    fn is_selected(&self, component: u8) -> bool {
        self.selection(component).is_some()
    }

    fn selection(&self, component: u8) -> Option<&Consent> {
        self.selected
            .get(usize::from(component).checked_sub(1)?)?
            .as_ref()
    }

    fn find(&self, component: u8, address: SocketAddr) -> Option<usize> {
        self.pairs
            .iter()
            .position(|pair| pair.remote.component == component && pair.remote.address == address)
    }

    fn priority(&self, pair: &Pair) -> u64 {
        let own = Kind::Host.priority(pair.remote.component);
        pair.priority(own, self.setup.controlling)
    }

    /// The best pair not yet checked, of a component that has no way yet.
    fn next_waiting(&self) -> Option<usize> {
        let waiting = self.pairs.iter().enumerate().filter(|(_, pair)| {
            pair.state == State::Waiting && !self.is_selected(pair.remote.component)
        });
        waiting
            .max_by_key(|(_, pair)| self.priority(pair))
            .map(|(place, _)| place)
    }

    fn transaction(&mut self) -> [u8; 12] {
        let mut id = [0; 12];
        let bits = [self.random.bits(), self.random.bits()];
        let octets = bits.iter().flat_map(|bits| bits.to_be_bytes());
        id.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        id
    }

    fn check(&mut self, now: Time, place: usize) {
        let transaction = self.transaction();
        if let Some(pair) = self.pairs.get_mut(place) {
            pair.begin(transaction);
            self.send_check(now, place);
        }
    }

    /// Sends a check again, or gives it up.
    fn repeat(&mut self, now: Time, place: usize) {
        let Some(pair) = self.pairs.get(place) else {
            return;
        };
        if pair.state != State::InProgress || now < pair.due {
            return;
        }
        let superfluous = self.is_selected(pair.remote.component) && !pair.wanted;
        if pair.is_spent() || superfluous {
            if let Some(pair) = self.pairs.get_mut(place) {
                pair.state = State::Failed;
                pair.nominating = false;
            }
        } else {
            self.send_check(now, place);
        }
    }

    fn send_check(&mut self, now: Time, place: usize) {
        let Some(pair) = self.pairs.get_mut(place) else {
            return;
        };
        pair.count(now, self.setup.controlling);
        let (to, transaction, nominating) = (pair.remote, pair.transaction, pair.nominating);
        self.request(to.component, to.address, transaction, nominating);
    }

    fn request(&mut self, component: u8, to: SocketAddr, transaction: [u8; 12], nominating: bool) {
        let Some(remote) = &self.remote else {
            return;
        };
        let name = format!(
            "{}:{}",
            remote.credentials.ufrag, self.setup.credentials.ufrag
        );
        let priority = Kind::PeerReflexive.priority(component).to_be_bytes();
        let mut request = Builder::new(Class::Request, BINDING, transaction)
            .attribute(attribute::USERNAME, name.as_bytes())
            .attribute(attribute::PRIORITY, &priority)
            .role(self.role());
        if nominating && self.setup.controlling {
            request = request.attribute(attribute::USE_CANDIDATE, &[]);
        }
        let bytes = request
            .integrity(remote.credentials.pwd.as_bytes())
            .fingerprint();
        self.send(component, to, bytes);
    }

    fn send(&mut self, component: u8, to: SocketAddr, bytes: Vec<u8>) {
        // A datagram too much is one lost on its way: checks are repeated.
        if self.out.len() < OUT {
            self.out.push_back(Transmit {
                component,
                to,
                bytes,
            });
        }
    }

    fn role(&self) -> Role {
        if self.setup.controlling {
            Role::Controlling(self.tie)
        } else {
            Role::Controlled(self.tie)
        }
    }

    /// Answers a check and sends one back (RFC 8445 §7.3).
    fn answer(
        &mut self,
        now: Time,
        component: u8,
        from: SocketAddr,
        message: &Message<'_>,
    ) -> bool {
        let own = &self.setup.credentials;
        let ours = message
            .username()
            .and_then(|name| name.split_once(':'))
            .is_some_and(|(first, _)| first == own.ufrag);
        if !ours || message.proves(own.pwd.as_bytes()) != Some(true) {
            self.refuse(component, from, message, 401, "Unauthorized");
            return false;
        }
        if !message.unknown().is_empty() {
            self.refuse(component, from, message, 420, "Unknown Attribute");
            return true;
        }
        if self.conflicts(message.role()) {
            self.refuse(component, from, message, 487, "Role Conflict");
            return true;
        }
        let response = Builder::new(Class::Success, BINDING, message.transaction())
            .mapped_address(from)
            .integrity(self.setup.credentials.pwd.as_bytes())
            .fingerprint();
        self.send(component, from, response);
        let early = Early {
            component,
            from,
            priority: message
                .priority()
                .unwrap_or(Kind::PeerReflexive.priority(component)),
            nominates: message.nominates(),
        };
        if self.remote.is_some() {
            self.trigger(now, early);
        } else if let Some(known) = self
            .early
            .iter_mut()
            .find(|known| (known.component, known.from) == (component, from))
        {
            known.nominates |= early.nominates;
        } else if self.early.len() < EARLY {
            self.early.push(early);
        }
        true
    }

    /// An error response; with our proof where the request proved to be for us.
    fn refuse(
        &mut self,
        component: u8,
        to: SocketAddr,
        request: &Message<'_>,
        code: u16,
        reason: &str,
    ) {
        let mut response =
            Builder::new(Class::Error, BINDING, request.transaction()).error_code(code, reason);
        if code == 420 {
            let unknown = request.unknown();
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            response = response.attribute(attribute::UNKNOWN_ATTRIBUTES, &list);
        }
        if code != 401 {
            response = response.integrity(self.setup.credentials.pwd.as_bytes());
        }
        self.send(component, to, response.fingerprint());
    }

    /// RFC 8445 §7.3.1.1: with both in one role the larger number stays as it is. Says whether the other has to change.
    fn conflicts(&mut self, theirs: Option<Role>) -> bool {
        match theirs {
            Some(Role::Controlling(tie)) if self.setup.controlling => {
                if self.tie >= tie {
                    return true;
                }
                self.setup.controlling = false;
            }
            Some(Role::Controlled(tie)) if !self.setup.controlling => {
                if self.tie < tie {
                    return true;
                }
                self.setup.controlling = true;
            }
            _ => {}
        }
        false
    }

    /// The other side can reach us from there: so can we, perhaps (RFC 8445 §7.3.1.4).
    fn trigger(&mut self, now: Time, early: Early) {
        if early.component > self.setup.components {
            return;
        }
        let place = match self.find(early.component, early.from) {
            Some(place) => place,
            None if self.pairs.len() >= MAX_CANDIDATES => return,
            None => {
                self.pairs.push(Pair::new(Candidate {
                    component: early.component,
                    address: early.from,
                    priority: early.priority,
                    kind: Kind::PeerReflexive,
                }));
                self.pairs.len() - 1
            }
        };
        let Some(pair) = self.pairs.get_mut(place) else {
            return;
        };
        pair.wanted |= early.nominates && !self.setup.controlling;
        match pair.state {
            State::Succeeded if pair.wanted => self.select(now, place),
            State::Succeeded => {}
            // The way may have opened just now: what was lost before is sent again.
            State::InProgress => pair.due = pair.due.min(now + PACE),
            State::Waiting | State::Failed => {
                pair.state = State::Waiting;
                if !self.triggered.contains(&place) {
                    self.triggered.push_back(place);
                }
            }
        }
    }

    /// A response to a check of ours, or to a request for consent (RFC 8445 §7.2.5).
    fn conclude(
        &mut self,
        now: Time,
        component: u8,
        from: SocketAddr,
        message: &Message<'_>,
    ) -> bool {
        let key = self.remote.as_ref().map(|remote| &remote.credentials.pwd);
        if key.is_none_or(|key| message.proves(key.as_bytes()) != Some(true)) {
            return false;
        }
        let transaction = message.transaction();
        if message.class() == Class::Success
            && let Some(Some(consent)) = self.selected.get_mut(usize::from(component - 1))
            && consent.renew(now, from, transaction)
        {
            return true;
        }
        let place = self.pairs.iter().position(|pair| {
            pair.state == State::InProgress
                && pair.transaction == transaction
                && pair.remote.component == component
        });
        let Some(place) = place else {
            return false;
        };
        let Some(pair) = self.pairs.get_mut(place) else {
            return false;
        };
        let mapped = message.mapped_address();
        match (message.class(), message.error_code()) {
            (Class::Success, _) if from == pair.remote.address && mapped.is_some() => {
                pair.state = State::Succeeded;
                pair.mapped = mapped;
                self.settled_from.get_or_insert(now);
                if pair.wanted || pair.nominating {
                    self.select(now, place);
                }
            }
            (Class::Error, Some(487)) => {
                // Whatever that request claimed to be, the other side is.
                self.setup.controlling = !pair.controlling;
                pair.nominating = false;
                pair.state = State::Waiting;
                self.triggered.push_back(place);
            }
            // A response from elsewhere shows a way that is not the same in both directions.
            _ => {
                pair.state = State::Failed;
                pair.nominating = false;
            }
        }
        true
    }

    /// As the controlling agent, chooses among the valid pairs of each component (RFC 8445 §8.1.1).
    fn nominate(&mut self, now: Time) {
        if !self.setup.controlling {
            return;
        }
        let Some(from) = self.settled_from else {
            return;
        };
        for component in 1..=self.setup.components {
            let of_component = || {
                let pairs = self.pairs.iter().enumerate();
                pairs.filter(|(_, pair)| pair.remote.component == component)
            };
            if self.is_selected(component) || of_component().any(|(_, pair)| pair.nominating) {
                continue;
            }
            let best = of_component()
                .filter(|(_, pair)| pair.state == State::Succeeded)
                .max_by_key(|(_, pair)| self.priority(pair));
            let Some((place, best)) = best else {
                continue;
            };
            let better = of_component().any(|(_, pair)| {
                matches!(pair.state, State::Waiting | State::InProgress)
                    && self.priority(pair) > self.priority(best)
            });
            if better && now < from + SETTLE {
                continue;
            }
            if let Some(pair) = self.pairs.get_mut(place) {
                pair.nominating = true;
                self.triggered.push_front(place);
            }
        }
    }

    /// Whether a component has a valid pair, but none that is used or being nominated.
    fn can_nominate(&self) -> bool {
        (1..=self.setup.components).any(|component| {
            let mut of_component = self
                .pairs
                .iter()
                .filter(|pair| pair.remote.component == component);
            !self.is_selected(component)
                && of_component.clone().all(|pair| !pair.nominating)
                && of_component.any(|pair| pair.state == State::Succeeded)
        })
    }

    fn select(&mut self, now: Time, place: usize) {
        let Some(pair) = self.pairs.get_mut(place) else {
            return;
        };
        pair.nominating = false;
        let (remote, mapped) = (pair.remote, pair.mapped);
        let Some(pair) = self.pairs.get(place) else {
            return;
        };
        let priority = self.priority(pair);
        // A peer that nominates every pair at once means the best of them.
        let keeps = self
            .selection(remote.component)
            .is_some_and(|now| now.priority >= priority);
        let Some(slot) = self.selected.get_mut(usize::from(remote.component - 1)) else {
            return;
        };
        if keeps {
            return;
        }
        *slot = Some(Consent::new(
            remote.address,
            priority,
            now,
            &mut self.random,
        ));
        self.events.push_back(Event::Selected {
            component: remote.component,
            remote: remote.address,
            kind: remote.kind,
            mapped: mapped.unwrap_or(remote.address),
        });
    }

    fn keep_consent(&mut self, now: Time) {
        for component in 1..=2u8 {
            let transaction = self.transaction();
            let slot = self.selected.get_mut(usize::from(component - 1));
            let Some(Some(consent)) = slot else {
                continue;
            };
            if consent.is_expired(now) {
                if let Some(slot) = self.selected.get_mut(usize::from(component - 1)) {
                    *slot = None;
                }
                // Only a restart finds another way.
                self.failed = true;
                self.pairs.retain(|pair| pair.remote.component != component);
                self.triggered.clear();
                self.events.push_back(Event::ConsentLost { component });
            } else if consent.ask(now, transaction, &mut self.random) {
                let to = consent.remote;
                self.request(component, to, transaction, false);
            }
        }
    }
}
