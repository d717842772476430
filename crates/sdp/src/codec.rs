//! Codecs by name and number (RFC 3551 §6, RFC 4733, RFC 8866 §6.6).

use std::borrow::Cow;

/// A codec under the payload number of one description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// RTP payload number, 0 to 127.
    pub payload_type: u8,
    /// Encoding name as written; names are case insensitive (RFC 4855 §3).
    pub name: String,
    /// RTP clock rate in Hz; 8000 for G.722 although it samples at 16 kHz (RFC 3551 §4.5.2).
    pub clock_rate: u32,
    /// Channels of audio, 1 unless said.
    pub channels: u8,
    /// Format parameters as written behind `a=fmtp:number`.
    pub fmtp: Option<String>,
}

/// Name, clock rate and channels of the static payload numbers (RFC 3551 tables 4 and 5).
const STATIC: [(u8, &str, u32, u8); 24] = [
    (0, "PCMU", 8000, 1),
    (3, "GSM", 8000, 1),
    (4, "G723", 8000, 1),
    (5, "DVI4", 8000, 1),
    (6, "DVI4", 16000, 1),
    (7, "LPC", 8000, 1),
    (8, "PCMA", 8000, 1),
    (9, "G722", 8000, 1),
    (10, "L16", 44100, 2),
    (11, "L16", 44100, 1),
    (12, "QCELP", 8000, 1),
    (13, "CN", 8000, 1),
    (14, "MPA", 90000, 1),
    (15, "G728", 8000, 1),
    (16, "DVI4", 11025, 1),
    (17, "DVI4", 22050, 1),
    (18, "G729", 8000, 1),
    (25, "CelB", 90000, 1),
    (26, "JPEG", 90000, 1),
    (28, "nv", 90000, 1),
    (31, "H261", 90000, 1),
    (32, "MPV", 90000, 1),
    (33, "MP2T", 90000, 1),
    (34, "H263", 90000, 1),
];

/// Parameters on which both sides must agree, with the value that holds when one is absent.
///
/// G.722.1: RFC 5577 §4.1; AMR and AMR-WB: RFC 4867 §8.3.1.
const SYMMETRIC: [(&str, &[(&str, &str)]); 3] = [
    ("G7221", &[("bitrate", "")]),
    (
        "AMR",
        &[
            ("octet-align", "0"),
            ("crc", "0"),
            ("robust-sorting", "0"),
            ("interleaving", ""),
            ("channels", "1"),
        ],
    ),
    (
        "AMR-WB",
        &[
            ("octet-align", "0"),
            ("crc", "0"),
            ("robust-sorting", "0"),
            ("interleaving", ""),
            ("channels", "1"),
        ],
    ),
];

/// Parameters that hold only where both sides say yes, by codec (RFC 4856 §2.1.9, §2.1.6).
const REFUSED: [(&str, &str); 2] = [("G729", "annexb"), ("G723", "annexa")];

/// Codec behind a static payload number.
pub fn static_codec(payload_type: u8) -> Option<Codec> {
    let (_, name, clock_rate, channels) =
        STATIC.into_iter().find(|entry| entry.0 == payload_type)?;
    Some(Codec {
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        fmtp: None,
    })
}

impl Codec {
    /// Codec with one channel and no parameters.
    pub fn new(payload_type: u8, name: &str, clock_rate: u32) -> Codec {
        Codec {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: 1,
            fmtp: None,
        }
    }

    /// Telephone events under that number (RFC 4733): the sixteen DTMF keys and, as most phones say, flash.
    pub fn telephone_event(payload_type: u8, clock_rate: u32) -> Codec {
        Codec {
            fmtp: Some("0-16".to_owned()),
            ..Codec::new(payload_type, "telephone-event", clock_rate)
        }
    }

    /// Reads the value of `a=rtpmap`; none without a usable number, name or clock rate.
    pub fn from_rtpmap(value: &str) -> Option<Codec> {
        let mut words = value.split_ascii_whitespace();
        let payload_type = words.next()?.parse().ok().filter(|pt: &u8| *pt < 128)?;
        let mut parts = words.next()?.split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.parse().ok().filter(|rate: &u32| *rate != 0)?;
        let channels = match parts.next() {
            Some(channels) => channels.parse().ok().filter(|n: &u8| *n != 0)?,
            None => 1,
        };
        Some(Codec {
            channels,
            ..Codec::new(payload_type, name, clock_rate)
        })
    }

    /// Value of `a=rtpmap` for this codec.
    pub fn rtpmap(&self) -> String {
        format!("{} {}", self.payload_type, self.encoding())
    }

    /// `name/clock`, and `/channels` where there is more than one.
    pub fn encoding(&self) -> String {
        match self.channels {
            0 | 1 => format!("{}/{}", self.name, self.clock_rate),
            n => format!("{}/{}/{n}", self.name, self.clock_rate),
        }
    }

