//! What an offer and its answer mean together.

use super::{Capabilities, Negotiated, TelephoneEvent};
use crate::address::{Destination, Host};
use crate::codec::Codec;
use crate::direction::Direction;
use crate::ice;
use crate::secure::{self, Security};
use crate::session::{Media, Session};

/// Our part in the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `local` is the offer.
    Offerer,
    /// `local` is the answer.
    Answerer,
}

/// Longest and shortest packets we send: longer ones do not fit a datagram, shorter ones are mostly headers.
const PACKET_MS: (u32, u32) = (10, 100);

/// The result of an exchange, one entry per `m=` line. It does not ask whether the answer was legal: see [`super::violations`].
///
/// Who may send is what both descriptions allow, so that a wrong direction in an answer never opens a stream.
pub fn outcome(
    local: &Session,
    remote: &Session,
    role: Role,
    caps: &Capabilities,
) -> Vec<Negotiated> {
    local
        .media
        .iter()
        .zip(&remote.media)
        .map(|(ours, theirs)| stream((local, ours), (remote, theirs), role, caps))
        .collect()
}

/// One side's description and its line there.
type Side<'a> = (&'a Session, &'a Media);

fn stream(local: Side<'_>, remote: Side<'_>, role: Role, caps: &Capabilities) -> Negotiated {
    let pairs = common(local.1, remote.1, role);
    let security = secure::agreed(local, remote);
    let rtp = remote_rtp(local, remote);
    let rtcp_mux = local.1.rtcp_mux() && remote.1.rtcp_mux();
    let usable = !pairs.is_empty() || (!local.1.is_rtp() && !remote.1.is_rtp());
    let open = local.1.port != 0 && remote.1.port != 0;
    let send = pairs
        .iter()
        .map(|(_, theirs)| theirs)
        .find(|c| !c.is_auxiliary())
        .or(pairs.first().map(|(_, c)| c))
        .cloned();
    Negotiated {
        kind: remote.1.kind.clone(),
        protocol: remote.1.protocol.clone(),
        accepted: open && usable && rtp.is_some() && security.is_ok(),
        refusal: None,
        direction: direction(local, remote),
        remote_rtcp: rtp
            .as_ref()
            .and_then(|rtp| remote_rtcp(rtp, remote.1, rtcp_mux)),
        remote_rtp: rtp,
        rtcp_mux,
        telephone_event: telephone_event(&pairs, send.as_ref()),
        send,
        ptime_ms: packet_length(remote.1, caps),
        security: security.unwrap_or(Security::None),
        ice: ice::agreed(local, remote),
        may_send: pairs.iter().map(|(_, theirs)| theirs.clone()).collect(),
        receive: pairs.into_iter().map(|(ours, _)| ours).collect(),
    }
}

/// Codecs of both descriptions, ours and theirs, in the order of the answer.
pub(super) fn common(local: &Media, remote: &Media, role: Role) -> Vec<(Codec, Codec)> {
    let (offered, answered) = match role {
        Role::Offerer => (local.codecs(), remote.codecs()),
        Role::Answerer => (remote.codecs(), local.codecs()),
    };
    let partner = |a: &Codec| {
        let fits = |o: &&Codec| o.compatible(a);
        let same_number = offered
            .iter()
            .filter(fits)
            .find(|o| o.payload_type == a.payload_type);
        same_number.or_else(|| offered.iter().find(fits)).cloned()
    };
    answered
        .iter()
        .filter_map(|a| {
            let o = partner(a)?;
            Some(match role {
                Role::Offerer => (o, a.clone()),
                Role::Answerer => (a.clone(), o),
            })
        })
        .collect()
}

/// The peer's RTP address, where it is one to which packets may go.
fn remote_rtp(local: Side<'_>, remote: Side<'_>) -> Option<Destination> {
    let ours = local
        .0
        .connection_of(local.1)
        .and_then(|c| Host::of(c).ok());
    let loopback = ours.is_some_and(|host| host.is_loopback());
    Destination::of(remote.0.connection_of(remote.1), remote.1.port, loopback)
        .ok()
        .filter(|rtp| rtp.port != 0)
}

/// RFC 5761, else RFC 3605, else one port above RTP (RFC 3550 §11).
fn remote_rtcp(rtp: &Destination, remote: &Media, mux: bool) -> Option<Destination> {
    if mux {
        return Some(rtp.clone());
    }
    match remote.rtcp() {
        Some((port, connection)) => {
            let said = connection
                .and_then(|c| Destination::of(Some(&c), port, rtp.host.is_loopback()).ok());
            Some(said.unwrap_or_else(|| rtp.at(port)))
        }
        None => Some(rtp.at(rtp.port.checked_add(1)?)),
    }
}

/// What a description lets its writer do: its direction, without receiving where `c=` is 0.0.0.0 (RFC 3264 §8.4). Where ICE is
/// offered, `c=` is only a default and does not say so.
pub(super) fn meant_direction(session: &Session, media: &Media) -> Direction {
    let direction = session.direction_of(media);
    let unspecified = session
        .connection_of(media)
        .and_then(|c| Host::of(c).ok())
        .is_some_and(|host| host.is_unspecified());
    if unspecified && !session.has_ice(media) {
        direction.held()
    } else {
        direction
    }
}

fn direction(local: Side<'_>, remote: Side<'_>) -> Direction {
    meant_direction(local.0, local.1).and(meant_direction(remote.0, remote.1).reversed())
}

/// The pair whose clock is that of the codec, else the first one (RFC 4733 §2.5.1.2 wants equal clocks; browsers list several).
fn telephone_event(pairs: &[(Codec, Codec)], codec: Option<&Codec>) -> Option<TelephoneEvent> {
    let events = || pairs.iter().filter(|(ours, _)| ours.is_telephone_event());
    let fitting = events().find(|(ours, _)| codec.is_some_and(|c| c.clock_rate == ours.clock_rate));
    let (ours, theirs) = fitting.or_else(|| events().next())?;
    Some(TelephoneEvent {
        send: theirs.payload_type,
        receive: ours.payload_type,
        clock_rate: ours.clock_rate,
    })
}

fn packet_length(remote: &Media, caps: &Capabilities) -> u32 {
    let wished = remote.ptime().unwrap_or(caps.ptime_ms);
    wished
        .min(remote.max_ptime().unwrap_or(wished))
        .clamp(PACKET_MS.0, PACKET_MS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(tail: &str) -> Session {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP ";
        Session::parse(format!("{head}{tail}").as_bytes()).unwrap()
    }

    #[test]
    fn equal_encodings_pair_by_number() {
        let twice = both("97 98\r\na=rtpmap:97 iLBC/8000\r\na=rtpmap:98 iLBC/8000\r\n");
        let pairs = common(&twice.media[0], &twice.media[0], Role::Offerer);
        assert!(
            pairs.len() == 2 && pairs.iter().all(|(a, b)| a.payload_type == b.payload_type),
            "{pairs:?}"
        );
    }

    #[test]
    fn packets_fit_a_datagram() {
        let length = |tail: &str| {
            outcome(
                &both("0\r\n"),
                &both(tail),
                Role::Offerer,
                &Capabilities::g711(),
            )[0]
            .ptime_ms
        };
        assert_eq!(length("0\r\na=ptime:30\r\n"), 30);
        assert_eq!(length("0\r\na=ptime:1000\r\n"), 100);
        assert_eq!(length("0\r\na=maxptime:1\r\n"), 10);
    }
}
