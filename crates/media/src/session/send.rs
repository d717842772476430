use super::secure::first_sequence;
use super::{CodecChoice, Config, MediaSession, pacer};
use crate::Time;
use crate::codec::Codec;
use crate::dtmf::{self, Refused};
use crate::pace::Pacer;
use crate::random::Random;
use crate::rtp::Builder;

/// The sending half.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) pacer: Pacer,
    pub(super) echo: Vec<i16>,
    codec: Box<dyn Codec>,
    sequence: u16,
    /// Timestamp of the frame due next.
    pub(super) timestamp: u32,
    /// The next packet of sound opens a talkspurt.
    marker: bool,
    payload: Vec<u8>,
    keys: dtmf::Sender,
}

impl Sending {
    pub(super) fn new(config: &Config, now: Time, random: &mut Random) -> Self {
        let bits = random.bits();
        Self {
            pacer: pacer(now, config),
            echo: Vec::new(),
            codec: config.send.codec.codec(),
            sequence: first_sequence(random),
            timestamp: bits as u32,
            marker: true,
            payload: Vec::new(),
            keys: dtmf::Sender::new(config.send.codec.clock_rate()),
        }
    }

    pub(super) fn reconfigure(&mut self, before: &CodecChoice, frame: &Time, config: &Config) {
        if before.codec != config.send.codec {
            self.codec = config.send.codec.codec();
            if before.codec.clock_rate() != config.send.codec.clock_rate() {
                self.keys = dtmf::Sender::new(config.send.codec.clock_rate());
            }
        }
        if *frame != config.frame_time() {
            self.pacer = pacer(self.pacer.due(), config);
        }
    }

    /// Goes on as a new source.
    pub(super) fn restart(&mut self, random: &mut Random) {
        self.sequence = first_sequence(random);
        self.marker = true;
    }

    pub(super) fn echo_buffer(&mut self, samples: usize) -> Vec<i16> {
        let mut buffer = core::mem::take(&mut self.echo);
        buffer.clear();
        buffer.resize(samples, 0);
        buffer
    }
}

impl MediaSession {
    /// When [`MediaSession::send_frame`] must be called next.
    pub fn next_frame_due(&self) -> Time {
        self.sending.pacer.due()
    }

    /// Takes the frame that is due and builds its packet in `out`: sound, or a telephone-event in its place. Returns
    /// whether there is a packet to send to [`MediaSession::destination`].
    ///
    /// `pcm` is normally [`MediaSession::frame_samples`] long; empty, it stands for a frame of silence that is not sent.
    /// When the call comes so late that frames must be left out, the timestamps say so.
    pub fn send_frame(&mut self, now: Time, pcm: &[i16], out: &mut Vec<u8>) -> bool {
        self.watch(now);
        let codec = self.config.send.codec;
        let frame = self.frame_samples();
        let units = |samples: u64| {
            (samples * u64::from(codec.clock_rate()) / u64::from(codec.sample_rate())) as u32
        };
        let sending = &mut self.sending;
        let skipped = sending.pacer.advance(now);
        if skipped > 0 {
            self.statistics.frames_skipped += skipped;
            sending.timestamp = sending
                .timestamp
                .wrapping_add(units(skipped.wrapping_mul(frame as u64)));
            sending.marker = true;
        }
        let length = units(if pcm.is_empty() { frame } else { pcm.len() } as u64);
        let timestamp = sending.timestamp;
        sending.timestamp = timestamp.wrapping_add(length);
        if !self.config.direction.send
            || self.latch.destination().is_none()
            || !self.shield.is_ready()
        {
            sending.marker = true;
            return false;
        }
        let mut packet = Builder {
            sequence: sending.sequence,
            ssrc: self.config.ssrc,
            ..Builder::default()
        };
        let event;
        let key = self
            .config
            .telephone_event_send
            .and_then(|kind| Some((kind, sending.keys.frame(timestamp, length)?)));
        if let Some((payload_type, key)) = key {
            event = key.payload.bytes();
            packet.payload_type = payload_type;
            packet.timestamp = key.timestamp;
            packet.marker = key.marker;
            packet.payload = &event;
        } else {
            if pcm.is_empty() {
                sending.marker = true;
                return false;
            }
            sending.payload.clear();
            sending
                .payload
                .resize(sending.codec.max_payload(pcm.len()), 0);
            let Ok(octets) = sending.codec.encode(pcm, &mut sending.payload) else {
                return false;
            };
            packet.payload_type = self.config.send.payload_type;
            packet.timestamp = timestamp;
            packet.marker = core::mem::take(&mut sending.marker);
            packet.payload = sending.payload.get(..octets).unwrap_or_default();
        }
        if packet.write(out).is_err() {
            return false;
        }
        sending.sequence = sending.sequence.wrapping_add(1);
        if !self.shield.protect_rtp(out) {
            return false;
        }
        self.statistics.packets_sent += 1;
        self.statistics.octets_sent += packet.payload.len() as u64;
        self.reporting.sent();
        true
    }

    /// Queues a key to be sent as a telephone-event, held for `duration_ms` (40 ms to 60 s).
    ///
    /// # Errors
    /// [`Refused`] when the other side takes no telephone-events, the key is unknown, or too many wait.
    pub fn dtmf(&mut self, digit: char, duration_ms: u32) -> Result<(), Refused> {
        if self.config.telephone_event_send.is_none() {
            return Err(Refused::NotNegotiated);
        }
        self.sending.keys.press(digit, duration_ms)
    }

    /// Whether all keys queued have been sent.
    pub fn dtmf_done(&self) -> bool {
        self.sending.keys.is_idle()
    }
}
