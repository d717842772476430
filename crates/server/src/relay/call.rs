//! The signalling side of a relayed call.

use std::net::IpAddr;
use std::sync::Arc;

use mio::net::UdpSocket;
use net::PortPair;

use super::description::{Description, Line};
use super::error::RelayError;
use super::mailbox::{Change, Job, Seat};
use super::rewrite::rewrite;
use super::statistics::{Gauge, Pulse, Seated, StreamStatistics};
use super::tracks::End;
use super::{Facing, Inner, Session, Side};

/// A call that is relayed. Dropping it frees its ports.
pub struct RelayedCall {
    inner: Arc<Inner>,
    key: u64,
    pulse: Arc<Pulse>,
    caller: Leg,
    callee: Facing,
    /// The legs towards callees. One is named after the fork that it was made for.
    legs: Vec<(u32, Leg)>,
    forks: Vec<Fork>,
    settled: bool,
    /// The thread knows of it.
    begun: bool,
}

/// Our ports towards one phone.
#[derive(Clone, Debug)]
struct Leg {
    facing: Facing,
    /// Ports have been bound as `facing` says, so that it stays.
    fixed: bool,
    /// Our RTP port of each stream that has one.
    ports: Vec<Option<u16>>,
}

/// One fork: what was said between the caller and it.
#[derive(Clone, Debug)]
struct Fork {
    id: u32,
    /// The name of its leg.
    leg: u32,
    /// An offer that waits for its answer.
    offered: Option<(Side, Description)>,
    /// What was agreed on last, by the caller and by the fork.
    caller: Option<Description>,
    callee: Option<Description>,
}

impl RelayedCall {
    pub(super) fn new(inner: Arc<Inner>, session: Session, pulse: Arc<Pulse>) -> RelayedCall {
        RelayedCall {
            inner,
            key: session.key,
            pulse,
            caller: Leg::new(session.caller),
            callee: session.callee,
            legs: Vec::new(),
            forks: Vec::new(),
            settled: false,
            begun: false,
        }
    }

    /// The key it was opened with.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Its streams.
    pub fn statistics(&self) -> Vec<StreamStatistics> {
        self.pulse.streams(self.inner.now())
    }

    /// How the leg towards `fork` is faced, where that differs from the others. To be said before its first offer.
    ///
    /// # Errors
    /// [`RelayError::TooManyForks`], [`RelayError::Misuse`] when the leg has ports already.
    pub fn face(&mut self, fork: u32, facing: Facing) -> Result<(), RelayError> {
        let leg = self.fork_of_offer(fork)?.leg;
        match self.legs.iter_mut().find(|(id, _)| *id == leg) {
            Some((_, leg)) if !leg.fixed => {
                leg.facing = facing;
                Ok(())
            }
            _ => Err(RelayError::Misuse("this leg has its ports already")),
        }
    }

    /// Rewrites the offer that `from` makes to the other side; `fork` names the callee's leg, and `seen_from` is the host
    /// that the offer's signalling came from. What it describes holds from the answer on.
    ///
    /// # Errors
    /// [`RelayError`]; what held before goes on.
    pub fn offer(
        &mut self,
        from: Side,
        fork: u32,
        sdp: &[u8],
        seen_from: IpAddr,
    ) -> Result<Vec<u8>, RelayError> {
        let description = Description::read(sdp, seen_from)?;
        let leg = self.fork_of_offer(fork)?.leg;
        self.bind(from, leg, &description)?;
        let rewritten = self.rewrite(from, leg, sdp, &description);
        self.fork_of_offer(fork)?.offered = Some((from, description));
        Ok(rewritten)
    }

