//! The session description of one call: offer, answer, and what they mean for the sound.

use std::net::{IpAddr, SocketAddr};

use media::codec::CodecKind;
use media::dtls::Digest;
use media::ice;
use media::session::{CodecChoice, Config, Direction, Protection};
use sdp::ice::{Candidate, LocalIce, RemoteIce};
use sdp::secure::{Fingerprint, LocalDtls, LocalSrtp};
use sdp::{Capabilities, Codec, IllegalAnswer, LocalMedia, Negotiated, Origin, Rejection, Session};

use crate::event::Agreed;
use crate::passage::{DtlsTerms, IceTerms, Terms};
use crate::secure::{self, Security, Srtp};

/// Our side of the description of one call.
#[derive(Debug)]
pub(crate) struct Negotiation {
    origin: Origin,
    local: LocalMedia,
    capabilities: Capabilities,
    /// What we sent last, offer or answer.
    last: Option<Session>,
    /// What held before an offer that the peer may still refuse.
    before: Option<(Session, sdp::Direction, Capabilities)>,
    cname: String,
    seed: u64,
    /// Where we really receive; the description may name a public address in its place.
    bound: SocketAddr,
    wish: Srtp,
    /// Digest of our certificate, where there is one.
    fingerprint: Option<[u8; 32]>,
    /// The session has keys from a handshake.
    uses_dtls: bool,
    ice: Option<ice::Setup>,
    /// The peer's credentials for ICE.
    remote_ice: Option<ice::Credentials>,
}

/// What offer and answer came to.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) agreed: Agreed,
    pub(crate) terms: Terms,
    /// We hold the peer.
    pub(crate) holds: bool,
}

impl Negotiation {
    /// Sound is received at `local`; `codecs` in the order of preference. `seed` is random.
    pub(crate) fn new(local: SocketAddr, codecs: &[CodecKind], seed: u64) -> Negotiation {
        Negotiation {
            origin: Origin::new("-", seed >> 2, local.ip()),
            local: LocalMedia {
                rtcp_mux: true,
                ..LocalMedia::new(local.ip(), local.port())
            },
            capabilities: Capabilities::new(known(codecs)),
            last: None,
            before: None,
            // RFC 7022 §4.2: random, so that it says nothing about the host.
            cname: format!("{:016x}", seed.rotate_left(17) ^ 0x5bd1_e995_9e37_79b9),
            seed,
            bound: local,
            wish: Srtp::Off,
            fingerprint: None,
            uses_dtls: false,
            ice: None,
            remote_ice: None,
        }
    }

    /// Our side of SRTP: the wish, keys for the description, and the digest of our certificate.
    pub(crate) fn protected(
        mut self,
        wish: Srtp,
        srtp: LocalSrtp,
        fingerprint: Option<[u8; 32]>,
    ) -> Negotiation {
        self.wish = wish;
        self.local.srtp = srtp;
        self.fingerprint = fingerprint;
        self
    }

    /// The public addresses of our ports, which the description then names.
    pub(crate) fn mapped(mut self, public: [SocketAddr; 2]) -> Negotiation {
        let [rtp, rtcp] = public;
        self.local.address = rtp.ip();
        self.local.rtp_port = rtp.port();
        self.local.rtcp_port = Some(rtcp.port());
        self
    }

    /// Our side of ICE. What [`Negotiation::mapped`] told is a candidate too.
    pub(crate) fn with_ice(mut self, setup: ice::Setup) -> Negotiation {
        let public = SocketAddr::new(self.local.address, self.local.rtp_port);
        let rtcp = self.local.rtcp_port;
        let mut candidates = Vec::new();
        for component in [1u8, 2] {
            let host = SocketAddr::new(
                self.bound.ip(),
                self.bound.port().saturating_add(u16::from(component) - 1),
            );
            candidates.push(candidate(component, ice::Kind::Host, host, ""));
            if public != self.bound {
                let port = if component == 1 {
                    Some(public.port())
                } else {
                    rtcp
                };
                let related = format!(" raddr {} rport {}", host.ip(), host.port());
                candidates.extend(port.map(|port| {
                    let mapped = SocketAddr::new(public.ip(), port);
                    candidate(component, ice::Kind::ServerReflexive, mapped, &related)
                }));
            }
        }
        self.local.ice = Some(LocalIce {
            ufrag: setup.credentials.ufrag.clone(),
            pwd: setup.credentials.pwd.clone(),
            candidates,
        });
        self.ice = Some(setup);
        self
    }

