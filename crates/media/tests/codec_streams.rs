//! Streams of every codec through a lossy network, in virtual time: what is sent is heard, also when the codec, its clock and
//! its sample rate change on the way.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::net::SocketAddr;

use media::Time;
use media::codec::{CodecKind, Encoding};
use media::rtcp::NtpTime;
use media::session::{CodecChoice, Config, FrameKind, MediaEvent, MediaSession};
use world::{Dice, speech};

/// One direction of a call.
struct Line {
    sender: MediaSession,
    receiver: MediaSession,
    now_ms: u64,
    /// What was heard, at 8 kHz, whatever the codec.
    heard: Vec<i16>,
    kinds: Vec<FrameKind>,
    events: Vec<MediaEvent>,
    sent: u64,
    air: Vec<(u64, Vec<u8>)>,
    dice: Dice,
    loss: f64,
    jitter_ms: u64,
    spoken: usize,
    down: Option<(u32, media::resample::Resampler)>,
    up: Option<(u32, media::resample::Resampler)>,
}

const A: ([u8; 4], u16) = ([192, 0, 2, 1], 4000);
const B: ([u8; 4], u16) = ([192, 0, 2, 2], 5000);

fn choice(kind: CodecKind) -> CodecChoice {
    CodecChoice {
        payload_type: kind.payload_type(),
        codec: kind,
    }
}

fn config(kind: CodecKind, to: ([u8; 4], u16), ssrc: u32) -> Config {
    Config {
        receive: CodecKind::ALL.into_iter().map(choice).collect(),
        telephone_event_send: Some(101),
        telephone_event_receive: Some(101),
        ..Config::new(choice(kind), Some(SocketAddr::from(to)), ssrc, "a", 5)
    }
}

impl Line {
    fn new(kind: CodecKind) -> Line {
        Line {
            sender: MediaSession::new(config(kind, B, 1), Time::ZERO),
            receiver: MediaSession::new(config(kind, A, 2), Time::ZERO),
            now_ms: 0,
            heard: Vec::new(),
            kinds: Vec::new(),
            events: Vec::new(),
            sent: 0,
            air: Vec::new(),
            dice: Dice(4711),
            loss: 0.0,
            jitter_ms: 0,
            spoken: 0,
            down: None,
            up: None,
        }
    }

    /// Both sides agree on something else.
    fn reconfigure(&mut self, change: impl Fn(Config) -> Config, kind: CodecKind) {
        let now = Time::from_millis(self.now_ms);
        self.sender.reconfigure(change(config(kind, B, 1)), now);
        self.receiver.reconfigure(change(config(kind, A, 2)), now);
    }

    /// Runs with what `said`, at 8 kHz, says from where it was.
    fn run(&mut self, ms: u64, said: &[i16]) {
        let end = self.now_ms + ms;
        let mut bytes = Vec::new();
        while self.now_ms < end {
            let now = Time::from_millis(self.now_ms);
            let (arrived, flying) = core::mem::take(&mut self.air)
                .into_iter()
                .partition(|(at, _): &(u64, Vec<u8>)| *at <= self.now_ms);
            self.air = flying;
            let mut arrived: Vec<(u64, Vec<u8>)> = arrived;
            arrived.sort_by_key(|(at, _)| *at);
            for (_, datagram) in arrived {
                self.receiver
                    .handle_rtp(now, SocketAddr::from(A), &datagram);
            }
            while self.sender.next_frame_due() <= now {
                let frame = self.frame(said);
                if self.sender.send_frame(now, &frame, &mut bytes) {
                    self.sent += 1;
                    if self.dice.unit() >= self.loss {
                        let delay = 20 + (self.dice.unit() * self.jitter_ms as f64) as u64;
                        self.air.push((self.now_ms + delay, bytes.clone()));
                    }
                }
            }
            if self.now_ms.is_multiple_of(20) {
                self.hear(now);
            }
            self.now_ms += 1;
        }
    }

    fn frame(&mut self, said: &[i16]) -> Vec<i16> {
        let (rate, wanted) = (self.sender.sample_rate(), self.sender.frame_samples());
        let narrow = wanted * 8000 / rate as usize;
        let part: Vec<i16> = (0..narrow)
            .map(|n| said[(self.spoken + n) % said.len()])
            .collect();
        self.spoken += narrow;
        let mut frame = Vec::new();
        if self.up.as_ref().is_none_or(|(to, _)| *to != rate) {
            self.up = Some((rate, media::resample::Resampler::new(8000, rate).unwrap()));
        }
        self.up.as_mut().unwrap().1.process(&part, &mut frame);
        frame
    }

