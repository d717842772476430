//! The parts of a description (RFC 8866 §5).

use std::net::IpAddr;

use crate::attribute::{self, Attribute};
use crate::codec::{Codec, static_codec};
use crate::direction::Direction;

/// A whole session description.
///
/// Prints (`Display`) with CRLF in the order of RFC 8866 §5, whatever order the lines came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `o=`: who made the description, and which version of it this is.
    pub origin: Origin,
    /// `s=`, as written; RFC 3264 §5 wants one blank or `-`. Empty when the line was empty or missing.
    pub name: String,
    /// `i=`.
    pub information: Option<String>,
    /// `u=`.
    pub uri: Option<String>,
    /// `e=` lines.
    pub emails: Vec<String>,
    /// `p=` lines.
    pub phones: Vec<String>,
    /// `c=` for every stream that has none of its own.
    pub connection: Option<Connection>,
    /// `b=` lines.
    pub bandwidths: Vec<Bandwidth>,
    /// `t=` lines with the `r=` lines below each.
    pub timings: Vec<Timing>,
    /// `a=` lines before the first `m=`.
    pub attributes: Vec<Attribute>,
    /// The streams; offer and answer name them by their place in this list.
    pub media: Vec<Media>,
    /// Session-level lines kept without being understood (`z=`, `k=`, unknown types, repeated single lines).
    pub other: Vec<Line>,
}

/// `o=` (RFC 8866 §5.2). The three numbers of it stay text: some peers write more than 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// User name or `-`.
    pub username: String,
    /// Number that stays the same for the whole session.
    pub session_id: String,
    /// Number that goes up by one with each changed description (RFC 3264 §8).
    pub session_version: String,
    /// Network type, `IN`.
    pub net_type: String,
    /// Address type, `IP4` or `IP6`.
    pub address_type: String,
    /// Address or host name; never used for routing.
    pub address: String,
}

/// `c=` (RFC 8866 §5.7), not yet judged: see [`crate::Destination::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Network type, `IN`.
    pub net_type: String,
    /// Address type, `IP4` or `IP6`.
    pub address_type: String,
    /// Address as written, with the `/ttl` of a multicast group.
    pub address: String,
    /// Words behind the address; no RFC knows them, some gateways write them.
    pub trailing: String,
}

/// `b=` (RFC 8866 §5.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS`, `CT`, `TIAS`, `RS`, `RR`, …
    pub kind: String,
    /// Kilobits a second for `AS` and `CT`, bits a second for `TIAS`, `RS` and `RR`.
    pub value: u64,
}

/// `t=` (RFC 8866 §5.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// Start in NTP seconds, 0 = unbounded.
    pub start: u64,
    /// End in NTP seconds, 0 = unbounded.
    pub stop: u64,
    /// `r=` lines as written.
    pub repeats: Vec<String>,
}

/// A line that is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The letter before `=`.
    pub letter: char,
    /// Everything behind `=`.
    pub value: String,
}

/// Kind of a stream (RFC 8866 §5.14, RFC 6466 for `image`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `text` (RFC 4103)
    Text,
    /// `application`
    Application,
    /// `message` (RFC 4975)
    Message,
    /// `image` (T.38 fax)
    Image,
    /// Anything else, as written.
    Other(String),
}

/// One `m=` line and the lines below it (RFC 8866 §5.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// What the stream carries.
    pub kind: MediaKind,
    /// Transport port; 0 refuses or ends the stream.
    pub port: u16,
    /// Number of consecutive port pairs, 1 unless `port/count` was written.
    pub port_count: u16,
    /// Transport, such as `RTP/AVP`.
    pub protocol: String,
    /// Formats as written; payload numbers where the transport is RTP.
    pub formats: Vec<String>,
    /// `i=`.
    pub information: Option<String>,
    /// `c=` of this stream.
    pub connection: Option<Connection>,
    /// `b=` lines.
    pub bandwidths: Vec<Bandwidth>,
    /// `a=` lines.
    pub attributes: Vec<Attribute>,
    /// Lines kept without being understood (`k=`, further `c=`, unknown types).
    pub other: Vec<Line>,
}

impl Session {
    /// A description without streams, as a phone starts it: `s=-`, `t=0 0`, `c=` at `address`.
    pub fn new(origin: Origin, address: IpAddr) -> Session {
        Session {
            origin,
            name: "-".to_owned(),
            information: None,
            uri: None,
            emails: Vec::new(),
            phones: Vec::new(),
            connection: Some(Connection::new(address)),
            bandwidths: Vec::new(),
            timings: vec![Timing::default()],
            attributes: Vec::new(),
            media: Vec::new(),
            other: Vec::new(),
        }
    }