    /// The handshake is offered where it is wished or already used, and accepted wherever there is a certificate.
    fn dtls(&self, offering: bool) -> Option<LocalDtls> {
        let wanted = !offering || self.uses_dtls || self.wish == Srtp::Dtls;
        let digest = self.fingerprint.filter(|_| wanted)?;
        Some(LocalDtls {
            fingerprint: Fingerprint {
                hash: "sha-256".to_owned(),
                digest: digest.to_vec(),
            },
        })
    }

    /// An offer with other credentials of the peer begins the checks anew, and so do we (RFC 8839 §4.4.1.1.1).
    fn follow_restart(&mut self, offer: &Session) {
        let (Some(known), Some(setup)) = (&self.remote_ice, &mut self.ice) else {
            return;
        };
        let named = |name: &str| {
            let audio = offer.media.iter().find(|m| m.kind == self.local.kind)?;
            Some(offer.attribute_of(audio, name)?.trim().to_owned())
        };
        let (Some(ufrag), Some(pwd)) = (named("ice-ufrag"), named("ice-pwd")) else {
            return;
        };
        if (&ufrag, &pwd) == (&known.ufrag, &known.pwd) {
            return;
        }
        // Without fresh ones the old credentials have to do.
        if let Ok(fresh) = secure::ice_credentials() {
            if let Some(local) = &mut self.local.ice {
                local.ufrag.clone_from(&fresh.ufrag);
                local.pwd.clone_from(&fresh.pwd);
            }
            setup.credentials = fresh;
        }
    }

    fn terms(&mut self, stream: &Negotiated) -> Terms {
        let remote = stream.ice.as_ref().filter(|_| self.ice.is_some());
        let ice = remote.zip(self.ice.clone()).map(|(remote, setup)| {
            let apart = !stream.rtcp_mux && remote.candidates.iter().any(|c| c.component == 2);
            IceTerms {
                setup,
                remote: peer(remote, self.bound.ip()),
                components: if apart { 2 } else { 1 },
            }
        });
        self.remote_ice = ice.as_ref().map(|ice| ice.remote.credentials.clone());
        let dtls = match &stream.security {
            sdp::secure::Security::Dtls {
                fingerprints,
                active,
            } => Some(DtlsTerms {
                expected: fingerprints
                    .iter()
                    .map(|fingerprint| Digest {
                        hash: fingerprint.hash.clone(),
                        octets: fingerprint.digest.clone(),
                    })
                    .collect(),
                active: *active,
            }),
            _ => None,
        };
        self.uses_dtls = dtls.is_some();
        Terms { ice, dtls }
    }

    /// Our offer; a later one keeps what the earlier ones fixed.
    pub(crate) fn offer(&mut self) -> Vec<u8> {
        self.local.dtls = self.dtls(true);
        let session = match &self.last {
            Some(last) => sdp::reoffer(last, &self.local, &self.capabilities),
            None => sdp::offer_with(&self.origin, &self.local, &self.capabilities),
        };
        let bytes = session.to_string().into_bytes();
        self.last = Some(session);
        bytes
    }

