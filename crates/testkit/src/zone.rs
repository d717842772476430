//! A made-up DNS.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use sip::resolve::{Answer, Failure, Naptr, Query, QueryKind, Records, Srv};

/// What the name servers of a world say; names that are not in it do not exist.
#[derive(Debug, Default)]
pub struct Zone {
    records: HashMap<Query, Result<Records, Failure>>,
}

impl Zone {
    /// Adds one record, written as `name KIND fields…`.
    ///
    /// Fields: `NAPTR order preference flags service replacement`, `SRV priority weight port target`,
    /// `A address`, `AAAA address`; `KIND timeout` for a question that nobody answers.
    ///
    /// # Panics
    /// When the line is none of these.
    pub fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, fields @ ..] = words.as_slice() else {
            panic!("zone: {line}");
        };
        let kind = match *kind {
            "NAPTR" => QueryKind::Naptr,
            "SRV" => QueryKind::Srv,
            "A" => QueryKind::A,
            "AAAA" => QueryKind::Aaaa,
            _ => panic!("zone: {line}"),
        };
        let query = Query {
            name: (*name).to_owned(),
            kind,
        };
        if fields == ["timeout"] {
            self.records.insert(query, Err(Failure::Timeout));
            return;
        }
        let entry = self.records.entry(query).or_insert(Ok(match kind {
            QueryKind::Naptr => Records::Naptr(Vec::new()),
            QueryKind::Srv => Records::Srv(Vec::new()),
            QueryKind::A => Records::A(Vec::new()),
            QueryKind::Aaaa => Records::Aaaa(Vec::new()),
        }));
        append(entry, fields).unwrap_or_else(|| panic!("zone: {line}"));
    }

    /// What is said to a question.
    pub fn answer(&self, query: &Query) -> Answer {
        Answer {
            records: self
                .records
                .get(query)
                .cloned()
                .unwrap_or(Err(Failure::NoName)),
            ttl: 60,
        }
    }
}

fn append(entry: &mut Result<Records, Failure>, fields: &[&str]) -> Option<()> {
    match (entry, fields) {
        (Ok(Records::Naptr(list)), [order, preference, flags, service, replacement]) => {
            list.push(Naptr {
                order: order.parse().ok()?,
                preference: preference.parse().ok()?,
                flags: (*flags).to_owned(),
                service: (*service).to_owned(),
                replacement: (*replacement).to_owned(),
            });
        }
        (Ok(Records::Srv(list)), [priority, weight, port, target]) => list.push(Srv {
            priority: priority.parse().ok()?,
            weight: weight.parse().ok()?,
            port: port.parse().ok()?,
            target: (*target).to_owned(),
        }),
        (Ok(Records::A(list)), [address]) => list.push(address.parse::<Ipv4Addr>().ok()?),
        (Ok(Records::Aaaa(list)), [address]) => list.push(address.parse::<Ipv6Addr>().ok()?),
        _ => return None,
    }
    Some(())
}