    /// Value of the first session-level attribute of that name (empty for a flag).
    pub fn attribute(&self, name: &str) -> Option<&str> {
        attribute::first(&self.attributes, name)
    }

    /// `c=` that holds for that stream: its own or the session's.
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// Direction of that stream: its own, else the session's, else `sendrecv` (RFC 8866 §6.7).
    pub fn direction_of(&self, media: &Media) -> Direction {
        attribute::direction(&media.attributes)
            .or_else(|| attribute::direction(&self.attributes))
            .unwrap_or_default()
    }

    /// Attribute of the stream, or of the session where the stream has none (`fingerprint`, `setup`, `ice-ufrag`, …).
    pub fn attribute_of<'a>(&'a self, media: &'a Media, name: &str) -> Option<&'a str> {
        media.attribute(name).or_else(|| self.attribute(name))
    }

    /// All attributes of that name of the stream, or of the session where the stream has none.
    pub fn attributes_of<'a>(
        &'a self,
        media: &'a Media,
        name: &'static str,
    ) -> impl Iterator<Item = &'a str> {
        let list = if media.attribute(name).is_some() {
            &media.attributes
        } else {
            &self.attributes
        };
        attribute::all(list, name)
    }

    /// Whether the stream is described with ICE credentials (RFC 8839), so that `c=` does not tell where media goes.
    pub fn has_ice(&self, media: &Media) -> bool {
        self.attribute_of(media, "ice-ufrag").is_some()
            && self.attribute_of(media, "ice-pwd").is_some()
    }
}

impl Origin {
    /// Origin of our own making, first version.
    pub fn new(username: &str, session_id: u64, address: IpAddr) -> Origin {
        let connection = Connection::new(address);
        Origin {
            username: if username.is_empty() {
                "-".to_owned()
            } else {
                username.to_owned()
            },
            session_id: session_id.to_string(),
            session_version: session_id.to_string(),
            net_type: connection.net_type,
            address_type: connection.address_type,
            address: connection.address,
        }
    }

    /// The same origin one version on (RFC 3264 §8). A version that is no 64-bit number starts again at 1.
    #[must_use]
    pub fn next_version(&self) -> Origin {
        let version = self
            .session_version
            .parse::<u64>()
            .ok()
            .and_then(|v| v.checked_add(1))
            .unwrap_or(1);
        Origin {
            session_version: version.to_string(),
            ..self.clone()
        }
    }
}

impl Connection {
    /// Connection to that address.
    pub fn new(address: IpAddr) -> Connection {
        Connection {
            net_type: "IN".to_owned(),
            address_type: if address.is_ipv4() { "IP4" } else { "IP6" }.to_owned(),
            address: address.to_string(),
            trailing: String::new(),
        }
    }
}

impl MediaKind {
    /// Kind of that name. Names are case insensitive on reading here: `m=Audio` is seen in the wild.
    pub fn from_name(name: &str) -> MediaKind {
        const KNOWN: [MediaKind; 6] = [
            MediaKind::Audio,
            MediaKind::Video,
            MediaKind::Text,
            MediaKind::Application,
            MediaKind::Message,
            MediaKind::Image,
        ];
        KNOWN
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .unwrap_or_else(|| MediaKind::Other(name.to_owned()))
    }

    /// Name as it stands in `m=`.
    pub fn name(&self) -> &str {
        match self {
            MediaKind::Audio => "audio",
            MediaKind::Video => "video",
            MediaKind::Text => "text",
            MediaKind::Application => "application",
            MediaKind::Message => "message",
            MediaKind::Image => "image",
            MediaKind::Other(name) => name,
        }
    }
}

impl Media {
    /// A stream without formats and attributes.
    pub fn new(kind: MediaKind, port: u16, protocol: &str) -> Media {
        Media {
            kind,
            port,
            port_count: 1,
            protocol: protocol.to_owned(),
            formats: Vec::new(),
            information: None,
            connection: None,
            bandwidths: Vec::new(),
            attributes: Vec::new(),
            other: Vec::new(),
        }
    }

    /// Value of the first attribute of that name (empty for a flag).
    pub fn attribute(&self, name: &str) -> Option<&str> {
        attribute::first(&self.attributes, name)
    }

    /// Direction written at this stream; see [`Session::direction_of`] for the one that holds.
    pub fn direction(&self) -> Option<Direction> {
        attribute::direction(&self.attributes)
    }

    /// Writes the direction, in place of the first one there.
    pub fn set_direction(&mut self, direction: Direction) {
        let is_direction = |a: &Attribute| Direction::from_name(&a.name).is_some();
        let at = self
            .attributes
            .iter()
            .position(is_direction)
            .unwrap_or(self.attributes.len());
        self.attributes.retain(|a| !is_direction(a));
        self.attributes.insert(
            at.min(self.attributes.len()),
            Attribute::flag(direction.name()),
        );
    }

