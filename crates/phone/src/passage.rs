//! How the packets of one call find their way and their keys: ICE and DTLS, beside the media session.

use std::time::Instant;

use media::Time;
use media::dtls::{Digest, Handshake, Identity};
use media::ice::{Agent, Event, Kind, Remote, Setup};
use media::rtp::{Arrival, classify};
use media::session::{MediaSession, Protection};

/// What offer and answer settled about way and keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) ice: Option<IceTerms>,
    pub(crate) dtls: Option<DtlsTerms>,
}

/// Both sides do ICE.
#[derive(Debug, Clone)]
pub(crate) struct IceTerms {
    pub(crate) setup: Setup,
    pub(crate) remote: Remote,
    pub(crate) components: u8,
}

/// Keys come from a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DtlsTerms {
    pub(crate) expected: Vec<Digest>,
    /// We begin.
    pub(crate) active: bool,
}

/// What the owner of a call should know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// ICE found the way of RTP.
    Found {
        remote: std::net::SocketAddr,
        kind: Kind,
    },
    /// ICE found none; the address in the description is used.
    NoWay,
    /// The other side must not be sent to any more.
    Closed,
    /// The handshake is done; the name of the suite.
    Secured(&'static str),
    /// There are no keys, and so no sound.
    Insecure(String),
}

/// Datagrams kept that open a handshake before the description says that there is one.
const EARLY: usize = 4;

/// The way and the keys of one call.
#[derive(Debug)]
pub(crate) struct Passage {
    identity: Option<Identity>,
    epoch: Instant,
    ice: Option<Agent>,
    dtls: Option<Secured>,
    early: Vec<Vec<u8>>,
}

/// A handshake with what it came to.
#[derive(Debug)]
struct Secured {
    terms: DtlsTerms,
    handshake: Handshake,
    keys: Option<Protection>,
}

impl Passage {
    /// `setup` is what our description says of ICE, if anything; checks that come early are answered from now on.
    pub(crate) fn new(identity: Option<Identity>, setup: Option<Setup>, epoch: Instant) -> Passage {
        Passage {
            identity,
            epoch,
            ice: setup.map(Agent::new),
            dtls: None,
            early: Vec::new(),
        }
    }

    /// Goes on with what offer and answer settled; what stays the same is not begun anew.
    pub(crate) fn agree(&mut self, now: Time, terms: Terms) -> Option<News> {
        match (terms.ice, &mut self.ice) {
            (None, ice) => *ice = None,
            (Some(ice), Some(agent)) => {
                let (local, remote) = agent.credentials();
                let same = *local == ice.setup.credentials;
                match remote {
                    None if same => agent.start(now, ice.remote, ice.components),
                    Some(known) if same && *known == ice.remote.credentials => {}
                    _ => agent.restart(now, ice.setup, ice.remote, ice.components),
                }
            }
            (Some(ice), none) => {
                let mut agent = Agent::new(ice.setup);
                agent.start(now, ice.remote, ice.components);
                *none = Some(agent);
            }
        }
        let Some(dtls) = terms.dtls else {
            self.dtls = None;
            return None;
        };
        if self.dtls.as_ref().is_some_and(|known| known.terms == dtls) {
            return None;
        }
        let Some(identity) = &self.identity else {
            return Some(News::Insecure("there is no certificate".to_owned()));
        };
        let expected = dtls.expected.clone();
        match Handshake::new(identity, dtls.active, expected, self.epoch, now) {
            Ok(mut handshake) => {
                for bytes in self.early.drain(..) {
                    handshake.handle(now, &bytes);
                }
                self.dtls = Some(Secured {
                    terms: dtls,
                    handshake,
                    keys: None,
                });
                None
            }
            Err(failure) => Some(News::Insecure(failure.to_string())),
        }
    }

    /// Keys that a handshake worked out and that stay in use under these terms.
    pub(crate) fn keys(&self, terms: &Terms) -> Option<Protection> {
        let known = self.dtls.as_ref()?;
        (Some(&known.terms) == terms.dtls.as_ref()).then(|| known.keys.clone())?
    }

    /// Takes a datagram of the socket of a component, if it is for ICE or DTLS; says whether it was.
    pub(crate) fn handle(
        &mut self,
        now: Time,
        component: u8,
        from: std::net::SocketAddr,
        bytes: &[u8],
    ) -> bool {
        match (classify(bytes), &mut self.ice, &mut self.dtls) {
            (Arrival::Stun, Some(agent), _) => {
                agent.handle(now, component, from, bytes);
                true
            }
            // The handshake of RTP protects RTCP too, on one port.
            (Arrival::Dtls, _, Some(secured)) if component == 1 => {
                secured.handshake.handle(now, bytes);
                true
            }
            // Signalling takes the longer way.
            (Arrival::Dtls, _, None) if component == 1 && self.identity.is_some() => {
                if self.early.len() < EARLY {
                    self.early.push(bytes.to_vec());
                }
                true
            }
            _ => false,
        }
    }

    /// When [`Passage::run`] has something to do.
    pub(crate) fn due(&self, session: &MediaSession) -> Option<Time> {
        let ice = self.ice.as_ref().and_then(Agent::due);
        // A handshake waits until there is somebody to shake hands with.
        let dtls = self
            .dtls
            .as_ref()
            .filter(|_| session.destination().is_some())
            .and_then(|secured| secured.handshake.due());
        [ice, dtls].into_iter().flatten().min()
    }