    /// Our offer that puts the peer on hold, or takes it off; `None` before anything was agreed on.
    pub(crate) fn hold(&mut self, held: bool) -> Option<Vec<u8>> {
        let last = self.last.take()?;
        let (session, direction) = if held {
            (sdp::hold(&last), sdp::Direction::SendOnly)
        } else {
            (sdp::resume(&last), sdp::Direction::SendRecv)
        };
        let bytes = session.to_string().into_bytes();
        self.before = Some((last, self.local.direction, self.capabilities.clone()));
        self.local.direction = direction;
        self.last = Some(session);
        Some(bytes)
    }

    /// Our offer of other codecs; `None` before anything was agreed on, and when we know none of them.
    pub(crate) fn change_codecs(&mut self, codecs: &[CodecKind]) -> Option<Vec<u8>> {
        let last = self.last.clone()?;
        let before = self.capabilities.clone();
        let known = known(codecs);
        if known.iter().all(Codec::is_auxiliary) {
            return None;
        }
        self.capabilities = Capabilities::new(known);
        let session = sdp::reoffer(&last, &self.local, &self.capabilities);
        let bytes = session.to_string().into_bytes();
        self.before = Some((last, self.local.direction, before));
        self.last = Some(session);
        Some(bytes)
    }

    /// The peer refused our offer: everything is as before (RFC 3261 §14.1).
    pub(crate) fn refused(&mut self) {
        if let Some((last, direction, capabilities)) = self.before.take() {
            self.last = Some(last);
            self.local.direction = direction;
            self.capabilities = capabilities;
        }
    }

    /// Answers the peer's offer.
    ///
    /// # Errors
    /// How to refuse it.
    pub(crate) fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, Option<Plan>), Rejection> {
        let offer = Session::parse(offer).map_err(|error| error.rejection())?;
        self.local.dtls = self.dtls(false);
        self.follow_restart(&offer);
        let (answer, streams) = sdp::answer(&offer, &self.origin, &self.local, &self.capabilities)?;
        let answer = match &self.last {
            Some(last) => sdp::renew(last, answer),
            None => answer,
        };
        let bytes = answer.to_string().into_bytes();
        self.last = Some(answer);
        Ok((bytes, self.plan(&streams)))
    }

    /// Takes the peer's answer to our offer.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn complete(&mut self, answer: &[u8]) -> Result<Plan, String> {
        let answer = Session::parse(answer).map_err(|error| error.to_string())?;
        let Some(offer) = &self.last else {
            return Err("an answer came to an offer that was never made".to_owned());
        };
        let streams = match sdp::complete(offer, &answer, &self.capabilities) {
            Ok(streams) => streams,
            Err(IllegalAnswer {
                tolerated: Some(streams),
                ..
            }) => streams,
            Err(error) => return Err(error.to_string()),
        };
        // An answer in the clear to an offer that was not is tolerated elsewhere, for the sake of sound. Not here.
        let insists = matches!(self.wish, Srtp::Required | Srtp::Dtls);
        let in_clear =
            |stream: &Negotiated| stream.accepted && stream.security == sdp::secure::Security::None;
        if insists && streams.iter().any(in_clear) {
            return Err("it does not encrypt the sound, though it has to".to_owned());
        }
        self.before = None;
        self.plan(&streams)
            .ok_or_else(|| "no codec in common".to_owned())
    }

    fn plan(&mut self, streams: &[Negotiated]) -> Option<Plan> {
        let stream = streams.iter().find(|s| s.accepted)?;
        let send = choice(stream.send.as_ref()?)?;
        let mut receive: Vec<CodecChoice> = stream.receive.iter().filter_map(choice).collect();
        // The session runs on one clock.
        receive.retain(|c| c.codec.clock_rate() == send.codec.clock_rate());
        let rate = send.codec.clock_rate();
        let keys = stream.telephone_event.filter(|t| t.clock_rate == rate);
        let remote = stream.remote_rtp.as_ref().and_then(|d| d.socket_addr());
        let (protection, security) = match &stream.security {
            sdp::secure::Security::Sdes { send, receive } => {
                (secure::protection(send, receive)?, Security::Sdes)
            }
            sdp::secure::Security::Dtls { .. } => (Protection::Awaited, Security::Dtls),
            sdp::secure::Security::None => (Protection::Clear, Security::None),
        };
        let suite = match &protection {
            Protection::Srtp { send, .. } => Some(send.suite().name()),
            _ => None,
        };
        let terms = self.terms(stream);
        let config = Config {
            receive,
            steered: terms.ice.is_some(),
            protection,
            telephone_event_send: keys.map(|t| t.send),
            telephone_event_receive: keys.map(|t| t.receive),
            ptime_ms: stream.ptime_ms,
            direction: Direction {
                send: stream.direction.sends(),
                receive: stream.direction.receives(),
            },
            rtcp_destination: stream.remote_rtcp.as_ref().and_then(|d| d.socket_addr()),
            rtcp_mux: stream.rtcp_mux,
            ..Config::new(
                send,
                remote,
                (self.seed >> 32) as u32,
                &self.cname,
                self.seed,
            )
        };
        let agreed = Agreed {
            codec: send.codec.encoding_name(),
            sample_rate: send.codec.sample_rate(),
            ptime_ms: stream.ptime_ms,
            local: self.bound,
            remote,
            sends: config.direction.send,
            receives: config.direction.receive,
            dtmf: keys.is_some(),
            security,
            suite,
        };
        let holds = !self.local.direction.receives();
        Some(Plan {
            config,
            agreed,
            terms,
            holds,
        })
    }
}

