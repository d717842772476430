//! A simulated network between two media sessions: virtual time, seeded loss, delay, duplication, and clocks that drift.

#![allow(dead_code, reason = "each test program uses its own part of the world")]

use std::net::SocketAddr;
use std::time::Duration;

use media::Time;
use media::codec::{CodecKind, ulaw_decode, ulaw_encode};
use media::rtcp::NtpTime;
use media::session::{CodecChoice, Config, FrameKind, MediaEvent, MediaSession};

/// A seeded generator (xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What the network does to packets on their way.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub delay_us: u64,
    /// Added to the delay, uniform from 0.
    pub jitter_us: u64,
    pub loss: f64,
    pub duplication: f64,
}

struct Flying {
    arrival_us: u64,
    to: usize,
    rtcp: bool,
    bytes: Vec<u8>,
}

pub struct Party {
    pub session: MediaSession,
    pub address: SocketAddr,
    /// Parts per million by which its clock runs fast.
    pub drift_ppm: f64,
    pub speech: Vec<i16>,
    pub heard: Vec<i16>,
    pub kinds: Vec<FrameKind>,
    pub events: Vec<MediaEvent>,
    pub sent: u64,
    pub lost_on_the_way: u64,
    pub duplicated: u64,
    pub longest_wait: Duration,
    pub echo: bool,
    spoken: usize,
}

pub struct World {
    pub parties: [Party; 2],
    pub weather: Weather,
    pub now_us: u64,
    dice: Dice,
    air: Vec<Flying>,
}

