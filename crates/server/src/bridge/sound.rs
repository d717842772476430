//! The sound of bridged calls: whether it passes through this server, and what each side is told then.

use std::net::{IpAddr, Ipv4Addr};

use sip::Endpoint;
use sip::flow::Flow;
use sip::header::{HeaderName, NameAddr, Via};
use sip::registrar::Binding;
use sip::time::Time;
use sip::uri::Uri;
use sip::wire::Packet;

use super::{Bridge, Party};
use crate::core::{Core, Shared};
use crate::directory::RelayMode;
use crate::relay::{Facing, RelayError, RelayedCall, Session, Side};

/// Where a phone is: as its messages arrive, and as it says itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whereabouts {
    /// The address that its messages come from.
    pub(crate) seen: IpAddr,
    /// The address that it gives for itself, when it gives one.
    pub(crate) said: Option<IpAddr>,
    /// Our address that faces it.
    pub(crate) local: IpAddr,
}

/// How a description passes from one side to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Offer,
    Answer,
}

/// The relay of a bridged call.
pub(super) struct Sound {
    call: RelayedCall,
    /// The side that the relay takes for the caller's.
    caller: Party,
    /// The callee's leg that has answered.
    fork: u32,
}

impl Sound {
    pub(super) fn key(&self) -> u64 {
        self.call.key()
    }
}

impl core::fmt::Debug for Sound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sound")
            .field("fork", &self.fork)
            .finish_non_exhaustive()
    }
}

impl Whereabouts {
    /// Of somebody of whom nothing is known.
    pub(super) const NOWHERE: Whereabouts = Whereabouts {
        seen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        said: None,
        local: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };

    /// Of the one who sends a request.
    pub(crate) fn of_request(packet: &Packet<'_>, flow: &Flow) -> Whereabouts {
        let seen = flow.remote.ip().to_canonical();
        let mut vias = packet
            .all(HeaderName::Via)
            .flat_map(|h| Via::parse_list(h.value()));
        let via = vias.next().and_then(Result::ok);
        if vias.next().is_some() {
            // It comes by way of another proxy, which knows where its phones are.
            return Whereabouts {
                seen,
                said: None,
                local: flow.local.ip(),
            };
        }
        let contact = packet
            .value(HeaderName::Contact)
            .and_then(|v| NameAddr::parse(v).ok());
        let contact = contact.and_then(|c| c.uri.host.ip());
        let via = via.and_then(|v| v.host.ip());
        // A contact may be what we told the phone that we see; its Via is what it knows itself.
        let inside = via.filter(|ip| ip.to_canonical() != seen);
        Whereabouts {
            seen,
            said: inside.or(contact).map(|ip| ip.to_canonical()),
            local: flow.local.ip(),
        }
    }

    /// Of a phone that has registered, when its flow is known.
    pub(crate) fn of_binding(binding: &Binding) -> Option<Whereabouts> {
        let contact = Uri::parse(binding.contact.as_bytes()).ok()?.host.ip();
        let flow = binding.flow?;
        Some(Whereabouts {
            seen: flow.remote.ip().to_canonical(),
            said: binding.inside.or(contact.map(|ip| ip.to_canonical())),
            local: flow.local.ip(),
        })
    }

    /// There is an address translator between: it is not where it says that it is.
    fn is_behind_nat(&self) -> bool {
        self.said
            .is_some_and(|said| said != self.seen && !self.seen.is_loopback())
    }

    /// Whether the two can hardly send each other anything: one of them is behind an address translator that the other
    /// one is not behind as well, or they speak different versions of IP.
    pub(crate) fn is_out_of_reach_of(&self, other: &Whereabouts) -> bool {
        if self.seen.is_ipv4() != other.seen.is_ipv4() {
            return true;
        }
        if !self.is_behind_nat() && !other.is_behind_nat() {
            return false;
        }
        let together = self.seen == other.seen
            && self
                .said
                .zip(other.said)
                .is_some_and(|(a, b)| same_net(a, b));
        !together
    }
}

