//! An account: who we are, and through whom we speak.

use std::net::{IpAddr, SocketAddr};

use super::draft::{is_clean, name_addr};
use super::event::Misuse;
use super::register::Registration;
use crate::auth;
use crate::flow::{Flow, Transport};
use crate::header::Via;
use crate::transaction::Transactions;
use crate::uri::Uri;

/// Who a user is, as the owner of a user agent states it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The address of record: `sip:alice@example.org`.
    pub address_of_record: String,
    /// The name that callees see.
    pub display_name: Option<String>,
    /// The user name for Digest; that of the address of record when `None`.
    pub username: Option<String>,
    /// What answers challenges.
    pub secret: Option<auth::Secret>,
    /// The outbound proxy, `sip:10.0.0.1:5060;transport=tcp`: where all requests outside dialogs go.
    pub proxy: Option<String>,
    /// The registrar, `sip:example.org`; the domain of the address of record when `None`.
    pub registrar: Option<String>,
    /// The URN of this device (RFC 5626 §4.1): `urn:uuid:…`.
    pub instance: Option<String>,
    /// The User-Agent header.
    pub user_agent: String,
    /// Whether the Contact over UDP names the address that the server sees us at (RFC 3581), when
    /// that is not the one that we are bound to.
    pub public_contact: bool,
    /// Whether provisional responses are sent and asked for reliably (RFC 3262).
    pub reliable: Reliable,
    /// After how many seconds without a refresh a session counts as gone (RFC 4028); at least
    /// `min_se`. `None`: without session timers.
    pub session_expires: Option<u32>,
    /// The shortest such interval that is accepted of a peer, at least 90 seconds (RFC 4028 §5).
    pub min_se: u32,
    /// How often one call follows redirections (3xx); 0: never, and [`super::Cause::Refused`] tells the
    /// addresses.
    pub follow_redirects: u8,
    /// Whether a call is hung up when its peer has been transferred (RFC 5589 §6.1).
    pub hang_up_transferred: bool,
    /// Whether a REFER outside any call is told to the owner (click-to-dial); else it is refused with 403.
    pub refer_outside_calls: bool,
    /// Whether calls and messages hide who we are (RFC 3323, 3325 §9.3).
    pub anonymous: bool,
    /// Whether P-Asserted-Identity is believed in calls that come from where we are registered
    /// (RFC 3325 §6: only from within a trust domain).
    pub trust_asserted: bool,
}

/// What an account does about reliable provisional responses (100rel, RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliable {
    /// They are not known: a caller that requires them is refused with 420.
    Off,
    /// They are offered. A provisional response is sent reliably when the caller requires that, or
    /// when it carries a session description and the caller supports it.
    #[default]
    Supported,
    /// They are required: a caller without them is refused with 421, a callee without them refuses us.
    Required,
}

impl Account {
    /// An account with nothing but its address.
    pub fn new(address_of_record: &str) -> Account {
        Account {
            address_of_record: address_of_record.to_owned(),
            display_name: None,
            username: None,
            secret: None,
            proxy: None,
            registrar: None,
            instance: None,
            user_agent: "sori".to_owned(),
            public_contact: true,
            reliable: Reliable::default(),
            session_expires: Some(1800),
            min_se: 90,
            follow_redirects: 5,
            hang_up_transferred: true,
            refer_outside_calls: false,
            anonymous: false,
            trust_asserted: false,
        }
    }
}

/// How many servers' views of our address are kept.
const MAX_SEEN: usize = 8;

/// The address at which a server sees one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    local: SocketAddr,
    by: IpAddr,
    at: SocketAddr,
}

/// What a user agent knows of an account.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) account: Account,
    /// From without a tag.
    pub(super) local: String,
    /// The user as it stands in the address of record, escaped.
    pub(super) user: String,
    /// The host (and port) of the address of record.
    pub(super) domain: String,
    pub(super) registrar: String,
    /// The outbound proxy as a URI with `lr`.
    pub(super) proxy: Option<String>,
    pub(super) credentials: Option<auth::Account>,
    /// Nonces for REGISTER; they are nobody else's business.
    pub(super) registrar_nonces: auth::Client,
    /// Nonces for all other requests.
    pub(super) nonces: auth::Client,
    /// Where servers see us, the latest last.
    pub(super) public: Vec<Seen>,
    pub(super) registration: Registration,
}

