//! Which records come first: NAPTR by order and preference, SRV by priority and weight.

use crate::flow::Transport;

/// A naming authority pointer (RFC 3403 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower comes first, before preference.
    pub order: u16,
    /// Lower comes first among the same order.
    pub preference: u16,
    /// `s` for SIP: the replacement names SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// The name to ask next.
    pub replacement: String,
}

/// A service record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower comes first.
    pub priority: u16,
    /// The share among the same priority.
    pub weight: u16,
    /// Where the service listens.
    pub port: u16,
    /// The host; the root (an empty name or a dot) says that there is no such service.
    pub target: String,
}

/// A small generator (SplitMix64): good enough to share out load, of no use for secrets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero to `limit`, both included.
    fn up_to(&mut self, limit: u64) -> u64 {
        let range = u128::from(limit) + 1;
        ((u128::from(self.next()) * range) >> 64) as u64
    }
}

/// The service name of a transport (RFC 3263 §4.2, RFC 4168); WebSocket has none.
pub(super) const fn srv_prefix(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Udp => Some("_sip._udp."),
        Transport::Tcp => Some("_sip._tcp."),
        Transport::Tls => Some("_sips._tcp."),
        Transport::Sctp => Some("_sip._sctp."),
        Transport::Ws | Transport::Wss => None,
    }
}

/// The NAPTR records that lead to a transport of ours, best first (RFC 3263 §4.1). A `sip` URI may be upgraded to TLS
/// by the domain's own word; for `sips` only secure transports are among `supported`.
pub(super) fn best_naptr(
    mut records: Vec<Naptr>,
    supported: &[Transport],
) -> Vec<(Transport, String)> {
    records.sort_by_key(|r| (r.order, r.preference));
    records
        .into_iter()
        .filter(|r| r.flags.eq_ignore_ascii_case("s"))
        .filter_map(|r| {
            let transport = naptr_transport(&r.service)?;
            let name = r.replacement.trim_end_matches('.');
            (supported.contains(&transport) && !name.is_empty())
                .then(|| (transport, name.to_owned()))
        })
        .collect()
}

fn naptr_transport(service: &str) -> Option<Transport> {
    let known = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIP+D2S", Transport::Sctp),
        ("SIPS+D2T", Transport::Tls),
        ("SIP+D2W", Transport::Ws),
        ("SIPS+D2W", Transport::Wss),
    ];
    known
        .into_iter()
        .find(|(name, _)| service.eq_ignore_ascii_case(name))
        .map(|(_, transport)| transport)
}

/// By priority; within one, drawn by weight until none is left (RFC 2782, "Weight").
pub(super) fn by_priority(mut records: Vec<Srv>, random: &mut Random) -> Vec<Srv> {
    // Records of weight zero first, so that they keep the small chance that the RFC gives them.
    records.sort_by_key(|r| (r.priority, r.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|r| r.priority) {
        let same = records.iter().take_while(|r| r.priority == priority);
        let total: u64 = same.map(|r| u64::from(r.weight)).sum();
        let draw = random.up_to(total);
        let mut sum = 0;
        let drawn = records.iter().position(|r| {
            sum += u64::from(r.weight);
            sum >= draw
        });
        ordered.push(records.remove(drawn.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, port: u16) -> Srv {
        Srv {
            priority,
            weight,
            port,
            target: "h".to_owned(),
        }
    }

    #[test]
    fn weights_share_out_the_first_place() {
        let records = vec![srv(1, 60, 1), srv(1, 30, 2), srv(1, 10, 3), srv(0, 0, 9)];
        let mut first = [0u32; 10];
        let mut second_of_one = [0u32; 10];
        let draws = 20_000u64;
        for seed in 0..draws {
            let order = by_priority(records.clone(), &mut Random(seed));
            assert_eq!(order.len(), 4);
            assert_eq!(order[0].port, 9, "priority goes before weight");
            first[usize::from(order[1].port)] += 1;
            if order[1].port == 1 {
                second_of_one[usize::from(order[2].port)] += 1;
            }
        }
        let near = |count: u32, of: f64, share: f64| {
            let found = f64::from(count) / of;
            assert!((found - share).abs() < 0.02, "{found} for {share}");
        };
        for (port, share) in [(1, 0.6), (2, 0.3), (3, 0.1)] {
            near(first[port], draws as f64, share);
        }
        near(second_of_one[2], f64::from(first[1]), 0.75);
    }

    #[test]
    fn weight_zero_is_rare_beside_others_but_drawn() {
        let records = vec![srv(1, 9, 1), srv(1, 0, 2)];
        let zero_first = (0..10_000)
            .filter(|&seed| by_priority(records.clone(), &mut Random(seed))[0].port == 2)
            .count();
        assert!((800..1200).contains(&zero_first), "{zero_first}");
        let equal = vec![srv(1, 0, 1), srv(1, 0, 2)];
        assert_eq!(by_priority(equal, &mut Random(3)).len(), 2);
    }

    #[test]
    fn the_same_seed_makes_the_same_choice() {
        let records: Vec<Srv> = (0..20).map(|i| srv(i / 10, i, i)).collect();
        let once = by_priority(records.clone(), &mut Random(77));
        assert_eq!(once, by_priority(records, &mut Random(77)));
    }
}
