//! Bindings as few octets: a registrar with a million phones keeps them all in memory.
//!
//! ```text
//! 6 octets   the earliest expiry, so that what is not due need not be read
//! text       the address of record
//! bindings   flags, numbers of variable length, texts with their length in front
//! ```

use std::net::{IpAddr, SocketAddr};

use sip::flow::{ConnectionId, Flow, Transport};
use sip::registrar::Binding;

/// The bindings of one address of record.
pub(crate) struct Packed(Box<[u8]>);

const EXPIRY: usize = 6;
/// The key is the contact itself.
const KEY_IS_CONTACT: u64 = 1;
const TRANSPORTS: [Transport; 6] = [
    Transport::Udp,
    Transport::Tcp,
    Transport::Tls,
    Transport::Ws,
    Transport::Wss,
    Transport::Sctp,
];

impl Packed {
    pub(crate) fn new(address_of_record: &str, bindings: &[Binding]) -> Packed {
        let earliest = bindings.iter().map(|b| b.expires_at).min().unwrap_or(0);
        let mut out = Writer(Vec::with_capacity(160 * bindings.len() + 40));
        out.0.extend_from_slice(&earliest.to_le_bytes()[..EXPIRY]);
        out.text(address_of_record);
        out.number(bindings.len() as u64);
        for binding in bindings {
            out.binding(binding);
        }
        Packed(out.0.into_boxed_slice())
    }

    /// The address of record, `user@domain`.
    pub(crate) fn address_of_record(&self) -> &str {
        let mut reader = Reader(self.0.get(EXPIRY..).unwrap_or_default());
        reader.text()
    }

    /// The least of the times at which a binding expires, in milliseconds since 1970.
    pub(crate) fn earliest_expiry(&self) -> u64 {
        let mut bytes = [0; 8];
        if let Some(head) = self.0.get(..EXPIRY) {
            bytes[..EXPIRY].copy_from_slice(head);
        }
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        let mut reader = Reader(self.0.get(EXPIRY..).unwrap_or_default());
        reader.text();
        usize::try_from(reader.number()).unwrap_or(0)
    }

    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let mut reader = Reader(self.0.get(EXPIRY..).unwrap_or_default());
        reader.text();
        let count = reader.number();
        (0..count).map(|_| reader.binding()).collect()
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        match text {
            None => self.number(0),
            Some(text) => {
                self.number(text.len() as u64 + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn maybe_ip(&mut self, ip: Option<IpAddr>) {
        match ip {
            None => self.0.push(0),
            Some(IpAddr::V4(ip)) => {
                self.0.push(4);
                self.0.extend_from_slice(&ip.octets());
            }
            Some(IpAddr::V6(ip)) => {
                self.0.push(6);
                self.0.extend_from_slice(&ip.octets());
            }
        }
    }

    fn address(&mut self, address: SocketAddr) {
        self.maybe_ip(Some(address.ip()));
        self.0.extend_from_slice(&address.port().to_le_bytes());
    }

    fn flow(&mut self, flow: Option<Flow>) {
        let Some(Flow {
            transport,
            local,
            remote,
            connection,
        }) = flow
        else {
            self.0.push(u8::MAX);
            return;
        };
        let place = TRANSPORTS.iter().position(|t| *t == transport);
        self.0.push(place.unwrap_or(0) as u8);
        self.address(local);
        self.address(remote);
        self.number(connection.0);
    }

    fn binding(&mut self, binding: &Binding) {
        // All fields by name: a new one must not be forgotten here.
        let Binding {
            contact,
            key,
            call_id,
            cseq,
            q,
            expires_at,
            registered_at,
            path,
            flow,
            inside,
            instance,
            reg_id,
            user_agent,
            params,
        } = binding;
        self.number(if key == contact { KEY_IS_CONTACT } else { 0 });
        self.text(contact);
        if key != contact {
            self.text(key);
        }
        self.text(call_id);
        self.number(u64::from(*cseq));
        self.number(u64::from(*q));
        self.number(*expires_at);
        self.number(*registered_at);
        self.number(path.len() as u64);
        for hop in path {
            self.text(hop);
        }
        self.flow(*flow);
        self.maybe_ip(*inside);
        self.maybe_text(instance.as_deref());
        self.number(reg_id.map_or(0, |id| u64::from(id) + 1));
        self.maybe_text(user_agent.as_deref());
        self.text(params);
    }
}

/// Reads what [`Writer`] wrote; what is not there reads as nothing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        let Some((head, rest)) = self.0.split_first_chunk::<N>() else {
            return [0; N];
        };
        self.0 = rest;
        *head
    }