impl Profile {
    /// Checks an account and takes it apart.
    ///
    /// # Errors
    /// [`Misuse::Address`] or [`Misuse::Header`] when a text cannot stand in a message.
    pub(super) fn new(account: Account) -> Result<Profile, Misuse> {
        let aor = parse(&account.address_of_record)?;
        let user = aor.user.map(lossy).unwrap_or_default();
        let domain = host_port(&aor);
        let registrar = match &account.registrar {
            Some(text) => parse(text)?.to_string(),
            None => format!("{}:{domain}", lossy(aor.scheme_name())),
        };
        let proxy = match &account.proxy {
            Some(text) => {
                let uri = parse(text)?;
                let lr = if uri.is_loose_router() { "" } else { ";lr" };
                Some(format!("{uri}{lr}"))
            }
            None => None,
        };
        let texts = [
            Some(account.user_agent.as_str()),
            account.display_name.as_deref(),
            account.instance.as_deref(),
            account.username.as_deref(),
        ];
        if !texts.into_iter().flatten().all(|t| is_clean(t.as_bytes())) {
            return Err(Misuse::Header);
        }
        let credentials = account.secret.clone().map(|secret| auth::Account {
            username: account
                .username
                .clone()
                .unwrap_or_else(|| lossy(&aor.user_unescaped())),
            secret,
        });
        let local = name_addr(account.display_name.as_deref(), &account.address_of_record);
        Ok(Profile {
            local,
            user,
            domain,
            registrar,
            proxy,
            credentials,
            registrar_nonces: auth::Client::new(),
            nonces: auth::Client::new(),
            public: Vec::new(),
            registration: Registration::default(),
            account,
        })
    }

    /// The routes for a request outside any dialog: the proxy, then what the registrar asked for
    /// (RFC 3608).
    pub(super) fn routes(&self) -> Vec<Vec<u8>> {
        let service = &self.registration.service_route;
        let mut routes = Vec::with_capacity(service.len() + 1);
        if let Some(proxy) = &self.proxy
            && !service.first().is_some_and(|s| same_place(s, proxy))
        {
            routes.push(format!("<{proxy}>").into_bytes());
        }
        routes.extend(service.iter().map(|s| format!("<{s}>").into_bytes()));
        routes
    }

    /// Whether the outbound proxy is the registrar itself.
    pub(super) fn proxy_is_registrar(&self) -> bool {
        self.proxy
            .as_ref()
            .is_some_and(|p| same_place(p, &self.registrar))
    }

    /// The address that a request whose text is `target` is for: a whole URI, `user@host`, or a user
    /// of our own domain.
    ///
    /// # Errors
    /// [`Misuse::Address`].
    pub(super) fn target(&self, target: &str) -> Result<String, Misuse> {
        let text = target.trim();
        let text = match text.strip_prefix('<') {
            Some(inner) => inner.strip_suffix('>').ok_or(Misuse::Address)?,
            None => text,
        };
        let lower = text.get(..5).unwrap_or(text).to_ascii_lowercase();
        let full = if lower.starts_with("sip:") || lower.starts_with("sips:") {
            text.to_owned()
        } else if let Some(number) = lower.starts_with("tel:").then(|| text.get(4..)).flatten() {
            format!("sip:{number}@{};user=phone", self.domain)
        } else if text.contains('@') {
            format!("sip:{text}")
        } else {
            let user = crate::uri::escape_user(text.as_bytes());
            format!("sip:{}@{}", lossy(&user), self.domain)
        };
        let uri = parse(&full)?;
        // Headers and `method` may not stand in a Request-URI (RFC 3261 §19.1.1, table 1).
        let plain = full.split('?').next().unwrap_or_default();
        if uri.param(b"method").is_some() {
            return Err(Misuse::Address);
        }
        Ok(plain.to_owned())
    }

    /// Notes where a server saw us (RFC 3581).
    pub(super) fn learn(&mut self, tx: &Transactions, flow: &Flow, via: &Via<'_>) {
        if !self.account.public_contact || flow.transport != Transport::Udp {
            return;
        }
        let (Some(ip), Some(Some(port))) = (via.received.or(via.host.ip()), via.rport) else {
            return;
        };
        let seen = Seen {
            local: flow.local,
            by: flow.remote.ip(),
            at: SocketAddr::new(ip, port),
        };
        if self.public.last() == Some(&seen) {
            return;
        }
        self.public
            .retain(|s| (s.local, s.by) != (seen.local, seen.by));
        if seen.at.to_string() == tx.sent_by(flow.transport, flow.local) {
            return;
        }
        if self.public.len() >= MAX_SEEN {
            self.public.remove(0);
        }
        self.public.push(seen);
    }

