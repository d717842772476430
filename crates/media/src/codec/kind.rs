use super::library::{g723, g729, gsm, speex};
use super::{Absent, Codec, Encoding, G722, Pcma, Pcmu, opus};

/// The codecs there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecKind {
    /// Opus (RFC 6716), mono at 48 kHz.
    Opus,
    /// G.722 at 64 kbit/s: 16 kHz.
    G722,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// Speex at 16 kHz.
    SpeexWide,
    /// Speex at 8 kHz.
    Speex,
    /// G.729 with Annex A and B, 8 kbit/s.
    G729,
    /// G.723.1, sent at 6.3 kbit/s, received at either rate.
    G723,
    /// GSM 06.10 full rate, 13 kbit/s.
    Gsm,
}

impl CodecKind {
    /// Every codec, best choice first.
    pub const ALL: [Self; 9] = [
        Self::Opus,
        Self::G722,
        Self::Pcmu,
        Self::Pcma,
        Self::SpeexWide,
        Self::Speex,
        Self::G729,
        Self::G723,
        Self::Gsm,
    ];

    /// Finds a codec by what `a=rtpmap` says: encoding name (in any case) and clock rate.
    pub fn find(encoding_name: &str, clock_rate: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            kind.encoding_name().eq_ignore_ascii_case(encoding_name)
                && kind.clock_rate() == clock_rate
        })
    }

    /// What a person calls it: the encoding name in small letters, with the rate where there are several.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "g722",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
            Self::SpeexWide => "speex16",
            Self::Speex => "speex",
            Self::G729 => "g729",
            Self::G723 => "g723",
            Self::Gsm => "gsm",
        }
    }

    /// The static payload type of RFC 3551 §6, if it has one.
    pub fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Gsm => Some(3),
            Self::G723 => Some(4),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::G729 => Some(18),
            Self::Opus | Self::SpeexWide | Self::Speex => None,
        }
    }

    /// The payload type we would like: the static one, else one of the dynamic range.
    pub fn payload_type(self) -> u8 {
        match self {
            Self::SpeexWide => 97,
            Self::Speex => 98,
            _ => self.static_payload_type().unwrap_or(96),
        }
    }

    /// The encoding name in `a=rtpmap`.
    pub fn encoding_name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::SpeexWide | Self::Speex => "speex",
            Self::G729 => "G729",
            Self::G723 => "G723",
            Self::Gsm => "GSM",
        }
    }

    /// The channels that `a=rtpmap` must name: always 2 for Opus, whatever is sent (RFC 7587 §7).
    pub fn rtpmap_channels(self) -> u8 {
        match self {
            Self::Opus => 2,
            _ => 1,
        }
    }

    /// RTP timestamp units per second. Not always the sample rate: G.722 counts 8000 for 16,000 samples.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::SpeexWide => 16_000,
            _ => 8000,
        }
    }

    /// Samples per second that go in and come out.
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 | Self::SpeexWide => 16_000,
            _ => 8000,
        }
    }

    /// Length of a packet that suits the codec best, in milliseconds.
    pub fn default_packet_ms(self) -> u32 {
        self.packet_ms(20)
    }

    /// The length of packet, in milliseconds, that comes nearest to a wish: whole frames of the codec, at least one, and
    /// no longer than wished unless one frame is.
    pub fn packet_ms(self, wished: u32) -> u32 {
        let whole = |frame: u32, most: u32| (wished / frame * frame).clamp(frame, most);
        match self {
            Self::Opus => match wished {
                0..20 => 10,
                20..40 => 20,
                40..60 => 40,
                _ => 60,
            },
            Self::G722 | Self::Pcmu | Self::Pcma => wished.clamp(5, 200),
            Self::SpeexWide | Self::Speex | Self::Gsm => whole(20, 200),
            Self::G729 => whole(10, 200),
            Self::G723 => whole(30, 180),
        }
    }

    /// The codec of that [`CodecKind::name`], whatever its case.
    pub fn of_name(name: &str) -> Option<CodecKind> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Whether this machine can run it.
    ///
    /// # Errors
    /// Why it cannot, and what to do, for a person.
    pub fn available(self) -> Result<(), String> {
        match self {
            Self::Opus | Self::G722 | Self::Pcmu | Self::Pcma => Ok(()),
            Self::SpeexWide | Self::Speex => speex::available(),
            Self::G729 => g729::available(),
            Self::G723 => g723::available(),
            Self::Gsm => gsm::available(),
        }
    }

    /// Makes an instance. One that is not [`CodecKind::available`] fails with every frame.
    pub fn codec(self) -> Box<dyn Codec> {
        self.encoder(&Encoding::default())
    }

    /// Makes an instance that encodes as `encoding` says.
    pub fn encoder(self, encoding: &Encoding) -> Box<dyn Codec> {
        let made: Option<Box<dyn Codec>> = match self {
            Self::Opus => Some(Box::new(opus::Opus::new(*encoding))),
            Self::G722 => Some(Box::new(G722::default())),
            Self::Pcmu => Some(Box::new(Pcmu)),
            Self::Pcma => Some(Box::new(Pcma)),
            Self::SpeexWide => speex::codec(self, encoding),
            Self::Speex => speex::codec(self, encoding),
            Self::G729 => g729::codec(encoding),
            Self::G723 => g723::codec(),
            Self::Gsm => gsm::codec(),
        };
        made.unwrap_or_else(|| Box::new(Absent(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_name_and_rate() {
        assert_eq!(CodecKind::find("pcmu", 8000), Some(CodecKind::Pcmu));
        assert_eq!(CodecKind::find("PCMA", 8000), Some(CodecKind::Pcma));
        assert_eq!(CodecKind::find("PCMA", 16_000), None);
        assert_eq!(CodecKind::find("SPEEX", 16_000), Some(CodecKind::SpeexWide));
        for kind in CodecKind::ALL {
            assert_eq!(kind.codec().kind(), kind);
            let found = CodecKind::find(kind.encoding_name(), kind.clock_rate());
            assert_eq!(found, Some(kind));
            assert_eq!(
                48_000 % kind.clock_rate(),
                0,
                "the playout counts in 48 kHz"
            );
        }
    }

    #[test]
    fn packets_hold_whole_frames() {
        let lengths = |kind: CodecKind| [1, 10, 20, 30, 40, 65, 500].map(|ms| kind.packet_ms(ms));
        assert_eq!(lengths(CodecKind::Pcmu), [5, 10, 20, 30, 40, 65, 200]);
        assert_eq!(lengths(CodecKind::Opus), [10, 10, 20, 20, 40, 60, 60]);
        assert_eq!(lengths(CodecKind::G723), [30, 30, 30, 30, 30, 60, 180]);
        assert_eq!(lengths(CodecKind::Gsm), [20, 20, 20, 20, 40, 60, 200]);
        assert_eq!(lengths(CodecKind::G729), [10, 10, 20, 30, 40, 60, 200]);
    }
}
