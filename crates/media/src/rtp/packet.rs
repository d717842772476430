use core::fmt;

/// A received RTP packet (RFC 3550 §5.1) as a view into the bytes it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The marker bit; for audio it opens a talkspurt (RFC 3551 §4.1).
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Header extension, if the X bit is set.
    pub extension: Option<Extension<'a>>,
    /// The payload without padding.
    pub payload: &'a [u8],
    /// Octets of padding that followed the payload, counting octet included.
    pub padding: u8,
    csrc: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads one datagram. Every length inside is checked against what is there.
    ///
    /// # Errors
    /// [`Malformed`] says which part of the header does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (head, rest) = bytes.split_first_chunk::<12>().ok_or(Malformed::Short)?;
        let [first, second, q0, q1, t0, t1, t2, t3, s0, s1, s2, s3] = *head;
        if first >> 6 != 2 {
            return Err(Malformed::Version(first >> 6));
        }
        let (csrc, rest) = rest
            .split_at_checked(usize::from(first & 0x0f) * 4)
            .ok_or(Malformed::Sources)?;
        let (extension, rest) = if first & 0x10 != 0 {
            let (extension, rest) = Extension::parse(rest)?;
            (Some(extension), rest)
        } else {
            (None, rest)
        };
        let padding = if first & 0x20 != 0 {
            rest.last()
                .copied()
                .filter(|count| *count > 0)
                .ok_or(Malformed::Padding)?
        } else {
            0
        };
        let payload = rest
            .len()
            .checked_sub(usize::from(padding))
            .and_then(|length| rest.get(..length))
            .ok_or(Malformed::Padding)?;
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([q0, q1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            extension,
            payload,
            padding,
            csrc,
        })
    }

    /// The contributing sources that a mixer listed (at most 15).
    pub fn contributing(&self) -> impl Iterator<Item = u32> + 'a {
        let (sources, _) = self.csrc.as_chunks::<4>();
        sources.iter().map(|source| u32::from_be_bytes(*source))
    }
}

/// An RTP header extension (RFC 3550 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The 16 bits "defined by profile"; 0xBEDE and 0x1000–0x100F announce RFC 8285 elements.
    pub profile: u16,
    /// The extension's data, a multiple of four octets.
    pub data: &'a [u8],
}

impl<'a> Extension<'a> {
    fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed::Extension)?;
        let [p0, p1, l0, l1] = *head;
        let (data, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes([l0, l1])) * 4)
            .ok_or(Malformed::Extension)?;
        Ok((
            Self {
                profile: u16::from_be_bytes([p0, p1]),
                data,
            },
            rest,
        ))
    }

    /// The elements of RFC 8285 (one- or two-byte form); none for any other profile.
    pub fn elements(&self) -> Elements<'a> {
        let form = match self.profile {
            0xbede => Form::OneByte,
            0x1000..=0x100f => Form::TwoByte,
            _ => {
                return Elements {
                    form: Form::OneByte,
                    rest: &[],
                };
            }
        };
        Elements {
            form,
            rest: self.data,
        }
    }
}

/// One element of a header extension (RFC 8285 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Local identifier as negotiated by `a=extmap`.
    pub id: u8,
    /// The element's data.
    pub data: &'a [u8],
}

/// Iterator over the elements; it stops at the first one that does not fit.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == 0 {
                self.rest = rest;
                continue;
            }
            let (id, length, rest) = match self.form {
                // Identifier 15 ends the list (RFC 8285 §4.2).
                Form::OneByte if first >> 4 == 15 => return None,
                Form::OneByte => (first >> 4, usize::from(first & 0x0f) + 1, rest),
                Form::TwoByte => {
                    let (&length, rest) = rest.split_first()?;
                    (first, usize::from(length), rest)
                }
            };
            let (data, rest) = rest.split_at_checked(length)?;
            self.rest = rest;
            return Some(Element { id, data });
        }
    }
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer than the 12 octets of the fixed header.
    Short,
    /// The version is not 2.
    Version(u8),
    /// More contributing sources announced than present.
    Sources,
    /// The header extension runs past the end.
    Extension,
    /// The padding count is zero or larger than the payload.
    Padding,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("RTP packet shorter than its 12 octet header"),
            Self::Version(version) => write!(f, "RTP version {version} instead of 2"),
            Self::Sources => {
                f.write_str("RTP packet announces more contributing sources than it has")
            }
            Self::Extension => f.write_str("RTP header extension runs past the end of the packet"),
            Self::Padding => f.write_str("RTP padding count does not fit the packet"),
        }
    }
}

impl core::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Builder;

    #[test]
    fn everything_written_is_read_back() {
        let mut bytes = Vec::new();
        let builder = Builder {
            marker: true,
            payload_type: 96,
            sequence: 0xfffe,
            timestamp: 0x8000_0001,
            ssrc: 0xdead_beef,
            csrc: &[1, 2, 3],
            extension: Some(Extension {
                profile: 0xbede,
                data: &[0x10, 7, 0, 0x21, 8, 9],
            }),
            padding: 5,
            payload: b"voice",
        };
        builder.write(&mut bytes).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence), (96, 0xfffe));
        assert_eq!((packet.timestamp, packet.ssrc), (0x8000_0001, 0xdead_beef));
        assert_eq!(packet.contributing().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((packet.payload, packet.padding), (&b"voice"[..], 5));
        let elements: Vec<_> = packet.extension.unwrap().elements().collect();
        assert_eq!(
            elements,
            [
                Element { id: 1, data: &[7] },
                Element {
                    id: 2,
                    data: &[8, 9]
                }
            ]
        );
        for cut in 0..24 {
            assert!(Packet::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn two_byte_elements_and_overrun() {
        let extension = Extension {
            profile: 0x1000,
            data: &[1, 0, 2, 1, 9, 3, 200, 0],
        };
        let elements: Vec<_> = extension.elements().collect();
        assert_eq!(
            elements,
            [Element { id: 1, data: &[] }, Element { id: 2, data: &[9] }]
        );
        assert_eq!(
            Extension {
                profile: 5,
                data: &[1, 1, 1, 1]
            }
            .elements()
            .count(),
            0
        );
    }
}
