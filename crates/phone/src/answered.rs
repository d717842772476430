//! What the response to OPTIONS says (RFC 3261 §11.2).

use std::time::Duration;

use sip::header::HeaderName;
use sip::message::StatusCode;
use sip::wire::Packet;

use crate::event::Event;

/// Values of one header that are worth telling.
const MOST: usize = 64;

pub(crate) fn answered(
    packet: &Packet<'_>,
    status: StatusCode,
    reason: String,
    round_trip: Duration,
) -> Event {
    let list = |name| {
        let values = packet.all(name).flat_map(|header| {
            let text = String::from_utf8_lossy(header.value()).into_owned();
            text.split(',')
                .map(|v| v.trim().to_owned())
                .collect::<Vec<_>>()
        });
        values.filter(|v| !v.is_empty()).take(MOST).collect()
    };
    let product = [HeaderName::Server, HeaderName::UserAgent]
        .into_iter()
        .find_map(|name| packet.value(name))
        .map(|value| String::from_utf8_lossy(value).into_owned());
    Event::Answered {
        status: status.0,
        reason,
        allow: list(HeaderName::Allow),
        accept: list(HeaderName::Accept),
        supported: list(HeaderName::Supported),
        product,
        round_trip,
    }
}
