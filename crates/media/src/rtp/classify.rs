/// What a datagram on a media port is, by its first two octets (RFC 7983 §7, RFC 5761 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// A STUN message (first octet 0 to 3).
    Stun,
    /// A ZRTP packet (16 to 19).
    Zrtp,
    /// A DTLS record (20 to 63).
    Dtls,
    /// TURN channel data (64 to 79).
    Turn,
    /// RTP: version 2 and a second octet outside the range of RTCP packet types.
    Rtp,
    /// RTCP: version 2 and a second octet of 192 to 223.
    Rtcp,
    /// Nothing known.
    Unknown,
}

/// Tells the protocols that share a media port apart. It looks at two octets; the parser of each has the last word.
pub fn classify(bytes: &[u8]) -> Arrival {
    match bytes {
        [0..=3, ..] => Arrival::Stun,
        [16..=19, ..] => Arrival::Zrtp,
        [20..=63, ..] => Arrival::Dtls,
        [64..=79, ..] => Arrival::Turn,
        [128..=191, 192..=223, ..] => Arrival::Rtcp,
        [128..=191, _, ..] => Arrival::Rtp,
        _ => Arrival::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        for (bytes, expected) in [
            (&[][..], Arrival::Unknown),
            (&[128][..], Arrival::Unknown),
            (&[3, 0][..], Arrival::Stun),
            (&[4, 0][..], Arrival::Unknown),
            (&[63, 0][..], Arrival::Dtls),
            (&[79, 0][..], Arrival::Turn),
            (&[80, 0][..], Arrival::Unknown),
            (&[128, 191][..], Arrival::Rtp),
            (&[128, 192][..], Arrival::Rtcp),
            (&[191, 223][..], Arrival::Rtcp),
            (&[191, 224][..], Arrival::Rtp),
            (&[192, 200][..], Arrival::Unknown),
        ] {
            assert_eq!(classify(bytes), expected, "{bytes:?}");
        }
    }
}
