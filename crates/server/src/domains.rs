//! The domains served, and which of them a URI means.

use std::net::IpAddr;

use sip::uri::{Host, Uri};

/// The domains of a server. This host's addresses, whatever the port, mean the first one.
#[derive(Clone, Debug)]
pub(crate) struct Domains {
    names: Vec<String>,
    /// Those of the names that are addresses, with their place.
    literal: Vec<(IpAddr, usize)>,
    addresses: Vec<IpAddr>,
    /// The name that peers are told for this host; it means the first domain.
    advertised: Option<String>,
}

impl Domains {
    pub(crate) fn new(names: &[String], addresses: Vec<IpAddr>) -> Domains {
        let mut names: Vec<String> = names.iter().map(|n| n.to_ascii_lowercase()).collect();
        let mut literal = Vec::new();
        for (place, name) in names.iter_mut().enumerate() {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = bare.parse::<IpAddr>() {
                *name = canonical(ip);
                literal.push((ip, place));
            }
        }
        Domains {
            names,
            literal,
            addresses,
            advertised: None,
        }
    }

    pub(crate) fn advertised(mut self, host: Option<&str>) -> Domains {
        self.advertised = host.map(str::to_ascii_lowercase);
        self
    }

    pub(crate) fn default_name(&self) -> &str {
        self.names.first().map_or("localhost", String::as_str)
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The domain of ours that a host means; `None` for another one's.
    pub(crate) fn of(&self, host: &Host<'_>) -> Option<&str> {
        if let Some(ip) = host.ip() {
            if let Some((_, place)) = self.literal.iter().find(|(literal, _)| *literal == ip) {
                return self.names.get(*place).map(String::as_str);
            }
            return self.addresses.contains(&ip).then(|| self.default_name());
        }
        let name = host.name()?;
        let is = |n: &str| n.as_bytes().eq_ignore_ascii_case(name);
        match self.names.iter().find(|n| is(n)) {
            Some(named) => Some(named),
            None if self.advertised.as_deref().is_some_and(is) => Some(self.default_name()),
            None => None,
        }
    }

    /// Whether a URI's host is an address that was named as a domain, be it bound here or not, at the usual port.
    pub(crate) fn is_literal(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        matches!(port, None | Some(5060))
            && host
                .ip()
                .is_some_and(|ip| self.literal.iter().any(|(literal, _)| *literal == ip))
    }

    /// The address of record that a URI means, `user@domain`, when its domain is ours and it has a user.
    pub(crate) fn address_of_record(&self, uri: &Uri<'_>) -> Option<String> {
        let domain = self.of(&uri.host)?;
        uri.user?;
        let user = uri.user_unescaped();
        let mut aor = String::with_capacity(user.len() + 1 + domain.len());
        match core::str::from_utf8(&user) {
            Ok(user) => aor.push_str(user),
            Err(_) => aor.push_str(&String::from_utf8_lossy(&user)),
        }
        aor.push('@');
        aor.push_str(domain);
        Some(aor)
    }
}

/// An address as it stands in a URI.
fn canonical(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_mean_domains() {
        let domains = Domains::new(
            &["Example.org".into(), "other.net".into()],
            vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        );
        let aor = |text: &str| {
            let uri = Uri::parse(text.as_bytes()).unwrap();
            domains.address_of_record(&uri)
        };
        assert_eq!(
            aor("sip:Al%69ce@EXAMPLE.org:5070;x=1").as_deref(),
            Some("Alice@example.org")
        );
        assert_eq!(aor("sip:bob@192.0.2.1").as_deref(), Some("bob@example.org"));
        assert_eq!(
            aor("sip:bob@[2001:db8::1]:5062").as_deref(),
            Some("bob@example.org")
        );
        assert_eq!(aor("sip:bob@other.net").as_deref(), Some("bob@other.net"));
        assert_eq!(aor("sip:bob@192.0.2.2"), None);
        assert_eq!(aor("sip:example.org"), None);
    }
}
