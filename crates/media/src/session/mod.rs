//! One audio stream of a call: RTP and RTCP in and out, sound in and out.
//!
//! The owner moves the datagrams and tells the time:
//!
//! ```
//! use media::Time;
//! use media::codec::CodecKind;
//! use media::session::{CodecChoice, Config, MediaSession};
//!
//! let codec = CodecChoice { payload_type: 0, codec: CodecKind::Pcmu };
//! let there = "192.0.2.7:4000".parse().unwrap();
//! let mut now = Time::ZERO;
//! let mut session = MediaSession::new(Config::new(codec, Some(there), 0x1234, "me@host", 1), now);
//!
//! let mut datagram = Vec::new();
//! let mut heard = vec![0i16; session.frame_samples()];
//! for _ in 0..50 {
//!     now = session.next_frame_due();
//!     let spoken = vec![0i16; session.frame_samples()];
//!     if session.send_frame(now, &spoken, &mut datagram) {
//!         // Send `datagram` to `session.destination()`; give what comes back to `handle_rtp`.
//!     }
//!     session.pull_frame(now, &mut heard);
//!     while let Some(event) = session.poll_event() {
//!         println!("{event:?}");
//!     }
//! }
//! assert_eq!(session.statistics().packets_sent, 50);
//! ```

mod config;
mod latch;
mod receive;
mod report;
mod secure;
mod send;
mod statistics;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::Time;
use crate::codec::Codec;
use crate::dtmf;
use crate::pace::Pacer;
use crate::playout::Playout;
use crate::random::Random;

pub use crate::playout::FrameKind;
pub use config::{CodecChoice, Config, Direction};
pub use secure::Protection;
pub use statistics::{Discarded, RemoteView, Statistics};

/// Events kept for the owner.
const EVENTS: usize = 64;
/// Frames that may be sent at once to make up for a late call.
const BURST: u32 = 3;

/// One audio stream, both ways.
#[derive(Debug)]
pub struct MediaSession {
    config: Config,
    random: Random,
    statistics: Statistics,
    events: VecDeque<MediaEvent>,
    latch: latch::Latch,
    shield: secure::Shield,
    sending: send::Sending,
    receiving: receive::Receiving,
    reporting: report::Reporting,
    playout: Playout,
}

/// What the owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaEvent {
    /// The other side pressed a key; told once, when it was let go.
    Dtmf {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held.
        duration: Time,
    },
    /// The other side pressed the hook flash.
    Flash,
    /// The first packets came, from here; the stream is sent there from now on.
    FirstPacket {
        /// Their source.
        from: SocketAddr,
    },
    /// The other side sends from another address; the stream follows.
    SourceChanged {
        /// The new source.
        from: SocketAddr,
    },
    /// The other side's RTCP said goodbye.
    RemoteBye,
    /// Nothing has come for [`Config::stall`], though it should.
    Stalled {
        /// Whether anything came before.
        heard_before: bool,
    },
    /// Packets come again after a stall.
    Resumed,
}

impl MediaSession {
    /// Begins a stream; its first frame is due at `now`.
    pub fn new(config: Config, now: Time) -> Self {
        let mut random = Random::new(config.seed);
        let noise = random.bits();
        let mut latch = latch::Latch::new(config.destination);
        latch.steer(config.steered);
        Self {
            statistics: Statistics::default(),
            events: VecDeque::new(),
            latch,
            shield: secure::Shield::new(&config.protection),
            sending: send::Sending::new(&config, now, &mut random),
            receiving: receive::Receiving::new(&config, now),
            reporting: report::Reporting::new(&config, now, &mut random),
            playout: Playout::new(codecs(&config), config.jitter, noise),
            random,
            config,
        }
    }