    /// Does what is due and hands every datagram to `send`, with its component.
    pub(crate) fn run(
        &mut self,
        now: Time,
        session: &mut MediaSession,
        mut send: impl FnMut(u8, std::net::SocketAddr, &[u8]),
    ) -> Vec<News> {
        let mut news = Vec::new();
        if let Some(agent) = &mut self.ice {
            agent.run(now);
            while let Some(packet) = agent.poll_transmit() {
                send(packet.component, packet.to, &packet.bytes);
            }
            while let Some(event) = agent.poll_event() {
                news.extend(steer(now, session, event));
            }
        }
        if let (Some(secured), Some(to)) = (&mut self.dtls, session.destination()) {
            let handshake = &mut secured.handshake;
            if handshake.due().is_some_and(|due| due <= now) {
                handshake.run(now);
            }
            while let Some(bytes) = handshake.poll_transmit() {
                send(1, to, &bytes);
            }
            match handshake.poll_outcome() {
                Some(Ok(protection)) => {
                    if let Protection::Srtp { send, .. } = &protection {
                        news.push(News::Secured(send.suite().name()));
                    }
                    secured.keys = Some(protection.clone());
                    session.protect(protection);
                }
                Some(Err(failure)) => news.push(News::Insecure(failure.to_string())),
                None => {}
            }
        }
        news
    }

    /// Answers checks that come before the description.
    pub(crate) fn answer_early(&mut self, mut send: impl FnMut(u8, std::net::SocketAddr, &[u8])) {
        while let Some(packet) = self.ice.as_mut().and_then(Agent::poll_transmit) {
            send(packet.component, packet.to, &packet.bytes);
        }
    }
}

/// Lets the session follow ICE.
fn steer(now: Time, session: &mut MediaSession, event: Event) -> Option<News> {
    match event {
        Event::Selected {
            component,
            remote,
            kind,
            ..
        } => {
            session.set_route(now, component, Some(remote));
            (component == 1).then_some(News::Found { remote, kind })
        }
        // One component without a way is no reason to give up the other's.
        Event::Failed if session.destination().is_some() => None,
        Event::Failed => {
            session.give_up_route();
            Some(News::NoWay)
        }
        Event::ConsentLost { component } => {
            session.set_route(now, component, None);
            (component == 1).then_some(News::Closed)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use media::codec::CodecKind;
    use media::session::{CodecChoice, Config};

    use super::*;

    struct End {
        passage: Passage,
        session: MediaSession,
        news: Vec<News>,
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// Two ends of a handshake; the certificate of the second is not always the one announced.
    fn ends(honest: bool) -> [End; 2] {
        let identities = [0, 1].map(|_| Identity::generate().unwrap());
        let digest = |identity: &Identity| Digest {
            hash: "sha-256".to_owned(),
            octets: identity.fingerprint().to_vec(),
        };
        let mut digests = [digest(&identities[1]), digest(&identities[0])];
        if !honest {
            digests[0].octets[0] ^= 1;
        }
        let epoch = Instant::now();
        let mut ends = [0usize, 1].map(|me| {
            let codec = CodecChoice {
                payload_type: 0,
                codec: CodecKind::Pcmu,
            };
            let mut config = Config::new(codec, Some(at(4000 + 10 * (1 - me as u16))), 7, "me", 1);
            config.protection = Protection::Awaited;
            End {
                passage: Passage::new(Some(identities[me].clone()), None, epoch),
                session: MediaSession::new(config, Time::ZERO),
                news: Vec::new(),
            }
        });
        for (me, (end, digest)) in ends.iter_mut().zip(digests).enumerate() {
            let terms = Terms {
                ice: None,
                dtls: Some(DtlsTerms {
                    expected: vec![digest],
                    active: me == 0,
                }),
            };
            assert_eq!(end.passage.agree(Time::ZERO, terms), None);
        }
        ends
    }

    fn shake_hands(ends: &mut [End; 2]) {
        for step in 0..100u64 {
            let now = Time::from_millis(step * 10);
            for me in 0..2 {
                let mut sent = Vec::new();
                let end = &mut ends[me];
                let news = end.passage.run(now, &mut end.session, |_, _, bytes| {
                    sent.push(bytes.to_vec());
                });
                end.news.extend(news);
                for bytes in sent {
                    let from = at(4000 + 10 * me as u16);
                    assert!(ends[1 - me].passage.handle(now, 1, from, &bytes));
                }
            }
        }
    }

    #[test]
    fn keys_reach_the_session() {
        let mut ends = ends(true);
        shake_hands(&mut ends);
        let mut packet = Vec::new();
        for end in &mut ends {
            assert_eq!(end.news, [News::Secured("AEAD_AES_128_GCM")]);
            let now = Time::from_secs(1);
            assert!(end.session.send_frame(now, &[0; 160], &mut packet));
        }
        ends[0]
            .session
            .handle_rtp(Time::from_secs(1), at(4010), &packet);
        assert_eq!(ends[0].session.statistics().packets_received, 1);
    }

    #[test]
    fn a_wrong_certificate_ends_the_sound_and_says_so() {
        let mut ends = ends(false);
        shake_hands(&mut ends);
        let [News::Insecure(why)] = ends[0].news.as_slice() else {
            panic!("{:?}", ends[0].news);
        };
        assert!(why.contains("certificate"), "{why}");
        let mut packet = Vec::new();
        for n in 1..50 {
            let now = Time::from_millis(20 * n);
            assert!(!ends[0].session.send_frame(now, &[0; 160], &mut packet));
        }
    }
}
