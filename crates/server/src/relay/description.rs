//! What a description means for a relay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sdp::{Destination, Direction, Host, Media, Session};

use super::RelayError;
use super::latch::{Expected, plain};

/// Streams that one description may have.
pub(super) const MOST_LINES: usize = 16;

/// A description, stream by stream.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) lines: Vec<Line>,
}

/// One `m=` line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) payload: Option<Payload>,
    /// The port is not 0.
    pub(super) on: bool,
    /// Where the other side of our RTP port is.
    pub(super) rtp: Expected,
    /// Where that of our RTCP port is.
    pub(super) rtcp: Expected,
    /// RTCP is wanted on the port of RTP.
    pub(super) shares_port: bool,
    /// It has a `c=` of its own.
    pub(super) own_connection: bool,
    /// It is sent and received.
    pub(super) both_ways: bool,
}

/// What travels in the datagrams of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// RTP of any profile, with what shares its port (RFC 7983).
    Rtp,
    /// Anything over UDP, like fax (T.38, `udptl`).
    Datagrams,
}

impl Description {
    /// Reads `sdp`, whose signalling came from `seen_from`.
    ///
    /// # Errors
    /// [`RelayError::Unreadable`], [`RelayError::TooManyStreams`].
    pub(super) fn read(sdp: &[u8], seen_from: IpAddr) -> Result<Description, RelayError> {
        let session = Session::parse(sdp).map_err(RelayError::Unreadable)?;
        if session.media.len() > MOST_LINES {
            return Err(RelayError::TooManyStreams);
        }
        let seen_from = seen_from.to_canonical();
        let lines = session.media.iter();
        Ok(Description {
            lines: lines.map(|m| Line::read(&session, m, seen_from)).collect(),
        })
    }

    /// The first address that it describes, to tell which family its side speaks.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let relayed = self.lines.iter().filter(|line| line.is_relayed());
        relayed
            .filter_map(|line| line.rtp.announced)
            .map(|a| a.ip())
            .next()
    }
}

impl Line {
    /// Whether its datagrams pass through the relay. Lines over TCP (MSRP, BFCP, T.38 over TCP) are left as they are:
    /// MSRP has relays of its own (RFC 4976), and where the two cannot reach each other the stream alone fails.
    pub(super) fn is_relayed(&self) -> bool {
        self.payload.is_some()
    }

    fn read(session: &Session, media: &Media, seen_from: IpAddr) -> Line {
        let connection = session.connection_of(media);
        let host = connection.and_then(|c| Host::of(c).ok());
        let mute = host.as_ref().is_some_and(Host::is_unspecified);
        // An address on the loopback means our own, which only a neighbour may name.
        let local = seen_from.is_loopback();
        let usable = |destination: Destination| {
            let address = destination.socket_addr().map(plain)?;
            (!address.ip().is_unspecified()).then_some(address)
        };
        let described = Destination::of(connection, media.port, local);
        let rtp = described.ok().filter(|_| media.port != 0).and_then(usable);
        let (port, other) = media.rtcp().unwrap_or((media.port.saturating_add(1), None));
        let described = Destination::of(other.as_ref().or(connection), port, local);
        let rtcp = described.ok().filter(|_| media.port != 0).and_then(usable);
        let expected = |announced: Option<SocketAddr>| Expected {
            announced,
            signalling: seen_from,
            early: announced.is_some_and(|a| is_within_reach(a.ip(), seen_from)),
            mute,
        };
        Line {
            payload: Payload::of(media),
            on: media.port != 0,
            rtp: expected(rtp),
            rtcp: expected(rtcp),
            shares_port: media.rtcp().is_some_and(|(port, _)| port == media.port),
            own_connection: media.connection.is_some(),
            both_ways: session.direction_of(media) == Direction::SendRecv && !mute,
        }
    }
}

impl Payload {
    fn of(media: &Media) -> Option<Payload> {
        let mut words = media.protocol.split('/');
        let first = words.next().unwrap_or_default();
        let is = |name: &str| first.eq_ignore_ascii_case(name);
        if is("TCP") {
            None
        } else if media.is_rtp() {
            Some(Payload::Rtp)
        } else {
            (is("UDP") || is("udptl") || is("DTLS")).then_some(Payload::Datagrams)
        }
    }
}

