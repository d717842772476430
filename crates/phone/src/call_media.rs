//! The thread that carries the sound of all calls of a phone.
//!
//! It sleeps until a datagram, an order or the next frame is due. Frames stand on the absolute grid of their session, so
//! that waking late never adds up; all sessions begin on one grid of [`TICK`], so that one waking serves many. With many
//! calls it no longer wakes for each datagram: what has come is read with the next tick.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use media::Time;
use media::dtls::Identity;
use media::ice::Setup;
use media::mix::Mixer;
use media::session::{Config, Statistics};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use net::{Batch, PortPair};
use sip::ua::Cause;

use crate::event::{CallNumber, Event, EventSink};
use crate::passage::{Passage, Terms};
use crate::sound::{Recorder, Sound, Source};
use crate::stream::Stream;

/// Orders that may wait.
const ORDERS: usize = 16_384;
/// The grid on which frames are due. It divides every usual length of packets.
const TICK: Duration = Duration::from_millis(10);
/// With more calls than this the thread wakes by the grid alone.
const FEW_CALLS: usize = 8;
/// With more than this, by every other tick: what that adds to the delay, a call generator does not mind.
const MANY_CALLS: usize = 32;
const WAKER: Token = Token(usize::MAX);

/// What the thread is asked to do.
pub(crate) enum Order {
    /// A call may come to be: its sockets and its sound.
    Open {
        call: CallNumber,
        ports: PortPair,
        /// Our certificate, where calls may be encrypted.
        identity: Option<Box<Identity>>,
        /// What our description says of ICE.
        ice: Option<Box<Setup>>,
        sound: Box<Sound>,
    },
    /// A call will not come to be after all, and nobody was told that it might.
    Abandon { call: CallNumber },
    /// Offer and answer are settled.
    Configure {
        call: CallNumber,
        config: Box<Config>,
        terms: Box<Terms>,
        /// We hold the peer.
        held: bool,
    },
    /// The call is answered.
    Talk { call: CallNumber },
    /// Something about the sound of one call.
    Tell { call: CallNumber, told: Box<Told> },
    /// Our side of every call is silenced, or no longer.
    Mute { muted: bool },
    /// How calls sound is told once a second, or no longer.
    Watch { watched: bool },
    /// The call is over: [`Event::Ended`] is to be told, with the numbers of its sound.
    Close(Box<Ending>),
    /// The phone ends.
    Quit,
}

/// What is asked about the sound of one call.
pub(crate) enum Told {
    /// Press keys.
    Press { keys: String },
    /// Record to another file, or to none.
    Record {
        recorder: Option<Box<(PathBuf, Recorder)>>,
    },
    /// Play a file, or none.
    Play { source: Option<(PathBuf, Source)> },
    /// Join the conference, or leave it.
    Join { joined: bool },
    /// Something is wrong that is to be told.
    Trouble { message: String },
}

/// All that [`Event::Ended`] says but the numbers.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) call: CallNumber,
    pub(crate) call_id: String,
    pub(crate) cause: Cause,
    pub(crate) talked: Option<Duration>,
}

impl Ending {
    pub(crate) fn event(self, statistics: Option<Statistics>) -> Event {
        Event::Ended {
            call: self.call,
            call_id: self.call_id,
            cause: self.cause,
            talked: self.talked,
            statistics: statistics.map(Box::new),
        }
    }
}

/// Gives orders to the thread, from anywhere and without waiting.
#[derive(Clone)]
pub(crate) struct Orders {
    sender: SyncSender<Order>,
    waker: Arc<Waker>,
    /// The thread has been woken and has not looked yet.
    woken: Arc<AtomicBool>,
}

impl Orders {
    /// Yields the order when it cannot be taken.
    pub(crate) fn give(&self, order: Order) -> Result<(), Order> {
        use std::sync::mpsc::TrySendError::{Disconnected, Full};
        self.sender
            .try_send(order)
            .map_err(|(Full(order) | Disconnected(order))| order)?;
        // A thread that is not woken finds the order with its next frame.
        if !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.waker.wake();
        }
        Ok(())
    }
}

/// The running thread.
pub(crate) struct CallMedia {
    orders: Orders,
    thread: Option<JoinHandle<()>>,
}

