//! What a forwarded request looks like when it leaves (RFC 3261 §16.6 steps 2 to 8): the original bytes and edits.

use bytes::Bytes;

use super::Target;
use super::forward::forwards_left;
use super::mark::{RouteMark, has_token};
use super::route::Routing;
use crate::auth::Credentials;
use crate::flow::{Flow, Transport};
use crate::header::{HeaderName, NameAddr, Via};
use crate::random::push_decimal;
use crate::respond::mark_source;
use crate::transaction::Transactions;
use crate::wire::{Edit, Packet};

/// One copy of a request on its way out.
pub(super) struct Outgoing<'a> {
    pub(super) upstream: Flow,
    pub(super) flow: Flow,
    pub(super) target: &'a Target,
    pub(super) spent: Option<&'a str>,
    pub(super) record_route: bool,
    pub(super) max_breadth: Option<u32>,
    pub(super) mark: Option<RouteMark>,
}

impl Outgoing<'_> {
    /// The bytes that leave, printed once.
    pub(super) fn print(
        &self,
        edit: &mut Edit,
        tx: &mut Transactions,
        packet: &Packet<'_>,
        routing: &Routing<'_>,
        write_via: impl FnOnce(&mut Transactions, &mut Vec<u8>),
    ) -> Bytes {
        edit.clear();
        edit.remove(0..packet.start_at());
        self.edit_routes(edit, packet, routing);
        edit_max_forwards(edit, packet);
        if let Some(breadth) = self.max_breadth {
            edit_number(edit, packet, HeaderName::MaxBreadth, u64::from(breadth));
        }
        if let Some(realm) = self.spent {
            cut_credentials(edit, packet, realm);
        }
        // Between the caller and the first proxy alone (RFC 3325 §5): the callee would learn who wants to be nobody.
        for header in packet.all(HeaderName::PPreferredIdentity) {
            edit.remove(header.line_range());
        }
        if self.record_route {
            self.edit_record_route(edit, tx, packet);
        }
        edit_via(edit, tx, packet, self.upstream, write_via);
        if self.flow.transport.is_reliable() && !packet.has(HeaderName::ContentLength) {
            let length = packet.body().len();
            edit_number(edit, packet, HeaderName::ContentLength, length as u64);
        }
        let original = &packet.bytes()[..packet.end()];
        Bytes::from(edit.print(original))
    }

    /// Request-URI and Route (§16.6 steps 2, 4 and 6).
    fn edit_routes(&self, edit: &mut Edit, packet: &Packet<'_>, routing: &Routing<'_>) {
        let mut uri = self.target.uri.as_deref().unwrap_or(routing.request_uri);
        let added = self.target.routes.first();
        let added = added.and_then(|r| NameAddr::parse(r.as_bytes()).ok());
        let strict = match (added, routing.next) {
            (Some(route), _) | (None, Some(route)) => !route.uri.is_loose_router(),
            (None, None) => false,
        };
        let mut first = 0;
        let mut last: Option<&[u8]> = None;
        if strict {
            last = Some(uri);
            if let Some(route) = added {
                uri = route.uri.as_bytes();
                first = 1;
            } else if let Some(route) = routing.next {
                uri = route.uri.as_bytes();
            }
        }
        if uri != packet.request_uri() {
            edit.replace(packet.request_uri_range(), uri);
        }
        let at = packet
            .header(HeaderName::Route)
            .map_or_else(|| after_via(packet), |h| h.line_range().start);
        for route in self.target.routes.iter().skip(first) {
            edit.insert_with(at, |out| {
                out.extend_from_slice(b"Route: ");
                out.extend_from_slice(route.as_bytes());
                out.extend_from_slice(b"\r\n");
            });
        }
        if packet.has(HeaderName::Route) {
            let extra = usize::from(strict && added.is_none());
            routing.cut(packet, extra, edit);
        }
        if let Some(uri) = last {
            let end = packet
                .all(HeaderName::Route)
                .last()
                .map_or_else(|| after_via(packet), |h| h.line_range().end);
            edit.insert_with(end, |out| {
                out.extend_from_slice(b"Route: <");
                out.extend_from_slice(uri);
                out.extend_from_slice(b">\r\n");
            });
        }
    }

    /// Record-Route: once, or for both sides when they differ (RFC 5658).
    fn edit_record_route(&self, edit: &mut Edit, tx: &Transactions, packet: &Packet<'_>) {
        let at = packet
            .header(HeaderName::RecordRoute)
            .map_or_else(|| after_via(packet), |h| h.line_range().start);
        let tokens = self.mark.is_some() && (has_token(&self.flow) || has_token(&self.upstream));
        let differs = self.flow.transport != self.upstream.transport
            || self.flow.local != self.upstream.local
            || (tokens && self.flow.connection != self.upstream.connection);
        edit.insert_with(at, |out| {
            self.write_record_route(out, tx, packet, &self.flow);
            if differs {
                self.write_record_route(out, tx, packet, &self.upstream);
            }
        });
    }

    fn write_record_route(
        &self,
        out: &mut Vec<u8>,
        tx: &Transactions,
        packet: &Packet<'_>,
        flow: &Flow,
    ) {
        // Where the Request-URI asks for TLS on the whole way, so do we (§16.6 step 4).
        let secure = flow.transport.is_secure() && is_sips(packet);
        out.extend_from_slice(if secure {
            b"Record-Route: <sips:"
        } else {
            b"Record-Route: <sip:"
        });
        tx.write_sent_by(out, flow);
        match flow.transport {
            Transport::Udp => {}
            Transport::Tls if secure => {}
            other => {
                out.extend_from_slice(b";transport=");
                out.extend_from_slice(other.param().as_bytes());
            }
        }
        out.extend_from_slice(b";lr");
        if let Some(mark) = self.mark {
            mark.write(packet.call_id(), out);
            mark.write_flow(tx, packet.call_id(), flow, out);
        }
        out.extend_from_slice(b">\r\n");
    }
}