    /// Rewrites the answer that `from` gives, early or final, and lets the media flow as offer and answer say. It may
    /// come more than once. A fork that had no offer of its own answers the last one: the request forked beyond us, and
    /// its phones share a leg, on which the one that answered last is expected.
    ///
    /// # Errors
    /// [`RelayError`]; what held before goes on.
    pub fn answer(
        &mut self,
        from: Side,
        fork: u32,
        sdp: &[u8],
        seen_from: IpAddr,
    ) -> Result<Vec<u8>, RelayError> {
        let mut description = Description::read(sdp, seen_from)?;
        let known = self.fork_of_answer(fork)?;
        let leg = known.leg;
        if let Some((_, offer)) = known.offered.as_ref().filter(|(side, _)| *side != from) {
            // A stream that was not offered is not to be had (RFC 3264 §6).
            let offered = offer.lines.iter().map(|line| line.on);
            let offered = offered.chain(std::iter::repeat(false));
            for (line, offered) in description.lines.iter_mut().zip(offered) {
                line.on &= offered;
            }
        }
        self.bind(from, leg, &description)?;
        let rewritten = self.rewrite(from, leg, sdp, &description);
        let known = self.fork_of_answer(fork)?;
        known.agree(from, description);
        self.connect(fork)?;
        Ok(rewritten)
    }

    /// `fork` has answered for good: the others' ports are freed, and from now on silence counts for
    /// [`super::Relay::dead`].
    ///
    /// # Errors
    /// [`RelayError::Misuse`] for a fork that is none, [`RelayError::Overloaded`].
    pub fn settle(&mut self, fork: u32) -> Result<(), RelayError> {
        let known = self.forks.iter().find(|known| known.id == fork);
        let leg = known.ok_or(RelayError::Misuse("no such fork"))?.leg;
        self.post(vec![Change::Settle { fork: leg }])?;
        for (id, other) in self.legs.iter().filter(|(id, _)| *id != leg) {
            for stream in 0..other.ports.len() {
                self.pulse.unseat(stream, End::Callee(*id));
            }
        }
        self.legs.retain(|(id, _)| *id == leg);
        self.forks.retain(|known| known.id == fork);
        self.settled = true;
        self.connect(fork)
    }

    /// The fork that an offer goes to or comes from; it is made, with a leg, where it is new.
    fn fork_of_offer(&mut self, fork: u32) -> Result<&mut Fork, RelayError> {
        if let Some(place) = self.forks.iter().position(|known| known.id == fork) {
            return self.forks.get_mut(place).ok_or(GONE);
        }
        self.room_for_fork()?;
        self.legs.push((fork, Leg::new(self.callee)));
        self.forks.push(Fork {
            id: fork,
            leg: fork,
            offered: None,
            caller: None,
            callee: None,
        });
        self.forks.last_mut().ok_or(GONE)
    }

    /// The fork that an answer belongs to; a new one shares the leg of the last offer.
    fn fork_of_answer(&mut self, fork: u32) -> Result<&mut Fork, RelayError> {
        if let Some(place) = self.forks.iter().position(|known| known.id == fork) {
            return self.forks.get_mut(place).ok_or(GONE);
        }
        if self.settled {
            return Err(RelayError::Misuse("another fork has answered"));
        }
        self.room_for_fork()?;
        let last = self.legs.last().map(|(leg, _)| *leg);
        let offered = self.forks.iter().find(|known| Some(known.id) == last);
        let offered = offered.ok_or(RelayError::Misuse("an answer to no offer"))?;
        self.forks.push(Fork {
            id: fork,
            callee: None,
            ..offered.clone()
        });
        self.forks.last_mut().ok_or(GONE)
    }

    fn room_for_fork(&self) -> Result<(), RelayError> {
        if self.forks.len() >= self.inner.limits.forks {
            return Err(RelayError::TooManyForks);
        }
        Ok(())
    }

    fn leg(&self, end: End) -> Option<&Leg> {
        match end {
            End::Caller => Some(&self.caller),
            End::Callee(leg) => {
                let known = self.legs.iter().find(|(id, _)| *id == leg);
                known.map(|(_, leg)| leg)
            }
        }
    }

    fn leg_mut(&mut self, end: End) -> Option<&mut Leg> {
        match end {
            End::Caller => Some(&mut self.caller),
            End::Callee(leg) => {
                let known = self.legs.iter_mut().find(|(id, _)| *id == leg);
                known.map(|(_, leg)| leg)
            }
        }
    }