/// What we know, as a description numbers it.
fn known(codecs: &[CodecKind]) -> Vec<Codec> {
    let mut known: Vec<Codec> = Vec::new();
    for (n, kind) in (96u8..).zip(codecs) {
        let number = kind.static_payload_type().unwrap_or(n);
        if !known.iter().any(|c| c.payload_type == number) {
            known.push(Codec::new(number, kind.encoding_name(), kind.clock_rate()));
        }
    }
    known.push(Codec::telephone_event(101, 8000));
    known
}

/// What OPTIONS requests are told about our sound (RFC 3264 §9): no port to send to.
pub(crate) fn capabilities(address: IpAddr) -> Vec<u8> {
    let mut negotiation = Negotiation::new(SocketAddr::new(address, 0), &CodecKind::ALL, 0);
    negotiation.offer()
}

/// A candidate of ours; each kind has one foundation, because it has one address.
fn candidate(component: u8, kind: ice::Kind, at: SocketAddr, related: &str) -> Candidate {
    Candidate {
        foundation: if kind == ice::Kind::Host { "1" } else { "2" }.to_owned(),
        component,
        transport: "UDP".to_owned(),
        priority: kind.priority(component),
        address: at.ip().to_string(),
        port: at.port(),
        rest: format!("typ {}{related}", kind.name()),
    }
}

/// The peer's side of ICE as far as our sockets can reach it.
fn peer(remote: &RemoteIce, own: IpAddr) -> ice::Remote {
    let candidates = remote.candidates.iter().filter_map(|candidate| {
        let kind = candidate.rest.strip_prefix("typ ")?.split(' ').next()?;
        let ip: IpAddr = candidate.address.parse().ok()?;
        let fits = candidate.transport.eq_ignore_ascii_case("UDP")
            && ip.is_ipv4() == own.is_ipv4()
            && candidate.port != 0
            && !(ip.is_unspecified() || ip.is_multicast());
        fits.then_some(ice::Candidate {
            component: candidate.component,
            address: SocketAddr::new(ip, candidate.port),
            priority: candidate.priority,
            kind: ice::Kind::from_name(kind)?,
        })
    });
    ice::Remote {
        credentials: ice::Credentials {
            ufrag: remote.ufrag.clone(),
            pwd: remote.pwd.clone(),
        },
        candidates: candidates.collect(),
        lite: remote.lite,
    }
}

