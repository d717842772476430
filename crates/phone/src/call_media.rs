//! The thread that carries the sound of all calls of a phone.
//!
//! It sleeps until a datagram, an order or the next frame is due. Frames stand on the absolute grid of their session, so
//! that waking late never adds up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use media::Time;
use media::dtls::Identity;
use media::ice::Setup;
use media::session::{Config, Statistics};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use net::PortPair;
use sip::ua::Cause;

use crate::event::{CallNumber, Event, EventSink};
use crate::passage::{Passage, Terms};
use crate::sound::Sound;
use crate::stream::Stream;

/// Orders that may wait.
const ORDERS: usize = 4096;
/// Longer than any RTP packet that fits a network.
const LARGEST: usize = 4096;
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
    /// Offer and answer are settled.
    Configure {
        call: CallNumber,
        config: Box<Config>,
        terms: Box<Terms>,
    },
    /// The call is answered.
    Talk { call: CallNumber },
    /// Press keys.
    Press { call: CallNumber, keys: String },
    /// The call is over: [`Event::Ended`] is to be told, with the numbers of its sound.
    Close(Box<Ending>),
    /// The phone ends.
    Quit,
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
}

impl Orders {
    /// Yields the order when it cannot be taken.
    pub(crate) fn give(&self, order: Order) -> Result<(), Order> {
        use std::sync::mpsc::TrySendError::{Disconnected, Full};
        self.sender
            .try_send(order)
            .map_err(|(Full(order) | Disconnected(order))| order)?;
        // A thread that is not woken finds the order with its next frame.
        let _ = self.waker.wake();
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
        let worker = Worker {
            poll,
            orders: receiver,
            streams: BTreeMap::new(),
            start: Instant::now(),
            events,
        };
        let thread = thread::Builder::new()
            .name("sound".to_owned())
            .spawn(move || worker.work())?;
        Ok(CallMedia {
            orders: Orders { sender, waker },
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
    streams: BTreeMap<usize, Stream>,
    start: Instant,
    events: EventSink,
}

impl Worker {
    fn work(mut self) {
        let mut ready = Events::with_capacity(256);
        let mut buffer = vec![0; LARGEST];
        // Streams with more waiting than they could read in their turn.
        let mut unread: Vec<usize> = Vec::new();
        loop {
            let wait = if unread.is_empty() {
                self.wait()
            } else {
                Some(Duration::ZERO)
            };
            // An interrupted wait is a short one.
            let _ = self.poll.poll(&mut ready, wait);
            if !self.obey() {
                return;
            }
            let now = self.start.elapsed();
            unread.extend(ready.iter().map(|event| event.token().0));
            unread.retain(|place| {
                let stream = self.streams.get_mut(place);
                stream.is_some_and(|stream| stream.receive(now, &mut buffer))
            });
            for stream in self.streams.values_mut() {
                if stream.due().is_some_and(|due| due <= now) {
                    stream.run(now);
                }
            }
        }
    }

    /// How long until the next frame or report.
    fn wait(&self) -> Option<Duration> {
        let due = self.streams.values().filter_map(Stream::due).min()?;
        Some(due.saturating_sub(self.start.elapsed()))
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
                    let passage = Passage::new(
                        identity.map(|identity| *identity),
                        ice.map(|setup| *setup),
                        self.start,
                    );
                    self.open(call, ports, passage, *sound);
                }
                Order::Configure {
                    call,
                    config,
                    terms,
                } => {
                    self.with(call, |stream| stream.configure(*config, *terms, now));
                }
                Order::Talk { call } => self.with(call, |stream| stream.talk(now)),
                Order::Press { call, keys } => self.with(call, |stream| stream.press(&keys)),
                Order::Close(ending) => self.close(*ending, now),
                Order::Quit => return false,
            }
        }
    }

    fn open(&mut self, call: CallNumber, ports: PortPair, passage: Passage, sound: Sound) {
        match sockets(self.poll.registry(), call, ports) {
            Ok((rtp, rtcp)) => {
                let stream = Stream::new(call, rtp, rtcp, passage, sound, self.events.clone());
                self.streams.insert(place(call), stream);
            }
            Err(error) => (self.events)(Event::SoundTrouble {
                call,
                message: format!("cannot watch the media ports: {error}"),
                file: false,
            }),
        }
    }

    fn close(&mut self, ending: Ending, now: Time) {
        let statistics = self
            .streams
            .remove(&place(ending.call))
            .and_then(|mut stream| {
                for socket in stream.sockets() {
                    let _ = self.poll.registry().deregister(socket);
                }
                stream.end(now)
            });
        (self.events)(ending.event(statistics));
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

/// Makes the sockets of a call wake the thread.
fn sockets(
    registry: &Registry,
    call: CallNumber,
    ports: PortPair,
) -> io::Result<(UdpSocket, UdpSocket)> {
    ports.rtp.set_nonblocking(true)?;
    ports.rtcp.set_nonblocking(true)?;
    let mut rtp = UdpSocket::from_std(ports.rtp);
    let mut rtcp = UdpSocket::from_std(ports.rtcp);
    let token = Token(place(call));
    registry.register(&mut rtp, token, Interest::READABLE)?;
    registry.register(&mut rtcp, token, Interest::READABLE)?;
    Ok((rtp, rtcp))
}
