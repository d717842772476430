//! The descriptions of one call (RFC 3264) and what they mean for its media.

use std::net::IpAddr;

use media::Time;
use media::codec::CodecKind;
use media::session::{CodecChoice, Config, Direction};
use sdp::{Capabilities, Codec, Destination, LocalMedia, MediaKind, Negotiated, Origin, Session};

use super::Refused;

/// Our side of the offers and answers of a call.
#[derive(Clone, Debug)]
pub(super) struct Negotiation {
    local: LocalMedia,
    origin: Origin,
    /// The description that we sent last.
    last: Option<Session>,
    /// It is an offer without an answer yet.
    pending: bool,
    ssrc: u32,
    cname: String,
    seed: u64,
}

/// Reads a description.
///
/// # Errors
/// 400 with the line and its fault.
pub(super) fn parse(body: &[u8]) -> Result<Session, Refused> {
    Session::parse(body).map_err(|error| error.rejection().into())
}

/// Our address for the media: that of the signalling, unless the peer's media cannot be reached from it because it is of
/// the other family, or because the signalling came through this machine and the media does not.
pub(super) fn media_address(signalling: IpAddr, offer: Option<&Session>) -> IpAddr {
    let own = signalling.to_canonical();
    let Some(peer) = offer.and_then(peer_address) else {
        return own;
    };
    // A peer elsewhere that names our loopback must not make us one of its neighbours.
    let reaches = peer.is_loopback()
        || !own.is_unspecified() && !own.is_loopback() && own.is_ipv4() == peer.is_ipv4();
    if reaches {
        own
    } else {
        net::local_address_for(peer).unwrap_or(own)
    }
}

/// Where the offer wants its audio.
fn peer_address(offer: &Session) -> Option<IpAddr> {
    let audio = |media: &&sdp::Media| media.kind == MediaKind::Audio && media.port != 0;
    let media = offer.media.iter().find(audio)?;
    let destination = Destination::of(offer.connection_of(media), media.port, true).ok()?;
    let address = destination.socket_addr()?.ip().to_canonical();
    (!address.is_unspecified()).then_some(address)
}

impl Negotiation {
    /// Begins, on bound ports.
    ///
    /// # Errors
    /// 503 when the system gives no random numbers.
    pub(super) fn new(address: IpAddr, port: u16) -> Result<Negotiation, Refused> {
        let ssrc = getrandom::u32();
        let seed = getrandom::u64();
        let session = getrandom::u32();
        let name = getrandom::u64();
        let (Ok(ssrc), Ok(seed), Ok(session), Ok(name)) = (ssrc, seed, session, name) else {
            return Err(Refused::unavailable("no random numbers"));
        };
        Ok(Negotiation {
            local: LocalMedia::new(address, port),
            origin: Origin::new("sori", u64::from(session), address),
            last: None,
            pending: false,
            ssrc,
            // Without our address in it, a name for this call alone (RFC 7022 §4.2).
            cname: format!("{name:016x}"),
            seed,
        })
    }

    /// Answers an offer: the body to send, and what holds then; `None` when the offer has no stream for us.
    ///
    /// # Errors
    /// 488 when nothing in it is acceptable.
    pub(super) fn answer(&mut self, offer: &Session) -> Result<(Vec<u8>, Option<Config>), Refused> {
        let (mut answer, streams) =
            sdp::answer(offer, &self.origin, &self.local, &Capabilities::g711())?;
        let config = self.config(&streams)?;
        if let Some(last) = &self.last {
            answer = sdp::renew(last, answer);
        }
        let body = answer.to_string().into_bytes();
        self.last = Some(answer);
        self.pending = false;
        Ok((body, config))
    }

    /// Offers what we have.
    pub(super) fn offer(&mut self) -> Vec<u8> {
        let caps = Capabilities::g711();
        let offer = match &self.last {
            Some(last) => sdp::reoffer(last, &self.local, &caps),
            None => sdp::offer_with(&self.origin, &self.local, &caps),
        };
        let body = offer.to_string().into_bytes();
        self.last = Some(offer);
        self.pending = true;
        body
    }

    /// Whether an offer of ours waits for its answer.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// Takes the answer to our offer. Slips that do no harm are forgiven.
    ///
    /// # Errors
    /// 488 when the answer cannot be gone on with.
    pub(super) fn complete(&mut self, answer: &Session) -> Result<Option<Config>, Refused> {
        self.pending = false;
        let offer = self
            .last
            .as_ref()
            .ok_or_else(|| Refused::new(488, "an answer to no offer"))?;
        let streams = match sdp::complete(offer, answer, &Capabilities::g711()) {
            Ok(streams) => streams,
            Err(illegal) => match illegal.tolerated {
                Some(streams) => {
                    tracing::debug!(violations = ?illegal.violations, "an answer with slips");
                    streams
                }
                None => return Err(Refused::new(488, "the answer does not fit the offer")),
            },
        };
        match self.config(&streams)? {
            Some(config) => Ok(Some(config)),
            None => Err(Refused::new(488, "the answer refuses the stream")),
        }
    }

