//! Bytes to [`Session`].
//!
//! Tolerated because it is seen in the wild: LF or CR alone as line end, no line end at the end, empty lines, blanks at line ends, no
//! `s=` or `t=`, lines out of order, folded `a=` lines, unknown line types, text that is not UTF-8 (read as ISO 8859-1).

use std::borrow::Cow;
use std::fmt;

use crate::attribute::Attribute;
use crate::negotiate::Rejection;
use crate::session::{Bandwidth, Connection, Line, Media, MediaKind, Origin, Session, Timing};

/// Bounds on what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole description.
    pub octets: usize,
    /// Octets of one line.
    pub line: usize,
    /// Number of lines.
    pub lines: usize,
    /// Number of `m=` lines.
    pub media: usize,
    /// Number of formats in one `m=` line; RTP has 128 payload numbers.
    pub formats: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            octets: 256 * 1024,
            line: 64 * 1024,
            lines: 4096,
            media: 128,
            formats: 256,
        }
    }
}

/// A description that cannot be read: the fault and the line, counted from 1 (0 when it is about the whole).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    /// Line number.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing in it.
    Empty,
    /// More octets than [`Limits::octets`].
    TooLarge,
    /// A line longer than [`Limits::line`].
    LineTooLong,
    /// More lines than [`Limits::lines`].
    TooManyLines,
    /// More `m=` lines than [`Limits::media`].
    TooManyMedia,
    /// More formats in an `m=` line than [`Limits::formats`].
    TooManyFormats,
    /// A line that is not a letter, `=`, and a value.
    NotALine,
    /// The first line is not `v=`.
    NoVersion,
    /// A version other than 0.
    UnknownVersion,
    /// No `o=` in the session part.
    NoOrigin,
    /// A second `v=` or `o=`: two descriptions run together.
    SecondDescription,
    /// `o=` without its six fields.
    Origin,
    /// `c=` without its three fields.
    Connection,
    /// `t=` without numbers.
    Timing,
    /// `m=` without kind, port from 0 to 65535, transport and at least one format.
    Media,
}

impl Session {
    /// Reads a description within the default [`Limits`].
    ///
    /// # Errors
    /// Where the description is not readable; see [`Fault`].
    pub fn parse(bytes: &[u8]) -> Result<Session, ParseError> {
        Session::parse_within(bytes, &Limits::default())
    }

    /// Reads a description within other limits.
    ///
    /// # Errors
    /// As [`Session::parse`].
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Session, ParseError> {
        if bytes.len() > limits.octets {
            return Err(ParseError {
                line: 0,
                fault: Fault::TooLarge,
            });
        }
        let mut reader = Reader::default();
        for (index, raw) in lines(bytes).enumerate() {
            let line = index.saturating_add(1);
            if raw.len() > limits.line {
                return Err(ParseError {
                    line,
                    fault: Fault::LineTooLong,
                });
            }
            if line > limits.lines {
                return Err(ParseError {
                    line,
                    fault: Fault::TooManyLines,
                });
            }
            reader
                .line(raw, limits)
                .map_err(|fault| ParseError { line, fault })?;
        }
        reader
            .finish()
            .map_err(|fault| ParseError { line: 0, fault })
    }
}

/// Lines ended by CRLF, LF or CR. A CR alone must end a line here, because it does for some readers behind us.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .iter()
            .position(|b| matches!(b, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        rest = tail
            .strip_prefix(b"\r\n")
            .or_else(|| tail.get(1..))
            .unwrap_or_default();
        Some(line)
    })
}

/// UTF-8, or each octet as its ISO 8859-1 character, which is what phones that do not write UTF-8 mean.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
    }
}

#[derive(Default)]
struct Reader {
    version: bool,
    origin: Option<Origin>,
    name: Option<String>,
    information: Option<String>,
    uri: Option<String>,
    emails: Vec<String>,
    phones: Vec<String>,
    connection: Option<Connection>,
    bandwidths: Vec<Bandwidth>,
    timings: Vec<Timing>,
    attributes: Vec<Attribute>,
    media: Vec<Media>,
    other: Vec<Line>,
    /// Whether the line before was an attribute, which a folded line continues.
    after_attribute: bool,
}

