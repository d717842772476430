use super::CodecKind;

/// How to encode: what the two descriptions settled beyond the name of the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// Most bits per second that the other side wants, where the codec has a choice.
    pub most_bitrate: Option<u32>,
    /// Most samples per second that the other side can play.
    pub most_sample_rate: Option<u32>,
    /// Always the same bitrate.
    pub constant_bitrate: bool,
    /// Repeat what was sent in the next packet, where the codec can.
    pub error_correction: bool,
    /// Send next to nothing while nothing is said, where the codec can.
    pub silence_suppression: bool,
}

impl Default for Encoding {
    fn default() -> Self {
        Self {
            most_bitrate: None,
            most_sample_rate: None,
            constant_bitrate: false,
            error_correction: true,
            silence_suppression: false,
        }
    }
}

impl Encoding {
    /// Reads the format parameters that the other side gave for what it receives (`a=fmtp`): RFC 7587 for Opus, RFC 4856
    /// for G.729 and G.723.1, RFC 5574 for Speex. `suppress` is whether we would like to suppress silence; it happens
    /// only where the other side does not forbid it.
    pub fn agreed(kind: CodecKind, fmtp: Option<&str>, suppress: bool) -> Self {
        let fmtp = fmtp.unwrap_or_default();
        let is = |name: &str, value: &str| parameter(fmtp, name) == Some(value);
        let number = |name: &str| parameter(fmtp, name).and_then(|value| value.parse().ok());
        let default = Self::default();
        match kind {
            CodecKind::Opus => Self {
                // RFC 7587 §6.1 names 6,000 to 510,000.
                most_bitrate: number("maxaveragebitrate")
                    .map(|bits: u32| bits.clamp(6000, 510_000)),
                most_sample_rate: number("maxplaybackrate"),
                constant_bitrate: is("cbr", "1"),
                error_correction: is("useinbandfec", "1"),
                silence_suppression: suppress || is("usedtx", "1"),
            },
            CodecKind::G729 => Self {
                silence_suppression: suppress && !is("annexb", "no"),
                ..default
            },
            CodecKind::G723 => Self {
                silence_suppression: suppress && !is("annexa", "no"),
                ..default
            },
            CodecKind::Speex | CodecKind::SpeexWide => Self {
                constant_bitrate: is("vbr", "off") || parameter(fmtp, "vbr").is_none(),
                silence_suppression: suppress && !is("cng", "off"),
                ..default
            },
            _ => default,
        }
    }

    /// The format parameters for our own description. `suppress` is whether we want silence to be suppressed.
    pub fn fmtp(kind: CodecKind, suppress: bool) -> Option<&'static str> {
        match (kind, suppress) {
            (CodecKind::Opus, false) => {
                Some("minptime=10; useinbandfec=1; stereo=0; sprop-stereo=0")
            }
            (CodecKind::Opus, true) => {
                Some("minptime=10; useinbandfec=1; usedtx=1; stereo=0; sprop-stereo=0")
            }
            (CodecKind::G729, false) => Some("annexb=no"),
            (CodecKind::G729, true) => Some("annexb=yes"),
            (CodecKind::G723, false) => Some("annexa=no"),
            (CodecKind::G723, true) => Some("annexa=yes"),
            _ => None,
        }
    }
}

/// Value of a parameter in `name=value; name=value`, without quotation marks.
fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_takes_what_the_other_side_wants() {
        let fmtp =
            "minptime=10;useinbandfec=1; maxaveragebitrate=20000 ;cbr=1;maxplaybackrate=16000";
        let encoding = Encoding::agreed(CodecKind::Opus, Some(fmtp), false);
        let wanted = Encoding {
            most_bitrate: Some(20_000),
            most_sample_rate: Some(16_000),
            constant_bitrate: true,
            error_correction: true,
            silence_suppression: false,
        };
        assert_eq!(encoding, wanted);
        let bare = Encoding::agreed(CodecKind::Opus, None, false);
        assert!(!bare.error_correction, "its default is 0 (RFC 7587 §6.1)");
        assert!(Encoding::agreed(CodecKind::Opus, Some("usedtx=1"), false).silence_suppression);
        let odd = Encoding::agreed(
            CodecKind::Opus,
            Some("maxaveragebitrate=1;x;=;usedtx"),
            false,
        );
        assert_eq!(odd.most_bitrate, Some(6000));
    }

    #[test]
    fn silence_is_suppressed_only_where_both_want_it() {
        let suppressed = |kind, fmtp, ours| Encoding::agreed(kind, fmtp, ours).silence_suppression;
        for (kind, no) in [
            (CodecKind::G729, "annexb=no"),
            (CodecKind::G723, "bitrate=5.3;annexa=no"),
            (CodecKind::Speex, "cng=\"off\""),
        ] {
            assert!(suppressed(kind, None, true), "the default is yes");
            assert!(!suppressed(kind, None, false));
            assert!(!suppressed(kind, Some(no), true));
        }
    }

    #[test]
    fn what_we_say_can_be_read() {
        for kind in CodecKind::ALL {
            for suppress in [false, true] {
                let said = Encoding::agreed(kind, Encoding::fmtp(kind, suppress), suppress);
                assert!(!said.silence_suppression || suppress, "{kind:?}");
            }
        }
        let opus = Encoding::agreed(
            CodecKind::Opus,
            Encoding::fmtp(CodecKind::Opus, true),
            false,
        );
        assert!(opus.error_correction && opus.silence_suppression);
    }
}
