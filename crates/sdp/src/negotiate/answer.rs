//! Answering an offer (RFC 3264 §6).

use super::offer::refused;
use super::outcome::{Role, meant_direction, outcome};
use super::{Capabilities, LocalMedia, Negotiated, Refusal, Rejection, codec_attributes};
use crate::address::{Destination, Host};
use crate::attribute::Attribute;
use crate::codec::Codec;
use crate::ice;
use crate::secure::{self, Protection};
use crate::session::{Connection, Media, Origin, Session};

/// Answers an offer with one stream of ours; every other line is refused in its place with port 0.
///
/// Returns the description to send and what holds for each line. Within a session pass the answer through [`super::renew`].
///
/// # Errors
/// 488 when the offer has streams and none of them is acceptable. An offer without streams (or with ended ones only) is answered.
pub fn answer(
    offer: &Session,
    origin: &Origin,
    local: &LocalMedia,
    caps: &Capabilities,
) -> Result<(Session, Vec<Negotiated>), Rejection> {
    let verdicts: Vec<Result<Plan, Refusal>> = offer
        .media
        .iter()
        .map(|media| judge(offer, media, local, caps))
        .collect();
    let chosen = choose(&verdicts, local);
    if chosen.is_none() {
        refuse_all(offer, &verdicts, local)?;
    }
    let mut session = Session::new(origin.clone(), local.address);
    if !offer.timings.is_empty() {
        session.timings.clone_from(&offer.timings);
    }
    let mut refusals = Vec::new();
    for (index, (media, verdict)) in offer.media.iter().zip(verdicts).enumerate() {
        let (line, refusal) = match verdict {
            Ok(plan) if chosen == Some(index) => (accept(offer, media, plan, local, caps), None),
            Ok(_) => (refused(media), Some(Refusal::Surplus)),
            Err(refusal) => (refused(media), Some(refusal)),
        };
        session.media.push(line);
        refusals.push(refusal);
    }
    let mut negotiated = outcome(&session, offer, Role::Answerer, caps);
    for (stream, refusal) in negotiated.iter_mut().zip(refusals) {
        stream.refusal = refusal;
    }
    Ok((session, negotiated))
}

/// How a stream could be accepted.
struct Plan {
    codecs: Vec<Codec>,
    protection: Protection,
}

fn judge(
    offer: &Session,
    media: &Media,
    local: &LocalMedia,
    caps: &Capabilities,
) -> Result<Plan, Refusal> {
    if media.port == 0 {
        return Err(Refusal::Ended);
    }
    if media.kind != local.kind {
        return Err(Refusal::Kind);
    }
    let loopback = Host::of(&Connection::new(local.address)).is_ok_and(|host| host.is_loopback());
    if !secure::is_known_transport(&media.protocol) {
        return Err(Refusal::Transport);
    }
    Destination::of(offer.connection_of(media), media.port, loopback).map_err(Refusal::Address)?;
    let codecs = common(&media.codecs(), caps).ok_or(Refusal::Codec)?;
    let protection = secure::protection(offer, media, local)?;
    Ok(Plan { codecs, protection })
}

/// Codecs for the answer under the offer's numbers (RFC 3264 §6.1 recommends them), in the offer's order.
fn common(offered: &[Codec], caps: &Capabilities) -> Option<Vec<Codec>> {
    let ours = |o: &Codec| {
        caps.codecs
            .iter()
            .find(|c| c.compatible(o))
            .map(|c| c.answer_fmtp(o))
    };
    let all: Vec<Codec> = offered
        .iter()
        .filter_map(|o| {
            Some(Codec {
                fmtp: ours(o)?,
                ..o.clone()
            })
        })
        .collect();
    let main = all.iter().find(|c| !c.is_auxiliary())?.clone();
    if !caps.one_codec {
        return Some(all);
    }
    let mut chosen = vec![main.clone()];
    let mut riders: Vec<&Codec> = all.iter().filter(|c| c.is_auxiliary()).collect();
    riders.sort_by_key(|c| c.clock_rate != main.clock_rate);
    for rider in riders {
        let fits = rider.is_telephone_event() || rider.clock_rate == main.clock_rate;
        if fits
            && !chosen
                .iter()
                .any(|c| c.name.eq_ignore_ascii_case(&rider.name))
        {
            chosen.push(rider.clone());
        }
    }
    Some(chosen)
}

