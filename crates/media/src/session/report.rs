use std::collections::VecDeque;
use std::net::SocketAddr;

use super::latch::usable;
use super::{Config, MediaEvent, MediaSession, RemoteView};
use crate::Time;
use crate::random::Random;
use crate::rtcp::{
    Compound, Membership, NtpTime, Report, ReportBlock, RtcpPacket, SenderInfo, interval,
};
use crate::srtp::Inbound;

/// Five per cent of what a G.711 call takes with its headers, in octets per second.
const BANDWIDTH: f64 = 500.0;
/// IP and UDP headers, which count for the average size (RFC 3550 §6.2).
const LOWER_LAYERS: f64 = 28.0;
/// Sender reports remembered to compute the round trip.
const REMEMBERED: usize = 8;

/// The RTCP half.
#[derive(Debug)]
pub(super) struct Reporting {
    last: Time,
    due: Time,
    initial: bool,
    average_size: f64,
    /// Something was sent in this interval, in the one before.
    sent: (bool, bool),
    /// NTP middle bits and sending time of our last sender reports.
    reports: VecDeque<(u32, Time)>,
    described: Option<SocketAddr>,
    /// Where ICE says that RTCP goes.
    pub(super) route: Option<SocketAddr>,
    /// Where the other side's RTCP comes from.
    seen: Option<SocketAddr>,
}

impl Reporting {
    pub(super) fn new(config: &Config, now: Time, random: &mut Random) -> Self {
        let mut reporting = Self {
            last: now,
            due: now,
            initial: true,
            average_size: 100.0,
            sent: (false, false),
            reports: VecDeque::new(),
            described: usable(config.rtcp_destination),
            route: None,
            seen: None,
        };
        reporting.due = now + reporting.interval(2, random);
        reporting
    }

    pub(super) fn describe(&mut self, config: &Config) {
        let described = usable(config.rtcp_destination);
        if described != self.described {
            self.described = described;
            self.seen = None;
        }
    }

    pub(super) fn sent(&mut self) {
        self.sent.0 = true;
    }

    fn is_sender(&self) -> bool {
        self.sent.0 || self.sent.1
    }

    fn interval(&self, members: u32, random: &mut Random) -> Time {
        let membership = Membership {
            members,
            senders: members.min(2),
            we_sent: self.is_sender(),
            bandwidth: BANDWIDTH,
            average_size: self.average_size,
            initial: self.initial,
        };
        interval(&membership, random.unit())
    }

    fn measure(&mut self, octets: usize) {
        self.average_size += (octets as f64 + LOWER_LAYERS - self.average_size) / 16.0;
    }
}

impl MediaSession {
    /// Where to send RTCP now.
    pub fn rtcp_destination(&self) -> Option<SocketAddr> {
        if self.config.rtcp_mux {
            return self.latch.destination();
        }
        if self.latch.is_steered() {
            return self.reporting.route;
        }
        if let Some(seen) = self.reporting.seen.filter(|seen| self.latch.is_host(*seen)) {
            return Some(seen);
        }
        self.reporting.described.or_else(|| {
            let rtp = self.latch.destination()?;
            Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
        })
    }

    /// When [`MediaSession::poll_rtcp`] has a report next.
    pub fn next_rtcp_due(&self) -> Time {
        self.reporting.due
    }

    /// Builds the report that is due, if one is, in `out`. `ntp` is the wall clock at `now`. Returns whether there is
    /// something to send to [`MediaSession::rtcp_destination`].
    pub fn poll_rtcp(&mut self, now: Time, ntp: NtpTime, out: &mut Vec<u8>) -> bool {
        self.watch(now);
        if now < self.reporting.due {
            return false;
        }
        // Timer reconsideration (RFC 3550 §6.3.6): the interval is drawn again before it is believed.
        let members = 1 + u32::from(self.receiving.reception.is_some());
        let again = self.reporting.last + self.reporting.interval(members, &mut self.random);
        if again > now {
            self.reporting.due = again;
            return false;
        }
        let written = self.write_report(now, ntp, false, out);
        self.reporting.last = now;
        self.reporting.initial = false;
        self.reporting.due = now + self.reporting.interval(members, &mut self.random);
        written && self.rtcp_destination().is_some()
    }

    /// Builds the last report, with a BYE, in `out`. Returns whether there is somewhere to send it.
    pub fn goodbye(&mut self, now: Time, ntp: NtpTime, out: &mut Vec<u8>) -> bool {
        self.write_report(now, ntp, true, out) && self.rtcp_destination().is_some()
    }

