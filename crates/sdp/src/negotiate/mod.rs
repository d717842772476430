//! Offer and answer (RFC 3264).

mod answer;
mod complete;
mod offer;
mod outcome;

use std::fmt;
use std::net::IpAddr;

pub use answer::answer;
pub use complete::{IllegalAnswer, Rule, Violation, complete, violations};
pub use offer::{hold, offer, offer_with, renew, reoffer, resume};
pub use outcome::{Role, outcome};

use crate::address::{AddressError, Destination};
use crate::attribute::Attribute;
use crate::codec::Codec;
use crate::direction::Direction;
use crate::ice::{LocalIce, RemoteIce};
use crate::secure::{LocalDtls, LocalSrtp, Security, SecurityError};
use crate::session::MediaKind;

/// What we are able to do with a stream, in order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Codecs and what rides along with them (telephone-event, comfort noise), under the payload numbers we would like.
    pub codecs: Vec<Codec>,
    /// Packet length that we wish to receive, and send unless the peer wishes another one, in milliseconds.
    pub ptime_ms: u32,
    /// Answer with the first common codec alone (and its events), so that nobody needs a second offer to settle on one.
    /// When false, the answer lists every common codec and any of them may arrive.
    pub one_codec: bool,
}

/// Our end of one stream: where we receive and what we want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Kind of the stream.
    pub kind: MediaKind,
    /// Address at which we receive.
    pub address: IpAddr,
    /// Port for RTP.
    pub rtp_port: u16,
    /// Port for RTCP when it is not the one above (RFC 3605).
    pub rtcp_port: Option<u16>,
    /// Whether we can take RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Most that we want: an offer has this direction, an answer at most this.
    pub direction: Direction,
    /// Place of our stream in earlier descriptions of this session; it keeps that place.
    pub stream: Option<usize>,
    /// SRTP with keys in the description (RFC 4568).
    pub srtp: LocalSrtp,
    /// SRTP with keys from DTLS (RFC 5763), where we can.
    pub dtls: Option<LocalDtls>,
    /// ICE, where we can (RFC 8839).
    pub ice: Option<LocalIce>,
}

/// What holds for one `m=` line after offer and answer, seen from our side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Kind of the stream.
    pub kind: MediaKind,
    /// Transport of the line.
    pub protocol: String,
    /// Whether the stream exists; when not, nothing below means anything but `refusal`.
    pub accepted: bool,
    /// Why we refused it, where it was us.
    pub refusal: Option<Refusal>,
    /// Who may send. An old hold (`c=0.0.0.0`) is counted in.
    pub direction: Direction,
    /// Where the peer receives RTP; may be the unspecified address when `direction` forbids sending.
    pub remote_rtp: Option<Destination>,
    /// Where the peer receives RTCP.
    pub remote_rtcp: Option<Destination>,
    /// Whether RTCP shares the RTP port.
    pub rtcp_mux: bool,
    /// Codec to send with, under the peer's number.
    pub send: Option<Codec>,
    /// Everything we may send, under the peer's numbers, in the order of the answer.
    pub may_send: Vec<Codec>,
    /// Everything we must be able to receive, under our numbers, in the order of the answer.
    pub receive: Vec<Codec>,
    /// Telephone events, where both sides have them.
    pub telephone_event: Option<TelephoneEvent>,
    /// Length of the packets we send, in milliseconds, between 10 and 100.
    pub ptime_ms: u32,
    /// Protection of the packets.
    pub security: Security,
    /// The peer's ICE parameters, where both sides do ICE.
    pub ice: Option<RemoteIce>,
}

/// Payload numbers of telephone-event (RFC 4733).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// Number in packets we send.
    pub send: u8,
    /// Number in packets we receive.
    pub receive: u8,
    /// Clock rate in Hz.
    pub clock_rate: u32,
}

/// Why we refuse one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The offer has port 0 there.
    Ended,
    /// We do no streams of that kind.
    Kind,
    /// We do not speak that transport.
    Transport,
    /// Nothing may be sent to that address.
    Address(AddressError),
    /// No codec in common.
    Codec,
    /// Keys are missing or wrong.
    Security(SecurityError),
    /// Another stream of the offer was taken and one is enough.
    Surplus,
}

/// How to refuse a request because of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// SIP status: 400 malformed, 415 no description among the bodies, 488 nothing acceptable.
    pub status: u16,
    /// Code for the Warning header (RFC 3261 §20.43).
    pub warning: u16,
    /// Text for the Warning header; ASCII without quotes.
    pub reason: String,
}

impl Capabilities {
    /// Those codecs, 20 ms, one codec in an answer.
    pub fn new(codecs: Vec<Codec>) -> Capabilities {
        Capabilities {
            codecs,
            ptime_ms: 20,
            one_codec: true,
        }
    }

    /// G.711 µ-law, A-law and telephone events.
    pub fn g711() -> Capabilities {
        Capabilities::new(vec![
            Codec::new(0, "PCMU", 8000),
            Codec::new(8, "PCMA", 8000),
            Codec::telephone_event(101, 8000),
        ])
    }