/// The stream that had our port so far, else the first protected one where we can protect, else the first.
fn choose(verdicts: &[Result<Plan, Refusal>], local: &LocalMedia) -> Option<usize> {
    let good = |index: &usize| verdicts.get(*index).is_some_and(|v| v.is_ok());
    let protected = |v: &Result<Plan, Refusal>| {
        v.as_ref()
            .is_ok_and(|plan| plan.protection != Protection::None)
    };
    local
        .stream
        .filter(good)
        .or_else(|| verdicts.iter().position(protected))
        .or_else(|| verdicts.iter().position(Result::is_ok))
}

/// Nothing was acceptable: an error unless nothing was asked for. The reason told is that of the first stream of our kind.
fn refuse_all(
    offer: &Session,
    verdicts: &[Result<Plan, Refusal>],
    local: &LocalMedia,
) -> Result<(), Rejection> {
    let asked = || {
        let lines = offer.media.iter().zip(verdicts);
        lines.filter_map(|(m, v)| {
            v.as_ref()
                .err()
                .filter(|r| **r != Refusal::Ended)
                .map(|r| (m, r))
        })
    };
    let told = asked()
        .find(|(media, _)| media.kind == local.kind)
        .or_else(|| asked().next());
    match told {
        Some((_, refusal)) => Err(Rejection::not_acceptable(refusal)),
        None => Ok(()),
    }
}