impl Reader {
    fn line(&mut self, raw: &[u8], limits: &Limits) -> Result<(), Fault> {
        if raw.iter().all(|b| matches!(b, b' ' | b'\t')) {
            return Ok(());
        }
        let line = text(raw);
        if line.starts_with([' ', '\t']) {
            return self.fold(line.trim(), limits);
        }
        let mut chars = line.chars();
        let (letter, equals) = (chars.next(), chars.next());
        let letter = letter
            .filter(char::is_ascii_alphabetic)
            .ok_or(Fault::NotALine)?;
        if equals != Some('=') {
            return Err(Fault::NotALine);
        }
        let value = chars.as_str();
        self.after_attribute = letter == 'a';
        if !self.version {
            return self.read_version(letter, value);
        }
        match (letter, self.media.last_mut()) {
            ('v' | 'o', Some(_)) => Err(Fault::SecondDescription),
            ('m', _) => self.media(value, limits),
            (_, Some(media)) => media_line(media, letter, value),
            (_, None) => self.session_line(letter, value),
        }
    }

    fn read_version(&mut self, letter: char, value: &str) -> Result<(), Fault> {
        match (letter, value.trim()) {
            ('v', "0") => self.version = true,
            ('v', _) => return Err(Fault::UnknownVersion),
            _ => return Err(Fault::NoVersion),
        }
        Ok(())
    }

    fn fold(&mut self, more: &str, limits: &Limits) -> Result<(), Fault> {
        let attributes = self
            .media
            .last_mut()
            .map_or(&mut self.attributes, |m| &mut m.attributes);
        let last = attributes
            .last_mut()
            .filter(|_| self.after_attribute)
            .ok_or(Fault::NotALine)?;
        if more.is_empty() {
            return Ok(());
        }
        let length = last.name.len().saturating_add(more.len());
        let value = last.value.get_or_insert_default();
        if value.len().saturating_add(length) >= limits.line {
            return Err(Fault::LineTooLong);
        }
        // Joined with a blank, so that a value never grows together with what was another word.
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(more);
        Ok(())
    }

    fn media(&mut self, value: &str, limits: &Limits) -> Result<(), Fault> {
        if self.media.len() >= limits.media {
            return Err(Fault::TooManyMedia);
        }
        let media = read_media(value).ok_or(Fault::Media)?;
        if media.formats.len() > limits.formats {
            return Err(Fault::TooManyFormats);
        }
        self.media.push(media);
        Ok(())
    }

    fn session_line(&mut self, letter: char, value: &str) -> Result<(), Fault> {
        let kept = || Line {
            letter,
            value: value.to_owned(),
        };
        let single = match letter {
            'v' => return Err(Fault::SecondDescription),
            'o' if self.origin.is_some() => return Err(Fault::SecondDescription),
            'o' => {
                self.origin = Some(read_origin(value).ok_or(Fault::Origin)?);
                return Ok(());
            }
            's' => &mut self.name,
            'i' => &mut self.information,
            'u' => &mut self.uri,
            _ => return self.repeatable_line(letter, value),
        };
        match single {
            Some(_) => self.other.push(kept()),
            None => *single = Some(value.to_owned()),
        }
        Ok(())
    }

