//! The session description of one call: offer, answer, and what they mean for the sound.

use std::net::{IpAddr, SocketAddr};

use media::codec::CodecKind;
use media::session::{CodecChoice, Config, Direction, Protection};
use sdp::secure::LocalSrtp;
use sdp::{Capabilities, Codec, IllegalAnswer, LocalMedia, Negotiated, Origin, Rejection, Session};

use crate::event::Agreed;
use crate::secure::{self, Security};

/// Our side of the description of one call.
#[derive(Debug)]
pub(crate) struct Negotiation {
    origin: Origin,
    local: LocalMedia,
    capabilities: Capabilities,
    /// What we sent last, offer or answer.
    last: Option<Session>,
    /// What held before an offer that the peer may still refuse.
    before: Option<(Session, sdp::Direction)>,
    cname: String,
    seed: u64,
}

/// What offer and answer came to.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) agreed: Agreed,
}

impl Negotiation {
    /// Sound is received at `local`; `codecs` in the order of preference. `seed` is random.
    pub(crate) fn new(local: SocketAddr, codecs: &[CodecKind], seed: u64) -> Negotiation {
        let mut known: Vec<Codec> = Vec::new();
        for (n, kind) in (96u8..).zip(codecs) {
            let number = kind.static_payload_type().unwrap_or(n);
            if !known.iter().any(|c| c.payload_type == number) {
                known.push(Codec::new(number, kind.encoding_name(), kind.clock_rate()));
            }
        }
        known.push(Codec::telephone_event(101, 8000));
        Negotiation {
            origin: Origin::new("-", seed >> 2, local.ip()),
            local: LocalMedia {
                rtcp_mux: true,
                ..LocalMedia::new(local.ip(), local.port())
            },
            capabilities: Capabilities::new(known),
            last: None,
            before: None,
            // RFC 7022 §4.2: random, so that it says nothing about the host.
            cname: format!("{:016x}", seed.rotate_left(17) ^ 0x5bd1_e995_9e37_79b9),
            seed,
        }
    }

    /// Our side of SRTP.
    pub(crate) fn protected(mut self, srtp: LocalSrtp) -> Negotiation {
        self.local.srtp = srtp;
        self
    }

    /// Our offer; a later one keeps what the earlier ones fixed.
    pub(crate) fn offer(&mut self) -> Vec<u8> {
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
        self.before = Some((last, self.local.direction));
        self.local.direction = direction;
        self.last = Some(session);
        Some(bytes)
    }

    /// The peer refused our offer: everything is as before (RFC 3261 §14.1).
    pub(crate) fn refused(&mut self) {
        if let Some((last, direction)) = self.before.take() {
            self.last = Some(last);
            self.local.direction = direction;
        }
    }

    /// Answers the peer's offer.
    ///
    /// # Errors
    /// How to refuse it.
    pub(crate) fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, Option<Plan>), Rejection> {
        let offer = Session::parse(offer).map_err(|error| error.rejection())?;
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
        self.before = None;
        self.plan(&streams)
            .ok_or_else(|| "no codec in common".to_owned())
    }

    fn plan(&self, streams: &[Negotiated]) -> Option<Plan> {
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
            _ => (Protection::Clear, Security::None),
        };
        let suite = match &protection {
            Protection::Srtp { send, .. } => Some(send.suite().name()),
            _ => None,
        };
        let config = Config {
            receive,
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
            local: SocketAddr::new(self.local.address, self.local.rtp_port),
            remote,
            sends: config.direction.send,
            receives: config.direction.receive,
            dtmf: keys.is_some(),
            security,
            suite,
        };
        Some(Plan { config, agreed })
    }
}

/// What OPTIONS requests are told about our sound (RFC 3264 §9): no port to send to.
pub(crate) fn capabilities(address: IpAddr) -> Vec<u8> {
    let mut negotiation = Negotiation::new(SocketAddr::new(address, 0), &CodecKind::ALL, 0);
    negotiation.offer()
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
