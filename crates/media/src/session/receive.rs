use std::net::SocketAddr;

use super::latch::Verdict;
use super::{Config, MediaEvent, MediaSession, Statistics};
use crate::Time;
use crate::dtmf;
use crate::rtp::{Arrival, Packet, Reception, Sequence, classify};
use crate::srtp::Inbound;

/// A source that was heard so recently is not given up for one stray packet of another.
const ALIVE: Time = Time::from_millis(100);

/// The receiving half, up to the playout.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) reception: Option<Reception>,
    keys: dtmf::Receiver,
    /// Packets expected and received from sources before this one.
    earlier: (u64, u64),
    rival: Option<(u32, u16)>,
    heard: Option<Time>,
    /// Since when packets are expected.
    since: Time,
    stalled: bool,
    pub(super) goodbye: bool,
}

/// What a payload type means here.
#[derive(Clone, Copy)]
enum Role {
    Sound,
    Noise,
    Event,
}

impl Receiving {
    pub(super) fn new(config: &Config, now: Time) -> Self {
        Self {
            reception: None,
            keys: dtmf::Receiver::new(config.telephone_event_rate),
            earlier: (0, 0),
            rival: None,
            heard: None,
            since: now,
            stalled: false,
            goodbye: false,
        }
    }

    /// After a hold the waiting for packets begins anew.
    pub(super) fn reconfigure(&mut self, config: &Config, was_held: bool, now: Time) {
        self.keys.set_clock_rate(config.telephone_event_rate);
        if was_held && config.direction.receive {
            self.since = now;
            self.stalled = false;
        }
    }

    pub(super) fn is_pressed(&self) -> bool {
        self.keys.is_pressed()
    }

    /// Packets lost over all sources, and the jitter of the present one.
    pub(super) fn loss(&self, statistics: &Statistics) -> (u64, Time) {
        let (mut expected, mut received) = self.earlier;
        let mut jitter = Time::ZERO;
        if let Some(reception) = &self.reception {
            expected += u64::from(reception.tally().expected);
            received += u64::from(reception.tally().received);
            jitter = reception.jitter();
        }
        (
            (expected + statistics.duplicates).saturating_sub(received),
            jitter,
        )
    }

    /// Whether a packet of another source on the same address may replace the present one: at once when that fell
    /// silent, else with its second packet in sequence.
    fn may_replace(&mut self, now: Time, packet: &Packet<'_>) -> bool {
        let silent = self
            .heard
            .is_none_or(|heard| now.saturating_sub(heard) > ALIVE);
        let second = self.rival == Some((packet.ssrc, packet.sequence.wrapping_sub(1)));
        self.rival = Some((packet.ssrc, packet.sequence));
        silent || second
    }

    fn replace(&mut self, packet: &Packet<'_>, clock_rate: u32, event_rate: u32) {
        if let Some(before) = &self.reception {
            self.earlier.0 += u64::from(before.tally().expected);
            self.earlier.1 += u64::from(before.tally().received);
        }
        self.reception = Some(Reception::new(packet.ssrc, packet.sequence, clock_rate));
        self.keys = dtmf::Receiver::new(event_rate);
        self.rival = None;
        self.goodbye = false;
    }
}

impl MediaSession {
    /// Takes a datagram from the RTP port; with SRTP what is not proved is counted and moves nothing. RTCP among them finds its way by itself (RFC 5761); other protocols are counted
    /// and left.
    pub fn handle_rtp(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        match classify(bytes) {
            Arrival::Rtp => {}
            Arrival::Rtcp => return self.handle_rtcp(now, from, bytes),
            _ => {
                self.statistics.discarded.other_protocol += 1;
                return;
            }
        }
        self.opened(bytes, Inbound::unprotect_rtp, |session, bytes| {
            session.take_rtp(now, from, bytes);
        });
    }

