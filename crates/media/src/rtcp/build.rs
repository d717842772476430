use super::{NtpTime, ReportBlock, SenderInfo};

/// A compound packet about to be sent: SR or RR, SDES with the CNAME, and BYE when the participant leaves (§6.1).
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Present when something was sent since the last two reports: makes it an SR.
    pub sender: Option<SenderInfo>,
    /// What was received; the first 31 are written.
    pub blocks: &'a [ReportBlock],
    /// Canonical name; the first 255 octets are written.
    pub cname: &'a str,
    /// Leave the session.
    pub goodbye: bool,
}

impl Report<'_> {
    /// Replaces the content of `out` by the compound packet.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.clear();
        let blocks = self.blocks.get(..31).unwrap_or(self.blocks);
        let kind = if self.sender.is_some() { 200 } else { 201 };
        packet(out, blocks.len() as u8, kind, |out| {
            out.extend_from_slice(&self.ssrc.to_be_bytes());
            if let Some(SenderInfo {
                ntp: NtpTime(ntp),
                timestamp,
                packets,
                octets,
            }) = self.sender
            {
                out.extend_from_slice(&ntp.to_be_bytes());
                for word in [timestamp, packets, octets] {
                    out.extend_from_slice(&word.to_be_bytes());
                }
            }
            for block in blocks {
                block.write(out);
            }
        });
        packet(out, 1, 202, |out| {
            out.extend_from_slice(&self.ssrc.to_be_bytes());
            let mut end = self.cname.len().min(255);
            while !self.cname.is_char_boundary(end) {
                end -= 1;
            }
            let name = self.cname.as_bytes().get(..end).unwrap_or_default();
            out.extend_from_slice(&[1, name.len() as u8]);
            out.extend_from_slice(name);
            // At least one zero ends the items; more fill the word.
            out.push(0);
        });
        if self.goodbye {
            packet(out, 1, 203, |out| {
                out.extend_from_slice(&self.ssrc.to_be_bytes())
            });
        }
    }
}

fn packet(out: &mut Vec<u8>, count: u8, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    body(out);
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    if let Some(length) = out.get_mut(start + 2..start + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compound, RtcpPacket};
    use super::*;

    #[test]
    fn a_full_report_is_read_back() {
        let info = SenderInfo {
            ntp: NtpTime(0x1122_3344_5566_7788),
            timestamp: 1,
            packets: 2,
            octets: 3,
        };
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 4,
            lost: 77,
            ..ReportBlock::default()
        };
        let mut out = vec![0xff; 3];
        for cname in ["", "a", "ab", "abc", "abcd", "sori@example.com"] {
            let report = Report {
                ssrc: 5,
                sender: Some(info),
                blocks: &[block],
                cname,
                goodbye: true,
            };
            report.write(&mut out);
            let packets: Vec<_> = Compound::parse(&out).unwrap().packets().collect();
            assert_eq!(packets.len(), 3);
            let RtcpPacket::SenderReport {
                ssrc,
                info: read,
                mut blocks,
            } = packets[0]
            else {
                panic!("no SR")
            };
            assert_eq!((ssrc, read, blocks.next()), (5, info, Some(block)));
            let RtcpPacket::SourceDescription(mut chunks) = packets[1] else {
                panic!("no SDES")
            };
            assert_eq!(chunks.next().unwrap().cname, Some(cname.as_bytes()));
            assert!(packets[2].says_goodbye(5));
            assert!(!packets[2].says_goodbye(6));
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let cname = format!("{}소리", "x".repeat(254));
        let mut out = Vec::new();
        Report {
            ssrc: 5,
            sender: None,
            blocks: &[],
            cname: &cname,
            goodbye: false,
        }
        .write(&mut out);
        let packets: Vec<_> = Compound::parse(&out).unwrap().packets().collect();
        let RtcpPacket::SourceDescription(mut chunks) = packets[1] else {
            panic!("no SDES")
        };
        assert_eq!(chunks.next().unwrap().cname.unwrap().len(), 254);
    }
}