/// A telephone voice: harmonics of a gliding pitch under formants, in syllables with short pauses.
pub fn speech(samples: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..samples)
        .map(|n| {
            let t = n as f64 / 8000.0;
            let pitch = 130.0 + 25.0 * (t * 1.7).sin() + 8.0 * (t * 5.3).sin();
            phase += std::f64::consts::TAU * pitch / 8000.0;
            let formant = 600.0 + 200.0 * (t * 2.9).sin();
            let mut value = 0.0;
            for harmonic in 1..=24 {
                let frequency = pitch * f64::from(harmonic);
                let near =
                    |centre: f64, width: f64| 1.0 / (1.0 + ((frequency - centre) / width).powi(2));
                let weight = near(formant, 150.0) + 0.5 * near(formant * 2.6, 250.0) + 0.05;
                value += weight * (phase * f64::from(harmonic)).sin();
            }
            let syllable = ((t * 3.1 * std::f64::consts::PI).sin() * 1.6).clamp(0.0, 1.0);
            let envelope = 0.01 + syllable;
            (value * envelope * 4500.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

/// What a sample is after G.711 µ-law.
pub fn coded(sample: i16) -> i16 {
    ulaw_decode(ulaw_encode(sample))
}

pub fn config(to: SocketAddr, ssrc: u32) -> Config {
    let codec = CodecChoice {
        payload_type: 0,
        codec: CodecKind::Pcmu,
    };
    let mut config = Config::new(
        codec,
        Some(to),
        ssrc,
        "party@example.org",
        u64::from(ssrc) * 77,
    );
    config.telephone_event_send = Some(101);
    config.telephone_event_receive = Some(101);
    config
}

impl World {
    pub fn new(weather: Weather, seed: u64) -> Self {
        let addresses: [SocketAddr; 2] = [
            SocketAddr::from(([192, 0, 2, 1], 4000)),
            SocketAddr::from(([192, 0, 2, 2], 5000)),
        ];
        let party = |me: usize| Party {
            session: MediaSession::new(config(addresses[1 - me], 100 + me as u32), Time::ZERO),
            address: addresses[me],
            drift_ppm: 0.0,
            speech: speech(8000 * 20),
            heard: Vec::new(),
            kinds: Vec::new(),
            events: Vec::new(),
            sent: 0,
            lost_on_the_way: 0,
            duplicated: 0,
            longest_wait: Duration::ZERO,
            echo: false,
            spoken: 0,
        };
        Self {
            parties: [party(0), party(1)],
            weather,
            now_us: 0,
            dice: Dice(seed * 2 + 1),
            air: Vec::new(),
        }
    }

    /// The time on a party's own clock.
    pub fn clock(&self, party: usize) -> Time {
        let drift = 1.0 + self.parties[party].drift_ppm / 1e6;
        Time::from_nanos((self.now_us as f64 * 1000.0 * drift) as u64)
    }

    pub fn run(&mut self, seconds: f64) {
        let end = self.now_us + (seconds * 1e6) as u64;
        while self.now_us < end {
            self.deliver();
            for party in 0..2 {
                self.act(party);
            }
            self.now_us += 1000;
        }
    }

    fn deliver(&mut self) {
        let now_us = self.now_us;
        let mut arrived: Vec<Flying> = Vec::new();
        let mut n = 0;
        while n < self.air.len() {
            if self.air[n].arrival_us <= now_us {
                arrived.push(self.air.remove(n));
            } else {
                n += 1;
            }
        }
        arrived.sort_by_key(|flying| flying.arrival_us);
        for flying in arrived {
            let now = self.clock(flying.to);
            let mut from = self.parties[1 - flying.to].address;
            let session = &mut self.parties[flying.to].session;
            if flying.rtcp {
                from.set_port(from.port() + 1);
                session.handle_rtcp(now, from, &flying.bytes);
            } else {
                session.handle_rtp(now, from, &flying.bytes);
            }
        }
    }

    fn act(&mut self, me: usize) {
        let now = self.clock(me);
        let party = &mut self.parties[me];
        let mut bytes = Vec::new();
        let mut flying = Vec::new();
        while party.session.next_frame_due() <= now {
            let due = party.session.next_frame_due();
            let mut heard = [0i16; 160];
            let sent = if party.echo {
                party.session.echo_frame(due.max(now), &mut bytes)
            } else {
                let kind = party.session.pull_frame(now, &mut heard);
                party.kinds.push(kind);
                party.heard.extend_from_slice(&heard);
                let frame: Vec<i16> = (0..160)
                    .map(|n| party.speech[(party.spoken + n) % party.speech.len()])
                    .collect();
                party.spoken += 160;
                party.session.send_frame(now, &frame, &mut bytes)
            };
            if sent {
                party.sent += 1;
                flying.push((false, bytes.clone()));
            }
            party.longest_wait = party.longest_wait.max(party.session.waiting());
        }
        let unix = Duration::from_secs(1_700_000_000) + now;
        if party
            .session
            .poll_rtcp(now, NtpTime::from_unix(unix), &mut bytes)
        {
            flying.push((true, bytes.clone()));
        }
        while let Some(event) = party.session.poll_event() {
            party.events.push(event);
        }
        for (rtcp, bytes) in flying {
            self.throw(me, rtcp, bytes);
        }
    }

    fn throw(&mut self, from: usize, rtcp: bool, bytes: Vec<u8>) {
        let weather = self.weather;
        if self.dice.unit() < weather.loss {
            if !rtcp {
                self.parties[from].lost_on_the_way += 1;
            }
            return;
        }
        let twice = !rtcp && self.dice.unit() < weather.duplication;
        self.parties[from].duplicated += u64::from(twice);
        for _ in 0..1 + usize::from(twice) {
            let delay = weather.delay_us + (self.dice.unit() * weather.jitter_us as f64) as u64;
            self.air.push(Flying {
                arrival_us: self.now_us + delay,
                to: 1 - from,
                rtcp,
                bytes: bytes.clone(),
            });
        }
    }
}

/// Share of frames of a kind.
pub fn share(kinds: &[FrameKind], kind: FrameKind) -> f64 {
    kinds.iter().filter(|found| **found == kind).count() as f64 / kinds.len() as f64
}

/// The lag, in samples, at which `heard[at..at + length]` looks most like the coded `speech`, and their correlation.
pub fn alignment(
    speech: &[i16],
    heard: &[i16],
    at: usize,
    length: usize,
    longest: usize,
) -> (usize, f64) {
    let part = &heard[at..at + length];
    let mut best = (0, -1.0);
    for lag in 0..longest.min(at) {
        let (mut product, mut a, mut b) = (0.0, 1.0, 1.0);
        for (n, sample) in part.iter().enumerate() {
            let said = f64::from(coded(speech[(at + n - lag) % speech.len()]));
            let heard = f64::from(*sample);
            product += said * heard;
            a += said * said;
            b += heard * heard;
        }
        let correlation = product / (a * b).sqrt();
        if correlation > best.1 {
            best = (lag, correlation);
        }
    }
    best
}
