use super::cipher::{Cipher, Position};
use super::index::Window;
use super::{MasterKey, RTCP_HEADER, Refusal, number, rtp_header, sequence};

/// Protects what one source of ours sends.
#[derive(Debug)]
pub struct Outbound {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    ssrc: Option<u32>,
    sent: Window,
    /// Index of the next RTCP packet.
    reports: u32,
}

impl Outbound {
    /// A context whose rollover counter is 0.
    pub fn new(key: &MasterKey) -> Self {
        Self {
            rtp: key.rtp(),
            rtcp: key.rtcp(),
            key: key.clone(),
            ssrc: None,
            sent: Window::default(),
            reports: 1,
        }
    }

    /// The key that it protects with.
    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// How often the sequence numbers have wrapped.
    pub fn rollovers(&self) -> u32 {
        self.sent.highest().map_or(0, |index| (index >> 16) as u32)
    }

    /// Encrypts an RTP packet and appends its tag.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::Spent`] for a sequence number that is not above those before it; the packet
    /// must then not be sent.
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let header = rtp_header(packet).ok_or(Refusal::Malformed)?;
        let ssrc = number(packet, 8).ok_or(Refusal::Malformed)?;
        if self.ssrc != Some(ssrc) {
            self.ssrc = Some(ssrc);
            self.sent = Window::default();
        }
        let sequence = sequence(packet).ok_or(Refusal::Malformed)?;
        let index = self.sent.guess(sequence).map_err(|_| Refusal::Spent)?;
        if self.sent.highest().is_some_and(|highest| index <= highest) {
            return Err(Refusal::Spent);
        }
        let at = Position { ssrc, index };
        let (known, payload) = packet.split_at_mut(header);
        if self.rtp.is_aead() {
            let tag = self
                .rtp
                .seal(at, known, payload)
                .ok_or(Refusal::Malformed)?;
            packet.extend_from_slice(&tag);
            packet.extend_from_slice(self.key.mki());
        } else {
            self.rtp.stream(at, payload);
            let rollovers = ((index >> 16) as u32).to_be_bytes();
            let tag = self.rtp.authenticate(&[packet, &rollovers]);
            packet.extend_from_slice(self.key.mki());
            packet.extend_from_slice(tag.get(..self.rtp.tag_length()).unwrap_or_default());
        }
        self.sent.mark(index);
        Ok(())
    }

    /// Encrypts an RTCP packet and appends its index and its tag.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], or [`Refusal::Spent`] after 2^31 packets.
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let ssrc = number(packet, 4).ok_or(Refusal::Malformed)?;
        let index = self.reports;
        if index >> 31 != 0 {
            return Err(Refusal::Spent);
        }
        let word = (index | 1 << 31).to_be_bytes();
        let at = Position {
            ssrc,
            index: u64::from(index),
        };
        let (known, payload) = packet
            .split_at_mut_checked(RTCP_HEADER)
            .ok_or(Refusal::Malformed)?;
        if self.rtcp.is_aead() {
            let known = [&*known, &word].concat();
            let tag = self
                .rtcp
                .seal(at, &known, payload)
                .ok_or(Refusal::Malformed)?;
            packet.extend_from_slice(&tag);
            packet.extend_from_slice(&word);
            packet.extend_from_slice(self.key.mki());
        } else {
            self.rtcp.stream(at, payload);
            packet.extend_from_slice(&word);
            let tag = self.rtcp.authenticate(&[packet]);
            packet.extend_from_slice(self.key.mki());
            packet.extend_from_slice(tag.get(..self.rtcp.tag_length()).unwrap_or_default());
        }
        self.reports += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Suite;

    #[test]
    fn no_key_stream_is_used_twice() {
        let key = MasterKey::new(Suite::AesCm128Sha1_80, &[9; 30], &[]).unwrap();
        let mut outbound = Outbound::new(&key);
        let packet = |sequence: u16| {
            let [high, low] = sequence.to_be_bytes();
            vec![0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1, 5]
        };
        assert_eq!(outbound.protect_rtp(&mut packet(65_535)), Ok(()));
        assert_eq!(
            outbound.protect_rtp(&mut packet(65_535)),
            Err(Refusal::Spent)
        );
        assert_eq!(outbound.protect_rtp(&mut packet(0)), Ok(()));
        assert_eq!(
            outbound.protect_rtp(&mut packet(65_535)),
            Err(Refusal::Spent)
        );
        assert_eq!(outbound.rollovers(), 1);
        outbound.reports = (1 << 31) - 1;
        let report = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
        assert_eq!(outbound.protect_rtcp(&mut report.clone()), Ok(()));
        assert_eq!(
            outbound.protect_rtcp(&mut report.clone()),
            Err(Refusal::Spent)
        );
        assert_eq!(
            outbound.protect_rtcp(&mut vec![1, 2]),
            Err(Refusal::Malformed)
        );
        assert_eq!(
            outbound.protect_rtp(&mut vec![0x80; 11]),
            Err(Refusal::Malformed)
        );
    }
}
