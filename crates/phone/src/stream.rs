//! The sound of one call: two sockets, a session, a source and a recorder.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use media::Time;
use media::mix::{Mixer, limited};
use media::rtcp::NtpTime;
use media::session::{Config, MediaEvent, MediaSession, Statistics};
use mio::net::UdpSocket;
use net::{Batch, FEW};

use crate::event::{CallNumber, Event, EventSink, Quality};
use crate::level::Level;
use crate::passage::{News, Passage, Terms};
use crate::sound::{Recorder, Sound, SoundError, Source};

/// Batches of datagrams read from one socket before the others have their turn.
const TURN: usize = 8;
/// How often a call that is watched tells how it sounds.
const WATCHED_EVERY: Duration = Duration::from_secs(1);
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
    passage: Passage,
    source: Source,
    /// What is played in place of the source.
    playing: Option<Source>,
    recorder: Option<Recorder>,
    /// Our side is silenced.
    muted: bool,
    /// We hold the peer: it hears silence, and the source waits.
    held: bool,
    /// Part of the conference.
    joined: bool,
    /// When the next report about the sound is due.
    watched: Option<Time>,
    levels: (Level, Level),
    /// The call stands: the source plays and keys are pressed.
    talking: bool,
    keys: VecDeque<char>,
    keys_not_before: Time,
    events: EventSink,
    datagram: Vec<u8>,
    heard: Vec<i16>,
    said: Vec<i16>,
    /// What the other members of the conference say.
    others: Vec<i16>,
}

impl Stream {
    pub(crate) fn new(
        call: CallNumber,
        rtp: UdpSocket,
        rtcp: UdpSocket,
        passage: Passage,
        sound: Sound,
        events: EventSink,
    ) -> Stream {
        if let Some(port) = sound.source.port() {
            port.headset().tell(events.clone());
        }
        Stream {
            call,
            rtp,
            rtcp,
            session: None,
            passage,
            source: sound.source,
            playing: None,
            recorder: sound.recorder,
            muted: false,
            held: false,
            joined: false,
            watched: None,
            levels: Default::default(),
            talking: false,
            keys: sound.keys.chars().take(KEYS).collect(),
            keys_not_before: Time::MAX,
            events,
            datagram: Vec::new(),
            heard: Vec::new(),
            said: Vec::new(),
            others: Vec::new(),
        }
    }

    pub(crate) fn sockets(&mut self) -> [&mut UdpSocket; 2] {
        [&mut self.rtp, &mut self.rtcp]
    }

    /// Begins the stream, or goes on with what a later offer and answer settled. A new stream's first frame is due at
    /// `start`.
    pub(crate) fn configure(
        &mut self,
        (mut config, terms): (Config, Terms),
        held: bool,
        now: Time,
        start: Time,
    ) {
        self.held = held;
        if let Some(keys) = self.passage.keys(&terms) {
            config.protection = keys;
        }
        match &mut self.session {
            Some(session) => session.reconfigure(config, now),
            None => self.session = Some(MediaSession::new(config, start)),
        }
        let news = self.passage.agree(now, terms);
        self.spread(news);
        self.travel(now);
    }

    /// Whether frames are due from time to time.
    pub(crate) fn is_running(&self) -> bool {
        self.session.is_some()
    }

    /// The call is answered.
    pub(crate) fn talk(&mut self, now: Time) {
        if !self.talking {
            self.talking = true;
            self.keys_not_before = now + BEFORE_KEYS;
        }
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Tells once a second how it sounds, or no longer.
    pub(crate) fn watch(&mut self, watched: bool, now: Time) {
        self.watched = watched.then(|| now + WATCHED_EVERY);
        self.levels = Default::default();
    }

    /// The rate of its frames, as a member of the conference.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.session.as_ref().map(MediaSession::sample_rate)
    }