    /// Our codecs under numbers that do not collide. Encodings in `taken` keep their number for the whole session, and no other
    /// encoding gets it (RFC 3264 §8.3.2). Codecs for which no dynamic number is left are dropped.
    pub fn numbered(&self, taken: &[Codec]) -> Vec<Codec> {
        let mut numbered: Vec<Codec> = Vec::new();
        for codec in &self.codecs {
            let used = |pt: u8, numbered: &[Codec]| {
                taken.iter().chain(numbered).any(|c| c.payload_type == pt)
            };
            let wanted = codec.payload_type;
            let free =
                |numbered: &[Codec]| (96..=127).chain(35..=63).find(|pt| !used(*pt, numbered));
            let kept = taken.iter().find(|t| {
                t.compatible(codec) && !numbered.iter().any(|n| n.payload_type == t.payload_type)
            });
            let number = match kept {
                Some(kept) => Some(kept.payload_type),
                None if !used(wanted, &numbered)
                    && (codec.is_static() || (96..128).contains(&wanted)) =>
                {
                    Some(wanted)
                }
                None => free(&numbered),
            };
            numbered.extend(number.map(|payload_type| Codec {
                payload_type,
                ..codec.clone()
            }));
        }
        numbered
    }
}

impl LocalMedia {
    /// An audio stream in the clear, both ways, RTCP one port above RTP.
    pub fn new(address: IpAddr, rtp_port: u16) -> LocalMedia {
        LocalMedia {
            kind: MediaKind::Audio,
            address,
            rtp_port,
            rtcp_port: None,
            rtcp_mux: false,
            direction: Direction::SendRecv,
            stream: None,
            srtp: LocalSrtp::default(),
            dtls: None,
            ice: None,
        }
    }

    /// `rtcp` and `rtcp-mux` as far as they apply.
    fn rtcp_attributes(&self, mux: bool) -> Vec<Attribute> {
        let port = self
            .rtcp_port
            .filter(|port| self.rtp_port.checked_add(1) != Some(*port));
        let port = port.map(|port| Attribute::new("rtcp", port.to_string()));
        port.into_iter()
            .chain(mux.then(|| Attribute::flag("rtcp-mux")))
            .collect()
    }
}

/// `rtpmap` and `fmtp` of the codecs, then `ptime`.
fn codec_attributes(codecs: &[Codec], ptime_ms: u32) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    for codec in codecs {
        attributes.push(Attribute::new("rtpmap", codec.rtpmap()));
        let fmtp = codec
            .fmtp
            .as_ref()
            .map(|fmtp| Attribute::new("fmtp", format!("{} {fmtp}", codec.payload_type)));
        attributes.extend(fmtp);
    }
    attributes.push(Attribute::new("ptime", ptime_ms.to_string()));
    attributes
}

impl Refusal {
    /// Warning code (RFC 3261 §20.43).
    fn warning(&self) -> u16 {
        match self {
            Refusal::Address(AddressError::NetworkType) => 300,
            Refusal::Address(AddressError::Multicast) => 330,
            Refusal::Address(_) => 301,
            Refusal::Transport => 302,
            Refusal::Kind => 304,
            Refusal::Codec => 305,
            Refusal::Ended | Refusal::Security(_) | Refusal::Surplus => 399,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Ended => f.write_str("stream ended"),
            Refusal::Kind => f.write_str("no streams of this kind"),
            Refusal::Transport => f.write_str("transport not available"),
            Refusal::Address(error) => error.fmt(f),
            Refusal::Codec => f.write_str("no codec in common"),
            Refusal::Security(error) => error.fmt(f),
            Refusal::Surplus => f.write_str("one stream is enough"),
        }
    }
}

impl Rejection {
    /// 400 for a body that cannot be read.
    pub fn malformed(reason: &str) -> Rejection {
        Rejection {
            status: 400,
            warning: 399,
            reason: reason.to_owned(),
        }
    }

    /// 415 for a body in which no description was found.
    pub fn no_description(reason: &str) -> Rejection {
        Rejection {
            status: 415,
            warning: 399,
            reason: reason.to_owned(),
        }
    }

    /// 488 for an offer of which nothing is acceptable here. Not 606: another device of the same user may accept it.
    pub fn not_acceptable(refusal: &Refusal) -> Rejection {
        Rejection {
            status: 488,
            warning: refusal.warning(),
            reason: refusal.to_string(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.status)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_collide_and_stay() {
        let caps = Capabilities::new(vec![
            Codec::new(0, "PCMU", 8000),
            Codec {
                channels: 2,
                ..Codec::new(101, "opus", 48000)
            },
            Codec::telephone_event(101, 8000),
            Codec::new(8, "iLBC", 8000),
        ]);
        let numbers = |taken: &[Codec]| {
            caps.numbered(taken)
                .iter()
                .map(|c| c.payload_type)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[]), [0, 101, 96, 97]);
        assert_eq!(
            numbers(&[Codec::telephone_event(126, 8000)]),
            [0, 101, 126, 96]
        );
        assert_eq!(numbers(&[Codec::new(101, "AMR", 8000)]), [0, 96, 97, 98]);
        let full: Vec<Codec> = (35..=127).map(|pt| Codec::new(pt, "x", 1)).collect();
        assert_eq!(numbers(&full), [0]);
    }
}