    fn number(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let octet = self.octet();
            value |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn taken(&mut self, length: u64) -> &'a str {
        let length = usize::try_from(length).unwrap_or(0).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        core::str::from_utf8(text).unwrap_or_default()
    }

    fn text(&mut self) -> &'a str {
        let length = self.number();
        self.taken(length)
    }

    fn maybe_text(&mut self) -> Option<String> {
        let length = self.number().checked_sub(1)?;
        Some(self.taken(length).to_owned())
    }

    fn maybe_ip(&mut self) -> Option<IpAddr> {
        match self.octet() {
            4 => Some(IpAddr::from(self.octets::<4>())),
            6 => Some(IpAddr::from(self.octets::<16>())),
            _ => None,
        }
    }

    fn address(&mut self) -> SocketAddr {
        let ip = self.maybe_ip().unwrap_or(IpAddr::from([0; 4]));
        SocketAddr::new(ip, u16::from_le_bytes(self.octets()))
    }

    fn flow(&mut self) -> Option<Flow> {
        let transport = *TRANSPORTS.get(usize::from(self.octet()))?;
        Some(Flow {
            transport,
            local: self.address(),
            remote: self.address(),
            connection: ConnectionId(self.number()),
        })
    }

    fn binding(&mut self) -> Binding {
        let flags = self.number();
        let contact = self.text().to_owned();
        let key = if flags & KEY_IS_CONTACT != 0 {
            contact.clone()
        } else {
            self.text().to_owned()
        };
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Binding {
            contact,
            key,
            call_id: self.text().to_owned(),
            cseq: narrow(self.number()),
            q: u16::try_from(self.number()).unwrap_or(1000),
            expires_at: self.number(),
            registered_at: self.number(),
            path: (0..self.number()).map(|_| self.text().to_owned()).collect(),
            flow: self.flow(),
            inside: self.maybe_ip(),
            instance: self.maybe_text(),
            reg_id: self.number().checked_sub(1).map(narrow),
            user_agent: self.maybe_text(),
            params: self.text().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Binding {
        Binding {
            contact: "sip:alice@192.0.2.7:5070;transport=tcp".into(),
            key: "<urn:uuid:1>;1".into(),
            call_id: "a call".into(),
            cseq: u32::MAX,
            q: 700,
            expires_at: 1_900_000_000_123,
            registered_at: 1_800_000_000_456,
            path: vec!["sip:edge.example;lr".into(), "sip:inner;lr".into()],
            flow: Some(Flow {
                transport: Transport::Wss,
                local: "[2001:db8::1]:443".parse().unwrap(),
                remote: "198.51.100.2:40000".parse().unwrap(),
                connection: ConnectionId(u64::MAX),
            }),
            inside: "192.168.0.9".parse().ok(),
            instance: Some("<urn:uuid:1>".into()),
            reg_id: Some(0),
            user_agent: Some(String::new()),
            params: ";audio;한글=\"예\"".into(),
        }
    }

    #[test]
    fn nothing_is_lost() {
        let plain = Binding {
            contact: "sip:bob@b".into(),
            key: "sip:bob@b".into(),
            expires_at: 7,
            ..Binding::default()
        };
        for bindings in [vec![], vec![plain.clone()], vec![full(), plain, full()]] {
            let packed = Packed::new("alice@example.org", &bindings);
            assert_eq!(packed.address_of_record(), "alice@example.org");
            assert_eq!(packed.len(), bindings.len());
            assert_eq!(packed.bindings(), bindings);
        }
        assert_eq!(
            Packed::new("a@b", &[full()]).earliest_expiry(),
            1_900_000_000_123
        );
    }

    #[test]
    fn a_usual_phone_takes_little() {
        let usual = Binding {
            contact: "sip:u000000@127.0.0.1:5881".into(),
            key: "sip:u000000@127.0.0.1:5881".into(),
            call_id: "1-12345@127.0.0.1".into(),
            cseq: 1,
            q: 1000,
            expires_at: 1_900_000_000_123,
            registered_at: 1_800_000_000_456,
            flow: Some(Flow::udp(
                "127.0.0.1:5870".parse().unwrap(),
                "127.0.0.1:5881".parse().unwrap(),
            )),
            user_agent: Some("sipp".into()),
            ..Binding::default()
        };
        let size = Packed::new("u000000@bench", &[usual]).0.len();
        assert!(size <= 120, "{size} octets");
    }
}
