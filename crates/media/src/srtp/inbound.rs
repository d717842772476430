use subtle::ConstantTimeEq;

use super::cipher::{Cipher, Position};
use super::index::Window;
use super::{MasterKey, RTCP_HEADER, Refusal, number, rtp_header, sequence};

/// Sources of one stream that are told apart; a new one takes the place of that which was silent longest.
const SOURCES: usize = 8;

/// Proves and opens what the other side sends.
#[derive(Debug)]
pub struct Inbound {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// Sources that proved themselves, the one heard last at the end.
    sources: Vec<Source>,
    /// A source known under an earlier key, with where it stood there.
    earlier: Option<(u32, Window)>,
}

#[derive(Debug, Clone, Default)]
struct Source {
    ssrc: u32,
    rtp: Window,
    rtcp: Window,
}

impl Inbound {
    /// A context whose rollover counters are 0.
    pub fn new(key: &MasterKey) -> Self {
        Self {
            rtp: key.rtp(),
            rtcp: key.rtcp(),
            key: key.clone(),
            sources: Vec::new(),
            earlier: None,
        }
    }

    /// A context that takes over from `before` with another key. RFC 3711 §3.3.1 wants rollover counters to go on then, and
    /// many implementations begin them anew: both are understood.
    pub fn renewed(key: &MasterKey, before: &Inbound) -> Self {
        let latest = before.sources.last();
        Self {
            earlier: latest.map(|source| (source.ssrc, source.rtp.clone())),
            ..Self::new(key)
        }
    }

    /// The key that it opens with.
    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Checks an RTP packet and leaves the plain one in its place.
    ///
    /// # Errors
    /// [`Refusal`]; the packet must then be thrown away, its octets may have changed.
    pub fn unprotect_rtp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let ssrc = number(packet, 8).ok_or(Refusal::Malformed)?;
        let known = self.sources.iter().find(|source| source.ssrc == ssrc);
        let sequence = sequence(packet).ok_or(Refusal::Malformed)?;
        let index = match known {
            Some(source) => {
                let index = source.rtp.guess(sequence)?;
                source.rtp.check(index)?;
                index
            }
            None => u64::from(sequence),
        };
        let continued = self
            .earlier
            .as_ref()
            .filter(|(earlier, _)| known.is_none() && *earlier == ssrc)
            .and_then(|(_, window)| window.guess(sequence).ok());
        let index = match (self.open_rtp(packet, ssrc, index), continued) {
            (Err(Refusal::Forged), Some(continued)) => {
                self.open_rtp(packet, ssrc, continued)?;
                continued
            }
            (opened, _) => {
                opened?;
                index
            }
        };
        self.source(ssrc).rtp.mark(index);
        Ok(())
    }

    /// Does not touch the packet when its tag is wrong.
    fn open_rtp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u64) -> Result<(), Refusal> {
        let header = rtp_header(packet).ok_or(Refusal::Malformed)?;
        let (tag, mki) = (self.rtp.tag_length(), self.key.mki().len());
        let end = packet
            .len()
            .checked_sub(tag + mki)
            .filter(|end| *end >= header)
            .ok_or(Refusal::Malformed)?;
        let at = Position { ssrc, index };
        let (body, trailer) = packet.split_at_mut(end);
        if self.rtp.is_aead() {
            let (known, payload) = body.split_at_mut(header);
            let tag = trailer.get(..tag).unwrap_or_default();
            self.rtp.open(at, known, payload, tag)?;
        } else {
            let rollovers = ((index >> 16) as u32).to_be_bytes();
            let expected = self.rtp.authenticate(&[body, &rollovers]);
            prove(&expected, trailer.get(mki..).unwrap_or_default())?;
            self.rtp
                .stream(at, body.get_mut(header..).unwrap_or_default());
        }
        packet.truncate(end);
        Ok(())
    }

    /// Checks an RTCP packet and leaves the plain one in its place.
    ///
    /// # Errors
    /// [`Refusal`]; the packet must then be thrown away, its octets may have changed.
    pub fn unprotect_rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), Refusal> {
        let ssrc = number(packet, 4).ok_or(Refusal::Malformed)?;
        let (tag, mki) = (self.rtcp.tag_length(), self.key.mki().len());
        let end = packet
            .len()
            .checked_sub(tag + mki + 4)
            .filter(|end| *end >= RTCP_HEADER)
            .ok_or(Refusal::Malformed)?;
        // The index stands before the tag, but behind that of GCM, which belongs to the ciphertext.
        let word_at = if self.rtcp.is_aead() { end + tag } else { end };
        let word = number(packet, word_at).ok_or(Refusal::Malformed)?;
        let encrypted = word >> 31 == 1;
        let index = u64::from(word & 0x7fff_ffff);
        if let Some(known) = self.sources.iter().find(|source| source.ssrc == ssrc) {
            known.rtcp.check(index)?;
        }
        let at = Position { ssrc, index };
        if self.rtcp.is_aead() {
            self.open_report(packet, at, end, encrypted)?;
        } else {
            let (signed, trailer) = packet.split_at_mut(end + 4);
            let expected = self.rtcp.authenticate(&[signed]);
            prove(&expected, trailer.get(mki..).unwrap_or_default())?;
            if encrypted {
                let payload = signed.get_mut(RTCP_HEADER..end);
                self.rtcp.stream(at, payload.unwrap_or_default());
            }
        }
        packet.truncate(end);
        self.source(ssrc).rtcp.mark(index);
        Ok(())
    }

    /// RFC 7714 §9.
    fn open_report(
        &self,
        packet: &mut [u8],
        at: Position,
        end: usize,
        encrypted: bool,
    ) -> Result<(), Refusal> {
        let (body, trailer) = packet.split_at_mut(end);
        let (tag, word) = trailer
            .split_at_checked(self.rtcp.tag_length())
            .ok_or(Refusal::Malformed)?;
        let word = word.get(..4).unwrap_or_default();
        if encrypted {
            let (known, payload) = body.split_at_mut(RTCP_HEADER);
            let known = [&*known, word].concat();
            self.rtcp.open(at, &known, payload, tag)
        } else {
            self.rtcp.open(at, &[&*body, word].concat(), &mut [], tag)
        }
    }

    fn source(&mut self, ssrc: u32) -> &mut Source {
        let place = self.sources.iter().position(|source| source.ssrc == ssrc);
        let source = match place {
            Some(place) if place + 1 == self.sources.len() => None,
            Some(place) => Some(self.sources.remove(place)),
            None => Some(Source {
                ssrc,
                ..Source::default()
            }),
        };
        if let Some(source) = source {
            if self.sources.len() >= SOURCES {
                self.sources.remove(0);
            }
            self.sources.push(source);
        }
        self.sources
            .last_mut()
            .expect("one was pushed or found at the end")
    }
}

/// Compares the tag in a time that says nothing about it.
fn prove(expected: &[u8; 20], tag: &[u8]) -> Result<(), Refusal> {
    let expected = expected.get(..tag.len()).unwrap_or_default();
    if bool::from(expected.ct_eq(tag)) {
        Ok(())
    } else {
        Err(Refusal::Forged)
    }
}