impl CallMedia {
    pub(crate) fn start(events: EventSink) -> io::Result<CallMedia> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, receiver) = sync_channel(ORDERS);
        let woken = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            poll,
            orders: receiver,
            woken: woken.clone(),
            streams: BTreeMap::new(),
            mixer: Mixer::new(),
            muted: false,
            watched: false,
            running: 0,
            start: Instant::now(),
            events,
        };
        let thread = thread::Builder::new()
            .name("sound".to_owned())
            .spawn(move || worker.work())?;
        let orders = Orders {
            sender,
            waker,
            woken,
        };
        Ok(CallMedia {
            orders,
            thread: Some(thread),
        })
    }

    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }
}

impl Drop for CallMedia {
    /// Waits until everything ordered so far is done.
    fn drop(&mut self) {
        let mut quit = Order::Quit;
        while let Err(back) = self.orders.give(quit) {
            let alive = self.thread.as_ref().is_some_and(|t| !t.is_finished());
            if !alive {
                break;
            }
            quit = back;
            thread::yield_now();
        }
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the thread that met it.
            let _ = thread.join();
        }
    }
}

struct Worker {
    poll: Poll,
    orders: Receiver<Order>,
    woken: Arc<AtomicBool>,
    streams: BTreeMap<usize, Stream>,
    mixer: Mixer,
    muted: bool,
    watched: bool,
    /// Streams whose sound is agreed on.
    running: usize,
    start: Instant,
    events: EventSink,
}

impl Worker {
    fn work(mut self) {
        let mut ready = Events::with_capacity(1024);
        let mut batch = Batch::new();
        // Sockets with more waiting than they could read in their turn.
        let mut unread: Vec<usize> = Vec::new();
        let mut heard: Vec<usize> = Vec::new();
        loop {
            self.sleep(&mut ready, !unread.is_empty());
            self.woken.store(false, Ordering::Release);
            if !self.obey() {
                return;
            }
            let now = self.start.elapsed();
            unread.extend(ready.iter().map(|event| event.token().0));
            unread.retain(|token| {
                let stream = self.streams.get_mut(&(token / 2));
                stream.is_some_and(|s| s.receive(token % 2 == 0, now, &mut batch))
            });
            self.carry(now, &mut heard);
        }
    }

    /// Sleeps until something is to be done, and sees which sockets have something.
    fn sleep(&mut self, ready: &mut Events, hurry: bool) {
        let mut wait = if hurry {
            Some(Duration::ZERO)
        } else {
            self.wait()
        };
        if self.running > FEW_CALLS && !hurry {
            let grid = if self.running > MANY_CALLS {
                TICK * 2
            } else {
                TICK
            };
            let now = self.start.elapsed();
            thread::sleep(next(grid, now).saturating_sub(now));
            wait = Some(Duration::ZERO);
        }
        // An interrupted wait is a short one.
        let _ = self.poll.poll(ready, wait);
    }

    /// How long until the next frame or report.
    fn wait(&self) -> Option<Duration> {
        let due = self.streams.values().filter_map(Stream::due).min()?;
        Some(due.saturating_sub(self.start.elapsed()))
    }

    /// Carries the frames that are due. The members of a conference are all heard before any is spoken to.
    fn carry(&mut self, now: Time, heard: &mut Vec<usize>) {
        loop {
            heard.clear();
            for (place, stream) in &mut self.streams {
                if stream.due().is_none_or(|due| due > now) {
                    continue;
                }
                stream.report(now);
                if !stream.hear(now, &mut self.mixer) {
                    continue;
                }
                if stream.is_joined() {
                    heard.push(*place);
                } else {
                    stream.say(now, &mut self.mixer);
                }
            }
            if heard.is_empty() {
                return;
            }
            self.mixer.advance(now);
            for place in heard.iter() {
                if let Some(stream) = self.streams.get_mut(place) {
                    stream.say(now, &mut self.mixer);
                }
            }
        }
    }

    /// Carries out what was ordered; `false` at the end.
    fn obey(&mut self) -> bool {
        loop {
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            let now = self.start.elapsed();
            match order {
                Order::Open {
                    call,
                    ports,
                    identity,
                    ice,
                    sound,
                } => {
                    let identity = identity.map(|identity| *identity);
                    let passage = Passage::new(identity, ice.map(|setup| *setup), self.start);
                    self.open(call, ports, passage, *sound, now);
                }
                Order::Abandon { call } => drop(self.remove(call)),
                Order::Configure {
                    call,
                    config,
                    terms,
                    held,
                } => self.configure(call, (*config, *terms), held, now),
                Order::Talk { call } => self.with(call, |stream| stream.talk(now)),
                Order::Tell { call, told } => self.told(call, *told),
                Order::Mute { muted } => {
                    self.muted = muted;
                    self.streams.values_mut().for_each(|s| s.mute(muted));
                    (self.events)(Event::Muted { muted });
                }
                Order::Watch { watched } => {
                    self.watched = watched;
                    self.streams
                        .values_mut()
                        .for_each(|s| s.watch(watched, now));
                }
                Order::Close(ending) => self.close(*ending, now),
                Order::Quit => return false,
            }
        }
    }