    /// Takes what a later offer and answer settled. SSRC, sequence numbers, timestamps and counts go on.
    pub fn reconfigure(&mut self, config: Config, now: Time) {
        let before = core::mem::replace(&mut self.config, config);
        self.config.ssrc = before.ssrc;
        self.config.cname.clone_from(&before.cname);
        self.config.seed = before.seed;
        self.config.jitter = before.jitter;
        let protection = self.config.protection.clone();
        self.config.protection.clone_from(&before.protection);
        self.protect(protection);
        self.latch.describe(self.config.destination);
        self.latch.steer(self.config.steered);
        self.sending
            .reconfigure(&before.send, &before.frame_time(), &self.config);
        if before.receive != self.config.receive {
            self.playout.set_codecs(codecs(&self.config));
        }
        self.receiving
            .reconfigure(&self.config, !before.direction.receive, now);
        self.reporting.describe(&self.config);
    }

    /// Where to send RTP now; `None` when the other side gave no address and none was seen.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.latch.destination()
    }

    /// The way that ICE found for a component, 1 for RTP and 2 for RTCP; `None` when it is closed and nothing may be sent.
    pub fn set_route(&mut self, now: Time, component: u8, to: Option<SocketAddr>) {
        if component == 1 {
            self.latch.route(now, to);
        } else {
            self.reporting.route = to;
        }
    }

    /// ICE found nothing: where packets go is up to the description and to what comes, as without it.
    pub fn give_up_route(&mut self) {
        self.config.steered = false;
        self.latch.steer(false);
    }

    /// Samples per second that go in and come out.
    pub fn sample_rate(&self) -> u32 {
        self.config.send.codec.sample_rate()
    }

    /// Samples of one frame to send.
    pub fn frame_samples(&self) -> usize {
        (self.config.frame_time().as_millis() as u64 * u64::from(self.sample_rate()) / 1000)
            as usize
    }

    /// Fills `pcm` with what is to be heard next, any number of samples. It is called at the pace of the loudspeaker.
    pub fn pull_frame(&mut self, now: Time, pcm: &mut [i16]) -> FrameKind {
        self.watch(now);
        if !self.config.direction.receive {
            pcm.fill(0);
            return FrameKind::Silence;
        }
        self.playout.pull(now, pcm, self.receiving.is_pressed())
    }

    /// Sends back what was heard: pulls one frame and builds its packet in `out`. Returns whether there is one to send.
    /// It takes the place of both [`MediaSession::pull_frame`] and [`MediaSession::send_frame`].
    pub fn echo_frame(&mut self, now: Time, out: &mut Vec<u8>) -> bool {
        let mut pcm = self.sending.echo_buffer(self.frame_samples());
        self.pull_frame(now, &mut pcm);
        let sent = self.send_frame(now, &pcm, out);
        self.sending.echo = pcm;
        sent
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// The numbers so far.
    pub fn statistics(&self) -> Statistics {
        let (lost, jitter) = self.receiving.loss(&self.statistics);
        Statistics {
            packets_lost: lost,
            jitter,
            played: self.playout.played(),
            playout_delay: self.playout.target(),
            ..self.statistics
        }
    }

    /// Sound that waits to be heard: decoded and not yet decoded.
    pub fn waiting(&self) -> Time {
        self.playout.waiting()
    }

    fn tell(&mut self, event: MediaEvent) {
        if self.events.len() < EVENTS {
            self.events.push_back(event);
        } else {
            self.statistics.discarded.events += 1;
        }
    }

    fn tell_key(&mut self, event: dtmf::Event) {
        match dtmf::key(event.code) {
            Some(digit) => {
                let rate = self.config.send.codec.clock_rate();
                let duration = crate::rtp::duration(u64::from(event.units), rate);
                self.tell(MediaEvent::Dtmf { digit, duration });
            }
            None if event.code == dtmf::FLASH => self.tell(MediaEvent::Flash),
            None => {}
        }
    }
}

fn codecs(config: &Config) -> Vec<(u8, Box<dyn Codec>)> {
    config
        .receive
        .iter()
        .map(|choice| (choice.payload_type, choice.codec.codec()))
        .collect()
}

fn pacer(start: Time, config: &Config) -> Pacer {
    Pacer::new(start, config.frame_time(), BURST)
}
