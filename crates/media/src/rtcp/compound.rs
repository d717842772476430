use core::fmt;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;

/// A received RTCP datagram: one packet or several in a row (RFC 3550 §6.1), checked as a whole.
///
/// Reduced-size datagrams (RFC 5506) are accepted, so the first packet need not be a report.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks every packet in the datagram.
    ///
    /// # Errors
    /// [`Malformed`] for the first packet that does not fit; nothing of such a datagram should be believed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        loop {
            let (_, after) = split(rest)?;
            if after.is_empty() {
                return Ok(Self { bytes });
            }
            rest = after;
        }
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (packet, after) = split(rest).ok()?;
            rest = after;
            Some(packet)
        })
    }
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy)]
pub enum RtcpPacket<'a> {
    /// SR (§6.4.1).
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// What it sent.
        info: SenderInfo,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// RR (§6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// SDES (§6.5).
    SourceDescription(Chunks<'a>),
    /// BYE (§6.6).
    Goodbye {
        /// The sources that leave, four octets each.
        sources: &'a [u8],
        /// Reason for leaving, empty when none was given.
        reason: &'a [u8],
    },
    /// APP or a type unknown here; skipped.
    Other(u8),
}

fn split(bytes: &[u8]) -> Result<(RtcpPacket<'_>, &[u8]), Malformed> {
    let (head, _) = bytes.split_first_chunk::<4>().ok_or(Malformed::Short)?;
    let [first, kind, l0, l1] = *head;
    if first >> 6 != 2 {
        return Err(Malformed::Version(first >> 6));
    }
    let length = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
    let (packet, rest) = bytes.split_at_checked(length).ok_or(Malformed::Length)?;
    let body = packet.get(4..).unwrap_or_default();
    let body = if first & 0x20 != 0 {
        // Only the last packet may be padded (§6.4.1).
        let padding = usize::from(body.last().copied().unwrap_or(0));
        if padding == 0 || !rest.is_empty() {
            return Err(Malformed::Padding);
        }
        let kept = body.len().checked_sub(padding).ok_or(Malformed::Padding)?;
        body.get(..kept).unwrap_or_default()
    } else {
        body
    };
    Ok((read(kind, usize::from(first & 0x1f), body)?, rest))
}

fn read(kind: u8, count: usize, body: &[u8]) -> Result<RtcpPacket<'_>, Malformed> {
    match kind {
        SENDER_REPORT => {
            let (ssrc, rest) = word(body).ok_or(Malformed::Report)?;
            let (info, rest) = SenderInfo::parse(rest).ok_or(Malformed::Report)?;
            Ok(RtcpPacket::SenderReport {
                ssrc,
                info,
                blocks: ReportBlocks::parse(rest, count)?,
            })
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = word(body).ok_or(Malformed::Report)?;
            Ok(RtcpPacket::ReceiverReport {
                ssrc,
                blocks: ReportBlocks::parse(rest, count)?,
            })
        }
        SOURCE_DESCRIPTION => Ok(RtcpPacket::SourceDescription(Chunks { rest: body, count })),
        GOODBYE => {
            let (sources, rest) = body.split_at_checked(count * 4).ok_or(Malformed::Goodbye)?;
            let reason = match rest.split_first() {
                Some((&length, text)) => {
                    text.get(..usize::from(length)).ok_or(Malformed::Goodbye)?
                }
                None => &[],
            };
            Ok(RtcpPacket::Goodbye { sources, reason })
        }
        other => Ok(RtcpPacket::Other(other)),
    }
}

impl RtcpPacket<'_> {
    /// Whether this is a BYE of `ssrc`.
    pub fn says_goodbye(&self, ssrc: u32) -> bool {
        match self {
            Self::Goodbye { sources, .. } => {
                sources.as_chunks::<4>().0.contains(&ssrc.to_be_bytes())
            }
            _ => false,
        }
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

/// The sender's part of an SR (§6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInfo {
    /// Wall clock when the report was sent.
    pub ntp: super::NtpTime,
    /// The same instant in RTP timestamp units.
    pub timestamp: u32,
    /// Packets sent since the beginning.
    pub packets: u32,
    /// Payload octets sent since the beginning.
    pub octets: u32,
}

impl SenderInfo {
    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (ntp, rest) = bytes.split_first_chunk::<8>()?;
        let (timestamp, rest) = word(rest)?;
        let (packets, rest) = word(rest)?;
        let (octets, rest) = word(rest)?;
        let ntp = super::NtpTime(u64::from_be_bytes(*ntp));
        Some((
            Self {
                ntp,
                timestamp,
                packets,
                octets,
            },
            rest,
        ))
    }
}

/// What a participant received from one source (§6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: u32,
    /// Loss since the previous report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, 24 bits with sign.
    pub lost: i32,
    /// Highest sequence number, extended by the count of its cycles.
    pub highest: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time (LSR), 0 for none.
    pub last_sender_report: u32,
    /// Time since that report came, in 65,536ths of a second (DLSR).
    pub delay_since_last: u32,
}