    fn repeatable_line(&mut self, letter: char, value: &str) -> Result<(), Fault> {
        let kept = || Line {
            letter,
            value: value.to_owned(),
        };
        match letter {
            'e' => self.emails.push(value.to_owned()),
            'p' => self.phones.push(value.to_owned()),
            'c' if self.connection.is_none() => {
                self.connection = Some(read_connection(value).ok_or(Fault::Connection)?)
            }
            'b' => match read_bandwidth(value) {
                Some(bandwidth) => self.bandwidths.push(bandwidth),
                None => self.other.push(kept()),
            },
            't' => self.timings.push(read_timing(value).ok_or(Fault::Timing)?),
            'r' => match self.timings.last_mut() {
                Some(timing) => timing.repeats.push(value.to_owned()),
                None => self.other.push(kept()),
            },
            'a' => self.attributes.push(Attribute::parse(value.trim_end())),
            _ => self.other.push(kept()),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Session, Fault> {
        if !self.version {
            return Err(Fault::Empty);
        }
        // The order in which they are printed: `z=` and `k=` follow the times (RFC 8866 §5), everything else stands before.
        self.other.sort_by_key(|line| match line.letter {
            'z' => 1,
            'k' => 2,
            _ => 0,
        });
        Ok(Session {
            origin: self.origin.ok_or(Fault::NoOrigin)?,
            name: self.name.unwrap_or_default(),
            information: self.information,
            uri: self.uri,
            emails: self.emails,
            phones: self.phones,
            connection: self.connection,
            bandwidths: self.bandwidths,
            timings: self.timings,
            attributes: self.attributes,
            media: self.media,
            other: self.other,
        })
    }
}

fn media_line(media: &mut Media, letter: char, value: &str) -> Result<(), Fault> {
    let kept = || Line {
        letter,
        value: value.to_owned(),
    };
    match letter {
        'i' if media.information.is_none() => media.information = Some(value.to_owned()),
        'c' if media.connection.is_none() => {
            media.connection = Some(read_connection(value).ok_or(Fault::Connection)?)
        }
        'b' => match read_bandwidth(value) {
            Some(bandwidth) => media.bandwidths.push(bandwidth),
            None => media.other.push(kept()),
        },
        'a' => media.attributes.push(Attribute::parse(value.trim_end())),
        _ => media.other.push(kept()),
    }
    Ok(())
}

/// The last five words are fixed; what stands before them is the user name, in which some phones write blanks.
fn read_origin(value: &str) -> Option<Origin> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    let (username, fixed) = words.split_at_checked(words.len().checked_sub(5)?)?;
    let &[session_id, session_version, net_type, address_type, address] = fixed else {
        return None;
    };
    (!username.is_empty()).then(|| Origin {
        username: username.join(" "),
        session_id: session_id.to_owned(),
        session_version: session_version.to_owned(),
        net_type: net_type.to_owned(),
        address_type: address_type.to_owned(),
        address: address.to_owned(),
    })
}

fn read_connection(value: &str) -> Option<Connection> {
    let mut words = value.split_ascii_whitespace();
    Some(Connection {
        net_type: words.next()?.to_owned(),
        address_type: words.next()?.to_owned(),
        address: words.next()?.to_owned(),
        trailing: words.collect::<Vec<_>>().join(" "),
    })
}

fn read_bandwidth(value: &str) -> Option<Bandwidth> {
    let (kind, value) = value.trim().split_once(':')?;
    (!kind.is_empty()).then_some(())?;
    Some(Bandwidth {
        kind: kind.to_owned(),
        value: value.parse().ok()?,
    })
}

fn read_timing(value: &str) -> Option<Timing> {
    let mut words = value.split_ascii_whitespace();
    let start = words.next()?.parse().ok()?;
    let stop = words.next().map_or(Some(0), |word| word.parse().ok())?;
    Some(Timing {
        start,
        stop,
        repeats: Vec::new(),
    })
}

fn read_media(value: &str) -> Option<Media> {
    let mut words = value.split_ascii_whitespace();
    let kind = MediaKind::from_name(words.next()?);
    let port = words.next()?;
    let (port, count) = port.split_once('/').unwrap_or((port, "1"));
    let port_count = count.parse().ok().filter(|count: &u16| *count != 0)?;
    let media = Media {
        port_count,
        ..Media::new(kind, port.parse().ok()?, words.next()?)
    };
    let formats: Vec<String> = words.map(str::to_owned).collect();
    (!formats.is_empty()).then_some(Media { formats, ..media })
}

impl ParseError {
    /// The refusal that fits an INVITE with such a body: 400, with the reason for its Warning.
    pub fn rejection(&self) -> Rejection {
        Rejection::malformed(&self.to_string())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "session description: {}", self.fault),
            line => write!(f, "session description, line {line}: {}", self.fault),
        }
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Empty => "it is empty",
            Fault::TooLarge => "it is too large",
            Fault::LineTooLong => "line too long",
            Fault::TooManyLines => "too many lines",
            Fault::TooManyMedia => "too many m= lines",
            Fault::TooManyFormats => "too many formats in m=",
            Fault::NotALine => "not a line of the form letter=value",
            Fault::NoVersion => "it does not start with v=",
            Fault::UnknownVersion => "unknown version",
            Fault::NoOrigin => "no o= line",
            Fault::SecondDescription => "a second description starts",
            Fault::Origin => "o= needs six fields",
            Fault::Connection => "c= needs three fields",
            Fault::Timing => "t= needs numbers",
            Fault::Media => "m= needs kind, port, transport and format",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";

