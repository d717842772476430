//! SRTP around a session: what comes is proved before anything believes it, what goes is protected last.

use super::{MediaSession, Statistics};
use crate::random::Random;
use crate::srtp::{Inbound, MasterKey, Outbound, Refusal};

/// Whether and how packets are protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Protection {
    /// In the clear.
    #[default]
    Clear,
    /// SRTP whose keys a handshake is still working out: until they are there nothing is sent, and nothing is believed.
    Awaited,
    /// SRTP.
    Srtp {
        /// Key of what we send.
        send: MasterKey,
        /// Key of what we receive.
        receive: MasterKey,
    },
}

/// The contexts of a session.
#[derive(Debug)]
pub(super) struct Shield {
    state: State,
    scratch: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Clear,
    Awaited,
    Srtp(Box<(Outbound, Inbound)>),
}

impl Shield {
    pub(super) fn new(protection: &Protection) -> Self {
        Self {
            state: State::new(protection),
            scratch: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        !matches!(self.state, State::Awaited)
    }

    pub(super) fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Clear => true,
            State::Awaited => false,
            State::Srtp(contexts) => contexts.0.protect_rtp(packet).is_ok(),
        }
    }

    pub(super) fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> bool {
        match &mut self.state {
            State::Clear => true,
            State::Awaited => false,
            State::Srtp(contexts) => contexts.0.protect_rtcp(packet).is_ok(),
        }
    }

    /// Takes other keys; those that stay keep their counters. Says whether our source has to become a new one: its counter
    /// of wraps has left 0, and implementations differ in whether that survives new keys (RFC 3711 §3.3.1 says it does).
    fn renew(&mut self, protection: &Protection) -> bool {
        let (Protection::Srtp { send, receive }, State::Srtp(contexts)) =
            (protection, &mut self.state)
        else {
            self.state = State::new(protection);
            return false;
        };
        let (outbound, inbound) = &mut **contexts;
        let changed = outbound.key() != send || inbound.key() != receive;
        let wrapped = outbound.rollovers() > 0;
        if outbound.key() != send {
            *outbound = Outbound::new(send);
        }
        if inbound.key() != receive {
            *inbound = Inbound::renewed(receive, inbound);
        }
        changed && wrapped
    }
}

impl State {
    fn new(protection: &Protection) -> Self {
        match protection {
            Protection::Clear => Self::Clear,
            Protection::Awaited => Self::Awaited,
            Protection::Srtp { send, receive } => {
                Self::Srtp(Box::new((Outbound::new(send), Inbound::new(receive))))
            }
        }
    }
}

impl MediaSession {
    /// Takes the keys that a handshake worked out, or others than before.
    pub fn protect(&mut self, protection: Protection) {
        if self.config.protection == protection {
            return;
        }
        if self.shield.renew(&protection) {
            self.config.ssrc = self.random.bits() as u32;
            self.sending.restart(&mut self.random);
        }
        self.config.protection = protection;
    }

    /// Calls `take` with the plain packet, if this is one of the other side's.
    pub(super) fn opened(
        &mut self,
        bytes: &[u8],
        open: fn(&mut Inbound, &mut Vec<u8>) -> Result<(), Refusal>,
        take: impl FnOnce(&mut Self, &[u8]),
    ) {
        let contexts = match &mut self.shield.state {
            State::Clear => return take(self, bytes),
            State::Awaited => {
                self.statistics.discarded.keyless += 1;
                return;
            }
            State::Srtp(contexts) => contexts,
        };
        let mut packet = core::mem::take(&mut self.shield.scratch);
        packet.clear();
        packet.extend_from_slice(bytes);
        match open(&mut contexts.1, &mut packet) {
            Ok(()) => take(self, &packet),
            Err(refusal) => count(&mut self.statistics, refusal),
        }
        self.shield.scratch = packet;
    }
}

fn count(statistics: &mut Statistics, refusal: Refusal) {
    let discarded = &mut statistics.discarded;
    match refusal {
        Refusal::Malformed => discarded.malformed += 1,
        Refusal::Forged => discarded.forged += 1,
        Refusal::Replayed | Refusal::Spent => discarded.replayed += 1,
    }
}

/// A sequence number to begin with: the first cycle leaves room for a receiver that guesses wrong about wraps (RFC 3711
/// §3.3.1).
pub(super) fn first_sequence(random: &mut Random) -> u16 {
    (random.bits() >> 32) as u16 & 0x7fff
}
