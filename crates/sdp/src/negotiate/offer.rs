//! Making offers (RFC 3264 §5) and changing them (§8).

use std::net::IpAddr;

use super::{Capabilities, LocalMedia, codec_attributes};
use crate::attribute::Attribute;
use crate::codec::Codec;
use crate::direction::Direction;
use crate::secure;
use crate::session::{Connection, Media, Origin, Session};

/// An offer of one audio stream in the clear.
pub fn offer(
    origin: &Origin,
    address: IpAddr,
    port: u16,
    caps: &Capabilities,
    direction: Direction,
) -> Session {
    offer_with(
        origin,
        &LocalMedia {
            direction,
            ..LocalMedia::new(address, port)
        },
        caps,
    )
}

/// An offer of one stream with all that `local` says about it.
pub fn offer_with(origin: &Origin, local: &LocalMedia, caps: &Capabilities) -> Session {
    let mut session = Session::new(origin.clone(), local.address);
    session.media.push(stream(local, caps, &[]));
    session
}

/// A new offer within a session: our stream anew, in its place, every other line as it was.
///
/// `last` is the description we sent last, whether as an offer or as an answer.
pub fn reoffer(last: &Session, local: &LocalMedia, caps: &Capabilities) -> Session {
    let ours = |media: &Media| media.kind == local.kind;
    let place = local
        .stream
        .filter(|index| *index < last.media.len())
        .or_else(|| last.media.iter().position(|m| ours(m) && m.port != 0))
        .or_else(|| last.media.iter().position(|m| m.port == 0));
    let mut session = last.clone();
    session.connection = Some(Connection::new(local.address));
    // The session's c= is now that of our stream: lines that leaned on the old one get it as their own.
    if session.connection != last.connection {
        let open = session.media.iter_mut().filter(|m| m.port != 0);
        for media in open.filter(|m| m.connection.is_none()) {
            media.connection.clone_from(&last.connection);
        }
    }
    match place.and_then(|index| session.media.get_mut(index)) {
        Some(media) => {
            let taken = if ours(media) {
                media.codecs()
            } else {
                Vec::new()
            };
            *media = stream(local, caps, &taken);
        }
        None => session.media.push(stream(local, caps, &[])),
    }
    renew(last, session)
}

/// Puts the other side on hold: every stream stops receiving and goes on sending if it did (RFC 3264 §8.4).
pub fn hold(last: &Session) -> Session {
    redirected(last, Direction::held)
}

/// Takes the other side off hold.
pub fn resume(last: &Session) -> Session {
    redirected(last, |_| Direction::SendRecv)
}

/// Makes `next` the successor of `last` in one session: the same origin, the version one higher if anything changed and equal if
/// nothing did, and never fewer `m=` lines (RFC 3264 §8). Fits offers and answers.
pub fn renew(last: &Session, mut next: Session) -> Session {
    let missing = last.media.get(next.media.len()..).unwrap_or_default();
    next.media.extend(missing.iter().map(refused));
    next.origin = last.origin.clone();
    if next != *last {
        next.origin = last.origin.next_version();
    }
    next
}

/// The line that refuses or ends a stream (RFC 3264 §6, §8.2).
pub(super) fn refused(media: &Media) -> Media {
    let mid = media.attribute("mid").map(|mid| Attribute::new("mid", mid));
    let attributes = mid.into_iter().collect();
    Media {
        formats: media.formats.clone(),
        attributes,
        ..Media::new(media.kind.clone(), 0, &media.protocol)
    }
}

fn redirected(last: &Session, direction: impl Fn(Direction) -> Direction) -> Session {
    let mut next = last.clone();
    for media in next.media.iter_mut().filter(|m| m.port != 0) {
        media.set_direction(direction(last.direction_of(media)));
    }
    renew(last, next)
}

fn stream(local: &LocalMedia, caps: &Capabilities, taken: &[Codec]) -> Media {
    let codecs = caps.numbered(taken);
    let mut media = Media::new(
        local.kind.clone(),
        local.rtp_port,
        secure::offered_protocol(local),
    );
    media.formats = codecs.iter().map(|c| c.payload_type.to_string()).collect();
    media.attributes = codec_attributes(&codecs, caps.ptime_ms);
    media
        .attributes
        .push(Attribute::flag(local.direction.name()));
    media
        .attributes
        .extend(local.rtcp_attributes(local.rtcp_mux));
    media.attributes.extend(secure::offered(local));
    media.attributes.extend(
        local
            .ice
            .iter()
            // The peer may want RTCP on a port of its own (RFC 5761 §5.1.3).
            .flat_map(|ice| ice.attributes(true)),
    );
    media
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Session {
        let address = "192.0.2.1".parse().unwrap();
        offer(
            &Origin::new("-", 7, address),
            address,
            4000,
            &Capabilities::g711(),
            Direction::SendRecv,
        )
    }

    #[test]
    fn the_offer_as_text() {
        assert_eq!(
            first().to_string(),
            "v=0\r\no=- 7 7 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
             a=ptime:20\r\na=sendrecv\r\n"
        );
    }

    #[test]
    fn hold_and_resume_count_versions() {
        let held = hold(&first());
        assert_eq!(held.origin.session_version, "8");
        assert_eq!(held.media[0].direction(), Some(Direction::SendOnly));
        assert_eq!(
            hold(&held),
            held,
            "an unchanged description keeps its version"
        );
        let resumed = resume(&held);
        assert_eq!(
            (
                resumed.origin.session_version.as_str(),
                resumed.media[0].direction()
            ),
            ("9", Some(Direction::SendRecv))
        );
    }

    #[test]
    fn lines_never_vanish() {
        let mut last = first();
        last.media.push(Media {
            formats: vec!["31".into()],
            ..Media::new(crate::MediaKind::Video, 5000, "RTP/AVP")
        });
        let next = renew(&last, first());
        assert_eq!(
            next.media.iter().map(|m| m.port).collect::<Vec<_>>(),
            [4000, 0]
        );
        assert_eq!(next.origin.session_version, "8");
        let again = reoffer(
            &next,
            &LocalMedia::new("192.0.2.9".parse().unwrap(), 6000),
            &Capabilities::g711(),
        );
        assert_eq!(
            again.media.iter().map(|m| m.port).collect::<Vec<_>>(),
            [6000, 0]
        );
        assert_eq!(again.origin.session_version, "9");
        assert_eq!(
            again.origin.address, "192.0.2.1",
            "the origin stays when the address moves"
        );
    }

    #[test]
    fn a_new_offer_keeps_the_numbers_of_the_peer() {
        let mut last = first();
        last.media[0].formats = vec!["8".into(), "126".into()];
        last.media[0].attributes = vec![Attribute::new("rtpmap", "126 telephone-event/8000")];
        let next = reoffer(
            &last,
            &LocalMedia::new("192.0.2.1".parse().unwrap(), 4000),
            &Capabilities::g711(),
        );
        assert_eq!(next.media[0].formats, ["0", "8", "126"]);
    }
}
