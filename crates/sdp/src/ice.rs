//! ICE parameters in descriptions (RFC 8839). Gathering and checks are the media session's work; here only the text is read and judged.

use std::net::IpAddr;

use crate::address::Host;
use crate::attribute::{self, Attribute};
use crate::session::{Media, Session};

/// Our ICE parameters for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalIce {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
    /// Our candidates; those for RTCP (component 2) are left out where RTCP has no port of its own.
    pub candidates: Vec<Candidate>,
}

/// The peer's ICE parameters for one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteIce {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
    /// Candidates that can be read, at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// Whether no more candidates will come (RFC 8840).
    pub complete: bool,
    /// Whether the peer only answers checks (`a=ice-lite`).
    pub lite: bool,
}

/// One `a=candidate` (RFC 8839 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Foundation.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP.
    pub component: u8,
    /// `UDP`, or `TCP` (RFC 6544).
    pub transport: String,
    /// Priority.
    pub priority: u32,
    /// Address, or an mDNS name, which nobody may look up while a call waits.
    pub address: String,
    /// Port.
    pub port: u16,
    /// `typ host` and what follows, as written.
    pub rest: String,
}

/// More candidates of a peer than this are not used: every one costs checks towards an address the peer chose.
pub const MAX_CANDIDATES: usize = 32;

/// Shortest legal fragment and password (RFC 8839 §5.4).
const SHORTEST: (usize, usize) = (4, 22);

impl Candidate {
    /// Reads what stands behind `a=candidate:`.
    pub fn parse(value: &str) -> Option<Candidate> {
        let mut words = value.split_ascii_whitespace();
        let candidate = Candidate {
            foundation: words.next()?.to_owned(),
            component: words.next()?.parse().ok().filter(|c| *c != 0)?,
            transport: words.next()?.to_owned(),
            priority: words.next()?.parse().ok()?,
            address: words.next()?.to_owned(),
            port: words.next()?.parse().ok()?,
            rest: words.collect::<Vec<_>>().join(" "),
        };
        candidate.rest.starts_with("typ ").then_some(candidate)
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Candidate {
            foundation,
            component,
            transport,
            priority,
            address,
            port,
            rest,
        } = self;
        write!(
            f,
            "{foundation} {component} {transport} {priority} {address} {port} {rest}"
        )
    }
}

impl LocalIce {
    /// Our attributes; `rtcp` tells whether RTCP has a port of its own.
    pub(crate) fn attributes(&self, rtcp: bool) -> Vec<Attribute> {
        let credentials = [
            Attribute::new("ice-ufrag", &*self.ufrag),
            Attribute::new("ice-pwd", &*self.pwd),
        ];
        let candidates = self.candidates.iter().filter(|c| c.component == 1 || rtcp);
        credentials
            .into_iter()
            .chain(candidates.map(|c| Attribute::new("candidate", c.to_string())))
            .collect()
    }
}

/// ICE attributes of an answer: ours, or `ice-mismatch` where the default destination is none of the candidates (RFC 8839 §4.2.5),
/// or nothing where the offer has no usable ICE.
pub(crate) fn answered(
    own: &LocalIce,
    offer: &Session,
    media: &Media,
    mux: bool,
) -> Vec<Attribute> {
    let Some(remote) = read(offer, media) else {
        return Vec::new();
    };
    let has_rtcp = !mux
        && remote.candidates.iter().any(|c| c.component == 2)
        && own.candidates.iter().any(|c| c.component == 2);
    let checks_rtcp = !mux && own.candidates.iter().any(|c| c.component == 2);
    if mismatch(offer, media, &remote, checks_rtcp) {
        return vec![Attribute::flag("ice-mismatch")];
    }
    own.attributes(has_rtcp)
}

/// The peer's parameters, where both descriptions have ICE and nobody found a mismatch.
pub(crate) fn agreed(local: (&Session, &Media), remote: (&Session, &Media)) -> Option<RemoteIce> {
    let mismatch = |media: &Media| media.attribute("ice-mismatch").is_some();
    (local.0.has_ice(local.1) && !mismatch(local.1) && !mismatch(remote.1))
        .then(|| read(remote.0, remote.1))?
}

fn read(session: &Session, media: &Media) -> Option<RemoteIce> {
    let ufrag = session
        .attribute_of(media, "ice-ufrag")
        .map(str::trim)
        .filter(|u| u.len() >= SHORTEST.0)?;
    let pwd = session
        .attribute_of(media, "ice-pwd")
        .map(str::trim)
        .filter(|p| p.len() >= SHORTEST.1)?;
    let candidates = attribute::all(&media.attributes, "candidate")
        .filter_map(Candidate::parse)
        .take(MAX_CANDIDATES)
        .collect();
    let complete = session.attribute_of(media, "end-of-candidates").is_some();
    Some(RemoteIce {
        ufrag: ufrag.to_owned(),
        pwd: pwd.to_owned(),
        candidates,
        complete,
        lite: attribute::all(&session.attributes, "ice-lite")
            .next()
            .is_some(),
    })
}

/// Without candidates (trickle, RFC 8840) or with the placeholder address and port there is nothing that could disagree; nor where
/// a candidate has a name, behind which the default destination may hide (RFC 8839 §4.3.2.2).
fn mismatch(session: &Session, media: &Media, remote: &RemoteIce, checks_rtcp: bool) -> bool {
    let Some(Ok(Host::Address(default))) = session.connection_of(media).map(Host::of) else {
        return false;
    };
    let named = remote
        .candidates
        .iter()
        .any(|c| c.address.parse::<IpAddr>().is_err());
    if default.is_unspecified() || remote.candidates.is_empty() || named {
        return false;
    }
    let known = |component: u8, address: IpAddr, port: u16| {
        let same = |c: &&Candidate| {
            c.component == component && c.port == port && c.address.parse() == Ok(address)
        };
        remote.candidates.iter().any(|c| same(&c))
    };
    if !known(1, default, media.port) {
        return true;
    }
    let Some((port, connection)) = media.rtcp().filter(|_| checks_rtcp) else {
        return false;
    };
    match connection.map_or(Ok(Host::Address(default)), |c| Host::of(&c)) {
        Ok(Host::Address(address)) => !known(2, address, port),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_read_and_print() {
        let line = "1 1 UDP 2130706431 192.0.2.10 4000 typ srflx raddr 10.0.0.1 rport 9";
        assert_eq!(
            Candidate::parse(line).map(|c| c.to_string()).as_deref(),
            Some(line)
        );
        for bad in [
            "",
            "1 1 UDP 99999999999 192.0.2.10 1 typ host",
            "1 1 UDP 1 192.0.2.10 99999 typ host",
            "1 1 UDP 1 h 1",
            "1 0 UDP 1 h 1 typ host",
        ] {
            assert_eq!(Candidate::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn garbage_is_left_out_and_the_number_is_bounded() {
        let head = "v=0\no=- 1 1 IN IP4 h\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\na=ice-ufrag:abcd\na=ice-pwd:asd88fgpdd777uzjYhagZg\n";
        let many = "a=candidate:\na=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\n".repeat(2000);
        let session = Session::parse(format!("{head}{many}").as_bytes()).unwrap();
        assert_eq!(
            read(&session, &session.media[0]).map(|ice| ice.candidates.len()),
            Some(MAX_CANDIDATES)
        );
        let short = format!("{head}{many}").replace("asd88fgpdd777uzjYhagZg", "short");
        let session = Session::parse(short.as_bytes()).unwrap();
        assert_eq!(read(&session, &session.media[0]), None);
    }
}