fn is_sips(packet: &Packet<'_>) -> bool {
    let scheme = packet.request_uri().get(..5);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case(b"sips:"))
}

/// Where the first run of Via lines ends.
fn after_via(packet: &Packet<'_>) -> usize {
    packet
        .headers()
        .skip_while(|h| h.name() != HeaderName::Via)
        .take_while(|h| h.name() == HeaderName::Via)
        .last()
        .map_or(packet.headers_at(), |h| h.line_range().end)
}

/// Credentials that were judged here say nothing to anybody further on (§22.3), but could be guessed at there.
fn cut_credentials(edit: &mut Edit, packet: &Packet<'_>, realm: &str) {
    for header in packet.all(HeaderName::ProxyAuthorization) {
        if Credentials::parse(header.value()).is_ok_and(|c| c.realm == *realm) {
            edit.remove(header.line_range());
        }
    }
}

/// Max-Forwards: one less, 70 when there is none (§16.6 step 3).
fn edit_max_forwards(edit: &mut Edit, packet: &Packet<'_>) {
    let left = forwards_left(packet).map_or(70, |n| n.saturating_sub(1));
    edit_number(edit, packet, HeaderName::MaxForwards, u64::from(left));
}

/// Sets a header that holds a number.
fn edit_number(edit: &mut Edit, packet: &Packet<'_>, name: HeaderName, number: u64) {
    match packet.header(name) {
        Some(header) => {
            edit.replace_with(header.value_range(), |out| push_decimal(out, number));
        }
        None => edit.insert_with(after_via(packet), |out| {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            push_decimal(out, number);
            out.extend_from_slice(b"\r\n");
        }),
    }
}

/// Our Via on top, and in the one below where the request came from (§16.6 step 8, §18.2.1).
fn edit_via(
    edit: &mut Edit,
    tx: &mut Transactions,
    packet: &Packet<'_>,
    upstream: Flow,
    write_via: impl FnOnce(&mut Transactions, &mut Vec<u8>),
) {
    let Some(header) = packet.header(HeaderName::Via) else {
        return;
    };
    edit.insert_with(header.line_range().start, |out| {
        out.extend_from_slice(b"Via: ");
        write_via(tx, out);
        out.extend_from_slice(b"\r\n");
    });
    if let Ok(via) = Via::parse(header.value()) {
        mark_source(edit, packet, header.value(), &via, upstream.remote);
    }
}

/// An ACK for a 2xx, which no transaction carries.
pub(super) fn print_ack(
    edit: &mut Edit,
    tx: &mut Transactions,
    packet: &Packet<'_>,
    routing: &Routing<'_>,
    (upstream, flow): (Flow, Flow),
) -> Bytes {
    let outgoing = Outgoing {
        upstream,
        flow,
        target: &Target::default(),
        spent: None,
        record_route: false,
        max_breadth: None,
        mark: None,
    };
    outgoing.print(edit, tx, packet, routing, |tx, out| {
        tx.write_stateless_via(out, &flow, 0);
    })
}
