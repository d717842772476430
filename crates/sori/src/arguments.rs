//! Arguments that several commands share.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use phone::{CodecKind, KeysBy, Name, Recorder, Server, Settings, Sound, Source, Srtp, StunServer};

use crate::exit::{Exit, Failure};
use crate::{codec, trace};

/// Whose phone it is and how it reaches its server.
#[derive(Debug, Args)]
pub struct Line {
    /// Whose phone it is
    #[arg(long, short, value_name = "USER@DOMAIN", value_parser = Name::from_str, required_unless_present = "provision")]
    pub account: Option<Name>,
    /// Take the settings from an XML document at this http: or https: address; options on the command line go before them
    // Not parsed here: what is wrong with a URL is said without showing a token in it.
    #[arg(long, value_name = "URL")]
    pub provision: Option<String>,
    /// The server that all requests go through [default: found by the domain's DNS records]
    #[arg(long, value_name = "udp|tcp|tls:HOST:PORT", value_parser = Server::from_str)]
    pub proxy: Option<Server>,
    /// Trust the certificates in this PEM file in TLS, beside those that this system trusts; may be given again
    #[arg(long = "tls-root", value_name = "FILE")]
    pub tls_roots: Vec<PathBuf>,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Use this local port for SIP [default: any free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    #[command(flatten)]
    pub output: Output,
}

/// How things are told.
#[derive(Debug, Args)]
pub struct Output {
    /// Print one JSON object a line for everything that happens
    #[arg(long)]
    pub json: bool,
    /// Show every SIP message on standard error
    #[arg(long, short)]
    pub verbose: bool,
}

/// What is said and what becomes of what is heard.
#[derive(Debug, Default, Args)]
pub struct Voice {
    /// Play this WAV file to the other side, once
    #[arg(long, value_name = "FILE.wav")]
    pub play: Option<PathBuf>,
    /// Record the other side to this WAV file
    #[arg(long, value_name = "FILE.wav")]
    pub record: Option<PathBuf>,
    /// Codecs in the order of preference; `help` lists them all [default: opus,g722,pcmu,pcma]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = codec::parse)]
    pub codec: Option<Vec<CodecKind>>,
    /// Send next to nothing while nothing is said, where the other side agrees
    #[arg(long)]
    pub suppress_silence: bool,
}

/// How sound travels.
#[derive(Debug, Args)]
pub struct Passage {
    /// Encrypt the sound: off, optional (where the other side can), required, or dtls (keys from a handshake) [default: off]
    #[arg(long, value_name = "HOW", value_parser = Srtp::from_str)]
    pub srtp: Option<Srtp>,
    /// Look for a way through address translators (ICE), where the other side does too
    #[arg(long)]
    pub ice: bool,
    /// Learn the public address of the sound from this STUN server [default port: 3478]
    #[arg(long, value_name = "HOST:PORT", value_parser = StunServer::from_str)]
    pub stun: Option<StunServer>,
}

impl Passage {
    /// Writes it into the settings of a phone; what is not said stays as it is there.
    pub fn apply(&self, settings: &mut Settings) {
        if let Some(srtp) = self.srtp {
            settings.srtp = srtp;
        }
        settings.ice |= self.ice;
        if self.stun.is_some() {
            settings.stun.clone_from(&self.stun);
        }
    }
}

impl Output {
    /// What shows the messages, if they are to be shown.
    pub fn tap(&self) -> Option<Arc<dyn net::Tap>> {
        self.verbose
            .then(|| Arc::new(trace::Trace) as Arc<dyn net::Tap>)
    }
}

impl Voice {
    /// Writes it into the settings of a phone; what is not said stays as it is there.
    pub fn apply(&self, settings: &mut Settings) {
        if let Some(codecs) = &self.codec {
            settings.codecs.clone_from(codecs);
        }
        settings.suppress_silence |= self.suppress_silence;
    }

    /// Opens the files; those of a later call get its number in the name of the recording.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(&self, call: u32) -> Result<Sound, Failure> {
        let wrong = |error: phone::SoundError| Failure::new(Exit::Sound, error.to_string(), "");
        if let (Some(play), Some(record)) = (&self.play, &self.record)
            && is_same(play, &numbered(record, call))
        {
            let message = format!(
                "{} cannot be played and recorded to at once",
                play.display()
            );
            return Err(Failure::new(
                Exit::Usage,
                message,
                "choose another file for --record",
            ));
        }
        let source = match &self.play {
            Some(path) => Source::file(path).map_err(wrong)?,
            None => Source::Silence,
        };
        let recorder = match &self.record {
            Some(path) => Some(Recorder::create(&numbered(path, call)).map_err(wrong)?),
            None => None,
        };
        Ok(Sound {
            source,
            recorder,
            ..Sound::default()
        })
    }
}

/// Whether both paths lead to one file that exists.
fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// `x.wav` for the first call, `x-2.wav` for the second.
fn numbered(path: &Path, call: u32) -> PathBuf {
    if call < 2 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = format!("{stem}-{call}");
    if let Some(extension) = path.extension() {
        name.push('.');
        name.push_str(&extension.to_string_lossy());
    }
    path.with_file_name(name)
}

/// Seconds, whole or not.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it has to be a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds > 0.0 && seconds < 1e9 => Ok(duration),
        _ => Err("it has to be a number of seconds above 0".to_owned()),
    }
}

/// Seconds, whole or not, or none at all.
pub fn parse_pause(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ => parse_seconds(text),
    }
}

/// How keys travel.
pub fn parse_keys_by(text: &str) -> Result<KeysBy, String> {
    match text {
        "rfc4733" => Ok(KeysBy::Rfc4733),
        "info" => Ok(KeysBy::Info),
        _ => Err("it has to be rfc4733 or info".to_owned()),
    }
}

/// Telephone keys and commas.
pub fn parse_keys(text: &str) -> Result<String, String> {
    let keys: String = text.chars().map(|c| c.to_ascii_uppercase()).collect();
    match keys
        .chars()
        .find(|c| *c != ',' && phone::dtmf_code(*c).is_none())
    {
        Some(wrong) => Err(format!(
            "'{}' is no telephone key: 0-9, *, #, A-D, and ',' for a pause of a second",
            wrong.escape_debug()
        )),
        None if keys.len() > 255 => Err("more than 255 keys".to_owned()),
        None => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_keys() {
        assert_eq!(parse_seconds("2.5"), Ok(Duration::from_millis(2500)));
        for bad in ["", "x", "0", "-1", "inf", "NaN", "1e99"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_pause("0"), Ok(Duration::ZERO));
        assert!(parse_pause("-1").is_err());
        assert_eq!(parse_keys("12,*#d"), Ok("12,*#D".to_owned()));
        assert!(parse_keys("1x").unwrap_err().contains("'X'"));
        assert!(parse_keys(&"1".repeat(256)).is_err());
        assert_eq!(parse_keys_by("info"), Ok(KeysBy::Info));
        assert!(parse_keys_by("tones").is_err());
    }

    #[test]
    fn recordings_of_later_calls_have_names_of_their_own() {
        assert_eq!(numbered(Path::new("a/x.wav"), 1), Path::new("a/x.wav"));
        assert_eq!(numbered(Path::new("a/x.wav"), 2), Path::new("a/x-2.wav"));
        assert_eq!(numbered(Path::new("x"), 10), Path::new("x-10"));
    }
}
