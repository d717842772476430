//! The hosts and ports that mean this element.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::SocketAddr;

use super::Listener;
use crate::uri::{Host, Uri};

/// Our addresses and our domains.
#[derive(Clone, Debug, Default)]
pub struct OwnNames {
    addresses: Vec<SocketAddr>,
    advertised: Vec<(String, u16)>,
    /// Those of the advertised hosts that are addresses.
    outside: Vec<SocketAddr>,
    domains: HashSet<String, BuildHasherDefault<DefaultHasher>>,
}

impl OwnNames {
    /// Adds the address of a listener.
    pub fn add_listener(&mut self, listener: &Listener) {
        if !self.addresses.contains(&listener.local) {
            self.addresses.push(listener.local);
        }
        if let Some((host, port)) = &listener.advertised {
            self.advertised.push((host.to_ascii_lowercase(), *port));
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            if let Ok(ip) = bare.parse() {
                self.outside.push(SocketAddr::new(ip, *port));
            }
        }
    }

    /// Adds a domain.
    pub fn add_domain(&mut self, domain: &str) {
        self.domains.insert(domain.to_ascii_lowercase());
    }

    /// Whether a host, at this port or at any, is one of our addresses or names: what a Route or a Via
    /// says when it means this very element.
    pub fn is_self(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        match host.ip() {
            Some(ip) => self
                .addresses
                .iter()
                .chain(&self.outside)
                .any(|a| a.ip() == ip && a.port() == port.unwrap_or(5060)),
            None => {
                let Some(name) = host.name() else {
                    return false;
                };
                self.advertised.iter().any(|(host, own_port)| {
                    name.eq_ignore_ascii_case(host.as_bytes()) && port.unwrap_or(5060) == *own_port
                }) || (self.is_domain_name(name) && self.is_own_port(port))
            }
        }
    }

    /// Whether a URI's host is a domain that we are responsible for, or our own address (§16.5).
    pub fn is_responsible(&self, uri: &Uri<'_>) -> bool {
        match uri.host {
            Host::Name(_) => {
                uri.host.name().is_some_and(|n| self.is_domain_name(n))
                    && self.is_own_port(uri.port)
                    || self.is_self(&uri.host, uri.port)
            }
            _ => self.is_self(&uri.host, uri.port),
        }
    }

    /// Whether a host is a domain of ours, whatever the port.
    pub fn is_domain(&self, host: &Host<'_>) -> bool {
        match host.ip() {
            Some(ip) => {
                let mut all = self.addresses.iter().chain(&self.outside);
                all.any(|a| a.ip() == ip)
            }
            None => host.name().is_some_and(|n| self.is_domain_name(n)),
        }
    }

    fn is_own_port(&self, port: Option<u16>) -> bool {
        port.is_none_or(|p| p == 5060 || self.addresses.iter().any(|a| a.port() == p))
    }

    fn is_domain_name(&self, name: &[u8]) -> bool {
        let Ok(name) = core::str::from_utf8(name) else {
            return false;
        };
        if self.domains.contains(name) {
            return true;
        }
        name.bytes().any(|b| b.is_ascii_uppercase())
            && self.domains.contains(&name.to_ascii_lowercase())
    }
}