fn accept(
    offer: &Session,
    media: &Media,
    plan: Plan,
    local: &LocalMedia,
    caps: &Capabilities,
) -> Media {
    let mut line = Media::new(media.kind.clone(), local.rtp_port, &media.protocol);
    line.formats = plan
        .codecs
        .iter()
        .map(|c| c.payload_type.to_string())
        .collect();
    line.attributes
        .extend(media.attribute("mid").map(|mid| Attribute::new("mid", mid)));
    line.attributes
        .extend(codec_attributes(&plan.codecs, caps.ptime_ms));
    let direction = meant_direction(offer, media)
        .reversed()
        .and(local.direction);
    line.attributes.push(Attribute::flag(direction.name()));
    let mux = local.rtcp_mux && media.rtcp_mux();
    line.attributes.extend(local.rtcp_attributes(mux));
    line.attributes.extend(plan.protection.attributes(local));
    line.attributes.extend(
        local
            .ice
            .iter()
            .flat_map(|own| ice::answered(own, offer, media, mux)),
    );
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Direction;

    fn answered(
        tail: &str,
        local: &LocalMedia,
        caps: &Capabilities,
    ) -> Result<(Session, Vec<Negotiated>), Rejection> {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=5 6\r\n{tail}"
        );
        answer(
            &Session::parse(text.as_bytes()).unwrap(),
            &Origin::new("-", 2, local.address),
            local,
            caps,
        )
    }

    fn local() -> LocalMedia {
        LocalMedia::new("192.0.2.2".parse().unwrap(), 5000)
    }

    const BROWSER_LIKE: &str = "m=audio 4000 RTP/AVP 111 8 0 110 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:110 telephone-event/48000\r\n\
                                a=rtpmap:126 telephone-event/8000\r\na=mid:x\r\na=rtcp-mux\r\na=ptime:30\r\na=maxptime:25\r\n";

    #[test]
    fn one_codec_with_its_events() {
        let (session, streams) = answered(BROWSER_LIKE, &local(), &Capabilities::g711()).unwrap();
        assert_eq!(session.media[0].formats, ["8", "126"]);
        assert_eq!(session.media[0].attribute("mid"), Some("x"));
        assert_eq!((session.timings[0].start, session.timings[0].stop), (5, 6));
        let stream = &streams[0];
        assert_eq!(
            stream.telephone_event,
            Some(super::super::TelephoneEvent {
                send: 126,
                receive: 126,
                clock_rate: 8000
            })
        );
        assert_eq!(stream.send.as_ref().map(|c| c.payload_type), Some(8));
        assert_eq!(stream.ptime_ms, 25);
        assert_eq!(
            stream.remote_rtcp.as_ref().map(|d| d.port),
            Some(4001),
            "we did not agree to mux"
        );
        let all = Capabilities {
            one_codec: false,
            ..Capabilities::g711()
        };
        assert_eq!(
            answered(BROWSER_LIKE, &local(), &all).unwrap().0.media[0].formats,
            ["8", "0", "126"]
        );
    }

    #[test]
    fn events_run_on_the_clock_of_the_codec() {
        let codecs = vec![
            Codec::new(8, "PCMA", 8000),
            Codec::telephone_event(110, 48000),
            Codec::telephone_event(101, 8000),
        ];
        let (session, _) = answered(BROWSER_LIKE, &local(), &Capabilities::new(codecs)).unwrap();
        assert_eq!(session.media[0].formats, ["8", "126"]);
    }

    #[test]
    fn rtcp_where_the_offer_wants_it() {
        let mux = LocalMedia {
            rtcp_mux: true,
            ..local()
        };
        let (_, streams) = answered(BROWSER_LIKE, &mux, &Capabilities::g711()).unwrap();
        assert_eq!(streams[0].remote_rtcp, streams[0].remote_rtp);
        let rtcp = |value: &str| {
            let tail = format!("m=audio 4000 RTP/AVP 0\r\na=rtcp:{value}\r\n");
            answered(&tail, &local(), &Capabilities::g711()).unwrap().1[0]
                .remote_rtcp
                .as_ref()
                .map(ToString::to_string)
        };
        assert_eq!(
            rtcp("6001 IN IP6 2001:db8::7"),
            Some("[2001:db8::7]:6001".into())
        );
        assert_eq!(rtcp("6001 IN IP4 224.0.0.1"), Some("192.0.2.1:6001".into()));
        let last = answered(
            "m=audio 65535 RTP/AVP 0\r\n",
            &local(),
            &Capabilities::g711(),
        )
        .unwrap();
        assert_eq!(last.1[0].remote_rtcp, None);
    }

    #[test]
    fn directions_and_old_hold() {
        let direction = |tail: &str, ours: Direction| {
            let local = LocalMedia {
                direction: ours,
                ..local()
            };
            let (session, streams) = answered(tail, &local, &Capabilities::g711()).unwrap();
            assert_eq!(session.media[0].direction(), Some(streams[0].direction));
            streams[0].direction
        };
        assert_eq!(
            direction(
                "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n",
                Direction::SendRecv
            ),
            Direction::RecvOnly
        );
        assert_eq!(
            direction("m=audio 4000 RTP/AVP 0\r\n", Direction::SendOnly),
            Direction::SendOnly
        );
        assert_eq!(
            direction(
                "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n",
                Direction::SendOnly
            ),
            Direction::Inactive
        );
        let old = "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n";
        assert_eq!(direction(old, Direction::SendRecv), Direction::RecvOnly);
        let trickled = format!("{old}a=ice-ufrag:abcd\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n");
        assert_eq!(
            direction(&trickled, Direction::SendRecv),
            Direction::SendRecv
        );
    }

    #[test]
    fn the_stream_in_use_keeps_its_line() {
        let two = "m=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 0\r\n";
        let second = LocalMedia {
            stream: Some(1),
            ..local()
        };
        let (session, streams) = answered(two, &second, &Capabilities::g711()).unwrap();
        assert_eq!(
            session.media.iter().map(|m| m.port).collect::<Vec<_>>(),
            [0, 5000]
        );
        assert_eq!(streams[0].refusal, Some(Refusal::Surplus));
        assert!(!streams[0].accepted && streams[1].accepted);
    }

    #[test]
    fn what_is_told_when_nothing_fits() {
        let refusal = |tail: &str| {
            answered(tail, &local(), &Capabilities::g711())
                .map_err(|r| (r.status, r.warning))
                .err()
        };
        assert_eq!(refusal("m=video 4000 RTP/AVP 31\r\n"), Some((488, 304)));
        assert_eq!(
            refusal("m=video 4000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 3 101\r\n"),
            Some((488, 305))
        );
        assert_eq!(refusal("m=audio 4000 RTP/XAVP 0\r\n"), Some((488, 302)));
        assert_eq!(
            refusal("m=audio 4000 RTP/AVP 0\r\nc=AF IP4 192.0.2.1\r\n"),
            Some((488, 300))
        );
        assert_eq!(
            refusal("m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n"),
            Some((488, 305))
        );
        assert_eq!(
            refusal("m=audio 0 RTP/AVP 0\r\n"),
            None,
            "ending the only stream is no reason to refuse"
        );
    }
}