    /// Whether an address translator stands between us and who is at the other end of a flow.
    pub(super) fn is_translated(&self, flow: &Flow) -> bool {
        self.contact_host(flow).is_some()
    }

    /// The host and port of our Contact on a flow, when they are not those of the listener.
    fn contact_host(&self, flow: &Flow) -> Option<String> {
        if flow.transport != Transport::Udp {
            return None;
        }
        let same = |s: &&Seen| s.local == flow.local && s.by == flow.remote.ip();
        self.public.iter().find(same).map(|s| s.at.to_string())
    }
}

/// Our Contact URI on a flow: `sip:user@host:port;transport=…` (RFC 3261 §8.1.1.8).
pub(super) fn contact_uri(
    tx: &Transactions,
    profile: Option<&Profile>,
    user: &str,
    flow: &Flow,
) -> String {
    let host = profile
        .and_then(|p| p.contact_host(flow))
        .unwrap_or_else(|| tx.sent_by(flow.transport, flow.local));
    let at = if user.is_empty() { "" } else { "@" };
    let transport = match flow.transport {
        Transport::Udp => String::new(),
        other => format!(";transport={}", other.param()),
    };
    format!("sip:{user}{at}{host}{transport}")
}

fn parse(text: &str) -> Result<Uri<'_>, Misuse> {
    if !is_clean(text.as_bytes()) || text.contains(['<', '>', '"', ' ']) {
        return Err(Misuse::Address);
    }
    let uri = Uri::parse(text.as_bytes()).map_err(|_| Misuse::Address)?;
    if uri.is_sip() {
        Ok(uri)
    } else {
        Err(Misuse::Address)
    }
}

fn host_port(uri: &Uri<'_>) -> String {
    match uri.port {
        Some(port) => format!("{}:{port}", uri.host),
        None => uri.host.to_string(),
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Whether two URIs name the same host and port.
fn same_place(a: &str, b: &str) -> bool {
    match (Uri::parse(a.as_bytes()), Uri::parse(b.as_bytes())) {
        (Ok(a), Ok(b)) => a.host == b.host && a.port_or_default() == b.port_or_default(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(proxy: Option<&str>) -> Profile {
        let mut account = Account::new("sip:alice@example.org");
        account.display_name = Some("Al \"x\"".to_owned());
        account.proxy = proxy.map(str::to_owned);
        Profile::new(account).unwrap()
    }

    #[test]
    fn targets_in_all_forms() {
        let p = profile(None);
        for (text, uri) in [
            ("bob", "sip:bob@example.org"),
            (" bob@host.example ", "sip:bob@host.example"),
            ("sip:bob@h;transport=tcp", "sip:bob@h;transport=tcp"),
            ("<sips:bob@h>", "sips:bob@h"),
            ("SIP:bob@h?Subject=x", "SIP:bob@h"),
            ("tel:+49-30", "sip:+49-30@example.org;user=phone"),
            ("*97#", "sip:*97%23@example.org"),
        ] {
            assert_eq!(p.target(text).as_deref(), Ok(uri), "{text}");
        }
        for bad in [
            "sip:",
            "<sip:a@b",
            "sip:a@b\r\nX: y",
            "sip:a@b;method=BYE",
            "sip:a b@c",
        ] {
            assert_eq!(p.target(bad), Err(Misuse::Address), "{bad}");
        }
    }

    #[test]
    fn the_proxy_is_a_loose_route_unless_the_registrar_names_it() {
        let mut p = profile(Some("sip:10.0.0.1:5060;transport=tcp"));
        assert_eq!(
            p.routes(),
            [b"<sip:10.0.0.1:5060;transport=tcp;lr>".to_vec()]
        );
        assert!(!p.proxy_is_registrar());
        assert!(profile(Some("sip:EXAMPLE.org:5060")).proxy_is_registrar());
        p.registration.service_route = vec!["sip:10.0.0.1;lr".to_owned()];
        assert_eq!(p.routes(), [b"<sip:10.0.0.1;lr>".to_vec()]);
        p.registration.service_route = vec!["sip:edge;lr".to_owned()];
        assert_eq!(p.routes().len(), 2);
        assert_eq!(p.local, "\"Al \\\"x\\\"\" <sip:alice@example.org>");
    }

    #[test]
    fn an_account_with_line_ends_is_refused() {
        let mut account = Account::new("sip:alice@example.org");
        account.user_agent = "x\r\nEvil: y".to_owned();
        assert_eq!(Profile::new(account).err(), Some(Misuse::Header));
        assert_eq!(
            Profile::new(Account::new("mailto:a@b")).err(),
            Some(Misuse::Address)
        );
    }
}