fn choice(codec: &Codec) -> Option<CodecChoice> {
    let kind = CodecKind::find(&codec.name, codec.clock_rate)?;
    Some(CodecChoice {
        payload_type: codec.payload_type,
        codec: kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(port: u16, codecs: &[CodecKind]) -> Negotiation {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        Negotiation::new(local, codecs, 0x0000_3456_789a_bcdf * u64::from(port))
    }

    #[test]
    fn two_sides_agree() {
        let mut caller = side(4000, &CodecKind::ALL);
        let mut callee = side(5000, &[CodecKind::Pcma]);
        let (answer, at_callee) = callee.answer(&caller.offer()).unwrap();
        let at_caller = caller.complete(&answer).unwrap();
        let at_callee = at_callee.unwrap();
        assert_eq!(
            (at_caller.agreed.codec, at_callee.agreed.codec),
            ("PCMA", "PCMA")
        );
        assert_eq!(at_caller.config.send.payload_type, 8);
        assert_eq!(at_caller.agreed.remote, Some(at_callee.agreed.local));
        assert_eq!(at_callee.agreed.remote, Some(at_caller.agreed.local));
        assert_eq!(at_caller.config.telephone_event_send, Some(101));
        assert_eq!(
            (at_callee.config.rtcp_mux, at_callee.config.rtcp_destination),
            (true, Some(SocketAddr::from(([127, 0, 0, 1], 4000))))
        );
        assert_ne!(at_caller.config.ssrc, at_callee.config.ssrc);
        assert_ne!(at_caller.config.cname, at_callee.config.cname);
    }

    #[test]
    fn hold_and_resume_keep_the_session() {
        let mut caller = side(4000, &CodecKind::ALL);
        let mut callee = side(5000, &CodecKind::ALL);
        let offer = caller.offer();
        let (first, _) = callee.answer(&offer).unwrap();
        let held = String::from_utf8(offer.clone())
            .unwrap()
            .replace("sendrecv", "sendonly");
        let (second, plan) = callee.answer(held.as_bytes()).unwrap();
        let agreed = plan.unwrap().agreed;
        assert!(!agreed.sends && agreed.receives);
        let origin = |sdp: &[u8]| Session::parse(sdp).unwrap().origin;
        assert_eq!(origin(&first).next_version(), origin(&second));
        let (_, plan) = callee.answer(&offer).unwrap();
        assert!(plan.unwrap().agreed.sends);
    }

    #[test]
    fn a_hold_that_is_refused_changes_nothing() {
        let (mut caller, mut callee) = (side(4000, &CodecKind::ALL), side(5000, &CodecKind::ALL));
        assert_eq!(caller.hold(true), None);
        let (answer, _) = callee.answer(&caller.offer()).unwrap();
        caller.complete(&answer).unwrap();
        let held = String::from_utf8(caller.hold(true).unwrap()).unwrap();
        assert!(held.contains("a=sendonly"), "{held}");
        caller.refused();
        let again = String::from_utf8(caller.offer()).unwrap();
        assert!(again.contains("a=sendrecv"), "{again}");
        caller.refused();
        assert!(caller.complete(&answer).unwrap().agreed.receives);
    }

    fn ice(name: &str, port: u16) -> Negotiation {
        let credentials = ice::Credentials {
            ufrag: format!("ufrag{name}"),
            pwd: format!("a-password-long-enough-{name}"),
        };
        let public =
            [port + 1000, port + 1007].map(|port| SocketAddr::from(([192, 0, 2, 7], port)));
        side(port, &CodecKind::ALL)
            .mapped(public)
            .with_ice(ice::Setup {
                credentials,
                controlling: name == "A",
                components: 2,
                seed: 1,
            })
    }

    #[test]
    fn ice_and_its_restart() {
        let (mut caller, mut callee) = (ice("A", 4000), ice("B", 5000));
        let offer = caller.offer();
        let text = String::from_utf8(offer.clone()).unwrap();
        for line in [
            "c=IN IP4 192.0.2.7",
            "m=audio 5000 RTP/AVP",
            "a=rtcp:5007",
            "a=candidate:1 1 UDP 2130706431 127.0.0.1 4000 typ host",
            "a=candidate:2 2 UDP 1694498814 192.0.2.7 5007 typ srflx raddr 127.0.0.1 rport 4001",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let (answer, at_callee) = callee.answer(&offer).unwrap();
        let at_callee = at_callee.unwrap();
        let at_caller = caller.complete(&answer).unwrap();
        assert!(at_caller.config.steered && at_callee.config.steered);
        let terms = at_caller.terms.ice.unwrap();
        assert_eq!((terms.components, terms.remote.candidates.len()), (1, 2));
        assert_eq!(terms.remote.credentials.ufrag, "ufragB");
        let setup = |plan: &Plan| plan.terms.ice.clone().unwrap().setup.credentials;
        let again = callee.answer(&offer).unwrap().1.unwrap();
        assert_eq!(setup(&again), setup(&at_callee), "nothing changed");
        let restart = text.replace("ufragA", "ufragC");
        let restarted = callee.answer(restart.as_bytes()).unwrap().1.unwrap();
        assert_ne!(setup(&restarted), setup(&at_callee));
        let remote = restarted.terms.ice.unwrap().remote;
        assert_eq!(remote.credentials.ufrag, "ufragC");
        let without: String = text
            .lines()
            .filter(|line| !line.starts_with("a=ice") && !line.starts_with("a=candidate"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let plain = callee.answer(without.as_bytes()).unwrap().1.unwrap();
        assert!(!plain.config.steered && plain.terms.ice.is_none());
    }

    #[test]
    fn nobody_can_talk_us_out_of_encryption() {
        let secured = |port: u16, wish: Srtp| {
            let keys = secure::local_srtp(wish).unwrap();
            side(port, &CodecKind::ALL).protected(wish, keys, Some([port as u8; 32]))
        };
        for wish in [Srtp::Required, Srtp::Dtls, Srtp::Optional] {
            let mut caller = secured(4000, wish);
            let (answer, plan) = secured(5000, wish).answer(&caller.offer()).unwrap();
            assert_ne!(plan.unwrap().agreed.security, Security::None);
            let text = String::from_utf8(answer).unwrap();
            for clear in [
                text.replace("UDP/TLS/RTP/SAVP", "RTP/AVP"),
                text.replace("RTP/SAVP", "RTP/AVP"),
                text.clone(),
            ] {
                let clear: String = clear
                    .lines()
                    .filter(|line| {
                        !["a=crypto", "a=fingerprint", "a=setup"]
                            .iter()
                            .any(|start| line.starts_with(start))
                    })
                    .map(|line| format!("{line}\r\n"))
                    .collect();
                let outcome = caller.complete(clear.as_bytes());
                if wish == Srtp::Optional {
                    assert_eq!(outcome.unwrap().agreed.security, Security::None);
                } else {
                    assert!(outcome.is_err(), "{wish:?} {clear}");
                }
            }
            assert_ne!(
                caller.complete(text.as_bytes()).unwrap().agreed.security,
                Security::None
            );
        }
    }

    #[test]
    fn what_cannot_be_agreed_on_is_refused() {
        let mut callee = side(5000, &[CodecKind::Pcma]);
        let mut caller = side(4000, &[CodecKind::Pcmu]);
        assert_eq!(callee.answer(&caller.offer()).unwrap_err().status, 488);
        assert_eq!(callee.answer(b"hello").unwrap_err().status, 400);
        assert!(side(1, &CodecKind::ALL).complete(b"v=0\r\n").is_err());
        assert!(caller.complete(b"hello").is_err());
    }

    #[test]
    fn capabilities_name_no_port() {
        let text = String::from_utf8(capabilities("192.0.2.1".parse().unwrap())).unwrap();
        assert!(text.contains("m=audio 0 RTP/AVP 0 8 101"), "{text}");
    }
}
