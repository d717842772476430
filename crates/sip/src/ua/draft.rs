//! A request before it has a flow: everything but Via and what depends on the address that it leaves from.

use crate::auth::{Asker, Subject};
use crate::header::quote;
use crate::message::Method;
use crate::random::push_decimal;
use crate::uri::Uri;

/// A request to be sent, as often as servers and challenges make it necessary.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    /// The method's name when it is [`Method::Extension`].
    pub(crate) extension: String,
    /// The Request-URI.
    pub(crate) uri: Vec<u8>,
    /// Where it goes, when neither the first route nor the Request-URI says so.
    pub(crate) hop: Option<Vec<u8>>,
    /// The values of Route.
    pub(crate) routes: Vec<Vec<u8>>,
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) max_forwards: u8,
    pub(crate) contact: Contact,
    pub(crate) headers: Vec<(String, String)>,
    /// Content-Type and body.
    pub(crate) body: Option<(String, Vec<u8>)>,
}

/// The Contact that a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// None.
    None,
    /// Ours on the flow that the request leaves on.
    Ours {
        /// The user of the URI, escaped.
        user: String,
        /// Parameters of the header, with their semicolons.
        params: String,
    },
}

/// What is known of a request only when it leaves.
#[derive(Debug)]
pub(crate) struct Departure<'a> {
    /// The Via value.
    pub(crate) via: &'a [u8],
    /// Our Contact URI on the flow.
    pub(crate) contact: Option<&'a str>,
    /// A Contact that the registrar is to forget.
    pub(crate) stale_contact: Option<&'a str>,
    pub(crate) credentials: &'a [(Asker, String)],
    pub(crate) user_agent: &'a str,
}

impl Draft {
    /// A request without routes, Contact or body.
    pub(crate) fn new(method: Method, uri: &str) -> Draft {
        Draft {
            method,
            extension: String::new(),
            uri: uri.as_bytes().to_vec(),
            hop: None,
            routes: Vec::new(),
            from: Vec::new(),
            to: Vec::new(),
            call_id: String::new(),
            cseq: 1,
            max_forwards: 70,
            contact: Contact::None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// The method's name.
    pub(crate) fn method_name(&self) -> &str {
        match self.method {
            Method::Extension => &self.extension,
            known => known.as_str(),
        }
    }

    /// Sets the Request-URI and the routes for a target and a route set; a strict router as the first
    /// route swaps places with the target (RFC 3261 §12.2.1.1).
    pub(crate) fn route(&mut self, target: &[u8], routes: &[Vec<u8>]) {
        self.uri = target.to_vec();
        self.routes = routes.to_vec();
        self.hop = None;
        let Some(first) = routes.first().and_then(|r| inner_uri(r)) else {
            return;
        };
        self.hop = Some(first.to_vec());
        if !Uri::parse(first).is_ok_and(|u| u.is_loose_router()) {
            self.uri = first.split(|b| *b == b'?').next().unwrap_or(first).to_vec();
            self.routes.remove(0);
            self.routes.push([b"<", target, b">"].concat());
        }
    }

    /// The URI whose server gets the request (RFC 3261 §8.1.2).
    pub(crate) fn next_uri(&self) -> &[u8] {
        self.hop.as_deref().unwrap_or(&self.uri)
    }

    /// What Digest speaks of.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            method: self.method_name().as_bytes(),
            uri: &self.uri,
            body: self.body.as_ref().map_or(&[], |b| &b.1),
        }
    }

    /// Roughly how many octets it will have; for the choice of the transport (RFC 3261 §18.1.1).
    pub(crate) fn size(&self, credentials: &[(Asker, String)]) -> usize {
        let departure = Departure {
            via: &[b' '; 90],
            contact: Some("sip:@255.255.255.255:65535;transport=tcp"),
            stale_contact: None,
            credentials,
            user_agent: "user agent",
        };
        self.print(&departure).len()
    }

