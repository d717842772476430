//! A thread of the relay: one loop over the sockets of its calls.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use media::rtp::{Arrival, classify};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use net::{Batch, FEW, Load};
use sip::time::Time;

use super::Clock;
use super::description::Payload;
use super::latch::{Expected, Latch, Mark, Verdict};
use super::mailbox::{Change, Job, Mailbox, Seat, WAKE};
use super::pace::Pace;
use super::statistics::{Gauge, Totals};
use super::tracks::{Component, End, Pair, Track};

/// Readiness taken from the system at once.
const EVENTS: usize = 1024;
/// Batches read from one socket before the others have their turn.
const ROUNDS: usize = 4;
/// Under load the sockets are read once in this time, so that one wait serves many.
const PAUSE: Duration = Duration::from_millis(1);
/// A source of RTP that has been silent for this long may be replaced.
const SILENT_RTP: Duration = Duration::from_secs(2);
/// One of RTCP: reports come every five seconds or so (RFC 3550 §6.2).
const SILENT_RTCP: Duration = Duration::from_secs(15);
/// Turns in a row that may end in a panic before the thread gives up.
const PANICS: u32 = 100;

/// The state of the thread.
pub(super) struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    rate: u32,
    totals: Arc<Totals>,
    calls: HashMap<u64, Vec<Track>>,
    ports: Vec<Option<Port>>,
    free: Vec<usize>,
    /// Taken from the mailbox and not yet done; a panic loses none of them.
    jobs: VecDeque<Job>,
    /// Ports that may have something to read.
    readable: Vec<usize>,
    reading: Vec<usize>,
    batch: Batch,
    load: Load,
    /// The call being served, which is to blame for a panic.
    current: Option<u64>,
}

/// One socket.
struct Port {
    socket: UdpSocket,
    call: u64,
    stream: usize,
    end: End,
    component: Component,
    payload: Payload,
    latch: Latch,
    pace: Pace,
    gauge: Arc<Gauge>,
}

impl Worker {
    pub(super) fn new(
        poll: Poll,
        mailbox: Arc<Mailbox>,
        clock: Clock,
        rate: u32,
        totals: Arc<Totals>,
    ) -> Worker {
        Worker {
            load: Load::new(clock()),
            poll,
            mailbox,
            clock,
            rate,
            totals,
            calls: HashMap::new(),
            ports: Vec::new(),
            free: Vec::new(),
            jobs: VecDeque::new(),
            readable: Vec::new(),
            reading: Vec::new(),
            batch: Batch::new(),
            current: None,
        }
    }

