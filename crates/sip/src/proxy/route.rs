//! What Route and Request-URI say about the way on (RFC 3261 §16.4).

use crate::endpoint::OwnNames;
use crate::header::{HeaderName, NameAddr};
use crate::uri::Uri;
use crate::wire::{Edit, Packet};

/// The way on, read from a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routing<'a> {
    /// The Request-URI that is meant.
    pub(super) request_uri: &'a [u8],
    /// How many Route values at the top are ours.
    pub(super) popped: usize,
    /// Whether the last Route value is the Request-URI, put there for a strict router.
    pub(super) last_is_uri: bool,
    /// The first Route value that is not ours.
    pub(super) next: Option<NameAddr<'a>>,
    /// Where the line of that value starts, and where the value itself does.
    kept: Option<(usize, usize)>,
}

/// All Route values, top down; ends after the first that cannot be read.
pub(super) fn routes<'a>(packet: &Packet<'a>) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
    packet
        .all(HeaderName::Route)
        .flat_map(|h| NameAddr::parse_list(h.value()))
        .map_while(Result::ok)
}

impl<'a> Routing<'a> {
    pub(super) fn read(own: &OwnNames, packet: &Packet<'a>) -> Routing<'a> {
        let mut routing = Routing {
            request_uri: packet.request_uri(),
            popped: 0,
            last_is_uri: false,
            next: None,
            kept: None,
        };
        if !packet.has(HeaderName::Route) {
            return routing;
        }
        // A strict router before us put our Record-Route into the Request-URI and what it means at the end.
        if packet.request_uri().contains(&b';')
            && let Ok(uri) = Uri::parse(packet.request_uri())
            && uri.user.is_none()
            && uri.is_loose_router()
            && own.is_self(&uri.host, uri.port)
            && let Some(last) = routes(packet).last()
        {
            routing.request_uri = last.uri.as_bytes();
            routing.last_is_uri = true;
        }
        let left = if routing.last_is_uri {
            routes(packet).count() - 1
        } else {
            usize::MAX
        };
        routing.pop(own, packet, left);
        routing
    }

    /// Passes over the values at the top that are ours, of the first `left`.
    fn pop(&mut self, own: &OwnNames, packet: &Packet<'a>, left: usize) {
        for header in packet.all(HeaderName::Route) {
            for route in NameAddr::parse_list(header.value()) {
                let Ok(route) = route else {
                    return;
                };
                if self.popped == left {
                    return;
                }
                if !own.is_self(&route.uri.host, route.uri.port) {
                    let at = header.value_range().start + route.range().start;
                    self.kept = Some((header.line_range().start, at));
                    self.next = Some(route);
                    return;
                }
                self.popped += 1;
            }
        }
    }

    /// Takes the values that are not to be seen further on out of the Route headers.
    pub(super) fn cut(&self, packet: &Packet<'a>, extra: usize, edit: &mut Edit) {
        if extra > 0 || self.last_is_uri {
            return self.cut_around(packet, extra, edit);
        }
        for header in packet.all(HeaderName::Route) {
            match self.kept {
                Some((line, at)) if line == header.line_range().start => {
                    edit.remove(header.value_range().start..at);
                    return;
                }
                _ => edit.remove(header.line_range()),
            }
        }
    }

    /// The same where a strict router is before or behind us: the last value goes too, or one more at the top.
    fn cut_around(&self, packet: &Packet<'a>, extra: usize, edit: &mut Edit) {
        let mut top = self.popped + extra;
        let total = routes(packet).count();
        let last = self.last_is_uri.then(|| total - 1);
        let mut seen = 0;
        for header in packet.all(HeaderName::Route) {
            let base = header.value_range().start;
            let values: Vec<NameAddr<'a>> = NameAddr::parse_list(header.value())
                .map_while(Result::ok)
                .collect();
            let keep: Vec<&NameAddr<'a>> = values
                .iter()
                .enumerate()
                .filter(|(i, _)| *i >= top && Some(seen + i) != last)
                .map(|(_, value)| value)
                .collect();
            if keep.is_empty() {
                edit.remove(header.line_range());
            } else if keep.len() < values.len() {
                let (first, end) = (keep[0].range().start, keep[keep.len() - 1].range().end);
                edit.remove(base..base + first);
                edit.remove(base + end..header.value_range().end);
            }
            top = top.saturating_sub(values.len());
            seen += values.len();
            if top == 0 && last.is_none() {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Listener;
    use crate::flow::Transport;
    use crate::wire::Index;

    #[test]
    fn our_values_go_wherever_they_stand() {
        let mut own = OwnNames::default();
        let local = "192.0.2.10:5060".parse().unwrap();
        own.add_listener(&Listener::new(Transport::Udp, local));
        let ours = "<sip:192.0.2.10;lr>";
        for (lines, popped, left) in [
            (format!("Route: {ours}\r\n"), 1, ""),
            (format!("Route: {ours}, {ours}\r\nRoute: {ours}\r\n"), 3, ""),
            (
                format!("Route: {ours} , <sip:a;lr>;x=1, {ours}\r\n"),
                1,
                "Route: <sip:a;lr>;x=1, <sip:192.0.2.10;lr>\r\n",
            ),
            (
                format!("Route: {ours}\r\nRoute: {ours},<sip:a;lr>\r\nRoute: <sip:b;lr>\r\n"),
                2,
                "Route: <sip:a;lr>\r\nRoute: <sip:b;lr>\r\n",
            ),
            (
                String::from("Route: <sip:a;lr>\r\n"),
                0,
                "Route: <sip:a;lr>\r\n",
            ),
        ] {
            let text = format!("BYE sip:bob@192.0.2.30 SIP/2.0\r\n{lines}\r\n");
            let mut index = Index::new();
            let packet = Packet::scan(text.as_bytes(), &mut index).unwrap();
            let routing = Routing::read(&own, &packet);
            let mut edit = Edit::new();
            routing.cut(&packet, 0, &mut edit);
            let printed = String::from_utf8(edit.print(text.as_bytes())).unwrap();
            let expected = format!("BYE sip:bob@192.0.2.30 SIP/2.0\r\n{left}\r\n");
            assert_eq!((routing.popped, printed), (popped, expected), "{lines}");
            assert_eq!(routing.next.is_some(), !left.is_empty());
        }
    }
}