    fn told(&mut self, call: CallNumber, told: Told) {
        match told {
            Told::Press { keys } => self.with(call, |stream| stream.press(&keys)),
            Told::Record { recorder } => {
                self.with(call, |stream| stream.record(recorder.map(|r| *r)));
            }
            Told::Play { source } => self.with(call, |stream| stream.play(source)),
            Told::Join { joined } => self.join(call, joined),
            Told::Trouble { message } => (self.events)(Event::SoundTrouble {
                call,
                message,
                file: true,
            }),
        }
    }

    fn open(
        &mut self,
        call: CallNumber,
        ports: PortPair,
        passage: Passage,
        sound: Sound,
        now: Time,
    ) {
        match sockets(self.poll.registry(), call, ports) {
            Ok((rtp, rtcp)) => {
                let mut stream = Stream::new(call, rtp, rtcp, passage, sound, self.events.clone());
                stream.mute(self.muted);
                stream.watch(self.watched, now);
                self.streams.insert(place(call), stream);
            }
            Err(error) => (self.events)(Event::SoundTrouble {
                call,
                message: format!("cannot watch the media ports: {error}"),
                file: false,
            }),
        }
    }

    fn configure(&mut self, call: CallNumber, settled: (Config, Terms), held: bool, now: Time) {
        let Some(stream) = self.streams.get_mut(&place(call)) else {
            return;
        };
        self.running += usize::from(!stream.is_running());
        stream.configure(settled, held, now, next(TICK, now));
        if stream.is_joined() {
            // Its codec may have another rate now.
            self.join(call, true);
        }
    }

    /// Takes a call into the conference, or out of it.
    fn join(&mut self, call: CallNumber, joined: bool) {
        let Some(stream) = self.streams.get_mut(&place(call)) else {
            return;
        };
        if !joined {
            self.mixer.leave(call.0);
            stream.join(false);
            return;
        }
        let Some(rate) = stream.rate() else {
            return;
        };
        match self.mixer.join(call.0, rate) {
            Ok(()) => stream.join(true),
            Err(unmixable) => {
                self.mixer.leave(call.0);
                stream.join(false);
                (self.events)(Event::SoundTrouble {
                    call,
                    message: format!("it cannot join the conference: {unmixable}"),
                    file: false,
                });
            }
        }
    }

    fn close(&mut self, ending: Ending, now: Time) {
        let stream = self.remove(ending.call);
        let statistics = stream.and_then(|stream| stream.end(now));
        (self.events)(ending.event(statistics));
    }

    fn remove(&mut self, call: CallNumber) -> Option<Stream> {
        let mut stream = self.streams.remove(&place(call))?;
        self.running -= usize::from(stream.is_running());
        self.mixer.leave(call.0);
        for socket in stream.sockets() {
            let _ = self.poll.registry().deregister(socket);
        }
        Some(stream)
    }

    fn with(&mut self, call: CallNumber, action: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.streams.get_mut(&place(call)) {
            action(stream);
        }
    }
}

fn place(call: CallNumber) -> usize {
    usize::try_from(call.0).unwrap_or(usize::MAX)
}

/// The next moment of a grid, `now` at the earliest.
fn next(grid: Duration, now: Time) -> Time {
    let tick = grid.as_nanos() as u64;
    let passed = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    Time::from_nanos(passed.div_ceil(tick).saturating_mul(tick))
}

/// Makes the sockets of a call wake the thread: an even token for RTP, an odd one for RTCP.
fn sockets(
    registry: &Registry,
    call: CallNumber,
    ports: PortPair,
) -> io::Result<(UdpSocket, UdpSocket)> {
    ports.rtp.set_nonblocking(true)?;
    ports.rtcp.set_nonblocking(true)?;
    let mut rtp = UdpSocket::from_std(ports.rtp);
    let mut rtcp = UdpSocket::from_std(ports.rtcp);
    let token = 2 * place(call);
    registry.register(&mut rtp, Token(token), Interest::READABLE)?;
    registry.register(&mut rtcp, Token(token + 1), Interest::READABLE)?;
    Ok((rtp, rtcp))
}
