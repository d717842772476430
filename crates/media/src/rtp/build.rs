use core::fmt;

use super::Extension;

/// The fields of an RTP packet about to be written (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, Default)]
pub struct Builder<'a> {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in units of the payload's clock rate.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Contributing sources, at most 15.
    pub csrc: &'a [u32],
    /// Header extension; its data is filled up with zeros to a multiple of four octets.
    pub extension: Option<Extension<'a>>,
    /// Octets of padding to add after the payload, 0 for none.
    pub padding: u8,
    /// The payload.
    pub payload: &'a [u8],
}

impl Builder<'_> {
    /// Replaces the content of `out` by the packet. Allocates only if the buffer is too small.
    ///
    /// # Errors
    /// [`Unfit`] when a field cannot be expressed in the header; `out` is then empty.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Unfit> {
        out.clear();
        let sources = u8::try_from(self.csrc.len())
            .ok()
            .filter(|n| *n <= 15)
            .ok_or(Unfit::Sources)?;
        if self.payload_type > 127 {
            return Err(Unfit::PayloadType);
        }
        let extension = match self.extension {
            Some(extension) => {
                let words = u16::try_from(extension.data.len().div_ceil(4))
                    .map_err(|_| Unfit::Extension)?;
                Some((extension, words))
            }
            None => None,
        };
        let flags = 0x80
            | if self.padding > 0 { 0x20 } else { 0 }
            | if extension.is_some() { 0x10 } else { 0 };
        out.push(flags | sources);
        out.push(self.payload_type | if self.marker { 0x80 } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        for source in self.csrc {
            out.extend_from_slice(&source.to_be_bytes());
        }
        if let Some((extension, words)) = extension {
            out.extend_from_slice(&extension.profile.to_be_bytes());
            out.extend_from_slice(&words.to_be_bytes());
            out.extend_from_slice(extension.data);
            let fill = usize::from(words) * 4 - extension.data.len();
            out.extend(core::iter::repeat_n(0, fill));
        }
        out.extend_from_slice(self.payload);
        if self.padding > 0 {
            out.extend(core::iter::repeat_n(0, usize::from(self.padding) - 1));
            out.push(self.padding);
        }
        Ok(())
    }
}

/// Why a packet cannot be written: the caller asked for something the header has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// More than 15 contributing sources.
    Sources,
    /// A payload type above 127.
    PayloadType,
    /// A header extension above 65,535 words.
    Extension,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sources => "an RTP packet names at most 15 contributing sources",
            Self::PayloadType => "an RTP payload type is at most 127",
            Self::Extension => "an RTP header extension has at most 65535 words",
        })
    }
}

impl core::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut out = vec![1];
        let builder = Builder {
            csrc: &[0; 16],
            ..Builder::default()
        };
        assert_eq!(builder.write(&mut out), Err(Unfit::Sources));
        assert!(out.is_empty());
        let builder = Builder {
            payload_type: 128,
            ..Builder::default()
        };
        assert_eq!(builder.write(&mut out), Err(Unfit::PayloadType));
    }
}