    /// Serves until it is told to stop. A panic costs the call that caused it, not the others.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut panics = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn(&mut events))) {
                Ok(Ok(true)) => panics = 0,
                Ok(Ok(false)) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a thread of the media relay ends: the system does not wait for it");
                    break;
                }
                Err(panic) => {
                    panics += 1;
                    self.recover(&*panic);
                    if panics >= PANICS {
                        tracing::error!(
                            "a thread of the media relay ends: it does not get over its panics"
                        );
                        break;
                    }
                }
            }
        }
        self.mailbox.abandon();
    }

    /// Waits and serves once. `false` when it is time to stop.
    fn turn(&mut self, events: &mut Events) -> io::Result<bool> {
        let waits = self.readable.is_empty() && self.jobs.is_empty();
        let timeout = (!waits).then_some(Duration::ZERO);
        match self.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(error),
        }
        let begun = (self.clock)();
        let go_on = self.mailbox.take(&mut self.jobs);
        while let Some(job) = self.jobs.pop_front() {
            self.work(job);
        }
        let ready = events.iter().map(|event| event.token());
        let ports = ready.filter(|token| *token != WAKE).map(|token| token.0);
        self.readable.extend(ports);
        let read = self.read(begun);
        let now = (self.clock)();
        if self.load.note(now, read) && go_on {
            std::thread::sleep(PAUSE.saturating_sub(now.since(begun)));
        }
        Ok(go_on)
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Close(call) => {
                self.current = Some(call);
                self.close(call);
            }
            Job::Change(call, changes) => {
                self.current = Some(call);
                for change in changes {
                    self.change(call, change);
                }
            }
        }
        self.current = None;
    }

    fn change(&mut self, call: u64, change: Change) {
        match change {
            Change::Seat(seat) => self.seat(call, *seat),
            Change::Expect {
                stream,
                end,
                rtp,
                rtcp,
            } => {
                let track = self.calls.get(&call).and_then(|call| call.get(stream));
                if let Some(pair) = track.and_then(|track| track.pair(end)) {
                    self.expect(pair.rtp, rtp);
                    self.expect(pair.rtcp, rtcp);
                }
            }
            Change::Unseat { stream, end } => {
                let track = self.calls.get_mut(&call).and_then(|c| c.get_mut(stream));
                if let Some(pair) = track.and_then(|track| track.unseat(end)) {
                    self.leave(pair);
                }
            }
            Change::Settle { fork } => {
                let tracks = self.calls.get_mut(&call).into_iter().flatten();
                let mut gone = Vec::new();
                for track in tracks {
                    let others: Vec<u32> = track
                        .forks()
                        .map(|(known, _)| known)
                        .filter(|known| *known != fork)
                        .collect();
                    let pairs = others.iter().filter_map(|o| track.unseat(End::Callee(*o)));
                    gone.extend(pairs);
                }
                for pair in gone {
                    self.leave(pair);
                }
            }
        }
    }

    fn seat(&mut self, call: u64, seat: Seat) {
        let Seat {
            stream,
            end,
            payload,
            rtp,
            rtcp,
        } = seat;
        let mut place = |(socket, gauge), component, silence| {
            self.place(Port {
                socket,
                call,
                stream,
                end,
                component,
                payload,
                latch: Latch::new(silence),
                pace: Pace::new(self.rate),
                gauge,
            })
        };
        let rtp = place(rtp, Component::Rtp, SILENT_RTP);
        let rtcp = place(rtcp, Component::Rtcp, SILENT_RTCP);
        let tracks = self.calls.entry(call).or_default();
        if tracks.len() <= stream {
            tracks.resize_with(stream + 1, Track::default);
        }
        let track = tracks.get_mut(stream);
        let before = track.and_then(|track| track.seat(end, Pair { rtp, rtcp }));
        if let Some(pair) = before {
            self.leave(pair);
        }
    }

    /// Gives a port its place in the list, and waits for it.
    fn place(&mut self, mut port: Port) -> usize {
        let place = self.free.pop().unwrap_or(self.ports.len());
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut port.socket, Token(place), Interest::READABLE) {
            tracing::error!(call = port.call, %error, "a port of the media relay cannot be waited for");
        }
        match self.ports.get_mut(place) {
            Some(empty) => *empty = Some(port),
            None => self.ports.push(Some(port)),
        }
        place
    }

    fn leave(&mut self, pair: Pair) {
        for place in [pair.rtp, pair.rtcp] {
            let port = self.ports.get_mut(place).and_then(Option::take);
            if let Some(mut port) = port {
                // Closing a socket takes it out of the poll as well, so that a failure here changes nothing.
                let _ = self.poll.registry().deregister(&mut port.socket);
                self.free.push(place);
            }
        }
    }

    fn expect(&mut self, place: usize, expected: Expected) {
        if let Some(port) = self.ports.get_mut(place).and_then(Option::as_mut) {
            port.latch.expect(expected);
            port.gauge.found(port.latch.source());
        }
    }

    fn close(&mut self, call: u64) {
        for track in self.calls.remove(&call).unwrap_or_default() {
            for pair in track.pairs() {
                self.leave(pair);
            }
        }
    }

    /// Reads every port that may have something; yields how many datagrams came.
    fn read(&mut self, now: Time) -> usize {
        core::mem::swap(&mut self.readable, &mut self.reading);
        let mut all = 0;
        while let Some(place) = self.reading.pop() {
            for round in 1..=ROUNDS {
                let Some(port) = self.ports.get_mut(place).and_then(Option::as_mut) else {
                    break;
                };
                self.current = Some(port.call);
                match self.batch.receive(&port.socket, FEW) {
                    Ok(count) => {
                        all += count;
                        self.relay(now, place, count);
                        if count < FEW {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error that an earlier datagram caused; it is taken off the socket with this.
                    Err(_) => {}
                }
                if round == ROUNDS && !self.readable.contains(&place) {
                    self.readable.push(place);
                }
            }
        }
        self.current = None;
        all
    }

    /// Judges the batch that a port received, and passes on what is the other side's.
    fn relay(&mut self, now: Time, place: usize, count: usize) {
        let Some(port) = self.ports.get_mut(place).and_then(Option::as_mut) else {
            return;
        };
        let mut picks = [0; FEW];
        let mut picked = 0;
        let mut bytes = 0;
        for n in 0..count {
            let Some((datagram, from)) = self.batch.datagram(n) else {
                continue;
            };
            if port.takes(now, datagram, from, &self.totals)
                && let Some(pick) = picks.get_mut(picked)
            {
                *pick = n;
                picked += 1;
                bytes += datagram.len() as u64;
            }
        }
        let Some(picks) = picks.get(..picked).filter(|picks| !picks.is_empty()) else {
            return;
        };
        port.gauge.packets.add(picked as u64);
        port.gauge.bytes.add(bytes);
        port.gauge.hear(now);
        let (end, component) = (port.end, port.component);
        let tracks = self.calls.get_mut(&port.call);
        let Some(track) = tracks.and_then(|tracks| tracks.get_mut(port.stream)) else {
            return;
        };
        let send = |pair: Pair| {
            let to = self.ports.get(pair.of(component)).and_then(Option::as_ref);
            if let Some(to) = to {
                to.send(&self.batch, picks, bytes, &self.totals);
            }
        };
        match end {
            End::Caller => track.forks().for_each(|(_, pair)| send(pair)),
            End::Callee(fork) if track.is_heard(now, fork, component) => {
                track.pair(End::Caller).into_iter().for_each(send);
            }
            End::Callee(_) => self.totals.unheard.add(picked as u64),
        }
    }

    /// Goes on after a panic without the call that was being served.
    fn recover(&mut self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let culprit = self.current.take();
        tracing::error!(
            call = culprit,
            panic = text,
            "a panic on a thread of the media relay"
        );
        if let Some(call) = culprit {
            self.close(call);
        }
        // What was to be read is found anew.
        let seated = self.ports.iter().enumerate();
        self.readable = seated
            .filter_map(|(n, port)| port.as_ref().map(|_| n))
            .collect();
        self.reading.clear();
    }
}

impl Port {
    /// Whether a datagram is the other side's and may pass; counts it where it may not.
    fn takes(&mut self, now: Time, datagram: &[u8], from: SocketAddr, totals: &Totals) -> bool {
        let Some(mark) = mark(datagram, self.payload, self.component) else {
            self.gauge.dropped.add_one();
            totals.dropped.add_one();
            return false;
        };
        match self.latch.judge(now, from, mark) {
            Verdict::Accept => {}
            Verdict::Settle => {
                totals.latched.add_one();
                self.gauge.found(self.latch.source());
            }
            Verdict::Refuse => {
                self.gauge.refused.add_one();
                totals.refused.add_one();
                return false;
            }
        }
        let admitted = self.pace.admits(now);
        if !admitted {
            self.gauge.dropped.add_one();
            totals.dropped.add_one();
        }
        admitted
    }

    /// Sends the datagrams of `batch` that `picks` counts to the other side of this port.
    fn send(&self, batch: &Batch, picks: &[usize], bytes: u64, totals: &Totals) {
        let to = self.latch.destination();
        // Media that cannot leave now is too old later.
        let sent = to.map_or(0, |to| batch.forward(&self.socket, to, picks).unwrap_or(0));
        let unsent = picks.len().saturating_sub(sent) as u64;
        if unsent > 0 {
            self.gauge.unsent.add(unsent);
            totals.unsent.add(unsent);
        } else {
            totals.relayed_bytes.add(bytes);
        }
        totals.relayed.add(sent as u64);
    }
}

/// What tells a datagram's stream from others; none for what has no place on this port. STUN is not passed: the relay has
/// taken ICE out of the descriptions, and a check that went through would tell wrong addresses.
fn mark(datagram: &[u8], payload: Payload, component: Component) -> Option<Mark> {
    if payload == Payload::Datagrams {
        return (!datagram.is_empty()).then_some(Mark::Plain);
    }
    match (classify(datagram), component) {
        (Arrival::Rtp, Component::Rtp) => {
            let [_, _, high, low, _, _, _, _, a, b, c, d, ..] = *datagram else {
                return None;
            };
            let ssrc = u32::from_be_bytes([a, b, c, d]);
            Some(Mark::Rtp(ssrc, u16::from_be_bytes([high, low])))
        }
        (Arrival::Rtcp, _) if datagram.len() < 8 => None,
        (Arrival::Rtcp, Component::Rtp) => Some(Mark::Aside),
        (Arrival::Rtcp, Component::Rtcp) | (Arrival::Dtls | Arrival::Zrtp, _) => Some(Mark::Plain),
        _ => None,
    }
}
