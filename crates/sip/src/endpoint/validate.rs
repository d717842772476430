//! Whether a message can be worked with at all (RFC 3261 §8.1.3.3, §8.2, §16.3).

use crate::header::cursor::decimal;
use crate::header::{CSeq, HeaderName, NameAddr, Via};
use crate::message::{Method, StatusCode};
use crate::uri::{Scheme, Uri};
use crate::wire::{Defect, Packet};

/// What is wrong with a request, and how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: StatusCode,
    pub(super) reason: &'static str,
}

const fn bad(reason: &'static str) -> Fault {
    Fault {
        code: StatusCode(400),
        reason,
    }
}

/// Checks what every element needs of a request: its start line, and the headers that name its transaction and dialog.
/// Yields the tag in To: a request that has one belongs to a dialog.
pub(super) fn request<'a>(packet: &Packet<'a>) -> Result<Option<&'a [u8]>, Fault> {
    match packet.defect() {
        None => {}
        Some(Defect::Version) => {
            return Err(Fault {
                code: StatusCode(505),
                reason: "Version Not Supported",
            });
        }
        Some(defect) => return Err(bad(defect.as_str())),
    }
    let cseq = packet.value(HeaderName::CSeq).ok_or(bad("Missing CSeq"))?;
    let cseq = CSeq::parse(cseq).map_err(|_| bad("Malformed CSeq"))?;
    if cseq.method != packet.method_name() {
        return Err(bad("CSeq does not name the method"));
    }
    if packet.call_id().is_empty() {
        return Err(bad("Missing Call-ID"));
    }
    let from = packet.value(HeaderName::From).ok_or(bad("Missing From"))?;
    NameAddr::check(from).map_err(|_| bad("Malformed From"))?;
    let to = packet.value(HeaderName::To).ok_or(bad("Missing To"))?;
    let to_tag = NameAddr::check(to).map_err(|_| bad("Malformed To"))?;
    if let Some(value) = packet.value(HeaderName::MaxForwards) {
        max_forwards(value).ok_or(bad("Malformed Max-Forwards"))?;
    }
    if packet.method() == Some(Method::Register) && packet.has(HeaderName::Contact) {
        contacts(packet)?;
    } else if let Some(contact) = packet.value(HeaderName::Contact)
        && contact != b"*"
        && NameAddr::check(contact).is_err()
    {
        NameAddr::parse_list(contact)
            .try_for_each(|c| c.map(drop))
            .map_err(|_| bad("Malformed Contact"))?;
    }
    for header in packet.all(HeaderName::Route) {
        NameAddr::parse_list(header.value())
            .try_for_each(|route| route.map(drop))
            .map_err(|_| bad("Malformed Route"))?;
    }
    request_uri(packet)?;
    Ok(to_tag)
}

fn contacts(packet: &Packet<'_>) -> Result<(), Fault> {
    for header in packet.all(HeaderName::Contact) {
        if header.value() == b"*" {
            continue;
        }
        NameAddr::parse_list(header.value())
            .try_for_each(|c| c.map(drop))
            .map_err(|_| bad("Malformed Contact"))?;
    }
    Ok(())
}

fn request_uri(packet: &Packet<'_>) -> Result<(), Fault> {
    let uri = Uri::parse(packet.request_uri()).map_err(|_| bad("Malformed Request-URI"))?;
    match uri.scheme {
        Scheme::Other => Err(Fault {
            code: StatusCode(416),
            reason: "Unsupported URI Scheme",
        }),
        Scheme::Sip | Scheme::Sips | Scheme::Tel => Ok(()),
    }
}

/// Max-Forwards is 0 to 255 (§20.22).
pub(crate) fn max_forwards(value: &[u8]) -> Option<u8> {
    decimal(value).and_then(|n| u8::try_from(n).ok())
}

/// Checks what every element needs of a response; one that is wrong is dropped (§18.1.2).
pub(super) fn response<'a>(packet: &Packet<'a>) -> Option<(Via<'a>, StatusCode)> {
    if packet.defect().is_some() {
        return None;
    }
    let code = packet.status()?;
    let via = Via::parse(packet.value(HeaderName::Via)?).ok()?;
    CSeq::parse(packet.value(HeaderName::CSeq)?).ok()?;
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
        packet.value(name)?;
    }
    Some((via, code))
}