    fn write_report(&mut self, now: Time, ntp: NtpTime, goodbye: bool, out: &mut Vec<u8>) -> bool {
        if !self.shield.is_ready() {
            return false;
        }
        let sender = self.reporting.is_sender().then(|| SenderInfo {
            ntp,
            timestamp: self.timestamp_at(now),
            packets: self.statistics.packets_sent as u32,
            octets: self.statistics.octets_sent as u32,
        });
        let block = self
            .receiving
            .reception
            .as_mut()
            .filter(|reception| reception.is_valid());
        let block = block.map(|reception| reception.report(now));
        let blocks: &[ReportBlock] = block.as_slice();
        Report {
            ssrc: self.config.ssrc,
            sender,
            blocks,
            cname: &self.config.cname,
            goodbye,
        }
        .write(out);
        if !self.shield.protect_rtcp(out) {
            return false;
        }
        if sender.is_some() {
            if self.reporting.reports.len() >= REMEMBERED {
                self.reporting.reports.pop_front();
            }
            self.reporting.reports.push_back((ntp.middle(), now));
        }
        self.reporting.sent = (false, self.reporting.sent.0);
        self.reporting.measure(out.len());
        self.statistics.reports_sent += 1;
        true
    }

    /// The RTP timestamp that belongs to `now`, between two frames.
    fn timestamp_at(&self, now: Time) -> u32 {
        let rate = self.config.send.codec.clock_rate();
        let due = self.sending.pacer.due();
        let units = |time: Time| (time.as_nanos() * u128::from(rate) / 1_000_000_000) as u32;
        if now >= due {
            self.sending.timestamp.wrapping_add(units(now - due))
        } else {
            self.sending.timestamp.wrapping_sub(units(due - now))
        }
    }

    /// Takes a datagram from the RTCP port.
    pub fn handle_rtcp(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        self.opened(bytes, Inbound::unprotect_rtcp, |session, bytes| {
            session.take_rtcp(now, from, bytes);
        });
    }

    fn take_rtcp(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) {
        let Ok(compound) = Compound::parse(bytes) else {
            self.statistics.discarded.malformed += 1;
            return;
        };
        if !self.latch.is_host(from) && self.reporting.route != Some(from) {
            self.statistics.discarded.foreign += 1;
            return;
        }
        if !self.config.rtcp_mux {
            self.reporting.seen = Some(from);
        }
        self.statistics.reports_received += 1;
        self.reporting.measure(bytes.len());
        for packet in compound.packets() {
            match packet {
                RtcpPacket::SenderReport { ssrc, info, blocks } => {
                    if let Some(reception) = &mut self.receiving.reception
                        && reception.ssrc() == ssrc
                    {
                        reception.sender_report(now, info.ntp.middle());
                    }
                    blocks.for_each(|block| self.remote_view(now, &block));
                }
                RtcpPacket::ReceiverReport { blocks, .. } => {
                    blocks.for_each(|block| self.remote_view(now, &block));
                }
                RtcpPacket::Goodbye { .. } => self.remote_goodbye(&packet),
                RtcpPacket::SourceDescription(_) | RtcpPacket::Other(_) => {}
            }
        }
    }

    fn remote_view(&mut self, now: Time, block: &ReportBlock) {
        if block.ssrc != self.config.ssrc {
            return;
        }
        self.statistics.remote = Some(RemoteView {
            fraction_lost: f32::from(block.fraction_lost) / 256.0,
            packets_lost: block.lost,
            jitter: crate::rtp::duration(
                u64::from(block.jitter),
                self.config.send.codec.clock_rate(),
            ),
        });
        let known = self
            .reporting
            .reports
            .iter()
            .find(|(middle, _)| *middle == block.last_sender_report);
        if let Some((_, at)) = known {
            let held = crate::rtp::duration(u64::from(block.delay_since_last), 65_536);
            self.statistics.round_trip = Some(now.saturating_sub(*at).saturating_sub(held));
        }
    }

    fn remote_goodbye(&mut self, packet: &RtcpPacket<'_>) {
        let leaves = match &self.receiving.reception {
            Some(reception) => packet.says_goodbye(reception.ssrc()),
            None => true,
        };
        if leaves && !self.receiving.goodbye {
            self.receiving.goodbye = true;
            self.tell(MediaEvent::RemoteBye);
        }
    }
}