    /// Whether it is part of the conference.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined
    }

    /// Joins the conference, or leaves it.
    pub(crate) fn join(&mut self, joined: bool) {
        if std::mem::replace(&mut self.joined, joined) != joined {
            let call = self.call;
            (self.events)(Event::Conference { call, joined });
        }
    }

    /// Records from now on, or no longer.
    pub(crate) fn record(&mut self, recorder: Option<(PathBuf, Recorder)>) {
        let (file, recorder) = recorder.unzip();
        let before = std::mem::replace(&mut self.recorder, recorder);
        if before.is_none() && file.is_none() {
            return;
        }
        if let Some(Err(error)) = before.map(Recorder::finish) {
            self.trouble(&error);
        }
        let call = self.call;
        (self.events)(Event::Recording { call, file });
    }

    /// Plays a file in place of the source, or no longer.
    pub(crate) fn play(&mut self, source: Option<(PathBuf, Source)>) {
        let (file, source) = source.unzip();
        if self.playing.is_none() && source.is_none() {
            return;
        }
        self.playing = source;
        let call = self.call;
        (self.events)(Event::Playing { call, file });
    }

    /// Keys to press after those that wait.
    pub(crate) fn press(&mut self, keys: &str) {
        let room = KEYS.saturating_sub(self.keys.len());
        self.keys.extend(keys.chars().take(room));
    }

    /// Reads what has arrived at one of the sockets; says whether more waits.
    pub(crate) fn receive(&mut self, is_rtp: bool, now: Time, batch: &mut Batch) -> bool {
        let socket = if is_rtp { &self.rtp } else { &self.rtcp };
        let mut more = true;
        for _ in 0..TURN {
            let received = match batch.receive(socket, FEW) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                // An ICMP error about something sent earlier, or an interruption.
                Err(_) => continue,
            };
            let component = if is_rtp { 1 } else { 2 };
            for (bytes, from) in (0..received).filter_map(|n| batch.datagram(n)) {
                if self.passage.handle(now, component, from, bytes) {
                    continue;
                }
                // What comes before the description says what it is, nobody waits for.
                match &mut self.session {
                    Some(session) if is_rtp => session.handle_rtp(now, from, bytes),
                    Some(session) => session.handle_rtcp(now, from, bytes),
                    None => {}
                }
            }
            if received < FEW {
                more = false;
                break;
            }
        }
        self.travel(now);
        self.tell();
        more
    }

    /// When [`Stream::hear`] or [`Stream::report`] has something to do.
    pub(crate) fn due(&self) -> Option<Time> {
        let session = self.session.as_ref()?;
        let sound = session.next_frame_due().min(session.next_rtcp_due());
        let passage = self.passage.due(session);
        Some(passage.map_or(sound, |due| due.min(sound)))
    }

    /// Lets ICE and DTLS do what is due, and sends the report that is due, if one is.
    pub(crate) fn report(&mut self, now: Time) {
        self.travel(now);
        let Some(session) = &mut self.session else {
            return;
        };
        if session.next_rtcp_due() <= now
            && session.poll_rtcp(now, wall_clock(), &mut self.datagram)
        {
            self.send_report();
        }
        if self.watched.is_some_and(|at| at <= now) {
            self.watched = Some(now + WATCHED_EVERY);
            self.tell_quality();
        }
        self.tell();
    }

    /// Lets ICE and DTLS do what is due.
    fn travel(&mut self, now: Time) {
        let (rtp, rtcp) = (&self.rtp, &self.rtcp);
        let send = |component: u8, to, bytes: &[u8]| {
            let socket = if component == 1 { rtp } else { rtcp };
            // What the system cannot take now is lost on the way, and sent again.
            let _ = socket.send_to(bytes, to);
        };
        let news = match &mut self.session {
            Some(session) => self.passage.run(now, session, send),
            None => {
                self.passage.answer_early(send);
                Vec::new()
            }
        };
        self.spread(news);
    }

    fn spread(&self, news: impl IntoIterator<Item = News>) {
        let call = self.call;
        for news in news {
            (self.events)(match news {
                News::Found { remote, kind } => Event::PathFound {
                    call,
                    remote,
                    kind: kind.name(),
                },
                News::NoWay => Event::Notice {
                    call,
                    message: "ICE found no way: sound goes where the description says".to_owned(),
                },
                News::Closed => Event::SoundTrouble {
                    call,
                    message: "the other side does not answer any more: no sound is sent".to_owned(),
                    file: false,
                },
                News::Secured(suite) => Event::Secured { call, suite },
                News::Insecure(message) => Event::SoundTrouble {
                    call,
                    message: format!("no sound: {message}"),
                    file: false,
                },
            });
        }
    }

    fn tell_quality(&mut self) {
        let Some(session) = &self.session else {
            return;
        };
        let quality = Quality {
            heard: self.levels.0.take(),
            said: self.levels.1.take(),
            statistics: session.statistics(),
        };
        let call = self.call;
        let quality = Box::new(quality);
        (self.events)(Event::Quality { call, quality });
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

    /// Hears a frame, if one is due: the first half of it. [`Stream::say`] is the second.
    pub(crate) fn hear(&mut self, now: Time, mixer: &mut Mixer) -> bool {
        let due = |s: &MediaSession| s.next_frame_due() <= now;
        if !self.session.as_ref().is_some_and(due) {
            return false;
        }
        self.press_next(now);
        let Some(session) = &mut self.session else {
            return false;
        };
        let (length, rate) = (session.frame_samples(), session.sample_rate());
        self.heard.resize(length, 0);
        session.pull_frame(now, &mut self.heard);
        if self.watched.is_some() {
            self.levels.0.add(&self.heard);
        }
        if self.joined {
            mixer.push(self.call.0, &self.heard);
        }
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.write(&self.heard, rate)
        {
            self.recorder = None;
            self.trouble(&error);
        }
        true
    }

    /// Says a frame.
    pub(crate) fn say(&mut self, now: Time, mixer: &mut Mixer) {
        let Some(session) = &mut self.session else {
            return;
        };
        let (length, rate) = (session.frame_samples(), session.sample_rate());
        self.said.resize(length, 0);
        let mut trouble = None;
        if self.talking && self.playing.is_none() && !self.held {
            trouble = self.source.fill(rate, &self.heard, &mut self.said).err();
        } else {
            self.source.listen(rate, &self.heard);
            match self.playing.as_mut().filter(|_| self.talking) {
                Some(playing) => trouble = playing.fill(rate, &self.heard, &mut self.said).err(),
                None => self.said.fill(0),
            }
        }
        if self.muted {
            self.said.fill(0);
        }
        if self.joined {
            self.others.resize(length, 0);
            mixer.pull(self.call.0, &mut self.others);
            for (sample, other) in self.said.iter_mut().zip(&self.others) {
                *sample = limited(i32::from(*sample) + i32::from(*other));
            }
        }
        if self.watched.is_some() {
            self.levels.1.add(&self.said);
        }
        if session.send_frame(now, &self.said, &mut self.datagram)
            && let Some(to) = session.destination()
        {
            // A frame that the system cannot take now is a frame lost on the way.
            let _ = self.rtp.send_to(&self.datagram, to);
        }
        if let Some(error) = trouble {
            self.trouble(&error);
        }
        if self.playing.as_ref().is_some_and(Source::is_over) {
            self.play(None);
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
                    by_info: false,
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