    fn hear(&mut self, now: Time) {
        let rate = self.receiver.sample_rate();
        let mut frame = vec![0; rate as usize / 50];
        self.kinds.push(self.receiver.pull_frame(now, &mut frame));
        if self.down.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.down = Some((rate, media::resample::Resampler::new(rate, 8000).unwrap()));
        }
        self.down
            .as_mut()
            .unwrap()
            .1
            .process(&frame, &mut self.heard);
        while let Some(event) = self.receiver.poll_event() {
            self.events.push(event);
        }
    }

    /// The share of 100 ms blocks from `from_ms` on that are heard like what was said, at any delay below 300 ms.
    fn likeness(&self, said: &[i16], from_ms: usize, least: f64) -> f64 {
        let (mut good, mut all) = (0, 0);
        for at in (from_ms * 8..self.heard.len() - 800).step_by(800) {
            let block = &self.heard[at..at + 800];
            let loud = block.iter().map(|x| i64::from(*x).pow(2)).sum::<i64>() / 800;
            if loud < 200 * 200 {
                continue;
            }
            let best = (0..2400.min(at))
                .map(|lag| correlation(block, said, at - lag))
                .fold(-1.0, f64::max);
            all += 1;
            good += usize::from(best > least);
        }
        assert!(all > 5, "{all} blocks with sound");
        f64::from(good as u32) / f64::from(all)
    }

    fn share(&self, kind: FrameKind) -> f64 {
        world::share(&self.kinds, kind)
    }
}

fn correlation(block: &[i16], said: &[i16], at: usize) -> f64 {
    let (mut product, mut a, mut b) = (0.0f32, 1.0f32, 1.0f32);
    for (n, heard) in block.iter().enumerate().step_by(2) {
        let (x, y) = (f32::from(*heard), f32::from(said[(at + n) % said.len()]));
        product += x * y;
        a += x * x;
        b += y * y;
    }
    f64::from(product / (a * b).sqrt())
}

fn available() -> impl Iterator<Item = CodecKind> {
    CodecKind::ALL
        .into_iter()
        .filter(|kind| match kind.available() {
            Ok(()) => true,
            Err(reason) => {
                println!("{} is not tested: {reason}", kind.name());
                false
            }
        })
}

#[test]
fn every_codec_is_heard_through_the_jitter_buffer() {
    let said = speech(8000 * 10);
    for kind in available() {
        let mut line = Line::new(kind);
        line.jitter_ms = 30;
        line.run(3000, &said);
        let frame_ms = u64::from(kind.default_packet_ms());
        assert_eq!(line.sent, 3000 / frame_ms, "{kind:?}");
        let least = if line.receiver.sample_rate() > 8000 || kind.packet_ms(20) != 20 {
            0.7
        } else {
            0.75
        };
        let likeness = line.likeness(&said, 700, least);
        println!("{}: {:.0} % alike", kind.name(), likeness * 100.0);
        assert!(likeness > 0.85, "{kind:?}: {likeness}");
        assert!(line.share(FrameKind::Audio) > 0.9, "{kind:?}");
        let played = line.receiver.statistics().played;
        assert_eq!((played.dropped, played.restarts), (0, 0), "{kind:?}");
    }
}

#[test]
fn lost_frames_are_made_up_and_opus_finds_them_again() {
    let said = speech(8000 * 10);
    for kind in available() {
        let mut line = Line::new(kind);
        line.run(1000, &said);
        let ntp = NtpTime(1 << 40);
        let mut report = Vec::new();
        line.loss = 0.1;
        for _ in 0..4 {
            line.run(1500, &said);
            // What the receiver tells the sender of the loss.
            let now = Time::from_millis(line.now_ms);
            if line.receiver.poll_rtcp(now, ntp, &mut report) {
                let from = SocketAddr::from((B.0, B.1 + 1));
                line.sender.handle_rtcp(now, from, &report);
            }
        }
        let played = line.receiver.statistics().played;
        let made_up = played.concealed + played.recovered;
        assert!((15..70).contains(&made_up), "{kind:?}: {played:?}");
        assert_eq!(
            played.recovered > made_up / 2,
            kind == CodecKind::Opus,
            "{kind:?}: {played:?}"
        );
        assert!(line.share(FrameKind::Silence) < 0.03, "{kind:?}");
        let likeness = line.likeness(&said, 1000, 0.6);
        println!("{}: {:.0} % alike", kind.name(), likeness * 100.0);
        assert!(likeness > 0.7, "{kind:?}: {likeness}");
    }
}