    /// Binds the ports that the streams of a description still lack, on both sides.
    fn bind(&mut self, from: Side, leg: u32, description: &Description) -> Result<(), RelayError> {
        let mut seats = Vec::new();
        let mut bound = Vec::new();
        let mut faced = Vec::new();
        for end in [End::Caller, End::Callee(leg)] {
            let describes = (end == End::Caller) == (from == Side::Caller);
            let mut next = self.leg(end).ok_or(GONE)?.clone();
            if describes {
                next.suit(description)?;
            }
            for (stream, line) in description.lines.iter().enumerate() {
                let Some(payload) = line.payload.filter(|_| line.on) else {
                    continue;
                };
                if next.port(stream).is_some() {
                    continue;
                }
                let pair = self.inner.ports.allocate(next.facing.local);
                let pair = pair.map_err(RelayError::Ports)?;
                next.seat(stream, pair.port);
                let (seat, seated) = seat(stream, end, payload, pair)?;
                seats.push(Change::Seat(Box::new(seat)));
                bound.push(seated);
            }
            faced.push((end, next.facing));
        }
        self.post(seats)?;
        for (end, facing) in faced {
            if let Some(leg) = self.leg_mut(end) {
                leg.facing = facing;
            }
        }
        for seated in bound {
            if let Some(leg) = self.leg_mut(seated.end) {
                leg.seat(seated.stream, seated.port);
            }
            self.pulse.seat(seated);
        }
        Ok(())
    }

    /// The description of `from`, as the other side is to see it.
    fn rewrite(&self, from: Side, leg: u32, sdp: &[u8], description: &Description) -> Vec<u8> {
        let end = match from {
            Side::Caller => End::Callee(leg),
            Side::Callee => End::Caller,
        };
        let Some(leg) = self.leg(end) else {
            return sdp.to_vec();
        };
        let on = |(stream, line): (usize, &Line)| leg.port(stream).filter(|_| line.on);
        let lines = description.lines.iter().enumerate();
        let ports: Vec<Option<u16>> = lines.map(on).collect();
        rewrite(sdp, description, leg.facing.told, &ports)
    }

    /// Lets the media flow as the caller and `fork` have agreed.
    fn connect(&mut self, fork: u32) -> Result<(), RelayError> {
        let known = self.forks.iter().find(|known| known.id == fork);
        let Some(known) = known.cloned() else {
            return Ok(());
        };
        let (Some(caller), Some(callee)) = (known.caller, known.callee) else {
            return Ok(());
        };
        let mut changes = Vec::new();
        let mut ended = Vec::new();
        let mut both_ways = false;
        let streams = caller.lines.len().max(callee.lines.len());
        for stream in 0..streams {
            let lines = (caller.lines.get(stream), callee.lines.get(stream));
            let on = |line: &&Line| line.on && line.is_relayed();
            let (Some(a), Some(b)) = (lines.0.filter(on), lines.1.filter(on)) else {
                ended.push(stream);
                continue;
            };
            both_ways |= a.both_ways && b.both_ways;
            for (end, line) in [(End::Caller, a), (End::Callee(known.leg), b)] {
                changes.push(Change::Expect {
                    stream,
                    end,
                    rtp: line.rtp,
                    rtcp: line.rtcp,
                });
            }
        }
        let unseated: Vec<(usize, End)> = ended
            .into_iter()
            .flat_map(|stream| self.spare(stream, known.leg))
            .collect();
        let gone = unseated.iter();
        changes.extend(gone.map(|&(stream, end)| Change::Unseat { stream, end }));
        self.post(changes)?;
        for (stream, end) in unseated {
            if let Some(leg) = self.leg_mut(end) {
                leg.unseat(stream);
            }
            self.pulse.unseat(stream, end);
        }
        if self.settled {
            self.pulse.watch(self.inner.now(), both_ways);
        }
        Ok(())
    }