    /// Whether the transport is RTP of any profile.
    pub fn is_rtp(&self) -> bool {
        self.protocol
            .split('/')
            .any(|part| part.eq_ignore_ascii_case("RTP"))
    }

    /// Length of a packet that this side wishes to receive, in milliseconds (`a=ptime`); none when absent or absurd.
    pub fn ptime(&self) -> Option<u32> {
        self.attribute("ptime").and_then(attribute::milliseconds)
    }

    /// Longest packet that this side accepts, in milliseconds (`a=maxptime`).
    pub fn max_ptime(&self) -> Option<u32> {
        self.attribute("maxptime").and_then(attribute::milliseconds)
    }

    /// Where this side wants RTCP, when it says so: port and address (RFC 3605).
    pub fn rtcp(&self) -> Option<(u16, Option<Connection>)> {
        self.attribute("rtcp").and_then(attribute::rtcp)
    }

    /// Whether RTCP may share the RTP port (RFC 5761).
    pub fn rtcp_mux(&self) -> bool {
        self.attribute("rtcp-mux").is_some()
    }

    /// Codecs of an RTP stream in the order of `m=`.
    ///
    /// Left out are formats that nobody could use: numbers above 127, repeated ones, dynamic ones without `rtpmap`, and those whose
    /// `rtpmap` lacks a clock rate or has zero. Static numbers need no `rtpmap` (RFC 3551 §6).
    pub fn codecs(&self) -> Vec<Codec> {
        let (rtpmaps, fmtps) = (self.by_payload("rtpmap"), self.by_payload("fmtp"));
        let mut seen = [false; 128];
        let mut codecs = Vec::new();
        for format in self.is_rtp().then_some(&self.formats).into_iter().flatten() {
            let Some(number) = format.parse::<u8>().ok() else {
                continue;
            };
            let at = usize::from(number);
            let Some(first) = seen.get_mut(at).filter(|seen| !**seen) else {
                continue;
            };
            *first = true;
            let codec = match rtpmaps.get(at).copied().flatten() {
                Some(value) => Codec::from_rtpmap(value),
                None => static_codec(number),
            };
            let fmtp = fmtps
                .get(at)
                .copied()
                .flatten()
                .and_then(attribute::behind_number);
            codecs.extend(codec.map(|c| Codec { fmtp, ..c }));
        }
        codecs
    }

    /// First value of that attribute for each payload number, in one pass: a peer may send thousands of lines.
    fn by_payload(&self, name: &'static str) -> [Option<&str>; 128] {
        let mut values = [None; 128];
        for value in attribute::all(&self.attributes, name) {
            let slot = attribute::number_of(value).and_then(|n| values.get_mut(usize::from(n)));
            if let Some(slot) = slot.filter(|slot| slot.is_none()) {
                *slot = Some(value);
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_that_can_be_used() {
        let mut media = Media::new(MediaKind::Audio, 4000, "RTP/AVP");
        media.formats = ["97", "0", "0", "128", "99", "8", "97", "x"]
            .map(str::to_owned)
            .to_vec();
        media.attributes = vec![
            Attribute::new("fmtp", "97 mode=20"),
            Attribute::new("rtpmap", "97 iLBC/8000"),
            Attribute::new("rtpmap", "97 opus/48000/2"),
            Attribute::new("rtpmap", "8 PCMA"),
        ];
        let codecs: Vec<String> = media.codecs().iter().map(Codec::rtpmap).collect();
        assert_eq!(codecs, ["97 iLBC/8000", "0 PCMU/8000"]);
        assert_eq!(media.codecs()[0].fmtp.as_deref(), Some("mode=20"));
        media.protocol = "udptl".to_owned();
        assert_eq!(media.codecs(), []);
    }

    #[test]
    fn media_level_wins() {
        let text = b"v=0\no=- 1 1 IN IP4 h\nc=IN IP4 a\na=inactive\nm=audio 1 RTP/AVP 0\nm=audio 1 RTP/AVP 0\nc=IN IP4 b\na=sendonly\n";
        let session = Session::parse(text).unwrap();
        let of = |media| {
            (
                session.direction_of(media),
                session.connection_of(media).map(|c| c.address.as_str()),
            )
        };
        assert_eq!(of(&session.media[0]), (Direction::Inactive, Some("a")));
        assert_eq!(of(&session.media[1]), (Direction::SendOnly, Some("b")));
    }

    #[test]
    fn versions_count_up() {
        let mut origin = Origin::new("", 41, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(origin.to_string(), "- 41 41 IN IP4 192.0.2.1");
        assert_eq!(origin.next_version().session_version, "42");
        origin.session_version = "99999999999999999999".to_owned();
        assert_eq!(origin.next_version().session_version, "1");
    }
}
