//! The sound of one call: two sockets, a session, a source and a recorder.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use media::Time;
use media::rtcp::NtpTime;
use media::session::{Config, MediaEvent, MediaSession, Statistics};
use mio::net::UdpSocket;

use crate::event::{CallNumber, Event, EventSink};
use crate::sound::{Recorder, Sound, SoundError, Source};

/// Datagrams read from one socket before the others have their turn.
const TURN: usize = 64;
/// How long a key is pressed, in milliseconds.
const PRESSED_MS: u32 = 100;
/// What a comma among keys means.
const PAUSE: Duration = Duration::from_secs(1);
/// The peer may need a moment after its answer until it hears keys.
const BEFORE_KEYS: Duration = Duration::from_millis(300);
/// Keys that may wait.
const KEYS: usize = 1024;

/// The sound of one call.
pub(crate) struct Stream {
    call: CallNumber,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    session: Option<MediaSession>,
    source: Source,
    recorder: Option<Recorder>,
    /// The call stands: the source plays and keys are pressed.
    talking: bool,
    keys: VecDeque<char>,
    keys_not_before: Time,
    events: EventSink,
    datagram: Vec<u8>,
    heard: Vec<i16>,
    said: Vec<i16>,
}

impl Stream {
    pub(crate) fn new(
        call: CallNumber,
        rtp: UdpSocket,
        rtcp: UdpSocket,
        sound: Sound,
        events: EventSink,
    ) -> Stream {
        if let Source::Devices(port) = &sound.source {
            port.headset().tell(events.clone());
        }
        Stream {
            call,
            rtp,
            rtcp,
            session: None,
            source: sound.source,
            recorder: sound.recorder,
            talking: false,
            keys: sound.keys.chars().take(KEYS).collect(),
            keys_not_before: Time::MAX,
            events,
            datagram: Vec::new(),
            heard: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(crate) fn sockets(&mut self) -> [&mut UdpSocket; 2] {
        [&mut self.rtp, &mut self.rtcp]
    }

    /// Begins the stream, or goes on with what a later offer and answer settled.
    pub(crate) fn configure(&mut self, config: Config, now: Time) {
        match &mut self.session {
            Some(session) => session.reconfigure(config, now),
            None => self.session = Some(MediaSession::new(config, now)),
        }
    }

    /// The call is answered.
    pub(crate) fn talk(&mut self, now: Time) {
        if !self.talking {
            self.talking = true;
            self.keys_not_before = now + BEFORE_KEYS;
        }
    }

    /// Keys to press after those that wait.
    pub(crate) fn press(&mut self, keys: &str) {
        let room = KEYS.saturating_sub(self.keys.len());
        self.keys.extend(keys.chars().take(room));
    }

    /// Reads what has arrived; says whether more waits.
    pub(crate) fn receive(&mut self, now: Time, buffer: &mut [u8]) -> bool {
        let mut more = false;
        for (socket, is_rtp) in [(&self.rtp, true), (&self.rtcp, false)] {
            let mut turns = 0;
            loop {
                if turns == TURN {
                    more = true;
                    break;
                }
                turns += 1;
                let (length, from) = match socket.recv_from(buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An ICMP error about something sent earlier, or an interruption.
                    Err(_) => continue,
                };
                let bytes = buffer.get(..length).unwrap_or_default();
                // What comes before the description says what it is, nobody waits for.
                let Some(session) = &mut self.session else {
                    continue;
                };
                if is_rtp {
                    session.handle_rtp(now, from, bytes);
                } else {
                    session.handle_rtcp(now, from, bytes);
                }
            }
        }
        self.tell();
        more
    }

    /// When [`Stream::run`] has something to do.
    pub(crate) fn due(&self) -> Option<Time> {
        let session = self.session.as_ref()?;
        Some(session.next_frame_due().min(session.next_rtcp_due()))
    }

    /// Does what is due: frames and reports.
    pub(crate) fn run(&mut self, now: Time) {
        while self
            .session
            .as_ref()
            .is_some_and(|s| s.next_frame_due() <= now)
        {
            self.press_next(now);
            self.frame(now);
        }
        let Some(session) = &mut self.session else {
            return;
        };
        if session.next_rtcp_due() <= now
            && session.poll_rtcp(now, wall_clock(), &mut self.datagram)
        {
            self.send_report();
        }
        self.tell();
    }

    /// Says goodbye to the peer and yields the numbers.
    pub(crate) fn end(mut self, now: Time) -> Option<Statistics> {
        if let Some(recorder) = self.recorder.take()
            && let Err(error) = recorder.finish()
        {
            self.trouble(&error);
        }
        let session = self.session.as_mut()?;
        if session.goodbye(now, wall_clock(), &mut self.datagram) {
            self.send_report();
        }
        self.session.as_ref().map(MediaSession::statistics)
    }

    /// One frame each way.
    fn frame(&mut self, now: Time) {
        let Some(session) = &mut self.session else {
            return;
        };
        let (length, rate) = (session.frame_samples(), session.sample_rate());
        self.heard.resize(length, 0);
        session.pull_frame(now, &mut self.heard);
        self.said.resize(length, 0);
        let mut trouble = None;
        if self.talking {
            trouble = self.source.fill(rate, &self.heard, &mut self.said).err();
        } else {
            self.source.listen(rate, &self.heard);
            self.said.fill(0);
        }
        if session.send_frame(now, &self.said, &mut self.datagram)
            && let Some(to) = session.destination()
        {
            // A frame that the system cannot take now is a frame lost on the way.
            let _ = self.rtp.send_to(&self.datagram, to);
        }
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.write(&self.heard, rate)
        {
            self.recorder = None;
            trouble = Some(error);
        }
        if let Some(error) = trouble {
            self.trouble(&error);
        }
    }

    /// Presses the next key when the one before is let go.
    fn press_next(&mut self, now: Time) {
        let Some(session) = &mut self.session else {
            return;
        };
        if now < self.keys_not_before || !session.dtmf_done() {
            return;
        }
        let Some(key) = self.keys.pop_front() else {
            return;
        };
        if key == ',' {
            self.keys_not_before = now + PAUSE;
        } else if let Err(refused) = session.dtmf(key, PRESSED_MS) {
            self.keys.clear();
            (self.events)(Event::SoundTrouble {
                call: self.call,
                message: format!("keys cannot be sent: {refused}"),
                file: false,
            });
        }
    }

    fn send_report(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let Some(to) = session.rtcp_destination() else {
            return;
        };
        let muxed = session.destination() == Some(to);
        let socket = if muxed { &self.rtp } else { &self.rtcp };
        let _ = socket.send_to(&self.datagram, to);
    }

    fn tell(&mut self) {
        let call = self.call;
        while let Some(event) = self.session.as_mut().and_then(MediaSession::poll_event) {
            (self.events)(match event {
                MediaEvent::Dtmf { digit, duration } => Event::Dtmf {
                    call,
                    digit,
                    duration,
                },
                MediaEvent::Stalled { heard_before } => Event::Silent { call, heard_before },
                MediaEvent::Resumed => Event::Heard { call },
                _ => continue,
            });
        }
    }

    fn trouble(&self, error: &SoundError) {
        (self.events)(Event::SoundTrouble {
            call: self.call,
            message: error.to_string(),
            file: true,
        });
    }
}

fn wall_clock() -> NtpTime {
    NtpTime::from_unix(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}