    /// Same encoding name, clock rate and channels, whatever the payload numbers and parameters.
    pub fn same_encoding(&self, other: &Codec) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_rate == other.clock_rate
            && self.channels == other.channels
    }

    /// Same encoding, and parameters that go together: a parameter on which both sides must agree has the same value.
    /// A side without any parameters agrees with all.
    pub fn compatible(&self, other: &Codec) -> bool {
        if !self.same_encoding(other) {
            return false;
        }
        let (Some(ours), Some(theirs)) = (&self.fmtp, &other.fmtp) else {
            return true;
        };
        self.symmetric().iter().all(|(name, absent)| {
            let ours = parameter(ours, name).unwrap_or(Cow::Borrowed(absent));
            ours.eq_ignore_ascii_case(&parameter(theirs, name).unwrap_or(Cow::Borrowed(absent)))
        })
    }

    /// Parameters to answer `offered` with: our own, and those that must be equal as they were offered. What the offer
    /// refuses (G.729's Annex B, G.723.1's Annex A), the answer refuses too (RFC 7261 §3).
    pub fn answer_fmtp(&self, offered: &Codec) -> Option<String> {
        if let Some(ours) = &self.fmtp {
            let refused = REFUSED.iter().filter(|(name, parameter_name)| {
                let said = offered
                    .fmtp
                    .as_deref()
                    .and_then(|f| parameter(f, parameter_name));
                self.name.eq_ignore_ascii_case(name)
                    && said.is_some_and(|s| s.eq_ignore_ascii_case("no"))
            });
            return Some(refused.fold(ours.clone(), |ours, (_, name)| {
                ours.replace(&format!("{name}=yes"), &format!("{name}=no"))
            }));
        }
        let theirs = offered.fmtp.as_deref()?;
        let echoed: Vec<String> = self
            .symmetric()
            .iter()
            .filter_map(|(name, _)| Some(format!("{name}={}", parameter(theirs, name)?)))
            .collect();
        (!echoed.is_empty()).then(|| echoed.join("; "))
    }

    /// Whether this is telephone-event (RFC 4733).
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case("telephone-event")
    }

    /// Whether this format only rides along with a codec and carries no speech or picture by itself.
    pub fn is_auxiliary(&self) -> bool {
        [
            "telephone-event",
            "tone",
            "CN",
            "red",
            "ulpfec",
            "flexfec",
            "parityfec",
            "rtx",
        ]
        .iter()
        .any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// Whether the payload number alone says all this codec is.
    pub fn is_static(&self) -> bool {
        static_codec(self.payload_type).is_some_and(|c| c.same_encoding(self))
    }

    fn symmetric(&self) -> &'static [(&'static str, &'static str)] {
        SYMMETRIC
            .iter()
            .find(|(name, _)| self.name.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, parameters)| parameters)
    }
}

/// Value of a parameter in `name=value; name=value`.
fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<Cow<'a, str>> {
    fmtp.split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| Cow::Borrowed(value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtpmap_values() {
        let opus = Codec::from_rtpmap("96 opus/48000/2").unwrap();
        assert_eq!(
            (opus.payload_type, opus.clock_rate, opus.channels),
            (96, 48000, 2)
        );
        assert_eq!(opus.rtpmap(), "96 opus/48000/2");
        assert_eq!(
            Codec::from_rtpmap(" 8  pcma/8000").map(|c| c.is_static()),
            Some(true)
        );
        for bad in [
            "",
            "8",
            "8 PCMA",
            "8 PCMA/0",
            "8 /8000",
            "8 PCMA/x",
            "128 x/8000",
            "96 opus/48000/0",
            "96 x/99999999999",
        ] {
            assert_eq!(Codec::from_rtpmap(bad), None, "{bad}");
        }
    }

    #[test]
    fn static_table() {
        assert_eq!(
            static_codec(9).map(|c| c.encoding()),
            Some("G722/8000".to_owned())
        );
        assert_eq!(static_codec(10).map(|c| c.channels), Some(2));
        assert_eq!(static_codec(2), None);
        assert_eq!(static_codec(96), None);
        assert!(!Codec::new(0, "PCMU", 16000).is_static());
    }

    #[test]
    fn matching() {
        let pcmu = Codec::new(0, "PCMU", 8000);
        assert!(pcmu.compatible(&Codec::new(105, "pcmu", 8000)));
        assert!(!pcmu.compatible(&Codec::new(105, "pcmu", 16000)));
        assert!(!pcmu.compatible(&Codec {
            channels: 2,
            ..pcmu.clone()
        }));
        let with = |fmtp: &str| Codec {
            fmtp: Some(fmtp.to_owned()),
            ..Codec::new(99, "AMR", 8000)
        };
        assert!(with("octet-align=1").compatible(&with("mode-set=7; octet-align=1")));
        assert!(!with("octet-align=1").compatible(&with("mode-set=7")));
        assert!(with("mode-set=7").compatible(&with("octet-align=0")));
        assert_eq!(
            Codec::new(98, "AMR", 8000).answer_fmtp(&with("mode-set=7; octet-align=1")),
            Some("octet-align=1".to_owned())
        );
    }
}
