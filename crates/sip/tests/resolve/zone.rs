//! A made-up zone written as lines.

use sip::resolve::{Answer, Failure, Naptr, Query, QueryKind, Records, Srv};
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the DNS says to each question; everything else does not exist.
#[derive(Default)]
pub struct Zone(pub HashMap<Query, Result<Records, Failure>>);

impl Zone {
    /// Lines of `name NAPTR order pref flags service replacement`, `name SRV prio weight port target`,
    /// `name A address..`, `name AAAA address..`, `name KIND !timeout|!server|!nodata`.
    pub fn new(lines: &str) -> Zone {
        let mut zone = Zone::default();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, kind, rest) = (words[0], words[1], &words[2..]);
            let kind = match kind {
                "NAPTR" => QueryKind::Naptr,
                "SRV" => QueryKind::Srv,
                "A" => QueryKind::A,
                "AAAA" => QueryKind::Aaaa,
                other => panic!("{other}"),
            };
            let query = Query {
                name: name.to_owned(),
                kind,
            };
            let failure = match rest[0] {
                "!timeout" => Some(Failure::Timeout),
                "!server" => Some(Failure::Server),
                "!nodata" => Some(Failure::NoData),
                _ => None,
            };
            if let Some(failure) = failure {
                zone.0.insert(query, Err(failure));
                continue;
            }
            let empty = match kind {
                QueryKind::Naptr => Records::Naptr(Vec::new()),
                QueryKind::Srv => Records::Srv(Vec::new()),
                QueryKind::A => Records::A(Vec::new()),
                QueryKind::Aaaa => Records::Aaaa(Vec::new()),
            };
            let number = |i: usize| rest[i].parse::<u16>().unwrap();
            match zone.0.entry(query).or_insert(Ok(empty)) {
                Ok(Records::Naptr(list)) => list.push(Naptr {
                    order: number(0),
                    preference: number(1),
                    flags: rest[2].to_owned(),
                    service: rest[3].to_owned(),
                    replacement: rest[4].to_owned(),
                }),
                Ok(Records::Srv(list)) => list.push(Srv {
                    priority: number(0),
                    weight: number(1),
                    port: number(2),
                    target: rest[3].to_owned(),
                }),
                Ok(Records::A(list)) => {
                    list.extend(rest.iter().map(|a| a.parse::<Ipv4Addr>().unwrap()));
                }
                Ok(Records::Aaaa(list)) => {
                    list.extend(rest.iter().map(|a| a.parse::<Ipv6Addr>().unwrap()));
                }
                Err(_) => panic!("{line}"),
            }
        }
        zone
    }

    pub fn answer(&self, query: &Query) -> Answer {
        Answer {
            records: self.0.get(query).cloned().unwrap_or(Err(Failure::NoName)),
            ttl: 300,
        }
    }
}
