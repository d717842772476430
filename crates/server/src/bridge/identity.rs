//! Who calls, as the callee is told.

use sip::header::{HeaderName, MaxForwards, NameAddr};
use sip::uri::Uri;
use sip::wire::Packet;

use crate::dialplan::e164;
use crate::directory::{CallerIdMode, Snapshot, Trunk};

/// Headers of the caller's INVITE that are for the callee.
const FOR_THE_CALLEE: [&str; 14] = [
    "Subject",
    "Priority",
    "Organization",
    "Alert-Info",
    "Call-Info",
    "Reply-To",
    "In-Reply-To",
    "User-to-User",
    "Accept-Language",
    "Answer-Mode",
    "Priv-Answer-Mode",
    "Privacy",
    "Session-ID",
    "Geolocation",
];
/// The most of them, and of their octets.
const MOST_HEADERS: usize = 32;
const LONGEST_HEADER: usize = 1_024;

/// The caller of a bridged call.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// The value of From without a tag.
    pub(super) from: String,
    /// The display name as it stands there, with its quotation marks; empty for none.
    pub(super) display: String,
    /// The user part of the address, escaped as it came.
    pub(super) user: String,
    /// The account that it proved to be.
    pub(super) account: Option<String>,
    /// Headers for the callee.
    pub(super) headers: Vec<(String, String)>,
    /// Hops that are left.
    pub(super) max_forwards: u8,
    /// It does not want to be known (RFC 3323).
    pub(super) is_private: bool,
}

impl Caller {
    pub(super) fn new(invite: &Packet<'_>, from: &str, account: Option<String>) -> Caller {
        let parsed = NameAddr::parse(from.as_bytes()).ok();
        let user = parsed
            .as_ref()
            .and_then(|p| p.uri.user)
            .map(lossy)
            .unwrap_or_default();
        let display = from
            .split_once('<')
            .map_or("", |(display, _)| display)
            .trim()
            .to_owned();
        let left = invite
            .value(HeaderName::MaxForwards)
            .and_then(|v| MaxForwards::parse(v).ok())
            .map_or(70, |m| m.0);
        let mut headers = Vec::new();
        for header in invite.headers().take(200) {
            let name = lossy(header.raw_name());
            let is_theirs = FOR_THE_CALLEE.iter().any(|n| n.eq_ignore_ascii_case(&name))
                || name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"));
            let value = lossy(header.value());
            let fits = value.len() <= LONGEST_HEADER && !value.contains(['\r', '\n', '\0']);
            if is_theirs && fits && headers.len() < MOST_HEADERS {
                headers.push((name, value));
            }
        }
        let is_private = headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("Privacy") && !value.eq_ignore_ascii_case("none")
        });
        Caller {
            from: from.to_owned(),
            display,
            user,
            account,
            headers,
            max_forwards: left.saturating_sub(1),
            is_private,
        }
    }

    /// From, the user part of Contact, and headers, as a trunk is told them.
    pub(super) fn through(
        &self,
        trunk: &Trunk,
        all: &Snapshot,
    ) -> (String, String, Vec<(String, String)>) {
        let number = match trunk.caller_id.mode {
            CallerIdMode::Fixed => trunk.caller_id.number.clone(),
            CallerIdMode::Keep => self.number(all),
        };
        let domain = trunk.shown_domain();
        let address = format!("<sip:{}@{domain}>", escaped_user(&number));
        let mut headers = self.headers.clone();
        headers.push(("P-Asserted-Identity".into(), address.clone()));
        let from = if self.is_private {
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned()
        } else if self.display.is_empty() {
            address
        } else {
            format!("{} {address}", self.display)
        };
        // A provider finds its customer by the user that registered.
        let contact = if trunk.username.is_empty() {
            number
        } else {
            trunk.username.clone()
        };
        (from, escaped_user(&contact), headers)
    }

    /// The number that stands for the caller outside: an alias that is a telephone number, if there is one.
    fn number(&self, all: &Snapshot) -> String {
        let profile = self.account.as_deref().and_then(|a| all.profile(a));
        let full = profile.and_then(|p| {
            p.aliases
                .iter()
                .find(|a| e164(a, &all.settings.country).is_some())
        });
        match full {
            Some(alias) => alias.clone(),
            None => String::from_utf8_lossy(&unescaped(&self.user)).into_owned(),
        }
    }
}

impl Trunk {
    /// What stands behind the @ of its addresses.
    pub(crate) fn shown_domain(&self) -> String {
        if self.domain.is_empty() {
            match self.port {
                Some(port) => format!("{}:{port}", self.host),
                None => self.host.clone(),
            }
        } else {
            self.domain.clone()
        }
    }

    /// Where its requests are sent, as a URI without a user.
    pub(crate) fn server_uri(&self) -> String {
        let port = self.port.map_or_else(String::new, |p| format!(":{p}"));
        let transport = match self.transport.as_str() {
            "udp" => "",
            "tcp" => ";transport=tcp",
            _ => ";transport=tls",
        };
        format!("sip:{}{port}{transport}", self.host)
    }

    /// The Request-URI for a number, and the way there when the URI does not say it.
    pub(crate) fn target(&self, number: &str) -> (String, Vec<String>) {
        let user = escaped_user(number);
        let server = self.server_uri();
        if self.domain.is_empty() {
            return (format!("sip:{user}@{}", &server[4..]), Vec::new());
        }
        (
            format!("sip:{user}@{}", self.domain),
            vec![format!("{server};lr")],
        )
    }
}

/// A user part as it stands in a URI (RFC 3261 §25.1).
pub(crate) fn escaped_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for b in user.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

fn unescaped(user: &str) -> Vec<u8> {
    let uri = format!("sip:{user}@x.invalid");
    Uri::parse(uri.as_bytes()).map_or_else(
        |_| user.as_bytes().to_vec(),
        |u| u.user_unescaped().into_owned(),
    )
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