    fn take_rtp(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        let Ok(packet) = Packet::parse(bytes) else {
            self.statistics.discarded.malformed += 1;
            return;
        };
        let Some(role) = self.role(packet.payload_type) else {
            self.statistics.discarded.payload += 1;
            return;
        };
        match self.latch.judge(now, from, packet.ssrc, packet.sequence) {
            Verdict::Foreign => {
                self.statistics.discarded.foreign += 1;
                return;
            }
            Verdict::First => self.tell(MediaEvent::FirstPacket { from }),
            Verdict::Moved => self.tell(MediaEvent::SourceChanged { from }),
            Verdict::Accept => {}
        }
        if !self.count(now, &packet) {
            return;
        }
        if !self.config.direction.receive {
            self.statistics.discarded.not_receiving += 1;
            return;
        }
        match role {
            Role::Event => {
                if let Some(event) = self.receiving.keys.receive(now, &packet) {
                    self.tell_key(event);
                }
            }
            Role::Noise => {
                self.playout.insert_noise(
                    now,
                    packet.sequence,
                    packet.timestamp,
                    packet.payload_type,
                    packet.payload,
                );
            }
            Role::Sound => {
                let clock_rate = self.playout.clock_rate(packet.payload_type);
                if let (Some(reception), Some(rate)) = (&mut self.receiving.reception, clock_rate) {
                    reception.set_clock_rate(rate);
                    reception.arrival(now, packet.timestamp);
                }
                let inserted = self.playout.insert(
                    now,
                    packet.sequence,
                    packet.timestamp,
                    packet.payload_type,
                    packet.payload,
                );
                if inserted.is_none() {
                    self.statistics.discarded.payload += 1;
                }
            }
        }
    }

    fn role(&self, payload_type: u8) -> Option<Role> {
        if self.playout.knows(payload_type) {
            Some(Role::Sound)
        } else if self.config.telephone_event_receive == Some(payload_type) {
            Some(Role::Event)
        } else if self.config.comfort_noise_receive == Some(payload_type) {
            Some(Role::Noise)
        } else if self.config.telephone_event_send == Some(payload_type) {
            // Some number what they send as they announced it, not as they were told to (Twinkle).
            Some(Role::Event)
        } else {
            None
        }
    }

    /// Counts a packet of the stream; `false` when it goes no further.
    fn count(&mut self, now: Time, packet: &Packet<'_>) -> bool {
        let clock_rate = self
            .playout
            .clock_rate(packet.payload_type)
            .unwrap_or_else(|| self.config.send.codec.clock_rate());
        let event_rate = self.config.telephone_event_rate;
        let receiving = &mut self.receiving;
        let mut fresh = true;
        match &mut receiving.reception {
            Some(reception) if reception.ssrc() == packet.ssrc => match reception
                .sequence(packet.sequence)
            {
                Sequence::Implausible => {
                    self.statistics.discarded.unproven += 1;
                    return false;
                }
                Sequence::Duplicate => {
                    self.statistics.duplicates += 1;
                    fresh = false;
                }
                Sequence::Probation | Sequence::Ahead | Sequence::Behind | Sequence::Restarted => {}
            },
            Some(_) => {
                if !receiving.may_replace(now, packet) {
                    self.statistics.discarded.unproven += 1;
                    return false;
                }
                receiving.replace(packet, clock_rate, event_rate);
                self.playout.reset();
            }
            None => receiving.replace(packet, clock_rate, event_rate),
        }
        self.statistics.packets_received += 1;
        self.statistics.octets_received += packet.payload.len() as u64;
        receiving.heard = Some(now);
        if core::mem::take(&mut receiving.stalled) {
            self.tell(MediaEvent::Resumed);
        }
        fresh
    }

    /// Notices what only time tells: a key whose end was lost, and a stream that stopped.
    pub(super) fn watch(&mut self, now: Time) {
        if let Some(event) = self.receiving.keys.expire(now) {
            self.tell_key(event);
        }
        let receiving = &mut self.receiving;
        if !self.config.direction.receive || receiving.stalled {
            return;
        }
        let last = receiving
            .heard
            .map_or(receiving.since, |heard| heard.max(receiving.since));
        if now.saturating_sub(last) >= self.config.stall {
            receiving.stalled = true;
            let heard_before = receiving.heard.is_some();
            self.tell(MediaEvent::Stalled { heard_before });
        }
    }
}