    /// What the negotiated streams mean for the media; keeps in mind which of them is ours.
    fn config(&mut self, streams: &[Negotiated]) -> Result<Option<Config>, Refused> {
        let ours =
            |(_, stream): &(usize, &Negotiated)| stream.accepted && stream.kind == MediaKind::Audio;
        let Some((index, stream)) = streams.iter().enumerate().find(ours) else {
            return Ok(None);
        };
        let send = stream
            .send
            .as_ref()
            .and_then(choice)
            .ok_or_else(|| Refused::new(488, "no codec in common"))?;
        let destination = stream
            .remote_rtp
            .as_ref()
            .and_then(Destination::socket_addr);
        let foreign = |ip: IpAddr| ip.to_canonical().is_ipv4() != self.local.address.is_ipv4();
        if destination.is_some_and(|remote| foreign(remote.ip())) {
            return Err(Refused::new(488, "no way from our address to this one"));
        }
        self.local.stream = Some(index);
        let events = stream
            .telephone_event
            .filter(|event| event.clock_rate == send.codec.clock_rate());
        let mut config = Config::new(send, destination, self.ssrc, &self.cname, self.seed);
        config.receive = stream.receive.iter().filter_map(choice).collect();
        config.telephone_event_receive = events.map(|event| event.receive);
        config.ptime_ms = stream.ptime_ms;
        config.direction = Direction {
            send: stream.direction.sends(),
            receive: stream.direction.receives(),
        };
        config.rtcp_destination = stream
            .remote_rtcp
            .as_ref()
            .and_then(Destination::socket_addr);
        config.rtcp_mux = stream.rtcp_mux;
        // A peer's silence is judged by RTP and RTCP together, by the call.
        config.stall = Time::MAX;
        Ok(Some(config))
    }
}

fn choice(codec: &Codec) -> Option<CodecChoice> {
    Some(CodecChoice {
        payload_type: codec.payload_type,
        codec: CodecKind::find(&codec.name, codec.clock_rate)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(connection: &str) -> Session {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN {connection}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        );
        Session::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn media_goes_where_the_signalling_came_from() {
        let chosen = |own: &str, peer: &str| {
            media_address(own.parse().unwrap(), Some(&offer(peer))).to_string()
        };
        assert_eq!(chosen("192.0.2.9", "IP4 192.0.2.1"), "192.0.2.9");
        assert_eq!(chosen("::ffff:192.0.2.9", "IP4 192.0.2.1"), "192.0.2.9");
        assert_eq!(chosen("127.0.0.1", "IP4 127.0.0.7"), "127.0.0.1");
        assert_eq!(chosen("192.0.2.9", "IP4 0.0.0.0"), "192.0.2.9");
        assert_eq!(chosen("192.0.2.9", "IP4 phone.example"), "192.0.2.9");
        assert_eq!(
            media_address("::1".parse().unwrap(), None).to_string(),
            "::1"
        );
    }

    #[test]
    fn a_stranger_cannot_name_our_loopback() {
        let own: IpAddr = "192.0.2.9".parse().unwrap();
        for connection in ["IP4 127.0.0.1", "IP6 ::1", "IP6 ::ffff:127.0.0.1"] {
            let offer = offer(connection);
            assert_eq!(media_address(own, Some(&offer)), own, "{connection}");
            let refused = Negotiation::new(own, 4000).unwrap().answer(&offer);
            assert_eq!(
                refused.map_err(|r| r.status).err(),
                Some(488),
                "{connection}"
            );
        }
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        let own: IpAddr = "192.0.2.9".parse().unwrap();
        let refused = Negotiation::new(own, 4000)
            .unwrap()
            .answer(&offer("IP6 2001:db8::1"));
        assert_eq!(refused.map_err(|r| r.status).err(), Some(488));
    }

    #[test]
    fn versions_count_up_and_our_identity_stays() {
        let own: IpAddr = "192.0.2.9".parse().unwrap();
        let mut negotiation = Negotiation::new(own, 4000).unwrap();
        let (first, config) = negotiation.answer(&offer("IP4 192.0.2.1")).unwrap();
        let (again, _) = negotiation.answer(&offer("IP4 192.0.2.1")).unwrap();
        assert_eq!(first, again, "an unchanged description keeps its version");
        let offered = Session::parse(&negotiation.offer()).unwrap();
        let version = |s: &Session| s.origin.session_version.parse::<u64>().unwrap();
        assert_eq!(
            version(&offered),
            version(&Session::parse(&first).unwrap()) + 1
        );
        assert_eq!(offered.media[0].formats, ["0", "8", "101"]);
        let completed = negotiation.complete(&offer("IP4 192.0.2.1")).unwrap();
        let (before, after) = (config.unwrap(), completed.unwrap());
        assert_eq!((before.ssrc, before.cname), (after.ssrc, after.cname));
        assert!(!negotiation.is_pending());
    }
}
