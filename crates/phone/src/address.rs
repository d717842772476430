//! Addresses as people write them: accounts, servers, whom to call.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use sip::flow::Transport;
use sip::uri::{Uri, escape_user};

use crate::link;

/// Whose telephone it is: `alice@example.org`, with or without `sip:` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The user as it stands in a URI, escaped.
    pub user: String,
    /// The domain, with a port when one was given.
    pub domain: String,
}

impl Name {
    /// The address of record: `sip:alice@example.org`.
    pub fn uri(&self) -> String {
        if self.user.is_empty() {
            format!("sip:{}", self.domain)
        } else {
            format!("sip:{}@{}", self.user, self.domain)
        }
    }

    /// The domain without port and brackets.
    pub fn host(&self) -> &str {
        split_port(&self.domain).map_or(self.domain.as_str(), |(host, _)| host)
    }

    /// The port in the domain.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.domain)?.1.parse().ok()
    }
}

impl FromStr for Name {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Name, AddressError> {
        let bare = strip_scheme(text.trim());
        let Some((user, domain)) = bare.rsplit_once('@') else {
            return Err(AddressError::new(
                text,
                "it has to look like alice@example.org",
            ));
        };
        let user = escape_user(user.as_bytes());
        let name = Name {
            user: String::from_utf8_lossy(&user).into_owned(),
            domain: domain.to_owned(),
        };
        if name.user.is_empty() || domain.contains([';', '?']) {
            return Err(AddressError::new(
                text,
                "it has to look like alice@example.org",
            ));
        }
        check(&name.uri(), text)?;
        Ok(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri().trim_start_matches("sip:"))
    }
}

/// A server that all requests go through: `udp:proxy.example.org:5060`, `tcp:[2001:db8::1]:5060`, `tls:example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How to reach it.
    pub transport: Transport,
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port; without one the name servers are asked (RFC 3263).
    pub port: Option<u16>,
}

impl Server {
    /// The server as a SIP URI.
    pub fn uri(&self) -> String {
        let host = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(v6)) => format!("[{v6}]"),
            _ => self.host.clone(),
        };
        let port = self.port.map(|p| format!(":{p}")).unwrap_or_default();
        // Datagrams are the default wherever no name server has a word in it, and unsaid they leave the choice of a
        // stream for large messages (RFC 3261 §18.1.1).
        let is_default = self.transport == Transport::Udp
            && (self.port.is_some() || self.host.parse::<IpAddr>().is_ok());
        let transport = if is_default {
            String::new()
        } else {
            format!(";transport={}", self.transport.param())
        };
        format!("sip:{host}{port}{transport}")
    }
}

impl FromStr for Server {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Server, AddressError> {
        let form = "it has to look like udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT";
        let wrong = || AddressError::new(text, form);
        let (transport, rest) = text.split_once(':').ok_or_else(wrong)?;
        let transport = match Transport::from_token(transport.as_bytes()) {
            Some(transport @ (Transport::Udp | Transport::Tcp | Transport::Tls)) => transport,
            _ => return Err(wrong()),
        };
        let (host, port) = match split_port(rest) {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong())?)),
            None => (unbracketed(rest), None),
        };
        let server = Server {
            transport,
            host: host.to_owned(),
            port,
        };
        if port == Some(0) || host.is_empty() {
            return Err(wrong());
        }
        check(&server.uri(), text)?;
        Ok(server)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host: &dyn fmt::Display = match self.host.parse::<IpAddr>() {
            Ok(ip) => &SocketAddr::new(ip, self.port.unwrap_or(self.transport.default_port())),
            Err(_) => match self.port {
                Some(port) => &format!("{}:{port}", self.host),
                None => &self.host,
            },
        };
        write!(f, "{}:{host}", self.transport.param())
    }
}

/// The URI that `text` means: a whole one, `bob@example.org`, or `bob` or a number at `domain`.
///
/// # Errors
/// [`AddressError`] when it cannot be made one.
pub fn target(text: &str, domain: &str) -> Result<String, AddressError> {
    let text = text.trim();
    let text = text
        .strip_prefix('<')
        .and_then(|inner| inner.strip_suffix('>'))
        .unwrap_or(text);
    let uri = if has_scheme(text, "sip:") || has_scheme(text, "sips:") {
        text.to_owned()
    } else if !has_scheme(text, "tel:") && is_foreign(text) {
        return Err(AddressError::new(
            text,
            "only sip:, sips: and tel: can be called",
        ));
    } else if has_scheme(text, "tel:") {
        let link = link::parse(text).map_err(|error| AddressError::new(text, error.why()))?;
        return link.uri(domain);
    } else if let Some(number) = text.starts_with('+').then(|| link::number(text)).flatten() {
        // What makes a number readable is not dialled.
        format!("sip:{number}@{domain}")
    } else if text.contains('@') {
        format!("sip:{text}")
    } else {
        let user = escape_user(text.as_bytes());
        format!("sip:{}@{domain}", String::from_utf8_lossy(&user))
    };
    if text.is_empty() || uri.starts_with("sip:@") {
        return Err(AddressError::new(text, "nobody is named"));
    }
    check(&uri, text)?;
    Ok(uri)
}

