//! The media of one call, on the media thread.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use media::Time;
use media::rtcp::NtpTime;
use media::session::{Config, Direction, MediaSession};
use media::tone::Tone;
use mio::{Interest, Registry, Token};

use super::line::Line;
use super::{CallKey, Pulse, Service};

/// Longest frame in samples: 200 ms.
const FRAME: usize = 1600;
/// 11 periods of 440 Hz are 200 samples at 8 kHz.
const PERIOD: usize = 200;
/// Peak of the tone, of full scale: about 7 dB below the digital milliwatt of G.711.
const LEVEL: f64 = 0.3;

/// The tone from any phase on, a longest frame of it, so that no frame is computed twice.
static TONE: LazyLock<Vec<i16>> = LazyLock::new(|| {
    let mut period = [0; PERIOD];
    Tone::new(440.0, LEVEL, 8000).fill(&mut period);
    period
        .iter()
        .copied()
        .cycle()
        .take(PERIOD + FRAME)
        .collect()
});

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: CallKey,
    voice: Voice,
    line: Line,
    session: MediaSession,
    config: Config,
    pulse: Arc<Pulse>,
    /// When the peer last gave a sign of life, or was given a chance anew; `None` before the first frame.
    heard: Option<Time>,
    lost: bool,
    unsent: u64,
    #[cfg(test)]
    pub(super) broken: bool,
}

/// What a call plays.
#[derive(Debug)]
pub(super) enum Voice {
    /// What it hears.
    Echo,
    /// The tone, on from this sample of its period.
    Tone(usize),
}

/// Which socket of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Rtp,
    Rtcp,
}

/// Memory that the calls share, so that a packet needs none of its own.
#[derive(Debug)]
pub(super) struct Scratch {
    packet: Vec<u8>,
    sound: Vec<i16>,
    datagram: Vec<u8>,
}

impl Scratch {
    /// Larger than any datagram that a phone sends; a longer one is dropped.
    const DATAGRAM: usize = 4096;

    pub(super) fn new() -> Scratch {
        Scratch {
            packet: Vec::with_capacity(2048),
            sound: vec![0; FRAME],
            datagram: vec![0; Self::DATAGRAM],
        }
    }
}

impl Voice {
    pub(super) fn of(service: Service) -> Voice {
        match service {
            Service::Echo => Voice::Echo,
            Service::Tone => Voice::Tone(0),
        }
    }
}

impl Call {
    pub(super) fn new(
        key: CallKey,
        voice: Voice,
        line: Line,
        session: MediaSession,
        config: Config,
        pulse: Arc<Pulse>,
    ) -> Call {
        Call {
            key,
            voice,
            line,
            session,
            config,
            pulse,
            heard: None,
            lost: false,
            unsent: 0,
            #[cfg(test)]
            broken: false,
        }
    }

    /// Gives the ports back, for a call that does not begin.
    pub(super) fn into_line(self) -> Line {
        self.line
    }

    pub(super) fn register(
        &mut self,
        registry: &Registry,
        rtp: Token,
        rtcp: Token,
    ) -> io::Result<()> {
        registry.register(&mut self.line.rtp, rtp, Interest::READABLE)?;
        registry.register(&mut self.line.rtcp, rtcp, Interest::READABLE)
    }

    /// Takes what a later offer and answer settled; `None` stops both ways.
    pub(super) fn configure(&mut self, config: Option<Config>, now: Time) {
        self.config = config.unwrap_or_else(|| Config {
            direction: Direction {
                send: false,
                receive: false,
            },
            ..self.config.clone()
        });
        self.session.reconfigure(self.config.clone(), now);
        self.alive(now);
    }

    /// When [`Call::tick`] is due.
    pub(super) fn due(&self) -> Time {
        self.session.next_frame_due()
    }