/// Whether an address described by a side that signals from `seen_from` means what it says for us. A private one that a
/// public host names is behind a translator there: the same address here would be somebody else's.
fn is_within_reach(announced: IpAddr, seen_from: IpAddr) -> bool {
    announced == seen_from || !is_private(announced) || is_private(seen_from)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        // With the space of carriers' translators (RFC 6598).
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || u32::from(v4) & 0xffc0_0000 == u32::from(Ipv4Addr::new(100, 64, 0, 0))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seen: &str, connection: &str, rest: &str) -> Line {
        let text =
            format!("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN {connection}\r\nt=0 0\r\n{rest}");
        let read = Description::read(text.as_bytes(), seen.parse().unwrap()).unwrap();
        read.lines.into_iter().next().unwrap()
    }

    fn at(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn rtcp_stands_where_it_is_described() {
        let audio = "m=audio 4000 RTP/AVP 0\r\n";
        let plain = line("192.0.2.1", "IP4 192.0.2.1", audio);
        assert_eq!(plain.rtp.announced, at("192.0.2.1:4000"));
        assert_eq!(plain.rtcp.announced, at("192.0.2.1:4001"));
        assert!(plain.both_ways && plain.rtp.early);
        let told = format!("{audio}a=rtcp:9000 IN IP4 192.0.2.2\r\na=sendonly\r\n");
        let told = line("192.0.2.1", "IP4 192.0.2.1", &told);
        assert_eq!(told.rtcp.announced, at("192.0.2.2:9000"));
        assert!(!told.both_ways);
    }

    #[test]
    fn what_is_sent_to_before_anything_came() {
        let audio = "m=audio 4000 RTP/AVP 0\r\n";
        let early = |seen: &str, connection: &str| line(seen, connection, audio).rtp.early;
        assert!(early("192.0.2.1", "IP4 198.51.100.1"), "media elsewhere");
        assert!(
            !early("203.0.113.9", "IP4 192.168.1.2"),
            "behind a translator"
        );
        assert!(
            !early("203.0.113.9", "IP4 100.64.3.2"),
            "behind a carrier's"
        );
        assert!(
            early("192.168.1.2", "IP4 192.168.1.2"),
            "in our own network"
        );
        assert!(early("10.0.0.7", "IP4 192.168.1.2"), "two private networks");
        assert!(!early("203.0.113.9", "IP4 127.0.0.1"), "our loopback");
        assert!(
            early("127.0.0.1", "IP4 127.0.0.1"),
            "a neighbour's loopback"
        );
        assert!(!early("203.0.113.9", "IP4 phone.example.org"), "a name");
        assert!(!early("203.0.113.9", "IP4 224.0.0.1"), "a group");
        assert!(line("192.0.2.1", "IP4 0.0.0.0", audio).rtp.mute);
    }

    #[test]
    fn protocols() {
        let payload = |protocol: &str| {
            line(
                "192.0.2.1",
                "IP4 192.0.2.1",
                &format!("m=x 4000 {protocol} 0\r\n"),
            )
            .payload
        };
        for rtp in ["RTP/AVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"] {
            assert_eq!(payload(rtp), Some(Payload::Rtp), "{rtp}");
        }
        for datagrams in ["udptl", "UDP/DTLS/SCTP", "DTLS/SCTP", "udp"] {
            assert_eq!(payload(datagrams), Some(Payload::Datagrams), "{datagrams}");
        }
        for other in ["TCP/MSRP", "TCP/RTP/AVP", "TCP/TLS/BFCP", "SCTP"] {
            assert_eq!(payload(other), None, "{other}");
        }
        let many = "v=0\r\no=- 1 1 IN IP4 h\r\n".to_owned() + &"m=audio 1 RTP/AVP 0\r\n".repeat(17);
        let read = Description::read(many.as_bytes(), IpAddr::from([192, 0, 2, 1]));
        assert!(matches!(read, Err(RelayError::TooManyStreams)));
    }
}
