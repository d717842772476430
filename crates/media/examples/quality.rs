//! Plays a sound through a codec, a lossy network and the jitter buffer, in virtual time, for `bench/quality` to judge.
//!
//! ```text
//! quality SOUND CODEC LOSS SEED HEARD SAID
//! ```
//! SOUND is a WAV file, or G.722 octets in a file named *.g722. LOSS is a percentage. The network delays each packet by 20 ms
//! and up to 60 more; the receiver's clock is 200 ppm fast. The sound is played twice, so that what adapts has adapted:
//! what was heard the second time goes into HEARD, what was said into SAID, both at 16 kHz.

use std::error::Error;
use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use media::Time;
use media::codec::CodecKind;
use media::resample::resample;
use media::rtcp::NtpTime;
use media::session::{CodecChoice, Config, MediaSession};
use media::wav::{WavReader, WavWriter};

const RATE: u32 = 16_000;
const DELAY_US: u64 = 20_000;
const JITTER_US: u64 = 60_000;
const DRIFT: f64 = 200e-6;
/// Five minutes of sound are more than anybody judges.
const LONGEST: usize = 300 * 48_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sound, codec, loss, seed, heard, said] = arguments.as_slice() else {
        return Err("usage: quality SOUND CODEC LOSS SEED HEARD SAID".into());
    };
    let mut kinds = CodecKind::ALL.into_iter();
    let kind = kinds
        .find(|kind| kind.name() == codec)
        .ok_or("no such codec")?;
    kind.available()?;
    let wide = read(sound)?;
    let once = resample(&wide, RATE, kind.sample_rate())?;
    let mut twice = once.clone();
    twice.extend_from_slice(&once);
    let mut call = Call::new(kind, loss.parse::<f64>()? / 100.0, seed.parse::<u64>()?);
    call.run(&twice);
    println!("{:?}", call.listener.statistics().played);
    let second = call.heard.get(once.len()..).unwrap_or_default();
    write(heard, &resample(second, kind.sample_rate(), RATE)?)?;
    write(said, &wide)
}

fn read(path: &str) -> Result<Vec<i16>, Box<dyn Error>> {
    if path.ends_with(".g722") {
        let octets = std::fs::read(path)?;
        let mut samples = vec![0; octets.len() * 2];
        CodecKind::G722.codec().decode(&octets, &mut samples)?;
        return Ok(samples);
    }
    let mut reader = WavReader::new(File::open(path)?, path)?;
    let samples = reader.read_all(LONGEST)?;
    Ok(resample(&samples, reader.sample_rate(), RATE)?)
}

fn write(path: &str, samples: &[i16]) -> Result<(), Box<dyn Error>> {
    let mut writer = WavWriter::new(File::create(path)?, path, 1, RATE)?;
    writer.write(samples)?;
    writer.finish()?;
    Ok(())
}

/// One direction of a call, with the reports of the other.
struct Call {
    speaker: MediaSession,
    listener: MediaSession,
    loss: f64,
    dice: u64,
    now_us: u64,
    /// Arrival, whether it goes to the listener, and the datagram.
    air: Vec<(u64, bool, Vec<u8>)>,
    heard: Vec<i16>,
}

impl Call {
    fn new(kind: CodecKind, loss: f64, seed: u64) -> Call {
        let choice = CodecChoice {
            payload_type: kind.payload_type(),
            codec: kind,
        };
        let side = |to: u16, ssrc| {
            let to = SocketAddr::from(([192, 0, 2, 1], to));
            MediaSession::new(Config::new(choice, Some(to), ssrc, "a", seed), Time::ZERO)
        };
        Call {
            speaker: side(6000, 1),
            listener: side(4000, 2),
            loss,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now_us: 0,
            air: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1u64 << 53) as f64
    }

    fn run(&mut self, sound: &[i16]) {
        let frame = self.speaker.frame_samples();
        let mut frames = sound.chunks_exact(frame);
        let mut bytes = Vec::new();
        let mut out = vec![0i16; self.listener.sample_rate() as usize / 50];
        let mut pulled = 0u32;
        while self.heard.len() < sound.len() {
            let now = Time::from_micros(self.now_us);
            let listeners = Time::from_secs_f64(self.now_us as f64 / 1e6 * (1.0 + DRIFT));
            self.deliver(now, listeners);
            while self.speaker.next_frame_due() <= now {
                let silence = [];
                let said = frames.next().unwrap_or(&silence);
                if self.speaker.send_frame(now, said, &mut bytes) {
                    self.throw(true, bytes.clone());
                }
            }
            let ntp = NtpTime::from_unix(Duration::from_secs(1_700_000_000) + now);
            if self.speaker.poll_rtcp(now, ntp, &mut bytes) {
                self.throw(true, bytes.clone());
            }
            if self.listener.poll_rtcp(listeners, ntp, &mut bytes) {
                self.throw(false, bytes.clone());
            }
            if listeners >= Time::from_millis(20) * pulled {
                pulled += 1;
                self.listener.pull_frame(listeners, &mut out);
                self.heard.extend_from_slice(&out);
            }
            self.now_us += 500;
        }
    }

    fn throw(&mut self, to_listener: bool, bytes: Vec<u8>) {
        let lost = self.chance() < self.loss;
        let arrival = self.now_us + DELAY_US + (self.chance() * JITTER_US as f64) as u64;
        if !lost {
            self.air.push((arrival, to_listener, bytes));
        }
    }

    fn deliver(&mut self, now: Time, listeners: Time) {
        self.air.sort_by_key(|(arrival, ..)| *arrival);
        let landed = self
            .air
            .partition_point(|(arrival, ..)| *arrival <= self.now_us);
        for (_, to_listener, bytes) in self.air.drain(..landed) {
            let from = |port| SocketAddr::from(([192, 0, 2, 1], port));
            // RTCP on the RTP port is told apart by its first octets (RFC 5761).
            if to_listener {
                self.listener.handle_rtp(listeners, from(4000), &bytes);
            } else {
                self.speaker.handle_rtp(now, from(6000), &bytes);
            }
        }
    }
}