    /// Sends the frame that is due, and the report that may be.
    pub(super) fn tick(&mut self, now: Time, silence: Duration, scratch: &mut Scratch) {
        #[cfg(test)]
        assert!(!self.broken, "broken by a test");
        let ready = match &mut self.voice {
            Voice::Echo => self.session.echo_frame(now, &mut scratch.packet),
            Voice::Tone(phase) => {
                let samples = self.session.frame_samples().min(FRAME);
                // Heard by nobody, but the buffer must not overflow and the reports must be right.
                if let Some(sound) = scratch.sound.get_mut(..samples) {
                    self.session.pull_frame(now, sound);
                }
                let frame = TONE.get(*phase..*phase + samples).unwrap_or_default();
                *phase = (*phase + samples) % PERIOD;
                self.session.send_frame(now, frame, &mut scratch.packet)
            }
        };
        if ready && let Some(to) = self.session.destination() {
            self.send(Port::Rtp, &scratch.packet, to);
        }
        if self.session.next_rtcp_due() <= now
            && self
                .session
                .poll_rtcp(now, wall_clock(), &mut scratch.packet)
            && let Some(to) = self.session.rtcp_destination()
        {
            self.send(Port::Rtcp, &scratch.packet, to);
        }
        // Keys and the like mean nothing to a service.
        while self.session.poll_event().is_some() {}
        self.watch(now, silence);
    }

    /// Reads at most `most` datagrams. Returns whether there may be more.
    pub(super) fn receive(
        &mut self,
        port: Port,
        now: Time,
        most: usize,
        scratch: &mut Scratch,
    ) -> bool {
        for _ in 0..most {
            let socket = match port {
                Port::Rtp => &self.line.rtp,
                Port::Rtcp => &self.line.rtcp,
            };
            let (length, from) = match socket.recv_from(&mut scratch.datagram) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An error that an earlier datagram caused; it is taken off the socket with this.
                Err(_) => continue,
            };
            let Some(bytes) = scratch.datagram.get(..length) else {
                continue;
            };
            if length == Scratch::DATAGRAM {
                continue;
            }
            match port {
                Port::Rtp => self.session.handle_rtp(now, from, bytes),
                Port::Rtcp => self.session.handle_rtcp(now, from, bytes),
            }
            if self.is_peer(from.ip()) {
                self.alive(now);
            }
        }
        true
    }

    /// Leaves the session with an RTCP BYE; what is dropped then frees the ports.
    pub(super) fn leave(mut self, registry: &Registry, now: Time, scratch: &mut Scratch) {
        if self.session.goodbye(now, wall_clock(), &mut scratch.packet)
            && let Some(to) = self.session.rtcp_destination()
        {
            self.send(Port::Rtcp, &scratch.packet, to);
        }
        // Closing a socket takes it out of the poll as well, so that a failure here changes nothing.
        let _ = registry.deregister(&mut self.line.rtp);
        let _ = registry.deregister(&mut self.line.rtcp);
        let numbers = self.session.statistics();
        tracing::debug!(
            call = self.key.0,
            sent = numbers.packets_sent,
            unsent = self.unsent,
            received = numbers.packets_received,
            lost = numbers.packets_lost,
            skipped = numbers.frames_skipped,
            discarded = ?numbers.discarded,
            "the media of a service's call ended"
        );
    }

    /// Tells signalling that this call has no media any more.
    pub(super) fn give_up(&self) {
        self.pulse.set_lost(true);
    }

    fn send(&mut self, port: Port, packet: &[u8], to: SocketAddr) {
        let socket = match port {
            Port::Rtp => &self.line.rtp,
            Port::Rtcp => &self.line.rtcp,
        };
        // Sound that cannot leave now is too old later.
        if socket.send_to(packet, to).is_err() {
            self.unsent += 1;
        }
    }

    fn is_peer(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.session
            .destination()
            .is_none_or(|peer| peer.ip() == from)
    }

    fn alive(&mut self, now: Time) {
        self.heard = Some(now);
        if core::mem::take(&mut self.lost) {
            self.pulse.set_lost(false);
        }
    }

    /// Notices a peer that is sent to and gives no sign of life.
    fn watch(&mut self, now: Time, silence: Duration) {
        let heard = *self.heard.get_or_insert(now);
        if self.config.direction.send && !self.lost && now.saturating_sub(heard) >= silence {
            self.lost = true;
            self.give_up();
        }
    }
}

fn wall_clock() -> NtpTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    NtpTime::from_unix(since_epoch.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_goes_on_without_a_seam() {
        let mut whole = vec![0; 5 * PERIOD];
        Tone::new(440.0, LEVEL, 8000).fill(&mut whole);
        let mut phase = 0;
        for frame in whole.chunks_exact(160) {
            assert_eq!(&TONE[phase..phase + 160], frame);
            phase = (phase + 160) % PERIOD;
        }
        assert!(
            TONE.len() >= PERIOD - 1 + FRAME,
            "any phase has a longest frame"
        );
    }
}