    fn fault(tail: &str) -> Option<Fault> {
        Session::parse(format!("{HEAD}{tail}").as_bytes())
            .err()
            .map(|e| e.fault)
    }

    #[test]
    fn faults_name_the_line() {
        let error = Session::parse(format!("{HEAD}c=IN IP4\r\n").as_bytes()).unwrap_err();
        assert_eq!(
            error,
            ParseError {
                line: 4,
                fault: Fault::Connection
            }
        );
        assert_eq!(
            error.to_string(),
            "session description, line 4: c= needs three fields"
        );
        assert_eq!(error.rejection().status, 400);
        assert_eq!(fault("m=audio 4000/0 RTP/AVP 0\r\n"), Some(Fault::Media));
        assert_eq!(
            fault("m=audio 1 RTP/AVP 0\r\nv=0\r\n"),
            Some(Fault::SecondDescription)
        );
        assert_eq!(fault("t=x y\r\n"), Some(Fault::Timing));
        assert_eq!(fault("a=x\ry\r\n"), Some(Fault::NotALine));
        assert_eq!(fault(" folded\r\n"), Some(Fault::NotALine));
        assert_eq!(
            Session::parse(b"\r\n\r\n").map_err(|e| e.fault),
            Err(Fault::Empty)
        );
    }

    #[test]
    fn limits_hold() {
        let limits = Limits {
            octets: 200,
            line: 40,
            lines: 8,
            media: 2,
            formats: 3,
        };
        let parse = |tail: &str| {
            Session::parse_within(format!("{HEAD}{tail}").as_bytes(), &limits).map_err(|e| e.fault)
        };
        assert!(parse("m=audio 1 RTP/AVP 0\r\nm=audio 1 RTP/AVP 0\r\n").is_ok());
        assert_eq!(
            parse(&"m=audio 1 RTP/AVP 0\r\n".repeat(3)),
            Err(Fault::TooManyMedia)
        );
        assert_eq!(
            parse("m=audio 1 RTP/AVP 0 1 2 3"),
            Err(Fault::TooManyFormats)
        );
        assert_eq!(parse(&"x".repeat(300)), Err(Fault::TooLarge));
        assert_eq!(
            parse(&format!("a={}", "x".repeat(40))),
            Err(Fault::LineTooLong)
        );
        assert_eq!(
            parse(&format!("a={0}\r\n {0}", "x".repeat(30))),
            Err(Fault::LineTooLong)
        );
        assert_eq!(parse(&"a=x\r\n".repeat(6)), Err(Fault::TooManyLines));
    }

    #[test]
    fn folded_and_foreign_text() {
        let session = Session::parse(
            b"v=0\no=J D 1 1 IN IP4 h\ns=caf\xe9\na=fingerprint:sha-1\n  4A:AD\nt=1\n",
        )
        .unwrap();
        assert_eq!(session.attribute("fingerprint"), Some("sha-1 4A:AD"));
        assert_eq!(session.name, "caf\u{e9}");
        assert_eq!(session.origin.username, "J D");
        assert_eq!(
            session.timings,
            [Timing {
                start: 1,
                stop: 0,
                repeats: vec![]
            }]
        );
    }
}