/// Whether two addresses look like those of one network behind a translator.
fn same_net(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

impl Shared {
    /// Whether the sound between two phones is to pass here.
    pub(crate) fn carries(
        &self,
        mode: RelayMode,
        one: &Whereabouts,
        other: Option<&Whereabouts>,
    ) -> bool {
        match (mode, other) {
            (RelayMode::Always, _) => true,
            (RelayMode::Never, _) => false,
            (RelayMode::Auto, Some(other)) => one.is_out_of_reach_of(other),
            // Who is not known is somewhere in the open: a gateway, another domain.
            (RelayMode::Auto, None) => one.is_behind_nat(),
        }
    }

    fn facing(&self, local: IpAddr) -> Facing {
        let told = self.config.advertised_host.as_deref();
        let told = told.and_then(|h| h.trim_matches(['[', ']']).parse::<IpAddr>().ok());
        let fits = |a: &IpAddr| !local.is_loopback() && a.is_ipv4() == local.is_ipv4();
        Facing {
            local,
            told: told.filter(fits).unwrap_or(local),
        }
    }
}

impl Core {
    /// Opens the relay of a call, `caller` being the one who waits.
    pub(super) fn open_sound(&mut self, id: u64, caller: Party) -> Result<(), RelayError> {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return Ok(());
        };
        let local = bridge.whereabouts(caller).local;
        let facing = self.shared.facing(local);
        self.bridges.next_sound += 1;
        let key = ((self.shard as u64) << 56) | (self.bridges.next_sound & ((1 << 56) - 1));
        let call = self.shared.relay.open(Session {
            key,
            caller: facing,
            callee: facing,
        })?;
        // One that is there already serves until the new one is in use.
        bridge.next_sound = Some(Sound {
            call,
            caller,
            fork: 0,
        });
        self.bridges.of_sound.insert(key, id);
        Ok(())
    }

    /// How the relay faces a leg that is about to be called.
    pub(super) fn face_sound(
        &mut self,
        id: u64,
        fork: u32,
        local: IpAddr,
    ) -> Result<(), RelayError> {
        let facing = self.shared.facing(local);
        let sound = self.bridges.all.get_mut(&id).and_then(Bridge::newest_sound);
        sound.map_or(Ok(()), |sound| sound.call.face(fork, facing))
    }

    /// A leg has answered for good.
    pub(super) fn settle_sound(&mut self, id: u64, fork: u32) -> Result<(), RelayError> {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            return Ok(());
        };
        let (before, settled) = bridge.settle_sound(fork);
        if let Some(before) = before {
            self.bridges.of_sound.remove(&before);
        }
        settled
    }

    /// Ends the call of a relay that has heard nothing for a while.
    pub(crate) fn on_silence(&mut self, now: Time, endpoint: &mut Endpoint, key: u64) {
        if let Some(id) = self.bridges.of_sound.get(&key).copied() {
            tracing::info!("a call whose sound has died is ended");
            self.end_bridge(now, endpoint, id, Some("SIP;text=\"Media Timeout\""));
        }
    }
}

impl Bridge {
    pub(super) fn newest_sound(&mut self) -> Option<&mut Sound> {
        self.next_sound.as_mut().or(self.sound.as_mut())
    }

    pub(super) fn whereabouts(&self, party: Party) -> Whereabouts {
        let leg = match party {
            Party::Leg(call) => self.leg(call),
            Party::Link(_) => None,
        };
        match leg.or_else(|| self.sides().next()) {
            Some(leg) => leg.at,
            None => Whereabouts::NOWHERE,
        }
    }

    /// What a leg that is called is told of the session that waits for it.
    pub(super) fn offer_to_fork(
        &mut self,
        fork: u32,
        session: Option<Vec<u8>>,
        from: Party,
    ) -> Result<Option<Vec<u8>>, RelayError> {
        let seen = self.whereabouts(from).seen;
        match (self.newest_sound(), session) {
            (Some(sound), Some(session)) => sound
                .call
                .offer(Side::Caller, fork, &session, seen)
                .map(Some),
            (_, session) => Ok(session),
        }
    }