#[test]
fn the_codec_changes_in_mid_call() {
    let said = speech(8000 * 20);
    let mut line = Line::new(CodecKind::Pcmu);
    line.run(1500, &said);
    // The sender changes alone: the receiver still plays at the rate of its own codec.
    for kind in [
        CodecKind::Opus,
        CodecKind::G722,
        CodecKind::Opus,
        CodecKind::Pcma,
    ] {
        let now = Time::from_millis(line.now_ms);
        line.sender.reconfigure(config(kind, B, 1), now);
        line.run(1500, &said);
    }
    let likeness = line.likeness(&said, 500, 0.8);
    assert!(likeness > 0.85, "{likeness}");
    assert!(line.share(FrameKind::Audio) > 0.95);
    let played = line.receiver.statistics().played;
    assert_eq!((played.restarts, played.late), (0, 0), "{played:?}");
    assert_eq!(line.receiver.statistics().discarded.payload, 0);
    // Both change: another rate is played.
    line.reconfigure(|config| config, CodecKind::Opus);
    assert_eq!(line.receiver.sample_rate(), 48_000);
    let before = line.heard.len();
    line.run(2000, &said);
    let likeness = line.likeness(&said, before / 8 + 300, 0.8);
    assert!(likeness > 0.85, "{likeness}");
}

#[test]
fn keys_have_their_length_with_every_clock() {
    for (kind, event_rate) in [
        (CodecKind::Pcmu, 8000),
        (CodecKind::Opus, 48_000),
        (CodecKind::Opus, 8000),
    ] {
        let mut line = Line::new(kind);
        let change = |config: Config| Config {
            telephone_event_rate: event_rate,
            ..config
        };
        line.reconfigure(change, kind);
        line.run(300, &[0; 160]);
        line.sender.dtmf('7', 160).unwrap();
        line.run(600, &[0; 160]);
        let keys: Vec<_> = line
            .events
            .iter()
            .filter_map(|event| match event {
                MediaEvent::Dtmf { digit, duration } => Some((*digit, duration.as_millis())),
                _ => None,
            })
            .collect();
        assert_eq!(
            keys,
            [('7', 160)],
            "{kind:?} with events of {event_rate} Hz"
        );
    }
}

/// Half a second of speech, then nothing, in turn.
fn with_pauses() -> Vec<i16> {
    let mut said = speech(8000 * 8);
    for pause in said[8000..].chunks_mut(24_000) {
        let silent = pause.len().min(16_000);
        pause[..silent].fill(0);
    }
    said
}

#[test]
fn pauses_are_not_sent_and_not_taken_for_loss() {
    let said = with_pauses();
    let kinds = [
        CodecKind::Opus,
        CodecKind::Pcmu,
        CodecKind::G729,
        CodecKind::Speex,
    ];
    for kind in available().filter(|kind| kinds.contains(kind)) {
        let mut line = Line::new(kind);
        let suppress = |config: Config| Config {
            encoding: Encoding {
                silence_suppression: true,
                ..Encoding::default()
            },
            comfort_noise_send: (kind == CodecKind::Pcmu).then_some(13),
            ..config
        };
        line.reconfigure(suppress, kind);
        line.run(8000, &said);
        assert!(line.sent < 300, "{kind:?}: {} of 400 packets", line.sent);
        let statistics = line.receiver.statistics();
        assert_eq!(statistics.packets_lost, 0, "{kind:?}");
        assert!(
            statistics.played.concealed < 25,
            "{kind:?}: {:?}",
            statistics.played
        );
        assert!(line.share(FrameKind::ComfortNoise) > 0.2, "{kind:?}");
        let likeness = line.likeness(&said, 100, 0.6);
        assert!(likeness > 0.8, "{kind:?}: {likeness}");
    }
}