/// What is wrong with an address that a person wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    text: String,
    why: String,
}

impl AddressError {
    fn new(text: &str, why: &str) -> AddressError {
        AddressError {
            text: text.to_owned(),
            why: why.to_owned(),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' cannot be used: {}",
            self.text.escape_debug(),
            self.why
        )
    }
}

impl std::error::Error for AddressError {}

fn check(uri: &str, text: &str) -> Result<(), AddressError> {
    let clean = !uri
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    if !clean {
        return Err(AddressError::new(
            text,
            "blanks and brackets may not stand in an address",
        ));
    }
    match Uri::parse(uri.as_bytes()) {
        Ok(parsed) if parsed.is_sip() => Ok(()),
        Ok(_) => Err(AddressError::new(
            text,
            "only sip: and sips: addresses can be called",
        )),
        Err(error) => Err(AddressError::new(text, &error.to_string())),
    }
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Whether it begins like a URI of some other scheme.
fn is_foreign(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphabetic()))
}

fn strip_scheme(text: &str) -> &str {
    if has_scheme(text, "sip:") {
        text.get(4..).unwrap_or_default()
    } else {
        text
    }
}

/// Host without brackets, and what stands behind the colon of a port.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    if host.starts_with('[') != host.ends_with(']')
        || (host.contains(':') && !host.starts_with('['))
    {
        return None;
    }
    Some((unbracketed(host), port))
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        for (text, uri, host) in [
            ("alice@example.org", "sip:alice@example.org", "example.org"),
            (
                "SIP:alice@10.0.0.1:5070",
                "sip:alice@10.0.0.1:5070",
                "10.0.0.1",
            ),
            ("a b@h", "sip:a%20b@h", "h"),
            ("x@[::1]:5060", "sip:x@[::1]:5060", "::1"),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!((name.uri().as_str(), name.host()), (uri, host), "{text}");
        }
        for bad in ["alice", "@h", "alice@", "a@h;lr", "a@h\r\nX: y", "a@h i"] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn servers() {
        for (text, uri) in [
            ("udp:10.0.0.1:5060", "sip:10.0.0.1:5060"),
            ("tcp:10.0.0.1:5060", "sip:10.0.0.1:5060;transport=tcp"),
            ("udp:10.0.0.1", "sip:10.0.0.1"),
            ("udp:pbx.example.org", "sip:pbx.example.org;transport=udp"),
            ("UDP:pbx:5062", "sip:pbx:5062"),
            ("tcp:[::1]:7", "sip:[::1]:7;transport=tcp"),
            ("tcp:[::1]", "sip:[::1];transport=tcp"),
            ("udp:::1", "sip:[::1]"),
            ("tls:pbx.example.org", "sip:pbx.example.org;transport=tls"),
            ("tls:[::1]", "sip:[::1];transport=tls"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.uri(), uri, "{text}");
            assert!(server.to_string().parse::<Server>().is_ok(), "{server}");
        }
        for bad in [
            "10.0.0.1:5060",
            "udp:",
            "udp:h:0",
            "udp:h:x",
            "wss:h:1",
            "udp:h:99999",
            "udp:a b:1",
            "",
        ] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
    }

    #[test]
    fn targets() {
        for (text, uri) in [
            ("bob", "sip:bob@example.org"),
            ("+49 30", "sip:+4930@example.org"),
            ("+82-2-1234-5678", "sip:+82212345678@example.org"),
            ("front-desk", "sip:front-desk@example.org"),
            ("*97#", "sip:*97%23@example.org"),
            ("bob@h", "sip:bob@h"),
            ("sip:h", "sip:h"),
            ("<sip:bob@h;transport=tcp>", "sip:bob@h;transport=tcp"),
            ("tel:+4930", "sip:+4930@example.org;user=phone"),
            ("tel:+49-30", "sip:+4930@example.org;user=phone"),
        ] {
            assert_eq!(target(text, "example.org").as_deref(), Ok(uri), "{text}");
        }
        for bad in [
            "",
            "sip:",
            "sip:@",
            "@h",
            "mailto:",
            "http://h",
            "bob:secret@h",
            "<sip:a@b",
            "sip:a@b\r\nX: y",
            "sip:a b@h",
        ] {
            let error = target(bad, "example.org");
            assert!(error.is_err(), "{bad}: {error:?}");
        }
    }
}