impl ReportBlock {
    pub(super) const OCTETS: usize = 24;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (ssrc, rest) = word(bytes)?;
        let (loss, rest) = word(rest)?;
        let (highest, rest) = word(rest)?;
        let (jitter, rest) = word(rest)?;
        let (last_sender_report, rest) = word(rest)?;
        let (delay_since_last, _) = word(rest)?;
        Some(Self {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            lost: ((loss << 8) as i32) >> 8,
            highest,
            jitter,
            last_sender_report,
            delay_since_last,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let loss = (u32::from(self.fraction_lost) << 24) | (self.lost as u32 & 0x00ff_ffff);
        for word in [
            self.ssrc,
            loss,
            self.highest,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Iterator over the report blocks of one packet, at most 31.
#[derive(Debug, Clone, Copy)]
pub struct ReportBlocks<'a> {
    rest: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn parse(bytes: &'a [u8], count: usize) -> Result<Self, Malformed> {
        // What follows the blocks is a profile-specific extension (§6.4.3).
        let rest = bytes
            .get(..count * ReportBlock::OCTETS)
            .ok_or(Malformed::Report)?;
        Ok(Self { rest })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_at_checked(ReportBlock::OCTETS)?;
        self.rest = rest;
        ReportBlock::parse(block)
    }
}

/// Iterator over the chunks of an SDES packet, at most 31.
///
/// Gateways in the field get item lengths wrong: a chunk ends at the first item that does not fit, and so does the packet.
#[derive(Debug, Clone, Copy)]
pub struct Chunks<'a> {
    rest: &'a [u8],
    count: usize,
}

/// What an SDES packet says about one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The source described.
    pub ssrc: u32,
    /// Its canonical name (§6.5.1), if the chunk has one. Meant as UTF-8, not checked.
    pub cname: Option<&'a [u8]>,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        self.count = self.count.checked_sub(1)?;
        let (ssrc, mut rest) = word(self.rest)?;
        let mut chunk = Chunk { ssrc, cname: None };
        let start = rest.len();
        self.rest = &[];
        while let Some((&kind, after)) = rest.split_first() {
            if kind == 0 {
                // The list is filled up with zeros to the next 32-bit border.
                let used = start - after.len();
                self.rest = after.get((4 - used % 4) % 4..).unwrap_or_default();
                break;
            }
            let Some((&length, after)) = after.split_first() else {
                break;
            };
            let Some((text, after)) = after.split_at_checked(usize::from(length)) else {
                break;
            };
            if kind == CNAME && chunk.cname.is_none() {
                chunk.cname = Some(text);
            }
            rest = after;
        }
        Some(chunk)
    }
}

/// Why bytes are no RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer than four octets where a packet should begin.
    Short,
    /// The version is not 2.
    Version(u8),
    /// The length field runs past the end.
    Length,
    /// The padding count does not fit, or a packet other than the last is padded.
    Padding,
    /// A report is shorter than its block count needs.
    Report,
    /// A BYE is shorter than its source count or reason needs.
    Goodbye,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("RTCP packet shorter than its four octet header"),
            Self::Version(version) => write!(f, "RTCP version {version} instead of 2"),
            Self::Length => f.write_str("RTCP length runs past the end of the datagram"),
            Self::Padding => f.write_str("RTCP padding does not fit"),
            Self::Report => f.write_str("RTCP report shorter than its block count needs"),
            Self::Goodbye => f.write_str("RTCP BYE shorter than its sources or reason need"),
        }
    }
}

impl core::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_padded_to_words_and_end_at_a_lie() {
        let mut bytes = vec![0x82, 202, 0, 7];
        bytes.extend_from_slice(&[0, 0, 0, 1, 1, 3, b'a', b'b', b'c', 0, 0, 0]);
        bytes.extend_from_slice(&[0, 0, 0, 2, 2, 1, b'x', 1, 1, b'y', 9, 99, 0, 0, 0, 0]);
        let compound = Compound::parse(&bytes).unwrap();
        let Some(RtcpPacket::SourceDescription(chunks)) = compound.packets().next() else {
            panic!("no SDES")
        };
        let chunks: Vec<_> = chunks.collect();
        assert_eq!(
            chunks[0],
            Chunk {
                ssrc: 1,
                cname: Some(b"abc")
            }
        );
        assert_eq!(
            chunks[1],
            Chunk {
                ssrc: 2,
                cname: Some(b"y")
            }
        );
    }

    #[test]
    fn padding_only_at_the_end() {
        let padded = [0xa0, 204, 0, 1, 0, 0, 0, 4];
        assert!(Compound::parse(&padded).is_ok());
        let followed = [padded, padded].concat();
        assert_eq!(Compound::parse(&followed).unwrap_err(), Malformed::Padding);
        assert_eq!(
            Compound::parse(&[0xa0, 204, 0, 0]).unwrap_err(),
            Malformed::Padding
        );
    }

    #[test]
    fn loss_keeps_its_sign() {
        let mut bytes = Vec::new();
        let block = ReportBlock {
            lost: -3,
            fraction_lost: 255,
            ..ReportBlock::default()
        };
        block.write(&mut bytes);
        assert_eq!(ReportBlock::parse(&bytes), Some(block));
    }
}