    /// What the one who waits is told of the session of a leg that is being called.
    pub(super) fn told_by_fork(
        &mut self,
        fork: u32,
        says: Says,
        session: Option<&[u8]>,
        seen: IpAddr,
    ) -> Result<Option<Vec<u8>>, RelayError> {
        match (self.newest_sound(), session) {
            (Some(sound), Some(session)) => match says {
                Says::Offer => sound
                    .call
                    .offer(Side::Callee, fork, session, seen)
                    .map(Some),
                Says::Answer => sound
                    .call
                    .answer(Side::Callee, fork, session, seen)
                    .map(Some),
            },
            (_, session) => Ok(session.map(<[u8]>::to_vec)),
        }
    }

    /// A leg has answered for good. Yields the key of a relay that is of no use any more.
    fn settle_sound(&mut self, fork: u32) -> (Option<u64>, Result<(), RelayError>) {
        let next = self.next_sound.take();
        let before = match next {
            Some(next) => self.sound.replace(next).map(|sound| sound.call.key()),
            None => None,
        };
        let settled = match self.sound.as_mut() {
            Some(sound) => {
                sound.fork = fork;
                sound.call.settle(fork)
            }
            None => Ok(()),
        };
        (before, settled)
    }

    /// What the other side is told of what `from` says.
    pub(super) fn carried(
        &mut self,
        from: Party,
        says: Says,
        session: Option<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, RelayError> {
        let seen = match from {
            Party::Leg(_) => self.whereabouts(from).seen,
            // It comes through another relay of ours, or from somewhere that it has said in the open.
            Party::Link(_) => self.whereabouts(from).local,
        };
        let (Some(sound), Some(session)) = (self.sound.as_mut(), session.as_deref()) else {
            return Ok(session);
        };
        let side = if sound.caller == from {
            Side::Caller
        } else {
            Side::Callee
        };
        match says {
            Says::Offer => sound.call.offer(side, sound.fork, session, seen).map(Some),
            Says::Answer => sound.call.answer(side, sound.fork, session, seen).map(Some),
        }
    }

    /// Somebody else is where `before` was.
    pub(super) fn sound_goes_to(&mut self, before: Party, after: Party) {
        if let Some(sound) = self.sound.as_mut().filter(|s| s.caller == before) {
            sound.caller = after;
        }
    }

    /// Whether its sound passes here.
    pub(super) fn is_relayed(&self) -> bool {
        self.sound.is_some() || self.next_sound.is_some()
    }

    /// The keys of its relays.
    pub(super) fn sound_keys(&self) -> impl Iterator<Item = u64> {
        [&self.sound, &self.next_sound]
            .into_iter()
            .flatten()
            .map(|s| s.call.key())
    }
}

/// A description without directions: who was held while somebody else was asked is to be heard by whoever comes then.
pub(super) fn awake(session: Vec<u8>) -> Vec<u8> {
    const ASLEEP: [&[u8]; 3] = [b"a=sendonly", b"a=recvonly", b"a=inactive"];
    session
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| !ASLEEP.contains(&line.trim_ascii_end()))
        .collect::<Vec<_>>()
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_held_is_awake_again() {
        let held = b"v=0\r\nm=audio 4 RTP/AVP 0\r\na=recvonly\r\na=ptime:20\r\n".to_vec();
        assert_eq!(awake(held), b"v=0\r\nm=audio 4 RTP/AVP 0\r\na=ptime:20\r\n");
    }

    fn at(seen: &str, said: &str) -> Whereabouts {
        Whereabouts {
            seen: seen.parse().unwrap(),
            said: said.parse().ok(),
            local: "192.0.2.1".parse().unwrap(),
        }
    }

    #[test]
    fn who_can_reach_whom() {
        let open = at("198.51.100.1", "198.51.100.1");
        let named = at("198.51.100.2", "a name");
        let home = at("203.0.113.1", "192.168.0.10");
        let beside = at("203.0.113.1", "192.168.0.11");
        let floor_above = at("203.0.113.1", "192.168.7.11");
        let six = at("2001:db8::1", "2001:db8::1");
        assert!(!open.is_out_of_reach_of(&named));
        assert!(open.is_out_of_reach_of(&home) && home.is_out_of_reach_of(&open));
        assert!(!home.is_out_of_reach_of(&beside));
        assert!(home.is_out_of_reach_of(&floor_above));
        assert!(open.is_out_of_reach_of(&six));
    }
}