    /// The ends whose ports nobody needs when the stream between the caller and the leg has ended.
    fn spare(&self, stream: usize, leg: u32) -> Vec<(usize, End)> {
        let mut ends = Vec::new();
        let has = |end: End| self.leg(end).is_some_and(|leg| leg.port(stream).is_some());
        if has(End::Callee(leg)) {
            ends.push((stream, End::Callee(leg)));
        }
        let mut others = self.legs.iter().filter(|(id, _)| *id != leg);
        if has(End::Caller) && !others.any(|(id, _)| has(End::Callee(*id))) {
            ends.push((stream, End::Caller));
        }
        ends
    }

    fn post(&mut self, changes: Vec<Change>) -> Result<(), RelayError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mailbox = self.inner.mailbox(self.key).ok_or(RelayError::Overloaded)?;
        if !mailbox.post(Job::Change(self.key, changes)) {
            return Err(RelayError::Overloaded);
        }
        self.begun = true;
        Ok(())
    }
}

/// What was just found or made is there.
const GONE: RelayError = RelayError::Misuse("a leg is missing");

impl Drop for RelayedCall {
    fn drop(&mut self) {
        self.inner.calls().remove(&self.key);
        if self.begun
            && let Some(mailbox) = self.inner.mailbox(self.key)
        {
            mailbox.post(Job::Close(self.key));
        }
    }
}

impl Leg {
    fn new(facing: Facing) -> Leg {
        Leg {
            facing,
            fixed: false,
            ports: Vec::new(),
        }
    }

    fn port(&self, stream: usize) -> Option<u16> {
        self.ports.get(stream).copied().flatten()
    }

    fn seat(&mut self, stream: usize, port: u16) {
        if self.ports.len() <= stream {
            self.ports.resize(stream + 1, None);
        }
        if let Some(place) = self.ports.get_mut(stream) {
            *place = Some(port);
        }
        self.fixed = true;
    }

    fn unseat(&mut self, stream: usize) {
        if let Some(place) = self.ports.get_mut(stream) {
            *place = None;
        }
    }

    /// Faces the family of addresses that the leg's phone describes.
    fn suit(&mut self, description: &Description) -> Result<(), RelayError> {
        let Some(described) = description.address() else {
            return Ok(());
        };
        let fits =
            |facing: &Facing, ip: IpAddr| facing.local.to_canonical().is_ipv4() == ip.is_ipv4();
        if !fits(&self.facing, described) && !self.fixed {
            let local = net::local_address_for(described).map_err(RelayError::Ports)?;
            self.facing = Facing::at(local);
        }
        let announced = description.lines.iter().filter(|line| line.is_relayed());
        let mut announced = announced.filter_map(|line| line.rtp.announced);
        match announced.find(|address| !fits(&self.facing, address.ip())) {
            Some(other) => Err(RelayError::Family {
                described: other.ip(),
            }),
            None => Ok(()),
        }
    }
}

impl Fork {
    /// `from` has answered.
    fn agree(&mut self, from: Side, description: Description) {
        if self.offered.as_ref().is_some_and(|(side, _)| *side != from) {
            let offer = self.offered.take().map(|(_, offer)| offer);
            match from {
                Side::Caller => self.callee = offer,
                Side::Callee => self.caller = offer,
            }
        }
        match from {
            Side::Caller => self.caller = Some(description),
            Side::Callee => self.callee = Some(description),
        }
    }
}

fn seat(
    stream: usize,
    end: End,
    payload: super::description::Payload,
    pair: PortPair,
) -> Result<(Seat, Seated), RelayError> {
    let open = |socket: std::net::UdpSocket| {
        socket.set_nonblocking(true).map_err(|source| {
            RelayError::Ports(net::NetError::System {
                what: "cannot open a media port",
                source,
            })
        })?;
        Ok((UdpSocket::from_std(socket), Arc::new(Gauge::default())))
    };
    let port = pair.port;
    let (rtp, rtcp) = (open(pair.rtp)?, open(pair.rtcp)?);
    let seated = Seated {
        stream,
        end,
        port,
        rtp: rtp.1.clone(),
        rtcp: rtcp.1.clone(),
    };
    let seat = Seat {
        stream,
        end,
        payload,
        rtp,
        rtcp,
    };
    Ok((seat, seated))
}