    /// The bytes.
    pub(crate) fn print(&self, at: &Departure<'_>) -> Vec<u8> {
        let body = self.body.as_ref().map_or(&[][..], |b| &b.1);
        let mut out = Vec::with_capacity(700 + body.len());
        out.extend_from_slice(self.method_name().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        line(&mut out, "Via", at.via);
        for route in &self.routes {
            line(&mut out, "Route", route);
        }
        out.extend_from_slice(b"Max-Forwards: ");
        push_decimal(&mut out, u64::from(self.max_forwards));
        out.extend_from_slice(b"\r\n");
        line(&mut out, "From", &self.from);
        line(&mut out, "To", &self.to);
        line(&mut out, "Call-ID", self.call_id.as_bytes());
        out.extend_from_slice(b"CSeq: ");
        push_decimal(&mut out, u64::from(self.cseq));
        out.push(b' ');
        out.extend_from_slice(self.method_name().as_bytes());
        out.extend_from_slice(b"\r\n");
        self.print_contact(&mut out, at);
        for (asker, value) in at.credentials {
            line(&mut out, asker.credentials_header(), value.as_bytes());
        }
        for (name, value) in &self.headers {
            line(&mut out, name, value.as_bytes());
        }
        if !at.user_agent.is_empty() {
            line(&mut out, "User-Agent", at.user_agent.as_bytes());
        }
        if let Some((kind, _)) = &self.body {
            line(&mut out, "Content-Type", kind.as_bytes());
        }
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(&mut out, body.len() as u64);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
        out
    }

    fn print_contact(&self, out: &mut Vec<u8>, at: &Departure<'_>) {
        if let (Contact::Ours { params, .. }, Some(uri)) = (&self.contact, at.contact) {
            line(out, "Contact", format!("<{uri}>{params}").as_bytes());
        }
        if let Some(uri) = at.stale_contact {
            line(out, "Contact", format!("<{uri}>;expires=0").as_bytes());
        }
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The URI inside `<…>`, or the whole value when there are no brackets.
fn inner_uri(route: &[u8]) -> Option<&[u8]> {
    crate::header::NameAddr::parse(route)
        .ok()
        .map(|n| n.uri.as_bytes())
}

/// A header value from a peer on one line: folds become one blank.
pub(crate) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for b in value {
        match b {
            b'\r' | b'\n' | 0 => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b => out.push(*b),
        }
    }
    out
}

/// Text that a person reads.
pub(crate) fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(&unfold(text)).into_owned()
}

/// Whether a text may stand in a header value.
pub(crate) fn is_clean(text: &[u8]) -> bool {
    !text.iter().any(|b| b.is_ascii_control())
}

/// Whether a text is a token, as header names and methods are (RFC 3261 §25.1).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// `"Display" <uri>`.
pub(crate) fn name_addr(display: Option<&str>, uri: &str) -> String {
    let mut out = Vec::new();
    if let Some(display) = display.filter(|d| !d.is_empty()) {
        quote(display.as_bytes(), &mut out);
        out.push(b' ');
    }
    out.push(b'<');
    out.extend_from_slice(uri.as_bytes());
    out.push(b'>');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(routes: &[&str]) -> (String, Vec<String>, String) {
        let mut draft = Draft::new(Method::Bye, "");
        let routes: Vec<Vec<u8>> = routes.iter().map(|r| r.as_bytes().to_vec()).collect();
        draft.route(b"sip:bob@peer", &routes);
        let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        let routes = draft.routes.iter().map(|r| text(r)).collect();
        (text(&draft.uri), routes, text(draft.next_uri()))
    }

    #[test]
    fn loose_and_strict_routers() {
        assert_eq!(
            routed(&[]),
            ("sip:bob@peer".into(), vec![], "sip:bob@peer".into())
        );
        let (uri, routes, hop) = routed(&["<sip:p1;lr>", "<sip:p2>"]);
        assert_eq!((uri.as_str(), hop.as_str()), ("sip:bob@peer", "sip:p1;lr"));
        assert_eq!(routes, ["<sip:p1;lr>", "<sip:p2>"]);
        let (uri, routes, hop) = routed(&["<sip:p1;transport=tcp>;x=y", "<sip:p2;lr>"]);
        assert_eq!(uri, "sip:p1;transport=tcp");
        assert_eq!(hop, "sip:p1;transport=tcp");
        assert_eq!(routes, ["<sip:p2;lr>", "<sip:bob@peer>"]);
    }

    #[test]
    fn what_may_stand_where() {
        assert_eq!(unfold(b"a\r\n b"), b"a  b");
        assert!(is_clean("Grüße".as_bytes()) && !is_clean(b"a\r\nb"));
        assert!(is_token("X-Foo") && !is_token("X:") && !is_token(""));
        assert_eq!(name_addr(None, "sip:a@b"), "<sip:a@b>");
    }
}
